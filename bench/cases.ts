/** What is measured over a system: one traffic program on each side, one window, CPU and counters around it. */
import { other, type Side, type System, wireCounts } from "./lab.js";
import { boxCpu, processCpu } from "./machine.js";
import { type Peer, startPeer } from "./peer.js";
import { workDone } from "./weft-hosts.js";

const PORT = 5201;
/** Octets of UDP payload. The frame on the wire is 42 longer, the outer one another 50. */
const SMALL = 64;

export interface Case {
  readonly name: string;
  readonly unit: string;
  readonly size?: number;
  /** Roles of the two programs: the one that measures, and the one that helps it. */
  readonly from: Side;
  readonly kind: "tcp" | "udp" | "ping";
}
export const CASES: readonly Case[] = [
  { name: "TCP a→b", unit: "Gbit/s", from: "a", kind: "tcp" },
  { name: "TCP b→a", unit: "Gbit/s", from: "b", kind: "tcp" },
  { name: "UDP", unit: "kpps", size: SMALL, from: "a", kind: "udp" },
  { name: "round trip", unit: "µs", size: SMALL, from: "a", kind: "ping" },
];

export interface Reading {
  readonly value: number;
  readonly more: Record<string, number>;
}

/** Starts the programs of a case; the first of the two prints "start" and the result. */
export async function startCase(
  system: System,
  c: Case,
  warm: number,
  seconds: number,
): Promise<[measures: Peer, helps: Peer]> {
  const limit = 2 * (warm + seconds) + 15;
  const [from, to] = [system.container(c.from), system.container(other(c.from))];
  const at = [system.address(other(c.from)), PORT];
  if (c.kind === "ping") {
    const echo = startPeer(to, ["echo", ...at], limit);
    await echo.line("listening");
    return [startPeer(from, ["ping", ...at, warm, seconds, SMALL], limit), echo];
  }
  const receiver = startPeer(to, [`${c.kind}-recv`, ...at, warm, seconds], limit);
  await receiver.line("listening");
  return [receiver, startPeer(from, c.kind === "tcp" ? ["tcp-send", ...at] : ["udp-send", ...at, SMALL], limit)];
}

/** One window of one case over one system. */
export async function measure(system: System, c: Case, seconds: number): Promise<Reading> {
  // V8 needs some thousand calls to reach its best code, TCP some round trips to open its window.
  const warm = Math.min(0.5, seconds);
  const pids = system.daemons?.pids ?? [];
  const daemonCpu = (): number => pids.reduce((sum, pid) => sum + processCpu(pid), 0);
  const workBefore = system.daemons && (await workDone(system.daemons));
  const wireBefore = wireCounts(system);
  const [measures, helps] = await startCase(system, c, warm, seconds);
  try {
    await measures.line("start");
    const before = { ...boxCpu(), daemons: daemonCpu() };
    const result = await measures.result();
    const after = { ...boxCpu(), daemons: daemonCpu() };
    const get = (name: string): number => result[name] ?? Number.NaN;
    const cpu = after.busy - before.busy;
    const more: Record<string, number> = { busyCores: cpu / get("seconds") };
    if (pids.length > 0) more.daemonCores = (after.daemons - before.daemons) / get("seconds");
    let value: number;
    if (c.kind === "tcp") {
      const sender = await helps.result();
      value = (get("bytes") * 8) / get("seconds") / 1e9;
      more.cpuSecondsPerGB = cpu / (get("bytes") / 1e9);
      if (pids.length > 0) more.daemonCpuSecondsPerGB = (after.daemons - before.daemons) / (get("bytes") / 1e9);
      more.retransmits = sender.retransmits ?? Number.NaN;
      more.segmentOctets = sender.mss ?? Number.NaN;
    } else if (c.kind === "udp") {
      value = get("packets") / get("seconds") / 1e3;
      more.offeredKpps = get("sent") / get("seconds") / 1e3;
      more.lostShare = get("sent") > 0 ? 1 - get("packets") / get("sent") : Number.NaN;
      more.cpuMicrosecondsPerPacket = (cpu / get("packets")) * 1e6;
    } else {
      value = get("medianUs");
      more.p99Us = get("p99Us");
      more.maxUs = get("maxUs");
      more.lost = get("lost");
    }
    await helps.stop();
    const wire = wireCounts(system);
    more.wireOctetsPerFrame = (wire.octets - wireBefore.octets) / (wire.frames - wireBefore.frames);
    if (system.daemons && workBefore) {
      const work = await workDone(system.daemons);
      const frames = work.frames - workBefore.frames;
      more.framesPerCall = frames / (work.calls - workBefore.calls);
      more.syscallsPerFrame = (work.syscalls - workBefore.syscalls) / frames;
      more.drops = work.drops - workBefore.drops;
    }
    return { value, more };
  } finally {
    await Promise.all([measures.stop(), helps.stop()]);
  }
}
