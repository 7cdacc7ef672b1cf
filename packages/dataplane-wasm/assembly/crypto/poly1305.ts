/**
 * Poly1305 (RFC 8439 §2.5): a one-time authenticator over 16-octet blocks, modulo 2^130 - 5.
 *
 * Numbers are five limbs of 26 bits in u64, so that five products and their carries fit without overflow: limbs of r are below
 * 2^27, those of h below 2^28, five times a limb of r below 2^30. Nothing depends on the data but the numbers: no branch, no
 * address. Long messages go four blocks at a time (poly1305x4.ts).
 *
 * The state lies in memory: Aead in abi/spec.ts.
 */
import { AEAD_ADDEND, AEAD_H, AEAD_R, AEAD_R2, AEAD_R3, AEAD_R4 } from "../abi.gen";
import * as x4 from "./poly1305x4";

/** 26 bits. */
export const LIMB: u64 = 0x3ff_ffff;
/** Octets from which four lanes pay. */
const LONG: usize = 256;
/** 2^128 in the fifth limb: the octet 1 behind a whole block. */
export const WHOLE: u64 = 1 << 24;

/** Takes the 32 octets of a one-time key and starts at 0. */
export function begin(s: usize, key: usize): void {
  const lo = load<u64>(key) & 0x0fff_fffc_0fff_ffff;
  const hi = load<u64>(key, 8) & 0x0fff_fffc_0fff_fffc;
  const r0 = lo & LIMB;
  const r1 = (lo >> 26) & LIMB;
  const r2 = ((lo >> 52) | (hi << 12)) & LIMB;
  const r3 = (hi >> 14) & LIMB;
  const r4 = hi >> 40;
  setPower(s + AEAD_R, r0, r1, r2, r3, r4);
  for (let i: usize = 0; i < 40; i += 8) store<u64>(s + AEAD_H + i, 0);
  v128.store(s + AEAD_ADDEND, v128.load(key, 16));
}

/** Makes the powers that four lanes need. They cost as much as some blocks: for long messages only. h is used up. */
function raise(s: usize): void {
  for (let i: usize = 0; i < 40; i += 8) store<u64>(s + AEAD_H + i, load<u64>(s + AEAD_R + i));
  raiseTo(s, s + AEAD_R2);
  raiseTo(s, s + AEAD_R3);
  raiseTo(s, s + AEAD_R4);
  for (let i: usize = 0; i < 40; i += 8) store<u64>(s + AEAD_H + i, 0);
}
/** h = h r, kept as a power. */
function raiseTo(s: usize, power: usize): void {
  multiply(s);
  setPower(
    power, load<u64>(s, AEAD_H), load<u64>(s, AEAD_H + 8), load<u64>(s, AEAD_H + 16), load<u64>(s, AEAD_H + 24),
    load<u64>(s, AEAD_H + 32),
  );
}

/** A power of r, and five times its upper limbs: what goes beyond 2^130 comes back times five. */
function setPower(p: usize, r0: u64, r1: u64, r2: u64, r3: u64, r4: u64): void {
  store<u64>(p, r0);
  store<u64>(p, r1, 8);
  store<u64>(p, r2, 16);
  store<u64>(p, r3, 24);
  store<u64>(p, r4, 32);
  store<u64>(p, 5 * r1, 40);
  store<u64>(p, 5 * r2, 48);
  store<u64>(p, 5 * r3, 56);
  store<u64>(p, 5 * r4, 64);
}

/** h = h r. */
function multiply(s: usize): void {
  const h0 = load<u64>(s, AEAD_H);
  const h1 = load<u64>(s, AEAD_H + 8);
  const h2 = load<u64>(s, AEAD_H + 16);
  const h3 = load<u64>(s, AEAD_H + 24);
  const h4 = load<u64>(s, AEAD_H + 32);
  const r0 = load<u64>(s, AEAD_R);
  const r1 = load<u64>(s, AEAD_R + 8);
  const r2 = load<u64>(s, AEAD_R + 16);
  const r3 = load<u64>(s, AEAD_R + 24);
  const r4 = load<u64>(s, AEAD_R + 32);
  const s1 = load<u64>(s, AEAD_R + 40);
  const s2 = load<u64>(s, AEAD_R + 48);
  const s3 = load<u64>(s, AEAD_R + 56);
  const s4 = load<u64>(s, AEAD_R + 64);
  reduce(
    s,
    h0 * r0 + h1 * s4 + h2 * s3 + h3 * s2 + h4 * s1,
    h0 * r1 + h1 * r0 + h2 * s4 + h3 * s3 + h4 * s2,
    h0 * r2 + h1 * r1 + h2 * r0 + h3 * s4 + h4 * s3,
    h0 * r3 + h1 * r2 + h2 * r1 + h3 * r0 + h4 * s4,
    h0 * r4 + h1 * r3 + h2 * r2 + h3 * r1 + h4 * r0,
  );
}

