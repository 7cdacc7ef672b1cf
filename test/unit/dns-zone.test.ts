/** Names of containers: what is answered to whom. */
import type { Answer } from "dns-packet";
import fc from "fast-check";
import t from "tap";
import { isDnsName, reverseOf, Zone, type ZoneAnswer } from "../../packages/control/src/dns/zone.js";

const NETWORKS = [
  { name: "blue", cidr4: "10.32.0.0/12", cidr6: "fd42::/64" },
  { name: "green", cidr4: "10.48.0.0/20", cidr6: null },
];
const CONTAINERS = [
  { network: "blue", names: ["Web", "www"], ips: ["10.32.0.5", "fd42::5"] },
  { network: "blue", names: ["web"], ips: ["10.32.0.6"] },
  { network: "green", names: ["web"], ips: ["10.48.0.5"] },
  { network: "blue", names: ["not a name"], ips: ["10.32.0.7"] },
  { network: "gone", names: ["lost"], ips: ["10.99.0.1"] },
];
const ENTRIES = [
  { name: "db", network: null, ips: ["192.0.2.9", "2001:db8::9"], srv: [] },
  { name: "_http._tcp.web", network: null, ips: [], srv: [{ port: 80, target: "web", priority: 1, weight: 2 }] },
  { name: "mail", network: null, ips: [], srv: [{ port: 25, target: "mx.example.", priority: 1, weight: 2 }] },
];
const zone = new Zone({ networks: NETWORKS, containers: CONTAINERS, entries: ENTRIES }, 7, () => 0);

const data = (answer: ZoneAnswer | undefined): unknown[] =>
  (answer?.answers ?? []).map((a) => (a as Answer & { data: unknown }).data).sort();
const ask = (name: string, type = "A", network = "blue"): unknown[] => data(zone.answer(network, name, type));

t.test("names lead to addresses of the network that asks", async (t) => {
  t.same(ask("web.weft.local"), ["10.32.0.5", "10.32.0.6"]);
  t.same(ask("WEB.Weft.Local"), ["10.32.0.5", "10.32.0.6"]);
  t.same(ask("web.blue.weft.local"), ["10.32.0.5", "10.32.0.6"]);
  t.same(ask("www.weft.local"), ["10.32.0.5"]);
  t.same(ask("web.weft.local", "AAAA"), ["fd42::5"]);
  t.same(ask("web.weft.local", "ANY"), ["10.32.0.5", "10.32.0.6", "fd42::5"]);
  t.same(ask("web.weft.local", "A", "green"), ["10.48.0.5"]);
  t.same(ask("web.green.weft.local"), [], "out of reach");
  t.same(ask("db.weft.local", "A", "green"), ["192.0.2.9"], "added by hand: everywhere");
  t.match(zone.answer("blue", "web.weft.local", "A")?.answers, [{ ttl: 5, name: "web.weft.local" }, {}]);
});

t.test("what was added by hand is found as containers are", async (t) => {
  t.same(ask("db.green.weft.local", "A", "green"), ["192.0.2.9"]);
  const entries = [
    { name: "shelf", network: "blue", ips: ["10.32.0.200", "10.32.0.5"], srv: [] },
    { name: "Shelf2", network: null, ips: ["10.32.0.200"], srv: [] },
  ];
  const own = new Zone({ networks: NETWORKS, containers: CONTAINERS, entries }, 1, () => 0);
  const asked = (name: string, type: string, network = "blue") => data(own.answer(network, name, type));
  for (const name of ["shelf.weft.local", "shelf.blue.weft.local"])
    t.same(asked(name, "A"), ["10.32.0.200", "10.32.0.5"], name);
  t.same(asked("shelf.weft.local", "A", "green"), [], "another network's");
  t.same(asked(reverseOf("10.32.0.200"), "PTR"), ["shelf.weft.local", "shelf2.weft.local"]);
  t.same(asked(reverseOf("10.32.0.5"), "PTR"), ["web.blue.weft.local"], "a container's address is its own");
});

t.test("what is no name or no address in the records of others is left out", async (t) => {
  const srv = ["a".repeat(64), "a b", "", ".", "ok"].map((target) => ({ port: 1, target, priority: 0, weight: 0 }));
  const ips = ["zz", "fd42::1%eth0", "10.32.0.300", "10.32.0.9"];
  const odd = new Zone(
    {
      networks: NETWORKS,
      containers: [{ network: "blue", names: ["odd"], ips }],
      entries: [{ name: "odd2", network: null, ips, srv }],
    },
    1,
    () => 0,
  );
  for (const name of ["odd.weft.local", "odd2.weft.local"])
    t.same(data(odd.answer("blue", name, "A")), ["10.32.0.9"], name);
  t.match(odd.answer("blue", "odd2.weft.local", "SRV")?.answers, [{ data: { target: "ok.weft.local" } }]);
  t.equal(odd.answer("blue", "odd2.weft.local", "SRV")?.answers.length, 1);
});

t.test("services and reverse names", async (t) => {
  t.match(ask("_http._tcp.web.weft.local", "SRV"), [{ port: 80, target: "web.weft.local", priority: 1, weight: 2 }]);
  t.match(ask("mail.weft.local", "SRV"), [{ target: "mx.example" }]);
  t.same(ask("5.0.32.10.in-addr.arpa", "PTR"), ["web.blue.weft.local"]);
  t.same(ask(reverseOf("fd42::5"), "PTR"), ["web.blue.weft.local"]);
  t.equal(zone.answer("blue", "5.2.0.192.in-addr.arpa", "PTR"), undefined, "another's: upstream knows");
  const none = zone.answer("blue", "9.9.40.10.in-addr.arpa", "PTR");
  t.match(none, { result: "nxdomain", authorities: [{ type: "SOA", name: "40.10.in-addr.arpa" }] });
  t.equal(zone.answer("green", "5.0.32.10.in-addr.arpa", "PTR")?.result, "nxdomain", "another network's");
  t.match(zone.answer("blue", reverseOf("fd42::77"), "PTR")?.authorities, [
    { name: "0.0.0.0.0.0.0.0.0.0.0.0.2.4.d.f.ip6.arpa" },
  ]);
});

