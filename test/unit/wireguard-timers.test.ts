/** The timers of a WireGuard peer, on a virtual clock: everything around the engine is a double (see models/wireguard.ts). */
import t, { type Test } from "tap";
import { Tai64n } from "../../packages/control/src/wireguard/tai64n.js";
import { Clock } from "../../packages/control/src/wireguard/timers.js";
import { count, type HostDouble, pair } from "../models/wireguard.js";

/** A tick of the engine, the way, and the way of an event. */
const SLACK = 250;
const JITTER = 333;

/** Sends data from `from` every so often as long as the world runs. */
function flow(from: HostDouble, everyMs: number): () => void {
  let isOn = true;
  let next = 0;
  const send = (): void => {
    if (!isOn) return;
    from.data(0, next++);
    from.world.after(everyMs, send);
  };
  send();
  return () => {
    isOn = false;
  };
}
const within = (t: Test, value: number, low: number, high: number, what: string): void =>
  void t.ok(value >= low && value <= high, `${what}: ${value} is in ${low}..${high}`);

t.test("data without a session makes one, and the first keepalive confirms it", async (t) => {
  const { world, a, b } = pair();
  t.notOk(a.data(0), "no session yet");
  t.equal(a.engine.counters().peers[0]?.session, "none");
  world.run(50);
  t.ok(a.data(0, 7));
  world.run(50);
  t.strictSame(b.got.get(0), [7]);
  t.strictSame([count(a, "initiator", "completed"), count(b, "responder", "completed")], [1, 1]);
  t.match(a.events, [{ type: "handshake", peer: 0, role: "initiator" }]);
  t.match(b.events, [{ type: "handshake", peer: 0, role: "responder" }]);
  t.equal(a.sentOf("keepalive").length, 1);
  t.ok(b.data(0, 8), "the responder sends with it too");
  const [peer] = a.engine.counters().peers;
  t.match(peer, {
    session: "established",
    transmit: { packets: 2, bytes: 148 + 32 },
    receive: { packets: 1, bytes: 92 },
  });
  t.equal(a.engine.counters().rekeys, 0);
  t.ok(
    a.table.handed.filter((key) => key.some((octet) => octet !== 0)).length <= 1,
    "only the key of keepalives is kept",
  );
});

t.test("an initiation is repeated after 5 s and a little, for 90 s", async (t) => {
  const { world, a } = pair(2);
  world.loses = () => true;
  a.data(0);
  world.run(100_000);
  const times = a.sentOf("initiation");
  for (let i = 1; i < times.length; i++)
    within(t, (times[i] as number) - (times[i - 1] as number), 5000, 5000 + JITTER + SLACK, `gap ${i}`);
  t.ok(new Set(times.map((at, i) => at - (times[i - 1] ?? 0))).size > 3, "not always the same");
  const [event] = a.events;
  t.match(event, { type: "unreachable", peer: 0 });
  within(t, event?.at ?? 0, 90_000, 90_000 + 5000 + JITTER + SLACK, "gave up");
  t.equal(count(a, "initiator", "timeout"), 1);
  t.equal(a.table.slots.size, 0, "no slot is held");
  const before = a.sent.length;
  world.run(60_000);
  t.equal(a.sent.length, before, "silent until there is something to send");
  a.data(0);
  world.run(10);
  t.equal(a.sent.length, before + 1);
  const stamps = a.sent.map(({ datagram }) => datagram.toString("hex", 4, 40));
  t.equal(new Set(stamps).size, stamps.length, "another index and ephemeral key each time");
});

t.test("asking while a handshake is under way does nothing", async (t) => {
  const { world, a } = pair(3);
  world.loses = () => true;
  const stop = flow(a, 10);
  world.run(4_900);
  t.equal(a.sentOf("initiation").length, 1);
  stop();
});

