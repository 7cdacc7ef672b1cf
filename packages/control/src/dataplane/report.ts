/** Counters and learned entries as an embedding program sees them. Reads only. */
import type { Block } from "@weft/dataplane-wasm";
import { counters as counterRows, dropRows, ENUM, LIMIT } from "@weft/dataplane-wasm/abi";
import { formatAddress } from "./address.js";
import type { Core } from "./core.js";
import type { Network } from "./network.js";
import type { Conversation, Counters, FdbEntry, Histogram, NeighbourEntry, Plane, Traffic } from "./types.js";

const { KIND } = ENUM;
const NO_MAC = "00:00:00:00:00:00";
const PLANES = ["egress", "ingress"] as const;
const LAW = ["in", "made", "out", "consumed", "merged"] as const;
/** Seconds of one tick of the workers' clock. */
const TICK_SECONDS = 2 ** LIMIT.TICK_SHIFT / 1000;
/** Counters that have a place of their own below. */
const PLACED = /^(in|made|out|consumed|merged|batch_sum)_(e|in)gress$|^loop(s|_ns)$|^sys_/;
const CALL_NAMES: Readonly<Record<string, string>> = { sys_poll: "epoll_wait" };

export function readCounters(core: Core, ringDrops: number): Counters {
  const { reader, sockets, ports, networks, options } = core;
  const drops = dropRows.map(({ plane, reason, help, cell }) => ({ plane, reason, help, count: reader.total(cell) }));
  const law = (plane: Plane): Counters["law"][Plane] => {
    const sums = Object.fromEntries(LAW.map((name) => [name, reader.counter(`${name}_${plane}`)])) as Record<
      (typeof LAW)[number],
      number
    >;
    return { ...sums, drops: drops.reduce((sum, d) => sum + (d.plane === plane ? d.count : 0), 0) };
  };
  return {
    law: { egress: law("egress"), ingress: law("ingress") },
    drops,
    kernelDrops: { tap_ring: ringDrops, udp_rcvbuf: sockets.drops() + (core.tunnel?.sockets.drops() ?? 0) },
    wireguard: core.tunnel?.counters() ?? null,
    ports: [...ports.values()].map((port) => ({
      id: port.id,
      network: port.network,
      ...port.traffic(reader.block("PORT_COUNTERS", port.index)),
    })),
    vteps: [...networks.values()].flatMap((network) =>
      [...network.vteps.values()].map(({ entry, index }) => ({
        network: network.spec.name,
        vtep: entry.name,
        ...traffic(reader.block("VTEP_COUNTERS", index), core.vtepBefore.get(index)),
      })),
    ),
    networks: [...networks.values()].map((network) => readNetwork(core, network)),
    batchFrames: Object.fromEntries(
      PLANES.map((plane) => [plane, histogram(reader.batchBuckets(plane), 1, reader.counter(`batch_sum_${plane}`))]),
    ) as Record<Plane, Histogram>,
    loopSeconds: Array.from({ length: options.workers }, (_, worker) => {
      const nanoseconds = reader.workerCounter(worker, "loop_ns");
      return histogram(reader.loopBuckets(worker), 1e-6, nanoseconds / 1e9);
    }),
    syscalls: Object.fromEntries(
      counterRows
        .filter(([name]) => name.startsWith("sys_"))
        .map(([name]) => [CALL_NAMES[name] ?? name.slice(4), reader.counter(name)]),
    ),
    other: counterRows
      .filter(([name]) => !PLACED.test(name))
      .map(([name, help]) => ({ name, help, count: reader.counter(name) })),
  };
}

function readNetwork(core: Core, network: Network): Counters["networks"][number] {
  const now = core.reader.block("NETWORK_COUNTERS", network.index);
  const before = core.networkBefore.get(network.index);
  const since = (name: string): number => (now[name] as number) - (before?.[name] ?? 0);
  const macRoutes = [...network.routes.values()].filter((r) => r.row.kind === "mac").length;
  return {
    network: network.spec.name,
    ...traffic(now, before),
    // Entries are a level, not a sum: what an earlier network of this index learned was forgotten with it.
    fdb: {
      port: Math.max(0, now.fdbPorts as number),
      vtep: Math.max(0, now.fdbVteps as number),
      static: network.ports + macRoutes,
    },
    moves: since("moves"),
    evictions: since("evictions"),
  };
}

