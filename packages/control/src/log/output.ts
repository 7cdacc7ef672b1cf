/**
 * Where log lines go, without ever waiting for who reads them: a pager that stands still or a full journal must not
 * stop the daemon. A line is written at once; what the reader does not take waits in a bounded buffer, and what does
 * not fit there is dropped and counted.
 */
import { constants, fstatSync, openSync, writeSync } from "node:fs";

/** Octets that wait at most. */
const WAITING_MAX = 1 << 20;
const AGAIN_MS = 50;
/** The end of the process waits this long for a slow reader. */
const FLUSH_MS = 500;

export class LogOutput {
  readonly #fd: number;
  readonly #onLost: (lines: number) => void;
  #waiting: Buffer[] = [];
  #octets = 0;
  #lost = 0;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param fd see `nonBlocking`.
   * @param onLost told how many lines were dropped, once there is room again.
   */
  constructor(fd: number, onLost: (lines: number) => void = () => undefined) {
    this.#fd = fd;
    this.#onLost = onLost;
  }

  /** Lines dropped since the last call of onLost. */
  get lost(): number {
    return this.#lost;
  }

  write(line: string): void {
    const data = Buffer.from(line);
    if (this.#octets + data.length > WAITING_MAX) {
      this.#lost += 1;
      return;
    }
    this.#waiting.push(data);
    this.#octets += data.length;
    // While the timer runs, the reader is slow: it is asked again soon enough.
    if (this.#timer === undefined) this.#drain();
  }

  /** Waits for the reader, at most half a second. Blocks: for the end of the process. */
  flushSync(): void {
    const pause = new Int32Array(new SharedArrayBuffer(4));
    for (const end = performance.now() + FLUSH_MS; this.#octets > 0 && performance.now() < end; ) {
      this.#drain();
      if (this.#octets > 0) Atomics.wait(pause, 0, 0, 10);
    }
  }

  #drain(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    let taken = false;
    while (this.#waiting[0] !== undefined) {
      const data = this.#waiting[0];
      let written: number;
      try {
        written = writeSync(this.#fd, data);
        taken = true;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "EAGAIN") {
          this.#timer = setTimeout(() => this.#drain(), AGAIN_MS).unref();
          return;
        }
        // Nobody reads any more, or the disk is full: the daemon goes on without this line.
        this.#lost += 1;
        written = data.length;
      }
      this.#octets -= written;
      if (written < data.length) this.#waiting[0] = data.subarray(written);
      else this.#waiting.shift();
    }
    if (this.#lost === 0 || !taken) return;
    const lost = this.#lost;
    this.#lost = 0;
    this.#onLost(lost);
  }
}

/**
 * A descriptor of the same file that never blocks. Opened anew: the mode of the one given is shared with others, such
 * as the shell. A socket cannot be opened anew; Node.js makes standard output non-blocking where it is one.
 */
export function nonBlocking(fd: number): number {
  if (fstatSync(fd).isFile()) return fd;
  try {
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    void process.stdout.writable;
    return fd;
  }
}
