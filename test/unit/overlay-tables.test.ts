/** From records to the tables of the data plane: what is written, in what order, and only when it has changed. */
import t from "tap";
import type { Conversation } from "../../packages/control/src/dataplane/types.js";
import { gatewayMac } from "../../packages/control/src/mac.js";
import type { ContainerValue } from "../../packages/control/src/mesh/records.js";
import { publishContainers } from "../../packages/control/src/overlay/containers.js";
import { containerLinks } from "../../packages/control/src/overlay/links.js";
import { Networks } from "../../packages/control/src/overlay/networks.js";
import { Reconciler } from "../../packages/control/src/overlay/reconciler.js";
import { DataplaneTablesDouble } from "../models/dataplane-tables.js";
import { GossipDouble, idOf, type NodeDouble } from "../models/gossip.js";

const tunnelAddress = (node: string): string => `fd00::${Number(node.slice(0, 3)) + 1}`;
const keyOf = (i: number): string => `${String(i).padStart(43, "k")}=`;

function sayNode(node: NodeDouble, i: number, ...said: string[]): void {
  const endpoints = said.length > 0 ? said : [`192.0.2.${i + 1}:51820`];
  node.put("node", "", {
    ...{ name: `host${i}`, wireguard: keyOf(i), control: [], endpoints, underlayMtu: 1500 },
    ...{ version: "1", capabilities: [], startedAt: 1 },
  });
}
function container(over: Partial<ContainerValue> = {}): ContainerValue {
  return {
    ...{ name: null, network: "blue", ifname: "eth0", mac: "02:00:00:00:00:01", ips: ["10.9.0.5"], dns: [] },
    ...{ role: "container", published: [], since: 1, ...over },
  };
}

const MAX = { routesMax: 100, bindingsMax: 100, networksMax: 256 };

interface Rig {
  readonly world: GossipDouble;
  readonly dataplane: DataplaneTablesDouble;
  readonly networks: Networks;
  readonly reconciler: Reconciler;
  readonly warnings: string[];
}

function networksOf(world: GossipDouble, i: number): Networks {
  const surroundings = { prefixes: [], names: new Set<string>(), vnis: new Set<number>() };
  return new Networks(
    world.get(i),
    () => surroundings,
    () => world.now,
  );
}

/** What host 0 of several does. */
function rig(count: number, { networksMax = 256, ...max }: Partial<typeof MAX> = {}): Rig {
  const world = new GossipDouble(count);
  const records = world.get(0);
  const warnings: string[] = [];
  const dataplane = new DataplaneTablesDouble();
  const networks = networksOf(world, 0);
  const reconciler = new Reconciler({
    ...{ records, networks, dataplane, tunnelAddress, mtu: () => 1310, ...MAX, ...max },
    networksMax: () => networksMax,
    // An underlay with IPv4 alone.
    writable: (endpoints) => endpoints.filter((one) => !one.startsWith("[")),
    now: () => world.now,
    after: (ms, run) => world.after(ms, run),
    warn: (sentence) => warnings.push(sentence),
  });
  for (const [i, node] of world.nodes.entries()) sayNode(node, i);
  return { world, dataplane, networks, reconciler, warnings };
}

