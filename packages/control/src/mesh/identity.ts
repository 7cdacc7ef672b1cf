/**
 * Who a node is: an Ed25519 key pair (RFC 8032) by libsodium. Its public key is the node's name in the mesh; what the node
 * says is signed with it. Two nodes also share a secret without having met: X25519 (RFC 7748) of the same keys in their
 * Montgomery form.
 *
 * Everything here but `Identity.fromSeed` needs that one of these has been awaited before: libsodium is WebAssembly.
 */
import { randomBytes } from "node:crypto";
import sodium from "libsodium-wrappers";
import type { NodeId } from "./types.js";

/** Octets of a seed and of a public key. */
export const KEY_LEN = 32;
/** Octets of a signature. */
export const SIGNATURE_LEN = 64;
/** Octets of a network id. */
export const NETWORK_ID_LEN = 16;

export class Identity {
  readonly id: NodeId;
  /** 32 octets, Ed25519. */
  readonly publicKey: Uint8Array;
  /** 64 octets, as libsodium keeps it: seed and public key. */
  readonly #secretKey: Uint8Array;
  /** 32 octets, X25519. */
  readonly #scalar: Uint8Array;

  private constructor(seed: Uint8Array) {
    const { publicKey, privateKey } = sodium.crypto_sign_seed_keypair(seed);
    this.publicKey = publicKey;
    this.#secretKey = privateKey;
    this.#scalar = sodium.crypto_sign_ed25519_sk_to_curve25519(privateKey);
    this.id = nodeIdOf(publicKey);
  }

  /** @param seed 32 octets, random. The caller may wipe it afterwards. */
  static async fromSeed(seed: Uint8Array): Promise<Identity> {
    if (seed.length !== KEY_LEN) throw new RangeError(`a seed of ${seed.length} octets: ${KEY_LEN} are needed`);
    await sodium.ready;
    return new Identity(seed);
  }

  /** @returns 64 octets. What is signed begins with what it is for, so that no signature can be used for something else. */
  sign(octets: Uint8Array): Uint8Array {
    return sodium.crypto_sign_detached(octets, this.#secretKey);
  }

  /**
   * X25519 of our key and another node's: the same at both ends, known to nobody else. Takes half a millisecond.
   *
   * @returns 32 octets; undefined when the id is no usable public key (not on the curve, or of small order).
   */
  agree(node: NodeId): Uint8Array | undefined {
    const key = readNodeId(node);
    if (!key) return undefined;
    try {
      return sodium.crypto_scalarmult(this.#scalar, sodium.crypto_sign_ed25519_pk_to_curve25519(key));
    } catch {
      return undefined;
    }
  }
}

/**
 * Whether the owner of a public key has signed these octets. Never throws: wrong lengths and keys are just wrong.
 *
 * @param key 32 octets, Ed25519
 */
export function verify(signature: Uint8Array, octets: Uint8Array, key: Uint8Array): boolean {
  if (key.length !== KEY_LEN || signature.length !== SIGNATURE_LEN) return false;
  return sodium.crypto_sign_verify_detached(signature, octets, key);
}

/** @param publicKey 32 octets. */
export function nodeIdOf(publicKey: Uint8Array): NodeId {
  return Buffer.from(publicKey).toString("base64url");
}

/** @returns the 32 octets; undefined when it is no node id. Base64url in its one canonical form. */
export function readNodeId(text: string): Buffer | undefined {
  const key = Buffer.from(text, "base64url");
  return key.length === KEY_LEN && key.toString("base64url") === text ? key : undefined;
}

/** @returns 128 random bits in hexadecimal: the id of a new network. */
export function newNetworkId(random: (length: number) => Uint8Array = randomBytes): string {
  return Buffer.from(random(NETWORK_ID_LEN)).toString("hex");
}

export function isNetworkId(text: string): boolean {
  return /^[0-9a-f]{32}$/.test(text);
}

/** @returns the 16 octets of a network id. */
export function networkOctets(networkId: string): Buffer {
  if (!isNetworkId(networkId)) throw new RangeError(`${networkId} is no network id: 32 hexadecimal digits`);
  return Buffer.from(networkId, "hex");
}
