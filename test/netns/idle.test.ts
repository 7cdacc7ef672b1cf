/** What a daemon costs that has nothing to do: the work of its start, its memory, and how often it wakes. */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { Lab } from "../lab/lab.js";
import { ownMs } from "../lab/own-time.js";
import { Weft } from "../lab/weft.js";

/** Resident octets of a process. */
function resident(pid: number): number {
  return Number(/^Rss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1]) * 1024;
}

/** How often the threads of a process went to sleep since they began. */
function sleeps(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => {
    const status = readFileSync(`/proc/${pid}/task/${thread}/status`, "utf8");
    return sum + Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)?.[1]);
  }, 0);
}

t.test("an idle daemon with two ports and a metrics listener", async (t) => {
  const lab = await Lab.open(t);
  const [host] = await lab.hosts("host");
  const weft = await Weft.up(lab, host, { metrics: "127.0.0.1:6782" });
  const wallMs = ownMs() - weft.job.startedMs;
  const { cpuMs } = JSON.parse(await weft.job.line(/"ready"/)) as { cpuMs: number };
  t.ok(cpuMs > 0, `ready after ${cpuMs} ms of CPU`);
  t.ok(wallMs < 3000, `and ${Math.round(wallMs)} ms`);

  for (const [i, label] of ["c1", "c2"].entries()) {
    const container = await lab.container(label);
    // What a kernel says about IPv6 by itself is traffic, too.
    await container.run("sysctl -qw net.ipv6.conf.default.disable_ipv6=1");
    await weft.attach(container, { ip: [`10.8.0.${i + 1}/24`] });
  }
  t.match(await weft.metricsText(), /^weft_ports\{.*state="up"\} 2$/m, "a scrape has loaded what it needs");
  await sleep(2000);
  const pid = weft.job.child.pid as number;
  const [before, startMs] = [sleeps(pid), performance.now()];
  await sleep(5000);
  const perSecond = (sleeps(pid) - before) / ((performance.now() - startMs) / 1000);
  // The main thread looks for events five times a second, at devices and underlay once; a worker that knows MACs
  // forgets them in ten slices a second. One timer of ten milliseconds would make a hundred.
  t.ok(perSecond < 50, `${perSecond.toFixed(1)} wake-ups a second`);
  const megabytes = resident(pid) / 1e6;
  t.ok(megabytes < 130, `${megabytes.toFixed(1)} MB of memory`);
});
