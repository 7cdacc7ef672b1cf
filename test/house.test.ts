/** The rules of the house: what a reader of this repository may count on. Each failure says what to do. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { drops } from "../packages/dataplane-wasm/abi/spec.js";
import { codeOf, wasm } from "./models/rig.js";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const SKIPPED = new Set(["node_modules", "dist", "build", "bundle", "wasm", ".git", ".tap", "results"]);
const files = readdirSync(ROOT, { withFileTypes: true }).flatMap((entry) => walk(entry.name, entry.isDirectory()));
function walk(path: string, isDirectory: boolean): string[] {
  if (SKIPPED.has(path.slice(path.lastIndexOf("/") + 1))) return [];
  if (!isDirectory) return [path];
  return readdirSync(join(ROOT, path), { withFileTypes: true }).flatMap((e) =>
    walk(`${path}/${e.name}`, e.isDirectory()),
  );
}
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");
const sources = files.filter((path) => /\.(ts|js|mjs|c|h)$/.test(path));
const isGenerated = (path: string): boolean => /\.gen\.(ts|h)$/.test(path);

/** What a file imports: paths from the root without extension for its own, names for packages. */
function importsOf(path: string): string[] {
  const found = [
    ...read(path).matchAll(
      /^\s*(?:import|export)\b[^;"']*?from\s+"([^"]+)"|^import\s+"([^"]+)"|\bimport\("([^"]+)"\)/gm,
    ),
  ];
  return found.map(([, a, b, c]) => {
    const name = (a ?? b ?? c) as string;
    return name.startsWith(".") ? normalize(join(dirname(path), name)).replace(/\.(js|ts)$/, "") : name;
  });
}

const W = "packages/dataplane-wasm";
const C = "packages/control/src";
/** Folder → what it may import of our own. */
const MAY: Record<string, string[]> = {
  [`${W}/assembly/wire`]: [`${W}/assembly/wire`],
  [`${W}/assembly/table`]: [`${W}/assembly/table`, `${W}/assembly/abi.gen`],
  [`${W}/assembly/path`]: [
    `${W}/assembly/path`,
    `${W}/assembly/table`,
    `${W}/assembly/wire`,
    `${W}/assembly/crypto`,
    `${W}/assembly/abi.gen`,
  ],
  [`${W}/abi`]: [`${W}/abi`],
  [`${W}/src`]: [`${W}/src`, `${W}/abi`],
  "packages/tun/lib": ["packages/tun/lib", "@weft/dataplane-wasm/abi"],
  [`${C}/dataplane`]: [`${C}/dataplane`, `${C}/wireguard`, "@weft/dataplane-wasm", "@weft/tun"],
  // These run on a virtual clock, over links and a data plane of whoever calls them.
  [`${C}/mesh`]: [
    `${C}/mesh`,
    `${C}/errors`,
    `${C}/config/formats`,
    `${C}/state/file`,
    `${C}/typebox`,
    `${C}/wireguard/key`,
  ],
  [`${C}/paths`]: [
    `${C}/paths`,
    `${C}/mesh/types`,
    `${C}/mesh/records`,
    `${C}/dataplane/types`,
    `${C}/dataplane/invalid`,
  ],
  [`${C}/ipam`]: [`${C}/ipam`, `${C}/mesh/types`, `${C}/mesh/records`, `${C}/errors`],
  [`${C}/overlay`]: [
    `${C}/overlay`,
    `${C}/ipam/prefix`,
    `${C}/mesh/types`,
    `${C}/mesh/records`,
    `${C}/dataplane/types`,
    `${C}/errors`,
    `${C}/mac`,
  ],
  [`${C}/gateway`]: [
    `${C}/gateway`,
    `${C}/mesh/records`,
    `${C}/dataplane/types`,
    `${C}/dataplane/netns`,
    `${C}/errors`,
    `${C}/mac`,
    "@weft/tun",
  ],
  [`${C}/dns`]: [`${C}/dns`, `${C}/dataplane/netns`, `${C}/errors`, "@weft/tun"],
  // The engine runs on a virtual clock, without devices and memory: of the data plane it knows types only.
  [`${C}/wireguard`]: [`${C}/wireguard`, `${C}/dataplane/types`, `${C}/errors`],
  "packages/control": ["packages/control", "@weft/dataplane-wasm", "@weft/tun"],
};
/** Folder → what it may not import: each knows nothing of those above it. */
const NOT: Record<string, string[]> = {
  [`${W}/assembly/index`]: [`${W}/assembly/testing`, `${W}/assembly/batches`],
  [`${C}/config`]: ["cli", "http", "router", "state", "demo", "daemon"].map((part) => `${C}/${part}`),
  [`${C}/log`]: ["cli", "http", "router", "state", "demo", "daemon"].map((part) => `${C}/${part}`),
  [`${C}/state`]: ["cli", "http", "router", "demo", "daemon"].map((part) => `${C}/${part}`),
  [`${C}/router`]: ["cli", "http", "demo", "daemon"].map((part) => `${C}/${part}`),
  [`${C}/fabric`]: ["cli", "http", "demo", "daemon"].map((part) => `${C}/${part}`),
  [`${C}/http`]: ["cli", "demo", "daemon"].map((part) => `${C}/${part}`),
  // The command line is a client of the API.
  [`${C}/cli`]: ["router", "state", "http"].map((part) => `${C}/${part}`),
};

t.test("imports go one way", async (t) => {
  const isIn = (name: string, folder: string): boolean => name === folder || name.startsWith(`${folder}/`);
  const isOurs = (name: string): boolean =>
    name.startsWith("packages/") || name.startsWith("@weft/") || /^(test|bench|examples)\//.test(name);
  const wrong: string[] = [];
  let seen = 0;
  for (const path of sources.filter((p) => p.startsWith("packages/") && !/\.[ch]$/.test(p))) {
    for (const name of importsOf(path).filter(isOurs)) {
      seen++;
      for (const [folder, allowed] of Object.entries(MAY)) {
        if (isIn(path, folder) && !allowed.some((one) => isIn(name, one)))
          wrong.push(`${path} imports ${name}: ${folder} may import ${allowed.join(", ")} only`);
      }
      for (const [folder, forbidden] of Object.entries(NOT)) {
        if (isIn(path.replace(/\.ts$/, ""), folder) && forbidden.some((one) => isIn(name, one)))
          wrong.push(`${path} imports ${name}: ${folder} knows nothing of it`);
      }
    }
  }
  t.same(wrong, []);
  t.ok(seen > 100, `${seen} imports looked at`);
});

t.test("C files below the glue know neither N-API nor each other's protocols", async (t) => {
  const c = sources.filter((path) => path.startsWith("packages/tun/src/") && path.endsWith(".c"));
  const withNapi = c.filter((path) => /#include\s+[<"](node_api|js_native_api)/.test(read(path)));
  t.ok(withNapi.length <= 3, `N-API belongs into the glue alone, found in ${withNapi.join(", ")}`);
  t.same(
    c.filter((path) => /#include\s+[<"](linux\/if_ether|net\/ethernet|netinet\/(ip|tcp))/.test(read(path))),
    [],
    "the addon parses no frame",
  );
});

t.test("generated files are fresh", async (t) => {
  const run = spawnSync(process.execPath, [join(ROOT, W, "dist/abi/generate.js"), "--check"], { encoding: "utf8" });
  t.equal(run.status, 0, `run \`npm run gen\`: ${run.stderr}`);
});

const EXPORTS = [
  "abiHash",
  "age",
  "begin",
  "complete",
  "egress",
  "flush",
  "forget",
  "heapBase",
  "ingress",
  "memory",
  "park",
  "setup",
];

t.test("the module imports one shared memory and exports the documented functions", async (t) => {
  for (const build of ["release", "debug", "test"] as const) {
    const code = codeOf(build);
    const module = new wasm.Module(code);
    t.same(
      wasm.Module.imports(module),
      [{ module: "env", name: "memory", kind: "memory" }],
      `${build}: nothing but the memory comes from outside`,
    );
    const names = (wasm.Module.exports(module) as { name: string }[])
      .map((e) => e.name)
      .filter((name) => name !== "memory")
      .sort();
    const wanted = EXPORTS.filter((name) => name !== "memory");
    if (build === "release") t.same(names, wanted);
    else
      t.same(
        wanted.filter((name) => !names.includes(name)),
        [],
      );
    t.match(memoryLimits(code), { shared: true, initial: 1, maximum: 65_536 }, `${build}: any fixed memory fits`);
  }
});

/** Limits of the imported memory, from the import section (WebAssembly core §5.5.5). */
function memoryLimits(code: Uint8Array): { shared: boolean; initial: number; maximum: number } {
  const at = Buffer.from(code).indexOf(Buffer.from([...Buffer.from("\x03env\x06memory", "latin1"), 0x02]));
  let next = at + 12;
  const number = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const octet = code[next++] as number;
      value |= (octet & 127) << shift;
      if (octet < 128) return value;
    }
  };
  const flags = code[next++] as number;
  return { shared: (flags & 2) !== 0, initial: number(), maximum: number() };
}

t.test("every drop reason is used by the data path", async (t) => {
  const text = sources
    .filter((path) => path.startsWith(`${W}/assembly/path/`))
    .map(read)
    .join("\n")
    .replace(/import[^;]*;/g, "");
  const unused = drops
    .map(([name]) => `DROP_${name.toUpperCase()}`)
    .filter((name) => !new RegExp(`\\b${name}\\b`).test(text));
  t.same(unused, [], "remove it from abi/spec.ts or use it");
});

t.test("the data path allocates nothing: no new, string, closure or array literal", async (t) => {
  const wrong: string[] = [];
  for (const path of sources.filter((p) => p.startsWith(`${W}/assembly/`) && /\/(wire|table|path|crypto)\//.test(p))) {
    const code = read(path)
      .replace(/\/\*[\s\S]*?\*\//g, "")
      .replace(/\/\/.*$/gm, "")
      .replace(/^import[^;]*;|^export \{[^;]*;/gm, "")
      .replace(/offsetof<\w+>\("\w+"\)/g, "")
      // Static data of the module.
      .replace(/memory\.data<\w+>\(\[[^\]]*\]\)/g, "");
    for (const [what, pattern] of [
      ["new", /\bnew\s/],
      ["a string", /["'`]/],
      ["a closure", /=>/],
      ["an array", /[=(,:?]\s*\[|return\s*\[/],
      ["a mutable global", /^(let|var)\s/m],
    ] as const) {
      if (pattern.test(code)) wrong.push(`${path}: ${what}`);
    }
  }
  t.same(wrong, []);
});

t.test("no file is longer than 450 lines", async (t) => {
  // The table is data; a test file is as long as its cases.
  const exempt = (path: string): boolean =>
    isGenerated(path) || path.startsWith("test/") || path === `${W}/abi/spec.ts`;
  const long = sources
    .filter((path) => !exempt(path))
    .map((path) => [path, read(path).split("\n").length] as const)
    .filter(([, n]) => n > 450);
  t.same(long, [], "cut it where it does two things");
});

t.test("the fixed packages are declared and used", async (t) => {
  const manifests = files
    .filter((path) => path.endsWith("package.json"))
    .map((path) => JSON.parse(read(path)) as Record<string, Record<string, string>>);
  const declared = new Set(manifests.flatMap((m) => Object.keys({ ...m.dependencies, ...m.devDependencies })));
  const used = new Set(
    sources
      .filter((path) => !/\.[ch]$/.test(path))
      .flatMap(importsOf)
      .map((name) => name.replace(/^((?:@[^/]+\/)?[^/]+).*/, "$1")),
  );
  for (const name of ["assemblyscript", "prom-client", "tap", "benchmark"]) {
    t.ok(declared.has(name), `${name} is in a package.json`);
    t.ok(used.has(name), `${name} is imported`);
  }
});

t.test("files are called by what they hold", async (t) => {
  t.same(
    files.filter((path) => /(^|[/._-])(utils?|helpers?|commons?|managers?|misc)([._/-]|$)/i.test(path)),
    [],
    "name it after its subject",
  );
});

t.test("nothing refers to one machine, to a tracker or to a registry", async (t) => {
  // Written in two halves, so that this file may be looked at too.
  const forbidden = [
    "/work" + "/",
    "DESIGN" + ".md",
    "\\.\\./sha" + "red",
    "registry\\.np" + "mjs",
    "npm" + "mirror",
    "/(?:home|Users)/\\w+/",
    "issue" + " #?\\d",
    "\\b(?:TO" + "DO|FIX" + "ME)\\b\\s*[:(]",
  ];
  const pattern = new RegExp(forbidden.join("|"));
  const wrong = files
    .filter(
      (path) =>
        /\.(ts|js|mjs|c|h|json|md|ya?ml|service|conf|sh)$|^\.|\/run$/.test(path) && !path.endsWith(".tsbuildinfo"),
    )
    .flatMap((path) =>
      read(path)
        .split("\n")
        .flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1}: ${line.trim().slice(0, 100)}`] : [])),
    );
  t.same(wrong, []);
});

t.test("every test file is run by npm test", async (t) => {
  const tests = files.filter((path) => path.endsWith(".test.ts"));
  t.same(
    tests.filter((path) => !/^test\/([^/]+\.test\.ts|(unit|sim|fuzz|netns)\/)/.test(path)),
    [],
  );
  t.ok(tests.length >= 8 && existsSync(join(ROOT, relative(ROOT, fileURLToPath(import.meta.url)))));
});
