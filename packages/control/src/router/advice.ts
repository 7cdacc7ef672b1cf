/** What works and is still likely not meant: sentences for the log. */
import { isIPv6 } from "node:net";
import { isCovered, tunnelOf } from "../config/tunnel.js";
import { parseVtep } from "../dataplane/address.js";
import type {
  DataplaneApi,
  DataplaneInfo,
  NetworkInfo,
  NetworkSpec,
  PortInfo,
  WireguardInfo,
} from "../dataplane/types.js";
import type { Log } from "../log/log.js";

/** VTEPs of the list that the network does without: this host's own addresses. One list may serve all hosts. */
function ownVteps(spec: NetworkSpec, network: NetworkInfo): string[] {
  return (spec.vteps ?? []).filter((v) => !network.vteps.includes(v));
}

/** A network whose frames do not fit one packet of the underlay, or of the tunnel. */
function tooLong(
  network: NetworkInfo,
  underlay: DataplaneInfo["underlay"],
  wireguard: WireguardInfo | null,
): string | undefined {
  const { inside, outside } = placed(network, wireguard);
  const families = new Set(outside.map((v) => parseVtep(v, 0)?.family));
  for (const { address, family, interface: device, mtu } of underlay) {
    const outer = network.mtu + overhead(family);
    if (outer <= mtu || !families.has(family)) continue;
    return (
      `MTU ${network.mtu} makes packets of ${outer} octets, more than the ${mtu} of the underlay ${address}` +
      `${device === null ? "" : ` (${device})`}: they are sent in fragments, which is slow and often lost; ` +
      "lower the network's mtu (`auto` fits), or raise the underlay's"
    );
  }
  const outer = network.mtu + Math.max(0, ...inside.map((v) => overhead(parseVtep(v, 0)?.family)));
  if (!wireguard || inside.length === 0 || outer <= wireguard.mtu) return undefined;
  return (
    `MTU ${network.mtu} makes packets of ${outer} octets, more than the ${wireguard.mtu} of the WireGuard tunnel; ` +
    "lower the network's mtu (`auto` fits), or raise the underlay's"
  );
}

/** Octets that VXLAN adds to an IP packet inside. */
function overhead(family: 4 | 6 | undefined): number {
  return family === 6 ? 70 : 50;
}

/** A network beside WireGuard that does without it, or may. */
function inClear(network: NetworkInfo, wireguard: WireguardInfo | null): string | undefined {
  if (!wireguard || network.encryption === "required") return undefined;
  const { outside } = placed(network, wireguard);
  if (network.encryption === "none") return "encryption: none: all it exchanges with other hosts is in clear";
  const to = outside.length === 0 ? "" : `, and sent to ${outside.join(", ")}`;
  return `encryption: mixed: VXLAN in clear is taken${to}`;
}

/** VTEPs inside the tunnel and outside. */
function placed(network: NetworkInfo, wireguard: WireguardInfo | null): { inside: string[]; outside: string[] } {
  const tunnel = tunnelOf(wireguard ?? undefined, true);
  const isInside = (text: string): boolean => {
    const vtep = parseVtep(text, 0);
    return network.encryption !== "none" && tunnel !== undefined && vtep !== undefined && isCovered(vtep, tunnel);
  };
  return { inside: network.vteps.filter(isInside), outside: network.vteps.filter((v) => !isInside(v)) };
}

/** Says what is likely not meant about a network that was set. */
export function adviseNetwork(spec: NetworkSpec, network: NetworkInfo, dataplane: DataplaneApi, log: Log): void {
  const fields = { component: "networks", network: spec.name };
  const wireguard = dataplane.wireguard();
  const own = ownVteps(spec, network);
  if (own.length > 0) log.info(fields, `this host's own address is left out of the VTEPs: ${own.join(", ")}`);
  for (const warning of [tooLong(network, dataplane.info.underlay, wireguard), inClear(network, wireguard)])
    if (warning !== undefined) log.warn(fields, warning);
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
