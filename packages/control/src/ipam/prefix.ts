/**
 * Prefixes and addresses as numbers, for networks and their indexes. Parsers answer undefined for what they do not take, which
 * includes prefixes with host bits and IPv4 written as IPv6: records of other nodes come through here.
 */
import { isIPv4, isIPv6 } from "node:net";
import ipaddr from "ipaddr.js";

export interface Ip {
  readonly family: 4 | 6;
  readonly number: bigint;
}

export interface Prefix extends Ip {
  /** 0..32 or 0..128. */
  readonly length: number;
}

const BITS = { 4: 32, 6: 128 } as const;
/** Most indexes in a ring, whatever the prefixes have room for. */
const SIZE_MAX = 2 ** 32;

export function parseIp(text: string): Ip | undefined {
  if (isIPv4(text)) return { family: 4, number: numberOf(ipaddr.IPv4.parse(text).toByteArray()) };
  if (!isIPv6(text) || text.includes("%")) return undefined;
  const ip = ipaddr.IPv6.parse(text);
  return ip.isIPv4MappedAddress() ? undefined : { family: 6, number: numberOf(ip.toByteArray()) };
}

/** The usual short form (RFC 5952). */
export function formatIp({ family, number }: Ip): string {
  const octets = Array.from({ length: BITS[family] / 8 }, (_, i) =>
    Number((number >> BigInt(BITS[family] - 8 * (i + 1))) & 0xffn),
  );
  return family === 4 ? octets.join(".") : new ipaddr.IPv6(octets).toRFC5952String();
}

export function parsePrefix(text: string): Prefix | undefined {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  const ip = match && parseIp(match[1] as string);
  const length = Number(match?.[2]);
  if (!ip || length > BITS[ip.family]) return undefined;
  const prefix = { ...ip, length };
  return (ip.number & (hostBits(prefix) - 1n)) === 0n ? prefix : undefined;
}

export function formatPrefix(prefix: Prefix): string {
  return `${formatIp(prefix)}/${prefix.length}`;
}

export function contains(prefix: Prefix, ip: Ip): boolean {
  return prefix.family === ip.family && ip.number >= prefix.number && ip.number < prefix.number + hostBits(prefix);
}

export function overlap(a: Prefix, b: Prefix): boolean {
  return a.length <= b.length ? contains(a, b) : contains(b, a);
}

/** The addresses of a network by index. */
export class AddressPlan {
  readonly #prefixes: readonly Prefix[];
  /** Indexes, 0: no prefix can be used. */
  readonly size: number;

  constructor({ cidr4, cidr6 }: { readonly cidr4: string | null; readonly cidr6: string | null }) {
    const parsed = [cidr4, cidr6].filter((text) => text !== null).map(parsePrefix);
    this.#prefixes = parsed.filter((prefix) => prefix !== undefined);
    const sizes = this.#prefixes.map((prefix) => Number(hostBits(prefix)));
    this.size = sizes.length > 0 && this.#prefixes.length === parsed.length ? Math.min(SIZE_MAX, ...sizes) : 0;
  }

  /** One address per family. */
  ips(index: number): string[] {
    return this.#prefixes.map(({ family, number }) => formatIp({ family, number: number + BigInt(index) }));
  }

  /** As `ips`, with the prefix lengths of the network. */
  cidrs(index: number): string[] {
    return this.ips(index).map((ip, i) => `${ip}/${(this.#prefixes[i] as Prefix).length}`);
  }

  /** Index of an address; undefined: it has none here. */
  indexOf(text: string): number | undefined {
    const ip = parseIp(text);
    const prefix = ip && this.#prefixes.find((one) => contains(one, ip));
    if (!ip || !prefix) return undefined;
    const index = ip.number - prefix.number;
    return index < BigInt(this.size) ? Number(index) : undefined;
  }

  /** The address is in one of the prefixes, whether or not it has an index. */
  covers(text: string): boolean {
    const ip = parseIp(text);
    return ip !== undefined && this.#prefixes.some((prefix) => contains(prefix, ip));
  }

  /** Index 0 is the network's own address, 1 its gateway; the last is the broadcast address of IPv4. */
  isAllocatable(index: number): boolean {
    return index > GATEWAY && index < this.size - 1;
  }
}

export const GATEWAY = 1;

function hostBits({ family, length }: Prefix): bigint {
  return 1n << BigInt(BITS[family] - length);
}

function numberOf(octets: readonly number[]): bigint {
  return octets.reduce((number, octet) => (number << 8n) | BigInt(octet), 0n);
}
