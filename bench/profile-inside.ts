/** The inside of `npm run bench -- --profile`: weft carries traffic while perf looks at the whole box. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { CASES, startCase } from "./cases.js";
import { serveInside } from "./inside.js";
import { makeHosts, makeWeft, run, setRegime } from "./lab.js";
import { buildPeer } from "./peer.js";
import { readSamples, type Sample } from "./samples.js";
import { startWeft, workDone } from "./weft-hosts.js";

export interface ProfileAsk {
  readonly seconds: number;
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
  makeHosts();
  // V8 writes its symbol maps to /tmp and its logs to the working directory: keep them in here, unless we live there.
  if (!fileURLToPath(import.meta.url).startsWith("/tmp/"))
    run("mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/tmp");
  const weft = await makeWeft((system) => startWeft(system, ["--perf-basic-prof"], "/run"));
  const { daemons } = weft;
  if (!daemons) throw new Error("bench: no daemons");
  setRegime("offloads", [weft]);
  const out: CaseProfile[] = [];
  for (const c of CASES.filter(({ name }) => name === "TCP a→b" || name === "UDP")) {
    const before = await workDone(daemons);
    const [measures, helps] = await startCase(weft, c, 1, ask.seconds + 1);
    try {
      await measures.line("start");
      await perf([
        "record",
        "-g",
        "-a",
        "-e",
        "cpu-clock",
        "-F",
        String(FREQUENCY),
        "-o",
        DATA,
        "--",
        "sleep",
        String(ask.seconds),
      ]);
      await measures.result();
    } finally {
      await Promise.all([measures.stop(), helps.stop()]);
    }
    const after = await workDone(daemons);
    const frames = after.frames - before.frames;
    const reader = readSamples(daemons.pids);
    await perf(["script", "-i", DATA, "--no-inline", "-F", "comm,pid,tid,ip,sym,dso"], reader.line);
    out.push({
      name: c.name,
      samples: reader.end(),
      framesPerCall: frames / (after.calls - before.calls),
      syscallsPerFrame: (after.syscalls - before.syscalls) / frames,
    });
  }
  await daemons.stop();
  return out;
}

serveInside(profile);
