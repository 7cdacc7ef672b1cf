/** The Internet checksum as RFC 1071 §1 tells it: one 16-bit word after the other, carry added back at once. */

/** One's complement sum of `octets`, an odd last octet padded with zero, plus `seed`. */
export function sum16(octets: Uint8Array, seed = 0): number {
  let sum = seed;
  for (let i = 0; i < octets.length; i += 2) {
    sum += ((octets[i] as number) << 8) | (octets[i + 1] ?? 0);
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  return sum;
}

/** The value for a checksum field whose octets are zero now. */
export function checksum(octets: Uint8Array, seed = 0): number {
  return ~sum16(octets, seed) & 0xffff;
}

/** Sum of the pseudo-header of an IP packet: addresses, protocol, transport length (RFC 9293 §3.1, RFC 8200 §8.1). */
export function pseudo16(packet: Uint8Array, protocol: number, length: number): number {
  const addresses = (packet[0] as number) >> 4 === 4 ? packet.subarray(12, 20) : packet.subarray(8, 40);
  const rest = Uint8Array.of(0, protocol, length >>> 24, (length >>> 16) & 255, (length >>> 8) & 255, length & 255);
  return sum16(rest, sum16(addresses));
}
