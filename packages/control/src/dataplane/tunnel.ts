/**
 * WireGuard inside a Dataplane: joins the engine (handshakes, timers) with the workers (keys and peers in the shared memory, events,
 * handshake messages) and the sockets.
 */
import { randomBytes } from "node:crypto";
import { type Block, clearPeerTimes, KeySlots, type PeerEvent, Punts, readPeerTimes } from "@weft/dataplane-wasm";
import { Engine } from "../wireguard/engine.js";
import { cookieSeal } from "../wireguard/noise/cookie-seal.js";
import { type CookieSeal, mac1Key } from "../wireguard/noise/macs.js";
import type { Endpoint, EngineEvent } from "../wireguard/surroundings.js";
import { type Address, parseAddress } from "./address.js";
import { AllowedIps } from "./allowed-ips.js";
import { type Core, closedError } from "./core.js";
import { endpointOf, endpointText, isGone } from "./endpoint.js";
import { Problems } from "./invalid.js";
import { TunnelDevice } from "./tunnel-device.js";
import { Keylog } from "./tunnel-keylog.js";
import { meshPeer, roomForRelay, TunnelMesh } from "./tunnel-mesh.js";
import { peerInfos, wireguardCounters } from "./tunnel-report.js";
import type { PeerChange, PeerInfo, PeerSpec, WireguardCounters, WireguardInfo } from "./types.js";
import { type CheckedPeer, type CheckedWireguard, checkPeers } from "./wireguard-check.js";
import type { WireguardSockets } from "./wireguard-sockets.js";

/** Octets that WireGuard adds to a packet: outer IP and UDP, head, tag (WireGuard paper §5.4.6). */
export const TUNNEL_OVERHEAD = { 4: 60, 6: 80 } as const;
/** Milliseconds between two looks at the timers. */
const TICK_MS = 200;
/** Handshakes begun at a time for peers that nothing is sent to yet: each takes the main thread some two milliseconds. */
const STARTS_PER_TICK = 32;
/** Ticks between two looks at the addresses of ours that peers are sent to from. */
const LOCALS_EVERY = 5;

interface Peer {
  readonly index: number;
  spec: CheckedPeer;
  endpoint: Endpoint | undefined;
  /** Counters of the index when the peer took it. */
  readonly before: Block;
}
/** What the tunnel is told of the data plane around it. */
export interface TunnelSurroundings {
  /** The clock of the workers. */
  nowMs(): number;
  /** Handles what the workers have told so far. */
  drainEvents(): void;
}

export class Tunnel {
  readonly #core: Core;
  readonly #spec: CheckedWireguard;
  readonly #slots: KeySlots;
  readonly #punts: Punts;
  readonly #engine: Engine;
  readonly #peers = new Map<string, Peer>();
  readonly #byIndex = new Map<number, Peer>();
  readonly #allowed = new AllowedIps();
  /** What list was given last, by public key. */
  #given: ReadonlyMap<string, PeerSpec>;
  /** What only a mesh does. */
  readonly mesh: TunnelMesh | undefined;
  readonly sockets: WireguardSockets;
  #device: TunnelDevice | undefined;
  readonly #drainEvents: () => void;
  readonly #keylog: Keylog | undefined;
  /** Peers to begin sessions with. */
  readonly #starting = new Set<number>();
  /** Changes of peers, one after another. */
  #queue: Promise<unknown> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #ticks = 0;

