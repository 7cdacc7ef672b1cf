/**
 * What a mesh does for containers beside carrying their frames, with real daemons: gateway, the way out and in with Docker's chains in
 * the way, names, networks apart from each other.
 */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { until } from "../lab/job.js";
import { type Host, Lab } from "../lab/lab.js";
import { allReach, meshOf, type Station, station } from "../lab/mesh.js";
import { resolver } from "../lab/resolver.js";
import { total, type Weft } from "../lab/weft.js";
import { all, connects, facts, NONE, type Question, sees, serve } from "../lab/who.js";

const UPSTREAM = fileURLToPath(new URL("../lab/upstream.mjs", import.meta.url));
const ASKER = fileURLToPath(new URL("../lab/asker.mjs", import.meta.url));
const METRICS = 6782;
const CONTROL = 6783;

interface Exposure {
  readonly exposed: readonly { readonly network: string; readonly ifname: string; readonly ips: readonly string[] }[];
  readonly published: readonly {
    readonly ip: string;
    readonly hostPort: number;
    readonly port: number;
    readonly protocol: "tcp" | "udp";
  }[];
  readonly foreignRules: readonly string[];
}

interface World {
  readonly lab: Lab;
  readonly h1: Host;
  readonly h2: Host;
  readonly outside: Host;
  readonly w1: Weft;
  readonly w2: Weft;
  /** c1 and d1 on the first host, c2 on the second; each serves at port 80. */
  readonly c1: Station;
  readonly d1: Station;
  readonly c2: Station;
}

/** Two hosts in a mesh with metrics on all addresses, Docker's chains on the first, and one host that is in no mesh. */
async function open(t: Test): Promise<World> {
  const lab = await Lab.open(t);
  const [h1, h2, outside] = await lab.hosts("h1", "h2", "outside");
  for (const rule of ["-P FORWARD DROP", "-N DOCKER-USER", "-I FORWARD -j DOCKER-USER", "-A DOCKER-USER -j RETURN"])
    await h1.run(`iptables ${rule}`);
  await outside.start([process.execPath, UPSTREAM, "198.51.100.7"]).line(/serving/);
  await Promise.all([serve(outside, 80), serve(h1, 22)]);
  const resolvConf = lab.file("upstream.conf");
  writeFileSync(resolvConf, `nameserver ${outside.v4}\n`);
  // The daemons' own view of one file; namespaces that are made later are seen there, too.
  const mounted = `mount --bind ${resolvConf} "$(readlink -f /etc/resolv.conf)" && exec "$@"`;
  const through = ["unshare", "-m", "--propagation", "slave", "sh", "-c", mounted, "sh"];
  const [w1, w2] = (await meshOf(lab, [h1, h2], { through, keep: true, metrics: `0.0.0.0:${METRICS}` })) as [
    Weft,
    Weft,
  ];
  const [c1, d1, c2] = await Promise.all([station(lab, w1, "c1"), station(lab, w1, "d1"), station(lab, w2, "c2")]);
  await Promise.all([c1, d1, c2].map(({ container }) => serve(container, 80)));
  await allReach([c1, d1, c2], 30_000);
  return { lab, h1, h2, outside, w1, w2, c1, d1, c2 };
}

const exposureOf = async (weft: Weft): Promise<Exposure> => (await weft.get("/v1/expose")) as Exposure;

/** Frames of or for a gateway that came to or were meant for a tunnel. */
async function leaked(wefts: readonly Weft[]): Promise<number> {
  const losses = await Promise.all(wefts.map((weft) => weft.losses()));
  return total(Object.fromEntries(losses.flatMap((one, i) => leaks(one).map(([name, n]) => [`${i} ${name}`, n]))));
}
const leaks = (losses: Record<string, number>): [string, number][] =>
  Object.entries(losses).filter(([name]) => name.endsWith(" gateway_leak"));

