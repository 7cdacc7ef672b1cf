/** Runs the calling test file once more on the addon built with AddressSanitizer and UBSan. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import t from "tap";

/** Whether this process is that second run. */
export const SANITIZED = process.env.WEFT_TUN_ADDON === "asan";

const WITH_ASAN = fileURLToPath(new URL("../../packages/tun/scripts/with-asan.mjs", import.meta.url));
const COMPILED = new URL("../compiled.mjs", import.meta.url).href;

/** The environment for commands a test starts: the sanitizer's library is for Node alone. */
export function commandEnvironment(): NodeJS.ProcessEnv {
  const { LD_PRELOAD: _, ...env } = process.env;
  return env;
}

/** The environment for a Node program that is plain JavaScript: without the test runner's loaders, which take seconds. */
export function plainNode(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _, ...env } = process.env;
  return env;
}

/** Adds the test that runs `file` (import.meta.url of the test) again. */
export function runSanitized(file: string): void {
  if (SANITIZED) return;
  t.test("the same tests pass on the sanitizer build", { timeout: 140_000 }, async (t) => {
    const args = [WITH_ASAN, process.execPath, "--enable-source-maps", `--import=${COMPILED}`, fileURLToPath(file)];
    const env = plainNode();
    // The child reports on its own output, not into this run's.
    for (const name of Object.keys(env)) if (/^(TAP_CHILD_ID|_TAPJS_PROCESSINFO)/.test(name)) delete env[name];
    const child = spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    const status = await new Promise((resolve) => child.on("close", resolve));
    const output = `${stdout.slice(-6000)}\n${stderr.slice(-6000)}`;
    t.equal(status, 0, "the run succeeds", status === 0 ? {} : { output });
    t.notMatch(stderr, /AddressSanitizer|runtime error/, "the sanitizers found nothing");
    t.match(stdout, /^# \{ total: \d+, pass: \d+ \}$|^1\.\.\d+$/m, "it was a whole run");
  });
}
