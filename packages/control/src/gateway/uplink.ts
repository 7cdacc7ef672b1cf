/**
 * The way out of the gateways' namespace: a veth pair into the host's, with a default route for what comes from containers. It
 * is there only while something is exposed or published.
 *
 * Its addresses are seen by nobody but this host: a /30 of 169.254.64.0/18 (RFC 3927) and a /64 of the fd00::/8 (RFC 4193), by
 * the namespace's tag, and others where an interface of the host has them already.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { familyOf } from "./address.js";
import { CONTAINERS_TABLE, type GatewayNamespace, UPLINK } from "./namespace.js";
import { type Run, run } from "./program.js";

/** Blocks of four addresses in 169.254.64.0/18. */
const BLOCKS = 4096;

export interface UplinkAddresses {
  readonly host4: string;
  readonly inner4: string;
  readonly host6: string;
  readonly inner6: string;
}

/** Addresses of an uplink by its tag, avoiding those in `taken`. */
export function uplinkAddresses(tag: string, taken: ReadonlySet<string>): UplinkAddresses {
  const seed = Number.parseInt(tag, 16);
  for (let i = 0; ; i++) {
    const block = (seed + i) % BLOCKS;
    const at = (n: number): string => `169.254.${64 + (block >> 6)}.${((block & 63) << 2) | n}`;
    const prefix = `fd77:${tag.slice(0, 4)}:${tag.slice(4)}${block.toString(16).padStart(3, "0").slice(1)}:`;
    const found = { host4: at(1), inner4: at(2), host6: `${prefix}:1`, inner6: `${prefix}:2` };
    if (i === BLOCKS || Object.values(found).every((address) => !taken.has(address))) return found;
  }
}

export class Uplink {
  readonly #namespace: GatewayNamespace;
  readonly #run: Run;
  readonly addresses: UplinkAddresses;
  /** Device on the host. */
  readonly ifname: string;
  readonly #hasIpv6 = existsSync("/proc/sys/net/ipv6");
  #routes = new Map<string, string>();

  private constructor(namespace: GatewayNamespace, program: Run) {
    this.#namespace = namespace;
    this.#run = program;
    this.ifname = uplinkIfname(namespace.tag);
    const taken = Object.entries(networkInterfaces()).flatMap(([name, all]) =>
      name === this.ifname ? [] : (all ?? []),
    );
    this.addresses = uplinkAddresses(namespace.tag, new Set(taken.map((a) => a.address)));
  }

  static async open(namespace: GatewayNamespace, program: Run = run): Promise<Uplink> {
    const uplink = new Uplink(namespace, program);
    await removeUplink(namespace.tag, program);
    await uplink.#make();
    return uplink;
  }

  /** Whether the host still has the device. */
  get stands(): boolean {
    return existsSync(`/proc/sys/net/ipv4/conf/${this.ifname}`);
  }

