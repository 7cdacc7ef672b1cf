/** What the data plane should have, computed from records: peers, networks with their VTEPs, MAC routes and bindings. */
import type { Binding, NetworkSpec, PeerSpec, Route } from "../dataplane/types.js";
import { AddressPlan, formatIp, GATEWAY, parseIp } from "../ipam/prefix.js";
import { GATEWAY_MACS, gatewayMac } from "../mac.js";
import type { ContainerValue } from "../mesh/records.js";
import type { Entry, Member, NodeId, Records } from "../mesh/types.js";
import { type Network, parseVtep } from "./networks.js";

export interface NetworkTables {
  readonly spec: NetworkSpec;
  /** VTEPs outside of the mesh, among those of the spec. */
  readonly kernelVteps: readonly string[];
  readonly routes: readonly Route[];
  readonly bindings: readonly Binding[];
}

/** What the tables leave out, and why. */
export interface TableCounts {
  /** Containers whose MAC another one in the network has: the one attached first is reached, on this host its own. */
  sameMac: number;
  /** Addresses that another container in the network has: the one attached first answers. */
  sameIp: number;
  /** Records with a MAC or an address that no container can have. */
  unusable: number;
  /** Containers beyond routesMax: those attached last. Frames for them are flooded until their MAC is learned. */
  withoutRoute: number;
  /** Addresses beyond bindingsMax: ARP and ND for them are flooded. */
  withoutBinding: number;
}

/** One of those counted as sameMac or sameIp. */
export interface Clash {
  readonly what: "mac" | "ip";
  readonly value: string;
  readonly network: string;
  /** Port id of the container that is not reached by it. */
  readonly id: string;
}
/** As many as anybody wants to read. */
const CLASHES_MAX = 8;

/** What the tables leave out. */
interface LeftOut {
  readonly counts: TableCounts;
  readonly clashes: Clash[];
}

export interface TableOptions {
  readonly records: Records;
  readonly networks: readonly Network[];
  readonly tunnelAddress: (node: NodeId) => string;
  /** Octets of the longest IP packet in a network whose record leaves it open. */
  readonly mtu: () => number | "auto";
  /** Nodes that are WireGuard peers by now: no network refers to another. */
  readonly isPeer: (node: NodeId) => boolean;
  /** MACs of this host's own ports in a network. */
  readonly localMacs: (network: string) => ReadonlySet<string>;
  /** Static MACs, and bindings, over all networks. */
  readonly routesMax: number;
  readonly bindingsMax: number;
}

type Container = Entry<"container"> & { readonly value: ContainerValue };

/**
 * All other members that have said who they are, with the peer that each should be. One key belongs to one node: whoever has it, so that
 * nobody is cut off by another one that names its key; before there are peers, the lowest.
 * @param before peers as they are
 * @param writable those of a peer's endpoints that this host can write to. Without one it is reached over relays, or writes first.
 */
export function peersOf(
  records: Records,
  tunnelAddress: (node: NodeId) => string,
  before: ReadonlyMap<NodeId, PeerSpec>,
  writable: (endpoints: readonly string[]) => readonly string[],
): Map<NodeId, PeerSpec> {
  const peers = new Map<NodeId, PeerSpec>();
  const keys = new Set([records.get(records.self, "node")?.wireguard]);
  const hasIt = ({ id, node }: Member): boolean => before.get(id)?.publicKey === node?.wireguard;
  const inOrder = records.members().sort((a, b) => Number(hasIt(b)) - Number(hasIt(a)) || (a.id < b.id ? -1 : 1));
  for (const { id, node } of inOrder) {
    if (id === records.self || !node || keys.has(node.wireguard)) continue;
    keys.add(node.wireguard);
    const [endpoint] = writable(node.endpoints);
    const allowedIps = [`${tunnelAddress(id)}/128`];
    peers.set(id, { publicKey: node.wireguard, allowedIps, ...(endpoint === undefined ? {} : { endpoint }) });
  }
  return peers;
}

/** Tables by network; held networks first, because another may need the VNI that they had. */
export function networkTables(options: TableOptions): LeftOut & { tables: Map<string, NetworkTables> } {
  const { records, networks } = options;
  const leftOut: LeftOut = {
    counts: { sameMac: 0, sameIp: 0, unusable: 0, withoutRoute: 0, withoutBinding: 0 },
    clashes: [],
  };
  const left = { routes: options.routesMax, bindings: options.bindingsMax };
  const byNetwork = new Map<string, Container[]>();
  for (const entry of records.list("container")) {
    if (!records.isAlive(entry.node)) continue;
    const list = byNetwork.get(entry.value.network) ?? [];
    list.push(entry);
    byNetwork.set(entry.value.network, list);
  }
  const tables = new Map<string, NetworkTables>();
  const inOrder = networks
    .filter(({ localVni }) => localVni !== null)
    .sort((a, b) => Number(b.isHeld) - Number(a.isHeld) || (a.name < b.name ? -1 : 1));
  for (const network of inOrder) {
    const all = (byNetwork.get(network.name) ?? []).sort(byAge);
    // No frame comes from another host to a held network, so nothing there is where the records say.
    const containers = network.isHeld ? all.filter(({ node }) => node === records.self) : all;
    tables.set(network.name, tablesOf(network, containers, options, left, leftOut));
  }
  return { tables, ...leftOut };
}

