/** Handshakes of WireGuard that go wrong, and those that somebody wants to go wrong; doubles: see models/wireguard.ts. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import t, { type Test } from "tap";
import { addressOctets } from "../../packages/control/src/wireguard/cookies.js";
import { mac1Key, writeMacs } from "../../packages/control/src/wireguard/noise/macs.js";
import { INITIATION, RESPONSE } from "../../packages/control/src/wireguard/noise/messages.js";
import { count, type HostDouble, join, pair, World } from "../models/wireguard.js";

/** Both directions work. */
function works(t: Test, a: HostDouble, b: HostDouble, what: string): void {
  const before = [a.got.get(0)?.length ?? 0, b.got.get(0)?.length ?? 0] as const;
  a.data(0);
  b.data(0);
  a.world.run(100);
  t.strictSame([a.got.get(0)?.length, b.got.get(0)?.length], [before[0] + 1, before[1] + 1], what);
}
const initiationOf = (host: HostDouble, index = -1): Buffer =>
  host.sent.filter(({ kind }) => kind === "initiation").at(index)?.datagram as Buffer;

t.test("both sides begin at once", async (t) => {
  for (const [seed, latencies] of [
    [1, [2]],
    [2, [2, 40, 7]],
    [3, [60, 1]],
  ] as const) {
    const { world, a, b } = pair(seed);
    let i = 0;
    world.latency = () => latencies[i++ % latencies.length] as number;
    a.data(0);
    b.data(0);
    world.run(400);
    works(t, a, b, "a session");
    t.ok(a.sentOf("initiation").length === 1 && b.sentOf("initiation").length === 1, "no second try is needed");
    const stop = [a, b].map((host) => setFlow(host));
    world.run(400_000);
    for (const end of stop) end();
    world.run(200);
    t.strictSame(
      [a.dropped, b.dropped].map((d) => [d.noSession, d.unknownIndex, d.expired]),
      [
        [1, 0, 0],
        [1, 0, 0],
      ],
    );
    t.ok(Math.max(a.table.most, b.table.most) <= 4, "four slots");
  }
});
function setFlow(host: HostDouble): () => void {
  let isOn = true;
  const send = (): void => {
    if (isOn && host.data(0)) host.world.after(50, send);
  };
  send();
  return () => {
    isOn = false;
  };
}

t.test("both begin, and one initiation is lost: the other is enough", async (t) => {
  const { world, a, b } = pair(20);
  world.loses = (kind, from) => kind === "initiation" && from === b;
  a.data(0);
  b.data(0);
  world.run(12_000);
  works(t, a, b, "a session");
  t.equal(b.sentOf("initiation").length, 1, "it is not repeated");
  t.strictSame([a.table.slots.size, b.table.slots.size], [1, 1]);
});

t.test("a lost response: the next initiation is answered", async (t) => {
  const { world, a, b } = pair(4);
  let lost = 0;
  world.loses = (kind) => kind === "response" && ++lost <= 3;
  a.data(0);
  world.run(16_500);
  t.equal(a.sentOf("initiation").length, 4);
  works(t, a, b, "a session");
  t.ok(b.table.most <= 4 && a.table.most <= 2);
  world.run(200_000);
  t.equal(count(b, "responder", "timeout"), 3, "those that nobody used");
});

t.test("a response that comes after the next try is refused, and harms nothing", async (t) => {
  const { world, a, b } = pair(5);
  world.latency = () => 2_600;
  a.data(0);
  world.run(5_500);
  world.latency = () => 2;
  world.run(6_000);
  t.equal(a.engine.counters().refused.unknown_index, 1);
  works(t, a, b, "a session");
});

t.test("the first keepalive is lost", async (t) => {
  const { world, a, b } = pair(6);
  world.loses = (kind) => kind === "keepalive";
  a.data(0);
  world.run(100);
  t.equal(count(b, "responder", "completed"), 0);
  t.equal(b.engine.counters().peers[0]?.session, "handshake");
  t.notOk(b.data(0), "the responder may not send yet");
  a.data(0);
  world.run(100);
  t.equal(count(b, "responder", "completed"), 1, "data confirms as well");
  works(t, a, b, "a session");
});

