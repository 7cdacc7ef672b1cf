/**
 * Key pairs of random octets. Not by generateKeyPairSync(): in Node.js 20 exporting one of its keys as a JWK while another is collected stops the
 * thread for good, as both lock one mutex. Tests that make hundreds of keys hung now and then.
 */
import { createPrivateKey, createPublicKey, type KeyObject, randomBytes } from "node:crypto";

/** DER in front of the raw octets of a private key (RFC 8410 §7). */
const HEADS = {
  ed25519: Buffer.from("302e020100300506032b657004220420", "hex"),
  x25519: Buffer.from("302e020100300506032b656e04220420", "hex"),
} as const;

export interface Keys {
  readonly key: KeyObject;
  /** 32 octets each. */
  readonly private: Buffer;
  readonly public: Buffer;
}

/** @param raw 32 octets: the seed of an Ed25519 key, or the scalar of an X25519 one */
export function newKeys(curve: keyof typeof HEADS, raw: Buffer = randomBytes(32)): Keys {
  const key = createPrivateKey({ key: Buffer.concat([HEADS[curve], raw]), format: "der", type: "pkcs8" });
  const spki = createPublicKey(key).export({ format: "der", type: "spki" });
  return { key, private: raw, public: spki.subarray(-32) };
}
