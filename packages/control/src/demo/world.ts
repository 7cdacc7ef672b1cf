/**
 * The demo's hosts: two namespaces joined by a veth pair, one `weft up` in each, one container namespace behind each.
 *
 * Uses the commands that anybody would type (`ip`, `nsenter`, `weft`), so it can be followed and repeated by hand.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { promisify } from "node:util";
import { clamp, publicKeyText } from "../wireguard/key.js";

const execute = promisify(execFile);

export interface DemoHost {
  readonly name: string;
  /** Underlay address. */
  readonly underlay: string;
  /** Address inside the WireGuard tunnel. */
  readonly tunnel: string;
  readonly socket: string;
  readonly container: { readonly name: string; readonly v4: string; readonly v6: string };
}

export interface World {
  readonly hosts: readonly [DemoHost, DemoHost];
  /** Command of a child process inside a namespace: `[program, …arguments]`. */
  readonly within: (namespace: string, command: readonly string[]) => string[];
  /** Runs `weft` against a host's daemon; its standard output. */
  readonly weft: (host: DemoHost, words: readonly string[]) => Promise<string>;
  /** Told of a daemon that ends by itself, with its last words. */
  readonly onEnd: (tell: (host: DemoHost, lastWords: string) => void) => void;
  /** `weft down` on both hosts, then checks that the daemons have ended. */
  readonly close: () => Promise<void>;
  /** Ends the daemons at once. */
  readonly kill: () => Promise<void>;
}

const NETWORK = "blue";
/** How long a daemon may take to say `ready`, or to end. */
const PATIENCE_MS = 10_000;

const HOSTS: readonly [DemoHost, DemoHost] = [
  {
    name: "host-a",
    underlay: "192.0.2.1",
    tunnel: "10.7.0.1",
    socket: "/run/host-a.sock",
    container: { name: "web", v4: "10.8.0.1", v6: "fd08::1" },
  },
  {
    name: "host-b",
    underlay: "192.0.2.2",
    tunnel: "10.7.0.2",
    socket: "/run/host-b.sock",
    container: { name: "db", v4: "10.8.0.2", v6: "fd08::2" },
  },
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

  for (const host of HOSTS) {
    for (const name of [host.name, host.container.name]) {
      await run(["ip", "netns", "add", name]);
      await run(["ip", "-n", name, "link", "set", "lo", "up"]);
    }
  }
  const [a, b] = HOSTS;
  const veth = ["ip", "link", "add", "eth0", "netns", a.name, "type", "veth", "peer", "name", "eth0", "netns", b.name];
  await run(veth);
  for (const host of HOSTS) {
    await run(["ip", "-n", host.name, "addr", "add", `${host.underlay}/24`, "dev", "eth0"]);
    await run(["ip", "-n", host.name, "link", "set", "eth0", "up"]);
  }

  const daemons: Daemon[] = [];
  const kill = async (): Promise<void> => {
    for (const daemon of daemons) daemon.child.kill("SIGKILL");
    await Promise.all(daemons.map((daemon) => daemon.ended));
  };
  try {
    const keys = new Map(HOSTS.map((host) => [host, clamp(randomBytes(32))]));
    for (const [host, peer] of [[a, b] as const, [b, a] as const]) {
      const file = `/run/${host.name}.yaml`;
      writeFileSync(`/run/${host.name}.key`, (keys.get(host) as Buffer).toString("base64"), { mode: 0o600 });
      writeFileSync(file, configuration(host, peer, publicKeyText(keys.get(peer) as Buffer)));
      const words = ["up", "--config", file, "--ephemeral", "--log-format", "json"];
      daemons.push(startDaemon(within(host.name, [process.execPath, weftPath, ...words])));
    }
    await Promise.all(daemons.map((daemon) => daemon.ready));
    for (const host of HOSTS) {
      const { name, v4, v6 } = host.container;
      await weft(host, ["attach", name, "--network", NETWORK, "--id", name, "--ip", `${v4}/24`, "--ip", `${v6}/64`]);
    }
  } catch (error) {
    await kill();
    throw error;
  }
  let closing = false;
  const onEnd: World["onEnd"] = (tell) => {
    for (const [i, host] of HOSTS.entries()) {
      const daemon = daemons[i];
      void daemon?.ended.then(() => closing || tell(host, daemon.lastWords));
    }
  };
  const close = async (): Promise<void> => {
    closing = true;
    for (const [i, host] of HOSTS.entries()) if (daemons[i]?.running) await weft(host, ["down"]);
    const late = new Promise<never>((_, reject) => {
      setTimeout(() => reject(new Error("a daemon still runs after `weft down`")), PATIENCE_MS).unref();
    });
    await Promise.race([Promise.all(daemons.map((daemon) => daemon.ended)), late]);
  };
  return { hosts: HOSTS, within, weft, onEnd, close, kill };
}

/** What an administrator would write into /etc/weft. */
function configuration(host: DemoHost, peer: DemoHost, peerKey: string): string {
  return `name: ${host.name}
underlay: [${host.underlay}]
socket: ${host.socket}
wireguard:
  privateKeyFile: ${host.name}.key
  address: [${host.tunnel}]
  peers:
    - publicKey: ${peerKey}
      endpoint: ${peer.underlay}:51820
      allowedIps: [${peer.tunnel}/32]
networks:
  - name: ${NETWORK}
    vni: 42
    vteps: [${peer.tunnel}]
`;
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
    const timer = setTimeout(() => reject(new Error(`a daemon is not ready after 10 s:\n${text}`)), PATIENCE_MS);
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
  // Of two daemons only the first failure is reported; the other shall not count as unhandled.
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
