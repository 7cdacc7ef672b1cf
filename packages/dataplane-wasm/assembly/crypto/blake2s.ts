/**
 * BLAKE2s (RFC 7693) of messages that lie in memory at once. WireGuard's mac1 and mac2 are keyed ones with 16 octets of output
 * (paper §5.4.4); a message of 116 octets takes three compressions.
 *
 * Plain code: what must be fast is refusing a datagram, and that is a microsecond.
 */
import { BLAKE2S_BLOCK, BLAKE2S_H, BLAKE2S_V } from "../abi.gen";

/** Octets of a block. */
const BLOCK: u32 = 64;
/** Initialization vector: that of SHA-256 (RFC 7693 §2.6). */
const IV = memory.data<u32>([
  0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
]);
/** Word of the block that each half of a mixing step adds, ten rounds of sixteen (RFC 7693 §2.7). */
const SIGMA = memory.data<u8>([
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
  14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3,
  11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4,
  7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8,
  9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13,
  2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9,
  12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11,
  13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10,
  6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5,
  10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0,
]);

/** Mixes four words of the state with two of the message (RFC 7693 §3.1). The indices are octets. */
function mix(v: usize, a: usize, b: usize, c: usize, d: usize, x: u32, y: u32): void {
  let va = load<u32>(v + a);
  let vb = load<u32>(v + b);
  let vc = load<u32>(v + c);
  let vd = load<u32>(v + d);
  va += vb + x;
  vd = rotr<u32>(vd ^ va, 16);
  vc += vd;
  vb = rotr<u32>(vb ^ vc, 12);
  va += vb + y;
  vd = rotr<u32>(vd ^ va, 8);
  vc += vd;
  vb = rotr<u32>(vb ^ vc, 7);
  store<u32>(v + a, va);
  store<u32>(v + b, vb);
  store<u32>(v + c, vc);
  store<u32>(v + d, vd);
}

function word(m: usize, sigma: usize, i: usize): u32 {
  return load<u32>(m + 4 * <usize>load<u8>(sigma + i));
}

/** Compresses one block (RFC 7693 §3.2). `count` is the octets of message up to its end. */
function compress(s: usize, m: usize, count: u32, isLast: bool): void {
  const h = s + BLAKE2S_H;
  const v = s + BLAKE2S_V;
  for (let i: usize = 0; i < 32; i += 16) {
    v128.store(v + i, v128.load(h + i));
    v128.store(v + 32 + i, v128.load(IV + i));
  }
  store<u32>(v, load<u32>(v, 48) ^ count, 48);
  if (isLast) store<u32>(v, ~load<u32>(v, 56), 56);
  for (let sigma = SIGMA; sigma < SIGMA + 160; sigma += 16) {
    mix(v, 0, 16, 32, 48, word(m, sigma, 0), word(m, sigma, 1));
    mix(v, 4, 20, 36, 52, word(m, sigma, 2), word(m, sigma, 3));
    mix(v, 8, 24, 40, 56, word(m, sigma, 4), word(m, sigma, 5));
    mix(v, 12, 28, 44, 60, word(m, sigma, 6), word(m, sigma, 7));
    mix(v, 0, 20, 40, 60, word(m, sigma, 8), word(m, sigma, 9));
    mix(v, 4, 24, 44, 48, word(m, sigma, 10), word(m, sigma, 11));
    mix(v, 8, 28, 32, 52, word(m, sigma, 12), word(m, sigma, 13));
    mix(v, 12, 16, 36, 56, word(m, sigma, 14), word(m, sigma, 15));
  }
  for (let i: usize = 0; i < 32; i += 16) {
    v128.store(h + i, v128.xor(v128.load(h + i), v128.xor(v128.load(v + i), v128.load(v + 32 + i))));
  }
}

/**
 * Writes `outLen` (1 to 32) octets of the hash of `len` octets at `p` to `out`.
 *
 * @param s the worker's Blake2s record
 * @param keyLen 0 to 32; 0: not keyed
 */
export function digest(s: usize, key: usize, keyLen: u32, p: usize, len: u32, out: usize, outLen: u32): void {
  const h = s + BLAKE2S_H;
  const block = s + BLAKE2S_BLOCK;
  memory.copy(h, IV, 32);
  // Digest length, key length, fan-out and depth 1 (RFC 7693 §2.5).
  store<u32>(h, load<u32>(h) ^ outLen ^ (keyLen << 8) ^ 0x0101_0000);
  let count: u32 = 0;
  if (keyLen != 0) {
    memory.fill(block, 0, BLOCK);
    memory.copy(block, key, keyLen);
    count = BLOCK;
    compress(s, block, count, len == 0);
    memory.fill(block, 0, BLOCK);
  }
  let left = len;
  for (; left > BLOCK; left -= BLOCK, p += BLOCK) {
    count += BLOCK;
    compress(s, p, count, false);
  }
  if (left != 0 || keyLen == 0) {
    memory.fill(block, 0, BLOCK);
    memory.copy(block, p, left);
    compress(s, block, count + left, true);
  }
  memory.copy(out, h, outLen);
}
