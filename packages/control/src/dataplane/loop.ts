/**
 * One turn of the switch: wait, read a batch, judge it in WASM, send what came out.
 *
 * The loop itself is the caller's (a worker thread, the event loop, a simulation, a bench), one WASM call per batch:
 * V8 cannot replace a running function, so an endless loop inside WASM would stay in unoptimised code. Time comes in
 * as an argument and all waiting is in Io.poll().
 */
import { address, type SwitchExports, type SwitchMemory } from "@weft/dataplane-wasm";
import { counterCell, LIMIT, LOOP_BASE, offsetOf } from "@weft/dataplane-wasm/abi";
import { type Io, READY } from "@weft/tun";

/** Milliseconds between two slices of ageing. */
const AGE_SLICE_MS = 100;
/** Slices in which all buckets are seen once. */
const AGE_SLICES = 100;
/** Longest sleep; also how late a worker without work sees that time has passed. */
const IDLE_MS = 1000;

export interface LoopParts {
  readonly exports: SwitchExports;
  readonly memory: SwitchMemory;
  readonly io: Io;
  readonly worker: number;
  /** Monotonic milliseconds modulo 2^32, the same clock for all workers of a memory. */
  readonly nowMs: () => number;
}

export class SwitchLoop {
  readonly #exports: SwitchExports;
  readonly #io: Io;
  readonly #worker: number;
  readonly #nowMs: () => number;
  readonly #words: Int32Array;
  readonly #txCountWord: number;
  readonly #learnedWord = offsetOf("Header", "fdbCount") >>> 2;
  readonly #rememberedWord = offsetOf("Header", "neighbourCount") >>> 2;
  /** This worker's cells of loop_ns, loops and the loop histogram. */
  readonly #cells: BigUint64Array;
  readonly #ageBuckets: number;
  #agedAt: number;

  constructor(parts: LoopParts) {
    const { memory, worker } = parts;
    const { regions } = memory.plan;
    this.#exports = parts.exports;
    this.#io = parts.io;
    this.#worker = worker;
    this.#nowMs = parts.nowMs;
    this.#words = new Int32Array(memory.memory.buffer);
    this.#cells = new BigUint64Array(memory.memory.buffer, address(regions.COUNTERS, worker), regions.COUNTERS.count);
    this.#txCountWord = (address(regions.WORKER, worker) + offsetOf("Worker", "txCount")) >>> 2;
    this.#ageBuckets = Math.ceil(Math.max(regions.FDB.count, regions.NEIGHBOURS.count) / AGE_SLICES);
    this.#agedAt = parts.nowMs();
    this.#exports.setup(worker);
  }

  /**
   * One turn: sleeps at most `timeoutMs` (less when ageing is due), then handles one batch from the ports and one from
   * the underlay.
   *
   * @returns what poll() saw, READY bits; after READY.WAKE the caller looks for messages. 0: nothing happened.
   */
  turn(timeoutMs: number = IDLE_MS): number {
    const exports = this.#exports;
    const worker = this.#worker;
    exports.park(worker);
    const ready = this.#io.poll(Math.min(timeoutMs, this.#sleepMs()));
    const started = performance.now();
    exports.begin(worker);
    const now = this.#nowMs();
    let frames = 0;
    if (ready & READY.TAP) {
      const n = this.#io.readPorts(LIMIT.BATCH_MAX);
      frames += n;
      for (let first = 0; first < n; ) first += this.#sent(exports.egress(worker, first, n - first, now));
    }
    if (ready & READY.UDP) {
      const n = this.#io.receive(LIMIT.BATCH_MAX);
      frames += n;
      for (let first = 0; first < n; ) first += this.#sent(exports.ingress(worker, first, n - first, now));
    }
    if (worker === 0) this.#age(now);
    if (frames > 0) this.#count(performance.now() - started);
    return ready;
  }

  /** Lets go of the tables; call it before leaving the loop or returning to an event loop. */
  park(): void {
    this.#exports.park(this.#worker);
  }

  /** Forgets learned entries of a network index, or of all with 0xffffffff. */
  flush(network: number): void {
    this.#exports.begin(this.#worker);
    this.#exports.flush(this.#worker, network);
    this.#exports.park(this.#worker);
  }

  /** Sends and counts what the last call made. */
  #sent(finished: number): number {
    const count = this.#words[this.#txCountWord] as number;
    if (count > 0) this.#io.send(count);
    else if (finished === 0) throw new Error("the switch module made no progress on a batch");
    this.#exports.complete(this.#worker);
    return finished;
  }

  /** Empty tables need no ageing: an idle switch wakes once a second. */
  #sleepMs(): number {
    if (this.#worker !== 0 || !this.#hasEntries()) return IDLE_MS;
    const since = (this.#nowMs() - this.#agedAt) >>> 0;
    return since >= AGE_SLICE_MS ? 0 : AGE_SLICE_MS - since;
  }
  #hasEntries(): boolean {
    return Atomics.load(this.#words, this.#learnedWord) !== 0 || Atomics.load(this.#words, this.#rememberedWord) !== 0;
  }
  #age(now: number): void {
    const since = (now - this.#agedAt) >>> 0;
    if (since < AGE_SLICE_MS) return;
    this.#agedAt = now;
    if (!this.#hasEntries()) return;
    const slices = Math.min(AGE_SLICES, Math.floor(since / AGE_SLICE_MS));
    this.#exports.age(this.#worker, slices * this.#ageBuckets, now);
  }

  #count(ms: number): void {
    const us = Math.ceil(ms * 1000);
    // ≤1 µs, ≤2, ≤4 …: the number of bits of us-1.
    const bucket = us <= 1 ? 0 : Math.min(LIMIT.LOOP_BUCKETS - 1, 32 - Math.clz32(us - 1));
    this.#add(LOOP_BASE + bucket, 1);
    this.#add(LOOPS, 1);
    this.#add(LOOP_NS, Math.round(ms * 1e6));
  }
  /** Single writer: load and store need not be one step, but readers must see whole words. */
  #add(cell: number, by: number): void {
    Atomics.store(this.#cells, cell, (this.#cells[cell] as bigint) + BigInt(by));
  }
}

const LOOPS = counterCell("loops");
const LOOP_NS = counterCell("loop_ns");

/** Milliseconds of CLOCK_MONOTONIC modulo 2^32: the same number in every thread of the process. */
export function monotonicMs(): () => number {
  // performance.now() is the same clock, but counts from each thread's own start.
  const offset = Number(process.hrtime.bigint()) / 1e6 - performance.now();
  return () => (performance.now() + offset) >>> 0;
}
