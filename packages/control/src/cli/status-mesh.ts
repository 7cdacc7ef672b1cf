/** `weft status` about the mesh: peers, connections, containers, links, addresses, names. */
import type { WireguardInfo } from "../dataplane/types.js";
import { codeOf } from "../errors.js";
import type {
  ContainerInfo,
  DnsInfo,
  ExposureInfo,
  IpamInfo,
  LinkInfo,
  MeshInfo,
  PathInfo,
  PublishedPort,
} from "../mesh-answers.js";
import { call } from "./client.js";
import { peersText } from "./peers.js";
import { type Cell, grouped, octets, span, table } from "./table.js";
import { when } from "./when.js";

export interface Answer {
  readonly data: unknown;
  readonly text: string;
}

/** What the API says in place of a part that only a mesh has. */
export function unlessStatic<T>(answer: Promise<T>): Promise<T | null> {
  return answer.catch((error: unknown) => {
    if (codeOf(error) === "no_mesh") return null;
    throw error;
  });
}

/** A table, or a word where there is nothing. */
export function shown(
  data: readonly unknown[],
  head: readonly string[],
  rows: readonly Cell[][],
  nothing: string,
): Answer {
  return { data, text: rows.length === 0 ? nothing : table(head, rows) };
}

type Topic = (socket: string, network: string | undefined) => Promise<Answer>;

/** Rows of one network; those of all networks are among them. */
const only = (network: string | undefined) => (row: { readonly network: string | null }) =>
  network === undefined || row.network === null || row.network === network;

/** Without a mesh what `wg show` shows; with one the members' paths first, and other peers below. */
export const peers: Topic = async (socket) => {
  const [wireguard, paths] = await Promise.all([
    call<WireguardInfo | null>(socket, "GET", "/v1/peers"),
    unlessStatic(call<PathInfo[]>(socket, "GET", "/v1/paths")),
  ]);
  if (!paths) return { data: wireguard, text: peersText(wireguard, Date.now()) };
  const others = (wireguard?.peers ?? []).filter((p) => !paths.some((path) => path.publicKey === p.publicKey));
  return {
    data: { paths, wireguard },
    text: `${pathsText(paths, Date.now())}\n\n${peersText(wireguard && { ...wireguard, peers: others }, Date.now())}`,
  };
};

/** @param nowMs milliseconds since 1970 */
export function pathsText(paths: readonly PathInfo[], nowMs: number): string {
  if (paths.length === 0) return "no other members";
  const rows = paths.map((p): Cell[] => [
    p.name || p.node,
    p.mode === "relayed" ? `via ${p.viaName || p.via}` : p.mode,
    span(Math.max(0, nowMs - p.since) / 1000),
    p.rttSeconds === null ? "-" : `${(p.rttSeconds * 1000).toFixed(2)} ms`,
    p.loss === null ? "-" : `${(p.loss * 100).toFixed(1)} %`,
    p.mtu === null ? "-" : String(p.mtu),
    p.session,
    p.endpoint ?? "-",
    octets(p.receive.bytes),
    octets(p.transmit.bytes),
  ]);
  return table(
    ["MEMBER", "PATH", "FOR", "ROUND TRIP", "LOSS", "MTU", "SESSION", "ENDPOINT", "FROM MEMBER", "TO MEMBER"],
    rows,
  );
}

export const mesh: Topic = async (socket) => {
  const data = await call<MeshInfo>(socket, "GET", "/v1/mesh");
  return { data, text: meshText(data, Date.now()) };
};

/** @param nowMs milliseconds since 1970 */
export function meshText(info: MeshInfo, nowMs: number): string {
  const nameOf = names(info);
  const facts = [
    `network   ${info.networkId}, founded by ${nameOf(info.founder)}`,
    `self      ${info.self}`,
    `address   ${info.tunnelAddress} in the tunnel`,
    `ports     TCP ${info.port} for control links (protocol ${info.protocol}), UDP ${info.wireguardPort} for WireGuard`,
    `discovery ${info.discovery ? "on" : "off: only hosts that were named are dialled"}`,
    ...info.problems.map(({ text }) => `PROBLEM   ${text}`),
  ];
  const rows = info.members.map((m): Cell[] => [
    `${m.name || "-"}${m.isSelf ? " (self)" : ""}`,
    m.state === "alive" ? "alive" : `unreachable since ${when(m.aliveAt)}`,
    m.startedAt === null ? "-" : span(Math.max(0, nowMs - m.startedAt) / 1000),
    m.version ?? "-",
    m.links.control.length,
    m.links.data.length,
    m.records,
    m.tunnelAddress,
    m.id,
  ]);
  const head = ["MEMBER", "STATE", "UP", "WEFT", "CONTROL LINKS", "DIRECT PATHS", "RECORDS", "TUNNEL ADDRESS", "ID"];
  return `${facts.join("\n")}\n\n${table(head, rows)}`;
}

export const connections: Topic = async (socket) => {
  const { controlLinks: links, targets, ...info } = await call<MeshInfo>(socket, "GET", "/v1/mesh");
  return { data: { links, targets }, text: connectionsText({ ...info, controlLinks: links, targets }, Date.now()) };
};

