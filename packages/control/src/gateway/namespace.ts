/**
 * The network namespace that a daemon's gateways are in: on the kernel's own stack, and apart from the host's.
 *
 * It is held by a bind mount of its nsfs file, as `ip netns` does it, at a path of the daemon's own; so an operator can look
 * inside (`nsenter --net=PATH ip addr`), and a daemon that comes after a killed one finds what it left.
 *
 * Networks stay apart in it by policy routing, not by a firewall: what comes from a gateway's device is looked up in a table of
 * its own that has a default route and nothing else, so it leaves through the uplink or is unreachable.
 */
import { createHash } from "node:crypto";
import { mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { netnsIdOf } from "../dataplane/netns.js";
import { messageOf, WeftError } from "../errors.js";
import { type Run, run } from "./program.js";

/** Device at the inner end of the uplink. */
export const UPLINK = "uplink";
/** Routing table of what comes from containers. */
export const CONTAINERS_TABLE = 100;
/** Mounts that may lie on one another at the path: one each of as many daemons that were killed at a bad moment. */
const MOUNTS_MAX = 8;

const SYSCTLS: readonly (readonly [path: string, value: number])[] = [
  ["net/ipv4/ip_forward", 1],
  // No answer for another network's gateway.
  ["net/ipv4/conf/all/arp_ignore", 1],
  ["net/ipv4/conf/all/send_redirects", 0],
  ["net/ipv4/conf/default/send_redirects", 0],
  // The rules below route by where a packet comes from: the way back is another table's.
  ["net/ipv4/conf/all/rp_filter", 0],
  ["net/ipv4/conf/default/rp_filter", 0],
  ["net/ipv6/conf/all/forwarding", 1],
  ["net/ipv6/conf/default/accept_ra", 0],
  // Every host has the gateway's addresses: detection of duplicates would find them.
  ["net/ipv6/conf/all/accept_dad", 0],
  ["net/ipv6/conf/default/accept_dad", 0],
];

const RULES = [
  "rule add pref 10 iif lo lookup main",
  `rule add pref 11 iif ${UPLINK} lookup main`,
  `rule add pref 20 lookup ${CONTAINERS_TABLE}`,
  "rule del pref 32766",
  // Where there is no uplink. The greatest metric: the uplink's route goes first while it is there.
  `route add unreachable default table ${CONTAINERS_TABLE} metric 4294967295`,
];

export class GatewayNamespace {
  readonly path: string;
  /** Six hexadecimal digits that stand for the path in names of devices and tables on the host. */
  readonly tag: string;
  readonly #run: Run;

  private constructor(path: string, program: Run) {
    this.path = path;
    this.tag = tagOf(path);
    this.#run = program;
  }

  /**
   * Makes the namespace, in place of what an earlier daemon has left at the path.
   * @throws WeftError `unsupported` when a program or a privilege is missing, `conflict` when something else is in the way
   */
  static async open(path: string, program: Run = run): Promise<GatewayNamespace> {
    const namespace = new GatewayNamespace(path, program);
    await namespace.#clear();
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    writeFileSync(path, "", { mode: 0o600, flag: "wx" });
    try {
      await program(["unshare", `--net=${path}`, "true"]);
      await namespace.#setUp();
    } catch (error) {
      await namespace.#clear();
      if (error instanceof WeftError) throw error;
      throw new WeftError(
        "unsupported",
        `cannot make the gateways' namespace ${path}: ${messageOf(error)}. It needs CAP_SYS_ADMIN and CAP_NET_ADMIN, and /proc/sys that can be written to`,
      );
    }
    return namespace;
  }

  /** Removes what an earlier daemon has left at the path. @returns whether there was anything */
  static async remove(path: string, program: Run = run): Promise<boolean> {
    return await new GatewayNamespace(path, program).#clear();
  }

  /** Runs a program inside. */
  run(words: readonly string[], input?: string): Promise<string> {
    return this.#run(["nsenter", `--net=${this.path}`, ...words], input);
  }

  /** Lets go of it: it ends, with every device in it, when nobody has a socket or a process there. */
  async close(): Promise<void> {
    await this.#clear();
  }

  async #setUp(): Promise<void> {
    const lines = SYSCTLS.map(([path, value]) => `[ ! -e /proc/sys/${path} ] || echo ${value} > /proc/sys/${path}`);
    await this.run(["sh", "-e"], `${lines.join("\n")}\n`);
    await this.run(["ip", "-batch", "-"], `link set lo up\n${RULES.join("\n")}\n`);
    await this.run(["ip", "-6", "-batch", "-"], `${RULES.join("\n")}\n`).catch((error: unknown) => {
      // A kernel without IPv6 has no rules for it either.
      if (statSync("/proc/sys/net/ipv6", { throwIfNoEntry: false }) !== undefined) throw error;
    });
  }

  /** @returns whether there was anything */
  async #clear(): Promise<boolean> {
    for (let i = 0; i < MOUNTS_MAX && netnsIdOf(this.path) !== undefined; i++)
      await this.#run(["umount", "-l", this.path]);
    const there = statSync(this.path, { throwIfNoEntry: false });
    if (there === undefined) return false;
    if (!there.isFile() || there.size > 0 || netnsIdOf(this.path) !== undefined)
      throw new WeftError(
        "conflict",
        `${this.path} is in the way of the gateways' namespace: remove it, or give the daemon another --socket`,
      );
    rmSync(this.path);
    return true;
  }
}

/**
 * Where the namespace of the daemon with this control socket is: not beside the socket, which may be where a mount that outlives
 * a killed daemon is in somebody's way.
 */
export function namespacePath(socket: string): string {
  return `/run/weft/gateway-${tagOf(socket)}`;
}

/** What stands for a path in names that have no room for it. */
export function tagOf(path: string): string {
  return createHash("sha256").update(path).digest("hex").slice(0, 6);
}
