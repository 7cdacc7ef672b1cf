/**
 * The handshake's readers under fire: messages of two real engines, recorded, damaged and given to them again, and plain noise. Nothing
 * throws, slots stay bounded, no session is made by any of it, and the genuine one still works at the end.
 *
 *   WEFT_FUZZ_HANDSHAKES=N   how many messages (default 2,000, with WEFT_TEST_LONG=1 200,000)
 *   WEFT_FUZZ_SEED=N         where the random numbers start (default 1)
 */
import t from "tap";
import { pick } from "../models/random.js";
import { World } from "../models/wireguard.js";

const LONG = process.env.WEFT_TEST_LONG === "1";
const MESSAGES = Number(process.env.WEFT_FUZZ_HANDSHAKES ?? (LONG ? 200_000 : 2_000));
const SEED = Number(process.env.WEFT_FUZZ_SEED ?? 1);

t.test(`${MESSAGES} messages that are not what they seem`, async (t) => {
  const world = new World(SEED);
  const [a, b] = [world.host(), world.host()];
  a.engine.addPeer(0, {
    publicKey: b.engine.publicKey,
    endpoint: { address: b.address, port: b.port },
    persistentKeepalive: 0,
  });
  b.engine.addPeer(0, { publicKey: a.engine.publicKey, persistentKeepalive: 0 });
  a.data(0);
  world.run(6_000);
  b.underLoad = true;
  a.engine.initiateNow(0);
  world.run(6_000);
  b.underLoad = false;
  const seeds = [...a.sent, ...b.sent].filter(({ kind }) => kind !== "data" && kind !== "keepalive");
  t.same(new Set(seeds.map(({ kind }) => kind)), new Set(["initiation", "response", "cookieReply"]));
  const done = (): number =>
    [a, b]
      .flatMap((h) => h.engine.counters().handshakes)
      .reduce((n, h) => n + (h.result === "completed" ? h.count : 0), 0);

  const before = done();
  let most = 0;
  for (let i = 0; i < MESSAGES; i++) {
    const random = (below: number): number => pick(world.random, below);
    const seed = seeds[random(seeds.length)]?.datagram ?? Buffer.alloc(0);
    const message = random(4) === 0 ? world.bytes(random(200)) : Buffer.from(seed);
    for (let hits = random(4); hits > 0 && message.length > 0; hits--) {
      message.writeUInt8(random(256), random(message.length));
    }
    const cut = random(8) === 0 ? message.subarray(0, random(message.length + 1)) : message;
    // Straight to the engine: it must not rely on what the workers have checked.
    const host = random(2) === 0 ? a : b;
    host.engine.punted(
      Buffer.from(cut),
      { address: `192.0.2.${random(254) + 1}`, port: 1 + random(65_535) },
      random(3) === 0,
    );
    if (i % 50 === 0) world.run(20);
    most = Math.max(most, a.table.slots.size, b.table.slots.size);
  }
  t.equal(done(), before, "no handshake was completed by any of it");
  t.ok(most <= 4, `${most} slots at most`);
  world.run(200_000);
  a.engine.initiateNow(0);
  world.run(12_000);
  t.ok(done() > before, "a genuine one still is");
  t.same([a.table.wrongs, b.table.wrongs], [[], []]);
});
