/**
 * The regression gate: `--compare FILE` judges this run beside an earlier one.
 *
 * Absolute numbers of two runs do not compare, not even on one machine. What is compared is the ratio of weft to a
 * yardstick that ran in the same rounds, and a difference counts only beyond what the rounds of either run scatter.
 */
import { isOurs, keyOf, lessIsBetter, peerOf, type Result, type Row, ratioTo, YARDSTICKS } from "./result.js";
import type { Spread } from "./stats.js";
import { type Cells, figure, plainTable } from "./table.js";

/** Medians that differ by less are equal, however small the spread of a few rounds came out. */
const LEAST_SHARE = 0.05;
/** Quartiles of fewer rounds say nothing about how they scatter. */
export const ROUNDS_MIN = 3;
/** Names printed before the rest is only counted. */
const NAMED_MAX = 5;
/** A further quantity that is judged like a row of its own. */
const ALSO = [["cpuSecondsPerGB", "CPU s/GB"]] as const;

export interface Judged {
  /** What was compared, with the yardstick: `e2e, wire, TCP a→b, weft ÷ kernel-vxlan`. */
  readonly what: string;
  readonly before: Spread;
  readonly now: Spread;
  readonly verdict: "better" | "equal" | "worse";
}

export interface Comparison {
  readonly judged: readonly Judged[];
  /** Rows of the earlier run that this one did not measure: its options were others. */
  readonly unmeasured: readonly string[];
  /** Rows that this run was to measure and has no value for. */
  readonly failed: readonly string[];
}

/** Whether `now` differs from `before` beyond both spreads, and how. */
export function judge(before: Spread, now: Spread, less: boolean): Judged["verdict"] {
  const apart = now.q3 < before.q1 || now.q1 > before.q3;
  if (!apart || Math.abs(now.median / before.median - 1) <= LEAST_SHARE) return "equal";
  return now.median < before.median === less ? "better" : "worse";
}

/** Every end-to-end row of weft in the earlier result beside the same row of this one. */
export function compare(before: Result, now: Result): Comparison {
  const judged: Judged[] = [];
  const unmeasured: string[] = [];
  const failed: string[] = [];
  for (const old of before.rows.filter((r) => r.suite === "e2e" && isOurs(r))) {
    const fresh = now.rows.find((r) => keyOf(r) === keyOf(old));
    if (!fresh) {
      unmeasured.push(keyOf(old));
      continue;
    }
    if (fresh.samples.every((x) => x === null)) {
      failed.push(keyOf(old));
      continue;
    }
    const pair = yardstickOf(before, now, old);
    if (!pair) {
      unmeasured.push(`${keyOf(old)}: no ${YARDSTICKS.join(" or ")} in both runs`);
      continue;
    }
    const beside = (name: string | undefined, title: string, less: boolean): void => {
      const [was, is] = [ratioTo(old, pair.before, name), ratioTo(fresh, pair.now, name)];
      if (!was || !is) return;
      const what = `${keyOf(old)}${title} ÷ ${pair.name}`;
      judged.push({ what, before: was, now: is, verdict: judge(was, is, less) });
    };
    beside(undefined, "", lessIsBetter(old.unit));
    for (const [name, title] of ALSO) beside(name, `, ${title}`, true);
  }
  return { judged, unmeasured, failed };
}

/** The best yardstick that has values for this row in both runs. */
function yardstickOf(before: Result, now: Result, r: Row): { name: string; before: Row; now: Row } | undefined {
  for (const name of YARDSTICKS) {
    const [was, is] = [peerOf(before.rows, r, name), peerOf(now.rows, r, name)];
    if (was && is && Number.isFinite(was.median) && Number.isFinite(is.median)) return { name, before: was, now: is };
  }
  return undefined;
}

/** Worse rows, or nothing that could be compared: a gate that saw nothing must not say that all is well. */
export function hasRegressed({ judged, failed }: Comparison): boolean {
  return judged.length === 0 || failed.length > 0 || judged.some(({ verdict }) => verdict === "worse");
}

function some(names: readonly string[]): string {
  const rest = names.length - NAMED_MAX;
  return names.slice(0, NAMED_MAX).join("; ") + (rest > 0 ? `; and ${rest} more` : "");
}

export function textComparison(comparison: Comparison, file: string): string {
  const { judged, unmeasured, failed } = comparison;
  const withSpread = (s: Spread): string => `${figure(s.median)} (${figure(s.q1)}–${figure(s.q3)})`;
  const cells: Cells = [
    ["ratio", "before", "now", "change", ""],
    ...judged.map(({ what, before, now, verdict }) => {
      const change = (now.median / before.median - 1) * 100;
      return [
        what,
        withSpread(before),
        withSpread(now),
        `${change < 0 ? "−" : "+"}${figure(Math.abs(change))} %`,
        verdict,
      ];
    }),
  ];
  const worse = judged.filter(({ verdict }) => verdict === "worse");
  const parts = [
    `Beside ${file}: worse and better are differences beyond the quartiles of both runs and beyond ${LEAST_SHARE * 100} %.`,
    ...(judged.length > 0 ? [plainTable(cells)] : ["Nothing in both runs can be compared."]),
    ...(unmeasured.length > 0 ? [`Not measured this time: ${some(unmeasured)}.`] : []),
    ...(failed.length > 0 ? [`Without a value this time: ${failed.join("; ")}.`] : []),
    ...(worse.length > 0 ? [`Worse: ${worse.map(({ what }) => what).join("; ")}.`] : []),
  ];
  return `${parts.join("\n\n")}\n`;
}
