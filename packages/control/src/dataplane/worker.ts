/**
 * The worker thread. Runs turns until it is told to stop and never returns to its event loop meanwhile: orders are
 * fetched by hand after the main thread has woken the poll.
 */
import { receiveMessageOnPort, workerData } from "node:worker_threads";
import { instantiate } from "@weft/dataplane-wasm";
import { kernelLink, READY } from "@weft/tun";
import { carryOut } from "./host.js";
import { monotonicMs, SwitchLoop } from "./loop.js";
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
const loop = new SwitchLoop({
  exports: instantiate(module.module, memory.memory),
  memory,
  io,
  worker,
  nowMs: monotonicMs(),
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

tell({ tell: "ready", wakeHandle: io.wakeHandle });
for (;;) {
  const ready = loop.turn();
  if (ready === 0) continue;
  const gone = io.takeGonePorts();
  if (gone.length > 0) tell({ tell: "gone", ports: gone });
  if ((ready & READY.WAKE) === 0) continue;
  const stop = obey();
  if (stop !== undefined) {
    loop.park();
    io.close();
    tell({ tell: "done", id: stop });
    break;
  }
}
port.close();
