/** Data messages that the main thread seals: those with nothing in them (WireGuard paper §6.5), and probes. */
import { createCipheriv } from "node:crypto";
import { TYPE } from "./noise/messages.js";
import { TAG_LEN } from "./noise/primitives.js";

const NONCE_LEN = 12;
const RECEIVER = 4;
const COUNTER = 8;
const HEAD_LEN = 16;
const NOTHING = Buffer.alloc(0);

/**
 * @param packet what is sealed; absent: nothing, a keepalive
 * @param key 32 octets
 * @param remote receiver index that the peer gave
 * @param counter never used before with this key
 */
export function sealMessage(key: Uint8Array, remote: number, counter: bigint, packet: Uint8Array = NOTHING): Buffer {
  const message = Buffer.alloc(HEAD_LEN + packet.length + TAG_LEN);
  message.writeUInt32LE(TYPE.TRANSPORT, 0);
  message.writeUInt32LE(remote, RECEIVER);
  message.writeBigUInt64LE(counter, COUNTER);
  const nonce = Buffer.alloc(NONCE_LEN);
  nonce.writeBigUInt64LE(counter, 4);
  const cipher = createCipheriv("chacha20-poly1305", key, nonce, { authTagLength: TAG_LEN });
  cipher.update(packet).copy(message, HEAD_LEN);
  cipher.final();
  cipher.getAuthTag().copy(message, HEAD_LEN + packet.length);
  return message;
}
