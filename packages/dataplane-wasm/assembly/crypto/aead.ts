/**
 * ChaCha20-Poly1305 (RFC 8439 §2.8), in place or from one place to another (the two must not overlap otherwise).
 *
 * The first four blocks of key stream are made alone: the first is the authenticator's one-time key, the others encrypt the
 * first 192 octets. From then on every call of chunk() encrypts 256 octets and authenticates some that are ciphertext
 * already.
 */
import { AEAD_BLOCK, AEAD_KEYSTREAM, AEAD_MATRIX } from "../abi.gen";
import { CHUNK, chunk } from "./chunk";
import * as poly1305 from "./poly1305";

/** Octets of a tag. */
export const TAG: u32 = 16;
/** Octets that the first four blocks of key stream encrypt. */
const HEAD: usize = 192;

/** Key, nonce (4 and 8 octets, little-endian numbers), block counter 0; then the one-time key and 192 octets of key stream. */
function begin(s: usize, key: usize, nonceHead: u32, nonce: u64, aad: usize, aadLen: usize): void {
  v128.store(s + AEAD_MATRIX, i32x4(0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574));
  v128.store(s + AEAD_MATRIX + 16, v128.load(key));
  v128.store(s + AEAD_MATRIX + 32, v128.load(key, 16));
  store<u32>(s + AEAD_MATRIX, 0, 48);
  store<u32>(s + AEAD_MATRIX, nonceHead, 52);
  store<u64>(s + AEAD_MATRIX, nonce, 56);
  const stream = s + AEAD_KEYSTREAM;
  memory.fill(stream, 0, CHUNK);
  chunk(s, stream, stream, 0, 0);
  poly1305.begin(s, stream);
  absorb(s, aad, aadLen);
}

/** Authenticates octets and the zeros up to the next multiple of 16. */
function absorb(s: usize, p: usize, len: usize): void {
  const rest = len & 15;
  const last = poly1305.blocks(s, p, len);
  if (rest == 0) return;
  const padded = s + AEAD_BLOCK;
  v128.store(padded, i64x2.splat(0));
  memory.copy(padded, last, rest);
  poly1305.block(s, padded, poly1305.WHOLE);
}

function finish(s: usize, aadLen: usize, len: usize, tag: usize): void {
  const padded = s + AEAD_BLOCK;
  store<u64>(padded, <u64>aadLen);
  store<u64>(padded, <u64>len, 8);
  poly1305.block(s, padded, poly1305.WHOLE);
  poly1305.finish(s, tag);
}

/** `len` < CHUNK octets with the key stream that chunk() makes next, or has made. */
function mask(from: usize, to: usize, stream: usize, len: usize): void {
  let i: usize = 0;
  for (; i + 16 <= len; i += 16) v128.store(to + i, v128.xor(v128.load(from + i), v128.load(stream + i)));
  for (; i < len; i++) store<u8>(to + i, load<u8>(from + i) ^ load<u8>(stream + i));
}

/** The last octets, fewer than CHUNK: through a buffer, as chunk() takes whole ones. @returns as chunk() */
function remainder(s: usize, from: usize, to: usize, len: usize, mac: usize, macEnd: usize): usize {
  const stream = s + AEAD_KEYSTREAM;
  memory.copy(stream, from, len);
  mac = chunk(s, stream, stream, mac, macEnd);
  memory.copy(to, stream, len);
  return mac;
}

/**
 * Encrypts `len` octets at `from` to `to` and writes the tag behind them.
 *
 * @param s the worker's Aead record
 * @param key 32 octets
 * @param nonceHead first four octets of the nonce; `nonce`: the other eight
 */
export function seal(
  s: usize, key: usize, nonceHead: u32, nonce: u64, aad: usize, aadLen: u32, from: usize, to: usize, len: u32,
): void {
  begin(s, key, nonceHead, nonce, aad, aadLen);
  const total = <usize>len;
  let at = total < HEAD ? total : HEAD;
  mask(from, to, s + AEAD_KEYSTREAM + 64, at);
  let mac = to;
  for (; total - at >= CHUNK; at += CHUNK) mac = chunk(s, from + at, to + at, mac, to + at);
  if (at < total) {
    mac = remainder(s, from + at, to + at, total - at, mac, to + at);
  }
  absorb(s, mac, to + total - mac);
  finish(s, aadLen, total, to + total);
}

/**
 * Decrypts `len` octets at `from` to `to`; their tag lies behind them.
 *
 * @returns whether the tag is right. When it is not, the octets at `to` mean nothing and must go no further.
 */
export function open(
  s: usize, key: usize, nonceHead: u32, nonce: u64, aad: usize, aadLen: u32, from: usize, to: usize, len: u32,
): bool {
  begin(s, key, nonceHead, nonce, aad, aadLen);
  const total = <usize>len;
  let at = total < HEAD ? total : HEAD;
  // Authenticated before it is overwritten: `to` may be `from`.
  let mac = from;
  if (total <= HEAD) {
    absorb(s, mac, total);
    mac += total;
  } else {
    mac = poly1305.blocks(s, mac, HEAD);
  }
  mask(from, to, s + AEAD_KEYSTREAM + 64, at);
  for (; total - at >= CHUNK; at += CHUNK) mac = chunk(s, from + at, to + at, mac, from + at + CHUNK);
  if (at < total) {
    absorb(s, mac, total - at);
    remainder(s, from + at, to + at, total - at, 0, 0);
  }
  const wanted = v128.load(from + total);
  const tag = s + AEAD_BLOCK;
  finish(s, aadLen, total, tag);
  return !v128.any_true(v128.xor(v128.load(tag), wanted));
}
