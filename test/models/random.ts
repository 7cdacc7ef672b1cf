/** Repeatable random numbers: xorshift32 (Marsaglia, 2003). */

/** A function that gives the next number in 0..2^32-1; the same seed gives the same row. */
export function randomOf(seed: number): () => number {
  let state = (seed ^ 0x9e37_79b9) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state = (state ^ (state << 5)) >>> 0;
    return state;
  };
}
/** A number in 0..below-1. */
export function pick(random: () => number, below: number): number {
  return Math.floor((random() / 2 ** 32) * below);
}
