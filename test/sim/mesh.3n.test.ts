/** Three and more hosts, the product's Dataplane on each, joined in memory: flooding, learning, moves, ageing, chaos. */
import t from "tap";
import { BROADCAST } from "../frames/build.js";
import { pick, randomOf } from "../models/random.js";
import { type Container, World } from "./world.js";

const LONG = process.env.WEFT_TEST_LONG === "1";
/** Names of all containers that `from` should reach by a broadcast. */
const others = (world: World, from: Container): string[] =>
  world.containers
    .filter((c) => c !== from && c.network === from.network)
    .map((c) => c.name)
    .sort();

for (const family of [4, 6] as const) {
  t.test(
    `three hosts over IPv${family}: a broadcast reaches every other container of the network once, and nobody else`,
    async (t) => {
      const world = await World.open({ seed: 1, hosts: 3, containers: 3, networks: 2, family });
      t.teardown(() => world.close());
      for (const c of world.containers) {
        t.same(await world.send(c, BROADCAST), others(world, c), `${c.name} broadcast`);
        t.same(await world.send(c, 0x0100_5e00_0001), others(world, c), `${c.name} multicast`);
        t.same(await world.send(c, 0x02ff_0000_0001), others(world, c), `${c.name} unknown unicast`);
      }
      t.same(world.unlawful(), []);
      t.same(world.drops(), {});
      t.equal(world.wire.counts.sent, 18 * 3 * 2, "two datagrams for each, one to each other host");
    },
  );

  t.test(
    `three hosts over IPv${family}: once a MAC was heard, frames for it go to it alone, from everywhere`,
    async (t) => {
      const world = await World.open({ seed: 2, hosts: 3, containers: 2, family });
      t.teardown(() => world.close());
      for (const c of world.containers) await world.send(c, BROADCAST);
      const before = world.wire.counts.sent;
      let datagrams = 0;
      for (const from of world.containers) {
        for (const to of world.containers) {
          if (from === to) continue;
          t.same(await world.send(from, to.mac), [to.name]);
          if (from.host !== to.host) datagrams++;
        }
      }
      t.equal(world.wire.counts.sent - before, datagrams, "no datagram more than frames between hosts");
      t.same(
        await world.send(world.containers[0] as Container, world.containers[0]?.mac as number),
        [],
        "a frame to itself goes nowhere",
      );
      t.same(world.drops(), { "egress/reflect": 1 });
      t.same(world.unlawful(), []);
    },
  );
}

t.test("three hosts: a MAC that moves is followed by the first frame after its own", async (t) => {
  const world = await World.open({ seed: 3, hosts: 3, containers: 2 });
  t.teardown(() => world.close());
  const roaming = 0x0220_0000_0001;
  for (let round = 0; round < 12; round++) {
    // Around the hosts, and now and then between two containers of one host.
    const at = world.containers[(round * (round % 3 === 0 ? 1 : 3)) % world.containers.length] as Container;
    t.same(await world.send(at, BROADCAST, roaming), others(world, at), `round ${round}: heard from ${at.name}`);
    for (const from of world.containers.filter((c) => c !== at))
      t.same(await world.send(from, roaming), [at.name], `round ${round}: from ${from.name}`);
  }
  const moves = world.hosts.map(({ dp }) => dp.counters().networks.reduce((sum, n) => sum + n.moves, 0));
  t.ok(
    moves.every((n) => n >= 5),
    `moves seen by each host: ${moves}`,
  );
  t.same(world.unlawful(), []);
});

t.test("three hosts: a container may not take another's MAC, near or far", async (t) => {
  const world = await World.open({ seed: 4, hosts: 3, containers: 2 });
  t.teardown(() => world.close());
  const [victim, near, , far] = world.containers as [Container, Container, Container, Container];
  await world.send(victim, BROADCAST);
  t.same(await world.send(near, BROADCAST, victim.mac), [], "on its host it is a spoofed MAC");
  const got = await world.send(far, BROADCAST, victim.mac);
  t.notOk(got.includes(victim.name), "elsewhere the victim's host refuses it");
  t.same(await world.send(near, victim.mac), [victim.name], "and still knows where the victim is");
  t.match(world.drops(), { "egress/spoofed_mac": 1, "ingress/static_conflict": 1 });
  t.same(world.unlawful(), []);
});

