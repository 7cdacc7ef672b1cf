/** Next hops against Floyd and Warshall's algorithm, and what routing by them must never do. */
import fc from "fast-check";
import t from "tap";
import type { LinksValue } from "../../packages/control/src/mesh/records.js";
import { DataLinks } from "../../packages/control/src/paths/links.js";
import { costOf, edgesOf, NextHops, type OwnLink } from "../../packages/control/src/paths/next-hops.js";

interface Link {
  readonly a: number;
  readonly b: number;
  readonly rttUs: number;
  readonly loss: number;
  /** Only a says it. */
  readonly isOneSided: boolean;
  readonly isControl: boolean;
}
const COUNT = 9;
const name = (i: number): string => `node${i}`;
const links = fc.uniqueArray(
  fc.record({
    a: fc.nat(COUNT - 1),
    b: fc.nat(COUNT - 1),
    // Few values, so that many costs are equal.
    rttUs: fc.constantFrom(100, 1000, 2000, 5000, 80_000),
    loss: fc.constantFrom(0, 0, 62, 250),
    isOneSided: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
    isControl: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
  }),
  { selector: ({ a, b }) => `${Math.min(a, b)}-${Math.max(a, b)}`, maxLength: 30 },
);

function statesOf(all: readonly Link[]): Map<string, LinksValue> {
  const states = new Map<string, { control: string[]; data: LinksValue["data"] }>();
  for (let i = 0; i < COUNT; i++) states.set(name(i), { control: [], data: [] });
  for (const { a, b, rttUs, loss, isOneSided, isControl } of all.filter(({ a, b }) => a !== b)) {
    for (const [from, to] of isOneSided
      ? [[a, b]]
      : [
          [a, b],
          [b, a],
        ]) {
      const state = states.get(name(from as number))!;
      if (isControl) state.control.push(name(to as number));
      else state.data.push({ to: name(to as number), rttUs: from === a ? rttUs : Math.ceil(rttUs / 2), loss });
    }
  }
  return states;
}
function graphOf(states: ReadonlyMap<string, LinksValue>): Map<string, Map<string, number>> {
  return new Map([...states.keys()].map((node) => [node, new Map(edgesOf(states, node))]));
}
function floydWarshall(states: ReadonlyMap<string, LinksValue>): Map<string, Map<string, number>> {
  const graph = graphOf(states);
  const far = new Map([...states.keys()].map((a) => [a, new Map(graph.get(a) ?? [])]));
  for (const k of states.keys())
    for (const i of states.keys())
      for (const j of states.keys()) {
        const cost = (far.get(i)!.get(k) ?? Infinity) + (far.get(k)!.get(j) ?? Infinity);
        if (i !== j && cost < (far.get(i)!.get(j) ?? Infinity)) far.get(i)!.set(j, cost);
      }
  return far;
}
/** Every node as it would choose, with equal records. */
function nodesOf(states: ReadonlyMap<string, LinksValue>): Map<string, NextHops> {
  const graph = graphOf(states);
  return new Map(
    [...states].map(([self, { data }]) => {
      const own: OwnLink[] = data.filter(({ to }) => (graph.get(self)?.get(to) ?? Infinity) < 1e7);
      return [self, new NextHops(self, states, own, new Set())];
    }),
  );
}
t.test("a link that one end alone states is none; figures are the worse of both", async (t) => {
  const states = statesOf([
    { a: 0, b: 1, rttUs: 1000, loss: 10, isOneSided: false, isControl: false },
    { a: 1, b: 2, rttUs: 1000, loss: 0, isOneSided: true, isControl: false },
  ]);
  const graph = graphOf(states);
  t.same(
    [...graph]
      .filter(([, edges]) => edges.size > 0)
      .map(([node]) => node)
      .sort(),
    [name(0), name(1)],
  );
  t.equal(graph.get(name(0))?.get(name(1)), costOf({ rttUs: 1000, loss: 10 }));
  t.equal(graph.get(name(0))?.get(name(1)), graph.get(name(1))?.get(name(0)));
});

t.test("cheapest, as Floyd and Warshall find it, by a first step that is on such a path", async () => {
  fc.assert(
    fc.property(links, (all) => {
      const states = statesOf(all);
      const graph = graphOf(states);
      const far = floydWarshall(states);
      const nodes = nodesOf(states);
      for (const from of states.keys()) {
        for (const to of states.keys()) {
          if (from === to || graph.get(from)!.has(to)) continue;
          const best = far.get(from)!.get(to);
          const found = nodes.get(from)!.nearest(to);
          if (found?.cost !== best) return false;
          if (found && graph.get(from)!.get(found.via)! + far.get(found.via)!.get(to)! !== best) return false;
        }
      }
      return true;
    }),
  );
});

