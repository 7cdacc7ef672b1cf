/**
 * IPv6 header and the chain of extension headers (RFC 8200 §3, §4).
 *
 *  |ver| traffic class | flow label (20 bits) | payload length (2) | next header (1) | hop limit (1) | source (16) | destination (16) |
 *
 * p is the first octet. Call check() first.
 */
import { be16, be32, be64, setBe16, setBe32 } from "./bytes";

/** Octets of the longest packet that every link carries (RFC 8200 §5). */
export const MTU_MIN: u32 = 1280;
export const HEADER_LEN: u32 = 40;
export const HOP_BY_HOP: u32 = 0;
export const ROUTING: u32 = 43;
export const FRAGMENT: u32 = 44;
export const AUTH: u32 = 51;
export const DEST_OPTIONS: u32 = 60;
export const NO_NEXT: u32 = 59;
/** More extension headers than this is an attack on the parser, not traffic (RFC 8504 §5.3 allows a limit). */
export const CHAIN_MAX: u32 = 8;

/** True when `len` octets at `p` hold an IPv6 header whose payload length fits. */
export function check(p: usize, len: u32): bool {
  return len >= HEADER_LEN && load<u8>(p) >> 4 == 6 && HEADER_LEN + payloadLen(p) <= len;
}
export function trafficClass(p: usize): u32 {
  return (be16(p) >> 4) & 0xff;
}
export function payloadLen(p: usize): u32 {
  return be16(p + 4);
}
export function nextHeader(p: usize): u32 {
  return load<u8>(p, 6);
}
export function srcHi(p: usize): u64 {
  return be64(p + 8);
}
export function srcLo(p: usize): u64 {
  return be64(p + 16);
}
export function dstHi(p: usize): u64 {
  return be64(p + 24);
}
export function dstLo(p: usize): u64 {
  return be64(p + 32);
}
export function setTrafficClass(p: usize, value: u32): void {
  setBe32(p, (be32(p) & 0xf00f_ffff) | (value << 20));
}
/** Hop limit of neighbour discovery: only a station of the same link can have sent it (RFC 4861 §7.1). */
export const LINK_HOPS: u32 = 255;
export function hopLimit(p: usize): u32 {
  return load<u8>(p, 7);
}
export function setHopLimit(p: usize, value: u32): void {
  store<u8>(p, <u8>value, 7);
}
/** Writes a header, hop limit 64. Addresses: 16 octets each at `src` and `dst`. */
export function write(p: usize, trafficClass: u32, flowLabel: u32, payload: u32, next: u32, src: usize, dst: usize): void {
  setBe32(p, 0x6000_0000 | (trafficClass << 20) | flowLabel);
  setBe16(p + 4, payload);
  store<u8>(p, <u8>next, 6);
  store<u8>(p, 64, 7);
  v128.store(p + 8, v128.load(src));
  v128.store(p + 24, v128.load(dst));
}
/** True for extension headers that have a next one. */
export function isExtension(kind: u32): bool {
  return kind == HOP_BY_HOP || kind == DEST_OPTIONS || kind == ROUTING || kind == FRAGMENT || kind == AUTH;
}
/** Octets of the extension header `kind` at `p`; the first two octets must be readable. */
export function extensionLen(p: usize, kind: u32): u32 {
  if (kind == FRAGMENT) return 8;
  const units = <u32>load<u8>(p, 1);
  return kind == AUTH ? (units + 2) << 2 : (units + 1) << 3;
}
/** Offset of a fragment header's fragment, in units of 8 octets. */
export function fragmentOffset(p: usize): u32 {
  return be16(p + 2) >> 3;
}
/** More fragments follow. */
export function moreFragments(p: usize): bool {
  return (load<u8>(p, 3) & 1) != 0;
}
