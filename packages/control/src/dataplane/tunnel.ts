/**
 * WireGuard inside a Dataplane: joins the engine (handshakes, timers) with the workers (keys and peers in the shared memory, events,
 * handshake messages) and the sockets.
 */
import { randomBytes } from "node:crypto";
import { appendFileSync, chmodSync, closeSync, openSync } from "node:fs";
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
import type { PeerInfo, PeerSpec, Traffic, WireguardCounters, WireguardInfo } from "./types.js";
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
  readonly sockets: WireguardSockets;
  #device: TunnelDevice | undefined;
  readonly #drainEvents: () => void;
  #keylog: string | null;
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
    this.#keylog = spec.keylog ?? null;
    this.sockets = sockets;
    this.#slots = new KeySlots(core.memory);
    this.#punts = new Punts(core.memory);
    const { tables } = core;
    this.#engine = new Engine(spec.privateKey, {
      box,
      nowMs,
      wallMs: () => Date.now(),
      random: (octets) => randomBytes(octets),
      send: (datagram, to) => this.#send(datagram, to),
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
      ...(spec.keylog === undefined ? {} : { keylog: this.#keylogTo(spec.keylog) }),
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
    return Math.min(...this.#core.underlay.map(({ family, mtu }) => mtu - TUNNEL_OVERHEAD[family]));
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
    const run = this.#queue.then(() => {
      if (this.#core.closed) throw closedError();
      return this.#setPeers(this.#check(list));
    });
    this.#queue = run.catch(() => undefined);
    return run;
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
    }
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
    const { tables, underlay } = this.#core;
    const address = endpoint && parseAddress(endpoint.address);
    const local = endpoint?.local === undefined ? undefined : parseAddress(endpoint.local)?.key;
    const peer = this.#byIndex.get(index);
    if (peer) peer.endpoint = endpoint;
    const family = address?.family ?? 4;
    const mtu = underlay.find((u) => u.family === family)?.mtu ?? 1500;
    const row = address && endpoint && { family, key: address.key, port: endpoint.port, local };
    tables.tunnel.setEndpoint(index, row, mtu - TUNNEL_OVERHEAD[family]);
    void tables.publish();
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
    if (event.type === "handshake") this.#core.emit({ type: "handshake", peer, role: event.role });
    else if (event.type === "unreachable") this.#core.emit({ type: "unreachable", peer });
    else this.#core.emit({ type: "roamed", peer, endpoint: endpointText(event.endpoint) });
  }

  /** From here on a worker that has something calls again. Before its events and messages are taken. */
  takeAttention(): void {
    this.#punts.takeAttention();
  }
  /** Takes the handshake messages that wait. After the events, which may be about keys that those replace. */
  takePunts(): void {
    for (const punt of this.#punts.take()) this.#engine.punted(punt.message, endpointOf(punt), punt.isLoad);
  }

  handle(event: PeerEvent): void {
    if (event.kind === "no_session") this.#engine.noSession(event.peer);
    else if (event.kind === "roamed") this.#engine.roamed(event.peer, endpointOf(event));
    else if (!this.#slots.has(event.slot, event.receiver)) return;
    else if (event.kind === "key_used") this.#engine.keyUsed(event.slot);
    else this.#engine.keyWorn(event.slot);
  }

  #tick(): void {
    if (++this.#ticks % LOCALS_EVERY === 0) this.#forgetLostLocals();
    this.#engine.tick();
    this.#startSome();
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
      keylog: this.#keylog,
      peers: this.#peerInfos(),
    };
  }

  counters(): WireguardCounters {
    const { handshakes, rekeys, refused, cookiesSent, cookiesReceived, keepalivesSent, roams } =
      this.#engine.counters();
    const peers = this.#peerInfos().map(({ publicKey, receive, transmit, lastHandshake, session }) => ({
      ...{ publicKey, receive, transmit, lastHandshake, session },
    }));
    return { handshakes, rekeys, refused, cookiesSent, cookiesReceived, keepalivesSent, roams, peers };
  }

  #peerInfos(): PeerInfo[] {
    const { reader } = this.#core;
    return this.#engine.counters().peers.flatMap(({ peer: index, receive, transmit, lastHandshake, session }) => {
      const peer = this.#byIndex.get(index);
      if (!peer) return [];
      const now = reader.block("PEER_COUNTERS", index);
      const data = (way: "rx" | "tx", more: Traffic): Traffic => ({
        packets: (now[`${way}Packets`] as number) - (peer.before[`${way}Packets`] as number) + more.packets,
        bytes: (now[`${way}Bytes`] as number) - (peer.before[`${way}Bytes`] as number) + more.bytes,
      });
      const { publicKey, allowedText, presharedKey, persistentKeepalive } = peer.spec;
      return {
        publicKey,
        endpoint: peer.endpoint ? endpointText(peer.endpoint) : null,
        allowedIps: allowedText,
        presharedKey: presharedKey !== undefined,
        persistentKeepalive,
        session,
        lastHandshake,
        receive: data("rx", receive),
        transmit: data("tx", transmit),
      };
    });
  }

  /** Ports that answer no more: our device may be among them. */
  gone(ports: readonly number[]): void {
    if (this.#device && ports.includes(this.#device.index)) this.#device.isGone = true;
  }

  /**
   * A file that can be written no more ends the log, not the tunnel: behind half a line the rest could not be read.
   * @throws the system error when the file cannot be made
   */
  #keylogTo(path: string): (lines: string) => void {
    closeSync(openSync(path, "a", 0o600));
    chmodSync(path, 0o600);
    return (lines) => {
      if (this.#keylog === null) return;
      try {
        appendFileSync(path, lines, { mode: 0o600 });
      } catch {
        this.#keylog = null;
      }
    };
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
