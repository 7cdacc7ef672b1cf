/**
 * What the mesh does and costs at 500 nodes, on a virtual clock: convergence and octets per node for a join, a leave, a power cut, a partition
 * and its healing, and the steady state beside that of 50 nodes. Octets are those of messages; TLS adds 22 and TCP/IP 40 to 60 to each segment.
 *
 * Everything is the product's, and every signature is real; that a good one was seen before is remembered across nodes (mesh-world.ts).
 *
 * The partition and its healing are those of 200 nodes, as each of 500 nodes then hears of each other one several times, which takes a
 * minute. The long form does them with 500, and lets 500 nodes find each other from nothing. Otherwise they begin with links, about six each:
 * who has found others in a hurry has more, and gives them up during the next minutes.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { LinkGraph } from "../../packages/control/src/mesh/graph.js";
import { Identity, verify } from "../../packages/control/src/mesh/identity.js";
import { MeshWorld, type SimNode } from "./mesh-world.js";

const LONG = process.env.WEFT_TEST_LONG === "1";
const NODES = 500;
const PARTED = LONG ? NODES : 200;
/** The steady state is measured so long. */
const QUIET_MS = LONG ? 30_000 : 10_000;

interface Row {
  readonly phase: string;
  readonly nodes: number;
  /** Virtual milliseconds until 99 % of nodes, and all, had got there; undefined: never. */
  readonly toMost: number | undefined;
  readonly toAll: number | undefined;
  /** Octets a node has sent. */
  readonly mean: number;
  readonly most: number;
}

/** @param isSo whether a node has got where all should be */
async function measured(
  world: MeshWorld,
  phase: string,
  ms: number,
  act: () => void,
  isSo: (node: SimNode) => boolean,
): Promise<Row> {
  const before = new Map(world.up.map((node) => [node, node.sent]));
  const start = world.clock.now;
  act();
  const nodes = world.up;
  const time = async (wanted: number): Promise<number | undefined> => {
    const took = await world.until(ms, () => nodes.filter(isSo).length >= wanted * nodes.length);
    return took === undefined ? undefined : world.clock.now - start;
  };
  const toMost = await time(0.99);
  const toAll = await time(1);
  // What comes after belongs to it.
  await world.run(3000);
  const octets = nodes.map((node) => node.sent - (before.get(node) ?? 0));
  const mean = octets.reduce((a, b) => a + b, 0) / octets.length;
  return { phase, nodes: nodes.length, toMost, toAll, mean, most: Math.max(...octets) };
}

function line({ phase, nodes, toMost, toAll, mean, most }: Row): string {
  const time = (ms: number | undefined): string => (ms === undefined ? "never" : `${(ms / 1000).toFixed(2)} s`);
  const kibi = (octets: number): string => (octets / 1024).toFixed(1);
  return (
    phase.padEnd(20) +
    [nodes, time(toMost), time(toAll), kibi(mean), kibi(most)].map((cell) => String(cell).padStart(14)).join("")
  );
}

const alive = (node: SimNode): number => 1 + node.alive.size;
const within = (ms: number | undefined, limit: number): boolean => ms !== undefined && ms <= limit;

/** Nodes that know of each other and have links, or none yet. @returns virtual milliseconds until all see all */
async function formed(world: MeshWorld, nodes: number, isLinked: boolean): Promise<number | undefined> {
  world.begin(nodes, { keepsJournals: false, isLinked });
  return world.until(60_000, () => world.up.every((node) => alive(node) === nodes));
}

/** A network in which nothing happens any more. @returns octets that a node sends in a second */
async function steadyRate(world: MeshWorld, settlesMs: number): Promise<number> {
  await world.run(settlesMs);
  const all = world.up;
  const before = all.map((node) => node.sent);
  await world.run(QUIET_MS);
  const sum = all.reduce((octets, node, i) => octets + node.sent - (before[i] as number), 0);
  return (sum * 1000) / QUIET_MS / all.length;
}

const rows: Row[] = [];

