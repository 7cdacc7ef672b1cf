/**
 * Networks of nodes that run the real paths on a virtual clock over doubles of data plane and records (see models/paths-net.ts; the
 * real data plane is under them in the lab): cuts, also one-way, loss, NAT, MTU, restarts, replays.
 */
import t from "tap";
import { type Host, Net } from "../models/paths-net.js";
import { pick } from "../models/random.js";

/** All hosts send to all. */
function world(seed: number, count: number): { net: Net; hosts: Host[] } {
  const net = new Net(seed);
  const hosts = Array.from({ length: count }, () => net.host());
  net.start();
  for (const host of hosts) host.flow(hosts.filter((other) => other !== host));
  return { net, hosts };
}
/** Pairs that work in both directions, through others if need be. */
function connected(net: Net, hosts: readonly Host[]): [Host, Host][] {
  const pairs: [Host, Host][] = [];
  for (const start of hosts) {
    const seen = new Set([start]);
    for (const at of seen) for (const next of hosts) if (next !== at && net.works(at, next)) seen.add(next);
    for (const end of seen) if (end !== start) pairs.push([start, end]);
  }
  return pairs;
}
/** Pairs between which nothing has come in the last 300 ms. */
function silent(net: Net, pairs: readonly [Host, Host][]): string[] {
  return pairs
    .filter(([from, to]) => net.nowMs - (to.arrived.get(from) ?? 0) > 300)
    .map(([from, to]) => `${from.number}→${to.number}`);
}
/** Follows next hops. @returns hosts on the way, or null for a loop */
function walk(from: Host, to: Host): Host[] | null {
  const way = [from];
  for (let at = from; at !== to; ) {
    at = at.peers.get(to.key)!.via ?? to;
    if (way.includes(at)) return null;
    way.push(at);
  }
  return way;
}

t.test("a direct path is up soon, and its figures are published", async (t) => {
  const { net, hosts } = world(1, 3);
  const [a, b] = hosts as [Host, Host];
  await net.pass(3_000);
  t.match(a.info(b), {
    mode: "direct",
    via: null,
    direct: "up",
    mtu: 1440,
    mtuConfirmed: true,
    loss: 0,
    endpoint: b.inside,
  });
  const { rttUs } = a.info(b);
  t.ok(rttUs !== null && rttUs >= 4_000 && rttUs < 4_200, `${rttUs} µs`);
  t.same(new Set(a.published.map(({ to }) => to)), new Set(hosts.slice(1).map(({ id }) => id)));
  t.ok(a.heard.get(b.id)! > net.nowMs - 600);
  t.same(a.outside, [a.inside]);
  const before = a.published;
  await net.pass(30_000);
  t.equal(a.published, before, "nothing has happened, so nothing was published");
});

t.test("a cut path is left within 2 s, data flows again within 3 s, and it comes back by itself", async (t) => {
  const { net, hosts } = world(2, 3);
  const [a, b, c] = hosts as [Host, Host, Host];
  await net.pass(5_000);
  net.both(a, b, { isCut: true });
  await net.pass(2_000);
  t.match(a.info(b), { mode: "relayed", via: c.id, direct: "down" });
  t.match(b.info(a), { mode: "relayed", via: c.id, direct: "down" });
  await net.pass(5_000);
  t.match(a.info(b), { mode: "relayed", mtu: 1360, mtuConfirmed: true });
  t.ok(b.gaps.get(a)! < 2_500, `${b.gaps.get(a)} ms without data`);
  t.notOk(a.published.some(({ to }) => to === b.id));
  net.both(a, b, { isCut: false });
  await net.pass(5_000);
  t.match(a.info(b), { mode: "direct", via: null, direct: "up" });
  t.match(b.info(a), { mode: "direct", via: null, direct: "up" });
  t.ok(b.gaps.get(a)! < 2_500, "nothing was lost on the way back");
});

t.test("a one-way cut is seen at both ends", async (t) => {
  const { net, hosts } = world(3, 3);
  const [a, b, c] = hosts as [Host, Host, Host];
  await net.pass(5_000);
  net.way(a, b).isCut = true;
  await net.pass(2_300);
  t.match(a.info(b), { mode: "relayed", via: c.id, direct: "down" });
  t.match(b.info(a), { mode: "relayed", via: c.id, direct: "down" });
  t.ok(a.paths.counters().changes.deaf + b.paths.counters().changes.deaf > 0, "one heard it from the other");
  net.way(a, b).isCut = false;
  await net.pass(5_000);
  t.match(a.info(b), { mode: "direct", direct: "up" });
});

