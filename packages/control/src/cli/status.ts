/** `weft status`: the whole picture, or one part of it in detail. `--json` prints the API's answer. */
import type {
  Counters,
  DataplaneInfo,
  FdbEntry,
  NeighbourEntry,
  NetworkInfo,
  PortInfo,
  Route,
  WireguardInfo,
} from "../dataplane/types.js";
import { WeftError } from "../errors.js";
import { featuresText } from "../features.js";
import { keylogText } from "../keylog.js";
import type { ExposureInfo, MeshInfo, MeshProblem, PathMode } from "../mesh-answers.js";
import { refusedText } from "../refused.js";
import { call } from "./client.js";
import { meshDot } from "./dot.js";
import { type ListingOptions, print } from "./options.js";
import { wireguardLine } from "./peers.js";
import * as about from "./status-mesh.js";
import { type Answer, exposureText, shown } from "./status-mesh.js";
import { type Cell, grouped, octets, span, table } from "./table.js";
import type { Topic } from "./topics.js";
import { when } from "./when.js";

interface Status {
  readonly name: string;
  readonly version: string;
  readonly pid: number;
  readonly state: string;
  readonly uptimeSeconds: number;
  readonly metrics: string | null;
  readonly stateDir: string | null;
  readonly dataplane: Omit<DataplaneInfo, "underlay"> & {
    readonly disabled: readonly string[];
    readonly underlay: readonly (DataplaneInfo["underlay"][number] & { readonly up: boolean })[];
  };
  readonly wireguard: WireguardInfo | null;
  readonly mesh: MeshSummary | null;
  readonly parked: readonly {
    readonly id: string;
    readonly network: string;
    readonly netns: string | null;
    readonly why: string;
  }[];
  readonly refused: readonly Refused[];
  readonly networks: readonly NetworkInfo[];
  readonly ports: readonly PortInfo[];
  readonly counters: Counters;
}

interface MeshSummary {
  readonly networkId: string;
  readonly members: Readonly<Record<"alive" | "unreachable", number>>;
  readonly paths: Readonly<Record<PathMode, number>>;
  readonly containers: number;
  readonly exposure: ExposureInfo;
  readonly problems: readonly MeshProblem[];
}

interface Refused {
  readonly source: string;
  readonly vni: number;
  readonly network: string | null;
  readonly at: string;
}

type RouteRow = Route & { readonly network: string };

export async function status(
  what: Topic | undefined,
  options: ListingOptions & { readonly network?: string; readonly dot?: boolean },
): Promise<void> {
  if (options.dot) {
    if (what !== "mesh") throw new WeftError("invalid_input", "--dot: allowed with `weft status mesh` only");
    print({}, undefined, meshDot(await call<MeshInfo>(options.socket, "GET", "/v1/mesh")));
    return;
  }
  const { data, text } =
    what === undefined ? await overview(options.socket) : await topics[what](options.socket, options.network);
  print(options, data, text);
}

async function overview(socket: string): Promise<Answer> {
  const s = await call<Status>(socket, "GET", "/v1/status");
  return { data: s, text: overviewText(s) };
}

