/**
 * ChaCha20 (RFC 8439 §2.3), four blocks at once, with Poly1305 (§2.5) in the gaps.
 *
 * Each v128 holds one word of the 4 x 4 matrix for four consecutive blocks, so a quarter round needs no shuffles. Rotations by
 * 16 and 8 are byte shuffles with a constant (one instruction), by 12 and 7 two shifts. ChaCha20 keeps the vector units of
 * the processor busy and Poly1305 its integer units: together they take little longer than ChaCha20 alone. The plain twins
 * are in test/models/aead.ts.
 *
 * A call takes 256 octets, whatever they are: no branch and no address depends on key or data.
 */
import { AEAD_H, AEAD_R } from "../abi.gen";
import { LAST, WHOLE, WORD, row } from "./poly1305";

/** Octets of four blocks. */
export const CHUNK: usize = 256;
/** Octets that Poly1305 takes with each double round. */
const PACE: usize = 32;
/** The same with a chunk. */
export const ABSORBED: usize = 10 * PACE;

// @ts-ignore: decorator
@inline
function rotate(x: v128, bits: i32): v128 {
  return v128.or(i32x4.shl(x, bits), i32x4.shr_u(x, 32 - bits));
}

/** Four words of each block: written as four times 16 octets, 64 apart. */
// @ts-ignore: decorator
@inline
function column(from: usize, to: usize, a: v128, b: v128, c: v128, d: v128): void {
  const t0 = v128.shuffle<i32>(a, b, 0, 4, 1, 5);
  const t1 = v128.shuffle<i32>(c, d, 0, 4, 1, 5);
  const t2 = v128.shuffle<i32>(a, b, 2, 6, 3, 7);
  const t3 = v128.shuffle<i32>(c, d, 2, 6, 3, 7);
  v128.store(to, v128.xor(v128.load(from), v128.shuffle<i64>(t0, t1, 0, 2)));
  v128.store(to, v128.xor(v128.load(from, 64), v128.shuffle<i64>(t0, t1, 1, 3)), 64);
  v128.store(to, v128.xor(v128.load(from, 128), v128.shuffle<i64>(t2, t3, 0, 2)), 128);
  v128.store(to, v128.xor(v128.load(from, 192), v128.shuffle<i64>(t2, t3, 1, 3)), 192);
}

/**
 * Makes the next four blocks of key stream and writes 256 octets of `from`, XORed with them, to `to`, which is the same place
 * or far enough from it. Before it writes, it absorbs whole blocks of 16 octets from `mac` up to `end`, but at most ABSORBED.
 *
 * @param s an Aead record; the block counter moves on by four
 * @returns `mac`, moved on by what was absorbed
 */
