/** What is measured over a system, one window at a time: what arrived, CPU, counters and drops around it. */
import { type KernelDrops, kernelDrops, newDrops } from "./drops.js";
import { iperf3 } from "./iperf3.js";
import { type Side, wireCounts } from "./lab.js";
import { boxCpu, processCpu } from "./machine.js";
import { type Running, startPing, startTcp, startUdp } from "./programs.js";
import { zeroLossRate } from "./rfc2544.js";
import type { System } from "./systems/system.js";

/** Octets of UDP payload. The frame on the wire is 42 longer, the outer one another 50. */
const SMALL = 64;
/** Streams of the cases with several. */
const STREAMS = 4;
/** Range of the zero-loss search in thousand datagrams a second. */
const LOWEST_KPPS = 0.5;
const HIGHEST_KPPS = 2000;

export const CASE_IDS = [
  ...(["tcp", "tcp-back", "tcp4", "tcp4-back"] as const),
  ...(["udp64", "udp512", "udp1400", "udp-imix"] as const),
  ...(["rtt", "zero-loss", "load"] as const),
] as const;
export type CaseId = (typeof CASE_IDS)[number];
/** What runs when nothing is said. */
export const USUAL_CASES: readonly CaseId[] = ["tcp", "tcp-back", "udp64", "rtt", "zero-loss", "load"];
/** What two containers of one host are asked. */
const LOCAL_CASES: readonly CaseId[] = ["tcp", "tcp-back", "udp64", "rtt"];

export interface Case {
  readonly id: CaseId | "iperf3";
  /** Name of the row. */
  readonly name: string;
  /** The same with its size, for one line. */
  readonly title: string;
  readonly unit: string;
  readonly size?: number;
}

const udp = (id: CaseId, size: number): Case => ({
  id,
  name: "UDP",
  title: `UDP, ${size} octets`,
  unit: "kpps",
  size,
});
const CASES: readonly Case[] = [
  { id: "tcp", name: "TCP a→b", title: "TCP a→b", unit: "Gbit/s" },
  { id: "iperf3", name: "TCP a→b, iperf3", title: "TCP a→b, iperf3", unit: "Gbit/s" },
  { id: "tcp-back", name: "TCP b→a", title: "TCP b→a", unit: "Gbit/s" },
  { id: "tcp4", name: `TCP ×${STREAMS} a→b`, title: `TCP ×${STREAMS} a→b`, unit: "Gbit/s" },
  { id: "tcp4-back", name: `TCP ×${STREAMS} b→a`, title: `TCP ×${STREAMS} b→a`, unit: "Gbit/s" },
  udp("udp64", SMALL),
  udp("udp512", 512),
  udp("udp1400", 1400),
  { id: "udp-imix", name: "UDP, IMIX", title: "UDP, IMIX", unit: "kpps" },
  { id: "rtt", name: "round trip", title: "round trip", unit: "µs", size: SMALL },
  { id: "zero-loss", name: "UDP without loss", title: "UDP without loss", unit: "kpps", size: SMALL },
  { id: "load", name: "p99 at half load", title: "p99 at half load", unit: "µs", size: SMALL },
];

/** Cases by id, in the order of the tables: the zero-loss rate is known before half of it is sent. */
export function casesOf(ids: readonly CaseId[], local: boolean, withIperf3: boolean): Case[] {
  const wanted = local ? ids.filter((id) => LOCAL_CASES.includes(id)) : ids;
  return CASES.filter(({ id }) => (id === "iperf3" ? withIperf3 : wanted.includes(id)));
}

export interface Plan {
  /** Seconds of one measured window. */
  readonly seconds: number;
  /** Seconds of one trial of the zero-loss search. */
  readonly trial: number;
  /** Share (0..1) of datagrams that a trial may lose. */
  readonly loss: number;
  readonly iperf3: boolean;
  /** Briefly: the search for the zero-loss rate is given up after a few trials. */
  readonly once: boolean;
}

/** What one case over a system leaves for the next. */
export interface Memory {
  /** Last zero-loss rate of this system in this setting. */
  zeroLossKpps?: number;
}

export interface Reading {
  /** null: the system gave none, which is an answer too (no rate without loss). */
  readonly value: number | null;
  readonly more: Record<string, number>;
  /** Drops where none were wanted, by place. */
  readonly unwanted: ReadonlyMap<string, number>;
}

/** V8 needs some thousand calls to reach its best code, TCP some round trips to open its window. */
const warmOf = (seconds: number): number => Math.min(0.4, seconds);
const cpuOf = (system: System): number => system.pids.reduce((sum, pid) => sum + processCpu(pid), 0);

/** One reading of one case. */
export async function measure(system: System, of: Case, plan: Plan, memory: Memory): Promise<Reading> {
  switch (of.id) {
    case "tcp":
    case "tcp-back":
    case "tcp4":
    case "tcp4-back": {
      const from: Side = of.id.endsWith("-back") ? "b" : "a";
      const streams = of.id.startsWith("tcp4") ? STREAMS : 1;
      return window(system, plan.seconds, (warm, s) => startTcp(system, from, streams, warm, s), tcpReading, true);
    }
    case "iperf3":
      return { value: await iperf3(system, plan.seconds), more: {}, unwanted: new Map() };
    case "udp64":
    case "udp512":
    case "udp1400":
    case "udp-imix":
      return window(
        system,
        plan.seconds,
        (warm, s) => startUdp(system, of.size ?? "imix", 0, warm, s),
        udpReading,
        false,
      );
    case "rtt":
      return window(system, plan.seconds, (warm, s) => startPing(system, SMALL, warm, s), pingReading, false);
    case "zero-loss":
      return searchZeroLoss(system, plan, memory);
    case "load": {
      if (memory.zeroLossKpps === undefined) await searchZeroLoss(system, plan, memory);
      const kpps = (memory.zeroLossKpps ?? 0) / 2;
      if (kpps === 0) return { value: null, more: {}, unwanted: new Map() };
      const start: Start = (warm, s) => startUdp(system, SMALL, kpps, warm, s);
      return window(system, plan.seconds, start, loadReading, true);
    }
  }
}

