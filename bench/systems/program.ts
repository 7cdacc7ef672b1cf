/** The processes of a system under test. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { type Device, PATH, run } from "../lab.js";

const LIMIT_MS = 10_000;
const POLL_MS = 20;

/** A process in a host's namespace. */
export interface Program {
  readonly pid: number;
  /** Why it ended, with the last lines it said; undefined while it runs. */
  failure(): string | undefined;
  stop(): Promise<void>;
}

const started: Program[] = [];

/** All programs started so far, running or not. */
export const programsStarted = (): readonly Program[] => started;

/** @param env beside this process's own environment */
export function startProgram(
  netns: string,
  [program, ...args]: readonly [string, ...string[]],
  env: Readonly<Record<string, string>> = {},
): Program {
  const child: ChildProcess = spawn("nsenter", [`--net=/run/netns/${netns}`, program, ...args], {
    // An input that never ends: vde_switch is ended by the end of its console.
    stdio: ["pipe", "pipe", "pipe"],
    cwd: "/run",
    env: { ...process.env, PATH, ...env },
  });
  let said = "";
  const listen = (part: Buffer): void => {
    said = (said + part.toString()).slice(-600);
  };
  child.stdout?.on("data", listen);
  child.stderr?.on("data", listen);
  let ended: string | undefined;
  const closed = new Promise<void>((resolve) => {
    child.on("error", (error) => {
      ended ??= error.message;
      resolve();
    });
    child.on("close", (code, signal) => {
      // Not the frames that some draw around their words.
      const words = said.split("\n").filter((line) => /\w{2}/.test(line));
      const last = (words.at(-1) ?? "").trim().slice(-200);
      ended ??= `${program} in ${netns} ended (${signal ?? code})${last && `: ${last}`}`;
      resolve();
    });
  });
  const self: Program = {
    pid: child.pid ?? 0,
    failure: () => ended,
    async stop() {
      if (ended !== undefined) return;
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), 3000);
      await closed;
      clearTimeout(timer);
    },
  };
  started.push(self);
  return self;
}

/** The first number with a dot or after a `v` that a program says of itself. */
export function versionOf(program: string, ...args: readonly string[]): string {
  const { stdout, stderr } = spawnSync(program, args, { encoding: "utf8", env: { ...process.env, PATH } });
  return /\bv?\d+(?:\.\d+)+|\bv\d+/.exec(`${stdout}\n${stderr}`)?.[0]?.replace(/^v/, "") ?? "unknown";
}

/** `pids`, `failure` and `stop` of a system made of several processes; stopped last first. */
export function together(programs: readonly Program[]): {
  pids: number[];
  failure(): string | undefined;
  stop(): Promise<void>;
} {
  return {
    pids: programs.map(({ pid }) => pid),
    failure: () => programs.map((p) => p.failure()).find((why) => why !== undefined),
    async stop() {
      for (const program of programs.toReversed()) await program.stop();
    },
  };
}

/**
 * Waits until something is there.
 * @param what for the error
 * @param there asked every 20 ms; an exception means not yet
 * @throws Error after 10 s, or when one of the processes has ended
 */
export async function until(what: string, there: () => boolean, programs: readonly Program[] = []): Promise<void> {
  const end = Date.now() + LIMIT_MS;
  for (;;) {
    let found: boolean;
    try {
      found = there();
    } catch {
      found = false;
    }
    if (found) return;
    const failure = together(programs).failure();
    if (failure !== undefined) throw new Error(`bench: ${failure}`);
    if (Date.now() > end) throw new Error(`bench: no ${what} after ${LIMIT_MS / 1000} s`);
    await sleep(POLL_MS);
  }
}

/** Waits for a device that a program makes. */
export function untilDevice({ netns, device }: Device, programs: readonly Program[]): Promise<void> {
  return until(`device ${device} in ${netns}`, () => run("ip", "-n", netns, "link", "show", device) !== "", programs);
}

/** Waits until a container answers another's ping. */
export function untilPing(netns: string, address: string, programs: readonly Program[]): Promise<void> {
  const words = [`--net=/run/netns/${netns}`, "ping", "-c", "1", "-W", "1", "-q", address];
  return until(`answer from ${address} to ${netns}`, () => run("nsenter", ...words) !== "", programs);
}
