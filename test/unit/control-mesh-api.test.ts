/** The API and the metrics of the mesh, over a double of it, a real router and a real Dataplane on the in-memory twin. */
import { spawnSync } from "node:child_process";
import { Dataplane } from "@weft/control";
import { MemoryLink } from "@weft/tun";
import t, { type Test } from "tap";
import { pathInfos } from "../../packages/control/dist/fabric/answers.js";
import { api, endpoints } from "../../packages/control/dist/http/api.js";
import { meshEndpoints, sharedContainers } from "../../packages/control/dist/http/mesh-endpoints.js";
import { openMetrics } from "../../packages/control/dist/http/metrics.js";
import * as schemas from "../../packages/control/dist/http/schemas.js";
import { openLog } from "../../packages/control/dist/log/log.js";
import { Router } from "../../packages/control/dist/router/router.js";
import { Watch } from "../../packages/control/dist/router/watch.js";
import { Errors } from "../../packages/control/src/typebox.js";
import { A, B, C, container, MeshDouble } from "../lab/mesh-double.js";
import { parseMetrics } from "../lab/weft.js";

async function open(t: Test, { isStatic = false } = {}) {
  const link = new MemoryLink({ addresses: ["10.9.0.1"] });
  const dataplane = await Dataplane.start({ underlay: ["10.9.0.1"], link });
  t.teardown(() => dataplane.close());
  const log = await openLog({ level: "info", format: "json", name: "test" }, { write: () => undefined });
  const networks = [{ spec: { name: "weft", vni: 1, vteps: [] }, routes: [] }];
  const router = new Router({ dataplane, networks, vteps: [], log, removeDevice: () => undefined });
  await router.start();
  const mesh = new MeshDouble(router);
  const watch = new Watch(dataplane, log);
  const options = {
    router,
    mesh: isStatic ? undefined : mesh,
    facts: () => ({
      name: "host-a",
      state: "ready" as const,
      startedAt: new Date(),
      socket: "/run/weft/weft.sock",
      metrics: null,
      stateDir: null,
      watch,
    }),
    down: async () => undefined,
    log,
  };
  const app = api(options);
  const ask = async (method: string, path: string, body?: object) => {
    const response = await app.request(path, { method, body: body ? JSON.stringify(body) : null });
    return { status: response.status, body: (await response.json()) as never };
  };
  const metrics = openMetrics(dataplane, {
    parked: () => [],
    isUp: () => true,
    fdbLimit: 1,
    mesh: options.mesh,
  });
  return { ask, mesh, options, metrics };
}

t.test("every listing is as its schema says", async (t) => {
  const { ask, options } = await open(t);
  const listings = endpoints(options).filter((e) => e.method === "get" && !e.path.includes("{"));
  t.ok(listings.length >= 18, `${listings.length} listings`);
  for (const e of listings) {
    const { status, body } = await ask("GET", e.path);
    t.equal(status, 200, e.path);
    t.same(Errors(e.answer, body)[1], [], `${e.path} is as the schema says`);
  }
  t.match((await ask("GET", "/v1/status")).body, {
    mesh: {
      members: { alive: 2, unreachable: 1 },
      paths: { direct: 1, relayed: 1, none: 0 },
      containers: 2,
      problems: [{ kind: "same_ip", count: 2 }, { kind: "gateway" }],
    },
  });
  const { body } = await ask("GET", "/v1/report");
  t.match(body, {
    mesh: { info: { problems: [{ kind: "same_ip" }, { network: "weft" }] }, ipam: [{ foreign: ["web"] }] },
  });
});

