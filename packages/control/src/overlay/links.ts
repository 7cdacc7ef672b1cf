/** Who has talked with whom, by container: the switch's conversations joined with the containers' records. */
import type { Conversation } from "../dataplane/types.js";
import type { ContainerValue } from "../mesh/records.js";
import type { Entry, NodeId } from "../mesh/types.js";

export interface ContainerLink {
  readonly network: string;
  /** Port ids. The source is the container on this host; where both are, the one whose id sorts first. */
  readonly sourceContainerId: string;
  readonly destinationContainerId: string;
  /** Device, MAC and first address of the source, as the destination sees it. */
  readonly interface: string;
  readonly mac: string;
  readonly ip: string | null;
  /** Both directions; octets of Ethernet frames. */
  readonly packets: number;
  readonly bytes: number;
  /** Milliseconds since 1970. */
  readonly lastSeen: number;
}

type Container = Entry<"container"> & { readonly value: ContainerValue };

/** One record per pair, the latest first. What has no container's MAC (the gateway, stations beyond a kernel VTEP) is left out. */
export function containerLinks(
  self: NodeId,
  conversations: readonly Conversation[],
  containers: Iterable<Container>,
): ContainerLink[] {
  const byMac = new Map<string, Container>();
  for (const container of containers) {
    const key = `${container.value.network} ${container.value.mac}`;
    // Of two with one MAC, ours is the one that our switch delivers to.
    if (!byMac.has(key) || container.node === self) byMac.set(key, container);
  }
  const links = new Map<string, ContainerLink>();
  for (const { network, localMac, remoteMac, receive, transmit, lastSeen } of conversations) {
    const local = byMac.get(`${network} ${localMac}`);
    const remote = byMac.get(`${network} ${remoteMac}`);
    if (!local || !remote || local.node !== self) continue;
    // Between two ports of this host both ports have counted the same frames: one of them is enough.
    const isTurned = remote.node === self && remote.id < local.id;
    const [source, destination] = isTurned ? [remote, local] : [local, remote];
    const key = `${source.id} ${destination.node} ${destination.id}`;
    const known = links.get(key);
    const packets = receive.packets + transmit.packets;
    if (known && known.packets > packets) continue;
    links.set(key, {
      network,
      sourceContainerId: source.id,
      destinationContainerId: destination.id,
      interface: source.value.ifname,
      mac: source.value.mac,
      ip: source.value.ips[0] ?? null,
      packets,
      bytes: receive.bytes + transmit.bytes,
      lastSeen: Math.max(lastSeen, known?.lastSeen ?? 0),
    });
  }
  return [...links.values()].sort((a, b) => b.lastSeen - a.lastSeen);
}