function traffic(now: Block, before: Block | undefined): { receive: Traffic; transmit: Traffic } {
  const since = (name: string): number => (now[name] as number) - (before?.[name] ?? 0);
  return {
    receive: { packets: since("rxPackets"), bytes: since("rxBytes") },
    transmit: { packets: since("txPackets"), bytes: since("txBytes") },
  };
}

/** Buckets with the bounds 1, 2, 4 … in `unit`, the last without bound, made cumulative. */
function histogram(counts: readonly number[], unit: number, sum: number): Histogram {
  let count = 0;
  const buckets = counts.map((n, i) => {
    count += n;
    // Decimal bounds as they are written, not as 2^i times a fraction comes out.
    const le = i === counts.length - 1 ? Number.POSITIVE_INFINITY : Number((2 ** i * unit).toPrecision(12));
    return { le, count };
  });
  return { buckets, sum, count };
}

export function readFdb(core: Core, nowMs: number, only: Network | undefined): FdbEntry[] {
  const out: FdbEntry[] = [];
  for (const network of only ? [only] : core.networks.values()) {
    const fixed = { network: network.spec.name, static: true, ageSeconds: 0 } as const;
    for (const port of core.ports.values()) {
      if (port.wanted.network === network && port.attached) {
        out.push({ ...fixed, mac: port.mac, kind: "port", via: port.id });
      }
    }
    for (const { key, row, route, via } of network.routes.values()) {
      if (row.kind === "mac") out.push({ ...fixed, mac: key, kind: via.kind, via: route.via });
    }
  }
  for (const row of core.reader.fdb(nowMs, only?.index)) {
    const network = core.networkAt.get(row.network);
    const { kind, index } = row.owner;
    const held = kind === KIND.PORT ? core.tables.portGeneration(index) : core.tables.vtepGeneration(index);
    // An entry of an earlier user of the index: dead, not yet aged away.
    if (!network || row.generation !== held) continue;
    out.push({
      network: network.spec.name,
      mac: row.mac,
      kind: kind === KIND.PORT ? "port" : "vtep",
      via: core.nameOf(row.owner),
      static: false,
      ageSeconds: Math.round(row.ageTicks * TICK_SECONDS),
    });
  }
  return out;
}

export function readNeighbours(core: Core, nowMs: number, only: Network | undefined): NeighbourEntry[] {
  return core.reader.neighbours(nowMs, only?.index).flatMap((row) => {
    const network = core.networkAt.get(row.network);
    const { kind, index } = row.owner;
    const held = kind === KIND.PORT ? core.tables.portGeneration(index) : core.tables.vtepGeneration(index);
    // Without a MAC: a layer-3 port has asked, and nobody has answered.
    if (!network || held === undefined || row.mac === NO_MAC) return [];
    const ip = formatAddress(row.address);
    return [
      {
        network: network.spec.name,
        ip,
        mac: row.mac,
        via: core.nameOf(row.owner),
        ageSeconds: Math.round(row.ageTicks * TICK_SECONDS),
      },
    ];
  });
}

/** @param now milliseconds since 1970 */
export function readConversations(core: Core, nowMs: number, now: number): Conversation[] {
  return core.talks.read(nowMs).flatMap((row) => {
    const port = core.portAt.get(row.port);
    // Of an earlier port with this index.
    if (!port || core.tables.portGeneration(row.port) !== row.generation) return [];
    const { localMac, remoteMac, rxPackets, rxBytes, txPackets, txBytes, ageMs } = row;
    return [
      {
        network: port.network,
        port: port.id,
        localMac,
        remoteMac,
        receive: { packets: rxPackets, bytes: rxBytes },
        transmit: { packets: txPackets, bytes: txBytes },
        lastSeen: now - ageMs,
      },
    ];
  });
}
