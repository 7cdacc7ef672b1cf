/** A data message with nothing in it (WireGuard paper §6.5), the only one that the main thread seals. */
import { createCipheriv } from "node:crypto";
import { TYPE } from "./noise/messages.js";
import { TAG_LEN } from "./noise/primitives.js";

/** Octets: type, receiver index and counter, and the tag. */
export const KEEPALIVE_LEN = 32;
const NONCE_LEN = 12;
const RECEIVER = 4;
const COUNTER = 8;
const HEAD_LEN = 16;

/**
 * @param key 32 octets
 * @param remote receiver index that the peer gave
 * @param counter never used before with this key
 */
export function sealKeepalive(key: Uint8Array, remote: number, counter: bigint): Buffer {
  const message = Buffer.alloc(KEEPALIVE_LEN);
  message.writeUInt32LE(TYPE.TRANSPORT, 0);
  message.writeUInt32LE(remote, RECEIVER);
  message.writeBigUInt64LE(counter, COUNTER);
  const nonce = Buffer.alloc(NONCE_LEN);
  nonce.writeBigUInt64LE(counter, 4);
  const cipher = createCipheriv("chacha20-poly1305", key, nonce, { authTagLength: TAG_LEN });
  cipher.final();
  cipher.getAuthTag().copy(message, HEAD_LEN);
  return message;
}
