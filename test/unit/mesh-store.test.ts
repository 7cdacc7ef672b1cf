/** What a store believes, keeps, refuses and forgets. */
import { sign } from "node:crypto";
import t from "tap";
import { FileJournal, type Journal, nodeFs } from "../../packages/control/src/mesh/journal.js";
import {
  decodeRecord,
  encodeBody,
  nodeOctets,
  type RawRecord,
  signedOctets,
} from "../../packages/control/src/mesh/record.js";
import { RecordStore } from "../../packages/control/src/mesh/store.js";
import { OCTETS_MAX, RECORDS_MAX, RESERVED } from "../../packages/control/src/mesh/table.js";
import type { MeshEvent } from "../../packages/control/src/mesh/types.js";
import { publishContainers } from "../../packages/control/src/overlay/containers.js";
import {
  type Identity,
  MemoryJournal,
  NETWORK_ID,
  newIdentity,
  nodeValue,
  signedRecord,
  VirtualClock,
  verifyOnce,
} from "../sim/mesh-world.js";

const [a, b, c, d] = [newIdentity(), newIdentity(), newIdentity(), newIdentity()];
const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

function open(
  self: Identity = a,
  journal: Journal = new MemoryJournal(),
  clock: VirtualClock = new VirtualClock(),
): RecordStore {
  const surroundings = {
    nowMs: () => clock.now,
    wallMs: () => 0,
    after: (ms: number, callback: () => void) => clock.after(ms, callback),
    random: () => 0.5,
    sign: (octets: Uint8Array) => sign(null, octets, self.key),
    verify: verifyOnce,
    log,
  };
  return new RecordStore({ self: self.id, networkId: NETWORK_ID, founder: a.id, journal, surroundings });
}
const admits = (by: Identity, whom: Identity, version: number): RawRecord =>
  signedRecord<"member">(by, `member:${whom.id}`, version, { name: "x", at: 0 });
const removes = (by: Identity, whom: Identity, version: number, upTo: number): RawRecord =>
  signedRecord<"removed">(by, `removed:${whom.id}`, version, { at: 0, upTo, by: by.id });
const node = (who: Identity, version: number, name = "n"): RawRecord =>
  signedRecord<"node">(who, "node", version, nodeValue(name));
const srv = { port: 1, target: "t".repeat(250), priority: 0, weight: 0 };
const names = (store: RecordStore): string[] => [...store.list("node")].map((entry) => entry.value.name).sort();

t.test(
  "own records: on disk before anybody hears, equal ones change nothing, taken back, back after a restart",
  async (t) => {
    const journal = new MemoryJournal();
    const store = open(a, journal);
    const seen: MeshEvent[] = [];
    let spread = 0;
    store.onOwn = (records) => {
      t.ok(journal.records.length >= records.length, "written first");
      spread += records.length;
    };
    store.on((event) => seen.push(event));
    store.put("node", "", nodeValue("me"));
    store.put("node", "", nodeValue("me"));
    store.putAll([
      { kind: "dns", id: "x", value: { ips: ["10.0.0.1"], srv: [] } },
      { kind: "dns", id: "y", value: { ips: [], srv: [] } },
    ]);
    store.remove("dns", "x");
    store.remove("dns", "never");
    t.equal(spread, 4);
    t.equal(seen.length, 3);
    t.equal(store.get(a.id, "dns", "x"), undefined);
    t.same(
      [...store.list("dns")].map((e) => e.id),
      ["y"],
    );
    const again = open(a, journal);
    t.same(
      [...again.list("dns")].map((e) => e.id),
      ["y"],
    );
    again.put("dns", "z", { ips: [], srv: [] });
    t.equal([...again.list("dns")].find((e) => e.id === "z")?.version, 5, "versions go on");
  },
);

