/** Configuration file, flags, and the state directory. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { resolveConfig } from "../../packages/control/dist/config/config.js";
import { parseConfig } from "../../packages/control/dist/config/file.js";
import { describe, WeftError } from "../../packages/control/dist/errors.js";
import { EMPTY_STATE, type State, StateStore } from "../../packages/control/dist/state/store.js";

/** Problems of a file, or none. */
function problems(yaml: string): readonly string[] {
  try {
    parseConfig(yaml, "weft.yaml");
    return [];
  } catch (error) {
    if (!(error instanceof WeftError) || error.code !== "bad_config") throw error;
    return error.problems;
  }
}

const network = (rest: string) => `networks:\n  - name: blue\n    vni: 42\n${rest}`;

t.test("a file with every key of this version is accepted", async (t) => {
  const file = parseConfig(
    `
name: host-a
underlay: [10.9.0.1, "fd00::1"]
socket: /run/weft/weft.sock
metrics: "[::1]:6782"
stateDir: /var/lib/weft
vxlanPort: 8472
workers: 2
logLevel: debug
logFormat: json
limits: {fdb: 1048576, ports: 500, vteps: 100, routes: 20000, networks: 10}
networks:
  - name: blue
    vni: 42
    mtu: auto
    encryption: none
    vteps: [10.7.0.2, "10.7.0.3:8472", "[fd00::2]:4789", "fd00::3"]
    static: [{mac: "02:00:00:00:00:07", vtep: 10.7.0.2}]
    routes: [{prefix: 10.8.1.0/24, via: 10.7.0.2}, {prefix: "fd01::/64", via: blackhole}]
    ageSeconds: 0
    bumRate: 0
    macsPerPort: 4
    acceptFrom: any
    guards: {spoofedMac: false, routerAdvertisement: true, dhcpServer: false}
  - {name: red, vni: 16777215, mtu: 1280}
`,
    "weft.yaml",
  );
  t.equal(file.networks?.length, 2);
  t.equal(file.underlay?.[1], "fd00::1");
});

t.test("an empty file is a file of defaults", async (t) => {
  t.same(problems(""), []);
  t.same(problems("# nothing but a comment\n"), []);
});

