/** IP and MAC addresses between text and octets. */
import { isIPv4, isIPv6 } from "node:net";

/** 4 or 16 octets of a numeric address; undefined when it is none. Zones (`fe80::1%eth0`) are not accepted. */
export function parseAddress(text: string): Uint8Array | undefined {
  if (isIPv4(text)) return Uint8Array.from(text.split("."), Number);
  if (!isIPv6(text) || text.includes("%")) return undefined;
  const [head = "", tail] = text.split("::");
  const words = (part: string): number[] =>
    part === ""
      ? []
      : part.split(":").flatMap((word) => {
          if (!word.includes(".")) return [Number.parseInt(word, 16)];
          const [a = 0, b = 0, c = 0, d = 0] = word.split(".").map(Number);
          return [(a << 8) | b, (c << 8) | d];
        });
  const front = words(head);
  const back = tail === undefined ? [] : words(tail);
  const all = [...front, ...new Array<number>(8 - front.length - back.length).fill(0), ...back];
  return Uint8Array.from(all.flatMap((word) => [word >> 8, word & 255]));
}

/** Text of 4 or 16 octets, IPv6 shortened as RFC 5952 asks. */
export function formatAddress(octets: Uint8Array): string {
  if (octets.length === 4) return octets.join(".");
  const words = Array.from({ length: 8 }, (_, i) => ((octets[2 * i] as number) << 8) | (octets[2 * i + 1] as number));
  let best = { start: 0, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && words[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  const hex = (part: number[]): string => part.map((word) => word.toString(16)).join(":");
  if (best.length < 2) return hex(words);
  return `${hex(words.slice(0, best.start))}::${hex(words.slice(best.start + best.length))}`;
}

/** 16 octets as the ABI has them: IPv4 as ::ffff:a.b.c.d. */
export function toMapped(octets: Uint8Array): Uint8Array {
  if (octets.length === 16) return octets;
  const out = new Uint8Array(16);
  out.fill(0xff, 10, 12);
  out.set(octets, 12);
  return out;
}

/** `10.8.0.1/24` as octets and prefix length; undefined when it is none. Without a slash: the whole address. */
export function parsePrefix(text: string): { octets: Uint8Array; length: number } | undefined {
  const [address = "", bits, ...more] = text.split("/");
  const octets = parseAddress(address);
  if (!octets || more.length > 0 || (bits !== undefined && !/^\d{1,3}$/.test(bits))) return undefined;
  const length = bits === undefined ? octets.length * 8 : Number(bits);
  return length <= octets.length * 8 ? { octets, length } : undefined;
}

/** 6 octets of `02:00:00:00:00:07`; undefined when it is none. */
export function parseMac(text: string): Uint8Array | undefined {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) return undefined;
  return Uint8Array.from(text.split(":"), (octet) => Number.parseInt(octet, 16));
}

/** Text of six octets. */
export function formatMac(octets: Uint8Array): string {
  return Array.from(octets, (octet) => octet.toString(16).padStart(2, "0")).join(":");
}
