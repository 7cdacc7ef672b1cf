/**
 * Doubles around the paths: a network of hosts with a data plane and records each, on one virtual clock.
 *
 * The data plane double does what the paths see of the real one: sessions end to end, probes, relaying of sealed messages with a
 * hop limit, roaming, sizes. Records spread from host to host every 50 ms over whatever link works. Nothing is sealed: an attacker
 * is played by giving events to a host.
 */
import { EventEmitter } from "node:events";
import { InvalidInput } from "../../packages/control/src/dataplane/invalid.js";
import type {
  DataplaneEvent,
  PathSpec,
  PeerActivity,
  ProbeSpec,
  SessionState,
} from "../../packages/control/src/dataplane/types.js";
import type { Kind, LinksValue, NodeValue } from "../../packages/control/src/mesh/records.js";
import type { MeshEvent, NodeId } from "../../packages/control/src/mesh/types.js";
import { Paths, type PathsOptions } from "../../packages/control/src/paths/paths.js";
import { pick, randomOf } from "./random.js";

/** IPv4, UDP, WireGuard; and what a relayed message has around it inside the relay's session. */
const OUTER = 60;
const RELAYED = 32 + 48;
const HOPS = 8;
const NAT_MS = 30_000;

/** What a session carries. `bytes`: the packet inside. */
type Inside =
  | { readonly kind: "init" | "response" | "keepalive" }
  | { readonly kind: "probe"; readonly payload: Uint8Array }
  | { readonly kind: "data" };
interface Message {
  readonly from: Host;
  readonly to: Host;
  readonly inside: Inside;
  readonly bytes: number;
}

/** One direction between two hosts. */
export interface Way {
  isCut: boolean;
  delayMs: number;
  /** Of 1000. */
  loss: number;
  mtu: number;
}

export class Net {
  nowMs = 1_000;
  readonly random: () => number;
  readonly hosts: Host[] = [];
  readonly #events: { atMs: number; order: number; run: () => void }[] = [];
  #order = 0;
  readonly #ways = new Map<string, Way>();

