/**
 * Opens control links, keeps them and gives them up. A link that has been silent for a second and a half is closed; whoever hears nothing for
 * half a second pings, so an idle link costs two small messages a second whichever way.
 */
import type { Channel, Transport } from "./channel.js";
import { Link } from "./link.js";
import { chanceToTry, isOnRing, LINKS_ENOUGH, LINKS_LIMIT, LINKS_MAX, LINKS_WANTED, successor } from "./neighbours.js";
import type { MeshStats } from "./stats.js";
import type { RecordStore } from "./store.js";
import { type MeshSurroundings, pickOne } from "./surroundings.js";
import type { NodeId } from "./types.js";
import {
  decode,
  encodeHello,
  encodePing,
  encodeRecords,
  type GoodbyeReason,
  type Message,
  type MessageType,
  PROTOCOL,
} from "./wire.js";
import { WireError } from "./wire-error.js";

const TICK_MS = 500;
const SILENT_MS = 1500;
/** Round trips are measured so often, also where others keep a link busy. */
const RTT_EVERY_MS = 10_000;
/** We have stood still ourselves so long: nobody is blamed for it. */
const STALL_MS = 1000;
/** The ring, and links too many, are looked at so often. */
const SHAPE_MS = 10_000;
/** After a refusal: the others first. */
const AVOID_FULL_MS = 30_000;
const AVOID_FAILED_MS = 2000;
const DIALS_MAX = 16;
/** An attempt that takes longer leads nowhere, most likely: another node is tried meanwhile. */
const DIAL_MS = 750;
/** Of two links between the same nodes the younger one holds when the other is older than this. */
const SETTLED_MS = 5000;

export interface LinkEvents {
  opened(link: Link): void;
  /** @param isMeant on purpose, by either end */
  closed(node: NodeId, isMeant: boolean): void;
  ponged(link: Link): void;
  message(link: Link, message: Message): string | undefined;
}

export class Links {
  readonly #store: RecordStore;
  readonly #transport: Transport;
  readonly #surroundings: MeshSurroundings;
  readonly #stats: MeshStats;
  readonly #seeds: () => readonly string[];
  readonly #mayDial: (node: NodeId) => boolean;
  readonly #events: LinkEvents;
  readonly #links = new Map<NodeId, Link>();
  /** Since when. */
  readonly #dialling = new Map<NodeId, number>();
  /** Until when. */
  readonly #avoid = new Map<NodeId, number>();
  #cancelTick: () => void;
  #tickedMs: number;
  #triedMs: number;
  #shapedMs: number;
  #isStopped = false;

