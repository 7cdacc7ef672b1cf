/** Whatever nodes write and however they are parted: when they are together again, all have the same. */
import fc from "fast-check";
import t from "tap";
import { MeshWorld, newIdentity, nodeValue, type SimNode, signedRecord } from "../sim/mesh-world.js";

const isSame = (nodes: readonly SimNode[]): boolean => new Set(nodes.map((n) => n.mesh.digest)).size === 1;
const isWhole = (nodes: readonly SimNode[]): boolean => nodes.every((n) => n.alive.size === nodes.length - 1);

const step = fc.oneof(
  fc.record({ what: fc.constant("put" as const), node: fc.nat(7), id: fc.nat(5) }),
  fc.record({ what: fc.constant("take back" as const), node: fc.nat(7), id: fc.nat(5) }),
  fc.record({ what: fc.constant("part" as const), node: fc.nat(255), id: fc.nat(1) }),
  fc.record({ what: fc.constant("kill" as const), node: fc.nat(7), id: fc.nat(3000) }),
  fc.record({ what: fc.constant("wait" as const), node: fc.nat(7), id: fc.nat(4000) }),
);

t.test("all are equal after healing", async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.array(step, { maxLength: 25 }), async (seed, steps) => {
      const world = new MeshWorld(seed);
      const nodes = world.begin(8);
      await world.run(3000);
      for (const { what, node: n, id } of steps) {
        const node = nodes[n % nodes.length] as SimNode;
        if (what === "put") node.mesh.records.put("dns", `d${id}`, { ips: [`10.0.0.${id}`], srv: [] });
        else if (what === "take back") node.mesh.records.remove("dns", `d${id}`);
        else if (what === "part") {
          const side = (one: SimNode): number => (n >> nodes.indexOf(one)) & 1;
          // Also one-way.
          world.isCut = (from, to) => (id === 0 ? side(from) !== side(to) : side(from) > side(to));
        } else if (what === "kill") {
          node.kill();
          await world.run(id);
          node.start();
        } else await world.run(id);
      }
      world.isCut = () => false;
      const took = await world.until(30_000, () => isSame(nodes) && isWhole(nodes));
      if (took === undefined)
        throw new Error(`after 30 s: ${nodes.map((one) => `${one.mesh.digest} ${one.alive.size}`)}`);
      for (const { mesh } of nodes) mesh.stop();
    }),
    { numRuns: process.env.WEFT_TEST_LONG === "1" ? 1000 : 25 },
  );
});

t.test("a join is known everywhere, a removed node is out everywhere and learns it, also later", async (t) => {
  const world = new MeshWorld(5);
  const nodes = world.begin(6);
  await world.run(3000);
  const [first, second, third] = nodes as [SimNode, SimNode, SimNode];
  const joined = world.join(third, "new");
  const all = [...nodes, joined];
  t.not(await world.until(3000, () => isWhole(all) && isSame(all)), undefined, "joined");

  let expelledBy = "";
  third.mesh.records.on((event) => {
    if (event.type === "expelled") expelledBy = event.by;
  });
  second.kill();
  first.mesh.expel(third.id);
  const rest = all.filter((one) => one !== third && one !== second);
  t.not(await world.until(4000, () => rest.every((one) => one.mesh.records.isRemoved(third.id))), undefined);
  t.not(await world.until(4000, () => rest.every((one) => one.alive.size === rest.length - 1)), undefined);
  t.equal(expelledBy, first.id);
  t.equal(third.mesh.channels().length, 0);

  // One that was off meanwhile, and the removed one again: it may tell what it likes.
  second.start();
  third.kill();
  third.start();
  third.mesh.records.put("member", newIdentity().id, { name: "friend", at: 0 });
  third.mesh.connect(second.id);
  t.not(
    await world.until(20_000, () => rest.concat(second).every((one) => one.mesh.digest === first.mesh.digest)),
    undefined,
  );
  t.ok(rest.concat(second).every((one) => one.mesh.records.members().length === 6));
  t.equal(third.mesh.channels().length, 0);
});

t.test("those of the highest rank repeat that a node was removed", async (t) => {
  const world = new MeshWorld(8);
  const nodes = world.begin(12);
  await world.run(3000);
  const [founder, ...others] = nodes as [SimNode, ...SimNode[]];
  // Of the highest rank, and below all others.
  const last = others.at(-1) as SimNode;
  const writer = others.at(-2) as SimNode;
  writer.mesh.expel(last.id);
  const upTo = writer.mesh.records.get(writer.id, "removed", last.id)?.upTo;
  const repeated = (): SimNode[] =>
    nodes.filter(({ id }) => writer.mesh.records.get(id, "removed", last.id) !== undefined);
  t.not(await world.until(5000, () => repeated().length === 9), undefined, "eight, and the first one");
  const ids = (some: readonly SimNode[]): string[] => some.map(({ id }) => id).sort();
  t.same(ids(repeated()), ids([...nodes.slice(0, 8), writer]));
  const { upTo: to, by } = writer.mesh.records.get(founder.id, "removed", last.id) ?? {};
  t.equal(to, upTo, "believed no further");
  t.equal(by, writer.id, "and it is still known who has removed it");
  await world.run(10_000);
  t.equal(repeated().length, 9);
});

t.test("a machine that was copied is found out", async (t) => {
  const world = new MeshWorld(6);
  const nodes = world.begin(4);
  await world.run(15_000);
  const [, victim, other] = nodes as [SimNode, SimNode, SimNode];
  let alarms = 0;
  victim.mesh.onCloned(() => alarms++);
  const copied = signedRecord<"node">(victim.identity, "node", 500, nodeValue("copy"));
  other.mesh.admit(
    victim.id,
    "x",
    Buffer.concat([Buffer.from(victim.id, "base64url"), Buffer.from([0, 1]), copied.octets]),
  );
  await world.run(2000);
  t.equal(alarms, 1);
  t.ok(victim.mesh.isCloned);
});

t.test("a dead node is dead everywhere soon, one that is parted comes back by itself", async (t) => {
  const world = new MeshWorld(7);
  const nodes = world.begin(8);
  await world.run(3000);
  const [dead, ...rest] = nodes as [SimNode, ...SimNode[]];
  dead.kill();
  const gone = await world.until(5000, () => rest.every((one) => !one.alive.has(dead.id)));
  t.ok((gone ?? 1e9) < 3000, `${gone} ms`);
  dead.start();
  const back = await world.until(5000, () => isWhole(nodes));
  t.ok((back ?? 1e9) < 3000, `${back} ms`);
  world.isCut = (from, to) => nodes.indexOf(from) < 4 !== nodes.indexOf(to) < 4;
  t.not(await world.until(6000, () => nodes.every((one) => one.alive.size === 3)), undefined);
  await world.run(60_000);
  world.isCut = () => false;
  const healed = await world.until(10_000, () => isWhole(nodes));
  t.ok((healed ?? 1e9) < 5000, `${healed} ms after the heal`);
});