t.test("what does not fit is refused, and a disk that is full changes nothing", async (t) => {
  const journal = new MemoryJournal();
  const store = open(a, journal);
  t.throws(() => store.put("node", "x", nodeValue("me")), RangeError);
  t.throws(() => store.put("dns", "", { ips: [], srv: [] }), RangeError);
  t.throws(() => store.put("dns", "x".repeat(200), { ips: [], srv: [] }), /octets/);
  t.throws(() => store.put("removed", b.id, { at: -1, upTo: 0, by: a.id }), /schema/);
  t.throws(() => store.remove("member", b.id), RangeError, "an admission cannot be taken back");
  const { append } = journal;
  journal.append = () => {
    throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
  };
  t.throws(() => store.put("node", "", nodeValue("me")), { code: "ENOSPC" });
  t.equal(store.get(a.id, "node"), undefined);
  journal.append = append;
  store.put("node", "", nodeValue("me"));
  t.same(names(store), ["me"]);
});

t.test("a put that fails is not there after a restart either, and its version is given again", async (t) => {
  const directory = t.testdir();
  const owner = { networkId: NETWORK_ID, node: a.id };
  let isFull = false;
  const write = (fd: number, octets: Uint8Array, at: number): number => {
    // A full disk takes what there is room for, and nothing the next time.
    if (isFull && octets.length < 40) throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
    return nodeFs.write(fd, isFull ? octets.subarray(0, octets.length - 20) : octets, at);
  };
  const journal = new FileJournal(directory, owner, { ...nodeFs, write });
  const store = open(a, journal);
  store.put("node", "", nodeValue("me"));
  isFull = true;
  const puts = ["x", "y"].map((id) => ({ kind: "dns" as const, id, value: { ips: [], srv: [] } }));
  t.throws(() => store.putAll(puts), { code: "ENOSPC" });
  t.throws(() => store.put("node", "", nodeValue("else")), { code: "ENOSPC" });
  t.same(names(store), ["me"]);
  const again = open(a, new FileJournal(directory, owner));
  t.same([...again.list("dns")], []);
  t.same(names(again), ["me"]);
  isFull = false;
  store.putAll(puts);
  t.same(
    [...open(a, new FileJournal(directory, owner)).list("dns")].map(({ version }) => version),
    [2, 3],
  );
  const long = { ips: [], srv: Array.from({ length: 32 }, () => srv) };
  for (let i = 0; i < 2 * 2 ** 20; i += JSON.stringify(long).length + 150) {
    if (store.tables.table(a.id).octets + 16_000 + RESERVED.octets < OCTETS_MAX) store.put("dns", `long${i}`, long);
  }
  t.throws(() => {
    for (let i = 0; i < 10; i++) store.put("dns", `more${i}`, long);
  }, /octets, allowed are 2031616: remove some first/);
  t.ok(store.tables.table(a.id).octets <= OCTETS_MAX, "others take so much of a node");
});

t.test("what others have said is on disk with the next own word, or at once", async (t) => {
  const journal = new MemoryJournal();
  const store = open(a, journal);
  const onDisk = (): string[] => names(open(a, journal)).sort();
  const { append } = journal;
  store.put("member", b.id, { name: "b", at: 0 });
  const hear = (version: number, name: string): unknown =>
    store.receive([signedRecord<"node">(b, "node", version, nodeValue(name))], true);
  hear(1, "b1");
  t.same(onDisk(), []);
  store.persist();
  t.same(onDisk(), ["b1"]);
  hear(2, "b2");
  journal.append = () => {
    throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
  };
  t.throws(() => store.persist(), { code: "ENOSPC" });
  journal.append = append;
  store.put("node", "", nodeValue("me"));
  t.same(onDisk(), ["b2", "me"], "it was not forgotten");
  store.persist();
});

t.test("a container that is here stays, though a copy of this machine has withdrawn it", async (t) => {
  const journal = new MemoryJournal();
  const port = {
    ...{ port: "web", name: "web", network: "blue", ifname: "eth0", mac: "02:00:00:00:00:01", ips: ["10.9.0.5"] },
    ...{ dns: [], role: "container" as const, published: [], since: 1 },
  };
  publishContainers(open(a, journal), [port]);
  const store = open(a, journal);
  publishContainers(store, [port]);
  t.equal(store.tables.table(a.id).version, 1, "nothing has changed");
  store.receive([signedRecord<"container">(a, "container:web", 9, null)], true);
  t.equal(store.get(a.id, "container", "web")?.mac, port.mac);
  publishContainers(store, []);
  t.equal(store.get(a.id, "container", "web"), undefined);
});

