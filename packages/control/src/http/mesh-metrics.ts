/**
 * Metrics of the mesh. Without one the families are there without series; those that have no label are 0. The label `peer` is the WireGuard public key in base64, as in
 * weft_wireguard_*; weft_peer_info says which member it is. Series of a removed member vanish.
 */
import type { Histogram } from "../dataplane/types.js";
import type { IpamInfo, MeshCounters, MeshProblem, PathInfo, PathMode } from "../mesh-answers.js";
import type { MeshControl } from "../router/mesh-control.js";
import { PROBLEM_KINDS } from "./mesh-schemas.js";
import type { Family, Sample } from "./metrics.js";

const STATES = ["alive", "unreachable"] as const;
const MODES: readonly PathMode[] = ["direct", "relayed", "none"];

/** What one scrape sees: each part is asked for once. */
export interface MeshSnapshot {
  readonly members: Readonly<Record<(typeof STATES)[number], number>>;
  readonly controlLinks: number;
  readonly problems: readonly MeshProblem[];
  readonly paths: readonly PathInfo[];
  readonly ipam: readonly Pick<IpamInfo, "network" | "size" | "owned" | "used" | "free">[];
  readonly containers: number;
  readonly exposed: number;
  readonly published: number;
  readonly counters: MeshCounters;
}

export function meshSnapshot(mesh: MeshControl): MeshSnapshot {
  const { members, controlLinks, problems } = mesh.info();
  const { exposed, published } = mesh.exposure();
  const count = (state: string): number => members.filter((m) => m.state === state).length;
  return {
    members: { alive: count("alive"), unreachable: count("unreachable") },
    controlLinks: controlLinks.length,
    problems,
    paths: mesh.paths(),
    ipam: mesh.ipam(),
    containers: mesh.containers().length,
    exposed: exposed.length,
    published: published.length,
    counters: mesh.counters(),
  };
}

/** Registers one family of buckets. */
type HistogramFamily = (name: string, help: string, rows: () => [Record<string, string>, Histogram][]) => void;

/** @param now of the scrape that is under way; undefined without a mesh: the families are there, without series */
export function meshMetrics(
  {
    counter,
    gauge,
    histogram,
  }: { readonly counter: Family; readonly gauge: Family; readonly histogram: HistogramFamily },
  now: () => MeshSnapshot | undefined,
): void {
  const fill = (
    family: Family,
    name: string,
    help: string,
    labels: string[],
    samples: (mesh: MeshSnapshot) => Sample[],
  ): void =>
    family(name, help, labels, () => {
      const mesh = now();
      return mesh ? samples(mesh) : [];
    });
  const plain = (family: Family, name: string, help: string, value: (mesh: MeshSnapshot) => number): void =>
    fill(family, name, help, [], (mesh) => [[{}, value(mesh)]]);
  const counted = (
    name: string,
    help: string,
    label: string,
    of: (counters: MeshCounters) => Readonly<Record<string, number>>,
  ): void =>
    fill(counter, name, help, [label], ({ counters }) =>
      Object.entries(of(counters)).map(([key, count]): Sample => [{ [label]: key }, count]),
    );
  const perPeer = (name: string, help: string, value: (path: PathInfo) => number | null): void =>
    fill(gauge, name, help, ["peer"], ({ paths }) =>
      paths.flatMap((path): Sample[] => {
        const measured = value(path);
        return measured === null ? [] : [[{ peer: path.publicKey }, measured]];
      }),
    );

  fill(gauge, "weft_mesh_members", "Members of the network by state, this one included.", ["state"], ({ members }) =>
    STATES.map((state) => [{ state }, members[state]]),
  );
  fill(gauge, "weft_mesh_peers", "Other members by the path that data takes to them.", ["path"], ({ paths }) =>
    MODES.map((path) => [{ path }, paths.filter((p) => p.mode === path).length]),
  );
  plain(gauge, "weft_mesh_control_links", "Control links of this node.", (m) => m.controlLinks);
  plain(gauge, "weft_mesh_containers", "Containers of all members.", (m) => m.containers);
  fill(
    gauge,
    "weft_problems",
    "Collisions of networks, gateways, addresses and containers with which something is wrong here; `weft status` says what to do.",
    ["kind"],
    ({ problems }) =>
      PROBLEM_KINDS.map((kind): Sample => {
        const of = problems.filter((problem) => problem.kind === kind);
        return [{ kind }, of.reduce((sum, { count }) => sum + count, 0)];
      }),
  );
  fill(
    counter,
    "weft_mesh_messages_total",
    "Messages on control links.",
    ["direction", "type"],
    ({ counters: { messages } }) => messages.map(({ direction, type, count }) => [{ direction, type }, count]),
  );
  counted("weft_mesh_bytes_total", "Octets of messages on control links.", "direction", (c) => c.bytes);
  counted(
    "weft_mesh_rejected_total",
    "What came over control links and was not believed or not taken.",
    "reason",
    (c) => c.rejected,
  );
  histogram(
    "weft_mesh_convergence_seconds",
    "Time from writing a record of this node until each of its neighbours has it.",
    () => {
      const mesh = now();
      return mesh ? [[{}, mesh.counters.convergenceSeconds]] : [];
    },
  );
  counted("weft_mesh_path_changes_total", "Times that data took another path, by why.", "reason", (c) => c.pathChanges);

  fill(gauge, "weft_peer_info", "Which member a peer is; always 1.", ["peer", "node"], ({ paths }) =>
    paths.map(({ publicKey, name }) => [{ peer: publicKey, node: name }, 1]),
  );
  fill(
    gauge,
    "weft_peer_path",
    "1 for the path that data takes to a peer; via: the member that relays it, empty for none.",
    ["peer", "mode", "via"],
    ({ paths }) => paths.flatMap((path) => MODES.map((mode): Sample => pathSample(path, mode))),
  );
  perPeer("weft_peer_rtt_seconds", "Smoothed round trip to a peer on its present path.", (p) => p.rttSeconds);
  perPeer("weft_peer_loss_ratio", "Share of the latest probes of a peer that were lost.", (p) => p.loss);
  perPeer("weft_peer_mtu_bytes", "Longest packet that is known to pass inside the session with a peer.", (p) => p.mtu);

  fill(
    gauge,
    "weft_ipam_addresses",
    "Addresses of this node: owned, used of those, free of those.",
    ["network", "state"],
    ({ ipam }) =>
      ipam.flatMap((i) =>
        (["owned", "used", "free"] as const).map((state): Sample => [{ network: i.network, state }, i[state]]),
      ),
  );
  fill(gauge, "weft_ipam_network_addresses", "Addresses that all members together can give.", ["network"], ({ ipam }) =>
    ipam.map(({ network, size }) => [{ network }, size]),
  );
  counted(
    "weft_dns_queries_total",
    "Queries that containers have asked, by what became of them.",
    "result",
    (c) => c.dnsQueries,
  );
  plain(gauge, "weft_exposed_networks", "Networks that this host has a port of its own in.", (m) => m.exposed);
  plain(gauge, "weft_published_ports", "Ports of this host that lead into containers.", (m) => m.published);
}

/** One series for each mode, whoever relays: the one that is 1 names the relay. */
function pathSample({ publicKey: peer, mode: present, via, viaName }: PathInfo, mode: PathMode): Sample {
  if (mode !== present) return [{ peer, mode, via: "" }, 0];
  return [{ peer, mode, via: viaName || (via ?? "") }, 1];
}