t.test("three hosts: what was not heard for the age limit is forgotten and flooded again", async (t) => {
  const world = await World.open({ seed: 5, hosts: 3, containers: 1 });
  t.teardown(() => world.close());
  const [a, b, c] = world.containers as [Container, Container, Container];
  await world.send(b, BROADCAST, 0x0220_0000_0002);
  const learned = (): number => a.host.dp.fdb("net0").filter((e) => !e.static).length;
  t.equal(learned(), 1);
  for (const { dp } of world.hosts) dp.on("event", () => {});
  await world.sleep(290_000);
  t.same(await world.send(a, 0x0220_0000_0002), [b.name], "after 290 s");
  await world.sleep(15_000);
  t.same(await world.send(a, 0x0220_0000_0002), [b.name, c.name], "after 305 s");
  await world.sleep(11_000);
  await world.send(a, BROADCAST);
  t.equal(learned(), 0, "and removed");
  t.same(world.unlawful(), []);
});

t.test("three hosts: an underlay that is down loses frames by a name, and is used again when it is up", async (t) => {
  const world = await World.open({ seed: 6, hosts: 3, containers: 1 });
  t.teardown(() => world.close());
  const [a, b] = world.containers as [Container, Container];
  await world.send(b, BROADCAST, 0x0220_0000_0003);
  a.host.link.setUnderlay(false);
  t.same(await world.send(a, 0x0220_0000_0003), []);
  t.match(world.drops(), { "egress/udp_unreachable": 1 });
  a.host.link.setUnderlay(true);
  t.same(await world.send(a, 0x0220_0000_0003), [b.name]);
  a.host.link.failUdp("ENOBUFS", 1);
  for (let i = 0; i < 4; i++) await world.send(a, BROADCAST);
  world.device(b).failNext("ENOBUFS", 2);
  for (let i = 0; i < 3; i++) await world.send(a, BROADCAST);
  const drops = world.drops();
  t.ok((drops["egress/udp_full"] as number) >= 1, JSON.stringify(drops));
  t.equal(drops["ingress/port_full"], 2);
  t.same(world.unlawful(), []);
});

/**
 * A random history: frames, moves, restarts, failures, a wire that loses, doubles, reorders and delays. What may be
 * expected of each frame depends on the wire: a perfect one delivers once, any other never to the wrong one.
 */
