/**
 * One record as it is signed, sent and kept:
 *
 *     version u48 | floor u48 | name length u8 | name | value length u16 | value | signature 64
 *
 * Integers are big-endian. `name` is `kind` or `kind:id`, `value` is JSON, both UTF-8; a value of length 0 means: taken back. The writer is
 * not in it: it is said once in front of all its records (wire.ts). The signature (Ed25519) covers `weft-record-1`, the network id, the
 * writer's public key, and all octets in front of the signature, so that a record means nothing in another network or from another writer.
 *
 * `floor` forgets: what the writer has said in versions below it and not said again since is gone, but for the kinds of which others may
 * have to know when it was said (`isLasting`). It is how records that were taken back stop taking space: everything else that still holds is
 * written anew, the last of it with a greater floor.
 */
import { Compile, type TSchema } from "../typebox.js";
import { KEY_MAX, KINDS, type Kind, VALUE_MAX, type Values } from "./records.js";
import type { NodeId } from "./types.js";
import { WireError } from "./wire-error.js";

export const SIGNATURE_LEN = 64;
export const KEY_LEN = 32;
export const VERSION_MAX = 2 ** 48 - 1;
const HEADER_LEN = 13;
const CONTEXT = Buffer.from("weft-record-1");
/** Printable, and no space at either end: names appear in listings and logs. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f]|^\s|\s$/;
const NODE_ID = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;
const ONCE: ReadonlySet<Kind> = new Set(["node", "links"]);
const ABOUT_NODE: ReadonlySet<Kind> = new Set(["member", "removed"]);

/** What a removed node has said of these up to its removal holds, in the order in which it was said (members.ts, ipam/ring.ts). */
const LASTING: ReadonlySet<string> = new Set<Kind>(["member", "removed", "token", "network", "grant"]);

const checks = new Map(Object.entries(KINDS).map(([kind, schema]) => [kind, Compile(schema as TSchema)]));

/** Looked at no further than it takes to find its parts. Octets belong to the message that it came in. */
export interface RawRecord {
  readonly node: NodeId;
  readonly name: string;
  readonly version: number;
  readonly floor: number;
  /** The whole record, signature included. */
  readonly octets: Buffer;
}

export const isNodeId = (text: string): boolean => NODE_ID.test(text);
export const nodeOctets = (node: NodeId): Buffer => Buffer.from(node, "base64url");
export const nameOf = (kind: Kind, id: string): string => (id === "" ? kind : `${kind}:${id}`);

/** Said once: the first that the writer has said holds, and no later one. */
export const isForGood = (name: string): boolean => ABOUT_NODE.has(kindOf(name) as Kind);
/** No floor forgets it. */
export const isLasting = (name: string): boolean => LASTING.has(kindOf(name));
const kindOf = (name: string): string => name.slice(0, Math.max(0, name.indexOf(":")));

/** @returns undefined for a name that no record of ours has */
export function partsOf(name: string): { kind: Kind; id: string } | undefined {
  const colon = name.indexOf(":");
  const kind = (colon < 0 ? name : name.slice(0, colon)) as Kind;
  const id = colon < 0 ? "" : name.slice(colon + 1);
  if (!Object.hasOwn(KINDS, kind) || ONCE.has(kind) !== colon < 0) return undefined;
  if (colon >= 0 && (id === "" || UNPRINTABLE.test(id) || (ABOUT_NODE.has(kind) && !isNodeId(id)))) return undefined;
  return { kind, id };
}

/** Whether the value may stand under this kind. Admissions and tombstones cannot be taken back. */
export function fits(kind: Kind, value: unknown): boolean {
  return value === null ? !ABOUT_NODE.has(kind) : checks.get(kind)?.Check(value) === true;
}

/** Without its signature. @throws RangeError for what does not fit in */
export function encodeBody(name: string, version: number, floor: number, value: unknown): Buffer {
  const key = Buffer.from(name);
  const json = value === null ? Buffer.alloc(0) : Buffer.from(JSON.stringify(value));
  if (key.length > KEY_MAX) throw new RangeError(`the name ${name} has ${key.length} octets, allowed are ${KEY_MAX}`);
  if (json.length > VALUE_MAX)
    throw new RangeError(`the value of ${name} has ${json.length} octets, allowed are ${VALUE_MAX}`);
  if (version > VERSION_MAX) throw new RangeError("this node has written 2^48 records: it needs a new identity");
  const body = Buffer.alloc(HEADER_LEN + key.length + 2 + json.length);
  body.writeUIntBE(version, 0, 6);
  body.writeUIntBE(floor, 6, 6);
  body.writeUInt8(key.length, 12);
  key.copy(body, HEADER_LEN);
  body.writeUInt16BE(json.length, HEADER_LEN + key.length);
  json.copy(body, HEADER_LEN + key.length + 2);
  return body;
}

/** What the signature of a record covers. @param key of the writer */
export function signedOctets(networkId: Uint8Array, key: Uint8Array, body: Uint8Array): Buffer {
  return Buffer.concat([CONTEXT, networkId, key, body]);
}

/** The record that begins at `at`. @throws WireError */
export function decodeRecord(node: NodeId, octets: Buffer, at: number): RawRecord {
  if (at + HEADER_LEN > octets.length) throw new WireError("record ends in its header");
  const version = octets.readUIntBE(at, 6);
  const floor = octets.readUIntBE(at + 6, 6);
  const keyLength = octets.readUInt8(at + 12);
  if (version === 0 || floor > version) throw new WireError("record of version 0, or with its floor above it");
  if (keyLength === 0 || keyLength > KEY_MAX) throw new WireError(`name of ${keyLength} octets`);
  const valueAt = at + HEADER_LEN + keyLength;
  if (valueAt + 2 > octets.length) throw new WireError("record ends in its name");
  const valueLength = octets.readUInt16BE(valueAt);
  if (valueLength > VALUE_MAX) throw new WireError(`value of ${valueLength} octets`);
  const end = valueAt + 2 + valueLength + SIGNATURE_LEN;
  if (end > octets.length) throw new WireError("record ends in its value");
  const name = octets.toString("utf8", at + HEADER_LEN, valueAt);
  return { node, name, version, floor, octets: octets.subarray(at, end) };
}

export const bodyOf = (octets: Buffer): Buffer => octets.subarray(0, octets.length - SIGNATURE_LEN);
export const signatureOf = (octets: Buffer): Buffer => octets.subarray(octets.length - SIGNATURE_LEN);

/** As octets; without looking at the rest of the records. */
export const compareSignatures = (a: Buffer, b: Buffer): number =>
  a.compare(b, b.length - SIGNATURE_LEN, b.length, a.length - SIGNATURE_LEN, a.length);

/** The value of a whole record. @throws SyntaxError when it is not JSON */
export function recordValue<K extends Kind>(octets: Buffer): Values[K] | null {
  const start = HEADER_LEN + octets.readUInt8(12) + 2;
  const json = octets.toString("utf8", start, octets.length - SIGNATURE_LEN);
  return json === "" ? null : (JSON.parse(json) as Values[K]);
}
export const isTakenBack = (octets: Buffer): boolean => octets.readUInt16BE(HEADER_LEN + octets.readUInt8(12)) === 0;
