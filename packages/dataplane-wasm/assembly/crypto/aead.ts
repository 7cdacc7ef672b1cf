/**
 * ChaCha20-Poly1305 (RFC 8439 §2.8), in place or from one place to another (the two must not overlap otherwise).
 *
 * The first of the first four blocks of key stream is the authenticator's one-time key, the other three encrypt the first 192
 * octets; from then on four blocks encrypt 256, and meanwhile a part of the message is authenticated.
 */
import { AEAD_BLOCK, AEAD_HEAD, AEAD_MATRIX, AEAD_TAIL, AEAD_ZEROS, TUNNEL_HEAD } from "../abi.gen";
import { ABSORBED, CHUNK, chunk } from "./chacha20";
import * as poly1305 from "./poly1305";

/** Octets of a tag. */
export const TAG: u32 = 16;
/** Octets that the first four blocks of key stream encrypt. */
const HEAD: usize = 192;

/** Key, nonce (4 and 8 octets, little-endian numbers), block counter 0. */
function start(s: usize, key: usize, nonceHead: u32, nonce: u64): void {
  v128.store(s, i32x4(0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574), AEAD_MATRIX);
  v128.store(s, v128.load(key), AEAD_MATRIX + 16);
  v128.store(s, v128.load(key, 16), AEAD_MATRIX + 32);
  store<u64>(s, <u64>nonceHead << 32, AEAD_MATRIX + 48);
  store<u64>(s, nonce, AEAD_MATRIX + 56);
}

/** The next four blocks of key stream; the rest as chunk(). */
function stream(s: usize, to: usize, mac: usize, end: usize): usize {
  return chunk(s, s + AEAD_ZEROS, to, mac, end);
}

/** The one-time key and 192 octets of key stream; then additional data. */
function begin(s: usize, key: usize, nonceHead: u32, nonce: u64, aad: usize, aadLen: usize): void {
  start(s, key, nonceHead, nonce);
  stream(s, s + AEAD_HEAD, aad, aad);
  poly1305.begin(s, s + AEAD_HEAD);
  absorb(s, aad, aad + aadLen);
}

/** Authenticates octets and the zeros up to the next multiple of 16. */
function absorb(s: usize, p: usize, end: usize): void {
  const rest = (end - p) & 15;
  const last = end - rest;
  poly1305.blocks(s, p, last, poly1305.WHOLE);
  if (rest == 0) return;
  const padded = s + AEAD_BLOCK;
  v128.store(padded, i64x2.splat(0));
  for (let i: usize = 0; i < rest; i++) store<u8>(padded + i, load<u8>(last + i));
  poly1305.blocks(s, padded, padded + 16, poly1305.WHOLE);
}

/** Authenticates what is left of a message, from `mac` up to `end`, and the lengths, and writes the tag. */
function finish(s: usize, mac: usize, end: usize, aadLen: usize, len: usize, tag: usize): void {
  absorb(s, mac, end);
  const lengths = s + AEAD_BLOCK;
  store<u64>(lengths, <u64>aadLen);
  store<u64>(lengths, <u64>len, 8);
  poly1305.blocks(s, lengths, lengths + 16, poly1305.WHOLE);
  poly1305.finish(s, tag);
}

/** Leaves nothing of keys and key stream of messages up to `len` octets. */
function forget(s: usize, len: usize): void {
  const end = s + (len > HEAD ? AEAD_ZEROS : AEAD_TAIL);
  for (let p = s; p != end; p += 16) v128.store(p, i64x2.splat(0));
}

/** XORs `len` < CHUNK octets with key stream. */
function mask(from: usize, to: usize, keystream: usize, len: usize): void {
  let i: usize = 0;
  for (; i + 16 <= len; i += 16) v128.store(to + i, v128.xor(v128.load(from + i), v128.load(keystream + i)));
  for (; i < len; i++) store<u8>(to + i, load<u8>(from + i) ^ load<u8>(keystream + i));
}