/** Cuts of every kind in networks of three to eight. */
const SEEDS = process.env.WEFT_TEST_LONG === "1" ? 60 : 5;
for (let seed = 1; seed <= SEEDS; seed++) {
  const count = 3 + ((5 * seed) % 6);
  t.test(`cuts and heals among ${count}, seed ${seed}`, async (t) => {
    const { net, hosts } = world(seed * 7919, count);
    for (const a of hosts) for (const b of hosts) if (a !== b) net.way(a, b).delayMs = 1 + pick(net.random, 30);
    await net.pass(6_000);
    t.same(silent(net, connected(net, hosts)), []);
    for (let round = 0; round < 4; round++) {
      const percent = 10 + pick(net.random, 70);
      for (const a of hosts) {
        for (const b of hosts) {
          if (a === b || !net.chance(percent * 5)) continue;
          if (net.chance(300)) net.way(a, b).isCut = true;
          else net.both(a, b, { isCut: true });
        }
      }
      const pairs = connected(net, hosts);
      await net.pass(3_000 + 300);
      t.same(silent(net, pairs), [], `round ${round}: ${percent} %, ${pairs.length} pairs connected`);
      t.same(
        pairs.filter(([from, to]) => walk(from, to) === null).map(([from, to]) => `${from.number}→${to.number}`),
        [],
        "no loops",
      );
      await net.pass(pick(net.random, 20) * 1_000);
      t.same(silent(net, pairs), [], "and stays so");
      for (const a of hosts) for (const b of hosts) if (a !== b) net.way(a, b).isCut = false;
      await net.pass(5_000);
      t.same(silent(net, connected(net, hosts)), [], "healed");
      const indirect = hosts.flatMap((a) => a.paths.info().filter(({ mode }) => mode !== "direct"));
      t.same(
        indirect.map(({ mode, direct }) => ({ mode, direct })),
        [],
        "all direct again",
      );
    }
  });
}

t.test("idle links that were cut long ago are found out when they are needed", async (t) => {
  const net = new Net(21);
  const hosts = Array.from({ length: 4 }, () => net.host());
  const [a, b, c, d] = hosts as [Host, Host, Host, Host];
  net.start();
  // Everybody has talked with everybody once; only a and b go on.
  for (const from of hosts) for (const to of hosts) if (from !== to) from.send(to);
  a.flow([b]);
  b.flow([a]);
  await net.pass(20_000);
  t.equal(c.published.length, 3);
  // c cannot reach b any more, and does not know it yet.
  net.both(b, c, { isCut: true });
  net.both(a, b, { isCut: true });
  await net.pass(3_200);
  t.same(
    silent(net, [
      [a, b],
      [b, a],
    ]),
    [],
  );
  t.match(walk(a, b)?.includes(d), true);
});

t.test("slow echoes keep what is not used, and bring no traffic", async (t) => {
  const net = new Net(22);
  const [a, b] = [net.host(), net.host({ nat: true })];
  net.start();
  b.send(a);
  await net.pass(30_000);
  const before = a.paths.counters().echoes.received;
  await net.pass(600_000);
  const got = a.paths.counters().echoes.received - before;
  t.ok(got >= 38 && got <= 60, `${got} echoes in 10 minutes`);
  t.match(a.info(b), { mode: "direct", direct: "up", loss: 0 });
  t.match(b.outside, [b.seenAs]);
  a.send(b);
  await net.pass(100);
  t.ok(b.arrived.has(a), "the NAT is still open");
});

t.test("a NAT'd peer is reached over a relay first, and directly as soon as it has written", async (t) => {
  const net = new Net(23);
  const [a, b, c] = [net.host(), net.host({ nat: true }), net.host()];
  net.start();
  for (const host of [a, b]) host.send(c);
  await net.pass(3_000);
  a.flow([b]);
  await net.pass(2_500);
  t.ok(b.arrived.has(a), "data arrives");
  await net.pass(5_000);
  t.match(a.info(b), { mode: "direct", endpoint: b.seenAs });
  t.ok(a.paths.counters().changes.no_session >= 1);
});

t.test("two NAT'd peers meet from both sides", async (t) => {
  const net = new Net(24);
  const [a, b, c] = [net.host({ nat: true }), net.host({ nat: true }), net.host()];
  net.start();
  for (const host of [a, b]) host.send(c);
  await net.pass(3_000);
  t.same([a.outside, b.outside], [[a.seenAs], [b.seenAs]], "each has learned its address outside");
  a.announce(b, [b.inside, b.seenAs]);
  b.announce(a, [a.inside, a.seenAs]);
  a.flow([b]);
  b.flow([a]);
  await net.pass(12_000);
  t.match(a.info(b), { mode: "direct", endpoint: b.seenAs });
  t.match(b.info(a), { mode: "direct", endpoint: a.seenAs });
});

