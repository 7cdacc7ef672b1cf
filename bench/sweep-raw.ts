/** Runs the raw frames of raw.c, and counts what the daemons made of them. */
import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { compile } from "./compile.js";
import type { Side } from "./lab.js";
import { idleCpu } from "./machine.js";
import type { Pair } from "./sweep-lab.js";

const run = promisify(execFile);
const DEVICE = "eth0";
/** First of the addresses that are made up: locally administered. */
const FIRST_MAC = "06:00:00:00:00:00";
export const BROADCAST = "ff:ff:ff:ff:ff:ff";
/** Octets of UDP payload. */
const SIZE = 64;
const LEARN_TRIES = 8;

export function buildRaw(): string {
  return compile({ name: "raw", sources: ["raw.c"], flags: ["-O2"] });
}

async function raw(pair: Pair, side: Side, ...args: readonly (string | number)[]): Promise<string> {
  const words = [`--net=/run/netns/${pair.container(side)}`, buildRaw(), ...args.map(String)];
  return (await run("nsenter", words)).stdout;
}

/** Lets a's switch learn that many addresses behind b. @returns how many it knows in the end. */
export async function teach(pair: Pair, macs: number): Promise<number> {
  let knownMacs = 0;
  for (let i = 0; i < LEARN_TRIES && knownMacs < macs; i++) {
    await raw(pair, "b", "teach", DEVICE, BROADCAST, FIRST_MAC, macs);
    await sleep(50);
    const { networks } = await pair.weft.counters(pair.daemon("a"));
    knownMacs = networks.reduce((sum, n) => sum + n.fdb.vtep, 0);
  }
  return knownMacs;
}

/** What both switches did in a window of a flood of raw frames from a. */
export interface FloodReading {
  /** Thousand frames a second that a's switch took in, sent on (copies count), and b delivered. */
  readonly takenKpps: number;
  readonly sentKpps: number;
  readonly deliveredKpps: number;
  /** CPU of a's daemon, seconds per second. */
  readonly cores: number;
}

/** @param to destination address; undefined: as many learned ones as `macs` says */
export async function floodRaw(
  pair: Pair,
  { macs, flows, seconds, to }: { macs: number; flows: number; seconds: number; to?: string },
): Promise<FloodReading> {
  const warm = Math.min(0.4, seconds);
  const look = async () => {
    const [a, b] = await Promise.all([pair.weft.counters(pair.daemon("a")), pair.weft.counters(pair.daemon("b"))]);
    const { egress } = a.law;
    return {
      at: performance.now(),
      in: egress.in,
      out: egress.out,
      delivered: b.law.ingress.out,
      cpu: idleCpu(pair.pids[0] ?? 0),
    };
  };
  const sending = raw(pair, "a", "send", DEVICE, warm + seconds + 0.3, to ?? FIRST_MAC, macs, flows, SIZE);
  // A program that fails is heard of below.
  sending.catch(() => undefined);
  await sleep(warm * 1000);
  const before = await look();
  await sleep(seconds * 1000);
  const after = await look();
  await sending;
  const took = (after.at - before.at) / 1000;
  return {
    takenKpps: (after.in - before.in) / took / 1e3,
    sentKpps: (after.out - before.out) / took / 1e3,
    deliveredKpps: (after.delivered - before.delivered) / took / 1e3,
    cores: (after.cpu - before.cpu) / took,
  };
}
