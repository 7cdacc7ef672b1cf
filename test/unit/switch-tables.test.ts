/** The tables of the data path: FDB, neighbours, routes, BUM rate, against their plain twins and under attack. */

import { routeHash } from "@weft/dataplane-wasm";
import { ENUM, LIMIT, layout, offsetOf } from "@weft/dataplane-wasm/abi";
import t, { type Test } from "tap";
import { ethernet, ip, mac, vxlan } from "../frames/build.js";
import { SlowFdb } from "../models/fdb.js";
import { longestPrefix, type Prefix } from "../models/prefix.js";
import { pick, randomOf } from "../models/random.js";
import { type Build, Rig } from "../models/rig.js";

const { KIND } = ENUM;
const portOwner = (index: number): number => ((KIND.PORT << 24) | index) >>> 0;
const vtepOwner = (index: number): number => ((KIND.VTEP << 24) | index) >>> 0;
/** A random locally administered unicast MAC. */
const randomMac = (random: () => number): number => 0x0200_0000_0000 + (random() & 0xff) * 2 ** 32 + random();

/** Calls of assembly/testing.ts on worker 0. */
function calls(rig: Rig): {
  learn(mac: number, owner: number, generation: number, tick: number, network?: number): void;
  lookup(mac: number, tick: number, network?: number): number | undefined;
  ageAll(tick: number): void;
} {
  const { inner, switchMemory } = rig;
  return {
    learn: (address, owner, generation, tick, network = 0) =>
      void inner.fdbLearn?.(0, network, BigInt(address), owner, generation, tick & 0xffff),
    lookup: (address, tick, network = 0) => {
      const value = BigInt.asUintN(
        64,
        (inner.fdbLookup as unknown as (...a: unknown[]) => bigint)(0, network, BigInt(address), tick & 0xffff),
      );
      return value === 0n ? undefined : Number(value & 0xffff_ffffn);
    },
    ageAll: (tick) => {
      for (let i = 0; i < switchMemory.plan.regions.FDB.count; i++) inner.fdbAgeBucket?.(0, i, tick & 0xffff);
    },
  };
}
const held = (rig: Rig): number => rig.view.getUint32(offsetOf("Header", "fdbCount"), true);
const macsOf = (rig: Rig, port: number): number => rig.field("PortLive", "macs", rig.address("PORT_LIVE", port));
/** Every latch is even, every cell's books are right. */
function isWhole(t: Test, rig: Rig): void {
  const { FDB, NEIGHBOURS } = rig.switchMemory.plan.regions;
  for (const { base, stride, count } of [FDB, NEIGHBOURS]) {
    for (let i = 0; i < count; i++)
      if (rig.view.getUint32(base + i * stride, true) & 1) t.fail(`latch of bucket ${i} is held`);
  }
  const rows = rig.reader.fdb(0);
  t.equal(held(rig), rows.length, "Header.fdbCount");
  t.equal(new Set(rows.map((row) => `${row.network} ${row.mac}`)).size, rows.length, "no key stands twice");
}

