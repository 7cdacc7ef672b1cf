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

export function spread(samples: readonly number[]): Spread {
  return { median: quantile(samples, 0.5), q1: quantile(samples, 0.25), q3: quantile(samples, 0.75) };
}
