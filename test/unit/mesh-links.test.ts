/** Control links: who is let in, who is turned away and why, and which of two links between the same nodes stays. */
import t from "tap";
import { type Channel, MESSAGE_MAX } from "../../packages/control/src/mesh/channel.js";
import { LINKS_LIMIT, LINKS_MAX } from "../../packages/control/src/mesh/neighbours.js";
import type { NodeId } from "../../packages/control/src/mesh/types.js";
import { decode, encodeHello, encodePing, type Message, PROTOCOL } from "../../packages/control/src/mesh/wire.js";
import { MeshWorld, NETWORK_ID, newIdentity, nodeValue, type SimNode } from "../sim/mesh-world.js";

/** The other end of a link, in a test's hands. */
class Hand implements Channel {
  readonly node: NodeId;
  readonly isOutbound = false;
  readonly remote = "192.0.2.9:6783";
  readonly backlog = 0;
  readonly heard: Message[] = [];
  isOpen = true;
  say!: (message: Uint8Array) => void;

  constructor(node: NodeId) {
    this.node = node;
  }
  send(message: Uint8Array): void {
    this.heard.push(decode(message));
  }
  close(): void {
    this.isOpen = false;
  }
  receive(handlers: Parameters<Channel["receive"]>[0]): void {
    this.say = handlers.message;
  }
  /** Of its last word. */
  get reason(): string | undefined {
    const last = this.heard.at(-1);
    return last?.type === "goodbye" ? last.reason : undefined;
  }
}

const network = Buffer.from(NETWORK_ID, "hex");
function hello(min: number = PROTOCOL.min, max: number = PROTOCOL.max, id: Buffer = network): Buffer {
  const message = encodeHello(id);
  message[5] = min;
  message[6] = max;
  return message;
}

/** A node that knows of `members` others, none of which runs. */
async function alone(members: number): Promise<{ node: SimNode; others: NodeId[]; world: MeshWorld }> {
  const world = new MeshWorld(1);
  const [node, ...rest] = world.begin(members + 1) as [SimNode, ...SimNode[]];
  for (const one of rest) one.kill();
  return { node, others: rest.map(({ id }) => id), world };
}
function greet(node: SimNode, other: NodeId, first: Uint8Array = hello()): Hand {
  const hand = new Hand(other);
  node.accept(hand);
  if (hand.isOpen) hand.say(first);
  return hand;
}

t.test("versions: the ranges must have one in common, and the log says what to do", async (t) => {
  const { node, others } = await alone(6);
  const [older, newer, both, foreign, noise, early] = others as [NodeId, NodeId, NodeId, NodeId, NodeId, NodeId];
  const warnings: string[] = [];
  node.log = { ...node.log, warn: (fields, text) => warnings.push(`${JSON.stringify(fields)} ${text}`) };
  node.stop();
  node.start();
  const refused = greet(node, newer, hello(PROTOCOL.max + 1, PROTOCOL.max + 3));
  t.equal(refused.reason, "protocol");
  t.notOk(refused.isOpen);
  t.equal(greet(node, older, hello(0, PROTOCOL.min - 1)).reason, "protocol");
  t.match(warnings, [/other protocol versions: upgrade the older one/, /upgrade/]);
  t.match(warnings[0], `"speaks":[${PROTOCOL.max + 1},${PROTOCOL.max + 3}]`);
  const taken = greet(node, both, hello(0, PROTOCOL.max + 7));
  t.ok(taken.isOpen);
  t.same(
    node.mesh.channels().map((channel) => channel.node),
    [both],
  );
  t.equal(greet(node, foreign, hello(PROTOCOL.min, PROTOCOL.max, Buffer.alloc(16))).reason, "network");
  t.notOk(greet(node, noise, Buffer.from([77])).isOpen, "no message");
  t.ok(greet(node, early, encodePing("ping", 1)).isOpen, "a ping says nothing");
  t.equal(node.mesh.channels().length, 1, "and makes no link");
  t.equal(greet(node, newIdentity().id).reason, "removed", "who is no member");
  t.equal(node.mesh.stats.closed.get("protocol"), 2);
});