t.test("another endpoint is tried each second while there is no session", async (t) => {
  const net = new Net(25);
  const [a, b] = [net.host(), net.host()];
  net.start();
  a.announce(b, ["10.9.9.9:1", "not an endpoint", "224.0.0.1:5", "10.9.9.8:1", b.inside]);
  await net.pass(200);
  a.peers.get(b.key)!.endpoint = "10.9.9.9:1";
  a.send(b);
  await net.pass(4_000);
  t.match(a.info(b), { mode: "direct", endpoint: b.inside, candidates: { length: 3 } });
});

t.test("a relay that becomes known just after its turn is tried a second later", async (t) => {
  const net = new Net(26);
  const [a, b, c] = [net.host(), net.host(), net.host()];
  net.start();
  for (const other of [a, c]) net.both(other, b, { isCut: true });
  a.send(c);
  await net.pass(3_000);
  a.flow([b]);
  await net.pass(1_400);
  t.match(a.info(b), { session: "handshake", via: null }, "nobody is known to have a path to it");
  net.both(b, c, { isCut: false });
  c.send(b);
  await net.pass(1_100);
  t.match(a.info(b), { mode: "relayed", via: c.id });
  t.ok(b.arrived.has(a), "data arrives");
});

t.test("an MTU that shrinks under way is followed within 3 s, and grows again", async (t) => {
  const { net, hosts } = world(31, 3);
  const [a, b, c] = hosts as [Host, Host, Host];
  await net.pass(5_000);
  net.both(a, b, { mtu: 1280 });
  await net.pass(3_000);
  t.ok(a.info(b).mtu! <= 1220, `${a.info(b).mtu}`);
  await net.pass(8_000);
  t.match([a.info(b), b.info(a)], [{ mtu: 1220, mtuConfirmed: true, mode: "direct" }, { mtu: 1220 }]);
  net.both(a, b, { mtu: 1403 });
  await net.pass(45_000);
  t.match([a.info(b).mtu, b.info(a).mtu], [1343, 1343]);
  net.way(b, a).mtu = 1300;
  await net.pass(12_000);
  t.match([a.info(b).mtu, b.info(a).mtu], [1240, 1240], "the smaller one of both directions");
  net.both(a, b, { mtu: 1500 });
  await net.pass(40_000);
  t.match([a.info(b).mtu, b.info(a).mtu], [1440, 1440]);
  t.match(a.info(c), { mtu: 1440 }, "other peers' paths are their own");
  t.ok(a.paths.counters().mtuChanges >= 3);
});

t.test("the MTU of a path over a relay is its own", async (t) => {
  const { net, hosts } = world(32, 3);
  const [a, b, c] = hosts as [Host, Host, Host];
  net.both(b, c, { mtu: 1400 });
  net.both(a, b, { isCut: true });
  await net.pass(15_000);
  t.match(a.info(b), { mode: "relayed", via: c.id, mtu: 1260, mtuConfirmed: true });
  net.both(a, b, { isCut: false });
  await net.pass(5_000);
  t.match(a.info(b), { mode: "direct", mtu: 1440 });
});

t.test("the underlay's own MTU counts at once", async (t) => {
  const { net, hosts } = world(33, 2);
  const [a, b] = hosts as [Host, Host];
  await net.pass(3_000);
  a.emit({ type: "underlay", address: "10.0.0.1", up: true, mtu: 1400 });
  await net.pass(100);
  t.equal(a.info(b).mtu, 1340);
  a.emit({ type: "underlay", address: "10.0.0.1", up: true, mtu: 1500 });
  await net.pass(1_500);
  t.equal(a.info(b).mtu, 1440);
});

t.test("loss is measured and does not tear a path apart", async (t) => {
  const { net, hosts } = world(34, 3);
  const [a, b] = hosts as [Host, Host];
  await net.pass(5_000);
  net.both(a, b, { loss: 100 });
  await net.pass(60_000);
  const { loss, mtu } = a.info(b);
  t.ok(loss > 0 && loss < 350, `${loss} of 1000`);
  t.equal(mtu, 1440, "lost at random is not too long");
  t.ok(a.paths.counters().changes.silent <= 4);
});

