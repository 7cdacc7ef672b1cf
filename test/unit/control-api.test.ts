/**
 * The daemon's inside without privileges: router, API, command line and metrics over a real Dataplane on the in-memory
 * twin.
 */
import { type ChildProcess, execFile, execFileSync, spawn, spawnSync } from "node:child_process";
import {
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { request } from "node:http";
import { createServer, Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import {
  Dataplane,
  type DataplaneApi,
  type DataplaneEvent,
  type PeerSpec,
  type PortRecord,
  type WireguardInfo,
} from "@weft/control";
import { MemoryLink } from "@weft/tun";
import t, { type Test } from "tap";
import { type Config, type ConfiguredNetwork, resolveConfig } from "../../packages/control/dist/config/config.js";
import { type ApiOptions, api, apiListener, endpoints } from "../../packages/control/dist/http/api.js";
import { healthListener } from "../../packages/control/dist/http/health.js";
import { type Listener, listenTcp, listenUnix, swappable } from "../../packages/control/dist/http/listen.js";
import { meshEndpoints } from "../../packages/control/dist/http/mesh-endpoints.js";
import { openMetrics } from "../../packages/control/dist/http/metrics.js";
import * as schemas from "../../packages/control/dist/http/schemas.js";
import type { DaemonState } from "../../packages/control/dist/http/status.js";
import { openLog } from "../../packages/control/dist/log/log.js";
import { LogOutput, nonBlocking } from "../../packages/control/dist/log/output.js";
import { reload } from "../../packages/control/dist/reload.js";
import { Router } from "../../packages/control/dist/router/router.js";
import { Watch } from "../../packages/control/dist/router/watch.js";
import { type State, StateStore } from "../../packages/control/dist/state/store.js";
import { openSupervisor } from "../../packages/control/dist/systemd.js";
import { publicKeyText } from "../../packages/control/dist/wireguard/key.js";
import { Errors, type TSchema } from "../../packages/control/src/typebox.js";
import { ownMs } from "../lab/own-time.js";
import { WireguardDouble } from "../lab/wireguard-double.js";

const WEFT = fileURLToPath(new URL("../../packages/control/bin/weft.js", import.meta.url));
const BLUE: ConfiguredNetwork = { spec: { name: "blue", vni: 42, vteps: ["10.9.0.2", "10.9.0.3:8472"] }, routes: [] };

interface Setup {
  readonly networks?: readonly ConfiguredNetwork[];
  readonly state?: State;
  readonly dir?: string;
  readonly link?: MemoryLink;
  /** Peers of a WireGuard double. */
  readonly peers?: readonly PeerSpec[];
  readonly own?: Partial<WireguardInfo>;
}

/** Operations that answer nothing here: control-mesh-api.test.ts has them. */
const ONLY_MESH = new Set(meshEndpoints(undefined).map((e) => e.path));
const AROUND = { parked: () => [], isUp: () => true, fdbLimit: 65_536 };

/** A router over the twin, with what a daemon has around it. */
async function open(t: Test, { networks = [BLUE], state, dir = temporary(t), link, peers, own }: Setup = {}) {
  const host = link ?? new MemoryLink({ addresses: ["10.9.0.1"] });
  const real = await Dataplane.start({ underlay: ["10.9.0.1"], link: host, persistent: true });
  const double = new WireguardDouble(real, peers ?? [], own);
  const dataplane: DataplaneApi = peers ? double.dataplane : real;
  const lines: { msg: string; level: string; port?: string; peer?: string; network?: string }[] = [];
  const log = await openLog(
    { level: "debug", format: "json", name: "test" },
    { write: (line) => void lines.push(JSON.parse(line) as (typeof lines)[number]) },
  );
  const watch = new Watch(dataplane, log);
  const store = new StateStore(dir);
  const removed: string[] = [];
  const router = new Router({
    dataplane,
    store,
    networks,
    peers,
    vteps: ["10.9.0.9"],
    log,
    saveAgainMs: 50,
    removeDevice: ({ ifname }) => {
      removed.push(ifname);
      host.deleteDevice(ifname);
    },
  });
  await router.start(state ?? store.load());
  t.teardown(() => router.park());
  let downs = 0;
  const options: ApiOptions = {
    router,
    facts: () => ({
      name: "test",
      state: "ready",
      startedAt: new Date(),
      socket: join(dir, "weft.sock"),
      metrics: null,
      stateDir: dir,
      watch,
    }),
    down: async () => {
      downs += 1;
      await router.down();
    },
    log,
  };
  const app = api(options);
  const ask = async (method: string, path: string, body?: unknown) => {
    const text = body === undefined ? null : typeof body === "string" ? body : JSON.stringify(body);
    const response = await app.request(path, { method, body: text });
    return { status: response.status, body: (await response.json()) as never };
  };
  return {
    dataplane,
    double,
    router,
    store,
    watch,
    dir,
    link: host,
    lines,
    log,
    removed,
    options,
    ask,
    downs: () => downs,
  };
}

function temporary(t: { teardown(f: () => void): unknown }): string {
  const dir = mkdtempSync(join(tmpdir(), "weft-api-"));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

function fits(t: Test, schema: TSchema, value: unknown, what: string): void {
  t.same(Errors(schema, value)[1], [], `${what} is as the schema says`);
}

t.test("what the API answers is what its document promises", async (t) => {
  const { ask, options } = await open(t);
  const port = await ask("POST", "/v1/ports", {
    network: "blue",
    id: "c1",
    ifname: "c1",
    ip: ["10.8.0.1/24"],
    labels: { app: "web" },
  });
  t.equal(port.status, 201);
  t.match(port.body, { id: "c1", network: "blue", state: "up", mtu: 1450, labels: { app: "web" } });
  await ask("PUT", "/v1/networks/blue/routes", [
    { mac: "02:00:00:00:00:07", via: "10.9.0.2" },
    { prefix: "10.8.1.0/24", via: "blackhole" },
  ]);

  const answers = new Map<string, TSchema>();
  for (const e of endpoints(options))
    if (e.method === "get" && !ONLY_MESH.has(e.path))
      answers.set(e.path.replace("{id}", "c1").replace("{name}", "blue"), e.answer);
  t.ok(answers.size >= 9);
  for (const [path, schema] of answers) {
    const { status, body } = await ask("GET", path);
    t.equal(status, 200, path);
    fits(t, schema, body, path);
  }
  fits(t, schemas.Port, port.body, "an attached port");
  const status = (await ask("GET", "/v1/status")).body as {
    networks: unknown[];
    ports: unknown[];
    counters: { drops: unknown[] };
  };
  t.match(status, {
    name: "test",
    state: "ready",
    pid: process.pid,
    networks: [{ name: "blue", routes: 2 }],
    ports: [{ id: "c1" }],
  });
  t.ok(status.counters.drops.length > 30, "all drop reasons, zero ones too");
});

t.test("wrong requests are refused whole, with every problem", async (t) => {
  const { ask, dataplane } = await open(t);
  const wrong = await ask("POST", "/v1/ports", {
    network: "Blue",
    ip: ["10.8.0.1"],
    mac: "03:00:00:00:00:01",
    mtu: 5,
    frob: 1,
    netns: "",
  });
  t.equal(wrong.status, 400);
  const { error } = wrong.body as { error: { code: string; problems: string[] } };
  t.equal(error.code, "invalid_input");
  for (const key of ["network", "ip[0]", "mac", "mtu", "frob", "netns"]) {
    t.ok(
      error.problems.some((p) => p.startsWith(`${key}:`)),
      key,
    );
  }
  fits(t, schemas.Failure, wrong.body, "a failure");

  const cases: [status: number, code: string, message: RegExp, method: string, path: string, body?: unknown][] = [
    [400, "invalid_input", /not JSON/, "POST", "/v1/ports", "{"],
    [400, "invalid_input", /found \[\]; allowed: what to attach/, "POST", "/v1/ports", []],
    [404, "not_found", /no network red \(known: blue\)/, "POST", "/v1/ports", { network: "red" }],
    [409, "conflict", /VNI 42, not 43/, "POST", "/v1/ports", { network: "blue", vni: 43 }],
    [400, "invalid_input", /mtu: found 9000, allowed: .*1450/, "POST", "/v1/ports", { network: "blue", mtu: 9000 }],
    [404, "not_found", /no port nope/, "GET", "/v1/ports/nope"],
    [400, "invalid_input", /which ports/, "DELETE", "/v1/ports"],
    [404, "not_found", /no network red/, "GET", "/v1/networks/red"],
    [404, "not_found", /no network red/, "GET", "/v1/networks/red/routes"],
    [404, "not_found", /no network red/, "PUT", "/v1/networks/red/routes", []],
    [404, "not_found", /no network red/, "GET", "/v1/fdb?network=red"],
    [404, "not_found", /no network red/, "POST", "/v1/flush", { network: "red" }],
    [400, "invalid_input", /vni/, "PUT", "/v1/networks/red", {}],
    [409, "conflict", /network blue has vni 42/, "PUT", "/v1/networks/red", { vni: 42 }],
    ...["netns", "ifname"].map((key): (typeof cases)[number] => [
      400,
      "invalid_input",
      new RegExp(`${key}: not with "configure": false`),
      "POST",
      "/v1/ports",
      { network: "blue", configure: false, [key]: "c2", ip: ["10.8.0.2/24"] },
    ]),
    [400, "invalid_input", /encryption/, "PUT", "/v1/networks/red", { vni: 43, encryption: "required" }],
    [400, "invalid_input", /via/, "PUT", "/v1/networks/blue/routes", [{ mac: "02:00:00:00:00:07", via: "10.9.9.9" }]],
    [404, "not_found", /no GET \/v1\/frob.*openapi/, "GET", "/v1/frob"],
  ];
  for (const [status, code, message, method, path, body] of cases) {
    const answer = await ask(method, path, body);
    t.equal(answer.status, status, `${method} ${path} ${JSON.stringify(body)}: ${JSON.stringify(answer.body)}`);
    const failure = (answer.body as { error: { code: string; message: string; problems?: string[] } }).error;
    t.equal(failure.code, code);
    t.match([failure.message, ...(failure.problems ?? [])].join("\n"), message);
    t.notMatch(JSON.stringify(failure), /\.js:|\\n\s+at /, "no stack");
  }
  t.same(dataplane.ports(), []);
  t.same(
    dataplane.networks().map((n) => n.name),
    ["blue"],
  );
});

t.test(
  "attach by VNI makes a network with the default VTEPs, keeps it, and takes it back when attaching fails",
  async (t) => {
    const { ask, dataplane, store } = await open(t);
    t.equal((await ask("POST", "/v1/ports", { vni: 42, ifname: "a", id: "a" })).status, 201);
    t.equal(dataplane.ports()[0]?.network, "blue", "a VNI that a network has means that network");

    t.equal((await ask("POST", "/v1/ports", { vni: 7, mtu: 9000 })).status, 400);
    t.same(
      dataplane.networks().map((n) => n.name),
      ["blue"],
      "nothing is left of the failed one",
    );
    t.same(store.load().networks, []);

    t.match((await ask("POST", "/v1/ports", { vni: 7, ifname: "b", id: "b" })).body, { network: "vni-7" });
    t.same(dataplane.networks().find((n) => n.vni === 7)?.vteps, ["10.9.0.9"]);
    t.match(store.load(), {
      networks: [{ spec: { name: "vni-7", vni: 7 } }],
      ports: [{ id: "a" }, { id: "b", network: "vni-7" }],
    });

    const which = await ask("POST", "/v1/ports", { ifname: "c" });
    t.equal(which.status, 400, "two networks: which?");
    t.match(which.body, { error: { message: /blue, vni-7/ } });
  },
);

t.test("the only network needs no name", async (t) => {
  const { ask } = await open(t);
  t.match((await ask("POST", "/v1/ports", { ifname: "a" })).body, { network: "blue" });
});

t.test("a repeated attach answers the port that is there; another wish under its id is a conflict", async (t) => {
  const { ask, dataplane, lines } = await open(t);
  const wish = { network: "blue", ifname: "a", id: "a", ip: ["10.8.0.1/24"], labels: { x: "1", y: "2" } };
  const first = await ask("POST", "/v1/ports", wish);
  const again = await ask("POST", "/v1/ports", { ...wish, network: undefined, vni: 42, labels: { y: "2", x: "1" } });
  t.same([again.status, again.body], [first.status, first.body]);
  t.equal(dataplane.ports().length, 1);
  const others: [object, RegExp][] = [
    [{ ...wish, ip: ["10.8.0.2/24"] }, /another ip:/],
    [{ ...wish, netns: "c2", mac: "02:00:00:00:00:99", labels: {} }, /another netns, mac, labels:/],
    [{ ...wish, vni: 7, network: undefined }, /another network:/],
    [{ ...wish, id: "b", mac: dataplane.ports()[0]?.mac }, /port a has the MAC/],
  ];
  for (const [other, message] of others) {
    const answer = await ask("POST", "/v1/ports", other);
    t.match([answer.status, answer.body], [409, { error: { code: "conflict", message } }]);
  }
  t.match(
    dataplane.networks().map((n) => n.name),
    ["blue"],
    "no network was made for it",
  );
  t.equal((await ask("POST", "/v1/ports", { ...wish, ifname: "c", id: "c" })).status, 201);
  t.ok(
    lines.some((l) => l.level === "warn" && l.port === "c" && /twice.*10\.8\.0\.1 belongs to port a/.test(l.msg)),
    "an address that two ports have is a warning",
  );
});

t.test("a network with ports is not removed", async (t) => {
  const { ask, dataplane } = await open(t);
  await ask("POST", "/v1/ports", { network: "blue", ifname: "a", id: "a" });
  const answer = await ask("DELETE", "/v1/networks/blue");
  t.match([answer.status, answer.body], [409, { error: { code: "conflict", message: /blue has a port \(a\)/ } }]);
  await ask("DELETE", "/v1/ports/a");
  t.same((await ask("DELETE", "/v1/networks/blue")).body, { removed: true });
  t.same(dataplane.networks(), []);
});

/** Peers of the double: names instead of keys. */
const PEER_B: PeerSpec = { publicKey: "b", endpoint: "10.9.0.2:51820", allowedIps: ["10.7.0.2/32"] };
const PEER_C: PeerSpec = { publicKey: "c", allowedIps: ["10.7.0.3/32"], presharedKey: Buffer.alloc(32, 7) };
const secret = (name: string, vni: number, vteps: string[], more: object = {}): ConfiguredNetwork => ({
  spec: { name, vni, vteps, encryption: "required", ...more },
  routes: [],
});

t.test("WireGuard in the API: as its document promises, without keys", async (t) => {
  const { ask, options, double } = await open(t, {
    peers: [PEER_B, PEER_C],
    networks: [secret("blue", 42, ["10.7.0.2"])],
  });
  double.news.set("b", {
    session: "established",
    lastHandshake: 1_893_456_000_000,
    receive: { packets: 3, bytes: 444 },
  });
  for (const e of endpoints(options)) {
    if (e.method !== "get" || e.path.includes("{") || ONLY_MESH.has(e.path)) continue;
    const { body } = await ask("GET", e.path);
    fits(t, e.answer, body, e.path);
    t.notMatch(JSON.stringify(body), /privateKey|BwcHBwcH|"data":\[7/, `${e.path} tells no key`);
  }
  const { body } = await ask("GET", "/v1/peers");
  t.match(body, {
    listenPort: 51_820,
    mtu: 1440,
    peers: [{ publicKey: "b", receive: { bytes: 444 } }, { presharedKey: true }],
  });
  t.same((await ask("GET", "/v1/status")).body["wireguard"], body);
  t.match((await ask("GET", "/v1/networks")).body, [{ encryption: "required" }]);

  const put = await ask("PUT", "/v1/networks/red", { vni: 43, encryption: "none", vteps: ["10.9.0.2"] });
  t.match([put.status, put.body], [200, { encryption: "none" }]);
  t.match(
    (await ask("PUT", "/v1/networks/red", { vni: 43, vteps: [] })).body,
    { encryption: "required" },
    "left out: the default",
  );
  const wrong = await ask("PUT", "/v1/networks/red", { vni: 43, vteps: ["10.9.0.2"] });
  t.match([wrong.status, wrong.body], [400, { error: { code: "invalid_input", message: /10\.9\.0\.2/ } }]);
  t.match((await ask("PUT", "/v1/networks/red", { vni: 43, encryption: "yes" })).body, {
    error: { message: /encryption: found "yes"; allowed: required, none or mixed/ },
  });
  const without = await open(t);
  t.same(await without.ask("GET", "/v1/peers"), { status: 200, body: null }, "null without WireGuard");
});

t.test("what is in clear beside WireGuard is said; so is a tunnel that is too narrow", async (t) => {
  const { lines } = await open(t, {
    peers: [PEER_B],
    networks: [
      secret("blue", 42, ["10.7.0.1", "10.7.0.2"]),
      secret("plain", 43, ["10.9.0.2"], { encryption: "none" }),
      secret("both", 44, ["10.7.0.2", "10.9.0.3"], { encryption: "mixed" }),
      secret("wide", 45, ["10.7.0.2"], { mtu: 1400 }),
    ],
  });
  const said = (network: string): string[] =>
    lines.filter((l) => l.network === network).map((l) => `${l.level} ${l.msg}`);
  t.same(
    said("blue").filter((l) => l.startsWith("warn")),
    [],
  );
  t.match(said("plain"), [/^warn encryption: none: all it exchanges with other hosts is in clear/]);
  t.match(said("both"), [/^warn encryption: mixed: VXLAN in clear is taken, and sent to 10\.9\.0\.3$/]);
  t.match(said("wide"), [/^warn MTU 1400 makes packets of 1450 octets, more than the 1440 of the WireGuard tunnel/]);
  const without = await open(t);
  t.notOk(
    without.lines.some((l) => /in clear/.test(l.msg)),
    "without WireGuard nobody expects it",
  );
});

t.test("peers that come, roam and stay away are in the log", async (t) => {
  const { double, lines } = await open(t, { peers: [PEER_B], networks: [] });
  lines.length = 0;
  const came = { type: "handshake", peer: "b", role: "initiator" } as const;
  double.tell(came);
  double.tell(came);
  double.tell({ type: "roamed", peer: "b", endpoint: "10.9.0.7:1024" });
  double.tell({ type: "unreachable", peer: "b" });
  double.tell(came);
  double.tell({ type: "stranger", publicKey: "c", endpoint: "10.9.0.8:1024" });
  t.match(lines, [
    { level: "info", peer: "b", role: "initiator", component: "wireguard", msg: "session with peer" },
    { level: "debug", peer: "b", msg: "new keys with peer" },
    { level: "info", peer: "b", endpoint: "10.9.0.7:1024", msg: "peer roamed" },
    { level: "warn", peer: "b", msg: /unreachable: no answer for 90 s/ },
    { level: "info", peer: "b", msg: "session with peer" },
    { level: "warn", publicKey: "c", endpoint: "10.9.0.8:1024", msg: /no peer's here/ },
  ]);
});

t.test("a network of the state directory stays as encrypted as it was", async (t) => {
  const dir = temporary(t);
  const link = new MemoryLink({ addresses: ["10.9.0.1"] });
  const first = await open(t, { dir, link, networks: [], peers: [{ ...PEER_B, allowedIps: ["10.9.0.9/32"] }] });
  await first.ask("POST", "/v1/ports", { vni: 7, ifname: "a", id: "a" });
  await first.ask("PUT", "/v1/networks/own", { vni: 8, encryption: "none" });
  t.match(first.store.load().networks, [
    { spec: { name: "vni-7", encryption: "required" } },
    { spec: { name: "own", encryption: "none" } },
  ]);
  await first.router.park();

  const again = await open(t, { dir, link, networks: [], peers: [{ ...PEER_B, allowedIps: ["10.9.0.9/32"] }] });
  t.match(again.dataplane.networks(), [{ encryption: "required" }, { encryption: "none" }]);
  await again.router.park();
  await t.rejects(
    open(t, { dir, link, networks: [] }),
    {
      code: "bad_config",
      problems: [/^network vni-7 \(of the state directory; the configuration file may have it instead\): encryption/],
    },
    "without WireGuard it is refused, not sent in clear",
  );
});

t.test("peers come before the networks that need them, and go after those that needed them", async (t) => {
  const { router, double } = await open(t, { peers: [PEER_B], networks: [secret("blue", 42, ["10.7.0.2"])] });
  const { changes } = double;
  const to = async (networks: ConfiguredNetwork[], peers: PeerSpec[]): Promise<string[]> => {
    changes.length = 0;
    await router.reload(networks, peers);
    t.same(double.peers, peers, "in the end they are as the file says");
    return changes;
  };
  const blue = (...vteps: string[]) => secret("blue", 42, vteps);
  t.same(await to([blue("10.7.0.2")], [PEER_B]), ["set blue"], "the same peers are left alone");
  t.same(await to([blue("10.7.0.2", "10.7.0.3")], [PEER_B, PEER_C]), ["peers b c", "set blue"]);
  t.same(await to([blue("10.7.0.3")], [PEER_C]), ["set blue", "peers c"]);
  t.same(await to([blue("10.7.0.2")], [PEER_B]), ["peers c b", "set blue", "peers b"], "all exchanged");
  const moved = { ...PEER_C, allowedIps: ["10.7.0.2/32", "fd07::3/128"] };
  t.same(await to([blue("10.7.0.2")], [moved]), ["peers b c", "set blue", "peers c"], "a prefix with another peer");
  t.same(await to([blue("10.7.0.4")], [{ ...moved, allowedIps: ["10.7.0.4/32"] }]), ["peers c", "set blue", "peers c"]);
  t.same(await to([], []), ["remove blue", "peers "]);

  await to([blue("10.7.0.2")], [PEER_B]);
  const before = JSON.stringify(double.dataplane.networks());
  await t.rejects(router.reload([blue("10.7.0.3"), secret("red", 43, ["10.7.0.9"])], [PEER_C]), {
    code: "INVALID_INPUT",
  });
  t.equal(JSON.stringify(double.dataplane.networks()), before, "a file that cannot be: all is as before");
  t.same(double.peers, [PEER_B]);
  await router.putNetwork({ name: "own", vni: 50, vteps: ["10.7.0.2"] });
  await t.rejects(router.reload([], [PEER_C]), { code: "INVALID_INPUT" }, "a network of the API still needs the peer");
  t.same(double.peers, [PEER_B]);
  t.same(
    double.dataplane
      .networks()
      .map((n) => n.name)
      .sort(),
    ["blue", "own"],
  );
});

t.test("SIGHUP says what waits for a restart", async (t) => {
  const dir = temporary(t);
  const path = join(dir, "weft.yaml");
  const keyOf = (octet: number): void =>
    writeFileSync(join(dir, "wg.key"), Buffer.alloc(32, octet).toString("base64"), { mode: 0o600 });
  keyOf(1);
  const peer = { publicKey: publicKeyText(Buffer.alloc(32, 2)), allowedIps: ["10.7.0.2/32"] };
  const wireguard = { privateKeyFile: "wg.key", address: ["10.7.0.1"], peers: [] as object[] };
  const networks = [{ name: "blue", vni: 42 }];
  const read = (file: object): Promise<Config> => {
    writeFileSync(path, JSON.stringify(file));
    return resolveConfig({ config: path });
  };
  const before = await read({ wireguard, networks });
  const own = { publicKey: publicKeyText(Buffer.alloc(32, 1)) };
  const { router, lines, log, double } = await open(t, { peers: [], own, networks: before.networks });
  const after = async (file: object): Promise<string[]> => {
    lines.length = 0;
    await reload(router, before, () => read(file), log);
    return lines.filter((l) => l.level !== "debug").map((l) => `${l.level} ${l.msg}`);
  };
  t.same(await after({ wireguard, networks }), ["info configuration read again: networks are as the file says"]);
  const grown = { ...wireguard, peers: [peer] };
  t.match(await after({ wireguard: grown, networks: [{ ...networks[0], vteps: ["10.7.0.2"] }] }), [/^info/]);
  t.same(double.peers, [peer]);
  keyOf(3);
  const other = { ...grown, listenPort: 51_821, address: ["10.7.0.9"], device: "wg-weft", rekeyAfterMessages: 5 };
  t.match(await after({ wireguard: other, workers: 2, networks }), [
    /^info/,
    /^warn changed in the file, in force after a restart: workers, wireguard\.privateKeyFile, wireguard\.(\w+, wireguard\.){3}\w+$/,
  ]);
  for (const key of ["listenPort", "address", "device", "rekeyAfterMessages"])
    t.match(lines.at(-1)?.msg, `wireguard.${key}`);
  t.same(double.peers, [peer], "peers are in force at once");
  t.match(await after({ networks }), [
    /^error configuration not taken over: all is as before/,
    /^warn changed in the file, in force after a restart: wireguard$/,
  ]);
  t.match(lines[0], { err: /the wireguard section is gone, which takes a restart, and the networks depend on it/ });
  t.match(double.dataplane.networks(), [{ encryption: "required" }], "nothing is in clear now");
  rmSync(join(dir, "wg.key"));
  t.match(await after({ wireguard: grown, networks }), [/^error configuration not taken over/]);
  t.match(lines[0], { err: /wireguard\.privateKeyFile: .*wg\.key cannot be read/ });
});

t.test("a file that was read again: networks come, change and go, and a wrong one changes nothing", async (t) => {
  const RED: ConfiguredNetwork = {
    spec: { name: "red", vni: 43, vteps: ["10.9.0.2"] },
    routes: [{ prefix: "10.8.1.0/24", via: "10.9.0.2" }],
  };
  const { ask, router, dataplane, lines } = await open(t, { networks: [BLUE, RED] });
  await ask("POST", "/v1/ports", { network: "blue", ifname: "a", id: "a" });
  await ask("PUT", "/v1/networks/own", { vni: 50 });
  const green: ConfiguredNetwork = { spec: { name: "green", vni: 44 }, routes: [] };
  const wide: ConfiguredNetwork = { spec: { ...BLUE.spec, vteps: ["10.9.0.2", "10.9.0.4"] }, routes: [] };
  const names = () => dataplane.networks().map((n) => n.name);

  t.same(await router.reload([wide, green]), { set: 2, removed: ["red"], left: [] });
  t.same(names().sort(), ["blue", "green", "own"]);
  t.match(
    dataplane.networks().find((n) => n.name === "blue"),
    { vteps: ["10.9.0.2", "10.9.0.4"], ports: 1 },
  );

  const before = JSON.stringify(dataplane.networks());
  const wrong: ConfiguredNetwork = { spec: { name: "wrong", vni: 51, vteps: ["fd00::9"] }, routes: [] };
  await t.rejects(router.reload([BLUE, wrong]), { code: "INVALID_INPUT" }, "no IPv6 underlay");
  t.equal(JSON.stringify(dataplane.networks()), before, "all is as before");
  await t.rejects(router.reload([{ spec: { name: "x", vni: 50 }, routes: [] }]), { code: "conflict", message: /own/ });
  t.equal(JSON.stringify(dataplane.networks()), before);

  t.same(await router.reload([RED]), { set: 1, removed: ["green"], left: ["blue"] });
  t.same(names().sort(), ["blue", "own", "red"]);
  t.same(dataplane.routes("red").list(), RED.routes);
  t.ok(
    lines.some((l) => l.level === "warn" && /no longer in the configuration file, but kept: it has ports/.test(l.msg)),
  );
});

t.test("what is likely not meant is said: MTU, own address among the VTEPs", async (t) => {
  const link = new MemoryLink({ addresses: ["10.9.0.1"] });
  const dir = temporary(t);
  const jumbo: ConfiguredNetwork = { spec: { ...BLUE.spec, mtu: 9000, vteps: ["10.9.0.1", "10.9.0.2"] }, routes: [] };
  const first = await open(t, { link, dir, networks: [jumbo] });
  t.same(first.dataplane.networks()[0]?.vteps, ["10.9.0.2"]);
  t.ok(first.lines.some((l) => l.level === "info" && /own address is left out of the VTEPs: 10\.9\.0\.1/.test(l.msg)));
  t.ok(
    first.lines.some(
      (l) => l.level === "warn" && /MTU 9000 makes packets of 9050 octets, more than the 1500/.test(l.msg),
    ),
  );
  await first.ask("POST", "/v1/ports", { network: "blue", ifname: "a", id: "a" });
  await first.router.park();
  const second = await open(t, { link, dir });
  t.ok(
    second.lines.some((l) => l.level === "warn" && l.port === "a" && /still has MTU 9000.*network 1450/.test(l.msg)),
  );
});

t.test("hosts that are refused and an underlay that goes down are said once, and shown", async (t) => {
  const listeners: ((event: DataplaneEvent) => void)[] = [];
  const { dataplane } = await open(t);
  // What only foreign hosts and real interfaces cause, told by hand.
  const told = new Proxy(dataplane, {
    get: (target, key) =>
      key === "on"
        ? (_: "event", listener: (event: DataplaneEvent) => void) => listeners.push(listener)
        : (Reflect.get(target, key, target) as unknown),
  });
  const lines: { msg: string; level: string }[] = [];
  const log = await openLog(
    { level: "info", format: "json", name: "test" },
    { write: (line) => void lines.push(JSON.parse(line) as (typeof lines)[number]) },
  );
  const watch = new Watch(told, log, {
    now: () => new Date("2030-01-01T00:00:00Z"),
    isMember: (address) => address === "fd00:1::b",
  });
  const tell = (event: DataplaneEvent): void => {
    for (const listener of listeners) listener(event);
  };
  tell({ type: "refused", source: "10.9.0.7", vni: 42, network: "blue", reason: "unknown_vtep" });
  tell({ type: "refused", source: "10.9.0.8", vni: 99, network: null, reason: "unknown_vni" });
  t.match(lines, [
    {
      level: "warn",
      msg: /^VXLAN from 10\.9\.0\.7 for VNI 42 refused: no VTEP of network blue \(add it: in a mesh with `weft network add-vtep`/,
    },
    { level: "warn", msg: /^VXLAN from 10\.9\.0\.8 for VNI 99 refused: no network here has this VNI$/ },
  ]);
  tell({ type: "refused", source: "fd00:1::b", vni: 42, network: "blue", reason: "unknown_vtep" });
  tell({ type: "refused", source: "fd00:1::b", vni: 99, network: null, reason: "unknown_vni" });
  t.equal(lines.length, 2, "a member whose records are on their way is nothing to tell");
  t.match(watch.refused, [{ source: "10.9.0.8" }, { source: "10.9.0.7", network: "blue" }], "the latest first");
  for (let i = 0; i < 50; i++)
    tell({ type: "refused", source: `10.9.1.${i}`, vni: 42, network: "blue", reason: "unknown_vtep" });
  t.equal(lines.length, 8, "forged sources do not fill the log");
  t.equal(watch.refused.length, 16);

  lines.length = 0;
  t.equal(watch.isUp("10.9.0.1"), true);
  tell({ type: "underlay", address: "10.9.0.1", up: false, mtu: 1500 });
  t.equal(watch.isUp("10.9.0.1"), false);
  tell({ type: "underlay", address: "10.9.0.1", up: true, mtu: 1400 });
  tell({ type: "underlay", address: "10.9.0.1", up: true, mtu: 1500 });
  t.match(lines, [
    { level: "warn", msg: /^underlay down/ },
    { level: "info", msg: /up again, MTU 1400/ },
    { level: "info", msg: /MTU of the underlay is 1500 now/ },
  ]);
});

t.test("detach is idempotent, and a record leaves the disk with its port", async (t) => {
  const { ask, store } = await open(t);
  await ask("POST", "/v1/ports", { network: "blue", ifname: "a", id: "a" });
  t.equal(store.load().ports.length, 1);
  t.same((await ask("DELETE", "/v1/ports/a")).body, { detached: ["a"] });
  t.same((await ask("DELETE", "/v1/ports/a")).body, { detached: [] });
  t.same((await ask("DELETE", "/v1/ports?netns=nowhere")).body, { detached: [] });
  t.same(store.load().ports, []);
});

t.test("a port that cannot be written to disk is not attached", async (t) => {
  const { ask, dataplane, dir } = await open(t);
  // A directory where the temporary file should be: the write fails, for root too.
  mkdirSync(join(dir, "state.json.new"));
  const answer = await ask("POST", "/v1/ports", { network: "blue", ifname: "a", id: "a" });
  t.not(answer.status, 201);
  t.same(dataplane.ports(), []);
  rmdirSync(join(dir, "state.json.new"));
  t.equal((await ask("POST", "/v1/ports", { network: "blue", ifname: "a", id: "a" })).status, 201);
});

t.test("a disk that refuses stops nothing, and is tried again", async (t) => {
  const link = new MemoryLink({ addresses: ["10.9.0.1"] });
  const dir = temporary(t);
  const first = await open(t, { link, dir });
  for (const id of ["a", "b"]) await first.ask("POST", "/v1/ports", { network: "blue", ifname: id, id });
  await first.router.park();
  const { ports } = first.store.load();
  const broken = join(dir, "state.json.new");
  mkdirSync(broken);

  const same = await open(t, { link, dir });
  t.same(
    same.lines.filter((l) => l.level === "error"),
    [],
    "nothing changed: nothing is written",
  );
  await same.router.park();

  const ghost = { ...RECORD, id: "ghost", netnsPath: null, netnsId: null, ifname: "ghost" };
  const second = await open(t, { link, dir, state: { networks: [], ports: [...ports, ghost] } });
  const errors = second.lines.filter((l) => l.level === "error");
  t.equal(errors.length, 1, "one error");
  t.match(errors[0], { msg: /state directory cannot be written.*tried again/ });
  t.equal(second.dataplane.ports().length, 2, "the ports are adopted all the same");
  const gone = await second.ask("DELETE", "/v1/ports/a");
  t.equal(gone.status, 507);
  t.match(gone.body, { error: { code: "not_recorded", message: /port a is detached, but the state directory/ } });
  t.same(
    second.dataplane.ports().map((p) => p.id),
    ["b"],
  );
  rmdirSync(broken);
  const isWritten = (): boolean => second.lines.some((l) => /can be written again/.test(l.msg));
  for (let i = 0; i < 600 && !isWritten(); i++) await sleep(50);
  t.same(
    second.store.load().ports.map((p) => p.id),
    ["b"],
    "written as soon as it can be",
  );
  t.match(second.lines.at(-1), { level: "info", msg: /can be written again/ });
});

t.test(
  "a kept network that somebody else took out of the data plane stops nothing; it is taken before the start",
  async (t) => {
    const first = await open(t);
    t.equal((await first.ask("PUT", "/v1/networks/green", { vni: 43 })).status, 200);
    await first.dataplane.removeNetwork("green");
    t.equal((await first.ask("POST", "/v1/ports", { network: "blue", ifname: "a", id: "a" })).status, 201);
    const state = first.store.load();
    t.match(state.networks, [{ spec: { name: "green", vni: 43 }, routes: [] }]);
    const log = await openLog({ level: "error", format: "json", name: "test" });
    const next = new Router({
      ...{ dataplane: first.dataplane, networks: [BLUE], state, vteps: [], log },
      removeDevice: () => undefined,
    });
    t.same(
      next.ownNetworks.map(({ vni }) => vni),
      [42, 43],
    );
  },
);

t.test("a body is counted while it comes, and its depth has an end", async (t) => {
  const { options } = await open(t);
  const app = api(options);
  const part = new Uint8Array(1 << 20).fill(0x20);
  let sent = 0;
  const body = new ReadableStream({
    pull(controller) {
      sent += 1;
      if (sent <= 200) controller.enqueue(part);
      else controller.close();
    },
  });
  const long = await app.request("/v1/flush", { method: "POST", body, duplex: "half" } as RequestInit);
  t.equal(long.status, 400);
  t.match(await long.text(), /longer than/);
  t.ok(sent < 80, `${sent} MiB were taken`);
  const depth = 100_000;
  const objects = [`{"a":`.repeat(depth), "1", "}".repeat(depth)].join("");
  for (const deep of ["[".repeat(depth).concat("]".repeat(depth)), objects]) {
    for (const [method, path] of [
      ["POST", "/v1/ports"],
      ["PUT", "/v1/networks/blue/routes"],
    ] as const) {
      const answer = await app.request(path, { method, body: deep });
      t.equal(answer.status, 400, `${path}: ${(await answer.text()).slice(0, 200)}`);
    }
  }
});

t.test("a reader of the log that stands still does not stop the daemon", async (t) => {
  const path = join(temporary(t), "fifo");
  execFileSync("mkfifo", [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = nonBlocking(openSync(path, constants.O_WRONLY));
  const lost: number[] = [];
  const output = new LogOutput(writer, (lines) => lost.push(lines));
  const line = `${"x".repeat(1023)}\n`;
  const startedAt = ownMs();
  for (let i = 0; i < 3000; i++) output.write(line);
  output.flushSync();
  t.ok(ownMs() - startedAt < 3000, "nobody waits for it");
  t.ok(output.lost > 1500 && output.lost < 3000, `${output.lost} lines were dropped and counted`);
  const dropped = output.lost;
  let read = 0;
  const buffer = Buffer.alloc(1 << 16);
  for (let i = 0; i < 2000 && lost.length === 0; i++) {
    try {
      read += readSync(reader, buffer);
    } catch {
      await sleep(10);
    }
  }
  t.same(lost, [dropped], "told once there is room");
  for (let more = 1; more > 0; read += more) {
    try {
      more = readSync(reader, buffer);
    } catch {
      more = 0;
    }
  }
  t.equal(read, (3000 - dropped) * line.length, "every other line arrived whole");
});

t.test("the next run adopts ports, networks and routes; the file's networks are as the file says", async (t) => {
  const link = new MemoryLink({ addresses: ["10.9.0.1"] });
  const dir = temporary(t);
  const first = await open(t, { link, dir });
  await first.ask("POST", "/v1/ports", {
    network: "blue",
    ifname: "a",
    id: "a",
    ip: ["10.8.0.1/24"],
    mac: "02:00:00:00:00:0a",
  });
  await first.ask("PUT", "/v1/networks/red", { vni: 43, vteps: ["10.9.0.7"], mtu: 1400 });
  await first.ask("PUT", "/v1/networks/red/routes", [{ mac: "02:00:00:00:00:07", via: "10.9.0.7" }]);
  await first.ask("PUT", "/v1/networks/blue", { vni: 42, vteps: ["10.9.0.8"] });
  t.ok(
    first.lines.some((l) => l.level === "warn" && /until the daemon stops/.test(l.msg)),
    "a change of a file's network says that it will not last",
  );
  await first.router.park();
  t.equal((await first.ask("GET", "/v1/ports")).status, 200);

  const second = await open(t, { link, dir });
  t.match(second.dataplane.ports(), [
    { id: "a", network: "blue", mac: "02:00:00:00:00:0a", ip: ["10.8.0.1/24"], state: "up" },
  ]);
  t.equal(second.lines.filter((l) => l.msg === "adopted").length, 1);
  t.same(second.dataplane.networks().find((n) => n.name === "blue")?.vteps, BLUE.spec.vteps);
  t.match(
    second.dataplane.networks().find((n) => n.name === "red"),
    { mtu: 1400, vteps: ["10.9.0.7"] },
  );
  t.same(second.dataplane.routes("red").list(), [{ mac: "02:00:00:00:00:07", via: "10.9.0.7" }]);
  await second.router.park();

  // The file takes over VNI 43 under another name.
  const third = await open(t, { link, dir, networks: [BLUE, { spec: { name: "crimson", vni: 43 }, routes: [] }] });
  t.same(
    third.dataplane
      .networks()
      .map((n) => n.name)
      .sort((a, b) => a.localeCompare(b)),
    ["blue", "crimson"],
  );
  t.same(third.store.load().networks, []);
});

const RECORD: PortRecord = {
  id: "gone",
  network: "blue",
  ifname: "eth0",
  netnsPath: "/run/netns/weft-test-gone",
  netnsId: "4:1",
  mac: "02:00:00:00:00:0c",
  ip: ["10.8.0.3/24"],
  mtu: 1450,
  gateway: [],
  routes: [],
  labels: {},
  configure: true,
  role: "container",
  l3: false,
};

t.test("a port that is gone by itself does not take the next one of its id along", async (t) => {
  const { dataplane, router, link, store } = await open(t);
  await router.attach({ network: "blue", id: "a", ifname: "a1" });
  // At the earliest moment there is: the data plane has just removed the old one, and nobody has heard of it.
  const again = new Promise<unknown>((resolve) => {
    dataplane.on("event", (event) => {
      if (event.type === "portState" && event.state === "gone")
        resolve(router.attach({ network: "blue", id: "a", ifname: "a2" }));
    });
  });
  link.device("a1").destroy();
  t.match(await again, { id: "a", ifname: "a2" });
  // Behind whatever the news has brought about.
  await router.putRoutes("blue", []);
  t.match(dataplane.ports(), [{ id: "a", ifname: "a2", state: "up" }]);
  t.match(store.load().ports, [{ id: "a", ifname: "a2" }]);
});

t.test("a port whose namespace is gone is forgotten with one log line; one whose device is gone, too", async (t) => {
  const ghost = { ...RECORD, id: "ghost", netnsPath: null, netnsId: null, ifname: "ghost" };
  const { lines, dataplane, store } = await open(t, { state: { networks: [], ports: [RECORD, ghost] } });
  for (const port of ["gone", "ghost"]) {
    const about = lines.filter((l) => l.port === port);
    t.equal(about.length, 1, `one line about ${port}: ${JSON.stringify(about)}`);
    t.match(about[0], { level: "warn", msg: /^forgotten: / });
  }
  t.same(dataplane.ports(), []);
  t.same(store.load().ports, []);
});

t.test(
  "a port of a network that is not configured any more is parked, shown, and can be detached or come back",
  async (t) => {
    const link = new MemoryLink({ addresses: ["10.9.0.1"] });
    const dir = temporary(t);
    const first = await open(t, { link, dir });
    for (const id of ["a", "b"]) await first.ask("POST", "/v1/ports", { network: "blue", ifname: id, id });
    await first.router.park();

    const second = await open(t, { link, dir, networks: [] });
    const about = second.lines.filter((l) => l.port === "a");
    t.equal(about.length, 1);
    t.match(about[0], { level: "error", msg: /network blue is not configured any more.*weft detach a/ });
    t.match((await second.ask("GET", "/v1/status")).body, {
      parked: [{ id: "a", network: "blue" }, { id: "b" }],
      ports: [],
    });
    t.equal(second.store.load().ports.length, 2, "still on disk");
    t.same((await second.ask("DELETE", "/v1/ports/a")).body, { detached: ["a"] });
    t.same(second.removed, ["a"], "its device is deleted");
    await second.ask("PUT", "/v1/networks/blue", { vni: 42 });
    t.match(second.dataplane.ports(), [{ id: "b", state: "up" }], "adopted when its network is back");
    t.same(second.router.parked, []);
  },
);

t.test("down removes devices, parked ones too, and empties the state", async (t) => {
  const link = new MemoryLink({ addresses: ["10.9.0.1"] });
  const dir = temporary(t);
  const first = await open(t, { link, dir });
  await first.ask("POST", "/v1/ports", { network: "blue", ifname: "a", id: "a" });
  await first.ask("POST", "/v1/ports", { vni: 7, ifname: "b", id: "b" });
  await first.router.park();
  const second = await open(t, { link, dir, networks: [] });
  t.same((await second.ask("POST", "/v1/down", {})).body, { pid: process.pid, detached: 2 });
  t.equal(second.downs(), 1);
  t.same(second.removed, ["a"]);
  t.throws(() => link.device("b"), "the attached port's device is gone");
  t.same(second.store.load(), { networks: [], ports: [] });
  t.throws(() => statSync(join(dir, "state.json")), { code: "ENOENT" });
});

t.test("the OpenAPI document is complete and lists every operation", async (t) => {
  const { ask, options } = await open(t);
  const document = (await ask("GET", "/v1/openapi.json")).body as {
    openapi: string;
    info: { title: string; version: string };
    paths: Record<
      string,
      Record<
        string,
        {
          operationId: string;
          responses: Record<string, unknown>;
          parameters?: { in: string; name: string }[];
          requestBody?: unknown;
        }
      >
    >;
  };
  t.equal(document.openapi, "3.1.0");
  t.ok(document.info.title && document.info.version);
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, o]) => ({ path, method, ...o })),
  );
  t.same(
    operations.map((o) => `${o.method} ${o.path}`).sort((a, b) => a.localeCompare(b)),
    endpoints(options)
      .map((e) => `${e.method} ${e.path}`)
      .sort((a, b) => a.localeCompare(b)),
  );
  t.equal(new Set(operations.map((o) => o.operationId)).size, operations.length, "operation ids are unique");
  for (const o of operations) {
    const named = [...o.path.matchAll(/\{(\w+)\}/g)].map((m) => m[1]);
    t.same(
      (o.parameters ?? []).filter((p) => p.in === "path").map((p) => p.name),
      named,
      `${o.path} declares its parameters`,
    );
    t.ok(Object.keys(o.responses).length >= 2, "success and failure");
    t.match(o.operationId, /^[a-z][A-Za-z]+$/);
    t.equal(
      o.requestBody !== undefined,
      ["post", "put"].includes(o.method) && !["/v1/down", "/v1/tokens", "/v1/leave"].includes(o.path),
      `${o.method} ${o.path}`,
    );
  }
  for (const path of [
    "/v1/status",
    "/v1/ports",
    "/v1/networks/{name}/routes",
    "/v1/fdb",
    "/v1/neighbours",
    "/v1/peers",
    "/v1/counters",
    "/v1/flush",
    "/v1/down",
  ]) {
    t.ok(document.paths[path], path);
  }
});

/** Samples of one family: labels as written, value. */
function family(text: string, name: string): Map<string, number> {
  const lines = text.split("\n").filter((l) => l.startsWith(`${name}{`) || l.startsWith(`${name} `));
  return new Map(lines.map((l) => [l.slice(name.length, l.lastIndexOf(" ")), Number(l.slice(l.lastIndexOf(" ") + 1))]));
}

t.test("metrics", async (t) => {
  const { ask, dataplane, link } = await open(t);
  const metrics = openMetrics(dataplane, AROUND);

  t.test("every label set that exists is there before anything happened", async (t) => {
    const text = await metrics.scrape();
    const zero = (name: string, count: number) => {
      const samples = family(text, name);
      t.equal(samples.size, count, `${name} has ${count} series`);
      t.same(
        [...samples.values()].filter((v) => v !== 0),
        [],
        `${name} is all 0`,
      );
    };
    zero("weft_drops_total", dataplane.counters().drops.length);
    zero("weft_kernel_drops_total", 2);
    zero("weft_frames_total", 10);
    zero("weft_fdb_entries", 3);
    zero("weft_fdb_moves_total", 1);
    zero("weft_fdb_evictions_total", 1);
    zero("weft_ports", 5);
    zero("weft_batch_frames_count", 2);
    for (const way of ["receive", "transmit"]) {
      for (const unit of ["packets", "bytes"]) {
        zero(`weft_vtep_${way}_${unit}_total`, 2);
        zero(`weft_network_${way}_${unit}_total`, 1);
        zero(`weft_port_${way}_${unit}_total`, 0);
      }
    }
    t.equal(family(text, "weft_build_info").size, 1);
    t.same([...family(text, "weft_fdb_limit").values()], [65_536]);
    t.same(
      [...family(text, "weft_underlay_up").entries()].map(([k, v]) => [/10\.9\.0\.1/.test(k), v]),
      [[true, 1]],
    );
    t.ok(family(text, "weft_syscalls_total").size >= 5);
    t.ok(family(text, "process_cpu_seconds_total").size === 1, "process metrics");
  });

  t.test("numbers are the counters', and series of a detached port vanish", async (t) => {
    await ask("POST", "/v1/ports", { network: "blue", ifname: "m1", id: "m1", mac: "02:00:00:00:00:01" });
    await ask("POST", "/v1/ports", { network: "blue", ifname: "m2", id: "m2", mac: "02:00:00:00:00:02" });
    const frame = Buffer.alloc(60);
    frame.write("020000000002020000000001" + "88b5", 0, "hex");
    for (let i = 0; i < 5; i++) link.device("m1").inject(frame);
    for (let i = 0; i < 3000 && link.device("m2").take().length === 0; i++) await sleep(5);
    await sleep(200);
    const text = await metrics.scrape();
    const labels = '{network="blue",port="m1"}';
    t.equal(family(text, "weft_port_receive_packets_total").get(labels), 5);
    t.equal(family(text, "weft_port_receive_bytes_total").get(labels), 300);
    t.equal(family(text, "weft_port_transmit_packets_total").get('{network="blue",port="m2"}'), 5);
    t.equal(family(text, "weft_frames_total").get('{plane="egress",stage="in"}'), 5);
    t.equal(family(text, "weft_ports").get('{network="blue",state="up"}'), 2);
    t.ok((family(text, "weft_batch_frames_sum").get('{plane="egress"}') ?? 0) === 5);
    const buckets = family(text, "weft_batch_frames_bucket");
    t.equal(buckets.get('{plane="egress",le="+Inf"}'), family(text, "weft_batch_frames_count").get('{plane="egress"}'));

    await ask("DELETE", "/v1/ports/m1");
    const after = await metrics.scrape();
    t.notMatch(after, /port="m1"/);
    t.match(after, /port="m2"/);
    t.ok(
      (family(after, "weft_network_receive_packets_total").get('{network="blue"}') ?? 0) >= 5,
      "network totals never go back",
    );
    t.notMatch(after.replace(/^weft_port_info.*$/gm, ""), /02:00:00/, "no MAC is a label but in weft_port_info");
  });

  t.test("promtool has nothing to say, about the rules and the scrape configuration either", async (t) => {
    if (spawnSync("promtool", ["--version"]).error) {
      t.fail("promtool is missing: apt-get install prometheus");
      return;
    }
    const check = spawnSync("promtool", ["check", "metrics"], { input: await metrics.scrape(), encoding: "utf8" });
    t.equal(check.status, 0);
    t.equal(check.stderr + check.stdout, "");
    const deploy = fileURLToPath(new URL("../../deploy/", import.meta.url));
    t.equal(spawnSync("promtool", ["check", "config", "prometheus.yml"], { cwd: deploy }).status, 0);
    const alerts = readFileSync(join(deploy, "alerts.yml"), "utf8");
    const known = await metrics.scrape();
    for (const [name] of alerts.matchAll(/\bweft_[a-z_]+\b/g))
      t.match(known, new RegExp(`^# TYPE ${name} `, "m"), `${name} exists`);
    for (const [, reasons] of alerts.matchAll(/reason[!=]~"([^"]+)"/g)) {
      for (const reason of (reasons ?? "").split("|"))
        t.match(known, new RegExp(`reason="${reason}"`), `drop reason ${reason} exists`);
    }
  });
});

t.test("metrics of WireGuard", async (t) => {
  const { double, dataplane, router } = await open(t, { peers: [PEER_B, PEER_C], networks: [] });
  const metrics = openMetrics(dataplane, AROUND);
  const text = await metrics.scrape();
  const perPeer = ["receive", "transmit"].flatMap((way) =>
    ["packets", "bytes"].map((unit): [string, number] => [`weft_wireguard_peer_${way}_${unit}_total`, 2]),
  );
  const families: [name: string, series: number][] = [
    ["weft_wireguard_handshakes_total", 6],
    ["weft_wireguard_rekeys_total", 1],
    ["weft_wireguard_refused_total", 5],
    ["weft_wireguard_cookie_replies_total", 2],
    ["weft_wireguard_keepalives_sent_total", 1],
    ["weft_wireguard_roams_total", 1],
    ["weft_wireguard_peer_last_handshake_seconds", 2],
    ...perPeer,
  ];
  for (const [name, series] of families)
    t.same([...family(text, name).values()], Array<number>(series).fill(0), `${name} is there, all 0`);
  t.equal(family(text, "weft_wireguard_peer_session").get('{peer="c",state="none"}'), 1);

  const handshakes = double.counters.handshakes.map((h, i) => ({ ...h, count: i }));
  double.counters = {
    ...double.counters,
    handshakes,
    rekeys: 7,
    cookiesSent: 8,
    cookiesReceived: 9,
    roams: 10,
    keepalivesSent: 11,
  };
  double.news.set("b", {
    session: "established",
    lastHandshake: 1_893_456_000_500,
    receive: { packets: 3, bytes: 444 },
    transmit: { packets: 5, bytes: 666 },
  });
  const now = await metrics.scrape();
  t.equal(family(now, "weft_wireguard_handshakes_total").get('{role="responder",result="timeout"}'), 5);
  t.equal(family(now, "weft_wireguard_cookie_replies_total").get('{way="received"}'), 9);
  t.equal(family(now, "weft_wireguard_peer_receive_bytes_total").get('{peer="b"}'), 444);
  t.equal(family(now, "weft_wireguard_peer_transmit_packets_total").get('{peer="b"}'), 5);
  t.equal(family(now, "weft_wireguard_peer_last_handshake_seconds").get('{peer="b"}'), 1_893_456_000.5);
  t.same(
    [...family(now, "weft_wireguard_peer_session").entries()]
      .filter(([, value]) => value === 1)
      .map(([labels]) => labels),
    ['{peer="b",state="established"}', '{peer="c",state="none"}'],
  );
  const check = spawnSync("promtool", ["check", "metrics"], { input: now, encoding: "utf8" });
  t.match(check, { status: 0, stdout: "", stderr: "" }, "promtool has nothing to say");

  await router.reload([], [PEER_C]);
  t.notMatch(await metrics.scrape(), /peer="b"/, "series of a removed peer vanish");
  const without = await openMetrics((await open(t)).dataplane, AROUND).scrape();
  t.match(without, /^# TYPE weft_wireguard_handshakes_total counter$/m, "without WireGuard the families are there");
  t.same(
    [...without.matchAll(/^weft_wireguard.*$/gm)].map(([line]) => line),
    ["rekeys", "keepalives_sent", "roams"].map((name) => `weft_wireguard_${name}_total 0`),
    "and only those without labels have a series",
  );
});

/** GET over TCP. */
function get(where: string, path: string, method = "GET"): Promise<{ status: number; text: string; type: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(`http://${where}${path}`, { method, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, text, type: response.headers["content-type"] ?? "" }),
      );
    });
    sent.on("error", reject).end();
  });
}

