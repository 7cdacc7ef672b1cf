/**
 * The Dataplane class over the in-memory twin: no privilege, no thread, every frame seen on both sides.
 */
import { execFileSync } from "node:child_process";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import {
  type AttachSpec,
  type Counters,
  Dataplane,
  type DataplaneEvent,
  InvalidInput,
  type PortInfo,
  type PortRecord,
} from "@weft/control";
import { MemoryLink, MemoryNetwork } from "@weft/tun";
import t from "tap";
import { removeRecorded } from "../../packages/control/dist/dataplane/device.js";
import { netnsIdOf, withNetns } from "../../packages/control/dist/dataplane/netns.js";
import { BROADCAST, ETHERTYPE, ethernet, ipv4, ipv6, udp } from "../frames/build.js";

interface Host {
  readonly dp: Dataplane;
  readonly link: MemoryLink;
  readonly events: DataplaneEvent[];
}

const number = (mac: string): number => Number.parseInt(mac.replaceAll(":", ""), 16);
const text = (mac: number): string => (mac.toString(16).padStart(12, "0").match(/../g) as string[]).join(":");

async function startHost(network: MemoryNetwork, address: string, options = {}): Promise<Host> {
  const link = new MemoryLink({ network, addresses: [address] });
  const dp = await Dataplane.start({ underlay: [address], link, ...options });
  const events: DataplaneEvent[] = [];
  dp.on("event", (event) => events.push(event));
  return { dp, link, events };
}

/** Lets the event loop run until no host has taken in anything more. */
async function settle(...hosts: Host[]): Promise<void> {
  const taken = (): number =>
    hosts.reduce((sum, { dp }) => sum + dp.counters().law.egress.in + dp.counters().law.ingress.in, 0);
  let before = -1;
  for (let quiet = 0; quiet < 3; ) {
    for (let i = 0; i < 4; i++) await nextTurn();
    const now = taken();
    quiet = now === before ? quiet + 1 : 0;
    before = now;
  }
}

/** in + made = out + consumed + merged + drops, and the drops by reason. */
function lawHolds(counters: Counters): boolean {
  return Object.values(counters.law).every((l) => l.in + l.made === l.out + l.consumed + l.merged + l.drops);
}
const dropped = (counters: Counters): Record<string, number> =>
  Object.fromEntries(counters.drops.filter((d) => d.count > 0).map((d) => [`${d.plane} ${d.reason}`, d.count]));

function frame(from: number, to: number, payload = "weft"): Buffer {
  return ethernet({ src: from, dst: to, payload: Buffer.from(payload.padEnd(46, ".")) });
}
async function keysOf(promise: Promise<unknown>): Promise<string[]> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof InvalidInput) return error.problems.map((p) => p.key);
    throw error;
  }
  return [];
}

t.test("two data planes in one process carry frames to each other, and every counter agrees", async (t) => {
  const network = new MemoryNetwork();
  const a = await startHost(network, "10.9.0.1");
  const b = await startHost(network, "10.9.0.2");
  t.teardown(() => Promise.all([a.dp.close(), b.dp.close()]));
  await a.dp.setNetwork({ name: "blue", vni: 42, vteps: ["10.9.0.2"] });
  await b.dp.setNetwork({ name: "blue", vni: 42, vteps: ["10.9.0.1:4789"] });
  const here = await a.dp.attach({ network: "blue", ifname: "here", ip: ["10.8.0.1/24"], labels: { app: "a" } });
  const there = await b.dp.attach({ network: "blue", ifname: "there", id: "there" });
  t.match(here, {
    network: "blue",
    state: "up",
    netns: null,
    ifname: "here",
    mtu: 1450,
    ip: ["10.8.0.1/24"],
    labels: { app: "a" },
  });

  a.link.device("here").inject(frame(number(here.mac), number(there.mac)));
  a.link.device("here").inject(frame(number(here.mac), BROADCAST));
  await settle(a, b);
  t.equal(b.link.device("there").take().length, 2, "both arrive");
  b.link.device("there").inject(frame(number(there.mac), number(here.mac)));
  await settle(a, b);
  t.equal(a.link.device("here").take().length, 1, "the answer arrives");

  const ca = a.dp.counters();
  const cb = b.dp.counters();
  t.ok(lawHolds(ca) && lawHolds(cb));
  t.same([dropped(ca), dropped(cb)], [{}, {}]);
  t.same(ca.ports, [
    { id: here.id, network: "blue", receive: { packets: 2, bytes: 120 }, transmit: { packets: 1, bytes: 60 } },
  ]);
  t.same(ca.vteps, [
    { network: "blue", vtep: "10.9.0.2", receive: { packets: 1, bytes: 60 }, transmit: { packets: 2, bytes: 120 } },
  ]);
  t.same(cb.vteps[0]?.vtep, "10.9.0.1:4789", "a VTEP is called as it was written");
  t.match(cb.networks[0], {
    network: "blue",
    receive: { packets: 1 },
    transmit: { packets: 2 },
    fdb: { port: 0, vtep: 1, static: 1 },
  });
  t.equal(ca.batchFrames.egress.sum, 2);
  t.equal(ca.batchFrames.egress.buckets.at(-1)?.count, ca.batchFrames.egress.count);
  t.ok((ca.loopSeconds[0]?.count ?? 0) > 0);
  t.ok((ca.syscalls.epoll_wait ?? 0) > 0);
  t.match(b.dp.fdb("blue"), [
    { mac: there.mac, kind: "port", via: "there", static: true },
    { mac: here.mac, kind: "vtep", via: "10.9.0.1:4789", static: false },
  ]);
  const macs = (): string[] =>
    b.dp.fdb("blue").flatMap((e) => (e.mac === here.mac ? [e.static ? "static" : "learned"] : []));
  await b.dp.routes("blue").replace([{ mac: here.mac, via: "10.9.0.1:4789" }]);
  t.same(macs(), ["static"], "a route takes the place of what was learned");
  await b.dp.routes("blue").replace([]);
  t.same(macs(), [], "nothing comes back when it goes");
  a.link.device("here").inject(frame(number(here.mac), number(there.mac)));
  await settle(a, b);
  t.same(macs(), ["learned"], "until it is heard again");
  await b.dp.routes("blue").add({ mac: here.mac, via: "10.9.0.1:4789" });
  t.same(macs(), ["static"]);
  await b.dp.flush("blue");
  t.equal(b.dp.fdb().filter((e) => !e.static).length, 0, "flush forgets what was learned");
  t.equal(b.dp.counters().networks[0]?.fdb.vtep, 0);
  t.throws(() => b.dp.fdb("red"), InvalidInput);
});

