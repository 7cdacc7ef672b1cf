/**
 * The mesh of control links as a whole: records (store.ts) that spread over links (links.ts) by gossip (gossip.ts), and who is there
 * (liveness.ts). It does no I/O of its own: channels, clock, timers, signatures and the journal are handed in.
 */
import type { Transport } from "./channel.js";
import { Gossip } from "./gossip.js";
import type { Journal } from "./journal.js";
import type { Link } from "./link.js";
import { Links } from "./links.js";
import { Liveness } from "./liveness.js";
import { KEY_LEN, type RawRecord } from "./record.js";
import type { LinksValue } from "./records.js";
import { MeshStats } from "./stats.js";
import { RecordStore } from "./store.js";
import { type MeshSurroundings, pickOne } from "./surroundings.js";
import type { Kept } from "./table.js";
import type { NodeId, Records } from "./types.js";
import { decodeRuns, encodeAnswer, encodeAsk, encodeRuns, type Message, NEVER_HEARD } from "./wire.js";

/** Own records from before, that others send back, are taken over so long after the first link. Later ones are those of a copy of us. */
const RECOVERY_MS = 10_000;
/** A node that suspects another asks so many. */
const ASKED = 2;
const HEARD_MS = 1000;
const TICK_MS = 250;
/** Octets of records that a newcomer is given at once; it takes no more than 32 MiB (join.ts). */
const WELCOME_MAX = 24 * 2 ** 20;

export interface MeshOptions {
  readonly self: NodeId;
  /** 16 octets in hexadecimal. */
  readonly networkId: string;
  readonly founder: NodeId;
  readonly journal: Journal;
  readonly transport: Transport;
  readonly surroundings: MeshSurroundings;
  /** `ADDR:PORT` of control ports from the configuration; asked each time. */
  readonly seeds?: () => readonly string[];
  /** Whether a member may be dialled from here; asked each time. Default: all. Whoever dials us is taken whatever it says. */
  readonly mayDial?: (node: NodeId) => boolean;
}

export interface ChannelInfo {
  readonly node: NodeId;
  readonly remote: string;
  readonly isOutbound: boolean;
  /** Milliseconds; null before the first measurement. */
  readonly rttMs: number | null;
  readonly ageMs: number;
  readonly receive: Carried;
  readonly transmit: Carried;
}

/** What has gone over one control link: messages, and their octets without TLS and TCP. */
export interface Carried {
  readonly packets: number;
  readonly bytes: number;
}

export class Mesh {
  readonly stats = new MeshStats();
  readonly #store: RecordStore;
  readonly #options: MeshOptions;
  readonly #links: Links;
  readonly #gossip: Gossip;
  readonly #liveness: Liveness;
  readonly #asked = new Map<number, NodeId>();
  #asks = 0;
  #cancelTick: () => void;
  #firstLinkMs: number | undefined;
  #isCloned = false;
  #isStopped = false;
  #onCloned: () => void = () => undefined;