t.test("the TCP listener has metrics and health, and nothing else", async (t) => {
  const { dataplane, options } = await open(t);
  let state: DaemonState = "starting";
  let metrics: ReturnType<typeof openMetrics> | undefined;
  const tcp = await listenTcp(
    { host: "127.0.0.1", port: 0 },
    healthListener({ metrics: () => metrics, state: () => state, log: options.log }),
  );
  t.teardown(() => tcp.close());
  t.match(await get(tcp.where, "/healthz"), { status: 200, text: "ok\n" });
  t.match(await get(tcp.where, "/readyz"), { status: 503, text: "starting\n" });
  t.match(await get(tcp.where, "/metrics"), { status: 503 });
  metrics = openMetrics(dataplane, AROUND);
  state = "ready";
  t.match(await get(tcp.where, "/readyz"), { status: 200, text: "ready\n" });
  t.match(await get(tcp.where, "/metrics?x=1"), {
    status: 200,
    text: /weft_build_info/,
    type: /^text\/plain; version=0\.0\.4/,
  });
  t.match(await get(tcp.where, "/v1/status"), { status: 404 });
  t.match(await get(tcp.where, "/v1/down", "POST"), { status: 405 });
  const port = Number(tcp.where.split(":")[1]);
  await t.rejects(
    listenTcp({ host: "127.0.0.1", port }, () => undefined),
    { code: "conflict", message: /another program listens there.*--metrics/ },
  );
  await t.rejects(
    listenTcp({ host: "203.0.113.1", port: 0 }, () => undefined),
    { message: /does not have the address/ },
  );
});

