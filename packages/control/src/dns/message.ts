/**
 * DNS messages as far as a server needs them (RFC 1035 §4, RFC 6891): what is asked, and an answer to it. The question is copied
 * octet for octet, so that a resolver finds it again whatever is in it; records are written by dns-packet.
 */
import { type Answer, encode } from "dns-packet";

export const RCODE = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5, BADVERS: 16 } as const;
export const CLASS_IN = 1;
/** Octets of a header. */
export const HEADER = 12;
/** Octets that every resolver takes over UDP, and that this server sends at most (DNS flag day 2020). */
const UDP_MIN = 512;
export const UDP_MAX = 1232;
const QUESTION_MAX = 255 + 4;
const TYPE_OPT = 41;
const TYPES: Record<number, string> = { 1: "A", 6: "SOA", 12: "PTR", 28: "AAAA", 33: "SRV", 252: "AXFR", 255: "ANY" };
const FLAG = {
  response: 0x8000,
  authoritative: 0x0400,
  truncated: 0x0200,
  recursionDesired: 0x0100,
  available: 0x0080,
};
/** Recursion desired and checking disabled are said back. */
const COPIED = 0x0110;

export interface Query {
  readonly id: number;
  readonly flags: number;
  readonly opcode: number;
  readonly recursionDesired: boolean;
  /** Octets of the question, with type and class; empty when there is not exactly one. */
  readonly question: Buffer;
  /** Without a final dot, octets outside of printable ASCII and dots in labels as `\DDD`. */
  readonly name: string;
  /** `A`, or `TYPE65` for what this server has no name for. */
  readonly type: string;
  readonly class: number;
  /** EDNS; null: none. */
  readonly edns: { readonly udpSize: number; readonly version: number } | null;
}

/** @returns undefined for what is no query: nothing is answered; a query with no question for one that cannot be read. */
export function parseQuery(message: Buffer): Query | undefined {
  if (message.length < HEADER) return undefined;
  const flags = message.readUInt16BE(2);
  if ((flags & FLAG.response) !== 0) return undefined;
  const base = {
    id: message.readUInt16BE(0),
    flags,
    opcode: (flags >> 11) & 15,
    recursionDesired: (flags & FLAG.recursionDesired) !== 0,
  };
  const unreadable = { ...base, question: Buffer.alloc(0), name: "", type: "", class: 0, edns: null };
  const [questions, answers, authorities, additionals] = [4, 6, 8, 10].map((at) => message.readUInt16BE(at));
  if (questions !== 1) return unreadable;
  const question = questionOf(message);
  if (question === undefined) return unreadable;
  // A query has no other records; an OPT is looked for behind the question only.
  const edns =
    (answers ?? 0) + (authorities ?? 0) === 0
      ? ednsOf(message, HEADER + question.octets.length, additionals ?? 0)
      : null;
  if (edns === undefined) return unreadable;
  const type = question.octets.readUInt16BE(question.octets.length - 4);
  return {
    ...base,
    question: question.octets,
    name: question.name,
    type: TYPES[type] ?? `TYPE${type}`,
    class: question.octets.readUInt16BE(question.octets.length - 2),
    edns,
  };
}

/** The first question: its octets and name. A question has nothing before it that a pointer could mean. */
export function questionOf(message: Buffer): { readonly octets: Buffer; readonly name: string } | undefined {
  const labels: string[] = [];
  let at = HEADER;
  for (;;) {
    const length = message[at];
    if (length === undefined || length > 63) return undefined;
    at++;
    if (length === 0) break;
    if (at + length > message.length || at + length - HEADER > 254) return undefined;
    const label = message.subarray(at, at + length);
    labels.push(Array.from(label, shown).join(""));
    at += length;
  }
  const end = at + 4;
  if (end > message.length || end - HEADER > QUESTION_MAX) return undefined;
  return { octets: message.subarray(HEADER, end), name: labels.join(".") };
}

