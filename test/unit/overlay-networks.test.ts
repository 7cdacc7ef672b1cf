/** Networks of the mesh: made, changed and deleted by anybody, and what is left when two did so at once. */
import t from "tap";
import { problemsOf } from "../../packages/control/src/errors.js";
import { Networks, type Surroundings } from "../../packages/control/src/overlay/networks.js";
import { GossipDouble, idOf } from "../models/gossip.js";

const NOTHING: Surroundings = { prefixes: [], names: new Set(), vnis: new Set() };

function mesh(count: number, surroundings: Surroundings = NOTHING): { world: GossipDouble; networks: Networks[] } {
  const world = new GossipDouble(count);
  return {
    world,
    networks: world.nodes.map(
      (node) =>
        new Networks(
          node,
          () => surroundings,
          () => world.now,
        ),
    ),
  };
}
function on(networks: readonly Networks[], i: number): Networks {
  return networks[i] as Networks;
}
const container = {
  ...{ name: "web", network: "blue", ifname: "eth0", mac: "02:00:00:00:00:01", ips: [], dns: [] },
  ...{ role: "container" as const, published: [], since: 1 },
};

t.test("the default network, and one beside it that nobody had to number", async (t) => {
  const { world, networks } = mesh(2);
  on(networks, 0).createDefault();
  on(networks, 0).createDefault();
  const blue = on(networks, 0).create("blue");
  await world.run(1000);
  t.match(on(networks, 1).get("default")?.value, { cidr4: "10.32.0.0/12", cidr6: /^fd[0-9a-f:]+::\/64$/, clock: 1 });
  t.match(on(networks, 1).get("blue"), { value: blue.value, conflicts: [], isHeld: false, localVni: blue.value.vni });
  t.match(blue.value.cidr4, /^10\.\d+\.0\.0\/16$/);
  t.ok(blue.value.vni >= 4096);
  t.not(blue.value.cidr6, on(networks, 0).get("default")?.value.cidr6);
  t.equal(blue.value.founder, idOf(0));
});

t.test("what a network may be", async (t) => {
  const { networks } = mesh(1, {
    prefixes: ["192.168.0.0/16", "0.0.0.0/0"],
    names: new Set(["lan"]),
    vnis: new Set([7]),
  });
  const one = on(networks, 0);
  one.create("blue", { cidr4: "10.9.0.0/16", cidr6: null, vni: 5, mtu: 1400 });
  t.match(one.get("blue")?.value, { cidr4: "10.9.0.0/16", cidr6: null, vni: 5, mtu: 1400 });
  for (const [name, options, code] of [
    ["blue", {}, "conflict"],
    ["lan", {}, "conflict"],
    ["red", { vni: 5 }, "conflict"],
    ["red", { vni: 7 }, "conflict"],
    ["red", { cidr4: "10.9.1.0/24" }, "conflict"],
    ["red", { cidr4: "192.168.7.0/24" }, "conflict"],
    ["red", { cidr4: "10.8.0.1/16" }, "invalid_input"],
    ["red", { cidr4: "10.8.0.0/30" }, "invalid_input"],
    ["red", { cidr4: "127.0.0.0/16" }, "invalid_input"],
    ["red", { cidr4: "fd00::/64" }, "invalid_input"],
    ["red", { cidr6: "10.8.0.0/16" }, "invalid_input"],
    ["red", { cidr4: null, cidr6: null }, "invalid_input"],
    ["Red", {}, "invalid_input"],
    ["red", { vni: 0 }, "invalid_input"],
    ["red", { mtu: 1279 }, "invalid_input"],
  ] as const)
    t.throws(() => one.create(name, options), { code }, `${name} ${JSON.stringify(options)}`);
  try {
    one.create("A", { vni: 0, mtu: 1 });
  } catch (error) {
    t.equal(problemsOf(error).length, 3, "every problem at once");
  }
  t.equal(one.list().length, 1);
  t.ok(one.create("red").value.cidr4, "a default route is no obstacle");
});

t.test("anybody deletes, and makes it again; not while somebody is in it", async (t) => {
  const { world, networks } = mesh(2);
  on(networks, 0).create("blue");
  await world.run(1000);
  world.get(0).put("container", "web", container);
  await world.run(1000);
  t.throws(() => on(networks, 1).delete("blue"), { code: "conflict", message: /detach web on 000A/ });
  world.get(0).remove("container", "web");
  await world.run(1000);
  on(networks, 1).delete("blue");
  await world.run(1000);
  t.equal(on(networks, 0).get("blue"), undefined);
  t.throws(() => on(networks, 0).delete("blue"), { code: "not_found" });
  on(networks, 0).create("blue", { vni: 9 });
  await world.run(1000);
  t.match(on(networks, 1).get("blue"), { value: { vni: 9, clock: 3, founder: idOf(0) } });
});

t.test("VTEPs of kernels", async (t) => {
  const { world, networks } = mesh(2);
  on(networks, 0).create("blue");
  await world.run(1000);
  on(networks, 1).addVtep("blue", "192.0.2.7");
  await world.run(1000);
  on(networks, 0).addVtep("blue", "[2001:db8::7]:8472");
  on(networks, 0).addVtep("blue", "192.0.2.7:4789");
  t.same(on(networks, 0).get("blue")?.value.vteps, ["192.0.2.7:4789", "[2001:db8::7]:8472"]);
  for (const text of ["x", "192.0.2.7:0", "[192.0.2.7]:1", "224.0.0.1", "ff02::1", "192.0.2.7:99999", "fe80::1%eth0"])
    t.throws(() => on(networks, 0).addVtep("blue", text), { code: "invalid_input" }, text);
  on(networks, 0).removeVtep("blue", "192.0.2.7");
  t.same(on(networks, 0).get("blue")?.value.vteps, ["[2001:db8::7]:8472"]);
  t.throws(() => on(networks, 0).removeVtep("blue", "192.0.2.7"), { code: "not_found" });
  await world.run(1000);
  world.get(0).put("removed", idOf(1), { at: 1, upTo: 0, by: idOf(0) });
  t.same(on(networks, 0).get("blue")?.value.founder, idOf(0), "what a removed member had set holds");
});