  async #make(): Promise<void> {
    const { ifname } = this;
    const { host4, inner4, host6, inner6 } = this.addresses;
    const words = `ip link add ${ifname} mtu 65535 type veth peer name ${UPLINK} mtu 65535 netns ${this.#namespace.path}`;
    await this.#run(words.split(" "));
    loosenReversePath(ifname);
    // The host reaches published ports at 127.0.0.1, too; nothing from inside gets there (see nft.ts).
    set(`ipv4/conf/${ifname}/route_localnet`, 1);
    if (this.#hasIpv6) {
      set(`ipv6/conf/${ifname}/accept_ra`, 0);
      // Nobody else is on this wire, and without a link-local address no neighbour can be asked.
      set(`ipv6/conf/${ifname}/accept_dad`, 0);
    }
    const six = (line: string): string[] => (this.#hasIpv6 ? [line] : []);
    const outside = [
      `addr add ${host4}/30 dev ${ifname}`,
      ...six(`addr add ${host6}/64 dev ${ifname} nodad`),
      `link set ${ifname} up`,
    ];
    const inside = [
      `addr add ${inner4}/30 dev ${UPLINK}`,
      ...six(`addr add ${inner6}/64 dev ${UPLINK} nodad`),
      `link set ${UPLINK} up`,
    ];
    // onlink: the kernel would look for the way to the host in the very table that has no other route.
    const routes = (via: string): string =>
      ["main", CONTAINERS_TABLE]
        .map((table) => `route add default via ${via} dev ${UPLINK} table ${table} onlink\n`)
        .join("");
    await this.#run(["ip", "-batch", "-"], `${outside.join("\n")}\n`);
    await this.#namespace.run(["ip", "-batch", "-"], `${inside.join("\n")}\n${routes(host4)}`);
    if (this.#hasIpv6) await this.#namespace.run(["ip", "-6", "-batch", "-"], routes(host6));
  }

  /** Routes to single containers, in place of the present ones; each with the host's source address for it, or null. */
  async route(wanted: ReadonlyMap<string, string | null>): Promise<void> {
    const next = new Map([...wanted].map(([to, from]) => [to, from ?? ""]));
    const gone = [...this.#routes.keys()].filter((to) => !next.has(to));
    const fresh = [...next].filter(([to, from]) => this.#routes.get(to) !== from);
    for (const family of [4, 6] as const) {
      const via = family === 4 ? this.addresses.inner4 : this.addresses.inner6;
      const lines = [
        ...gone.filter((to) => familyOf(to) === family).map((to) => `route del ${to} via ${via} dev ${this.ifname}`),
        ...fresh
          .filter(([to]) => familyOf(to) === family)
          .map(([to, from]) => `route replace ${to} via ${via} dev ${this.ifname}${from === "" ? "" : ` src ${from}`}`),
      ];
      if (lines.length > 0) await this.#run(["ip", `-${family}`, "-batch", "-"], `${lines.join("\n")}\n`);
    }
    this.#routes = next;
  }

  /** Takes it away: what comes from containers is unreachable again. */
  async close(): Promise<void> {
    await removeUplink(this.#namespace.tag, this.#run);
  }
}

/**
 * Takes packets whose way back is another device's (RFC 3704 §2.4): answers to what came by the uplink may leave by the host's own
 * port in a network, and the other way round. Others' devices stay as they are.
 */
export function loosenReversePath(ifname: string): void {
  set(`ipv4/conf/${ifname}/rp_filter`, 2);
}

/** The uplink's device on the host. */
export function uplinkIfname(tag: string): string {
  return `weft-u-${tag}`;
}

/**
 * Removes an uplink, also of a daemon that was killed; the other end and all routes go with it.
 * @returns whether there was one
 */
export async function removeUplink(tag: string, program: Run = run): Promise<boolean> {
  const ifname = uplinkIfname(tag);
  const isThere = existsSync(`/proc/sys/net/ipv4/conf/${ifname}`);
  if (isThere) await program(["ip", "link", "del", ifname]);
  return isThere;
}

/**
 * Lets the host forward, as exposed and published networks need it. It is left on: others on the host (a container runtime)
 * may have come to rely on it. Interfaces that take routes from router advertisements go on doing so (accept_ra 2).
 * @returns what was changed
 */
export function enableForwarding(families: ReadonlySet<4 | 6>): string[] {
  const changed: string[] = [];
  const turnOn = (path: string): void => {
    set(path, 1);
    changed.push(`net.${path.replaceAll("/", ".")}`);
  };
  if (families.has(4) && get("ipv4/ip_forward") === "0") turnOn("ipv4/ip_forward");
  if (families.has(6) && get("ipv6/conf/all/forwarding") === "0") {
    for (const name of readdirSync("/proc/sys/net/ipv6/conf")) {
      const path = `ipv6/conf/${name}/accept_ra`;
      if (get(path) === "1") set(path, 2);
    }
    turnOn("ipv6/conf/all/forwarding");
  }
  return changed;
}

function get(path: string): string | undefined {
  try {
    return readFileSync(`/proc/sys/net/${path}`, "utf8").trim();
  } catch {
    return undefined;
  }
}
function set(path: string, value: number): void {
  writeFileSync(`/proc/sys/net/${path}`, `${value}\n`);
}