function shown(octet: number): string {
  const isPlain = octet > 0x20 && octet < 0x7f && octet !== 0x2e && octet !== 0x5c;
  return isPlain ? String.fromCharCode(octet) : `\\${String(octet).padStart(3, "0")}`;
}

/** The OPT record among the additional ones; null: there is none; undefined: they cannot be read, or there are two. */
function ednsOf(message: Buffer, start: number, count: number): Query["edns"] | undefined {
  let edns: Query["edns"] = null;
  let at = start;
  for (let i = 0; i < count; i++) {
    const name = skipName(message, at);
    if (name === undefined || name + 10 > message.length) return undefined;
    const end = name + 10 + message.readUInt16BE(name + 8);
    if (end > message.length) return undefined;
    if (message.readUInt16BE(name) === TYPE_OPT) {
      if (edns !== null || name !== at + 1) return undefined;
      edns = { udpSize: Math.max(UDP_MIN, message.readUInt16BE(name + 2)), version: message[name + 5] as number };
    }
    at = end;
  }
  return edns;
}

function skipName(message: Buffer, start: number): number | undefined {
  for (let at = start; at < message.length; ) {
    const length = message[at] as number;
    if (length === 0) return at + 1;
    if (length >= 0xc0) return at + 2;
    if (length > 63) return undefined;
    at += length + 1;
  }
  return undefined;
}

export interface Reply {
  readonly rcode: number;
  readonly isAuthoritative?: boolean;
  readonly answers?: Answer[];
  readonly authorities?: Answer[];
}

/**
 * An answer to a query. Over UDP one that is longer than the asker takes has no records, and is marked: it asks again over TCP.
 */
export function encodeReply(query: Query, reply: Reply, transport: "udp" | "tcp"): Buffer {
  const { answers = [], authorities = [] } = reply;
  const records = encode({ type: "response", answers, authorities }).subarray(HEADER);
  const most = transport === "tcp" ? 65_535 : Math.min(query.edns?.udpSize ?? UDP_MIN, UDP_MAX);
  const opt = query.edns === null ? Buffer.alloc(0) : optRecord(reply.rcode);
  const fits = HEADER + query.question.length + records.length + opt.length <= most;
  const header = Buffer.alloc(HEADER);
  header.writeUInt16BE(query.id, 0);
  const flags =
    FLAG.response |
    (query.flags & (0x7800 | COPIED)) |
    FLAG.available |
    (reply.isAuthoritative ? FLAG.authoritative : 0) |
    (fits ? 0 : FLAG.truncated) |
    (reply.rcode & 15);
  header.writeUInt16BE(flags, 2);
  header.writeUInt16BE(query.question.length > 0 ? 1 : 0, 4);
  header.writeUInt16BE(fits ? answers.length : 0, 6);
  header.writeUInt16BE(fits ? authorities.length : 0, 8);
  header.writeUInt16BE(opt.length > 0 ? 1 : 0, 10);
  return Buffer.concat([header, query.question, ...(fits ? [records] : []), opt]);
}

/** RFC 6891 §6.1: the class is what we take over UDP, the first octet of the TTL the upper part of the rcode. */
function optRecord(rcode: number): Buffer {
  const opt = Buffer.alloc(11);
  opt.writeUInt16BE(TYPE_OPT, 1);
  opt.writeUInt16BE(UDP_MAX, 3);
  opt[5] = rcode >> 4;
  return opt;
}

/** An answer from upstream with the asker's own id. */
export function withId(message: Buffer, id: number): Buffer {
  const copy = Buffer.from(message);
  copy.writeUInt16BE(id, 0);
  return copy;
}

/** Whether a message is the answer to what was asked under an id: letters may differ in case. */
export function answers(message: Buffer, id: number, question: Buffer): boolean {
  if (message.length < HEADER + question.length || message.readUInt16BE(0) !== id) return false;
  if ((message.readUInt16BE(2) & FLAG.response) === 0 || message.readUInt16BE(4) !== 1) return false;
  const said = message
    .subarray(HEADER, HEADER + question.length)
    .toString("latin1")
    .toLowerCase();
  return said === question.toString("latin1").toLowerCase();
}
