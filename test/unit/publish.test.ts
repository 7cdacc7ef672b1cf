/** Published ports: what a user writes, which port of the host it becomes, and the rules that follow. */
import { createSocket } from "node:dgram";
import { type AddressInfo, createServer } from "node:net";
import fc from "fast-check";
import t from "tap";
import { publish } from "../../packages/control/src/cli/values.js";
import { gatewayAddresses, gatewaysWithin, hostIfname, overlaps } from "../../packages/control/src/gateway/address.js";
import { innerRulesText, type PublishedPort, rulesText } from "../../packages/control/src/gateway/nft.js";
import { HOST_PORTS, HostPorts, type PublishRequest } from "../../packages/control/src/gateway/publish.js";
import { uplinkAddresses } from "../../packages/control/src/gateway/uplink.js";
import { containerMac, gatewayMac } from "../../packages/control/src/mac.js";

/** As the command line takes it apart. */
function wish(text: string): PublishRequest {
  const { ip = null, hostPort = null, port, protocol } = publish(text);
  return { ip, hostPort, port, protocol };
}

t.test("any text is taken or refused with what is allowed", async () => {
  const texts = fc.oneof(fc.string({ unit: "grapheme" }), fc.stringMatching(/^[0-9.:[\]/a-f%tcpud]{0,24}$/));
  fc.assert(
    fc.property(texts, (text) => {
      try {
        const { hostPort, port } = wish(text);
        return [hostPort ?? 1, port].every((n) => n >= 1 && n <= 65_535);
      } catch (error) {
        return /^Allowed: /.test((error as Error).message);
      }
    }),
  );
});

const always = async (): Promise<boolean> => true;
const both = ["10.32.0.5", "fd42::5"];

t.test("a port is given once, and again to whom it belonged", async (t) => {
  const all: PublishedPort[] = [];
  const remembered = new Map<string, number>();
  const ports = new HostPorts({ taken: () => all, remembered, isFree: always, random: () => 0 });
  const keep = (published: PublishedPort[]): void => void all.push(...published);
  const any = wish("80");
  const [first, second] = await Promise.all(["a", "b"].map((key) => ports.allocate(key, [any, any], both, keep)));
  t.same(
    first?.map((p) => [p.ip, p.hostPort, p.port]),
    [
      ["0.0.0.0", HOST_PORTS.first, 80],
      ["::", HOST_PORTS.first, 80],
      ["0.0.0.0", HOST_PORTS.first + 1, 80],
      ["::", HOST_PORTS.first + 1, 80],
    ],
  );
  t.same([...new Set(second?.map((p) => p.hostPort))], [HOST_PORTS.first + 2, HOST_PORTS.first + 3]);
  t.equal((await ports.allocate("c", [wish("80/udp")], both, keep))[0]?.hostPort, HOST_PORTS.first, "udp apart");
  all.length = 0;
  const there = new HostPorts({ taken: () => all, remembered, isFree: always, random: () => 3 });
  const [given] = await there.allocate("new", [any], both);
  t.equal(given?.hostPort, HOST_PORTS.first + 4, "not the port of one that may come back");
  await there.allocate("named", [wish("8080:81")], both);
  t.equal((await there.allocate("named", [wish("81")], both))[0]?.hostPort, HOST_PORTS.first + 5, "of the range");
  t.equal((await ports.allocate("b", [any], both, keep))[0]?.hostPort, HOST_PORTS.first + 3, "b is back");
  await t.rejects(ports.allocate("d", [wish(`${HOST_PORTS.first + 3}:80`)], both), {
    code: "conflict",
    message: /is taken by a published port \(0\.0\.0\.0:40003 → 80\/tcp\)/,
  });
  await t.rejects(ports.allocate("d", [wish(`192.0.2.1:${HOST_PORTS.first + 3}:80`)], both), {
    code: "conflict",
  });
  await t.rejects(ports.allocate("d", [wish("9000:80"), wish("9000:81")], both), { code: "conflict" });
  await ports.allocate("d", [wish("192.0.2.1:9000:80"), wish("192.0.2.2:9000:80")], both);
  await t.rejects(ports.allocate("d", [wish("[::1]:9001:80")], ["10.32.0.5"]), {
    code: "invalid_input",
    message: /no address of that family/,
  });
  await t.rejects(
    ports.allocate(
      "d",
      Array.from({ length: 33 }, () => any),
      both,
    ),
    { message: /found 66 ports/ },
  );
  const everything = new Map(
    Array.from({ length: HOST_PORTS.last - HOST_PORTS.first + 1 }, (_, i) => [`x${i} 80/tcp`, HOST_PORTS.first + i]),
  );
  const crowded = new HostPorts({ taken: () => [], remembered: everything, isFree: always, random: () => 7 });
  t.equal((await crowded.allocate("y", [any], both))[0]?.hostPort, HOST_PORTS.first + 7, "but where there is no other");
  const full = new HostPorts({ taken: () => [], remembered, isFree: async () => false });
  await t.rejects(full.allocate("e", [any], both), { code: "conflict", message: /none of 512 ports/ });
});