t.test(`${NODES} nodes: steady state, join, leave, power cut`, { timeout: 1_200_000 }, async (t) => {
  const small = new MeshWorld(1);
  const took = await formed(small, 50, false);
  t.comment(`50 nodes found each other from nothing in ${took} ms`);
  t.not(took, undefined);
  const few = await steadyRate(small, 30_000);
  const world = new MeshWorld(2);
  t.not(await formed(world, NODES, true), undefined);
  const many = await steadyRate(world, 5000);
  const nodes = world.up;
  const degrees = nodes.map((node) => node.mesh.channels().length);
  const degree = degrees.reduce((a, b) => a + b, 0) / NODES;
  t.comment(`control links of a node: mean ${degree.toFixed(1)}, most ${Math.max(...degrees)}`);
  t.ok(Math.max(...degrees) <= 16, "links of a node are bounded");
  t.comment(`steady state, octets/s and node: ${few.toFixed(0)} at 50, ${many.toFixed(0)} at ${NODES}`);
  t.ok(many <= 2 * few, "the steady state costs a node at most twice what it costs at 50");

  let newcomer: SimNode | undefined;
  const join = await measured(
    world,
    "join",
    10_000,
    () => {
      newcomer = world.join(nodes[7] as SimNode, "newcomer");
    },
    (node) => node === newcomer || node.alive.has((newcomer as SimNode).id),
  );
  t.ok(within(join.toMost, 5000), "99 % of nodes know of a join within 5 s");
  t.not(join.toAll, undefined, "all know of it");

  const leaver = nodes[11] as SimNode;
  const leave = await measured(
    world,
    "leave",
    10_000,
    () => leaver.stop(),
    (node) => !node.alive.has(leaver.id),
  );
  t.ok(within(leave.toAll, 5000), "all know of a leave within 5 s");

  const dead = nodes[22] as SimNode;
  const cut = await measured(
    world,
    "power cut",
    10_000,
    () => dead.vanish(),
    (node) => !node.alive.has(dead.id),
  );
  t.ok(within(cut.toAll, 5000), "all know of a power cut within 5 s");
  rows.push(join, leave, cut);
  const mebi = process.memoryUsage().rss / 2 ** 20;
  t.comment(`this process: ${mebi.toFixed(0)} MiB, ${(mebi / NODES).toFixed(1)} MiB a node`);
});

t.test(`${PARTED} nodes: partition and healing`, { timeout: 1_200_000 }, async (t) => {
  const world = new MeshWorld(3);
  t.not(await formed(world, PARTED, true), undefined);
  await world.run(10_000);
  const nodes = world.up;
  const left = new Set(nodes.filter((_, i) => i % 2 === 0));
  const partition = await measured(
    world,
    "partition in halves",
    20_000,
    () => {
      world.isCut = (from, to) => left.has(from) !== left.has(to);
    },
    (node) => alive(node) === PARTED / 2,
  );
  t.ok(within(partition.toAll, 5000), "all nodes know within 5 s who is in their half");

  const writer = nodes[3] as SimNode;
  writer.mesh.records.put("dns", "apart", { ips: ["10.32.0.1"], srv: [] });
  await world.run(10_000);
  t.notOk([...left].some((node) => node.mesh.records.get(writer.id, "dns", "apart")));
  const heal = await measured(
    world,
    "healing",
    20_000,
    () => {
      world.isCut = () => false;
    },
    (node) => alive(node) === PARTED && node.mesh.records.get(writer.id, "dns", "apart") !== undefined,
  );
  t.ok(within(heal.toAll, 5000), "both halves are one again within 5 s, and know what was written meanwhile");
  t.not(
    await world.until(30_000, () => new Set(nodes.map((node) => node.mesh.digest)).size === 1),
    undefined,
    "all have the same records",
  );
  rows.push(partition, heal);
});

if (LONG)
  t.test(`${NODES} nodes find each other from nothing`, { timeout: 1_200_000 }, async (t) => {
    const took = await formed(new MeshWorld(4), NODES, false);
    t.comment(`${NODES} nodes found each other from nothing in ${took} ms`);
    t.not(took, undefined);
  });

t.test("what a node computes", async (t) => {
  const identity = await Identity.fromSeed(randomBytes(32));
  const octets = randomBytes(400);
  const signature = identity.sign(octets);
  const perRecord = fastest(() => t.ok(verify(signature, octets, identity.publicKey)));
  t.comment(`to verify a record of 400 octets: ${perRecord.toFixed(2)} ms`);
  for (const nodes of [NODES, 4096]) {
    const ids = Array.from({ length: nodes }, (_, i) => `node${i}`);
    // Six links a node, as far from each other as they get.
    const linksOf = (i: number): string[] =>
      [1, 31, 241].flatMap((d) => [ids[(i + d) % nodes] as string, ids.at((i - d) % nodes) as string]);
    const graph = new LinkGraph("node0");
    graph.build(
      ids,
      ids.map((id, i) => [id, linksOf(i)]),
    );
    const ms = fastest(
      () => graph.walk(),
      () => {
        graph.state("node1", linksOf(1));
        graph.state("node1", linksOf(1).slice(1));
      },
    );
    t.equal(graph.reached.size, nodes - 1);
    t.comment(`to walk through the graph of ${nodes} nodes after a link has gone: ${ms.toFixed(2)} ms`);
  }
});

/** Milliseconds of the fastest of some runs, each after a preparation that is not timed. */
function fastest(run: () => void, prepare: () => void = () => undefined): number {
  const times = Array.from({ length: 50 }, () => {
    prepare();
    const start = performance.now();
    run();
    return performance.now() - start;
  });
  return Math.min(...times);
}

t.test("in one table", async (t) => {
  const heads = ["nodes", "99 % after", "all after", "KiB/node mean", "KiB/node most"];
  t.comment("phase".padEnd(20) + heads.map((head) => head.padStart(14)).join(""));
  for (const row of rows) t.comment(line(row));
  t.equal(rows.length, 5);
  // A process that ends while V8 still compiles a function with such a heap can hang (nodejs/node#54918).
  await sleep(500);
});
