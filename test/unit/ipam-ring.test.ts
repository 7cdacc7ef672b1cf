/** Who owns which addresses, computed from grants: whatever grants there are, and whatever part of honest ones has arrived. */
import fc from "fast-check";
import t from "tap";
import {
  ANCHOR,
  firstGrantable,
  type Grant,
  type Ownership,
  owners,
  positionOf,
  type Removed,
  ringId,
  upperHalf,
} from "../../packages/control/src/ipam/ring.js";
import { pick, randomOf } from "../models/random.js";

const SIZE = 256;
const ring = { id: "blue@1", size: SIZE, founder: "A" };
const NOBODY = removed([]);
const NODES = ["A", "B", "C", "D", "E"];

function removed(gone: readonly string[], by: string | null = null): Removed {
  return { has: (node) => gone.includes(node), remover: () => by };
}
let version = 0;
function grant(writer: string, start: number, end: number, to: string, epoch: number): Grant {
  return { writer, version: ++version, start, end, to, epoch };
}
function listing({ ranges }: Ownership): string[] {
  return ranges.map(({ start, end, owner, epoch, heirOf }) =>
    [`${start}-${end} ${owner} ${epoch}`, ...(heirOf === null ? [] : [`heir of ${heirOf}`])].join(" "),
  );
}
function isWhole({ ranges }: Ownership): boolean {
  const edges = [0, ...ranges.map(({ end }) => end)];
  return edges.at(-1) === SIZE && ranges.every(({ start, end }, i) => start === edges[i] && end > start);
}

t.test("the founder has everything; grants move parts of it on", async (t) => {
  t.same(listing(owners(ring, [], NOBODY)), ["0-256 A 0"]);
  const grants = [grant("A", 128, 256, "B", 1), grant("B", 192, 256, "C", 2), grant("C", 200, 201, "A", 3)];
  t.same(listing(owners(ring, grants, NOBODY)), [
    "0-128 A 0",
    "128-192 B 1",
    "192-200 C 2",
    "200-201 A 3",
    "201-256 C 2",
  ]);
  t.same(listing(owners(ring, grants.slice(1), NOBODY)), ["0-256 A 0"], "a link of the chain has not come yet");
});

t.test("a grant that its writer could not make has no effect and is counted", async (t) => {
  const base = [grant("A", 128, 256, "B", 1), grant("B", 200, 201, "C", 2)];
  const before = listing(owners(ring, base, NOBODY));
  for (const [why, wrong] of Object.entries({
    "not the owner": grant("C", 64, 100, "C", 1),
    "not the whole range": grant("A", 100, 140, "C", 1),
    "over another's part": grant("B", 190, 210, "D", 2),
    "past the end": grant("B", 250, 257, "C", 2),
    empty: grant("A", 60, 60, "C", 1),
    backwards: grant("A", 60, 50, "C", 1),
    "an epoch too early": grant("B", 210, 220, "C", 1),
    "an epoch too late": grant("B", 210, 220, "C", 3),
    "the first two of a range": grant("B", 129, 140, "C", 2),
    "the first of all": grant("A", 0, 10, "C", 1),
    "to itself, with nobody removed": grant("B", 201, 256, "B", 2),
    "given already": grant("A", 128, 256, "D", 1),
  })) {
    const found = owners(ring, [...base, wrong], NOBODY);
    t.same(listing(found), before, why);
    t.equal(found.ignored, 1, why);
  }
  t.same(
    listing(owners(ring, [...base, grant("C", 200, 201, "D", 3)], NOBODY))[2],
    "200-201 D 3",
    "a single index passes on",
  );
});

