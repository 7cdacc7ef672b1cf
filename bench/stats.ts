/** Order statistics of a handful of samples. */

/** The value below which the share `q` (0..1) of the samples lies, linear between neighbours. NaN of no samples. */
export function quantile(samples: readonly number[], q: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const low = sorted[Math.floor(at)];
  const high = sorted[Math.ceil(at)];
  if (low === undefined || high === undefined) return Number.NaN;
  return low + (high - low) * (at - Math.floor(at));
}

export interface Spread {
  readonly median: number;
  /** Lower and upper quartile: half of the samples lie between them. */
  readonly q1: number;
  readonly q3: number;
}

/** One value per round; null where a round gave none. Rounds of all systems of a case are numbered alike. */
export type Samples = readonly (number | null)[];

/** The samples that are numbers. */
export function known(samples: Samples): number[] {
  return samples.filter((x): x is number => x !== null && Number.isFinite(x));
}

export function spread(samples: Samples): Spread {
  const values = known(samples);
  return { median: quantile(values, 0.5), q1: quantile(values, 0.25), q3: quantile(values, 0.75) };
}

/**
 * Ratios round by round: what else the box did in a round hit both sides of the fraction.
 * @returns undefined when no round has both values.
 */
export function ratios(of: Samples, to: Samples): Spread | undefined {
  const each = of.map((value, i) => {
    const by = to[i];
    return value === null || by === null || by === undefined || by === 0 ? null : value / by;
  });
  const all = spread(each);
  return Number.isFinite(all.median) ? all : undefined;
}

/** Whether half of the samples lie so far apart that a ratio to their median says little. */
export function isWide(samples: Samples, limit: number): boolean {
  const { q1, q3 } = spread(samples);
  return q3 > limit * q1;
}
