/**
 * TCP and UDP of every kind between two hosts and inside one, while containers come and go: nothing is lost on the way, and
 * nothing grows in the daemons.
 *
 *   WEFT_SOAK_SECONDS=N   how long (default 12, with WEFT_TEST_LONG=1 600)
 *   WEFT_SOAK_SEED=N      where the random numbers start (default 1)
 */
import { readdirSync, readFileSync } from "node:fs";
import type { Counters } from "@weft/control";
import t, { type Test } from "tap";
import { until } from "../lab/job.js";
import { Lab } from "../lab/lab.js";
import type { Namespace } from "../lab/namespace.js";
import { bursts, datagrams, transfer } from "../lab/traffic.js";
import { Weft } from "../lab/weft.js";
import { pick, randomOf } from "../models/random.js";

const LONG = process.env.WEFT_TEST_LONG === "1";
const SECONDS = Number(process.env.WEFT_SOAK_SECONDS ?? (LONG ? 600 : 12));
const SEED = Number(process.env.WEFT_SOAK_SEED ?? 1);
/**
 * How much more memory a daemon may hold at the end than after a fifth of the time. In a short run the JavaScript heap
 * still finds its size.
 */
const GROWTH = SECONDS >= 300 ? 1.02 : 1.25;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
/** The value that one in five lies below. */
const lowEnd = (list: readonly number[]): number =>
  [...list].sort((a, b) => a - b)[Math.floor(list.length / 5)] ?? Number.NaN;

interface Container {
  readonly at: Namespace;
  readonly v4: string;
  readonly v6: string;
}

/** Memory of a process in MiB that is in use now, and its open descriptors. */
function rss(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
}
const descriptors = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;
const pidOf = (weft: Weft): number => weft.job.child.pid as number;

t.test(
  `${SECONDS} s of mixed traffic while ports come and go (seed ${SEED})`,
  { timeout: (SECONDS + 180) * 1000 },
  async (t) => {
    const lab = await Lab.open(t);
    const [left, right] = await lab.hosts("left", "right");
    const wefts = [
      await Weft.up(lab, left, { vteps: [right.v4] }),
      await Weft.up(lab, right, { vteps: [left.v4] }),
    ] as const;
    const containers: Container[] = [];
    for (const [i, weft] of [wefts[0], wefts[0], wefts[1]].entries()) {
      const at = await lab.container(`c${i}`);
      const [v4, v6] = [`10.8.0.${i + 1}`, `fd00::${i + 1}`];
      await weft.attach(at, { id: `c${i}`, ip: [`${v4}/16`, `${v6}/64`] });
      containers.push({ at, v4, v6 });
    }
    const first = containers[0] as Container;
    for (const { v4 } of containers) await first.at.ping(v4);
    const before = await Promise.all(wefts.map(quiet));

    const started = performance.now();
    const isOver = (): boolean => performance.now() - started > SECONDS * 1000;
    const work = { streams: 0, runs: 0, ports: 0 };
    const samples: { seconds: number; mib: number[] }[] = [];
    const watch = async (): Promise<void> => {
      while (!isOver()) {
        await sleep(250);
        samples.push({ seconds: (performance.now() - started) / 1000, mib: wefts.map((weft) => rss(pidOf(weft))) });
      }
    };
    await Promise.all([
      watch(),
      streams(t, containers, isOver, work),
      packets(t, lab, containers, isOver, work),
      ...wefts.map((weft, i) => churn(t, lab, weft, i, first, isOver, work)),
    ]);

    t.ok(work.streams > 0 && work.runs > 0 && work.ports > 1, JSON.stringify(work));
    for (const [i, weft] of wefts.entries()) {
      // Between two collections the JavaScript heap goes up and down by several MiB: what stays is near the low end.
      const near = (at: number): number => {
        const window = Math.max(2, SECONDS / 20);
        return lowEnd(samples.filter((s) => Math.abs(s.seconds - at) <= window).map((s) => s.mib[i] as number));
      };
      const tenths = Array.from({ length: 10 }, (_, n) => near(((n + 1) * SECONDS) / 10).toFixed(1));
      t.comment(`host ${i}: MiB by tenths of the time: ${tenths.join(", ")}`);
      const [early, late] = [near(SECONDS / 5), near(SECONDS)];
      const what = `host ${i}: ${early.toFixed(1)} MiB after a fifth of the time, ${late.toFixed(1)} MiB at the end`;
      t.ok(late <= early * GROWTH, what);
      const after = await until("ports and descriptors as before", async () => {
        const now = await quiet(weft);
        return JSON.stringify(now) === JSON.stringify(before[i]) ? now : undefined;
      }).catch(() => quiet(weft));
      t.same(after, before[i], `host ${i}: ports, devices and descriptors are those of the beginning`);
      await isLawful(t, weft, `host ${i}`);
    }
  },
);

