/** The command line by itself: what it takes, what it refuses, exit codes, and how it prints. */
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { PeerInfo, WireguardInfo } from "@weft/control";
import t from "tap";
import { exitCodeOf } from "../../packages/control/dist/cli/main.js";
import { ago, peersText, wireguardLine } from "../../packages/control/dist/cli/peers.js";
import { buildProgram } from "../../packages/control/dist/cli/program.js";
import { grouped, octets, span, table } from "../../packages/control/dist/cli/table.js";
import { nearest, schemaProblems } from "../../packages/control/dist/config/problems.js";
import { FileNetwork } from "../../packages/control/dist/config/schema.js";
import { codeOf, describe, problemsOf, WeftError } from "../../packages/control/dist/errors.js";
import { lockStateDir } from "../../packages/control/dist/state/lock.js";

const WEFT = fileURLToPath(new URL("../../packages/control/bin/weft.js", import.meta.url));

async function run(...argv: string[]): Promise<{ code: number; text: string }> {
  let text = "";
  const code = await exitCodeOf(argv, (part) => {
    text += part;
  });
  return { code, text };
}

t.test("a wrong command line is exit code 2 and one line that says what is allowed", async (t) => {
  const cases: [argv: string[], expected: RegExp][] = [
    [["frob"], /unknown command 'frob'.*see `weft --help`/],
    [["atach"], /unknown command 'atach' \(Did you mean attach\?\)/],
    [
      ["up", "--undrelay", "10.0.0.1"],
      /unknown option '--undrelay' \(Did you mean --underlay\?\); see `weft up --help`/,
    ],
    [["up", "--underlay", "host"], /--underlay.*'host'.*Allowed: an IPv4 or IPv6 address.*names are not resolved/],
    [["up", "--underlay", "0.0.0.0"], /--underlay.*'0\.0\.0\.0'/],
    [["up", "--underlay"], /--underlay.*argument missing/],
    [["up", "--vtep", "10.0.0.1:99999"], /--vtep.*Allowed: ADDR, ADDR:PORT/],
    [["up", "--vxlan-port", "0"], /--vxlan-port.*1\.\.65535/],
    [["up", "--workers", "17"], /--workers.*1\.\.16/],
    [["up", "--workers", "1e1"], /--workers/],
    [["up", "--metrics", "6782"], /--metrics.*Allowed: ADDR:PORT/],
    [["up", "--log-level", "loud"], /--log-level.*Allowed choices are trace, debug, info, warn, error/],
    [["up", "--log-format", "xml"], /--log-format.*pretty, json/],
    [["up", "extra"], /too many arguments/],
    [["attach"], /missing required argument 'target'.*see `weft attach --help`/],
    [["attach", "--ip", "10.8.0.1/24"], /missing required argument 'target'/],
    [["attach", "c1", "--ip", "10.8.0.1"], /--ip.*with prefix length/],
    [["attach", "c1", "--ip", "10.8.0.1/33"], /--ip/],
    [["attach", "c1", "--ip", "10.8.0.1/24", "--vni", "16777216"], /--vni.*1\.\.16777215/],
    [["attach", "c1", "--ip", "10.8.0.1/24", "--vni", "0"], /--vni/],
    [["attach", "c1", "--ip", "10.8.0.1/24", "--network", "Blue"], /--network/],
    [["attach", "c1", "--ip", "10.8.0.1/24", "--mac", "01:00:00:00:00:00"], /--mac.*unicast/],
    [["attach", "c1", "--ip", "10.8.0.1/24", "--mtu", "67"], /--mtu.*68\.\.65485/],
    [["attach", "c1", "--ip", "10.8.0.1/24", "--ifname", "sixteen-letters-"], /--ifname.*1\.\.15/],
    [["attach", "c1", "--ip", "10.8.0.1/24", "--gateway", "10.8.0.254/24"], /--gateway/],
    [["attach", "c1", "--ip", "10.8.0.1/24", "--route", "10.9.0.0"], /--route.*PREFIX=GATEWAY/],
    [["attach", "c1", "--ip", "10.8.0.1/24", "--route", "10.9.0.0/16=gw"], /--route/],
    [["attach", "c1", "--ip", "10.8.0.1/24", "--id", "a/b"], /--id/],
    [["attach", "c1", "--ip", "10.8.0.1/24", "--label", "novalue"], /--label.*KEY=VALUE/],
    [["detach"], /missing required argument/],
    [
      ["status", "weather"],
      /'weather'.*ports, networks, vteps, fdb, neighbours, routes, peers, drops, mesh, connections, containers, links, ipam, dns/,
    ],
    [["up", "--wireguard-keylog"], /--wireguard-keylog.*argument missing/],
    [["down", "--force"], /unknown option '--force'/],
  ];
  for (const [argv, expected] of cases) {
    const { code, text } = await run(...argv);
    t.equal(code, 2, argv.join(" "));
    t.match(text, expected);
    t.match(text, /^weft: [^\n]+\n$/, "one line");
  }
});

