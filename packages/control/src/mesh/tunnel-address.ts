/**
 * Tunnel address of a node: a unique local IPv6 address (RFC 4193) that everybody can derive, so that nobody has to assign it.
 *
 *   fd │ SHA-256("weft-ula" ‖ network id)[0..5) │ SHA-256("weft-node" ‖ public key)[0..10)
 *
 * An IPv4 one is needed only beside the mesh, see below.
 *
 * The first six octets are the network's /48, the other ten the node: two of 2^40 nodes have the same with probability 1/2.
 */
import { createHash } from "node:crypto";
import ipaddr from "ipaddr.js";
import { networkOctets, readNodeId } from "./identity.js";
import type { NodeId } from "./types.js";

const SITE_LEN = 5;
const NODE_LEN = 10;

/**
 * @param networkId 32 hexadecimal digits
 * @returns the address in the form of RFC 5952
 */
export function tunnelAddress(networkId: string, node: NodeId): string {
  const key = readNodeId(node);
  if (!key) throw new RangeError(`${node} is no node id: 32 octets in base64url`);
  return textOf([...site(networkId), ...digest("weft-node", key).subarray(0, NODE_LEN)]);
}

/**
 * For peers outside of the mesh that have IPv4 inside their tunnel: of 100.64.0.0/10 (RFC 6598). 22 bits, so two nodes may have the same:
 * nobody in the mesh sends to it, only a peer that knows both has to have another one configured on one of them.
 */
export function tunnelAddress4(networkId: string, node: NodeId): string {
  const key = readNodeId(node);
  if (!key) throw new RangeError(`${node} is no node id: 32 octets in base64url`);
  const [a = 0, b = 0, c = 0] = digest("weft-node4", Buffer.concat([networkOctets(networkId), key]));
  // No host part that looks like a network's own or broadcast address.
  return `100.${64 | (a & 63)}.${b}.${1 + (c % 254)}`;
}

/** The /48 that all tunnel addresses of a network are in. */
export function tunnelPrefix(networkId: string): string {
  return `${textOf([...site(networkId), ...Buffer.alloc(NODE_LEN)])}/48`;
}

function site(networkId: string): number[] {
  return [0xfd, ...digest("weft-ula", networkOctets(networkId)).subarray(0, SITE_LEN)];
}

function digest(label: string, octets: Uint8Array): Buffer {
  return createHash("sha256").update(label).update(octets).digest();
}

function textOf(octets: number[]): string {
  return new ipaddr.IPv6(octets).toRFC5952String();
}
