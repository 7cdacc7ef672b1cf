/**
 * The demo's hosts: three namespaces on one bridge. The first founds a network, the others join it with the command that
 * `weft token` prints, and each gives a container its addresses and its name.
 *
 * Uses the commands that anybody would type (`ip`, `nsenter`, `weft`), so it can be followed and repeated by hand.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { promisify } from "node:util";
import type { PortInfo } from "../dataplane/types.js";
import { nameServers, ownEtc } from "./etc.js";

const execute = promisify(execFile);

export interface DemoHost {
  readonly name: string;
  /** Underlay address. */
  readonly underlay: string;
  readonly socket: string;
  /** Name of its container, and of the namespace that stands for it. */
  readonly container: string;
}

/** A container with what the network gave it. */
export interface Container {
  readonly host: DemoHost;
  readonly name: string;
  readonly v4: string;
  readonly v6: string;
}

export interface World {
  /** One of each host: web, db, cache. */
  readonly containers: readonly [Container, Container, Container];
  /** Where containers ask for names: the gateway of their network. */
  readonly gateway: string;
  /** Seconds from the first `weft up` until every container had an address. */
  readonly builtSeconds: number;
  /** Command of a child process inside a namespace: `[program, …arguments]`. */
  readonly within: (namespace: string, command: readonly string[]) => string[];
  /** Runs `weft` against a host's daemon; its standard output. */
  readonly weft: (host: DemoHost, words: readonly string[]) => Promise<string>;
  /** Told of a daemon that ends by itself, with its last words. */
  readonly onEnd: (tell: (host: DemoHost, lastWords: string) => void) => void;
  /** `weft down` on all hosts, then checks that the daemons have ended. */
  readonly close: () => Promise<void>;
  /** Ends the daemons at once. */
  readonly kill: () => Promise<void>;
}

/** How long a daemon may take to say `ready`, or to end: long, for a busy machine with two cores. */
const PATIENCE_MS = 30_000;
/** The switch between the hosts. */
const UNDERLAY = "underlay";
/** A namespace for `--keep`, with nothing in it yet. */
export const EXTRA = "extra";

const HOSTS: readonly [DemoHost, DemoHost, DemoHost] = [
  { name: "host-a", underlay: "192.0.2.1", socket: "/run/host-a.sock", container: "web" },
  { name: "host-b", underlay: "192.0.2.2", socket: "/run/host-b.sock", container: "db" },
  { name: "host-c", underlay: "192.0.2.3", socket: "/run/host-c.sock", container: "cache" },
];

/** @param weftPath the weft command's script. Throws one message when a step fails. */
export async function build(weftPath: string): Promise<World> {
  const within = (namespace: string, command: readonly string[]): string[] => [
    "nsenter",
    `--net=/run/netns/${namespace}`,
    ...command,
  ];
  const weft = async (host: DemoHost, words: readonly string[]): Promise<string> =>
    await run(within(host.name, [process.execPath, weftPath, ...words, "--socket", host.socket]));

  ownEtc();
  await wire();
  const started = performance.now();
  const daemons: Daemon[] = [];
  const up = (host: DemoHost, words: readonly string[]): Daemon => {
    const own = ["--name", host.name, "--underlay", host.underlay, "--socket", host.socket];
    const command = [process.execPath, weftPath, ...words, ...own, "--ephemeral", "--log-format", "json"];
    const daemon = startDaemon(within(host.name, command));
    daemons.push(daemon);
    return daemon;
  };
  const attach = async (host: DemoHost): Promise<Container> => {
    const name = host.container;
    const { ip } = JSON.parse(await weft(host, ["attach", name, "--name", name, "--json"])) as PortInfo;
    const bare = ip.map((cidr) => cidr.replace(/\/.*$/, ""));
    const of = (family: 4 | 6): string => bare.find((address) => address.includes(":") === (family === 6)) ?? "";
    return { host, name, v4: of(4), v6: of(6) };
  };
  const kill = async (): Promise<void> => {
    for (const daemon of daemons) daemon.child.kill("SIGKILL");
    await Promise.all(daemons.map((daemon) => daemon.ended));
  };
  try {
    const [a, b, c] = HOSTS;
    await up(a, ["up"]).ready;
    // "weft up --join HOST --token TOKEN": what the next host types.
    const printed = (await weft(a, ["token"])).trim().split(/\s+/);
    const join = printed.slice(printed.indexOf("up"));
    const joined = [up(b, join), up(c, join)];
    await Promise.all(joined.map((daemon) => daemon.ready));
    const containers = await Promise.all([attach(a), attach(b), attach(c)]);
    const builtSeconds = (performance.now() - started) / 1000;
    const gateway = await gatewayOf(a.container);
    nameServers([...HOSTS.map((host) => host.container), EXTRA], gateway);

    let closing = false;
    const onEnd: World["onEnd"] = (tell) => {
      for (const [i, host] of HOSTS.entries()) {
        const daemon = daemons[i];
        void daemon?.ended.then(() => closing || tell(host, daemon.lastWords));
      }
    };
    const close = async (): Promise<void> => {
      closing = true;
      await Promise.all(HOSTS.map(async (host, i) => (daemons[i]?.running ? await weft(host, ["down"]) : "")));
      const late = new Promise<never>((_, reject) => {
        setTimeout(() => reject(new Error("a daemon still runs after `weft down`")), PATIENCE_MS).unref();
      });
      await Promise.race([Promise.all(daemons.map((daemon) => daemon.ended)), late]);
    };
    return { containers, gateway, builtSeconds, within, weft, onEnd, close, kill };
  } catch (error) {
    await kill();
    throw error;
  }
}