  constructor(seed: number) {
    this.random = randomOf(seed);
    this.#every(100, () => {
      for (const host of this.hosts) if (host.isUp) host.tick();
    });
    this.#every(50, () => this.#gossip());
    this.#every(1_000, () => {
      for (const host of this.hosts)
        host.state({ control: this.hosts.filter((o) => o !== host && this.works(host, o)) });
    });
  }
  chance(of1000: number): boolean {
    return pick(this.random, 1000) < of1000;
  }
  host(options: { nat?: boolean; underlayMtu?: number } = {}): Host {
    const host = new Host(this, this.hosts.length + 1, options.nat ?? false, options.underlayMtu ?? 1500);
    this.hosts.push(host);
    return host;
  }
  /** Everybody knows everybody. */
  start(): void {
    for (const host of this.hosts) for (const other of this.hosts) host.learn(other);
    for (const host of this.hosts) host.begin();
    this.run(1_100);
  }
  way(from: Host, to: Host): Way {
    const key = `${from.number}>${to.number}`;
    let way = this.#ways.get(key);
    if (way === undefined) {
      way = { isCut: false, delayMs: 2, loss: 0, mtu: 1500 };
      this.#ways.set(key, way);
    }
    return way;
  }
  both(a: Host, b: Host, change: Partial<Way>): void {
    Object.assign(this.way(a, b), change);
    Object.assign(this.way(b, a), change);
  }
  works(a: Host, b: Host): boolean {
    return !this.way(a, b).isCut && !this.way(b, a).isCut;
  }
  after(ms: number, run: () => void): void {
    const event = { atMs: this.nowMs + ms, order: this.#order++, run };
    let at = this.#events.length;
    while (at > 0 && isLater(this.#events[at - 1]!, event)) at--;
    this.#events.splice(at, 0, event);
  }
  run(ms: number): void {
    const end = this.nowMs + ms;
    for (let next = this.#events[0]; next !== undefined && next.atMs <= end; next = this.#events[0]) {
      this.#events.shift();
      this.nowMs = next.atMs;
      next.run();
    }
    this.nowMs = end;
  }
  /** As run, but promises get their turn too: setPaths is in force at once, its promise is not. */
  async pass(ms: number): Promise<void> {
    for (const end = this.nowMs + ms; this.nowMs < end; ) {
      this.run(Math.min(50, end - this.nowMs));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  #every(ms: number, run: () => void): void {
    const again = (): void => {
      run();
      this.after(ms, again);
    };
    this.after(ms, again);
  }
  #gossip(): void {
    for (const a of this.hosts)
      for (const b of this.hosts) if (a !== b && this.works(a, b) && a.isUp && b.isUp) a.hearRecords(b);
  }
}

function isLater(a: { atMs: number; order: number }, b: { atMs: number; order: number }): boolean {
  return a.atMs !== b.atMs ? a.atMs > b.atMs : a.order > b.order;
}

interface Peer {
  readonly host: Host;
  endpoint: string;
  via: Host | null;
  mtu: number | null;
  session: SessionState;
  /** Handshake under way since, and when it is tried again. */
  retryMs: number;
  beganMs: number;
  sentMs: number | null;
  receivedMs: number | null;
}

export class Host {
  readonly net: Net;
  readonly number: number;
  readonly id: NodeId;
  readonly key: string;
  readonly inside: string;
  readonly seenAs: string;
  readonly underlayMtu: number;
  isUp = true;
  readonly peers = new Map<string, Peer>();
  paths!: Paths;
  /** Of data: by sender's number, when it last came. */
  readonly arrived = new Map<Host, number>();
  /** Longest time between two arrivals. */
  readonly gaps = new Map<Host, number>();
  published: LinksValue["data"] = [];
  outside: readonly string[] = [];
  readonly heard = new Map<NodeId, number>();
  /** Every probe event that the paths were given. */
  readonly probes: Extract<DataplaneEvent, { type: "probe" }>[] = [];
  readonly set: PathSpec[] = [];
  hopsExceeded = 0;
  readonly #emitter = new EventEmitter();
  readonly #listeners: ((event: MeshEvent) => void)[] = [];
  readonly #links = new Map<NodeId, { version: number; value: LinksValue }>();
  readonly #nodes = new Map<NodeId, NodeValue>();
  readonly #nat: Map<string, number> | null;
  #epochMs = 1_700_000_000_000;

  constructor(net: Net, number: number, nat: boolean, underlayMtu: number) {
    this.net = net;
    this.number = number;
    this.underlayMtu = underlayMtu;
    this.id = Buffer.alloc(32, number).toString("base64url");
    this.key = Buffer.alloc(32, 100 + number).toString("base64");
    this.inside = nat ? `192.168.${number}.2:51820` : `10.0.0.${number}:51820`;
    this.seenAs = nat ? `203.0.113.${number}:40000` : this.inside;
    this.#nat = nat ? new Map() : null;
    this.#links.set(this.id, { version: 1, value: { control: [], data: [] } });
  }

  learn(other: Host): void {
    this.#nodes.set(other.id, {
      name: `n${other.number}`,
      wireguard: other.key,
      control: [],
      endpoints: [other.inside],
      underlayMtu: other.underlayMtu,
      version: "0",
      capabilities: [],
      startedAt: 0,
    });
    if (other === this) return;
    const endpoint = other.inside;
    const none = {
      via: null,
      mtu: null,
      session: "none",
      retryMs: 0,
      beganMs: 0,
      sentMs: null,
      receivedMs: null,
    } as const;
    this.peers.set(other.key, { host: other, endpoint, ...none });
  }
  /** Other endpoints in this host's view of another's record. */
  announce(other: Host, endpoints: string[]): void {
    this.#nodes.set(other.id, { ...this.#nodes.get(other.id)!, endpoints });
    this.#tell("node");
  }
  begin(): void {
    this.#emitter.removeAllListeners();
    this.#listeners.length = 0;
    this.paths = new Paths(this.#options());
  }
  /** As after kill -9: keys are gone. */
  restart(): void {
    for (const peer of this.peers.values())
      Object.assign(peer, { via: null, mtu: null, session: "none", sentMs: null, endpoint: peer.host.seenAs });
    this.#epochMs += 10_000;
    this.begin();
  }
  tick(): void {
    const { nowMs } = this.net;
    for (const peer of this.peers.values()) {
      if (peer.session !== "handshake" || nowMs < peer.retryMs) continue;
      if (nowMs - peer.beganMs > 90_000) this.#session(peer, "none");
      else this.#initiate(peer);
    }
    this.paths.tick();
  }
  /** A packet of a container for a container of another host. */
  send(to: Host, bytes = 100): void {
    const peer = this.peers.get(to.key)!;
    peer.sentMs = this.net.nowMs;
    if (peer.session === "established") this.#out({ from: this, to, inside: { kind: "data" }, bytes }, peer.via, HOPS);
    else this.#open(peer);
  }
  /** Sends every 100 ms to them. */
  flow(to: readonly Host[]): void {
    this.net.after(100, () => {
      if (this.isUp) for (const host of to) this.send(host);
      this.flow(to);
    });
  }
  emit(event: DataplaneEvent): void {
    if (event.type === "probe") this.probes.push(event);
    this.#emitter.emit("event", event);
  }
  /** Changes the own `links` record. */
  state({ control, data }: { control?: Host[]; data?: LinksValue["data"] }): void {
    const { version, value } = this.#links.get(this.id)!;
    const next = { control: control?.map((o) => o.id) ?? value.control, data: data ?? value.data };
    if (JSON.stringify(next) === JSON.stringify(value)) return;
    this.#links.set(this.id, { version: version + 1, value: next });
    this.#tell("links");
  }
  hearRecords(from: Host): void {
    let isNew = false;
    for (const [node, record] of from.#links) {
      if (record.version <= (this.#links.get(node)?.version ?? 0)) continue;
      this.#links.set(node, record);
      isNew = true;
    }
    if (isNew) this.#tell("links");
  }
  info(of: Host): ReturnType<Paths["info"]>[number] {
    return this.paths.info().find(({ node }) => node === of.id)!;
  }

  #tell(kind: Kind): void {
    for (const listener of this.#listeners) listener({ type: "records", kinds: new Set([kind]), entries: [] });
  }
  #options(): PathsOptions {
    const members = (): unknown[] => [...this.#nodes].map(([id, node]) => ({ id, node, isAlive: true, aliveAt: 0 }));
    const records = {
      self: this.id,
      get: (node: NodeId, kind: Kind) => (kind === "links" ? this.#links.get(node)?.value : this.#nodes.get(node)),
      list: () =>
        [...this.#links].map(([node, { version, value }]) => ({ node, kind: "links", id: "", version, value })),
      members,
      isAlive: () => true,
      on: (listener: (event: MeshEvent) => void) => {
        this.#listeners.push(listener);
        return () => this.#listeners.splice(this.#listeners.indexOf(listener), 1);
      },
    };
    const dataplane = {
      info: { underlay: [{ address: "10.0.0.1", family: 4, interface: null, mtu: this.underlayMtu }] },
      sendProbe: (probe: ProbeSpec) => this.#sendProbe(probe),
      setPaths: (specs: readonly PathSpec[]) => this.#setPaths(specs),
      peerActivity: () => this.#activity(),
      on: (_: "event", listener: (event: DataplaneEvent) => void) => this.#emitter.on("event", listener),
      off: (_: "event", listener: (event: DataplaneEvent) => void) => this.#emitter.off("event", listener),
    };
    return {
      records: records as unknown as PathsOptions["records"],
      dataplane: dataplane as unknown as PathsOptions["dataplane"],
      nowMs: () => this.net.nowMs,
      epochMs: this.#epochMs,
      random: () => this.net.random() / 2 ** 32,
      publish: (data) => {
        this.published = data;
        this.state({ data });
      },
      heard: (node) => void this.heard.set(node, this.net.nowMs),
      outside: (endpoints) => {
        this.outside = endpoints;
      },
    };
  }
  #activity(): PeerActivity[] {
    const ago = (ms: number | null): number | null => (ms === null ? null : this.net.nowMs - ms);
    return [...this.peers].map(([publicKey, { session, sentMs, receivedMs }]) => ({
      publicKey,
      session,
      sentAgoMs: ago(sentMs),
      receivedAgoMs: ago(receivedMs),
    }));
  }
  async #setPaths(specs: readonly PathSpec[]): Promise<void> {
    for (const spec of specs) {
      const peer = this.peers.get(spec.publicKey);
      if (peer === undefined) throw new Error("no such peer");
      this.set.push(spec);
      const via = spec.via === null ? null : this.peers.get(spec.via)!.host;
      const isOther = via !== peer.via || (spec.endpoint !== undefined && spec.endpoint !== peer.endpoint);
      peer.via = via;
      peer.mtu = spec.mtu;
      if (spec.endpoint !== undefined) peer.endpoint = spec.endpoint;
      if (isOther && peer.session === "handshake") this.#initiate(peer);
    }
  }
  #sendProbe({ publicKey, via, payload, packetBytes }: ProbeSpec): boolean {
    const peer = this.peers.get(publicKey);
    if (!peer || via === publicKey || (via !== null && !this.peers.has(via))) throw new InvalidInput("sendProbe", []);
    if (peer.session !== "established") {
      this.#open(peer);
      return false;
    }
    const message = {
      from: this,
      to: peer.host,
      inside: { kind: "probe", payload },
      bytes: packetBytes ?? 48 + payload.length,
    };
    this.#out(message as Message, via === null ? null : this.peers.get(via)!.host, HOPS);
    return true;
  }
  #open(peer: Peer): void {
    if (peer.session !== "none") return;
    peer.beganMs = this.net.nowMs;
    this.#session(peer, "handshake");
    this.#initiate(peer);
  }
  #initiate(peer: Peer): void {
    peer.retryMs = this.net.nowMs + 5_000;
    this.#out({ from: this, to: peer.host, inside: { kind: "init" }, bytes: 100 }, peer.via, HOPS);
  }
  #session(peer: Peer, session: SessionState): void {
    if (peer.session === session) return;
    peer.session = session;
    this.emit({ type: "session", peer: peer.host.key, session });
  }

  /** Puts a sealed message on its way, or hands one on. */
  #out(message: Message, via: Host | null, hops: number): void {
    const next = via ?? message.to;
    const peer = this.peers.get(next.key);
    if (peer === undefined) return;
    if (via === null && message.from === this) {
      this.#datagram(peer, message.bytes + OUTER, (from) => next.#direct(message, this, from));
      return;
    }
    if (hops <= 0) {
      this.hopsExceeded++;
      return;
    }
    if (peer.session !== "established") {
      this.#open(peer);
      return;
    }
    peer.sentMs = this.net.nowMs;
    this.#datagram(peer, message.bytes + RELAYED + OUTER, (from) => next.#relayed(message, this, from, hops - 1));
  }
  #datagram(peer: Peer, bytes: number, deliver: (from: string) => void): void {
    const { net } = this;
    const target = net.hosts.find((host) => host.seenAs === peer.endpoint);
    this.#nat?.set(peer.endpoint, net.nowMs);
    if (target !== peer.host || !target.isUp) return;
    const way = net.way(this, target);
    if (way.isCut || bytes > way.mtu || net.chance(way.loss)) return;
    net.after(way.delayMs, () => {
      const open = target.#nat?.get(this.seenAs);
      if (target.#nat !== null && (open === undefined || net.nowMs - open > NAT_MS)) return;
      if (target.isUp) deliver(this.seenAs);
    });
  }
  #roam(host: Host, from: string): void {
    const peer = this.peers.get(host.key)!;
    if (peer.endpoint === from) return;
    peer.endpoint = from;
    this.emit({ type: "roamed", peer: host.key, endpoint: from });
  }
  #direct(message: Message, sender: Host, from: string): void {
    const isInit = message.inside.kind === "init";
    if (!isInit && !this.#hasKey(sender)) return;
    this.#roam(sender, from);
    this.#take(message, null, from);
  }
  #relayed(message: Message, sender: Host, from: string, hops: number): void {
    if (!this.#hasKey(sender)) return;
    this.#roam(sender, from);
    this.#established(this.peers.get(sender.key)!);
    if (message.to === this) this.#take(message, sender, null);
    else this.#out(message, this.peers.get(message.to.key)!.via, hops);
  }
  #hasKey(sender: Host): boolean {
    return sender.peers.get(this.key)!.session === "established" || this.peers.get(sender.key)!.session !== "none";
  }
  #established(peer: Peer): void {
    if (peer.session === "established") return;
    this.emit({ type: "handshake", peer: peer.host.key, role: "responder" });
    this.#session(peer, "established");
  }
  #take({ from, inside, bytes }: Message, via: Host | null, endpoint: string | null): void {
    const peer = this.peers.get(from.key)!;
    if (inside.kind === "init") {
      this.#out({ from: this, to: from, inside: { kind: "response" }, bytes: 92 }, via, HOPS);
      // Another run of the peer: the old keys are of no use.
      if (peer.session === "established") this.emit({ type: "handshake", peer: from.key, role: "responder" });
      return;
    }
    if (inside.kind === "response") {
      if (peer.session !== "handshake") return;
      this.emit({ type: "handshake", peer: from.key, role: "initiator" });
      this.#session(peer, "established");
      this.#out({ from: this, to: from, inside: { kind: "keepalive" }, bytes: 32 }, via ?? peer.via, HOPS);
      return;
    }
    this.#established(peer);
    if (inside.kind === "data") {
      const { nowMs } = this.net;
      peer.receivedMs = nowMs;
      const before = this.arrived.get(from) ?? nowMs;
      this.gaps.set(from, Math.max(this.gaps.get(from) ?? 0, nowMs - before));
      this.arrived.set(from, nowMs);
    }
    if (inside.kind !== "probe") return;
    const { payload } = inside;
    this.emit({ type: "probe", peer: from.key, via: via?.key ?? null, endpoint, payload, packetBytes: bytes });
  }
}
