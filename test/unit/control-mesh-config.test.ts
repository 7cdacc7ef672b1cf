/** Whether there is a mesh, and what it is told: flags, file, environment. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import t, { type Test } from "tap";
import { resolveConfig } from "../../packages/control/dist/config/config.js";
import type { UpFlags } from "../../packages/control/dist/config/defaults.js";
import { parseConfig } from "../../packages/control/dist/config/file.js";
import {
  isDnsName,
  isHost,
  isNetworkPrefix,
  isSameHost,
  splitHost,
} from "../../packages/control/dist/config/formats.js";
import type { MeshConfig } from "../../packages/control/dist/config/mesh.js";
import { readToken, tokenFrom } from "../../packages/control/dist/config/token.js";
import { WeftError } from "../../packages/control/dist/errors.js";
import { takeStanding } from "../../packages/control/dist/fabric/standing.js";
import { newNetworkId, nodeIdOf } from "../../packages/control/dist/mesh/identity.js";
import { formatToken, newToken } from "../../packages/control/dist/mesh/token.js";

function problems(yaml: string, given?: object): readonly string[] {
  try {
    parseConfig(yaml, "weft.yaml", given);
    return [];
  } catch (error) {
    if (!(error instanceof WeftError) || error.code !== "bad_config") throw error;
    return error.problems;
  }
}

function directory(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), "weft-mesh-"));
  t.teardown(() => rmSync(dir, { recursive: true }));
  return dir;
}

/** Resolves with the text as the configuration file. */
async function resolve(t: Test, yaml: string | undefined, flags: UpFlags = {}, environment: NodeJS.ProcessEnv = {}) {
  if (yaml === undefined) return resolveConfig(flags, environment);
  const config = join(directory(t), "weft.yaml");
  writeFileSync(config, yaml);
  return resolveConfig({ ...flags, config }, environment);
}

const KEY = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=";
const NETWORKS = "networks: [{name: blue, vni: 42, vteps: []}]\n";

t.test("there is a mesh unless the daemon is told where its VTEPs are", async (t) => {
  const dir = directory(t);
  writeFileSync(join(dir, "wg.key"), KEY, { mode: 0o600 });
  const wireguard = `wireguard: {privateKeyFile: ${dir}/wg.key, address: [10.7.0.1]}\n`;
  const cases: [what: string, yaml: string | undefined, flags: UpFlags, isMesh: boolean][] = [
    ["nothing at all", undefined, {}, true],
    ["a file about other things", "workers: 2\nlimits: {ports: 5}", {}, true],
    ["an empty file", "", {}, true],
    ["--vtep", undefined, { vtep: ["10.0.0.1"] }, false],
    ["--no-mesh", undefined, { mesh: false }, false],
    ["networks", NETWORKS, {}, false],
    ["wireguard", wireguard, {}, false],
    ["mesh", "mesh: {}", {}, true],
    ["mesh with nothing behind it", "mesh:\n", {}, true],
    ["mesh and networks", `mesh: {}\n${NETWORKS}`, {}, true],
    ["mesh and --no-mesh", `mesh: {}\n${NETWORKS}`, { mesh: false }, false],
    ["mesh and --no-mesh --vtep", `mesh: {}`, { mesh: false, vtep: ["10.0.0.1"] }, false],
  ];
  for (const [what, yaml, flags, isMesh] of cases) {
    const config = await resolve(t, yaml, flags);
    t.equal(config.mesh !== undefined, isMesh, what);
    t.ok(config.mesh === undefined || config.wireguard === undefined, "one of the two says what WireGuard is");
  }
});

t.test("flags of the mesh beside a static configuration are an error that says why", async (t) => {
  const every: UpFlags = {
    join: ["a"],
    token: "t",
    tokenFile: "f",
    advertise: ["10.0.0.1"],
    port: 1,
    wireguardPort: 2,
    cidr: ["10.32.0.0/12"],
    discovery: false,
  };
  for (const [yaml, flags, why] of [
    [undefined, { vtep: ["10.0.0.1"] }, "--vtep"],
    [undefined, { mesh: false }, "--no-mesh"],
    [NETWORKS, {}, "networks without a mesh section in the configuration file"],
  ] as const)
    await t.rejects(resolve(t, yaml, { ...flags, ...every }), {
      code: "bad_config",
      message: `there is no mesh because of ${why}, and something else asks for one: leave either out`,
      problems: ["join", "token", "token-file", "advertise", "port", "wireguard-port", "cidr", "no-discovery"].map(
        (flag) => `--${flag}: allowed with a mesh only`,
      ),
    });
  await t.rejects(resolve(t, "mesh: {}", { vtep: ["10.0.0.1"] }), {
    code: "bad_config",
    problems: [/^--vtep: the configuration file has a mesh section; list VTEPs in its networks, or give --no-mesh$/],
  });
  t.equal((await resolve(t, NETWORKS, { discovery: true, mesh: true })).mesh, undefined, "defaults say nothing");
});