t.test("the initiator makes a new key after 120 s of sending, and nothing is lost", async (t) => {
  const { world, a, b } = pair(4);
  a.data(0);
  world.run(100);
  const stops = [flow(a, 20), flow(b, 20)];
  const start = a.events[0]?.at ?? 0;
  world.run(400_000);
  for (const stop of stops) stop();
  world.run(100);
  const times = a.sentOf("initiation").slice(1);
  within(t, (times[0] ?? 0) - start, 120_000, 120_000 + SLACK, "first");
  t.equal(times.length, 3);
  t.equal(b.sentOf("initiation").length, 0, "the responder does not");
  t.equal(a.engine.counters().rekeys, 3);
  t.equal(b.engine.counters().rekeys, 3);
  t.equal(b.got.get(0)?.length, a.sentOf("data").length);
  t.equal(a.got.get(0)?.length, b.sentOf("data").length);
  t.strictSame([a.dropped.noSession, b.dropped.noSession], [1, 0]);
});

t.test("the initiator makes a new key when it receives under one of 165 s", async (t) => {
  const { world, a, b } = pair(5);
  a.data(0);
  world.run(100);
  const start = a.events[0]?.at ?? 0;
  // It would send keepalives for what it gets, so they are lost, and its own clock of sending does not see any data.
  world.run(160_000);
  t.equal(a.sentOf("initiation").length, 1, "idle: no new key by itself");
  const stop = flow(b, 100);
  world.run(6_000);
  stop();
  within(t, (a.sentOf("initiation")[1] ?? 0) - start, 165_000, 165_000 + SLACK, "initiation");
  t.equal(b.dropped.noSession, 0);
});

t.test("after 180 s a key is gone, and after three times that everything", async (t) => {
  const { world, a, b } = pair(6);
  a.data(0);
  world.run(100);
  world.run(179_000);
  t.ok(a.data(0) && b.data(0), "still there");
  world.loses = () => true;
  world.run(1_500);
  t.notOk(a.data(0));
  t.strictSame([a.table.slots.size, b.table.slots.size], [a.sentOf("initiation").length > 1 ? 1 : 0, 0]);
  world.run(540_000);
  t.strictSame([a.table.slots.size, b.table.slots.size], [0, 0]);
  for (const host of [a, b])
    t.ok(
      host.table.handed.every((key) => key.every((octet) => octet === 0)),
      "wiped",
    );
  t.strictSame([a.table.wrongs, b.table.wrongs], [[], []]);
});

t.test("who only receives data sends a keepalive after 10 s", async (t) => {
  const { world, a, b } = pair(7);
  a.data(0);
  world.run(100);
  a.data(0);
  const once = world.now;
  world.run(30_000);
  const times = b.sentOf("keepalive", once);
  t.equal(times.length, 1, "one for one");
  within(t, (times[0] ?? 0) - once, 10_000, 10_000 + SLACK, "keepalive");
  // More comes while it waits: a second one follows.
  a.data(0);
  const twice = world.now;
  world.run(5_000);
  a.data(0);
  world.run(40_000);
  const more = b.sentOf("keepalive", twice);
  t.equal(more.length, 2);
  within(t, (more[1] ?? 0) - (more[0] ?? 0), 10_000, 10_000 + SLACK, "second");
  // Data on its way back makes it unnecessary.
  const answered = world.now;
  a.data(0);
  world.run(50);
  b.data(0);
  world.run(9_000);
  t.equal(b.sentOf("keepalive", answered).length, 0);
  t.equal(a.sentOf("initiation").length, 1, "nobody takes silence for a lost session");
});

t.test("data sent and nothing heard for 15 s: a new handshake", async (t) => {
  const { world, a, b } = pair(8);
  a.data(0);
  world.run(100);
  world.loses = (_kind, from) => from === b;
  const start = world.now;
  const stop = flow(a, 1000);
  world.run(16_000);
  within(t, (a.sentOf("initiation")[1] ?? 0) - start, 15_000, 15_000 + JITTER + SLACK, "initiation");
  world.loses = () => false;
  stop();
  world.run(6_000);
  t.equal(count(a, "initiator", "completed"), 2);
  world.run(60_000);
  t.equal(a.sentOf("initiation", start).length, 2, "once it is answered, that is all");
});

t.test("silence is acted upon once per data, not for ever", async (t) => {
  const { world, a, b } = pair(9);
  a.data(0);
  world.run(100);
  b.die();
  a.data(0);
  world.run(300_000);
  t.equal(a.events.filter(({ type }) => type === "unreachable").length, 1);
  t.equal(a.table.slots.size, 0);
});

