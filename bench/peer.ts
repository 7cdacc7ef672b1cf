/** Builds and runs the traffic programs of peer.c. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { compile } from "./compile.js";

const PROGRAM = fileURLToPath(new URL("./peer", import.meta.url));

/**
 * Compiles the traffic programs, when they are newer than the program.
 * @returns path of the program, for those who run it in their own namespace
 * @throws Error with one line that says what to install, when there is no C compiler.
 */
export function buildPeer(): string {
  const parts = ["open", "ping", "serve", "tcp", "udp-receive", "udp-send"];
  return compile({
    name: "peer",
    sources: ["peer.c", ...parts.map((part) => `traffic/${part}.c`)],
    headers: ["traffic/peer.h"],
    flags: ["-O2", "-pthread"],
  });
}

/** A running traffic program. */
export interface Peer {
  /** Resolves when that line was printed. Rejects when the program ends before. */
  line(text: string): Promise<void>;
  /** Resolves to the JSON line the program ends with. */
  result(): Promise<Partial<Record<string, number>>>;
  /** Ends the program, if it still runs, and waits for its end. */
  stop(): Promise<void>;
}

/**
 * Starts a program in a namespace.
 * @param netns name as in `ip netns`
 * @param limitSeconds the program is ended and its promises reject when it takes longer
 */
export function startPeer(netns: string, args: readonly (string | number)[], limitSeconds: number): Peer {
  const words = args.map(String);
  const child: ChildProcess = spawn("nsenter", [`--net=/run/netns/${netns}`, PROGRAM, ...words], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const seen: string[] = [];
  const waiting: { match: (line: string) => boolean; resolve: (line: string) => void; reject: (e: Error) => void }[] =
    [];
  let complaint = "";
  let ended: Error | undefined;
  const wait = (match: (line: string) => boolean): Promise<string> => {
    const found = seen.find(match);
    if (found !== undefined) return Promise.resolve(found);
    if (ended) return Promise.reject(ended);
    return new Promise((resolve, reject) => waiting.push({ match, resolve, reject }));
  };
  const timer = setTimeout(() => {
    complaint ||= `no result after ${limitSeconds} s: no traffic got through`;
    child.kill("SIGKILL");
  }, limitSeconds * 1000);
  if (!child.stdout || !child.stderr) throw new Error("bench: child without pipes");
  const lines = createInterface({ input: child.stdout });
  lines.on("line", (line) => {
    seen.push(line);
    for (const w of waiting.splice(0)) {
      if (w.match(line)) w.resolve(line);
      else waiting.push(w);
    }
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint += text.trim();
  });
  const closed = new Promise<void>((resolve) => {
    const end = (why: string): void => {
      clearTimeout(timer);
      ended ??= new Error(`bench: peer ${words.join(" ")} in ${netns}: ${complaint || why}`);
      for (const w of waiting.splice(0)) w.reject(ended);
      resolve();
    };
    child.on("error", (error) => end(error.message));
    // "close" comes after the last line was read, "exit" may come before.
    child.on("close", (code, signal) => end(`ended (${signal ?? code})`));
  });
  const json = (line: string): boolean => line.startsWith("{");
  return {
    async line(text) {
      await wait((l) => l === text);
    },
    async result() {
      return JSON.parse(await wait(json)) as Partial<Record<string, number>>;
    },
    async stop() {
      child.kill("SIGTERM");
      await closed;
    },
  };
}
