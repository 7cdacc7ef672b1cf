/**
 * The path in memory: from a container's frame on A to the delivered frame on B without any system call, for small
 * frames, for super-frames, and with two workers at once over the same tables.
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { LIMIT } from "@weft/dataplane-wasm/abi";
import { MTU, Pair, SEGMENTS, type Spent, smallFrames, superFrames } from "./path-pair.js";
import type { LoadName, ThreadAsk, ThreadStart } from "./path-thread.js";
import { type Row, row } from "./result.js";
import { spread } from "./stats.js";

export interface PathAsk {
  readonly rounds: number;
  /** Seconds on the clock of one round of one row. */
  readonly seconds: number;
}

const SIZES = [64, 512, 1400];
/** Frames per call: the loop hands over what one poll found. */
const BATCHES = [1, 16, LIMIT.BATCH_MAX];
/** Super-frames per call. */
const SUPER_BATCHES = [1, 8];
const FACTS = { suite: "path", layer: 2, cipher: "none", mtu: MTU } as const;

export async function path(ask: PathAsk): Promise<Row[]> {
  const pair = await Pair.open();
  const copied = (load: { size: number }, s: Spent): number => (load.size * 8) / (s.egress + s.ingress);
  const series = [
    ...SIZES.flatMap((size) => BATCHES.map((batch) => ({ batch, load: smallFrames(size, batch) }))),
    ...SUPER_BATCHES.map((batch) => ({ batch, load: superFrames(batch) })),
  ].map((s) => ({ ...s, spent: [] as Spent[] }));
  const copies = SIZES.map((size) => ({ size, samples: [] as number[] }));
  // Until V8 has compiled all of it with its optimising compiler.
  for (const s of series) pair.measure(s.load, Math.min(0.1, ask.seconds));
  for (let round = 0; round < ask.rounds; round++) {
    for (const s of series) s.spent.push(pair.measure(s.load, ask.seconds / 4));
    for (const c of copies) c.samples.push(pair.measureCopy(c.size, ask.seconds / 4));
  }
  const rows: Row[] = [];
  for (const { batch, load, spent } of series) {
    const isSuper = load.frames > 1;
    const facts = { ...FACTS, size: load.size, unit: isSuper ? "ns/super-frame" : "ns/frame" };
    const of = `${isSuper ? `super-frames of ${SEGMENTS} segments, ` : ""}${batch} per call`;
    const more = { gigabitsPerSecond: spread(spent.map((s) => copied(load, s))) };
    rows.push(
      row(
        { ...facts, name: `egress + ingress, ${of}`, more },
        spent.map((s) => s.egress + s.ingress),
      ),
    );
    if (batch !== LIMIT.BATCH_MAX && !isSuper) continue;
    rows.push(
      row(
        { ...facts, name: `egress, ${of}` },
        spent.map((s) => s.egress),
      ),
      row(
        { ...facts, name: `ingress, ${of}` },
        spent.map((s) => s.ingress),
      ),
    );
  }
  for (const { size, samples } of copies) {
    rows.push(row({ suite: "path", size, unit: "ns/frame", name: "copying the frame once" }, samples));
  }
  rows.push(...(await twoWorkers(pair, ask)));
  return rows;
}

/** Workers 0 and 1 of the same switches on two threads: alone and at once, in turn. */
async function twoWorkers(pair: Pair, ask: PathAsk): Promise<Row[]> {
  const loads: readonly { load: LoadName; batch: number; size: number }[] = [
    { load: 64, batch: LIMIT.BATCH_MAX, size: 64 },
    { load: 1400, batch: LIMIT.BATCH_MAX, size: 1400 },
    { load: "super", batch: 8, size: superFrames(1).size },
  ];
  const threads = [0, 1].map(
    (worker) =>
      new Worker(new URL("./path-thread.js", import.meta.url), {
        workerData: { shared: pair.shared, worker } satisfies ThreadStart,
      }),
  );
  /** Frames (images) per second summed over the threads. */
  const rate = async (who: readonly Worker[], load: LoadName, batch: number, seconds: number): Promise<number> => {
    const gate = new SharedArrayBuffer(4);
    const answers = who.map(async (thread): Promise<Spent> => {
      const heard = once(thread, "message") as Promise<[Spent]>;
      thread.postMessage({ load, batch, seconds, gate, threads: who.length } satisfies ThreadAsk);
      return (await heard)[0];
    });
    return (await Promise.all(answers)).reduce((sum, s) => sum + 1e9 / (s.egress + s.ingress), 0);
  };
  try {
    const rows: Row[] = [];
    for (const { load, batch, size } of loads) {
      const alone: number[] = [];
      const both: number[] = [];
      for (const thread of threads) await rate([thread], load, batch, Math.min(0.1, ask.seconds));
      for (let round = 0; round < ask.rounds; round++) {
        // Each thread alone in every other round: cores need not be equal.
        alone.push(await rate([threads[round % 2] as Worker], load, batch, ask.seconds / 4));
        both.push(await rate(threads, load, batch, ask.seconds / 4));
      }
      const facts = { ...FACTS, size, name: `two workers at once, ${batch} per call` } as const;
      rows.push(
        row(
          {
            ...facts,
            unit: "× one worker",
            more: {
              oneWorkerPerSecond: { ...spread(alone), samples: alone },
              twoWorkersPerSecond: { ...spread(both), samples: both },
            },
          },
          both.map((value, i) => value / (alone[i] as number)),
        ),
      );
    }
    return rows;
  } finally {
    await Promise.all(threads.map((thread) => thread.terminate()));
  }
}
