/** How long it took, each time, until all neighbours had a record that we had written: a histogram for the metrics. */
import type { Histogram } from "../dataplane/types.js";

/** Seconds. */
const BOUNDS = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30] as const;

export class Convergence {
  readonly #counts = BOUNDS.map(() => 0);
  #sum = 0;
  #count = 0;

  observe(ms: number): void {
    const seconds = ms / 1000;
    BOUNDS.forEach((le, i) => {
      if (seconds <= le) this.#counts[i] = (this.#counts[i] ?? 0) + 1;
    });
    this.#sum += seconds;
    this.#count++;
  }

  histogram(): Histogram {
    return {
      buckets: BOUNDS.map((le, i) => ({ le, count: this.#counts[i] ?? 0 })),
      sum: this.#sum,
      count: this.#count,
    };
  }
}
