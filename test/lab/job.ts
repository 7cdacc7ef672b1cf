/** A child process of a test: its output line by line, its end, and a sure way to end it. Limits are in the machine's own time. */
import { type ChildProcess, spawn } from "node:child_process";
import { afterOwn, ownMs } from "./own-time.js";

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class Job {
  /** Lines of standard output and standard error so far. */
  readonly out: string[] = [];
  readonly err: string[] = [];
  /** Resolves when the process has ended and its output is complete. Never rejects. */
  readonly ended: Promise<Ended>;
  readonly child: ChildProcess;
  /** Time of the start, as `ownMs()`. */
  readonly startedMs = ownMs();
  readonly #command: string;
  readonly #watchers = new Set<() => void>();
  #end: Ended | undefined;

  constructor(command: readonly string[], options: { env?: NodeJS.ProcessEnv; cwd?: string; binary?: boolean } = {}) {
    this.#command = command.join(" ");
    // Without what tap makes every Node.js process below it load: it costs each start a third of a second. tap puts it into
    // any environment that it is given, so it is taken out behind it; env replaces itself with the command.
    this.child = spawn("env", ["-u", "NODE_OPTIONS", ...command], {
      cwd: options.cwd ?? "/",
      env: { ...process.env, ...options.env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    // A child that ended before it read all of its input is no failure of the test by itself.
    this.child.stdin?.on("error", () => {});
    if (options.binary !== true) this.#collect(this.child.stdout, this.out);
    this.#collect(this.child.stderr, this.err);
    this.ended = new Promise((resolve) => {
      const end = (ended: Ended): void => {
        this.#end = ended;
        resolve(ended);
        this.#tell();
      };
      this.child.on("error", (error) => {
        this.err.push(String(error));
        end({ code: 127, signal: null });
      });
      this.child.on("close", (code, signal) => end({ code, signal }));
    });
  }

  get running(): boolean {
    return this.#end === undefined;
  }

  /** Everything printed so far, for messages. */
  get text(): string {
    return [...this.out, ...this.err].join("\n");
  }

  /** Waits for a line, on either stream, also one that was printed already. */
  async line(pattern: RegExp, withinMs = 10_000): Promise<string> {
    const find = (): string | undefined => [...this.out, ...this.err].find((line) => pattern.test(line));
    return await new Promise((resolve, reject) => {
      const finish = (settle: () => void): void => {
        forget();
        this.#watchers.delete(look);
        settle();
      };
      const look = (): void => {
        const line = find();
        if (line !== undefined) finish(() => resolve(line));
        else if (!this.running) finish(() => reject(this.#failure(`ended without a line like ${pattern}`)));
      };
      const forget = afterOwn(withinMs, () =>
        finish(() => reject(this.#failure(`printed no line like ${pattern} within ${withinMs} ms`))),
      );
      this.#watchers.add(look);
      look();
    });
  }

  /** Waits for a good end. */
  async done(withinMs = 60_000): Promise<string[]> {
    const end = await this.endsWithin(withinMs);
    if (end.code !== 0) throw this.#failure(`ended with ${end.code ?? end.signal}`);
    return this.out;
  }

  /** Waits for any end. */
  async endsWithin(withinMs: number): Promise<Ended> {
    let forget: (() => void) | undefined;
    const late = new Promise<never>((_, reject) => {
      forget = afterOwn(withinMs, () => reject(this.#failure(`still runs after ${withinMs} ms`)));
    });
    try {
      return await Promise.race([this.ended, late]);
    } finally {
      forget?.();
    }
  }

  /** Closes standard input: the senders and receivers of the lab stop and report. */
  finish(): void {
    this.child.stdin?.end();
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<Ended> {
    if (this.running) this.child.kill(signal);
    return await this.ended;
  }

  #failure(what: string): Error {
    return new Error(`${this.#command}\n${what}\n${this.text}`);
  }

  #collect(stream: NodeJS.ReadableStream | null, lines: string[]): void {
    let rest = "";
    stream?.setEncoding("utf8");
    stream?.on("data", (chunk: string) => {
      const parts = (rest + chunk).split("\n");
      rest = parts.pop() ?? "";
      lines.push(...parts);
      this.#tell();
    });
    stream?.on("end", () => {
      if (rest !== "") lines.push(rest);
      this.#tell();
    });
  }

  #tell(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }
}

/** Asks again and again until the answer is not false or undefined; what it last threw is in the error. */
export async function until<T>(
  what: string,
  ask: () => T | Promise<T>,
  withinMs = 20_000,
): Promise<Exclude<T, false | undefined>> {
  const deadline = ownMs() + withinMs;
  let problem = "";
  for (;;) {
    const asked = performance.now();
    try {
      const answer = await ask();
      if (answer !== false && answer !== undefined) return answer as Exclude<T, false | undefined>;
    } catch (error) {
      problem = ` (${String(error)})`;
    }
    if (ownMs() > deadline) throw new Error(`not within ${withinMs} ms: ${what}${problem}`);
    // Asking costs the machine at most half of its time, also where it takes a program.
    const pause = Math.min(250, Math.max(20, performance.now() - asked));
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}
