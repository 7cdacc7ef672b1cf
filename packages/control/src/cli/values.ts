/** Checks of single command-line values. A wrong one is exit code 2 and says what is allowed. */
import { InvalidArgumentError } from "commander";
import { isAddress, isCidr, isListen, isMac, isUnicast, isVtep } from "../config/formats.js";

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
