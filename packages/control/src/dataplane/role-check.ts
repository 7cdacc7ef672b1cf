/** Checks of what is special about a port: the gateway's, and layer-3 ports. */
import { type HopRow, type Key, type RoutedRow, routedRows } from "@weft/dataplane-wasm";
import { formatMac, networkKey, type Prefix, parseAddress, parseCidr, parseMac } from "./address.js";
import type { Problems } from "./invalid.js";
import type { Network } from "./network.js";
import type { AttachSpec, PortRecord } from "./types.js";

/** What a port to come meets in its network. */
export interface RoleSurroundings {
  /** Id of the port of a network's gateway. */
  gatewayPort(network: Network): string | undefined;
  /** Routes, bindings and addresses of layer-3 ports that there is still room for. */
  readonly routesLeft: number;
}

/** @returns the role, and the MAC that follows from it */
export function checkRole(
  given: AttachSpec,
  network: Network | undefined,
  around: RoleSurroundings,
  problems: Problems,
): { readonly role: PortRecord["role"]; readonly mac: string | undefined } {
  const role = given.role ?? "container";
  const gateway = network?.spec.gateway ?? null;
  const text = given.mac === undefined ? undefined : parseMac(given.mac);
  if (role === "container") {
    if (gateway !== null && text && formatMac(text) === gateway)
      problems.add("mac", given.mac, "a MAC of its own (the network's gateway has this one)");
    return { role, mac: given.mac };
  }
  if (role !== "gateway") {
    problems.add("role", role, "container or gateway");
    return { role: "container", mac: given.mac };
  }
  if (!network) return { role, mac: given.mac };
  const present = around.gatewayPort(network);
  if (gateway === null) problems.add("role", role, "container, or a network with a gateway");
  else if (given.mac !== undefined && (!text || formatMac(text) !== gateway))
    problems.add("mac", given.mac, `${gateway}, the network's gateway`);
  if (present !== undefined) problems.add("role", role, `container (port ${present} is the gateway's)`);
  if (given.l3) problems.add("l3", true, "false for the gateway's port");
  return { role, mac: given.mac ?? gateway ?? undefined };
}

/** Rows of a layer-3 port; undefined: it is none. The other keys have been checked. */
export function checkRouted(
  given: AttachSpec,
  ip: readonly Prefix[],
  around: RoleSurroundings,
  problems: Problems,
): RoutedRow | undefined {
  const l3: unknown = given.l3 ?? false;
  if (typeof l3 !== "boolean") problems.add("l3", l3, "true or false");
  if (l3 !== true) return undefined;
  const gateways = (given.gateway ?? []).map(parseAddress).filter((a) => a !== undefined);
  const via = (family: 4 | 6): Key | undefined => gateways.find((a) => a.family === family)?.key;
  const hops = new Map<string, HopRow>();
  const add = (prefix: Prefix, viaGateway: boolean): void => {
    const { family, length } = prefix;
    const key = networkKey(prefix);
    hops.set(`${family} ${key.join(" ")}/${length}`, { family, length, key, viaGateway });
  };
  for (const prefix of ip) add(prefix, false);
  (given.routes ?? []).forEach((route, i) => {
    const to = parseCidr(route.to);
    if (!to) return;
    const hop = route.via === undefined ? undefined : parseAddress(route.via);
    if (hop && !gateways.some((g) => g.text === hop.text))
      problems.add(`routes[${i}].via`, route.via, "one of gateway: a layer-3 port has no other next hops");
    add(to, hop !== undefined);
  });
  const row = {
    addresses: ip.map((p) => p.key),
    hops: [...hops.values()],
    gateway4: via(4),
    gateway6: via(6),
  };
  if (routedRows(row) > around.routesLeft) {
    problems.add("l3", `${routedRows(row)} addresses and routes`, `at most ${around.routesLeft} (routesMax)`);
  }
  return row;
}
