/**
 * The Internet checksum (RFC 1071): one's complement sum of 16-bit words.
 *
 * Sums run over little-endian words and are swapped once at the end: the sum of swapped words is the swapped sum
 * (RFC 1071 §2 (B)).
 *
 * The vector loop lets the multiply-and-add of signed 16-bit lanes add pairs of words (one instruction, where widening
 * unsigned ones takes three): each word w goes in as w - 32,768, and 32,768 per word are added again at the end. A 32-bit lane
 * moves by at most 65,536 a step, so 64 KiB (4,096 steps) stays below 2^29 and needs no carry inside the loop.
 */
import { be32 } from "./bytes";

/** Octets of one step of the loop. */
const STEP: u32 = 64;

/** Sum of `len` ≤ 65,535 octets at `p` plus `seed`, not folded, of little-endian words. */
export function sumLe(p: usize, len: u32, seed: u32): u64 {
  let sum: u64 = seed;
  const end = p + len;
  if (len >= STEP) {
    const bias = i16x8.splat(-32_768);
    const ones = i16x8.splat(1);
    let a = i32x4.splat(0);
    let b = i32x4.splat(0);
    let c = i32x4.splat(0);
    let d = i32x4.splat(0);
    const stop = end - STEP;
    do {
      a = i32x4.add(a, i32x4.dot_i16x8_s(v128.xor(v128.load(p), bias), ones));
      b = i32x4.add(b, i32x4.dot_i16x8_s(v128.xor(v128.load(p, 16), bias), ones));
      c = i32x4.add(c, i32x4.dot_i16x8_s(v128.xor(v128.load(p, 32), bias), ones));
      d = i32x4.add(d, i32x4.dot_i16x8_s(v128.xor(v128.load(p, 48), bias), ones));
      p += STEP;
    } while (p <= stop);
    while (p + 16 <= end) {
      a = i32x4.add(a, i32x4.dot_i16x8_s(v128.xor(v128.load(p), bias), ones));
      p += 16;
    }
    a = i32x4.add(i32x4.add(a, b), i32x4.add(c, d));
    const lanes =
      <i64>i32x4.extract_lane(a, 0) + <i64>i32x4.extract_lane(a, 1) + <i64>i32x4.extract_lane(a, 2) + <i64>i32x4.extract_lane(a, 3);
    // 2^15 for each of the octets / 2 words.
    sum += <u64>(lanes + (<i64>(len & ~15) << 14));
  }
  while (p + 8 <= end) {
    const words = load<u64>(p);
    sum += (words & 0xffff_ffff) + (words >> 32);
    p += 8;
  }
  if (p + 4 <= end) {
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
