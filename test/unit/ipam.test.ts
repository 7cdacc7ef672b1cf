/** Addresses of one host and of several that share a network, over a double of the mesh that delays, doubles and reorders. */
import t from "tap";
import type { Allocation, AllocationStore } from "../../packages/control/src/ipam/allocations.js";
import { type Address, Ipam } from "../../packages/control/src/ipam/ipam.js";
import { GRANTS_MAX, ringId } from "../../packages/control/src/ipam/ring.js";
import type { NetworkValue } from "../../packages/control/src/mesh/records.js";
import { GossipDouble, idOf } from "../models/gossip.js";
import { pick } from "../models/random.js";

class StoreDouble implements AllocationStore {
  saved: readonly Allocation[] = [];
  saves = 0;
  isFull = false;
  load(): readonly Allocation[] {
    return this.saved;
  }
  save(allocations: readonly Allocation[]): void {
    if (this.isFull) throw new Error("no space left on device");
    this.saves++;
    this.saved = structuredClone(allocations);
  }
}

function network(over: Partial<NetworkValue> = {}): NetworkValue {
  return {
    clock: 1,
    deleted: false,
    vni: 1,
    cidr4: "10.32.0.0/12",
    cidr6: "fd01:2:3:4::/64",
    mtu: null,
    vteps: [],
    founder: idOf(0),
    createdAt: 1,
    ...over,
  };
}

class Hosts {
  readonly world: GossipDouble;
  readonly networks: Record<string, NetworkValue>;
  readonly stores: StoreDouble[];
  readonly ipams: Ipam[];
  readonly warnings: string[] = [];

  constructor(count: number, value = network(), seed = 1) {
    this.world = new GossipDouble(count, seed);
    this.networks = { blue: value };
    this.stores = this.world.nodes.map(() => new StoreDouble());
    this.ipams = this.world.nodes.map((_, i) => this.start(i));
  }
  start(i: number): Ipam {
    return new Ipam({
      records: this.world.get(i),
      networks: { get: (name) => this.networks[name], names: () => Object.keys(this.networks) },
      store: this.stores[i] as StoreDouble,
      now: () => this.world.now,
      nowMs: () => this.world.now,
      after: (ms, run) => this.world.after(ms, run),
      random: () => this.world.random() / 2 ** 32,
      nameOf: (node) => `host${Number(node.slice(0, 3))}`,
      warn: (sentence) => this.warnings.push(sentence),
    });
  }
  /** kill -9 and a new start. */
  restart(i: number): void {
    this.get(i).close();
    this.world.get(i).restart();
    this.ipams[i] = this.start(i);
  }
  get(i: number): Ipam {
    return this.ipams[i] as Ipam;
  }
  store(i: number): StoreDouble {
    return this.stores[i] as StoreDouble;
  }
  allocate(i: number, key: string): Promise<Address> {
    return this.world.until(this.get(i).allocate("blue", key));
  }
  claim(i: number, ip: string, key: string): Promise<Address> {
    return this.world.until(this.get(i).claim("blue", ip, key));
  }
  remove(i: number, by: number): void {
    this.world.get(by).put("removed", idOf(i), { at: this.world.now, upTo: 0, by: idOf(by) });
  }
}

t.test("one host gives addresses of both families, alone, and keeps them for their keys", async (t) => {
  const hosts = new Hosts(1);
  t.same(await hosts.allocate(0, "web"), { index: 2, ips: ["10.32.0.2/12", "fd01:2:3:4::2/64"] });
  t.equal((await hosts.allocate(0, "db")).index, 3);
  t.equal((await hosts.allocate(0, "web")).index, 2, "the same key again");
  hosts.get(0).release("web");
  t.equal((await hosts.allocate(0, "other")).index, 4, "what was given back rests");
  t.equal((await hosts.allocate(0, "web")).index, 2, "and is there when its key comes back");
  hosts.get(0).release("web");
  hosts.restart(0);
  t.equal((await hosts.allocate(0, "db")).index, 3, "after a restart");
  t.equal((await hosts.allocate(0, "web")).index, 2);
  hosts.get(0).retain(new Set(["db"]));
  t.match(hosts.get(0).info(), [{ network: "blue", size: 2 ** 20 - 3, owned: 2 ** 20 - 3, used: 1, foreign: [] }]);
});

