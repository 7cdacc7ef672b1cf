/** `weft up` and `weft init`: one daemon, two spellings. */
import { type Command, Option } from "commander";
import {
  DEFAULT_LISTEN_PORT,
  DEFAULT_MESH_PORT,
  DEFAULT_METRICS,
  DEFAULT_SOCKET,
  DEFAULT_STATE_DIR,
  DEFAULT_VXLAN_PORT,
  LOG_FORMATS,
  LOG_LEVELS,
  type UpFlags,
} from "../config/defaults.js";
import * as value from "./values.js";

/** @param done takes the exit code. */
export function addUp(program: Command, done: (exitCode: number) => void): void {
  upOptions(
    program
      .command("up")
      .description(
        "run the daemon in the foreground: found a network, join one, or go on in it; containers attached before keep their devices and are taken over",
      ),
  ).action(async (flags: UpFlags) => done(await (await import("./up.js")).up(flags)));

  upOptions(program.command("init").description("the same as up, in the form that a container's command line uses"))
    .requiredOption(
      "--advertise-address <addr[/len]>",
      "the address that others are told to dial; a prefix length is checked and not used",
      value.addressWithLength,
    )
    .action(async ({ advertiseAddress, ...flags }: UpFlags & { advertiseAddress: string }) =>
      done(await (await import("./up.js")).up({ ...flags, advertise: [advertiseAddress, ...(flags.advertise ?? [])] })),
    );
}

// No defaults in commander: the file comes between flag and default.
function upOptions(command: Command): Command {
  return (
    command
      .option("--config <file>", "configuration file (YAML)", value.path)
      .option("--name <name>", "name of this host (default: its hostname)", value.text)
      .option(
        "--join <host[:port]>",
        `a member to join, port ${DEFAULT_MESH_PORT} when left out; may be repeated (default: found a network)`,
        value.each(value.host),
      )
      // Checked when it is read: a wrong value would be part of the message here.
      .option(
        "--token <token>",
        "token of the network to join; - reads it from standard input (or WEFT_TOKEN in the environment)",
      )
      .option("--token-file <file>", "file that holds the token, mode 0600", value.path)
      .option(
        "--advertise <addr[:port]>",
        "what others are told to dial; may be repeated (default: the addresses of this host)",
        value.each(value.advertise),
      )
      .option("--port <port>", `TCP port of control links (default: ${DEFAULT_MESH_PORT})`, value.integer(1, 65_535))
      .option(
        "--wireguard-port <port>",
        `UDP port of WireGuard (default: ${DEFAULT_LISTEN_PORT})`,
        value.integer(1, 65_535),
      )
      .option(
        "--cidr <prefix>",
        "for who founds a network: prefix of the default one, one per family (default: 10.32.0.0/12 and a unique local /64)",
        value.each(value.networkPrefix),
      )
      .option("--no-discovery", "dial only hosts that were named, no others that they know")
      .option("--no-mesh", "no mesh: networks, peers and addresses are given by you")
      .option(
        "--underlay <addr>",
        "local underlay address, one per family (default: source of the default route)",
        value.each(value.address),
      )
      .option(
        "--vtep <addr[:port]>",
        "without a mesh: remote VTEP of every network that lists none; may be repeated",
        value.each(value.vtep),
      )
      .option("--vxlan-port <port>", `UDP port of VXLAN (default: ${DEFAULT_VXLAN_PORT})`, value.integer(1, 65_535))
      .option("--socket <path>", `control socket (default: ${DEFAULT_SOCKET})`, value.path)
      .option(
        "--metrics <addr:port>",
        `where /metrics, /healthz and /readyz are, or off (default: ${DEFAULT_METRICS})`,
        value.listen,
      )
      .option(
        "--state-dir <dir>",
        `where attachments and this host's membership are kept (default: ${DEFAULT_STATE_DIR})`,
        value.path,
      )
      .option("--workers <n>", "worker threads (default: 1)", value.integer(1, 16))
      .option(
        "--wireguard-keylog <file>",
        "for debugging only: append the private key and those of WireGuard sessions to a file, for Wireshark; whoever reads it reads all traffic",
        value.path,
      )
      .option("--ephemeral", "keep nothing: remove every device at the end; the next start is another host to the mesh")
      .addOption(new Option("--log-level <level>", "least level to log (default: info)").choices(LOG_LEVELS))
      .addOption(new Option("--log-format <format>", "how to log (default: pretty)").choices(LOG_FORMATS))
  );
}