export function chunk(s: usize, from: usize, to: usize, mac: usize, end: usize): usize {
  const LANES = i32x4(0, 1, 2, 3);
  const by16 = i8x16(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
  const by8 = i8x16(3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14);
  const r0 = load<u64>(s, AEAD_R);
  const r1 = load<u64>(s, AEAD_R + 8);
  const r2 = load<u64>(s, AEAD_R + 16);
  const r3 = load<u64>(s, AEAD_R + 24);
  const s1 = load<u64>(s, AEAD_R + 32);
  const s2 = load<u64>(s, AEAD_R + 40);
  const s3 = load<u64>(s, AEAD_R + 48);
  let h0 = load<u64>(s, AEAD_H);
  let h1 = load<u64>(s, AEAD_H + 8);
  let h2 = load<u64>(s, AEAD_H + 16);
  let h3 = load<u64>(s, AEAD_H + 24);
  let x0 = v128.load32_splat(s);
  let x1 = v128.load32_splat(s, 4);
  let x2 = v128.load32_splat(s, 8);
  let x3 = v128.load32_splat(s, 12);
  let x4 = v128.load32_splat(s, 16);
  let x5 = v128.load32_splat(s, 20);
  let x6 = v128.load32_splat(s, 24);
  let x7 = v128.load32_splat(s, 28);
  let x8 = v128.load32_splat(s, 32);
  let x9 = v128.load32_splat(s, 36);
  let x10 = v128.load32_splat(s, 40);
  let x11 = v128.load32_splat(s, 44);
  let x12 = i32x4.add(v128.load32_splat(s, 48), LANES);
  let x13 = v128.load32_splat(s, 52);
  let x14 = v128.load32_splat(s, 56);
  let x15 = v128.load32_splat(s, 60);
  for (let i = 0; i < 10; i++) {
    // As in poly1305.blocks().
    for (const stop = mac + min(PACE, end - mac); mac != stop; mac += 16) {
      h0 += <u64>load<u32>(mac);
      h1 += <u64>load<u32>(mac, 4);
      h2 += <u64>load<u32>(mac, 8);
      h3 += <u64>load<u32>(mac, 12) + WHOLE;
      const d0 = row(h0, h1, h2, h3, r0, s3, s2, s1);
      const d1 = row(h0, h1, h2, h3, r1, r0, s3, s2) + (d0 >> 32);
      const d2 = row(h0, h1, h2, h3, r2, r1, r0, s3) + (d1 >> 32);
      const d3 = row(h0, h1, h2, h3, r3, r2, r1, r0) + (d2 >> 32);
      h0 = (d0 & WORD) + 5 * (d3 >> 34);
      h1 = d1 & WORD;
      h2 = d2 & WORD;
      h3 = d3 & LAST;
    }
    // The columns of the matrix.
    x0 = i32x4.add(x0, x4);
    x1 = i32x4.add(x1, x5);
    x2 = i32x4.add(x2, x6);
    x3 = i32x4.add(x3, x7);
    x12 = i8x16.swizzle(v128.xor(x12, x0), by16);
    x13 = i8x16.swizzle(v128.xor(x13, x1), by16);
    x14 = i8x16.swizzle(v128.xor(x14, x2), by16);
    x15 = i8x16.swizzle(v128.xor(x15, x3), by16);
    x8 = i32x4.add(x8, x12);
    x9 = i32x4.add(x9, x13);
    x10 = i32x4.add(x10, x14);
    x11 = i32x4.add(x11, x15);
    x4 = rotate(v128.xor(x4, x8), 12);
    x5 = rotate(v128.xor(x5, x9), 12);
    x6 = rotate(v128.xor(x6, x10), 12);
    x7 = rotate(v128.xor(x7, x11), 12);
    x0 = i32x4.add(x0, x4);
    x1 = i32x4.add(x1, x5);
    x2 = i32x4.add(x2, x6);
    x3 = i32x4.add(x3, x7);
    x12 = i8x16.swizzle(v128.xor(x12, x0), by8);
    x13 = i8x16.swizzle(v128.xor(x13, x1), by8);
    x14 = i8x16.swizzle(v128.xor(x14, x2), by8);
    x15 = i8x16.swizzle(v128.xor(x15, x3), by8);
    x8 = i32x4.add(x8, x12);
    x9 = i32x4.add(x9, x13);
    x10 = i32x4.add(x10, x14);
    x11 = i32x4.add(x11, x15);
    x4 = rotate(v128.xor(x4, x8), 7);
    x5 = rotate(v128.xor(x5, x9), 7);
    x6 = rotate(v128.xor(x6, x10), 7);
    x7 = rotate(v128.xor(x7, x11), 7);
    // Its diagonals.
    x0 = i32x4.add(x0, x5);
    x1 = i32x4.add(x1, x6);
    x2 = i32x4.add(x2, x7);
    x3 = i32x4.add(x3, x4);
    x15 = i8x16.swizzle(v128.xor(x15, x0), by16);
    x12 = i8x16.swizzle(v128.xor(x12, x1), by16);
    x13 = i8x16.swizzle(v128.xor(x13, x2), by16);
    x14 = i8x16.swizzle(v128.xor(x14, x3), by16);
    x10 = i32x4.add(x10, x15);
    x11 = i32x4.add(x11, x12);
    x8 = i32x4.add(x8, x13);
    x9 = i32x4.add(x9, x14);
    x5 = rotate(v128.xor(x5, x10), 12);
    x6 = rotate(v128.xor(x6, x11), 12);
    x7 = rotate(v128.xor(x7, x8), 12);
    x4 = rotate(v128.xor(x4, x9), 12);
    x0 = i32x4.add(x0, x5);
    x1 = i32x4.add(x1, x6);
    x2 = i32x4.add(x2, x7);
    x3 = i32x4.add(x3, x4);
    x15 = i8x16.swizzle(v128.xor(x15, x0), by8);
    x12 = i8x16.swizzle(v128.xor(x12, x1), by8);
    x13 = i8x16.swizzle(v128.xor(x13, x2), by8);
    x14 = i8x16.swizzle(v128.xor(x14, x3), by8);
    x10 = i32x4.add(x10, x15);
    x11 = i32x4.add(x11, x12);
    x8 = i32x4.add(x8, x13);
    x9 = i32x4.add(x9, x14);
    x5 = rotate(v128.xor(x5, x10), 7);
    x6 = rotate(v128.xor(x6, x11), 7);
    x7 = rotate(v128.xor(x7, x8), 7);
    x4 = rotate(v128.xor(x4, x9), 7);
  }
  store<u64>(s, h0, AEAD_H);
  store<u64>(s, h1, AEAD_H + 8);
  store<u64>(s, h2, AEAD_H + 16);
  store<u64>(s, h3, AEAD_H + 24);
  x0 = i32x4.add(x0, v128.load32_splat(s));
  x1 = i32x4.add(x1, v128.load32_splat(s, 4));
  x2 = i32x4.add(x2, v128.load32_splat(s, 8));
  x3 = i32x4.add(x3, v128.load32_splat(s, 12));
  column(from, to, x0, x1, x2, x3);
  x4 = i32x4.add(x4, v128.load32_splat(s, 16));
  x5 = i32x4.add(x5, v128.load32_splat(s, 20));
  x6 = i32x4.add(x6, v128.load32_splat(s, 24));
  x7 = i32x4.add(x7, v128.load32_splat(s, 28));
  column(from + 16, to + 16, x4, x5, x6, x7);
  x8 = i32x4.add(x8, v128.load32_splat(s, 32));
  x9 = i32x4.add(x9, v128.load32_splat(s, 36));
  x10 = i32x4.add(x10, v128.load32_splat(s, 40));
  x11 = i32x4.add(x11, v128.load32_splat(s, 44));
  column(from + 32, to + 32, x8, x9, x10, x11);
  x12 = i32x4.add(x12, i32x4.add(v128.load32_splat(s, 48), LANES));
  x13 = i32x4.add(x13, v128.load32_splat(s, 52));
  x14 = i32x4.add(x14, v128.load32_splat(s, 56));
  x15 = i32x4.add(x15, v128.load32_splat(s, 60));
  column(from + 48, to + 48, x12, x13, x14, x15);
  store<u32>(s, load<u32>(s, 48) + 4, 48);
  return mac;
}