t.test("forged and replayed echoes change nothing", async (t) => {
  const { net, hosts } = world(35, 3);
  const [a, b, c] = hosts as [Host, Host, Host];
  await net.pass(10_000);
  const old = a.probes.filter(({ peer }) => peer === b.key);
  net.both(a, b, { isCut: true });
  await net.pass(4_000);
  t.match(a.info(b), { mode: "relayed", direct: "down" });
  const { stale, refused } = a.paths.counters().echoes;
  for (let i = 0; i < 10; i++) {
    for (const probe of old) a.emit(probe);
    await net.pass(500);
  }
  t.match(a.info(b), { mode: "relayed", direct: "down" }, "what was heard before proves nothing");
  t.equal(a.paths.counters().echoes.stale - stale, 10 * old.length);
  // The relay puts what it was given to hand on onto the direct path, to be taken for it.
  const fresh = a.probes.filter(({ peer, via }) => peer === b.key && via === c.key).at(-1)!;
  a.emit({ ...fresh, via: null, endpoint: c.inside });
  a.emit({ ...fresh, payload: fresh.payload.subarray(0, 40) });
  a.emit({ ...fresh, peer: Buffer.alloc(32, 9).toString("base64") });
  t.equal(a.paths.counters().echoes.refused - refused, 3);
  t.match(a.info(b), { mode: "relayed", direct: "down", endpoint: b.inside });
});

t.test(
  "a node that begins anew is heard again, and asks those for sessions that believe in the old ones",
  async (t) => {
    const { net, hosts } = world(36, 3);
    const [a, b] = hosts as [Host, Host];
    await net.pass(5_000);
    b.isUp = false;
    await net.pass(1_000);
    b.restart();
    b.isUp = true;
    const since = net.nowMs;
    await net.pass(3_000);
    t.same(
      silent(net, [
        [a, b],
        [b, a],
      ]),
      [],
    );
    t.match(a.info(b), { mode: "direct", direct: "up" });
    t.ok(a.heard.get(b.id)! > since);
  },
);

t.test("a peer that says to be its own relay is refused", async (t) => {
  const { net, hosts } = world(38, 3);
  const [a, b, c] = hosts as [Host, Host, Host];
  net.both(a, b, { isCut: true });
  await net.pass(5_000);
  const echo = a.probes.findLast(({ peer, via }) => peer === b.key && via === c.key);
  t.ok(echo, "so echoes come through the third one");
  if (!echo) return;
  const { refused } = a.paths.counters().echoes;
  const payload = Buffer.from(echo.payload);
  // A later one, that wants an answer.
  payload.writeUInt8(2, 1);
  payload.writeUInt32BE(payload.readUInt32BE(8) + 1000, 8);
  a.emit({ ...echo, via: b.key, payload });
  t.equal(a.paths.counters().echoes.refused, refused + 1);
});

t.test("a relay that the data plane has no longer stops nothing", async (t) => {
  const { net, hosts } = world(39, 3);
  const [a, b, c] = hosts as [Host, Host, Host];
  net.both(a, b, { isCut: true });
  await net.pass(5_000);
  t.match(a.info(b), { mode: "relayed", via: c.id });
  const [echo, gone] = [a.probes.findLast(({ peer, via }) => peer === b.key && via === c.key), a.peers.get(c.key)];
  t.ok(echo && gone, "an echo through the relay");
  if (!echo || !gone) return;
  a.peers.delete(c.key);
  const payload = Buffer.from(echo.payload);
  payload.writeUInt8(2, 1);
  payload.writeUInt32BE(payload.readUInt32BE(8) + 1000, 8);
  a.emit({ ...echo, payload });
  a.paths.tick();
  a.peers.set(c.key, gone);
  await net.pass(5_000);
  t.match(a.info(b), { mode: "relayed", via: c.id });
});

t.test("a key that two nodes name stays with the first", async (t) => {
  const net = new Net(37);
  const hosts = [net.host(), net.host(), net.host()];
  const [a, b, c] = hosts as [Host, Host, Host];
  net.start();
  Object.defineProperty(c, "key", { value: b.key });
  a.learn(c);
  a.announce(c, [c.inside]);
  await net.pass(200);
  t.same(
    a.paths.info().map(({ node }) => node),
    [b.id],
  );
  t.equal(a.paths.counters().duplicateKeys, 1);
  a.paths.close();
  a.emit({ type: "session", peer: b.key, session: "established" });
  t.equal(a.info(b).session, "none", "closed: events are not heard any more");
});
