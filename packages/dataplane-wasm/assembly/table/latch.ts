/**
 * The latch of a bucket: a sequence word, odd while a worker writes.
 *
 * Writers take it by compare-and-swap, readers read the word before and after and try again when it changed (a
 * sequence lock). Everything between is read and written with atomics, because plain accesses may be moved out of
 * loops by the compilers. Waiting is bounded: a worker that lost its core while writing must not stop the others, so a
 * reader that runs out of patience reports a miss and a writer gives up.
 */
import { LATCH_SPINS } from "../abi.gen";

/** Takes the latch. False when another worker kept it for LATCH_SPINS tries. */
export function take(bucket: usize): bool {
  for (let i: u32 = 0; i < LATCH_SPINS; i++) {
    const seen = atomic.load<u32>(bucket);
    if ((seen & 1) == 0 && atomic.cmpxchg<u32>(bucket, seen, seen + 1) == seen) return true;
  }
  return false;
}

/** Releases a latch that take() gave. */
export function release(bucket: usize): void {
  atomic.store<u32>(bucket, atomic.load<u32>(bucket) + 1);
}

/** Takes two latches in address order, so that two workers never wait for each other. */
export function takeBoth(a: usize, b: usize): bool {
  if (a == b) return take(a);
  const first = a < b ? a : b;
  const second = a < b ? b : a;
  if (!take(first)) return false;
  if (take(second)) return true;
  release(first);
  return false;
}

/** Releases what takeBoth() gave. */
export function releaseBoth(a: usize, b: usize): void {
  release(a);
  if (a != b) release(b);
}
