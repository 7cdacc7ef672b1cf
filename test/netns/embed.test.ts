/**
 * The packages as somebody else gets them: packed, installed in an empty project outside of the workspace, checked
 * under `strict`, run. The registry is a small server over what this checkout has installed, so no network is needed.
 */
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { Job } from "../lab/job.js";
import { Lab } from "../lab/lab.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PACKAGES = ["packages/dataplane-wasm", "packages/tun", "packages/control"];

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly private?: boolean;
}

const manifest = (dir: string): Manifest => JSON.parse(readFileSync(join(dir, "package.json"), "utf8")) as Manifest;

/** Directories of every installed package, nested ones too. */
function installed(modules: string): string[] {
  return readdirSync(modules, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith("."))
    .flatMap((entry) => {
      const dir = join(modules, entry.name);
      if (entry.name.startsWith("@")) return installed(dir);
      const nested = join(dir, "node_modules");
      return [
        ...(existsSync(join(dir, "package.json")) ? [dir] : []),
        ...(existsSync(nested) ? installed(nested) : []),
      ];
    });
}

/** Serves packed packages and everything in node_modules, each packed when it is asked for. */
async function registry(dir: string, packed: ReadonlyMap<string, string>): Promise<{ url: string; server: Server }> {
  const sources = new Map<string, string>();
  for (const source of installed(join(ROOT, "node_modules"))) {
    const { name, version } = manifest(source);
    if (name !== undefined && version !== undefined && !packed.has(name)) sources.set(`${name}@${version}`, source);
  }
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? "").slice(1);
    const base = `http://${request.headers.host}`;
    if (path.startsWith("tarball/")) {
      const id = path.slice(8);
      const ready = packed.get(id.slice(0, id.lastIndexOf("@")));
      const source = sources.get(id);
      const stage = mkdtempSync(join(dir, "tarball-"));
      if (source !== undefined) {
        cpSync(source, join(stage, "package"), {
          recursive: true,
          filter: (from) => !from.slice(source.length).includes("node_modules"),
        });
        execFileSync("tar", ["-czf", join(stage, "out.tgz"), "-C", stage, "package"]);
      }
      response.end(readFileSync(ready ?? join(stage, "out.tgz")));
      return;
    }
    const versions: Record<string, object> = {};
    const add = (facts: Manifest): void => {
      versions[facts.version] = {
        ...facts,
        dist: { tarball: `${base}/tarball/${encodeURIComponent(`${path}@${facts.version}`)}` },
      };
    };
    if (packed.has(path)) add(manifest(join(ROOT, PACKAGES.find((p) => manifest(join(ROOT, p)).name === path) ?? "")));
    for (const [id, source] of sources) if (id.slice(0, id.lastIndexOf("@")) === path) add(manifest(source));
    const latest = Object.keys(versions).at(-1);
    response.statusCode = latest === undefined ? 404 : 200;
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ name: path, versions, "dist-tags": { latest } }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, server };
}

t.test("the packed packages install, type-check and run outside of the workspace", async (t) => {
  const lab = await Lab.open(t);
  const dir = mkdtempSync(join(tmpdir(), "weft-embed-"));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));

  const packed = new Map<string, string>();
  for (const path of PACKAGES) {
    const text = execFileSync("npm", ["pack", "--json", "--pack-destination", dir], {
      cwd: join(ROOT, path),
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    const [facts] = JSON.parse(text) as [{ name: string; filename: string; files: { path: string }[] }];
    packed.set(facts.name, join(dir, facts.filename));
    const paths = facts.files.map((file) => file.path);
    t.notOk(
      paths.some((p) => /(^|\/)(test|tests|build)\//.test(p) || p.endsWith(".tsbuildinfo")),
      `${facts.name} carries no leftovers`,
    );
  }
  const { url, server } = await registry(dir, packed);
  t.teardown(() => server.close());

  const project = join(dir, "project");
  mkdirSync(project);
  writeFileSync(
    join(project, "package.json"),
    JSON.stringify({ name: "embedder", version: "1.0.0", private: true, type: "module" }),
  );
  const flags = ["--registry", url, "--no-audit", "--no-fund", "--prefer-online", "--cache", join(dir, "cache")];
  const install = new Job(["npm", "install", ...flags, "@weft/control", "@weft/tun"], { cwd: project });
  install.finish();
  const installation = await install.endsWithin(90_000);
  t.equal(installation.code, 0, `npm install: ${install.text.slice(-800)}`);

  await t.test("both examples type-check under strict, with libraries checked", async (t) => {
    const examples = readdirSync(join(ROOT, "examples")).filter((name) => name.endsWith(".ts"));
    t.ok(examples.length >= 2, examples.join(" "));
    for (const name of examples) cpSync(join(ROOT, "examples", name), join(project, name));
    writeFileSync(join(project, "two.ts"), TWO_DATAPLANES);
    writeFileSync(join(project, "pair.ts"), PAIR);
    writeFileSync(
      join(project, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: {
          strict: true,
          target: "es2022",
          lib: ["es2023"],
          module: "nodenext",
          types: ["node"],
          outDir: "out",
          exactOptionalPropertyTypes: true,
          typeRoots: [join(ROOT, "node_modules/@types")],
        },
        include: ["*.ts"],
      }),
    );
    const tsc = new Job([process.execPath, join(ROOT, "node_modules/typescript/bin/tsc"), "-p", "."], { cwd: project });
    tsc.finish();
    t.equal((await tsc.endsWithin(60_000)).code, 0, tsc.text);
  });

  await t.test("the in-memory example runs without privileges", async (t) => {
    const through = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
    const job = new Job([...through, process.execPath, "out/memory.js"], { cwd: project });
    job.finish();
    const end = await job.endsWithin(20_000);
    t.equal(end.code, 0, job.text);
    t.ok(job.out.length > 0, "and says what it saw");
  });

  await t.test("the kernel example runs as written", async (t) => {
    const [host] = await lab.hosts("host");
    // The example's own names: a namespace c1, and 192.0.2.1, which the lab's first host has.
    await lab.run("ip netns add c1");
    t.teardown(() => lab.run("ip netns del c1"));
    const job = host.start([process.execPath, "out/embed.js"], { cwd: project });
    job.finish();
    const end = await job.endsWithin(20_000);
    t.equal(end.code, 0, job.text);
    t.same(
      (await host.devices()).map((device) => device.name),
      ["under0"],
      "close() leaves no device in the daemon's namespace",
    );
    t.equal((await lab.run("ip -n c1 -br link show")).trim().split("\n").length, 1, "nor in the container: lo alone");
  });

  await t.test("two Dataplanes in one process do not disturb each other", async (t) => {
    const job = new Job([process.execPath, "out/two.js"], { cwd: project });
    job.finish();
    const end = await job.endsWithin(20_000);
    t.equal(end.code, 0, job.text);
    t.match(job.out.at(-1), /^ok$/, job.text);
  });

  await t.test("two Dataplanes on real devices in one process are two hosts to each other", async (t) => {
    const [host] = await lab.hosts("pair");
    await host.run("ip addr add 192.0.2.101/24 dev under0");
    const [c1, c2] = [await lab.container("pair1"), await lab.container("pair2")];
    const job = host.start([process.execPath, "out/pair.js", host.v4, "192.0.2.101", c1.path, c2.path], {
      cwd: project,
    });
    await job.line(/^ready$/, 20_000);
    t.equal((await c1.ping("10.8.0.2")).received, 3, "out of the one, through the kernel, into the other");
    t.equal((await c2.ping("10.8.0.1")).received, 3, "and back");
    job.child.stdin?.write("close the first\n");
    await job.line(/^closed$/, 10_000);
    t.same(await c1.devices(), [], "close() removes its own device");
    t.equal((await c2.devices()).length, 1, "and no other");
    job.finish();
    t.equal((await job.endsWithin(20_000)).code, 0, job.text);
    t.same(await c2.devices(), [], "the other one is closed as well");
    t.same(
      (await host.devices()).map((device) => device.name),
      ["under0"],
      "nothing is left",
    );
  });

  await t.test("the weft command works from there", async (t) => {
    const job = new Job([join(project, "node_modules/.bin/weft"), "--version"], { cwd: project });
    job.finish();
    t.same(await job.done(10_000), [manifest(join(ROOT, "packages/control")).version]);
  });
});

