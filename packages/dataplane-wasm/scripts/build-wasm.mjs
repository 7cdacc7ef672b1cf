/**
 * Compiles assembly/ to wasm/release.wasm, wasm/debug.wasm and wasm/test.wasm (release plus the exports of
 * testing.ts), each only when a source is newer. One command line for all; the differences are the reasons below.
 */
import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";

const root = fileURLToPath(new URL("..", import.meta.url));
process.chdir(root);
mkdirSync("wasm", { recursive: true });

const sources = (dir) =>
  readdirSync(dir, { withFileTypes: true }).flatMap((e) =>
    e.isDirectory() ? sources(`${dir}/${e.name}`) : e.name.endsWith(".ts") ? [`${dir}/${e.name}`] : [],
  );
const newest = Math.max(...[...sources("assembly"), "scripts/build-wasm.mjs"].map((f) => statSync(f).mtimeMs));

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

for (const [out, entries, flags] of targets) {
  if (existsSync(out) && statSync(out).mtimeMs > newest) continue;
  const present = entries.filter((e) => existsSync(e));
  const { error, stderr } = await asc.main([...present, "--outFile", out, ...common, ...flags]);
  if (error) {
    console.error(`weft: AssemblyScript could not compile ${out}:\n${stderr.toString()}`);
    process.exit(1);
  }
}