t.test("from equal records no loops, everybody connected is reached, and the ways to a node are a tree", async () => {
  fc.assert(
    fc.property(links, (all) => {
      const states = statesOf(all);
      const nodes = nodesOf(states);
      const graph = graphOf(states);
      const far = floydWarshall(states);
      for (const to of states.keys()) {
        // Who has a link takes it, or tries it first; all others ask the link-state.
        const next = (at: string): string | null =>
          graph.get(at)!.has(to) ? to : (nodes.get(at)!.nearest(to)?.via ?? null);
        const edges = new Map<string, string>();
        for (const from of states.keys()) {
          if (from === to || !far.get(from)!.has(to)) continue;
          const seen = new Set<string>();
          for (let at = from; at !== to; ) {
            if (seen.has(at)) return false;
            seen.add(at);
            const step = next(at);
            if (step === null) return false;
            if (edges.has(at) && edges.get(at) !== step) return false;
            edges.set(at, step);
            at = step;
          }
        }
        // One way out of each node and no circle: a tree with its root at `to`.
        if (edges.has(to)) return false;
      }
      return true;
    }),
  );
});

t.test(
  "a detour leaves out what was tried, prefers who does not lead back, and never is the node itself",
  async (t) => {
    fc.assert(
      fc.property(links, fc.nat(COUNT - 1), fc.nat(COUNT - 1), (all, a, b) => {
        if (a === b) return true;
        const states = statesOf(all);
        const hops = nodesOf(states).get(name(a))!;
        const excluded = new Set<string>();
        for (let i = 0; i < COUNT; i++) {
          const via = hops.detour(name(b), excluded)?.via ?? null;
          if (via === null) return true;
          if (excluded.has(via) || via === name(b) || via === name(a)) return false;
          excluded.add(via);
        }
        return false;
      }),
    );
    // 0 is next to 1, 2 and 3; 1 and 2 are next to 4; 3 reaches it through 0 alone.
    const link = (a: number, b: number, rttUs: number): Link => ({
      a,
      b,
      rttUs,
      loss: 0,
      isOneSided: false,
      isControl: false,
    });
    const states = statesOf([link(0, 1, 1000), link(0, 2, 5000), link(0, 3, 100), link(1, 4, 1000), link(2, 4, 1000)]);
    const hops = nodesOf(states).get(name(0))!;
    t.equal(hops.nearest(name(4))?.via, name(1));
    t.equal(hops.detour(name(4), new Set([name(1)]))?.via, name(2));
    t.equal(hops.detour(name(4), new Set([name(1), name(2)])), null);
  },
);

t.test("own knowledge is fresher than records; control links are the last resort", async (t) => {
  const link = (a: number, b: number, isControl = false): Link => ({
    a,
    b,
    rttUs: 1000,
    loss: 0,
    isOneSided: false,
    isControl,
  });
  const states = statesOf([link(0, 1), link(1, 2), link(0, 3, true), link(3, 2, true)]);
  const own = [{ to: name(1), rttUs: 1000, loss: 0 }];
  t.equal(new NextHops(name(0), states, own, new Set()).nearest(name(2))?.via, name(1));
  t.equal(new NextHops(name(0), states, [], new Set([name(1)])).nearest(name(2))?.via, name(3));
  t.equal(new NextHops(name(0), states, [], new Set([name(1), name(3)])).nearest(name(2)), null);
});

t.test("links are published when something has happened, at most once a second", async (t) => {
  const lists: LinksValue["data"][] = [];
  const published = new DataLinks((list) => void lists.push(list));
  const link = (i: number, rttUs: number, loss = 0): OwnLink => ({ to: name(i), rttUs, loss });
  published.update([], 0);
  t.equal(lists.length, 0, "nothing to say");
  published.update([link(1, 1000)], 100);
  published.update([link(1, 1000), link(2, 300)], 200);
  t.equal(lists.length, 1);
  published.update([link(1, 1000), link(2, 300)], 1100);
  t.same(
    lists[1]?.map(({ to }) => to),
    [name(2), name(1)],
    "cheapest first",
  );
  for (let ms = 1200; ms < 100_000; ms += 100) published.update([link(1, 1000 + (ms % 200)), link(2, 310, 31)], ms);
  t.equal(lists.length, 2, "noise is nothing");
  published.update([link(1, 1000), link(2, 900)], 100_000);
  t.equal(lists.length, 3);
  published.update([link(1, 5000), link(2, 900)], 101_500);
  t.equal(lists.length, 3, "figures alone: once in ten seconds");
  published.update([link(1, 5000)], 101_600);
  t.equal(lists.length, 4);
  published.update(
    Array.from({ length: 200 }, (_, i) => link(i, 1000 + i)),
    103_000,
  );
  t.equal(lists.at(-1)?.length, 128);
  for (const { rttUs, loss } of lists.flat()) t.ok(Number.isInteger(rttUs) && Number.isInteger(loss));
});
