/**
 * The records of all nodes: what `Records` promises, and what the gossip needs. Own records are on disk before anybody hears of them; those of
 * others are written behind, they can be had again; but not later than an own one that may rest on them.
 *
 * Version numbers alone decide what is newer, never a clock.
 */
import { isDeepStrictEqual } from "node:util";
import type { Journal, Stored } from "./journal.js";
import {
  bodyOf,
  encodeBody,
  fits,
  isForGood,
  isLasting,
  nameOf,
  partsOf,
  type RawRecord,
  signatureOf,
  signedOctets,
} from "./record.js";
import type { Kind, NodeValue, Values } from "./records.js";
import { Roster } from "./roster.js";
import type { MeshSurroundings } from "./surroundings.js";
import { Kept, type NodeTable, OCTETS_MAX, RECORDS_MAX, RESERVED, Tables } from "./table.js";
import type { Entry, Member, MeshEvent, NodeId, Records } from "./types.js";

/** Admitted nodes, removed ones included. */
export const MEMBERS_MAX = 4096;
/** Octets of all records. */
export const TOTAL_MAX = 256 * 2 ** 20;
/** So many taken-back records, and more than there are others: then they are forgotten. */
const TAKEN_BACK_MAX = 256;
/** Others' records wait so long for the disk, at most. */
const WRITE_BEHIND_MS = 1000;

/** Why a record was not believed or not kept. */
export type Rejection = "old" | "stranger" | "removed" | "forged" | "schema" | "room" | "rate";

export interface Received {
  /** News, checked and kept. */
  readonly kept: readonly Kept[];
  /** Nodes of which something is missing in between, and what we have up to there. */
  readonly gaps: ReadonlyMap<NodeId, number>;
  /** A signature was wrong: whoever passed it on has not looked. */
  readonly isForged: boolean;
}

interface Put {
  readonly kind: Kind;
  readonly id: string;
  readonly value: Values[Kind] | null;
}

/** Who is there, ourselves not among them. */
export interface Alive {
  nodes(): Iterable<NodeId>;
  isAlive(node: NodeId): boolean;
  aliveAt(node: NodeId): number;
}

export interface StoreOptions {
  readonly self: NodeId;
  readonly networkId: string;
  readonly founder: NodeId;
  readonly journal: Journal;
  readonly surroundings: MeshSurroundings;
}

export class RecordStore implements Records {
  readonly self: NodeId;
  readonly networkId: string;
  readonly founder: NodeId;
  readonly tables = new Tables();
  readonly rejected: Record<Rejection, number> = {
    ...{ old: 0, stranger: 0, removed: 0, forged: 0, schema: 0, room: 0, rate: 0 },
  };
  /** Own records that were put in this run: they hold, whatever comes back from an earlier one. */
  readonly #written = new Map<string, Put>();
  readonly #listeners = new Set<(event: MeshEvent) => void>();
  readonly #options: StoreOptions;
  readonly #network: Buffer;
  readonly #admitted: Set<NodeId>;
  /** Who belongs to the network. */
  readonly roster: Roster;
  #unwritten: Stored[] = [];
  #cancelWrite: (() => void) | undefined;
  #isExpelled = false;
  /** Set by who keeps track of links (liveness.ts). */
  alive: Alive = { nodes: () => [], isAlive: () => false, aliveAt: () => 0 };
  /** Own records that were just written, for the gossip. */
  onOwn: (records: readonly Kept[]) => void = () => undefined;
  /** Own records that this run has not written and that are newer than its own. Returns whether they are taken over. */
  onForeignOwn: (record: RawRecord) => boolean = () => true;

  constructor(options: StoreOptions) {
    this.#options = options;
    this.self = options.self;
    this.networkId = options.networkId;
    this.founder = options.founder;
    this.#network = Buffer.from(options.networkId, "hex");
    this.#admitted = new Set([options.founder]);
    this.roster = new Roster(this.self, this.founder, this.tables);
    const stored = options.journal.load();
    this.#load(stored);
    // What has gone may have taken the place of what holds.
    if (this.roster.update().length > 0) this.#load(stored);
  }

