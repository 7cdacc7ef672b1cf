/** `weft bench`: between two machines from this package alone; everything else with the repository around it. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { WeftError } from "../errors.js";
import { PACKAGE_ROOT } from "../package-root.js";

/** What `npm run bench` runs: compares with the kernel and with other tools, and needs the repository. */
export async function bench(args: readonly string[]): Promise<number> {
  const folder = fileURLToPath(new URL("../../bench/", PACKAGE_ROOT));
  const script = `${folder}build/run.js`;
  if (!existsSync(script)) {
    if (existsSync(`${folder}tsconfig.json`))
      throw new WeftError("unsupported", "the benchmarks are not built: run `npm run build` in the repository");
    throw new WeftError(
      "unsupported",
      "this part of the benchmarks ships with the repository, not with this package: clone it, then `npm ci && npm run bench`; " +
        "`weft bench serve` and `weft bench to HOST` work without it",
    );
  }
  const child = spawn(process.execPath, [script, ...args], { stdio: "inherit" });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => resolve(signal === null ? (code ?? 1) : 1));
  });
}