/** @param nowMs milliseconds since 1970 */
export function connectionsText(info: MeshInfo, nowMs: number): string {
  const nameOf = names(info);
  const links = info.controlLinks.map((l): Cell[] => [
    l.name || l.node,
    l.remote,
    l.isOutbound ? "dialled" : "accepted",
    span(Math.max(0, nowMs - l.since) / 1000),
    l.receive.packets,
    octets(l.receive.bytes),
    l.transmit.packets,
    octets(l.transmit.bytes),
  ]);
  const targets = info.targets.map((x): Cell[] => [
    x.address,
    x.state,
    x.node === null ? "-" : nameOf(x.node),
    x.error ?? "",
  ]);
  const head = ["MEMBER", "ADDRESS", "BY US", "FOR", "RECEIVED", "", "SENT", ""];
  return [
    links.length === 0 ? "no control links" : table(head, links),
    ...(targets.length === 0 ? [] : [table(["NAMED HERE", "STATE", "MEMBER", ""], targets)]),
  ].join("\n\n");
}

export const containers: Topic = async (socket, network) => {
  const data = (await call<ContainerInfo[]>(socket, "GET", "/v1/containers")).filter(only(network));
  const rows = data.map((c): Cell[] => [
    c.name ?? "-",
    c.network,
    c.nodeName || c.node,
    c.ips.join(" ") || "-",
    c.mac,
    c.role === "host" ? "(the host itself)" : c.ifname,
    c.published.map(publishedText).join(" ") || "-",
    when(c.since),
    c.id,
  ]);
  const head = ["CONTAINER", "NETWORK", "MEMBER", "IP", "MAC", "DEVICE", "PUBLISHED", "SINCE", "PORT"];
  return shown(data, head, rows, "no containers");
};

/** `192.0.2.1:8080->80/tcp` */
export function publishedText({ ip, hostPort, port, protocol }: PublishedPort): string {
  return `${ip.includes(":") ? `[${ip}]` : ip}:${hostPort}->${port}/${protocol}`;
}

export const links: Topic = async (socket, network) => {
  const [all, containers] = await Promise.all([
    call<LinkInfo[]>(socket, "GET", "/v1/links"),
    call<ContainerInfo[]>(socket, "GET", "/v1/containers"),
  ]);
  const data = all.filter(only(network));
  const nameOf = containerNames(containers);
  const rows = data.map((l): Cell[] => [
    l.network,
    nameOf(l.sourceContainerId),
    nameOf(l.destinationContainerId),
    l.interface,
    l.mac,
    l.ip ?? "-",
    l.packets,
    octets(l.bytes),
    when(l.lastSeen),
  ]);
  const head = ["NETWORK", "FROM", "TO", "DEVICE", "MAC", "IP", "FRAMES", "", "LAST SEEN"];
  return shown(data, head, rows, "nobody has talked yet");
};

/** Port ids are those of one host: where two hosts have one id, it says no more than the id does. */
function containerNames(containers: readonly ContainerInfo[]): (id: string) => string {
  const names = new Map<string, string>();
  for (const { id, name } of containers) names.set(id, names.has(id) ? id : (name ?? id));
  return (id) => names.get(id) ?? id;
}

export const ipam: Topic = async (socket, network) => {
  const data = (await call<IpamInfo[]>(socket, "GET", "/v1/ipam")).filter(only(network));
  return { data, text: data.length === 0 ? "no networks" : data.map(ipamText).join("\n\n") };
};

export function ipamText(i: IpamInfo): string {
  const prefixes = [i.cidr4, i.cidr6].filter((c) => c !== null).join(" ");
  const rows = i.ranges.map((r): Cell[] => [r.first, r.last, r.count, r.name || r.node, r.state]);
  return [
    `${i.network}: ${prefixes}, ${grouped(i.size)} addresses for containers (not the first, the gateway's and the last)`,
    `this host gives out ${grouped(i.owned)} of them: ${grouped(i.used)} used, ${grouped(i.free)} free`,
    ...(i.foreign.length === 0 ? [] : [`in use here, and another member's: the addresses of ${i.foreign.join(", ")}`]),
    ...(i.waiting === null ? [] : [`waiting: ${i.waiting}`]),
    ...(rows.length === 0 ? [] : [table(["FIRST", "LAST", "ADDRESSES", "OF", "STATE"], rows)]),
  ].join("\n");
}

export const dns: Topic = async (socket, network) => {
  const data = await call<DnsInfo>(socket, "GET", "/v1/dns");
  const shownOnly = { ...data, entries: data.entries.filter(only(network)) };
  return { data: shownOnly, text: dnsText(shownOnly) };
};

export function dnsText({ domain, listen, upstream, entries }: DnsInfo): string {
  const rows = entries.map((e): Cell[] => [
    e.name,
    e.network ?? "(all)",
    [...e.ips, ...e.srv.map((s) => `${s.target}:${s.port} (${s.priority} ${s.weight})`)].join(" "),
    e.nodeName || e.node,
    e.container ?? "(by hand)",
  ]);
  const head = `domain ${domain}, answers at ${listen.join(" ") || "no address"}, asks ${upstream.join(" ") || "nobody else"}`;
  return `${head}\n\n${rows.length === 0 ? "no names" : table(["NAME", "NETWORK", "LEADS TO", "FROM", "CONTAINER"], rows)}`;
}

export function exposureText({ exposed, published, foreignRules }: ExposureInfo): string {
  const lines = [
    ...exposed.map((e) => `exposed ${e.network}: ${e.ifname} ${e.ips.join(" ")}`),
    ...published.map((p) => `published ${publishedText(p)} of ${p.container} in network ${p.network}`),
    ...foreignRules.map((rule) => `rule ${rule}`),
  ];
  return lines.length === 0 ? "nothing is exposed" : lines.join("\n");
}

function names(info: MeshInfo): (node: string) => string {
  const known = new Map(info.members.map((m) => [m.id, m.name]));
  return (node) => known.get(node) || node;
}