t.test("who has given up on a new key does not begin again for data sent before", async (t) => {
  const { world, a, b } = pair(20);
  a.data(0);
  world.run(121_000);
  b.die();
  a.data(0);
  world.run(400_000);
  t.equal(a.events.filter(({ type }) => type === "unreachable").length, 1);
  t.ok((a.sentOf("initiation")[1] ?? 0) < 121_500, "begun for the key's age");
});

t.test("persistent keepalives", async (t) => {
  const { world, a, b } = pair(10, { persistentKeepalive: 25, bothKnow: false });
  world.run(1000);
  t.equal(count(a, "initiator", "completed"), 1, "they begin with a session, unasked");
  world.run(110_000);
  const times = a.sentOf("keepalive");
  t.equal(times.length, 5);
  for (let i = 1; i < times.length; i++)
    within(t, (times[i] as number) - (times[i - 1] as number), 25_000, 25_000 + SLACK, `gap ${i}`);
  world.run(300_000);
  t.ok(a.engine.counters().rekeys >= 3, "and keep it alive");
  t.strictSame(b.endpoints.get(0), { address: a.address, port: a.port, local: b.address });
  // Traffic makes them unnecessary.
  const stop = flow(b, 5_000);
  world.run(30_000);
  const busy = world.now;
  world.run(60_000);
  t.ok(a.sentOf("keepalive", busy).length <= 6 + 1, "only passive ones");
  stop();
  // A dead peer is asked for again and again.
  b.die();
  world.run(400_000);
  t.ok(a.events.filter(({ type }) => type === "unreachable").length >= 2);
  a.engine.changePeer(0, { publicKey: b.engine.publicKey, persistentKeepalive: 0 });
  world.run(200_000);
  const off = a.sent.length;
  world.run(200_000);
  t.equal(a.sent.length, off, "off");
});

t.test("a rekey by count, from either side", async (t) => {
  for (const [seed, worn] of [
    [11, "a"],
    [12, "b"],
  ] as const) {
    const { world, a, b } = pair(seed, { [worn]: { rekeyAfter: 100 } });
    a.data(0);
    world.run(100);
    const stops = [flow(a, 5), flow(b, 5)];
    world.run(20_000);
    for (const stop of stops) stop();
    world.run(100);
    const starter = worn === "a" ? a : b;
    t.ok(starter.sentOf("initiation").length >= 4, `${worn}: ${starter.sentOf("initiation").length} initiations`);
    const times = starter.sentOf("initiation");
    for (let i = 2; i < times.length; i++)
      t.ok((times[i] as number) - (times[i - 1] as number) >= 5000, "not closer than REKEY_TIMEOUT");
    t.equal(b.got.get(0)?.length, a.sentOf("data").length);
    t.equal(a.got.get(0)?.length, b.sentOf("data").length);
    t.strictSame([a.dropped.noSession, b.dropped.noSession], [1, 0]);
    t.ok(Math.max(a.table.most, b.table.most) <= 4, "four slots");
  }
});

t.test("the u32 clock wraps", async (t) => {
  let raw = 0xffff_ff00;
  const clock = new Clock(() => raw);
  t.equal(clock.now(), 0);
  raw = 0x100;
  t.equal(clock.now(), 0x200);
  t.strictSame([clock.long(0xffff_ffff), clock.long(0x180)], [0xff, 0x280], "before and after now");
  const { world, a, b } = pair(13);
  world.clockOffset = 2 ** 32 - 60_000;
  a.data(0);
  world.run(100);
  const stops = [flow(a, 50), flow(b, 50)];
  world.run(300_000);
  for (const stop of stops) stop();
  world.run(100);
  t.strictSame([a.dropped.noSession, b.dropped.noSession], [1, 0]);
  t.equal(a.engine.counters().rekeys, 2);
});

t.test("times of initiations only grow", async (t) => {
  const tai = new Tai64n();
  const times = [1000, 1000, 999, 0, -5, 1016, 2000, 1999].map((ms) => tai.next(ms).toString("hex"));
  t.strictSame(times, [...new Set(times)].sort(), "strictly");
  t.equal(new Tai64n().next(1_600_000_000_000).toString("hex"), "400000005f5e100a00000000");
});