t.test("addresses of a network that has become another one are shown, and not given again", async (t) => {
  const hosts = new Hosts(1);
  await hosts.allocate(0, "web");
  hosts.networks["blue"] = network({ createdAt: 2, cidr4: "10.200.0.0/16" });
  hosts.get(0).changed();
  t.match(hosts.get(0).info(), [{ used: 1, foreign: ["web"], owned: 2 ** 16 - 3, free: 2 ** 16 - 3 }]);
  t.same((await hosts.allocate(0, "db")).ips[0], "10.200.0.2/16");
  t.match(hosts.get(0).info(), [{ used: 2, foreign: ["web"], free: 2 ** 16 - 4 }]);
  hosts.get(0).release("web");
  t.match(hosts.get(0).info(), [{ used: 1, foreign: [] }]);
});

t.test("an address is on disk before it is used", async (t) => {
  const hosts = new Hosts(1);
  hosts.store(0).isFull = true;
  await t.rejects(hosts.allocate(0, "web"), { code: "not_recorded", message: /state directory cannot be written/ });
  t.equal(hosts.get(0).info()[0]?.used, 0);
  hosts.store(0).isFull = false;
  t.equal((await hosts.allocate(0, "web")).index, 2);
  t.match(hosts.store(0).saved, [{ key: "web", index: 2, freedAt: null }]);
});

t.test("a small network is used up to the last address, and the one longest free comes first then", async (t) => {
  const hosts = new Hosts(1, network({ cidr4: "10.0.0.0/29", cidr6: null }));
  const given = [];
  for (const key of ["a", "b", "c", "d", "e"]) given.push((await hosts.allocate(0, key)).ips[0]);
  t.same(given, ["10.0.0.2/29", "10.0.0.3/29", "10.0.0.4/29", "10.0.0.5/29", "10.0.0.6/29"]);
  await t.rejects(hosts.allocate(0, "f"), {
    code: "unavailable",
    message: /nobody else owns any: take a larger network/,
  });
  for (const key of ["c", "a"]) {
    hosts.get(0).release(key);
    await hosts.world.run(10);
  }
  t.equal((await hosts.allocate(0, "f")).index, 4, "the one longest free");
  t.equal((await hosts.allocate(0, "c")).index, 2, "its own has gone to somebody else");
});

t.test("a certain address", async (t) => {
  const hosts = new Hosts(1);
  t.same((await hosts.claim(0, "10.32.1.5", "web")).ips, ["10.32.1.5/12", "fd01:2:3:4::105/64"]);
  t.equal((await hosts.claim(0, "fd01:2:3:4::105", "web")).index, 261, "by the other family, again");
  await t.rejects(hosts.claim(0, "10.32.1.5", "db"), { code: "conflict", message: /in use by web/ });
  await t.rejects(hosts.claim(0, "10.32.1.6", "web"), { code: "conflict", message: /another address/ });
  for (const ip of ["10.32.0.0", "10.32.0.1", "10.47.255.255", "10.48.0.1", "fd01:2:3:4::1:0:0", "x"])
    await t.rejects(hosts.claim(0, ip, "db"), { code: "invalid_input" }, ip);
  await t.rejects(hosts.world.until(hosts.get(0).claim("red", "10.32.0.5", "db")), { code: "not_found" });
});

t.test("who owns nothing asks whoever owns most, and then has space of its own", async (t) => {
  const hosts = new Hosts(3);
  await hosts.allocate(0, "web");
  t.equal((await hosts.allocate(1, "web")).index, 2 ** 19);
  t.equal((await hosts.allocate(2, "web")).index, 2 ** 18, "the larger half");
  t.equal((await hosts.allocate(1, "db")).index, 2 ** 19 + 1);
  await hosts.world.run(1000);
  const views = hosts.ipams.map((ipam) =>
    JSON.stringify(ipam.info()[0]?.owners.map(({ node, owned }) => [node, owned])),
  );
  t.equal(new Set(views).size, 1, "all see the same owners");
  t.same([...hosts.world.get(0).list("want")], [], "no request is left");
  hosts.world.partition([[0], [1], [2]]);
  for (const i of [0, 1, 2]) t.ok((await hosts.allocate(i, "alone")).index > 1, "each gives on alone");
});

