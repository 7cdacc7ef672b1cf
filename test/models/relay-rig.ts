/**
 * Three switches of a mesh on one wire: hosts 1 and 3 reach each other through host 2, or directly. Host n is 192.0.2.n outside and
 * fd07::n inside, and has one container, with MAC n. Sessions are real ones of both ends.
 */
import { ENUM } from "@weft/dataplane-wasm/abi";
import type { Test } from "tap";
import { ipv6, mac, PROTO, udp } from "../frames/build.js";
import { content } from "../frames/super.js";
import { addressKey, type Build, type FromUnderlay, macKey, type Sent } from "./rig.js";
import { type Direction, opened, sealed, TunnelRig } from "./tunnel-rig.js";

export const PORT = 51_820;
export const PROBE_PORT = 6783;
export const addressOf = (n: number): string => `fd07::${n}`;
const underlayOf = (n: number): string => `192.0.2.${n}`;

export type Remote = Exclude<Sent, { kind: "port" }>;
export type Delivered = Extract<Sent, { kind: "port" }> & { readonly host: number };

interface Carried {
  readonly src?: string;
  readonly dst?: string;
  readonly port?: number;
  readonly hopLimit?: number;
  readonly trafficClass?: number;
  readonly payload?: Buffer;
}
/** A packet from host 1's tunnel address to host 3's that carries something like transport data. */
export function carrier({ src, dst, port, payload, hopLimit = 8, trafficClass = 0 }: Carried = {}): Buffer {
  const message = payload ?? Buffer.concat([Buffer.from([4, 0, 0, 0]), content(60)]);
  return ipv6({
    src: src ?? addressOf(1),
    dst: dst ?? addressOf(3),
    protocol: PROTO.udp,
    trafficClass,
    hopLimit,
    payload: udp({ src: PORT, dst: port ?? PORT, payload: message }),
  });
}
/** A probe of host 1. */
export function probe(given: Carried = {}): Buffer {
  return carrier({ port: PROBE_PORT, payload: Buffer.from("who is there?"), ...given });
}

export class MeshHost extends TunnelRig {
  readonly n: number;
  readonly net = this.network({ mtu: 1300, flags: ENUM.NETWORK.ENCRYPTED });
  readonly port0: number;
  readonly #peers = new Map<number, number>();
  /** Of the session with each host: what this one seals with. */
  readonly out = new Map<number, Direction>();

  constructor(build: Build, n: number, txMax?: number) {
    super(build, [addressOf(n)], {}, undefined, txMax, n, PROBE_PORT);
    this.features(64, 3);
    this.n = n;
    this.port0 = this.port(this.net, mac(n));
    for (const other of [1, 2, 3].filter((k) => k !== n)) {
      const index = this.peer([`${addressOf(other)}/128`], underlayOf(other));
      this.tables.tunnel.setTunnelAddress(index, addressKey(addressOf(other)));
      this.#peers.set(other, index);
      const target = { kind: "vtep", index: this.tunnelVtep(this.net, addressOf(other), index) } as const;
      this.tables.setRoute(this.net, { kind: "mac", length: 0, key: macKey(mac(other)) }, target, true);
    }
  }
  /** Index of the peer that is host n. */
  peerOf(n: number): number {
    return this.#peers.get(n) as number;
  }
}

/** Both ends of a session. */
function connect(a: MeshHost, b: MeshHost, salt: number): void {
  const slots = [a.slots.reserve(a.peerOf(b.n), 0), b.slots.reserve(b.peerOf(a.n), 0)];
  const keys = [Buffer.alloc(32, salt), Buffer.alloc(32, salt + 1)] as const;
  for (const [i, [host, other]] of (
    [
      [a, b],
      [b, a],
    ] as const
  ).entries()) {
    const [mine, theirs] = [slots[i], slots[1 - i]];
    const [send, receive] = [keys[i], keys[1 - i]];
    if (!mine || !theirs || !send || !receive) throw new Error("no free slot");
    host.slots.install(mine.slot, { send, receive }, theirs.local, 0);
    host.tables.tunnel.setSendSlot(host.peerOf(other.n), mine.slot);
    host.out.set(other.n, { key: send, index: theirs.local });
  }
}

