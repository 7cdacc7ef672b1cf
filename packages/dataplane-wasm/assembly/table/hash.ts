/**
 * Hashes of the tables. All are keyed with a secret drawn at start, so that nobody outside can aim at one bucket.
 *
 * routeHash() is also computed by the main thread when it writes the route cells (src/route-hash.ts): 32-bit
 * operations only, so that JavaScript can follow.
 */

/** Finalizer of MurmurHash3 (32 bits): every input bit changes every output bit. */
export function mix32(h: u32): u32 {
  h ^= h >> 16;
  h *= 0x85eb_ca6b;
  h ^= h >> 13;
  h *= 0xc2b2_ae35;
  return h ^ (h >> 16);
}

// @ts-ignore: decorator
@inline
function step(h: u32, word: u32): u32 {
  h = (h ^ word) * 0x9e37_79b1;
  return h ^ (h >> 15);
}

/** Hash of a route key: tag, then the four 32-bit words of the sixteen key octets, most significant first. */
export function routeHash(seed: u32, tag: u32, hi: u64, lo: u64): u32 {
  let h = step(seed, tag);
  h = step(h, <u32>(hi >> 32));
  h = step(h, <u32>hi);
  h = step(h, <u32>(lo >> 32));
  h = step(h, <u32>lo);
  return mix32(h);
}

/** 64-bit hash of a 64-bit key; its halves are two independent bucket numbers. */
export function keyHash(seed: u64, key: u64): u64 {
  let h = (key ^ seed) * 0x9e37_79b9_7f4a_7c15;
  h = (h ^ (h >> 32)) * 0xd6e8_feb8_6659_fd93;
  h = (h ^ (h >> 32)) * 0xd6e8_feb8_6659_fd93;
  return h ^ (h >> 32);
}
