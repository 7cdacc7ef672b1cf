/** The command line of the mesh: what it takes, what it asks a daemon (with a double of the mesh) for, and what it prints. */
import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Dataplane } from "@weft/control";
import { MemoryLink } from "@weft/tun";
import t, { type Test } from "tap";
import { completion } from "../../packages/control/dist/cli/completion.js";
import { meshDot } from "../../packages/control/dist/cli/dot.js";
import { exitCodeOf } from "../../packages/control/dist/cli/main.js";
import { buildProgram } from "../../packages/control/dist/cli/program.js";
import {
  connectionsText,
  dnsText,
  ipamText,
  meshText,
  pathsText,
} from "../../packages/control/dist/cli/status-mesh.js";
import { addressWithLength, publish, srv } from "../../packages/control/dist/cli/values.js";
import { apiListener } from "../../packages/control/dist/http/api.js";
import { listenUnix } from "../../packages/control/dist/http/listen.js";
import { foundedText, joinCommand } from "../../packages/control/dist/join-command.js";
import { openLog } from "../../packages/control/dist/log/log.js";
import { Router } from "../../packages/control/dist/router/router.js";
import { Watch } from "../../packages/control/dist/router/watch.js";
import { A, B, C, container, MeshDouble } from "../lab/mesh-double.js";

const MAIN = new URL("../../packages/control/dist/cli/main.js", import.meta.url).href;
const NOW = 1_893_456_000_000 + 90_000;

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs command lines one after the other in one process, as `weft` would. */
function run(socket: string, lines: readonly (readonly string[])[]): Promise<Outcome[]> {
  const script = `
    import { exitCodeOf } from ${JSON.stringify(MAIN)};
    const write = process.stdout.write.bind(process.stdout);
    const outcomes = [];
    for (const argv of JSON.parse(process.argv[1])) {
      let [out, err] = ["", ""];
      process.stdout.write = (text) => { out += text; return true; };
      const code = await exitCodeOf(argv, (text) => { err += text; });
      outcomes.push({ code, out, err });
    }
    write(JSON.stringify(outcomes));`;
  const argvs = lines.map((line) => [...line, "--socket", socket]);
  const command = ["-u", "NODE_OPTIONS", process.execPath, "--input-type=module", "-e", script, JSON.stringify(argvs)];
  return new Promise((resolve, reject) =>
    execFile("env", command, { encoding: "utf8", maxBuffer: 1 << 24 }, (error, stdout) =>
      error ? reject(error) : resolve(JSON.parse(stdout) as Outcome[]),
    ),
  );
}

/** A daemon's API on a socket, with a double of the mesh or with none. */
async function serve(t: Test, { isStatic = false } = {}) {
  const dir = mkdtempSync(join(tmpdir(), "weft-cli-"));
  const dataplane = await Dataplane.start({
    underlay: ["10.9.0.1"],
    link: new MemoryLink({ addresses: ["10.9.0.1"] }),
  });
  const log = await openLog({ level: "error", format: "json", name: "test" }, { write: () => undefined });
  const networks = [{ spec: { name: "weft", vni: 1, vteps: [] }, routes: [] }];
  const router = new Router({ dataplane, networks, vteps: [], log, removeDevice: () => undefined });
  await router.start();
  const mesh = new MeshDouble();
  const watch = new Watch(dataplane, log);
  const socket = join(dir, "s");
  const facts = { name: "host-a", state: "ready" as const, startedAt: new Date(), metrics: null, stateDir: null };
  const listener = await listenUnix(
    socket,
    apiListener({
      router,
      mesh: isStatic ? undefined : mesh,
      facts: () => ({ ...facts, socket, watch }),
      down: async () => undefined,
      log,
    }),
  );
  t.teardown(async () => {
    await listener.close();
    await dataplane.close();
    rmSync(dir, { recursive: true });
  });
  return { mesh, socket };
}

