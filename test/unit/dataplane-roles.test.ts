/** Bindings, the gateway's port, layer-3 ports and conversations through the Dataplane class, over the in-memory twin. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { type AttachSpec, Dataplane, InvalidInput, type PortRecord } from "@weft/control";
import { MemoryLink, MemoryNetwork } from "@weft/tun";
import t, { type Test } from "tap";
import { removeRecorded } from "../../packages/control/dist/dataplane/device.js";
import { isState } from "../../packages/control/dist/state/check.js";
import { arp, ETHERTYPE, ethernet, ipv4 } from "../frames/build.js";

const GATEWAY = "02:77:66:00:00:2a";
const number = (mac: string): number => Number.parseInt(mac.replaceAll(":", ""), 16);

async function open(t: Test, options = {}): Promise<{ dp: Dataplane; link: MemoryLink }> {
  const link = new MemoryLink({ network: new MemoryNetwork(), addresses: ["10.9.0.1"] });
  const dp = await Dataplane.start({ underlay: ["10.9.0.1"], link, ...options });
  t.teardown(() => dp.close());
  await dp.setNetwork({ name: "blue", vni: 42, gateway: GATEWAY });
  return { dp, link };
}
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await nextTurn();
}
async function problems(promise: Promise<unknown>): Promise<string[]> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof InvalidInput) return error.problems.map((p) => p.key);
    throw error;
  }
  return [];
}

t.test("bindings: a whole table at once, answered from then on", async (t) => {
  const { dp, link } = await open(t);
  const port = await dp.attach({ network: "blue", ifname: "a" });
  const table = dp.bindings("blue");
  await table.replace([
    { ip: "10.8.0.1", mac: GATEWAY },
    { ip: "FD00:0::1", mac: GATEWAY.toUpperCase() },
  ]);
  t.same(table.list(), [
    { ip: "10.8.0.1", mac: GATEWAY },
    { ip: "fd00::1", mac: GATEWAY },
  ]);
  const ask = async (targetIp: string): Promise<string[]> => {
    const payload = arp({ senderMac: number(port.mac), senderIp: "10.8.0.9", targetIp });
    link.device("a").inject(ethernet({ src: number(port.mac), type: ETHERTYPE.arp, payload }));
    await settle();
    return link
      .device("a")
      .take()
      .map(({ frame }) => Buffer.from(frame).toString("hex", 22, 28));
  };
  t.same(await ask("10.8.0.1"), [GATEWAY.replaceAll(":", "")]);
  await table.replace([{ ip: "10.8.0.1", mac: "02:00:00:00:00:05" }]);
  t.same(await ask("10.8.0.1"), ["020000000005"]);
  t.same(dp.counters().other.find((c) => c.name === "arp_answered")?.count, 2);
  await table.replace([]);
  t.same(await ask("10.8.0.1"), []);

  t.same(
    await problems(
      table.replace([
        { ip: "10.8.0.300", mac: GATEWAY },
        { ip: "10.8.0.1", mac: "ff:ff:ff:ff:ff:ff" },
        { ip: "10.8.0.2", mac: GATEWAY },
        { ip: "10.8.0.2", mac: GATEWAY },
        null as never,
      ]),
    ),
    ["[0].ip", "[1].mac", "[3].ip", "[4]"],
  );
  t.same(await problems(table.replace("all" as never)), ["bindings"]);
  t.same(table.list(), [], "nothing was changed");
  t.throws(() => dp.bindings("red"), /network: found red/);
});

t.test("routes, bindings and layer-3 ports share the room", async (t) => {
  const { dp } = await open(t, { routesMax: 4 });
  const mac = "02:00:00:00:00:05";
  await dp.routes("blue").add({ mac, via: "blackhole" });
  const three = [1, 2, 3].map((n) => ({ ip: `10.8.0.${n}`, mac }));
  await dp.bindings("blue").replace(three);
  t.same(await problems(dp.bindings("blue").replace([...three, { ip: "10.8.0.4", mac }])), ["bindings"]);
  t.same(await problems(dp.routes("blue").add({ prefix: "10.0.0.0/8", via: "blackhole" })), ["routes"]);
  t.same(await problems(dp.attach({ network: "blue", l3: true, ip: ["10.8.0.9/24"] })), ["l3"]);
  await dp.bindings("blue").replace([]);
  const port = await dp.attach({ network: "blue", l3: true, ip: ["10.8.0.9/24"] });
  t.same(await problems(dp.bindings("blue").replace(three)), ["bindings"]);
  await dp.detach(port.id);
  await dp.bindings("blue").replace(three);
  await dp.removeNetwork("blue");
  await dp.setNetwork({ name: "red", vni: 43 });
  await dp.bindings("red").replace(three);
});

t.test("the gateway: one port, one MAC", async (t) => {
  const { dp, link } = await open(t);
  t.equal(dp.networks()[0]?.gateway, GATEWAY);
  t.same(await problems(dp.attach({ network: "blue", mac: GATEWAY })), ["mac"], "a container cannot have it");
  t.same(await problems(dp.routes("blue").add({ mac: GATEWAY, via: "blackhole" })), ["mac"], "nor a route");
  t.same(await problems(dp.attach({ network: "blue", role: "gateway", mac: "02:00:00:00:00:01", l3: true })), [
    "mac",
    "l3",
  ]);
  t.same(await problems(dp.attach({ network: "blue", role: "router" as never, l3: 1 as never })), ["role", "l3"]);
  const gateway = await dp.attach({ network: "blue", role: "gateway", ifname: "gw" });
  t.match(gateway, { role: "gateway", mac: GATEWAY, l3: false });
  t.match(dp.records(), [{ role: "gateway", l3: false, mac: GATEWAY }]);
  t.same(await problems(dp.attach({ network: "blue", role: "gateway" })), ["role", "mac"], "a second one");
  const a = await dp.attach({ network: "blue", ifname: "a" });
  link.device("a").inject(ethernet({ src: number(a.mac), dst: number(GATEWAY) }));
  await settle();
  t.equal(link.device("gw").take().length, 1);
  t.same(await problems(dp.setNetwork({ name: "blue", vni: 42 })), ["gateway"], "it stays while its port is there");
  t.same(await problems(dp.setNetwork({ name: "blue", vni: 42, gateway: "01:00:00:00:00:01" })), ["gateway"]);
  await dp.setNetwork({ name: "blue", vni: 42, gateway: GATEWAY, bumRate: 5 });
  await dp.detach(gateway.id);
  t.same(await problems(dp.setNetwork({ name: "blue", vni: 42, gateway: a.mac })), ["gateway"]);
  await dp.setNetwork({ name: "blue", vni: 42 });
  t.equal(dp.networks()[0]?.gateway, null);
  t.same(await problems(dp.attach({ network: "blue", role: "gateway" })), ["role"]);
});

const routed: AttachSpec = {
  network: "blue",
  id: "r",
  ifname: "r",
  l3: true,
  ip: ["10.8.0.9/24", "fd00::9/64"],
  gateway: ["10.8.0.1"],
  routes: [{ to: "10.9.0.0/16" }, { to: "10.10.0.0/16", via: "10.8.0.1" }],
};

t.test("a layer-3 port: packets in and out, and what it refuses", async (t) => {
  const { dp, link } = await open(t);
  t.same(await problems(dp.attach({ ...routed, routes: [{ to: "10.11.0.0/16", via: "10.8.0.2" }] })), [
    "routes[0].via",
  ]);
  const port = await dp.attach(routed);
  const a = await dp.attach({ network: "blue", ifname: "a" });
  await dp.bindings("blue").replace([
    { ip: "10.8.0.1", mac: a.mac },
    { ip: "10.8.0.2", mac: a.mac },
  ]);
  const device = link.device("r");
  t.match(device, { kind: "tun", mtu: 1450, up: true, mac: "00:00:00:00:00:00" });
  t.same(device.addresses, routed.ip);
  t.match(port, { l3: true, role: "container", ip: routed.ip, routes: routed.routes });
  for (const dst of ["10.8.0.2", "192.0.2.1", "10.10.0.1", "10.9.0.1"]) device.inject(ipv4({ src: "10.8.0.9", dst }));
  await settle();
  const taken = link.device("a").take();
  t.same(
    taken.map(({ frame }) => Buffer.from(frame).readUInt16BE(12)),
    [ETHERTYPE.ipv4, ETHERTYPE.ipv4, ETHERTYPE.ipv4, ETHERTYPE.arp],
    "on the link, to the gateway, to the gateway by route, and a question for one on the link by route",
  );
  const back = ipv4({ src: "10.8.0.2", dst: "10.8.0.9" });
  link.device("a").inject(ethernet({ src: number(a.mac), dst: number(port.mac), type: ETHERTYPE.ipv4, payload: back }));
  await settle();
  t.same(
    device.take().map(({ frame }) => Buffer.from(frame).toString("hex")),
    [back.toString("hex")],
  );
  const talks = dp.conversations();
  t.ok(talks.every(({ lastSeen }) => Math.abs(lastSeen - Date.now()) < 5000));
  const octets = back.length + 14;
  const facts = Object.fromEntries(talks.map(({ port, lastSeen: _, ...rest }) => [port, rest]));
  const both = { localMac: port.mac, remoteMac: a.mac, network: "blue" };
  const [one, three] = [1, 3].map((packets) => ({ packets, bytes: packets * octets }));
  t.same(facts, {
    r: { ...both, receive: one, transmit: three },
    [a.id]: { ...both, localMac: a.mac, remoteMac: port.mac, receive: three, transmit: one },
  });
  t.match(
    dp.neighbours().filter((n) => n.mac === "00:00:00:00:00:00"),
    [],
    "a question without an answer is no neighbour",
  );
  await dp.detach("r");
  t.same(
    dp.conversations().map((c) => c.port),
    [a.id],
  );
});

t.test("a parked layer-3 port is taken over again, by its alias, and by nobody else's", async (t) => {
  const network = new MemoryNetwork();
  const link = new MemoryLink({ network, addresses: ["10.9.0.1"] });
  const start = async (): Promise<Dataplane> => {
    const dp = await Dataplane.start({ underlay: ["10.9.0.1"], link, persistent: true });
    await dp.setNetwork({ name: "blue", vni: 42 });
    return dp;
  };
  const first = await start();
  const port = await first.attach(routed);
  const [record] = first.records() as [PortRecord];
  t.match(record, { l3: true, role: "container" });
  await first.park();
  const device = link.device("r");
  device.name = "renamed";
  const second = await start();
  t.teardown(() => second.close());
  const again = await second.attach({ network: "blue", adopt: record });
  t.match(again, { id: "r", l3: true, ifname: "renamed", mac: port.mac, ip: port.ip });
  device.inject(ipv4({ src: "10.8.0.9", dst: "255.255.255.255" }));
  await settle();
  t.equal(second.counters().ports[0]?.receive.packets, 1);
  await second.park();

  const third = await start();
  t.teardown(() => third.close());
  const stranger = link.openDevice({ kind: "tun", name: "r", vnetHdr: true });
  device.alias = "";
  stranger.setPersist(true);
  stranger.close();
  await t.rejects(third.attach({ network: "blue", adopt: record }), { code: "EEXIST" });
  t.throws(() => removeRecorded(link, record), /no .* device there has the MAC/);
  device.alias = record.mac;
  removeRecorded(link, record);
  t.equal(device.persist, false);
});

t.test("the state file: ports of an earlier release have no role and no l3", (t) => {
  const old = {
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
  };
  const state = (port: object): object => ({ networks: [], ports: [port] });
  t.ok(isState(state(old)));
  t.ok(isState(state({ ...old, role: "gateway", l3: false })));
  t.notOk(isState(state({ ...old, role: "router" })));
  t.notOk(isState(state({ ...old, l3: "yes" })));
  t.end();
});