for (const build of ["debug", "test"] satisfies Build[]) {
  t.test(`tables (${build} build)`, async (t) => {
    const open = async (
      sizes: ConstructorParameters<typeof Rig>[1] = {},
      row: Parameters<Rig["network"]>[0] = {},
      seed = 1,
    ): Promise<Rig> => {
      const rig = new Rig(build, sizes, undefined, seed);
      rig.network(row);
      rig.network({ vni: 43, ...row });
      rig.port(0, mac(1));
      rig.port(0, mac(2));
      rig.port(1, mac(3));
      rig.vtep(0, "192.0.2.9");
      rig.vtep(0, "192.0.2.10");
      await rig.commit();
      return rig;
    };

    t.test("fdb: random operations give what a Map gives", async (t) => {
      for (const seed of [1, 2, 3]) {
        const rig = await open({}, { macsPerPort: 40, ageTicks: 50 }, seed);
        const { learn, lookup, ageAll } = calls(rig);
        const random = randomOf(seed);
        const model = new SlowFdb(() => true);
        const owners = [
          ["port:0", portOwner(0)],
          ["port:1", portOwner(1)],
          ["vtep:0", vtepOwner(0)],
          ["vtep:1", vtepOwner(1)],
        ] as const;
        let wrong = "";
        for (let step = 0, tick = 65_500; step < 20_000 && wrong === ""; step++) {
          if (pick(random, 20) === 0) tick += pick(random, 9);
          const address = mac(pick(random, 150) + 10);
          if (pick(random, 400) === 0) {
            ageAll(tick);
            model.age(tick, 50);
          } else if (pick(random, 2) === 0) {
            const [name, owner] = owners[pick(random, 4)] as (typeof owners)[number];
            learn(address, owner, 1, tick);
            model.learn(address, name, 1, tick, 40, 50);
          } else {
            const want = owners.find(([name]) => name === model.lookup(address, tick, 50))?.[1];
            const got = lookup(address, tick);
            if (got !== want) wrong = `seed ${seed} step ${step} tick ${tick}: ${got} instead of ${want}`;
          }
        }
        t.equal(wrong, "");
        t.equal(rig.reader.fdb(0).length, model.entries.size, "entries");
        t.equal(rig.counter("learn_refused"), model.refused, "refused");
        t.equal(rig.reader.block("NETWORK_COUNTERS", 0).moves, model.moves, "moves");
        for (const port of [0, 1]) t.equal(macsOf(rig, port), model.held(`port:${port}`), `MACs of port ${port}`);
        const block = rig.reader.block("NETWORK_COUNTERS", 0);
        t.equal((block.fdbPorts as number) + (block.fdbVteps as number), model.entries.size, "network sums");
        isWhole(t, rig);
      }
    });

    t.test("fdb: 60,000 random MACs of a table for 65,536 evict under 1 %", async (t) => {
      const rig = await open({ fdbMax: 65_536 });
      const { learn, lookup } = calls(rig);
      const random = randomOf(11);
      const macs = Array.from({ length: 60_000 }, () => randomMac(random));
      for (const address of macs) learn(address, vtepOwner(0), 1, 5);
      const evicted = rig.reader.block("NETWORK_COUNTERS", 0).evictions as number;
      t.ok(evicted < 600, `${evicted} evictions`);
      const lost = macs.filter((address) => lookup(address, 5) === undefined).length;
      t.equal(lost, evicted, "every other MAC is found");
      t.equal(rig.counter("learn_refused"), 0);
      isWhole(t, rig);
    });

    t.test(
      "fdb: a port learns 1024 MACs, further ones are refused and counted, and forwarded all the same",
      async (t) => {
        const rig = await open({ fdbMax: 65_536 });
        let sent = 0;
        for (let i = 0; i < 1200; i += 100) {
          sent += rig.egress(
            Array.from({ length: 100 }, (_, j) => ({
              port: 0,
              frame: ethernet({ src: mac(1000 + i + j), dst: mac(2) }),
            })),
          ).length;
        }
        t.equal(sent, 1200);
        t.equal(macsOf(rig, 0), 1024);
        t.equal(rig.counter("learn_refused"), 176);
        t.equal(rig.reader.fdb(1000).length, 1024);
        rig.egress([{ port: 1, frame: ethernet({ src: mac(9000), dst: mac(1) }) }]);
        t.equal(macsOf(rig, 1), 1, "another port still learns");
        isWhole(t, rig);
      },
    );

    t.test("fdb: a MAC that a full port claims stays where it was", async (t) => {
      const rig = await open({}, { macsPerPort: 2 });
      const { learn, lookup } = calls(rig);
      learn(mac(20), portOwner(0), 1, 1);
      learn(mac(21), portOwner(0), 1, 1);
      learn(mac(22), portOwner(1), 1, 1);
      learn(mac(22), portOwner(0), 1, 1);
      t.equal(lookup(mac(22), 1), portOwner(1));
      learn(mac(20), portOwner(1), 1, 1);
      t.same([lookup(mac(20), 1), macsOf(rig, 0), macsOf(rig, 1)], [portOwner(1), 1, 2]);
      isWhole(t, rig);
    });

    t.test("fdb: a port that floods an overfull table evicts no other port's entries", async (t) => {
      const rig = await open({ fdbMax: 3000 }, { macsPerPort: 100_000 });
      const { learn, lookup } = calls(rig);
      const random = randomOf(5);
      const theirs = Array.from({ length: 300 }, () => randomMac(random));
      for (const address of theirs) learn(address, portOwner(1), 1, 1);
      for (let i = 0; i < 1000; i++) learn(randomMac(random), vtepOwner(0), 1, 1);
      for (let i = 0; i < 40_000; i++) learn(randomMac(random), portOwner(0), 1, 2);
      t.equal(theirs.filter((address) => lookup(address, 2) === portOwner(1)).length, 300);
      t.ok(held(rig) <= 3000, `${held(rig)} entries`);
      t.ok(
        (rig.reader.block("NETWORK_COUNTERS", 0).evictions as number) > 1000,
        "its own entries and those of VTEPs made room",
      );
      for (let i = 0; i < 5000; i++) learn(randomMac(random), vtepOwner(1), 1, 3);
      t.equal(theirs.filter((address) => lookup(address, 3) === portOwner(1)).length, 300, "nor does a VTEP");
      isWhole(t, rig);
    });

    t.test("fdb: of a full pair of buckets the oldest entry goes, an expired one before it", async (t) => {
      const rig = await open({ fdbMax: 1 }, { ageTicks: 5 });
      const { learn, lookup } = calls(rig);
      t.equal(rig.switchMemory.plan.regions.FDB.count, 1, "one bucket of three cells");
      rig.view.setUint32(offsetOf("Header", "fdbMax"), 3, true);
      const left = (tick: number): number[] =>
        [10, 11, 12, 13, 14, 15].filter((n) => lookup(mac(n), tick) !== undefined);
      for (const [n, tick] of [
        [10, 100],
        [11, 98],
        [12, 99],
        [13, 101],
      ] as const)
        learn(mac(n), vtepOwner(0), 1, tick);
      t.same(left(101), [10, 12, 13], "MAC 11 was the oldest");
      t.equal(rig.reader.block("NETWORK_COUNTERS", 0).evictions, 1);
      rig.exports.flush(0, 0);
      for (const [n, owner, tick] of [
        [10, portOwner(1), 90],
        [11, vtepOwner(0), 97],
        [12, portOwner(0), 96],
        [13, portOwner(0), 99],
      ] as const)
        learn(mac(n), owner, 1, tick);
      t.same(left(99), [11, 12, 13], "MAC 10 had expired, though another port's");
      t.equal(rig.reader.block("NETWORK_COUNTERS", 0).evictions, 1, "which is no eviction");
      learn(mac(14), vtepOwner(1), 1, 100);
      t.same(left(100), [12, 13, 14], "a VTEP pushes out a VTEP's entry, not the older one of a port");
      learn(mac(15), portOwner(1), 1, 100);
      t.same(left(100), [12, 13, 15], "a port pushes out a VTEP's");
      learn(mac(10), vtepOwner(0), 1, 100);
      t.same(left(100), [12, 13, 15], "a VTEP does not push out a port's");
      t.equal(rig.counter("learn_refused"), 1);
      isWhole(t, rig);
    });

    t.test("fdb: entries age by the network's limit, over the wrap of the tick and of the clock", async (t) => {
      const rig = await open({}, { ageTicks: 293 });
      const { ageAll } = calls(rig);
      const at = 2 ** 32 - 100_000;
      const hear = (nowMs: number): void =>
        void rig.ingress(
          [{ address: "192.0.2.9", payload: vxlan(42, ethernet({ src: mac(9), dst: mac(1) })) }],
          nowMs >>> 0,
        );
      const ask = (nowMs: number): string | undefined => {
        const [first, ...more] = rig.egress([{ port: 0, frame: ethernet({ src: mac(1), dst: mac(9) }) }], nowMs >>> 0);
        return more.length === 0 ? first?.kind : "flood";
      };
      hear(at);
      t.equal(ask(at + 290_000), "vtep", "290 s later, after the clock wrapped");
      t.equal(ask(at + 302_000), "flood", "302 s later");
      hear(at + 302_000);
      t.equal(ask(at + 303_000), "vtep");
      rig.reader.events();
      ageAll(((at + 500_000) >>> 0) >>> LIMIT.TICK_SHIFT);
      t.equal(held(rig), 1);
      const buckets = rig.switchMemory.plan.regions.FDB.count;
      rig.exports.age(0, buckets, (at + 604_000) >>> 0);
      t.equal(held(rig), 0, "removed by age()");
      t.match(rig.reader.events(), [{ kind: "aged", mac: "02:00:00:00:00:09", owner: { kind: KIND.VTEP, index: 0 } }]);
      isWhole(t, rig);
    });

    t.test(
      "fdb: ageTicks 0 keeps entries for ever, and a stamp of a worker that is a tick ahead is not old",
      async (t) => {
        const rig = await open({}, { ageTicks: 0 });
        const { learn, lookup, ageAll } = calls(rig);
        learn(mac(9), vtepOwner(0), 1, 10);
        ageAll(40_000);
        t.equal(lookup(mac(9), 40_000), vtepOwner(0));
        const young = await open({}, { ageTicks: 10 });
        const c = calls(young);
        c.learn(mac(9), vtepOwner(0), 1, 0);
        t.equal(c.lookup(mac(9), -1), vtepOwner(0), "lookup one tick before the stamp");
        c.ageAll(-1);
        t.equal(c.lookup(mac(9), 0), vtepOwner(0), "ageing one tick before the stamp");
        const hi = 0x2001_0db8_0000_0000n;
        young.inner.neighbourLearn?.(0, 0, hi, 1n, 9n, portOwner(0), 0);
        for (let i = 0; i < young.switchMemory.plan.regions.NEIGHBOURS.count; i++)
          young.inner.neighbourAgeBucket?.(0, i, 0xffff);
        t.equal(young.reader.neighbours(0).length, 1, "neighbours neither");
      },
    );

    t.test(
      "fdb: entries of a port or VTEP that is gone lead nowhere and are cleared, also when the index is used again",
      async (t) => {
        const rig = await open();
        const ask = (): string[] =>
          rig.egress([{ port: 1, frame: ethernet({ src: mac(2), dst: mac(30) }) }]).map((s) => s.kind);
        rig.egress([{ port: 0, frame: ethernet({ src: mac(30), dst: mac(2) }) }]);
        rig.ingress([{ address: "192.0.2.9", payload: vxlan(42, ethernet({ src: mac(31), dst: mac(2) })) }]);
        t.same(ask(), ["port"]);
        rig.tables.removePort(0);
        rig.tables.removeVtep(0);
        await rig.commit();
        t.same(ask(), ["vtep"], "flooded to the VTEP that is left");
        rig.tables.releasePort(0);
        rig.tables.releaseVtep(0);
        t.equal(rig.port(0, mac(40)), 0, "the index is used again");
        await rig.commit();
        t.same(ask(), ["vtep", "port"], "the new port 0 does not inherit MAC 30");
        t.equal(rig.reader.fdb(1000).length, 2);
        calls(rig).ageAll(1);
        t.equal(rig.reader.fdb(1000).length, 0, "ageing clears them");
        t.equal(macsOf(rig, 0), 0, "the new port was not charged for them");
        t.match(rig.reader.block("NETWORK_COUNTERS", 0), { fdbPorts: 0, fdbVteps: 0 });
        isWhole(t, rig);
      },
    );

    t.test("forget: one MAC of one network, and its place on the books", async (t) => {
      const rig = await open();
      const { learn, lookup } = calls(rig);
      for (let i = 0; i < 50; i++)
        for (const network of [0, 1]) learn(mac(100 + i), portOwner(2 * network), 1, 1, network);
      const at = mac(120);
      rig.exports.forget(0, 0, Math.floor(at / 2 ** 32), at % 2 ** 32);
      rig.exports.forget(0, 0, 0x0299, 7);
      t.same([lookup(at, 1), lookup(at, 1, 1), lookup(mac(121), 1)], [undefined, portOwner(2), portOwner(0)]);
      t.same([rig.reader.fdb(1000).length, macsOf(rig, 0), macsOf(rig, 2)], [99, 49, 50]);
      isWhole(t, rig);
    });

    t.test("flush: forgets one network or all, MACs and neighbours", async (t) => {
      const rig = await open();
      const { learn, lookup } = calls(rig);
      for (let i = 0; i < 300; i++) {
        learn(mac(100 + i), portOwner(0), 1, 1);
        learn(mac(100 + i), portOwner(2), 1, 1, 1);
        for (const network of [0, 1]) rig.inner.neighbourLearn?.(0, network, 0n, BigInt(i + 1), 9n, portOwner(0), 1);
      }
      rig.exports.flush(0, 0);
      t.equal(lookup(mac(100), 1), undefined);
      t.equal(lookup(mac(100), 1, 1), portOwner(2));
      t.same(
        rig.reader.fdb(1000).map((row) => row.network),
        new Array(300).fill(1),
      );
      t.equal(
        rig.reader.neighbours(1000).some((row) => row.network === 0),
        false,
      );
      rig.exports.flush(0, 0xffff_ffff);
      t.same([rig.reader.fdb(1000), rig.reader.neighbours(1000), macsOf(rig, 0), macsOf(rig, 2)], [[], [], 0, 0]);
      t.equal(rig.view.getUint32(offsetOf("Header", "neighbourCount"), true), 0);
      isWhole(t, rig);
    });

    t.test(
      "latch: a bucket that another worker keeps makes lookups miss and learning give up, both counted",
      async (t) => {
        const rig = await open({ fdbMax: 64 });
        const { learn, lookup } = calls(rig);
        learn(mac(9), vtepOwner(0), 1, 1);
        const { base, stride, count } = rig.switchMemory.plan.regions.FDB;
        for (let i = 0; i < count; i++) t.equal(rig.inner.latchTake?.(base + i * stride), 1);
        t.equal(rig.inner.latchTake?.(base), 0, "taken once");
        t.equal(rig.inner.latchTakeBoth?.(base + stride, base), 0);
        t.equal(lookup(mac(9), 1), undefined);
        learn(mac(9), vtepOwner(1), 1, 2);
        const misses = rig.counter("latch_misses");
        t.ok(misses >= 3, `${misses} misses`);
        for (let i = 0; i < count; i++) rig.inner.latchRelease?.(base + i * stride);
        t.equal(lookup(mac(9), 1), vtepOwner(0), "nothing was changed");
        t.equal(rig.inner.latchTakeBoth?.(base + stride, base), 1);
        rig.inner.latchReleaseBoth?.(base + stride, base);
        isWhole(t, rig);
      },
    );

    t.test("neighbours: the oldest of a full bucket makes room, the limit holds, old ones go", async (t) => {
      const small = await open({ neighboursMax: 1 });
      const learned = (): number[] =>
        small.reader
          .neighbours(0)
          .map((row) => row.address[3])
          .sort();
      const hear = (n: number): unknown => small.inner.neighbourLearn?.(0, 0, 0n, BigInt(n), 7n, portOwner(0), n);
      hear(1);
      hear(2);
      t.same(learned(), [2], "the limit is one");
      small.view.setUint32(offsetOf("Header", "neighbourMax"), 3, true);
      for (const n of [4, 3, 5]) hear(n);
      t.same(learned(), [3, 4, 5], "2 was the oldest");
      isWhole(t, small);
      const rig = await open({ neighboursMax: 30 }, { ageTicks: 100 });
      for (let i = 0; i < 500; i++) rig.inner.neighbourLearn?.(0, 0, 0n, BigInt(i), 7n, portOwner(0), i >> 4);
      const rows = rig.reader.neighbours(0);
      t.ok(rows.length <= 30 && rows.length > 10, `${rows.length} entries`);
      t.equal(rig.view.getUint32(offsetOf("Header", "neighbourCount"), true), rows.length);
      rig.exports.age(0, rig.switchMemory.plan.regions.NEIGHBOURS.count, 1024 * 500);
      t.same(rig.reader.neighbours(0), []);
      isWhole(t, rig);
    });

    t.test("events: a full ring loses events, counts them, and goes on when it was read", async (t) => {
      const rig = await open({ fdbMax: 65_536 });
      const { learn } = calls(rig);
      for (let i = 0; i < 1500; i++) learn(mac(5000 + i), vtepOwner(0), 1, 1);
      t.equal(rig.counter("events_lost"), 1500 - LIMIT.EVENTS_MAX);
      t.equal(rig.reader.events().length, LIMIT.EVENTS_MAX);
      learn(mac(9), vtepOwner(0), 1, 1);
      t.match(rig.reader.events(), [{ kind: "learned", mac: "02:00:00:00:00:09" }]);
    });

    t.test("routes: the longest of random prefixes is found, IPv4 and IPv6, as a linear scan finds it", async (t) => {
      for (const seed of [1, 2]) {
        const random = randomOf(seed);
        const rig = new Rig(build, { routesMax: 2000 }, undefined, seed);
        rig.network();
        for (let i = 0; i < 50; i++) rig.vtep(0, `192.0.2.${i + 1}`);
        const prefixes: Prefix<number>[] = [];
        const seen = new Set<string>();
        for (let i = 0; i < 1200; i++) {
          const size = i % 2 === 0 ? 4 : 16;
          const length = pick(random, 8) === 0 ? pick(random, 3) : pick(random, size * 8 + 1);
          // Few different octets, so that prefixes cover one another.
          const octets = Buffer.from(
            Array.from({ length: size }, () => [0, 0x80, 0xff, 0x5a][pick(random, 4)] as number),
          );
          for (let bit = length; bit < size * 8; bit++) octets[bit >> 3]! &= ~(0x80 >> (bit & 7));
          const name = `${octets.toString("hex")}/${length}`;
          const isNew = !seen.has(name);
          seen.add(name);
          const wide = size === 4 ? Buffer.concat([Buffer.from("00000000000000000000ffff", "hex"), octets]) : octets;
          const key = [0, 4, 8, 12].map((at) => wide.readUInt32BE(at)) as unknown as readonly [
            number,
            number,
            number,
            number,
          ];
          const target = pick(random, 50);
          rig.tables.setRoute(
            0,
            { kind: size === 4 ? "ipv4" : "ipv6", length, key },
            { kind: "vtep", index: target },
            isNew,
          );
          prefixes.push({ octets, length, target });
        }
        await rig.commit();
        let wrong = "";
        for (let i = 0; i < 4000; i++) {
          const size = i % 2 === 0 ? 4 : 16;
          const near = prefixes[pick(random, prefixes.length)] as Prefix<number>;
          const octets = Buffer.from(
            near.octets.length === size && i % 3 === 0
              ? near.octets
              : Array.from({ length: size }, () => [0, 0x80, 0xff, 0x5a][pick(random, 4)] as number),
          );
          if (i % 5 === 0) octets[pick(random, size)]! ^= 1 << pick(random, 8);
          const got =
            size === 4
              ? rig.inner.routePrefix4?.(0, 0, octets.readInt32BE(0))
              : rig.inner.routePrefix6?.(0, 0, octets.readBigUInt64BE(0), octets.readBigUInt64BE(8));
          const want = longestPrefix(prefixes, octets);
          const found = (got as number) >>> 0;
          if (found !== (want === undefined ? 0 : vtepOwner(want)))
            wrong = `seed ${seed} ${octets.toString("hex")}: ${found.toString(16)} instead of ${want}`;
        }
        t.equal(wrong, "");
      }
    });

    t.test("routes: the hash in the module is the hash of the writer", async (t) => {
      const rig = await open();
      const random = randomOf(3);
      let wrong = 0;
      for (let i = 0; i < 2000; i++) {
        const [seed, tag, a, b, c, d] = Array.from({ length: 6 }, () => random()) as [
          number,
          number,
          number,
          number,
          number,
          number,
        ];
        const hi = (BigInt(a) << 32n) | BigInt(b);
        const lo = (BigInt(c) << 32n) | BigInt(d);
        if ((rig.inner.routeHash?.(seed | 0, tag | 0, hi, lo) as number) >>> 0 !== routeHash(seed, tag, [a, b, c, d]))
          wrong++;
      }
      t.equal(wrong, 0);
      t.equal(
        (rig.inner.routeVtepOf?.(0, 0, 0n, 0xffff_c000_020an) as number) >>> 0,
        2,
        "index + 1 of the second VTEP",
      );
      t.equal(rig.inner.routeNetworkOf?.(0, 43), 2);
      t.equal(rig.inner.routeNetworkOf?.(0, 44), 0);
      t.equal((rig.inner.routeMac?.(0, 1, BigInt(mac(3))) as number) >>> 0, portOwner(2));
      t.equal(rig.inner.routeMac?.(0, 0, BigInt(mac(3))), 0, "another network's MAC");
    });

    t.test("BUM rate: a burst, then so many a second, up to the burst again, whatever the clock shows", async (t) => {
      for (const start of [0, 1, 1_000_000, 2 ** 32 - 1500]) {
        const rig = await open({}, { bumRate: 100, bumBurst: 20 });
        const pass = (ms: number, n: number): number => {
          const before = rig.counter("flood_egress");
          const frames = Array.from({ length: n }, () => ({ port: 0, frame: ethernet({ src: mac(1) }) }));
          rig.egress(frames, (start + ms) >>> 0);
          return rig.counter("flood_egress") - before;
        };
        const name = `clock starts at ${start}`;
        t.equal(pass(0, 100), 20, `${name}: the burst`);
        t.equal(pass(0, 100), 0, `${name}: nothing in the same millisecond`);
        t.equal(pass(11, 100), 1, `${name}: one after 11 ms`);
        t.equal(pass(111, 100), 10, `${name}: ten more after 100 ms`);
        let sum = 0;
        for (let ms = 112; ms < 2112; ms++) sum += pass(ms, 1);
        t.ok(sum >= 199 && sum <= 201, `${name}: ${sum} in two seconds of one frame a millisecond`);
        t.equal(pass(1_000_000, 100), 20, `${name}: the burst again after a pause`);
        rig.egress([{ port: 1, frame: ethernet({ src: mac(2) }) }], (start + 1_000_000) >>> 0);
        t.equal(
          rig.drops()["egress/bum_rate"],
          rig.counter("in_egress") - rig.counter("flood_egress"),
          `${name}: another port has its own`,
        );
        t.equal(rig.missing("egress"), 0);
      }
      const slow = await open({}, { bumRate: 1, bumBurst: 120 });
      slow.egress(
        Array.from({ length: 128 }, () => ({ port: 0, frame: ethernet({ src: mac(1) }) })),
        5000,
      );
      t.equal(slow.counter("flood_egress"), 120, "the first burst is whole, however slow the rate");
    });
  });
}

t.test("memory: what the module reads of the plan is what the plan says", async (t) => {
  const rig = new Rig("release", { workers: 3 });
  for (let worker = 0; worker < 3; worker++) {
    const record = rig.address("WORKER", 0, worker);
    const fields = {
      counters: "COUNTERS",
      portCounters: "PORT_COUNTERS",
      rxDescs: "RX_DESCS",
      txOps: "TX_OPS",
      iovs: "IOVS",
    } as const;
    for (const [field, region] of Object.entries(fields)) {
      t.equal(rig.field("Worker", field, record), rig.address(region, 0, worker), `worker ${worker} ${field}`);
    }
  }
  t.equal(layout("RxDesc").size, 128);
  t.same(ip("2001:db8::1").toString("hex"), "20010db8000000000000000000000001");
});
