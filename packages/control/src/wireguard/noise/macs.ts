/**
 * mac1, mac2 and cookies (WireGuard paper §5.4.4, §5.4.7): who does not know our public key gets no answer at all; who cannot
 * receive at the address it writes from gets no work done while we are under load.
 *
 * Sealing of cookies is handed in (libsodium's XChaCha20-Poly1305): Node.js has none.
 */
import { timingSafeEqual } from "node:crypto";
import { blake2s } from "@noble/hashes/blake2.js";
import { COOKIE_REPLY, MAC_LEN, TYPE } from "./messages.js";
import { hash } from "./primitives.js";

const LABEL_MAC1 = Buffer.from("mac1----");
const LABEL_COOKIE = Buffer.from("cookie--");
/** Octets of an XChaCha20 nonce. */
export const COOKIE_NONCE_LEN = 24;

/** XChaCha20-Poly1305 with the lengths of a cookie reply. */
export interface CookieSeal {
  seal(key: Uint8Array, nonce: Uint8Array, plain: Uint8Array, aad: Uint8Array): Uint8Array;
  /** @returns undefined when the tag is wrong. */
  open(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array, aad: Uint8Array): Uint8Array | undefined;
}

/** Keyed BLAKE2s with 16 octets of output: the paper's Mac. */
export function mac(key: Uint8Array, ...parts: readonly Uint8Array[]): Buffer {
  return Buffer.from(blake2s(Buffer.concat(parts), { key, dkLen: MAC_LEN }));
}

/** Key of mac1 in messages to the owner of this public key. */
export function mac1Key(publicKey: Uint8Array): Buffer {
  return hash(LABEL_MAC1, publicKey);
}

/** Key that cookies of the owner of this public key are sealed with. */
export function cookieKey(publicKey: Uint8Array): Buffer {
  return hash(LABEL_COOKIE, publicKey);
}

/** Writes both macs, the last 32 octets of an initiation or a response. Without a cookie mac2 stays 0. */
export function writeMacs(message: Buffer, key1: Uint8Array, cookie: Uint8Array | undefined): void {
  const at1 = message.length - 2 * MAC_LEN;
  const at2 = message.length - MAC_LEN;
  mac(key1, message.subarray(0, at1)).copy(message, at1);
  if (cookie) mac(cookie, message.subarray(0, at2)).copy(message, at2);
  else message.fill(0, at2);
}

export function isMac1Right(message: Buffer, key1: Uint8Array): boolean {
  const at = message.length - 2 * MAC_LEN;
  return timingSafeEqual(mac(key1, message.subarray(0, at)), message.subarray(at, at + MAC_LEN));
}

export function isMac2Right(message: Buffer, cookie: Uint8Array): boolean {
  const at = message.length - MAC_LEN;
  return timingSafeEqual(mac(cookie, message.subarray(0, at)), message.subarray(at));
}

/** The cookie of an address: 16 octets that only who receives there can know. `secret` changes every two minutes. */
export function cookieOf(secret: Uint8Array, address: Uint8Array, port: number): Buffer {
  return mac(secret, address, Buffer.of(port >> 8, port & 255));
}

/** Tells the sender of `message` its cookie. */
export function cookieReply(
  box: CookieSeal,
  key: Uint8Array,
  message: Buffer,
  sender: number,
  cookie: Uint8Array,
  nonce: Uint8Array,
): Buffer {
  const at = message.length - 2 * MAC_LEN;
  const reply = Buffer.alloc(COOKIE_REPLY.LEN);
  reply.writeUInt32LE(TYPE.COOKIE_REPLY, 0);
  reply.writeUInt32LE(sender, COOKIE_REPLY.RECEIVER);
  reply.set(nonce, COOKIE_REPLY.NONCE);
  reply.set(box.seal(key, nonce, cookie, message.subarray(at, at + MAC_LEN)), COOKIE_REPLY.COOKIE);
  return reply;
}

/** @param mac1 of the message that was answered. @returns the cookie; undefined when the reply is not sound */
export function readCookieReply(
  box: CookieSeal,
  key: Uint8Array,
  reply: Buffer,
  mac1: Uint8Array,
): Uint8Array | undefined {
  const nonce = reply.subarray(COOKIE_REPLY.NONCE, COOKIE_REPLY.NONCE + COOKIE_NONCE_LEN);
  return box.open(key, nonce, reply.subarray(COOKIE_REPLY.COOKIE), mac1);
}
