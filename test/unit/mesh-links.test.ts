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
  const settled: number[] = [];
  a.mesh.stats.onSettled = (ms) => settled.push(ms);
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
  t.ok(settled.length >= 2 && settled.every((ms) => ms >= 0 && ms <= 15_000), settled.join());
  t.equal(settled.at(-1), a.mesh.stats.settledMs);

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