t.test("control socket", async (t) => {
  const dir = temporary(t);
  const path = join(dir, "deep", "weft.sock");
  const entry = swappable();
  const listener = await listenUnix(path, entry.listener);
  t.equal(statSync(path).mode & 0o777, 0o660);
  await t.rejects(
    listenUnix(path, () => undefined),
    { code: "already_running", message: /weft already runs here.*weft down.*--socket/ },
  );
  t.match(await weft(["status", "--socket", path]), { code: 1, stderr: /weft is starting: try again/ });
  await listener.close();
  t.throws(() => statSync(join(dir, "deep")), { code: "ENOENT" }, "the directory it made goes with it");

  const dead = join(dir, "dead.sock");
  // A socket file whose process was killed: bound, then left.
  const child: ChildProcess = spawn(process.execPath, [
    "-e",
    `require("net").createServer().listen(${JSON.stringify(dead)}, () => console.log("up"))`,
  ]);
  await new Promise((resolve) => child.stdout?.once("data", resolve));
  await t.rejects(
    listenUnix(dead, () => undefined),
    { code: "already_running" },
  );
  child.kill("SIGKILL");
  await new Promise((resolve) => child.once("exit", resolve));
  t.ok(statSync(dead).isSocket(), "the dead socket is there");
  await (await listenUnix(dead, () => undefined)).close();

  const file = join(dir, "file");
  writeFileSync(file, "");
  await t.rejects(
    listenUnix(file, () => undefined),
    { code: "conflict", message: /is no socket/ },
  );
  await t.rejects(
    listenUnix(join(file, "x.sock"), () => undefined),
    { code: "conflict", message: /cannot make the directory/ },
  );
  await t.rejects(
    listenUnix(join(dir, "x".repeat(120)), () => undefined),
    { message: /107 octets/ },
  );
});

