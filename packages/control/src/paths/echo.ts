/**
 * The echo: what two nodes tell each other about the paths between them, sealed by their session.
 *
 * There are two series per peer and direction, one for the direct path and one for the relayed path, each with its own sequence
 * numbers. Every echo says what was last heard of both, so a path is judged by what arrives at its far end, whichever way
 * the news takes. All numbers are big-endian.
 *
 * | octet | length | |
 * |---|---|---|
 * | 0 | 1 | version, 1 |
 * | 1 | 1 | flags: 1 used, 2 answer, 4 deaf, 8 full; others 0 |
 * | 2 | 6 | epoch: milliseconds since 1970 when the sender began |
 * | 8 | 4 | sequence, from 1; `full` echoes are counted apart |
 * | 12 | 6 | sent at: microseconds of the sender's clock |
 * | 18 | 8 | relay it was sent through: first octets of its WireGuard key; 0: direct |
 * | 26 | 2 | size: octets of the IP packet (full) or 0 |
 * | 28 | 2 | MTU found from the sender to the receiver on this kind of path; 0: none yet |
 * | 30 | 14 | heard directly: sequence (4), sent at (6), held (4, microseconds); sequence 0: nothing |
 * | 44 | 14 | heard through a relay: the same |
 * | 58 | 8 | that relay |
 * | 66 | 6 | last full echo heard directly: sequence (4), size (2) |
 * | 72 | 6 | last full echo heard through a relay |
 * | 78 | 18 | where the receiver is seen: IPv6 or IPv4-mapped address (16), port (2); port 0: not known |
 * | 96 | 2 | of 1000 of the receiver's direct echoes, how many were lost |
 * | 98 | 2 | of its relayed ones |
 *
 * What follows is ignored: padding, or what a later version has to add. Another version is not read at all.
 */
import { SocketAddress } from "node:net";
import { parseEndpoint } from "./endpoints.js";

const VERSION = 1;
export const ECHO_BYTES = 100;
const FLAG = { USED: 1, ANSWER: 2, DEAF: 4, FULL: 8 } as const;
const U32 = 2 ** 32 - 1;
const U48 = 2 ** 48;

/** The last echo of a series that was heard. */
export interface Heard {
  readonly sequence: number;
  /** By the clock of who sent it, microseconds modulo 2^48. */
  readonly sentUs: number;
  /** Microseconds between its arrival and this report; at most 2^32-1. */
  readonly heldUs: number;
}

export interface HeardFull {
  readonly sequence: number;
  /** Octets of the IP packet inside the session. */
  readonly bytes: number;
}

export interface Echo {
  /** The sender has sent data to the receiver within 10 s. */
  readonly used: boolean;
  /** An echo on this path is wanted at once. */
  readonly answer: boolean;
  /** The sender has heard nothing on the direct path for three intervals. */
  readonly deaf: boolean;
  /** As long as `bytes`, to try the path's MTU. */
  readonly full: boolean;
  readonly epochMs: number;
  readonly sequence: number;
  readonly sentUs: number;
  /** Tag of the relay; 0n: direct. */
  readonly relay: bigint;
  readonly bytes: number;
  readonly mtu: number;
  readonly direct: Heard | null;
  readonly relayed: Heard | null;
  /** Tag of the relay that `relayed` was sent through. */
  readonly relayedBy: bigint;
  readonly directFull: HeardFull | null;
  readonly relayedFull: HeardFull | null;
  /** Of 1000 echoes of the receiver, those that did not come. */
  readonly directLoss: number;
  readonly relayedLoss: number;
  /** `ADDR:PORT` at which the sender sees the receiver. */
  readonly endpoint: string | null;
}

/** How echoes name a relay: the first 8 octets of its WireGuard key. Never 0n. */
export function tagOf(publicKey: string): bigint {
  return Buffer.from(publicKey, "base64").readBigUInt64BE(0) || 1n;
}

/** ECHO_BYTES octets. Numbers outside of their fields are cut to what fits: durations to the longest, times modulo 2^48. */
export function encodeEcho(echo: Echo): Uint8Array {
  const out = Buffer.alloc(ECHO_BYTES);
  const flags =
    (echo.used ? FLAG.USED : 0) |
    (echo.answer ? FLAG.ANSWER : 0) |
    (echo.deaf ? FLAG.DEAF : 0) |
    (echo.full ? FLAG.FULL : 0);
  out.writeUInt8(VERSION, 0);
  out.writeUInt8(flags, 1);
  out.writeUIntBE(echo.epochMs % U48, 2, 6);
  out.writeUInt32BE(echo.sequence, 8);
  out.writeUIntBE(echo.sentUs % U48, 12, 6);
  out.writeBigUInt64BE(echo.relay, 18);
  out.writeUInt16BE(echo.bytes, 26);
  out.writeUInt16BE(Math.min(echo.mtu, 65_535), 28);
  writeHeard(out, echo.direct, 30);
  writeHeard(out, echo.relayed, 44);
  out.writeBigUInt64BE(echo.relayedBy, 58);
  writeFull(out, echo.directFull, 66);
  writeFull(out, echo.relayedFull, 72);
  if (echo.endpoint !== null) writeEndpoint(out, echo.endpoint, 78);
  out.writeUInt16BE(echo.directLoss, 96);
  out.writeUInt16BE(echo.relayedLoss, 98);
  return out;
}

