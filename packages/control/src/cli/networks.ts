/** `weft network`. */
import type { MeshNetwork } from "../mesh-answers.js";
import { call } from "./client.js";
import { type ListingOptions, print } from "./options.js";
import { type Cell, table } from "./table.js";

export async function create(
  name: string,
  { cidr, vni, mtu, ...options }: ListingOptions & { cidr?: string[]; vni?: number; mtu?: number },
): Promise<void> {
  const body = { name, ...(cidr ? { cidr } : {}), ...(vni ? { vni } : {}), ...(mtu ? { mtu } : {}) };
  const made = await call<MeshNetwork>(options.socket, "POST", "/v1/mesh/networks", body);
  print(options, made, `network ${made.name}: ${prefixes(made)}, VNI ${made.vni}, MTU ${made.mtu}`);
}

export async function remove(name: string, options: ListingOptions): Promise<void> {
  const answer = await call<{ removed: boolean }>(options.socket, "DELETE", pathOf(name));
  print(options, answer, answer.removed ? `network ${name} is removed` : `there is no network ${name}`);
}

export async function addVtep(name: string, vtep: string, options: ListingOptions): Promise<void> {
  tell(await call<MeshNetwork>(options.socket, "POST", `${pathOf(name)}/vteps`, { vtep }), options);
}

export async function removeVtep(name: string, vtep: string, options: ListingOptions): Promise<void> {
  const path = `${pathOf(name)}/vteps?vtep=${encodeURIComponent(vtep)}`;
  tell(await call<MeshNetwork>(options.socket, "DELETE", path), options);
}

function tell(network: MeshNetwork, options: ListingOptions): void {
  print(options, network, `network ${network.name} has VTEPs in clear: ${network.vteps.join(" ") || "none"}`);
}

export async function list(options: ListingOptions): Promise<void> {
  const networks = await call<MeshNetwork[]>(options.socket, "GET", "/v1/mesh/networks");
  const rows = networks.map((n): Cell[] => [
    `${n.name}${n.isDefault ? " (default)" : ""}`,
    String(n.vni),
    prefixes(n),
    n.gateway.join(" ") || "-",
    String(n.mtu),
    n.containers,
    n.vteps.join(" ") || "-",
  ]);
  const head = ["NETWORK", "VNI", "ADDRESSES", "GATEWAY", "MTU", "CONTAINERS", "VTEPS IN CLEAR"];
  const conflicts = networks.flatMap((n) => n.conflicts.map((conflict) => `network ${n.name}: ${conflict}`));
  const text = rows.length === 0 ? "no networks" : table(head, rows);
  print(options, networks, conflicts.length === 0 ? text : `${text}\n\n${conflicts.join("\n")}`);
}

const pathOf = (name: string): string => `/v1/mesh/networks/${encodeURIComponent(name)}`;
const prefixes = ({ cidr4, cidr6 }: MeshNetwork): string => [cidr4, cidr6].filter((c) => c !== null).join(" ") || "-";
