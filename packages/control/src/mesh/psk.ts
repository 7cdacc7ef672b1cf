/**
 * Pre-shared keys of control links (TLS 1.3, RFC 8446 §4.2.11): HKDF-SHA256 (RFC 5869) of a secret, with the network id as
 * salt, so that a key is of no use in another network, and with what it is for as info.
 *
 * | identity | secret | who has it |
 * |---|---|---|
 * | `node:ID`, ID dials | X25519 of the two nodes | these two |
 * | `join:TID` | of the token TID | whoever has been given the token, and all members |
 */
import { hkdfSync } from "node:crypto";
import { type Identity, networkOctets } from "./identity.js";
import type { NodeId } from "./types.js";

/** Octets of a pre-shared key: what SHA-256 suites take in full. */
export const PSK_LEN = 32;
/** Nodes that keys are kept for; 32 octets each. The longest unused one goes first. */
const KEPT_MAX = 1024;

/** What a dialler says that it is. */
export type PskIdentity =
  | { readonly kind: "node"; readonly node: NodeId }
  | { readonly kind: "join"; readonly token: string };

export function pskIdentityText(identity: PskIdentity): string {
  return identity.kind === "node" ? `node:${identity.node}` : `join:${identity.token}`;
}

/** @returns undefined for what is neither. Whether there is such a node or token is another question. */
export function readPskIdentity(text: string): PskIdentity | undefined {
  const node = /^node:([A-Za-z0-9_-]{43})$/.exec(text)?.[1];
  if (node !== undefined) return { kind: "node", node };
  const token = /^join:([0-9a-f]{16})$/.exec(text)?.[1];
  return token === undefined ? undefined : { kind: "join", token };
}

/** @param secret of the token, 32 octets. */
export function tokenPsk(networkId: string, secret: Uint8Array): Buffer {
  return derive(secret, networkId, "weft join 1");
}

/** Keys with other nodes, derived once each. */
export class LinkKeys {
  readonly #identity: Identity;
  readonly #networkId: string;
  /** In the order of use. */
  readonly #kept = new Map<NodeId, Buffer>();

  constructor(identity: Identity, networkId: string) {
    this.#identity = identity;
    this.#networkId = networkId;
  }

  /** @returns undefined when the id is no usable public key. */
  with(node: NodeId): Buffer | undefined {
    const kept = this.#kept.get(node);
    this.#kept.delete(node);
    const psk = kept ?? this.#derive(node);
    if (psk) this.#kept.set(node, psk);
    if (this.#kept.size > KEPT_MAX) this.#kept.delete(this.#kept.keys().next().value ?? "");
    return psk;
  }

  get size(): number {
    return this.#kept.size;
  }

  #derive(node: NodeId): Buffer | undefined {
    const secret = this.#identity.agree(node);
    return secret && derive(secret, this.#networkId, "weft control link 1");
  }
}

function derive(secret: Uint8Array, networkId: string, info: string): Buffer {
  return Buffer.from(hkdfSync("sha256", secret, networkOctets(networkId), info, PSK_LEN));
}
