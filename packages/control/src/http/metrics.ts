/**
 * Prometheus metrics, and the only file that knows prom-client.
 *
 * The truth is in the data plane's own counters: every scrape takes one snapshot, clears each family and fills it
 * anew, so series of detached ports vanish and every label set that exists is there, zero or not. No learned MAC and
 * no pair of addresses is ever a label; a port's own MAC is in weft_port_info only.
 */
import { release } from "node:os";
import { Counter, collectDefaultMetrics, Gauge, type Metric, Registry } from "prom-client";
import type { Counters, DataplaneApi, Histogram, PortInfo, PortRecord } from "../dataplane/types.js";
import type { MeshControl } from "../router/mesh-control.js";
import { VERSION } from "../version.js";
import { meshMetrics, meshSnapshot } from "./mesh-metrics.js";
import { wireguardMetrics } from "./wireguard-metrics.js";

export interface Snapshot {
  readonly counters: Counters;
  readonly ports: readonly PortInfo[];
}

type Labels = Record<string, string>;
export type Sample = readonly [labels: Labels, value: number];

export interface Metrics {
  readonly contentType: string;
  /** The text of one scrape. */
  scrape(): Promise<string>;
}

/** What the data plane does not know itself. */
export interface Surroundings {
  /** Ports of an earlier run that could not be adopted. */
  readonly parked: () => readonly Pick<PortRecord, "network">[];
  /** Whether the interface of an underlay address is up. */
  readonly isUp: (address: string) => boolean;
  /** Most learned MACs. */
  readonly fdbLimit: number;
  /** Absent: the configuration is static. */
  readonly mesh?: MeshControl | undefined;
}

const PORT_STATES = ["created", "up", "down", "gone"] as const;
// Gauges whose name ends in _total, which promtool refuses; process metrics say the same things.
const MISNAMED = ["nodejs_active_handles_total", "nodejs_active_requests_total", "nodejs_active_resources_total"];
// From a timer that prom-client runs a hundred times a second, more than all the rest of an idle daemon costs.
// nodejs_eventloop_lag_seconds, taken at the scrape, stays.
const SAMPLED = ["min", "max", "mean", "stddev", "p50", "p90", "p99"].map(
  (name) => `nodejs_eventloop_lag_${name}_seconds`,
);
/** Milliseconds between two looks of that timer, which cannot be left out: as good as never. */
const SAMPLE_MS = 2 ** 31 - 1;

export function openMetrics(dataplane: DataplaneApi, around: Surroundings): Metrics {
  const registry = new Registry();
  let now: Snapshot = { counters: dataplane.counters(), ports: [] };
  const { mesh } = around;
  let meshNow = mesh && meshSnapshot(mesh);

  const fill = (
    name: string,
    help: string,
    labelNames: string[],
    type: typeof Counter | typeof Gauge,
    samples: (s: Snapshot) => Sample[],
  ): void => {
    const collect = function (this: { reset(): void; inc(labels: Labels, value: number): void }): void {
      this.reset();
      for (const [labels, value] of samples(now)) this.inc(labels, value);
    };
    new type({ name, help, labelNames, registers: [registry], collect });
  };
  const counter = (name: string, help: string, labels: string[], samples: (s: Snapshot) => Sample[]): void =>
    fill(name, help, labels, Counter, samples);
  const gauge = (name: string, help: string, labels: string[], samples: (s: Snapshot) => Sample[]): void =>
    fill(name, help, labels, Gauge, samples);

  gauge("weft_build_info", "What runs here; always 1.", ["version", "abi", "node", "kernel"], () => [
    [{ version: VERSION, abi: dataplane.info.abi, node: process.version, kernel: release() }, 1],
  ]);
  gauge("weft_feature", "1 while a kernel feature is used, 0 where it is missing or switched off.", ["feature"], () =>
    Object.entries(dataplane.info.features)
      .filter(([, value]) => typeof value === "boolean")
      .map(([feature, value]) => [{ feature }, value ? 1 : 0]),
  );
  gauge("weft_underlay_up", "1 while the interface of an underlay address is up.", ["address"], () =>
    dataplane.info.underlay.map(({ address }) => [{ address }, around.isUp(address) ? 1 : 0]),
  );
  gauge(
    "weft_port_info",
    "What a port is; always 1. Join it to the port's numbers by port.",
    ["port", "network", "netns", "ifname", "mac"],
    ({ ports }) =>
      ports.map(({ id, network, netns, ifname, mac }) => [{ port: id, network, netns: netns ?? "", ifname, mac }, 1]),
  );
  gauge("weft_fdb_limit", "Most learned MAC addresses, over all networks.", [], () => [[{}, around.fdbLimit]]);
  traffic(counter);
  counter(
    "weft_drops_total",
    "Frames dropped, by plane (egress: from ports; ingress: from the underlay) and reason.",
    ["plane", "reason"],
    ({ counters }) => counters.drops.map(({ plane, reason, count }) => [{ plane, reason }, count]),
  );
  counter(
    "weft_frames_total",
    "Frames by plane and stage; in + made = out + consumed + merged + drops between batches.",
    ["plane", "stage"],
    ({ counters }) =>
      (["egress", "ingress"] as const).flatMap((plane) =>
        (["in", "made", "out", "consumed", "merged"] as const).map(
          (stage): Sample => [{ plane, stage }, counters.law[plane][stage]],
        ),
      ),
  );
  counter(
    "weft_kernel_drops_total",
    "Frames the kernel lost before weft could read them: full TAP rings, full UDP receive buffers.",
    ["where"],
    ({ counters }) => Object.entries(counters.kernelDrops).map(([where, count]) => [{ where }, count]),
  );
  gauge("weft_fdb_entries", "MAC addresses known, by what they are behind.", ["network", "kind"], ({ counters }) =>
    counters.networks.flatMap(({ network, fdb }) =>
      Object.entries(fdb).map(([kind, count]): Sample => [{ network, kind }, count]),
    ),
  );
  counter("weft_fdb_moves_total", "MAC addresses that changed place.", ["network"], ({ counters }) =>
    counters.networks.map(({ network, moves }) => [{ network }, moves]),
  );
  counter("weft_fdb_evictions_total", "Learned MAC addresses that made room for others.", ["network"], ({ counters }) =>
    counters.networks.map(({ network, evictions }) => [{ network }, evictions]),
  );
  counter("weft_syscalls_total", "System calls of the workers.", ["call"], ({ counters }) =>
    Object.entries(counters.syscalls).map(([call, count]) => [{ call }, count]),
  );
  gauge(
    "weft_ports",
    "Ports by state; parked ones wait to be adopted.",
    ["network", "state"],
    ({ counters, ports }) => {
      const parked = around.parked();
      const networks = new Set([...counters.networks, ...parked].map((n) => n.network));
      return [...networks].flatMap((network) => [
        ...PORT_STATES.map(
          (state): Sample => [
            { network, state },
            ports.filter((p) => p.network === network && p.state === state).length,
          ],
        ),
        [{ network, state: "parked" }, parked.filter((p) => p.network === network).length] as const,
      ]);
    },
  );
  wireguardMetrics(counter, gauge);
  others(counter, now.counters);
  histogram(registry, "weft_batch_frames", "Frames handled by one call into the switch.", () =>
    (["egress", "ingress"] as const).map((plane) => [{ plane }, now.counters.batchFrames[plane]]),
  );
  histogram(registry, "weft_loop_seconds", "Time from one poll to the next, while there was work.", () =>
    now.counters.loopSeconds.map((h, worker) => [{ worker: String(worker) }, h]),
  );
  meshMetrics({ counter, gauge, histogram: (...of) => histogram(registry, ...of) }, () => meshNow);
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: SAMPLE_MS });
  for (const name of [...MISNAMED, ...SAMPLED]) registry.removeSingleMetric(name);

  return {
    contentType: registry.contentType,
    scrape() {
      now = { counters: dataplane.counters(), ports: dataplane.ports() };
      meshNow = mesh && meshSnapshot(mesh);
      return registry.metrics();
    },
  };
}

