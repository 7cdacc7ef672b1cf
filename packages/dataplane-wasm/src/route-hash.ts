/**
 * The route hash as the main thread computes it. Must stay equal to assembly/table/hash.ts routeHash(): the workers
 * look for a route exactly where this function put it.
 */

/** Sixteen key octets as four 32-bit words, most significant first. A MAC or VNI is a number in the last two. */
export type Key = readonly [number, number, number, number];

function step(h: number, word: number): number {
  const m = Math.imul(h ^ word, 0x9e37_79b1);
  return m ^ (m >>> 15);
}

/** Unsigned 32-bit hash of tag and key under the header's hashSeedLo. */
export function routeHash(seed: number, tag: number, key: Key): number {
  let h = step(seed, tag);
  h = step(h, key[0]);
  h = step(h, key[1]);
  h = step(h, key[2]);
  h = step(h, key[3]);
  h ^= h >>> 16;
  h = Math.imul(h, 0x85eb_ca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2_ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