t.test("own records of an earlier run come back while the disk is full: nothing breaks", async (t) => {
  const journal = new MemoryJournal();
  const store = open(a, journal);
  store.put("dns", "x", { ips: ["10.0.0.2"], srv: [] });
  const { append } = journal;
  journal.append = () => {
    throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
  };
  store.receive([signedRecord<"dns">(a, "dns:x", 9, { ips: ["10.0.0.1"], srv: [] })], true);
  t.same(store.get(a.id, "dns", "x")?.ips, ["10.0.0.1"]);
  journal.append = append;
  store.put("dns", "x", { ips: ["10.0.0.2"], srv: [] });
  t.equal([...store.list("dns")][0]?.version, 10);
});

t.test("nothing is believed that no member has signed", async (t) => {
  const store = open();
  const foreign = node(b, 1, "b");
  t.equal(store.receive([foreign], false).kept.length, 0);
  t.equal(store.rejected.stranger, 1);
  t.equal(
    store.receive([foreign, admits(a, c, 1), node(c, 1, "c"), admits(c, b, 2)], false).kept.length,
    4,
    "any order",
  );
  t.same(names(store), ["b", "c"]);
  const forged = Buffer.from(node(b, 9, "evil").octets);
  forged[40] = (forged[40] as number) ^ 1;
  t.ok(store.receive([{ ...node(b, 9), octets: forged }], false).isForged);
  t.ok(store.receive([{ ...node(c, 9, "evil"), node: b.id }], false).isForged, "another's signature");
  t.equal(store.receive([node(b, 1, "b")], false).kept.length, 0, "replayed");
  t.equal(store.receive([signedRecord(b, "dns:x", 3, { ips: 7 } as never)], true).kept.length, 0);
  t.equal(store.rejected.schema, 1);
  t.same(names(store), ["b", "c"]);
});

t.test("removed is removed, also the founder; what it admits after that does not count", async (t) => {
  const store = open(c);
  store.receive([admits(a, b, 1), admits(a, c, 2), node(a, 3, "a"), node(b, 1, "b")], true);
  const events: MeshEvent[] = [];
  store.on((event) => events.push(event));
  store.receive([removes(b, a, 2, 3)], true);
  t.notOk(store.isMember(a.id));
  t.ok(store.isRemoved(a.id));
  t.ok(store.isMember(b.id) && store.isMember(c.id));
  t.same(
    [...store.listRemoved("node")].map((e) => e.value.name),
    ["a"],
  );
  store.receive([admits(a, d, 4)], true);
  t.notOk(store.isMember(d.id), "admitted by a removed node");
  store.receive([admits(c, a, 1)], true);
  t.notOk(store.isMember(a.id), "no way back");
  t.notOk(events.some((e) => e.type === "expelled"));
  store.receive([removes(b, c, 3, 0)], true);
  t.same(
    events.filter((e) => e.type === "expelled"),
    [{ type: "expelled", by: b.id }],
  );
});

t.test("what a removed node says after its removal changes nothing, in whatever order it comes", async (t) => {
  const network = (version: number, clock: number, deleted: boolean): RawRecord =>
    signedRecord<"network">(d, "network:blue", version, {
      ...{ clock, deleted, vni: 5000, cidr4: "10.9.0.0/24", cidr6: null, mtu: null, vteps: [], founder: a.id },
      createdAt: 0,
    });
  const before = [
    ...[admits(a, b, 1), admits(a, c, 2), admits(a, d, 3)],
    ...[node(b, 1, "b"), node(c, 1, "c"), node(d, 1, "d"), network(2, 1, false)],
  ];
  const removal = removes(b, d, 2, 2);
  const after = [network(5, 999, true), removes(d, a, 6, 9), removes(d, c, 7, 9), node(d, 8, "again")];
  const orders = [
    [...before, removal, ...after],
    [...before, ...after, removal],
    [...after, ...before, removal],
  ];
  for (const [i, order] of orders.entries()) {
    const journal = new MemoryJournal();
    const store = open(c, journal);
    const events: MeshEvent[] = [];
    store.on((event) => events.push(event));
    for (const record of order) store.receive([record], true);
    // Who has heard the later words first has lost the earlier ones, and hears them again from those who have not.
    store.receive(before, true);
    store.flush();
    for (const [name, one] of [
      ["now", store],
      ["after a restart", open(c, journal)],
    ] as const) {
      t.same([...one.memberNodes()].sort(), [a.id, b.id, c.id].sort(), `order ${i}, ${name}`);
      t.same(
        [...one.listRemoved("network")].map(({ value }) => value.deleted),
        [false],
        `order ${i}, ${name}: the network is there`,
      );
      t.same(one.tables.root.octets, store.tables.root.octets);
    }
    t.notOk(events.some((event) => event.type === "expelled" && i === 0));
  }
});

