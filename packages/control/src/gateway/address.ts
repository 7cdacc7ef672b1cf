/** Names and addresses that follow from a network: its gateway's, and those of the host's own port in it. */
import { createHash } from "node:crypto";
import { isIPv6 } from "node:net";
import ipaddr from "ipaddr.js";

/** A network as far as its gateway needs it. */
export interface GatewayNetwork {
  readonly name: string;
  readonly vni: number;
  /** Prefixes, at least one. */
  readonly cidr4: string | null;
  readonly cidr6: string | null;
}

/** Addresses of a network's gateway with prefix length: the first of each prefix. */
export function gatewayAddresses({ cidr4, cidr6 }: Pick<GatewayNetwork, "cidr4" | "cidr6">): string[] {
  return [cidr4, cidr6].filter((cidr) => cidr !== null).map(firstOf);
}

function firstOf(cidr: string): string {
  const [address, length] = ipaddr.parseCIDR(cidr);
  const octets = address.toByteArray();
  octets.forEach((octet, i) => {
    const kept = Math.min(8, Math.max(0, length - 8 * i));
    octets[i] = octet & (0xff << (8 - kept)) & 0xff;
  });
  octets[octets.length - 1] = (octets.at(-1) ?? 0) | 1;
  return `${ipaddr.fromByteArray(octets).toString()}/${length}`;
}

/** Gateways, without prefix length, that somebody with these addresses (with prefix length) reaches: not beyond a subnet of its own. */
export function gatewaysWithin(network: Pick<GatewayNetwork, "cidr4" | "cidr6">, ips: readonly string[]): string[] {
  const all = gatewayAddresses(network).map(bare);
  return all.filter((gateway) => ips.some((ip) => overlaps(ip, `${gateway}/${familyOf(gateway) === 4 ? 32 : 128}`)));
}

/** Whether two prefixes have an address in common. */
export function overlaps(a: string, b: string): boolean {
  const [addressA, lengthA] = ipaddr.parseCIDR(a);
  const [addressB, lengthB] = ipaddr.parseCIDR(b);
  if (addressA.kind() !== addressB.kind()) return false;
  return addressA.match([addressB, Math.min(lengthA, lengthB)] as never);
}

/** An address without its prefix length. */
export function bare(address: string): string {
  return address.replace(/\/.*$/, "");
}

export function familyOf(address: string): 4 | 6 {
  return isIPv6(bare(address)) ? 6 : 4;
}

/** Gateway's device in the gateways' namespace. */
export function gatewayIfname(vni: number): string {
  return `gw-${vni}`;
}

/** The host's own device in a network: `weft-NETWORK`; where that is longer than 15 octets, cut and made unique. */
export function hostIfname(network: string): string {
  const name = `weft-${network}`;
  if (name.length <= 15) return name;
  return `${name.slice(0, 10)}-${createHash("sha256").update(network).digest("hex").slice(0, 4)}`;
}