t.test("defaults, the file over them, flags over the file", async (t) => {
  t.same((await resolve(t, undefined)).mesh, {
    join: [],
    token: undefined,
    advertise: [],
    port: 6783,
    wireguardPort: 51_820,
    discovery: true,
    cidr: undefined,
    wireguard: {
      address: [],
      peers: [],
      device: undefined,
      rekeyAfterMessages: undefined,
      keylog: undefined,
      peersMax: 512,
    },
  });
  const yaml = `mesh:
  join: [seed.example, "192.0.2.1:7000", 2001:db8::1]
  tokenFile: token
  advertise: [198.51.100.1, "[2001:db8::9]:7002"]
  port: 7001
  wireguardPort: 51821
  discovery: false
  cidr: [10.64.0.0/16, "fd00:9::/64"]
`;
  const { mesh } = await resolve(t, yaml);
  t.match(mesh, {
    join: ["seed.example:6783", "192.0.2.1:7000", "[2001:db8::1]:6783"],
    token: { file: /^\/.*\/token$/ },
    advertise: [
      { address: "198.51.100.1", port: 7001 },
      { address: "2001:db8::9", port: 7002 },
    ],
    port: 7001,
    wireguardPort: 51_821,
    discovery: false,
    cidr: ["10.64.0.0/16", "fd00:9::/64"],
  });
  const flags = { join: ["b", "b:6783"], token: "x".repeat(40), port: 1, cidr: ["10.99.0.0/16"], wireguardPort: 3 };
  t.match((await resolve(t, yaml, flags)).mesh, {
    join: ["b:6783"],
    token: { text: "x".repeat(40) },
    port: 1,
    wireguardPort: 3,
    cidr: ["10.99.0.0/16"],
  });
  t.equal((await resolve(t, "mesh: {discovery: true}", { discovery: false })).mesh?.discovery, false);
});

t.test("what stands beside the mesh: peers, addresses and networks of a file", async (t) => {
  const dir = directory(t);
  writeFileSync(join(dir, "psk"), KEY, { mode: 0o600 });
  const { mesh, networks } = await resolve(
    t,
    `mesh: {}
limits: {peers: 10}
wireguard:
  address: [10.7.0.1]
  device: wg0
  peers: [{publicKey: "${KEY}", allowedIps: [10.7.0.2/32], presharedKeyFile: ${dir}/psk}]
networks:
  - {name: blue, vni: 42, vteps: [10.7.0.2]}
`,
    { wireguardKeylog: "/tmp/keys" },
  );
  t.match(mesh?.wireguard, {
    address: ["10.7.0.1"],
    device: "wg0",
    keylog: "/tmp/keys",
    peersMax: 20,
    peers: [{ publicKey: KEY, allowedIps: ["10.7.0.2/32"], presharedKey: Buffer }],
  });
  t.match(networks, [{ spec: { name: "blue", encryption: "required" } }], "a mesh encrypts, so that is the default");
});

