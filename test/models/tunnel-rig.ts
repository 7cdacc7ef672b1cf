/**
 * A Rig with a WireGuard interface: peers, session keys and tunnel addresses through the product's writers, and the plain twin that
 * opens and makes transport data with node:crypto.
 */
import { createCipheriv, createDecipheriv } from "node:crypto";
import { KeySlots, type MemorySizes } from "@weft/dataplane-wasm";
import { ENUM } from "@weft/dataplane-wasm/abi";
import type { Test } from "tap";
import { ipv4, ipv6, mac, PROTO, udp, vxlan } from "../frames/build.js";
import { addressKey, type Build, macKey, Rig, type Sent } from "./rig.js";

/** One direction of a session: what the twin needs to seal and open. */
export interface Direction {
  readonly key: Buffer;
  /** Receiver index in the messages. */
  readonly index: number;
}
export type Remote = Extract<Sent, { payload: Buffer }>;

const nonce = (counter: bigint): Buffer => {
  const out = Buffer.alloc(12);
  out.writeBigUInt64LE(counter, 4);
  return out;
};

/** Makes transport data of a packet: padded as WireGuard pads. */
export function sealed({ key, index }: Direction, counter: bigint, packet: Uint8Array, padding = true): Buffer {
  const plain = Buffer.alloc(padding ? Math.ceil(packet.length / 16) * 16 : packet.length);
  plain.set(packet);
  const cipher = createCipheriv("chacha20-poly1305", key, nonce(counter), { authTagLength: 16 });
  const head = Buffer.alloc(16);
  head.writeUInt32LE(4, 0);
  head.writeUInt32LE(index, 4);
  head.writeBigUInt64LE(counter, 8);
  return Buffer.concat([head, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** Opens transport data, padding included. Throws when the tag is wrong. */
export function opened({ key, index }: Direction, message: Buffer): { counter: bigint; plain: Buffer } {
  if (message.readUInt32LE(0) !== 4) throw new Error(`message of type ${message.readUInt32LE(0)}`);
  if (message.readUInt32LE(4) !== index) throw new Error(`receiver index ${message.readUInt32LE(4)}, not ${index}`);
  const counter = message.readBigUInt64LE(8);
  const decipher = createDecipheriv("chacha20-poly1305", key, nonce(counter), { authTagLength: 16 });
  decipher.setAuthTag(message.subarray(-16));
  return { counter, plain: Buffer.concat([decipher.update(message.subarray(16, -16)), decipher.final()]) };
}

export interface Session {
  readonly slot: number;
  /** What the switch seals. */
  readonly out: Direction;
  /** What it opens. */
  readonly in: Direction;
}

export class TunnelRig extends Rig {
  readonly slots: KeySlots;

  /** @param addresses own ones inside the tunnel */
  constructor(
    build: Build,
    addresses: readonly string[],
    sizes: Partial<MemorySizes> = {},
    rekeyAfter = 2n ** 60n,
    txMax?: number,
    seed = 1,
    probePort?: number,
  ) {
    super(build, { peersMax: 4, ...sizes }, txMax, seed);
    this.slots = new KeySlots(this.switchMemory);
    this.tables.tunnel.start({
      vxlanPort: 4789,
      listenPort: 51820,
      addresses: addresses.map((text) => ({ family: text.includes(":") ? 6 : 4, key: addressKey(text) })),
      mac1Key: Buffer.alloc(32, 0x11),
      rekeyAfter,
      probePort,
    });
    this.tables.tunnel.setCookieSecret(Buffer.alloc(32, 0x22));
  }

  /** A peer with prefixes and, unless null, an endpoint at port 51820. */
  peer(allowed: readonly string[], endpoint: string | null, mtu = 1440): number {
    const index = this.tables.tunnel.addPeer();
    if (index === undefined) throw new Error("no room for a peer");
    this.tables.tunnel.setAllowed(
      index,
      allowed.map((text) => {
        const [address = "", length] = text.split("/");
        return { family: address.includes(":") ? 6 : 4, key: addressKey(address), length: Number(length) };
      }),
    );
    const family = endpoint?.includes(":") ? 6 : 4;
    this.tables.tunnel.setEndpoint(
      index,
      endpoint === null ? undefined : { family, key: addressKey(endpoint), port: 51_820 },
    );
    this.tables.tunnel.setPath(index, undefined, mtu);
    return index;
  }
  /** Through whom a peer of one IPv6 address is reached, and how long packets may be on the way. */
  path(peer: number, via: number | undefined, mtu = 1440): void {
    this.tables.tunnel.setPath(peer, via, mtu);
  }
  /** Keys for a peer, which it seals with from the next commit() on. */
  keys(peer: number, salt: number, { worker = 0, bornMs = 0 } = {}): Session {
    const taken = this.slots.reserve(peer, worker);
    if (!taken) throw new Error("no free slot");
    const send = Buffer.alloc(32, salt);
    const receive = Buffer.alloc(32, salt + 1);
    const remote = 0x0100_0000 + salt;
    this.slots.install(taken.slot, { send, receive }, remote, bornMs);
    this.tables.tunnel.setSendSlot(peer, taken.slot);
    return { slot: taken.slot, out: { key: send, index: remote }, in: { key: receive, index: taken.local } };
  }
  tunnelVtep(network: number, address: string, peer: number | undefined): number {
    const family = address.includes(":") ? 6 : 4;
    const index = this.tables.addVtep({ network, address: addressKey(address), family, port: 4789, tunnel: { peer } });
    if (index === undefined) throw new Error("no room for a VTEP");
    return index;
  }
}

export interface HostOptions {
  readonly sizes?: Partial<MemorySizes>;
  /** Of the peer; null: not known. */
  readonly endpoint?: string | null;
  readonly txMax?: number;
  readonly rekeyAfter?: bigint;
  /** Further addresses of ours inside the tunnel. */
  readonly addresses?: readonly string[];
}

/** One container (mac 1), and mac 9 behind a VTEP inside the tunnel. */
export class TunnelHost extends TunnelRig {
  readonly self: string;
  readonly other: string;
  readonly net = this.network({ mtu: 1390, flags: ENUM.NETWORK.ENCRYPTED });
  readonly a = this.port(this.net, mac(1));
  readonly index: number;
  readonly vtepIndex: number;
  session: Session;

  private constructor(
    build: Build,
    self: string,
    other: string,
    { sizes = {}, endpoint = "192.0.2.2", txMax, rekeyAfter, addresses = [] }: HostOptions,
  ) {
    super(build, [self, ...addresses], sizes, rekeyAfter, txMax);
    this.features(64, 3);
    this.self = self;
    this.other = other;
    this.index = this.peer([`${other}/${other.includes(":") ? 128 : 32}`], endpoint);
    this.vtepIndex = this.tunnelVtep(this.net, other, this.index);
    const target = { kind: "vtep", index: this.vtepIndex } as const;
    this.tables.setRoute(this.net, { kind: "mac", length: 0, key: macKey(mac(9)) }, target, true);
    this.session = this.renew(7);
  }
  static async open(build: Build, is6 = false, given: HostOptions = {}): Promise<TunnelHost> {
    const h = is6
      ? new TunnelHost(build, "fd07::1", "fd07::2", given)
      : new TunnelHost(build, "10.7.0.1", "10.7.0.2", given);
    await h.commit();
    return h;
  }
  /** A session of the first peer; `session` stays what it is. */
  renew(salt: number, given: { worker?: number; bornMs?: number } = {}): Session {
    return this.keys(this.index, salt, given);
  }
  /** The TUN device of the tunnel addresses. @returns its port index */
  device(): number {
    const index = this.tables.reservePort();
    if (index === undefined) throw new Error("no room for a port");
    this.tables.addTunnelPort(index, 1440);
    return index;
  }
  send(...frames: { frame: Buffer; vnet?: object }[]): Remote[] {
    return this.egress(frames.map((f) => ({ port: this.a, ...f }))).filter((s): s is Remote => s.kind !== "port");
  }
  /** The VXLAN that a sent message carries; throws when anything about it is wrong. */
  inside(message: Buffer, tos = 0): { counter: bigint; payload: Buffer } {
    const { counter, plain } = opened(this.session.out, message);
    const is4 = this.other.includes(".");
    const total = is4 ? plain.readUInt16BE(2) : 40 + plain.readUInt16BE(4);
    const head = is4 ? 20 : 40;
    const port = plain.readUInt16BE(head);
    const payload = plain.subarray(head + 8, total);
    const transport = udp({ src: port, dst: 4789, payload });
    const flow = is4 ? 0 : plain.readUInt32BE(0) & 0xf_ffff;
    const common = { src: this.self, dst: this.other, protocol: PROTO.udp, payload: transport };
    const want = is4
      ? ipv4({ ...common, tos, id: 0, fragment: 0x4000, sum: "asis" })
      : ipv6({ ...common, trafficClass: tos, flow, sum: "full" });
    if (is4) want.writeUInt16BE(0, 26);
    if (!plain.subarray(0, total).equals(want))
      throw new Error(`inner headers ${plain.toString("hex", 0, 60)}, not ${want.toString("hex", 0, 60)}`);
    if (plain.subarray(total).some((octet) => octet !== 0)) throw new Error("padding that is not zero");
    if (port < 49_152) throw new Error(`source port ${port}`);
    return { counter, payload };
  }
  /** What the UDP datagram inside an IPv4 message carries, whatever its addresses. */
  payloadOf(message: Buffer): Buffer {
    const { plain } = opened(this.session.out, message);
    return plain.subarray(28, plain.readUInt16BE(2));
  }
  /** A frame of the other side as it arrives: VXLAN, UDP and IP around it, sealed. */
  arriving(frame: Uint8Array, counter: bigint, over: { src?: string; dst?: string; port?: number } = {}): Buffer {
    const payload = udp({ src: 50_000, dst: over.port ?? 4789, payload: vxlan(42, frame) });
    const { src = this.other, dst = this.self } = over;
    const packet = dst.includes(":")
      ? ipv6({ src, dst, protocol: PROTO.udp, payload, sum: "full" })
      : ipv4({ src, dst, protocol: PROTO.udp, payload, sum: "full" });
    return sealed(this.session.in, counter, packet);
  }
  receive(...payloads: readonly Buffer[]): Sent[] {
    return this.ingress(payloads.map((payload) => ({ address: "192.0.2.2", payload, wireguard: { port: 51_820 } })));
  }
  isLawful(t: Test): void {
    t.same([this.missing("egress"), this.missing("ingress")], [0, 0], "the law holds");
  }
}
