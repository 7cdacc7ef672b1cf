/**
 * Doubles of everything around the WireGuard engine: a network of hosts on one virtual clock, with workers that seal and
 * open data for real and tell the engine what the WASM would tell it. The engine in each host is the real one.
 */
import { createCipheriv, createDecipheriv } from "node:crypto";
import { Engine } from "../../packages/control/src/wireguard/engine.js";
import { cookieSeal } from "../../packages/control/src/wireguard/noise/cookie-seal.js";
import type { SessionKeys } from "../../packages/control/src/wireguard/noise/handshake.js";
import { cookieOf, isMac1Right, isMac2Right, mac1Key } from "../../packages/control/src/wireguard/noise/macs.js";
import { typeOf } from "../../packages/control/src/wireguard/noise/messages.js";
import type {
  Endpoint,
  EngineEvent,
  KeyTable,
  Live,
  Surroundings,
} from "../../packages/control/src/wireguard/surroundings.js";
import { pick, randomOf } from "./random.js";

const box = await cookieSeal();
const KEY_AGE_MS = 180_000;
const QUIET_MS = 100;
const TICK_MS = 100;
/** How long a worker may still be at a retired slot. */
const FREE_AFTER_MS = 50;

export type Kind = "initiation" | "response" | "cookieReply" | "keepalive" | "data";
export function kindOf(datagram: Buffer): Kind {
  return typeOf(datagram) ?? (datagram.length === 32 ? "keepalive" : "data");
}

interface Slot {
  state: "handshake" | "valid" | "retired";
  readonly slot: number;
  readonly peer: number;
  readonly local: number;
  remote: number;
  bornMs: number;
  send: Buffer;
  receive: Buffer;
  counter: bigint;
  used: boolean;
  worn: boolean;
  readonly seen: Set<bigint>;
}

const nonceOf = (counter: bigint): Buffer => {
  const nonce = Buffer.alloc(12);
  nonce.writeBigUInt64LE(counter, 4);
  return nonce;
};

/** A double of the key table in shared memory, and of how workers use it. */
export class TableDouble implements KeyTable {
  readonly slots = new Map<number, Slot>();
  readonly sending = new Map<number, number>();
  /** Buffers of all keys that were ever installed, as the engine handed them in: it must wipe its own. */
  readonly handed: Buffer[] = [];
  readonly wrongs: string[] = [];
  most = 0;
  readonly #host: HostDouble;
  readonly #max: number;
  #freeing = 0;