/** The answers of the programs; numbers that are missing are NaN. */
type Get = (name: string) => number;
/** CPU seconds in the window. */
interface Cpu {
  readonly box: number;
  readonly daemons: number | undefined;
}
type Start = (warm: number, seconds: number) => Promise<Running>;
type Read = (get: Get, cpu: Cpu) => { value: number; more: Record<string, number> };

const tcpReading: Read = (get, cpu) => {
  const gigabytes = get("bytes") / 1e9;
  return {
    value: (gigabytes * 8) / get("seconds"),
    more: {
      cpuSecondsPerGB: cpu.box / gigabytes,
      ...(cpu.daemons === undefined ? {} : { daemonCpuSecondsPerGB: cpu.daemons / gigabytes }),
      retransmits: get("retransmits"),
      segmentOctets: get("mss"),
    },
  };
};
const perPacket = (get: Get, cpu: Cpu): Record<string, number> => ({
  offeredKpps: get("sent") / get("seconds") / 1e3,
  lostShare: get("lost") / get("sent"),
  reorderedShare: get("reordered") / get("packets"),
  cpuMicrosecondsPerPacket: (cpu.box / get("packets")) * 1e6,
  ...(cpu.daemons === undefined ? {} : { daemonCpuMicrosecondsPerPacket: (cpu.daemons / get("packets")) * 1e6 }),
});
const udpReading: Read = (get, cpu) => ({ value: get("packets") / get("seconds") / 1e3, more: perPacket(get, cpu) });
const loadReading: Read = (get, cpu) => ({
  value: get("p99Us"),
  more: { ...perPacket(get, cpu), p50Us: get("p50Us"), p999Us: get("p999Us") },
});
const pingReading: Read = (get) => ({
  value: get("medianUs"),
  more: { p99Us: get("p99Us"), p999Us: get("p999Us"), maxUs: get("maxUs"), lost: get("lost") },
});

/** One window with everything around it. @param lossless whether drops are unwanted */
async function window(system: System, seconds: number, start: Start, read: Read, lossless: boolean): Promise<Reading> {
  const { weft } = system;
  const workBefore = await weft?.work();
  const wireBefore = wireCounts(system);
  const dropsBefore: KernelDrops = await kernelDrops(system);
  const running = await start(warmOf(seconds), seconds);
  let begin: { busy: number; daemons: number } | undefined;
  try {
    await running.started;
    begin = { ...boxCpu(), daemons: cpuOf(system) };
    const result = await running.window;
    const box = boxCpu().busy - begin.busy;
    const cpu: Cpu = { box, daemons: system.pids.length > 0 ? cpuOf(system) - begin.daemons : undefined };
    const all = { ...result, ...(await running.rest()) };
    const { value, more } = read((name) => all[name] ?? Number.NaN, cpu);
    more.busyCores = box / (result.seconds ?? seconds);
    const wire = wireCounts(system);
    more.wireOctetsPerFrame = (wire.octets - wireBefore.octets) / (wire.frames - wireBefore.frames);
    const dropped = newDrops(dropsBefore, await kernelDrops(system));
    more.kernelDrops = [...dropped.values()].reduce((sum, n) => sum + n, 0);
    if (weft && workBefore) {
      const work = await weft.work();
      const frames = work.frames - workBefore.frames;
      more.framesPerCall = frames / (work.calls - workBefore.calls);
      more.syscallsPerFrame = (work.syscalls - workBefore.syscalls) / frames;
      more.drops = work.drops - workBefore.drops;
      if (more.drops > 0) dropped.set("weft's own counters", more.drops);
    }
    return { value, more, unwanted: lossless ? dropped : new Map() };
  } finally {
    await running.stop();
  }
}

/** The highest rate without loss, from what the last round found. */
async function searchZeroLoss(system: System, plan: Plan, memory: Memory): Promise<Reading> {
  const found = await zeroLossRate(
    async (kpps) => {
      const running = await startUdp(system, SMALL, kpps, Math.min(0.1, plan.trial), plan.trial);
      try {
        const result = await running.window;
        const { sent = 0, lost = 0, seconds = Number.NaN } = result;
        return { offeredKpps: sent / seconds / 1e3, lostShare: sent > 0 ? lost / sent : 1 };
      } finally {
        await running.stop();
      }
    },
    {
      lowest: LOWEST_KPPS,
      highest: HIGHEST_KPPS,
      guess: memory.zeroLossKpps,
      allowed: plan.loss,
      ...(plan.once ? { trialsMax: 4 } : {}),
    },
  );
  if (found.kpps === null) delete memory.zeroLossKpps;
  else memory.zeroLossKpps = found.kpps;
  const more = { trials: found.trials, senderBound: found.senderBound ? 1 : 0 };
  return { value: found.kpps, more, unwanted: new Map() };
}
