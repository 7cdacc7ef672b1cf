/**
 * Node.js hooks with which `tap run` takes tests as `tsc -b test` has compiled them (.taprc names this module).
 *
 * tap's own plugin for TypeScript loads the compiler into every test process and compiles there, which costs each of them
 * some seconds of CPU. Modules of test/ keep the address of their source, so that import.meta.url leads where it says; one
 * that has been changed since is compiled here. What they import of the packages' and of bench's sources is what those have
 * been built to.
 */
import { readFile, stat } from "node:fs/promises";
import { register } from "node:module";
import { fileURLToPath } from "node:url";
import { isMainThread } from "node:worker_threads";

const ROOT = new URL("..", import.meta.url).href;

/** Where a source's compiled form is; paths from the root of the repository, without the ending. */
const BUILT = [
  [/^packages\/control\/src\/(.*)$/, "packages/control/dist/$1"],
  [/^packages\/dataplane-wasm\/((?:abi|src)\/.*)$/, "packages/dataplane-wasm/dist/$1"],
  [/^bench\/(?!build\/)(.*)$/, "bench/build/$1"],
];

if (isMainThread) register(import.meta.url);

export async function resolve(specifier, context, next) {
  if (!specifier.startsWith(".") || !specifier.endsWith(".js")) return await next(specifier, context);
  const module = new URL(specifier, context.parentURL).href.slice(0, -".js".length);
  if (!module.startsWith(ROOT)) return await next(specifier, context);
  const path = module.slice(ROOT.length);
  if (path.startsWith("test/")) return await next(`${module}.ts`, context);
  const [source, built] = BUILT.find(([source]) => source.test(path)) ?? [];
  return await next(source === undefined ? specifier : `${ROOT}${path.replace(source, built)}.js`, context);
}

export async function load(url, context, next) {
  const path = url.startsWith(`${ROOT}test/`) ? url.slice(`${ROOT}test/`.length) : "";
  if (!path.endsWith(".ts")) return await next(url, context);
  const file = fileURLToPath(url);
  const built = fileURLToPath(`${ROOT}test/build/${path.slice(0, -".ts".length)}.js`);
  const source = (await changedAt(built)) > (await changedAt(file)) ? await compiled(built) : await compile(file);
  return { format: "module", source, shortCircuit: true };
}

/** Milliseconds since 1970, 0 where there is no such file. */
async function changedAt(path) {
  return (await stat(path).catch(() => undefined))?.mtimeMs ?? 0;
}

async function compiled(built) {
  // The map is named beside the compiled file; seen from the source it is elsewhere.
  return (await readFile(built, "utf8")).replace(/\/\/# sourceMappingURL=.*/, `//# sourceMappingURL=${built}.map`);
}

async function compile(file) {
  const { transform } = await import("esbuild");
  const options = { loader: "ts", format: "esm", target: "es2022", sourcemap: "inline", sourcefile: file };
  return (await transform(await readFile(file, "utf8"), options)).code;
}