t.test("no such name, and no such record", async (t) => {
  const soa = [{ type: "SOA", name: "weft.local", ttl: 1, data: { minimum: 1, serial: 7 } }];
  t.match(zone.answer("blue", "nobody.weft.local", "A"), { result: "nxdomain", answers: [], authorities: soa });
  t.match(zone.answer("blue", "www.weft.local", "TYPE15"), { result: "nodata", answers: [], authorities: soa });
  for (const name of ["weft.local", "blue.weft.local", "_tcp.web.weft.local"])
    t.equal(zone.answer("blue", name, "A")?.result, "nodata", name);
  t.match(zone.answer("blue", "weft.local", "SOA")?.answers, soa);
  t.equal(zone.answer("blue", "not a name.weft.local", "A")?.result, "nxdomain");
  t.equal(zone.answer("unheard-of", "web.weft.local", "A")?.result, "nxdomain");
  for (const name of ["example.com", "local", "aweft.local", "weft.local.example", "", "300.0.32.10.in-addr.arpa"])
    t.equal(zone.answer("blue", name, "A"), undefined, `${name} is not ours`);
});

t.test("answers come in every order", async (t) => {
  const ips = ["10.32.0.1", "10.32.0.2", "10.32.0.3"];
  let n = 0;
  const shuffled = new Zone(
    { networks: NETWORKS, containers: [{ network: "blue", names: ["a"], ips }], entries: [] },
    1,
    (max) => n++ % max,
  );
  const seen = new Set<string>();
  for (let i = 0; i < 50; i++) {
    const { answers } = shuffled.answer("blue", "a.weft.local", "A") as ZoneAnswer;
    seen.add(answers.map((a) => (a as Answer & { data: unknown }).data).join());
  }
  t.ok(seen.size >= 3, [...seen].join(" | "));
});

t.test("what can be a name", async (t) => {
  for (const name of ["web", "Web-1", "a.b", "_sip._udp.x", "9", "a".repeat(63)]) t.ok(isDnsName(name), name);
  for (const name of ["", ".", "a..b", "-a", "a-", "ä", "a b", "a".repeat(64), `${"a.".repeat(100)}a`, "a\\.b"])
    t.notOk(isDnsName(name), name);
});

t.test("what another node has written and nobody can read is left out", async (t) => {
  const bad = ["", "x", "999.1.2.3", "10.32.0", "::zz", "fe80::1%eth0"];
  const srv = { port: 1, priority: 1, weight: 1 };
  const hostile = new Zone(
    {
      networks: [...NETWORKS, { name: "bad", cidr4: "garbage", cidr6: "::/999" }],
      containers: [...CONTAINERS, { network: "blue", names: ["web"], ips: bad }],
      entries: [
        { name: "db", network: null, ips: [...bad, "192.0.2.1"], srv: [{ ...srv, target: `${"a".repeat(64)}.b` }] },
        { name: "db", network: "blue", ips: ["192.0.2.1", "192.0.2.2"], srv: [{ ...srv, target: "web" }] },
      ],
    },
    1,
    () => 0,
  );
  const asked = (name: string, type: string, network = "blue"): unknown[] => data(hostile.answer(network, name, type));
  t.same(asked("web.weft.local", "ANY"), ["10.32.0.5", "10.32.0.6", "fd42::5"]);
  t.same(asked("db.weft.local", "A"), ["192.0.2.1", "192.0.2.2"], "what is said twice is answered once");
  t.same(asked("db.weft.local", "A", "green"), ["192.0.2.1"]);
  t.match(asked("db.weft.local", "SRV"), [{ target: "web.weft.local" }]);
});

t.test("many networks do not multiply with many names", async (t) => {
  const before = process.memoryUsage().heapUsed;
  const crowd = new Zone(
    {
      networks: Array.from({ length: 1000 }, (_, i) => ({ name: `n${i}`, cidr4: null, cidr6: null })),
      containers: [],
      entries: Array.from({ length: 1000 }, (_, i) => ({ name: `e${i}`, network: null, ips: ["192.0.2.1"], srv: [] })),
    },
    1,
    () => 0,
  );
  t.same(data(crowd.answer("n999", "e999.weft.local", "A")), ["192.0.2.1"]);
  t.ok(process.memoryUsage().heapUsed - before < 100 * 2 ** 20, "a million names would take far more");
});

t.test("reverse names lead back", async () => {
  const octet = fc.integer({ min: 0, max: 255 });
  fc.assert(
    fc.property(fc.oneof(fc.tuple(octet, octet), fc.ipV6()), (given) => {
      const ip = typeof given === "string" ? given : `10.40.${given.join(".")}`;
      const network = { name: "n", cidr4: "10.40.0.0/16", cidr6: "::/0" };
      const one = new Zone(
        { networks: [network], containers: [{ network: "n", names: ["x"], ips: [ip] }], entries: [] },
        1,
        () => 0,
      );
      return data(one.answer("n", reverseOf(ip), "PTR")).join() === "x.n.weft.local";
    }),
    { numRuns: 200 },
  );
});