t.test("a command that cannot be done is exit code 1 and one line that says what to do", async (t) => {
  // Not t.testdir(): its paths are longer than the 107 octets of a socket's address.
  const dir = mkdtempSync(join(tmpdir(), "weft-cli-"));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const socket = join(dir, "none.sock");
  const long = await run("status", "--socket", join(dir, "x".repeat(100)));
  t.match(long, { code: 1, text: /longer than 107 octets: give a shorter --socket/ });
  for (const argv of [
    ["down"],
    ["status"],
    ["status", "fdb"],
    ["detach", "c1"],
    ["attach", "c1", "--ip", "10.8.0.1/24"],
  ]) {
    const { code, text } = await run(...argv, "--socket", socket);
    t.equal(code, 1, argv.join(" "));
    t.match(text, /^weft: no weft daemon answers on .*none\.sock: start it with `weft up`, or give its --socket\n$/);
  }
  writeFileSync(join(dir, "bad.yaml"), "workers: 0\nname: ''\n");
  const { code, text } = await run("up", "--config", join(dir, "bad.yaml"));
  t.equal(code, 1, "a bad configuration file is no wrong command line");
  t.match(
    text,
    /^weft: the configuration file .*bad\.yaml cannot be used: 2 problems\n {2}line 1: workers: .*\n {2}line 2: name: .*\n$/,
  );
});

t.test("`weft down` without a daemon forgets the ports of one that was killed, and of no other", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "weft-cli-"));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const [socket, other] = [join(dir, "none.sock"), join(dir, "other.sock")];
  const state = join(dir, "state.json");
  const port = { id: "c1", network: "n", ifname: "eth0", mac: "02:00:00:00:00:07", ip: [], gateway: [], routes: [] };
  const gone = { netnsPath: join(dir, "gone"), netnsId: "1:1", mtu: 1400, labels: {}, configure: true };
  const text = JSON.stringify({ version: 1, networks: [], ports: [{ ...port, ...gone }] });
  writeFileSync(state, text);
  const down = async (at = socket) => await run("down", "--socket", at, "--state-dir", dir);

  writeFileSync(join(dir, "lock"), `1\n${other}\n`);
  t.match(await down(), { code: 1, text: /^weft: no weft daemon answers/ }, "another's");
  t.equal(readFileSync(state, "utf8"), text);
  const lock = lockStateDir(dir, other);
  t.match(await down(other), { code: 1, text: /^weft: another weft runs with the state directory .* \(PID \d+\)/ });
  t.equal(readFileSync(state, "utf8"), text);
  lock.release();

  const hangs = createServer().listen(other);
  await new Promise((resolve) => hangs.once("listening", resolve));
  hangs.on("connection", (connection) => connection.destroy());
  t.match(await down(other), { code: 1, text: /^weft: the weft daemon on .* broke off/ });
  t.equal(readFileSync(state, "utf8"), text, "one that listens may live");
  await new Promise((resolve) => hangs.close(resolve));

  writeFileSync(other, "no socket");
  t.match(await down(other), { code: 0, text: "" });
  t.same(readdirSync(dir).sort(), ["lock", "other.sock"], "what is no socket of ours is left alone");
  t.match(await down(other), { code: 1, text: /^weft: no weft daemon answers/ }, "once");
  writeFileSync(state, "{}");
  t.match(await down(other), { code: 1, text: /has no version/ });
});