  #load(stored: readonly RawRecord[]): void {
    for (const raw of stored) {
      const parts = partsOf(raw.name);
      // Checked when it was written; a kind may be from a newer weft.
      const table = this.tables.table(raw.node);
      if (!parts || !table.isNews(raw) || this.roster.isLate(raw, parts.kind)) continue;
      this.#keep(new Kept(raw, parts, raw.octets, table.key));
    }
  }

  // ── what the rest of the daemon sees ─────────────────────────────────────────────────────────────────────────────────────────

  get<K extends Kind>(node: NodeId, kind: K, id = ""): Values[K] | undefined {
    const value = this.tables.ofKind(kind).get(node)?.get(id)?.value;
    return (value ?? undefined) as Values[K] | undefined;
  }

  *list<K extends Kind>(kind: K): Generator<Entry<K> & { readonly value: Values[K] }> {
    for (const [node, records] of this.tables.ofKind(kind))
      if (this.isMember(node)) yield* inForce<K>(records.values());
  }

  *listRemoved<K extends Kind>(kind: K): Generator<Entry<K> & { readonly value: Values[K] }> {
    for (const [node, records] of this.tables.ofKind(kind))
      if (this.isRemoved(node)) yield* inForce<K>(records.values());
  }

  put<K extends Kind>(kind: K, id: string, value: Values[K]): void {
    this.putAll([{ kind, id, value }]);
  }

  remove(kind: Kind, id: string): void {
    this.putAll([{ kind, id, value: null }]);
  }

  putAll(puts: readonly Put[]): void {
    const table = this.tables.table(this.self);
    const news = puts.filter((put) => {
      const name = nameOf(put.kind, put.id);
      if (!partsOf(name)) throw new RangeError(`${name} is no name of a record`);
      if (!fits(put.kind, put.value)) throw new RangeError(`the value of ${name} does not fit its schema`);
      if (isForGood(name) && table.records.has(name)) return false;
      return !isDeepStrictEqual(table.records.get(name)?.value ?? null, put.value);
    });
    const fresh = new Set(news.map((put) => nameOf(put.kind, put.id)).filter((name) => !table.records.has(name)));
    const room = roomFor(news);
    if (fresh.size > 0 && table.records.size + fresh.size > room.records)
      throw new RangeError(
        `this node has ${table.records.size} records, allowed are ${room.records}: remove some first`,
      );
    const isCrowded = table.takenBack > Math.max(TAKEN_BACK_MAX, table.records.size - table.takenBack);
    this.#write(isCrowded ? [...inForceOnly(table, news), ...news] : news, isCrowded, room);
    for (const put of puts) this.#written.set(nameOf(put.kind, put.id), put);
  }

  persist(): void {
    if (this.#unwritten.length > 0) this.#append([]);
  }

  members(): Member[] {
    const ids = new Set([...this.roster.members, this.self]);
    return [...ids].map((id) => ({
      id,
      node: this.get(id, "node") as NodeValue | undefined,
      isAlive: this.isAlive(id),
      aliveAt: this.alive.aliveAt(id),
    }));
  }

  isMember(node: NodeId): boolean {
    return this.roster.members.has(node) || node === this.self;
  }
  isRemoved(node: NodeId): boolean {
    return this.roster.removed.has(node);
  }
  isAlive(node: NodeId): boolean {
    return node === this.self || this.alive.isAlive(node);
  }

  on(listener: (event: MeshEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** A listener that throws is a fault of ours, and no reason for the others not to hear. */
  emit(event: MeshEvent): void {
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) {
        this.#options.surroundings.log.error(
          { component: "mesh", err: String(error) },
          `handling of ${event.type} failed`,
        );
      }
    }
  }

  // ── what the gossip needs ────────────────────────────────────────────────────────────────────────────────────────────────────

  memberNodes(): Iterable<NodeId> {
    return this.roster.members;
  }
  aliveNodes(): Iterable<NodeId> {
    return this.alive.nodes();
  }

  /** Everything that the node has said, from when on it was admitted; also after its removal. */
  isAdmitted(node: NodeId): boolean {
    return this.#admitted.has(node);
  }

  /**
   * Takes in what another node has sent. Nothing is believed that is not signed by an admitted node and fits.
   * @param isComplete gaps between versions are records that were replaced since
   * @param mayVerify asked before each signature; false: the record is left for another time
   */
  receive(raws: readonly RawRecord[], isComplete: boolean, mayVerify: () => boolean = () => true): Received {
    const kept: Kept[] = [];
    const gone: Kept[] = [];
    const gaps = new Map<NodeId, number>();
    let isForged = false;
    // An admission may stand behind what it admits.
    let waiting = raws;
    for (;;) {
      const strangers: RawRecord[] = [];
      const before = this.#admitted.size;
      for (const raw of waiting) {
        if (!this.#admitted.has(raw.node) && raw.node !== this.self) {
          strangers.push(raw);
          continue;
        }
        const had = this.tables.nodes.get(raw.node)?.version ?? 0;
        const record = this.#check(raw, mayVerify);
        if (record === "forged") isForged = true;
        if (typeof record === "string") {
          this.rejected[record]++;
          continue;
        }
        if (!isComplete && raw.version > had + 1 && !gaps.has(raw.node)) gaps.set(raw.node, had);
        for (const old of this.#keep(record)) gone.push(old);
        kept.push(record);
      }
      waiting = strangers;
      if (strangers.length === 0 || this.#admitted.size === before) break;
    }
    this.rejected.stranger += waiting.length;
    if (kept.length > 0) {
      this.#writeBehind(kept);
      this.#restoreOwn(kept);
      this.#announce(kept, gone);
    }
    return { kept, gaps, isForged };
  }

  /** Writes out what waits; the journal stays open. */
  flush(): void {
    this.#cancelWrite?.();
    this.#cancelWrite = undefined;
    try {
      this.persist();
      this.#options.journal.compact(() => this.#all(), this.tables.octets);
    } catch (error) {
      this.#unwritten = [];
      this.#options.surroundings.log.warn(
        { component: "mesh", err: String(error) },
        "records of other nodes could not be written",
      );
    }
  }

  // ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  #check(raw: RawRecord, mayVerify: () => boolean): Kept | Rejection {
    const table = this.tables.table(raw.node);
    if (!table.isNews(raw)) return "old";
    const parts = partsOf(raw.name);
    if (!parts) return "schema";
    if (this.roster.isLate(raw, parts.kind)) return "removed";
    if (!table.hasRoom(raw) || this.tables.octets + raw.octets.length > TOTAL_MAX) return "room";
    if (parts.kind === "member" && this.#admitted.size >= MEMBERS_MAX && !this.#admitted.has(parts.id)) return "room";
    if (!mayVerify()) return "rate";
    const signed = signedOctets(this.#network, table.key, bodyOf(raw.octets));
    if (!this.#options.surroundings.verify(signatureOf(raw.octets), signed, table.key)) return "forged";
    if (raw.node === this.self && !this.onForeignOwn(raw)) return "old";
    // A copy: the message that it came in may be long.
    const record = new Kept(raw, parts, Buffer.from(raw.octets), table.key);
    return isSound(record) ? record : "schema";
  }

  /** @returns what has gone because of its floor */
  #keep(record: Kept): Kept[] {
    const gone = this.tables.set(record);
    if (record.kind === "member") this.#admit(record.node, record.id);
    return gone;
  }

  #admit(by: NodeId, node: NodeId): void {
    if (!this.#admitted.has(by) || this.#admitted.has(node)) return;
    this.#admitted.add(node);
    // What it had admitted may have been read before, from the journal.
    for (const id of this.tables.ofKind("member").get(node)?.keys() ?? []) this.#admit(node, id);
  }

  /** Own records, in this order: on disk, in the tables, announced. */
  #write(puts: readonly Put[], raisesFloor: boolean, room = roomFor(puts)): void {
    if (puts.length === 0) return;
    const { surroundings } = this.#options;
    const table = this.tables.table(this.self);
    const { version, floor, key } = table;
    const records = puts.map(({ kind, id, value }, i) => {
      const name = nameOf(kind, id);
      const isLast = i === puts.length - 1;
      const body = encodeBody(name, version + 1 + i, raisesFloor && isLast ? version + 1 : floor, value);
      const octets = Buffer.concat([body, surroundings.sign(signedOctets(this.#network, key, body))]);
      const raw = { node: this.self, name, version: version + 1 + i, floor: body.readUIntBE(6, 6), octets };
      return new Kept(raw, { kind, id }, octets, key);
    });
    const octets = records.reduce(
      (sum, r) => sum + r.octets.length - (table.records.get(r.name)?.octets.length ?? 0),
      0,
    );
    if (octets > 0 && table.octets + octets > room.octets)
      throw new RangeError(
        `the records of this node have ${table.octets} octets, allowed are ${room.octets}: remove some first`,
      );
    this.#append(records);
    const gone = records.flatMap((record) => this.#keep(record));
    this.onOwn(records);
    this.#announce(records, gone);
  }

  /** What waits for the disk goes there first: our own word may rest on it. */
  #append(own: readonly Kept[]): void {
    this.#options.journal.append([...this.#unwritten, ...own]);
    this.#unwritten = [];
    // What it replaces may be most of the file.
    this.#flushLater();
  }

  /** What this run has written holds against what an earlier one had, which others have sent back. */
  #restoreOwn(kept: readonly Kept[]): void {
    const puts = kept
      .filter((r) => r.node === this.self && !isForGood(r.name))
      .flatMap((r) => this.#written.get(r.name) ?? []);
    const table = this.tables.table(this.self);
    const differing = puts.filter(
      (put) => !isDeepStrictEqual(table.records.get(nameOf(put.kind, put.id))?.value ?? null, put.value),
    );
    try {
      this.#write(differing, false);
    } catch (error) {
      // Whoever has sent us our records of old is not to blame for a full disk.
      this.#options.surroundings.log.warn(
        { component: "mesh", err: String(error) },
        "own records of an earlier run hold: newer ones could not be written",
      );
    }
  }

  #announce(records: readonly Kept[], replaced: readonly Kept[]): void {
    const isAboutMembers = [...records, ...replaced].some(({ kind }) => kind === "member" || kind === "removed");
    const gone = isAboutMembers ? [...replaced, ...this.roster.update()] : replaced;
    const current = records.filter((r) => this.tables.nodes.get(r.node)?.records.get(r.name) === r);
    const taken = gone.filter((r) => !r.isTakenBack).map((r) => ({ ...entryOf(r), value: null }));
    const kinds = new Set([...current, ...taken].map((entry) => entry.kind));
    if (kinds.size > 0) this.emit({ type: "records", kinds, entries: [...current, ...taken] });
    const by = this.roster.removed.get(this.self);
    if (by !== undefined && !this.#isExpelled) {
      this.#isExpelled = true;
      this.emit({ type: "expelled", by });
    }
  }

  #writeBehind(records: readonly Kept[]): void {
    for (const record of records) this.#unwritten.push(record);
    this.#flushLater();
  }

  #flushLater(): void {
    this.#cancelWrite ??= this.#options.surroundings.after(WRITE_BEHIND_MS, () => {
      this.#cancelWrite = undefined;
      this.flush();
    });
  }

  *#all(): Generator<Stored> {
    for (const table of this.tables.nodes.values()) yield* table.newerThan(0);
  }
}