t.test("every problem of a file is told at once", async (t) => {
  t.same(
    problems(`mesh:
  join: [a, "a:6783", "a b"]
  advertise: [host]
  port: 0
  wireguardPort: 4789
  discovery: maybe
  cidr: [10.32.0.0/12, 10.64.0.0/12]
  joinToken: x
wireguard:
  privateKeyFile: wg.key
  listenPort: 51820
networks:
  - {name: blue, vni: 42, vteps: [10.7.0.2]}
`),
    [
      'line 2: mesh.join[2]: found "a b"; allowed: HOST, HOST:PORT, ADDR, ADDR:PORT or [ADDR]:PORT',
      'line 2: mesh.join[1]: found "a:6783" twice; allowed: each once',
      'line 3: mesh.advertise[0]: found "host"; allowed: ADDR, ADDR:PORT or [ADDR]:PORT of this host; names are not resolved',
      "line 4: mesh.port: found 0; allowed: a TCP port 1..65535",
      "line 5: mesh.wireguardPort: found 4789, which is the port of VXLAN; allowed: another",
      'line 6: mesh.discovery: found "maybe"; allowed: true or false',
      'line 7: mesh.cidr[1]: found "10.64.0.0/12", a second prefix of one family; allowed: one per family',
      "line 8: mesh.joinToken: unknown key; allowed: join, tokenFile, advertise, port, wireguardPort, discovery, cidr",
      "line 10: wireguard.privateKeyFile: not with a mesh section; allowed: nothing, as the mesh makes a key of its own (`weft status peers` shows the public one)",
      "line 11: wireguard.listenPort: not with a mesh section; allowed: mesh.wireguardPort",
    ],
  );
  t.match(problems(`mesh: {}\n${NETWORKS.replace("[]", "[10.7.0.2]")}`), [
    /vteps\[0\]: found "10\.7\.0\.2"; allowed: an address that the allowedIps of a peer cover/,
  ]);
  t.same(problems("wireguard: {}"), [
    "line 1: wireguard.privateKeyFile: missing; allowed: a path",
    "line 1: wireguard.address: missing; allowed: 1..8 addresses inside the tunnel, as [10.7.0.1]",
  ]);
  t.same(problems("mesh: {}\nwireguard: {}"), []);
  t.match(problems("mesh: {wireguardPort: 51820}\nwireguard: {}", { mesh: false }), [
    /privateKeyFile: missing/,
    /address/,
  ]);
  t.match(problems("mesh: yes"), [/mesh: found "yes"|mesh: found true/]);
});

t.test("every problem of flags together is told at once", async (t) => {
  await t.rejects(
    resolve(t, undefined, {
      token: "t",
      tokenFile: "f",
      wireguardPort: 4789,
      cidr: ["10.0.0.0/12", "10.16.0.0/12"],
    }),
    {
      code: "bad_config",
      problems: [
        "--token-file: --token is given too; allowed: one of the two",
        "the token: there is no host to join; allowed: --join HOST beside it, or mesh.join",
        "--wireguard-port: found 4789, which is the port of VXLAN; allowed: another UDP port",
        "--cidr: found 10.16.0.0/12, a second prefix of one family; allowed: one per family",
      ],
    },
  );
});

t.test("the token: the nearest to the command line, read when it is needed, never told", async (t) => {
  const dir = directory(t);
  const [secret, other] = ["S", "T"].map((letter) => letter.repeat(60)) as [string, string];
  const file = join(dir, "token");
  writeFileSync(file, `${secret}\n`, { mode: 0o600 });
  const flags = { join: ["a"] };
  const yaml = `mesh: {tokenFile: ${file}, join: [a]}`;
  const sources: [flags: UpFlags, environment: NodeJS.ProcessEnv, expected: object | undefined][] = [
    [{ ...flags, token: other }, { WEFT_TOKEN: secret }, { text: other }],
    [{ ...flags, tokenFile: "/f" }, { WEFT_TOKEN: secret }, { file: "/f" }],
    [flags, { WEFT_TOKEN: other }, { text: other }],
    [flags, { WEFT_TOKEN: "" }, { file }],
    [flags, {}, { file }],
  ];
  for (const [flags, environment, expected] of sources)
    t.same((await resolve(t, yaml, flags, environment)).mesh?.token, expected);
  t.equal((await resolve(t, undefined, {}, { WEFT_TOKEN: other })).mesh?.join.length, 0, "the environment may have it");

  t.equal(readToken({ file }), secret);
  t.equal(readToken({ text: secret }), secret);
  t.throws(() => readToken({ file: join(dir, "none") }), {
    code: "bad_config",
    message: /none cannot be read .*weft token/,
  });
  for (const wrong of [`${secret} ${secret}`, "short", "x".repeat(300)]) {
    try {
      readToken({ text: wrong });
      t.fail(wrong);
    } catch (error) {
      t.match(error, { code: "bad_config", message: /^the token is no token/ });
      t.notMatch(String(error), wrong, "not told");
    }
  }
  chmodSync(file, 0o644);
  t.throws(() => readToken({ file }), { code: "bad_config", message: /mode 0644.*chmod 600/ });
  writeFileSync(file, "a b");
  chmodSync(file, 0o600);
  t.throws(() => readToken({ file }), { message: /is no token: give what `weft token --quiet` prints/ });
});

