/**
 * What nodes say to each other over a control link. The first octet of a message is its type, integers are big-endian, a node is its public
 * key (32 octets). A message has at most 65,536 octets; nothing follows what is described here.
 *
 * | type | message | what follows |
 * |---|---|---|
 * | 1 | hello | `weft`, lowest and highest protocol version u8 u8, network id 16 |
 * | 2 | records | complete u8 (1: all that the sender has of these nodes after what was asked), then runs: node, count u16, records (record.ts) |
 * | 3 | root | hash 8 of everything |
 * | 4 | buckets | 64 hashes of 8: nodes by the first 6 bits of their key |
 * | 5 | versions | buckets 8 (a bit each: all nodes of it are listed), then: node, greatest version u48, hash 8 |
 * | 6 | want | node, version u48: send what is newer |
 * | 7, 8 | ping, pong | number u32 |
 * | 9 | ask | number u32, node: do you hear it? |
 * | 10 | answer | number u32, milliseconds u32 since it was heard |
 * | 11 | goodbye | reason u8, up to 8 nodes to try instead |
 *
 * A hash is the exclusive or of the first 8 octets of the signatures of all records in question.
 */
import { MESSAGE_MAX } from "./channel.js";
import { decodeRecord, KEY_LEN, nodeOctets, type RawRecord } from "./record.js";
import type { NodeId } from "./types.js";
import { WireError } from "./wire-error.js";

/** Protocol versions that this weft speaks. */
export const PROTOCOL = { min: 1, max: 1 } as const;
export const BUCKETS = 64;
export const HASH_LEN = 8;
const MAGIC = Buffer.from("weft");
const NETWORK_ID_LEN = 16;
const OTHERS_MAX = 8;
const DIGEST_LEN = KEY_LEN + 6 + HASH_LEN;
const WANT_LEN = KEY_LEN + 6;
/** Entries of one message. */
export const DIGESTS_MAX = Math.floor((MESSAGE_MAX - 1 - 8) / DIGEST_LEN);
export const WANTS_MAX = Math.floor((MESSAGE_MAX - 1) / WANT_LEN);
/** Longer than any link lives without being heard. */
export const NEVER_HEARD = 0xffff_ffff;

const TYPES = [
  "hello",
  "records",
  "root",
  "buckets",
  "versions",
  "want",
  "ping",
  "pong",
  "ask",
  "answer",
  "goodbye",
] as const;
export type MessageType = (typeof TYPES)[number];
export const MESSAGE_TYPES: readonly MessageType[] = TYPES;

const REASONS = ["leaving", "full", "twin", "removed", "protocol", "network"] as const;
export type GoodbyeReason = (typeof REASONS)[number];

export interface Digest {
  readonly node: NodeId;
  readonly version: number;
  /** 8 octets. */
  readonly hash: Buffer;
}
export interface Want {
  readonly node: NodeId;
  readonly since: number;
}
export type Message =
  | { readonly type: "hello"; readonly min: number; readonly max: number; readonly networkId: Buffer }
  | { readonly type: "records"; readonly isComplete: boolean; readonly records: readonly RawRecord[] }
  | { readonly type: "root"; readonly hash: Buffer }
  | { readonly type: "buckets"; readonly hashes: readonly Buffer[] }
  | { readonly type: "versions"; readonly buckets: ReadonlySet<number>; readonly digests: readonly Digest[] }
  | { readonly type: "want"; readonly wants: readonly Want[] }
  | { readonly type: "ping" | "pong"; readonly number: number }
  | { readonly type: "ask"; readonly number: number; readonly node: NodeId }
  | { readonly type: "answer"; readonly number: number; readonly heardMs: number }
  | { readonly type: "goodbye"; readonly reason: GoodbyeReason; readonly others: readonly NodeId[] };

const start = (type: MessageType, rest: number): Buffer => {
  const message = Buffer.alloc(1 + rest);
  message[0] = TYPES.indexOf(type) + 1;
  return message;
};

export function encodeHello(networkId: Uint8Array): Buffer {
  const message = start("hello", MAGIC.length + 2 + NETWORK_ID_LEN);
  MAGIC.copy(message, 1);
  message[5] = PROTOCOL.min;
  message[6] = PROTOCOL.max;
  message.set(networkId, 7);
  return message;
}