t.test("start lists every wrong option at once and opens nothing", async (t) => {
  const link = new MemoryLink({ addresses: ["10.9.0.1", "fd09::1"] });
  const wrong = {
    underlay: ["10.9.0.1", "10.9.0.7", "fd09::2", "x"],
    vxlanPort: 0,
    workers: 3,
    fdbMax: 5,
    portsMax: 0.5,
    link,
  };
  t.same(await keysOf(Dataplane.start(wrong)), [
    "vxlanPort",
    "fdbMax",
    "portsMax",
    "workers",
    "underlay[1]",
    "underlay[2]",
    "underlay[3]",
  ]);
  t.same(await keysOf(Dataplane.start({ underlay: [], link })), ["underlay"]);
  const dp = await Dataplane.start({ underlay: ["10.9.0.1", "fd09::1"], link });
  await t.rejects(
    Dataplane.start({ underlay: ["10.9.0.1"], link }),
    { code: "EADDRINUSE" },
    "the port is locked by the first",
  );
  await dp.close();
  await (await Dataplane.start({ underlay: ["10.9.0.1"], link })).close();
});

t.test("plain JavaScript with wrong keys or shapes is told all of it, and nothing is made", async (t) => {
  const { dp, link } = await startHost(new MemoryNetwork(), "10.9.0.1");
  t.teardown(() => dp.close());
  const from = <T>(value: unknown): T => value as T;
  t.same(await keysOf(Dataplane.start(from({ underlay: "10.9.0.1", worker: 2, link }))), [
    "underlay",
    "worker",
    "underlay",
  ]);
  t.same(await keysOf(dp.setNetwork(from({ name: "blue", vni: 42, vtep: [], vteps: "10.9.0.2", guards: [] }))), [
    "vtep",
    "vteps",
    "guards",
  ]);
  t.same(dp.networks(), []);
  await dp.setNetwork({ name: "blue", vni: 42 });
  const port = { network: "blue", ip: "10.8.0.1/24", ips: [], labels: "x", routes: {} };
  t.same(await keysOf(dp.attach(from(port))), ["ip", "ips", "labels", "routes"]);
  t.same(await keysOf(dp.attach(from(null))), ["(all)", "network"]);
  t.same(dp.ports(), []);
});

t.test("a port that nobody has configured yet gets no floods, and gets them when its device is up", async (t) => {
  const { dp, link } = await startHost(new MemoryNetwork(), "10.9.0.1");
  t.teardown(() => dp.close());
  await dp.setNetwork({ name: "blue", vni: 42 });
  const a = await dp.attach({ network: "blue", ifname: "a" });
  await dp.attach({ network: "blue", ifname: "b" });
  const raw = await dp.attach({ network: "blue", id: "raw", configure: false });
  const shout = async (): Promise<void> => {
    link.device("a").inject(frame(number(a.mac), BROADCAST));
    await settle({ dp, link, events: [] });
  };
  await shout();
  t.equal(link.device("b").take().length, 1);
  t.equal(link.device(raw.ifname).take().length, 0);
  t.same(dropped(dp.counters()), {}, "and nothing is dropped for it");
  link.configureDevice({ ifname: raw.ifname, up: true });
  for (let i = 0; i < 300 && dp.ports().find((p) => p.id === "raw")?.state !== "up"; i++) await sleep(100);
  await shout();
  t.equal(link.device(raw.ifname).take().length, 1);
});

