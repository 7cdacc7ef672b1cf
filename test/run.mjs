/**
 * Runs the tests: `npm test [-- OPTIONS] [FILE…]`.
 *
 *   --only=unit,sim,fuzz   these directories of test/ only
 *   --long                 the long forms (WEFT_TEST_LONG=1)
 *   --verbose              tap's whole output instead of one line per file, its failures and its tables
 *   FILE…                  these files only; a part of the path is enough
 *
 * Everything runs in network, mount and process namespaces of its own with an empty /run, also for an ordinary user
 * (who gets a user namespace as well): whatever a test leaves behind, and whatever is left when this process is killed
 * with -9, ends with them. The last line is `N passed, N failed`, counted in assertions; a skipped test has failed.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { delimiter, dirname, join, relative } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const INSIDE = "WEFT_TEST_PRIVATE";

/** Commands that tests call, and the Debian package that brings each. */
const TOOLS = {
  unshare: "util-linux",
  nsenter: "util-linux",
  mount: "mount",
  ip: "iproute2",
  bridge: "iproute2",
  tc: "iproute2",
  ping: "iputils-ping",
  ethtool: "ethtool",
  tshark: "tshark",
  prometheus: "prometheus",
  promtool: "prometheus",
  "wireguard-go": "wireguard-go",
  wg: "wireguard-tools",
  tar: "tar",
  dig: "bind9-dnsutils",
  nft: "nftables",
  busybox: "busybox",
  iptables: "iptables",
  "iptables-legacy": "iptables",
  cc: "build-essential",
};

/** Tests on real devices that run one at a time: they measure, or hold deadlines of their own. */
const ALONE = /^test\/netns\/(idle|mesh-chaos|mesh-five)\.test\.ts$/;
/** Those that hold deadlines, and leave the machine idle enough for one more of their kind. */
const PAIRED = /^test\/netns\/(mesh-relay|restart)\.test\.ts$/;
/** Those that put the machine under load. */
const HEAVY = /^test\/netns\/(offloads|soak|wireguard-hostile)\.test\.ts$/;
/** Those that use devices outside of a lab: in a network namespace of their own. */
const BARE = /^test\/netns\/(tun.*|wireguard-device)\.test\.ts$/;

/**
 * What runs one after the other, each a list of what runs side by side: test directories, which files of them, and how many
 * at once. Most tests on real devices have namespaces, sockets and directories of their own, and mostly wait.
 */
const STAGES = [
  [{ dirs: ["house", "unit", "sim", "fuzz"], jobs: 3 }],
  [
    { dirs: ["netns"], jobs: 4, fits: (file) => ![ALONE, PAIRED, HEAVY, BARE].some((those) => those.test(file)) },
    { dirs: ["netns"], jobs: 1, fits: (file) => BARE.test(file), bare: true },
  ],
  [{ dirs: ["netns"], jobs: 2, fits: (file) => HEAVY.test(file) }],
  [{ dirs: ["netns"], jobs: 2, fits: (file) => PAIRED.test(file) }],
  [{ dirs: ["netns"], jobs: 1, fits: (file) => ALONE.test(file) }],
];

// Debian keeps ip, ethtool and others where an ordinary user's PATH does not look.
process.env.PATH = [process.env.PATH, "/usr/sbin", "/sbin"].filter(Boolean).join(delimiter);
const options = parseArguments(process.argv.slice(2));
process.exitCode = process.env[INSIDE] === "1" ? await inside() : await outside();

