/** Messages and records as octets. */
import fc from "fast-check";
import t from "tap";
import { MESSAGE_MAX } from "../../packages/control/src/mesh/channel.js";
import { encodeBody, nodeOctets, partsOf } from "../../packages/control/src/mesh/record.js";
import * as wire from "../../packages/control/src/mesh/wire.js";
import { NETWORK_ID, newIdentity, nodeValue, signedRecord } from "../sim/mesh-world.js";

const a = newIdentity();
const b = newIdentity();
const hash = Buffer.from("0123456789abcdef", "hex");

t.test("what is written is read", async (t) => {
  const id = Buffer.from(NETWORK_ID, "hex");
  t.match(wire.decode(wire.encodeHello(id)), { type: "hello", min: 1, max: 1, networkId: id });
  t.same(wire.decode(wire.encodeRoot(hash)), { type: "root", hash });
  t.same(wire.decode(wire.encodeBuckets(Array(64).fill(hash))), { type: "buckets", hashes: Array(64).fill(hash) });
  const digests = [
    { node: a.id, version: 2 ** 47, hash },
    { node: b.id, version: 1, hash },
  ];
  t.same(wire.decode(wire.encodeVersions([0, 9, 63], digests)), {
    type: "versions",
    buckets: new Set([0, 9, 63]),
    digests,
  });
  const wants = [{ node: b.id, since: 7 }];
  t.same(wire.decode(wire.encodeWant(wants)), { type: "want", wants });
  t.same(wire.decode(wire.encodePing("ping", 2 ** 32 - 1)), { type: "ping", number: 2 ** 32 - 1 });
  t.same(wire.decode(wire.encodeAsk(3, a.id)), { type: "ask", number: 3, node: a.id });
  t.same(wire.decode(wire.encodeAnswer(3, Number.POSITIVE_INFINITY)), {
    type: "answer",
    number: 3,
    heardMs: wire.NEVER_HEARD,
  });
  t.same(wire.decode(wire.encodeGoodbye("full", [a.id])), { type: "goodbye", reason: "full", others: [a.id] });
});

t.test("golden octets: a ping, and the body of a record", async (t) => {
  t.equal(wire.encodePing("ping", 258).toString("hex"), "0700000102");
  const body = encodeBody("removed:x", 5, 2, { at: 1, upTo: 2 });
  t.equal(
    body.toString("latin1"),
    '\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x02\x09removed:x\x00\x11{"at":1,"upTo":2}',
  );
});

t.test("records go into as many messages as it takes, runs and order kept", async (t) => {
  const record = (who: typeof a, version: number) =>
    signedRecord<"dns">(who, `dns:d${version}`, version, { ips: Array(20).fill("2001:db8::1:2:3"), srv: [] });
  const records = [a, b].flatMap((who) => Array.from({ length: 300 }, (_, i) => record(who, i + 1)));
  const messages = [...wire.encodeRecords(records, true)];
  t.ok(messages.length > 1);
  t.ok(messages.every((m) => m.length <= MESSAGE_MAX));
  const read = messages.flatMap((m) => {
    const message = wire.decode(m);
    return message.type === "records" && message.isComplete ? message.records : [];
  });
  t.same(
    read.map((r) => [r.node, r.name, r.version, r.octets.toString("hex")]),
    records.map((r) => [r.node, r.name, r.version, r.octets.toString("hex")]),
  );
});

t.test("names of records", async (t) => {
  t.same(partsOf("node"), { kind: "node", id: "" });
  t.same(partsOf("grant:blue:7"), { kind: "grant", id: "blue:7" });
  for (const name of [
    "",
    "node:",
    "node:x",
    "dns",
    "dns:",
    "dns: x",
    "dns:a\u0007",
    "what:x",
    "__proto__:x",
    "member:x",
    "toString",
  ])
    t.equal(partsOf(name), undefined, name);
  t.ok(partsOf(`member:${a.id}`));
});

t.test("octets that are no message are a WireError, whatever they are", async () => {
  const sound = [
    wire.encodeHello(Buffer.alloc(16)),
    ...wire.encodeRecords([signedRecord<"node">(a, "node", 1, nodeValue("a"))], false),
    wire.encodeBuckets(Array(64).fill(hash)),
    wire.encodeVersions([1], [{ node: a.id, version: 1, hash }]),
    wire.encodeWant([{ node: a.id, since: 0 }]),
    wire.encodeGoodbye("leaving", [a.id]),
  ];
  const isSound = (octets: Uint8Array): void => {
    try {
      wire.decode(octets);
    } catch (error) {
      if ((error as Error).name !== "WireError") throw error;
    }
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), isSound), { numRuns: 2000 });
  fc.assert(
    fc.property(fc.nat(sound.length - 1), fc.nat(), fc.nat(255), fc.nat(600), (which, at, octet, length) => {
      const message = Buffer.from(sound[which] as Buffer);
      message[at % message.length] = octet;
      isSound(message.subarray(0, length));
    }),
    { numRuns: 5000 },
  );
  isSound(Buffer.concat([Buffer.from([2, 0]), nodeOctets(a.id)]));
});