t.test("the first keepalive is lost and only the responder has data: it begins itself", async (t) => {
  const { world, a, b } = pair(7);
  world.loses = (kind) => kind === "keepalive";
  a.data(0);
  world.run(100);
  world.loses = () => false;
  const took = world.until(() => {
    b.data(0);
    return (a.got.get(0)?.length ?? 0) > 0;
  });
  t.ok(took <= 5_000 + 333 + 250, `${took} ms`);
  world.run(50);
  works(t, a, b, "a session");
});

t.test("a lost first message of a rekey loses no data", async (t) => {
  const { world, a, b } = pair(8);
  a.data(0);
  world.run(100);
  let isOn = true;
  const send = (): void => {
    if (!isOn) return;
    b.data(0);
    world.after(20, send);
  };
  send();
  world.run(110_000);
  // From now on the initiator has the new key and the responder is not told: it goes on with the old one.
  world.loses = (kind, from) => kind === "keepalive" && from === a;
  a.data(0);
  world.run(20_000);
  world.loses = () => false;
  world.run(200_000);
  isOn = false;
  world.run(100);
  t.equal(a.got.get(0)?.length, b.sentOf("data").length);
  t.equal(b.dropped.noSession, 0);
});

t.test("one side starts anew", async (t) => {
  for (const clock of [60_000, 1] as const) {
    const { world, a, b } = pair(9);
    a.data(0);
    world.run(20_000);
    works(t, a, b, "before");
    a.die();
    // Even when the wall clock has hardly moved: time has passed.
    const again = world.host({ privateKey: a.privateKey, address: a.address, wall: a.wall + clock });
    again.engine.addPeer(0, {
      publicKey: b.engine.publicKey,
      endpoint: { address: b.address, port: b.port },
      persistentKeepalive: 0,
    });
    world.run(1000);
    again.data(0);
    world.run(100);
    works(t, again, b, "it begins: at once");
    again.die();
    const third = world.host({ privateKey: a.privateKey, address: a.address, wall: a.wall + 2 * clock });
    third.engine.addPeer(0, { publicKey: b.engine.publicKey, persistentKeepalive: 0 });
    const took = world.until(() => {
      b.data(0);
      world.run(90);
      return (third.got.get(0)?.length ?? 0) > 0;
    });
    t.ok(took <= 15_000 + 333 + 500, `the other side begins after it has heard nothing for 15 s: ${took} ms`);
    works(t, third, b, "again");
  }
});

t.test("a replayed initiation, an older one and one that comes too soon", async (t) => {
  const { world, a, b } = pair(10);
  a.data(0);
  world.run(10_000);
  const first = initiationOf(a);
  t.ok(a.engine.initiateNow(0));
  world.run(1000);
  const from = { address: "10.66.6.6", port: 6 };
  const sent = b.sent.length;
  for (const message of [first, initiationOf(a)]) b.engine.punted(message, from, false);
  t.equal(b.engine.counters().refused.stale_timestamp, 2);
  t.equal(b.sent.length, sent, "no answer");
  t.equal(b.endpoints.get(0)?.address, a.address, "nor does it move the endpoint");
  t.notOk(a.engine.initiateNow(0), "we ourselves wait for 5 s");
  // Somebody who has a's key and another clock.
  const twin = world.host({ privateKey: a.privateKey, wall: a.wall + 5_000_000 });
  twin.engine.addPeer(0, { publicKey: b.engine.publicKey, endpoint: from, persistentKeepalive: 0 });
  twin.engine.initiateNow(0);
  const one = initiationOf(twin);
  twin.world.run(6_000);
  const two = initiationOf(twin);
  b.engine.punted(one, from, false);
  b.engine.punted(two, from, false);
  t.equal(b.engine.counters().refused.too_soon, 1, "less than 20 ms after the one before");
  world.run(20);
  b.engine.punted(two, from, false);
  t.equal(b.sent.length, sent + 2);
  t.match(b.engine.counters(), { roams: 1, refused: { stale_timestamp: 2, too_soon: 1 } });
  a.data(0);
  world.run(50);
  works(t, a, b, "sessions go on, and data brings the endpoint back");
});

