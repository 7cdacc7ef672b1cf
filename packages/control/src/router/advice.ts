/** What works and is still likely not meant: sentences for the log. */
import { isIPv6 } from "node:net";
import { parseVtep } from "../dataplane/address.js";
import type { DataplaneInfo, NetworkInfo, NetworkSpec, PortInfo } from "../dataplane/types.js";

/** VTEPs of the list that the network does without: this host's own addresses. One list may serve all hosts. */
export function ownVteps(spec: NetworkSpec, network: NetworkInfo): string[] {
  return (spec.vteps ?? []).filter((v) => !network.vteps.includes(v));
}

/** A network whose frames do not fit one packet of the underlay. */
export function tooLong(network: NetworkInfo, underlay: DataplaneInfo["underlay"]): string | undefined {
  const families = new Set(network.vteps.map((v) => parseVtep(v, 0)?.family));
  for (const { address, family, interface: device, mtu } of underlay) {
    const outer = network.mtu + (family === 4 ? 50 : 70);
    if (outer <= mtu || !families.has(family)) continue;
    return (
      `MTU ${network.mtu} makes packets of ${outer} octets, more than the ${mtu} of the underlay ${address}` +
      `${device === null ? "" : ` (${device})`}: they are sent in fragments, which is slow and often lost; ` +
      "lower the network's mtu (`auto` fits), or raise the underlay's"
    );
  }
  return undefined;
}

/** An adopted device keeps its MTU, whatever its network has now. */
export function adoptedMtu(port: PortInfo, network: NetworkInfo | undefined): string | undefined {
  if (!network || port.mtu <= network.mtu) return undefined;
  return (
    `${port.ifname} still has MTU ${port.mtu}, its network ${network.mtu} now: longer packets are dropped; ` +
    `set the network's mtu again, or detach and attach the port`
  );
}

/** Other ports of the network on this host that have an address of this one. */
export function sharedAddresses(port: PortInfo, ports: readonly PortInfo[]): string[] {
  const plain = (cidr: string): string => {
    const [address = ""] = cidr.split("/");
    return isIPv6(address) ? (parseVtep(address, 0)?.text ?? address) : address;
  };
  const mine = new Set(port.ip.map(plain));
  return ports
    .filter((p) => p.id !== port.id && p.network === port.network)
    .flatMap((p) =>
      p.ip
        .map(plain)
        .filter((ip) => mine.has(ip))
        .map((ip) => `${ip} belongs to port ${p.id} already`),
    );
}