t.test("made on both sides of a partition", async (t) => {
  const { world, networks } = mesh(2);
  world.partition([[0], [1]]);
  on(networks, 0).create("red", { vni: 50, cidr4: "10.50.0.0/16" });
  on(networks, 1).create("blue", { vni: 50, cidr4: "10.50.4.0/24" });
  on(networks, 0).create("same", { vni: 60 });
  on(networks, 1).create("same", { vni: 61 });
  world.partition([[0, 1]]);
  await world.run(1000);
  for (const one of networks) {
    t.match(one.get("red"), { conflicts: [], isHeld: false, localVni: 50 }, "the lower founder keeps the VNI");
    t.match(one.get("blue"), { isHeld: true, localVni: 4096 });
    t.match(one.get("blue")?.conflicts, [/10.50.4.0\/24 overlaps network red/, /VNI 50 is that of network red, too/]);
    t.match(
      one.get("same"),
      { value: { vni: 61 }, writer: idOf(1) },
      "one name is one network: the later, then higher writer's",
    );
  }
  on(networks, 0).delete("red");
  await world.run(1000);
  for (const one of networks) t.match(one.get("blue"), { conflicts: [], isHeld: false, localVni: 50 });
});

t.test("made on both sides of a partition, with nothing named: nothing of one is anything in the other", async (t) => {
  const { world, networks } = mesh(2);
  world.partition([[0], [1]]);
  const [one, other] = networks.map((side) => side.create("green").value);
  t.not(one?.cidr4, other?.cidr4, "also no address of a container");
  t.not(one?.cidr6, other?.cidr6);
  t.not(one?.vni, other?.vni);
});

t.test("a member that has written the greatest clock does not have the last word, once it is out", async (t) => {
  const { world, networks } = mesh(3);
  on(networks, 0).create("blue", { cidr4: "10.9.0.0/16", cidr6: null, vni: 5 });
  await world.run(1000);
  const value = on(networks, 2).get("blue")?.value as NonNullable<ReturnType<Networks["get"]>>["value"];
  // Of all three its name sorts last.
  world.get(2).put("network", "blue", { ...value, clock: 2 ** 48, vteps: ["192.0.2.66:4789"] });
  await world.run(1000);
  t.throws(() => on(networks, 0).delete("blue"), { code: "conflict", message: /weft rmpeer/ });
  world.get(1).put("removed", idOf(2), { at: 0, upTo: 0, by: idOf(1) });
  await world.run(1000);
  on(networks, 0).removeVtep("blue", "192.0.2.66");
  await world.run(1000);
  for (const one of networks.slice(0, 2)) t.same(one.get("blue")?.value.vteps, []);
  on(networks, 0).delete("blue");
  await world.run(1000);
  t.equal(on(networks, 1).get("blue"), undefined);
});

t.test("very many networks cost no more than they are", async (t) => {
  const { world, networks } = mesh(1);
  const puts = Array.from({ length: 4000 }, (_, i) => ({
    kind: "network" as const,
    id: `n${i}`,
    value: {
      ...{
        clock: 1,
        deleted: false,
        vni: 5000 + i,
        cidr6: "fd00::/8",
        mtu: null,
        vteps: [],
        founder: idOf(0),
        createdAt: 1,
      },
      cidr4: `10.${i >> 8}.${i & 255}.0/24`,
    },
  }));
  world.get(0).putAll(puts);
  const begun = process.cpuUsage().user;
  const list = on(networks, 0).list();
  t.equal(list.length, 4000);
  t.ok(list.every(({ conflicts }) => conflicts.length <= 5));
  t.ok(process.cpuUsage().user - begun < 3e6, "eight million comparisons of prefixes take far longer");
});

t.test("records that no honest node writes, and what the configuration file has", async (t) => {
  const { world, networks } = mesh(1, { prefixes: [], names: new Set(["lan"]), vnis: new Set([7]) });
  const value = {
    ...{ clock: 1, deleted: false, vni: 7, cidr4: "10.1.0.0/16", cidr6: null, mtu: null, vteps: [] },
    ...{ founder: idOf(0), createdAt: 1 },
  };
  world.get(0).put("network", "lan", { ...value, vni: 8 });
  world.get(0).put("network", "No/Name", { ...value, vni: 9 });
  world.get(0).put("network", "odd", { ...value, vni: 10, cidr4: "10.1.0.0/99" });
  // What would take the host's own routes.
  const bad = ["0.0.0.0/0", "8.0.0.0/7", "127.0.0.0/8", "169.254.64.0/18", "224.0.0.0/8"];
  for (const [i, cidr4] of bad.entries()) world.get(0).put("network", `bad${i}`, { ...value, vni: 20 + i, cidr4 });
  for (const [i, cidr6] of ["::/0", "::/96", "fe80::/64"].entries())
    world.get(0).put("network", `bad6${i}`, { ...value, vni: 30 + i, cidr4: null, cidr6 });
  for (const { name, localVni } of on(networks, 0).list()) if (name.startsWith("bad")) t.equal(localVni, null, name);
  world.get(0).put("network", "taken", value);
  for (const name of ["lan", "No/Name", "odd"]) t.match(on(networks, 0).get(name), { localVni: null }, name);
  t.match(on(networks, 0).get("taken"), { isHeld: true, localVni: 4096 });
});
