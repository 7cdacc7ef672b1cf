/** Checks of single command-line values. A wrong one is exit code 2 and says what is allowed. */
import { InvalidArgumentError } from "commander";
import {
  isAddress,
  isCidr,
  isDnsName,
  isHost,
  isListen,
  isMac,
  isNetworkPrefix,
  isUnicast,
  isVtep,
} from "../config/formats.js";
import type { SrvTarget } from "../mesh-answers.js";

type Parse<T> = (text: string) => T;

function checked(test: (text: string) => boolean, allowed: string): Parse<string> {
  return (text) => {
    if (!test(text)) throw new InvalidArgumentError(`Allowed: ${allowed}.`);
    return text;
  };
}

export function integer(low: number, high: number): Parse<number> {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= low && value <= high)) throw new InvalidArgumentError(`Allowed: an integer ${low}..${high}.`);
    return value;
  };
}

/** For an option that may be given several times. */
export function each<T>(parse: Parse<T>): (text: string, before: T[] | undefined) => T[] {
  return (text, before = []) => [...before, parse(text)];
}

export const text: Parse<string> = checked((t) => t !== "", "some text");
export const path: Parse<string> = checked((t) => t !== "", "a path");
export const address = checked(isUnicast, "an IPv4 or IPv6 address of a host; names are not resolved");
export const gateway = checked(isAddress, "an IPv4 or IPv6 address");
export const vtep = checked(isVtep, "ADDR, ADDR:PORT or [ADDR]:PORT; names are not resolved");
export const host = checked(isHost, "HOST, HOST:PORT, ADDR, ADDR:PORT or [ADDR]:PORT");
export const advertise = checked(isVtep, "ADDR, ADDR:PORT or [ADDR]:PORT; names are not resolved");
export const networkPrefix = checked(
  isNetworkPrefix,
  "a prefix of a network, as 10.32.0.0/12 (IPv4 /8../29) or fd00:1::/64 (IPv6 /48../125)",
);
export const dnsName = checked(isDnsName, "1..64 characters: labels of a-z 0-9 - _ with dots between them");
export const listen = checked(isListen, "ADDR:PORT, [ADDR]:PORT, or off");
export const cidr = checked(isCidr, "an address with prefix length, as 10.8.0.1/24");
export const mac = checked(isMac, "a unicast MAC address, as 02:00:00:00:00:07");
export const name = checked(
  (t) => /^[a-z0-9][a-z0-9._-]{0,31}$/.test(t),
  "1..32 of a-z 0-9 - _ . that start with a letter or digit",
);
export const portId = checked((t) => /^[A-Za-z0-9_.-]{1,64}$/.test(t), "1..64 of A-Z a-z 0-9 - _ .");
export const ifname = checked(
  (t) => /^[^/\s:]{1,15}$/.test(t) && t !== "." && t !== "..",
  "a device name of 1..15 characters",
);

/** ADDR or ADDR/LEN; the address. */
export function addressWithLength(value: string): string {
  const [found = ""] = value.split("/");
  if (!isUnicast(found) || !(value === found || isCidr(value)))
    throw new InvalidArgumentError("Allowed: an address of this host, as 192.0.2.1 or 192.0.2.1/24.");
  return found;
}

export interface PublishedAs {
  readonly ip?: string;
  readonly hostPort?: number;
  readonly port: number;
  readonly protocol: "tcp" | "udp";
}

/** [IP:][HOSTPORT:]PORT[/tcp|/udp]; an IPv6 address in brackets. */
export function publish(value: string): PublishedAs {
  const parts = /^(?:(?:\[([^\]]+)\]|(\d+\.[\d.]+)):)?(?:(\d{1,5}):)?(\d{1,5})(?:\/(tcp|udp))?$/.exec(value);
  const ip = parts?.[1] ?? parts?.[2];
  const ports = [parts?.[3], parts?.[4]].flatMap((text) => (text === undefined ? [] : [Number(text)]));
  const port = ports.at(-1);
  if (
    port === undefined ||
    ports.some((p) => p < 1 || p > 65_535) ||
    (ip !== undefined && (!isAddress(ip) || (parts?.[1] === undefined) !== ip.includes(".")))
  )
    throw new InvalidArgumentError(
      "Allowed: [IP:][HOSTPORT:]PORT[/udp], as 80, 8080:80, 192.0.2.1:53:53/udp or [2001:db8::1]:80.",
    );
  return {
    ...(ip === undefined ? {} : { ip }),
    ...(ports.length === 2 ? { hostPort: ports[0] as number } : {}),
    port,
    protocol: parts?.[5] === "udp" ? "udp" : "tcp",
  };
}

/** [PRIORITY,WEIGHT,]PORT,TARGET in the order of RFC 2782 */
export function srv(value: string): SrvTarget {
  const parts = /^(?:(\d{1,5}),(\d{1,5}),)?(\d{1,5}),([A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}))$/.exec(value);
  const [priority, weight, port] = [parts?.[1] ?? 0, parts?.[2] ?? 0, parts?.[3] ?? Number.NaN].map(Number) as [
    number,
    number,
    number,
  ];
  if (!(priority <= 65_535 && weight <= 65_535 && port <= 65_535))
    throw new InvalidArgumentError("Allowed: PORT,TARGET or PRIORITY,WEIGHT,PORT,TARGET, as 5432,db or 10,5,5432,db.");
  return { priority, weight, port, target: parts?.[4] ?? "" };
}

/** CIDR[=GW] */
export function route(value: string): { to: string; via?: string } {
  const [to = "", via, ...rest] = value.split("=");
  if (rest.length > 0 || !isCidr(to) || (via !== undefined && !isAddress(via))) {
    throw new InvalidArgumentError("Allowed: PREFIX or PREFIX=GATEWAY, as 10.9.0.0/16=10.8.0.254.");
  }
  return via === undefined ? { to } : { to, via };
}

/** K=V */
export function label(value: string): [string, string] {
  const at = value.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("Allowed: KEY=VALUE.");
  return [value.slice(0, at), value.slice(at + 1)];
}