/** Registers one family. */
export type Family = (name: string, help: string, labels: string[], samples: (s: Snapshot) => Sample[]) => void;

function traffic(counter: Family): void {
  for (const [way, what] of [
    ["receive", "into the switch"],
    ["transmit", "out of the switch"],
  ] as const) {
    for (const [unit, things] of [
      ["packets", "Frames"],
      ["bytes", "Octets of frames"],
    ] as const) {
      counter(`weft_port_${way}_${unit}_total`, `${things} ${what}, by port.`, ["network", "port"], ({ counters }) =>
        counters.ports.map((p) => [{ network: p.network, port: p.id }, p[way][unit]]),
      );
      counter(
        `weft_vtep_${way}_${unit}_total`,
        `${things} ${way === "receive" ? "from" : "to"} the underlay, by VTEP.`,
        ["network", "vtep"],
        ({ counters }) => counters.vteps.map((v) => [{ network: v.network, vtep: v.vtep }, v[way][unit]]),
      );
      counter(
        `weft_network_${way}_${unit}_total`,
        `${things} ${what}, over all ports a network has had.`,
        ["network"],
        ({ counters }) => counters.networks.map((n) => [{ network: n.network }, n[way][unit]]),
      );
    }
  }
}

/** One family per remaining counter; `x_egress` and `x_ingress` share one with a plane label. */
function others(counter: Family, first: Counters): void {
  const families = new Map<string, { help: string; planes: boolean }>();
  for (const { name, help } of first.other) {
    const base = name.replace(/_(egress|ingress)$/, "");
    if (!families.has(base)) families.set(base, { help, planes: base !== name });
  }
  for (const [base, { help, planes }] of families) {
    const text = `${help.charAt(0).toUpperCase()}${help.slice(1)}.`;
    counter(`weft_${base}_total`, text, planes ? ["plane"] : [], ({ counters }) =>
      counters.other
        .filter(({ name }) => name.replace(/_(egress|ingress)$/, "") === base)
        .map(({ name, count }) => [planes ? { plane: name.slice(base.length + 1) } : {}, count]),
    );
  }
}

/** The workers keep their buckets themselves, so this only hands them over (prom-client has no setter for them). */
function histogram(registry: Registry, name: string, help: string, rows: () => [Labels, Histogram][]): void {
  const metric = {
    name,
    help,
    type: "histogram",
    aggregator: "sum",
    reset: () => undefined,
    get: () =>
      Promise.resolve({
        name,
        help,
        type: "histogram",
        aggregator: "sum",
        values: rows().flatMap(([labels, { buckets, sum, count }]) => [
          ...buckets
            .filter((b) => Number.isFinite(b.le))
            .map((b) => ({ metricName: `${name}_bucket`, labels: { ...labels, le: b.le }, value: b.count })),
          { metricName: `${name}_bucket`, labels: { ...labels, le: "+Inf" }, value: count },
          { metricName: `${name}_sum`, labels, value: sum },
          { metricName: `${name}_count`, labels, value: count },
        ]),
      }),
  };
  registry.registerMetric(metric as unknown as Metric);
}