t.test("peers, networks, routes and bindings come and go with the records", async (t) => {
  const { world, dataplane, networks, reconciler, warnings } = rig(3);
  networks.create("blue", { cidr4: "10.9.0.0/16", cidr6: "fd09::/64", vni: 0x010203 });
  await world.run(1000);
  t.same(
    [...dataplane.peers.values()].sort((a, b) => (a.publicKey < b.publicKey ? -1 : 1)),
    [
      { publicKey: keyOf(1), allowedIps: ["fd00::2/128"], endpoint: "192.0.2.2:51820" },
      { publicKey: keyOf(2), allowedIps: ["fd00::3/128"], endpoint: "192.0.2.3:51820" },
    ],
  );
  const gateway = "02:77:66:01:02:03";
  t.equal(gatewayMac(0x010203), gateway);
  const spec = { name: "blue", vni: 0x010203, mtu: 1310, vteps: [], encryption: "required", gateway };
  t.same(dataplane.networks.get("blue"), spec, "there before anybody is in it");
  const gateways = [
    { ip: "10.9.0.1", mac: gateway },
    { ip: "fd09::1", mac: gateway },
  ];
  t.same(dataplane.bindingsOf.get("blue"), gateways);

  world.get(1).put("container", "web", container({ ips: ["10.9.0.5", "fd09:0::5"] }));
  await world.run(1000);
  t.same(dataplane.networks.get("blue")?.vteps, ["fd00::2"], "only hosts with a container in it");
  t.same(dataplane.routesOf.get("blue"), [{ mac: "02:00:00:00:00:01", via: "fd00::2" }]);
  t.same(dataplane.bindingsOf.get("blue")?.slice(2), [
    { ip: "10.9.0.5", mac: "02:00:00:00:00:01" },
    { ip: "fd09::5", mac: "02:00:00:00:00:01" },
  ]);

  world.get(0).put("container", "db", container({ mac: "02:00:00:00:00:02", ips: ["10.9.0.6"] }));
  await world.run(1000);
  t.equal(dataplane.routesOf.get("blue")?.length, 1, "an own container needs no route");
  t.ok(
    dataplane.bindingsOf.get("blue")?.some(({ ip }) => ip === "10.9.0.6"),
    "but a binding",
  );

  dataplane.calls = [];
  world.partition([[0, 2], [1]]);
  await world.run(1000);
  t.same(
    dataplane.calls,
    ["setNetwork blue", "routes blue", "bindings blue"],
    "a host out of reach: what leads to it goes",
  );
  t.same(dataplane.networks.get("blue")?.vteps, []);
  t.equal(dataplane.peers.size, 2, "but the peer stays");

  world.partition([[0, 1, 2]]);
  world.get(0).put("removed", idOf(1), { at: 1, upTo: 0, by: idOf(0) });
  await world.run(1000);
  t.same([...dataplane.peers.keys()], [keyOf(2)], "a removed one goes");

  world.get(0).remove("container", "db");
  networks.delete("blue");
  await world.run(1000);
  t.same([...dataplane.networks.keys()], []);
  dataplane.calls = [];
  const { runs } = reconciler.info();
  world.get(2).put("links", "", { control: [], data: [] });
  reconciler.request();
  await world.run(1000);
  t.same(dataplane.calls, [], "nothing has changed: nothing is written");
  t.equal(reconciler.info().runs, runs + 1);
  t.same(warnings, []);
  await reconciler.close();
});

t.test("a peer has the first endpoint that this host can write to, or none", async (t) => {
  const { world, dataplane, warnings } = rig(3);
  sayNode(world.get(1), 1, "[2001:db8::2]:51820", "192.0.2.2:51820");
  sayNode(world.get(2), 2, "[2001:db8::3]:51820");
  await world.run(1000);
  const endpoints = [...dataplane.peers.values()].map(({ publicKey, endpoint }) => [publicKey, endpoint]);
  t.same(
    new Map(endpoints as [string, string][]),
    new Map([
      [keyOf(1), "192.0.2.2:51820"],
      [keyOf(2), undefined],
    ]),
  );
  t.same(warnings, []);
});

t.test("whoever names the key of another node does not take its place", async (t) => {
  const { world, dataplane } = rig(4);
  await world.run(1000);
  t.same(dataplane.peers.get(keyOf(3))?.allowedIps, ["fd00::4/128"]);
  const value = world.get(3).get(idOf(3), "node");
  if (value) world.get(1).put("node", "", { ...value, name: "thief" });
  await world.run(1000);
  t.same(dataplane.peers.get(keyOf(3))?.allowedIps, ["fd00::4/128"]);
  t.notOk(dataplane.peers.has(keyOf(1)));
});