t.test("VXLAN that is refused and an underlay that goes down are told once", async (t) => {
  const network = new MemoryNetwork();
  const a = await startHost(network, "10.9.0.1");
  const b = await startHost(network, "10.9.0.2");
  t.teardown(() => Promise.all([a.dp.close(), b.dp.close()]));
  await a.dp.setNetwork({ name: "blue", vni: 42, vteps: ["10.9.0.2"] });
  await a.dp.setNetwork({ name: "red", vni: 43, vteps: ["10.9.0.2"] });
  await b.dp.setNetwork({ name: "azul", vni: 42 });
  for (const name of ["blue", "red"]) await a.dp.attach({ network: name, ifname: name });
  for (let i = 0; i < 3; i++) {
    for (const name of ["blue", "red"]) a.link.device(name).inject(frame(0x0200_0000_0001, BROADCAST));
    await settle(a, b);
    await sleep(600);
  }
  const refused = b.events.filter((e) => e.type === "refused");
  t.same(
    refused.sort((x, y) => x.vni - y.vni),
    [
      { type: "refused", source: "10.9.0.1", vni: 42, network: "azul", reason: "unknown_vtep" },
      { type: "refused", source: "10.9.0.1", vni: 43, network: null, reason: "unknown_vni" },
    ],
  );
  b.link.setUnderlay(false);
  await sleep(1300);
  b.link.setUnderlay(true);
  await sleep(1300);
  t.match(
    b.events.filter((e) => e.type === "underlay"),
    [
      { address: "10.9.0.2", up: false },
      { address: "10.9.0.2", up: true },
    ],
  );
});

t.test("setNetwork lists every problem at once and changes nothing", async (t) => {
  const { dp } = await startHost(new MemoryNetwork(), "10.9.0.1", { vtepsMax: 2, networksMax: 2 });
  t.teardown(() => dp.close());
  await dp.setNetwork({ name: "blue", vni: 42 });
  const wrong = {
    name: "Blue!",
    vni: 42,
    mtu: 1000,
    ageSeconds: -1,
    bumRate: 1.5,
    macsPerPort: 0,
    acceptFrom: "all" as "any",
    guards: { spoofedMac: "no", foo: true } as never,
    vteps: ["10.9.0.1", "10.9.0.2", "10.9.0.2:1", "fd09::1", "10.9.0.3:0", "host", "10.9.0.4", "10.9.0.5"],
  };
  t.same(await keysOf(dp.setNetwork(wrong)), [
    "name",
    "vni",
    "ageSeconds",
    "bumRate",
    "macsPerPort",
    "mtu",
    "acceptFrom",
    "guards.spoofedMac",
    "guards.foo",
    // vteps[0] is the host itself: left out, so that all hosts may be given one list.
    "vteps[2]",
    "vteps[3]",
    "vteps[4]",
    "vteps[5]",
    "vteps",
  ]);
  t.same(await keysOf(dp.setNetwork({ name: "red", vni: 16_777_216 })), ["vni"]);
  t.same(
    dp.networks().map((n) => n.name),
    ["blue"],
  );
  await dp.setNetwork({ name: "red", vni: 43, vteps: ["10.9.0.2", "10.9.0.3"] });
  t.same(await keysOf(dp.setNetwork({ name: "green", vni: 44 })), ["name"], "networksMax");
  await dp.setNetwork({ name: "red", vni: 43, vteps: ["10.9.0.4:8472"], mtu: 1400, guards: { dhcpServer: false } });
  t.match(dp.networks()[1], {
    vteps: ["10.9.0.4:8472"],
    mtu: 1400,
    guards: { spoofedMac: true, dhcpServer: false },
    acceptFrom: "vteps",
  });
});

t.test("auto MTU is the underlay's less 50 over IPv4 and less 70 over IPv6", async (t) => {
  const link = new MemoryLink({ addresses: ["10.9.0.1", "fd09::1"], interface: { mtu: 9000 } });
  const dp = await Dataplane.start({ underlay: ["10.9.0.1", "fd09::1"], link });
  t.teardown(() => dp.close());
  await dp.setNetwork({ name: "none", vni: 1 });
  await dp.setNetwork({ name: "four", vni: 2, vteps: ["10.9.0.2"] });
  await dp.setNetwork({ name: "both", vni: 3, vteps: ["10.9.0.2", "[fd09::2]:4789"] });
  t.same(
    dp.networks().map((n) => n.mtu),
    [8930, 8950, 8930],
  );
});