/** Checks, builds, and starts the same command inside the namespaces. */
async function outside() {
  const missing = Object.keys(TOOLS).filter((tool) => !onPath(tool));
  for (const tool of missing) {
    console.log(`${tool} is not installed: apt-get install ${TOOLS[tool]}`);
  }
  if (!build()) {
    console.log("0 passed, 1 failed");
    return 1;
  }
  const env = { ...process.env, WEFT_TEST_MISSING: String(missing.length) };
  if (options.long) env.WEFT_TEST_LONG = "1";
  const again = [process.execPath, fileURLToPath(import.meta.url), ...process.argv.slice(2)];
  // sh is the first process in there: it reaps orphans, and when it ends the kernel ends all others.
  const script = 'mount -t tmpfs tmpfs /run && mkdir /run/tmp && ip link set lo up && "$@"; exit $?';
  const flags = ["-n", "-m", "-p", "-f", "--mount-proc", "--kill-child"];
  if (process.getuid?.() !== 0) flags.unshift("-U", "-r");
  const probe = spawnSync("unshare", [...flags, "true"], { encoding: "utf8" });
  if (probe.status !== 0) {
    console.log(
      `No namespaces here, so only tests without devices run: ${(probe.stderr || "unshare is missing").trim()}`,
    );
    Object.assign(process.env, env, { WEFT_TEST_MISSING: String(missing.length + 1) });
    return await inside(["house", "unit", "sim", "fuzz"]);
  }
  Object.assign(env, { [INSIDE]: "1", TMPDIR: "/run/tmp" });
  const child = spawn("unshare", [...flags, "sh", "-c", script, "sh", ...again], {
    cwd: root,
    env,
    // The inner process ends when this pipe closes, that is when we die, however that happens.
    stdio: ["pipe", "inherit", "inherit"],
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill("SIGKILL"));
  return await new Promise((resolve) => child.on("exit", (code) => resolve(code ?? 1)));
}

/** Runs tap over the chosen files and counts. */
async function inside(allowed) {
  if (process.env[INSIDE] === "1") {
    process.stdin
      .on("end", () => process.exit(1))
      .on("error", () => process.exit(1))
      .resume();
  }
  const sum = { passed: 0, failed: Number(process.env.WEFT_TEST_MISSING ?? 0), files: 0 };
  const part = async ({ dirs, jobs, fits, bare }) => {
    const wanted = dirs.filter((dir) => (options.only ?? dirs).includes(dir) && (allowed ?? dirs).includes(dir));
    const files = wanted
      .flatMap(filesOf)
      .filter(chosen)
      .filter(fits ?? (() => true));
    if (files.length === 0) return;
    const result = await tap(files, jobs, bare);
    sum.passed += result.passed;
    sum.failed += result.failed;
    sum.files += files.length;
  };
  const before = jiffies();
  for (const parts of STAGES) await Promise.all(parts.map(part));
  const [all, stolen] = jiffies().map((now, i) => now - before[i]);
  if (stolen > all / 20)
    console.log(`This machine's host gave ${Math.round((100 * stolen) / all)} % of the time to others.`);
  if (sum.files === 0) {
    console.log("No test file matches.");
    sum.failed++;
  }
  console.log(`${sum.passed} passed, ${sum.failed} failed`);
  process.stdin.destroy();
  return sum.failed === 0 && sum.passed > 0 ? 0 : 1;
}

/**
 * One run of tap. Prints a line per file, and what failed in it; resolves with the counts of tap's own summary.
 *
 * @param bare in a network namespace of its own, and with a `.tap` of its own: two runs of tap cannot share that
 */
async function tap(files, jobs, bare = false) {
  const bin = join(root, "node_modules/tap/dist/esm/run.mjs");
  const command = [process.execPath, bin, "run", "--reporter=tap", `--jobs=${jobs}`];
  if (options.long) command.push("--timeout=7200");
  if (bare) {
    const script = 'mkdir -p .tap && mount -t tmpfs tmpfs .tap && ip link set lo up && exec "$@"';
    command.unshift("unshare", "-n", "-m", "sh", "-c", script, "sh");
  }
  const [name, ...words] = [...command, ...files];
  const child = spawn(name, words, { cwd: root, stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.on("exit", (code) => resolve(code ?? 1)));
  let counts;
  let held = [];
  let isAboutFile = false;
  const unheard = new Set(files);
  for await (const line of createInterface({ input: child.stdout })) {
    const summary = /^# \{ total: (\d+)(.*)\}/.exec(line);
    if (summary) {
      const count = (word) => Number(new RegExp(`${word}: (\\d+)`).exec(summary[2])?.[1] ?? 0);
      counts = { passed: count("pass"), failed: count("fail") + count("skip") + count("todo") };
    }
    if (options.verbose) console.log(line);
    // What stands below a file's own line: how its process has ended, and of a `timeout!` which file it was.
    if (line === "  ---") isAboutFile = true;
    if (isAboutFile) {
      if (line === "  ...") isAboutFile = false;
      else if (!options.verbose && /^ {2}(expired|signal): (?!null)/.test(line)) console.log(`     ${line}`);
      continue;
    }
    const top = /^(not )?ok \d+ - (.*?)(?: # time=(.*))?$/.exec(line);
    if (!top) {
      held.push(line);
      continue;
    }
    unheard.delete(top[2]);
    if (!options.verbose) {
      const seconds = top[3]
        ? ` (${(Number.parseFloat(top[3]) / (top[3].endsWith("ms") ? 1000 : 1)).toFixed(1)} s)`
        : "";
      console.log(`${top[1] ? "FAILED" : "ok    "} ${top[2]}${seconds}`);
      for (const text of failures(held)) console.log(text);
      for (const row of tables(held)) console.log(row);
    }
    held = [];
  }
  const code = await ended;
  for (const file of unheard) console.log(`FAILED ${file}: it has not come to an end`);
  if (counts === undefined) {
    console.log(held.join("\n"));
    return { passed: 0, failed: 1 };
  }
  if (counts.failed === 0 && (code !== 0 || unheard.size > 0)) counts.failed = Math.max(1, unheard.size);
  return counts;
}

/** Of a file's TAP: what failed or was skipped, with the diagnostics behind each. */
function failures(lines) {
  let diagnostics = false;
  return lines.filter((line) => {
    if (/^\s*not ok |# SKIP|# TODO/.test(line)) {
      diagnostics = false;
      return true;
    }
    if (/^\s*---$/.test(line)) diagnostics = true;
    else if (/^\s*(ok \d|# Subtest|\d+\.\.\d+)/.test(line)) diagnostics = false;
    return diagnostics;
  });
}

/** Of a file's TAP: comments that are rows of a table, `| … |`. What a test has measured is printed also when it has passed. */
function tables(lines) {
  return lines.flatMap((line) => /^\s*# (\|.*)/.exec(line)?.[1] ?? []);
}

/** TypeScript is checked, compiled and put together each time (a second when nothing changed); the rest only when it is missing. */
function build() {
  const tsc = [process.execPath, join(root, "node_modules/typescript/bin/tsc"), "-b", ".", "test"];
  const built = existsSync(join(root, "packages/dataplane-wasm/wasm/release.wasm"));
  const bundle = [process.execPath, join(root, "packages/control/scripts/bundle.mjs")];
  for (const [command, ...args] of built ? [tsc, bundle] : [["npm", "run", "build"], tsc]) {
    if (spawnSync(command, args, { cwd: root, stdio: "inherit" }).status === 0) continue;
    console.log("The build failed, so no test ran.");
    return false;
  }
  return true;
}

/** Of all processors since the boot: all, and those that a virtual machine's host gave to others (proc_stat(5)). */
function jiffies() {
  const counts = readFileSync("/proc/stat", "latin1").split("\n", 1)[0].split(/\s+/).slice(1, 9).map(Number);
  return [counts.reduce((sum, count) => sum + count, 0), counts[7]];
}

function filesOf(dir) {
  if (dir === "house")
    return readdirSync(join(root, "test"))
      .filter((name) => name.endsWith(".test.ts"))
      .map((name) => `test/${name}`);
  const top = join(root, "test", dir);
  if (!existsSync(top)) return [];
  return readdirSync(top, { recursive: true })
    .filter((name) => name.endsWith(".test.ts"))
    .map((name) => relative(root, join(top, name)))
    .sort();
}

function chosen(file) {
  return options.files.length === 0 || options.files.some((part) => file.includes(part));
}

function onPath(tool) {
  return process.env.PATH.split(delimiter).some((dir) => existsSync(join(dir, tool)));
}

function parseArguments(argv) {
  const parsed = { long: false, verbose: false, only: undefined, files: [] };
  for (const arg of argv) {
    if (arg === "--long") parsed.long = true;
    else if (arg === "--verbose") parsed.verbose = true;
    else if (arg.startsWith("--only=")) parsed.only = arg.slice(7).split(",");
    else if (arg.startsWith("-")) {
      console.log(`unknown option ${arg}; known: --only=DIR,DIR --long --verbose FILE…`);
      process.exit(2);
    } else parsed.files.push(arg.replace(/^\.\//, ""));
  }
  return parsed;
}
