/**
 * ChaCha20-Poly1305 (RFC 8439 §2.8), in place or from one place to another (the two must not overlap otherwise).
 *
 * The first of the first four blocks of key stream is the authenticator's one-time key, the other three encrypt the first 192
 * octets; from then on four blocks encrypt 256.
 */
import { AEAD_BLOCK, AEAD_KEYSTREAM, AEAD_MATRIX } from "../abi.gen";
import { CHUNK, chunk } from "./chacha20";
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
  chunk(s, stream, stream);
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

/** Encrypts or decrypts all of a message: the same, to a stream cipher. */
function run(s: usize, from: usize, to: usize, len: usize): void {
  const stream = s + AEAD_KEYSTREAM;
  let at = len < HEAD ? len : HEAD;
  mask(from, to, stream + 64, at);
  for (; len - at >= CHUNK; at += CHUNK) chunk(s, from + at, to + at);
  if (at == len) return;
  // The last octets go through a buffer, as chunk() takes whole ones.
  memory.copy(stream, from + at, len - at);
  chunk(s, stream, stream);
  memory.copy(to + at, stream, len - at);
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
  run(s, from, to, len);
  absorb(s, to, len);
  finish(s, aadLen, len, to + len);
}

/**
 * Decrypts `len` octets at `from` to `to`; their tag lies behind them.
 *
 * @returns whether the tag is right; all of it is compared at once. When it is not, nothing is written to `to`.
 */
export function open(
  s: usize, key: usize, nonceHead: u32, nonce: u64, aad: usize, aadLen: u32, from: usize, to: usize, len: u32,
): bool {
  begin(s, key, nonceHead, nonce, aad, aadLen);
  // Before it is decrypted: `to` may be `from`.
  absorb(s, from, len);
  const wanted = v128.load(from + len);
  const tag = s + AEAD_BLOCK;
  finish(s, aadLen, len, tag);
  if (v128.any_true(v128.xor(v128.load(tag), wanted))) return false;
  run(s, from, to, len);
  return true;
}