t.test("a grant is on disk at its taker before any of it is used", async (t) => {
  const hosts = new Hosts(2);
  const { index } = await hosts.allocate(1, "web");
  hosts.world.partition([[0], [1]]);
  hosts.restart(1);
  t.match(hosts.get(1).info(), [{ used: 1, foreign: [] }], "it owns what it uses, whoever else is left");
  t.equal((await hosts.allocate(1, "db")).index, index + 1);

  const full = new Hosts(2);
  const node = full.world.get(1);
  node.on((event) => {
    if (event.type === "records" && event.kinds.has("grant")) node.diskFull = true;
  });
  await t.rejects(full.allocate(1, "web"), { code: "not_recorded", message: /records cannot be written \(no space/ });
  t.same(full.store(1).saved, [], "none of it is used");
});

t.test("requests at the same time share one grant", async (t) => {
  const hosts = new Hosts(2);
  const keys = ["a", "b", "c", "d"];
  const given = await hosts.world.until(Promise.all(keys.map((key) => hosts.get(1).allocate("blue", key))));
  t.equal(new Set(given.map(({ index }) => index)).size, 4);
  t.equal([...hosts.world.get(0).list("grant")].length, 1);
});

t.test("two who ask the same owner at once get different space", async (t) => {
  const hosts = new Hosts(4);
  const given = await hosts.world.until(Promise.all([1, 2, 3].map((i) => hosts.get(i).allocate("blue", "web"))));
  t.equal(new Set(given.map(({ index }) => index)).size, 3);
  t.equal(hosts.get(0).info()[0]?.ignoredGrants, 0);
});

t.test("a certain address of another host's space moves over, once it is free there", async (t) => {
  const hosts = new Hosts(2);
  await hosts.claim(0, "10.32.3.3", "web");
  hosts.world.get(0).put("container", "web", {
    ...{ name: "web", network: "blue", ifname: "eth0", mac: "02:00:00:00:00:01", ips: ["10.32.3.3"] },
    ...{ dns: [], role: "container" as const, published: [], since: 1 },
  });
  await hosts.world.run(500);
  await t.rejects(hosts.claim(1, "10.32.3.3", "web"), { code: "conflict", message: /in use by web on host0/ });
  hosts.world.get(0).remove("container", "web");
  await hosts.world.run(500);
  await t.rejects(hosts.claim(1, "10.32.3.3", "web"), { code: "unavailable", message: /waited 10 s for host0/ });
  hosts.get(0).release("web");
  t.equal((await hosts.claim(1, "10.32.3.3", "web")).index, 771);
  hosts.get(1).release("web");
  await hosts.world.run(500);
  t.match(
    hosts.get(0).info()[0]?.owners,
    [{ node: idOf(0) }, { node: idOf(1), owned: 1, ranges: 1 }],
    "it stays there",
  );
  t.equal((await hosts.claim(0, "10.32.3.3", "web")).index, 771, "and back");
});

t.test("the first two of another host's range stay there, and the error says so", async (t) => {
  const hosts = new Hosts(2);
  await hosts.allocate(1, "web");
  hosts.get(1).release("web");
  await hosts.world.run(500);
  await t.rejects(hosts.claim(0, "10.40.0.0", "x"), { code: "conflict", message: /first two of a range of host1/ });
});

t.test("who cannot be reached is not asked; the error says who it is", async (t) => {
  const hosts = new Hosts(3);
  hosts.world.partition([[0], [1, 2]]);
  const before = hosts.world.now;
  await t.rejects(hosts.allocate(1, "web"), { code: "unavailable", message: /not reached \(host0\)/ });
  const waited = hosts.world.now - before;
  t.ok(waited >= 10_000 && waited < 11_000, `${waited} ms`);
  const late = hosts.get(1).allocate("blue", "web");
  await hosts.world.run(5000);
  hosts.world.partition([[0, 1, 2]]);
  t.equal((await hosts.world.until(late)).index, 2 ** 19, "the partition ends while it waits");
});

t.test("an owner that does not answer costs two seconds", async (t) => {
  const hosts = new Hosts(3);
  await hosts.allocate(1, "web");
  await hosts.world.run(1000);
  hosts.get(0).close();
  const before = hosts.world.now;
  t.ok((await hosts.allocate(2, "web")).index > 2 ** 19);
  t.ok(hosts.world.now - before < 3000, `${hosts.world.now - before} ms`);
});

t.test("the heir of a removed node takes its space over when it needs it, and nobody else does", async (t) => {
  const hosts = new Hosts(3, network({ cidr4: "10.0.0.0/27", cidr6: null }));
  // 0: 0..7 and 31, 1: 16..30, 2: 8..15.
  await hosts.allocate(1, "web");
  await hosts.allocate(2, "web");
  await hosts.world.run(1000);
  t.match(
    hosts
      .get(0)
      .info()[0]
      ?.owners.map(({ owned }) => owned),
    [6, 15, 8],
  );
  hosts.world.get(2).isUp = false;
  hosts.remove(2, 0);
  await hosts.world.run(1000);
  t.match(hosts.get(0).info()[0]?.owners[1], { node: idOf(1), owned: 23, inherited: 8 });
  // The heir is away: nobody else gets what it inherits.
  hosts.world.partition([[0], [1]]);
  for (let i = 0; i < 6; i++) await hosts.allocate(0, `k${i}`);
  await t.rejects(hosts.allocate(0, "more"), { code: "unavailable", message: /not reached \(host1\)/ });
  for (let i = 0; i < 22; i++) t.ok((await hosts.allocate(1, `k${i}`)).index >= 8);
  t.match(hosts.get(1).info(), [{ owned: 23, used: 23, free: 0, foreign: [] }]);
  hosts.world.partition([[0, 1]]);
  await hosts.world.run(1000);
  t.match(hosts.get(0).info()[0]?.owners[1], { node: idOf(1), owned: 23, inherited: 0 });
});

t.test("a founder that is removed before it gave anything: who removed it inherits", async (t) => {
  const hosts = new Hosts(2);
  hosts.world.get(0).isUp = false;
  hosts.remove(0, 1);
  t.equal((await hosts.allocate(1, "web")).index, 2);
  hosts.restart(1);
  t.equal((await hosts.allocate(1, "db")).index, 3);
});

t.test("a disk that refuses the takeover: the heir goes on with what it has", async (t) => {
  const hosts = new Hosts(2, network({ cidr4: "10.0.0.0/28", cidr6: null }));
  await hosts.allocate(1, "web");
  await hosts.world.run(1000);
  hosts.remove(0, 1);
  await hosts.world.run(6000);
  hosts.world.get(1).diskFull = true;
  const own = hosts.get(1).info()[0]?.free ?? 0;
  for (let i = 0; i < own; i++) await hosts.allocate(1, `k${i}`);
  await t.rejects(hosts.allocate(1, "more"), { code: "unavailable" });
  t.match(hosts.warnings[0], /cannot be taken over: no space left/);
  hosts.world.get(1).diskFull = false;
  t.equal((await hosts.allocate(1, "more")).index, 2);
});

t.test("a disk that refuses the grant: nothing is given, and the space stays in use", async (t) => {
  const hosts = new Hosts(2);
  await hosts.allocate(0, "web");
  await hosts.world.run(100);
  hosts.world.get(0).diskFull = true;
  await t.rejects(hosts.allocate(1, "web"), { code: "unavailable", message: /waited 10 s for host0/ });
  t.match(hosts.warnings[0], /no addresses given/);
  hosts.world.get(0).diskFull = false;
  t.equal((await hosts.allocate(0, "db")).index, 3);
});

t.test("a network that was made again begins anew; grants are bounded", async (t) => {
  const hosts = new Hosts(2);
  await hosts.allocate(1, "web");
  hosts.networks["blue"] = network({ createdAt: 2 });
  hosts.ipams.forEach((ipam) => {
    ipam.changed();
  });
  t.match(hosts.get(0).info(), [{ owned: 2 ** 20 - 3, ignoredGrants: 0, used: 0 }]);
  const id = ringId("blue", hosts.networks["blue"]);
  hosts.world.get(0).putAll(
    Array.from({ length: GRANTS_MAX }, (_, i) => {
      const value = { start: 9 + i, end: 10 + i, to: idOf(0), epoch: 1 };
      return { kind: "grant" as const, id: `${id}:${9 + i}:1`, value };
    }),
  );
  await t.rejects(hosts.allocate(1, "web"), { code: "unavailable" });
  t.match(hosts.warnings[0], /1024 grants written/);
  t.equal(hosts.get(0).info()[0]?.ignoredGrants, GRANTS_MAX);
});

t.test("grants in many networks are bounded together: a host has other things to say", async (t) => {
  const hosts = new Hosts(2);
  for (let i = 0; i < 3; i++) {
    const id = ringId(`old${i}`, network({ createdAt: 100 + i }));
    hosts.world.get(0).putAll(
      Array.from({ length: 700 }, (_, at) => {
        const value = { start: 9 + at, end: 10 + at, to: idOf(1), epoch: 1 };
        return { kind: "grant" as const, id: `${id}:${9 + at}:1`, value };
      }),
    );
  }
  await t.rejects(hosts.allocate(1, "web"), { code: "unavailable" });
  t.match(hosts.warnings[0], /0 grants written, 2100 in all networks/);
});

t.test("closing ends what waits", async (t) => {
  const hosts = new Hosts(2);
  hosts.world.partition([[0], [1]]);
  const waiting = hosts.get(1).allocate("blue", "web");
  const refused = t.rejects(waiting, { code: "unavailable", message: /stopping/ });
  await hosts.world.run(100);
  hosts.get(1).close();
  await refused;
});

const SEEDS = process.env["WEFT_TEST_LONG"] === "1" ? 200 : 8;

t.test("no address is in use twice through partitions, kills, restarts and removals", async (t) => {
  let given = 0;
  let refused = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const hosts = new Hosts(6, network({ cidr4: "10.0.0.0/24", cidr6: null }), seed);
    const { world } = hosts;
    const gone = new Set<number>();
    const inUse = new Map<number, string>();
    const jobs: Promise<void>[] = [];
    const use = (i: number, key: string, job: Promise<Address>): void => {
      const started = hosts.get(i);
      const done = job.then(
        ({ index }) => {
          // An answer of a process that has been killed reaches nobody.
          if (gone.has(i) || hosts.get(i) !== started) return;
          const who = `${i} ${key}`;
          const other = inUse.get(index);
          if (other !== undefined && other !== who) t.fail(`seed ${seed}: ${index} is of ${other} and ${who}`);
          inUse.set(index, who);
          given++;
        },
        () => {
          refused++;
        },
      );
      jobs.push(done);
    };
    for (let step = 0; step < 60; step++) {
      const i = pick(world.random, 6);
      const what = pick(world.random, 100);
      if (gone.has(i)) continue;
      const key = `k${pick(world.random, 30)}`;
      if (what < 45) use(i, key, hosts.get(i).allocate("blue", key));
      else if (what < 60) use(i, key, hosts.get(i).claim("blue", `10.0.0.${2 + pick(world.random, 250)}`, key));
      else if (what < 75) {
        for (const [index, who] of inUse) if (who === `${i} ${key}`) inUse.delete(index);
        hosts.get(i).release(key);
      } else if (what < 83) hosts.restart(i);
      else if (what < 90) {
        const cut = pick(world.random, 5) + 1;
        world.partition([[0, 1, 2, 3, 4, 5].slice(0, cut), [0, 1, 2, 3, 4, 5].slice(cut)]);
      } else if (what < 96) world.partition([[0, 1, 2, 3, 4, 5]]);
      else if (gone.size < 2) {
        // The operator's word: it is gone, and what it had said has been heard.
        world.partition([[0, 1, 2, 3, 4, 5]]);
        hosts.get(i).close();
        await world.run(1000);
        gone.add(i);
        world.get(i).isUp = false;
        for (const [index, who] of inUse) if (who.startsWith(`${i} `)) inUse.delete(index);
        hosts.remove(i, [0, 1, 2, 3, 4, 5].find((n) => !gone.has(n)) as number);
      }
      world.syncAll();
      await world.run(pick(world.random, 3000));
    }
    world.partition([[0, 1, 2, 3, 4, 5]]);
    await world.run(60_000);
    await Promise.all(jobs);
    const living = [0, 1, 2, 3, 4, 5].filter((i) => !gone.has(i));
    const views = living.map((i) => JSON.stringify(hosts.get(i).info()[0]?.owners));
    t.equal(new Set(views).size, 1, `seed ${seed}: all see the same owners in the end`);
    t.ok(
      living.every((i) => hosts.get(i).info()[0]?.foreign.length === 0),
      `seed ${seed}: all that is used is owned`,
    );
    t.ok(
      living.every((i) => hosts.get(i).info()[0]?.ignoredGrants === 0),
      `seed ${seed}: every grant was a right one`,
    );
    for (const ipam of hosts.ipams) ipam.close();
  }
  t.ok(given > 10 * SEEDS && refused > 0, `${given} given, ${refused} refused`);
});