function overviewText(s: Status): string {
  const { dataplane: dp, counters, wireguard } = s;
  const underlay = dp.underlay
    .map((u) => `${u.address} (${u.interface ?? "?"}, MTU ${u.mtu}${u.up ? "" : ", DOWN"})`)
    .join(", ");
  const facts: [string, string][] = [
    [
      "weft",
      `${s.version}, ${s.name}, ${s.state} for ${span(s.uptimeSeconds)}, PID ${s.pid}, ${dp.workers} worker${dp.workers === 1 ? "" : "s"}`,
    ],
    ["underlay", `${underlay}, VXLAN on UDP ${dp.vxlanPort}`],
    ...(s.mesh ? [["mesh", meshLine(s.mesh)] as [string, string]] : []),
    ...(s.mesh?.problems ?? []).map(({ text }): [string, string] => ["PROBLEM", text]),
    ...(wireguard ? [["wireguard", wireguardLine(wireguard)] as [string, string]] : []),
    ...(wireguard?.keylog ? [["WARNING", keylogText(wireguard.keylog)] as [string, string]] : []),
    ["metrics", s.metrics ?? "off"],
    ["state", s.stateDir ?? "none (ephemeral)"],
    ["kernel", featuresText({ ...dp.features }, dp.disabled)],
    ["buffers", `receive ${octets(dp.socketBuffers.receive)}, send ${octets(dp.socketBuffers.send)}`],
    ...dp.warnings.map((w): [string, string] => ["warning", w]),
    ...s.parked.map((p): [string, string] => ["parked", `port ${p.id} of network ${p.network}: ${p.why}`]),
  ];
  const parts = [facts.map(([k, v]) => `${k.padEnd(9)} ${v}`).join("\n")];
  parts.push(s.networks.length === 0 ? "no network yet" : networksText(s.networks, counters));
  if (s.ports.length > 0) parts.push(portsText(s.ports));
  if (s.mesh && Object.values(s.mesh.exposure).some((part) => part.length > 0))
    parts.push(exposureText(s.mesh.exposure));
  parts.push(dropsText(counters, s.refused, false));
  return parts.join("\n\n");
}

function meshLine({ networkId, members, paths, containers }: MeshSummary): string {
  const all = members.alive + members.unreachable;
  const away = members.unreachable > 0 ? `, ${members.unreachable} UNREACHABLE` : "";
  const none = paths.none > 0 ? `, ${paths.none} none (no traffic yet, or no way)` : "";
  const ways = `${paths.direct} direct, ${paths.relayed} relayed${none}`;
  return `${networkId}, ${all} member${all === 1 ? "" : "s"}${away}; paths: ${ways}; ${containers} container${containers === 1 ? "" : "s"} in all`;
}

function networksText(networks: readonly NetworkInfo[], counters: Counters): string {
  const rows = networks.map((n): Cell[] => {
    const c = counters.networks.find((x) => x.network === n.name);
    const macs = (c?.fdb.port ?? 0) + (c?.fdb.vtep ?? 0) + (c?.fdb.static ?? 0);
    return [
      n.name,
      String(n.vni),
      String(n.mtu),
      encryptionText(n, counters),
      n.vteps.length,
      n.ports,
      n.routes,
      macs,
      c?.receive.packets ?? 0,
      c?.transmit.packets ?? 0,
    ];
  });
  return table(
    ["NETWORK", "VNI", "MTU", "ENCRYPTION", "VTEPS", "PORTS", "ROUTES", "MACS", "FROM CONTAINERS", "TO CONTAINERS"],
    rows,
  );
}

/** Beside WireGuard, what does without it is marked. */
function encryptionText({ encryption }: NetworkInfo, { wireguard }: Counters): string {
  if (!wireguard || encryption === "required") return encryption;
  return encryption === "none" ? "none: IN CLEAR" : "mixed: PARTLY IN CLEAR";
}

