/**
 * What the daemon must not forget, on disk. A disk that refuses never stops the forwarding: whoever changes something
 * is told, and what could not be written is tried again until it can.
 */
import type { PortRecord } from "../dataplane/types.js";
import { WeftError } from "../errors.js";
import { errorFields, type Log } from "../log/log.js";
import type { State, StateStore } from "../state/store.js";

const AGAIN_MS = 10_000;

export interface LedgerOptions {
  /** Absent: nothing is kept. */
  readonly store: StateStore | undefined;
  /** What the state is now. */
  readonly state: () => State;
  readonly log: Log;
  /** Runs a write between two changes: in the middle of one the state is neither old nor new. */
  readonly between: (write: () => void) => void;
  /** Milliseconds between two tries, default 10 s. */
  readonly againMs?: number | undefined;
}

export class Ledger {
  readonly #store: StateStore | undefined;
  readonly #state: () => State;
  readonly #log: Log;
  readonly #between: (write: () => void) => void;
  readonly #againMs: number;
  /** What is on disk, as text. */
  #written: string | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor({ store, state, log, between, againMs = AGAIN_MS }: LedgerOptions) {
    this.#store = store;
    this.#state = state;
    this.#log = log;
    this.#between = between;
    this.#againMs = againMs;
  }

  /** Takes note of what a start has read from the disk. */
  loaded(state: State): void {
    this.#written = JSON.stringify(state);
  }

  /**
   * Writes the record of a port that is about to be.
   * @throws WeftError not_recorded
   */
  announce(record: PortRecord): void {
    const state = this.#state();
    try {
      this.#write({ ...state, ports: [...state.ports, record] });
    } catch (error) {
      throw new WeftError("not_recorded", `not attached: ${reason(error)}; make room or put the directory back`);
    }
  }

  /**
   * Writes after a change that is in force.
   * @param done the change as the beginning of a sentence: `network blue is set`.
   * @throws WeftError not_recorded; it is tried again
   */
  save(done: string): void {
    try {
      this.#write(this.#state());
    } catch (error) {
      this.#later();
      throw new WeftError(
        "not_recorded",
        `${done}, but ${reason(error)}: a restart now would not know. Make room or put the directory back; weft tries again every ${this.#againMs / 1000} s`,
      );
    }
  }

  /** Writes what nobody waits for, if it differs from what is on disk. */
  saveOrLater(): void {
    const state = this.#state();
    if (JSON.stringify(state) === this.#written) return;
    try {
      this.#write(state);
    } catch (error) {
      if (this.#timer === undefined)
        this.#log.error(
          { component: "state", ...errorFields(this.#log, error) },
          `${reason(error)}: tried again every ${this.#againMs / 1000} s`,
        );
      this.#later();
    }
  }

  /** Ends the tries. */
  close(): void {
    clearInterval(this.#timer);
  }

  #write(state: State): void {
    if (!this.#store) return;
    // Of a save that failed nobody knows how far it came.
    this.#written = undefined;
    this.#store.save(state);
    this.#written = JSON.stringify(state);
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#log.info({ component: "state" }, "the state directory can be written again");
  }

  #later(): void {
    this.#timer ??= setInterval(() => this.#between(() => this.saveOrLater()), this.#againMs).unref();
  }
}

function reason(error: unknown): string {
  return `the state directory cannot be written (${error instanceof Error ? error.message : String(error)})`;
}
