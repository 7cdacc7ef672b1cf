/** All commands with their options. What a command does is in a file of its own, loaded when it runs. */
import { Argument, Command, Option } from "commander";
import { DEFAULT_STATE_DIR } from "../config/defaults.js";
import { VERSION } from "../version.js";
import { type Endpoint, hostEndpoint, listenEndpoint } from "./bench-endpoint.js";
import type { BenchToOptions } from "./bench-to.js";
import { DEFAULT_PORT as BENCH_PORT, SECONDS_MAX as BENCH_SECONDS_MAX } from "./bench-wire.js";
import { jsonOption, type ListingOptions, socketOption } from "./options.js";
import { addMesh } from "./program-mesh.js";
import { addUp } from "./program-up.js";
import { SHELLS, type Shell, TOPICS, type Topic, topicsText } from "./topics.js";
import type { PublishedAs } from "./values.js";
import * as value from "./values.js";

const EXAMPLE = `
Example, as root on one host, and then on another what \`weft up\` has printed on the first:
  weft up &
  ip netns add web
  weft attach web --name web
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

  addUp(program, done);

  program
    .command("down")
    .description("detach everything and stop the daemon; nothing of weft is left")
    .addOption(socketOption())
    .addOption(
      new Option("--state-dir <dir>", "of a daemon that was killed: its ports are removed without it")
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
    .option(
      "--ip <cidr>",
      "address with prefix length; may be repeated (default in a mesh: free ones of the network)",
      value.each(value.cidr),
    )
    .option("--network <name>", "network by name (default: the default network, or the only one)", value.name)
    .option(
      "--vni <n>",
      "network by VNI; without a mesh made as vni-N where there is none",
      value.integer(1, 16_777_215),
    )
    .option("--name <name>", "name of the container, also in the DNS", value.dnsName)
    .option("--dns-name <name>", "further name in the DNS; may be repeated", value.each(value.dnsName))
    .option(
      "--publish <[ip:][hostport:]port[/udp]>",
      "let the outside in through a port of this host, a free one when none is named; may be repeated",
      value.each(value.publish),
    )
    .option("--l3", "a TUN device: IP packets without Ethernet")
    .option("--ifname <name>", "device name in the namespace (default: eth0)", value.ifname)
    .option("--mac <mac>", "MAC address (default: in a mesh one that belongs to the address, else random)", value.mac)
    .option("--mtu <n>", "octets (default: the network's)", value.integer(68, 65_485))
    .option(
      "--gateway <addr>",
      "default gateway, one per family (default: the network's in a mesh, else none)",
      value.each(value.gateway),
    )
    .option("--no-gateway", "no default route")
    .option("--route <cidr[=gw]>", "route; may be repeated", value.each(value.route))
    .option("--id <id>", "port id (default: random)", value.portId)
    .option("--label <k=v>", "label; may be repeated", value.each(value.label))
    .addOption(jsonOption())
    .addOption(socketOption())
    .action(async (target: string, options: AttachOptions) => (await import("./attach.js")).attach(target, options));

  program
    .command("detach")
    .description("remove a port, or all ports of a namespace; nothing happens where there is none")
    .argument("<id|target>", "a port id, or a namespace as for attach")
    .addOption(jsonOption())
    .addOption(socketOption())
    .action(async (target: string, options: ListingOptions) => (await import("./attach.js")).detach(target, options));

  program
    .command("status")
    .description("show what the daemon does")
    .addArgument(new Argument("[what]", "one part in detail").choices(TOPICS))
    .option("--network <name>", "only this network, where a part is about networks", value.name)
    .option("--dot", "mesh: print Graphviz")
    .addOption(jsonOption())
    .addOption(socketOption())
    .addHelpText("after", `\n${topicsText()}`)
    .action(async (what: Topic | undefined, options: ListingOptions & { network?: string; dot?: boolean }) =>
      (await import("./status.js")).status(what, options),
    );

  addMesh(program);

  program
    .command("completion")
    .description("print a script that completes commands and options: source <(weft completion bash)")
    .addArgument(new Argument("<shell>", "whose").choices(SHELLS))
    .action(async (shell: Shell) => {
      process.stdout.write((await import("./completion.js")).completion(program, shell));
    });

  program
    .command("demo")
    .description("three hosts in namespaces on this machine, end to end")
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
    .addOption(jsonOption())
    .action(async (to: Endpoint, options: BenchToOptions) =>
      done(await (await import("./bench-to.js")).benchTo(to, options)),
    );

  return program;
}

export interface AttachOptions extends ListingOptions {
  readonly ip?: string[];
  readonly network?: string;
  readonly vni?: number;
  readonly ifname?: string;
  readonly mac?: string;
  readonly mtu?: number;
  /** false: `--no-gateway`. */
  readonly gateway?: string[] | false;
  readonly name?: string;
  readonly dnsName?: string[];
  readonly publish?: PublishedAs[];
  readonly route?: { to: string; via?: string }[];
  readonly l3?: boolean;
  readonly id?: string;
  readonly label?: [string, string][];
}