t.test("a wrong command line is exit code 2 and one line that says what is allowed", async (t) => {
  const cases: [argv: string[], expected: RegExp][] = [
    [["up", "--join", "a b"], /--join.*Allowed: HOST, HOST:PORT/],
    [["up", "--join", "10.0.0.300"], /--join/],
    [["up", "--advertise", "host"], /--advertise.*names are not resolved/],
    [["up", "--port", "0"], /--port.*1\.\.65535/],
    [["up", "--cidr", "10.32.0.1/12"], /--cidr.*a prefix of a network/],
    [["up", "--cidr", "10.32.0.0/30"], /--cidr/],
    [["init"], /required option '--advertise-address/],
    [["init", "--advertise-address", "192.0.2.1/33"], /--advertise-address.*192\.0\.2\.1\/24/],
    [["connect"], /missing required argument 'host/],
    [["connect", "host:0"], /Allowed: HOST/],
    [["network", "create", "Blue"], /Allowed: 1\.\.32/],
    [["network", "create", "blue", "--mtu", "1279"], /1280\.\.65485/],
    [["network", "add-vtep", "blue", "host"], /names are not resolved/],
    [["dns", "add", "UPPER", "10.0.0.1"], /labels of a-z/],
    [["dns", "add", "db", "host"], /an IPv4 or IPv6 address/],
    [["dns", "add", "db", "--srv", "db"], /PORT,TARGET/],
    [["attach", "c1", "--publish", "80/sctp"], /\[IP:\]\[HOSTPORT:\]PORT/],
    [["attach", "c1", "--publish", "0:80"], /--publish/],
    [["token", "retire"], /missing required argument 'id'; see `weft token retire --help`$/m],
    [["token", "frob"], /too many arguments|unknown command/],
    [["completion", "tcsh"], /bash, zsh, fish/],
  ];
  for (const [argv, expected] of cases) {
    let text = "";
    const code = await exitCodeOf(argv, (part) => {
      text += part;
    });
    t.equal(code, 2, argv.join(" "));
    t.match(text, expected);
    t.match(text, /^weft: [^\n]+\n$/, "one line");
  }
});

t.test("values are read as they are written", async (t) => {
  t.same(publish("80"), { port: 80, protocol: "tcp" });
  t.same(publish("8080:80"), { hostPort: 8080, port: 80, protocol: "tcp" });
  t.same(publish("192.0.2.1:53/udp"), { ip: "192.0.2.1", port: 53, protocol: "udp" });
  t.same(publish("192.0.2.1:5353:53/udp"), { ip: "192.0.2.1", hostPort: 5353, port: 53, protocol: "udp" });
  t.same(publish("[2001:db8::1]:80"), { ip: "2001:db8::1", port: 80, protocol: "tcp" });
  for (const wrong of ["", "80:", ":80", "1:2:3", "2001:db8::1:80", "[192.0.2.1]:80", "192.0.2:80", "65536", "[::g]:1"])
    t.throws(() => publish(wrong), { code: "commander.invalidArgument" }, wrong);
  t.same(srv("5432,db"), { priority: 0, weight: 0, port: 5432, target: "db" });
  t.same(srv("10,5,5432,db.weft.local"), { priority: 10, weight: 5, port: 5432, target: "db.weft.local" });
  for (const wrong of ["db", "1,2,db", "70000,db", "1,", "1,2,3,-"]) t.throws(() => srv(wrong), wrong);
  t.equal(addressWithLength("192.0.2.1/24"), "192.0.2.1");
  t.equal(addressWithLength("2001:db8::1"), "2001:db8::1");
});

t.test("what is typed reaches the mesh, and the answer is printed", async (t) => {
  const { mesh, socket } = await serve(t);
  mesh.allContainers.push(container("cache", A, { name: "redis" }));
  const cases: [line: string, asked: unknown[] | undefined, out: RegExp][] = [
    ["connect seed.example", ["connect", "seed.example:6783"], /^dialling seed\.example:6783 from now on/],
    ["forget 192.0.2.2", ["forget", "192.0.2.2"], /^forgot 192\.0\.2\.2:6783\n$/],
    ["forget seed", ["forget", "seed"], /^nobody has named seed\n$/],
    ["rmpeer host-b", ["removeMember", B, { force: false }], /^removed host-b; `weft token`/],
    ["rmpeer host-c --force", ["removeMember", C, { force: true }], /^removed host-c/],
    ["leave", ["leave"], /^left network 0011.*, gave away 512 addresses of weft; the daemon stops\n$/],
    ["token", undefined, new RegExp(`^weft up --join 192\\.0\\.2\\.1 --token ${mesh.secret}\n$`)],
    ["token -q", undefined, new RegExp(`^${mesh.secret}\n$`)],
    ["token show --json", undefined, /"command": "weft up --join/],
    ["token rotate --quiet", ["rotateToken"], new RegExp(`^${mesh.secret}\n$`)],
    ["token retire 00000000000000a1", ["retireToken", "00000000000000a1"], /^token 00000000000000a1 is retired\n$/],
    ["token list", undefined, /^TOKEN +STATE +SINCE +BY\n00000000000000a1 +valid +2030-01-01 00:00:00Z +host-a$/m],
    [
      "network create blue --cidr 10.64.0.0/16 --cidr fd00:9::/64 --vni 9 --mtu 1400",
      ["createNetwork", { name: "blue", cidr: ["10.64.0.0/16", "fd00:9::/64"], vni: 9, mtu: 1400 }],
      /^network blue: 10\.64\.0\.0\/16, VNI 9/,
    ],
    ["network remove blue", ["removeNetwork", "blue"], /^network blue is removed\n$/],
    ["network remove red", ["removeNetwork", "red"], /^there is no network red\n$/],
    ["network list", undefined, /weft \(default\) +1 +10\.32\.0\.0\/12 fd00:2::\/64 +10\.32\.0\.1 fd00:2::1/],
    ["network add-vtep weft 192.0.2.9", ["addVtep", "weft", "192.0.2.9"], /VTEPs in clear: 192\.0\.2\.9\n$/],
    ["network remove-vtep weft 192.0.2.9", ["removeVtep", "weft", "192.0.2.9"], /VTEPs in clear: none\n$/],
    ["expose", ["expose", undefined], /^exposed weft: weft0 10\.32\.0\.9\npublished 0\.0\.0\.0:8080->80\/tcp of web/],
    ["hide blue", ["hide", "blue"], /^nothing is exposed\n$/],
    [
      "dns add db 10.32.0.5 fd00:2::5 --network blue",
      ["addDns", { name: "db", network: "blue", ips: ["10.32.0.5", "fd00:2::5"], srv: [] }],
      /^db leads to 10\.32\.0\.5 fd00:2::5\n$/,
    ],
    [
      "dns add _pg._tcp --srv 0,5,5432,db",
      ["addDns", { name: "_pg._tcp", ips: [], srv: [{ priority: 0, weight: 5, port: 5432, target: "db" }] }],
      /leads to db:5432\n$/,
    ],
    ["dns remove web", ["removeDns", "web", undefined], /^web is removed\n$/],
    ["dns list", undefined, /^domain weft\.local.*\n\nNAME/],
    [
      "attach 1 --name web --dns-name www --publish 8080:80 --publish 53/udp --l3 --no-gateway",
      [
        "attach",
        {
          netns: 1,
          ipam: true,
          name: "web",
          dnsNames: ["www"],
          publish: [
            { hostPort: 8080, port: 80, protocol: "tcp" },
            { port: 53, protocol: "udp" },
          ],
          l3: true,
          gateway: [],
        },
      ],
      /^$/,
    ],
    [
      "attach 1 --gateway 10.32.0.1 --ip 10.32.0.7/12",
      ["attach", { netns: 1, gateway: ["10.32.0.1"], ip: ["10.32.0.7/12"] }],
      /^$/,
    ],
    ["report", undefined, /"networkId": "0011/],
    [
      "status",
      undefined,
      /^mesh +0011\S+, 3 members, 1 UNREACHABLE; paths: 1 direct, 1 relayed; 3 containers in all$/m,
    ],
    [
      "status",
      undefined,
      /^mesh .*\nPROBLEM +2 addresses that an earlier container has\nPROBLEM +network weft has no gateway on this host$/m,
    ],
    ["status mesh", undefined, /^PROBLEM +network weft has no gateway on this host$/m],
    ["network list", undefined, /\n\nnetwork weft: 10\.32\.0\.0\/12 overlaps network red\n$/],
    ["status mesh", undefined, /host-c +unreachable since 2030-01-01 00:00:00Z/],
    ["status mesh --dot", undefined, /^graph weft \{\n/],
    ["status connections", undefined, /seed\.example:6783 +failed +- +no such host/],
    ["status peers", undefined, /host-c +via host-b.*\n\nno WireGuard/],
    ["status containers", undefined, /web +weft +host-a +10\.32\.0\.2 fd00:2::2.*0\.0\.0\.0:8080->80\/tcp/],
    ["status containers --network blue", undefined, /^no containers\n$/],
    ["status links", undefined, /weft +web +db +eth0.* 12 .*\nweft +web +redis +eth0/],
    [
      "status ipam",
      undefined,
      /, 1,048,573 addresses.*\nthis host gives out 1,000 of them: 1 used, 999 free\nin use here, and another member's: the addresses of web\nwaiting: host-c/,
    ],
    [
      "status dns --network blue",
      undefined,
      /^shelf +\(all\) +192\.0\.2\.77 .*\n_pg\._tcp +blue +db\.weft\.local:5432 \(0 5\) +host-b +\(by hand\)\n$/m,
    ],
  ];
  const outcomes = await run(
    socket,
    cases.map(([line]) => line.split(" ")),
  );
  for (const [i, [line, asked, out]] of cases.entries()) {
    const outcome = outcomes[i] as Outcome;
    t.equal(outcome.code, line.startsWith("attach") ? 1 : 0, `weft ${line}: ${outcome.err}`);
    t.match(outcome.out, out);
    if (asked) t.same(mesh.asked.shift(), asked, "asked of the mesh");
    if (!line.startsWith("token")) t.notMatch(outcome.out + outcome.err, mesh.secret, "no secret");
  }
  t.same(mesh.asked, []);
});

t.test("an id that begins with `-` is no option", async (t) => {
  const { mesh, socket } = await serve(t);
  for (const id of [`-${A.slice(1)}`, `--${A.slice(2)}`, `-h${A.slice(2)}`]) {
    const ways = [
      ["rmpeer", id],
      ["rmpeer", id, "--force"],
      ["rmpeer", "--force", id],
    ];
    for (const outcome of await run(socket, ways)) {
      t.match(outcome, { code: 1, out: "", err: "weft: there is no member" }, id);
      t.ok(outcome.err.includes(id), outcome.err);
    }
  }
  const [short] = await run(socket, [["rmpeer", "-abc"]]);
  t.match(short, { code: 2, err: /unknown option '-abc'/ }, "what is no id is an option, unless it stands behind --");
  t.same(mesh.asked, []);
});

t.test("a token in place of its id is refused, and not repeated", async (t) => {
  const { mesh, socket } = await serve(t);
  const [outcome] = await run(socket, [["token", "retire", mesh.secret]]);
  t.match(outcome, { code: 1, out: "", err: /^weft: that is no id of a token: give 16 hexadecimal digits/ });
  t.notMatch(outcome?.err, mesh.secret);
  t.same(mesh.asked, []);
});

t.test("without a mesh each command says so, and `status peers` is as ever", async (t) => {
  const { socket } = await serve(t, { isStatic: true });
  const lines = ["token", "rmpeer x", "network list", "dns list", "status mesh", "status containers", "status ipam"];
  const argvs = [...lines, "status peers", "status", "report", "attach 1"].map((line) => line.split(" "));
  const outcomes = await run(socket, argvs);
  for (const [i, line] of lines.entries())
    t.same(
      outcomes[i],
      { code: 1, out: "", err: "weft: there is no mesh: weft runs with a static configuration\n" },
      line,
    );
  const [peers, status, report, attach] = outcomes.slice(lines.length);
  t.match(peers, { code: 0, out: /^no WireGuard/ });
  t.match(status, { code: 0 });
  t.notMatch(status?.out, /^mesh /m);
  t.match(report, { code: 0, out: /"mesh": null/ });
  t.match(attach, { code: 1, err: /ip: missing; there is no mesh that gives addresses: give --ip ADDR\/LEN/ });
});

t.test("tables", async (t) => {
  const mesh = new MeshDouble();
  const info = mesh.info();
  t.match(meshText(info, NOW), /^network +0011.*founded by host-a$/m);
  t.match(meshText(info, NOW), /^host-a \(self\) +alive +1m 30s +0\.1\.0/m);
  t.match(connectionsText(info, NOW), /^host-b +192\.0\.2\.2:6783 +dialled +1m 30s +10 +2\.0 KiB +11 +100 B$/m);
  t.match(pathsText(mesh.paths(), NOW), /^host-b +direct +1m 30s +1\.20 ms +1\.0 % +1440 +established +192\.0\.2\.2/m);
  t.match(pathsText(mesh.paths(), NOW), /^host-c +via host-b +1m 30s +- +- +- +established +- /m);
  t.equal(pathsText([], NOW), "no other members");
  t.match(ipamText(mesh.ipam()[0] as never), /10\.32\.3\.234 +10\.47\.255\.254 +1,047,573 +BBBB2x+ +unreachable/);
  t.match(
    dnsText({ domain: "weft.local", listen: [], upstream: [], entries: [] }),
    /no address.*nobody else\n\nno names$/,
  );
});

t.test("the picture of the mesh", async (t) => {
  const dot = meshDot(new MeshDouble().info());
  t.match(dot, /^graph weft \{\n {2}node \[shape=box\];\n/);
  const edges = dot.split("\n").filter((line) => line.includes(" -- "));
  t.equal(edges.length, 4, "two paths and two control links, each once, none to strangers");
  t.match(dot, /"AAAAx+" -- "BBBB1x+" \[label="1\.3 ms"\];/);
  t.match(dot, /"BBBB1x+" -- "BBBB2x+" \[label="25 ms", color=grey\];/, "what one end alone reports");
  t.match(dot, /"AAAAx+" -- "BBBB1x+" \[style=dashed\];/);
  t.match(dot, /label="host-c\\nfd00:1::c", color=grey/);
  const odd = meshDot({
    ...new MeshDouble().info(),
    members: [{ ...new MeshDouble().members[0], name: 'a"]\\' } as never],
  });
  t.match(odd, 'label="a\\"]\\\\\\nfd00:1::a"', "a name cannot break out of its quotes");
});

t.test("what the next host types", async (t) => {
  const token = new MeshDouble().token();
  t.equal(joinCommand(token), `weft up --join 192.0.2.1 --token ${token.token}`);
  t.match(foundedText(token, "pretty"), joinCommand(token));
  t.notMatch(foundedText(token, "json"), token.token, "a log in JSON is kept: no secret in it");
});

t.test("bash completes commands, options and values", async (t) => {
  const dir = t.testdir({ "file with space": "", "weft.yaml": "" });
  writeFileSync(
    join(dir, "weft.bash"),
    completion(
      buildProgram(() => undefined),
      "bash",
    ),
  );
  /** What two tabs behind these words would offer. */
  const complete = (...words: string[]): string[] => {
    const script = `
      source weft.bash
      COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
      _weft
      printf '%s\\n' "\${COMPREPLY[@]}"`;
    return execFileSync("bash", ["-u", "-e", "-c", script, "bash", ...words], { cwd: dir, encoding: "utf8" })
      .trimEnd()
      .split("\n");
  };
  t.same(complete("weft", "sta"), ["status"]);
  t.ok(complete("weft", "").includes("network"));
  t.same(complete("weft", "network", "re"), ["remove", "remove-vtep"]);
  t.same(complete("weft", "network", "create", "--c"), ["--cidr"]);
  t.same(complete("weft", "status", "con"), ["connections", "containers"]);
  t.same(complete("weft", "status", "--dot", "me"), ["mesh"], "behind an option");
  t.same(complete("weft", "up", "--log-format", ""), ["pretty", "json"]);
  t.same(complete("weft", "up", "--config", "f"), ["file with space"]);
  t.same(complete("weft", "up", "--name", ""), [""], "a value that nobody can know");
  t.same(complete("weft", "up", "--name", "status", "--no-m"), ["--no-mesh"], "a value is no command");
  t.same(complete("weft", "completion", "z"), ["zsh"]);
  t.match(
    execFileSync("bash", ["--norc", "-c", "source weft.bash; complete -p weft"], { cwd: dir, encoding: "utf8" }),
    /-F _weft weft/,
  );
});

t.test("every shell's script knows every command and option", async (t) => {
  const program = buildProgram(() => undefined);
  const all = program.commands.flatMap((c) => [c, ...c.commands]);
  for (const shell of ["bash", "zsh", "fish"] as const) {
    const script = completion(program, shell);
    for (const command of all) {
      t.match(script, command.name());
      for (const { long } of command.options)
        t.match(script, shell === "fish" ? `-l ${long?.slice(2)}` : `${long}`, `${shell}: ${command.name()} ${long}`);
    }
  }
  t.match(completion(program, "zsh"), /^#compdef weft\n.*bashcompinit/);
});
