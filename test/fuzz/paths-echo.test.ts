/**
 * Echoes that are not what they seem: the codec under noise and damage, and paths that are given them. An echo comes out of a session, so
 * only a member can send such ones; nothing throws, and no other peer's paths change.
 *
 *   WEFT_FUZZ_ECHOES=N   how many (default 20,000, with WEFT_TEST_LONG=1 2,000,000)
 *   WEFT_FUZZ_SEED=N     where the random numbers start (default 1)
 */
import fc from "fast-check";
import t from "tap";
import { decodeEcho, ECHO_BYTES, type Echo, encodeEcho, tagOf } from "../../packages/control/src/paths/echo.js";
import { parseEndpoint } from "../../packages/control/src/paths/endpoints.js";
import { type Host, Net } from "../models/paths-net.js";
import { pick, randomOf } from "../models/random.js";

const LONG = process.env.WEFT_TEST_LONG === "1";
const ECHOES = Number(process.env.WEFT_FUZZ_ECHOES ?? (LONG ? 2_000_000 : 20_000));
const SEED = Number(process.env.WEFT_FUZZ_SEED ?? 1);

const PLAIN = { noNullPrototype: true };
const u16 = fc.integer({ min: 0, max: 65_535 });
const u32 = fc.integer({ min: 1, max: 2 ** 32 - 1 });
const u48 = fc.integer({ min: 0, max: 2 ** 48 - 1 });
const tag = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const heard = fc.option(
  fc.record({ sequence: u32, sentUs: u48, heldUs: fc.integer({ min: 0, max: 2 ** 32 - 1 }) }, PLAIN),
);
const full = fc.option(fc.record({ sequence: u32, bytes: u16 }, PLAIN));
const port = fc.integer({ min: 1, max: 65_535 });
const endpoint = fc.option(
  fc.oneof(
    fc.tuple(fc.ipV4(), port).map(([ip, port]) => `${ip}:${port}`),
    fc.tuple(fc.ipV6(), port).map(([ip, port]) => `[${ip}]:${port}`),
  ),
);
const thousand = fc.integer({ min: 0, max: 1000 });
const echoes: fc.Arbitrary<Echo> = fc.record({
  used: fc.boolean(),
  answer: fc.boolean(),
  deaf: fc.boolean(),
  full: fc.boolean(),
  epochMs: u48,
  sequence: u32,
  sentUs: u48,
  relay: tag,
  bytes: u16,
  mtu: u16,
  direct: heard,
  relayed: heard,
  relayedBy: tag,
  directFull: full,
  relayedFull: full,
  endpoint,
  directLoss: thousand,
  relayedLoss: thousand,
});

t.test("what is written is read", async (t) => {
  fc.assert(
    fc.property(echoes, fc.uint8Array({ maxLength: 28 }), (echo, more) => {
      const bytes = encodeEcho(echo);
      const back = decodeEcho(Buffer.concat([bytes, more]));
      const where = echo.endpoint === null ? undefined : parseEndpoint(echo.endpoint);
      t.strictSame({ ...back, endpoint: null }, { ...echo, endpoint: null });
      // An IPv4 address within an IPv6 one is that IPv4 address.
      if (where === undefined) t.equal(back?.endpoint, null);
      else if (!where.address.startsWith("::ffff:")) t.strictSame(parseEndpoint(back?.endpoint ?? ""), where);
    }),
  );
  t.equal(encodeEcho(fc.sample(echoes, 1)[0]!).length, ECHO_BYTES);
  t.ok(ECHO_BYTES <= 128);
  t.equal(tagOf(Buffer.alloc(32).toString("base64")), 1n, "0 means direct");
});

t.test("noise and other versions", async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (octets) => {
      decodeEcho(octets);
      if (octets.length < ECHO_BYTES) t.equal(decodeEcho(octets), null);
      octets[0] = 2;
      t.equal(decodeEcho(octets), null);
    }),
  );
});

t.test(`${ECHOES} echoes of a hostile member`, async (t) => {
  const net = new Net(SEED);
  const hosts = [net.host(), net.host(), net.host()];
  const [a, b, evil] = hosts as [Host, Host, Host];
  net.start();
  for (const host of hosts) host.flow(hosts.filter((other) => other !== host));
  await net.pass(5_000);
  const random = randomOf(SEED);
  const seeds = a.probes.filter(({ peer }) => peer === evil.key).map(({ payload }) => payload);
  evil.isUp = false;
  const before = a.paths.counters().changes;
  for (let i = 0; i < ECHOES; i++) {
    const payload = Uint8Array.from(seeds[pick(random, seeds.length)] as Uint8Array);
    for (let hits = 1 + pick(random, 6); hits > 0; hits--) payload[pick(random, payload.length)] = pick(random, 256);
    const via = pick(random, 3) === 0 ? b.key : null;
    const from = via === null ? evil.inside : null;
    a.emit({ type: "probe", peer: evil.key, via, endpoint: from, payload, packetBytes: 148 });
    if (i % 100 === 0) await net.pass(50);
    a.probes.length = 0;
  }
  t.match(a.info(b), { mode: "direct", direct: "up", mtu: 1440, via: null });
  t.match(b.info(a), { mode: "direct", direct: "up", mtu: 1440 });
  t.ok(a.outside.length <= 4);
  const { mtu } = a.info(evil);
  t.ok(mtu === null || (mtu >= 576 && mtu <= 1440), `${mtu}`);
  t.ok(before.silent === 0);
  // It comes back as a new process, and is heard: a handshake shows that it is one.
  evil.restart();
  evil.isUp = true;
  await net.pass(12_000);
  t.match(a.info(evil), { mode: "direct", direct: "up" });
});