function portsText(ports: readonly PortInfo[]): string {
  const labelled = ports.some((p) => Object.keys(p.labels).length > 0);
  const rows = ports.map((p): Cell[] => [
    p.id,
    p.network,
    p.state,
    p.netns === null ? "-" : p.netns.replace(/^\/run\/netns\//, "").replace(/^(?=\d+$)/, "pid "),
    p.ifname,
    String(p.mtu),
    p.mac,
    p.ip.join(" ") || "-",
    p.receive.packets,
    octets(p.receive.bytes),
    p.transmit.packets,
    octets(p.transmit.bytes),
    ...(labelled
      ? [
          Object.entries(p.labels)
            .map(([k, v]) => `${k}=${v}`)
            .join(" ") || "-",
        ]
      : []),
  ]);
  const head = ["PORT", "NETWORK", "STATE", "NETNS", "DEVICE", "MTU", "MAC", "IP"];
  return table([...head, "FROM CONTAINER", "", "TO CONTAINER", "", ...(labelled ? ["LABELS"] : [])], rows);
}

function dropsText(counters: Counters, refused: readonly Refused[], all: boolean): string {
  const rows = counters.drops
    .filter((d) => all || d.count > 0)
    .map((d): Cell[] => [d.count, d.plane, d.reason, d.help]);
  for (const [where, count] of Object.entries(counters.kernelDrops)) {
    if (all || count > 0)
      rows.push([
        count,
        "kernel",
        where,
        where === "tap_ring" ? "a container sent faster than weft read" : "datagrams came faster than weft read",
      ]);
  }
  if (rows.length > 0) {
    const hosts = refused.slice(0, all ? refused.length : 1).map((r) => `${when(Date.parse(r.at))} ${refusedText(r)}`);
    const text = table(["DROPPED", "PLANE", "REASON", ""], rows);
    return hosts.length > 0 ? `${text}\n\n${hosts.join("\n")}` : text;
  }
  const { egress, ingress } = counters.law;
  return `no drops (${grouped(egress.in)} frames in from ports, ${grouped(ingress.in)} from the underlay)`;
}

const only = (network: string | undefined) => (row: { readonly network: string }) =>
  network === undefined || row.network === network;
const query = (network: string | undefined) => (network === undefined ? "" : `?network=${encodeURIComponent(network)}`);
const age = (e: { readonly ageSeconds: number }) => `${Math.round(e.ageSeconds)}s`;

const topics: Readonly<Record<Topic, (socket: string, network: string | undefined) => Promise<Answer>>> = {
  async ports(socket, network) {
    const data = (await call<PortInfo[]>(socket, "GET", "/v1/ports")).filter(only(network));
    return { data, text: data.length === 0 ? "no ports" : portsText(data) };
  },
  async networks(socket, network) {
    const data = (await call<NetworkInfo[]>(socket, "GET", "/v1/networks")).filter(
      (n) => network === undefined || n.name === network,
    );
    const counters = await call<Counters>(socket, "GET", "/v1/counters");
    return { data, text: data.length === 0 ? "no networks" : networksText(data, counters) };
  },
  async vteps(socket, network) {
    const data = (await call<Counters>(socket, "GET", "/v1/counters")).vteps.filter(only(network));
    const rows = data.map((v): Cell[] => [
      v.network,
      v.vtep,
      v.receive.packets,
      octets(v.receive.bytes),
      v.transmit.packets,
      octets(v.transmit.bytes),
    ]);
    return shown(data, ["NETWORK", "VTEP", "FROM VTEP", "", "TO VTEP", ""], rows, "no VTEPs");
  },
  async fdb(socket, network) {
    const data = await call<FdbEntry[]>(socket, "GET", `/v1/fdb${query(network)}`);
    const rows = data.map((e): Cell[] => [e.network, e.mac, e.kind, e.via, e.static ? "static" : age(e)]);
    return shown(data, ["NETWORK", "MAC", "KIND", "VIA", "AGE"], rows, "no MAC addresses");
  },
  async neighbours(socket, network) {
    const data = await call<NeighbourEntry[]>(socket, "GET", `/v1/neighbours${query(network)}`);
    const rows = data.map((e): Cell[] => [e.network, e.ip, e.mac, e.via, age(e)]);
    return shown(data, ["NETWORK", "IP", "MAC", "VIA", "AGE"], rows, "no neighbours");
  },
  async routes(socket, network) {
    const names =
      network === undefined ? (await call<NetworkInfo[]>(socket, "GET", "/v1/networks")).map((n) => n.name) : [network];
    const data: RouteRow[] = [];
    for (const name of names) {
      const routes = await call<Route[]>(socket, "GET", `/v1/networks/${encodeURIComponent(name)}/routes`);
      data.push(...routes.map((r) => ({ network: name, ...r })));
    }
    const rows = data.map((r): Cell[] => [r.network, "mac" in r ? r.mac : r.prefix, r.via]);
    return shown(data, ["NETWORK", "MAC OR PREFIX", "VIA"], rows, "no routes");
  },
  peers: about.peers,
  mesh: about.mesh,
  connections: about.connections,
  containers: about.containers,
  links: about.links,
  ipam: about.ipam,
  dns: about.dns,
  async drops(socket) {
    const { counters, refused } = await call<Status>(socket, "GET", "/v1/status");
    const { law, drops, kernelDrops } = counters;
    return { data: { law, drops, kernelDrops, refused }, text: dropsText(counters, refused, true) };
  },
};
