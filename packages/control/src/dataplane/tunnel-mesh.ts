/**
 * What WireGuard does for a mesh: peers that are reached through others, probes, and who is doing what. Which way is taken is decided
 * elsewhere; here it is put into force.
 */
import { type Punt, readPeerTimes } from "@weft/dataplane-wasm";
import type { Engine } from "../wireguard/engine.js";
import type { Endpoint } from "../wireguard/surroundings.js";
import { type Address, formatAddress } from "./address.js";
import type { Core } from "./core.js";
import { endpointOf, endpointText } from "./endpoint.js";
import { checkPaths, checkProbe, MTU_MIN } from "./paths-check.js";
import { packetOf } from "./tunnel-message.js";
import type { PathSpec, PeerActivity, ProbeSpec, SessionState } from "./types.js";
import type { CheckedPeer } from "./wireguard-check.js";

/** A peer as far as its way matters. */
export interface MeshPeer {
  readonly index: number;
  readonly publicKey: string;
  readonly endpoint: Endpoint | undefined;
  /** Its first IPv6 address inside the tunnel; undefined: it cannot be reached through others. */
  readonly tunnelKey: Address["key"] | undefined;
}

export interface MeshOptions {
  readonly core: Core;
  readonly engine: () => Pick<Engine, "seal" | "wasSent" | "noSession" | "rerouted" | "sessionOf">;
  /** Sends one datagram over the underlay. */
  readonly send: (datagram: Buffer, to: Endpoint) => boolean;
  readonly peer: (index: number) => MeshPeer | undefined;
  readonly peers: () => Iterable<MeshPeer>;
  readonly indexOf: (publicKey: unknown) => number | undefined;
  /** Octets of the longest packet inside a session over the underlay to this endpoint. */
  readonly underlayMtu: (endpoint: Endpoint | undefined) => number;
  readonly setEndpoint: (index: number, endpoint: Endpoint) => void;
  /** Our own IPv6 address inside the tunnel. */
  readonly own: Address["key"] | undefined;
  readonly listenPort: number;
  readonly probePort: number;
  readonly nowMs: () => number;
}

/** @param spec as it was checked */
export function meshPeer({
  index,
  spec,
  endpoint,
}: {
  readonly index: number;
  readonly spec: CheckedPeer;
  readonly endpoint: Endpoint | undefined;
}): MeshPeer {
  const six = spec.allowedIps.find(({ family, length }) => family === 6 && length === 128);
  return { index, publicKey: spec.publicKey, endpoint, tunnelKey: six?.key };
}

/** What a relay adds again: IPv6, UDP, head, tag. */
const RELAY_OVERHEAD = 80;
/** A packet inside the session that holds a frame with 1280 octets of IPv6: with IPv6, UDP, VXLAN and Ethernet. */
const IPV6_ROOM = 1280 + 70;

/** Octets of a packet inside a session that passes over one relay too, but never less than IPv6 inside needs. */
export function roomForRelay(direct: number): number {
  return Math.max(direct - RELAY_OVERHEAD, Math.min(direct, IPV6_ROOM));
}

interface Way {
  via: number | undefined;
  /** What setPaths said. */
  mtu: number | undefined;
}

export class TunnelMesh {
  readonly #options: MeshOptions;
  readonly #ways = new Map<number, Way>();
  readonly #sessions = new Map<number, SessionState>();

  constructor(options: MeshOptions) {
    this.#options = options;
  }

