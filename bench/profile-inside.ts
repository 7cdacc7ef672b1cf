/** The inside of `npm run bench -- --profile`: weft carries traffic while perf looks at the whole box. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { serveInside } from "./inside.js";
import { type Hosts, makeHosts, makeLab, type Regime, run, setRegime } from "./lab.js";
import { buildPeer } from "./peer.js";
import { type Running, startTcp, startUdp } from "./programs.js";
import { readSamples, type Sample } from "./samples.js";
import { PEERS } from "./systems/all.js";
import type { Definition } from "./systems/system.js";

export interface ProfileAsk {
  readonly seconds: number;
  /** Names of systems whose frames weft carries between hosts. */
  readonly systems: readonly string[];
}
/** Samples of one case: how often each place was met. */
export interface CaseProfile {
  readonly name: string;
  readonly samples: readonly Sample[];
  readonly framesPerCall: number;
  readonly syscallsPerFrame: number;
}

const DATA = "/run/perf.data";
/** Per second and core; no multiple of the timer tick, which would meet the same code again and again. */
const FREQUENCY = 997;

function perf(args: readonly string[], onLine?: (line: string) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn("perf", args, { stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
    if (onLine) createInterface({ input: child.stdout }).on("line", onLine);
    else child.stdout.resume();
    child.on("error", (error) => {
      const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
      reject(new Error(missing ? "bench: perf is not installed: `apt-get install linux-perf`" : error.message));
    });
    child.on("close", (code) => {
      if (code === 0) return resolve();
      if (/paranoid|permission|not permitted/i.test(said)) {
        return reject(
          new Error(
            "bench: perf may not look at the whole machine: run as root, or `sysctl kernel.perf_event_paranoid=-1`",
          ),
        );
      }
      const last = said.trim().split("\n").at(-1) ?? "";
      reject(new Error(`bench: perf ${args[0]} failed: ${last}`));
    });
  });
}

async function profile(ask: ProfileAsk): Promise<CaseProfile[]> {
  // Before anything is built: is there a perf at all?
  await perf(["--version"]);
  buildPeer();
  makeLab();
  const hosts = makeHosts();
  // V8 writes its symbol maps to /tmp and its logs to the working directory: keep them in here, unless we live there.
  if (!fileURLToPath(import.meta.url).startsWith("/tmp/"))
    run("mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/tmp");
  const out: CaseProfile[] = [];
  for (const definition of PEERS.filter(({ name }) => ask.systems.includes(name)))
    out.push(...(await profileOne(definition, hosts, ask.seconds)));
  return out;
}

async function profileOne(definition: Definition, hosts: Hosts, lookedAt: number): Promise<CaseProfile[]> {
  const system = await definition.start(hosts, ["--perf-basic-prof"]);
  const { weft: daemons } = system;
  if (!daemons) throw new Error(`bench: ${definition.name} has no daemons of weft`);
  const seconds = lookedAt + 1;
  const cases: readonly (readonly [name: string, regime: Regime, start: () => Promise<Running>])[] = [
    ["TCP, offloads", "offloads", () => startTcp(system, "a", 1, 1, seconds)],
    ["TCP, wire", "wire", () => startTcp(system, "a", 1, 1, seconds)],
    ["UDP of 64 octets, offloads", "offloads", () => startUdp(system, 64, 0, 1, seconds)],
  ];
  const out: CaseProfile[] = [];
  for (const [name, regime, start] of cases) {
    setRegime(regime, [system]);
    const before = await daemons.work();
    const running = await start();
    try {
      await running.started;
      const rate = ["-F", String(FREQUENCY), "-o", DATA];
      await perf(["record", "-g", "-a", "-e", "cpu-clock", ...rate, "--", "sleep", String(lookedAt)]);
      await running.window;
    } finally {
      await running.stop();
    }
    const after = await daemons.work();
    const frames = after.frames - before.frames;
    const reader = readSamples(daemons.pids);
    await perf(["script", "-i", DATA, "--no-inline", "-F", "comm,pid,tid,ip,sym,dso"], reader.line);
    out.push({
      name: `${definition.title}, ${name}`,
      samples: reader.end(),
      framesPerCall: frames / (after.calls - before.calls),
      syscallsPerFrame: (after.syscalls - before.syscalls) / frames,
    });
  }
  await daemons.stop();
  return out;
}

serveInside(profile);