t.test("a removed node's ranges go to the owner of the next one clockwise, and to no other", async (t) => {
  const grants = [grant("A", 128, 256, "B", 1), grant("B", 192, 256, "C", 2), grant("A", 64, 65, "D", 1)];
  t.same(listing(owners(ring, grants, removed(["B"]))), [
    "0-64 A 0",
    "64-65 D 1",
    "65-128 A 0",
    "128-192 C 1 heir of B",
    "192-256 C 2",
  ]);
  t.match(listing(owners(ring, grants, removed(["C"]))).at(-1), "192-256 A 2 heir of C", "around the end");
  t.match(
    listing(owners(ring, grants, removed(["B", "C"]))).at(-2),
    "128-192 A 1 heir of B",
    "past another removed one",
  );
  t.match(listing(owners(ring, grants, removed(["A"])))[0], "0-64 B 0 heir of A", "a single index inherits nothing");
  const all = owners(ring, grants, removed(["A", "B", "C", "D"], "E"));
  t.ok(
    all.ranges.every(({ owner, heirOf }) => owner === "E" && heirOf !== null),
    "nobody is left: who removed them",
  );
  t.equal(owners(ring, [], removed(["A"])).ranges[0]?.owner, null, "nobody at all");
});

t.test("an heir stays the heir whatever it does next", async (t) => {
  const grants = [grant("A", 128, 256, "C", 1), grant("A", 64, 128, "B", 1)];
  const gone = removed(["B"]);
  const given = [...grants, grant("C", 130, 256, "D", 2)];
  t.match(listing(owners(ring, given, gone))[1], "64-128 C 1 heir of B", "it has given all it can");
  const taken = [...given, grant("C", 64, 128, "C", 2)];
  t.match(listing(owners(ring, taken, gone))[1], "64-128 C 2");
  const passed = [...taken, grant("C", 96, 128, "D", 3)];
  t.same(listing(owners(ring, passed, gone)).slice(1, 3), ["64-96 C 2", "96-128 D 3"]);
  t.same(
    listing(owners(ring, passed, removed(["B", "C"]))).slice(1, 4),
    ["64-96 D 2 heir of C", "96-128 D 3", "128-130 D 1 heir of C"],
    "then it is removed itself",
  );
  const late = [...taken, grant("B", 100, 128, "E", 2)];
  t.same(listing(owners(ring, late, gone)).slice(1, 3), ["64-100 C 2", "100-128 E 2"], "a grant that came late");
});

const anyGrant = fc
  .record({
    writer: fc.constantFrom(...NODES),
    version: fc.nat(),
    start: fc.integer({ min: 0, max: SIZE }),
    end: fc.integer({ min: 0, max: SIZE + 1 }),
    to: fc.constantFrom(...NODES),
    epoch: fc.integer({ min: 0, max: 4 }),
  })
  .map((one): Grant => one);
/** A writer numbers its records: no two have one version. */
const anyGrants = fc.uniqueArray(anyGrant, { maxLength: 60, selector: ({ version }) => version });

t.test("whatever grants there are, ranges are whole and do not depend on the order of the records", async () => {
  fc.assert(
    fc.property(anyGrants, fc.subarray(NODES), fc.integer(), (grants, gone, seed) => {
      const found = owners(ring, grants, removed(gone));
      const random = randomOf(seed);
      const mixed = [...grants].sort(() => pick(random, 3) - 1);
      return (
        isWhole(found) &&
        found.ignored <= grants.length &&
        JSON.stringify(owners(ring, mixed, removed(gone))) === JSON.stringify(found) &&
        found.ranges.every(
          ({ owner, heirOf }) => owner === null || !gone.includes(owner) === (heirOf === null || !gone.includes(owner)),
        )
      );
    }),
  );
});

/**
 * Honest nodes that each know a part of the records. `knows` has the positions of the grants; own ones are always among them.
 * A node uses an index when it owns it in its own view, and grants only what it does not use.
 */