  /** Octets of the longest packet inside the session with a peer. Through a relay whose path nobody has measured: with room for it. */
  #mtuOf(index: number): number {
    const { peer, underlayMtu } = this.#options;
    const { via, mtu } = this.#ways.get(index) ?? {};
    if (mtu !== undefined) return mtu;
    if (via === undefined) return underlayMtu(peer(index)?.endpoint);
    const toRelay = this.#ways.get(via)?.mtu ?? underlayMtu(peer(via)?.endpoint);
    return Math.max(MTU_MIN, toRelay - RELAY_OVERHEAD);
  }

  /** Data for the peer is handed to another one. */
  isRelayed(index: number): boolean {
    return this.#ways.get(index)?.via !== undefined;
  }

  /** The peer is there, or has another endpoint or address: its way goes into the tables. */
  write(index: number): void {
    const { core, peer } = this.#options;
    const { tunnel } = core.tables;
    const { tunnelKey } = peer(index) ?? {};
    if (tunnelKey) tunnel.setTunnelAddress(index, tunnelKey);
    tunnel.setPath(index, this.#ways.get(index)?.via, this.#mtuOf(index));
  }

  /** A peer goes; ways through it are direct ones until somebody says otherwise. */
  forget(index: number): void {
    this.#ways.delete(index);
    this.#sessions.delete(index);
    for (const [other, way] of this.#ways) {
      if (way.via !== index) continue;
      way.via = undefined;
      this.write(other);
    }
  }

  /** The narrowest path is what super-frames may have to be cut for. */
  writeLeastMtu(): void {
    const { core, peers } = this.#options;
    let least = Number.POSITIVE_INFINITY;
    for (const { index } of peers()) least = Math.min(least, this.#mtuOf(index));
    core.tables.tunnel.setLeastMtu(Number.isFinite(least) ? least : 0);
  }

  /** @throws InvalidInput, nothing changed */
  async setPaths(list: readonly PathSpec[]): Promise<void> {
    const { core, engine, indexOf, setEndpoint } = this.#options;
    const families = core.options.underlay.map((u) => u.family);
    const checked = checkPaths(list, indexOf, families);
    const rerouted: number[] = [];
    for (const { index, via, mtu, endpoint } of checked) {
      const before = this.#ways.get(index);
      this.#ways.set(index, { via, mtu });
      if (endpoint) setEndpoint(index, { address: endpoint.text, port: endpoint.port });
      if (before?.via !== via || endpoint) rerouted.push(index);
    }
    // Now that all are known: a path through a relay depends on that to the relay.
    for (const { index } of checked) this.write(index);
    this.writeLeastMtu();
    const published = core.tables.publish();
    for (const index of rerouted) engine().rerouted(index);
    await published;
  }

  /**
   * Sends a handshake message or keepalive: the way it came, or the way that data for the peer takes.
   * @returns false when it is as good as lost
   */
  send(datagram: Buffer, to: Endpoint, index: number | undefined): boolean {
    const { send, peer } = this.#options;
    const via = to.via ?? (index === undefined ? undefined : this.#ways.get(index)?.via);
    if (via === undefined) return send(datagram, to);
    const far = to.via === undefined && index !== undefined ? peer(index)?.tunnelKey : this.#keyAt(to.address);
    return far !== undefined && this.#relay(datagram, far, via);
  }

  #keyAt(address: string): Address["key"] | undefined {
    for (const { tunnelKey } of this.#options.peers())
      if (tunnelKey && formatAddress(tunnelKey) === address) return tunnelKey;
    return undefined;
  }

  /** Puts a message into a packet for the peer at `far`, in the session with the one that hands it on. */
  #relay(message: Buffer, far: Address["key"], via: number): boolean {
    const { engine, own, listenPort, peer } = this.#options;
    const next = peer(via);
    if (!own || !next) return false;
    // Not filled up: the message is as long as it has to be, and so is what carries it.
    const packetBytes = 48 + message.length;
    const packet = packetOf({ from: own, to: far, port: listenPort, payload: message, packetBytes });
    const sealed = engine().seal(via, packet);
    if (!sealed) engine().noSession(via);
    return sealed !== undefined && this.#sendTo(next, sealed);
  }

  /** Sends what was sealed for a peer to that peer, and counts it as the workers do theirs. */
  #sendTo({ index, endpoint }: MeshPeer, sealed: Buffer): boolean {
    if (endpoint === undefined || !this.#options.send(sealed, endpoint)) return false;
    this.#options.engine().wasSent(index, sealed.length);
    return true;
  }

  /** @returns false when there is no session for it, or it cannot be sent now @throws InvalidInput */
  sendProbe(spec: ProbeSpec): boolean {
    const { engine, own, peer, probePort, indexOf } = this.#options;
    const { index, via } = checkProbe(spec, indexOf);
    const to = peer(index);
    if (!own || !to?.tunnelKey) return false;
    const { payload, packetBytes } = spec;
    const sealed = engine().seal(
      index,
      packetOf({ from: own, to: to.tunnelKey, port: probePort, payload, packetBytes }),
    );
    if (!sealed) {
      engine().noSession(index);
      return false;
    }
    if (via === undefined) return this.#sendTo(to, sealed);
    if (!this.#relay(sealed, to.tunnelKey, via)) return false;
    engine().wasSent(index, sealed.length);
    return true;
  }

  /** A probe that a worker has opened. */
  probed(punt: Punt): void {
    const { core, peer } = this.#options;
    const from = punt.probe && peer(punt.probe.peer);
    const via = punt.via === undefined ? null : (peer(punt.via)?.publicKey ?? null);
    if (!punt.probe || !from || (punt.via !== undefined && via === null)) return;
    core.emit({
      type: "probe",
      peer: from.publicKey,
      via,
      endpoint: via === null ? endpointText(endpointOf(punt)) : null,
      payload: punt.message,
      packetBytes: punt.probe.packetBytes,
    });
  }

  /** There is a session with a peer: handshakes that go through it need wait no longer. */
  established(index: number): void {
    for (const [other, { via }] of this.#ways) if (via === index) this.#options.engine().rerouted(other);
  }

  /** Tells of sessions whose state has changed since the last look. */
  watchSessions(only?: number): void {
    const { core, engine, peers } = this.#options;
    for (const { index, publicKey } of peers()) {
      if (only !== undefined && index !== only) continue;
      const session = engine().sessionOf(index);
      if ((this.#sessions.get(index) ?? "none") === session) continue;
      this.#sessions.set(index, session);
      core.emit({ type: "session", peer: publicKey, session });
    }
  }

  activity(): PeerActivity[] {
    const { core, engine, peers, nowMs } = this.#options;
    const now = nowMs();
    const ago = (ms: number): number | null => (ms === 0 ? null : Math.max(0, (now - ms) | 0));
    return [...peers()].map(({ index, publicKey }) => {
      const { sentDataMs, receivedDataMs } = readPeerTimes(core.memory, index);
      return {
        publicKey,
        session: engine().sessionOf(index),
        sentAgoMs: ago(sentDataMs),
        receivedAgoMs: ago(receivedDataMs),
      };
    });
  }
}