t.test("every kind of mistake is named with its line, what was found and what is allowed", async (t) => {
  const cases: [yaml: string, ...expected: RegExp[]][] = [
    ["[1, 2]", /^line 1: the file: found \[1,2\]; allowed: a map/],
    ["a: [1\n", /^line 2: .*\]/],
    ["name: a\nname: b\n", /^line 2: .*unique/],
    ["underlya: [10.0.0.1]", /^line 1: underlya: unknown key, did you mean underlay\?; allowed: name, /],
    ["frobnicate: 1", /^line 1: frobnicate: unknown key; allowed: name, /],
    ["workers: 17", /^line 1: workers: found 17; allowed: an integer 1\.\.16$/],
    ["workers: two", /^line 1: workers: found "two"; allowed: an integer/],
    ["workers: 1.5", /workers: found 1\.5/],
    ["underlay: 10.9.0.1", /^line 1: underlay: found "10\.9\.0\.1"; allowed: one address per family/],
    ["underlay: []", /^line 1: underlay: found \[\]/],
    ["underlay:\n  - 10.9.0.300", /^line 2: underlay\[0\]: found "10\.9\.0\.300"; allowed: an IPv4 or IPv6 address/],
    ["underlay: [10.9.0.1, 10.9.0.2]", /underlay\[1\]: found "10\.9\.0\.2", a second address of one family/],
    ["underlay: [224.0.0.1]", /underlay\[0\]: found "224\.0\.0\.1"/],
    ["metrics: 6782", /metrics: found 6782; allowed: ADDR:PORT/],
    ["metrics: 127.0.0.1", /metrics: found "127\.0\.0\.1"; allowed: ADDR:PORT/],
    ["vxlanPort: 0", /vxlanPort: found 0; allowed: a UDP port/],
    ["logLevel: loud", /logLevel: found "loud"; allowed: trace, debug, info, warn or error/],
    ["limits: {fdb: 5}", /limits\.fdb: found 5; allowed: an integer 1024\.\.1048576/],
    ["networks: {name: a}", /networks: found .*; allowed: a list of networks/],
    ["networks:\n  - vni: 4", /networks\[0\]\.name: missing; allowed: 1\.\.32/],
    ["networks:\n  - name: a", /networks\[0\]\.vni: missing; allowed: an integer 1\.\.16777215/],
    [
      "networks:\n  - {name: a, vni: 16777216}",
      /networks\[0\]\.vni: found 16777216; allowed: an integer 1\.\.16777215/,
    ],
    ["networks:\n  - {name: a, vni: 0}", /networks\[0\]\.vni: found 0/],
    ["networks:\n  - {name: Blue, vni: 1}", /networks\[0\]\.name: found "Blue"/],
    [
      "networks:\n  - {name: a, vni: 1}\n  - {name: b, vni: 1}",
      /^line 3: networks\[1\]\.vni: found 1, which networks\[0\] has already/,
    ],
    [
      "networks:\n  - {name: a, vni: 1}\n  - {name: a, vni: 2}",
      /^line 3: networks\[1\]\.name: found "a", which networks\[0\] has already/,
    ],
    [network("    mtu: 1279"), /^line 4: networks\[0\]\.mtu: found 1279; allowed: an integer 1280\.\.65485, or auto$/],
    [network("    mtu: jumbo"), /networks\[0\]\.mtu: found "jumbo"/],
    [
      network("    vteps: [host-b]"),
      /networks\[0\]\.vteps\[0\]: found "host-b"; allowed: a VTEP.*names are not resolved/,
    ],
    [network("    vteps: ['10.7.0.2:0']"), /networks\[0\]\.vteps\[0\]/],
    [network("    vteps: [10.7.0.2, 10.7.0.2]"), /networks\[0\]\.vteps\[1\]: found "10\.7\.0\.2" twice/],
    [
      network("    vteps: [10.7.0.2]\n    static: [{mac: '03:00:00:00:00:07', vtep: 10.7.0.2}]"),
      /static\[0\]\.mac: found "03:/,
    ],
    [network("    static: [{mac: '02:00:00:00:00:07'}]"), /static\[0\]\.vtep: missing/],
    [
      network("    vteps: [10.7.0.2]\n    routes: [{prefix: 10.8.1.7/24, via: 10.7.0.3}]"),
      /prefix: found "10\.8\.1\.7\/24"; allowed: 10\.8\.1\.0\/24/,
      /via: found "10\.7\.0\.3"; allowed: one of the network's vteps \(10\.7\.0\.2\), or blackhole/,
    ],
    [network("    vteps: [fd00::1, 'FD00:0::1']"), /vteps\[1\]: found "FD00:0::1" twice/],
    [
      `underlay: [10.7.0.1]\n${network("    vteps: [fd00::1]")}`,
      /^line 5: networks\[0\]\.vteps\[0\]: found "fd00::1"; allowed: an IPv4 address, or an IPv6 underlay address/,
    ],
    [
      `underlay: [10.7.0.1]\n${network("    vteps: [10.7.0.1, 10.7.0.2]\n    routes: [{prefix: 10.8.1.0/24, via: 10.7.0.1}]")}`,
      /via: found this host's own address; allowed: one of the network's vteps \(10\.7\.0\.2\)/,
    ],
    [
      network("    vteps: [10.7.0.2]\n    static: [{mac: '02:00:00:00:00:07', vtep: 10.7.0.3}]"),
      /^line 5: .*static\[0\]\.vtep: found "10\.7\.0\.3"; allowed: one of the network's vteps \(10\.7\.0\.2\)/,
    ],
    [
      network("    vteps: [10.7.0.2]\n    routes: [{prefix: 10.8.0.0/33, via: 10.7.0.2}]"),
      /routes\[0\]\.prefix: found "10\.8\.0\.0\/33"/,
    ],
    [
      network("    routes: [{prefix: 10.8.0.0/24, via: c1}]"),
      /routes\[0\]\.via: found "c1"; allowed: a VTEP of the network, or blackhole/,
    ],
    [network("    acceptFrom: all"), /acceptFrom: found "all"; allowed: vteps or any/],
    [network("    guards: {spoofedMac: 1}"), /guards\.spoofedMac: found 1; allowed: true or false/],
    [network("    ageSeconds: 40000"), /ageSeconds: found 40000/],
  ];
  for (const [yaml, ...expected] of cases) {
    const found = problems(yaml);
    t.equal(found.length, expected.length, `${JSON.stringify(yaml)} → ${found.join(" | ")}`);
    for (const [i, e] of expected.entries()) t.match(found[i] ?? "", e);
  }
});