t.test("without a mesh every operation says that there is none", async (t) => {
  const { ask } = await open(t, { isStatic: true });
  const bodies: Record<string, object> = {
    "/v1/connect": { host: "a" },
    "/v1/forget": { host: "a" },
    "/v1/mesh/networks": { name: "blue" },
    "/v1/mesh/networks/x/vteps": { vtep: "10.0.0.1" },
    "/v1/dns": { name: "x", ips: ["10.0.0.1"] },
  };
  for (const e of meshEndpoints(undefined)) {
    const path = e.path.replace(/\{\w+\}/, "x");
    const query = e.method === "delete" && path.endsWith("/vteps") ? "?vtep=10.0.0.1" : "";
    const { status, body } = await ask(e.method.toUpperCase(), path + query, e.body ? (bodies[path] ?? {}) : undefined);
    t.equal(status, 409, `${e.method} ${path}`);
    const message = "there is no mesh: weft runs with a static configuration";
    t.same(body, { error: { code: "no_mesh", message } });
  }
  t.match(await ask("GET", "/v1/report"), { status: 200, body: { mesh: null, status: { mesh: null } } });
  const wish = { network: "weft", ifname: "eth0", ipam: true, name: "web", publish: [{ port: 80, protocol: "tcp" }] };
  t.match(await ask("POST", "/v1/ports", wish), {
    status: 400,
    body: {
      error: {
        problems: [
          "ip: missing; there is no mesh that gives addresses: give --ip ADDR/LEN",
          /^name: only a mesh does this/,
          /^publish: only a mesh does this/,
        ],
      },
    },
  });
  t.match(await ask("POST", "/v1/ports", { network: "weft", ifname: "c1", ipam: false }), { status: 201 });
});

t.test("an attachment goes to the mesh with all it wishes, and comes back with what it got", async (t) => {
  const { ask, mesh } = await open(t);
  const body = {
    network: "weft",
    id: "c1",
    ifname: "c1",
    ipam: true,
    name: "web",
    dnsNames: ["www"],
    publish: [{ port: 80, protocol: "tcp" }],
    gateway: [],
  };
  const answer = await ask("POST", "/v1/ports", body);
  t.match(answer, {
    status: 201,
    body: {
      ip: ["10.32.0.2/12"],
      name: "web",
      dns: ["web.weft.local", "www.weft.local"],
      published: [{ ip: "0.0.0.0", hostPort: 30_000, port: 80, protocol: "tcp" }],
    },
  });
  t.same(Errors(schemas.Port, answer.body)[1], []);
  t.same(mesh.asked, [["attach", body]]);
  t.same((await ask("DELETE", "/v1/ports/c1")).body, { detached: ["c1"] });
  await ask("DELETE", "/v1/ports?netns=web");
  t.same(mesh.asked.slice(1), [
    ["detach", "c1"],
    ["detachNamespace", "web"],
  ]);
});

t.test("what is asked reaches the mesh", async (t) => {
  const { ask, mesh } = await open(t);
  const cases: [method: string, path: string, body: object | undefined, status: number, asked: unknown[]][] = [
    ["POST", "/v1/connect", { host: "seed.example" }, 200, ["connect", "seed.example:6783"]],
    ["POST", "/v1/connect", { host: "2001:db8::1" }, 200, ["connect", "[2001:db8::1]:6783"]],
    ["POST", "/v1/connect", { host: "192.0.2.7:7000" }, 200, ["connect", "192.0.2.7:7000"]],
    ["POST", "/v1/forget", { host: "192.0.2.2" }, 200, ["forget", "192.0.2.2"]],
    ["POST", "/v1/tokens", undefined, 201, ["rotateToken"]],
    ["DELETE", "/v1/tokens/00000000000000a1", undefined, 200, ["retireToken", "00000000000000a1"]],
    ["DELETE", "/v1/members/host-b", undefined, 200, ["removeMember", B, { force: false }]],
    ["DELETE", "/v1/members/BBBB1", undefined, 200, ["removeMember", B, { force: false }]],
    [`DELETE`, `/v1/members/${C}?force=true`, undefined, 200, ["removeMember", C, { force: true }]],
    ["POST", "/v1/leave", {}, 200, ["leave"]],
    [
      "POST",
      "/v1/mesh/networks",
      { name: "blue", cidr: ["10.64.0.0/16"], vni: 9 },
      201,
      ["createNetwork", { name: "blue", cidr: ["10.64.0.0/16"], vni: 9 }],
    ],
    ["DELETE", "/v1/mesh/networks/blue", undefined, 200, ["removeNetwork", "blue"]],
    ["POST", "/v1/mesh/networks/blue/vteps", { vtep: "192.0.2.9" }, 200, ["addVtep", "blue", "192.0.2.9"]],
    [
      "DELETE",
      "/v1/mesh/networks/blue/vteps?vtep=192.0.2.9:8472",
      undefined,
      200,
      ["removeVtep", "blue", "192.0.2.9:8472"],
    ],
    [
      "POST",
      "/v1/dns",
      { name: "db", ips: ["10.32.0.5"] },
      201,
      ["addDns", { name: "db", ips: ["10.32.0.5"], srv: [] }],
    ],
    ["DELETE", "/v1/dns/db?network=blue", undefined, 200, ["removeDns", "db", "blue"]],
    ["POST", "/v1/expose", {}, 200, ["expose", undefined]],
    ["POST", "/v1/hide", { network: "blue" }, 200, ["hide", "blue"]],
  ];
  for (const [method, path, body, status, asked] of cases) {
    const answer = await ask(method, path, body);
    t.equal(answer.status, status, `${method} ${path}: ${JSON.stringify(answer.body)}`);
    t.same(mesh.asked.pop(), asked);
  }
});