  private constructor(
    core: Core,
    spec: CheckedWireguard,
    sockets: WireguardSockets,
    box: CookieSeal,
    { nowMs, drainEvents }: TunnelSurroundings,
  ) {
    this.#core = core;
    this.#spec = spec;
    this.#drainEvents = drainEvents;
    this.#keylog = spec.keylog === undefined ? undefined : new Keylog(spec.keylog);
    this.sockets = sockets;
    this.mesh = spec.mesh && this.#openMesh(spec.mesh.probePort, nowMs);
    this.#given = new Map(spec.given.map((peer) => [peer.publicKey, peer]));
    this.#slots = new KeySlots(core.memory);
    this.#punts = new Punts(core.memory);
    const { tables } = core;
    this.#engine = new Engine(spec.privateKey, {
      box,
      nowMs,
      wallMs: () => Date.now(),
      random: (octets) => randomBytes(octets),
      send: (datagram, to, peer) => (this.mesh ? this.mesh.send(datagram, to, peer) : this.#send(datagram, to)),
      isRelayed: (peer) => this.mesh?.isRelayed(peer) ?? false,
      live: (peer) => readPeerTimes(core.memory, peer),
      setEndpoint: (peer, endpoint) => this.#setEndpoint(peer, endpoint),
      setCookieSecret: (secret) => {
        tables.tunnel.setCookieSecret(secret);
        void tables.publish();
      },
      emit: (event) => this.#tell(event),
      keys: {
        reserve: (peer) => this.#slots.reserve(peer, sockets.workerOf(peer)),
        install: (slot, keys, remote) => this.#slots.install(slot, keys, remote, nowMs()),
        setSendSlot: (peer, slot) => {
          tables.tunnel.setSendSlot(peer, slot);
          void tables.publish();
        },
        retire: (slot) => {
          this.#slots.retire(slot);
          // Once every worker has begun another turn, none can still be at it.
          void tables.publish().then(() => this.#slots.wipe(slot));
        },
        takeCounter: (slot) => this.#slots.takeCounter(slot),
      },
      ...(this.#keylog ? { keylog: (lines) => this.#keylog?.append(lines) } : {}),
    });
  }

  /** Writes the tables and hands out the sockets; the workers run already. @throws the system error; all is closed then */
  static async start(
    core: Core,
    spec: CheckedWireguard,
    sockets: WireguardSockets,
    around: TunnelSurroundings,
  ): Promise<Tunnel> {
    const { options, tables, hosts } = core;
    let tunnel: Tunnel | undefined;
    try {
      const box = await cookieSeal();
      tables.tunnel.start({
        vxlanPort: options.vxlanPort,
        listenPort: spec.listenPort,
        addresses: spec.address,
        mac1Key: mac1Key(Buffer.from(spec.publicKey, "base64")),
        rekeyAfter: BigInt(spec.rekeyAfterMessages),
        probePort: spec.mesh?.probePort,
      });
      tunnel = new Tunnel(core, spec, sockets, box, around);
      await tables.publish();
      for (const host of hosts) for (const order of sockets.ordersFor(host.worker)) await host.send(order);
      if (spec.device !== undefined) {
        tunnel.#device = await TunnelDevice.open(core, spec.device, spec.address, tunnel.mtu);
      }
      await tunnel.#setPeers(spec.peers);
      const started = tunnel;
      tunnel.#timer = setInterval(() => started.#tick(), TICK_MS).unref();
      return tunnel;
    } catch (error) {
      if (tunnel) await tunnel.close();
      else sockets.close();
      throw error;
    }
  }

  /** Octets of the longest packet inside the tunnel, over whichever underlay. */
  get mtu(): number {
    const direct = Math.min(...this.#core.underlay.map(({ family, mtu }) => mtu - TUNNEL_OVERHEAD[family]));
    return this.mesh ? roomForRelay(direct) : direct;
  }
  get addresses(): readonly Address[] {
    return this.#spec.address;
  }
  /** Index of the peer whose allowedIps cover an address inside the tunnel longest. */
  peerOf(address: Address): number | undefined {
    return this.#allowed.peerOf(address);
  }
  /** Puts a list of peers in place of the present one. One list after another. @throws InvalidInput, nothing changed */
  setPeers(list: readonly PeerSpec[]): Promise<void> {
    return this.#replace(() => list);
  }
  /** Adds, replaces and removes single peers. @throws InvalidInput, nothing changed */
  changePeers({ set = [], remove = [] }: PeerChange): Promise<void> {
    return this.#replace(() => {
      const list = new Map(this.#given);
      for (const publicKey of remove) list.delete(publicKey);
      for (const peer of set) list.set(peer.publicKey, peer);
      return [...list.values()];
    });
  }
  #replace(list: () => readonly PeerSpec[]): Promise<void> {
    const run = this.#queue.then(async () => {
      if (this.#core.closed) throw closedError();
      const given = list();
      const checked = this.#check(given);
      this.#given = new Map(given.map((peer) => [peer.publicKey, peer]));
      await this.#setPeers(checked);
    });
    this.#queue = run.catch(() => undefined);
    return run;
  }

  #openMesh(probePort: number, nowMs: () => number): TunnelMesh {
    return new TunnelMesh({
      core: this.#core,
      engine: () => this.#engine,
      send: (datagram, to) => this.#send(datagram, to),
      peer: (index) => [this.#byIndex.get(index)].flatMap((peer) => peer ?? []).map(meshPeer)[0],
      peers: () => [...this.#peers.values()].map(meshPeer),
      indexOf: (publicKey) => (typeof publicKey === "string" ? this.#peers.get(publicKey)?.index : undefined),
      underlayMtu: (endpoint) => this.#underlayMtu(endpoint && parseAddress(endpoint.address)?.family),
      setEndpoint: (index, endpoint) => {
        const peer = this.#byIndex.get(index);
        if (peer) this.#engine.changePeer(index, { ...this.#config(peer.spec), endpoint });
      },
      own: this.#spec.address.find(({ family }) => family === 6)?.key,
      listenPort: this.#spec.listenPort,
      probePort,
      nowMs,
    });
  }

  #check(list: readonly PeerSpec[]): CheckedPeer[] {
    const problems = new Problems("peers");
    const { publicKey: ownKey, peersMax } = this.#spec;
    const families = this.#core.options.underlay.map((u) => u.family);
    const checked = checkPeers(list, "peers", { ownKey, peersMax, families }, problems);
    problems.throwIfAny();
    return checked;
  }

  async #setPeers(wanted: readonly CheckedPeer[]): Promise<void> {
    const { tables, memory } = this.#core;
    const staying = new Set(wanted.map((w) => w.publicKey));
    const leaving = [...this.#peers.values()].filter((p) => !staying.has(p.spec.publicKey));
    for (const { index, spec } of leaving) {
      this.mesh?.forget(index);
      this.#engine.removePeer(index);
      tables.tunnel.removePeer(index);
      this.#peers.delete(spec.publicKey);
    }
    // First all that go, then all that come: a prefix may change its owner.
    for (const { index } of this.#peers.values()) tables.tunnel.setAllowed(index, []);
    for (const spec of wanted) {
      const old = this.#peers.get(spec.publicKey);
      if (old) this.#change(old, spec);
      const { index } = old ?? this.#add(spec);
      tables.tunnel.setAllowed(index, spec.allowedIps);
      this.mesh?.write(index);
    }
    this.mesh?.writeLeastMtu();
    this.#allowed.replace([...this.#peers.values()].map(({ index, spec }) => ({ index, prefixes: spec.allowedIps })));
    this.#pointVteps();
    await tables.publish();
    // What workers have told of the indexes is about those that leave, not about their next users.
    this.#drainEvents();
    for (const { index } of leaving) {
      this.#byIndex.delete(index);
      clearPeerTimes(memory, index);
      tables.tunnel.releasePeer(index);
    }
    if (this.#core.closed) return;
    this.startSessions();
    this.#device?.setRoutes(wanted.flatMap((p) => p.allowedIps));
  }

  #add(spec: CheckedPeer): Peer {
    const { tables, reader } = this.#core;
    // There is room: for two lists of peersMax, that which goes and that which comes.
    const index = tables.tunnel.addPeer() as number;
    const endpoint = spec.endpoint && { address: spec.endpoint.text, port: spec.endpoint.port };
    const peer: Peer = { index, spec, endpoint, before: reader.block("PEER_COUNTERS", index) };
    this.#peers.set(spec.publicKey, peer);
    this.#byIndex.set(index, peer);
    this.#setEndpoint(index, endpoint);
    this.#engine.addPeer(index, this.#config(spec));
    return peer;
  }

  #change(peer: Peer, spec: CheckedPeer): void {
    const moved = spec.endpoint && spec.endpoint.text !== peer.spec.endpoint?.text;
    const reported = spec.endpoint && spec.endpoint.port !== peer.spec.endpoint?.port;
    peer.spec = spec;
    // What the list says of an endpoint counts when it has changed: else where the peer has roamed to.
    const { endpoint: _, ...rest } = this.#config(spec);
    this.#engine.changePeer(peer.index, moved || reported ? this.#config(spec) : rest);
  }

  #config(spec: CheckedPeer) {
    return {
      publicKey: spec.key,
      preshared: spec.presharedKey,
      endpoint: spec.endpoint && { address: spec.endpoint.text, port: spec.endpoint.port },
      persistentKeepalive: spec.persistentKeepalive,
    };
  }

  /** Points the VTEPs inside the tunnel at the peers that cover them now. One that no peer covers gets nothing. */
  #pointVteps(): void {
    const { networks, tables } = this.#core;
    for (const network of networks.values()) {
      for (const { entry, index } of network.vteps.values()) {
        if (entry.isTunnel) tables.setVtepPeer(index, this.peerOf(entry));
      }
    }
  }

  /** Begins sessions with the peers that networks have VTEPs behind: their first frame need not wait for one. */
  startSessions(): void {
    // In a mesh there may be many more peers than are ever talked to.
    if (this.mesh) return;
    for (const network of this.#core.networks.values()) {
      for (const { entry } of network.vteps.values()) {
        const peer = entry.isTunnel ? this.peerOf(entry) : undefined;
        if (peer !== undefined) this.#starting.add(peer);
      }
    }
    this.#startSome();
  }

  #startSome(): void {
    if (this.#starting.size === 0) return;
    const sessions = new Map(this.#engine.counters().peers.map((p) => [p.peer, p.session]));
    let left = STARTS_PER_TICK;
    for (const peer of this.#starting) {
      if (left === 0) return;
      this.#starting.delete(peer);
      // Gone meanwhile, or at it already, or nobody knows where it is.
      if (sessions.get(peer) !== "none" || this.#byIndex.get(peer)?.endpoint === undefined) continue;
      this.#engine.noSession(peer);
      left--;
    }
  }

  #setEndpoint(index: number, endpoint: Endpoint | undefined): void {
    const { tables } = this.#core;
    const address = endpoint && parseAddress(endpoint.address);
    const local = endpoint?.local === undefined ? undefined : parseAddress(endpoint.local)?.key;
    const peer = this.#byIndex.get(index);
    if (peer) peer.endpoint = endpoint;
    const family = address?.family ?? 4;
    const row = address && endpoint && { family, key: address.key, port: endpoint.port, local };
    tables.tunnel.setEndpoint(index, row);
    if (!this.mesh) tables.tunnel.setPath(index, undefined, this.#underlayMtu(family));
    this.mesh?.write(index);
    void tables.publish();
  }

  /** Octets of the longest packet inside a session over the underlay of a family. */
  #underlayMtu(family: 4 | 6 = 4): number {
    return (this.#core.underlay.find((u) => u.family === family)?.mtu ?? 1500) - TUNNEL_OVERHEAD[family];
  }

  #send(datagram: Buffer, to: Endpoint): boolean {
    try {
      this.sockets.send(datagram, to.address, to.port, to.local);
      return true;
    } catch {
      // Unreachable now: the timers try again, and status shows no handshake.
      return false;
    }
  }

  #tell(event: EngineEvent): void {
    if (event.type === "stranger") {
      const { publicKey, from } = event;
      this.#core.emit({ type: "stranger", publicKey, endpoint: endpointText(from) });
      return;
    }
    const peer = this.#byIndex.get(event.peer)?.spec.publicKey;
    if (peer === undefined) return;
    if (event.type === "handshake") {
      this.#core.emit({ type: "handshake", peer, role: event.role });
      // The keys are in place when this turn is over.
      queueMicrotask(() => {
        this.mesh?.watchSessions(event.peer);
        this.mesh?.established(event.peer);
      });
    } else if (event.type === "unreachable") this.#core.emit({ type: "unreachable", peer });
    else this.#core.emit({ type: "roamed", peer, endpoint: endpointText(event.endpoint) });
  }

  /** From here on a worker that has something calls again. Before its events and messages are taken. */
  takeAttention(): void {
    this.#punts.takeAttention();
  }
  /** Takes the handshake messages that wait. After the events, which may be about keys that those replace. */
  takePunts(): void {
    for (const punt of this.#punts.take()) {
      if (punt.probe) this.mesh?.probed(punt);
      else this.#engine.punted(punt.message, endpointOf(punt), punt.isLoad);
    }
  }

  handle(event: PeerEvent): void {
    if (event.kind === "no_session") {
      this.#engine.noSession(event.peer);
      this.mesh?.watchSessions(event.peer);
    } else if (event.kind === "roamed") this.#engine.roamed(event.peer, endpointOf(event));
    else if (!this.#slots.has(event.slot, event.receiver)) return;
    else if (event.kind === "key_used") this.#engine.keyUsed(event.slot);
    else this.#engine.keyWorn(event.slot);
  }

  #tick(): void {
    if (++this.#ticks % LOCALS_EVERY === 0) this.#forgetLostLocals();
    this.#engine.tick();
    this.#startSome();
    this.mesh?.watchSessions();
  }

  /** An address of ours that is gone cannot be sent from: the kernel chooses another one, and the peer follows. */
  #forgetLostLocals(): void {
    const { link } = this.#core;
    const lost = new Map<string, boolean>();
    for (const { index, endpoint } of this.#peers.values()) {
      const local = endpoint?.local;
      if (local === undefined) continue;
      if (!lost.has(local)) lost.set(local, isGone(link, local));
      if (lost.get(local)) this.#engine.localGone(index);
    }
  }

  info(): WireguardInfo {
    const { publicKey, listenPort, address } = this.#spec;
    return {
      publicKey,
      listenPort,
      address: address.map((a) => a.text),
      device: this.#device?.isGone === false ? this.#device.name : null,
      mtu: this.mtu,
      keylog: this.#keylog?.path ?? null,
      peers: this.#peerInfos(),
    };
  }

  counters(): WireguardCounters {
    return wireguardCounters(this.#engine.counters(), this.#peerInfos());
  }
  #peerInfos(): PeerInfo[] {
    return peerInfos(this.#core, this.#engine.counters(), (index) => this.#byIndex.get(index));
  }

  /** Ports that answer no more: our device may be among them. */
  gone(ports: readonly number[]): void {
    if (this.#device && ports.includes(this.#device.index)) this.#device.isGone = true;
  }

  /** Removes the device and wipes every key. Workers may still run; the sockets are closed last. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#queue;
    await this.#device?.close();
    this.#engine.close();
    await this.#core.tables.publish();
    this.sockets.close();
  }
}
