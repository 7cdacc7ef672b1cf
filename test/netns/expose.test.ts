/**
 * Containers reach the outside and are reached from it, with Docker's chains in the way: real namespaces, real nftables. The ports
 * of the switch are veth pairs here (test/lab/gateway-host.mjs).
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { type Job, until } from "../lab/job.js";
import { type Host, Lab } from "../lab/lab.js";
import type { Namespace } from "../lab/namespace.js";
import { all, ask, facts, NONE, sees, serve } from "../lab/who.js";

const script = (name: string): string => fileURLToPath(new URL(`../lab/${name}`, import.meta.url));
const BLUE = { name: "blue", vni: 42, cidr4: "10.32.0.0/16", cidr6: "fd42::/64" };
const GREEN = { name: "green", vni: 43, cidr4: "10.40.0.0/16", cidr6: "fd43::/64" };
const NETWORKS = [BLUE, GREEN];

interface Status {
  readonly error?: string;
  readonly uplink: string | null;
  readonly table: string | null;
  readonly acceptedIn: string[];
  readonly putBack: number;
  readonly problems: { network: string; why: string }[];
}

/** A host with gateways, told what to do line by line. */
class Gateways {
  readonly #job: Job;
  #answers = 0;

  constructor(job: Job) {
    this.#job = job;
  }

  async status(): Promise<Status> {
    const wanted = ++this.#answers;
    return await until(`answer ${wanted}: ${this.#job.text}`, () => {
      const line = this.#job.out[wanted - 1];
      return line === undefined ? undefined : (JSON.parse(line) as Status);
    });
  }

  async do(step: object): Promise<Status> {
    this.#job.child.stdin?.write(`${JSON.stringify(step)}\n`);
    return await this.status();
  }

  apply(wanted: { exposed?: object[]; published?: object[]; networks?: object[] }): Promise<Status> {
    return this.do({ apply: { networks: NETWORKS, exposed: [], published: [], ...wanted } });
  }

