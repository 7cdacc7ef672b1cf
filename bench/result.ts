/** What a bench run leaves behind: the JSON file, from which every table and chart is made. */
import { accessSync, constants, existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Machine } from "./machine.js";
import { ratios, type Samples, type Spread, spread } from "./stats.js";

export const SUITES = ["micro", "aead", "path", "e2e", "sweeps"] as const;
export type Suite = (typeof SUITES)[number];

/** A further quantity of the same runs. */
export interface Quantity extends Spread {
  /** One value per round, in the order of the row's samples; absent in results of older versions. */
  readonly samples?: Samples;
}

/** One measured quantity. */
export interface Row extends Spread {
  readonly suite: Suite;
  /** What was measured: `parse`, `TCP a→b`, … */
  readonly name: string;
  /** Octets of a frame or datagram, where the row is about one size. */
  readonly size?: number;
  readonly unit: string;
  /** One value per round (micro: per Benchmark.js sample); null where a round gave none. */
  readonly samples: Samples;
  /** e2e, sweeps: who carried the traffic. */
  readonly system?: string;
  /** e2e: `offloads` or `wire`. */
  readonly regime?: string;
  /** sweeps: what is varied, as `ports`, and how much of it. */
  readonly varied?: string;
  readonly amount?: number;
  /** e2e: 2 Ethernet, 3 IP. */
  readonly layer?: 2 | 3;
  readonly cipher?: string;
  /** Octets of the longest inner IP packet. */
  readonly mtu?: number;
  /** Of the system, as it names it itself. */
  readonly version?: string;
  readonly more?: Readonly<Record<string, Quantity>>;
}

export interface Result {
  readonly schema: 1;
  /** ISO 8601, start of the run. */
  readonly date: string;
  readonly command: string;
  readonly rounds: number;
  /** Seconds of one measured window. */
  readonly seconds: number;
  readonly machine: Machine;
  readonly rows: readonly Row[];
  /** Sentences a reader must know: what was left out and why. */
  readonly notes: readonly string[];
}

/** A row from its samples. */
export function row(facts: Omit<Row, "samples" | "median" | "q1" | "q3">, samples: Samples): Row {
  return { ...facts, ...spread(samples), samples };
}

/** Units of which less is better; of all others more is. */
export function lessIsBetter(unit: string): boolean {
  return /^(ns|µs|ms|s|CPU |MB|%)/.test(unit);
}

/** Rows with the same key measured the same thing. */
export function keyOf(r: Row): string {
  const parts = [r.suite, r.regime, r.varied && `${r.amount} ${r.varied}`, r.name, r.size && `${r.size} octets`];
  return [...parts, r.system].filter(Boolean).join(", ");
}

/** Systems that others are compared with, best first; the bridge is what local traffic is compared with. */
export const YARDSTICKS = ["kernel-vxlan", "relay", "bridge"] as const;

/** weft between hosts, encrypted: Ethernet, and IP packets. */
export const SEALED = ["weft-wireguard", "weft-layer3"] as const;

/** Whether weft carried it between hosts, in clear or encrypted. */
export function isOurs(r: Row): boolean {
  return r.system === "weft" || SEALED.some((name) => name === r.system);
}

/** The row of another system for the same regime, case and size. */
export function peerOf(rows: readonly Row[], r: Row, system: string): Row | undefined {
  const wanted = keyOf({ ...r, system });
  return rows.find((x) => keyOf(x) === wanted);
}

/** Ratio of a row, or of one of its further quantities, to another row's, round by round. */
export function ratioTo(r: Row, yardstick: Row | undefined, quantity?: string): Spread | undefined {
  if (!yardstick) return undefined;
  if (quantity === undefined) return ratios(r.samples, yardstick.samples);
  return ratios(r.more?.[quantity]?.samples ?? [], yardstick.more?.[quantity]?.samples ?? []);
}

export function writeResult(file: string, result: Result): void {
  writeFileSync(file, `${JSON.stringify(result, null, 1)}\n`);
}

/** @throws Error with one line when no file can be written there */
export function mustBeWritable(file: string): void {
  try {
    accessSync(existsSync(file) ? file : dirname(file), constants.W_OK);
  } catch (error) {
    throw new Error(`bench: cannot write ${file} (${(error as NodeJS.ErrnoException).code}): make its directory first`);
  }
}

/** @throws Error with one line when the file is not there or not a result */
export function readResult(file: string): Result {
  let value: Result;
  try {
    value = JSON.parse(readFileSync(file, "utf8")) as Result;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Error(`bench: ${file} ${code === undefined ? "is no JSON" : `cannot be read (${code})`}`);
  }
  if (value?.schema !== 1 || !Array.isArray(value.rows))
    throw new Error(`bench: ${file} is not a result of this bench`);
  return value;
}