t.test("attach lists every problem at once and makes no device", async (t) => {
  const { dp, link } = await startHost(new MemoryNetwork(), "10.9.0.1", { portsMax: 2 });
  t.teardown(() => dp.close());
  await dp.setNetwork({ name: "blue", vni: 42 });
  await dp.attach({ network: "blue", id: "one", ifname: "one", mac: "02:00:00:00:00:01" });
  const wrong = {
    network: "blue",
    id: "one",
    ifname: "much-too-long-a-name",
    ip: ["10.8.0.1", "10.8.0.2/24", "10.8.0.2/16"],
    mac: "03:00:00:00:00:01",
    mtu: 1451,
    gateway: ["10.9.9.9", "10.8.0.254"],
    routes: [{ to: "10.0.0.0/8", via: "fd00::1" }, { to: "x" }],
    labels: { a: 1 } as never,
  };
  t.same(await keysOf(dp.attach(wrong)), [
    "id",
    "ifname",
    "mac",
    "ip[0]",
    "ip[2]",
    "mtu",
    "gateway[0]",
    "gateway[1]",
    "routes[0].via",
    "routes[1].to",
    "labels.a",
  ]);
  t.same(await keysOf(dp.attach({ network: "red" })), ["network"]);
  t.same(await keysOf(dp.attach({ network: "blue", mac: "02:00:00:00:00:01" })), ["mac"]);
  for (const id of ["blackhole", "10.0.0.1", "a b"]) t.same(await keysOf(dp.attach({ network: "blue", id })), ["id"]);
  await t.rejects(dp.attach({ network: "blue", ifname: "one" }), { code: "EBUSY" }, "a device name that is taken");
  t.equal(link.devices().length, 1);
  t.same(
    dp.ports().map((p) => p.id),
    ["one"],
    "a failed attachment leaves nothing",
  );
  await dp.attach({ network: "blue", id: "two" });
  t.same(await keysOf(dp.attach({ network: "blue" })), ["id"], "portsMax");
  t.same(await keysOf(dp.removeNetwork("blue")), ["name"], "a network with ports stays");
});

t.test("an index that is used again starts from zero, and totals never go back", async (t) => {
  const a = await startHost(new MemoryNetwork(), "10.9.0.1", { portsMax: 2 });
  const { dp, link } = a;
  t.teardown(() => dp.close());
  await dp.setNetwork({ name: "blue", vni: 42 });
  const stays = await dp.attach({ network: "blue", id: "stays", ifname: "stays" });
  let total = 0;
  for (let round = 1; round <= 5; round++) {
    const port = await dp.attach({ network: "blue", id: `p${round}`, ifname: "comes" });
    t.same(
      [port.receive, port.transmit],
      [
        { packets: 0, bytes: 0 },
        { packets: 0, bytes: 0 },
      ],
    );
    const device = link.device("comes");
    // A MAC behind the port, so that something is learned under this use of the index.
    device.inject(frame(0x0200_0000_aa00 + round, number(stays.mac)));
    device.inject(frame(number(port.mac), number(stays.mac)));
    link.device("stays").inject(frame(number(stays.mac), number(port.mac)));
    await settle(a);
    total += 3;
    t.match(dp.ports()[1], { receive: { packets: 2 }, transmit: { packets: 1 } });
    t.equal(dp.counters().networks[0]?.receive.packets, total, "the network remembers");
    t.equal(dp.fdb().filter((e) => !e.static && e.via === port.id).length, 1);
    await dp.detach(port.id);
    await dp.detach(port.id);
    t.equal(device.gone, true, "the device is deleted");
    t.equal(dp.fdb().filter((e) => !e.static).length, 0, "what was learned from it counts no more");
    t.equal(dp.counters().ports.length, 1, "its series are gone");
  }
  t.ok(lawHolds(dp.counters()));
  await dp.detach("stays");
  await dp.removeNetwork("blue");
  await dp.removeNetwork("blue");
  await dp.setNetwork({ name: "new", vni: 7 });
  t.match(dp.counters().networks, [
    { network: "new", receive: { packets: 0 }, moves: 0, fdb: { port: 0, vtep: 0, static: 0 } },
  ]);
});

