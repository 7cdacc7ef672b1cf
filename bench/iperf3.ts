/** One TCP stream with iperf3: a check that our own sender and receiver do not flatter or spoil anybody. */
import { execFile, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { PATH } from "./lab.js";
import type { System } from "./systems/system.js";

const run = promisify(execFile);
const READY_MS = 5000;

interface Answer {
  readonly end?: { readonly sum_received?: { readonly bits_per_second?: number } };
  readonly error?: string;
}

/** @returns Gbit/s as the receiver saw it. Throws one line that says what to install when there is no iperf3. */
export async function iperf3(system: System, seconds: number): Promise<number> {
  const env = { ...process.env, PATH };
  const inside = (side: "a" | "b"): string => `--net=/run/netns/${system.container(side)}`;
  const server = spawn("nsenter", [inside("b"), "iperf3", "-s", "-1", "--forceflush"], {
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise<void>((resolve) => server.once("close", () => resolve()));
  try {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("bench: iperf3 -s does not listen")), READY_MS);
      createInterface({ input: server.stdout }).on("line", (line) => {
        if (!/listening/i.test(line)) return;
        clearTimeout(timer);
        resolve();
      });
      server.once("close", (code) => {
        clearTimeout(timer);
        const missing = code === 127 ? ": is it installed? `apt-get install iperf3`" : "";
        reject(new Error(`bench: iperf3 -s ended (${code})${missing}`));
      });
    });
    // iperf3 takes whole seconds, and a first part that does not count (-O).
    const words = ["-c", system.address("b"), "-t", String(Math.max(1, Math.round(seconds))), "-O", "1", "-J"];
    const { stdout } = await run("nsenter", [inside("a"), "iperf3", ...words], { env, maxBuffer: 1 << 24 });
    const answer = JSON.parse(stdout) as Answer;
    const bits = answer.end?.sum_received?.bits_per_second;
    if (bits === undefined) throw new Error(`bench: iperf3: ${answer.error ?? "no result"}`);
    return bits / 1e9;
  } finally {
    server.kill("SIGTERM");
    await ended;
  }
}
