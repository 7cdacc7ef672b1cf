/** How values are written: predicates over text, without any library, so that the command line can use them too. */
import { isIP, isIPv4, isIPv6 } from "node:net";
import { networkKey, parseCidr, sameKey } from "../dataplane/address.js";

/** `[ADDR]:PORT`, `ADDR:PORT` or `ADDR` taken apart; undefined when it is none of them. */
export function splitEndpoint(text: string): { address: string; port: number | undefined } | undefined {
  if (isAddress(text)) return { address: text, port: undefined };
  const parts = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  if (!parts) return undefined;
  const address = parts[1] ?? parts[2] ?? "";
  const port = Number(parts[3]);
  const family = isIP(address);
  if (port > 65_535 || !isAddress(address) || (parts[1] === undefined && family === 6)) return undefined;
  return { address, port };
}

/** An address without zone; not an IPv4 address in IPv6 dress, which would name one thing twice. */
export function isAddress(text: string): boolean {
  return isIP(text) !== 0 && !text.includes("%") && !/^[0:]+:ffff:\d+\.[\d.]+$/i.test(text);
}

/** Whether a host can have this address: not unspecified, not multicast, not broadcast. */
export function isUnicast(address: string): boolean {
  if (isIPv4(address)) {
    const first = Number(address.split(".")[0]);
    return first > 0 && (first < 224 || first > 239) && address !== "255.255.255.255";
  }
  return isAddress(address) && !/^ff/i.test(address) && !/^[0:]+$/.test(address);
}

export function isCidr(text: string): boolean {
  const [address = "", length = "", ...rest] = text.split("/");
  const family = isIP(address);
  return (
    rest.length === 0 && isAddress(address) && /^\d{1,3}$/.test(length) && Number(length) <= (family === 4 ? 32 : 128)
  );
}

/** A prefix without bits behind it that is large enough for a network of containers: IPv4 /8../29, IPv6 /48../125. */
export function isNetworkPrefix(text: string): boolean {
  const prefix = isCidr(text) ? parseCidr(text) : undefined;
  if (!prefix || !isUnicast(text.slice(0, text.indexOf("/")))) return false;
  const [shortest, longest] = prefix.family === 4 ? [8, 29] : [48, 125];
  return prefix.length >= shortest && prefix.length <= longest && sameKey(networkKey(prefix), prefix.key);
}

/** Whether the second of two prefixes is of the family of the first. */
export function isFamilyTwice(prefixes: readonly unknown[]): boolean {
  const families = prefixes.map((p) => isIP(String(p).split("/")[0] ?? ""));
  return families.length === 2 && families[0] !== 0 && families[0] === families[1];
}

/**
 * `HOST`, `HOST:PORT`, `ADDR`, `ADDR:PORT`, `[ADDR]` or `[ADDR]:PORT`, where HOST is a name; undefined when it is none of them.
 * `weft token` prints `[ADDR]` for a member that has IPv6 alone.
 */
export function splitHost(text: string): { host: string; port: number | undefined } | undefined {
  const inBrackets = /^\[(.+)\]$/.exec(text)?.[1] ?? "";
  if (isIPv6(inBrackets) && isAddress(inBrackets)) return { host: inBrackets, port: undefined };
  const endpoint = splitEndpoint(text);
  if (endpoint) return endpoint.port === 0 ? undefined : { host: endpoint.address, port: endpoint.port };
  const parts = /^([A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?\.?)(?::(\d{1,5}))?$/.exec(text);
  const host = parts?.[1] ?? "";
  const port = parts?.[2] === undefined ? undefined : Number(parts[2]);
  // A name of digits and dots alone would be an address that is none.
  if (host === "" || host.length > 253 || /^[\d.]+$/.test(host) || port === 0 || (port ?? 1) > 65_535) return undefined;
  return { host, port };
}

export function isHost(text: string): boolean {
  const found = splitHost(text);
  return found !== undefined && (isIP(found.host) === 0 || isUnicast(found.host));
}

/** `HOST:PORT` or `[ADDR]:PORT`. */
export function hostPort(host: string, port: number): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`;
}

/** Whether a host that was named as `HOST:PORT` is the one that is meant: `HOST` stands for each of its ports. */
export function isSameHost(named: string, meant: string): boolean {
  const [a, b] = [splitHost(named), splitHost(meant)];
  if (!a || !b) return named === meant;
  return a.host.toLowerCase() === b.host.toLowerCase() && (b.port === undefined || a.port === b.port);
}

/** A name in the DNS of the mesh, without the domain: labels of `a-z 0-9 - _`, 1..64 characters. */
export function isDnsName(text: string): boolean {
  return (
    text.length <= 64 && /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/.test(text)
  );
}

export function isMac(text: string): boolean {
  return /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text) && (Number.parseInt(text.slice(0, 2), 16) & 1) === 0;
}

export function isVtep(text: string): boolean {
  const endpoint = splitEndpoint(text);
  return endpoint !== undefined && isUnicast(endpoint.address) && endpoint.port !== 0;
}

/** `ADDR:PORT` or `[ADDR]:PORT` of another host. */
export function isEndpoint(text: string): boolean {
  const endpoint = splitEndpoint(text);
  return endpoint?.port !== undefined && endpoint.port !== 0 && isUnicast(endpoint.address);
}

/** 32 octets in base64, in its one canonical form. */
export function isKey(text: string): boolean {
  return /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/.test(text);
}

/** `ADDR:PORT` to listen on, or `off`. Port 0 takes any free one. */
export function isListen(text: string): boolean {
  return text === "off" || splitEndpoint(text)?.port !== undefined;
}

export function isFileVia(text: string): boolean {
  return text === "blackhole" || isVtep(text);
}