t.test("more networks than there is room for: those in use here stay", async (t) => {
  const { world, dataplane, networks, reconciler, warnings } = rig(2, { networksMax: 3 });
  networks.create("used", { cidr4: "10.9.0.0/16" });
  networks.createDefault();
  world.get(0).put("container", "web", container({ network: "used" }));
  const other = networksOf(world, 1);
  other.create("a0");
  await world.run(1000);
  for (let i = 1; i < 6; i++) other.create(`a${i}`);
  await world.run(1000);
  t.same([...dataplane.networks.keys()].sort(), ["a0", "default", "used"]);
  t.same(warnings, ["there is room for 3 networks of the mesh here: no more are taken in"]);
  other.create("a");
  await world.run(1000);
  t.same([...dataplane.networks.keys()].sort(), ["a0", "default", "used"], "what is there stays");
  t.same(reconciler.info().problems, []);
  for (const name of ["a", "a0", "a1", "a2", "a3", "a4"]) other.delete(name);
  await world.run(1000);
  t.same([...dataplane.networks.keys()].sort(), ["a5", "default", "used"]);
});

t.test("many changes make few runs", async (t) => {
  const { world, dataplane, networks, reconciler } = rig(2);
  networks.create("blue", { cidr4: "10.9.0.0/16" });
  await world.run(1000);
  const { runs } = reconciler.info();
  world.latency = () => 0;
  for (let i = 0; i < 100; i++)
    world.after(10 * i, () =>
      world
        .get(1)
        .put("container", `c${i % 50}`, container({ since: i, mac: `02:00:00:00:01:${10 + (i % 50)}`, ips: [] })),
    );
  await world.run(1000);
  await world.until(reconciler.settled());
  const made = reconciler.info().runs - runs;
  t.ok(made >= 5 && made <= 11, `${made} runs for 100 changes in a second`);
  t.equal(dataplane.routesOf.get("blue")?.length, 50);
});

t.test("two containers with one MAC or one address: the first one is reached", async (t) => {
  const { world, dataplane, networks, reconciler } = rig(3);
  networks.create("blue", { cidr4: "10.9.0.0/16", cidr6: null });
  world.get(1).put("container", "late", container({ since: 20 }));
  world.get(2).put("container", "early", container({ since: 10, mac: "02:00:00:00:00:01" }));
  world
    .get(2)
    .put("container", "other", container({ since: 30, mac: "02:00:00:00:00:03", ips: ["10.9.0.5", "10.9.0.7"] }));
  await world.run(1000);
  t.same(dataplane.routesOf.get("blue"), [
    { mac: "02:00:00:00:00:01", via: "fd00::3" },
    { mac: "02:00:00:00:00:03", via: "fd00::3" },
  ]);
  t.match(reconciler.info().counts, { sameMac: 1, sameIp: 2 });
  dataplane.portList = [{ network: "blue", mac: "02:00:00:00:00:03" }];
  reconciler.request();
  await world.run(1000);
  t.equal(dataplane.routesOf.get("blue")?.length, 1, "a port of this host is here, whatever others say");
});

t.test("what no container can have is left out", async (t) => {
  const { world, dataplane, networks, reconciler } = rig(2);
  networks.create("blue", { cidr4: "10.9.0.0/16", cidr6: null });
  world.get(1).put("container", "a", container({ mac: "01:00:5e:00:00:01" }));
  world.get(1).put("container", "b", container({ mac: "02:77:66:00:00:01" }));
  world.get(1).put("container", "c", container({ ips: ["10.9.0.1", "x", "192.168.0.1", "fd00::1"] }));
  await world.run(1000);
  t.same(dataplane.routesOf.get("blue"), [{ mac: "02:00:00:00:00:01", via: "fd00::2" }]);
  t.equal(dataplane.bindingsOf.get("blue")?.length, 1, "the gateway's");
  t.match(reconciler.info().counts, { unusable: 5, sameIp: 1 });
});

