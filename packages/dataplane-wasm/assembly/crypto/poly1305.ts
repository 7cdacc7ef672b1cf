/**
 * Poly1305 (RFC 8439 §2.5): a one-time authenticator over 16-octet blocks, modulo 2^130 - 5.
 *
 * Numbers are four limbs of 32 bits in u64; the last one of the sum has 34. Clamping makes r small enough for that: its limbs
 * are below 2^28, and all but the first are multiples of 4, so that what goes beyond 2^128 comes back times 5/4, a whole
 * number. Sixteen products for a block, where limbs of 26 bits take 25. Nothing depends on the data but the numbers: no
 * branch, no address.
 *
 * Before a product the limbs of the sum are below 3.25, 2, 2 and 6 times 2^32. The largest row, the first, is then below
 * (3.25 + 1.25 (2 + 2 + 6)) 2^60 < 2^64.
 *
 * The state lies in memory: Aead in abi/structs.ts. Long messages are absorbed by chunk() in chacha20.ts.
 */
import { AEAD_ADDEND, AEAD_H, AEAD_R } from "../abi.gen";

/** A limb. */
export const WORD: u64 = 0xffff_ffff;
/** The last limb of the sum. */
export const LAST: u64 = 0x3_ffff_ffff;
/** 2^128 in the last limb: the octet 1 behind a whole block. */
export const WHOLE: u64 = 1 << 32;

/** One row of the product of two numbers. */
// @ts-ignore: decorator
@inline
export function row(h0: u64, h1: u64, h2: u64, h3: u64, a: u64, b: u64, c: u64, d: u64): u64 {
  return h0 * a + h1 * b + (h2 * c + h3 * d);
}

/** Takes the 32 octets of a one-time key and starts at 0. */
export function begin(s: usize, key: usize): void {
  const r1 = <u64>load<u32>(key, 4) & 0x0fff_fffc;
  const r2 = <u64>load<u32>(key, 8) & 0x0fff_fffc;
  const r3 = <u64>load<u32>(key, 12) & 0x0fff_fffc;
  store<u64>(s, <u64>load<u32>(key) & 0x0fff_ffff, AEAD_R);
  store<u64>(s, r1, AEAD_R + 8);
  store<u64>(s, r2, AEAD_R + 16);
  store<u64>(s, r3, AEAD_R + 24);
  store<u64>(s, r1 + (r1 >> 2), AEAD_R + 32);
  store<u64>(s, r2 + (r2 >> 2), AEAD_R + 40);
  store<u64>(s, r3 + (r3 >> 2), AEAD_R + 48);
  v128.store(s, i64x2.splat(0), AEAD_H);
  v128.store(s, i64x2.splat(0), AEAD_H + 16);
  v128.store(s, v128.load(key, 16), AEAD_ADDEND);
}

/** Blocks of 16 octets from `p` to `end`. `top` is WHOLE; 0 for a last block that carries its 1 itself. */
export function blocks(s: usize, p: usize, end: usize, top: u64): void {
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
  for (; p != end; p += 16) {
    h0 += <u64>load<u32>(p);
    h1 += <u64>load<u32>(p, 4);
    h2 += <u64>load<u32>(p, 8);
    h3 += <u64>load<u32>(p, 12) + top;
    const d0 = row(h0, h1, h2, h3, r0, s3, s2, s1);
    const d1 = row(h0, h1, h2, h3, r1, r0, s3, s2) + (d0 >> 32);
    const d2 = row(h0, h1, h2, h3, r2, r1, r0, s3) + (d1 >> 32);
    const d3 = row(h0, h1, h2, h3, r3, r2, r1, r0) + (d2 >> 32);
    h0 = (d0 & WORD) + 5 * (d3 >> 34);
    h1 = d1 & WORD;
    h2 = d2 & WORD;
    h3 = d3 & LAST;
  }
  store<u64>(s, h0, AEAD_H);
  store<u64>(s, h1, AEAD_H + 8);
  store<u64>(s, h2, AEAD_H + 16);
  store<u64>(s, h3, AEAD_H + 24);
}

/** Writes the 16 octets of the tag. */
export function finish(s: usize, tag: usize): void {
  let h0 = load<u64>(s, AEAD_H);
  let h1 = load<u64>(s, AEAD_H + 8);
  let h2 = load<u64>(s, AEAD_H + 16);
  let h3 = load<u64>(s, AEAD_H + 24);
  // Twice around: what comes back to the first limb may make it longer than a word.
  for (let i = 0; i < 2; i++) {
    h1 += h0 >> 32;
    h2 += h1 >> 32;
    h3 += h2 >> 32;
    h0 = (h0 & WORD) + 5 * (h3 >> 34);
    h1 &= WORD;
    h2 &= WORD;
    h3 &= LAST;
  }
  // g = h + 5 - 2^130: not negative when h is not below the modulus, and then the reduced number.
  const g0 = h0 + 5;
  const g1 = h1 + (g0 >> 32);
  const g2 = h2 + (g1 >> 32);
  const g3 = h3 + (g2 >> 32) - (1 << 34);
  const keep: u64 = <u64>(<i64>g3 >> 63);
  const lo = ((h0 + (h1 << 32)) & keep) | (((g0 & WORD) | (g1 << 32)) & ~keep);
  const hi = ((h2 | (h3 << 32)) & keep) | (((g2 & WORD) | (g3 << 32)) & ~keep);
  const padLo = load<u64>(s, AEAD_ADDEND);
  const sum = lo + padLo;
  // The carry without a comparison that could become a branch.
  const carry = ((lo & padLo) | ((lo | padLo) & ~sum)) >> 63;
  store<u64>(tag, sum);
  store<u64>(tag, hi + load<u64>(s, AEAD_ADDEND + 8) + carry, 8);
}