t.test("routes: list answers what was written, and frames follow the longest prefix", async (t) => {
  const network = new MemoryNetwork();
  const a = await startHost(network, "10.9.0.1");
  t.teardown(() => a.dp.close());
  const sent: string[] = [];
  network.watch((datagram) => sent.push(datagram.to.subarray(12).join(".")));
  await a.dp.setNetwork({ name: "blue", vni: 42, vteps: ["10.9.0.2", "10.9.0.3"] });
  const port = await a.dp.attach({ network: "blue", ifname: "p" });
  const table = a.dp.routes("blue");
  const routes = [
    { mac: "02:00:00:00:00:07", via: "10.9.0.3" },
    { prefix: "10.8.0.0/16", via: "10.9.0.2" },
    { prefix: "10.8.1.0/24", via: "10.9.0.3" },
    { prefix: "2001:db8::/32", via: "10.9.0.2" },
    { prefix: "2001:db8:0:1::/64", via: "10.9.0.3" },
    { mac: "02:00:00:00:00:08", via: "blackhole" },
  ];
  await table.replace(routes);
  t.same(table.list(), routes);

  /** Where a frame with an unknown MAC and this destination goes; "" for nowhere. */
  const ask = async (to: string, mac = 0x0200_0000_9999): Promise<string> => {
    sent.length = 0;
    const v6 = to.includes(":");
    const payload = v6
      ? ipv6({ src: "2001:db8::9", dst: to, payload: udp({}) })
      : ipv4({ src: "10.8.0.9", dst: to, payload: udp({}) });
    a.link
      .device("p")
      .inject(ethernet({ src: number(port.mac), dst: mac, type: v6 ? ETHERTYPE.ipv6 : ETHERTYPE.ipv4, payload }));
    await settle(a);
    return sent.join(" ");
  };
  t.equal(await ask("10.8.2.1"), "10.9.0.2");
  t.equal(await ask("10.8.1.1"), "10.9.0.3");
  t.equal(await ask("2001:db8:5::1"), "10.9.0.2");
  t.equal(await ask("2001:db8:0:1::5"), "10.9.0.3");
  t.equal((await ask("10.7.0.1")).split(" ").length, 2, "no route: flooded");
  t.equal(await ask("10.8.2.1", 0x0200_0000_0007), "10.9.0.3", "a MAC route comes first");
  t.equal(await ask("10.8.2.1", 0x0200_0000_0008), "", "a blackhole");
  t.equal(dropped(a.dp.counters())["egress blackhole"], 1);

  await table.add({ prefix: "10.8.2.0/24", via: "10.9.0.3" });
  t.equal(await ask("10.8.2.1"), "10.9.0.3");
  await table.remove({ prefix: "10.8.2.0/24" });
  await table.remove({ prefix: "10.8.2.0/24" });
  t.equal(await ask("10.8.2.1"), "10.9.0.2");

  // A VTEP that goes away takes no traffic elsewhere; when it comes back, so do its routes.
  await a.dp.setNetwork({ name: "blue", vni: 42, vteps: ["10.9.0.2"] });
  t.equal(await ask("10.8.1.1"), "");
  await a.dp.setNetwork({ name: "blue", vni: 42, vteps: ["10.9.0.2", "10.9.0.3"] });
  t.equal(await ask("10.8.1.1"), "10.9.0.3");
  t.same(table.list(), routes);

  // The same for a port, by id.
  await a.dp.attach({ network: "blue", id: "gw", ifname: "gw" });
  await table.add({ prefix: "0.0.0.0/0", via: "gw" });
  t.equal(await ask("203.0.113.1"), "");
  t.equal(a.link.device("gw").take().length >= 1, true, "the default route leads to the port");
  await a.dp.detach("gw");
  const holes = dropped(a.dp.counters())["egress blackhole"] ?? 0;
  t.equal(await ask("203.0.113.1"), "");
  t.equal(dropped(a.dp.counters())["egress blackhole"], holes + 1, "a port that is away is a blackhole");

  t.same(
    await keysOf(
      table.replace([
        { mac: "x", via: "10.9.0.2" },
        { prefix: "10.8.1.1/24", via: "10.9.0.9" },
        { mac: port.mac, via: "10.9.0.2" },
        { prefix: "10.8.0.0/16", via: "blackhole" },
        { prefix: "10.8.0.0/16", via: "blackhole" },
        { via: "blackhole" } as never,
      ]),
    ),
    ["[0].mac", "[1].prefix", "[1].via", "[2].mac", "[4]", "[5]."],
  );
  t.same(table.list().length, routes.length + 1, "a refused table changes nothing");
  t.throws(() => a.dp.routes("red"), InvalidInput);
  t.ok(lawHolds(a.dp.counters()));
});

