/**
 * What fits into what. Octets of IP packets throughout.
 *
 * An underlay of 1500 over IPv4:
 *
 *     1500   underlay packet
 *     − 20 − 8 − 32   IPv4, UDP, WireGuard (16 header, 16 tag)
 *     1440   packet inside the session with the next node        directMtu
 *     − 40 − 8        IPv6 to the far tunnel address, UDP: what a relay hands on
 *     1392   WireGuard message of the session with the far node
 *     − 32
 *     1360   packet inside that session                          relayedMtu(1440)
 *     − 40 − 8 − 8 − 14   IPv6, UDP, VXLAN, Ethernet
 *     1290   packet of a container                               meshMtu
 *
 * WireGuard pads to 16 octets, but never beyond the MTU that it is told, so padding costs nothing here. Further relays cost nothing
 * more: each hands on the same packet inside another session.
 */

const UDP = 8;
const IPV4 = 20;
const IPV6 = 40;
/** Header 16 and tag 16. */
const WIREGUARD = 32;
const VXLAN = 8;
const ETHERNET = 14;
/** Least that IPv6 needs (RFC 8200 §5): an underlay that has it carries every tunnel; a network of containers has no less. */
const IPV6_MIN = 1280;
/** Least that the data plane takes for a path. */
export const PATH_MIN = 576;

/** Inside a session whose messages go straight over the underlay. */
export function directMtu(underlayMtu: number, family: 4 | 6): number {
  return Math.max(PATH_MIN, underlayMtu - (family === 6 ? IPV6 : IPV4) - UDP - WIREGUARD);
}

/** Inside a session whose messages go through relays; `mtu` is that inside the session with the first of them. */
export function relayedMtu(mtu: number): number {
  return Math.max(PATH_MIN, mtu - IPV6 - UDP - WIREGUARD);
}

/** Sizes to fall back to, largest first: an underlay of 1280, and the least there is. */
export function floors(family: 4 | 6, isRelayed: boolean): readonly number[] {
  const direct = directMtu(IPV6_MIN, family);
  return [isRelayed ? relayedMtu(direct) : direct, PATH_MIN];
}

/**
 * MTU of a mesh network when nobody has set one: what containers can send over one relay, so that a changed path does not change it.
 *
 * With 1500 over IPv4 this is 1290. Over IPv6 it would be 1270, less than IPv6 in the containers needs, and is 1280: a full packet
 * over a relay then makes an underlay packet of 1510 octets. Where the underlay takes just 1500 it does not fit; the search for
 * the path's MTU finds that. For as long as the relay is in use TCP is cut smaller, also a packet alone; other packets are answered with
 * too-big, which over IPv6 does not help those of 1271 to 1280 octets: nobody sends shorter ones for it (RFC 8200 §5).
 */
export function meshMtu(underlayMtu: number, family: 4 | 6): number {
  const inside = underlayMtu - (family === 6 ? IPV6 : IPV4) - UDP - WIREGUARD;
  return Math.max(IPV6_MIN, inside - IPV6 - UDP - WIREGUARD - IPV6 - UDP - VXLAN - ETHERNET);
}
