/** Configuration file, flags, and the state directory. */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { inspect } from "node:util";
import t from "tap";
import { resolveConfig } from "../../packages/control/dist/config/config.js";
import { parseConfig } from "../../packages/control/dist/config/file.js";
import { describe, WeftError } from "../../packages/control/dist/errors.js";
import { EMPTY_STATE, type State, StateStore } from "../../packages/control/dist/state/store.js";
import { makeKeylog, publicKeyText, readKeyFile } from "../../packages/control/dist/wireguard/key.js";

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

/** A key in base64; made of one octet, so that tests can tell them apart. */
const key = (octet: number): string => publicKeyText(Buffer.alloc(32, octet));
/** A wireguard section as lines of YAML, with further lines of its own and peers. */
const section = (rest: string, ...peers: string[]): string =>
  [
    "wireguard:",
    "  privateKeyFile: wg.key",
    "  address: [10.7.0.1, 'fd07::1']",
    ...(rest === "" ? [] : [`  ${rest}`]),
    "  peers:",
    ...peers.map((peer) => `    - ${peer}`),
    "",
  ].join("\n");
const PEER_2 = `{publicKey: ${key(2)}, endpoint: '10.9.0.2:51820', allowedIps: [10.7.0.2/32, 'fd07::2/128']}`;
const PEER_3 = `{publicKey: ${key(3)}, allowedIps: [10.7.3.0/24]}`;

t.test("every key of the wireguard section is accepted", async (t) => {
  const file = parseConfig(
    `
underlay: [10.9.0.1]
limits: {peers: 2}
wireguard:
  privateKeyFile: /etc/weft/wg.key
  listenPort: 51821
  address: [10.7.0.1, "fd07::1"]
  device: wg-weft
  rekeyAfterMessages: 9007199254740991
  peers:
    - publicKey: ${key(2)}
      endpoint: 10.9.0.2:51820
      allowedIps: [10.7.0.0/24, "fd07::2/128"]
      presharedKeyFile: psk
      persistentKeepalive: 25
    - {publicKey: "${key(3)}", allowedIps: [10.7.0.3/32]}
networks:
  - {name: a, vni: 1, encryption: required, vteps: [10.7.0.1, 10.7.0.9, "fd07::2"]}
  - {name: b, vni: 2, vteps: [10.7.0.3], static: [{mac: "02:00:00:00:00:07", vtep: 10.7.0.3}]}
  - {name: c, vni: 3, encryption: mixed, vteps: [10.7.0.1, 10.7.0.3, 10.9.0.1, 10.9.0.9]}
  - {name: d, vni: 4, encryption: none, vteps: [10.9.0.1, 10.9.0.9]}
`,
    "weft.yaml",
  );
  t.equal(file.wireguard?.peers?.length, 2);
  t.same(problems(section("", PEER_2, PEER_3)), []);
  t.same(problems("wireguard: {privateKeyFile: k, address: [10.7.0.1]}"), [], "without peers");
});

