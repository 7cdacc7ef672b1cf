/** Checks what attach() is given and fills in the defaults. */
import { randomBytes } from "node:crypto";
import type { Key, RoutedRow } from "@weft/dataplane-wasm";
import { covers, formatMac, isStation, type Prefix, parseAddress, parseCidr, parseMac, sameKey } from "./address.js";
import { isIfname } from "./ifname.js";
import { Problems } from "./invalid.js";
import { findNetnsById, findNetnsPath, netnsIdOf, netnsName, netnsPaths, OWN } from "./netns.js";
import type { Network } from "./network.js";
import { checkRole, checkRouted, type RoleSurroundings } from "./role-check.js";
import type { AttachSpec, PortRecord } from "./types.js";

export interface CheckedAttach {
  readonly id: string;
  readonly network: Network;
  /** As given, for showing. */
  readonly netns: string | null;
  readonly netnsPath: string | null;
  /** undefined: the name that the device was made with. */
  readonly ifname: string | undefined;
  readonly ip: readonly string[];
  readonly mac: Key;
  readonly mtu: number;
  readonly gateway: readonly string[];
  readonly routes: readonly { readonly to: string; readonly via?: string }[];
  readonly labels: Readonly<Record<string, string>>;
  readonly configure: boolean;
  readonly role: PortRecord["role"];
  /** Of a layer-3 port. */
  readonly routed: RoutedRow | undefined;
  readonly adopt: PortRecord | undefined;
}

/** What the Dataplane knows that an attachment has to fit. */
export interface AttachSurroundings extends RoleSurroundings {
  /** False for the in-memory twin, which knows no namespaces. */
  readonly namespaces: boolean;
  network(name: string): Network | undefined;
  hasPort(id: string): boolean;
  /** Who uses a MAC in a network: a port or a route. */
  ownerOfMac(network: Network, mac: string): string | undefined;
}

/** Not `.` and `..`, which no URL can carry. */
const ID = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,64}$/;

const KEYS = {
  network: "value",
  netns: "value",
  ifname: "value",
  ip: "list",
  mac: "value",
  mtu: "value",
  gateway: "list",
  routes: "list",
  id: "value",
  labels: "object",
  configure: "value",
  role: "value",
  l3: "value",
  adopt: "object",
  beforePersist: "value",
} as const;

/** @throws InvalidInput */
export function checkAttach(wanted: AttachSpec, around: AttachSurroundings): CheckedAttach {
  const problems = new Problems("attach");
  const spec = problems.shape(wanted, KEYS);
  const given: AttachSpec = spec.adopt ? fromRecord(spec.adopt) : spec;

  const id = given.id ?? randomBytes(6).toString("hex");
  if (!ID.test(id) || id === "blackhole" || parseAddress(id)) {
    problems.add("id", id, "1..64 of A-Z a-z 0-9 - _ . but not . or .., an IP address or blackhole");
  } else if (around.hasPort(id)) problems.add("id", id, "an id of its own (a port has this one)");
  const network = around.network(given.network);
  if (!network) problems.add("network", given.network, "the name of a network that was set");

  const { netns, netnsPath } = spec.adopt
    ? adoptionNetns(spec.adopt, problems, around)
    : checkNetns(given.netns, problems, around);
  const ifname = given.ifname ?? (netns === null ? undefined : "eth0");
  // An adopted device has the name that its container gave it.
  if (ifname !== undefined && !spec.adopt && !isIfname(ifname))
    problems.add("ifname", ifname, "1..15 ASCII characters, no space, slash, colon or %, and not . .. all default");

  const { role, mac: macText } = checkRole(given, network, around, problems);
  const mac = checkMac(macText, network, problems, around);
  const ip: Prefix[] = [];
  const texts = given.ip ?? [];
  texts.forEach((text, i) => {
    const prefix = parseCidr(text);
    if (!prefix) problems.add(`ip[${i}]`, text, "an address with prefix length as 10.8.0.1/24");
    else if (ip.some((other) => sameKey(other.key, prefix.key))) problems.add(`ip[${i}]`, text, "each address once");
    else ip.push(prefix);
  });
  const most = network?.mtu ?? 65_485;
  const mtu = given.mtu ?? most;
  const least = ip.some((p) => p.family === 6) ? 1280 : 68;
  if (!Number.isInteger(mtu) || mtu < least || (mtu > most && !spec.adopt)) {
    problems.add("mtu", mtu, `a whole number, ${least}..${most} (the network's)`);
  }

  const gateway = given.gateway ?? [];
  const families = new Set<number>();
  gateway.forEach((text, i) => {
    const address = parseAddress(text);
    const key = `gateway[${i}]`;
    if (!address) problems.add(key, text, "an IPv4 or IPv6 address");
    else if (families.has(address.family)) problems.add(key, text, "at most one gateway per family");
    else if (!isLinkLocal(text) && !ip.some((p) => covers(p, address)))
      problems.add(key, text, "an address in a subnet of ip");
    if (address) families.add(address.family);
  });
  const routes = given.routes ?? [];
  routes.forEach((route, i) => {
    const to = parseCidr(route.to);
    if (!to) problems.add(`routes[${i}].to`, route.to, "a prefix as 10.9.0.0/16");
    const via = route.via === undefined ? undefined : parseAddress(route.via);
    if (route.via !== undefined && (!via || (to && via.family !== to.family))) {
      problems.add(`routes[${i}].via`, route.via, "an address of the same family");
    }
  });
  const routed = checkRouted(given, ip, around, problems);
  for (const [key, value] of Object.entries(given.labels ?? {})) {
    if (typeof value !== "string" || value.length > 256)
      problems.add(`labels.${key}`, value, "a text of at most 256 characters");
  }
  problems.throwIfAny();
  return {
    id,
    network: network as Network,
    netns,
    netnsPath,
    ifname,
    ip: texts,
    mac: mac as Key,
    mtu,
    gateway,
    routes,
    labels: given.labels ?? {},
    configure: given.configure ?? true,
    role,
    routed,
    adopt: spec.adopt,
  };
}