t.test("every command of the program has a description and help", async (t) => {
  const program = buildProgram(() => undefined);
  t.same(
    program.commands.map((c) => c.name()),
    [
      ...["up", "init", "down", "attach", "detach", "status"],
      ...["connect", "forget", "rmpeer", "leave", "token", "network", "expose", "hide", "dns", "report"],
      ...["completion", "demo", "keygen", "pubkey", "bench"],
    ],
  );
  const withSubcommands = ["token", "network", "dns"];
  for (const command of program.commands.flatMap((c) => [c, ...c.commands])) {
    t.ok(command.description(), command.name());
    for (const option of command.options) t.ok(option.description, `${command.name()} ${option.flags}`);
    if (
      !["completion", "demo", "keygen", "pubkey", "bench", "serve", "to", ...withSubcommands].includes(command.name())
    )
      t.match(command.helpInformation(), /--socket/);
  }
});

t.test("the program as it is started", async (t) => {
  const start = (...args: string[]) =>
    new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
      // Without the test runner's own preloads, which it puts back into whatever environment it is given.
      const command = ["-u", "NODE_OPTIONS", process.execPath, WEFT, ...args];
      execFile("env", command, { encoding: "utf8" }, (error, stdout, stderr) =>
        resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
      );
    });
  t.match(await start("--version"), { code: 0, stdout: /^\d+\.\d+\.\d+\n$/, stderr: "" });
  t.match(await start("--help"), {
    code: 0,
    stdout: /Usage: weft.*attach.*Exit codes: 0 done, 1 failed, 2 wrong command line/s,
    stderr: "",
  });
  t.match(await start("attach", "--help"), { code: 0, stdout: /--gateway/ });
  t.match(await start("status", "--help"), { code: 0, stdout: /^ {2}ipam +who owns which addresses/m });
  t.match(await start(), { code: 2, stdout: "", stderr: /Usage: weft/ });
  t.match(await start("up", "--vni", "4"), { code: 2, stdout: "", stderr: /^weft: unknown option '--vni'/ });
});

t.test("tables line up, numbers to the right", async (t) => {
  t.equal(
    table(
      ["NAME", "COUNT"],
      [
        ["a", 1234567],
        ["bcdef", 5],
      ],
    ),
    "NAME       COUNT\na      1,234,567\nbcdef          5",
  );
  t.equal(
    table(
      ["A", "B"],
      [
        ["x", "10.0.0.1"],
        ["yy", "-"],
      ],
    ),
    "A   B\nx   10.0.0.1\nyy  -",
  );
  t.equal(table(["A"], []), "A");
  t.equal(table(["NAME"], [["\u001b[2Jgone\n\u202e"]]), "NAME\n?[2Jgone??", "others' names move no cursor");
  t.same(
    [0, 1023, 1024, 1536, 1024 ** 3].map((n) => octets(n)),
    ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 GiB"],
  );
  t.same([0, 59, 60, 3661, 90_061].map(span), ["0s", "59s", "1m 0s", "1h 1m", "1d 1h"]);
  t.equal(grouped(1000), "1,000");
});