t.test("more containers than there is room for: those attached first are reached by route", async (t) => {
  const { world, dataplane, networks, reconciler } = rig(2, { routesMax: 3, bindingsMax: 3 });
  networks.create("blue", { cidr4: "10.9.0.0/16", cidr6: null });
  for (let i = 0; i < 5; i++)
    world
      .get(1)
      .put("container", `c${i}`, container({ since: 9 - i, mac: `02:00:00:00:00:0${i}`, ips: [`10.9.0.${10 + i}`] }));
  await world.run(1000);
  t.same(
    dataplane.routesOf.get("blue")?.map((route) => ("mac" in route ? route.mac.slice(-1) : "")),
    ["4", "3", "2"],
  );
  t.equal(dataplane.bindingsOf.get("blue")?.length, 3);
  t.match(reconciler.info().counts, { withoutRoute: 2, withoutBinding: 3 });
});

t.test("what fails does not stop the rest, is said once and tried again", async (t) => {
  const { world, dataplane, networks, reconciler, warnings } = rig(3);
  networks.create("blue", { cidr4: "10.9.0.0/16" });
  networks.create("red", { cidr4: "10.8.0.0/16" });
  sayNode(world.get(1), 1, "nonsense");
  dataplane.failing.add("setNetwork blue");
  await world.run(3500);
  t.same([...dataplane.peers.keys()], [keyOf(2)], "one peer that cannot be keeps nobody out");
  t.same([...dataplane.networks.keys()], ["red"]);
  t.equal(warnings.length, 2);
  t.equal(reconciler.info().problems.length, 2);
  world.get(1).put("container", "web", container({ network: "red" }));
  await world.run(1000);
  t.same(dataplane.networks.get("red")?.vteps, [], "no VTEP without its peer");
  dataplane.failing.clear();
  sayNode(world.get(1), 1);
  await world.run(1500);
  t.same([...dataplane.networks.keys()].sort(), ["blue", "red"]);
  t.same(dataplane.networks.get("red")?.vteps, ["fd00::2"]);
  t.same(reconciler.info().problems, []);
  dataplane.failing.add("routes red");
  world.get(1).put("container", "db", container({ network: "red", mac: "02:00:00:00:00:09" }));
  await world.run(500);
  dataplane.failing.clear();
  await world.run(1500);
  t.equal(dataplane.routesOf.get("red")?.length, 2, "routes alone, again");
  await reconciler.close();
  dataplane.calls = [];
  reconciler.request();
  await world.run(500);
  t.same(dataplane.calls, []);
});

t.test("a deleted network with ports is cut off at once, and goes with the last of them", async (t) => {
  const { world, dataplane, networks, reconciler } = rig(2);
  networks.create("blue", { cidr4: "10.9.0.0/16" });
  const theirs = networksOf(world, 1);
  world.get(1).put("container", "web", container());
  await world.run(1000);
  dataplane.portList = [{ network: "blue", mac: "02:00:00:00:00:02" }];
  world.get(1).remove("container", "web");
  world.partition([[0], [1]]);
  await world.run(10);
  theirs.delete("blue");
  world.partition([[0, 1]]);
  await world.run(1000);
  t.same(reconciler.info().waiting, ["blue"]);
  t.same(dataplane.networks.get("blue")?.vteps, []);
  dataplane.portList = [];
  reconciler.request();
  await world.run(1000);
  t.same([...dataplane.networks.keys()], []);
});

