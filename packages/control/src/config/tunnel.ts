/** What is inside the WireGuard tunnel. Free of any library, so that the daemon may use it too. */
import { type Address, covers, type Prefix, parseAddress, parseCidr } from "../dataplane/address.js";

/** Where VXLAN goes that is encrypted. */
export interface Tunnel {
  /** Of this host. */
  readonly addresses: readonly Address[];
  /** allowedIps of all peers. */
  readonly prefixes: readonly Prefix[];
  /** false while the schema has refused something: what is not covered may be covered by that. */
  readonly sound: boolean;
}

/**
 * @param section `wireguard` of a configuration file, not yet judged, or what the data plane answers.
 * @returns undefined without WireGuard.
 */
export function tunnelOf(section: unknown, sound: boolean): Tunnel | undefined {
  if (section === undefined) return undefined;
  const given = asMap(section);
  return {
    addresses: entries(given.address).flatMap((a) => parseAddress(a) ?? []),
    prefixes: entries(given.peers).flatMap((peer) =>
      entries(asMap(peer).allowedIps).flatMap((p) => parseCidr(p) ?? []),
    ),
    sound: sound && section === given,
  };
}

/** Whether a packet to the address goes to a peer. */
export function isCovered(address: Address, tunnel: Tunnel): boolean {
  return tunnel.prefixes.some((prefix) => covers(prefix, address));
}

/** A value that should be a map; an empty one where it is none. */
export function asMap(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

/** A value that should be a list; an empty one where it is none. */
export function entries(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
