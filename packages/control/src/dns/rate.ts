/** How often each source may ask: a bucket each that fills with time. */

/** Queries per second, and at once: far more than programs ask. */
const PER_SECOND = 1000;
const BURST = 2000;
/** Sources that are kept; the one that asked the longest ago makes room. */
const SOURCES_MAX = 4096;

export class RateLimit {
  readonly #buckets = new Map<string, { left: number; at: number }>();

  /** @param nowMs a clock that never goes back */
  allows(source: string, nowMs: number): boolean {
    const bucket = this.#buckets.get(source) ?? { left: BURST, at: nowMs };
    bucket.left = Math.min(BURST, bucket.left + ((nowMs - bucket.at) * PER_SECOND) / 1000);
    bucket.at = nowMs;
    // Behind all others.
    this.#buckets.delete(source);
    if (this.#buckets.size >= SOURCES_MAX) {
      const [oldest] = this.#buckets.keys();
      if (oldest !== undefined) this.#buckets.delete(oldest);
    }
    this.#buckets.set(source, bucket);
    if (bucket.left < 1) return false;
    bucket.left--;
    return true;
  }
}