t.test("a VNI that two networks have stays with one; the other has its own on this host", async (t) => {
  const { world, dataplane, networks, reconciler } = rig(2);
  world.partition([[0], [1]]);
  networks.create("zoo", { cidr4: "10.9.0.0/16", vni: 50 });
  const theirs = networksOf(world, 1);
  theirs.create("ape", { cidr4: "10.8.0.0/16", vni: 50 });
  world.get(1).put("container", "web", container({ network: "ape" }));
  world.partition([[0, 1]]);
  await world.run(1000);
  t.match(dataplane.networks.get("zoo"), { vni: 50 });
  t.match(dataplane.networks.get("ape"), { vni: 4096, vteps: [] });
  networks.delete("zoo");
  await world.run(1000);
  t.match(dataplane.networks.get("ape"), { vni: 50, vteps: ["fd00::2"] });
  t.same(reconciler.info().problems, []);
});

t.test("VTEPs of kernels make a network mixed; one that cannot be here is left out", async (t) => {
  const { world, dataplane, networks, warnings } = rig(1);
  networks.create("blue", { cidr4: "10.9.0.0/16" });
  networks.addVtep("blue", "192.0.2.7");
  await world.run(1000);
  t.match(dataplane.networks.get("blue"), { encryption: "mixed", vteps: ["192.0.2.7:4789"] });
  networks.addVtep("blue", "fd99::1");
  await world.run(1000);
  t.same(warnings.length, 0);
  const refuse = dataplane.setNetwork.bind(dataplane);
  dataplane.setNetwork = async (spec) => {
    if (spec.vteps?.includes("192.0.2.8:4789")) throw new Error("no underlay of that family");
    await refuse(spec);
  };
  networks.addVtep("blue", "192.0.2.8");
  await world.run(1000);
  t.match(dataplane.networks.get("blue"), { encryption: "required", vteps: [] });
  t.match(warnings, [/no underlay of that family/]);
});

t.test("own containers are published and withdrawn", async (t) => {
  const world = new GossipDouble(1);
  const records = world.get(0);
  let events = 0;
  records.on(() => events++);
  publishContainers(records, [
    { port: "a", ...container() },
    { port: "b", ...container() },
  ]);
  publishContainers(records, [
    { port: "b", ...container() },
    { ...container(), port: "a" },
  ]);
  t.equal(events, 1);
  publishContainers(records, [{ port: "b", ...container({ name: "web" }) }]);
  t.same(
    [...records.list("container")].map(({ id, value }) => [id, value.name]),
    [["b", "web"]],
  );
  publishContainers(records, []);
  t.same([...records.list("container")], []);
});

t.test("one link per pair of containers that have talked", async (t) => {
  const world = new GossipDouble(2);
  const mac = (n: number): string => `02:00:00:00:00:0${n}`;
  world.get(0).put("container", "a", container({ mac: mac(1), ips: ["10.9.0.2"] }));
  world.get(0).put("container", "b", container({ mac: mac(2), ips: [] }));
  world.get(1).put("container", "c", container({ mac: mac(3) }));
  await world.run(1000);
  const talk = (local: number, remote: number, port: string, lastSeen: number, network = "blue"): Conversation => ({
    ...{ network, port, localMac: mac(local), remoteMac: mac(remote), lastSeen },
    receive: { packets: 2, bytes: 200 },
    transmit: { packets: 1, bytes: 60 },
  });
  const said = [
    talk(1, 2, "a", 5),
    talk(2, 1, "b", 6),
    talk(2, 3, "b", 9),
    talk(1, 9, "a", 1),
    talk(1, 3, "a", 1, "red"),
  ];
  t.same(containerLinks(idOf(0), said, world.get(0).list("container")), [
    {
      ...{ sourceContainerId: "b", destinationContainerId: "c", interface: "eth0", mac: mac(2), ip: null },
      ...{ network: "blue", packets: 3, bytes: 260, lastSeen: 9 },
    },
    {
      ...{ sourceContainerId: "a", destinationContainerId: "b", interface: "eth0", mac: mac(1), ip: "10.9.0.2" },
      ...{ network: "blue", packets: 3, bytes: 260, lastSeen: 6 },
    },
  ]);
});
