/**
 * The inner loop of ChaCha20-Poly1305: four blocks of ChaCha20 (RFC 8439 §2.3) at once, and Poly1305 (§2.5) in the gaps.
 *
 * Each v128 holds one word of the 4 x 4 matrix for four consecutive blocks, so a quarter round needs no shuffles. Between
 * two double rounds two blocks of Poly1305 are absorbed: their multiplications run on the integer units of a processor
 * while ChaCha20 keeps the vector units busy. Rotations by 16 and 8 are byte shuffles with a constant (one instruction), by
 * 12 and 7 two shifts. The plain twin is test/models/aead.ts.
 *
 * A call takes 256 octets, whatever they are: no branch and no address depends on key or data.
 */
import { AEAD_H, AEAD_R, AEAD_R2 } from "../abi.gen";
import { LIMB, WHOLE } from "./poly1305";

/** Octets of four blocks. */
export const CHUNK: usize = 256;

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
 * Makes the next four blocks of key stream and writes 256 octets of `from`, XORed with them, to `to`; absorbs up to 320
 * octets at `mac`, 32 at a time while `mac` is below `end`. All of `mac` is read before `to` is written.
 *
 * @param s an Aead record; its block counter moves on by four
 * @returns `mac`, moved on
 */
export function chunk(s: usize, from: usize, to: usize, mac: usize, end: usize): usize {
  const LANES = i32x4(0, 1, 2, 3);
  const by16 = i8x16(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
  const by8 = i8x16(3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14);
  let h0 = load<u64>(s, AEAD_H);
  let h1 = load<u64>(s, AEAD_H + 8);
  let h2 = load<u64>(s, AEAD_H + 16);
  let h3 = load<u64>(s, AEAD_H + 24);
  let h4 = load<u64>(s, AEAD_H + 32);
  // r and its square; with s: five times a limb.
  const r0 = load<u64>(s, AEAD_R);
  const r1 = load<u64>(s, AEAD_R + 8);
  const r2 = load<u64>(s, AEAD_R + 16);
  const r3 = load<u64>(s, AEAD_R + 24);
  const r4 = load<u64>(s, AEAD_R + 32);
  const rs1 = load<u64>(s, AEAD_R + 40);
  const rs2 = load<u64>(s, AEAD_R + 48);
  const rs3 = load<u64>(s, AEAD_R + 56);
  const rs4 = load<u64>(s, AEAD_R + 64);
  const q0 = load<u64>(s, AEAD_R2);
  const q1 = load<u64>(s, AEAD_R2 + 8);
  const q2 = load<u64>(s, AEAD_R2 + 16);
  const q3 = load<u64>(s, AEAD_R2 + 24);
  const q4 = load<u64>(s, AEAD_R2 + 32);
  const qs1 = load<u64>(s, AEAD_R2 + 40);
  const qs2 = load<u64>(s, AEAD_R2 + 48);
  const qs3 = load<u64>(s, AEAD_R2 + 56);
  const qs4 = load<u64>(s, AEAD_R2 + 64);
  let x0 = v128.load32_splat(s);
  let x1 = v128.load32_splat(s + 4);
  let x2 = v128.load32_splat(s + 8);
  let x3 = v128.load32_splat(s + 12);
  let x4 = v128.load32_splat(s + 16);
  let x5 = v128.load32_splat(s + 20);
  let x6 = v128.load32_splat(s + 24);
  let x7 = v128.load32_splat(s + 28);
  let x8 = v128.load32_splat(s + 32);
  let x9 = v128.load32_splat(s + 36);
  let x10 = v128.load32_splat(s + 40);
  let x11 = v128.load32_splat(s + 44);
  let x12 = i32x4.add(v128.load32_splat(s + 48), LANES);
  let x13 = v128.load32_splat(s + 52);
  let x14 = v128.load32_splat(s + 56);
  let x15 = v128.load32_splat(s + 60);
  for (let i = 0; i < 10; i++) {
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
    x4 = v128.xor(x4, x8);
    x5 = v128.xor(x5, x9);
    x6 = v128.xor(x6, x10);
    x7 = v128.xor(x7, x11);
    x4 = v128.or(i32x4.shl(x4, 12), i32x4.shr_u(x4, 20));
    x5 = v128.or(i32x4.shl(x5, 12), i32x4.shr_u(x5, 20));
    x6 = v128.or(i32x4.shl(x6, 12), i32x4.shr_u(x6, 20));
    x7 = v128.or(i32x4.shl(x7, 12), i32x4.shr_u(x7, 20));
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
    x4 = v128.xor(x4, x8);
    x5 = v128.xor(x5, x9);
    x6 = v128.xor(x6, x10);
    x7 = v128.xor(x7, x11);
    x4 = v128.or(i32x4.shl(x4, 7), i32x4.shr_u(x4, 25));
    x5 = v128.or(i32x4.shl(x5, 7), i32x4.shr_u(x5, 25));
    x6 = v128.or(i32x4.shl(x6, 7), i32x4.shr_u(x6, 25));
    x7 = v128.or(i32x4.shl(x7, 7), i32x4.shr_u(x7, 25));
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
    x5 = v128.xor(x5, x10);
    x6 = v128.xor(x6, x11);
    x7 = v128.xor(x7, x8);
    x4 = v128.xor(x4, x9);
    x5 = v128.or(i32x4.shl(x5, 12), i32x4.shr_u(x5, 20));
    x6 = v128.or(i32x4.shl(x6, 12), i32x4.shr_u(x6, 20));
    x7 = v128.or(i32x4.shl(x7, 12), i32x4.shr_u(x7, 20));
    x4 = v128.or(i32x4.shl(x4, 12), i32x4.shr_u(x4, 20));
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
    x5 = v128.xor(x5, x10);
    x6 = v128.xor(x6, x11);
    x7 = v128.xor(x7, x8);
    x4 = v128.xor(x4, x9);
    x5 = v128.or(i32x4.shl(x5, 7), i32x4.shr_u(x5, 25));
    x6 = v128.or(i32x4.shl(x6, 7), i32x4.shr_u(x6, 25));
    x7 = v128.or(i32x4.shl(x7, 7), i32x4.shr_u(x7, 25));
    x4 = v128.or(i32x4.shl(x4, 7), i32x4.shr_u(x4, 25));
    if (mac < end) {
      let lo = load<u64>(mac);
      let hi = load<u64>(mac, 8);
      h0 += lo & LIMB;
      h1 += (lo >> 26) & LIMB;
      h2 += ((lo >> 52) | (hi << 12)) & LIMB;
      h3 += (hi >> 14) & LIMB;
      h4 += (hi >> 40) + WHOLE;
      lo = load<u64>(mac, 16);
      hi = load<u64>(mac, 24);
      const m0 = lo & LIMB;
      const m1 = (lo >> 26) & LIMB;
      const m2 = ((lo >> 52) | (hi << 12)) & LIMB;
      const m3 = (hi >> 14) & LIMB;
      const m4 = (hi >> 40) + WHOLE;
      let d0 = h0 * q0 + h1 * qs4 + h2 * qs3 + h3 * qs2 + h4 * qs1;
      d0 += m0 * r0 + m1 * rs4 + m2 * rs3 + m3 * rs2 + m4 * rs1;
      let d1 = h0 * q1 + h1 * q0 + h2 * qs4 + h3 * qs3 + h4 * qs2;
      d1 += m0 * r1 + m1 * r0 + m2 * rs4 + m3 * rs3 + m4 * rs2;
      let d2 = h0 * q2 + h1 * q1 + h2 * q0 + h3 * qs4 + h4 * qs3;
      d2 += m0 * r2 + m1 * r1 + m2 * r0 + m3 * rs4 + m4 * rs3;
      let d3 = h0 * q3 + h1 * q2 + h2 * q1 + h3 * q0 + h4 * qs4;
      d3 += m0 * r3 + m1 * r2 + m2 * r1 + m3 * r0 + m4 * rs4;
      let d4 = h0 * q4 + h1 * q3 + h2 * q2 + h3 * q1 + h4 * q0;
      d4 += m0 * r4 + m1 * r3 + m2 * r2 + m3 * r1 + m4 * r0;
      d1 += d0 >> 26;
      d2 += d1 >> 26;
      d3 += d2 >> 26;
      d4 += d3 >> 26;
      h0 = (d0 & LIMB) + 5 * (d4 >> 26);
      h1 = (d1 & LIMB) + (h0 >> 26);
      h0 &= LIMB;
      h2 = d2 & LIMB;
      h3 = d3 & LIMB;
      h4 = d4 & LIMB;
      mac += 32;
    }
  }
  x0 = i32x4.add(x0, v128.load32_splat(s));
  x1 = i32x4.add(x1, v128.load32_splat(s + 4));
  x2 = i32x4.add(x2, v128.load32_splat(s + 8));
  x3 = i32x4.add(x3, v128.load32_splat(s + 12));
  x4 = i32x4.add(x4, v128.load32_splat(s + 16));
  x5 = i32x4.add(x5, v128.load32_splat(s + 20));
  x6 = i32x4.add(x6, v128.load32_splat(s + 24));
  x7 = i32x4.add(x7, v128.load32_splat(s + 28));
  x8 = i32x4.add(x8, v128.load32_splat(s + 32));
  x9 = i32x4.add(x9, v128.load32_splat(s + 36));
  x10 = i32x4.add(x10, v128.load32_splat(s + 40));
  x11 = i32x4.add(x11, v128.load32_splat(s + 44));
  x12 = i32x4.add(x12, i32x4.add(v128.load32_splat(s + 48), LANES));
  x13 = i32x4.add(x13, v128.load32_splat(s + 52));
  x14 = i32x4.add(x14, v128.load32_splat(s + 56));
  x15 = i32x4.add(x15, v128.load32_splat(s + 60));
  column(from, to, x0, x1, x2, x3);
  column(from + 16, to + 16, x4, x5, x6, x7);
  column(from + 32, to + 32, x8, x9, x10, x11);
  column(from + 48, to + 48, x12, x13, x14, x15);
  store<u32>(s, load<u32>(s, 48) + 4, 48);
  store<u64>(s, h0, AEAD_H);
  store<u64>(s, h1, AEAD_H + 8);
  store<u64>(s, h2, AEAD_H + 16);
  store<u64>(s, h3, AEAD_H + 24);
  store<u64>(s, h4, AEAD_H + 32);
  return mac;
}