t.test("10,000 routes replaced under traffic: every frame goes by one whole table, none is lost", async (t) => {
  const network = new MemoryNetwork();
  const a = await startHost(network, "10.9.0.1");
  t.teardown(() => a.dp.close());
  await a.dp.setNetwork({ name: "blue", vni: 42, vteps: ["10.9.0.2", "10.9.0.3"], bumRate: 0 });
  const port = await a.dp.attach({ network: "blue", ifname: "p" });
  const v4 = (i: number): string => `10.${64 + (i >> 8)}.${i & 255}`;
  const v6 = (i: number): string => `2001:db8:${i.toString(16)}:`;
  const tableVia = (via: string) => [
    ...Array.from({ length: 4000 }, (_, i) => ({ mac: text(0x0210_0000_0000 + i), via })),
    ...Array.from({ length: 3000 }, (_, i) => ({ prefix: `${v4(i)}.0/24`, via })),
    ...Array.from({ length: 3000 }, (_, i) => ({ prefix: `${v6(i)}:/48`, via })),
  ];
  const tables = [tableVia("10.9.0.2"), tableVia("10.9.0.3")] as const;

  // One burst is one batch, so one table must have judged all of it.
  const BURST = 24;
  let last = 0;
  const viaOfBurst = new Map<number, Set<number>>();
  let arrived = 0;
  network.watch(({ to, payload }) => {
    arrived++;
    const burst = Buffer.from(payload).readUInt32BE(payload.length - 4);
    viaOfBurst.set(burst, (viaOfBurst.get(burst) ?? new Set()).add(to[15] as number));
  });
  const source = number(port.mac);
  const injectBurst = (): void => {
    const mark = Buffer.alloc(4);
    mark.writeUInt32BE(++last);
    for (let i = 0; i < BURST; i++) {
      const key = (last * 7919 + i * 104_729) % 3000;
      const unknown = 0x0220_0000_0000;
      const data = udp({ payload: mark });
      const made =
        i % 3 === 0
          ? ethernet({ src: source, dst: 0x0210_0000_0000 + key, payload: Buffer.concat([Buffer.alloc(42), mark]) })
          : i % 3 === 1
            ? ethernet({
                src: source,
                dst: unknown,
                type: ETHERTYPE.ipv4,
                payload: ipv4({ src: "10.0.0.1", dst: `${v4(key)}.7`, payload: data }),
              })
            : ethernet({
                src: source,
                dst: unknown,
                type: ETHERTYPE.ipv6,
                payload: ipv6({ src: "2001:db8::1", dst: `${v6(key)}:7`, payload: data }),
              });
      if (!a.link.device("p").inject(made)) t.fail("the queue is full");
    }
  };

  await a.dp.routes("blue").replace(tables[0]);
  const used = new Set<string>();
  for (let round = 1; round <= 20; round++) {
    injectBurst();
    const changing = a.dp.routes("blue").replace(tables[round % 2] as (typeof tables)[0]);
    let done = false;
    void changing.then(() => {
      done = true;
    });
    do {
      injectBurst();
      await nextTurn();
    } while (!done);
    injectBurst();
    await settle(a);
    // After replace() has resolved, only the new table judges.
    used.add(String([...(viaOfBurst.get(last) ?? [])]));
    t.same([...(viaOfBurst.get(last) ?? [])], [round % 2 === 0 ? 2 : 3]);
  }
  t.equal(arrived, last * BURST, "every frame left exactly once");
  t.equal([...viaOfBurst.values()].filter((vias) => vias.size !== 1).length, 0, "no batch was judged by two tables");
  t.same(used, new Set(["2", "3"]));
  t.same(a.dp.routes("blue").list(), tables[0]);
  const counters = a.dp.counters();
  t.ok(lawHolds(counters));
  t.same(dropped(counters), {});
  t.same(counters.kernelDrops, { tap_ring: 0, udp_rcvbuf: 0 });
  t.same(
    await keysOf(
      a.dp
        .routes("blue")
        .replace([
          ...tables[0],
          ...Array.from({ length: 7000 }, (_, i) => ({ mac: text(0x0230_0000_0000 + i), via: "blackhole" })),
        ]),
    ),
    ["routes"],
    "routesMax",
  );
});

t.test("500 ports under load: a scrape completes and loses no frame", async (t) => {
  const network = new MemoryNetwork();
  const a = await startHost(network, "10.9.0.1");
  const b = await startHost(network, "10.9.0.2");
  t.teardown(() => Promise.all([a.dp.close(), b.dp.close()]));
  await a.dp.setNetwork({ name: "blue", vni: 42, vteps: ["10.9.0.2"] });
  await b.dp.setNetwork({ name: "blue", vni: 42, vteps: ["10.9.0.1"] });
  const ports: PortInfo[] = [];
  for (let i = 0; i < 500; i++) ports.push(await a.dp.attach({ network: "blue", ifname: `p${i}` }));
  const far = await b.dp.attach({ network: "blue", ifname: "far" });
  const devices = ports.map((p) => a.link.device(p.ifname));
  b.link.device("far").inject(frame(number(far.mac), number((ports[0] as PortInfo).mac)));
  await settle(a, b);
  t.equal(devices[0]?.take().length, 1, "the far MAC is known");
  let sent = 0;
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 500; i++) {
      const to = i % 2 === 0 ? number(far.mac) : number((ports[(i + 1) % 500] as PortInfo).mac);
      if (devices[i]?.inject(frame(number((ports[i] as PortInfo).mac), to))) sent++;
    }
    await nextTurn();
    // In the middle of the load, as Prometheus comes: the sums of what is seen are whole.
    const seen = a.dp.counters();
    if (seen.ports.length !== 500 || !lawHolds(seen)) t.fail("a scrape saw half a state");
    t.equal(a.dp.ports().length, 500);
  }
  await settle(a, b);
  const taken = devices.reduce((sum, d) => sum + d.take().length, 0) + b.link.device("far").take().length;
  t.equal(sent, 10_000);
  t.equal(taken, sent, "every frame arrived");
  const counters = a.dp.counters();
  t.equal(
    counters.ports.reduce((sum, p) => sum + p.receive.packets, 0),
    sent,
  );
  t.same([dropped(counters), counters.kernelDrops], [{}, { tap_ring: 0, udp_rcvbuf: 0 }]);
});

