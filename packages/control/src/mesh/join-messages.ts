/**
 * The three messages by which a node gets into a network, over a link that a join token has opened. Both ends sign the TLS
 * exporter of this very connection (RFC 8446 §7.5), so that neither's signature is of use anywhere else.
 *
 *   hello     network id 16 │ node id 32 │ signature 64
 *   join      network id 16 │ node id 32 │ signature 64 │ name: length 1, UTF-8 │ its signed records
 *   welcome   signed records first, in as many frames as it takes; then the frame with nothing in it
 */
import { type Identity, KEY_LEN, NETWORK_ID_LEN, networkOctets, nodeIdOf, SIGNATURE_LEN, verify } from "./identity.js";
import type { NodeId } from "./types.js";

/** Octets of exporter that are signed, and the label it has. */
export const EXPORTER_LEN = 32;
export const EXPORTER_LABEL = "EXPORTER-weft-join-1";
/** Octets of records that a newcomer brings: two of the longest kind, and more. */
export const NEWCOMER_MAX = 49_152;
const NAME_MAX = 64;
const WHO_LEN = NETWORK_ID_LEN + KEY_LEN + SIGNATURE_LEN;

interface Who {
  readonly networkId: string;
  /** 32 octets. */
  readonly key: Buffer;
  readonly signature: Buffer;
}

export interface Newcomer {
  readonly id: NodeId;
  readonly name: string;
  /** What it has signed, its `node` record at least, as the gossip writes it; not looked at here. */
  readonly records: Uint8Array;
}

export function encodeHello(identity: Identity, networkId: string, exporter: Uint8Array): Buffer {
  return encodeWho(identity, networkId, ["weft join hello 1", exporter]);
}

/** @returns whom the dialler has reached; undefined when it is damaged or not signed for this connection. */
export function decodeHello(body: Buffer, exporter: Uint8Array): { networkId: string; node: NodeId } | undefined {
  if (body.length !== WHO_LEN) return undefined;
  const { networkId, key, signature } = decodeWho(body);
  if (!verify(signature, signed(networkId, ["weft join hello 1", exporter]), key)) return undefined;
  return { networkId, node: nodeIdOf(key) };
}

/** @throws RangeError for a name or records that are too long */
export function encodeJoin(
  identity: Identity,
  networkId: string,
  exporter: Uint8Array,
  own: { readonly name: string; readonly records: Uint8Array },
): Buffer {
  const name = Buffer.from(own.name);
  if (name.length < 1 || name.length > NAME_MAX)
    throw new RangeError(`a node name of ${name.length} octets: 1 to ${NAME_MAX} are allowed`);
  if (own.records.length > NEWCOMER_MAX)
    throw new RangeError(`records of ${own.records.length} octets: ${NEWCOMER_MAX} are allowed`);
  const rest = Buffer.concat([Buffer.from([name.length]), name, own.records]);
  return Buffer.concat([encodeWho(identity, networkId, ["weft join newcomer 1", exporter, rest]), rest]);
}

/** @returns who wants in; undefined when it is damaged or not signed for this connection. */
export function decodeJoin(body: Buffer, exporter: Uint8Array): (Newcomer & { networkId: string }) | undefined {
  const rest = body.subarray(WHO_LEN);
  const nameLength = rest[0];
  if (nameLength === undefined || nameLength < 1 || nameLength > NAME_MAX) return undefined;
  const records = rest.subarray(1 + nameLength);
  if (rest.length < 1 + nameLength || records.length > NEWCOMER_MAX) return undefined;
  const { networkId, key, signature } = decodeWho(body);
  let name: string;
  try {
    name = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(rest.subarray(1, 1 + nameLength));
  } catch {
    return undefined;
  }
  if (/\p{C}/u.test(name)) return undefined;
  if (!verify(signature, signed(networkId, ["weft join newcomer 1", exporter, rest]), key)) return undefined;
  return { networkId, id: nodeIdOf(key), name, records };
}

type Signed = readonly [purpose: string, ...octets: Uint8Array[]];

function encodeWho(identity: Identity, networkId: string, what: Signed): Buffer {
  return Buffer.concat([networkOctets(networkId), identity.publicKey, identity.sign(signed(networkId, what))]);
}

/** @param body of at least WHO_LEN octets */
function decodeWho(body: Buffer): Who {
  return {
    networkId: body.subarray(0, NETWORK_ID_LEN).toString("hex"),
    key: body.subarray(NETWORK_ID_LEN, NETWORK_ID_LEN + KEY_LEN),
    signature: body.subarray(NETWORK_ID_LEN + KEY_LEN, WHO_LEN),
  };
}

function signed(networkId: string, [purpose, ...octets]: Signed): Buffer {
  return Buffer.concat([Buffer.from(purpose), networkOctets(networkId), ...octets]);
}