/** What may be there of our own when these are written. */
function roomFor(puts: readonly Put[]): { readonly records: number; readonly octets: number } {
  const isKept = puts.some(({ kind }) => kind !== "removed" && kind !== "token");
  return {
    records: RECORDS_MAX - (isKept ? RESERVED.records : 0),
    octets: OCTETS_MAX - (isKept ? RESERVED.octets : 0),
  };
}

function isSound(record: Kept): boolean {
  try {
    // The value `null`, spelt out, would be in force and nothing.
    return record.isTakenBack === (record.value === null) && fits(record.kind, record.value);
  } catch {
    return false;
  }
}

const entryOf = ({ node, kind, id, version, value }: Kept): Entry => ({ node, kind, id, version, value });

function* inForce<K extends Kind>(records: Iterable<Kept>): Generator<Entry<K> & { readonly value: Values[K] }> {
  for (const record of records)
    if (!record.isTakenBack) yield record as unknown as Entry<K> & { readonly value: Values[K] };
}

/** What a node has in force and is not about to write, as it stands, but for what no floor forgets. */
function inForceOnly(table: NodeTable, news: readonly Put[]): Put[] {
  const names = new Set(news.map((put) => nameOf(put.kind, put.id)));
  return [...table.records.values()]
    .filter((record) => !record.isTakenBack && !isLasting(record.name) && !names.has(record.name))
    .map(({ kind, id, value }) => ({ kind, id, value }));
}
