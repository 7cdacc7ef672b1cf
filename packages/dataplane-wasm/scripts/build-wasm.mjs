/**
 * Compiles assembly/ to wasm/release.wasm, wasm/debug.wasm and wasm/test.wasm (release plus the exports of
 * testing.ts), each only when a source is newer, all at once. One command line for all; the differences are the reasons
 * below.
 */
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import asc from "assemblyscript/asc";

const common = [
  // The memory comes from outside and is shared by the workers; any fixed size is accepted.
  "--importMemory",
  "--sharedMemory",
  "--initialMemory",
  "1",
  "--maximumMemory",
  "65536",
  // Header and region table lie below; without -O3 constants would lie there too.
  "--memoryBase",
  "1024",
  "--enable",
  "simd",
  "--enable",
  "threads",
  // No allocator and no collector: the data path allocates nothing.
  "--runtime",
  "stub",
];
const release = ["-O3", "--converge", "--noAssert", "--uncheckedBehavior", "always", "--use", "abort=", "--debug"];
const targets = [
  ["wasm/release.wasm", ["assembly/index.ts"], release],
  // Asserts on and nothing inlined: the tests run both.
  ["wasm/debug.wasm", ["assembly/index.ts", "assembly/testing.ts"], ["--debug", "--use", "abort="]],
  ["wasm/test.wasm", ["assembly/index.ts", "assembly/testing.ts"], release],
];

if (isMainThread) await buildAll();
else parentPort.postMessage(await build(workerData));

async function buildAll() {
  process.chdir(fileURLToPath(new URL("..", import.meta.url)));
  mkdirSync("wasm", { recursive: true });
  const newest = Math.max(...[...sources("assembly"), "scripts/build-wasm.mjs"].map((f) => statSync(f).mtimeMs));
  const stale = targets.map(([out]) => out).filter((out) => !existsSync(out) || statSync(out).mtimeMs <= newest);
  const builds = stale.map((out) => once(new Worker(new URL(import.meta.url), { workerData: out }), "message"));
  for (const [complaint] of await Promise.all(builds)) {
    if (complaint === undefined) continue;
    console.error(complaint);
    process.exitCode = 1;
  }
}

/** @returns what was wrong, if something was */
async function build(target) {
  const [out, entries, flags] = targets.find(([out]) => out === target);
  const present = entries.filter((e) => existsSync(e));
  const { error, stderr } = await asc.main([...present, "--outFile", out, ...common, ...flags]);
  return error ? `weft: AssemblyScript could not compile ${out}:\n${stderr.toString()}` : undefined;
}

function sources(dir) {
  return readdirSync(dir, { withFileTypes: true }).flatMap((e) =>
    e.isDirectory() ? sources(`${dir}/${e.name}`) : e.name.endsWith(".ts") ? [`${dir}/${e.name}`] : [],
  );
}