t.test("no index is ever used by two nodes, whatever part of the records each of them knows", async (t) => {
  let uses = 0;
  let takeovers = 0;
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const random = randomOf(seed);
      const chance = (percent: number): boolean => pick(random, 100) < percent;
      const written: Grant[] = [];
      const gone: string[] = [];
      const nodes = NODES.map((name) => ({
        name,
        knows: new Set<Grant>(),
        gone: new Set<string>(),
        used: new Set<number>(),
      }));
      const view = (node: (typeof nodes)[number]): Ownership =>
        owners(ring, node.knows, { has: (name) => node.gone.has(name), remover: () => null });
      const write = (node: (typeof nodes)[number], one: Grant): void => {
        written.push(one);
        node.knows.add(one);
      };
      for (let step = 0; step < 120; step++) {
        const node = nodes[pick(random, nodes.length)] as (typeof nodes)[number];
        if (gone.includes(node.name)) continue;
        const own = view(node).ranges.filter(({ owner, heirOf }) => owner === node.name && heirOf === null);
        const range = own[pick(random, own.length)];
        const what = pick(random, 100);
        if (what < 40) {
          // Gossip: any record that anybody has written, and tombstones as the operator's word gets around.
          for (const one of written) if (chance(30)) node.knows.add(one);
          for (const name of gone) if (chance(50)) node.gone.add(name);
        } else if (what < 60 && range) {
          const index = range.start + pick(random, range.end - range.start);
          if (nodes.some((other) => !gone.includes(other.name) && other !== node && other.used.has(index)))
            return false;
          node.used.add(index);
          uses++;
        } else if (what < 85 && range) {
          const start = firstGrantable(range) + pick(random, 8);
          const end = chance(30) ? start + 1 : Math.min(range.end, start + 1 + pick(random, 100));
          const to = NODES[pick(random, NODES.length)] as string;
          const isUsed = [...node.used].some((index) => index >= start && index < end);
          if (end <= range.end && !isUsed && to !== node.name)
            write(node, grant(node.name, start, end, to, range.epoch + 1));
        } else if (what < 95) {
          for (const { owner, heirOf, start, end, epoch } of view(node).ranges)
            if (owner === node.name && heirOf !== null) {
              write(node, grant(node.name, start, end, node.name, epoch + 1));
              takeovers++;
            }
        } else if (what < 97) {
          // A restart: others' records are to be heard again, except what the removed had said (see ring.ts).
          for (const one of node.knows)
            if (one.writer !== node.name && !gone.includes(one.writer)) node.knows.delete(one);
        } else if (gone.length < 3) {
          // Everybody hears what a node had written before anybody removes it.
          gone.push(node.name);
          for (const other of nodes) for (const one of written) if (one.writer === node.name) other.knows.add(one);
        }
      }
      return true;
    }),
    { numRuns: process.env["WEFT_TEST_LONG"] === "1" ? 20_000 : 1000 },
  );
  t.ok(uses > 1000 && takeovers > 20, `${uses} uses, ${takeovers} takeovers`);
});

t.test("half of a gap is given, aligned where that costs little", async (t) => {
  t.same(upperHalf({ start: 2, end: 1024 }, 1), { start: 512, end: 1024 });
  t.same(upperHalf({ start: 2, end: 2 ** 20 - 1 }, 1), { start: 2 ** 19, end: 2 ** 20 - 1 });
  t.same(upperHalf({ start: 5, end: 6 }, 1), { start: 5, end: 6 }, "the only one");
  t.same(upperHalf({ start: 0, end: 16 }, 12), { start: 4, end: 16 }, "more where more is wanted");
  t.same(upperHalf({ start: 0, end: 16 }, 40), { start: 0, end: 16 }, "all, at most");
  fc.assert(
    fc.property(
      fc.nat(5000),
      fc.integer({ min: 1, max: 5000 }),
      fc.integer({ min: 1, max: 100 }),
      (from, length, count) => {
        const { start, end } = upperHalf({ start: from, end: from + length }, count);
        return start >= from && end === from + length && end - start >= Math.min(length, Math.max(1, count));
      },
    ),
  );
});

t.test("positions, anchors and names", async (t) => {
  const { ranges } = owners(ring, [grant("A", 128, 256, "B", 1)], NOBODY);
  t.same(
    [0, 127, 128, 255, 256].map((index) => positionOf(ranges, index)),
    [0, 0, 1, 1, 2],
  );
  t.equal(firstGrantable({ start: 8, end: 10 }), 8 + ANCHOR);
  t.equal(firstGrantable({ start: 8, end: 9 }), 8);
  const network = { founder: "A", createdAt: 1, cidr4: "10.0.0.0/24", cidr6: null };
  t.match(ringId("blue", network), /^blue@[0-9a-f]{12}$/);
  t.not(ringId("blue", network), ringId("blue", { ...network, createdAt: 2 }), "made again: another ring");
});