/** h = the number with these limbs, each below 2^63, carried to 26 bits; the second may keep one bit more. */
export function reduce(s: usize, d0: u64, d1: u64, d2: u64, d3: u64, d4: u64): void {
  d1 += d0 >> 26;
  d2 += d1 >> 26;
  d3 += d2 >> 26;
  d4 += d3 >> 26;
  d0 = (d0 & LIMB) + 5 * (d4 >> 26);
  d1 = (d1 & LIMB) + (d0 >> 26);
  store<u64>(s, d0 & LIMB, AEAD_H);
  store<u64>(s, d1, AEAD_H + 8);
  store<u64>(s, d2 & LIMB, AEAD_H + 16);
  store<u64>(s, d3 & LIMB, AEAD_H + 24);
  store<u64>(s, d4 & LIMB, AEAD_H + 32);
}

/** One block of 16 octets. `top` is WHOLE; 0 for a last block that carries its 1 itself. */
export function block(s: usize, p: usize, top: u64): void {
  const lo = load<u64>(p);
  const hi = load<u64>(p, 8);
  store<u64>(s, load<u64>(s, AEAD_H) + (lo & LIMB), AEAD_H);
  store<u64>(s, load<u64>(s, AEAD_H + 8) + ((lo >> 26) & LIMB), AEAD_H + 8);
  store<u64>(s, load<u64>(s, AEAD_H + 16) + (((lo >> 52) | (hi << 12)) & LIMB), AEAD_H + 16);
  store<u64>(s, load<u64>(s, AEAD_H + 24) + ((hi >> 14) & LIMB), AEAD_H + 24);
  store<u64>(s, load<u64>(s, AEAD_H + 32) + (hi >> 40) + top, AEAD_H + 32);
  multiply(s);
}

/** All whole blocks of `len` octets. @returns where what is left begins */
export function blocks(s: usize, p: usize, len: usize): usize {
  const end = p + (len & ~15);
  if (len >= LONG) {
    // Powers of r are made of h: what was absorbed before waits meanwhile.
    const h0 = load<u64>(s, AEAD_H);
    const h1 = load<u64>(s, AEAD_H + 8);
    const h2 = load<u64>(s, AEAD_H + 16);
    const h3 = load<u64>(s, AEAD_H + 24);
    const h4 = load<u64>(s, AEAD_H + 32);
    raise(s);
    reduce(s, h0, h1, h2, h3, h4);
    const many = len & ~(x4.STEP - 1);
    x4.absorb(s, p, many);
    p += many;
  }
  for (; p < end; p += 16) block(s, p, WHOLE);
  return p;
}

/** Writes the 16 octets of the tag. Once: h is reduced here. */
export function finish(s: usize, tag: usize): void {
  let h0 = load<u64>(s, AEAD_H);
  let h1 = load<u64>(s, AEAD_H + 8);
  let h2 = load<u64>(s, AEAD_H + 16);
  let h3 = load<u64>(s, AEAD_H + 24);
  let h4 = load<u64>(s, AEAD_H + 32);
  // Twice around: h1 may be one bit longer than its limb.
  for (let i = 0; i < 2; i++) {
    h1 += h0 >> 26;
    h0 &= LIMB;
    h2 += h1 >> 26;
    h1 &= LIMB;
    h3 += h2 >> 26;
    h2 &= LIMB;
    h4 += h3 >> 26;
    h3 &= LIMB;
    h0 += 5 * (h4 >> 26);
    h4 &= LIMB;
  }
  h1 += h0 >> 26;
  h0 &= LIMB;
  // g = h + 5 - 2^130: not negative when h is not below the modulus, and then the reduced number.
  let g0 = h0 + 5;
  let g1 = h1 + (g0 >> 26);
  let g2 = h2 + (g1 >> 26);
  let g3 = h3 + (g2 >> 26);
  const g4 = h4 + (g3 >> 26) - (1 << 26);
  const keep: u64 = <u64>(<i64>g4 >> 63);
  g0 &= LIMB;
  g1 &= LIMB;
  g2 &= LIMB;
  g3 &= LIMB;
  h0 = (h0 & keep) | (g0 & ~keep);
  h1 = (h1 & keep) | (g1 & ~keep);
  h2 = (h2 & keep) | (g2 & ~keep);
  h3 = (h3 & keep) | (g3 & ~keep);
  h4 = (h4 & keep) | (g4 & ~keep);
  const lo = h0 | (h1 << 26) | (h2 << 52);
  const hi = (h2 >> 12) | (h3 << 14) | (h4 << 40);
  const padLo = load<u64>(s, AEAD_ADDEND);
  const sum = lo + padLo;
  // The carry without a comparison that could become a branch.
  const carry = ((lo & padLo) | ((lo | padLo) & ~sum)) >> 63;
  store<u64>(tag, sum);
  store<u64>(tag, hi + load<u64>(s, AEAD_ADDEND + 8) + carry, 8);
}
