/**
 * VXLAN header (RFC 7348 §5).
 *
 *  |R|R|R|R|I|R|R|R|                 reserved                      |   octets 0..3
 *  |             VNI (24 bits)                     |   reserved    |   octets 4..7
 */
import { be32, setBe32 } from "./bytes";

export const HEADER_LEN: u32 = 8;
const FLAG_I: u32 = 0x0800_0000;

/** True when every getter may be used on `len` octets at `p`. Does not judge the flags. */
export function check(p: usize, len: u32): bool {
  return len >= HEADER_LEN;
}
/** I flag: the VNI field is valid. Other bits are ignored on receipt, as §5 asks. */
export function hasVni(p: usize): bool {
  return (be32(p) & FLAG_I) != 0;
}
/** Network identifier, 0..2^24-1. */
export function vni(p: usize): u32 {
  return be32(p + 4) >> 8;
}
/** Writes all eight octets; reserved bits zero. `id` fits 24 bits: the caller has it from the table. */
export function write(p: usize, id: u32): void {
  setBe32(p, FLAG_I);
  setBe32(p + 4, id << 8);
}