/** One weft command, as a user starts it. */
function weft(args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    // Without the test runner's own preloads, which it puts back into whatever environment it is given.
    const command = ["-u", "NODE_OPTIONS", process.execPath, WEFT, ...args];
    execFile("env", command, { encoding: "utf8" }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr });
    });
  });
}

t.test("command line against a daemon", async (t) => {
  const { options, dataplane } = await open(t);
  const socket = join(temporary(t), "weft.sock");
  const listener: Listener = await listenUnix(socket, apiListener(options));
  t.teardown(() => listener.close());
  const run = (...args: string[]) => weft([...args, "--socket", socket]);

  const refused = await run("attach", "c1", "--network", "blue", "--ip", "10.8.0.1/24", "--mtu", "9000");
  t.match(refused, { code: 1, stdout: "", stderr: /^weft: .*mtu: found 9000/ });
  t.equal(refused.stderr.trim().split("\n").length, 1, "one line");
  const attached = await run(
    "attach",
    "c1",
    "--ip",
    "10.8.0.5/24",
    "--ip",
    "fd00::5/64",
    "--route",
    "10.7.0.0/16=10.8.0.1",
    "--label",
    "a=b=c",
    "--gateway",
    "10.8.0.1",
  );
  t.match(attached, {
    code: 0,
    stdout: /^attached c1: \S+ .* 10\.8\.0\.5\/24 fd00::5\/64 in network blue, MTU 1450, port /,
  });
  t.match(dataplane.ports(), [
    { netns: "c1", gateway: ["10.8.0.1"], routes: [{ to: "10.7.0.0/16", via: "10.8.0.1" }], labels: { a: "b=c" } },
  ]);
  t.match(await run("detach", dataplane.ports()[0]?.id ?? ""), { code: 0 });

  await options.router.attach({ network: "blue", ifname: "cli", id: "cli", ip: ["10.8.0.1/24"] });
  await options.router.putRoutes("blue", [
    { mac: "02:00:00:00:00:07", via: "10.9.0.2" },
    { prefix: "10.8.1.0/24", via: "blackhole" },
  ]);
  const all = await run("status");
  t.match(all, { code: 0, stderr: "" });
  for (const word of [/10\.9\.0\.1 /, /blue +42 +1450/, /cli +blue +up/, /no drops/]) t.match(all.stdout, word);
  const expected: Record<string, RegExp> = {
    ports: /cli +blue +up +- +cli/,
    networks: /blue +42/,
    vteps: /blue +10\.9\.0\.3:8472/,
    fdb: /blue +02:00:00:00:00:07 +vtep +10\.9\.0\.2 +static/,
    neighbours: /no neighbours/,
    routes: /blue +10\.8\.1\.0\/24 +blackhole/,
    peers: /no WireGuard/,
    drops: /0 +egress +frame_short/,
  };
  const checks = Object.entries(expected).map(async ([topic, text]) => {
    const [plain, json] = await Promise.all([run("status", topic), run("status", topic, "--json")]);
    t.match(plain, { code: 0, stdout: text }, `status ${topic}`);
    t.equal(json.code, 0);
    t.doesNotThrow(() => JSON.parse(json.stdout) as unknown, `status ${topic} --json`);
  });
  await Promise.all(checks);
  const status = JSON.parse((await run("status", "--json")).stdout) as { ports: { mac: string }[] };
  t.equal(status.ports[0]?.mac, dataplane.ports()[0]?.mac);
  t.match(await run("status", "fdb", "--network", "red"), { code: 1, stderr: "weft: there is no network red\n" });

  t.match(await run("detach", "cli"), { code: 0, stdout: "detached cli\n" });
  t.match(await run("detach", "cli"), { code: 0, stdout: "nothing is attached as cli\n" });
  t.same(dataplane.ports(), []);
});