  constructor(
    store: RecordStore,
    transport: Transport,
    surroundings: MeshSurroundings,
    stats: MeshStats,
    dialling: { readonly seeds: () => readonly string[]; readonly mayDial: (node: NodeId) => boolean },
    events: LinkEvents,
  ) {
    this.#store = store;
    this.#transport = transport;
    this.#surroundings = surroundings;
    this.#stats = stats;
    this.#seeds = dialling.seeds;
    this.#mayDial = dialling.mayDial;
    this.#events = events;
    this.#tickedMs = surroundings.nowMs();
    this.#triedMs = this.#tickedMs;
    this.#shapedMs = this.#tickedMs - SHAPE_MS * surroundings.random();
    transport.onChannel((channel) => this.#adopt(channel));
    this.#cancelTick = surroundings.after(TICK_MS * surroundings.random(), () => this.#tick());
  }

  *ready(): Generator<Link> {
    for (const link of this.#links.values()) if (link.isReady) yield link;
  }
  get(node: NodeId): Link | undefined {
    return this.#links.get(node);
  }

  /** Dials it now, unless there is a link or the attempt for one. */
  dial(node: NodeId): void {
    if (this.#isStopped || node === this.#store.self || this.#links.has(node) || this.#dialling.has(node)) return;
    if (this.#dialling.size >= DIALS_MAX || this.#store.isRemoved(node) || !this.#mayDial(node)) return;
    const seed = pickOne(this.#seeds(), this.#surroundings.random);
    const known = this.#store.get(node, "node")?.control ?? [];
    const addresses = seed === undefined || known.includes(seed) ? known : [...known, seed];
    if (addresses.length === 0) return;
    this.#dialling.set(node, this.#surroundings.nowMs());
    this.#transport.dial(node, addresses).then(
      (channel) => {
        this.#dialling.delete(node);
        this.#adopt(channel);
      },
      (error: unknown) => {
        this.#dialling.delete(node);
        this.#avoid.set(node, this.#surroundings.nowMs() + AVOID_FAILED_MS);
        this.#surroundings.log.debug({ component: "mesh", node, err: String(error) }, "control link not opened");
      },
    );
  }

  /** Ends links with nodes that are out of the network. */
  dropRemoved(): void {
    for (const link of this.#links.values()) if (this.#store.isRemoved(link.node)) this.#end(link, "removed");
    if (this.#store.isRemoved(this.#store.self)) this.stop("removed");
  }

  stop(reason: GoodbyeReason): void {
    this.#isStopped = true;
    this.#cancelTick();
    for (const link of [...this.#links.values()]) this.#end(link, reason);
  }

  // ── a link from its beginning to its end ─────────────────────────────────────────────────────────────────────────────────────

  #adopt(channel: Channel): void {
    const now = this.#surroundings.nowMs();
    const link = new Link(channel, this.#stats, now);
    const refusal = this.#refusal(link);
    const other = this.#links.get(link.node);
    if (!refusal) {
      this.#links.set(link.node, link);
      if (other) this.#close(other, "twin");
    }
    channel.receive({
      message: (message) => this.#receive(link, message),
      closed: (why) => this.#gone(link, why, false),
    });
    if (!refusal) link.send(encodeHello(Buffer.from(this.#store.networkId, "hex")));
    else this.#refuse(link, refusal);
  }

  #refusal(link: Link): GoodbyeReason | undefined {
    if (this.#isStopped) return "leaving";
    if (this.#store.isRemoved(link.node) || !this.#store.isMember(link.node) || link.node === this.#store.self)
      return "removed";
    const other = this.#links.get(link.node);
    if (other) return this.#isBetter(link, other) ? undefined : "twin";
    const isOutOfReach = !this.#store.isAlive(link.node);
    return this.#links.size >= (isOutOfReach ? LINKS_LIMIT : LINKS_MAX) ? "full" : undefined;
  }

  /** Both ends decide the same: of two that are new, the one that the lesser key has dialled. */
  #isBetter(link: Link, other: Link): boolean {
    const now = this.#surroundings.nowMs();
    if (now - other.openedMs > SETTLED_MS || now - other.heardMs > TICK_MS * 2) return true;
    const dialler = (one: Link): NodeId => (one.channel.isOutbound ? this.#store.self : one.node);
    return dialler(link) <= dialler(other);
  }

  #refuse(link: Link, reason: GoodbyeReason): void {
    // Who has been removed meanwhile learns it from the signed record.
    if (reason === "removed" && this.#store.isRemoved(link.node)) for (const m of this.#whoIsOut()) link.send(m);
    const alive = reason === "full" ? this.#alive().filter((node) => node !== link.node) : [];
    const others = Array.from(
      { length: Math.min(8, alive.length) },
      () => pickOne(alive, this.#surroundings.random) as NodeId,
    );
    link.goodbye(reason, others);
    this.#close(link, reason);
  }

  #whoIsOut(): Iterable<Buffer> {
    const { tables } = this.#store;
    const records = (["member", "removed"] as const).flatMap((kind) => [...tables.ofKind(kind).values()]);
    return encodeRecords(
      records.flatMap((byId) => [...byId.values()]),
      true,
    );
  }

  #receive(link: Link, octets: Uint8Array): void {
    if (link.isClosed) return;
    const now = this.#surroundings.nowMs();
    if (!link.mayReceive(octets.length, now)) {
      this.#fail(link, "flood");
      return;
    }
    let message: Message;
    try {
      message = decode(octets);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#fail(link, `malformed: ${error.message}`);
      return;
    }
    this.#stats.count(this.#stats.received, message.type as MessageType, octets.length);
    link.heardMs = now;
    if (message.type === "hello") this.#hello(link, message);
    else if (message.type === "goodbye") this.#goodbye(link, message.reason, message.others);
    else if (message.type === "ping") link.send(encodePing("pong", message.number));
    else if (message.type === "pong") {
      link.pong(message.number, now);
      this.#events.ponged(link);
    } else if (link.isReady || message.type === "records") {
      const why = this.#events.message(link, message);
      if (why !== undefined) this.#fail(link, why);
    } else this.#fail(link, "message before hello");
  }

  #hello(link: Link, hello: Extract<Message, { type: "hello" }>): void {
    if (link.isReady) return;
    if (hello.networkId.toString("hex") !== this.#store.networkId) this.#end(link, "network");
    else if (hello.min > PROTOCOL.max || hello.max < PROTOCOL.min) {
      const { log } = this.#surroundings;
      log.warn(
        { component: "mesh", node: link.node, speaks: [hello.min, hello.max] },
        "node speaks other protocol versions: upgrade the older one",
      );
      this.#avoid.set(link.node, this.#surroundings.nowMs() + AVOID_FULL_MS);
      this.#end(link, "protocol");
    } else {
      link.isReady = true;
      this.#avoid.delete(link.node);
      this.#events.opened(link);
    }
  }

  #goodbye(link: Link, reason: GoodbyeReason, others: readonly NodeId[]): void {
    if (reason !== "leaving" && reason !== "twin")
      this.#avoid.set(link.node, this.#surroundings.nowMs() + AVOID_FULL_MS);
    this.#close(link, reason, reason !== "twin");
    if (reason === "full" && this.#links.size < LINKS_WANTED)
      for (const node of others.slice(0, 2)) if (this.#store.isMember(node)) this.dial(node);
  }

  /** With a word to the other end. */
  #end(link: Link, reason: GoodbyeReason): void {
    link.goodbye(reason);
    this.#close(link, reason);
  }

  /** The other end has done what it should not. */
  #fail(link: Link, why: string): void {
    this.#surroundings.log.warn({ component: "mesh", node: link.node, why }, "control link closed");
    this.#avoid.set(link.node, this.#surroundings.nowMs() + AVOID_FULL_MS);
    this.#close(link, why, false);
  }

  #close(link: Link, why: string, isMeant = true): void {
    link.channel.close(why);
    this.#gone(link, why, isMeant);
  }

  #gone(link: Link, why: string, isMeant: boolean): void {
    if (link.isClosed) return;
    link.isClosed = true;
    link.queue.clear();
    this.#stats.countClosed(why);
    if (this.#links.get(link.node) !== link) return;
    this.#links.delete(link.node);
    this.#events.closed(link.node, isMeant);
    if (!isMeant && !this.#avoid.has(link.node)) this.dial(link.node);
  }

  // ── looking after them ───────────────────────────────────────────────────────────────────────────────────────────────────────

  #tick(): void {
    this.#cancelTick = this.#surroundings.after(TICK_MS, () => this.#tick());
    const now = this.#surroundings.nowMs();
    const stood = now - this.#tickedMs - TICK_MS;
    this.#tickedMs = now;
    for (const link of [...this.#links.values()]) {
      if (stood > STALL_MS) link.heardMs = Math.min(now, link.heardMs + stood);
      const silentMs = now - link.heardMs;
      if (silentMs >= SILENT_MS) this.#close(link, "silent", false);
      else if (link.isReady && (silentMs >= TICK_MS || now - link.pingedMs >= RTT_EVERY_MS)) link.ping(now);
    }
    for (const [node, until] of this.#avoid) if (until <= now) this.#avoid.delete(node);
    const alive = this.#alive();
    this.#fill(alive, now);
    if (now - this.#triedMs >= 1000 || this.#links.size === 0) this.#tryOutOfReach(alive, now);
    if (now - this.#shapedMs >= SHAPE_MS) this.#shape(alive, now);
  }

  #alive(): NodeId[] {
    return [...this.#store.aliveNodes()];
  }

  /** Closed links are made up for at once, too: see #gone. */
  #fill(alive: readonly NodeId[], now: number): void {
    let lacking = LINKS_WANTED - this.#links.size;
    for (const since of this.#dialling.values()) if (now - since < DIAL_MS) lacking--;
    if (lacking <= 0) return;
    const free = alive.filter(
      (node) => !this.#links.has(node) && !this.#dialling.has(node) && !((this.#avoid.get(node) ?? 0) > now),
    );
    for (; lacking > 0 && free.length > 0; lacking--) {
      const [node] = free.splice(Math.floor(this.#surroundings.random() * free.length), 1) as [NodeId];
      this.dial(node);
    }
  }

  #tryOutOfReach(alive: readonly NodeId[], now: number): void {
    this.#triedMs = now;
    const members = [...this.#store.memberNodes()];
    if (this.#surroundings.random() >= chanceToTry(alive.length + 1, members.length - alive.length)) return;
    const out = members.filter(
      (node) => node !== this.#store.self && !this.#store.isAlive(node) && !this.#links.has(node),
    );
    const node = pickOne(out, this.#surroundings.random);
    if (node !== undefined) this.dial(node);
  }

  /** Opens the link of the ring that is missing, or ends one that neither end needs. */
  #shape(alive: readonly NodeId[], now: number): void {
    this.#shapedMs = now;
    const next = successor(this.#store.self, alive);
    if (next !== undefined && !this.#avoid.has(next)) this.dial(next);
    if (this.#links.size <= LINKS_ENOUGH) return;
    const spare = [...this.ready()].filter(
      ({ node }) =>
        !isOnRing(this.#store.self, node, alive) &&
        (this.#store.get(node, "links")?.control.length ?? 0) > LINKS_WANTED,
    );
    const link = pickOne(spare, this.#surroundings.random);
    if (link) this.#end(link, "full");
  }
}