  async close(): Promise<void> {
    if (this.#job.running) await this.do({ close: true });
    this.#job.finish();
  }

  kill(): Promise<unknown> {
    return this.#job.kill();
  }
}

interface World {
  readonly lab: Lab;
  readonly host: Host;
  readonly outside: Host;
  readonly blue: Namespace;
  readonly green: Namespace;
  readonly path: string;
  up(): Promise<Gateways>;
}

async function open(t: Test): Promise<World> {
  const lab = await Lab.open(t);
  const [host, outside] = await lab.hosts("host", "outside");
  const bridges = await lab.container("switch");
  const ready: Promise<void>[] = [];
  const attach = async (label: string, network: string, index: number, hasGateway = true): Promise<Namespace> => {
    const { cidr4 } = NETWORKS.find((n) => n.name === network) as typeof BLUE;
    const [four, six] = [cidr4.replace(".0.0/16", ""), network === "blue" ? "fd42:" : "fd43:"];
    const container = await lab.container(label);
    await lab.run(`ip link add eth0 netns ${container.name} type veth peer name ${label} netns ${bridges.name}`);
    await bridges.run(`ip link set ${label} master br-${network} up`);
    await container.run(`ip addr add ${four}.0.${index}/16 dev eth0`);
    await container.run(`ip addr add ${six}:${index}/64 dev eth0 nodad`);
    await container.run("ip link set eth0 up");
    if (hasGateway) {
      await container.run(`ip route add default via ${four}.0.1`);
      await container.run(`ip -6 route add default via ${six}:1`);
    }
    ready.push(serve(container, 80));
    return container;
  };
  for (const { name } of NETWORKS) {
    await bridges.run(`ip link add br-${name} type bridge mcast_snooping 0 stp_state 0`);
    await bridges.run(`ip link set br-${name} up`);
  }
  const blue = await attach("blue", "blue", 5);
  const green = await attach("green", "green", 5);
  // Without a default route.
  await attach("lost", "blue", 6, false);
  for (const [namespace, label, port] of [
    [outside, "outside", 80],
    [outside, "outside-control", 6783],
    [host, "host-control", 6783],
    [host, "host-service", 22],
  ] as const) {
    ready.push(serve(namespace, port, label));
  }
  await Promise.all(ready);
  const path = lab.file("run/gw");
  const up = async (): Promise<Gateways> => {
    const gateways = new Gateways(host.start([process.execPath, script("gateway-host.mjs"), path, bridges.name]));
    await gateways.status();
    t.teardown(() => gateways.close());
    return gateways;
  };
  return { lab, host, outside, blue, green, path, up };
}

t.test("containers of an exposed network reach the outside, others do not", async (t) => {
  const { host, outside, blue, green, up } = await open(t);
  const before = await facts(host);
  const gateways = await up();
  await gateways.apply({});
  t.equal((await blue.ping("10.32.0.1")).received, 3, "the gateway answers");
  t.equal((await blue.ping("fd42::1")).received, 3, "over IPv6, too");
  await all(t, [[blue, "tcp", outside.v4, 80, /no answer: (ENETUNREACH|EHOSTUNREACH)/, "said at once"]]);
  t.match((await blue.ping(outside.v6, { count: 1 })).text, /Destination unreachable/);
  await all(t, [
    [blue, "tcp", host.v4, 6783, NONE, "the control port"],
    [blue, "tcp", "10.40.0.5", 80, NONE, "another network, through the gateways"],
  ]);
  t.equal((await gateways.apply({})).uplink, null, "there is no way out");

  const exposed = [{ network: "blue", ip: ["10.32.0.9/16", "fd42::9/64"] }];
  const status = await gateways.apply({ exposed });
  t.equal(status.error, undefined);
  await all(t, [
    [blue, "tcp", outside.v4, 80, sees("outside", host.v4)],
    [blue, "udp", outside.v4, 80, sees("outside", host.v4)],
    [blue, "tcp", outside.v6, 80, sees("outside", host.v6)],
    [blue, "tcp", host.v4, 22, sees("host-service", "10.32.0.5"), "a service of the host"],
    [host, "tcp", "10.32.0.5", 80, sees("blue", "10.32.0.9"), "the host has its own port"],
    [host, "tcp", "fd42::5", 80, sees("blue", "fd42::9")],
  ]);
  await all(
    t,
    [host.v4, host.v6, "10.32.0.9"].map((address) => [blue, "tcp", address, 6783, NONE, "the control port"] as const),
  );
  await all(t, [
    [blue, "tcp", outside.v4, 6783, NONE, "another host's control port"],
    [blue, "tcp", "10.40.0.5", 80, NONE, "another network"],
    [green, "tcp", outside.v4, 80, NONE, "another network's container"],
    [green, "tcp", host.v4, 22, NONE],
  ]);
  await outside.run(`ip route add 10.32.0.0/16 via ${host.v4}`);
  await all(t, [[outside, "tcp", "10.32.0.5", 80, NONE, "exposed is not published"]]);

  await gateways.apply({ exposed: [] });
  await all(t, [[blue, "tcp", outside.v4, 80, NONE, "hidden again"]]);
  await gateways.do({ close: true });
  t.equal(await facts(host), before, "nothing is left");
});

t.test("published ports lead to their containers", async (t) => {
  const { host, outside, blue, green, up } = await open(t);
  const gateways = await up();
  const published = [
    { ip: "0.0.0.0", hostPort: 8080, port: 80, protocol: "tcp", targets: ["10.32.0.5"], isRouted: true },
    { ip: "0.0.0.0", hostPort: 8080, port: 80, protocol: "udp", targets: ["10.32.0.5"], isRouted: true },
    { ip: "::", hostPort: 8080, port: 80, protocol: "tcp", targets: ["10.32.0.5", "fd42::5"], isRouted: true },
    { ip: host.v4, hostPort: 8081, port: 80, protocol: "tcp", targets: ["10.32.0.6"], isRouted: false },
    { ip: "192.0.2.99", hostPort: 8082, port: 80, protocol: "tcp", targets: ["10.32.0.5"], isRouted: true },
  ].map((p) => ({ ...p, network: "blue" }));
  const status = await gateways.apply({ published });
  t.equal(status.error, undefined);
  await all(t, [
    [outside, "tcp", host.v4, 8080, sees("blue", outside.v4), "the client stays visible"],
    [outside, "udp", host.v4, 8080, sees("blue", outside.v4)],
    [outside, "tcp", host.v6, 8080, sees("blue", outside.v6)],
    [outside, "tcp", host.v4, 8081, sees("lost", "10.32.0.1"), "no way back: the gateway is seen"],
    [outside, "tcp", host.v4, 8082, NONE, "on another address only"],
    [host, "tcp", host.v4, 8080, /blue sees/, "the host itself"],
    [host, "tcp", "127.0.0.1", 8080, /blue sees/, "at its loopback address, too"],
    [blue, "tcp", outside.v4, 80, NONE, "published is not exposed"],
    [green, "tcp", host.v4, 8080, NONE],
    [blue, "tcp", "127.0.0.1", 22, NONE],
  ]);

  const exposed = [
    { network: "blue", ip: ["10.32.0.9/16"] },
    { network: "green", ip: ["10.40.0.9/16"] },
  ];
  await gateways.apply({ published, exposed });
  await all(t, [
    [outside, "tcp", host.v4, 8080, sees("blue", outside.v4), "and exposed"],
    [outside, "tcp", host.v4, 8081, sees("lost", "10.32.0.1")],
  ]);
  t.match(
    await ask(green, "tcp", host.v4, 8080),
    /blue sees 169\.254\./,
    "from another network, by the published port",
  );
  await all(t, [
    [blue, "tcp", host.v4, 8080, /blue sees 169\.254\./, "from its own container"],
    [host, "tcp", "10.32.0.5", 80, sees("blue", "10.32.0.9")],
  ]);

  await gateways.apply({});
  await all(t, [[outside, "tcp", host.v4, 8080, NONE]]);
});

t.test("Docker's chains", async (t) => {
  const { host, outside, blue, up } = await open(t);
  for (const rule of ["-P FORWARD DROP", "-N DOCKER-USER", "-I FORWARD -j DOCKER-USER", "-A DOCKER-USER -j RETURN"])
    await host.run(`iptables ${rule}`);
  await host.run("ip6tables-legacy -P FORWARD DROP");
  await host.run([
    "nft",
    "add table inet strict; add chain inet strict routed { type filter hook forward priority 5; policy drop; }",
  ]);
  const before = await facts(host);
  const gateways = await up();
  const wanted = {
    exposed: [{ network: "blue", ip: ["10.32.0.9/16", "fd42::9/64"] }],
    published: [
      {
        network: "blue",
        ip: "0.0.0.0",
        hostPort: 8080,
        port: 80,
        protocol: "tcp",
        targets: ["10.32.0.5"],
        isRouted: true,
      },
    ],
  };
  const status = await gateways.apply(wanted);
  t.same(status.acceptedIn.sort(), ["inet strict routed", "ip filter DOCKER-USER", "ip6 filter FORWARD (legacy)"]);
  const works = (): Promise<void> =>
    all(t, [
      [blue, "tcp", outside.v4, 80, sees("outside", host.v4)],
      [blue, "tcp", outside.v6, 80, sees("outside", host.v6)],
      [outside, "tcp", host.v4, 8080, sees("blue", outside.v4)],
    ]);
  await works();
  t.match(await host.run("ip6tables-legacy -S FORWARD"), /-A FORWARD -o weft-u-\w+ .* -j ACCEPT/);
  t.match(await host.run("iptables -S DOCKER-USER"), /-i weft-u-\w+ -m comment --comment "weft \w+" -j ACCEPT/);

  await host.run("iptables -F DOCKER-USER");
  await host.run("iptables -A DOCKER-USER -j RETURN");
  await until(
    "the rules are put back",
    async () => (await host.run("iptables -S DOCKER-USER")).includes("weft"),
    20_000,
  );
  await host.run(`nft delete table inet ${status.table}`);
  await until(
    "so is our own table",
    async () => (await host.run("nft list tables")).includes(`${status.table}`),
    20_000,
  );
  await host.run(`ip link del ${status.uplink}`);
  await until("and the uplink", async () => (await host.run("ip -o link")).includes(`${status.uplink}`), 20_000);
  const again = await gateways.apply(wanted);
  t.equal(again.error, undefined);
  // An uplink that goes while the table is put back comes back with it.
  t.ok(again.putBack >= 2, `${again.putBack} counted`);
  await works();

  await gateways.apply({});
  t.equal(await facts(host), before, "hide removes everything");
  t.notMatch(await host.run("ip6tables-legacy -S"), /weft/);
});

t.test("a daemon that was killed leaves nothing that the next one does not take away", async (t) => {
  const { lab, host, outside, blue, path, up } = await open(t);
  const before = await facts(host);
  const first = await up();
  const wanted = { exposed: [{ network: "blue", ip: ["10.32.0.9/16"] }] };
  await first.apply(wanted);
  await first.kill();
  t.ok(existsSync(path));
  // The double's device would have ended with its process, or be known to the next one.
  await host.run("ip link del weft-blue");
  const second = await up();
  await second.apply(wanted);
  await all(t, [[blue, "tcp", outside.v4, 80, sees("outside", host.v4)]]);
  await second.do({ close: true });
  t.equal(await facts(host), before);
  t.notOk(existsSync(path));
  t.notMatch(await lab.run("cat /proc/self/mountinfo"), path);
});

t.test("an exposure that fails keeps nothing else from working", async (t) => {
  const { host, outside, blue, up } = await open(t);
  const gateways = await up();
  await host.run("ip link add weft-green type veth peer name other");
  const exposed = [
    { network: "green", ip: ["10.40.0.9/16"] },
    { network: "blue", ip: ["10.32.0.9/16"] },
  ];
  t.match((await gateways.apply({ exposed })).error, /File exists/);
  await all(t, [[blue, "tcp", outside.v4, 80, sees("outside", host.v4)]]);
  await host.run("ip link del weft-green");
  t.equal((await gateways.apply({ exposed })).error, undefined, "tried again");
});

t.test("networks whose addresses overlap cannot both have a gateway", async (t) => {
  const { up, blue } = await open(t);
  const gateways = await up();
  const { problems } = await gateways.apply({ networks: [BLUE, { ...GREEN, cidr4: "10.32.128.0/17", cidr6: null }] });
  t.match(problems, [{ network: "green", why: /overlap with those of network blue/ }]);
  t.equal((await blue.ping("10.32.0.1")).received, 3);
});
