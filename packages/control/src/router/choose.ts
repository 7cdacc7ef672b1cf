/** Which network an attachment is for, and whether what it asks for is taken. Looks only; changes nothing. */
import type { AttachSpec, DataplaneApi, NetworkInfo, NetworkSpec, PortInfo } from "../dataplane/types.js";
import { WeftError } from "../errors.js";
import { isNamespaceOf } from "./namespace.js";

/** An attachment as the API takes it: the network by name, by VNI, or left out where there is only one. */
export type AttachRequest = Omit<AttachSpec, "network" | "adopt" | "beforePersist"> & {
  readonly network?: string;
  readonly vni?: number;
};

/**
 * @returns the network's name, or undefined where `vni` has to make one.
 * @throws WeftError not_found, conflict, or invalid_input when the request leaves it open.
 */
export function chooseNetwork(request: AttachRequest, networks: readonly NetworkInfo[]): string | undefined {
  if (request.network !== undefined) {
    const named = networks.find((n) => n.name === request.network);
    if (!named) {
      const known = networks.map((n) => n.name).join(", ") || "there is none";
      throw new WeftError("not_found", `there is no network ${request.network} (known: ${known}); \`--vni\` makes one`);
    }
    if (request.vni !== undefined && named.vni !== request.vni) {
      throw new WeftError(
        "conflict",
        `network ${named.name} has VNI ${named.vni}, not ${request.vni}: give one of the two`,
      );
    }
    return named.name;
  }
  if (request.vni !== undefined) return networks.find((n) => n.vni === request.vni)?.name;
  if (networks.length === 1 && networks[0]) return networks[0].name;
  const known = networks.map((n) => n.name).join(", ");
  throw new WeftError(
    "invalid_input",
    known === ""
      ? "there is no network yet: give --vni N to make one"
      : `which network? Give --network with one of ${known}, or --vni`,
  );
}

/**
 * The port that a repeated request means: same id, same wishes. Runtimes repeat what they got no answer to.
 * @throws WeftError conflict when the port of that id is another one.
 */
export function sameAttachment(request: AttachRequest, dataplane: DataplaneApi): PortInfo | undefined {
  const port = dataplane.ports().find((p) => p.id === request.id);
  if (!port) return undefined;
  const record = dataplane.records().find((r) => r.id === port.id);
  const network = request.network ?? dataplane.networks().find((n) => n.vni === request.vni)?.name;
  const netns = request.netns === undefined ? null : String(request.netns);
  const there = netns === null || record === undefined ? port.netns === netns : isNamespaceOf(netns, record);
  const list = (values: readonly unknown[] | undefined): string => JSON.stringify([...(values ?? [])]);
  const differences: [what: string, differs: boolean][] = [
    ["network", (request.network ?? request.vni) !== undefined && network !== port.network],
    ["netns", !there],
    ["ifname", (request.ifname ?? (netns === null ? port.ifname : "eth0")) !== port.ifname],
    ["ip", list(request.ip) !== list(port.ip)],
    ["mac", request.mac !== undefined && request.mac.toLowerCase() !== port.mac],
    ["mtu", request.mtu !== undefined && request.mtu !== port.mtu],
    ["gateway", list(request.gateway) !== list(port.gateway)],
    ["routes", routesText(request.routes) !== routesText(port.routes)],
    ["labels", pairs(request.labels) !== pairs(port.labels)],
    ["l3", (request.l3 ?? false) !== port.l3],
    ["configure", record !== undefined && (request.configure ?? true) !== record.configure],
  ];
  const different = differences.filter(([, differs]) => differs).map(([what]) => what);
  if (different.length === 0) return port;
  throw new WeftError(
    "conflict",
    `port ${port.id} is there already, with another ${different.join(", ")}: detach it first, or give another --id`,
  );
}

/** @throws WeftError conflict */
export function refuseTakenMac(mac: string | undefined, network: string, ports: readonly PortInfo[]): void {
  const owner = mac && ports.find((p) => p.network === network && p.mac === mac.toLowerCase());
  if (!owner) return;
  throw new WeftError(
    "conflict",
    `port ${owner.id} has the MAC ${mac} in network ${network}: give another --mac, or leave it out`,
  );
}

/** @throws WeftError conflict for a network of the file whose VNI one of the others has */
export function refuseTakenVni({ name, vni }: NetworkSpec, others: readonly NetworkSpec[]): void {
  const owner = others.find((n) => n.vni === vni && n.name !== name);
  if (owner) throw new WeftError("conflict", `network ${owner.name}, which is not of the file, has vni ${vni}`);
}

/** @throws WeftError conflict for a network that has ports */
export function refuseUsed(network: string, all: readonly PortInfo[]): void {
  const ports = all.filter((p) => p.network === network);
  if (ports.length === 0) return;
  const ids = ports.slice(0, 5).map((p) => p.id);
  const shown = `${ids.join(", ")}${ports.length > ids.length ? ", …" : ""}`;
  const count = ports.length === 1 ? "a port" : `${ports.length} ports`;
  throw new WeftError("conflict", `network ${network} has ${count} (${shown}): detach first`);
}

function routesText(routes: AttachSpec["routes"]): string {
  return (routes ?? []).map(({ to, via }) => `${to} ${via ?? ""}`).join("\n");
}

function pairs(labels: AttachSpec["labels"]): string {
  return JSON.stringify(Object.entries(labels ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)));
}
