/** Sets of prefix lengths as the longest-prefix look-up reads them: one bit for each length there is. */

/** Bits of the lengths `from` to `from` + 63. `counts`: routes by length. */
export function lengthBits(counts: readonly number[], from: number): bigint {
  return counts.slice(from, from + 64).reduce((set, n, i) => (n > 0 ? set | (1n << BigInt(i)) : set), 0n);
}