  constructor(host: HostDouble, max: number) {
    this.#host = host;
    this.#max = max;
  }
  held(peer: number): Slot[] {
    return [...this.slots.values()].filter((slot) => slot.peer === peer);
  }
  reserve(peer: number): { slot: number; local: number } | undefined {
    if (this.slots.size + this.#freeing >= this.#max) return undefined;
    let slot = 0;
    while (this.slots.has(slot)) slot++;
    const local = this.#host.world.random();
    const fresh = { remote: 0, bornMs: 0, counter: 0n, used: false, worn: false };
    const keys = { send: Buffer.alloc(0), receive: Buffer.alloc(0), seen: new Set<bigint>() };
    this.slots.set(slot, { state: "handshake", slot, peer, local, ...fresh, ...keys });
    this.most = Math.max(this.most, this.held(peer).length);
    return { slot, local };
  }
  install(slot: number, keys: SessionKeys, remote: number): void {
    const entry = this.slots.get(slot);
    if (entry?.state !== "handshake") throw new Error(`slot ${slot} is ${entry?.state ?? "free"}`);
    this.handed.push(keys.send, keys.receive);
    entry.send = Buffer.from(keys.send);
    entry.receive = Buffer.from(keys.receive);
    Object.assign(entry, { state: "valid", remote, bornMs: this.#host.world.now });
  }
  setSendSlot(peer: number, slot: number | undefined): void {
    if (slot === undefined) this.sending.delete(peer);
    else this.sending.set(peer, slot);
    if (slot !== undefined && this.slots.get(slot)?.state !== "valid") this.wrongs.push(`sends with slot ${slot}`);
  }
  retire(slot: number): void {
    const entry = this.slots.get(slot);
    if (!entry) throw new Error(`slot ${slot} is free`);
    if ([...this.sending.values()].includes(slot)) this.wrongs.push(`slot ${slot} is retired while it sends`);
    entry.state = "retired";
    this.slots.delete(slot);
    this.#freeing++;
    this.#host.world.after(FREE_AFTER_MS, () => this.#freeing--);
  }
  takeCounter(slot: number): bigint {
    const entry = this.slots.get(slot) as Slot;
    if (this.#host.world.now - entry.bornMs >= KEY_AGE_MS) this.wrongs.push(`slot ${slot} seals after its time`);
    return entry.counter++;
  }
}

interface HostOptions {
  readonly privateKey?: Buffer;
  /** Milliseconds since 1970 at virtual time 0. */
  readonly wall?: number;
  readonly keysMax?: number;
  readonly address?: string;
  readonly rekeyAfter?: number;
  readonly keylog?: (lines: string) => void;
}

/** A host with the real engine and doubles of socket, workers and key table. */
export class HostDouble {
  readonly world: World;
  readonly engine: Engine;
  readonly table: TableDouble;
  readonly privateKey: Buffer;
  readonly events: (EngineEvent & { at: number })[] = [];
  readonly endpoints = new Map<number, Endpoint | undefined>();
  /** Everything that went out, lost or not. */
  readonly sent: { at: number; kind: Kind; datagram: Buffer; to: Endpoint }[] = [];
  /** Numbers of the data that came in, per peer. */
  readonly got = new Map<number, number[]>();
  readonly #live = new Map<number, { -readonly [K in keyof Live]: number }>();
  readonly #asked = new Map<number, number>();
  address: string;
  port = 51820;
  wall: number;
  underLoad = false;
  secret = Buffer.alloc(0);
  isUp = true;
  /** Milliseconds that events of workers take to the main thread. */
  eventLag = 5;
  /** Whether `sent` is kept; off for long runs. */
  keepsSent = true;
  dropped = { noSession: 0, unknownIndex: 0, expired: 0, replay: 0, mac1: 0 };
  readonly #rekeyAfter: number;

  constructor(world: World, options: HostOptions) {
    this.world = world;
    this.privateKey = options.privateKey ?? world.bytes(32);
    this.address = options.address ?? `10.0.0.${world.hosts.length + 1}`;
    this.wall = options.wall ?? 1_750_000_000_000;
    this.#rekeyAfter = options.rekeyAfter ?? Number.POSITIVE_INFINITY;
    this.table = new TableDouble(this, options.keysMax ?? 64);
    const surroundings: Surroundings = {
      keys: this.table,
      nowMs: () => this.world.clock(),
      wallMs: () => this.wall + this.world.now,
      random: (octets) => this.world.bytes(octets),
      send: (datagram, to) => this.#send(Buffer.from(datagram), to),
      live: (peer) => this.#liveOf(peer),
      setEndpoint: (peer, endpoint) => void this.endpoints.set(peer, endpoint),
      setCookieSecret: (secret) => {
        this.secret = Buffer.from(secret);
      },
      box,
      emit: (event) => void this.events.push({ ...event, at: world.now }),
      ...(options.keylog && { keylog: options.keylog }),
    };
    this.engine = new Engine(this.privateKey, surroundings);
    this.#tickOn();
  }
  #tickOn(): void {
    this.world.after(TICK_MS, () => {
      if (!this.isUp) return;
      this.engine.tick();
      this.#tickOn();
    });
  }

  /** The process ends without a word. */
  die(): void {
    this.isUp = false;
  }
  #liveOf(peer: number): { -readonly [K in keyof Live]: number } {
    const live = this.#live.get(peer) ?? { sentMs: 0, sentDataMs: 0, receivedMs: 0, receivedDataMs: 0 };
    this.#live.set(peer, live);
    return live;
  }
  #send(datagram: Buffer, to: Endpoint): boolean {
    // As the kernel does with IP_PKTINFO.
    if (to.local !== undefined && to.local !== this.address) return false;
    if (this.keepsSent) this.sent.push({ at: this.world.now, kind: kindOf(datagram), datagram, to });
    this.world.carry(this, datagram, to);
    return true;
  }
  sentOf(kind: Kind, since = 0): number[] {
    return this.sent.filter((one) => one.kind === kind && one.at >= since).map(({ at }) => at);
  }
  #tell(what: () => void): void {
    this.world.after(this.eventLag, () => this.isUp && what());
  }

