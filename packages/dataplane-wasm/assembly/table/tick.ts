/** Ages in ticks of 2^TICK_SHIFT ms, modulo 2^16. */

/** A stamp that looks this old was written by a worker whose batch began a little later than the reader's. */
const AHEAD: u32 = 0xff00;

/** Ticks since `stamp`. A stamp that lies ahead of `tick` is new, not 18 hours old. */
export function ageOf(tick: u32, stamp: u32): u32 {
  const age = (tick - stamp) & 0xffff;
  return age >= AHEAD ? 0 : age;
}