  constructor(options: MeshOptions) {
    this.#options = options;
    const { surroundings } = options;
    this.#store = new RecordStore(options);
    this.#store.onForeignOwn = () => this.#mayRecover();
    this.#liveness = new Liveness(this.#store, surroundings);
    const { seeds = () => [], mayDial = () => true } = options;
    this.#links = new Links(
      this.#store,
      options.transport,
      surroundings,
      this.stats,
      { seeds, mayDial },
      {
        opened: (link) => this.#opened(link),
        closed: (node, isMeant) => this.#closed(node, isMeant),
        ponged: (link) => this.#gossip.ponged(link),
        message: (link, message) => this.#message(link, message),
      },
    );
    this.#gossip = new Gossip(this.#store, () => this.#links.ready(), surroundings, this.stats);
    this.#store.on((event) => {
      if (event.type !== "records" || !event.kinds.has("removed")) return;
      // They should hear of it before the link ends.
      this.#gossip.flush();
      surroundings.after(0, () => {
        if (this.#isStopped) return;
        this.#links.dropRemoved();
        this.#repeatTombstones();
      });
    });
    this.#cancelTick = this.#nextTick();
  }

  get records(): Records {
    return this.#store;
  }
  /** Hash of all records, hexadecimal: nodes with the same one know the same. */
  get digest(): string {
    return this.#store.tables.root.octets.toString("hex");
  }
  /** Another machine runs with this identity. Nothing of it is taken over; the daemon should stop. */
  get isCloned(): boolean {
    return this.#isCloned;
  }
  /** Records that were not believed or not kept, by why. */
  get rejected(): Readonly<Record<string, number>> {
    return this.#store.rejected;
  }
  /** Called once when it is found. */
  onCloned(listener: () => void): void {
    this.#onCloned = listener;
  }

  /**
   * Lets a node in: our admission is on disk and on its way when this returns.
   * @param records what the newcomer has signed: its `introduction`
   * @throws WireError or RangeError for records that are not the newcomer's
   */
  admit(node: NodeId, name: string, records: Uint8Array): void {
    const raws = decodeRuns(Buffer.from(records), 0);
    if (raws.some((raw) => raw.node !== node)) throw new RangeError("a newcomer can bring its own records only");
    if (this.#store.isRemoved(node))
      throw new RangeError("this node was removed from the network: it needs a new identity to join again");
    if (!this.#store.isMember(node)) this.#store.put("member", node, { name, at: this.#options.surroundings.wallMs() });
    this.#take(raws);
  }

  /** Our `node` record as it is signed, for who is to admit us; empty before there is one. At most 17 KiB. */
  introduction(): Buffer {
    const record = this.#store.tables.table(this.#store.self).records.get("node");
    return runsOf(record ? [record] : []);
  }

  /**
   * Records for a node that was just admitted: it knows everybody then, and whom to dial. All of them, unless there are very many; then the
   * gossip brings the rest.
   */
  allRecords(): Buffer {
    const { tables } = this.#store;
    const kept: Kept[] = [];
    let octets = 0;
    const first = ["member", "removed", "node"] as const;
    const named = first.flatMap((kind) => [...tables.ofKind(kind).values()].flatMap((byId) => [...byId.values()]));
    const others = [...tables.nodes.values()].flatMap((table) => table.newerThan(0));
    for (const record of new Set([...named, ...others])) {
      octets += record.octets.length + KEY_LEN + 2;
      if (octets > WELCOME_MAX) break;
      kept.push(record);
    }
    return runsOf(kept);
  }

  /** What we have of a node: its greatest version, and how many of its records are in force. */
  known(node: NodeId): { readonly recordVersion: number; readonly records: number } {
    const table = this.#store.tables.nodes.get(node);
    return { recordVersion: table?.version ?? 0, records: table ? table.records.size - table.takenBack : 0 };
  }

  /** Takes in what whoever admitted us has sent; checked like everything. @throws WireError */
  load(records: Uint8Array): void {
    this.#take(decodeRuns(Buffer.from(records), 0));
  }

  /**
   * Takes a member out, for ever. Also one that is not there.
   * @param also is written with it: all of it, or nothing
   */
  expel(node: NodeId, also: Parameters<RecordStore["putAll"]>[0] = []): void {
    const upTo = this.#store.tables.nodes.get(node)?.version ?? 0;
    const value = { at: this.#options.surroundings.wallMs(), upTo, by: this.#store.self };
    this.#store.putAll([{ kind: "removed", id: node, value }, ...also]);
  }

  /** Direct data paths that work, as they are to stand in our `links` record. */
  setDataLinks(links: LinksValue["data"]): void {
    this.#liveness.setDataLinks(links);
  }

  /** The data path has opened an authenticated packet of this node. */
  heard(node: NodeId): void {
    this.#liveness.heard(node);
  }

  /** Dials a member now (`weft connect`). */
  connect(node: NodeId): void {
    this.#links.dial(node);
  }

  channels(): ChannelInfo[] {
    const now = this.#options.surroundings.nowMs();
    return [...this.#links.ready()].map((link) => ({
      node: link.node,
      remote: link.channel.remote,
      isOutbound: link.channel.isOutbound,
      rttMs: link.rttMs ?? null,
      ageMs: now - link.openedMs,
      receive: link.received,
      transmit: link.sent,
    }));
  }

  /** Says goodbye, closes all links, writes out what waits, and closes the journal. */
  stop(): void {
    this.#isStopped = true;
    this.#cancelTick();
    this.#liveness.stop(!this.#store.isRemoved(this.#store.self));
    this.#gossip.stop();
    this.#links.stop("leaving");
    this.#store.flush();
    this.#options.journal.close();
  }

  /** Then there is nobody above them whom the removed node could turn on (members.ts). */
  #repeatTombstones(): void {
    const at = this.#options.surroundings.wallMs();
    const puts = [...this.#store.roster.removedByOthers()].map(
      ({ node, ...value }) => ({ kind: "removed", id: node, value: { at, ...value } }) as const,
    );
    try {
      this.#store.putAll(puts);
    } catch (error) {
      this.#options.surroundings.log.warn(
        { component: "mesh", err: String(error) },
        "a removal by another member holds, but could not be repeated in our name",
      );
    }
  }

  #take(raws: readonly RawRecord[]): void {
    const { kept } = this.#store.receive(raws, true);
    this.#gossip.spread(kept);
  }

  #opened(link: Link): void {
    this.#firstLinkMs ??= this.#options.surroundings.nowMs();
    this.#liveness.opened(link.node);
    this.#gossip.opened(link);
  }

  #closed(node: NodeId, isMeant: boolean): void {
    this.#gossip.closed();
    if (!this.#liveness.lost(node, isMeant)) return;
    const others = [...this.#links.ready()];
    for (let i = 0; i < ASKED && others.length > 0; i++) {
      const other = pickOne(others, this.#options.surroundings.random) as Link;
      others.splice(others.indexOf(other), 1);
      const number = ++this.#asks % 2 ** 32;
      this.#asked.set(number, node);
      if (this.#asked.size > 256) this.#asked.delete(this.#asked.keys().next().value as number);
      other.send(encodeAsk(number, node));
    }
  }

  #message(from: Link, message: Message): string | undefined {
    if (message.type === "ask") from.send(encodeAnswer(message.number, this.#heardSince(message.node)));
    else if (message.type === "answer") this.#answered(message.number, message.heardMs);
    else return this.#gossip.message(from, message);
    return undefined;
  }

  #heardSince(node: NodeId): number {
    const link = this.#links.get(node);
    const byLink = link?.isReady ? this.#options.surroundings.nowMs() - link.heardMs : NEVER_HEARD;
    return Math.floor(Math.min(byLink, this.#liveness.heardSince(node), NEVER_HEARD));
  }

  #answered(number: number, heardMs: number): void {
    const node = this.#asked.get(number);
    this.#asked.delete(number);
    if (node !== undefined && heardMs < HEARD_MS) this.#liveness.vouched(node);
  }

  #mayRecover(): boolean {
    const now = this.#options.surroundings.nowMs();
    if (!this.#isCloned && now - (this.#firstLinkMs ?? now) <= RECOVERY_MS) return true;
    if (!this.#isCloned) {
      this.#isCloned = true;
      this.#options.surroundings.log.error(
        { component: "mesh" },
        "another machine runs with this node's identity: its state directory was copied. Stop one of them, remove its state and join again",
      );
      this.#onCloned();
    }
    return false;
  }

  #nextTick(): () => void {
    return this.#options.surroundings.after(TICK_MS, () => {
      this.#liveness.tick();
      this.#cancelTick = this.#nextTick();
    });
  }
}

const runsOf = (records: readonly Kept[]): Buffer => Buffer.concat([...encodeRuns(records, Number.POSITIVE_INFINITY)]);
