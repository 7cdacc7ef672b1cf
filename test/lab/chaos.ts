/**
 * Faults of the underlay and of daemons, one after the other, and what must hold meanwhile: whoever the underlay connects reaches each other
 * again within the time that its kind of fault has, nothing comes twice, to the wrong network or in clear, no address is given
 * twice, the counters obey their law, and memory stays bounded.
 */
import { readFileSync } from "node:fs";
import type { Counters } from "@weft/control";
import type { Test } from "tap";
import { rowsOf } from "../models/table.js";
import { until } from "./job.js";
import { type ContainerRow, containers, type PathRow } from "./mesh.js";
import { ownShare, ownSleep } from "./own-time.js";
import { clock, type Prober, type ProberState } from "./prober.js";
import type { Shaper } from "./shaper.js";
import type { Weft } from "./weft.js";

/** Milliseconds, of the machine's own time, within which everybody whom the underlay connects reaches each other again. */
export const LIMITS = {
  cut: 3000,
  "one-way cut": 3000,
  worse: 3000,
  partition: 3000,
  kill: 5000,
  restart: 5000,
  heal: 5000,
} as const;
export type Kind = keyof typeof LIMITS;

/** A daemon's resident memory, in MiB. */
export const RSS_MAX = 256;
const START_MS = 30_000;
/** After a fault's time is up something must still come from everybody; so long it may be late. */
const LATE_MS = 5000;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export class Chaos {
  readonly wefts: Weft[] = [];
  readonly probers: Prober[] = [];
  /** MiB of every process of a daemon, once a second. */
  readonly memory = new Map<number, { readonly host: string; readonly mib: number[] }>();
  readonly #t: Test;
  readonly #shaper: Shaper;
  /** Directions `A B` that are cut. */
  readonly #cut = new Set<string>();
  /** Hosts whose daemon was killed. */
  readonly #dead = new Set<number>();
  readonly #worst = new Map<Kind, { count: number; ms: number; what: string }>();
  readonly #ips = new Map<string, string>();
  readonly #timer: NodeJS.Timeout;

  constructor(t: Test, shaper: Shaper) {
    this.#t = t;
    this.#shaper = shaper;
    this.#timer = setInterval(() => this.#weigh(), 1000);
    t.teardown(() => clearInterval(this.#timer));
  }

  // ── faults ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  async cut(a: number, b: number): Promise<void> {
    await this.#fault("cut", this.#between(a, b), () => this.#cutBoth(a, b));
  }
  async cutOneWay(from: number, to: number): Promise<void> {
    await this.#fault("one-way cut", `${this.#name(from)} → ${this.#name(to)}`, async () => {
      this.#cut.add(`${from} ${to}`);
      await this.#shaper.worsen(from, to, { kind: "cut" });
    });
  }
  async worsen(a: number, b: number, ms: number, permille: number): Promise<void> {
    await this.#fault("worse", `${this.#between(a, b)}: ${ms} ms, ${permille / 10} % lost`, async () => {
      await this.#shaper.worsenBoth(a, b, { kind: "delay", ms });
      await this.#shaper.worsenBoth(a, b, { kind: "loss", permille });
    });
  }
  async heal(...links: readonly (readonly [number, number])[]): Promise<void> {
    const what = links.map(([a, b]) => this.#between(a, b)).join(", ");
    await this.#fault("heal", what, async () => {
      for (const [a, b] of links) await this.#healBoth(a, b);
    });
  }
  async kill(host: number): Promise<void> {
    await this.#fault("kill", this.#name(host), async () => {
      this.#dead.add(host);
      await this.#weft(host).kill("SIGKILL");
    });
  }
  async restart(host: number): Promise<void> {
    await this.#fault("restart", this.#name(host), async () => {
      await this.#weft(host).again(START_MS);
      this.#dead.delete(host);
    });
  }
  /** Splits the hosts in two, does something, waits and heals. */
  async partition(
    isHere: (host: number) => boolean,
    hosts: number,
    ms: number,
    meanwhile: () => Promise<void>,
  ): Promise<void> {
    const across: [number, number][] = [];
    for (let a = 0; a < hosts; a++) for (let b = 0; b < a; b++) if (isHere(a) !== isHere(b)) across.push([a, b]);
    const all = async (change: (a: number, b: number) => Promise<void>): Promise<void> => {
      for (const [a, b] of across) await change(a, b);
    };
    await this.#fault(
      "partition",
      `${across.length} links`,
      () => all((a, b) => this.#cutBoth(a, b)),
      async () => {
        const heldMs = clock();
        await meanwhile();
        await sleep(Math.max(0, ms - (clock() - heldMs)));
      },
    );
    await this.#fault("heal", `${across.length} links`, () => all((a, b) => this.#healBoth(a, b)));
  }

  async #cutBoth(a: number, b: number): Promise<void> {
    this.#cut.add(`${a} ${b}`).add(`${b} ${a}`);
    await this.#shaper.worsenBoth(a, b, { kind: "cut" });
  }
  async #healBoth(a: number, b: number): Promise<void> {
    await this.#shaper.healBoth(a, b);
    this.#cut.delete(`${a} ${b}`);
    this.#cut.delete(`${b} ${a}`);
  }

  /** Host that relays what one sends to another. */
  async relay(from: number, to: number): Promise<number> {
    const paths = (await this.#weft(from).get("/v1/paths")) as PathRow[];
    const via = paths.find(({ name }) => name === this.#name(to))?.viaName;
    const host = this.wefts.findIndex((weft) => weft.host.label === via);
    if (host < 0) throw new Error(`nobody relays from ${this.#name(from)} to ${this.#name(to)}`);
    return host;
  }

  // ── what must hold ───────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Adds one that all of its network send to, and who sends to all. */
  async add(prober: Prober): Promise<void> {
    const others = this.probers.filter(({ network }) => network === prober.network);
    await Promise.all(others.flatMap((other) => [prober.sendTo(other), other.sendTo(prober)]));
    this.probers.push(prober);
  }

  /** Waits until everybody has been heard everywhere. */
  async begin(withinMs: number): Promise<void> {
    await until(
      "everybody is heard everywhere",
      async () => {
        const silent = await this.#silent(this.#pairs(), 0);
        if (silent.length > 0) throw new Error(silent.map(([from, to]) => `${from.label} → ${to.label}`).join("; "));
        return true;
      },
      withinMs,
    );
  }

  /** Lets something happen and waits until its time is over. @param meanwhile default: just that time */
  async #fault(
    kind: Kind,
    what: string,
    act: () => Promise<void>,
    meanwhile = () => ownSleep(LIMITS[kind] + 500),
  ): Promise<void> {
    const seen = new Map(this.probers.map((prober) => [prober, prober.gaps.length]));
    // Those that it does not part, from its beginning to its end.
    await act();
    const atMs = clock();
    const share = ownShare();
    const pairs = this.#pairs();
    await meanwhile();
    const endMs = clock();
    await until("something from everybody", async () => (await this.#silent(pairs, endMs)).length === 0, LATE_MS).catch(
      () => undefined,
    );
    const silent = new Set(await this.#silent(pairs, endMs));
    const own = share();
    let worstMs = 0;
    const late: [Prober, Prober, number][] = [];
    for (const pair of pairs) {
      const [from, to] = pair;
      const gaps = to.gaps.slice(seen.get(to)).filter((gap) => gap.from === from.index && !gap.isBroadcast);
      const ms = silent.has(pair)
        ? Number.POSITIVE_INFINITY
        : Math.max(0, ...gaps.map(({ lastMs }) => (lastMs - atMs) * own));
      if (ms > LIMITS[kind]) late.push([from, to, ms]);
      worstMs = Math.max(worstMs, ms);
    }
    const row = this.#worst.get(kind) ?? { count: 0, ms: 0, what: "" };
    this.#worst.set(kind, {
      count: row.count + 1,
      ms: Math.max(row.ms, worstMs),
      what: worstMs >= row.ms ? what : row.what,
    });
    this.#t.ok(late.length === 0, `${kind} ${what}: ${pairs.length} pairs, ${worstMs.toFixed(0)} ms at most`);
    if (late.length > 0) await this.#explain(late);
    await this.#lawful();
  }

  /** Pairs of one network between whose hosts there is a way, over links that work in both directions. */
  #pairs(): (readonly [Prober, Prober])[] {
    const groups = this.wefts.map((_, host) => this.#reached(host));
    return this.probers.flatMap((from) =>
      this.probers
        .filter((to) => to !== from && to.network === from.network && groups[from.host]?.has(to.host))
        .map((to) => [from, to] as const),
    );
  }
  #reached(from: number): Set<number> {
    const isUp = (host: number): boolean => !this.#dead.has(host);
    const reached = new Set(isUp(from) ? [from] : []);
    // A Set may grow while it is walked through.
    for (const a of reached)
      for (let b = 0; b < this.wefts.length; b++)
        if (isUp(b) && !this.#cut.has(`${a} ${b}`) && !this.#cut.has(`${b} ${a}`)) reached.add(b);
    return reached;
  }

  /** Those of the pairs where nothing has come since. */
  async #silent(
    pairs: readonly (readonly [Prober, Prober])[],
    sinceMs: number,
  ): Promise<(readonly [Prober, Prober])[]> {
    const states = await this.states();
    return pairs.filter(([from, to]) => {
      const source = states.get(to)?.sources.find((one) => one.from === from.index && one.cast === 0);
      return source === undefined || source.last < sinceMs;
    });
  }
  async states(): Promise<Map<Prober, ProberState>> {
    return new Map(await Promise.all(this.probers.map(async (p) => [p, await p.state()] as const)));
  }

  async #lawful(): Promise<void> {
    const running = this.wefts.filter(({ job }) => job.running);
    await Promise.all(
      running.map((weft) =>
        // Frames may be under way while the counters are read.
        until(`the law on ${weft.host.label}`, async () => {
          const { law } = (await weft.get("/v1/counters")) as Counters;
          return Object.values(law).every((p) => p.in + p.made === p.out + p.consumed + p.merged + p.drops);
        }).catch((error: unknown) => this.#t.fail(String(error))),
      ),
    );
    for (const [prober, { foreign, sources }] of await this.states()) {
      const twice = sources.filter(({ duplicates }) => duplicates > 0);
      if (twice.length > 0) this.#t.fail(`${prober.label} got something twice: ${JSON.stringify(twice.slice(0, 2))}`);
      if (foreign > 0) this.#t.fail(`${prober.label} got ${foreign} datagrams of another network`);
    }
    for (const weft of running) {
      for (const row of JSON.parse(await containers(weft)) as ContainerRow[]) this.#owns(row);
    }
    const { text, vxlan } = await this.#shaper.seen();
    if (text + vxlan > 0) this.#t.fail(`in clear on the underlay: ${text} payloads, ${vxlan} VXLAN datagrams`);
  }
  /** Containers are never detached here: an address belongs to one of them for the whole test. */
  #owns({ id, ips }: ContainerRow): void {
    for (const ip of ips) {
      const owner = this.#ips.get(ip) ?? id;
      if (owner !== id) this.#t.fail(`${ip} belongs to ${owner} and to ${id}`);
      this.#ips.set(ip, owner);
    }
  }
  /** Addresses that containers have, as all daemons have ever said. */
  get addresses(): number {
    return this.#ips.size;
  }

  /** What the daemons at both ends of the worst pair say. */
  async #explain(late: readonly [Prober, Prober, number][]): Promise<void> {
    for (const [from, to, ms] of late.slice(0, 20)) this.#t.comment(`${from.label} → ${to.label}: ${ms.toFixed(0)} ms`);
    const [from, to] = late.toSorted((a, b) => b[2] - a[2])[0] as [Prober, Prober, number];
    for (const host of new Set([from.host, to.host])) {
      const weft = this.#weft(host);
      this.#t.comment(`${this.#name(host)} ${weft.job.running ? "runs" : "has ended"}`);
      if (weft.job.running) this.#t.comment((await weft.weft(["status", "peers"])).stdout);
      this.#t.comment(weft.job.text.split("\n").slice(-40).join("\n"));
    }
  }

  #weigh(): void {
    for (const { job, host } of this.wefts) {
      const pid = job.child.pid as number;
      if (!job.running) continue;
      const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
      // A process that is ending has none.
      if (kib === undefined) continue;
      const row = this.memory.get(pid) ?? { host: host.label, mib: [] };
      row.mib.push(Number(kib) / 1024);
      this.memory.set(pid, row);
    }
  }

  /** The worst recovery of each kind of fault. */
  table(): string[] {
    const rows = [...this.#worst].map(([kind, { count, ms, what }]) => [
      kind,
      count,
      ms.toFixed(0),
      LIMITS[kind],
      what,
    ]);
    return rowsOf(["what happens", "times", "worst, ms", "limit, ms", "where it took longest"], rows);
  }

  #weft(host: number): Weft {
    return this.wefts[host] as Weft;
  }
  #name(host: number): string {
    return this.#weft(host).host.label;
  }
  #between(a: number, b: number): string {
    return `${this.#name(a)} – ${this.#name(b)}`;
  }
}
