/**
 * Eight daemons while links are cut, delayed and lossy, daemons killed and restarted, the network parted and healed, the token rotated and a
 * ninth one joins: see lab/chaos.ts for what must hold all the time.
 *
 *   WEFT_TEST_LONG=1    ten minutes of faults at random instead of one of each kind
 *   WEFT_CHAOS_SECONDS=N  so many seconds instead
 *   WEFT_TEST_SEED=N    where the random numbers start (default 1, in the long form the time)
 */
import t, { type Test } from "tap";
import { Chaos, RSS_MAX } from "../lab/chaos.js";
import { until } from "../lab/job.js";
import { type Host, Lab } from "../lab/lab.js";
import { type Station, station } from "../lab/mesh.js";
import { CLEAR_TEXT, Prober } from "../lab/prober.js";
import { Shaper } from "../lab/shaper.js";
import { Weft } from "../lab/weft.js";
import { pick, randomOf } from "../models/random.js";

const LONG = process.env["WEFT_TEST_LONG"] === "1";
const SEED = Number(process.env["WEFT_TEST_SEED"] ?? (LONG ? Date.now() % 1e6 : 1));
const LONG_MS = 1000 * Number(process.env.WEFT_CHAOS_SECONDS ?? 600);
const HOSTS = 8;
const DEFAULT = 1;
const BLUE = 2;
const START_MS = 30_000;
/** Seconds after which a process is expected to have found its size, and how much larger it may be at its end than in its first minute. */
const SETTLED = 180;
const GROWTH = 1.15;

/** The value that one in five lies below. */
const lowEnd = (list: readonly number[]): number => [...list].sort((a, b) => a - b)[Math.floor(list.length / 5)] ?? 0;

