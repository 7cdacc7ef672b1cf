/**
 * The Internet checksum (RFC 1071): one's complement sum of 16-bit words.
 *
 * Sums run over little-endian words and are swapped once at the end: the sum of swapped words is the swapped sum
 * (RFC 1071 §2 (B)). The vector loop adds pairs of 16-bit lanes into 32-bit lanes (extadd_pairwise); a lane grows by at
 * most 2 · 65,535 a step, so 64 KiB (4,096 steps) stays below 2^30 and needs no carry inside the loop.
 */
import { be32 } from "./bytes";

/** Sum of `len` ≤ 65,535 octets at `p` plus `seed`, not folded, of little-endian words. */
export function sumLe(p: usize, len: u32, seed: u32): u64 {
  let sum: u64 = seed;
  const end = p + len;
  if (len >= 64) {
    let a = i32x4.splat(0);
    let b = i32x4.splat(0);
    const stop = end - 32;
    while (p <= stop) {
      a = i32x4.add(a, i32x4.extadd_pairwise_i16x8_u(v128.load(p)));
      b = i32x4.add(b, i32x4.extadd_pairwise_i16x8_u(v128.load(p, 16)));
      p += 32;
    }
    a = i32x4.add(a, b);
    sum +=
      <u64>(<u32>i32x4.extract_lane(a, 0)) + <u64>(<u32>i32x4.extract_lane(a, 1)) +
      <u64>(<u32>i32x4.extract_lane(a, 2)) + <u64>(<u32>i32x4.extract_lane(a, 3));
  }
  while (p + 4 <= end) {
    sum += load<u32>(p);
    p += 4;
  }
  if (p + 2 <= end) {
    sum += load<u16>(p);
    p += 2;
  }
  if (p < end) sum += load<u8>(p);
  return sum;
}

/** Folds to 16 bits, carries added back. */
export function fold(sum: u64): u32 {
  sum = (sum & 0xffff_ffff) + (sum >> 32);
  sum = (sum & 0xffff_ffff) + (sum >> 32);
  const s = <u32>((sum & 0xffff) + (sum >> 16));
  return (s & 0xffff) + (s >> 16);
}

/** Folded sum of `len` octets at `p` in host order: 0xffff for a packet whose checksum is right. */
export function sum(p: usize, len: u32): u32 {
  return <u32>bswap<u16>(<u16>fold(sumLe(p, len, 0)));
}

/** Folded sum of the TCP or UDP pseudo-header (RFC 9293 §3.1), host order. `l4Len` counts the L4 header too. */
export function pseudo4(ip: usize, proto: u32, l4Len: u32): u32 {
  const src = be32(ip + 12);
  const dst = be32(ip + 16);
  return fold(<u64>src + <u64>dst + <u64>proto + <u64>l4Len);
}

/** The same over IPv6 (RFC 8200 §8.1). */
export function pseudo6(ip: usize, proto: u32, l4Len: u32): u32 {
  let sum: u64 = <u64>proto + <u64>l4Len;
  for (let i: usize = 8; i < 40; i += 4) sum += be32(ip + i);
  return fold(sum);
}

/**
 * Finishes a checksum that the kernel left open (NEEDS_CSUM): the field at `start + offset` holds the folded
 * pseudo-header sum and is itself part of the range. UDP's 0 becomes 0xffff, TCP's does not (RFC 768).
 */
export function finish(frame: usize, frameLen: u32, start: u32, offset: u32): void {
  let sum = ~fold(sumLe(frame + start, frameLen - start, 0)) & 0xffff;
  if (sum == 0 && offset == 6) sum = 0xffff;
  store<u16>(frame + start + offset, <u16>sum);
}