t.test("all problems of a file come at once, in the order of its lines", async (t) => {
  const found = problems("workers: 0\nnetworks:\n  - name: Blue\n    vni: -1\nvxlan: 1\nname: ''\n");
  t.equal(found.length, 5, found.join("\n"));
  const lines = found.map((p) => Number(/^line (\d+)/.exec(p)?.[1]));
  t.same(lines, [1, 3, 4, 5, 6]);
});

t.test("a file is judged with the flags it runs with", async (t) => {
  const yaml = "networks: [{name: a, vni: 1, routes: [{prefix: 10.8.1.0/24, via: 10.7.0.2}]}]";
  t.same(parseConfig(yaml, "weft.yaml", { underlay: ["10.7.0.1"], vteps: ["10.7.0.2"] }).networks?.length, 1);
  for (const given of [{}, { vteps: ["10.7.0.3"] }])
    t.throws(() => parseConfig(yaml, "weft.yaml", given), {
      code: "bad_config",
      problems: [/via: found "10\.7\.0\.2"/],
    });
  t.throws(() => parseConfig("networks: [{name: a, vni: 1, vteps: [fd00::1]}]", "f", { underlay: ["10.7.0.1"] }), {
    code: "bad_config",
    problems: [/vteps\[0\]: found "fd00::1"; allowed: an IPv4 address/],
  });
});

t.test("what asks for encryption is refused, never read past", async (t) => {
  t.match(problems("wireguard: {privateKeyFile: /etc/weft/wg.key}"), [
    /wireguard: this version has no WireGuard.*plaintext/,
  ]);
  for (const wish of ["required", "mixed"]) {
    t.match(problems(network(`    encryption: ${wish}`)), [
      /encryption: found "\w+"; allowed: none .*never sends plaintext/,
    ]);
  }
  t.same(problems(network("    encryption: none")), []);
});

t.test("a file that cannot be read says why", async (t) => {
  await t.rejects(resolveConfig({ config: "/nowhere/weft.yaml" }), {
    code: "bad_config",
    message: /nowhere\/weft\.yaml: there is no such file/,
  });
  await t.rejects(resolveConfig({ config: tmpdir() }), { code: "bad_config", message: /it is a directory/ });
});

t.test("the message of a bad file lists each problem on a line of its own", async (t) => {
  try {
    parseConfig("workers: 0\nname: ''\n", "weft.yaml");
    t.fail("accepted");
  } catch (error) {
    const lines = describe(error).split("\n");
    t.equal(lines.length, 3);
    t.match(lines[0] ?? "", /weft\.yaml cannot be used: 2 problems/);
  }
});

t.test("flags win over the file, the file over defaults", async (t) => {
  const dir = t.testdir({
    "weft.yaml":
      "name: file\nworkers: 2\nsocket: /file.sock\nnetworks:\n  - {name: a, vni: 1}\n  - {name: b, vni: 2, vteps: []}\n  - {name: c, vni: 3, vteps: [10.0.0.9]}\n",
  });
  const config = await resolveConfig({ config: join(dir, "weft.yaml"), name: "flag", vtep: ["10.0.0.1"] });
  t.equal(config.name, "flag");
  t.equal(config.workers, 2);
  t.equal(config.socket, "/file.sock");
  t.equal(config.vxlanPort, 4789);
  t.same(config.metrics, { host: "127.0.0.1", port: 6782 });
  t.equal(config.stateDir, "/var/lib/weft");
  t.same(
    config.networks.map((n) => n.spec.vteps),
    [["10.0.0.1"], [], ["10.0.0.9"]],
    "--vtep is for networks that have no list",
  );
});