t.test("command line against a daemon with WireGuard", async (t) => {
  const networks = [secret("blue", 42, ["10.7.0.2"]), secret("plain", 43, ["10.9.0.2"], { encryption: "none" })];
  const own = { keylog: "/run/keys.log" };
  const { options } = await open(t, { peers: [PEER_B, PEER_C], networks, own });
  const socket = join(temporary(t), "weft.sock");
  const listener: Listener = await listenUnix(socket, apiListener(options));
  t.teardown(() => listener.close());
  const run = async (...args: string[]) => (await weft(["status", ...args, "--socket", socket])).stdout;
  const [all, peers, json] = await Promise.all([run(), run("peers"), run("peers", "--json")]);
  t.match(all, /^wireguard UDP 51820, 10\.7\.0\.1, MTU 1440, 2 peers, 0 with a session$/m);
  t.match(all, /^WARNING +THE PRIVATE KEY AND THE KEYS OF ALL WIREGUARD SESSIONS ARE WRITTEN TO \/run\/keys\.log/m);
  t.match(all, /^blue +42 +1390 +required/m);
  t.match(all, /^plain +43 +1450 +none: IN CLEAR/m);
  t.match(peers, /^interface\n {2}public key: b3du\n(.|\n)*^peer: c\n {2}preshared key: \(hidden\)\n/m);
  t.match(JSON.parse(json), { publicKey: "b3du", peers: [{ publicKey: "b" }, { publicKey: "c" }] });
});

