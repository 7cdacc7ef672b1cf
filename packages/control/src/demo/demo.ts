/**
 * `weft demo`: three hosts on one underlay become a mesh, with a container on each; real daemons, end to end on this machine.
 *
 * Everything happens in network, mount and process namespaces of its own with an empty /run, also for an ordinary
 * user, who gets a user namespace as well. They vanish with the last process in them, so nothing is left however the
 * demo ends. This file enters them; `world.ts` builds the hosts, `etc.ts` an /etc for their containers, `measure.ts` uses
 * them, `report.ts` prints, `shell.ts` lets a user in.
 */
import { spawn, spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readdirSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { PACKAGE_ROOT } from "../package-root.js";
import { measure } from "./measure.js";
import { opening, playground, table } from "./report.js";
import { placeShell } from "./shell.js";
import { build, type World } from "./world.js";

export interface DemoOptions {
  /** Leave the hosts running until Ctrl-C and print commands to try. */
  readonly keep: boolean;
}

const INSIDE = "WEFT_DEMO_INSIDE";
const WEFT = fileURLToPath(new URL("bin/weft.js", PACKAGE_ROOT));

/** Commands the demo calls, and the Debian package that brings each. */
const TOOLS = [
  ["unshare", "util-linux"],
  ["nsenter", "util-linux"],
  ["mount", "mount"],
  ["umount", "mount"],
  ["ip", "iproute2"],
  ["ping", "iputils-ping"],
] as const;

/** Runs the demo; the exit code of the command. Never throws for what the machine lacks: that is one line and 1. */
export async function runDemo(options: DemoOptions): Promise<number> {
  // Debian keeps ip where an ordinary user's PATH does not look.
  process.env["PATH"] = [process.env["PATH"], "/usr/sbin", "/sbin"].filter(Boolean).join(delimiter);
  return process.env[INSIDE] === "1" ? await inside(options) : await outside(options);
}

/** Enters the namespaces by running the same command again in them. */
async function outside({ keep }: DemoOptions): Promise<number> {
  const missing = TOOLS.filter(([tool]) => !onPath(tool));
  if (missing.length > 0) {
    const packages = [...new Set(missing.map(([, name]) => name))].join(" ");
    return refuse(`weft demo needs ${missing.map(([tool]) => tool).join(", ")}: apt-get install ${packages}`);
  }
  try {
    accessSync("/dev/net/tun", constants.R_OK | constants.W_OK);
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
    return refuse(
      missing
        ? "weft demo needs /dev/net/tun: `modprobe tun`, or start the container with `--device /dev/net/tun`"
        : "weft demo needs /dev/net/tun, which this user may not open: run it as root, or `chmod 666 /dev/net/tun`",
    );
  }
  const user = process.getuid?.() === 0 ? [] : ["-U", "-r"];
  const flags = [...user, "-n", "-m", "-p", "-f", "--mount-proc", "--kill-child"];
  const probe = spawnSync("unshare", [...flags, "true"], { encoding: "utf8" });
  if (probe.status !== 0) {
    return refuse(
      `weft demo needs namespaces of its own, and this machine allows none (${firstLine(probe.stderr)}): ` +
        "run it as root, or allow user namespaces",
    );
  }
  // sh is the first process in there: it reaps orphans, and when it ends the kernel ends all others.
  // The trap keeps it from passing Ctrl-C on as its own exit code.
  const script = 'trap : INT; mount -t tmpfs tmpfs /run && ip link set lo up && "$@"; exit $?';
  const again = [process.execPath, WEFT, "demo", ...(keep ? ["--keep"] : [])];
  const child = spawn("unshare", [...flags, "sh", "-c", script, "sh", ...again], {
    env: { ...process.env, [INSIDE]: "1" },
    stdio: ["pipe", "inherit", "inherit"],
  });
  // The inner process learns how it is called out here, and ends when the pipe closes: when we die, however.
  child.stdin.on("error", () => {});
  const first = await childOf(child.pid ?? 0);
  child.stdin.write(`nsenter -t ${first} ${user.length > 0 ? "-U --preserve-credentials " : ""}-m -n -p\n`);
  // Ctrl-C reaches the inner process by itself, a signal that is sent to us does not.
  process.on("SIGINT", () => child.stdin.write("end\n"));
  for (const signal of ["SIGTERM", "SIGHUP"] as const) process.on(signal, () => child.kill("SIGKILL"));
  return await new Promise((resolve) => child.on("close", (code) => resolve(code ?? 1)));
}

async function inside({ keep }: DemoOptions): Promise<number> {
  let world: World | undefined;
  const outer = await outerProcess();
  const interrupted = Promise.race([outer.end, new Promise<void>((resolve) => process.on("SIGINT", () => resolve()))]);
  try {
    console.log(opening());
    world = await build(WEFT);
    const result = await measure(world);
    console.log(table(result, world.builtSeconds));
    if (keep) {
      const shell = placeShell(process.execPath, WEFT);
      console.log(playground(`${outer.enter} ${shell}`, world));
      world.onEnd(({ name }, lastWords) =>
        console.log(
          `\n  The daemon of ${name} has ended. Its last line: ${lastWords || "none"}\n  Ctrl-C ends the rest.`,
        ),
      );
      await interrupted;
    }
    await world.close();
    console.log(
      keep ? "\nEverything is removed." : "Everything is removed again. `--keep` leaves it running to play with.",
    );
    return result.good ? 0 : 1;
  } catch (error) {
    await world?.kill();
    return refuse(`weft demo failed: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    outer.release();
  }
}

/** Standard input: its first line is how to enter from outside, the second asks us to end; its end is that of the outer process and of us. */
async function outerProcess(): Promise<{ enter: string; end: Promise<void>; release: () => void }> {
  const lines = createInterface({ input: process.stdin });
  const die = (): void => process.exit(1);
  lines.on("close", die);
  const enter = await new Promise<string>((resolve) => lines.once("line", resolve));
  const end = new Promise<void>((resolve) => lines.once("line", () => resolve()));
  const release = (): void => {
    lines.off("close", die);
    lines.close();
    process.stdin.destroy();
  };
  return { enter, end, release };
}

/** The first process in the namespaces, as it is called out here: the only child of `unshare`. */
async function childOf(parent: number): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
      try {
        // The name, in brackets, may hold spaces; behind it come state and parent.
        const [, ppid] = readFileSync(`/proc/${pid}/stat`, "utf8")
          .replace(/^.*\) /s, "")
          .split(" ");
        if (Number(ppid) === parent) return Number(pid);
      } catch {
        // It has ended meanwhile.
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return parent;
}

function refuse(message: string): 1 {
  process.stderr.write(`${message}\n`);
  return 1;
}

function firstLine(text: string | null): string {
  return (text ?? "").trim().split("\n")[0] ?? "";
}

function onPath(tool: string): boolean {
  const dirs = (process.env["PATH"] ?? "").split(delimiter);
  return dirs.some((dir) => existsSync(join(dir, tool)));
}