t.test("what cannot be is refused, and the mesh hears nothing of it", async (t) => {
  const { ask, mesh } = await open(t);
  const cases: [status: number, message: RegExp, method: string, path: string, body?: object][] = [
    [404, /no member host-d \(known: host-a, host-b, host-c\)/, "DELETE", "/v1/members/host-d"],
    [404, /no member BBB/, "DELETE", "/v1/members/BBB"],
    [409, /BBBB is 2 members: give more of the id/, "DELETE", "/v1/members/BBBB"],
    [409, /cannot be reached/, "DELETE", "/v1/members/host-c"],
    [400, /force: found "yes"; allowed: true or false/, "DELETE", "/v1/members/host-c?force=yes"],
    [404, /no token t9/, "DELETE", "/v1/tokens/t9"],
    [400, /host: found "a b"; allowed: HOST/, "POST", "/v1/connect", { host: "a b" }],
    [400, /host: missing/, "POST", "/v1/forget", {}],
    [
      400,
      /cidr\[1\]: found 10.128.0.0\/16; allowed: one prefix per family/,
      "POST",
      "/v1/mesh/networks",
      {
        name: "blue",
        cidr: ["10.64.0.0/16", "10.128.0.0/16"],
      },
    ],
    [400, /cidr\[0\]: found "10.64.0.1\/16"/, "POST", "/v1/mesh/networks", { name: "blue", cidr: ["10.64.0.1/16"] }],
    [400, /name: found "Blue"/, "POST", "/v1/mesh/networks", { name: "Blue" }],
    [400, /which VTEP\?/, "DELETE", "/v1/mesh/networks/blue/vteps"],
    [400, /where does the name lead/, "POST", "/v1/dns", { name: "db" }],
    [400, /name: found "-db"/, "POST", "/v1/dns", { name: "-db", ips: ["10.0.0.1"] }],
    [400, /publish\[0\].port: found 0/, "POST", "/v1/ports", { publish: [{ port: 0, protocol: "tcp" }] }],
  ];
  for (const [status, message, method, path, body] of cases) {
    const answer = await ask(method, path, body);
    t.match(answer, { status, body: { error: { message } } }, `${method} ${path}`);
  }
  t.same(mesh.asked, []);
});

t.test("a token's secret is answered to who asks for it, and nowhere else", async (t) => {
  const { ask, mesh, options } = await open(t);
  t.match((await ask("GET", "/v1/token")).body, { token: mesh.secret });
  t.match((await ask("POST", "/v1/tokens")).body, { token: mesh.secret });
  for (const path of ["/v1/report", "/v1/status", "/v1/mesh"])
    t.notMatch(JSON.stringify((await ask("GET", path)).body), mesh.secret, path);
  const { body } = await ask("GET", "/v1/report");
  t.match(body, {
    mesh: { tokens: [{ id: "00000000000000a1", state: "valid" }], info: { self: A } },
    status: { name: "host-a" },
  });
  t.ok(endpoints(options).some((e) => e.path === "/v1/report"));
});

t.test("containers are the same octets on every node", async (t) => {
  const one = container("web", B, { dns: ["web.weft.local", "a.weft.local"] });
  const two = container("db", A);
  const three = container("db", A, { network: "blue" });
  const other = Object.fromEntries(Object.entries(one).reverse()) as unknown as typeof one;
  const here = JSON.stringify(sharedContainers([one, two, three]));
  t.equal(JSON.stringify(sharedContainers([three, { ...other, dns: [...one.dns].reverse() }, two])), here);
  t.same(
    sharedContainers([one, two, three]).map((c) => `${c.network} ${c.id}`),
    ["blue db", "weft db", "weft web"],
  );
});