t.test("every mistake in the wireguard section is named", async (t) => {
  const wireguard = (rest: string) => `wireguard: {privateKeyFile: wg.key, address: [10.7.0.1]${rest}}`;
  const cases: [yaml: string, ...expected: RegExp[]][] = [
    ["wireguard: 5", /^line 1: wireguard: found 5; allowed: a map with privateKeyFile and address/],
    ["wireguard:", /^line 1: wireguard: found nothing; allowed: a map/],
    ["wireguard: {}", /wireguard\.privateKeyFile: missing; allowed: a path/, /address: missing; allowed: 1\.\.8 addr/],
    ["wireguard: {privateKeyFile: k, address: []}", /wireguard\.address: found \[\]; allowed: 1\.\.8 addresses/],
    ["wireguard: {privateKeyFile: k, address: [224.0.0.1]}", /address\[0\]: found "224\.0\.0\.1"/],
    ["wireguard: {privateKeyFile: k, address: [10.7.0.1/24]}", /address\[0\]: found "10\.7\.0\.1\/24"/],
    ["wireguard: {privateKeyFile: k, address: [fd07::1, 'fd07:0::1']}", /address\[1\]: found "fd07:0::1" twice/],
    [
      "underlay: [10.9.0.1]\nwireguard: {privateKeyFile: k, address: [10.9.0.1]}",
      /^line 2: wireguard\.address\[0\]: found "10\.9\.0\.1", which is an underlay address/,
    ],
    [wireguard(", listenPort: 0"), /listenPort: found 0; allowed: a UDP port/],
    [wireguard(", listenPort: 4789"), /listenPort: found 4789, which is the port of VXLAN; allowed: another UDP port/],
    [`vxlanPort: 51820\n${wireguard("")}`, /^line 2: wireguard\.listenPort: found 51820, which is the port of VXLAN/],
    [wireguard(", device: a/b"), /device: found "a\/b"; allowed: a device name/],
    [wireguard(", rekeyAfterMessages: 0"), /rekeyAfterMessages: found 0; allowed: messages 1\.\./],
    [wireguard(", privateKey: x"), /wireguard\.privateKey: unknown key; allowed: privateKeyFile, /],
    [wireguard(", peers: [{}]"), /peers\[0\]\.publicKey: missing; allowed: a public key: 32 octets in base64/],
    [
      section("", `{publicKey: ${key(2)}, allowedIPs: []}`),
      /peers\[0\]\.allowedIPs: unknown key, did you mean allowedIps\?/,
    ],
    [section("", `{publicKey: ${key(2)}, persistentKeepalive: 65536}`), /persistentKeepalive: found 65536; allowed/],
    [
      section("", PEER_2, `{publicKey: ${key(2)}}`),
      /^line 6: .*peers\[1\]\.publicKey: found the key of wireguard\.peers\[0\]/,
    ],
    [
      section("", PEER_2, `{publicKey: ${key(3)}, allowedIps: [10.7.0.0/24, 10.7.0.2/32]}`),
      /peers\[1\]\.allowedIps\[1\]: found "10\.7\.0\.2\/32", which wireguard\.peers\[0\] has already; allowed: each prefix/,
    ],
    [
      section("", PEER_2, `{publicKey: ${key(3)}, allowedIps: ['FD07:0::2/128']}`),
      /allowedIps\[0\]: found "FD07:0::2\/128", which wireguard\.peers\[0\] has already/,
    ],
    [section("", `{publicKey: ${key(3)}, allowedIps: [10.0.0.0/8, 10.0.0.0/8]}`), /allowedIps\[1\]: found .* twice/],
    [
      section("", `{publicKey: ${key(3)}, allowedIps: [10.7.0.2/24]}`),
      /allowedIps\[0\]: found "10\.7\.0\.2\/24"; allowed: 10\.7\.0\.0\/24 \(the bits behind the prefix are zero\)/,
    ],
    [
      section("", `{publicKey: ${key(3)}, allowedIps: [10.7.0.2]}`),
      /allowedIps\[0\]: found "10\.7\.0\.2"; allowed: a prefix/,
    ],
    ...["10.9.0.2", "10.9.0.2:0", "host:51820", "224.0.0.1:51820", "fd00::1:51820"].map(
      (endpoint): (typeof cases)[number] => [
        section("", `{publicKey: ${key(3)}, endpoint: '${endpoint}'}`),
        /endpoint: found ".*"; allowed: ADDR:PORT or \[ADDR\]:PORT of a host; names are not resolved/,
      ],
    ),
    [
      `underlay: [10.9.0.1]\n${section("", `{publicKey: ${key(3)}, endpoint: '[fd00::2]:51820'}`)}`,
      /endpoint: found "\[fd00::2\]:51820"; allowed: an IPv4 address, or an IPv6 underlay address beside 10\.9\.0\.1/,
    ],
    [
      `limits: {peers: 1}\n${section("", PEER_2, PEER_3)}`,
      /wireguard\.peers: found 2 peers; allowed: at most 1 \(limits/,
    ],
  ];
  for (const [yaml, ...expected] of cases) {
    const found = problems(yaml);
    t.equal(found.length, expected.length, `${JSON.stringify(yaml)} → ${found.join(" | ")}`);
    for (const [i, e] of expected.entries()) t.match(found[i] ?? "", e);
  }
});

t.test("encryption is never left to chance", async (t) => {
  const cases: [yaml: string, ...expected: RegExp[]][] = [
    ...["required", "mixed"].map((wish): (typeof cases)[number] => [
      network(`    encryption: ${wish}`),
      /^line 4: networks\[0\]\.encryption: found "\w+"; allowed: none, or a wireguard section beside it/,
    ]),
    [network("    encryption: some"), /encryption: found "some"; allowed: required, none or mixed/],
    [network("    encryption: none")],
    [
      `${section("", PEER_2)}${network("    vteps: [10.7.0.2, 10.7.0.3, 10.9.0.2]")}`,
      /vteps\[1\]: found "10\.7\.0\.3"; allowed: an address that the allowedIps of a peer cover, .*required/,
      /vteps\[2\]: found "10\.9\.0\.2"; allowed: an address that the allowedIps/,
    ],
    [
      `underlay: [10.9.0.1]\n${section("", PEER_2)}${network("    vteps: [10.9.0.1]")}`,
      /vteps\[0\]: found "10\.9\.0\.1"; allowed: an address that the allowedIps/,
    ],
    [
      `wireguard: {privateKeyFile: k, address: [10.7.0.1], peers: [${PEER_2}]}\n${network("    vteps: ['fd07::2']")}`,
      /vteps\[0\]: found "fd07::2"; allowed: an IPv4 address, or an IPv6 address of this host in wireguard\.address beside/,
    ],
    [
      `underlay: [10.9.0.1]\n${section("", PEER_2)}${network("    encryption: mixed\n    vteps: ['fd07::2', 'fd00::2']")}`,
      /vteps\[1\]: found "fd00::2"; allowed: an IPv4 address, or an IPv6 underlay address/,
    ],
    [
      `${section("", PEER_2)}${network("    vteps: [10.7.0.1, 10.7.0.2]\n    routes: [{prefix: 10.8.1.0/24, via: 10.7.0.1}]")}`,
      /via: found this host's own address; allowed: one of the network's vteps \(10\.7\.0\.2\)/,
    ],
    // A wrong peer may be the one that covers it: only that is said.
    [
      `${section("", "{publicKey: x, allowedIps: [10.7.0.2/32]}", "{allowedIps: 10.7.0.3/32}")}${network("    vteps: [10.7.0.3]")}`,
      /peers\[0\]\.publicKey/,
      /peers\[1\]\.publicKey/,
      /peers\[1\]\.allowedIps/,
    ],
  ];
  for (const [yaml, ...expected] of cases) {
    const found = problems(yaml);
    t.equal(found.length, expected.length, `${JSON.stringify(yaml)} → ${found.join(" | ")}`);
    for (const [i, e] of expected.entries()) t.match(found[i] ?? "", e);
  }
  t.throws(() => parseConfig(section("", PEER_2) + network("    mtu: 1300"), "f", { vteps: ["10.9.0.2"] }), {
    code: "bad_config",
    problems: [
      /vteps\[0\]: found "10\.9\.0\.2" \(of --vtep\); allowed: an address that the allowedIps of a peer cover/,
    ],
  });
});

/** A directory with key files: name → content and mode. */
function keyFiles(
  t: { teardown(f: () => void): unknown },
  files: Record<string, [text: string, mode: number]>,
): string {
  const dir = mkdtempSync(join(tmpdir(), "weft-keys-"));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  for (const [name, [text, mode]] of Object.entries(files)) {
    writeFileSync(join(dir, name), text);
    chmodSync(join(dir, name), mode);
  }
  return dir;
}

t.test("key files", async (t) => {
  const secret = randomBytes(32).toString("base64");
  const dir = keyFiles(t, {
    good: [`${secret}\n`, 0o600],
    bare: [secret, 0o400],
    group: [secret, 0o640],
    world: [secret, 0o604],
    empty: ["", 0o600],
    short: [`${secret.slice(0, 40)}=\n`, 0o600],
    long: [`${Buffer.alloc(33, 7).toString("base64")}\n`, 0o600],
    two: [`${secret}\n${secret}\n`, 0o600],
    hex: [`${Buffer.from(secret, "base64").toString("hex")}\n`, 0o600],
    // The last letter has bits that belong to no octet.
    loose: [`${secret.slice(0, 42)}B=`, 0o600],
  });
  mkdirSync(join(dir, "folder"), { mode: 0o700 });
  execFileSync("mkfifo", ["-m", "600", join(dir, "fifo")]);
  for (const name of ["good", "bare"])
    t.equal(readKeyFile(join(dir, name)).toString("base64"), secret, `${name} is taken`);
  const cases: [name: string, message: RegExp][] = [
    ["nowhere", /nowhere cannot be read \(there is no such file or directory\): make one with `weft keygen`/],
    ["group", /group has mode 0640, so that others can use it: chmod 600 .*group$/],
    ["world", /world has mode 0604/],
    ["empty", /empty is empty: write a key into it with `weft keygen`/],
    ["folder", /folder is not a file/],
    ["fifo", /fifo is not a file/],
    ...["short", "long", "two", "hex", "loose"].map((name): (typeof cases)[number] => [
      name,
      /holds no key: 32 octets in base64, as `weft keygen` writes, and nothing else/,
    ]),
  ];
  for (const [name, message] of cases) {
    t.throws(() => readKeyFile(join(dir, name)), { code: "bad_config", message }, name);
    try {
      readKeyFile(join(dir, name));
    } catch (error) {
      t.notOk(describe(error).includes(secret.slice(0, 12)), "nothing of its content is told");
    }
  }
});

t.test("a file of session keys is made for its owner alone", async (t) => {
  const dir = keyFiles(t, { mine: ["before\n", 0o600], shared: ["", 0o644] });
  t.equal(makeKeylog(join(dir, "new")), true);
  t.equal(statSync(join(dir, "new")).mode & 0o777, 0o600);
  t.equal(makeKeylog(join(dir, "new")), false);
  t.equal(makeKeylog(join(dir, "mine")), false);
  t.equal(readFileSync(join(dir, "mine"), "utf8"), "before\n", "what is there stays");
  t.throws(() => makeKeylog(join(dir, "shared")), { code: "bad_config", message: /shared has mode 0644.*chmod 600/ });
  symlinkSync(join(dir, "mine"), join(dir, "link"));
  t.throws(() => makeKeylog(join(dir, "link")), { message: /link cannot be appended to \(it is a symbolic link\)/ });
  t.throws(() => makeKeylog(dir), { message: /it is a directory|is not a file/ });
  t.throws(() => makeKeylog(join(dir, "no", "where")), { message: /cannot be made \(there is no such file or dir/ });
});

t.test("a file with WireGuard, and the keys it names, become what the data plane is started with", async (t) => {
  const [own, psk] = [randomBytes(32), randomBytes(32)];
  const dir = keyFiles(t, { "wg.key": [own.toString("base64"), 0o600], psk: [psk.toString("base64"), 0o600] });
  const path = join(dir, "weft.yaml");
  const peers = [PEER_2, `{publicKey: ${key(3)}, presharedKeyFile: ${join(dir, "psk")}, persistentKeepalive: 25}`];
  const networks =
    "networks: [{name: a, vni: 1, vteps: [10.7.0.2]}, {name: b, vni: 2, encryption: none}, {name: c, vni: 3, encryption: mixed}]\n";
  writeFileSync(path, section("rekeyAfterMessages: 1000", ...peers) + networks);
  const config = await resolveConfig({ config: path, wireguardKeylog: "keys.log" });
  t.strictSame(config.wireguard, {
    privateKey: own,
    listenPort: 51_820,
    address: ["10.7.0.1", "fd07::1"],
    rekeyAfterMessages: 1000,
    peers: [
      { publicKey: key(2), endpoint: "10.9.0.2:51820", allowedIps: ["10.7.0.2/32", "fd07::2/128"] },
      { publicKey: key(3), persistentKeepalive: 25, presharedKey: psk },
    ],
    peersMax: 512,
    keylog: resolve("keys.log"),
  });
  t.same(
    config.networks.map((n) => n.spec.encryption),
    ["required", "none", "mixed"],
  );
  t.equal((await resolveConfig({ config: path })).wireguard?.keylog, undefined, "off by default");

  writeFileSync(path, "networks: [{name: a, vni: 1}]");
  const plain = await resolveConfig({ config: path });
  t.same([plain.wireguard, plain.networks[0]?.spec.encryption], [undefined, "none"]);
  for (const flags of [{ config: path }, { mesh: false }])
    await t.rejects(resolveConfig({ ...flags, wireguardKeylog: "k" }), {
      code: "bad_config",
      message: /--wireguard-keylog: there is no wireguard section/,
    });
});

t.test("problems of key files come with all the others, and no key is ever told", async (t) => {
  const own = randomBytes(32);
  const secret = own.toString("base64");
  const dir = keyFiles(t, { "wg.key": [secret, 0o600], shared: [secret, 0o644] });
  const path = join(dir, "weft.yaml");
  const found = async (yaml: string): Promise<readonly string[]> => {
    writeFileSync(path, yaml);
    try {
      await resolveConfig({ config: path });
      return [];
    } catch (error) {
      t.notOk(describe(error).includes(secret.slice(0, 20)), "no key in the message");
      t.notOk(inspect(error, { depth: 9 }).includes(secret.slice(0, 20)), "nor in the error");
      return (error as WeftError).problems;
    }
  };
  t.match(
    await found(
      `workers: 0\n${section("", `{publicKey: ${publicKeyText(own)}, presharedKeyFile: shared}`, `{publicKey: ${key(3)}, presharedKeyFile: none}`)}`,
    ),
    [
      /^line 1: workers/,
      /^line 6: wireguard\.peers\[0\]\.publicKey: found this host's own public key; allowed: keys of other hosts/,
      /^line 6: wireguard\.peers\[0\]\.presharedKeyFile: .*shared has mode 0644/,
      /^line 7: wireguard\.peers\[1\]\.presharedKeyFile: .*none cannot be read/,
    ],
  );
  const at = (file: string, rest = ""): string => `wireguard: {privateKeyFile: '${file}', address: [10.7.0.1]${rest}}`;
  t.match(await found(at("shared")), [/^line 1: wireguard\.privateKeyFile: .*\/shared has mode 0644, .*chmod 600/]);
  // People put the key where its file belongs, and the other way round.
  for (const text of [secret, secret.replace("=", "")])
    if (!text.startsWith("/"))
      t.match(await found(at(text)), [/privateKeyFile: found a key; allowed: the path of a file that holds it/]);
  t.match(await found(at("wg.key", `, peers: [{publicKey: '${secret.slice(1)}'}]`)), [
    /publicKey: found 43 characters that are no key/,
  ]);
  t.match(await found(at("wg.key", `, peers: ['${secret}']`)), [/peers\[0\]: found "\(a key\)"; allowed: a map/]);
  t.match(await found(`wireguard: '${secret}'`), [/wireguard: found "\(a key\)"/]);
  t.match(await found(at("wg.key", `, privateKey: '${secret}'`)), [/privateKey: unknown key/]);
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
      spec: { name: "vni-7", vni: 7, encryption: "required" },
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
      role: "container",
      l3: false,
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
      [
        JSON.stringify({
          version: 1,
          ...STATE,
          networks: [{ spec: { name: "a", vni: 1, encryption: "no" }, routes: [] }],
        }),
        /missing or wrong/,
      ],
      [JSON.stringify({ version: 1, ...STATE, ports: [{ ...STATE.ports[0], mac: "nonsense" }] }), /missing or wrong/],
    ] as const;
    for (const [text, expected] of damaged) {
      writeFileSync(join(dir, "state.json"), text);
      t.throws(() => new StateStore(dir).load(), { code: "bad_state", message: expected }, text);
    }
  });
});