t.test("a service manager hears ready, the watchdog's beat and stopping", async (t) => {
  const said: string[] = [];
  const failures: unknown[] = [];
  const note = (state: string) => void said.push(state);
  const quiet = openSupervisor({}, note, () => undefined);
  quiet.ready("x");
  quiet.stopping();
  t.same(said, [], "silent without NOTIFY_SOCKET");
  const supervisor = openSupervisor({ NOTIFY_SOCKET: "/run/notify", WATCHDOG_USEC: "20000" }, note, () => undefined);
  supervisor.ready("1 network");
  const keep = setInterval(() => undefined, 5);
  const beats = (): number => said.filter((s) => s === "WATCHDOG=1").length;
  for (let i = 0; i < 500 && beats() < 2; i++) await sleep(10);
  clearInterval(keep);
  supervisor.stopping();
  t.equal(said[0], "READY=1\nSTATUS=1 network");
  t.ok(beats() >= 2);
  t.equal(said.at(-1), "STOPPING=1");
  const broken = openSupervisor(
    { NOTIFY_SOCKET: "/nowhere" },
    () => {
      throw new Error("gone");
    },
    (e) => failures.push(e),
  );
  broken.ready("x");
  broken.stopping();
  t.equal(failures.length, 1, "a failure is reported once");
});

t.test("a connection that the system cannot give ends no listener", async (t) => {
  const servers: Server[] = [];
  const { listen } = Server.prototype;
  t.intercept(Server.prototype, "listen", {
    value(this: Server, ...given: Parameters<typeof listen>) {
      servers.push(this);
      return listen.apply(this, given);
    },
  });
  const tcp = await listenTcp({ host: "127.0.0.1", port: 0 }, () => undefined);
  t.teardown(() => tcp.close());
  const unix = await listenUnix(join(temporary(t), "weft.sock"), () => undefined);
  t.teardown(() => unix.close());
  t.equal(servers.length, 2);
  for (const server of servers)
    t.ok(server.emit("error", Object.assign(new Error("accept ENFILE"), { code: "ENFILE" })));
});

t.test("a listener that is taken between look and bind is a conflict, not a crash", async (t) => {
  const dir = temporary(t);
  const path = join(dir, "race.sock");
  const racer = createServer();
  await new Promise<void>((resolve) => racer.listen(path, resolve));
  t.teardown(() => racer.close());
  await t.rejects(
    listenUnix(path, () => undefined),
    { code: "already_running" },
  );
});
