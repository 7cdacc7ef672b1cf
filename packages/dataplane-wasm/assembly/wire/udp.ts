/**
 * UDP header (RFC 768).
 *
 *  | source port (2) | destination port (2) | length (2) | checksum (2) |
 */
import { be16 } from "./bytes";

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