t.test("what was not recorded is not remembered", async (t) => {
  const remembered = new Map<string, number>();
  const ports = new HostPorts({ taken: () => [], remembered, isFree: always });
  const full = (): never => {
    throw new Error("the disk is full");
  };
  await t.rejects(ports.allocate("a", [wish("80")], both, full), /disk is full/);
  t.equal(remembered.size, 0);
});

t.test("a port that a program of the host has is not given", async (t) => {
  const server = createServer().listen(0, "127.0.0.1");
  const udp = createSocket("udp4");
  await new Promise<void>((resolve) => server.once("listening", resolve));
  await new Promise<void>((resolve) => udp.bind(0, "127.0.0.1", resolve));
  const ports = new HostPorts({ taken: () => [], remembered: new Map() });
  for (const [port, protocol] of [
    [(server.address() as AddressInfo).port, "tcp"],
    [udp.address().port, "udp"],
  ] as const) {
    await t.rejects(ports.allocate("a", [wish(`${port}:80/${protocol}`)], ["10.32.0.5"]), {
      code: "conflict",
      message: /a program of this host/,
    });
    const remembered = new Map([[`a 80/${protocol}`, port]]);
    const again = new HostPorts({ taken: () => [], remembered });
    const [given] = await again.allocate("a", [wish(`80/${protocol}`)], ["10.32.0.5"]);
    t.ok(given !== undefined && given.hostPort >= HOST_PORTS.first && given.hostPort <= HOST_PORTS.last);
  }
  server.close();
  udp.close();
});

t.test("names and addresses of gateways", async (t) => {
  t.equal(gatewayMac(42), "02:77:66:00:00:2a");
  t.equal(gatewayMac(16_777_215), "02:77:66:ff:ff:ff");
  t.equal(containerMac(0x1234, 0x0a20_0005), "06:34:0a:20:00:05");
  t.equal(containerMac(16_777_215, 2 ** 32 - 2), "06:ff:ff:ff:ff:fe");
  t.same(gatewayAddresses({ cidr4: "10.32.0.0/12", cidr6: "fd42::/64" }), ["10.32.0.1/12", "fd42::1/64"]);
  t.same(gatewayAddresses({ cidr4: "10.47.255.9/12", cidr6: null }), ["10.32.0.1/12"]);
  t.same(gatewayAddresses({ cidr4: null, cidr6: "fd42:0:0:1::/120" }), ["fd42:0:0:1::1/120"]);
  t.ok(overlaps("10.32.0.0/12", "10.40.0.0/16"));
  t.ok(overlaps("10.40.0.0/16", "10.32.0.0/12"));
  t.notOk(overlaps("10.32.0.0/16", "10.33.0.0/16"));
  t.notOk(overlaps("10.32.0.0/16", "fd42::/64"));
  t.equal(hostIfname("blue"), "weft-blue");
  t.equal(hostIfname("a-network-of-a-name-of-32-letters").length, 15);
  t.not(hostIfname("production-one"), hostIfname("production-two"));
  const { host4, inner4, host6 } = uplinkAddresses("ab66d9", new Set());
  t.match(host4, /^169\.254\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.\d+$/);
  t.not(host4, inner4);
  t.not(uplinkAddresses("ab66d9", new Set([host4])).host4, host4);
  t.not(uplinkAddresses("ab66d9", new Set([host6])).host6, host6);
});

t.test("rules name nothing twice and no family wrongly", async (t) => {
  const networks = [{ name: "blue", vni: 42, cidr4: "10.32.0.0/16", cidr6: null }];
  const publication = { network: "blue", hostPort: 8080, port: 80, protocol: "tcp", isRouted: false } as const;
  const published = [
    { ...publication, ip: "0.0.0.0", targets: ["10.32.0.5"] },
    { ...publication, ip: "::", targets: ["10.32.0.5"] },
    { ...publication, ip: "192.0.2.1", targets: ["10.32.0.5"] },
  ];
  const blocked = [
    { protocol: "tcp", port: 6783 },
    { protocol: "tcp", port: 6783 },
  ] as const;
  const text = rulesText({
    table: "weft_x",
    uplink: "u",
    hostPorts: [],
    networks,
    exposed: new Set(),
    published,
    blocked,
  });
  t.equal(text.match(/dnat ip to 10\.32\.0\.5:80/g)?.length, 2);
  t.notMatch(text, /dnat ip6/, "the container has no IPv6 address");
  t.equal(text.match(/dport 6783/g)?.length, 2, "to the host, and beyond");
  t.notMatch(text, /fully-random/, "nothing is exposed");
  t.equal(innerRulesText("weft_x", published).match(/masquerade/g)?.length, 1);
  t.notMatch(innerRulesText("weft_x", []), /chain/);
});

t.test("a gateway is for those who have it in a subnet of theirs", async (t) => {
  const network = { cidr4: "10.32.0.0/12", cidr6: "fd42::/64" };
  t.same(gatewaysWithin(network, ["10.32.0.9/12", "fd42::9/64"]), ["10.32.0.1", "fd42::1"]);
  t.same(gatewaysWithin(network, ["10.32.0.9/12", "fd00::1/64"]), ["10.32.0.1"], "an address of somebody's own");
  t.same(gatewaysWithin(network, ["10.33.0.9/16"]), [], "a narrower subnet");
  t.same(gatewaysWithin(network, ["172.16.0.1/16"]), []);
});
