/** A worker thread of the path in memory: carries frames over the shared switches while others do the same. */
import { parentPort, workerData } from "node:worker_threads";
import { type Load, Pair, type Spent, smallFrames, superFrames } from "./path-pair.js";
import type { SharedSwitch } from "./switch.js";

export interface ThreadStart {
  readonly shared: readonly [SharedSwitch, SharedSwitch];
  readonly worker: number;
}
/** Kind of frames: octets of a small frame, or super-frames. */
export type LoadName = number | "super";
export interface ThreadAsk {
  readonly load: LoadName;
  readonly batch: number;
  readonly seconds: number;
  /** Counts the threads that are ready; all begin when it reaches `threads`. */
  readonly gate: SharedArrayBuffer;
  readonly threads: number;
}

const { shared, worker } = workerData as ThreadStart;
const port = parentPort;
if (!port) throw new Error("bench: path-thread.js is a worker thread");
const pair = Pair.join(shared, worker);
const loads = new Map<string, Load>();

function loadOf({ load, batch }: ThreadAsk): Load {
  const key = `${load} ${batch}`;
  const found = loads.get(key) ?? (load === "super" ? superFrames(batch, worker) : smallFrames(load, batch, worker));
  loads.set(key, found);
  return found;
}

port.on("message", (ask: ThreadAsk) => {
  const load = loadOf(ask);
  const gate = new Int32Array(ask.gate);
  Atomics.add(gate, 0, 1);
  Atomics.notify(gate, 0);
  for (;;) {
    const ready = Atomics.load(gate, 0);
    if (ready >= ask.threads) break;
    Atomics.wait(gate, 0, ready);
  }
  const spent: Spent = pair.measureUntil(load, performance.now() + ask.seconds * 1000);
  port.postMessage(spent);
});
