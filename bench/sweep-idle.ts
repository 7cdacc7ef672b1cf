/** What weft costs while nothing happens, alone and with many ports, and what many idle ports cost the busy ones. */
import { setTimeout as sleep } from "node:timers/promises";
import { makeHosts } from "./lab.js";
import { idleCpu, residentOctets } from "./machine.js";
import { startTcp } from "./programs.js";
import type { Row } from "./result.js";
import { Sweep, type SweepsAsk, single } from "./sweep.js";
import { type Pair, startPair } from "./sweep-lab.js";
import { startWeft } from "./weft-hosts.js";

/** Seconds of looking at daemons that should do nothing. */
const IDLE_SECONDS = 10;
/** Until what starting left behind (compilation, first ageing, address checks) is over. */
const SETTLE_SECONDS = 3;

/** Shares of a core in percent, one per process. */
async function idleShares(pids: readonly number[], seconds: number): Promise<number[]> {
  const before = pids.map(idleCpu);
  const begin = performance.now();
  await sleep(seconds * 1000);
  const elapsed = (performance.now() - begin) / 1000;
  return pids.map((pid, i) => ((idleCpu(pid) - (before[i] as number)) / elapsed) * 100);
}

/** One daemon without ports, started again and again: time to `ready`, memory and CPU. */
export async function idleDaemon({ rounds, once }: SweepsAsk): Promise<Row[]> {
  const hosts = makeHosts("idle", 99);
  const ready: number[] = [];
  const resident: number[] = [];
  let shares: number[] = [];
  const times = once ? 1 : Math.max(3, rounds);
  for (let i = 1; i <= times; i++) {
    const host = { name: "idle", netns: hosts.netns("a"), underlay: hosts.address("a"), vteps: [hosts.address("b")] };
    const weft = await startWeft([host]);
    ready.push(...weft.readyMs);
    if (i === times) {
      await sleep((once ? 0.5 : SETTLE_SECONDS) * 1000);
      shares = await idleShares(weft.pids, once ? 1 : IDLE_SECONDS);
    }
    resident.push(...weft.pids.map((pid) => residentOctets(pid) / 1e6));
    await weft.stop();
  }
  return [
    single("from exec to ready", "ms", ready),
    single("resident memory", "MB", resident),
    single("CPU", "% of a core", shares),
  ];
}

/** The same pair of containers beside 1, 49 and 499 idle ports on each host. */
export async function sweepPorts(ask: SweepsAsk): Promise<Row[]> {
  const amounts = ask.once ? [2, 20] : [2, 50, 500];
  const sweep = new Sweep("ports");
  const pairs: Pair[] = [];
  try {
    for (const ports of amounts) pairs.push(await startPair({ name: `p${ports}`, ports }));
    await sleep((ask.once ? 0.5 : SETTLE_SECONDS) * 1000);
    const pids = pairs.flatMap((pair) => pair.pids);
    const shares = await idleShares(pids, ask.once ? 1 : IDLE_SECONDS);
    pairs.forEach((pair, i) => {
      for (const pid of pair.pids) {
        sweep.add(amounts[i] as number, "CPU of an idle daemon", "% of a core", shares[pids.indexOf(pid)] as number);
        sweep.add(amounts[i] as number, "resident memory", "MB", residentOctets(pid) / 1e6);
      }
    });
    for (let round = 0; round < ask.rounds; round++) {
      for (const [i, pair] of pairs.entries())
        sweep.add(amounts[i] as number, "TCP a→b", "Gbit/s", await tcpGbits(pair, ask.seconds));
    }
  } finally {
    await Promise.all(pairs.map((pair) => pair.stop()));
  }
  return sweep.rows();
}

/** One window of TCP from a to b. */
export async function tcpGbits(pair: Pair, seconds: number): Promise<number> {
  const running = await startTcp(pair, "a", 1, Math.min(0.4, seconds), seconds);
  try {
    const { bytes = Number.NaN, seconds: took = Number.NaN } = await running.window;
    return (bytes * 8) / took / 1e9;
  } finally {
    await running.stop();
  }
}
