/**
 * Join tokens: what one types on a new host to bring it into a network.
 *
 *   weft1.BASE64URL    of   network id 16 │ founder's public key 32 │ token id 8 │ secret 32 │ checksum 4
 *
 * The secret is 256 random bits. It only admits: who has been admitted never needs the token again, and who holds it alone
 * can read nobody's links. The founder's key is in it so that a newcomer knows whom to believe. The checksum, the first
 * octets of SHA-256("weft token 1" ‖ everything before it), is for typos.
 */
import { createHash, randomBytes } from "node:crypto";
import { WeftError } from "../errors.js";
import { KEY_LEN, NETWORK_ID_LEN, networkOctets, nodeIdOf, readNodeId } from "./identity.js";
import type { NodeId } from "./types.js";

const PREFIX = "weft1.";
const TOKEN_ID_LEN = 8;
/** Octets of a token's secret. */
export const SECRET_LEN = 32;
const CHECKSUM_LEN = 4;
const ALL_LEN = NETWORK_ID_LEN + KEY_LEN + TOKEN_ID_LEN + SECRET_LEN + CHECKSUM_LEN;

/** Nothing that prints objects shows the secret. */
export class Token {
  /** 16 hexadecimal digits. */
  readonly id: string;
  readonly networkId: string;
  readonly founder: NodeId;
  readonly #secret: Uint8Array;

  constructor(fields: { id: string; networkId: string; founder: NodeId; secret: Uint8Array }) {
    this.id = fields.id;
    this.networkId = fields.networkId;
    this.founder = fields.founder;
    this.#secret = fields.secret;
  }

  /** 32 octets. */
  get secret(): Uint8Array {
    return this.#secret;
  }
}

/** A new token of a network, with an id and a secret that nobody has seen. */
export function newToken(
  networkId: string,
  founder: NodeId,
  random: (length: number) => Uint8Array = randomBytes,
): Token {
  const id = Buffer.from(random(TOKEN_ID_LEN)).toString("hex");
  return new Token({ id, networkId, founder, secret: random(SECRET_LEN) });
}

/** What a user is shown and types: 129 characters. It is a secret. */
export function formatToken(token: Token): string {
  const founder = readNodeId(token.founder);
  if (!founder) throw new RangeError(`${token.founder} is no node id: 32 octets in base64url`);
  const body = Buffer.concat([networkOctets(token.networkId), founder, Buffer.from(token.id, "hex"), token.secret]);
  return PREFIX + Buffer.concat([body, checksum(body)]).toString("base64url");
}

/**
 * @param text as `formatToken` writes it; white space around it does not matter
 * @throws WeftError invalid_input that says what to do; never with any of the text
 */
export function parseToken(text: string): Token {
  const trimmed = text.trim();
  if (trimmed === "") throw refusal("it is empty");
  if (!trimmed.startsWith(PREFIX)) {
    const isOther = /^weft\d+\./.test(trimmed);
    throw refusal(isOther ? "it is of another version of weft: use the same version on both hosts" : "it is none");
  }
  const body = trimmed.slice(PREFIX.length);
  const all = Buffer.from(body, "base64url");
  if (all.length !== ALL_LEN || all.toString("base64url") !== body) throw refusal("damaged");
  const said = all.subarray(ALL_LEN - CHECKSUM_LEN);
  if (!checksum(all.subarray(0, ALL_LEN - CHECKSUM_LEN)).equals(said)) throw refusal("damaged");
  const cut = (from: number, length: number): Buffer => Buffer.from(all.subarray(from, from + length));
  const idAt = NETWORK_ID_LEN + KEY_LEN;
  return new Token({
    networkId: cut(0, NETWORK_ID_LEN).toString("hex"),
    founder: nodeIdOf(cut(NETWORK_ID_LEN, KEY_LEN)),
    id: cut(idAt, TOKEN_ID_LEN).toString("hex"),
    secret: cut(idAt + TOKEN_ID_LEN, SECRET_LEN),
  });
}

function checksum(body: Uint8Array): Buffer {
  return createHash("sha256").update("weft token 1").update(body).digest().subarray(0, CHECKSUM_LEN);
}

function refusal(why: string): WeftError {
  return new WeftError("invalid_input", `token: ${why}: copy it whole, from ${PREFIX.slice(0, -1)} to its end`);
}