/** Encrypts. @returns where what is not authenticated yet begins: a multiple of 16 octets behind `to` */
function encrypt(s: usize, from: usize, to: usize, len: usize): usize {
  let at = min(len, HEAD);
  mask(from, to, s + AEAD_HEAD + 64, at);
  let mac = to;
  for (; len - at >= CHUNK; at += CHUNK) mac = chunk(s, from + at, to + at, mac, to + at);
  if (at == len) return mac;
  // The last octets go through a buffer, as chunk() takes whole ones.
  mac = stream(s, s + AEAD_TAIL, mac, to + at);
  mask(from + at, to + at, s + AEAD_TAIL, len - at);
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
  const mac = encrypt(s, from, to, len);
  finish(s, mac, to + len, aadLen, len, to + len);
  forget(s, len);
}

/**
 * Seals `count` messages in place, as transport data of WireGuard (paper §5.4.6): the nonces are four zeros and a counter, and
 * there is no additional data. Faster than one by one: a message's last octets are authenticated while the next one's first
 * key stream is made.
 *
 * @param s the worker's Aead record
 * @param key 32 octets
 * @param counter of the first message; each takes one
 * @param at the first message: TUNNEL_HEAD octets, plaintext, space for the tag. The next one begins `stride` octets behind it
 * @param len octets of plaintext; the last message has `lastLen`
 */
export function sealRun(
  s: usize, key: usize, counter: u64, at: usize, stride: usize, count: u32, len: u32, lastLen: u32,
): void {
  // Of the message before: what is not authenticated yet, and all of it.
  let mac: usize = 0;
  let end: usize = 0;
  for (let i: u32 = 0; i < count; i++) {
    const text = at + <usize>i * stride + TUNNEL_HEAD;
    const textLen: usize = i + 1 == count ? lastLen : len;
    start(s, key, 0, counter + i);
    mac = stream(s, s + AEAD_HEAD, mac, end - ((end - mac) & 15));
    if (i != 0) finish(s, mac, end, 0, len, end);
    poly1305.begin(s, s + AEAD_HEAD);
    mac = encrypt(s, text, text, textLen);
    end = text + textLen;
  }
  if (count == 0) return;
  finish(s, mac, end, 0, lastLen, end);
  forget(s, max(len, lastLen));
}

/**
 * Decrypts `len` octets at `from` to `to`; their tag lies behind them.
 *
 * @returns whether the tag is right; all of it is compared at once. When it is not, no plaintext is left at `to`: what was
 *   written there is zeros. In place the message is then gone and cannot be tried with another key.
 */
export function open(
  s: usize, key: usize, nonceHead: u32, nonce: u64, aad: usize, aadLen: u32, from: usize, to: usize, len: u32,
): bool {
  begin(s, key, nonceHead, nonce, aad, aadLen);
  const wanted = v128.load(from + len);
  const tag = s + AEAD_BLOCK;
  // What the first and the last key stream encrypt stays as it is until the tag is known. What lies between is authenticated
  // before it is decrypted, as the two may be in one place: with a first chunk all octets up to its end.
  const whole = from + (len & ~15);
  let mac = from;
  let at = min(<usize>len, HEAD);
  const head = at;
  if (<usize>len >= HEAD + CHUNK) {
    mac += HEAD + CHUNK - ABSORBED;
    poly1305.blocks(s, from, mac, poly1305.WHOLE);
  }
  for (; <usize>len - at >= CHUNK; at += CHUNK) mac = chunk(s, from + at, to + at, mac, whole);
  const tail = <usize>len - at;
  if (tail != 0) mac = stream(s, s + AEAD_TAIL, mac, whole);
  finish(s, mac, from + len, aadLen, len, tag);
  const isRight = !v128.any_true(v128.xor(v128.load(tag), wanted));
  if (isRight) {
    mask(from, to, s + AEAD_HEAD + 64, head);
    mask(from + at, to + at, s + AEAD_TAIL, tail);
  } else {
    for (let p = to + head; p != to + at; p += 16) v128.store(p, i64x2.splat(0));
  }
  forget(s, len);
  return isRight;
}
