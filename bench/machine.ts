/** Facts about the machine a result came from. Nothing here names the machine or its owner. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release, totalmem } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

export interface Machine {
  readonly kernel: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  /** From /proc/cpuinfo: whether a hypervisor is underneath. */
  readonly virtual: boolean;
  /** cpufreq governor of CPU 0, or "none" where the kernel does not choose the frequency. */
  readonly governor: string;
  /** CPU vulnerabilities the kernel works around, and how. */
  readonly mitigations: Readonly<Record<string, string>>;
  readonly node: string;
  readonly v8: string;
  /** Commit of the working tree; `-dirty` when files differ from it; "none" outside git. */
  readonly commit: string;
  readonly loadAverage: number;
  /** Share (0..1) of the box that was busy in the second before the run: other work on it spoils the figures. */
  readonly busyBefore: number;
}

/** CPU time of the whole box since boot in seconds, from /proc/stat. */
export interface BoxCpu {
  /** user + nice + system + irq + softirq. */
  readonly busy: number;
  /** Time a hypervisor gave to others. */
  readonly steal: number;
  readonly idle: number;
}

/** Linux reports CPU time in ticks of 1/100 s to every program (USER_HZ). */
const TICKS_PER_SECOND = 100;

export function boxCpu(): BoxCpu {
  const line = readFileSync("/proc/stat", "utf8").split("\n", 1)[0] ?? "";
  const field = line.trim().split(/\s+/).slice(1).map(Number);
  const at = (i: number): number => (field[i] ?? 0) / TICKS_PER_SECOND;
  return { busy: at(0) + at(1) + at(2) + at(5) + at(6), idle: at(3) + at(4), steal: at(7) };
}

/** CPU seconds a process has used, all its threads; 0 when it is gone. */
export function processCpu(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The command name in parentheses may hold spaces: fields are counted behind it.
    const field = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(field[11]) + Number(field[12])) / TICKS_PER_SECOND;
  } catch {
    return 0;
  }
}

/**
 * The same to the nanosecond, from the scheduler: for daemons that do almost nothing. Threads that have ended do not
 * count. NaN where the kernel keeps no such account.
 */
export function idleCpu(pid: number): number {
  try {
    const tasks = readdirSync(`/proc/${pid}/task`);
    return tasks.reduce((sum, tid) => {
      const [ns] = readFileSync(`/proc/${pid}/task/${tid}/schedstat`, "utf8").split(" ");
      return sum + Number(ns) / 1e9;
    }, 0);
  } catch {
    return Number.NaN;
  }
}

/** Octets of a process in memory, shared ones included. NaN when it is gone. */
export function residentOctets(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readLine(`/proc/${pid}/status`) ?? "");
  return kib ? Number(kib[1]) * 1024 : Number.NaN;
}

function readLine(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}

function git(...args: string[]): string | undefined {
  try {
    return execFileSync("git", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return undefined;
  }
}

export async function describeMachine(): Promise<Machine> {
  const before = boxCpu();
  await sleep(1000);
  const after = boxCpu();
  const busy = after.busy - before.busy;
  const all = busy + after.idle - before.idle + after.steal - before.steal;

  const mitigations: Record<string, string> = {};
  const folder = "/sys/devices/system/cpu/vulnerabilities";
  try {
    for (const name of readdirSync(folder).sort()) {
      const state = readLine(`${folder}/${name}`);
      if (state !== undefined && state !== "Not affected") mitigations[name] = state;
    }
  } catch {
    // A kernel without the folder has nothing to tell.
  }
  const commit = git("rev-parse", "--short=12", "HEAD");
  return {
    kernel: release(),
    cpu: cpus()[0]?.model ?? "unknown",
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    virtual: /^flags\s*:.*\bhypervisor\b/m.test(readLine("/proc/cpuinfo") ?? ""),
    governor: readLine("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") ?? "none",
    mitigations,
    node: process.versions.node,
    v8: process.versions.v8,
    commit: commit === undefined ? "none" : commit + (git("status", "--porcelain") === "" ? "" : "-dirty"),
    loadAverage: loadavg()[0] ?? 0,
    busyBefore: all > 0 ? busy / all : 0,
  };
}
