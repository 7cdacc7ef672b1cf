/** What is wrong with a mesh on one host: found by its parts over a double of the records, told as people read it, once in the log. */
import t from "tap";
import { ProblemLog, problemsOf } from "../../packages/control/src/fabric/problems.js";
import type { Allocation } from "../../packages/control/src/ipam/allocations.js";
import { Ipam } from "../../packages/control/src/ipam/ipam.js";
import type { MeshProblem } from "../../packages/control/src/mesh-answers.js";
import { Networks } from "../../packages/control/src/overlay/networks.js";
import { Reconciler } from "../../packages/control/src/overlay/reconciler.js";
import { DataplaneTablesDouble } from "../models/dataplane-tables.js";
import { GossipDouble, idOf } from "../models/gossip.js";

const BLUE = { cidr4: "10.9.0.0/16", cidr6: null };

/** Hosts with what finds problems on each. */
function hostsOf(count: number) {
  const world = new GossipDouble(count);
  return {
    world,
    hosts: world.nodes.map((records, i) => {
      const surroundings = { prefixes: [], names: new Set<string>(), vnis: new Set<number>() };
      const networks = new Networks(
        records,
        () => surroundings,
        () => world.now,
      );
      const source = {
        get: (name: string) => networks.get(name)?.value,
        names: () => networks.list().map(({ name }) => name),
      };
      let saved: readonly Allocation[] = [];
      const after = (ms: number, run: () => void) => world.after(ms, run);
      const ipam = new Ipam({
        records,
        networks: source,
        store: {
          load: () => saved,
          save: (allocations) => {
            saved = allocations;
          },
        },
        ...{ now: () => world.now, nowMs: () => world.now, after, random: () => world.random() / 2 ** 32 },
      });
      const reconciler = new Reconciler({
        ...{
          records,
          networks,
          dataplane: new DataplaneTablesDouble(),
          tunnelAddress: (id) => `fd00::${Number(id.slice(0, 3)) + 1}`,
        },
        ...{ writable: (endpoints: readonly string[]) => endpoints },
        ...{ mtu: () => 1310, routesMax: 3, bindingsMax: 100, networksMax: () => 256, now: () => world.now, after },
        warn: () => undefined,
      });
      records.put("node", "", {
        ...{ name: `host${i}`, wireguard: `${String(i).padStart(43, "k")}=`, control: [], endpoints: [] },
        ...{ underlayMtu: 1500, version: "1", capabilities: [], startedAt: 1 },
      });
      const problems = (): MeshProblem[] =>
        problemsOf({ networks: networks.list(), gateways: [], dns: [], ipam: ipam.info(), overlay: reconciler.info() });
      return { records, networks, ipam, problems };
    }),
  };
}
type Host = ReturnType<typeof hostsOf>["hosts"][number];

t.test("a VNI that two networks have after a partition is told on every host, until one is deleted", async (t) => {
  const { world, hosts } = hostsOf(2);
  const [one, two] = hosts as [Host, Host];
  world.partition([[0], [1]]);
  one.networks.create("red", { ...BLUE, vni: 50 });
  two.networks.create("blue", { cidr4: "10.10.0.0/16", cidr6: null, vni: 50 });
  await world.run(1000);
  t.same([one.problems(), two.problems()], [[], []], "apart nothing is wrong");
  world.partition([[0, 1]]);
  await world.run(1000);
  for (const { problems } of hosts) {
    t.match(problems(), [{ kind: "network_conflict", network: "blue", count: 1 }]);
    t.match(problems()[0]?.text, /^network blue: VNI 50 is that of network red, too: no other host is reached in it/);
    t.match(problems()[0]?.text, /`weft network remove`/);
  }
  one.networks.delete("red");
  await world.run(1000);
  t.same([one.problems(), two.problems()], [[], []]);
});

t.test("containers that share an address or a MAC, and those beyond the tables", async (t) => {
  const { world, hosts } = hostsOf(2);
  const [one, two] = hosts as [Host, Host];
  one.networks.create("blue", BLUE);
  await world.run(1000);
  const put = (id: string, since: number, mac: string, ip: string): void =>
    two.records.put("container", id, {
      ...{ name: null, network: "blue", ifname: "eth0", dns: [], role: "container", published: [] },
      ...{ since, mac: `02:00:00:00:00:${mac}`, ips: [ip] },
    });
  put("first", 1, "01", "10.9.0.5");
  await world.run(1000);
  t.same(one.problems(), []);
  put("second", 2, "02", "10.9.0.5");
  put("third", 3, "01", "10.9.0.7");
  await world.run(1000);
  t.match(one.problems(), [
    {
      kind: "same_ip",
      network: null,
      count: 1,
      text: /^1 address .*10\.9\.0\.5 of second in network blue.*the earlier one/,
    },
    { kind: "same_mac", network: null, count: 1, text: /^1 container .*02:00:00:00:00:01 of third in network blue/ },
  ]);
  for (let i = 4; i < 8; i++) put(`c${i}`, i, `0${i}`, `10.9.0.${10 + i}`);
  await world.run(1000);
  t.match(one.problems()[2], { kind: "without_route", count: 3, text: /^3 containers.*`limits\.routes`/ });
});

