/** The weft daemons of the end-to-end bench, run as anybody would run them: `weft up`, and `weft attach` for each port. */
import { type ChildProcess, spawn } from "node:child_process";
import { request } from "node:http";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Counters } from "@weft/control";
import { makeNamespace, setting, VNI } from "./lab.js";

/** The command. */
export const WEFT = fileURLToPath(new URL("../../packages/control/bin/weft.js", import.meta.url));
const READY_MS = 15_000;
const ANSWER_MS = 10_000;

/** One daemon. */
export interface WeftHost {
  /** Unique among the daemons of a run. */
  readonly name: string;
  readonly netns: string;
  /** Underlay address. */
  readonly underlay: string;
  /** Other VTEPs of every network. */
  readonly vteps: readonly string[];
  /** Further flags of `weft up`, e.g. `--workers 2` or `--config FILE`. */
  readonly flags?: readonly string[];
}

/** A device in a container. */
export interface WeftPort {
  readonly netns: string;
  /** With prefix length; left out: a device without address. */
  readonly ip?: string;
  /** `eth0` when left out. */
  readonly ifname?: string;
  /** The network's when left out. */
  readonly mtu?: number;
}

export interface WeftHosts {
  readonly pids: readonly number[];
  /** Milliseconds from start to `ready`, of each daemon. */
  readonly readyMs: readonly number[];
  /** Why the daemons cannot carry traffic any more; undefined while all run. */
  failure(): string | undefined;
  /** @param host name of a daemon */
  attach(host: string, ports: readonly WeftPort[]): Promise<void>;
  counters(host: string): Promise<Counters>;
  /** Sums over all daemons. */
  work(): Promise<Work>;
  stop(): Promise<void>;
}

/** How the data planes worked, since they started. */
export interface Work {
  /** Frames and datagrams handed to the WASM. */
  readonly frames: number;
  /** WASM calls with at least one frame. */
  readonly calls: number;
  /** System calls of the workers. */
  readonly syscalls: number;
  readonly drops: number;
}

const socketOf = (host: string): string => `/run/weft/${host}.sock`;

interface Daemon {
  readonly name: string;
  readonly child: ChildProcess;
  readonly said: string[];
  /** Milliseconds it took. */
  readonly ready: Promise<number>;
}

function startDaemon(host: WeftHost, nodeFlags: readonly string[]): Daemon {
  const { name } = host;
  const flags = [
    ...["--no-mesh", "--name", name, "--underlay", host.underlay, ...host.vteps.flatMap((vtep) => ["--vtep", vtep])],
    ...["--socket", socketOf(name), "--state-dir", `/run/weft/${name}`, "--ephemeral", "--log-format", "json"],
    ...(host.flags ?? []),
  ];
  const words = [`--net=/run/netns/${host.netns}`, process.execPath, ...nodeFlags, WEFT, "up", ...flags];
  const begin = performance.now();
  // Node.js leaves the logs of some flags in its working directory.
  const child = spawn("nsenter", words, { stdio: ["ignore", "pipe", "pipe"], cwd: "/run" });
  if (!child.stdout || !child.stderr) throw new Error("bench: child without pipes");
  const said: string[] = [];
  const hear = (line: string): void => {
    said.push(line);
    if (said.length > 100) said.shift();
  };
  createInterface({ input: child.stderr }).on("line", hear);
  const lines = createInterface({ input: child.stdout });
  const ready = new Promise<number>((resolve, reject) => {
    const late = (): void => reject(new Error(`bench: weft ${name} is not ready after ${READY_MS} ms`));
    const timer = setTimeout(late, READY_MS);
    lines.on("line", (line) => {
      hear(line);
      if (/"msg":"ready\b/.test(line)) {
        clearTimeout(timer);
        resolve(performance.now() - begin);
      }
    });
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      reject(new Error(`bench: weft ${name} ended (${signal ?? code}): ${said.slice(-3).join(" | ")}`));
    });
  });
  return { name, child, said, ready };
}