t.test("the wall clock goes back", async (t) => {
  const { world, a, b } = pair(11);
  a.data(0);
  world.run(6_000);
  a.wall -= 86_400_000;
  t.ok(a.engine.initiateNow(0));
  world.run(100);
  t.equal(count(a, "initiator", "completed"), 2);
  t.equal(b.engine.counters().refused.stale_timestamp, 0);
});

t.test("under load: a cookie, no work, and the next try succeeds", async (t) => {
  const { world, a, b } = pair(12);
  b.underLoad = true;
  a.data(0);
  world.run(4_900);
  t.strictSame([b.sentOf("cookieReply").length, b.sentOf("response").length, b.table.slots.size], [1, 0, 0]);
  t.match([a.engine.counters().cookiesReceived, b.engine.counters().cookiesSent], [1, 1]);
  t.equal(a.sentOf("initiation").length, 1, "not repeated at once");
  world.run(700);
  works(t, a, b, "with mac2");
  t.ok(
    initiationOf(a)
      .subarray(INITIATION.MAC2)
      .some((octet) => octet !== 0),
  );
  // Both under load: the response needs a cookie too.
  world.run(6_000);
  a.underLoad = true;
  t.ok(a.engine.initiateNow(0));
  world.run(12_000);
  t.ok(count(a, "initiator", "completed") >= 2);
  works(t, a, b, "with mac2 both ways");
  // The cookie is used for two minutes, and the secret is another one then.
  const secret = b.secret;
  world.run(121_000);
  t.notSame(b.secret, secret);
  a.engine.initiateNow(0);
  t.ok(
    initiationOf(a)
      .subarray(INITIATION.MAC2)
      .every((octet) => octet === 0),
  );
});

t.test("cookies are made of 16 octets of address", async (t) => {
  t.equal(addressOctets("10.1.2.3").toString("hex"), "00000000000000000000ffff0a010203");
  t.equal(addressOctets("fd00::1:2").toString("hex"), "fd000000000000000000000000010002");
});

t.test("a preshared key that differs", async (t) => {
  const world = new World(13);
  const [a, b] = [world.host(), world.host()];
  join(a, b, { preshared: world.bytes(32) });
  b.engine.changePeer(0, { publicKey: a.engine.publicKey, preshared: world.bytes(32), persistentKeepalive: 0 });
  a.data(0);
  world.run(3_000);
  t.strictSame([count(a, "initiator", "completed"), count(a, "initiator", "failed")], [0, 1]);
  b.engine.changePeer(0, { publicKey: a.engine.publicKey, persistentKeepalive: 0 });
  a.engine.changePeer(0, { publicKey: b.engine.publicKey, persistentKeepalive: 0 });
  world.run(3_000);
  t.equal(count(a, "initiator", "completed"), 1, "the next try has the changed key");
  works(t, a, b, "without one");
});