/** Namespaces for the hosts and containers, and a bridge that the hosts are plugged into. */
async function wire(): Promise<void> {
  await run(["ip", "link", "add", UNDERLAY, "type", "bridge", "mcast_snooping", "0"]);
  await run(["ip", "link", "set", UNDERLAY, "up"]);
  for (const name of [...HOSTS.flatMap((host) => [host.name, host.container]), EXTRA]) {
    await run(["ip", "netns", "add", name]);
    await run(["ip", "-n", name, "link", "set", "lo", "up"]);
  }
  for (const { name, underlay } of HOSTS) {
    await run(["ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name]);
    await run(["ip", "link", "set", name, "master", UNDERLAY, "up"]);
    await run(["ip", "-n", name, "addr", "add", `${underlay}/24`, "dev", "eth0"]);
    await run(["ip", "-n", name, "link", "set", "eth0", "up"]);
  }
}

async function gatewayOf(container: string): Promise<string> {
  const text = await run(["ip", "-j", "-n", container, "route", "show", "default"]);
  const [route] = JSON.parse(text) as { gateway?: string }[];
  if (route?.gateway === undefined) throw new Error(`${container} has no default route`);
  return route.gateway;
}

/** Runs a command to its end; its standard output. A failure is one message with what the command said. */
export async function run(command: readonly string[]): Promise<string> {
  const [program = "", ...args] = command;
  try {
    return (await execute(program, args, { maxBuffer: 1 << 24 })).stdout;
  } catch (error) {
    const said = (error as { stderr?: string }).stderr?.trim();
    throw new Error(`${command.join(" ")}: ${said || (error as Error).message}`);
  }
}

interface Daemon {
  readonly child: ChildProcess;
  readonly ready: Promise<void>;
  readonly ended: Promise<void>;
  readonly running: boolean;
  /** The last line it said. */
  readonly lastWords: string;
}

function startDaemon(command: readonly string[]): Daemon {
  const [program = "", ...args] = command;
  const child = spawn(program, args, {
    env: { ...process.env, WEFT_DIE_WITH_PARENT: "1" },
    // A session of its own: Ctrl-C is for the demo, which then stops the daemons properly.
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise<void>((resolve) => child.on("close", () => resolve()).on("error", () => resolve()));
  let text = "";
  const ready = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`a daemon is not ready after ${PATIENCE_MS / 1000} s:\n${text}`)),
      PATIENCE_MS,
    );
    const read = (chunk: Buffer): void => {
      text = (text + chunk.toString()).slice(-65_536);
      if (/"ready"/.test(text)) {
        clearTimeout(timer);
        resolve();
      }
    };
    child.stdout?.on("data", read);
    child.stderr?.on("data", read);
    child.on("error", reject);
    child.on("close", () => {
      clearTimeout(timer);
      reject(new Error(`a daemon did not start:\n${text.trim()}`));
    });
  });
  // Of several daemons only the first failure is reported; the others shall not count as unhandled.
  ready.catch(() => {});
  return {
    child,
    ready,
    ended,
    get running() {
      return child.exitCode === null && child.signalCode === null;
    },
    get lastWords() {
      return text.trim().split("\n").at(-1) ?? "";
    },
  };
}
