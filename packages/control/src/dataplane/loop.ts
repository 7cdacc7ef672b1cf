/**
 * One turn of the switch: wait, read a batch, judge it in WASM, send what came out.
 *
 * The loop itself is the caller's (a worker thread, the event loop, a simulation, a bench), one WASM call per batch:
 * V8 cannot replace a running function, so an endless loop inside WASM would stay in unoptimised code. All waiting is in
 * Io.poll(), which also brings the time and counts how long turns take: no clock is read here.
 */
import { address, type SwitchExports, type SwitchMemory } from "@weft/dataplane-wasm";
import { LIMIT, offsetOf } from "@weft/dataplane-wasm/abi";
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
  /** Microseconds of looking again before a sleep, when the last turn brought frames; default 0. */
  readonly spinUs?: number;
}

export class SwitchLoop {
  readonly #exports: SwitchExports;
  readonly #io: Io;
  readonly #worker: number;
  readonly #words: Int32Array;
  readonly #txCountWord: number;
  readonly #clockWord: number;
  readonly #attentionWord: number;
  readonly #learnedWord = offsetOf("Header", "fdbCount") >>> 2;
  readonly #rememberedWord = offsetOf("Header", "neighbourCount") >>> 2;
  readonly #ageBuckets: number;
  /** Time of the last slice; undefined before the first turn. */
  #agedAt: number | undefined;

  readonly #spinUs: number;
  /** The last turn brought frames: more are likely to follow. */
  #isWarm = false;

  constructor({ exports, memory, io, worker, spinUs = 0 }: LoopParts) {
    const { regions } = memory.plan;
    this.#exports = exports;
    this.#io = io;
    this.#worker = worker;
    this.#spinUs = spinUs;
    this.#words = new Int32Array(memory.memory.buffer);
    const record = address(regions.WORKER, worker);
    this.#txCountWord = (record + offsetOf("Worker", "txCount")) >>> 2;
    this.#attentionWord = (record + offsetOf("Worker", "attention")) >>> 2;
    this.#clockWord = (record + offsetOf("Worker", "clockMs")) >>> 2;
    this.#ageBuckets = Math.ceil(Math.max(regions.FDB.count, regions.NEIGHBOURS.count) / AGE_SLICES);
    exports.setup(worker);
  }

  /**
   * One turn: sleeps at most `timeoutMs` (less when ageing is due), then handles one batch from the ports and one from
   * the underlay.
   *
   * @returns what poll() saw, READY bits; after READY.WAKE the caller looks for messages, after READY.GONE for ports.
   */
  turn(timeoutMs: number = IDLE_MS): number {
    const exports = this.#exports;
    const io = this.#io;
    const worker = this.#worker;
    exports.park(worker);
    const sleepMs = this.#sleepMs();
    const ready = io.poll(sleepMs < timeoutMs ? sleepMs : timeoutMs, this.#isWarm ? this.#spinUs : 0);
    this.#isWarm = (ready & (READY.TAP | READY.UDP)) !== 0;
    exports.begin(worker);
    const now = (this.#words[this.#clockWord] as number) >>> 0;
    if (ready & READY.TAP) {
      const n = io.readPorts(LIMIT.BATCH_MAX);
      for (let first = 0; first < n; ) first += this.#sent(exports.egress(worker, first, n - first, now));
    }
    if (ready & READY.UDP) {
      const n = io.receive(LIMIT.BATCH_MAX);
      for (let first = 0; first < n; ) first += this.#sent(exports.ingress(worker, first, n - first, now));
    }
    if (worker === 0) this.#age(now);
    return ready;
  }

  /** Whether the main thread should be told to look now; true once for each time it has looked. */
  wantsAttention(): boolean {
    return (
      this.#words[this.#attentionWord] === 1 && Atomics.compareExchange(this.#words, this.#attentionWord, 1, 2) === 1
    );
  }

  /** Lets go of the tables; call it before leaving the loop or returning to an event loop. */
  park(): void {
    this.#exports.park(this.#worker);
  }

  /** Forgets where these MACs of a network index were learned. */
  forget(network: number, macs: readonly (readonly [hi: number, lo: number])[]): void {
    this.#exports.begin(this.#worker);
    for (const [hi, lo] of macs) this.#exports.forget(this.#worker, network, hi, lo);
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
    if (this.#worker !== 0 || this.#agedAt === undefined || !this.#hasEntries()) return IDLE_MS;
    // The clock stands at the last poll: the sleep may end one turn late, never early.
    const since = ((this.#words[this.#clockWord] as number) - this.#agedAt) >>> 0;
    return since >= AGE_SLICE_MS ? 0 : AGE_SLICE_MS - since;
  }
  #hasEntries(): boolean {
    return this.#words[this.#learnedWord] !== 0 || this.#words[this.#rememberedWord] !== 0;
  }
  #age(now: number): void {
    this.#agedAt ??= now;
    const since = (now - this.#agedAt) >>> 0;
    if (since < AGE_SLICE_MS) return;
    this.#agedAt = now;
    if (!this.#hasEntries()) return;
    const slices = Math.min(AGE_SLICES, Math.floor(since / AGE_SLICE_MS));
    this.#exports.age(this.#worker, slices * this.#ageBuckets, now);
  }
}

/** Milliseconds of CLOCK_MONOTONIC modulo 2^32: the same number in every thread of the process. */
export function monotonicMs(): () => number {
  // performance.now() is the same clock, but counts from each thread's own start.
  const offset = Number(process.hrtime.bigint()) / 1e6 - performance.now();
  return () => (performance.now() + offset) >>> 0;
}