t.test("--ephemeral keeps no state, and metrics can be off", async (t) => {
  const config = await resolveConfig({ ephemeral: true, metrics: "off", stateDir: "/somewhere" });
  t.equal(config.stateDir, undefined);
  t.equal(config.metrics, undefined);
  t.same((await resolveConfig({ metrics: "[::1]:9000" })).metrics, { host: "::1", port: 9000 });
});

const STATE: State = {
  networks: [
    {
      spec: { name: "vni-7", vni: 7 },
      routes: [
        { mac: "02:00:00:00:00:01", via: "10.0.0.1" },
        { prefix: "10.1.0.0/16", via: "c1" },
      ],
    },
  ],
  ports: [
    {
      id: "c1",
      network: "vni-7",
      ifname: "eth0",
      netnsPath: "/run/netns/c1",
      netnsId: "4:4026532001",
      mac: "02:00:00:00:00:02",
      ip: ["10.8.0.1/24", "fd00::1/64"],
      mtu: 1450,
      gateway: ["10.8.0.254"],
      routes: [{ to: "10.9.0.0/16", via: "10.8.0.254" }, { to: "10.7.0.0/16" }],
      labels: { app: "web" },
      configure: true,
    },
  ],
};

t.test("state directory", async (t) => {
  const fresh = (t: { teardown(f: () => void): unknown }): string => {
    const dir = mkdtempSync(join(tmpdir(), "weft-state-"));
    t.teardown(() => rmSync(dir, { recursive: true, force: true }));
    return dir;
  };

  t.test("what was saved is loaded, by another store as well", async (t) => {
    const dir = fresh(t);
    t.same(new StateStore(dir).load(), EMPTY_STATE);
    new StateStore(dir).save(STATE);
    t.same(new StateStore(dir).load(), STATE);
    t.equal(statSync(join(dir, "state.json")).mode & 0o777, 0o600);
    t.same(readdirSync(dir), ["state.json"], "nothing temporary is left");
  });

  t.test("a save that breaks off halfway leaves the old state", async (t) => {
    const dir = fresh(t);
    const store = new StateStore(dir);
    store.save(STATE);
    // What a crash between writing and renaming leaves behind.
    writeFileSync(join(dir, "state.json.new"), '{"version":1,"netw');
    t.same(new StateStore(dir).load(), STATE);
    new StateStore(dir).save(EMPTY_STATE);
    t.same(new StateStore(dir).load(), EMPTY_STATE);
  });

  t.test("clear forgets everything", async (t) => {
    const dir = fresh(t);
    const store = new StateStore(dir);
    store.save(STATE);
    store.clear();
    t.same(readdirSync(dir), []);
    store.clear();
  });

  t.test("a file of another version is refused with what to do, and left alone", async (t) => {
    const dir = fresh(t);
    const text = '{"version":9,"ports":{}}';
    writeFileSync(join(dir, "state.json"), text);
    t.throws(() => new StateStore(dir).load(), {
      code: "bad_state",
      message: /version 9, this weft reads version 1: .*weft down/,
    });
    t.equal(readFileSync(join(dir, "state.json"), "utf8"), text);
  });

  t.test("a damaged file is refused", async (t) => {
    const dir = fresh(t);
    const damaged = [
      ["", /is not JSON/],
      ['{"version":1', /is not JSON/],
      ["{}", /has no version/],
      ["null", /has no version/],
      ['{"version":1,"networks":[]}', /missing or wrong/],
      [JSON.stringify({ version: 1, ...STATE, ports: [{ ...STATE.ports[0], mac: "nonsense" }] }), /missing or wrong/],
    ] as const;
    for (const [text, expected] of damaged) {
      writeFileSync(join(dir, "state.json"), text);
      t.throws(() => new StateStore(dir).load(), { code: "bad_state", message: expected }, text);
    }
  });
});