t.test("of two that remove each other the one of higher rank is believed", async (t) => {
  const store = open(a);
  store.receive([admits(a, b, 1), admits(a, c, 2), node(b, 1), node(c, 1)], true);
  // Each says that it has not seen the other's.
  store.receive([removes(c, b, 5, 1), removes(b, c, 5, 1)], true);
  t.ok(store.isRemoved(c.id) && store.isMember(b.id), "b was admitted before c");
  const [one, other] = [open(a), open(a)];
  const all = [admits(a, b, 1), admits(a, c, 2), admits(b, d, 2), removes(d, c, 1, 9), removes(c, d, 10, 0)];
  one.receive(all, true);
  for (const record of [...all.slice(0, 3), ...all.slice(3).reverse()]) other.receive([record], true);
  for (const which of [one, other])
    t.same([which.isRemoved(c.id), which.isRemoved(d.id)], [false, true], "c is nearer to the founder than d");
  for (const [node, upTo] of [[c.id, 9]] as const) one.put("removed", node, { at: 0, upTo, by: one.self });
  t.same([one.isRemoved(c.id), one.isRemoved(d.id)], [true, false], "unless somebody above both has said so");
});

t.test("admissions, tombstones, networks and grants keep their versions whatever else is forgotten", async (t) => {
  const store = open();
  store.put("member", b.id, { name: "b", at: 0 });
  store.put("grant", "r:0:1", { start: 0, end: 8, to: b.id, epoch: 1 });
  for (let i = 0; i < 600; i++) {
    store.put("dns", `comes${i}`, { ips: [], srv: [] });
    store.remove("dns", `comes${i}`);
  }
  t.ok(store.tables.table(a.id).floor > 0, "a floor was set");
  t.equal([...store.list("member")][0]?.version, 1);
  t.equal([...store.list("grant")][0]?.version, 2);
  store.put("member", b.id, { name: "another", at: 9 });
  t.equal([...store.list("member")][0]?.version, 1, "said once");

  const other = open(c);
  other.receive([admits(a, c, 1), admits(a, b, 2), node(b, 1), removes(a, d, 3, 0), admits(a, d, 4)], true);
  t.ok(other.isRemoved(d.id));
  const nothing = signedRecord<"dns">(a, "dns:x", 9, { ips: [], srv: [] }, 9);
  other.receive([nothing], true);
  t.ok(other.isRemoved(d.id) && other.isMember(b.id), "a floor undoes neither");
});

t.test("own records alone make the journal shorter, too", async (t) => {
  const journal = new MemoryJournal();
  let asked = 0;
  journal.compact = () => void asked++;
  const clock = new VirtualClock();
  const store = open(a, journal, clock);
  store.put("dns", "x", { ips: [], srv: [] });
  await clock.run(5000);
  t.equal(asked, 1);
});

t.test("gaps are seen, and a complete answer has none", async (t) => {
  const store = open();
  store.put("member", b.id, { name: "b", at: 0 });
  t.same(store.receive([node(b, 3)], false).gaps, new Map([[b.id, 0]]));
  t.equal(store.receive([node(b, 4)], false).gaps.size, 0);
  t.equal(store.receive([node(b, 9)], true).gaps.size, 0);
});