t.test("a device that vanishes takes only its own port along", async (t) => {
  const a = await startHost(new MemoryNetwork(), "10.9.0.1");
  const { dp, link, events } = a;
  t.teardown(() => dp.close());
  await dp.setNetwork({ name: "blue", vni: 42 });
  const specs: AttachSpec[] = ["a", "b", "c"].map((id) => ({ network: "blue", id, ifname: id }));
  const [pa, pb, pc] = (await Promise.all(specs.map((s) => dp.attach(s)))) as [PortInfo, PortInfo, PortInfo];
  link.device("b").destroy();
  link.device("a").inject(frame(number(pa.mac), number(pc.mac)));
  await settle(a);
  await new Promise((resolve) => setTimeout(resolve, 300));
  t.match(
    events.filter((e) => e.type === "portGone"),
    [{ type: "portGone", id: "b", network: "blue" }],
  );
  t.same(
    dp.ports().map((p) => p.id),
    ["a", "c"],
  );
  t.equal(link.device("c").take().length, 1);
  link.device("a").inject(frame(number(pa.mac), number(pb.mac)));
  await settle(a);
  t.equal(link.device("c").take().length, 1, "its MAC is unknown now");
  const again = await dp.attach({ network: "blue", id: "b", ifname: "b2", mac: pb.mac });
  link.device("a").inject(frame(number(pa.mac), number(again.mac)));
  await settle(a);
  t.equal(link.device("b2").take().length, 1);
});

t.test("parked ports keep their devices, and the next data plane takes them over", async (t) => {
  const link = new MemoryLink({ addresses: ["10.9.0.1"] });
  const start = () => Dataplane.start({ underlay: ["10.9.0.1"], link, persistent: true });
  const first = await start();
  await first.setNetwork({ name: "blue", vni: 42 });
  await first.attach({ network: "blue", id: "x", ifname: "x", ip: ["10.8.0.1/24"] });
  const [record] = first.records();
  await first.park();
  await first.close();
  t.equal(link.device("x").persist, true);
  await t.rejects(first.attach({ network: "blue" }), { code: "ERR_CLOSED" });

  const second = await start();
  await second.setNetwork({ name: "blue", vni: 42 });
  if (!record) throw new Error("no record");
  await t.rejects(
    second.attach({ network: "blue", adopt: { ...record, mac: "02:00:00:00:00:55" } }),
    /not the device of port x/,
  );
  await t.rejects(second.attach({ network: "blue", adopt: { ...record, ifname: "y", mac: "02:00:00:00:00:55" } }), {
    code: "ENODEV",
  });
  t.equal(link.device("x").up, true, "a refused adoption leaves the device as it is");
  const port = await second.attach({ network: "blue", adopt: record });
  t.match(port, { id: "x", ifname: "x", state: "up", mac: record.mac, ip: ["10.8.0.1/24"] });
  t.same(second.records(), [record]);
  t.same(link.device("x").addresses, ["10.8.0.1/24"], "nothing was configured again");
  const moved: DataplaneEvent[] = [];
  second.on("event", (event) => event.type === "portMoved" && moved.push(event));
  link.device("x").name = "renamed";
  for (let i = 0; i < 3000 && moved.length === 0; i++) await sleep(10);
  t.match(moved[0], { type: "portMoved", id: "x", ifname: "renamed" }, "a new name is told");
  t.match(second.records(), [{ ifname: "renamed" }], "and recorded");
  await second.park();
  link.device("renamed").name = "again";
  const third = await start();
  await third.setNetwork({ name: "blue", vni: 42 });
  t.match(await third.attach({ network: "blue", adopt: record }), { ifname: "again", state: "up" }, "found by its MAC");
  await third.close();
  t.equal(link.devices().length, 0, "close() removes what park() leaves");
});

