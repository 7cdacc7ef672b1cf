/**
 * TCP header (RFC 9293 §3.1).
 *
 *  | source port (2) | destination port (2) | sequence (4) | acknowledgment (4) | offset, flags (2) | window (2) | checksum (2) | urgent (2) | options … |
 */
import { be16 } from "./bytes";

export const HEADER_LEN: u32 = 20;
export const PROTO: u32 = 6;
export const CHECKSUM_OFFSET: u32 = 16;
/** Flags, as bits of the 16-bit word at octet 12. */
export const FIN: u32 = 0x001;
export const PSH: u32 = 0x008;
export const ACK: u32 = 0x010;
export const ECE: u32 = 0x040;
export const CWR: u32 = 0x080;
export const FLAGS: u32 = 0x1ff;

/** True when the header with its options lies in `len` octets. */
export function check(p: usize, len: u32): bool {
  return len >= HEADER_LEN && headerLen(p) >= HEADER_LEN && headerLen(p) <= len;
}
export function srcPort(p: usize): u32 {
  return be16(p);
}
export function dstPort(p: usize): u32 {
  return be16(p + 2);
}
/** Octets of the header with options. */
export function headerLen(p: usize): u32 {
  return (<u32>load<u8>(p, 12) >> 4) << 2;
}