t.test("the value null, spelt out, is no value", async (t) => {
  const store = open();
  store.put("member", b.id, { name: "b", at: 0 });
  const spelt = (kind: "dns" | "node", name: string, version: number): RawRecord => {
    const body = encodeBody(name, version, 0, { toJSON: () => null });
    const signed = signedOctets(Buffer.from(NETWORK_ID, "hex"), nodeOctets(b.id), body);
    t.equal(kind, name.split(":")[0]);
    return decodeRecord(b.id, Buffer.concat([body, sign(null, signed, b.key)]), 0);
  };
  store.receive([spelt("dns", "dns:x", 1), spelt("node", "node", 2)], true);
  t.equal(store.rejected.schema, 2);
  t.same([...store.list("dns")], [], "whoever reads a list finds values in it");
});

t.test("whatever fills a node's room, it can put members out", async (t) => {
  const store = open();
  const fill = (n: number, value: { ips: string[]; srv: (typeof srv)[] }): void =>
    store.putAll(Array.from({ length: n }, (_, i) => ({ kind: "dns" as const, id: `d${i}`, value })));
  t.throws(() => fill(RECORDS_MAX, { ips: [], srv: [] }), /allowed are/);
  fill(RECORDS_MAX - RESERVED.records, { ips: [], srv: [] });
  t.throws(() => store.put("member", b.id, { name: "b", at: 0 }), /allowed are/);
  const puts = [
    { kind: "removed" as const, id: b.id, value: { at: 0, upTo: 0, by: a.id } },
    { kind: "token" as const, id: "t", value: { secret: null, at: 0 } },
  ];
  store.putAll(puts);
  t.ok(store.isRemoved(b.id));
  t.ok(store.tables.table(a.id).records.size <= RECORDS_MAX);
  const srvs = Array.from({ length: 32 }, () => srv);
  t.throws(() => fill(256, { ips: [], srv: srvs }), /octets, allowed are/);
});

t.test("two records of the same version: all keep the same one", async (t) => {
  const one = node(b, 2, "one");
  const two = node(b, 2, "two");
  const kept = [
    [one, two],
    [two, one],
  ].map((order) => {
    const store = open();
    store.put("member", b.id, { name: "b", at: 0 });
    for (const record of order) store.receive([record], true);
    return names(store)[0];
  });
  t.equal(kept[0], kept[1]);
});

t.test("bounds: records of a node, and those that were taken back are forgotten everywhere", async (t) => {
  const store = open();
  store.put("member", b.id, { name: "b", at: 0 });
  const many = Array.from({ length: RECORDS_MAX + 5 }, (_, i) =>
    signedRecord<"dns">(b, `dns:d${i}`, i + 1, { ips: [], srv: [] }),
  );
  t.equal(store.receive(many, true).kept.length, RECORDS_MAX);
  t.equal(store.rejected.room, 5);

  const other = open(b);
  store.put("dns", "stays", { ips: ["10.0.0.1"], srv: [] });
  for (let i = 0; i < 600; i++) {
    store.put("dns", "comes", { ips: [], srv: [] });
    store.put("dns", `comes${i}`, { ips: [], srv: [] });
    store.remove("dns", `comes${i}`);
    // It misses most of it.
    if (i % 100 === 50) other.receive(store.tables.table(a.id).newerThan(0), true);
  }
  t.ok(store.tables.table(a.id).records.size < 300, `${store.tables.table(a.id).records.size} are kept`);
  other.receive(store.tables.table(a.id).newerThan(other.tables.table(a.id).version), true);
  t.same(
    [...other.list("dns")]
      .filter((e) => e.node === a.id)
      .map((e) => e.id)
      .sort(),
    ["comes", "stays"],
  );
  t.same(other.tables.table(a.id).hash.octets, store.tables.table(a.id).hash.octets);
});

t.test("own records from a lost disk come back, and what was written since holds", async (t) => {
  const store = open();
  store.put("node", "", nodeValue("new"));
  store.receive([node(a, 70, "old"), signedRecord<"dns">(a, "dns:kept", 71, { ips: ["10.0.0.1"], srv: [] })], true);
  t.same(names(store), ["new"]);
  t.ok(store.get(a.id, "dns", "kept"));
  t.ok(([...store.list("node")][0]?.version ?? 0) > 71);
  store.onForeignOwn = () => false;
  store.receive([node(a, 900, "copy")], true);
  t.same(names(store), ["new"]);
});
