/** Routes from text to table rows. */
import type { RouteRow } from "@weft/dataplane-wasm";
import { formatAddress, formatMac, isStation, networkKey, parseCidr, parseMac, parseVtep, sameKey } from "./address.js";
import type { Problems } from "./invalid.js";
import type { Route } from "./types.js";

/** Where a route leads, by name: a VTEP by its address text, a port by id. */
export type Via =
  | { readonly kind: "vtep"; readonly address: string }
  | { readonly kind: "port"; readonly id: string }
  | { readonly kind: "blackhole" };

export interface RouteEntry {
  /** As written. */
  readonly route: Route;
  /** One per MAC or prefix of a network; a MAC's is the MAC as text. */
  readonly key: string;
  readonly row: RouteRow;
  readonly via: Via;
}

/** What a network knows of possible targets. */
export interface Targets {
  hasVtep(address: string): boolean;
  hasPort(id: string): boolean;
  /** Id of the port whose own MAC this is. */
  portOfMac(mac: string): string | undefined;
  /** MAC of its gateway. */
  readonly gateway: string | null;
}

/** MAC or prefix of a route, or undefined and a problem. */
export function checkDestination(
  given: { readonly mac?: unknown; readonly prefix?: unknown },
  at: string,
  problems: Problems,
): { key: string; row: RouteRow } | undefined {
  if ((given.mac === undefined) === (given.prefix === undefined)) {
    problems.add(at || "route", given, "either mac or prefix");
    return undefined;
  }
  if (given.mac !== undefined) {
    const mac = parseMac(given.mac);
    if (!mac || !isStation(mac)) {
      problems.add(`${at}mac`, given.mac, "a unicast MAC address as 02:00:00:00:00:07");
      return undefined;
    }
    return { key: formatMac(mac), row: { kind: "mac", length: 0, key: mac } };
  }
  const prefix = parseCidr(given.prefix);
  if (!prefix) {
    problems.add(`${at}prefix`, given.prefix, "an IPv4 or IPv6 prefix as 10.8.1.0/24");
    return undefined;
  }
  const key = networkKey(prefix);
  if (!sameKey(key, prefix.key)) {
    problems.add(`${at}prefix`, given.prefix, `${formatAddress(key)}/${prefix.length} (host bits are zero)`);
    return undefined;
  }
  const kind = prefix.family === 4 ? "ipv4" : "ipv6";
  return { key: `${key.join(" ")}/${prefix.length}`, row: { kind, length: prefix.length, key } };
}

/** One route, or undefined and problems. */
export function checkRoute(given: Route, at: string, targets: Targets, problems: Problems): RouteEntry | undefined {
  if (typeof given !== "object" || given === null) {
    problems.add(at || "route", given, "an object with mac or prefix, and via");
    return undefined;
  }
  const destination = checkDestination(given, at, problems);
  const via = checkVia(given.via, targets);
  if (!via) problems.add(`${at}via`, given.via, "a VTEP of the network, the id of a port in it, or blackhole");
  if (destination?.row.kind === "mac") {
    if (destination.key === targets.gateway) {
      problems.add(`${at}mac`, destination.key, "a MAC that is not the gateway's of the network");
      return undefined;
    }
    const owner = targets.portOfMac(destination.key);
    if (owner !== undefined) {
      problems.add(`${at}mac`, destination.key, `a MAC that is not a port's own (port ${owner} has it)`);
      return undefined;
    }
  }
  if (!destination || !via) return undefined;
  return { route: { ...given }, ...destination, via };
}

function checkVia(text: unknown, targets: Targets): Via | undefined {
  if (text === "blackhole") return { kind: "blackhole" };
  if (typeof text !== "string") return undefined;
  if (targets.hasVtep(text)) return { kind: "vtep", address: text };
  if (targets.hasPort(text)) return { kind: "port", id: text };
  // Written another way than the network's list has it: with a port, or not in the short form.
  const vtep = parseVtep(text, 0);
  return vtep && targets.hasVtep(vtep.text) ? { kind: "vtep", address: vtep.text } : undefined;
}