/** null: too short, or another version. */
export function decodeEcho(payload: Uint8Array): Echo | null {
  if (payload.length < ECHO_BYTES || payload[0] !== VERSION) return null;
  const b = Buffer.from(payload.buffer, payload.byteOffset, payload.length);
  const flags = b.readUInt8(1);
  const sequence = b.readUInt32BE(8);
  if (sequence === 0) return null;
  return {
    used: (flags & FLAG.USED) !== 0,
    answer: (flags & FLAG.ANSWER) !== 0,
    deaf: (flags & FLAG.DEAF) !== 0,
    full: (flags & FLAG.FULL) !== 0,
    epochMs: b.readUIntBE(2, 6),
    sequence,
    sentUs: b.readUIntBE(12, 6),
    relay: b.readBigUInt64BE(18),
    bytes: b.readUInt16BE(26),
    mtu: b.readUInt16BE(28),
    direct: readHeard(b, 30),
    relayed: readHeard(b, 44),
    relayedBy: b.readBigUInt64BE(58),
    directFull: readFull(b, 66),
    relayedFull: readFull(b, 72),
    endpoint: readEndpoint(b, 78),
    directLoss: Math.min(1000, b.readUInt16BE(96)),
    relayedLoss: Math.min(1000, b.readUInt16BE(98)),
  };
}

function writeHeard(out: Buffer, heard: Heard | null, at: number): void {
  if (heard === null) return;
  out.writeUInt32BE(heard.sequence, at);
  out.writeUIntBE(heard.sentUs % U48, at + 4, 6);
  out.writeUInt32BE(Math.min(heard.heldUs, U32), at + 10);
}

function readHeard(b: Buffer, at: number): Heard | null {
  const sequence = b.readUInt32BE(at);
  return sequence === 0 ? null : { sequence, sentUs: b.readUIntBE(at + 4, 6), heldUs: b.readUInt32BE(at + 10) };
}

function writeFull(out: Buffer, heard: HeardFull | null, at: number): void {
  if (heard === null) return;
  out.writeUInt32BE(heard.sequence, at);
  out.writeUInt16BE(heard.bytes, at + 4);
}

function readFull(b: Buffer, at: number): HeardFull | null {
  const sequence = b.readUInt32BE(at);
  return sequence === 0 ? null : { sequence, bytes: b.readUInt16BE(at + 4) };
}

/** An endpoint that cannot be read is left out. */
function writeEndpoint(out: Buffer, endpoint: string, at: number): void {
  const parsed = parseEndpoint(endpoint);
  if (parsed === undefined) return;
  const { address, port } = parsed;
  if (parsed.family === 4) {
    out.writeUInt16BE(0xffff, at + 10);
    for (const [i, octet] of address.split(".").entries()) out.writeUInt8(Number(octet), at + 12 + i);
  } else {
    for (const [i, group] of groupsOf(address).entries()) out.writeUInt16BE(group, at + 2 * i);
  }
  out.writeUInt16BE(port, at + 16);
}

function readEndpoint(b: Buffer, at: number): string | null {
  const port = b.readUInt16BE(at + 16);
  if (port === 0) return null;
  const isMapped = b.readUInt16BE(at + 10) === 0xffff && b.subarray(at, at + 10).every((octet) => octet === 0);
  if (isMapped) return `${b.subarray(at + 12, at + 16).join(".")}:${port}`;
  const groups = Array.from({ length: 8 }, (_, i) => b.readUInt16BE(at + 2 * i).toString(16));
  const { address } = new SocketAddress({ address: groups.join(":"), family: "ipv6" });
  return `[${address}]:${port}`;
}

/** Eight groups of an address that node has parsed. */
function groupsOf(address: string): number[] {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const text = dotted
    ? `${dotted[1]}${hex(Number(dotted[2]), Number(dotted[3]))}:${hex(Number(dotted[4]), Number(dotted[5]))}`
    : address;
  const [head = "", tail] = text.replace(/%.*$/, "").split("::");
  const read = (part: string): number[] =>
    part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16));
  const [left, right] = [read(head), read(tail ?? "")];
  return tail === undefined ? left : [...left, ...Array<number>(8 - left.length - right.length).fill(0), ...right];
}

function hex(high: number, low: number): string {
  return (high * 256 + low).toString(16);
}