async function chaos(seed: number, steps: number): Promise<{ wrong: string; summary: string }> {
  const random = randomOf(seed);
  const hosts = 3 + pick(random, 4);
  const world = await World.open({
    seed,
    hosts,
    containers: 1 + pick(random, 2),
    networks: 1 + pick(random, 2),
    family: pick(random, 2) === 0 ? 4 : 6,
  });
  const history: string[] = [];
  let [frames, copies] = [0, 0];
  try {
    let isPerfect = true;
    /** Hosts with failures still to come: only a restart clears them. */
    const sick = new Set<number>();
    for (let step = 0; step < steps; step++) {
      const action = pick(random, 20);
      if (action === 0) {
        isPerfect = pick(random, 2) === 0 && sick.size === 0;
        const some = (max: number): number => (isPerfect ? 0 : (pick(random, 100) / 100) * max);
        world.impair({
          loss: some(0.3),
          duplicate: some(0.3),
          reorder: some(0.5),
          latencyMs: isPerfect ? 0 : pick(random, 40),
        });
        history.push(isPerfect ? "the wire is perfect" : "the wire is bad");
      } else if (action === 1) {
        const host = world.hosts[pick(random, hosts)] as World["hosts"][number];
        history.push(`host ${host.index} restarts`);
        await world.restart(host);
        sick.delete(host.index);
        world.arrivals();
      } else if (action === 2) {
        const ms = pick(random, 200_000);
        history.push(`${ms} ms pass`);
        await world.sleep(ms);
      } else if (action === 3) {
        const host = world.hosts[pick(random, hosts)] as World["hosts"][number];
        host.link.failUdp("ENOBUFS", 1 + pick(random, 3));
        for (const device of host.link.devices()) device.failNext("ENOBUFS", pick(random, 3));
        history.push(`host ${host.index} has full queues`);
        isPerfect = false;
        sick.add(host.index);
      } else {
        const sent = new Map<number, { from: Container; want: readonly string[]; isExact: boolean }>();
        for (let burst = 1 + pick(random, 30); burst > 0; burst--) {
          const from = world.containers[pick(random, world.containers.length)] as Container;
          const src = pick(random, 4) === 0 ? 0x0220_0000_0000 + pick(random, 5) : from.mac;
          const to = world.containers[pick(random, world.containers.length)] as Container;
          const dst = [BROADCAST, to.mac, to.mac, 0x0220_0000_0000 + pick(random, 5), 0x02ff_0000_0001][
            pick(random, 5)
          ] as number;
          if (to === from && dst === to.mac) continue;
          // A container's own MAC never moves: its host knows it, and every other finds it or floods.
          const isOwn = world.containers.some((c) => c.mac === dst && c.network === from.network);
          const everybody = others(world, from);
          const isRoaming = Math.floor(dst / 256) === 0x0220_0000_00;
          sent.set(world.inject(from, dst, src), {
            from,
            want: isOwn ? [to.name] : isRoaming ? [] : everybody,
            isExact: !isOwn && !isRoaming,
          });
        }
        await world.settle();
        const arrived = world.arrivals();
        for (const [id, names] of arrived) {
          const about = sent.get(id);
          if (!about) throw new Error(`frame ${id} came long after it was sent`);
          copies += names.length;
          const isDoubled = names.length > new Set(names).size;
          if (isDoubled && (isPerfect || world.wire.counts.duplicated === 0))
            throw new Error(`frame ${id} from ${about.from.name} came twice: ${names}`);
        }
        if (isPerfect) {
          for (const [id, { from, want, isExact }] of sent) {
            const names = arrived.get(id) ?? [];
            // A frame to one container reaches it; while its place is unknown, others of the network see it as well.
            const isThere = isExact ? names.join() === want.join() : want.every((name) => names.includes(name));
            if (!isThere)
              throw new Error(`frame ${id} from ${from.name} to ${want} reached ${names.join(", ") || "nobody"}`);
          }
        }
        frames += sent.size;
        history.push(`${sent.size} frames`);
      }
      const unlawful = world.unlawful();
      if (unlawful.length > 0) throw new Error(unlawful.join("; "));
    }
    const isQuiet = Object.keys(world.drops()).every((name) => !/gone|no_room|vnet|refused/.test(name));
    if (!isQuiet) throw new Error(`drops that nothing here explains: ${JSON.stringify(world.drops())}`);
    return {
      wrong: "",
      summary: `${hosts} hosts, ${frames} frames, ${copies} copies, wire ${JSON.stringify(world.wire.counts)}`,
    };
  } catch (error) {
    return {
      wrong: `seed ${seed}, step ${history.length}: ${(error as Error).message}\nbefore it: ${history.slice(-8).join(", ")}`,
      summary: "",
    };
  } finally {
    await world.close();
  }
}

t.test(
  "random histories: moves, restarts, loss, doubling, reordering, full queues; the law holds after every step",
  async (t) => {
    const seeds = Number(process.env.WEFT_SIM_SEEDS ?? (LONG ? 500 : 20));
    const first = Number(process.env.WEFT_SIM_SEED ?? 1);
    for (let seed = first; seed < first + seeds; seed++) {
      const { wrong, summary } = await chaos(seed, 60);
      t.equal(wrong, "", `seed ${seed}: ${summary}`);
    }
  },
);