t.test("a device becomes persistent only after its record was taken", async (t) => {
  const link = new MemoryLink({ addresses: ["10.9.0.1"] });
  const dp = await Dataplane.start({ underlay: ["10.9.0.1"], link, persistent: true });
  t.teardown(() => dp.close());
  await dp.setNetwork({ name: "blue", vni: 42 });
  const seen: unknown[] = [];
  const beforePersist = (record: PortRecord): void => {
    seen.push([record.id, record.ifname, link.device("x").persist, link.device("x").up]);
  };
  await dp.attach({ network: "blue", ifname: "x", id: "x", beforePersist });
  t.same(seen, [["x", "x", false, true]]);
  t.equal(link.device("x").persist, true);
  const full = Object.assign(new Error("disk full"), { code: "ENOSPC" });
  await t.rejects(dp.attach({ network: "blue", ifname: "y", beforePersist: () => Promise.reject(full) }), full);
  t.equal(link.devices().length, 1, "without a record there is no device");
});

t.test("only the recorded TAP is removed, never another device of its name", async (t) => {
  const link = new MemoryLink({ addresses: ["10.9.0.1"] });
  const make = (name: string, mac: string): void => {
    const device = link.openDevice({ kind: "tap", name, vnetHdr: true });
    link.configureDevice({ ifname: name, mac });
    device.setPersist(true);
    device.close();
  };
  make("eth0", "02:00:00:00:00:01");
  t.throws(() => removeRecorded(link, { ...RECORD, mac: "02:00:00:00:00:02" }), /02:00:00:00:00:02.*left alone/);
  t.equal(link.devices().length, 1);
  make("eth7", "02:00:00:00:00:02");
  removeRecorded(link, { ...RECORD, mac: "02:00:00:00:00:02" });
  t.same(
    link.devices().map((d) => d.name),
    ["eth0"],
    "under the name it has now",
  );
  removeRecorded(link, { ...RECORD, mac: "02:00:00:00:00:01" });
  t.equal(link.devices().length, 0);
});

const RECORD: PortRecord = {
  id: "p",
  network: "blue",
  ifname: "eth0",
  netnsPath: null,
  netnsId: null,
  mac: "02:00:00:00:00:01",
  ip: [],
  mtu: 1450,
  gateway: [],
  routes: [],
  labels: {},
  configure: true,
  role: "container",
  l3: false,
};

t.test("networks that exchange all their VTEPs at the same moment do not lose room", async (t) => {
  const link = new MemoryLink({ addresses: ["10.9.0.1"] });
  const dp = await Dataplane.start({ underlay: ["10.9.0.1"], link, vtepsMax: 4 });
  t.teardown(() => dp.close());
  for (let round = 0; round < 20; round++) {
    await Promise.all(
      [1, 2, 3].map((i) =>
        dp.setNetwork({ name: "blue", vni: 42, vteps: [2, 3, 4, 5].map((h) => `10.9.${i}.${h + round}`) }),
      ),
    );
  }
  t.same(
    dp.networks()[0]?.vteps,
    [21, 22, 23, 24].map((h) => `10.9.3.${h}`),
    "the last one holds",
  );
  await Promise.all([dp.removeNetwork("blue"), dp.setNetwork({ name: "red", vni: 43, vteps: ["10.9.0.2"] })]);
  t.same(
    dp.networks().map((n) => n.name),
    ["red"],
  );
});

t.test("an underlay too small for IPv4 inside is refused, with what to do", async (t) => {
  const link = new MemoryLink({ addresses: ["10.9.0.1"], interface: { mtu: 100 } });
  const dp = await Dataplane.start({ underlay: ["10.9.0.1"], link });
  t.teardown(() => dp.close());
  await t.rejects(
    dp.setNetwork({ name: "blue", vni: 42 }),
    /mtu: found auto .*MTU of 100.*leaves 50.*raise the underlay/,
  );
  t.same(dp.networks(), []);
});

t.test("names that no URL and no kernel takes literally are refused", async (t) => {
  const link = new MemoryLink({ addresses: ["10.9.0.1"] });
  const dp = await Dataplane.start({ underlay: ["10.9.0.1"], link });
  t.teardown(() => dp.close());
  await dp.setNetwork({ name: "blue", vni: 42 });
  for (const id of [".", ".."]) t.same(await keysOf(dp.attach({ network: "blue", id })), ["id"], id);
  for (const ifname of [".", "..", "all", "default", "a%d", "a/b", "a:b", "a b", "größe", "", "sixteen-octets-x"])
    t.same(await keysOf(dp.attach({ network: "blue", ifname })), ["ifname"], ifname);
  t.match(await dp.attach({ network: "blue", id: "...", ifname: "eth0.42@~-" }), { ifname: "eth0.42@~-" });
});

t.test("a path that is no namespace is refused without opening it", (t) => {
  const dir = t.testdir();
  execFileSync("mkfifo", [`${dir}/fifo`]);
  t.throws(() => withNetns(`${dir}/fifo`, () => 0), /fifo is not a network namespace/);
  t.throws(() => withNetns("/proc/self/ns/mnt", () => 0), /mnt is not a network namespace/);
  t.equal(netnsIdOf(`${dir}/fifo`), undefined);
  t.ok(netnsIdOf("/proc/self/ns/net"));
  t.end();
});
