/**
 * Names as containers ask for them: dig, glibc and busybox, through a veth pair into the gateways' namespace, where the server's
 * sockets are.
 */
import { writeFileSync } from "node:fs";
import t, { type Test } from "tap";
import { Forwarder } from "../../packages/control/src/dns/forward.js";
import { DnsServer, type Endpoint } from "../../packages/control/src/dns/server.js";
import { Zone } from "../../packages/control/src/dns/zone.js";
import { gatewayIfname } from "../../packages/control/src/gateway/address.js";
import { GatewayNamespace } from "../../packages/control/src/gateway/namespace.js";
import { Lab } from "../lab/lab.js";
import type { Namespace } from "../lab/namespace.js";

const BLUE = { name: "blue", vni: 42, cidr4: "10.32.0.0/16", cidr6: "fd42::/64" };
const GREEN = { name: "green", vni: 43, cidr4: "10.40.0.0/16", cidr6: null };

interface World {
  readonly lab: Lab;
  readonly blue: Namespace;
  readonly green: Namespace;
  readonly server: DnsServer;
  readonly gateways: GatewayNamespace;
  rename(names: readonly string[]): void;
}

async function open(t: Test): Promise<World> {
  const lab = await Lab.open(t);
  const gateways = await GatewayNamespace.open(lab.file("gw"));
  t.teardown(() => gateways.close());
  const join = async (
    label: string,
    vni: number,
    addresses: readonly (readonly [string, string])[],
  ): Promise<Namespace> => {
    const container = await lab.container(label);
    const device = gatewayIfname(vni);
    await lab.run(`ip link add ${device} netns ${gateways.path} type veth peer name eth0 netns ${container.name}`);
    for (const [gateway, own] of addresses) {
      await gateways.run(`ip addr add ${gateway} dev ${device} nodad`.split(" "));
      await container.run(`ip addr add ${own} dev eth0 nodad`);
    }
    await gateways.run(["ip", "link", "set", device, "up"]);
    await container.run("ip link set eth0 up");
    await container.run(`ip route add default via ${addresses[0]?.[0].replace(/\/.*/, "")}`);
    return container;
  };
  const blue = await join("blue", BLUE.vni, [
    ["10.32.0.1/16", "10.32.0.5/16"],
    ["fd42::1/64", "fd42::5/64"],
  ]);
  const green = await join("green", GREEN.vni, [["10.40.0.1/16", "10.40.0.5/16"]]);
  let names: readonly string[] = ["web"];
  const zone = (): Zone =>
    new Zone(
      {
        networks: [BLUE, GREEN],
        containers: [
          { network: "blue", names, ips: ["10.32.0.5", "fd42::5"] },
          { network: "blue", names: ["many"], ips: Array.from({ length: 200 }, (_, i) => `10.32.1.${i}`) },
          { network: "green", names: ["web"], ips: ["10.40.0.5"] },
        ],
        entries: [
          {
            name: "_http._tcp.web",
            network: null,
            ips: [],
            srv: [{ port: 80, target: "web", priority: 1, weight: 1 }],
          },
        ],
      },
      1,
      (n) => Math.floor(Math.random() * n),
    );
  const server = new DnsServer({ zone, forwarder: new Forwarder({ servers: () => [] }), ownerOf: () => undefined });
  t.teardown(() => server.close());
  const at = (network: string, vni: number, address: string): Endpoint => ({
    network,
    address,
    ifname: gatewayIfname(vni),
    netns: gateways.path,
  });
  const endpoints = [at("blue", 42, "10.32.0.1"), at("blue", 42, "fd42::1"), at("green", 43, "10.40.0.1")];
  const { problems } = await server.listen(endpoints);
  t.same([...problems], []);
  const rename = (next: readonly string[]): void => {
    names = next;
  };
  return { lab, blue, green, server, gateways, rename };
}

t.test("dig", async (t) => {
  const { blue, green, server, rename } = await open(t);
  const dig = (from: Namespace, words: string): Promise<string> => from.run(`dig +tries=1 +time=2 ${words}`);
  t.equal(await dig(blue, "+short @10.32.0.1 web.weft.local"), "10.32.0.5");
  t.equal(await dig(blue, "+short @fd42::1 WEB.blue.weft.local AAAA"), "fd42::5");
  t.equal(await dig(blue, "+short +tcp @10.32.0.1 web.weft.local"), "10.32.0.5");
  t.equal(await dig(blue, "+short @10.32.0.1 -x 10.32.0.5"), "web.blue.weft.local.");
  t.equal(await dig(blue, "+short @10.32.0.1 -x fd42::5"), "web.blue.weft.local.");
  t.equal(await dig(blue, "+short @10.32.0.1 _http._tcp.web.weft.local SRV"), "1 1 80 web.weft.local.");
  t.equal((await dig(blue, "+short @10.32.0.1 many.weft.local")).split("\n").length, 200, "over TCP by itself");
  t.match(await dig(blue, "+ignore @10.32.0.1 many.weft.local"), /flags: qr aa tc rd ra/);
  t.match(await dig(blue, "@10.32.0.1 nobody.weft.local"), /status: NXDOMAIN.*flags: qr aa rd ra.*SOA/s);
  t.match(await dig(blue, "@10.32.0.1 web.weft.local MX"), /status: NOERROR.*ANSWER: 0, AUTHORITY: 1/s);
  t.match(await dig(blue, "@10.32.0.1 example.com"), /status: SERVFAIL/);
  t.match(await dig(blue, "+edns=5 +noednsneg @10.32.0.1 web.weft.local"), /status: BADVERS/);
  t.match(await dig(blue, "@10.32.0.1 version.bind TXT CH"), /status: REFUSED/);
  t.equal(await dig(green, "+short @10.40.0.1 web.weft.local"), "10.40.0.5", "each network its own");
  t.match(
    (await green.attempt("dig +tries=1 +time=1 @10.32.0.1 web.weft.local")).stdout,
    /refused|timed out|no servers/,
  );
  rename(["other"]);
  t.match(await dig(blue, "@10.32.0.1 web.weft.local"), /status: NXDOMAIN|ANSWER: 0/, "gone at once");
  t.equal(await dig(blue, "+short @10.32.0.1 other.weft.local"), "10.32.0.5");
  t.match(server.counts(), { servfail: 1, malformed: 0 });
});

t.test("glibc and busybox", async (t) => {
  const { lab, blue } = await open(t);
  const file = lab.file("resolv.conf");
  writeFileSync(file, "nameserver 10.32.0.1\nsearch weft.local\noptions timeout:2\n");
  const inside = (command: string): Promise<string> =>
    blue.run(["unshare", "-m", "sh", "-c", `mount --bind ${file} "$(readlink -f /etc/resolv.conf)" && ${command}`]);
  t.match(await inside("getent -s dns ahostsv4 web"), /^10\.32\.0\.5 +STREAM web\.weft\.local/);
  t.match(await inside("getent -s dns ahostsv6 web.blue.weft.local"), /^fd42::5 /);
  t.match(await inside("getent -s dns hosts 10.32.0.5"), /web\.blue\.weft\.local/);
  t.match(await inside("getent -s dns ahostsv4 many.weft.local"), /10\.32\.1\.199/, "an answer too long for UDP");
  t.match(await inside("busybox nslookup web.weft.local"), /Address.*10\.32\.0\.5/);
  t.match(await inside("busybox nslookup nobody.weft.local 2>&1 || true"), /NXDOMAIN|can't find|can't resolve/i);
});
