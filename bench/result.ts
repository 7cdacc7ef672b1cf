/** What a bench run leaves behind: the JSON file, from which every table is printed. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Machine } from "./machine.js";
import { type Spread, spread } from "./stats.js";

export const SUITES = ["micro", "path", "e2e"] as const;
export type Suite = (typeof SUITES)[number];

/** One measured quantity. */
export interface Row extends Spread {
  readonly suite: Suite;
  /** What was measured: `parse`, `tcp a→b`, … */
  readonly name: string;
  /** Octets of a frame or datagram, where the row is about one size. */
  readonly size?: number;
  readonly unit: string;
  /** One value per round (micro: per Benchmark.js sample). */
  readonly samples: readonly number[];
  /** e2e: who carried the traffic. */
  readonly system?: string;
  /** e2e: `offloads` or `wire`. */
  readonly regime?: string;
  /** e2e: 2 Ethernet, 3 IP. */
  readonly layer?: 2 | 3;
  readonly cipher?: string;
  /** Octets of the longest inner IP packet. */
  readonly mtu?: number;
  /** Further quantities of the same runs, medians with quartiles. */
  readonly more?: Readonly<Record<string, Spread>>;
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
export function row(facts: Omit<Row, "samples" | "median" | "q1" | "q3">, samples: readonly number[]): Row {
  return { ...facts, ...spread(samples), samples };
}

export function writeResult(file: string, result: Result): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(result, null, 1)}\n`);
}

export function readResult(file: string): Result {
  const value = JSON.parse(readFileSync(file, "utf8")) as Result;
  if (value.schema !== 1 || !Array.isArray(value.rows)) throw new Error(`bench: ${file} is not a result of this bench`);
  return value;
}