t.test("strangers, wrong indexes and messages that are none get no answer", async (t) => {
  const { world, a, b } = pair(14);
  const stranger = world.host();
  stranger.engine.addPeer(0, {
    publicKey: b.engine.publicKey,
    endpoint: { address: b.address, port: b.port },
    persistentKeepalive: 0,
  });
  stranger.data(0);
  world.run(100);
  t.equal(b.engine.counters().refused.unknown_peer, 1);
  const publicKey = stranger.engine.publicKey.toString("base64");
  t.match(b.events.at(-1), { type: "stranger", publicKey, from: { address: stranger.address } });
  const from = { address: stranger.address, port: 1 };
  for (let length = 0; length <= 200; length++) {
    const message = Buffer.alloc(length);
    for (const type of [0, 1, 2, 3, 4, 255]) {
      if (length > 0) message.writeUInt8(type, 0);
      for (const underLoad of type === 1 || type === 2 ? [false] : [false, true])
        b.engine.punted(message, from, underLoad);
    }
  }
  t.match(b.engine.counters().refused, { unknown_index: 3, unsound: 201 * 10 - 3 });
  t.equal(b.sent.length, 0, "silence");
  // A response to an index that is a session already.
  a.data(0);
  world.run(100);
  const response = b.sent.find(({ kind }) => kind === "response")?.datagram as Buffer;
  a.engine.punted(response, { address: b.address, port: b.port }, false);
  t.equal(a.engine.counters().refused.unknown_index, 1);
  // A response that was changed on its way leaves the handshake as it was.
  world.run(6_000);
  let changed = 0;
  world.loses = (kind) => kind === "response" && ++changed <= 1;
  a.engine.initiateNow(0);
  world.run(50);
  const forged = Buffer.from(b.sent.filter(({ kind }) => kind === "response").at(-1)?.datagram as Buffer);
  const intact = Buffer.from(forged);
  forged.writeUInt8(forged.readUInt8(RESPONSE.EPHEMERAL) ^ 1, RESPONSE.EPHEMERAL);
  writeMacs(forged, mac1Key(a.engine.publicKey), undefined);
  a.engine.punted(forged, { address: "10.66.6.6", port: 1 }, false);
  t.strictSame([count(a, "initiator", "completed"), count(a, "initiator", "failed")], [1, 1]);
  t.equal(a.endpoints.get(0)?.address, b.address);
  a.engine.punted(intact, { address: b.address, port: b.port }, false);
  t.equal(count(a, "initiator", "completed"), 2);
});

t.test("a peer whose endpoint nobody knows", async (t) => {
  const { world, a, b } = pair(15, { bothKnow: false });
  t.notOk(b.data(0));
  world.run(100);
  t.strictSame([b.sent.length, b.engine.counters().noEndpoint], [0, 1]);
  b.data(0);
  world.run(30_000);
  t.equal(b.engine.counters().noEndpoint, 2, "counted when something is to be sent, not with every tick");
  a.data(0);
  world.run(100);
  works(t, a, b, "the other side has begun");
  t.strictSame(b.endpoints.get(0), { address: a.address, port: a.port, local: b.address });
  t.equal(b.engine.counters().roams, 0, "to be found is not to roam");
});

t.test("roaming", async (t) => {
  const { world, a, b } = pair(16);
  a.data(0);
  world.run(100);
  // Where a sent from is gone: the kernel refuses once.
  t.equal(a.endpoints.get(0)?.local, "10.0.0.1");
  a.address = "10.0.9.9";
  t.notOk(a.data(0));
  world.run(10);
  t.ok(a.data(0));
  world.run(100);
  t.match(b.events.at(-1), { type: "roamed", endpoint: { address: "10.0.9.9", port: a.port } });
  works(t, a, b, "with data");
  world.run(6_000);
  a.port = 4444;
  a.engine.initiateNow(0);
  world.run(100);
  t.match(b.events.filter(({ type }) => type === "roamed").at(-1), { endpoint: { address: "10.0.9.9", port: 4444 } });
  t.equal(b.engine.counters().roams, 2);
  // Repeated initiations leave the address to send from to the kernel: ours may be gone.
  t.equal(b.endpoints.get(0)?.local, b.address);
  b.engine.initiateNow(0);
  world.run(10_000);
  a.die();
  b.engine.initiateNow(0);
  world.run(12_000);
  t.equal(b.sent.at(-1)?.kind, "initiation");
  t.equal(b.sent.at(-1)?.to.local, undefined);
  t.match(b.engine.counters().peers[0]?.endpoint, { address: "10.0.9.9", port: 4444, local: undefined });
});

