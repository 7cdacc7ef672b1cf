/**
 * Which counters of a key have been seen (RFC 6479): the newest, and one bit for each of the WINDOW before it. Super-frames come in
 * bursts of 44 packets on several queues, so a window must be wide: one of 64 loses packets at once, 2,048 were needed for
 * 2 Gb/s elsewhere.
 *
 * A counter is asked for before a packet is authenticated, and marked after: a forged one moves nothing. One writer.
 */
import { REPLAY_BITS, REPLAY_WORDS, Replay } from "../abi.gen";

/** Counters that may come late. The ring is twice as long: clearing what comes next never touches them. */
export const WINDOW: u64 = 8192;

// @ts-ignore: decorator
@inline
function wordOf(r: Replay, counter: u64): usize {
  return changetype<usize>(r) + REPLAY_BITS + (<usize>(counter >> 6) & (REPLAY_WORDS - 1)) * 8;
}

/** Not seen before, and not too old to tell. */
export function isFresh(r: Replay, counter: u64): bool {
  if (counter >= r.next) return true;
  if (r.next - counter > WINDOW) return false;
  return (load<u64>(wordOf(r, counter)) & ((<u64>1) << (counter & 63))) == 0;
}

/** Remembers a counter that was fresh; below 2^64 - 1. */
export function mark(r: Replay, counter: u64): void {
  if (counter >= r.next) {
    // Words that the newest counter has gone past belong to counters of one ring ago.
    let first = r.next == 0 ? 0 : ((r.next - 1) >> 6) + 1;
    const last = counter >> 6;
    if (last - first >= REPLAY_WORDS && last >= first) first = last - REPLAY_WORDS + 1;
    for (let i = first; i <= last; i++) store<u64>(wordOf(r, i << 6), 0);
    r.next = counter + 1;
  }
  const word = wordOf(r, counter);
  store<u64>(word, load<u64>(word) | ((<u64>1) << (counter & 63)));
}