interface Written {
  readonly node: NodeId;
  /** The octets of `node`, where they are at hand. */
  readonly key?: Buffer;
  readonly octets: Buffer;
}

const RUN_HEAD_LEN = KEY_LEN + 2;
const RUN_MAX = 0xffff;

/** Records as runs in pieces of at most `max` octets, each behind a `head`. Those of one node should stand together. */
export function* encodeRuns(
  records: Iterable<Written>,
  max: number,
  head: Buffer = Buffer.alloc(0),
): Generator<Buffer> {
  let runs: Written[][] = [];
  let length = head.length;
  for (const record of records) {
    if (runs.length > 0 && length + record.octets.length + RUN_HEAD_LEN > max) {
      yield written(head, runs, length);
      runs = [];
      length = head.length;
    }
    let run = runs.at(-1);
    if (!run || run[0]?.node !== record.node || run.length === RUN_MAX) {
      run = [];
      runs.push(run);
      length += RUN_HEAD_LEN;
    }
    run.push(record);
    length += record.octets.length;
  }
  if (runs.length > 0) yield written(head, runs, length);
}

function written(head: Buffer, runs: readonly Written[][], length: number): Buffer {
  const octets = Buffer.allocUnsafe(length);
  let at = head.copy(octets);
  for (const run of runs) {
    const [{ node, key = nodeOctets(node) }] = run as [Written];
    at += key.copy(octets, at);
    at = octets.writeUInt16BE(run.length, at);
    for (const record of run) at += record.octets.copy(octets, at);
  }
  return octets;
}

/** As many messages as it takes. @param isComplete see the table above */
export function* encodeRecords(records: Iterable<Written>, isComplete: boolean): Generator<Buffer> {
  const head = start("records", 1);
  head[1] = isComplete ? 1 : 0;
  yield* encodeRuns(records, MESSAGE_MAX, head);
}

export const encodeRoot = (hash: Uint8Array): Buffer => Buffer.concat([start("root", 0), hash]);
export const encodeBuckets = (hashes: readonly Uint8Array[]): Buffer => Buffer.concat([start("buckets", 0), ...hashes]);

/** At most DIGESTS_MAX digests. */
export function encodeVersions(buckets: Iterable<number>, digests: readonly Digest[]): Buffer {
  const message = start("versions", 8 + digests.length * DIGEST_LEN);
  for (const bucket of buckets)
    message[1 + (bucket >> 3)] = (message[1 + (bucket >> 3)] as number) | (1 << (bucket & 7));
  let at = 9;
  for (const { node, version, hash } of digests) {
    nodeOctets(node).copy(message, at);
    message.writeUIntBE(version, at + KEY_LEN, 6);
    hash.copy(message, at + KEY_LEN + 6);
    at += DIGEST_LEN;
  }
  return message;
}

/** At most WANTS_MAX. */
export function encodeWant(wants: readonly Want[]): Buffer {
  const message = start("want", wants.length * WANT_LEN);
  let at = 1;
  for (const { node, since } of wants) {
    nodeOctets(node).copy(message, at);
    message.writeUIntBE(since, at + KEY_LEN, 6);
    at += WANT_LEN;
  }
  return message;
}

export function encodePing(type: "ping" | "pong", number: number): Buffer {
  const message = start(type, 4);
  message.writeUInt32BE(number, 1);
  return message;
}
export function encodeAsk(number: number, node: NodeId): Buffer {
  const message = start("ask", 4 + KEY_LEN);
  message.writeUInt32BE(number, 1);
  nodeOctets(node).copy(message, 5);
  return message;
}
export function encodeAnswer(number: number, heardMs: number): Buffer {
  const message = start("answer", 8);
  message.writeUInt32BE(number, 1);
  message.writeUInt32BE(Math.min(heardMs, NEVER_HEARD), 5);
  return message;
}
export function encodeGoodbye(reason: GoodbyeReason, others: readonly NodeId[] = []): Buffer {
  const message = start("goodbye", 1);
  message[1] = REASONS.indexOf(reason);
  return Buffer.concat([message, ...others.slice(0, OTHERS_MAX).map(nodeOctets)]);
}

