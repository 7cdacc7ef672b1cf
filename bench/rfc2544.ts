/**
 * The highest rate at which nothing is lost (RFC 2544 §26.1, RFC 1242 §3.17): trials at rising and falling rates, each
 * of a fixed length, until the rate that passed and the rate that failed lie close together.
 *
 * RFC 2544 wants 60 s a trial; what is used here stands in the result. A short trial forgives what a buffer can hold.
 */

export interface TrialResult {
  /** What the sender really sent: it may not reach what was asked. */
  readonly offeredKpps: number;
  /** 0..1; 1 when nothing arrived. */
  readonly lostShare: number;
}
export type Trial = (kpps: number) => Promise<TrialResult>;

export interface Search {
  /** Range in thousand datagrams a second. Where even `lowest` loses, the answer is null. */
  readonly lowest: number;
  readonly highest: number;
  /** Where to begin: what an earlier search found. */
  readonly guess?: number | undefined;
  /** Share (0..1) that may be lost. RFC 2544: 0. */
  readonly allowed: number;
  /** The search ends after so many, whatever it knows then; 12 when left out. */
  readonly trialsMax?: number;
}

export interface Found {
  /** Thousand datagrams a second; null where even the lowest rate loses. */
  readonly kpps: number | null;
  readonly trials: number;
  /** Nothing was lost at the fastest that the sender can do: the system may do more. */
  readonly senderBound: boolean;
}

/** The search ends when the rate that failed is at most this much above the one that passed. */
const PRECISION = 1.05;
/** First step away from a guess. */
const STEP = 1.25;
const TRIALS_MAX = 12;
/** A sender that reaches less of what was asked has met its own limit. */
const REACHED = 0.97;

export async function zeroLossRate(
  trial: Trial,
  { lowest, highest, guess, allowed, trialsMax = TRIALS_MAX }: Search,
): Promise<Found> {
  let passed: number | null = null;
  let failed: number | null = null;
  let trials = 0;
  let next = Math.min(highest, Math.max(lowest, guess ?? Math.sqrt(lowest * highest)));
  while (trials < trialsMax) {
    const { offeredKpps, lostShare } = await trial(next);
    trials++;
    if (lostShare <= allowed) {
      passed = Math.max(passed ?? 0, offeredKpps);
      if (offeredKpps < next * REACHED || next >= highest) return { kpps: passed, trials, senderBound: true };
    } else {
      failed = Math.min(failed ?? Number.POSITIVE_INFINITY, next);
      if (next <= lowest) return { kpps: null, trials, senderBound: false };
    }
    if (passed !== null && failed !== null) {
      if (failed <= passed * PRECISION) break;
      next = Math.sqrt(passed * failed);
    } else if (guess === undefined) {
      // Nothing is known yet: half of what is left, on a scale of ratios.
      next = passed === null ? Math.sqrt(lowest * (failed ?? highest)) : Math.sqrt(passed * highest);
      if (passed === null && (failed ?? 0) <= lowest * PRECISION) next = lowest;
      if (passed !== null && highest <= passed * PRECISION) next = highest;
    } else {
      next = passed === null ? Math.max(lowest, (failed ?? highest) / STEP) : Math.min(highest, passed * STEP);
    }
  }
  return { kpps: passed, trials, senderBound: false };
}
