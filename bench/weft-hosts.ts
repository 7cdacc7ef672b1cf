/** The two weft daemons of the end-to-end bench, run as anybody would run them: `weft up`, `weft attach`. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { request } from "node:http";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Counters } from "@weft/control";
import { other, SIDES, type Side, type System, underlayAddress, VNI } from "./lab.js";

const WEFT = fileURLToPath(new URL("../../packages/control/bin/weft.js", import.meta.url));
const READY_MS = 15_000;
const socket = (side: Side): string => `/run/weft/${side}.sock`;
const run = promisify(execFile);

export interface WeftHosts {
  readonly pids: readonly number[];
  /** Why the daemons cannot carry traffic any more; undefined while both run. */
  failure(): string | undefined;
  counters(side: Side): Promise<Counters>;
  stop(): Promise<void>;
}

interface Daemon {
  readonly child: ChildProcess;
  readonly said: string[];
  readonly ready: Promise<void>;
}

function startDaemon(side: Side, nodeFlags: readonly string[], cwd: string): Daemon {
  const flags = [
    ...["--name", `host-${side}`, "--underlay", underlayAddress(side), "--vtep", underlayAddress(other(side))],
    ...["--socket", socket(side), "--state-dir", `/run/weft/${side}`, "--ephemeral", "--log-format", "json"],
  ];
  const words = [`--net=/run/netns/host-${side}`, process.execPath, ...nodeFlags, WEFT, "up", ...flags];
  const child = spawn("nsenter", words, { stdio: ["ignore", "pipe", "pipe"], cwd });
  if (!child.stdout || !child.stderr) throw new Error("bench: child without pipes");
  const said: string[] = [];
  createInterface({ input: child.stderr }).on("line", (line) => said.push(line));
  const lines = createInterface({ input: child.stdout });
  const ready = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`bench: weft on host ${side} is not ready after ${READY_MS} ms`)),
      READY_MS,
    );
    lines.on("line", (line) => {
      said.push(line);
      if (/"msg":"ready\b/.test(line)) {
        clearTimeout(timer);
        resolve();
      }
    });
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      reject(new Error(`bench: weft on host ${side} ended (${signal ?? code}): ${said.slice(-3).join(" | ")}`));
    });
  });
  return { child, said, ready };
}

function get<T>(side: Side, path: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath: socket(side), path, timeout: 5000 }, (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (part: string) => {
        text += part;
      });
      answer.on("end", () => {
        if (answer.statusCode === 200) resolve(JSON.parse(text) as T);
        else reject(new Error(`bench: GET ${path} on host ${side}: ${answer.statusCode} ${text}`));
      });
    });
    asked.on("error", reject);
    asked.on("timeout", () => asked.destroy(new Error(`bench: GET ${path} on host ${side}: no answer in 5 s`)));
    asked.end();
  });
}

/**
 * Starts both daemons, waits until they forward, and attaches the system's containers.
 * @param nodeFlags for the daemons, e.g. `--perf-basic-prof`
 * @param cwd their working directory, where Node.js leaves the logs of such flags
 */
export async function startWeft(
  system: Omit<System, "daemons">,
  nodeFlags: readonly string[] = [],
  cwd = "/",
): Promise<WeftHosts> {
  const daemons = SIDES.map((side) => startDaemon(side, nodeFlags, cwd));
  await Promise.all(daemons.map((d) => d.ready));
  for (const side of SIDES) {
    const words = ["attach", system.container(side), "--vni", String(VNI), "--ip", `${system.address(side)}/24`];
    await run(process.execPath, [WEFT, ...words, "--socket", socket(side)]).catch((error: { stderr?: string }) => {
      throw new Error(`bench: weft attach on host ${side}: ${error.stderr?.trim() ?? String(error)}`);
    });
  }
  return {
    pids: daemons.flatMap(({ child }) => child.pid ?? []),
    failure: () => {
      const ended = daemons.find(({ child }) => child.exitCode !== null || child.signalCode !== null);
      return (
        ended &&
        `a weft daemon ended (${ended.child.signalCode ?? ended.child.exitCode}): ${ended.said.slice(-3).join(" | ")}`
      );
    },
    counters: (side) => get<Counters>(side, "/v1/counters"),
    async stop() {
      await Promise.all(
        daemons.map(({ child }) => {
          if (child.exitCode !== null || child.signalCode !== null) return undefined;
          const ended = new Promise((resolve) => child.once("close", resolve));
          child.kill("SIGTERM");
          return ended;
        }),
      );
    },
  };
}

/** How the two data planes worked through one case: sums over both hosts. */
export interface Work {
  /** Frames and datagrams handed to the WASM. */
  readonly frames: number;
  /** WASM calls with at least one frame. */
  readonly calls: number;
  /** System calls of the workers. */
  readonly syscalls: number;
  readonly drops: number;
}

export async function workDone(hosts: WeftHosts): Promise<Work> {
  const all = await Promise.all(SIDES.map((side) => hosts.counters(side)));
  const sum = (of: (c: Counters) => number): number => all.reduce((n, c) => n + of(c), 0);
  return {
    frames: sum((c) => c.batchFrames.egress.sum + c.batchFrames.ingress.sum),
    calls: sum((c) => c.batchFrames.egress.count + c.batchFrames.ingress.count),
    syscalls: sum((c) => Object.values(c.syscalls).reduce((n, v) => n + v, 0)),
    drops: sum((c) => c.law.egress.drops + c.law.ingress.drops + c.kernelDrops.tap_ring + c.kernelDrops.udp_rcvbuf),
  };
}
