/** Commands for members, tokens, networks, names and the world outside. */
import type { Command } from "commander";
import type { DnsAddOptions } from "./names.js";
import { jsonOption, type ListingOptions, socketOption } from "./options.js";
import * as value from "./values.js";

const members = () => import("./members.js");
const tokens = () => import("./tokens.js");
const networks = () => import("./networks.js");
const names = () => import("./names.js");
const outside = () => import("./outside.js");

export function addMesh(program: Command): void {
  /** A command that asks the daemon. */
  const command = (parent: Command, name: string, description: string, isDefault = false): Command =>
    parent.command(name, { isDefault }).description(description).addOption(jsonOption()).addOption(socketOption());
  const group = (name: string): Command => program.command(name).helpCommand(false);

  command(program, "connect", "dial a host from now on, also after a restart")
    .argument("<host[:port]>", "name or address, port 6783 when left out", value.host)
    .action(async (host: string, options: ListingOptions) => (await members()).connect(host, options));
  command(program, "forget", "no longer dial a host that --join or connect has named")
    .argument("<host[:port]>", "as it was named; without a port, every port of it", value.host)
    .action(async (host: string, options: ListingOptions) => (await members()).forget(host, options));
  command(program, "rmpeer", "remove a member for ever; its addresses go to others, tokens it may know are retired")
    .argument("<node>", "name, id, or beginning of an id (at least 4 characters)", value.text)
    .option("--force", "although it cannot be reached: you say that it does not run, or may be cut off")
    .action(async (node: string, options: ListingOptions & { force?: boolean }) =>
      (await members()).removeMember(node, options),
    );
  command(program, "leave", "leave the network for good: give addresses away, forget the identity").action(
    async (options: ListingOptions) => (await members()).leave(options),
  );

  const token = group("token").description("what newcomers join with, members need none; alone it is `token show`");
  command(token, "show", "print the command that joins; whoever reads it can join", true)
    .option("-q, --quiet", "print the token alone")
    .action(async (options: ListingOptions & { quiet?: boolean }) => (await tokens()).show(options));
  command(token, "rotate", "make a new token and print it; earlier ones stay valid until they are retired")
    .option("-q, --quiet", "print the token alone")
    .action(async (options: ListingOptions & { quiet?: boolean }) => (await tokens()).rotate(options));
  command(token, "retire", "nobody joins with this token any more; members stay")
    .argument("<id>", "as list shows it", value.text)
    .action(async (id: string, options: ListingOptions) => (await tokens()).retire(id, options));
  command(token, "list", "tokens without their secrets").action(async (options: ListingOptions) =>
    (await tokens()).list(options),
  );

  const network = group("network").description("networks that all members share");
  command(network, "create", "make a network on all members")
    .argument("<name>", "1..32 of a-z 0-9 - _ .", value.name)
    .option("--cidr <prefix>", "one per family (default: a free one of each)", value.each(value.networkPrefix))
    .option("--vni <n>", "VNI (default: a free one)", value.integer(1, 16_777_215))
    .option("--mtu <n>", "octets (default: room for one relay)", value.integer(1280, 65_485))
    .action(async (name: string, options: ListingOptions & { cidr?: string[]; vni?: number; mtu?: number }) =>
      (await networks()).create(name, options),
    );
  command(network, "remove", "remove a network that has no containers on any member")
    .argument("<name>", "network", value.name)
    .action(async (name: string, options: ListingOptions) => (await networks()).remove(name, options));
  command(network, "list", "networks with their addresses").action(async (options: ListingOptions) =>
    (await networks()).list(options),
  );
  command(network, "add-vtep", "let a VTEP outside of the mesh into a network, in clear")
    .argument("<name>", "network", value.name)
    .argument("<addr[:port]>", "the VTEP, such as a kernel", value.vtep)
    .action(async (name: string, vtep: string, options: ListingOptions) =>
      (await networks()).addVtep(name, vtep, options),
    );
  command(network, "remove-vtep", "take it out again")
    .argument("<name>", "network", value.name)
    .argument("<addr[:port]>", "as it was added", value.vtep)
    .action(async (name: string, vtep: string, options: ListingOptions) =>
      (await networks()).removeVtep(name, vtep, options),
    );

  command(program, "expose", "give this host a port in a network, and its containers a way to the outside")
    .argument("[network]", "default: the default network", value.name)
    .action(async (network: string | undefined, options: ListingOptions) => (await outside()).expose(network, options));
  command(program, "hide", "take that port away, and the rules with it")
    .argument("[network]", "default: the default network", value.name)
    .action(async (network: string | undefined, options: ListingOptions) => (await outside()).hide(network, options));

  const dns = group("dns").description("names that containers ask for");
  command(
    dns,
    "add",
    "add a name, or put other addresses in place of its present ones; answered while this host is in reach",
  )
    .argument("<name>", "without the domain: db stands for db.weft.local", value.dnsName)
    .argument("[ip...]", "addresses; none with --srv alone", value.each(value.gateway))
    .option("--network <name>", "answered in this network only (default: in all)", value.name)
    .option(
      "--srv <service>",
      "service record, PORT,TARGET or PRIORITY,WEIGHT,PORT,TARGET; may be repeated",
      value.each(value.srv),
    )
    .action(async (name: string, ips: string[], options: DnsAddOptions) => (await names()).add(name, ips, options));
  command(dns, "remove", "remove a name that was added on this host")
    .argument("<name>", "without the domain", value.dnsName)
    .option("--network <name>", "the one that it was added for (default: all)", value.name)
    .action(async (name: string, options: ListingOptions & { network?: string }) =>
      (await names()).remove(name, options),
    );
  command(dns, "list", "names and where they lead").action(async (options: ListingOptions) =>
    (await names()).list(options),
  );

  program
    .command("report")
    .description("everything there is to know for whoever helps you, as JSON; no secrets, but addresses and names")
    .addOption(socketOption())
    .action(async (options: ListingOptions) => (await members()).report(options));
}