export class Trio {
  readonly hosts: readonly [MeshHost, MeshHost, MeshHost];
  /** Every operation of the underlay, and who sent it. */
  readonly wire: { readonly from: number; readonly sent: Remote }[] = [];
  #counter = 1000n;

  private constructor(hosts: readonly [MeshHost, MeshHost, MeshHost]) {
    this.hosts = hosts;
  }

  /** @param isRelayed 1 and 3 reach each other through 2 */
  static async open(build: Build, isRelayed = true, txMax?: number): Promise<Trio> {
    const trio = new Trio(
      [1, 2, 3].map((n) => new MeshHost(build, n, txMax)) as unknown as [MeshHost, MeshHost, MeshHost],
    );
    const [a, r, b] = trio.hosts;
    connect(a, r, 10);
    connect(r, b, 20);
    connect(a, b, 30);
    if (isRelayed) {
      a.path(a.peerOf(3), a.peerOf(2), 1360);
      b.path(b.peerOf(1), b.peerOf(2), 1360);
    }
    for (const host of trio.hosts) await host.commit();
    return trio;
  }

  /** Frames of host n's container, and all that comes of them. @returns what containers got */
  send(n: 1 | 2 | 3, ...frames: { frame: Buffer; vnet?: object }[]): Delivered[] {
    const host = this.hosts[n - 1] as MeshHost;
    return this.#on(n, host.egress(frames.map((f) => ({ port: host.port0, ...f }))));
  }

  /** Datagrams of the underlay, and all that comes of them. */
  receive(n: number, ...datagrams: FromUnderlay[]): Delivered[] {
    return this.#on(n, (this.hosts[n - 1] as MeshHost).ingress(datagrams));
  }

  #on(from: number, sent: readonly Sent[]): Delivered[] {
    return sent.flatMap((one): Delivered[] => {
      if (one.kind === "port") return [{ ...one, host: from }];
      this.wire.push({ from, sent: one });
      const to = Number.parseInt(one.address.slice(-2), 16);
      const { payload, gsoSize: segLen, tos, udpPort } = one;
      if (udpPort !== PORT) throw new Error(`to port ${udpPort}`);
      return this.receive(to, { address: underlayOf(from), payload, segLen, tos, wireguard: { port: PORT } });
    });
  }

  /** A packet that host 1 seals for host 2 comes to it. */
  relay(packet: Buffer, tos = 0): Delivered[] {
    const payload = sealed(this.hosts[0].out.get(2) as Direction, this.#counter++, packet);
    return this.receive(2, { address: underlayOf(1), payload, tos, wireguard: { port: PORT } });
  }

  /** Packets that hosts 1 and 3 seal for host 2 come to it in one batch. @returns what it sends and delivers */
  batch(packets: readonly { readonly from: 1 | 3; readonly packet: Buffer }[]): Sent[] {
    const datagrams = packets.map(({ from, packet }) => ({
      address: underlayOf(from),
      payload: sealed(this.hosts[from - 1]?.out.get(2) as Direction, this.#counter++, packet),
      wireguard: { port: PORT },
    }));
    return this.hosts[1].ingress(datagrams);
  }

  /** What is inside a message that host `from` has sealed for host `to`, padding included. */
  opened(from: number, to: number, message: Buffer): Buffer {
    return opened(this.hosts[from - 1]?.out.get(to) as Direction, message).plain;
  }

  isLawful(t: Test): void {
    for (const host of this.hosts) {
      t.same([host.missing("egress"), host.missing("ingress")], [0, 0], `the law holds on host ${host.n}`);
    }
  }
}