  /** What a worker does with a packet for a peer. @returns false: there is no session */
  data(peer: number, number = 0): boolean {
    const { now } = this.world;
    const endpoint = this.endpoints.get(peer);
    const slot = this.table.sending.get(peer);
    const key = slot === undefined ? undefined : this.table.slots.get(slot);
    if (key?.state !== "valid" || now - key.bornMs >= KEY_AGE_MS || !endpoint) {
      this.dropped.noSession++;
      if (now - (this.#asked.get(peer) ?? Number.NEGATIVE_INFINITY) >= QUIET_MS) {
        this.#asked.set(peer, now);
        this.#tell(() => this.engine.noSession(peer));
      }
      return false;
    }
    const plain = Buffer.alloc(48);
    // An IPv4 header that tshark takes for one, so that it can judge.
    plain.writeUInt32BE(0x45000030, 0);
    plain.writeUInt32BE(0x40fd0000, 8);
    plain.writeUInt32BE(number, 44);
    const counter = key.counter++;
    const head = Buffer.alloc(16);
    head.writeUInt32LE(4, 0);
    head.writeUInt32LE(key.remote, 4);
    head.writeBigUInt64LE(counter, 8);
    const cipher = createCipheriv("chacha20-poly1305", key.send, nonceOf(counter), { authTagLength: 16 });
    const sealed = Buffer.concat([head, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    const live = this.#liveOf(peer);
    live.sentMs = live.sentDataMs = this.world.clock() || 1;
    if (Number(counter) >= this.#rekeyAfter && !key.worn) {
      key.worn = true;
      this.#tell(() => this.engine.keyWorn(key.slot));
    }
    const isOut = this.#send(sealed, endpoint);
    if (!isOut) this.#tell(() => this.engine.localGone(peer));
    return isOut;
  }

  receive(datagram: Buffer, from: Endpoint): void {
    if (!this.isUp) return;
    const kind = kindOf(datagram);
    if (kind === "data" || kind === "keepalive") {
      this.#open(datagram, from);
      return;
    }
    let underLoad = false;
    if (kind !== "cookieReply") {
      if (!isMac1Right(datagram, mac1Key(this.engine.publicKey))) {
        this.dropped.mac1++;
        return;
      }
      const mapped = Buffer.alloc(12);
      mapped.fill(0xff, 10);
      const address = Buffer.from([...mapped, ...from.address.split(".").map(Number)]);
      underLoad = this.underLoad && !isMac2Right(datagram, cookieOf(this.secret, address, from.port));
    }
    this.#tell(() => this.engine.punted(datagram, from, underLoad));
  }

  #open(datagram: Buffer, from: Endpoint): void {
    const local = datagram.readUInt32LE(4);
    const key = [...this.table.slots.values()].find((slot) => slot.local === local && slot.state === "valid");
    if (!key) this.dropped.unknownIndex++;
    if (key && this.world.now - key.bornMs >= KEY_AGE_MS) this.dropped.expired++;
    if (!key || this.world.now - key.bornMs >= KEY_AGE_MS) return;
    const counter = datagram.readBigUInt64LE(8);
    const opener = createDecipheriv("chacha20-poly1305", key.receive, nonceOf(counter), { authTagLength: 16 });
    opener.setAuthTag(datagram.subarray(-16));
    const plain = opener.update(datagram.subarray(16, -16));
    opener.final();
    if (key.seen.has(counter)) {
      this.dropped.replay++;
      return;
    }
    key.seen.add(counter);
    const live = this.#liveOf(key.peer);
    live.receivedMs = this.world.clock() || 1;
    if (!key.used) {
      key.used = true;
      this.#tell(() => this.engine.keyUsed(key.slot));
    }
    const known = this.endpoints.get(key.peer);
    if (known?.address !== from.address || known.port !== from.port || known.local !== from.local)
      this.#tell(() => this.engine.roamed(key.peer, from));
    if (plain.length === 0) return;
    live.receivedDataMs = live.receivedMs;
    const got = this.got.get(key.peer) ?? [];
    this.got.set(key.peer, got);
    got.push(plain.readUInt32BE(44));
  }
}

/** A double of the network, and the virtual clock. */
export class World {
  readonly hosts: HostDouble[] = [];
  now = 0;
  /** Added to the virtual time for the u32 clock. */
  clockOffset = 1000;
  readonly random: () => number;
  loses: (kind: Kind, from: HostDouble, to: HostDouble) => boolean = () => false;
  /** Milliseconds on the way; different ones reorder. */
  latency: () => number = () => 2;
  doubles: () => boolean = () => false;
  #queue: { at: number; what: () => void }[] = [];

  constructor(seed: number) {
    this.random = randomOf(seed);
  }
  bytes(octets: number): Buffer {
    const bytes = Buffer.alloc(octets);
    for (let at = 0; at < octets; at++) bytes.writeUInt8(pick(this.random, 256), at);
    return bytes;
  }
  clock(): number {
    return Math.floor(this.now + this.clockOffset) >>> 0;
  }
  host(options: HostOptions = {}): HostDouble {
    const host = new HostDouble(this, options);
    this.hosts.push(host);
    return host;
  }
  after(ms: number, what: () => void): void {
    const at = this.now + ms;
    let index = this.#queue.length;
    while (index > 0 && (this.#queue[index - 1] as { at: number }).at > at) index--;
    this.#queue.splice(index, 0, { at, what });
  }
  carry(from: HostDouble, datagram: Buffer, to: Endpoint): void {
    const target = this.hosts.find((host) => host.isUp && host.address === to.address && host.port === to.port);
    if (!target) return;
    const source = { address: from.address, port: from.port, local: to.address };
    if (this.loses(kindOf(datagram), from, target)) return;
    for (let copies = this.doubles() ? 2 : 1; copies > 0; copies--)
      this.after(this.latency(), () => target.receive(Buffer.from(datagram), source));
  }
  /** Lets so much time pass. */
  run(ms: number): void {
    const until = this.now + ms;
    for (;;) {
      const next = this.#queue[0];
      if (!next || next.at > until) break;
      this.#queue.shift();
      this.now = next.at;
      next.what();
    }
    this.now = until;
  }
  /** Runs until it is so, in steps of 10 ms. @returns milliseconds it took */
  until(what: () => boolean, most = 600_000): number {
    const start = this.now;
    while (!what()) {
      if (this.now - start > most) throw new Error(`not within ${most} ms`);
      this.run(10);
    }
    return this.now - start;
  }
}

interface JoinOptions {
  readonly preshared?: Buffer;
  readonly persistentKeepalive?: number;
  /** Whether the second host knows where the first is. Default true. */
  readonly bothKnow?: boolean;
}
/** Makes two hosts peers of each other, as peer 0 each. */
export function join(a: HostDouble, b: HostDouble, options: JoinOptions = {}): void {
  const { preshared, persistentKeepalive = 0, bothKnow = true } = options;
  const at = ({ address, port }: HostDouble): Endpoint => ({ address, port });
  a.engine.addPeer(0, { publicKey: b.engine.publicKey, preshared, endpoint: at(b), persistentKeepalive });
  const endpoint = bothKnow ? at(a) : undefined;
  b.engine.addPeer(0, { publicKey: a.engine.publicKey, preshared, endpoint, persistentKeepalive: 0 });
}
/** Two hosts that are peers, without a session. */
export function pair(seed = 1, options: JoinOptions & { a?: HostOptions; b?: HostOptions } = {}) {
  const world = new World(seed);
  const [a, b] = [world.host(options.a), world.host(options.b)];
  join(a, b, options);
  return { world, a, b };
}
export function count(host: HostDouble, role: string, result: string): number {
  return host.engine.counters().handshakes.find((one) => one.role === role && one.result === result)?.count ?? -1;
}
