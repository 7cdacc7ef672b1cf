/** The functions that the handshake is made of, by the names of the WireGuard paper (§5.4): DH, AEAD, Hash, Kdf. */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  type JsonWebKey,
  type KeyObject,
} from "node:crypto";

/** Octets of a key of X25519, of a hash and of a symmetric key. */
export const KEY_LEN = 32;
/** Octets that the AEAD adds. */
export const TAG_LEN = 16;

/** DER in front of the raw octets of a private key (RFC 8410 §7): Node.js takes no raw keys. */
const PRIVATE_HEAD = Buffer.from("302e020100300506032b656e04220420", "hex");
const NONCE_LEN = 12;

export interface KeyPair {
  readonly private: KeyObject;
  /** 32 octets. */
  readonly public: Buffer;
}

/**
 * @param raw 32 octets, clamped or not: X25519 clamps them itself (RFC 7748 §5). The caller may wipe them afterwards.
 * Takes 0.4 ms, most of it OpenSSL's decoder of DER, which leaves no copy of the key in a string.
 */
export function keyPair(raw: Uint8Array): KeyPair {
  const der = Buffer.concat([PRIVATE_HEAD, raw]);
  const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  der.fill(0);
  return { private: key, public: publicOf(key) };
}

/**
 * The same for a key that is used once: in a tenth of the time, but a string of it stays until the next garbage collection.
 * Not by generateKeyPairSync(): in Node.js 20 exporting one of its keys while another is collected stops the thread for good
 * (both lock one mutex; found in two of three runs of 20,000).
 */
export function ephemeralPair(raw: Uint8Array): KeyPair {
  const d = Buffer.from(raw).toString("base64url");
  // The public half is computed from the private one; what stands here is not looked at.
  const key = createPrivateKey({ key: { kty: "OKP", crv: "X25519", x: d, d }, format: "jwk" });
  return { private: key, public: publicOf(key) };
}

function publicOf(key: KeyObject): Buffer {
  return Buffer.from(createPublicKey(key).export({ format: "jwk" }).x ?? "", "base64url");
}

/** @returns 32 octets; undefined when the public key is one of those few that give zero whatever the private one is. */
export function dh(own: KeyPair, theirs: Uint8Array): Buffer | undefined {
  const jwk: JsonWebKey = { kty: "OKP", crv: "X25519", x: Buffer.from(theirs).toString("base64url") };
  try {
    const key = createPublicKey({ key: jwk, format: "jwk" });
    const shared = diffieHellman({ privateKey: own.private, publicKey: key });
    return shared.some((octet) => octet !== 0) ? shared : undefined;
  } catch {
    return undefined;
  }
}

/** BLAKE2s with 32 octets of output. */
export function hash(...parts: readonly Uint8Array[]): Buffer {
  const state = createHash("blake2s256");
  for (const part of parts) state.update(part);
  return state.digest();
}

function hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Buffer {
  const state = createHmac("blake2s256", key);
  for (const part of parts) state.update(part);
  return state.digest();
}

/** HKDF (RFC 5869) over HMAC-BLAKE2s: the first `n` outputs of 32 octets. */
export function kdf(n: 1 | 2 | 3, key: Uint8Array, input: Uint8Array): Buffer[] {
  const secret = hmac(key, input);
  const out: Buffer[] = [];
  for (let i = 1; i <= n; i++) out.push(hmac(secret, out.at(-1) ?? Buffer.alloc(0), Buffer.of(i)));
  secret.fill(0);
  return out;
}

/** ChaCha20-Poly1305 (RFC 8439) with counter 0, the only one that a handshake uses. */
export function seal(key: Uint8Array, plain: Uint8Array, aad: Uint8Array): Buffer {
  const cipher = createCipheriv("chacha20-poly1305", key, Buffer.alloc(NONCE_LEN), { authTagLength: TAG_LEN });
  cipher.setAAD(aad, { plaintextLength: plain.length });
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** @returns undefined when the tag is wrong. */
export function open(key: Uint8Array, sealed: Uint8Array, aad: Uint8Array): Buffer | undefined {
  const cut = sealed.length - TAG_LEN;
  const cipher = createDecipheriv("chacha20-poly1305", key, Buffer.alloc(NONCE_LEN), { authTagLength: TAG_LEN });
  cipher.setAAD(aad, { plaintextLength: cut });
  cipher.setAuthTag(sealed.subarray(cut));
  try {
    return Buffer.concat([cipher.update(sealed.subarray(0, cut)), cipher.final()]);
  } catch {
    return undefined;
  }
}
