/** All commands with their options. What a command does is in a file of its own, loaded when it runs. */
import { Argument, Command, Option } from "commander";
import {
  DEFAULT_METRICS,
  DEFAULT_SOCKET,
  DEFAULT_STATE_DIR,
  DEFAULT_VXLAN_PORT,
  LOG_FORMATS,
  LOG_LEVELS,
  type UpFlags,
} from "../config/defaults.js";
import { VERSION } from "../version.js";
import { type Endpoint, hostEndpoint, listenEndpoint } from "./bench-endpoint.js";
import type { BenchToOptions } from "./bench-to.js";
import { DEFAULT_PORT as BENCH_PORT, SECONDS_MAX as BENCH_SECONDS_MAX } from "./bench-wire.js";
import * as value from "./values.js";

export const TOPICS = ["ports", "networks", "vteps", "fdb", "neighbours", "routes", "peers", "drops"] as const;
export type Topic = (typeof TOPICS)[number];

const EXAMPLE = `
Example, as root on the host 192.0.2.1 (on 192.0.2.2 the other way round):
  ip netns add web
  weft up --underlay 192.0.2.1 --vtep 192.0.2.2 &
  weft attach web --vni 42 --ip 10.8.0.1/24
  weft status
  weft down

Exit codes: 0 done, 1 failed, 2 wrong command line.`;