t.test("the token from standard input: the first line, as soon as it is there", async (t) => {
  const secret = "S".repeat(60);
  const read = (...chunks: string[]): Promise<string | undefined> =>
    tokenFrom(Readable.from(chunks.map((chunk) => Buffer.from(chunk))));
  t.equal(await read(`${secret}\n`), secret);
  t.equal(await read(secret), secret, "without a line feed");
  t.equal(await read(" \n", `  ${secret.slice(0, 9)}`, `${secret.slice(9)} \r\nmore`), secret, "in pieces");
  for (const nothing of [[], ["\n \n"]]) t.equal(await read(...nothing), undefined);
  const open = new PassThrough();
  open.write(`${secret}\n`);
  t.equal(await tokenFrom(open), secret, "the end is not waited for");
  let pieces = 0;
  const endless = Readable.from(
    (function* () {
      for (;;) yield Buffer.alloc(100, `${pieces++ % 10}`);
    })(),
  );
  t.ok((await tokenFrom(endless))!.length >= 1024 && pieces < 100, "a stream without an end is not read to it");
});

t.test("a member starts again without its token", async (t) => {
  const dir = directory(t);
  const stateDir = directory(t);
  const file = join(dir, "token");
  const token = newToken(newNetworkId(), nodeIdOf(Buffer.alloc(32, 7)));
  writeFileSync(file, formatToken(token), { mode: 0o600 });
  const mesh = async (): Promise<MeshConfig> =>
    (await resolve(t, undefined, { join: ["a"], tokenFile: file })).mesh as MeshConfig;
  const first = await takeStanding(await mesh(), stateDir);
  t.match(first, { isNew: true, token: { id: token.id } });
  rmSync(file);
  const again = await takeStanding(await mesh(), stateDir);
  t.match(again, { isNew: false, token: undefined, identity: { id: first.identity.id } }, "the file is gone");
  await t.rejects(takeStanding(await mesh(), directory(t)), { code: "bad_config", message: /cannot be read/ });
  writeFileSync(file, formatToken(newToken(newNetworkId(), nodeIdOf(Buffer.alloc(32, 7)))), { mode: 0o600 });
  await t.rejects(takeStanding(await mesh(), stateDir), {
    code: "conflict",
    message: new RegExp(`belongs to network ${token.networkId}, the token to .* networks never merge`),
  });
});

t.test("how hosts, prefixes and names are written", async (t) => {
  t.ok(isSameHost("[2001:db8::1]:6783", "2001:db8::1"), "as it was typed");
  t.ok(isSameHost("seed.example:6783", "Seed.example"));
  t.ok(isSameHost("seed.example:7000", "seed.example:7000"));
  t.notOk(isSameHost("seed.example:6783", "seed.example:7000"));
  t.same(splitHost("seed.example:7000"), { host: "seed.example", port: 7000 });
  t.same(splitHost("[2001:db8::1]:7000"), { host: "2001:db8::1", port: 7000 });
  t.same(splitHost("[2001:db8::1]"), { host: "2001:db8::1", port: undefined }, "as `weft token` prints it");
  t.ok(isSameHost("[2001:db8::1]:6783", "[2001:db8::1]"));
  for (const right of ["a", "a.b-c", "a.", "10.0.0.1", "::1", "[::1]", "[::1]:1", "xn--bcher-kva.example:1", "1a"])
    t.ok(isHost(right), right);
  for (const wrong of [
    "",
    "a b",
    "-a",
    "a-:1",
    "a:0",
    "a:65536",
    "a:",
    "10.0.0",
    "10.0.0.1:0",
    "0.0.0.0",
    "[a]:1",
    "ü",
  ])
    t.notOk(isHost(wrong), wrong);
  for (const right of ["10.32.0.0/12", "10.0.0.0/8", "10.1.2.8/29", "fd00::/48", "fd00:1:2:3::/64", "fd00::8/125"])
    t.ok(isNetworkPrefix(right), right);
  for (const wrong of [
    "10.0.0.0/7",
    "10.0.0.0/30",
    "10.0.0.1/24",
    "fd00::/47",
    "fd00::/126",
    "ff00::/64",
    "10.0.0.0",
    "0.0.0.0/8",
  ])
    t.notOk(isNetworkPrefix(wrong), wrong);
  for (const right of ["db", "_http._tcp.web", "a-b", "0"]) t.ok(isDnsName(right), right);
  for (const wrong of ["", "-a", "a-", "A", "a..b", "a.", "x".repeat(65), "a b"]) t.notOk(isDnsName(wrong), wrong);
});
