/**
 * UDP header (RFC 768).
 *
 *  | source port (2) | destination port (2) | length (2) | checksum (2) |
 */
import { be16, setBe16 } from "./bytes";
import * as checksum from "./checksum";

export const HEADER_LEN: u32 = 8;
export const PROTO: u32 = 17;
export const CHECKSUM_OFFSET: u32 = 6;

export function check(p: usize, len: u32): bool {
  return len >= HEADER_LEN;
}
export function srcPort(p: usize): u32 {
  return be16(p);
}
export function dstPort(p: usize): u32 {
  return be16(p + 2);
}
export function length(p: usize): u32 {
  return be16(p + 4);
}
/** Writes a header whose checksum is 0: none (IPv4 only), or to be finished. `len` counts it. */
export function write(p: usize, src: u32, dst: u32, len: u32): void {
  setBe16(p, src);
  setBe16(p + 2, dst);
  setBe16(p + 4, len);
  store<u16>(p, 0, 6);
}
/** Writes the checksum of a datagram over IPv6 (RFC 8200 §8.1) whose field is 0. */
export function finish6(ip: usize, p: usize): void {
  const len = length(p);
  // The pseudo-header: addresses, length, protocol; sums are over little-endian words.
  const head = checksum.sumLe(ip + 8, 32, 0) + <u64>bswap<u16>(<u16>len) + (<u64>PROTO << 8);
  const sum = ~checksum.fold(head + checksum.sumLe(p, len, 0)) & 0xffff;
  store<u16>(p, <u16>(sum == 0 ? 0xffff : sum), 6);
}
