/**
 * MAC and IP addresses: from text to the sixteen-octet keys of the tables and back. Every parser answers undefined
 * for what it does not take.
 */
import { isIPv4, isIPv6 } from "node:net";
import type { Key } from "@weft/dataplane-wasm";
import { macText } from "@weft/dataplane-wasm/mac-text";
import ipaddr from "ipaddr.js";

interface Parsed {
  readonly family: 4 | 6;
  /** IPv4 mapped into IPv6. */
  readonly key: Key;
}
export interface Address extends Parsed {
  /** The usual short form. */
  readonly text: string;
}
export interface Prefix extends Parsed {
  /** 0..32 or 0..128. */
  readonly length: number;
}
export interface VtepAddress extends Address {
  readonly port: number;
}

const MAPPED = 0xffff;

export function parseMac(text: unknown): Key | undefined {
  if (typeof text !== "string" || !/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) return undefined;
  const hex = text.replaceAll(":", "");
  return [0, 0, Number.parseInt(hex.slice(0, 4), 16), Number.parseInt(hex.slice(4), 16)];
}
/** True for a MAC that one station can have: not a group address, not zero. */
export function isStation(mac: Key): boolean {
  return (mac[2] & 0x100) === 0 && (mac[2] !== 0 || mac[3] !== 0);
}
export function formatMac(mac: Key): string {
  return macText(mac[2], mac[3]);
}

/** A plain address without zone. An IPv4 address written as `::ffff:…` is refused: it would name one thing twice. */
export function parseAddress(text: unknown): Address | undefined {
  const parsed = parse(text);
  return parsed && { ...parsed, text: parsed.family === 4 ? String(text) : formatAddress(parsed.key) };
}
function parse(text: unknown): Parsed | undefined {
  if (typeof text !== "string") return undefined;
  if (isIPv4(text)) {
    const word = text.split(".").reduce((n, part) => n * 256 + Number(part), 0);
    return { family: 4, key: [0, 0, MAPPED, word] };
  }
  if (!isIPv6(text) || text.includes("%")) return undefined;
  const p = ipaddr.IPv6.parse(text).parts;
  const word = (i: number): number => (((p[i] as number) << 16) | (p[i + 1] as number)) >>> 0;
  const key: Key = [word(0), word(2), word(4), word(6)];
  return isMapped(key) ? undefined : { family: 6, key };
}
function isMapped(key: Key): boolean {
  return key[0] === 0 && key[1] === 0 && key[2] === MAPPED;
}
export function formatAddress(key: Key): string {
  if (isMapped(key)) {
    return [24, 16, 8, 0].map((shift) => (key[3] >>> shift) & 0xff).join(".");
  }
  return new ipaddr.IPv6(key.flatMap((word) => [word >>> 16, word & 0xffff])).toRFC5952String();
}

/** `ADDR/LENGTH`, host part kept: an interface address. */
export function parseCidr(text: unknown): Prefix | undefined {
  if (typeof text !== "string") return undefined;
  const slash = text.indexOf("/");
  const parsed = parse(text.slice(0, slash));
  const digits = text.slice(slash + 1);
  if (slash < 0 || !parsed || !/^\d{1,3}$/.test(digits)) return undefined;
  const length = Number(digits);
  return length > (parsed.family === 4 ? 32 : 128) ? undefined : { ...parsed, length };
}
/** The key with its host part zeroed. */
export function networkKey({ family, key, length }: Prefix): Key {
  const bits = family === 4 ? length + 96 : length;
  const word = (i: 0 | 1 | 2 | 3): number => {
    const keep = Math.min(32, Math.max(0, bits - 32 * i));
    return keep === 0 ? 0 : (key[i] & (0xffff_ffff << (32 - keep))) >>> 0;
  };
  return [word(0), word(1), word(2), word(3)];
}
export function sameKey(a: Key, b: Key): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3];
}
export function covers(prefix: Prefix, { family, key }: Address): boolean {
  return prefix.family === family && sameKey(networkKey(prefix), networkKey({ family, key, length: prefix.length }));
}

/** `ADDR`, `ADDR:PORT` or `[ADDR]:PORT`. */
export function parseVtep(text: unknown, defaultPort: number): VtepAddress | undefined {
  if (typeof text !== "string") return undefined;
  const plain = parseAddress(text);
  if (plain) return { ...plain, port: defaultPort };
  const match = /^(?:\[([^\]]+)\]|([\d.]+)):(\d{1,5})$/.exec(text);
  const address = parseAddress(match?.[1] ?? match?.[2]);
  const port = Number(match?.[3]);
  if (!match || !address || port < 1 || port > 65_535) return undefined;
  if ((match[1] !== undefined) !== (address.family === 6)) return undefined;
  return { ...address, port };
}
