/**
 * Puts configurations in force without ever stopping a worker.
 *
 * Two copies of every configuration region lie in the shared memory; the low bit of Header.generation says which one
 * is in force. A worker takes the generation at the start of a turn, writes it into its own record, and runs the turn
 * under it. The other copy may be rewritten once no worker can still be reading it, that is when every worker has
 * begun a turn under the generation in force or sleeps (GENERATION_PARKED); then one atomic store puts it in force.
 *
 * Nothing here blocks: waiting is done by looking again soon. Changes made meanwhile travel together.
 */
import { LIMIT, offsetOf } from "../abi/index.js";
import type { Image } from "./image.js";
import { address, type SwitchMemory } from "./instance.js";

/** Looks made in a row before the next is left to a timer. A worker's turn takes well under a millisecond. */
const EAGER_LOOKS = 64;

export class Publication {
  readonly #words: Int32Array;
  readonly #images: readonly Image[];
  readonly #workerWords: readonly number[];
  readonly #generationWord = offsetOf("Header", "generation") >> 2;
  /** Waiting for the change to be written. */
  #wanted: (() => void)[] = [];
  /** Written; waiting for the workers to run under it. */
  #inFlight: (() => void)[] = [];
  #busy = false;
  #looks = 0;

  constructor(memory: SwitchMemory, images: readonly Image[]) {
    this.#words = new Int32Array(memory.memory.buffer);
    this.#images = images;
    const region = memory.plan.regions.WORKER;
    const field = offsetOf("Worker", "generation");
    this.#workerWords = Array.from({ length: memory.plan.sizes.workers }, (_, w) => (address(region, w) + field) >> 2);
    for (const image of images) image.copyTo(0);
  }

  /** Generation in force. */
  get generation(): number {
    return Atomics.load(this.#words, this.#generationWord) >>> 0;
  }

  /**
   * Puts the images in force as they are at the end of the present task, or later.
   * Resolves when every worker runs under them: what they no longer name may be reused.
   */
  publish(): Promise<void> {
    return new Promise((resolve) => {
      this.#wanted.push(resolve);
      if (this.#busy) return;
      this.#busy = true;
      this.#looks = 0;
      queueMicrotask(() => this.#advance());
    });
  }

  /** A worker that died holds no table any more. */
  forget(worker: number): void {
    Atomics.store(this.#words, this.#workerWords[worker] as number, LIMIT.GENERATION_PARKED | 0);
  }

  #advance(): void {
    while (this.#settled()) {
      const done = this.#inFlight;
      this.#inFlight = this.#wanted;
      this.#wanted = [];
      if (this.#inFlight.length > 0) this.#write();
      for (const resolve of done) resolve();
      if (this.#inFlight.length === 0) {
        this.#busy = false;
        return;
      }
      this.#looks = 0;
    }
    if (++this.#looks < EAGER_LOOKS) setImmediate(() => this.#advance());
    else setTimeout(() => this.#advance(), 1);
  }

  /** True when no worker can be reading the copy that is not in force. */
  #settled(): boolean {
    const now = Atomics.load(this.#words, this.#generationWord);
    return this.#workerWords.every((word) => {
      const held = Atomics.load(this.#words, word);
      return held === now || held >>> 0 === LIMIT.GENERATION_PARKED;
    });
  }

  #write(): void {
    const next = this.generation + 1;
    // The one number that means "parked" is passed over; 1 has the low bit that is due.
    const generation = next >>> 0 === LIMIT.GENERATION_PARKED ? 1 : next >>> 0;
    for (const image of this.#images) image.copyTo((generation & 1) as 0 | 1);
    Atomics.store(this.#words, this.#generationWord, generation | 0);
  }
}
