/**
 * Hours of two WireGuard peers on a virtual clock, with seeded loss, reordering, duplication and silence in either
 * direction. Whatever came before, once nothing is lost any more the session is there soon, and then loses nothing.
 */
import t from "tap";
import { pick } from "../models/random.js";
import { type HostDouble, pair, type World } from "../models/wireguard.js";

/** Virtual ones, per seed. */
const HOURS = 1;
/** REKEY_TIMEOUT and its jitter, a tick, and some round trips with what the double's events take. */
const RECOVERY = 5_000 + 333 + 100 + 400;

/** Sends numbered data at random intervals; `everyMs` 0: nothing for the time being. */
class Sender {
  everyMs = 0;
  next = 1;
  readonly #host: HostDouble;

  constructor(host: HostDouble) {
    this.#host = host;
    this.#again();
  }
  #again(): void {
    const { world } = this.#host;
    if (this.everyMs > 0) this.#host.data(0, this.next++);
    world.after(this.everyMs > 0 ? 1 + pick(world.random, 2 * this.everyMs) : 100, () => this.#again());
  }
}

/** A phase with trouble of some kind. */
function trouble(world: World, a: HostDouble, b: HostDouble): string {
  const chance = (percent: number): boolean => pick(world.random, 100) < percent;
  const kind = pick(world.random, 6);
  const percent = 5 + pick(world.random, 90);
  world.latency = () => 1 + pick(world.random, 150);
  world.doubles = () => chance(10);
  if (kind === 0) world.loses = () => true;
  else if (kind === 1) world.loses = (_kind, from) => from === a;
  else if (kind === 2) world.loses = (_kind, from) => from === b;
  else if (kind === 3) world.loses = (what) => what !== "data" && chance(percent);
  else if (kind === 4) world.loses = (what) => (what === "response" || what === "keepalive") && chance(percent);
  else world.loses = () => chance(percent);
  // Longer ones than a key lives, too.
  const seconds = pick(world.random, chance(20) ? 400 : 60);
  world.run(1000 * seconds);
  return `trouble ${kind} of ${seconds} s, ${percent} %`;
}

for (const seed of [1, 2, 3]) {
  t.test(`${HOURS} hours, seed ${seed}`, async (t) => {
    const rekeyAfter = seed % 3 === 0 ? 200 : Number.POSITIVE_INFINITY;
    const { world, a, b } = pair(seed, { a: { rekeyAfter }, b: { rekeyAfter } });
    for (const host of [a, b]) host.keepsSent = false;
    const senders = [new Sender(a), new Sender(b)] as const;
    const wrong: string[] = [];
    let worst = 0;
    let phases = 0;
    while (world.now < HOURS * 3_600_000) {
      for (const sender of senders) sender.everyMs = pick(world.random, 4) === 0 ? 0 : 50 + pick(world.random, 400);
      const before = trouble(world, a, b);
      world.loses = () => false;
      world.doubles = () => false;
      world.latency = () => 1 + pick(world.random, 40);
      for (const sender of senders) sender.everyMs = 50;
      const calm = world.now;
      const starts = senders.map(({ next }) => next);
      const isUp = (): boolean =>
        [b, a].every((host, i) => (host.got.get(0) ?? []).some((number) => number >= (starts[i] as number)));
      for (const host of [a, b]) host.got.clear();
      while (!isUp() && world.now - calm < 60_000) world.run(10);
      worst = Math.max(worst, world.now - calm);
      if (world.now - calm > RECOVERY) wrong.push(`${before}: ${world.now - calm} ms until data went both ways`);
      // Long enough for some rekeys: every single one arrives.
      world.run(RECOVERY);
      const firsts = senders.map(({ next }) => next);
      world.run(1000 * pick(world.random, 300));
      const lasts = senders.map(({ next }) => next);
      world.run(200);
      for (const [i, host] of [b, a].entries()) {
        const [first, last] = [firsts[i] as number, lasts[i] as number];
        const got = new Set((host.got.get(0) ?? []).filter((number) => number >= first && number < last));
        if (got.size !== last - first) wrong.push(`${before}: ${last - first - got.size} of ${last - first} lost`);
      }
      phases++;
    }
    t.same(wrong, []);
    t.same([...a.table.wrongs, ...b.table.wrongs], [], "no key is used beyond its time");
    t.ok(a.table.most <= 4 && b.table.most <= 4, `${a.table.most} and ${b.table.most} slots`);
    const { rekeys } = a.engine.counters();
    t.ok(phases > 5 && rekeys > 10, `${phases} phases, ${rekeys} rekeys, at worst ${worst} ms without a session`);
  });
}
