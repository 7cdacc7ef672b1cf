/** Who is in reach, kept up to date record by record, against a search over everything. */
import fc from "fast-check";
import t from "tap";
import { LinkGraph } from "../../packages/control/src/mesh/graph.js";

const NODES = ["a", "b", "c", "d", "e", "f", "g"];

/** By the definition: members that we can get to over links that both ends state. */
function reachable(stated: ReadonlyMap<string, readonly string[]>, members: ReadonlySet<string>): string[] {
  const isMutual = (x: string, y: string): boolean =>
    (stated.get(x)?.includes(y) ?? false) && (stated.get(y)?.includes(x) ?? false);
  const reached = new Set(["a"]);
  for (const x of reached) for (const y of members) if ((members.has(x) || x === "a") && isMutual(x, y)) reached.add(y);
  reached.delete("a");
  return [...reached].sort();
}

const node = fc.constantFrom(...NODES);
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ node, to: fc.array(node, { maxLength: 5 }) }) },
  { weight: 1, arbitrary: fc.record({ members: fc.subarray(NODES) }) },
  { weight: 3, arbitrary: fc.constant("walk" as const) },
);

t.test("whatever nodes state, in whatever order, and whenever it is looked at", async () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const graph = new LinkGraph("a");
      const stated = new Map<string, readonly string[]>();
      let members = new Set(NODES);
      const seen = new Set<string>();
      const walk = (): void => {
        const hadChanged = graph.hasChanged;
        const { came, gone } = graph.walk();
        if (!hadChanged && came.length + gone.length > 0) throw new Error("changed without saying so");
        for (const one of came) if (seen.has(one) || !seen.add(one)) throw new Error(`${one} came twice`);
        for (const one of gone) if (!seen.delete(one)) throw new Error(`${one} went twice`);
        const [is, told] = [graph.reached, seen].map((all) => [...all].sort().join());
        const should = reachable(stated, members).join();
        if (is !== should || told !== should) throw new Error(`reached ${is}, told ${told}, should be ${should}`);
      };
      graph.build(members, stated);
      for (const one of [...steps, "walk" as const]) {
        if (one === "walk") walk();
        else if ("members" in one) {
          members = new Set(one.members);
          graph.build(members, stated);
        } else {
          stated.set(one.node, one.to);
          graph.state(one.node, one.to);
        }
      }
    }),
    { numRuns: process.env.WEFT_TEST_LONG === "1" ? 200_000 : 3000 },
  );
});

t.test("what makes no difference to who is in reach needs no walk", async (t) => {
  const graph = new LinkGraph("a");
  graph.build(NODES, [
    ["a", ["b"]],
    ["b", ["a", "c"]],
    ["c", ["b"]],
  ]);
  t.same(graph.walk().came.toSorted(), ["b", "c"]);
  graph.state("c", ["b", "a", "stranger", "c"]);
  t.notOk(graph.hasChanged, "one end alone");
  graph.state("a", ["b", "c"]);
  t.notOk(graph.hasChanged, "one way more");
  graph.state("a", ["c"]);
  t.ok(graph.hasChanged, "one way less");
  t.same(graph.walk(), { came: [], gone: [] });
});
