/**
 * Builds the addon with the C compiler alone: no node-gyp, no python, no make.
 *
 *   node scripts/build-addon.mjs           build/weft_tun.node
 *   node scripts/build-addon.mjs --asan    build/weft_tun.asan.node, with AddressSanitizer and UBSan
 *
 * CC names another compiler. Any failure is one message and exit status 1: an install without the addon would only
 * fail later and less clearly.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const asan = process.argv.includes("--asan");
const cc = process.env.CC || "cc";
const output = join(root, "build", asan ? "weft_tun.asan.node" : "weft_tun.node");

function fail(message) {
  process.stderr.write(`@weft/tun: the addon was not built: ${message}\n`);
  process.exit(1);
}

if (process.platform !== "linux") fail(`it needs Linux (TAP devices, netlink), this is ${process.platform}`);

let include;
try {
  include = join(dirname(createRequire(import.meta.url).resolve("node-api-headers/package.json")), "include");
} catch {
  fail("the package node-api-headers is missing: run npm ci again");
}

const version = spawnSync(cc, ["--version"], { encoding: "utf8" });
if (version.error || version.status !== 0) {
  fail(`there is no C compiler (${cc}). Install one: apt-get install gcc libc6-dev`);
}

const sources = readdirSync(join(root, "src"))
  .filter((name) => /\.[ch]$/.test(name))
  .sort();
const temporary = `${output}.${process.pid}`;
const args = [
  ...["-std=gnu11", "-O2", "-g1", "-fPIC", "-shared", "-pthread", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"],
  ...(asan ? ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"] : []),
  ...["-isystem", include],
  ...sources.filter((name) => name.endsWith(".c")).map((name) => join(root, "src", name)),
];

// Built before from the same sources by the same compiler: nothing to do.
const key = createHash("sha256").update(JSON.stringify([version.stdout, args]));
for (const name of sources) key.update(name).update(readFileSync(join(root, "src", name)));
const digest = key.digest("hex");
const keyFile = `${output}.key`;
if (existsSync(output) && existsSync(keyFile) && readFileSync(keyFile, "utf8") === digest) process.exit(0);

mkdirSync(dirname(output), { recursive: true });
const build = spawnSync(cc, [...args, "-o", temporary], { encoding: "utf8" });
if (build.status !== 0) {
  rmSync(temporary, { force: true });
  const header = /fatal error: (\S+): No such file/.exec(build.stderr ?? "")?.[1];
  if (header && sources.some((name) => readFileSync(join(root, "src", name), "utf8").includes(`#include "${header}"`)))
    fail(`src/${header} is missing from this checkout`);
  if (header) fail(`the header ${header} is missing. Install it: apt-get install libc6-dev linux-libc-dev`);
  if (/cannot find -l?(asan|ubsan)|lib(asan|ubsan)/.test(build.stderr ?? "")) {
    fail(
      "the sanitizer libraries are missing. Install them: apt-get install gcc   (libasan and libubsan come with it)",
    );
  }
  fail(`${cc} failed:\n${build.stderr || build.error?.message || ""}`);
}
// Renamed into place: a process that has the old one loaded keeps its own.
renameSync(temporary, output);
writeFileSync(keyFile, digest);
