/**
 * The worker thread. Runs turns until it is told to stop and never returns to its event loop meanwhile: orders are
 * fetched by hand after the main thread has woken the poll.
 */
import { availableParallelism } from "node:os";
import { receiveMessageOnPort, workerData } from "node:worker_threads";
import { instantiate } from "@weft/dataplane-wasm";
import { kernelLink, READY } from "@weft/tun";
import { carryOut } from "./host.js";
import { SwitchLoop } from "./loop.js";
import type { ErrorFacts, FromWorker, ThreadStart, ToWorker } from "./thread-host.js";

const { module, memory, worker, port } = workerData as ThreadStart;

function tell(message: FromWorker): void {
  port.postMessage(message);
}

function factsOf(error: Error): ErrorFacts {
  const fields = Object.fromEntries(
    Object.entries(error).filter((pair): pair is [string, string | number] =>
      ["string", "number"].includes(typeof pair[1]),
    ),
  );
  return { message: error.message, fields };
}

const io = kernelLink().createIo(new Uint8Array(memory.memory.buffer), worker);
/** About what waking a sleeping core costs in a virtual machine. A single core has better things to do meanwhile. */
const SPIN_US = availableParallelism() > 1 ? 50 : 0;

const loop = new SwitchLoop({
  exports: instantiate(module.module, memory.memory),
  memory,
  io,
  worker,
  spinUs: SPIN_US,
});

/** Carries out what the main thread has sent. @returns the id of the stop order, if it came. */
function obey(): number | undefined {
  for (;;) {
    const message = receiveMessageOnPort(port)?.message as ToWorker | undefined;
    if (!message) return undefined;
    const { id, order } = message;
    if (order.do === "stop") return id;
    try {
      carryOut(order, io, loop);
      tell({ tell: "done", id });
    } catch (error) {
      tell({ tell: "done", id, error: factsOf(error as Error) });
    }
  }
}

/** Turns per call of turns(): a function that never ends would never be replaced by its optimised code. */
const TURNS = 1000;

/** @returns the id of the stop order, if it came. */
function turns(): number | undefined {
  for (let i = 0; i < TURNS; i++) {
    const ready = loop.turn();
    if (ready & READY.GONE) tell({ tell: "gone", ports: io.takeGonePorts() });
    if (loop.wantsAttention()) tell({ tell: "attention" });
    if (ready & READY.WAKE) {
      const stop = obey();
      if (stop !== undefined) return stop;
    }
  }
  return undefined;
}

tell({ tell: "ready", wakeHandle: io.wakeHandle });
let stop = turns();
while (stop === undefined) stop = turns();
loop.park();
io.close();
tell({ tell: "done", id: stop });
port.close();