t.test(
  "beyond 16 links members in reach are told whom to try instead; those out of reach get in up to 20",
  async (t) => {
    const { node, others, world } = await alone(30);
    const hands = others.slice(0, LINKS_MAX).map((other) => greet(node, other));
    t.ok(hands.every((hand) => hand.isOpen));
    t.equal(node.mesh.channels().length, LINKS_MAX);
    for (let i = LINKS_MAX; i < LINKS_LIMIT; i++) t.ok(greet(node, others[i] as NodeId).isOpen, "out of reach");
    const late = greet(node, others[25] as NodeId);
    t.equal(late.reason, "full");
    t.notOk(late.isOpen);
    t.equal(node.mesh.channels().length, LINKS_LIMIT);
    await world.run(0);

    // The same with real nodes, which are all in reach: all of them want the first one.
    const crowd = new MeshWorld(2);
    const nodes = crowd.begin(24, { isLinked: true });
    await crowd.run(2000);
    const [first, ...rest] = nodes as [SimNode, ...SimNode[]];
    for (const one of rest) one.mesh.connect(first.id);
    await crowd.run(500);
    // It may just have given one up.
    t.ok(first.mesh.channels().length <= LINKS_MAX && first.mesh.channels().length >= LINKS_MAX - 2);
    t.ok(rest.some((one) => one.mesh.stats.closed.has("full")));
    const linked = new Set(first.mesh.channels().map(({ node }) => node));
    const greeted = rest.filter(({ id }) => !linked.has(id)).map(({ id }) => greet(first, id));
    t.equal(first.mesh.channels().length, LINKS_MAX);
    const told = greeted.at(-1)?.heard.at(-1);
    t.equal(told?.type === "goodbye" && told.reason === "full" ? told.others.length : 0, 8);
    await crowd.run(60_000);
    t.ok(first.mesh.channels().length <= 10, "links that nobody needs are given up");
    t.ok(nodes.every((one) => one.alive.size === 23));
  },
);

t.test("two nodes that dial each other at the same time end with one link, whatever the order", async (t) => {
  for (let seed = 1; seed <= 40; seed++) {
    const world = new MeshWorld(seed);
    const [a, b] = world.begin(2) as [SimNode, SimNode];
    a.mesh.connect(b.id);
    b.mesh.connect(a.id);
    await world.run(1000);
    t.same([a.mesh.channels().length, b.mesh.channels().length], [1, 1], `seed ${seed}`);
    t.same([a.ends.size, b.ends.size], [1, 1]);
    t.not(a.mesh.channels()[0]?.isOutbound, b.mesh.channels()[0]?.isOutbound);
    t.ok(a.alive.has(b.id) && b.alive.has(a.id));
  }
});

t.test("what a link and a node have to show", async (t) => {
  const world = new MeshWorld(3);
  const nodes = world.begin(3);
  const [a, b, c] = nodes as [SimNode, SimNode, SimNode];
  await world.run(12_000);
  b.mesh.records.put("dns", "x", { ips: ["10.32.0.9"], srv: [] });
  b.mesh.records.put("dns", "y", { ips: ["10.32.0.9"], srv: [] });
  b.mesh.records.remove("dns", "y");
  await world.run(20_000);
  const here = a.mesh.channels().find(({ node }) => node === b.id);
  const there = b.mesh.channels().find(({ node }) => node === a.id);
  t.ok(here && there && here.transmit.packets > 10 && here.receive.bytes > here.receive.packets);
  // Something may be on its way.
  t.ok(Math.abs((here?.transmit.packets ?? 0) - (there?.receive.packets ?? 0)) <= 2);
  const known = a.mesh.known(b.id);
  t.same(known, b.mesh.known(b.id));
  t.equal(known.records, 3, "node, links and dns:x");
  t.ok(known.recordVersion >= 5);
  t.same(a.mesh.known(newIdentity().id), { recordVersion: 0, records: 0 });

  const introduction = c.mesh.introduction();
  t.ok(introduction.includes("n2:6783"));
  t.notOk(introduction.includes('"data":'), "no links");
  t.ok(introduction.length < 1024);
  c.mesh.records.put("node", "", {
    ...nodeValue("n2"),
    capabilities: Array.from({ length: 32 }, () => "x".repeat(256)),
  });
  t.ok(c.mesh.introduction().length <= 48 * 1024 && c.mesh.introduction().length < MESSAGE_MAX);
});