function ask<T>(host: string, method: "GET" | "POST", path: string, body?: unknown): Promise<T> {
  const what = `bench: ${method} ${path} of weft ${host}`;
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { "content-type": "application/json" };
    const asked = request({ socketPath: socketOf(host), method, path, headers, timeout: ANSWER_MS }, (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (part: string) => {
        text += part;
      });
      answer.on("end", () => {
        if ((answer.statusCode ?? 500) < 300) resolve(JSON.parse(text) as T);
        else reject(new Error(`${what}: ${answer.statusCode} ${text}`));
      });
    });
    asked.on("error", (error) => reject(new Error(`${what}: ${error.message}`)));
    asked.on("timeout", () => asked.destroy(new Error(`no answer in ${ANSWER_MS / 1000} s`)));
    asked.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/**
 * Starts daemons and waits until they are ready. All ports are in one network.
 * @param nodeFlags for the daemons, e.g. `--perf-basic-prof`
 * @throws Error when one does not get ready; its last lines say why
 */
export async function startWeft(hosts: readonly WeftHost[], nodeFlags: readonly string[] = []): Promise<WeftHosts> {
  const daemons = hosts.map((host) => startDaemon(host, nodeFlags));
  const readyMs = await Promise.all(daemons.map((d) => d.ready));
  const counters = (host: string): Promise<Counters> => ask<Counters>(host, "GET", "/v1/counters");
  return {
    pids: daemons.flatMap(({ child }) => child.pid ?? []),
    readyMs,
    failure: () => {
      const ended = daemons.find(({ child }) => child.exitCode !== null || child.signalCode !== null);
      if (!ended) return undefined;
      const { name, child, said } = ended;
      return `weft ${name} ended (${child.signalCode ?? child.exitCode}): ${said.slice(-3).join(" | ")}`;
    },
    async attach(host, ports) {
      // What `weft attach` sends, without a process for each port.
      const attachOne = ({ ip, ...port }: WeftPort): Promise<unknown> =>
        ask(host, "POST", "/v1/ports", { ...port, vni: VNI, ip: ip === undefined ? [] : [ip] });
      for (let i = 0; i < ports.length; i += 16) await Promise.all(ports.slice(i, i + 16).map(attachOne));
    },
    counters,
    async work() {
      const all = await Promise.all(hosts.map(({ name }) => counters(name)));
      const sum = (of: (c: Counters) => number): number => all.reduce((n, c) => n + of(c), 0);
      return {
        frames: sum((c) => c.batchFrames.egress.sum + c.batchFrames.ingress.sum),
        calls: sum((c) => c.batchFrames.egress.count + c.batchFrames.ingress.count),
        syscalls: sum((c) => Object.values(c.syscalls).reduce((n, v) => n + v, 0)),
        drops: sum((c) => c.law.egress.drops + c.law.ingress.drops + c.kernelDrops.tap_ring + c.kernelDrops.udp_rcvbuf),
      };
    },
    async stop() {
      const stopOne = ({ child }: Daemon): Promise<unknown> | undefined => {
        if (child.exitCode !== null || child.signalCode !== null) return undefined;
        const ended = new Promise((resolve) => child.once("close", resolve));
        child.kill("SIGTERM");
        return ended;
      };
      await Promise.all(daemons.map(stopOne));
    },
  };
}

/**
 * Attaches ports that say nothing and answer nothing: devices without address, all in one namespace.
 * @param count how many; their namespace is `crowd-HOST`
 */
export async function attachCrowd(hosts: WeftHosts, host: string, count: number): Promise<void> {
  const netns = `crowd-${host}`;
  makeNamespace(netns);
  setting(netns, "net/ipv6/conf/default/disable_ipv6", "1");
  const ports = Array.from({ length: count }, (_, i) => ({ netns, ifname: `eth${i}` }));
  await hosts.attach(host, ports);
}