function clash({ counts, clashes }: LeftOut, what: Clash["what"], value: string, { id, value: one }: Container): void {
  counts[what === "mac" ? "sameMac" : "sameIp"]++;
  if (clashes.length < CLASHES_MAX) clashes.push({ what, value, network: one.network, id });
}

function tablesOf(
  { name, value, isHeld, localVni }: Network,
  containers: readonly Container[],
  options: TableOptions,
  left: { routes: number; bindings: number },
  leftOut: LeftOut,
): NetworkTables {
  const { counts } = leftOut;
  const { records, tunnelAddress, isPeer } = options;
  const vni = localVni as number;
  const gateway = gatewayMac(vni);
  const remote = containers.filter(({ node }) => node !== records.self && isPeer(node));
  const nodes = [...new Set(remote.map(({ node }) => node))].sort();
  const kernelVteps = isHeld ? [] : kernelVtepsOf(value.vteps);
  const macs = new Set(options.localMacs(name));
  const routes: Route[] = [];
  for (const container of containers) {
    const { node, value: one } = container;
    if (node === records.self) macs.add(one.mac);
    if (node === records.self || !isPeer(node)) continue;
    if (!isStation(one.mac)) counts.unusable++;
    else if (macs.has(one.mac)) clash(leftOut, "mac", one.mac, container);
    else if (left.routes === 0) counts.withoutRoute++;
    else {
      macs.add(one.mac);
      left.routes--;
      routes.push({ mac: one.mac, via: tunnelAddress(node) });
    }
  }
  return {
    spec: {
      name,
      vni,
      mtu: value.mtu ?? options.mtu(),
      vteps: [...nodes.map(tunnelAddress), ...kernelVteps],
      encryption: kernelVteps.length > 0 ? "mixed" : "required",
      gateway,
    },
    kernelVteps,
    routes,
    bindings: bindingsOf(new AddressPlan(value), gateway, containers, left, leftOut),
  };
}

function bindingsOf(
  plan: AddressPlan,
  gateway: string,
  containers: readonly Container[],
  left: { bindings: number },
  leftOut: LeftOut,
): Binding[] {
  const { counts } = leftOut;
  const bindings: Binding[] = plan.ips(GATEWAY).map((ip) => ({ ip, mac: gateway }));
  left.bindings = Math.max(0, left.bindings - bindings.length);
  const seen = new Set(bindings.map(({ ip }) => ip));
  for (const container of containers) {
    const { value } = container;
    if (!isStation(value.mac)) continue;
    for (const text of value.ips) {
      const parsed = parseIp(text);
      const ip = parsed && formatIp(parsed);
      // An address that is not of the network's (given by hand) is found by asking everybody, as ever.
      if (ip === undefined || !plan.covers(ip)) counts.unusable++;
      else if (seen.has(ip)) clash(leftOut, "ip", ip, container);
      else if (left.bindings === 0) counts.withoutBinding++;
      else {
        seen.add(ip);
        left.bindings--;
        bindings.push({ ip, mac: value.mac });
      }
    }
  }
  return bindings;
}

/** Those that can be used, one per address. */
function kernelVtepsOf(texts: readonly string[]): string[] {
  const byAddress = new Map<string, string>();
  for (const vtep of texts.map(parseVtep))
    if (vtep && !byAddress.has(vtep.address)) byAddress.set(vtep.address, vtep.text);
  return [...byAddress.values()].sort();
}

/** Unicast, not zero, and no gateway's. */
function isStation(mac: string): boolean {
  return (
    (Number.parseInt(mac.slice(0, 2), 16) & 1) === 0 && mac !== "00:00:00:00:00:00" && !mac.startsWith(GATEWAY_MACS)
  );
}

/** Who was attached first comes first; every node has the same order. */
function byAge(a: Container, b: Container): number {
  return a.value.since - b.value.since || (keyOf(a) < keyOf(b) ? -1 : 1);
}
function keyOf({ node, id }: Container): string {
  return `${node} ${id}`;
}