t.test(
  "a member removed by force while it had given addresses away: who is its heir says which are not its own",
  async (t) => {
    const { world, hosts } = hostsOf(3);
    const [one, two, three] = hosts as [Host, Host, Host];
    one.networks.create("blue", BLUE);
    await world.run(1000);
    await world.until(two.ipam.allocate("blue", "web"));
    await world.run(1000);
    world.partition([[0], [1, 2]]);
    const { ips } = await world.until(three.ipam.allocate("blue", "db"));
    one.records.put("removed", idOf(1), { at: world.now, upTo: 0, by: idOf(0) });
    await world.run(10_000);
    const same = await world.until(one.ipam.claim("blue", (ips[0] as string).replace(/\/.*/, ""), "cache"));
    t.same(same.ips, ips);
    t.same(one.problems(), [], "it cannot know");
    world.partition([[0, 1, 2]]);
    await world.run(2000);
    t.match(
      one.problems().find(({ kind }) => kind === "foreign_address"),
      { network: "blue", count: 1, text: /^network blue: 1 address in use here \(cache\) belong.*Detach these/ },
    );
    t.notOk(
      three.problems().some(({ kind }) => kind === "foreign_address"),
      "who has it by right",
    );
    one.ipam.release("cache");
    t.notOk(one.problems().some(({ kind }) => kind === "foreign_address"));
  },
);

t.test("gateways and names; many of one kind are counted", async (t) => {
  const nothing = { networks: [], gateways: [], dns: [], ipam: [] };
  const counts = { sameMac: 0, sameIp: 0, unusable: 3, withoutRoute: 0, withoutBinding: 0 };
  const overlay = { counts, clashes: [] };
  t.same(problemsOf({ ...nothing, overlay }), [], "an address given by hand is none");
  const gateways = (["overlap", "gateway", "exposure"] as const).map((what) => ({ network: what, what, why: "WHY" }));
  const dns = ["10.9.0.1", "fd00::1"].map((address) => ({ network: "blue", address, why: "EADDRINUSE" }));
  t.match(problemsOf({ ...nothing, overlay, gateways, dns }), [
    { kind: "gateway", network: "overlap", text: /no gateway on this host: WHY, so .*no DNS, no way out/ },
    { kind: "gateway", network: "gateway", text: /no gateway on this host: WHY; .*tried again every 10 s/ },
    { kind: "exposure", network: "exposure", text: /WHY; .*`weft hide exposure`/ },
    { kind: "dns", network: "blue", count: 2, text: /no DNS at 10\.9\.0\.1 \(EADDRINUSE\) and fd00::1/ },
  ]);
  const networks = Array.from({ length: 500 }, (_, i) => ({
    name: `\u001b[2J${i}`,
    conflicts: ["its name cannot be used"],
  }));
  const problems = problemsOf({ ...nothing, overlay, networks });
  t.equal(problems.length, 21);
  t.match(problems.at(-1), { network: null, count: 480, text: /^480 more/ });
  t.notOk(
    problems.some(({ text }) => text.includes("\u001b")),
    "a name cannot write to the terminal",
  );
});

t.test("the log says each change once", (t) => {
  const said: string[] = [];
  const log = new ProblemLog(
    ({ text }) => said.push(text),
    ({ text }) => said.push(`over: ${text}`),
  );
  const problem = (network: string, text = network, count = 1): MeshProblem => ({
    ...{ kind: "gateway", network, count, text },
  });
  for (let i = 0; i < 3; i++) log.look([problem("a"), problem("b")]);
  t.same(said.splice(0), ["a", "b"]);
  for (let i = 0; i < 3; i++) log.look([problem("b", `b, worse, try ${i}`, 2)]);
  t.same(said.splice(0), ["b, worse, try 0", "over: a"]);
  log.look([]);
  log.look([problem("a")]);
  t.same(said, ["over: b, worse, try 2", "a"]);
  t.end();
});