t.test(`chaos, seed ${SEED}`, { timeout: (LONG ? LONG_MS : 0) + 400_000 }, async (t) => {
  const lab = await Lab.open(t);
  // The ninth has a place on the underlay, and joins later.
  const { hosts, shaper } = await Shaper.hosts(
    lab,
    [..."123456789"].map((n) => `h${n}`),
  );
  const chaos = new Chaos(t, shaper);
  await isWatching(t, hosts, shaper);

  const start = async (host: Host, more: { join?: string[]; token?: string } = {}): Promise<Weft> => {
    const weft = Weft.start(lab, host, { ...more, mesh: true, keep: true, more: ["--name", host.label] });
    await weft.ready(START_MS);
    return weft;
  };
  const [first, ...rest] = hosts.slice(0, HOSTS) as [Host, ...Host[]];
  const founder = await start(first);
  const token = (await founder.ok(["token", "--quiet"])).trim();
  chaos.wefts.push(founder);
  // Two at a time: on a small machine seven take each other's processor away.
  for (const [i, host] of rest.entries()) {
    if (i % 2 === 1) continue;
    const both = [host, ...rest.slice(i + 1, i + 2)];
    chaos.wefts.push(...(await Promise.all(both.map((one) => start(one, { join: [first.v4], token })))));
  }
  await founder.ok(["network", "create", "blue"]);
  const probing = chaos.wefts.map(async (weft, i) =>
    Prober.start(lab, await station(lab, weft, `c${i + 1}`), i, DEFAULT, i),
  );
  for (const prober of await Promise.all(probing)) await chaos.add(prober);
  for (const [index, host] of [1, 6].entries()) {
    const blue = await station(lab, chaos.wefts[host] as Weft, `blue${index}`, ["--network", "blue"]);
    await chaos.add(await Prober.start(lab, blue, host, BLUE, index));
  }
  const stations: Station[] = chaos.probers.map((prober) => prober.station);
  await chaos.begin(15_000);

  const random = randomOf(SEED);
  const any = (below = chaos.wefts.length): number => pick(random, below);
  const pair = (): [number, number] => {
    const a = any();
    return [a, (a + 1 + any(chaos.wefts.length - 1)) % chaos.wefts.length];
  };

  /** Four against four; each half gives addresses, one of them a new token and a member that joins with it. */
  const partition = async (ms: number): Promise<void> => {
    const order = hosts.map((_, i) => i).slice(0, HOSTS);
    for (let i = order.length - 1; i > 0; i--) {
      const j = any(i + 1);
      [order[i], order[j]] = [order[j] as number, order[i] as number];
    }
    const [there, here] = [order.slice(0, 4), [...order.slice(4), 8]];
    await chaos.partition(
      (host) => here.includes(host),
      hosts.length,
      ms,
      async () => {
        const [a, b] = here.map((host) => chaos.wefts[host] as Weft) as [Weft, Weft];
        const c = chaos.wefts[there[0] as number] as Weft;
        const fresh = (await a.ok(["token", "rotate", "--quiet"])).trim();
        const label = `${stations.length}`;
        stations.push(...(await Promise.all([station(lab, b, `b${label}`), station(lab, c, `c${label}`)])));
        if (chaos.wefts.length > HOSTS) return;
        const late = await start(hosts[8] as Host, { join: [b.host.v4], token: fresh });
        chaos.wefts.push(late);
        const guest = await station(lab, late, "late");
        stations.push(guest);
        await chaos.add(await Prober.start(lab, guest, 8, DEFAULT, 8));
      },
    );
  };

  const faults = performance.now();
  if (LONG) {
    const bad: [number, number][] = [];
    let partitions = 0;
    while (performance.now() - faults < LONG_MS) {
      if (performance.now() - faults > (partitions + 0.5) * (LONG_MS / 3)) {
        partitions++;
        if (bad.length > 0) await chaos.heal(...bad.splice(0));
        await partition(60_000);
        continue;
      }
      const [a, b] = pair();
      const what = any(5);
      const isBad = bad.some((one) => one.includes(a) && one.includes(b));
      if (what === 0) {
        await chaos.kill(a);
        await chaos.restart(a);
      } else if (what === 1 || bad.length >= 4 || isBad) {
        const [healed] = bad.splice(any(Math.max(1, bad.length)), 1);
        if (healed !== undefined) await chaos.heal(healed);
      } else {
        bad.push([a, b]);
        if (what === 2) await chaos.cut(a, b);
        else if (what === 3) await chaos.cutOneWay(a, b);
        else await chaos.worsen(a, b, 10 + any(90), any(40));
      }
    }
  } else {
    const [a, b] = pair();
    const [c, d] = [(a + 3) % HOSTS, (a + 5) % HOSTS];
    await chaos.cut(a, b);
    await chaos.cutOneWay(c, d);
    await chaos.worsen(a, d, 60, 50);
    const relay = await chaos.relay(a, b);
    await chaos.kill(relay);
    await chaos.restart(relay);
    await chaos.heal([a, b], [c, d], [a, d]);
    await partition(8000);
  }

  const addresses = stations.flatMap(({ v4, v6 }) => [v4, v6]);
  t.equal(new Set(addresses).size, addresses.length, "no address was given twice");
  t.ok(chaos.addresses >= addresses.length, `${chaos.addresses} addresses in what daemons list`);
  const states = [...(await chaos.states()).values()].flatMap(({ sources }) => sources);
  t.ok(
    states.some(({ cast }) => cast === 1),
    "broadcasts came, too",
  );
  t.same(
    states.filter(({ duplicates }) => duplicates > 0),
    [],
    "nothing came twice",
  );
  const { frames, ...inClear } = await shaper.seen();
  t.same(inClear, { text: 0, vxlan: 0 }, `nothing in clear in ${frames} frames`);
  for (const [pid, { host, mib }] of chaos.memory) {
    const most = Math.max(...mib);
    t.ok(most < RSS_MAX, `${host}, process ${pid}: at most ${most.toFixed(0)} MiB`);
    if (mib.length < SETTLED) continue;
    // Between two collections the JavaScript heap goes up and down: what stays is near the low end.
    const [early, late] = [lowEnd(mib.slice(30, 60)), lowEnd(mib.slice(-30))];
    t.ok(late < early * GROWTH, `${host}, process ${pid}: ${early.toFixed(0)} MiB, ${late.toFixed(0)} at the end`);
  }
  for (const row of chaos.table()) t.comment(row);
});

/** The shaper sees what is in clear, when something is. */
async function isWatching(t: Test, hosts: readonly Host[], shaper: Shaper): Promise<void> {
  const [from, to] = hosts as [Host, Host];
  await shaper.watch(CLEAR_TEXT);
  await from.run(["bash", "-c", `echo a ${CLEAR_TEXT} z >/dev/udp/${to.v4}/4789`]);
  await until("one in clear", async () => (await shaper.seen()).text > 0);
  // The other host answers that nobody listens, and quotes it.
  t.equal((await shaper.seen()).vxlan, 1, "what is in clear is seen");
  await shaper.watch(CLEAR_TEXT);
}