function fromRecord(record: PortRecord): AttachSpec {
  // A record of a release without them has no role and l3.
  const { id, network, ifname, role, l3, mac, ip, mtu, gateway, routes, labels, configure } = record;
  return { id, network, ifname, role, l3, mac, ip, mtu, gateway, routes, labels, configure };
}

function isLinkLocal(text: string): boolean {
  return /^fe[89ab]/i.test(text);
}

function checkNetns(
  given: AttachSpec["netns"],
  problems: Problems,
  around: AttachSurroundings,
): { netns: string | null; netnsPath: string | null } {
  if (given === undefined) return { netns: null, netnsPath: null };
  const netns = String(given);
  if (!around.namespaces) return { netns, netnsPath: null };
  const wrong =
    typeof given === "number"
      ? !Number.isInteger(given) || given < 1
      : netns === "" || /^\.|\/\.\.?(\/|$)|^[^/]+\//.test(netns);
  if (wrong) problems.add("netns", given, "a name as in `ip netns`, an absolute path, or a PID");
  else {
    const netnsPath = findNetnsPath(given);
    if (netnsPath !== undefined) return { netns, netnsPath };
    problems.add("netns", given, `a network namespace (looked at ${netnsPaths(given).join(" and ")})`);
  }
  return { netns, netnsPath: null };
}

function adoptionNetns(
  record: PortRecord,
  problems: Problems,
  around: AttachSurroundings,
): { netns: string | null; netnsPath: string | null } {
  const path = record.netnsPath;
  return { netns: path === null ? null : netnsName(path), netnsPath: adoptionPath(record, problems, around) };
}

/** Where the namespace of an earlier attachment can be opened now. */
function adoptionPath(record: PortRecord, problems: Problems, around: AttachSurroundings): string | null {
  if (!around.namespaces || record.netnsId === null) return record.netnsPath;
  if (record.netnsId === netnsIdOf(OWN)) return null;
  if (record.netnsPath !== null && netnsIdOf(record.netnsPath) === record.netnsId) return record.netnsPath;
  const path = findNetnsById(record.netnsId);
  if (path === undefined)
    problems.add("netns", record.netnsPath ?? record.netnsId, "the namespace it was attached to, which is gone");
  return path ?? null;
}

function checkMac(
  text: string | undefined,
  network: Network | undefined,
  problems: Problems,
  around: AttachSurroundings,
): Key | undefined {
  if (text === undefined) return randomMac(network, around);
  const mac = parseMac(text);
  if (!mac || !isStation(mac)) {
    problems.add("mac", text, "a unicast MAC address as 02:00:00:00:00:07");
    return undefined;
  }
  const owner = network && around.ownerOfMac(network, formatMac(mac));
  if (owner !== undefined) problems.add("mac", text, `a MAC of its own (${owner} has this one)`);
  return mac;
}

/** Locally administered, unicast, new in the network. */
function randomMac(network: Network | undefined, around: AttachSurroundings): Key {
  for (;;) {
    const octets = randomBytes(6);
    const mac: Key = [0, 0, ((octets.readUInt16BE(0) & 0xfcff) | 0x0200) >>> 0, octets.readUInt32BE(2)];
    const isFree = !network || around.ownerOfMac(network, formatMac(mac)) === undefined;
    if (isFree && network?.spec.gateway !== formatMac(mac)) return mac;
  }
}