t.test("gateways, ways out and in, names", { timeout: 400_000 }, async (t) => {
  const world = await open(t);
  await t.test("outside", (t) => outsideOf(t, world));
  await t.test("names, and networks apart", (t) => names(t, world));
  t.equal(await leaked([world.w1, world.w2]), 0, "nothing of a gateway has met a tunnel");
});

async function outsideOf(t: Test, { lab, h1, h2, outside, w1, w2, c1, d1, c2 }: World): Promise<void> {
  const from = c1.container;

  /** What weft listens on is reached from outside, and by no container. */
  const closed = async (t: Test, more: readonly string[] = []): Promise<void> => {
    const addresses = [h1.v4, `${h1.v6}`, h2.v4, ...more];
    const ways = addresses.flatMap((address) => [METRICS, CONTROL].map((port) => [address, port] as const));
    const reached = await Promise.all(
      ways.flatMap(([address, port]) =>
        [c1, c2].map(async ({ container }) =>
          (await connects(container, address, port)) ? [`${container.label} → ${address} ${port}`] : [],
        ),
      ),
    );
    t.same(reached.flat(), [], "no container reaches control links or metrics");
  };

  await t.test("gateways answer on every host, and nothing is reached through them", async (t) => {
    for (const { container } of [c1, d1, c2]) {
      const [four] = await container.json<{ gateway: string }[]>("ip -j route show default");
      const [six] = await container.json<{ gateway: string }[]>("ip -6 -j route show default");
      for (const address of [four?.gateway, six?.gateway]) {
        t.equal((await container.ping(address as string)).received, 3, `${container.label} → ${address}`);
        const neighbour = await container.run(`ip neigh show ${address}`);
        t.match(neighbour, /lladdr 02:77:66:/, "the gateway's MAC");
      }
    }
    t.ok(await connects(outside, h1.v4, CONTROL), "the control port is open to others");
    t.ok(await connects(outside, h1.v4, METRICS), "so are metrics here");
    await closed(t);
    await all(t, [
      [from, "tcp", outside.v4, 80, NONE],
      [from, "tcp", h1.v4, 22, NONE, "the underlay"],
      [from, "tcp", h2.v4, CONTROL, NONE, "the underlay of another host"],
    ]);
    const bare = await station(lab, w2, "bare", ["--no-gateway"]);
    t.equal(await bare.container.run("ip route show default"), "", "--no-gateway: no default route");
    t.equal((await bare.container.ping(c1.v4)).received, 3, "but the network");
    await w2.detach(bare.id);
  });

  const before = await facts(h1);
  await t.test("expose", async (t) => {
    const { exposed, foreignRules } = JSON.parse(await w1.ok(["expose", "--json"])) as Exposure;
    const ips = exposed[0]?.ips as [string, string];
    t.match(exposed, [{ network: "default", ifname: "weft-default" }]);
    t.match(ips[0], /^10\.(3[2-9]|4[0-7])\./, "an address of the network's own");
    t.same(foreignRules, ["accept rules of weft stand in chain ip filter DOCKER-USER"]);
    t.match(await w1.ok(["status"]), /DOCKER-USER/, "`weft status` names them");
    await until("the host reaches a container of another host", async () => (await h1.ping(c2.v4)).received > 0);
    const ways: Question[] = [
      [h1, "tcp", c1.v4, 80, sees("c1", ips[0]), "a container here"],
      [h1, "tcp", c2.v4, 80, sees("c2", ips[0]), "a container there"],
      [h1, "tcp", c2.v6, 80, sees("c2", ips[1])],
      [from, "tcp", outside.v4, 80, sees("outside", h1.v4), "outside, by the host's address"],
      [from, "udp", outside.v4, 80, sees("outside", h1.v4)],
      [from, "tcp", outside.v6, 80, /^outside sees 2001:db8::1$/],
      [from, "tcp", h1.v4, 22, sees("h1", c1.v4), "a service of the host"],
      [c2.container, "tcp", ips[0], 22, sees("h1", c2.v4), "from another host, too"],
      [c2.container, "tcp", outside.v4, 80, NONE, "the other host is not exposed"],
    ];
    await all(t, ways);
    await closed(t, ips);
  });

  await t.test("publish", async (t) => {
    const words = ["--publish", "80", "--publish", "80/udp"];
    const first = await station(lab, w1, "web", words);
    await serve(first.container, 80);
    const ports = async () =>
      (await exposureOf(w1)).published.map(({ hostPort, protocol }) => ({ hostPort, protocol }));
    const chosen = await ports();
    t.equal(chosen.filter(({ protocol }) => protocol === "udp").length, chosen.length / 2);
    const works = (label: string, target = h1): Promise<void> =>
      all(
        t,
        chosen.map(({ hostPort, protocol }) => [
          outside,
          protocol,
          target.v4,
          hostPort,
          sees(label, outside.v4),
          "client visible",
        ]),
      );
    await works("web");
    t.match(await w1.ok(["status"]), new RegExp(`published 0\\.0\\.0\\.0:${chosen[0]?.hostPort}->80/tcp of web`));

    const again = async (): Promise<string> => await w1.ok(["attach", first.container.name, "--name", "web", ...words]);
    await w1.detach("web");
    t.same(await ports(), [], "gone with the container");
    await all(t, [[outside, "tcp", h1.v4, chosen[0]?.hostPort as number, NONE]]);
    await again();
    t.same(await ports(), chosen, "the same ports again, by its name");
    await works("web");

    await w1.kill("SIGKILL");
    await w1.again();
    t.same(await ports(), chosen, "and after the daemon was killed");
    await works("web");
    await all(t, [[from, "tcp", outside.v4, 80, sees("outside", h1.v4), "still exposed"]]);

    const other = await lab.container("other");
    const twice = await w1.weft(["attach", other.name, "--publish", `${chosen[0]?.hostPort}:80`]);
    t.equal(twice.code, 1, "never twice");
    t.match(twice.stderr, /is taken by a published port/);
    t.same(await other.devices(), [], "and nothing is attached");
    await w1.detach(first.container.name);
  });

  await t.test("hide takes everything back", async (t) => {
    await w1.ok(["hide"]);
    t.equal(await facts(h1), before);
    await all(t, [
      [from, "tcp", outside.v4, 80, NONE],
      [h1, "tcp", c1.v4, 80, NONE],
    ]);
  });
}

