/** `weft demo` and `weft bench` */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { WeftError } from "../errors.js";

export async function demo(options: { readonly keep?: boolean }): Promise<number> {
  const { runDemo } = await import("../demo/demo.js");
  return runDemo({ keep: options.keep === true });
}

/** Benchmarks compare with the kernel and with other tools, and need the repository around them. */
export async function bench(args: readonly string[]): Promise<number> {
  const folder = fileURLToPath(new URL("../../../../bench/", import.meta.url));
  const script = `${folder}build/run.js`;
  if (!existsSync(script)) {
    if (existsSync(`${folder}tsconfig.json`))
      throw new WeftError("unsupported", "the benchmarks are not built: run `npm run build` in the repository");
    throw new WeftError(
      "unsupported",
      "the benchmarks ship with the repository, not with this package: clone it, then `npm ci && npm run bench`",
    );
  }
  const child = spawn(process.execPath, [script, ...args], { stdio: "inherit" });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => resolve(signal === null ? (code ?? 1) : 1));
  });
}
