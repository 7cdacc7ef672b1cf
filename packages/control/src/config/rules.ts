/**
 * Rules of the configuration file that no schema can say: what belongs together, what is there twice, what names
 * something that is not there. Addresses are compared as addresses, however they are written. Whatever the schema
 * refuses is skipped here.
 */
import { isIP } from "node:net";
import { formatAddress, networkKey, parseCidr, parseVtep, sameKey } from "../dataplane/address.js";
import { type Problem, show } from "./problems.js";

/** What a file is judged by beside itself. */
export interface Given {
  /** Underlay addresses; undefined while nobody has given any: then only the start can tell. */
  readonly underlay?: readonly string[] | undefined;
  /** VTEPs of the networks that list none. */
  readonly vteps?: readonly string[] | undefined;
}

type Path = readonly (string | number)[];

export function underlayProblems(underlay: readonly unknown[]): Problem[] {
  const families = underlay.map((a) => isIP(String(a)));
  if (families.length !== 2 || families[0] === 0 || families[0] !== families[1]) return [];
  const text = `found ${show(underlay[1])}, a second address of one family; allowed: one IPv4 and one IPv6 address`;
  return [{ path: ["underlay", 1], text }];
}

export function networkProblems(network: Readonly<Record<string, unknown>>, at: Path, given: Given): Problem[] {
  const vteps = entries(network.vteps);
  return [
    ...twice("VTEP", vteps, (i) => [...at, "vteps", i], addressOf),
    ...familyProblems(vteps, [...at, "vteps"], given.underlay),
    ...twice("MAC", fields(network.static, "mac"), (i) => [...at, "static", i, "mac"]),
    ...twice("prefix", fields(network.routes, "prefix"), (i) => [...at, "routes", i, "prefix"]),
    ...prefixProblems(fields(network.routes, "prefix"), (i) => [...at, "routes", i, "prefix"]),
    ...targetProblems(network, at, given),
  ];
}

function twice(
  what: string,
  values: readonly unknown[],
  path: (index: number) => Path,
  key: (value: unknown) => unknown = (v) => (typeof v === "string" ? v.toLowerCase() : undefined),
): Problem[] {
  const seen = new Set<unknown>();
  return values.flatMap((value, i) => {
    const same = key(value);
    if (same === undefined) return [];
    if (seen.has(same)) return [{ path: path(i), text: `found ${show(value)} twice; allowed: each ${what} once` }];
    seen.add(same);
    return [];
  });
}

/** VTEPs that no underlay address can reach. The host's own address in the list is none of them: it is left out. */
function familyProblems(vteps: readonly unknown[], at: Path, underlay: readonly string[] | undefined): Problem[] {
  if (!underlay || underlay.length === 0) return [];
  return vteps.flatMap((value, i) => {
    const vtep = parseVtep(value, 0);
    if (!vtep || underlay.some((address) => isIP(address) === vtep.family)) return [];
    const other = vtep.family === 4 ? 6 : 4;
    const allowed = `an IPv${other} address, or an IPv${vtep.family} underlay address beside ${underlay.join(", ")}`;
    return [{ path: [...at, i], text: `found ${show(value)}; allowed: ${allowed}` }];
  });
}

function prefixProblems(values: readonly unknown[], path: (index: number) => Path): Problem[] {
  return values.flatMap((value, i) => {
    const prefix = parseCidr(value);
    if (!prefix) return [];
    const key = networkKey(prefix);
    if (sameKey(key, prefix.key)) return [];
    const allowed = `${formatAddress(key)}/${prefix.length} (the bits behind the prefix are zero)`;
    return [{ path: path(i), text: `found ${show(value)}; allowed: ${allowed}` }];
  });
}

/** Targets of static MACs and prefixes that are no VTEP of the network. */
function targetProblems(network: Readonly<Record<string, unknown>>, at: Path, given: Given): Problem[] {
  const own = new Set((given.underlay ?? []).map(addressOf));
  const vteps = (network.vteps === undefined ? (given.vteps ?? []) : entries(network.vteps)).filter(
    (v) => !own.has(addressOf(v)),
  );
  const known = new Set(vteps.map(addressOf));
  const names = vteps.join(", ") || "it has none";
  const check = (key: "static" | "routes", field: "vtep" | "via"): Problem[] =>
    fields(network[key], field).flatMap((value, i) => {
      const address = addressOf(value);
      if (address === undefined || known.has(address)) return [];
      const what = own.has(address) ? "this host's own address" : show(value);
      const text = `found ${what}; allowed: one of the network's vteps (${names})${field === "via" ? ", or blackhole" : ""}`;
      return [{ path: [...at, key, i, field], text }];
    });
  return [...check("static", "vtep"), ...check("routes", "via")];
}

function addressOf(value: unknown): string | undefined {
  return parseVtep(value, 0)?.text;
}

function entries(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

/** One field of every map in a list; undefined where there is none, so that positions stay. */
function fields(value: unknown, key: string): unknown[] {
  return entries(value).map((entry: unknown) =>
    typeof entry === "object" && entry !== null ? (entry as Record<string, unknown>)[key] : undefined,
  );
}
