/**
 * The rules of a daemon on the host, as one nftables table that is written whole: each writing takes the place of the one before
 * in one transaction.
 *
 * *Inside* is what comes from containers: the uplink of the gateways and the host's own ports in networks.
 * - Containers of exposed networks leave by the host's addresses (masquerade); all others get answers only.
 * - Ports of the host that weft itself listens on are reached by no container, exposed or not, here or on another host: in clear
 *   networks a container that writes VXLAN by the host's address would be a VTEP.
 * - Published ports lead to their containers. Whoever connects stays visible to the container, but for connections of this
 *   host's containers and from 127.0.0.1, whose answers would take another way.
 */
import type { ContainerValue } from "../mesh/records.js";
import { familyOf, type GatewayNetwork } from "./address.js";

/** A published port: `ip` is an address of the host, or `0.0.0.0` or `::` for all of a family. */
export type PublishedPort = ContainerValue["published"][number];

/** A published port and the container that it leads to. */
export interface Publication extends PublishedPort {
  readonly network: string;
  /** Addresses of the container: the first of the family of `ip` is meant. */
  readonly targets: readonly string[];
  /** The container's default route is the gateway; else it sees the gateway's address instead of the client's. */
  readonly isRouted: boolean;
}

/** A port that no container may reach. */
export interface BlockedPort {
  readonly protocol: "tcp" | "udp";
  readonly port: number;
}

export interface Rules {
  readonly table: string;
  /** Device of the gateways on the host. */
  readonly uplink: string;
  /** The host's own ports in networks. */
  readonly hostPorts: readonly string[];
  readonly networks: readonly GatewayNetwork[];
  /** Names of networks. */
  readonly exposed: ReadonlySet<string>;
  readonly published: readonly Publication[];
  readonly blocked: readonly BlockedPort[];
}

/** The first target of the family that a port is published in; undefined when the container has none. */
export function targetOf({ ip, targets }: Publication): string | undefined {
  return targets.find((target) => familyOf(target) === familyOf(ip));
}

/** Text for `nft -f -` that puts the whole table in place of an earlier one. */
export function rulesText(rules: Rules): string {
  const { table } = rules;
  return `${removalText(table)}table inet ${table} {\n${bodyOf(rules)}\n}\n`;
}

/** Text that removes the table, also when there is none. */
export function removalText(table: string): string {
  return `table inet ${table}\ndelete table inet ${table}\n`;
}

function bodyOf({ uplink, hostPorts, networks, exposed, published, blocked }: Rules): string {
  const inside = `{ ${[uplink, ...hostPorts].map((name) => `"${name}"`).join(", ")} }`;
  const open = networks.filter((n) => exposed.has(n.name));
  const fromAny = sources(networks);
  const fromOpen = sources(open);
  const refuse = "reject with icmpx admin-prohibited";
  const refusals = [...new Set(blocked.map((b) => `${b.protocol} dport ${b.port} ${refuse}`))];

  const chains: Record<string, readonly string[]> = {
    early: [
      "type filter hook prerouting priority raw; policy accept;",
      // route_localnet opens the loopback of the host to the uplink: only as far as the host's own connections go.
      `iifname "${uplink}" ip daddr 127.0.0.0/8 drop`,
      `iifname "${uplink}" ip saddr 127.0.0.0/8 drop`,
    ],
    prerouting: [
      "type nat hook prerouting priority dstnat; policy accept;",
      "fib daddr type local meta l4proto { tcp, udp } jump published",
    ],
    output: [
      "type nat hook output priority -100; policy accept;",
      "fib daddr type local meta l4proto { tcp, udp } jump published",
    ],
    published: published.flatMap(translation),
    postrouting: [
      "type nat hook postrouting priority srcnat; policy accept;",
      `oifname "${uplink}" ip saddr 127.0.0.0/8 masquerade`,
      ...fromAny.map((source) => `oifname "${uplink}" ct status dnat ${source} masquerade`),
      ...fromOpen.map((source) => `oifname != ${inside} ${source} masquerade fully-random`),
    ],
    // Ahead of the usual place, and so of everything that accepts.
    input: [
      "type filter hook input priority filter - 10; policy accept;",
      `iifname != ${inside} accept`,
      "ct direction reply ct state established accept",
      "ct state related accept",
      "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
      ...refusals,
      ...fromOpen.map((source) => `${source} accept`),
      refuse,
    ],
    forward: [
      "type filter hook forward priority filter - 10; policy accept;",
      `iifname ${inside} jump leaving`,
      `oifname ${inside} jump entering`,
    ],
    leaving: [
      "ct direction reply ct state established accept",
      "ct state related accept",
      ...refusals,
      // From network to network only by a published port.
      `oifname ${inside} ct status dnat goto exposed`,
      `oifname ${inside} ${refuse}`,
      "goto exposed",
    ],
    exposed: [...fromOpen.map((source) => `${source} accept`), refuse],
    entering: [
      "ct direction reply ct state established accept",
      "ct state related accept",
      "ct status dnat accept",
      refuse,
    ],
  };
  return Object.entries(chains)
    .sort(([a], [b]) => rank(a) - rank(b))
    .map(([name, lines]) => `  chain ${name} {\n${lines.map((line) => `    ${line}`).join("\n")}\n  }`)
    .join("\n");
}

/** Chains that others jump to come first. */
function rank(name: string): number {
  const order = ["published", "exposed", "leaving", "entering"].indexOf(name);
  return order < 0 ? Number.MAX_SAFE_INTEGER : order;
}

function sources(networks: readonly GatewayNetwork[]): string[] {
  return networks.flatMap(({ cidr4, cidr6 }) => [
    ...(cidr4 === null ? [] : [`ip saddr ${cidr4}`]),
    ...(cidr6 === null ? [] : [`ip6 saddr ${cidr6}`]),
  ]);
}

function translation(publication: Publication): string[] {
  const { ip, hostPort, port, protocol } = publication;
  const target = targetOf(publication);
  if (target === undefined) return [];
  const six = familyOf(ip) === 6;
  const isAny = ip === "0.0.0.0" || ip === "::";
  const family = six ? "meta nfproto ipv6" : "meta nfproto ipv4";
  const to = six ? `dnat ip6 to [${target}]:${port}` : `dnat ip to ${target}:${port}`;
  return [`${isAny ? family : `${six ? "ip6" : "ip"} daddr ${ip}`} ${protocol} dport ${hostPort} ${to}`];
}

/**
 * Rules inside the gateways' namespace: containers that have no way back to a client see the gateway in its place, which is on
 * their own network.
 */
export function innerRulesText(table: string, published: readonly Publication[]): string {
  const lines = [...new Set(published.filter((p) => !p.isRouted).flatMap((p) => targetOf(p) ?? []))].map(
    (target) => `    oifname "gw-*" ${familyOf(target) === 6 ? "ip6" : "ip"} daddr ${target} masquerade`,
  );
  if (lines.length === 0) return removalText(table);
  const head = "    type nat hook postrouting priority srcnat; policy accept;";
  return `${removalText(table)}table inet ${table} {\n  chain postrouting {\n${[head, ...lines].join("\n")}\n  }\n}\n`;
}