const nodeAt = (octets: Buffer, at: number): NodeId => octets.toString("base64url", at, at + KEY_LEN);
const hashAt = (octets: Buffer, at: number): Buffer => octets.subarray(at, at + HASH_LEN);

/** @throws WireError for anything that is not a message, never anything else. What it returns refers to the octets given. */
export function decode(given: Uint8Array): Message {
  const octets = Buffer.from(given.buffer, given.byteOffset, given.byteLength);
  const type = TYPES[(octets[0] ?? 0) - 1];
  if (octets.length > MESSAGE_MAX) throw new WireError(`message of ${octets.length} octets`);
  const fixed = (length: number): void => {
    if (octets.length !== 1 + length) throw new WireError(`${type} of ${octets.length} octets`);
  };
  const count = (head: number, each: number): number => {
    const n = (octets.length - 1 - head) / each;
    if (!Number.isInteger(n) || n < 0) throw new WireError(`${type} of ${octets.length} octets`);
    return n;
  };
  switch (type) {
    case "hello":
      fixed(MAGIC.length + 2 + NETWORK_ID_LEN);
      if (!octets.subarray(1, 5).equals(MAGIC)) throw new WireError("hello of something else");
      return { type, min: octets.readUInt8(5), max: octets.readUInt8(6), networkId: octets.subarray(7) };
    case "records":
      return { type, isComplete: octets[1] === 1, records: decodeRuns(octets, 2) };
    case "root":
      fixed(HASH_LEN);
      return { type, hash: hashAt(octets, 1) };
    case "buckets":
      fixed(BUCKETS * HASH_LEN);
      return { type, hashes: Array.from({ length: BUCKETS }, (_, i) => hashAt(octets, 1 + i * HASH_LEN)) };
    case "versions": {
      const n = count(8, DIGEST_LEN);
      const isSet = (bucket: number): boolean => ((octets[1 + (bucket >> 3)] as number) & (1 << (bucket & 7))) !== 0;
      const buckets = new Set(Array.from({ length: BUCKETS }, (_, i) => i).filter(isSet));
      const digests = Array.from({ length: n }, (_, i) => {
        const at = 9 + i * DIGEST_LEN;
        return {
          node: nodeAt(octets, at),
          version: octets.readUIntBE(at + KEY_LEN, 6),
          hash: hashAt(octets, at + KEY_LEN + 6),
        };
      });
      return { type, buckets, digests };
    }
    case "want": {
      const wants = Array.from({ length: count(0, WANT_LEN) }, (_, i) => {
        const at = 1 + i * WANT_LEN;
        return { node: nodeAt(octets, at), since: octets.readUIntBE(at + KEY_LEN, 6) };
      });
      return { type, wants };
    }
    case "ping":
    case "pong":
      fixed(4);
      return { type, number: octets.readUInt32BE(1) };
    case "ask":
      fixed(4 + KEY_LEN);
      return { type, number: octets.readUInt32BE(1), node: nodeAt(octets, 5) };
    case "answer":
      fixed(8);
      return { type, number: octets.readUInt32BE(1), heardMs: octets.readUInt32BE(5) };
    case "goodbye": {
      const n = count(1, KEY_LEN);
      const reason = REASONS[octets[1] as number];
      if (!reason || n > OTHERS_MAX) throw new WireError(`goodbye of ${octets.length} octets`);
      return { type, reason, others: Array.from({ length: n }, (_, i) => nodeAt(octets, 2 + i * KEY_LEN)) };
    }
    default:
      throw new WireError(`message of type ${octets[0] ?? "none"}`);
  }
}

/** Runs of records up to the end of the octets. @throws WireError */
export function decodeRuns(octets: Buffer, from: number): RawRecord[] {
  const records: RawRecord[] = [];
  let at = from;
  if (at > octets.length) throw new WireError("records without a head");
  while (at < octets.length) {
    if (at + KEY_LEN + 2 > octets.length) throw new WireError("run ends in its head");
    const node = nodeAt(octets, at);
    const n = octets.readUInt16BE(at + KEY_LEN);
    if (n === 0) throw new WireError("run of no records");
    at += KEY_LEN + 2;
    for (let i = 0; i < n; i++) {
      const record = decodeRecord(node, octets, at);
      records.push(record);
      at += record.octets.length;
    }
  }
  return records;
}