/** @param done takes the exit code of a command that ended by itself. */
export function buildProgram(done: (exitCode: number) => void): Command {
  const program = new Command("weft")
    .description("A container network that runs in user space: Ethernet switch and VXLAN in WebAssembly.")
    .version(VERSION, "--version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand(false)
    .enablePositionalOptions()
    .showSuggestionAfterError(true)
    .exitOverride()
    // main.ts prints what is wrong, as one line.
    .configureOutput({ outputError: () => undefined });
  program.addHelpText("after", EXAMPLE);

  const socket = () =>
    new Option("--socket <path>", "control socket of the daemon").argParser(value.path).default(DEFAULT_SOCKET);
  const json = () => new Option("--json", "print JSON");

  program
    .command("up")
    .description("run the daemon in the foreground; containers attached before keep their devices and are taken over")
    .option("--config <file>", "configuration file (YAML)", value.path)
    .option("--name <name>", "name of this host (default: its hostname)", value.text)
    .option(
      "--underlay <addr>",
      "local underlay address, one per family (default: source of the default route)",
      value.each(value.address),
    )
    .option(
      "--vtep <addr[:port]>",
      "remote VTEP of every network that lists none; may be repeated",
      value.each(value.vtep),
    )
    .option("--vxlan-port <port>", `UDP port of VXLAN (default: ${DEFAULT_VXLAN_PORT})`, value.integer(1, 65_535))
    // No default in commander: the file comes between flag and default.
    .option("--socket <path>", `control socket (default: ${DEFAULT_SOCKET})`, value.path)
    .option(
      "--metrics <addr:port>",
      `where /metrics, /healthz and /readyz are, or off (default: ${DEFAULT_METRICS})`,
      value.listen,
    )
    .option("--state-dir <dir>", `where attachments are kept (default: ${DEFAULT_STATE_DIR})`, value.path)
    .option("--workers <n>", "worker threads (default: 1)", value.integer(1, 16))
    .option(
      "--wireguard-keylog <file>",
      "for debugging only: append the private key and those of WireGuard sessions to a file, for Wireshark; whoever reads it reads all traffic",
      value.path,
    )
    .option("--ephemeral", "keep nothing: remove every device at the end")
    .addOption(new Option("--log-level <level>", "least level to log (default: info)").choices(LOG_LEVELS))
    .addOption(new Option("--log-format <format>", "how to log (default: pretty)").choices(LOG_FORMATS))
    .action(async (flags: UpFlags) => done(await (await import("./up.js")).up(flags)));

  program
    .command("down")
    .description("detach everything and stop the daemon; nothing of weft is left")
    .addOption(socket())
    .addOption(
      new Option("--state-dir <dir>", "where to look for parked ports when no daemon answers")
        .argParser(value.path)
        .default(DEFAULT_STATE_DIR),
    )
    .action(async (options: { socket: string; stateDir: string }) =>
      (await import("./down.js")).down(options.socket, options.stateDir),
    );

  program
    .command("attach")
    .description("give a network namespace a device in a network")
    .argument("<target>", "a namespace name (as in `ip netns`), a path to a namespace file, or a PID")
    .requiredOption("--ip <cidr>", "address with prefix length; may be repeated", value.each(value.cidr))
    .option("--network <name>", "network by name", value.name)
    .option("--vni <n>", "network by VNI; made as vni-N where there is none", value.integer(1, 16_777_215))
    .option("--ifname <name>", "device name in the namespace (default: eth0)", value.ifname)
    .option("--mac <mac>", "MAC address (default: random)", value.mac)
    .option("--mtu <n>", "octets (default: the network's)", value.integer(68, 65_485))
    .option(
      "--gateway <addr>",
      "default gateway, one per family; without it no default route is made",
      value.each(value.gateway),
    )
    .option("--route <cidr[=gw]>", "route; may be repeated", value.each(value.route))
    .option("--id <id>", "port id (default: random)", value.portId)
    .option("--label <k=v>", "label; may be repeated", value.each(value.label))
    .addOption(json())
    .addOption(socket())
    .action(async (target: string, options: AttachOptions) => (await import("./attach.js")).attach(target, options));

  program
    .command("detach")
    .description("remove a port, or all ports of a namespace; nothing happens where there is none")
    .argument("<id|target>", "a port id, or a namespace as for attach")
    .addOption(json())
    .addOption(socket())
    .action(async (target: string, options: ListingOptions) => (await import("./attach.js")).detach(target, options));

  program
    .command("status")
    .description("show what the daemon does")
    .addArgument(new Argument("[what]", "one part in detail").choices(TOPICS))
    .option("--network <name>", "only this network (ports, vteps, fdb, neighbours, routes)", value.name)
    .addOption(json())
    .addOption(socket())
    .action(async (what: Topic | undefined, options: ListingOptions & { network?: string }) =>
      (await import("./status.js")).status(what, options),
    );

  program
    .command("demo")
    .description("two hosts in namespaces on this machine, end to end")
    .option("--keep", "leave it running and print what to try")
    .action(async (options: { keep?: boolean }) => done(await (await import("./extras.js")).demo(options)));

  program
    .command("keygen")
    .description("print a new WireGuard private key")
    .action(async () => done(await (await import("./keys.js")).keygen()));
  program
    .command("pubkey")
    .description("print the public key of the private one on standard input")
    .action(async () => done((await import("./keys.js")).pubkey()));

  const bench = program
    .command("bench")
    .description("what `npm run bench` runs; serve and to: between two machines")
    .allowUnknownOption()
    .passThroughOptions()
    .argument("[args...]", "passed on")
    .action(async (args: string[]) => done(await (await import("./bench.js")).bench(args)));
  bench
    .command("serve")
    .description("wait for `weft bench to` from another machine, until Ctrl-C")
    .argument("[addr:port]", `where to listen, TCP and UDP (default: [::]:${BENCH_PORT})`, listenEndpoint)
    .action(async (where: Endpoint | undefined) =>
      done(await (await import("./bench-serve.js")).benchServe(where ?? listenEndpoint(`[::]:${BENCH_PORT}`))),
    );
  bench
    .command("to")
    .description("measure TCP, UDP and round trips to a machine that runs `weft bench serve`")
    .argument("<host[:port]>", `name or address, port ${BENCH_PORT} when left out`, hostEndpoint)
    .option("--seconds <n>", "length of each test", value.integer(1, BENCH_SECONDS_MAX), 3)
    .option("--streams <n>", "TCP streams of the second TCP test", value.integer(1, 16), 4)
    .addOption(json())
    .action(async (to: Endpoint, options: BenchToOptions) =>
      done(await (await import("./bench-to.js")).benchTo(to, options)),
    );

  return program;
}

export interface ListingOptions {
  readonly socket: string;
  readonly json?: boolean;
}

export interface AttachOptions extends ListingOptions {
  readonly ip: string[];
  readonly network?: string;
  readonly vni?: number;
  readonly ifname?: string;
  readonly mac?: string;
  readonly mtu?: number;
  readonly gateway?: string[];
  readonly route?: { to: string; via?: string }[];
  readonly id?: string;
  readonly label?: [string, string][];
}