async function names(t: Test, { lab, w1, w2, c1, c2, d1 }: World): Promise<void> {
  const dns = await resolver(lab, c1);
  const far = await resolver(lab, c2);
  const dig = async (words: string, from = c1.container): Promise<string> =>
    await from.run(`dig @${dns.server} +time=2 +tries=2 ${words}`);

  await t.test("containers", async (t) => {
    t.same(await dns.dig("c2.weft.local", "A"), [c2.v4]);
    t.same(await dns.dig("c2.default.weft.local", "AAAA"), [c2.v6]);
    t.same(await dns.dig(c2.v4, "PTR"), ["c2.default.weft.local."]);
    t.same(await dns.dig(c2.v6, "PTR"), ["c2.default.weft.local."]);
    t.same(await far.dig("d1.weft.local", "A"), [d1.v4], "on the other host");
    t.match(await dig("nobody.weft.local"), /status: NXDOMAIN/);
    t.match(await dig("+tcp c2.weft.local"), /status: NOERROR/, "over TCP");
  });

  await t.test("by hand", async (t) => {
    await w1.ok(["dns", "add", "db", "203.0.113.5", "2001:db8:5::5"]);
    await w1.ok(["dns", "add", "_http._tcp.db", "--srv", "1,2,8080,db"]);
    await until("known on the other host", async () => (await far.dig("db.weft.local", "A")).length > 0);
    t.same(await far.dig("db.weft.local", "A"), ["203.0.113.5"]);
    t.same(await far.dig("db.weft.local", "AAAA"), ["2001:db8:5::5"]);
    await until("SRV", async () => (await far.dig("_http._tcp.db.weft.local", "SRV")).length > 0);
    t.same(await far.dig("_http._tcp.db.weft.local", "SRV"), ["1 2 8080 db.weft.local."]);
    t.match(await w2.ok(["dns", "list"]), /db .*203\.0\.113\.5/);
    for (const name of ["db", "_http._tcp.db"]) await w1.ok(["dns", "remove", name]);
    await until("gone", async () => /NXDOMAIN/.test(await dig("db.weft.local", c2.container)));
    t.pass("withdrawn everywhere");
  });

  await t.test("everything else is asked upstream", async (t) => {
    t.same(await dns.dig("www.example.org", "A"), ["198.51.100.7"]);
    t.match(await dig("www.example.org AAAA"), /status: NOERROR.*ANSWER: 0/s);
  });

  await t.test("a container that asks for what nobody answers, from a prefix full of addresses", async (t) => {
    const [route] = await c1.container.json<{ gateway: string }[]>("ip -j -6 route show default");
    const addresses = Array.from({ length: 8 }, (_, i) => c1.v6.replace(/[^:]*$/, `f${i}f`));
    for (const address of addresses) await c1.container.run(`ip addr add ${address}/64 dev eth0 nodad`);
    const asker = c1.container.start([process.execPath, ASKER, route?.gateway ?? "", "150", ...addresses]);
    await asker.line(/asked/);
    const result = async (from: Station): Promise<string | undefined> =>
      /status: (\w+)/.exec(await dig("+tries=1 www.example.org", from.container))?.[1];
    t.equal(await result(d1), "NOERROR", "another container of the host is answered");
    t.equal(await result(c1), "NOERROR", "and so is its own address");
    t.match(
      await dig(`-6 @${route?.gateway} +tries=1 -b ${addresses[0]} www.example.org`),
      /status: SERVFAIL/,
      "not those",
    );
    asker.finish();
    asker.child.kill();
    for (const address of addresses) await c1.container.run(`ip addr del ${address}/64 dev eth0`);
  });

  await t.test("another network", async (t) => {
    await w1.ok(["network", "create", "blue"]);
    await until("known on the other host", async () => /\bblue\b/.test(await w2.ok(["network", "list"])));
    const [b1, b2] = (await Promise.all(
      (
        [
          [w1, "b1"],
          [w2, "secret"],
        ] as const
      ).map(([weft, label]) => station(lab, weft, label, ["--network", "blue"])),
    )) as [Station, Station];
    await allReach([b1, b2], 30_000);
    t.equal((await c1.container.ping(b1.v4, { count: 1 })).received, 0, "apart on one host");
    t.equal((await c1.container.ping(b2.v4, { count: 1 })).received, 0, "and between hosts");
    const blue = await resolver(lab, b1);
    t.same(await blue.dig("secret.weft.local", "A"), [b2.v4]);
    t.same(await blue.dig("c1.weft.local", "A"), [], "names of another network are not answered");
    for (const name of ["secret.weft.local", "secret.blue.weft.local"])
      t.match(await dig(name), /status: NXDOMAIN/, name);
    t.same(await dns.dig(b2.v4, "PTR"), []);

    const inUse = await w1.weft(["network", "remove", "blue"]);
    t.equal(inUse.code, 1);
    t.match(inUse.stderr, /b1|secret|container/, "not while containers are in it");
    await w1.detach(b1.id);
    await w2.detach(b2.id);
    await until("removed", async () => (await w1.weft(["network", "remove", "blue"])).code === 0);
    await until("everywhere", async () => !/\bblue\b/.test(await w2.ok(["network", "list"])));
    t.pass("removed everywhere");
  });
}