/** What must be the same at the end: descriptors, ports, MACs of ports, devices of the host. */
async function quiet(weft: Weft): Promise<object> {
  const { ports, counters } = await weft.status();
  return {
    descriptors: descriptors(pidOf(weft)),
    ports: ports.map(({ id, state }) => `${id} ${state}`),
    static: counters.networks.map((n) => n.fdb.static),
    devices: (await weft.host.devices()).map(({ name }) => name),
  };
}

async function isLawful(t: Test, weft: Weft, name: string): Promise<void> {
  // Frames may still be under way while the counters are read: two looks a little apart.
  const law = await until(`${name} is lawful`, async () => {
    const { law } = (await weft.get("/v1/counters")) as Counters;
    const missing = Object.values(law).map((p) => p.in + p.made - p.out - p.consumed - p.merged - p.drops);
    return missing.every((n) => n === 0) ? law : undefined;
  });
  t.ok(law.egress.in > 0 && law.ingress.in > 0, `${name}: the law holds: ${JSON.stringify(law)}`);
  const { drops, other } = (await weft.get("/v1/counters")) as Counters;
  const bad = /^(vnet_hdr|gso_.*|port_refused|udp_refused|udp_too_big|truncated|no_room|frame_.*)$/;
  t.same(
    drops.filter(({ reason, count }) => bad.test(reason) && count > 0),
    [],
    `${name}: nothing was malformed or refused`,
  );
  for (const counter of ["super_frames_egress", "super_frames_ingress"])
    t.ok((other.find((o) => o.name === counter)?.count ?? 0) > 0, `${name}: ${counter}`);
}

/** Two different containers and an address of the second. */
function way(random: () => number, containers: readonly Container[]): readonly [Namespace, Namespace, string] {
  const from = pick(random, containers.length);
  const to = (from + 1 + pick(random, containers.length - 1)) % containers.length;
  const [a, b] = [containers[from] as Container, containers[to] as Container];
  return [a.at, b.at, pick(random, 2) === 0 ? b.v4 : b.v6];
}

async function streams(
  t: Test,
  containers: readonly Container[],
  isOver: () => boolean,
  work: { streams: number },
): Promise<void> {
  const random = randomOf(SEED);
  while (!isOver()) {
    const [from, to, address] = way(random, containers);
    const bytes = 1e6 * (1 + pick(random, 60));
    const { sent, received } = await transfer(from, to, address, bytes);
    work.streams++;
    const isSame = received.bytes === bytes && received.sha256 === sent.sha256;
    if (!isSame) t.fail(`stream ${work.streams}, ${from.label} → ${to.label}: ${received.bytes} of ${bytes} octets`);
  }
}

async function packets(
  t: Test,
  lab: Lab,
  containers: readonly Container[],
  isOver: () => boolean,
  work: { runs: number },
): Promise<void> {
  const random = randomOf(SEED + 1);
  while (!isOver()) {
    const [from, to, address] = way(random, containers);
    const size = 40 + pick(random, 1300);
    const rate = 500 + pick(random, 4000);
    const isBurst = pick(random, 2) === 0;
    const run = isBurst
      ? await bursts(lab, from, to, address, { count: 2000, size, each: 1 + pick(random, 40), rate })
      : await datagrams(from, to, address, { count: 2000, size, rate, flows: 1 + pick(random, 4) });
    work.runs++;
    const { duplicates, damaged, received } = run;
    if (duplicates > 0 || damaged > 0 || received < 0.5 * run.sent)
      t.fail(`run ${work.runs}, ${from.label} → ${to.label}: ${JSON.stringify(run)}`);
  }
}

/** Containers of a host come, talk and go: by `detach`, or with their namespace. */
async function churn(
  t: Test,
  lab: Lab,
  weft: Weft,
  host: number,
  peer: Container,
  isOver: () => boolean,
  work: { ports: number },
): Promise<void> {
  const random = randomOf(SEED + 2 + host);
  for (let n = 0; !isOver(); n++) {
    const id = `guest${host}-${n}`;
    const at = await lab.container(id);
    await weft.attach(at, { id, ip: [`10.8.${host + 1}.${1 + (n % 200)}/16`] });
    const { received } = await at.ping(peer.v4, { count: 5 });
    if (received === 0) t.fail(`${id} does not reach ${peer.v4}`);
    work.ports++;
    if (pick(random, 3) > 0) await weft.detach(id);
    await lab.remove(at);
    await until(`${id} is gone`, async () => !(await weft.status()).ports.some((port) => port.id === id), 15_000);
    await sleep(pick(random, 300));
  }
}
