/**
 * Network byte order. Everything outside wire/ works with host-order numbers; only these functions swap.
 *
 * p is any address, aligned or not. No length checks: callers have made them.
 */

/** Two octets as a number. */
export function be16(p: usize): u32 {
  return <u32>bswap<u16>(load<u16>(p));
}
/** Four octets as a number. */
export function be32(p: usize): u32 {
  return bswap<u32>(load<u32>(p));
}
/** Eight octets as a number. */
export function be64(p: usize): u64 {
  return bswap<u64>(load<u64>(p));
}
/** Six octets (a MAC address) as a number below 2^48. */
export function be48(p: usize): u64 {
  return (<u64>be32(p) << 16) | <u64>be16(p + 4);
}
export function setBe16(p: usize, v: u32): void {
  store<u16>(p, bswap<u16>(<u16>v));
}
export function setBe32(p: usize, v: u32): void {
  store<u32>(p, bswap<u32>(v));
}
export function setBe64(p: usize, v: u64): void {
  store<u64>(p, bswap<u64>(v));
}
export function setBe48(p: usize, v: u64): void {
  setBe32(p, <u32>(v >> 16));
  setBe16(p + 4, <u32>v & 0xffff);
}
