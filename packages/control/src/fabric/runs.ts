/**
 * Runs of one thing, one at a time. Who asks for `next` waits for a run that begins after he asked, and shares it with all others who
 * wait. What others bring about asks for one `soon`: at most one in a while comes of that, however often it is asked for. Between
 * somebody who waits and his run are the one under way and what was to be done `alone` before; asking `soon` puts nothing there.
 */
export interface RunsOptions {
  /** Never rejects. */
  readonly run: () => Promise<void>;
  /** Milliseconds between the beginnings of two runs that were only asked for `soon`. */
  readonly paceMs: number;
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
  /** Runs something later, once. @returns what takes it back */
  readonly after: (ms: number, run: () => void) => () => void;
}

export class Runs {
  readonly #options: RunsOptions;
  #last: Promise<unknown> = Promise.resolve();
  /** One that has not begun. */
  #next: Promise<void> | undefined;
  #cancel: (() => void) | undefined;
  #begunAt = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  constructor(options: RunsOptions) {
    this.#options = options;
  }

  /** Resolves when a run has ended that began after this call. */
  next(): Promise<void> {
    this.#next ??= this.alone(() => {
      this.#next = undefined;
      this.#cancel?.();
      this.#cancel = undefined;
      this.#begunAt = this.#options.now();
      return this.#options.run();
    });
    return this.#next;
  }

  soon(): void {
    if (this.#isClosed || this.#next !== undefined || this.#cancel !== undefined) return;
    const { now, after, paceMs } = this.#options;
    this.#cancel = after(Math.max(0, this.#begunAt + paceMs - now()), () => {
      this.#cancel = undefined;
      void this.next();
    });
  }

  /** Does something while there is no run. */
  alone<T>(step: () => Promise<T>): Promise<T> {
    const done = this.#last.then(step, step);
    this.#last = done.catch(() => undefined);
    return done;
  }

  /** Nothing comes of what was asked for `soon`. */
  close(): void {
    this.#isClosed = true;
    this.#cancel?.();
  }
}
