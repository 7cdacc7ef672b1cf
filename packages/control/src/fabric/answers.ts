/** What the API is told of the mesh: the parts' own words joined to plain data. Looks only; changes nothing. */
import type { WireguardInfo } from "../dataplane/types.js";
import type { IpamInfo as OwnedInfo } from "../ipam/ipam.js";
import type { RingView } from "../ipam/rings.js";
import type { Mesh } from "../mesh/mesh.js";
import type { Records } from "../mesh/types.js";
import type { ContainerInfo, ControlLinkInfo, IpamInfo, MemberInfo, PathInfo } from "../mesh-answers.js";
import type { Networks } from "../overlay/networks.js";
import type { PathInfo as OwnPath } from "../paths/types.js";
import { nameOf } from "./membership.js";
import type { MeshState } from "./state.js";

/** Sorted by id, so that every node answers the same of what all share. */
export function memberInfos(records: Records, mesh: Mesh, tunnelAddressOf: (node: string) => string): MemberInfo[] {
  const members = records.members().sort((a, b) => (a.id < b.id ? -1 : 1));
  return members.map(({ id, node, isAlive, aliveAt }) => ({
    id,
    name: node?.name ?? "",
    isSelf: id === records.self,
    state: isAlive ? "alive" : "unreachable",
    aliveAt,
    startedAt: node?.startedAt ?? null,
    version: node?.version ?? null,
    publicKey: node?.wireguard ?? null,
    tunnelAddress: tunnelAddressOf(id),
    control: node?.control ?? [],
    endpoints: node?.endpoints ?? [],
    capabilities: node?.capabilities ?? [],
    ...mesh.known(id),
    links: records.get(id, "links") ?? { control: [], data: [] },
  }));
}

export function controlLinkInfos(records: Records, mesh: Mesh): ControlLinkInfo[] {
  return mesh.channels().map(({ node, remote, isOutbound, ageMs, receive, transmit }) => ({
    node,
    name: nameOf(records, node),
    remote,
    isOutbound,
    since: Math.round(Date.now() - ageMs),
    receive,
    transmit,
  }));
}

export function pathInfos(records: Records, paths: readonly OwnPath[], wireguard: WireguardInfo | null): PathInfo[] {
  const peers = new Map((wireguard?.peers ?? []).map((peer) => [peer.publicKey, peer]));
  const none = { packets: 0, bytes: 0 };
  return paths
    .map((path) => ({
      node: path.node,
      name: nameOf(records, path.node),
      publicKey: path.publicKey,
      mode: path.mode,
      via: path.via,
      viaName: path.via === null ? null : nameOf(records, path.via),
      endpoint: path.endpoint,
      session: path.session,
      // Without a path the latest figures are of one that is no more.
      rttSeconds: path.rttUs === null || path.mode === "none" ? null : path.rttUs / 1e6,
      loss: path.rttUs === null || path.mode === "none" ? null : path.loss / 1000,
      mtu: path.mtuConfirmed && path.mode !== "none" ? path.mtu : null,
      since: Math.round(Date.now() - path.forMs),
      receive: peers.get(path.publicKey)?.receive ?? none,
      transmit: peers.get(path.publicKey)?.transmit ?? none,
    }))
    .sort((a, b) => (a.node < b.node ? -1 : 1));
}

/** Of all live nodes, in an order that all have. */
export function containerInfos(
  records: Records,
  fullNames: (names: readonly string[], network: string) => string[],
): ContainerInfo[] {
  const containers: ContainerInfo[] = [];
  for (const { node, id, value } of records.list("container")) {
    if (!records.isAlive(node)) continue;
    const { name, network, ifname, mac, ips, dns, role, published, since } = value;
    const names = [...(name === null ? [] : [name]), ...dns];
    containers.push({
      id,
      node,
      nodeName: nameOf(records, node),
      name,
      network,
      ifname,
      mac,
      ips,
      dns: fullNames(names, network),
      role,
      published,
      since,
    });
  }
  return containers.sort((a, b) => (`${a.node} ${a.id}` < `${b.node} ${b.id}` ? -1 : 1));
}

export function ipamInfos(
  records: Records,
  networks: Networks,
  owned: readonly OwnedInfo[],
  rings: readonly RingView[],
  { allocations, containers }: MeshState,
  ports: ReadonlySet<string>,
): IpamInfo[] {
  return rings.map((view): IpamInfo => {
    const { cidr4 = null, cidr6 = null } = networks.get(view.network)?.value ?? {};
    const numbers = owned.find((one) => one.network === view.network);
    const at = (index: number): string => view.plan.ips(index)[0] ?? "";
    return {
      network: view.network,
      cidr4,
      cidr6,
      size: numbers?.size ?? 0,
      owned: numbers?.owned ?? 0,
      used: numbers?.used ?? 0,
      free: numbers?.free ?? 0,
      foreign: numbers?.foreign ?? [],
      ignoredGrants: numbers?.ignoredGrants ?? 0,
      waiting: waitingFor(records, view),
      ranges: view.ownership.ranges.map(({ start, end, owner, heirOf }) => ({
        first: at(start),
        last: at(end - 1),
        count: end - start,
        node: owner ?? "",
        name: owner === null ? "" : nameOf(records, owner),
        state: owner === null || heirOf !== null ? "removed" : records.isAlive(owner) ? "alive" : "unreachable",
      })),
      allocations: allocations
        .filter((one) => one.ring === view.ring.id && one.freedAt === null)
        .map(({ key, index }) => ({
          ips: view.plan.ips(index),
          port: ports.has(key) ? key : null,
          name: containers[key]?.name ?? null,
        })),
    };
  });
}

function waitingFor(records: Records, { ring }: RingView): string | null {
  const want = records.get(records.self, "want", ring.id);
  if (!want) return null;
  const who = nameOf(records, want.from);
  return records.isAlive(want.from)
    ? `${who} was asked for addresses`
    : `${who} was asked for addresses and cannot be reached`;
}