t.test("convergence: from writing a record until each neighbour has it, and no longer", async (t) => {
  const world = new MeshWorld(4);
  const [a, b, c, d] = world.begin(4) as [SimNode, SimNode, SimNode, SimNode];
  const converged: number[] = [];
  await world.run(12_000);
  t.equal(a.mesh.channels().length, 3);
  let value = 0;
  const write = (): void => a.mesh.records.put("dns", "x", { ips: [`10.32.0.${++value}`], srv: [] });
  const has = (node: SimNode): boolean => node.mesh.records.get(a.id, "dns", "x")?.ips[0] === `10.32.0.${value}`;

  // What is on its way comes first.
  await world.run(5000);
  world.latencyMs = () => 20;
  await world.run(1000);
  a.mesh.stats.onConverged = (ms) => converged.push(ms);
  // Right after the pings that it sends anyway, all at once.
  let sent = a.mesh.stats.sent.ping.messages;
  while (a.mesh.stats.sent.ping.messages === sent) await world.run(10);
  await world.run(100);
  sent = a.mesh.stats.sent.ping.messages;
  write();
  await world.run(49);
  t.ok(has(b) && has(c) && has(d));
  t.same(converged, [], "they have it, and the word of it is on its way");
  await world.run(1);
  t.same(converged, [50], "10 ms in which more might come, there and back");
  t.equal(a.mesh.stats.sent.ping.messages - sent, 3, "a ping for each neighbour");
  await world.run(20_000);
  t.same(converged, [50], "rounds later on are none");
  for (const node of [b, c, d]) t.equal(node.mesh.digest, a.mesh.digest);

  // What is written meanwhile goes out, and is not measured.
  write();
  await world.run(15);
  write();
  await world.run(1000);
  t.ok(has(b) && has(c) && has(d));
  t.same(converged, [50, 50]);

  // A link that cannot take it: d has it from another neighbour, and passes it on.
  const full = [...a.ends].find(({ node }) => node === d.id);
  t.ok(full);
  if (full) full.backlog = 2 ** 21;
  write();
  await world.run(65);
  t.ok(has(d));
  t.equal(converged.length, 2, "that is not known yet");
  await world.run(1000);
  t.same(converged.slice(2), [90], "over two links and back over a third, 10 ms for more news and 20 on the way each");
  if (full) full.backlog = 0;
  converged.pop();

  // One that does not answer is waited for until its link ends; then what the others took is told.
  world.isCut = (from, to) => from === d || to === d;
  write();
  await world.run(1000);
  t.same(converged.length, 2, "one does not have it");
  await world.run(2000);
  t.notOk(has(d));
  t.same(converged.slice(2, 3), [50]);

  // Nobody is there.
  await world.run(10_000);
  world.isCut = (from, to) => from === a || to === a;
  await world.run(5000);
  t.equal(a.mesh.channels().length, 0);
  converged.length = 0;
  write();
  await world.run(5000);
  t.same(converged, [], "nothing to measure");
});

t.test("convergence: a neighbour that gets it by a comparison only", async (t) => {
  const world = new MeshWorld(5);
  const [a, b] = world.begin(2) as [SimNode, SimNode];
  await world.run(17_000);
  const converged: number[] = [];
  a.mesh.stats.onConverged = (ms) => converged.push(ms);
  const [end] = a.ends;
  t.ok(end);
  if (end) end.backlog = 2 ** 21;
  const start = world.clock.now;
  a.mesh.records.put("dns", "x", { ips: ["10.32.0.1"], srv: [] });
  await world.run(1000);
  t.notOk(b.mesh.records.get(a.id, "dns", "x"));
  if (end) end.backlog = 0;
  t.ok(await world.until(20_000, () => b.mesh.records.get(a.id, "dns", "x") !== undefined));
  const arrived = world.clock.now - start;
  await world.run(1000);
  t.equal(converged.length, 1);
  const took = converged[0] as number;
  t.ok(took > 1000 && took >= arrived - 10 && took <= arrived + 42, `${took} ms, there after ${arrived} ms`);
});