t.test("removing a peer leaves nothing of it", async (t) => {
  const { world, a, b } = pair(17);
  a.data(0);
  world.run(6_000);
  world.loses = () => true;
  a.engine.initiateNow(0);
  t.equal(a.table.slots.size, 2);
  t.throws(() => a.engine.addPeer(1, { publicKey: b.engine.publicKey, persistentKeepalive: 0 }), RangeError);
  a.engine.removePeer(0);
  a.engine.removePeer(0);
  t.strictSame([a.table.slots.size, a.table.sending.size], [0, 0]);
  t.ok(
    a.table.handed.every((key) => key.every((octet) => octet === 0)),
    "wiped",
  );
  world.loses = () => false;
  const sent = a.sent.length;
  b.engine.initiateNow(0);
  for (const what of ["noSession", "keyUsed", "keyWorn", "initiateNow"] as const) a.engine[what](0);
  a.engine.roamed(0, { address: "10.0.0.7", port: 7 });
  world.run(10_000);
  t.equal(a.sent.length, sent);
  t.equal(a.engine.counters().refused.unknown_peer >= 1, true);
  a.engine.close();
  a.engine.close();
  b.engine.close();
  t.strictSame([b.table.slots.size, b.table.sending.size], [0, 0]);
  a.engine.punted(initiationOf(b), { address: b.address, port: 1 }, true);
  t.equal(a.sent.length, sent, "silent");
});

t.test("no slot is free: tried again until there is one", async (t) => {
  const { world, a, b } = pair(18, { a: { keysMax: 1 }, b: { keysMax: 1 } });
  const third = world.host();
  a.engine.addPeer(1, {
    publicKey: third.engine.publicKey,
    endpoint: { address: third.address, port: third.port },
    persistentKeepalive: 0,
  });
  third.engine.addPeer(0, { publicKey: a.engine.publicKey, persistentKeepalive: 0 });
  a.data(0);
  world.run(100);
  works(t, a, b, "it has the slot");
  a.data(1);
  world.run(1_000);
  t.equal(third.got.size, 0);
  a.engine.removePeer(0);
  world.run(1_000);
  a.data(1);
  world.run(100);
  t.equal(third.got.get(0)?.length, 1);
  // A responder without one does not answer.
  b.engine.changePeer(0, { publicKey: a.engine.publicKey, persistentKeepalive: 0 });
  world.run(6_000);
  t.ok(third.engine.initiateNow(0));
  world.run(100);
  t.equal(count(a, "responder", "failed"), 1);
});

t.test("100,000 spoofed messages leave nothing behind", async (t) => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const { world, a, b } = pair(19);
  a.data(0);
  world.run(100);
  works(t, a, b, "a session");
  b.keepsSent = false;
  const key = mac1Key(b.engine.publicKey);
  const message = (type: number, length: number): Buffer => {
    const octets = world.bytes(length);
    octets.writeUInt32LE(type, 0);
    return octets;
  };
  const spoof = (n: number): void => {
    const kinds = [message(1, 148), message(2, 92), message(3, 64)] as const;
    writeMacs(kinds[0], key, undefined);
    for (let i = 0; i < n; i++) {
      const from = { address: `10.${i & 255}.${(i >> 8) & 255}.${i % 251}`, port: 1 + (i % 65_535) };
      const kind = kinds[i % 3] as Buffer;
      // Another sender, receiver and nonce each time; one initiation in thirty has to be looked at in earnest.
      kind.writeUInt32LE(i, 4);
      kind.writeUInt32LE(i ^ 0x5555, 8);
      b.engine.punted(kind, from, i % 3 === 0 && i % 30 !== 0);
    }
  };
  spoof(5_000);
  collect();
  const before = process.memoryUsage();
  spoof(95_000);
  collect();
  const after = process.memoryUsage();
  const grown = after.heapUsed + after.external - before.heapUsed - before.external;
  t.ok(grown < 2_000_000, `${grown} octets`);
  t.equal(b.table.slots.size, 1);
  const { cookiesSent, refused } = b.engine.counters();
  t.equal(cookiesSent, 30_000);
  t.equal(refused.unsound + refused.unknown_index, 70_000);
  works(t, a, b, "the session is as it was");
});