t.test("peers are shown in the words of `wg show`", async (t) => {
  const now = Date.UTC(2030, 0, 1);
  const quiet: PeerInfo = {
    publicKey: "cXVpZXQ=",
    endpoint: null,
    allowedIps: [],
    presharedKey: false,
    persistentKeepalive: 0,
    session: "none",
    lastHandshake: null,
    receive: { packets: 0, bytes: 0 },
    transmit: { packets: 0, bytes: 0 },
  };
  const busy: PeerInfo = {
    ...quiet,
    publicKey: "YnVzeQ==",
    endpoint: "192.0.2.2:51820",
    allowedIps: ["10.7.0.2/32", "fd07::2/128"],
    presharedKey: true,
    persistentKeepalive: 25,
    session: "established",
    lastHandshake: now - 72_400,
    receive: { packets: 9, bytes: 1_289_749 },
    transmit: { packets: 9, bytes: 2_453_668 },
  };
  const wireguard: WireguardInfo = {
    publicKey: "b3du",
    listenPort: 51_820,
    address: ["10.7.0.1", "fd07::1"],
    device: "wg-weft",
    mtu: 1420,
    keylog: null,
    peers: [busy, quiet],
  };
  t.equal(
    peersText(wireguard, now),
    `interface
  public key: b3du
  listening port: 51820
  addresses: 10.7.0.1, fd07::1
  device: wg-weft
  mtu: 1420

peer: YnVzeQ==
  preshared key: (hidden)
  endpoint: 192.0.2.2:51820
  allowed ips: 10.7.0.2/32, fd07::2/128
  session: established
  latest handshake: 1 minute, 12 seconds ago
  transfer: 1.23 MiB received, 2.34 MiB sent
  persistent keepalive: every 25 seconds

peer: cXVpZXQ=
  endpoint: (not known yet)
  allowed ips: (none)
  session: none
  latest handshake: (never)
  transfer: 0 B received, 0 B sent
  persistent keepalive: off`,
  );
  const logged = { ...wireguard, device: null, keylog: "/run/keys.log", peers: [] };
  t.match(
    peersText(logged, now),
    /\n {2}device: \(none\)\n.*\n {2}WARNING: THE PRIVATE KEY AND THE KEYS OF ALL .*\/run\/keys\.log/,
  );
  t.equal(wireguardLine(wireguard), "UDP 51820, 10.7.0.1, fd07::1 on wg-weft, MTU 1420, 2 peers, 1 with a session");
  t.match(peersText(null, now), /^no WireGuard/);
  t.same([0, 1, 61, 7200, 90_061].map(ago), [
    "now",
    "1 second ago",
    "1 minute, 1 second ago",
    "2 hours ago",
    "1 day, 1 hour, 1 minute, 1 second ago",
  ]);
  t.match(ago(-5), /the clock was set back/);
});

t.test("errors become sentences", async (t) => {
  t.equal(describe(new WeftError("conflict", "taken")), "taken");
  t.equal(describe(new WeftError("bad_config", "two", ["a", "b"])), "two\n  a\n  b");
  t.equal(describe("text"), "text");
  const invalid = Object.assign(new Error("network blue: vni: found 0, allowed: 1; mtu: found 5, allowed: more"), {
    code: "INVALID_INPUT",
    problems: [
      { key: "vni", found: "0", allowed: "1" },
      { key: "mtu", found: "5", allowed: "more" },
    ],
  });
  t.equal(describe(invalid), "network blue cannot be used\n  vni: found 0; allowed: 1\n  mtu: found 5; allowed: more");
  t.same(problemsOf(new Error("x")), []);
  t.equal(codeOf(Object.assign(new Error("x"), { code: "EPERM" })), "EPERM");
  t.equal(codeOf(null), undefined);
});

t.test("a mistyped key finds the one that was meant", async (t) => {
  t.equal(nearest("undrelay", ["underlay", "metrics"]), "underlay");
  t.equal(nearest("VNI", ["vni"]), "vni");
  t.equal(nearest("something", ["vni"]), undefined);
  t.same(schemaProblems(FileNetwork, { name: "a", vni: 1, mut: 1400 })[0]?.path, ["mut"]);
});