t.test("metrics", async (t) => {
  const { metrics, mesh } = await open(t);
  const text = await metrics.scrape();
  const series = parseMetrics(text);
  const [b, c] = mesh.allPaths.map((p) => p.publicKey);
  const expected: [name: string, value: number][] = [
    ['weft_mesh_members{state="alive"}', 2],
    ['weft_mesh_members{state="unreachable"}', 1],
    ['weft_mesh_peers{path="direct"}', 1],
    ['weft_mesh_peers{path="none"}', 0],
    ["weft_mesh_control_links", 1],
    ['weft_problems{kind="same_ip"}', 2],
    ['weft_problems{kind="gateway"}', 1],
    ['weft_problems{kind="network_conflict"}', 0],
    ['weft_mesh_messages_total{direction="in",type="digest"}', 4],
    ['weft_mesh_messages_total{direction="out",type="digest"}', 0],
    ['weft_mesh_bytes_total{direction="out"}', 0],
    ['weft_mesh_rejected_total{reason="flood"}', 0],
    ['weft_mesh_convergence_seconds_bucket{le="+Inf"}', 3],
    ["weft_mesh_convergence_seconds_sum", 1.5],
    ['weft_mesh_path_changes_total{reason="missed"}', 1],
    [`weft_peer_path{peer="${b}",mode="direct",via=""}`, 1],
    [`weft_peer_path{peer="${c}",mode="relayed",via="host-b"}`, 1],
    [`weft_peer_path{peer="${c}",mode="direct",via=""}`, 0],
    [`weft_peer_info{peer="${b}",node="host-b"}`, 1],
    [`weft_peer_rtt_seconds{peer="${b}"}`, 0.0012],
    [`weft_peer_mtu_bytes{peer="${b}"}`, 1440],
    ['weft_ipam_addresses{network="weft",state="free"}', 999],
    ['weft_ipam_network_addresses{network="weft"}', 1_048_573],
    ['weft_dns_queries_total{result="refused"}', 0],
    ["weft_exposed_networks", 1],
    ["weft_published_ports", 2],
  ];
  for (const [name, value] of expected) t.equal(series.get(name), value, name);
  t.notOk(series.has(`weft_peer_rtt_seconds{peer="${c}"}`), "what was not measured has no series");
  for (const peer of [b, c])
    t.equal(text.match(RegExp(`^weft_peer_path\\{peer="${peer}"`, "gm"))?.length, 3, "as many series as modes");
  t.notMatch(text, mesh.secret);
  const check = spawnSync("promtool", ["check", "metrics"], { input: text, encoding: "utf8" });
  t.match(check, { status: 0, stdout: "", stderr: "" }, "promtool has nothing to say");

  mesh.allPaths.pop();
  t.notMatch(await metrics.scrape(), `peer="${c}"`, "series of a removed member vanish");

  const without = await (await open(t, { isStatic: true })).metrics.scrape();
  t.match(without, /^# TYPE weft_mesh_members gauge$/m, "without a mesh the families are there");
  t.notMatch(without, /^weft_(mesh|peer|ipam|dns)_\w+\{/m, "and have no series");
});

t.test("without a path there are no figures of one", (t) => {
  const path = {
    node: "n".repeat(43),
    publicKey: "k",
    session: "established",
    mode: "none",
    via: null,
    forMs: 1000,
    direct: "down",
    rttUs: 1200,
    loss: 0,
    mtu: 1440,
    mtuConfirmed: true,
    endpoint: "192.0.2.2:51820",
    candidates: [],
    lastEchoMs: null,
  } as const;
  const records = { get: () => undefined } as unknown as Parameters<typeof pathInfos>[0];
  t.match(pathInfos(records, [path], null), [{ mode: "none", rttSeconds: null, loss: null, mtu: null }]);
  t.match(pathInfos(records, [{ ...path, mode: "direct" }], null), [{ rttSeconds: 0.0012, loss: 0, mtu: 1440 }]);
  t.end();
});