/** A program of an embedder: two switches in one process, one of them closed and replaced while the other works. */
const TWO_DATAPLANES = `
import { Dataplane } from "@weft/control";
import { MemoryLink } from "@weft/tun";

const octets = (mac: string): Buffer => Buffer.from(mac.replaceAll(":", ""), "hex");

async function open(name: string, vni: number) {
  const link = new MemoryLink({ addresses: ["192.0.2.1"] });
  const dp = await Dataplane.start({ underlay: ["192.0.2.1"], link });
  await dp.setNetwork({ name, vni });
  const from = await dp.attach({ network: name, ifname: "p1", id: "p1" });
  const to = await dp.attach({ network: name, ifname: "p2", id: "p2" });
  let arrived = 0;
  link.device("p2").onFrame(() => arrived++);
  const frame = Buffer.concat([octets(to.mac), octets(from.mac), Buffer.from([0x88, 0xb5]), Buffer.alloc(46)]);
  const pass = async (count: number): Promise<void> => {
    arrived = 0;
    for (let i = 0; i < count; i++) link.device("p1").inject(frame);
    for (let i = 0; i < 1500 && arrived < count; i++) await new Promise((resolve) => setTimeout(resolve, 10));
    if (arrived !== count) throw new Error(name + ": " + arrived + " of " + count + " frames arrived");
  };
  return { dp, pass };
}

function expect(what: string, got: unknown, wanted: unknown): void {
  if (JSON.stringify(got) !== JSON.stringify(wanted)) throw new Error(what + ": " + JSON.stringify(got));
}

const first = await open("blue", 42);
const second = await open("green", 43);
await Promise.all([first.pass(5), second.pass(7)]);
expect("the first one's frames", first.dp.counters().law.egress.in, 5);
expect("the second one's frames", second.dp.counters().law.egress.in, 7);
expect("networks", second.dp.networks().map((n) => n.name), ["green"]);
await first.dp.close();
await second.pass(3);
const third = await open("red", 44);
await Promise.all([second.pass(2), third.pass(2)]);
expect("the second one's frames", second.dp.counters().law.egress.in, 12);
await second.dp.close();
await third.dp.close();
console.log("ok");
`;

/** Another one, on real devices: two switches with an underlay address each, each the other's VTEP on the same host. */
const PAIR = `
import { createInterface } from "node:readline";
import { Dataplane } from "@weft/control";

const [, , here = "", there = "", c1 = "", c2 = ""] = process.argv;
const first = await Dataplane.start({ underlay: [here] });
const second = await Dataplane.start({ underlay: [there] });
await first.setNetwork({ name: "blue", vni: 42, vteps: [there] });
await second.setNetwork({ name: "blue", vni: 42, vteps: [here] });
await first.attach({ network: "blue", netns: c1, ip: ["10.8.0.1/24"] });
await second.attach({ network: "blue", netns: c2, ip: ["10.8.0.2/24"] });
console.log("ready");
for await (const _ of createInterface({ input: process.stdin })) {
  await first.close();
  console.log("closed");
}
await second.close();
`;
