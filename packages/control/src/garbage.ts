/**
 * How much memory the daemon's JavaScript garbage may hold. Left alone, V8 doubles the room for young objects again and
 * again while the process gets older, to 32 MiB that it does not give back, and collects old ones only after some
 * 10 MiB of them: a busy daemon grows for its first half hour without keeping anything.
 */
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { trimMemory } from "@weft/tun";

const LOOK_MS = 30_000;
/** When the start, and what is loaded after it, has left what it leaves. */
const FIRST_LOOK_MS = 3_000;
/** Octets by which the heap has grown that make a collection worth its time: 60 ms when measured on a busy machine. */
const GROWN = 2 * 1024 * 1024;

/**
 * Keeps it at what it is now plus a little. Call it when every worker runs. Frames do not wait: they pass in the
 * workers, and a collection stops the thread only that asked for it.
 */
export function boundGarbage(): void {
  // Read at every enlargement, and put back to 2 by the start of a thread.
  setFlagsFromString("--semi-space-growth-factor=1");
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  let left = 0;
  const look = (): void => {
    if (getHeapStatistics().used_heap_size < left + GROWN) return;
    collect();
    trimMemory();
    left = getHeapStatistics().used_heap_size;
  };
  setTimeout(look, FIRST_LOOK_MS).unref();
  setInterval(look, LOOK_MS).unref();
}
