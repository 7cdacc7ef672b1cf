/**
 * Builds the addon with AddressSanitizer and UBSan and runs a command on that build:
 *
 *   node scripts/with-asan.mjs node some-test.js
 *
 * The sanitizer's runtime has to be the first library of the process, hence LD_PRELOAD. Leaks are not looked for: Node
 * itself frees little at its end. Exits with the command's status; a finding of the sanitizers is status 97.
 */
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const [command, ...args] = process.argv.slice(2);
if (!command) {
  process.stderr.write("usage: with-asan.mjs COMMAND [ARGUMENT…]\n");
  process.exit(2);
}
const here = dirname(fileURLToPath(import.meta.url));
const build = spawnSync(process.execPath, [join(here, "build-addon.mjs"), "--asan"], { stdio: "inherit" });
if (build.status !== 0) process.exit(1);

const library = spawnSync(process.env.CC || "cc", ["-print-file-name=libasan.so"], { encoding: "utf8" }).stdout.trim();
const result = spawnSync(command, args, {
  stdio: "inherit",
  env: {
    ...process.env,
    WEFT_TUN_ADDON: "asan",
    LD_PRELOAD: library,
    // V8 catches SIGSEGV itself where WebAssembly runs out of its memory.
    ASAN_OPTIONS: "detect_leaks=0:handle_segv=0:allow_user_segv_handler=1:exitcode=97",
    UBSAN_OPTIONS: "print_stacktrace=1:halt_on_error=1:exitcode=97",
  },
});
if (result.error) process.stderr.write(`with-asan.mjs: ${result.error.message}\n`);
process.exit(result.status ?? 1);
