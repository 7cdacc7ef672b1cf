/**
 * Rules of the configuration file that no schema can say: what belongs together, what is there twice, what names
 * something that is not there. Addresses are compared as addresses, however they are written. Whatever the schema
 * refuses is skipped here.
 */
import { isIP } from "node:net";
import { formatAddress, networkKey, parseCidr, parseVtep, sameKey, type VtepAddress } from "../dataplane/address.js";
import type { Encryption } from "../dataplane/types.js";
import { defaultEncryption } from "./defaults.js";
import { type Problem, show } from "./problems.js";
import { entries, isCovered, type Tunnel } from "./tunnel.js";

/** What a file is judged by beside itself. */
export interface Given {
  /** Underlay addresses; undefined while nobody has given any: then only the start can tell. */
  readonly underlay?: readonly string[] | undefined;
  /** VTEPs of the networks that list none. */
  readonly vteps?: readonly string[] | undefined;
  readonly vxlanPort?: number | undefined;
  /** false: a mesh section does not count. */
  readonly mesh?: boolean | undefined;
}

/** What the networks of a file are judged by. */
export interface Surroundings {
  readonly underlay: readonly string[] | undefined;
  readonly vteps: readonly string[];
  /** undefined without WireGuard. */
  readonly tunnel: Tunnel | undefined;
}

type Path = readonly (string | number)[];

export function underlayProblems(underlay: readonly unknown[]): Problem[] {
  const families = underlay.map((a) => isIP(String(a)));
  if (families.length !== 2 || families[0] === 0 || families[0] !== families[1]) return [];
  const text = `found ${show(underlay[1])}, a second address of one family; allowed: one IPv4 and one IPv6 address`;
  return [{ path: ["underlay", 1], text }];
}

type Network = Readonly<Record<string, unknown>>;

export function networkProblems(network: Network, at: Path, around: Surroundings): Problem[] {
  const vteps = entries(network.vteps);
  return [
    ...encryptionProblems(network, at, around.tunnel),
    ...twice("VTEP", vteps, (i) => [...at, "vteps", i], addressOf),
    ...reachProblems(network, at, around),
    ...twice("MAC", fields(network.static, "mac"), (i) => [...at, "static", i, "mac"]),
    ...twice("prefix", fields(network.routes, "prefix"), (i) => [...at, "routes", i, "prefix"]),
    ...prefixProblems(fields(network.routes, "prefix"), (i) => [...at, "routes", i, "prefix"]),
    ...targetProblems(network, at, around),
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

function encryptionProblems({ encryption }: Network, at: Path, tunnel: Tunnel | undefined): Problem[] {
  if (tunnel || (encryption !== "required" && encryption !== "mixed")) return [];
  return [
    { path: [...at, "encryption"], text: `found ${show(encryption)}; allowed: none, or a wireguard section beside it` },
  ];
}

/** undefined for what the schema or another rule refuses. */
function encryptionOf(network: Network, tunnel: Tunnel | undefined): Encryption | undefined {
  const given = network.encryption ?? defaultEncryption(tunnel !== undefined);
  if (given === "none") return given;
  return tunnel && (given === "required" || given === "mixed") ? given : undefined;
}

/**
 * VTEPs that nothing leads to: no underlay address of their family, or, where encryption is required, no peer. The
 * host's own addresses in the list are none of them: they are left out.
 */
function reachProblems(network: Network, at: Path, around: Surroundings): Problem[] {
  const { tunnel, underlay } = around;
  const encryption = encryptionOf(network, tunnel);
  if (encryption === undefined) return [];
  const isOwn = ownAddresses(encryption, around);
  const flags = network.vteps === undefined && encryption === "required";
  return (flags ? around.vteps : entries(network.vteps)).flatMap((value, i) => {
    const vtep = parseVtep(value, 0);
    if (!vtep || isOwn(vtep)) return [];
    const covered = encryption !== "none" && tunnel !== undefined && isCovered(vtep, tunnel);
    const allowed =
      encryption === "required" && !covered
        ? uncovered(tunnel)
        : covered
          ? otherFamily(
              vtep,
              tunnel.addresses.map((a) => a.text),
              "address of this host in wireguard.address",
            )
          : otherFamily(vtep, underlay, "underlay address");
    const found = `${show(value)}${flags ? " (of --vtep)" : ""}`;
    return allowed === undefined ? [] : [{ path: [...at, "vteps", i], text: `found ${found}; allowed: ${allowed}` }];
  });
}

/** @returns what would be allowed; undefined while nobody can tell. */
function uncovered(tunnel: Tunnel | undefined): string | undefined {
  if (!tunnel?.sound) return undefined;
  return "an address that the allowedIps of a peer cover, as the network's encryption is required";
}

/** @returns what would be allowed instead of an address that none of this host's own can reach. */
function otherFamily(vtep: VtepAddress, own: readonly string[] | undefined, what: string): string | undefined {
  if (!own || own.length === 0 || own.some((address) => isIP(address) === vtep.family)) return undefined;
  const other = vtep.family === 4 ? 6 : 4;
  return `an IPv${other} address, or an IPv${vtep.family} ${what} beside ${own.join(", ")}`;
}

/** Whether an address is this host's own where the VTEPs of a network are. */
function ownAddresses(encryption: Encryption | undefined, { underlay, tunnel }: Surroundings) {
  const own = new Set<string | undefined>([
    ...(encryption === "required" ? [] : (underlay ?? []).map(addressOf)),
    ...(encryption === "none" ? [] : (tunnel?.addresses ?? []).map((a) => a.text)),
  ]);
  return (vtep: VtepAddress | undefined): boolean => vtep !== undefined && own.has(vtep.text);
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
function targetProblems(network: Network, at: Path, around: Surroundings): Problem[] {
  const isOwn = ownAddresses(encryptionOf(network, around.tunnel), around);
  const vteps = (network.vteps === undefined ? around.vteps : entries(network.vteps)).filter(
    (v) => !isOwn(parseVtep(v, 0)),
  );
  const known = new Set(vteps.map(addressOf));
  const names = vteps.join(", ") || "it has none";
  const check = (key: "static" | "routes", field: "vtep" | "via"): Problem[] =>
    fields(network[key], field).flatMap((value, i) => {
      const vtep = parseVtep(value, 0);
      if (vtep === undefined || known.has(vtep.text)) return [];
      const what = isOwn(vtep) ? "this host's own address" : show(value);
      const text = `found ${what}; allowed: one of the network's vteps (${names})${field === "via" ? ", or blackhole" : ""}`;
      return [{ path: [...at, key, i, field], text }];
    });
  return [...check("static", "vtep"), ...check("routes", "via")];
}

function addressOf(value: unknown): string | undefined {
  return parseVtep(value, 0)?.text;
}

/** One field of every map in a list; undefined where there is none, so that positions stay. */
function fields(value: unknown, key: string): unknown[] {
  return entries(value).map((entry: unknown) =>
    typeof entry === "object" && entry !== null ? (entry as Record<string, unknown>)[key] : undefined,
  );
}
