/**
 * IPv4 header (RFC 791 §3.1).
 *
 *  |ver| IHL | TOS (1) | total length (2) | id (2) | flags, fragment offset (2) | TTL (1) | proto (1) | checksum (2) |
 *  | source (4) | destination (4) | options … |
 *
 * p is the first octet. Call check() first: after it no getter reads past `len`.
 */
import { be16, be32, setBe16 } from "./bytes";
import * as checksum from "./checksum";

export const HEADER_LEN: u32 = 20;

/** True when `len` octets at `p` hold a whole IPv4 header whose total length fits. */
export function check(p: usize, len: u32): bool {
  if (len < HEADER_LEN) return false;
  if (load<u8>(p) >> 4 != 4) return false;
  const header = headerLen(p);
  const total = totalLen(p);
  return header >= HEADER_LEN && header <= total && total <= len;
}
/** Octets of the header with options. */
export function headerLen(p: usize): u32 {
  return (<u32>load<u8>(p) & 15) << 2;
}
export function tos(p: usize): u32 {
  return load<u8>(p, 1);
}
/** Octets of the whole packet. */
export function totalLen(p: usize): u32 {
  return be16(p + 2);
}
/** True for every part of a fragmented packet (MF or an offset). */
export function isFragment(p: usize): bool {
  return (be16(p + 6) & 0x3fff) != 0;
}
/** Offset of this fragment in units of 8 octets. */
export function fragmentOffset(p: usize): u32 {
  return be16(p + 6) & 0x1fff;
}
export function proto(p: usize): u32 {
  return load<u8>(p, 9);
}
export function src(p: usize): u32 {
  return be32(p + 12);
}
export function dst(p: usize): u32 {
  return be32(p + 16);
}
/** True when the header's checksum is right. */
export function isSound(p: usize): bool {
  return checksum.sum(p, headerLen(p)) == 0xffff;
}
/** Writes a header without options, not to be fragmented, TTL 64. Addresses are in network order. */
export function write(p: usize, tos: u32, total: u32, proto: u32, src: u32, dst: u32): void {
  store<u16>(p, <u16>(0x45 | (tos << 8)));
  setBe16(p + 2, total);
  store<u32>(p, 0x0040_0000, 4);
  store<u32>(p, 64 | (proto << 8), 8);
  store<u32>(p, src, 12);
  store<u32>(p, dst, 16);
  store<u16>(p, <u16>~checksum.fold(checksum.sumLe(p, HEADER_LEN, 0)), 10);
}
/** Replaces TOS and corrects the header checksum by the difference (RFC 1624 §3 eqn. 3). */
export function setTos(p: usize, value: u32): void {
  const before = be16(p);
  const after = (before & 0xff00) | value;
  let sum = (~be16(p + 10) & 0xffff) + (~before & 0xffff) + after;
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  setBe16(p + 10, ~sum & 0xffff);
  store<u8>(p, <u8>value, 1);
}
