/**
 * The records of one node as we have them, and the tables over all nodes: by kind, and the hashes by which two nodes find out where they
 * differ. What is in here has been checked.
 */
import {
  compareSignatures,
  isForGood,
  isLasting,
  isTakenBack,
  nodeOctets,
  type RawRecord,
  recordValue,
  SIGNATURE_LEN,
} from "./record.js";
import type { Kind, Values } from "./records.js";
import type { Entry, NodeId } from "./types.js";
import { BUCKETS, HASH_LEN } from "./wire.js";

/** Of one node, taken-back ones included. */
export const RECORDS_MAX = 4096;
export const OCTETS_MAX = 2 * 2 ** 20;
/** Of these a node keeps for what puts members out: whoever makes it write (addresses, admissions) does not keep it from that. */
export const RESERVED = { records: 256, octets: 2 ** 16 } as const;

/**
 * What is kept of a removed node whenever it was said: who was admitted and removed follows from all that was ever said of it (members.ts), and
 * a range of addresses that was given on is in use.
 */
export const outlastsRemoval = (kind: Kind): boolean => kind === "member" || kind === "removed" || kind === "grant";

/** A checked record. Its value is read when somebody asks for it. */
export class Kept implements Entry {
  readonly node: NodeId;
  /** The octets of `node`: one buffer for all its records. */
  readonly key: Buffer;
  readonly kind: Kind;
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly floor: number;
  readonly octets: Buffer;
  #value: Values[Kind] | null | undefined;

  constructor(raw: RawRecord, parts: { readonly kind: Kind; readonly id: string }, octets: Buffer, key: Buffer) {
    this.node = raw.node;
    this.key = key;
    this.kind = parts.kind;
    this.id = parts.id;
    this.name = raw.name;
    this.version = raw.version;
    this.floor = raw.floor;
    this.octets = octets;
  }

  get value(): Values[Kind] | null {
    if (this.#value === undefined) this.#value = recordValue(this.octets);
    return this.#value;
  }
  get isTakenBack(): boolean {
    return isTakenBack(this.octets);
  }
}

/** Exclusive or of the first 8 octets of signatures, as two 32-bit numbers. */
class SetHash {
  #high = 0;
  #low = 0;

  get octets(): Buffer {
    const octets = Buffer.alloc(HASH_LEN);
    octets.writeInt32BE(this.#high, 0);
    octets.writeInt32BE(this.#low, 4);
    return octets;
  }

  toggle({ octets }: Kept): void {
    const at = octets.length - SIGNATURE_LEN;
    this.#high ^= octets.readInt32BE(at);
    this.#low ^= octets.readInt32BE(at + 4);
  }
}

export class NodeTable {
  readonly node: NodeId;
  readonly bucket: number;
  readonly key: Buffer;
  readonly records = new Map<string, Kept>();
  readonly hash = new SetHash();
  /** The greatest seen. */
  version = 0;
  floor = 0;
  octets = 0;
  takenBack = 0;

  constructor(node: NodeId) {
    this.node = node;
    this.key = nodeOctets(node);
    this.bucket = (this.key[0] as number) >> 2;
  }

  /** Whether the record is news. Of two with the same version (a machine that was copied) all nodes take the same one. */
  isNews(raw: RawRecord): boolean {
    if (raw.version < this.floor && !isLasting(raw.name)) return false;
    const kept = this.records.get(raw.name);
    if (!kept) return true;
    if (raw.version !== kept.version) return raw.version < kept.version === isForGood(raw.name);
    return raw.version === kept.version && compareSignatures(raw.octets, kept.octets) > 0;
  }

  hasRoom(raw: RawRecord): boolean {
    const kept = this.records.get(raw.name);
    const octets = this.octets - (kept?.octets.length ?? 0) + raw.octets.length;
    return octets <= OCTETS_MAX && (kept !== undefined || this.records.size < RECORDS_MAX);
  }

  /** In the order in which they were written. */
  newerThan(version: number): Kept[] {
    return [...this.records.values()].filter((r) => r.version > version).sort((a, b) => a.version - b.version);
  }
}

export class Tables {
  readonly nodes = new Map<NodeId, NodeTable>();
  readonly root = new SetHash();
  readonly buckets = Array.from({ length: BUCKETS }, () => new SetHash());
  readonly #kinds = new Map<Kind, Map<NodeId, Map<string, Kept>>>();
  /** Octets of all records. */
  octets = 0;

  /** Records in force or taken back, of one kind, by node and id. */
  ofKind(kind: Kind): ReadonlyMap<NodeId, ReadonlyMap<string, Kept>> {
    return this.#kinds.get(kind) ?? new Map();
  }

  table(node: NodeId): NodeTable {
    let table = this.nodes.get(node);
    if (!table) {
      table = new NodeTable(node);
      this.nodes.set(node, table);
    }
    return table;
  }

  /** @returns what has gone because of the record's floor */
  set(record: Kept): Kept[] {
    const table = this.table(record.node);
    const old = table.records.get(record.name);
    if (old) this.#forget(table, old);
    table.records.set(record.name, record);
    this.#count(table, record, 1);
    const byNode = this.#kinds.get(record.kind) ?? new Map<NodeId, Map<string, Kept>>();
    this.#kinds.set(record.kind, byNode);
    const byId = byNode.get(record.node) ?? new Map<string, Kept>();
    byNode.set(record.node, byId);
    byId.set(record.id, record);
    table.version = Math.max(table.version, record.version);
    return record.floor > table.floor ? this.#raiseFloor(table, record.floor) : [];
  }

  #raiseFloor(table: NodeTable, floor: number): Kept[] {
    table.floor = floor;
    return this.#forgetAll(table, (record) => record.version < floor && !isLasting(record.name));
  }

  /**
   * Of what the node has said in greater versions, what others do not have to know for ever. What that had replaced comes back with the
   * next comparison.
   * @returns what has gone
   */
  forgetAfter(node: NodeId, version: number): Kept[] {
    const table = this.nodes.get(node);
    if (!table || table.version <= version) return [];
    const gone = this.#forgetAll(table, (record) => record.version > version && !outlastsRemoval(record.kind));
    const left = [...table.records.values()];
    table.version = left.reduce((greatest, record) => Math.max(greatest, record.version), 0);
    table.floor = left.reduce((greatest, record) => Math.max(greatest, record.floor), 0);
    return gone;
  }

  #forgetAll(table: NodeTable, isMeant: (record: Kept) => boolean): Kept[] {
    const gone = [...table.records.values()].filter(isMeant);
    for (const record of gone) this.#forget(table, record);
    return gone;
  }

  #forget(table: NodeTable, record: Kept): void {
    table.records.delete(record.name);
    this.#count(table, record, -1);
    this.#kinds.get(record.kind)?.get(record.node)?.delete(record.id);
  }

  #count(table: NodeTable, record: Kept, sign: 1 | -1): void {
    table.octets += sign * record.octets.length;
    this.octets += sign * record.octets.length;
    if (record.isTakenBack) table.takenBack += sign;
    for (const hash of [table.hash, this.root, this.buckets[table.bucket] as SetHash]) hash.toggle(record);
  }
}
