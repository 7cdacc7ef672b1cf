/**
 * A neighbour that sends anything: noise, damaged and replayed messages, records signed by nobody who may. A live node never throws, keeps
 * no more than its bounds allow, and believes nothing that is not signed by a member.
 *
 *   WEFT_FUZZ_MESSAGES=N   how many (default 20,000, with WEFT_TEST_LONG=1 2 * 10^6)
 */
import t from "tap";
import type { Channel } from "../../packages/control/src/mesh/channel.js";
import * as wire from "../../packages/control/src/mesh/wire.js";
import { pick, randomOf } from "../models/random.js";
import { MeshWorld, NETWORK_ID, newIdentity, nodeValue, signedRecord } from "../sim/mesh-world.js";

const LONG = process.env.WEFT_TEST_LONG === "1";
const MESSAGES = Number(process.env.WEFT_FUZZ_MESSAGES ?? (LONG ? 2e6 : 20_000));

t.test("a hostile neighbour", async (t) => {
  const world = new MeshWorld(1);
  const [target, member] = world.begin(3) as [(typeof world.up)[0], (typeof world.up)[0]];
  await world.run(2000);
  const random = randomOf(7);
  const stranger = newIdentity();
  const trueNames = new Set(["n0", "n1", "n2", "real"]);
  const hash = (): Buffer => Buffer.from(Array.from({ length: 8 }, () => pick(random, 256)));
  const sources: (() => Buffer)[] = [
    () => Buffer.from(Array.from({ length: 1 + pick(random, 400) }, () => pick(random, 256))),
    () => wire.encodeHello(Buffer.from(NETWORK_ID, "hex")),
    () => wire.encodeRoot(hash()),
    () => wire.encodeBuckets(Array.from({ length: 64 }, hash)),
    () => wire.encodeVersions([pick(random, 64)], [{ node: stranger.id, version: pick(random, 1e6), hash: hash() }]),
    () =>
      wire.encodeVersions(
        Array.from({ length: 64 }, (_, i) => i),
        [],
      ),
    () =>
      wire.encodeWant([
        { node: target.id, since: 0 },
        { node: stranger.id, since: 0 },
      ]),
    () => wire.encodeAsk(pick(random, 100), stranger.id),
    () => wire.encodeAnswer(pick(random, 100), 0),
    () => wire.encodePing("pong", pick(random, 10)),
    () => [...wire.encodeRecords([signedRecord<"node">(stranger, "node", 1, nodeValue("evil"))], false)][0] as Buffer,
    () =>
      [
        ...wire.encodeRecords(
          [{ node: member.id, octets: signedRecord<"node">(stranger, "node", 99, nodeValue("evil")).octets }],
          true,
        ),
      ][0] as Buffer,
    () =>
      [
        ...wire.encodeRecords([signedRecord<"node">(member.identity, "node", 2, nodeValue("real"))], false),
      ][0] as Buffer,
    () =>
      [
        ...wire.encodeRecords(
          [signedRecord(member.identity, "dns:x", 5 + pick(random, 9), { ips: 3 } as never)],
          false,
        ),
      ][0] as Buffer,
  ];
  let handlers: Parameters<Channel["receive"]>[0] | undefined;
  let isOpen = false;
  let answered = 0;
  let channels = 0;
  const reconnect = (): void => {
    isOpen = true;
    channels++;
    target.accept({
      node: member.id,
      isOutbound: false,
      remote: "hostile:1",
      backlog: 0,
      send: (message) => {
        answered += message.length;
      },
      close: () => {
        isOpen = false;
      },
      receive: (given) => {
        handlers = given;
      },
    });
    handlers?.message(wire.encodeHello(Buffer.from(NETWORK_ID, "hex")));
  };
  for (let i = 0; i < MESSAGES; i++) {
    if (!isOpen) {
      await world.run(1100);
      reconnect();
    }
    const message = (sources[pick(random, sources.length)] as () => Buffer)();
    if (pick(random, 3) === 0 && message.length > 1) message[pick(random, message.length)] = pick(random, 256);
    handlers?.message(pick(random, 20) === 0 ? message.subarray(0, pick(random, message.length)) : message);
    if (i % 50 === 0) await world.run(100);
  }
  t.ok(channels > 10, `${channels} links, ${answered} octets of answers`);
  const { records } = target.mesh;
  t.same(
    [...records.list("node")].map((e) => e.value.name).filter((name) => !trueNames.has(name)),
    [],
  );
  t.notOk(records.isMember(stranger.id));
  t.same([...records.list("dns")], []);
  t.equal(records.members().length, 3);
  t.ok(
    Number(target.mesh.rejected.forged) > 0 &&
      Number(target.mesh.rejected.stranger) > 0 &&
      Number(target.mesh.rejected.schema) > 0,
  );
  t.comment(JSON.stringify(Object.fromEntries(target.mesh.stats.closed)));
});

t.test("a flood ends the link", async (t) => {
  const world = new MeshWorld(2);
  const [target, member] = world.begin(2) as [(typeof world.up)[0], (typeof world.up)[0]];
  let why = "";
  let handlers: Parameters<Channel["receive"]>[0] | undefined;
  target.accept({
    node: member.id,
    isOutbound: false,
    remote: "hostile:1",
    backlog: 0,
    send: () => {},
    close: (reason) => {
      why = reason;
    },
    receive: (given) => {
      handlers = given;
    },
  });
  for (let i = 0; i < 20_000 && why === ""; i++) handlers?.message(wire.encodePing("ping", i));
  t.equal(why, "flood");
});
