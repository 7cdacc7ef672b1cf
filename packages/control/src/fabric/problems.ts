/**
 * What is wrong on this host and does not right itself, gathered from the parts that find it: for the API, the metrics and the log. Each
 * says what is wrong, what that means for containers, and what to do.
 */
import type { GatewayProblem } from "../gateway/gateway.js";
import type { IpamInfo } from "../ipam/ipam.js";
import type { MeshProblem } from "../mesh-answers.js";
import { NAME } from "../overlay/conflicts.js";
import type { Network } from "../overlay/networks.js";
import type { ReconcilerInfo } from "../overlay/reconciler.js";
import type { Clash } from "../overlay/tables.js";
import type { Unnamed } from "./outside.js";

/** Of one kind; what is more is counted. Any member can make networks that collide. */
const TOLD_MAX = 20;
/** Ports, or addresses, in one sentence. */
const EXAMPLES_MAX = 3;

export interface Sources {
  readonly networks: readonly Pick<Network, "name" | "conflicts">[];
  readonly gateways: readonly GatewayProblem[];
  readonly dns: readonly Unnamed[];
  readonly ipam: readonly Pick<IpamInfo, "network" | "foreign" | "ignoredGrants">[];
  readonly overlay: Pick<ReconcilerInfo, "counts" | "clashes">;
}

/** One of each kind and network at most. */
export function problemsOf({ networks, gateways, dns, ipam, overlay }: Sources): MeshProblem[] {
  return [
    ...some(networks.filter(({ conflicts }) => conflicts.length > 0).map(conflictOf)),
    ...some(gateways.map(gatewayOf)),
    ...some(dnsOf(dns)),
    ...some(ipam.flatMap(foreignOf)),
    ...some(ipam.flatMap(ignoredOf)),
    ...overlayOf(overlay),
  ];
}

function some(all: readonly MeshProblem[]): MeshProblem[] {
  const [told, rest] = [all.slice(0, TOLD_MAX), all.slice(TOLD_MAX)];
  const [first] = rest;
  if (first === undefined) return told;
  const count = rest.reduce((sum, one) => sum + one.count, 0);
  return [
    ...told,
    { kind: first.kind, network: null, count, text: `${rest.length} more networks with the same problem` },
  ];
}

function conflictOf({ name, conflicts }: Sources["networks"][number]): MeshProblem {
  const what = `network ${shown(name)}: ${conflicts.join("; ")}`;
  return {
    ...{ kind: "network_conflict", network: name, count: conflicts.length },
    text: `${what}. Detach its containers, delete it with \`weft network remove\` and make it anew; or do so with the other one`,
  };
}

const NO_GATEWAY = "its containers here have no DNS, no way out and no published ports";
const GATEWAY: Readonly<Record<GatewayProblem["what"], (network: string, why: string) => string>> = {
  overlap: (network, why) =>
    `network ${network} has no gateway on this host: ${why}, so ${NO_GATEWAY}. Detach the containers of one of the two networks from this host`,
  gateway: (network, why) =>
    `network ${network} has no gateway on this host: ${why}; ${NO_GATEWAY}. Remove what is in the way: it is tried again every 10 s`,
  exposure: (network, why) =>
    `network ${network}: ${why}; this host and its containers do not reach each other, nor do those the outside. Remove what is in the way (it is tried again every 10 s), or \`weft hide ${network}\``,
};

function gatewayOf({ network, what, why }: GatewayProblem): MeshProblem {
  const kind = what === "exposure" ? "exposure" : "gateway";
  return { kind, network, count: 1, text: GATEWAY[what](shown(network), why) };
}

function dnsOf(all: Sources["dns"]): MeshProblem[] {
  return [...new Set(all.map(({ network }) => network))].map((network) => {
    const where = all.filter((one) => one.network === network).map(({ address, why }) => `${address} (${why})`);
    return {
      ...{ kind: "dns", network, count: where.length },
      text: `network ${shown(network)}: no DNS at ${where.join(" and ")}, so its containers here find no names. Free the port: it is tried again every 10 s`,
    };
  });
}

function foreignOf({ network, foreign }: Sources["ipam"][number]): MeshProblem[] {
  if (foreign.length === 0) return [];
  const what = `network ${shown(network)}: ${counted(foreign.length, "address")} in use here (${examples(foreign)})`;
  return [
    {
      ...{ kind: "foreign_address", network, count: foreign.length },
      text: `${what} belong to another member, or to a network of this name that lost to one made elsewhere: they are not reached, or only one of two is. Detach these and attach them anew; \`weft status ipam\` says who owns what`,
    },
  ];
}

function ignoredOf({ network, ignoredGrants: count }: Sources["ipam"][number]): MeshProblem[] {
  if (count === 0) return [];
  const what = `network ${shown(network)}: ${counted(count, "grant")} of addresses without effect`;
  return [
    {
      ...{ kind: "ignored_grant", network, count },
      text: `${what}: two members have taken over or given the same range, as after \`weft rmpeer --force\` for one that ran. Whether addresses are used twice each member says itself (foreign addresses in \`weft status\`); this stays until the network is made anew`,
    },
  ];
}

function overlayOf({ counts, clashes }: Sources["overlay"]): MeshProblem[] {
  const of = (what: Clash["what"]): string =>
    examples(
      clashes.filter((one) => one.what === what).map((one) => `${one.value} of ${one.id} in network ${one.network}`),
    );
  const all: MeshProblem[] = [
    {
      ...{ kind: "same_ip", network: null, count: counts.sameIp },
      text: `${counted(counts.sameIp, "address")} that an earlier container of the network has, too (${of("ip")}): the earlier one is reached. Attach the later one with another address`,
    },
    {
      ...{ kind: "same_mac", network: null, count: counts.sameMac },
      text: `${counted(counts.sameMac, "container")} with the MAC address of another one in the network (${of("mac")}): only one of two is reached. Attach the later one with another MAC`,
    },
    {
      ...{ kind: "without_route", network: null, count: counts.withoutRoute },
      text: `${counted(counts.withoutRoute, "container")} beyond what this host has room for: frames to them are flooded until they have answered. Raise \`limits.routes\``,
    },
    {
      ...{ kind: "without_binding", network: null, count: counts.withoutBinding },
      text: `${counted(counts.withoutBinding, "address")} beyond what this host has room for: questions for them (ARP, ND) are flooded. Raise \`limits.routes\``,
    },
  ];
  return all.filter(({ count }) => count > 0);
}

function examples(all: readonly string[]): string {
  return [...all.slice(0, EXAMPLES_MAX), ...(all.length > EXAMPLES_MAX ? ["…"] : [])].join(", ");
}
function counted(count: number, what: string): string {
  return `${count} ${count === 1 ? what : what === "address" ? "addresses" : `${what}s`}`;
}
/** Another member may have called it anything. */
function shown(name: string): string {
  return NAME.test(name) ? name : JSON.stringify(name);
}

/** Says in the log what has become wrong, more, or is no longer, once. The words of an error may be others each time. */
export class ProblemLog {
  readonly #warn: (problem: MeshProblem) => void;
  readonly #over: (problem: MeshProblem) => void;
  #told = new Map<string, MeshProblem>();

  constructor(warn: (problem: MeshProblem) => void, over: (problem: MeshProblem) => void) {
    this.#warn = warn;
    this.#over = over;
  }

  look(problems: readonly MeshProblem[]): void {
    const now = new Map(problems.map((one) => [`${one.kind} ${one.network}`, one]));
    for (const [key, one] of now) if (this.#told.get(key)?.count !== one.count) this.#warn(one);
    for (const [key, one] of this.#told) if (!now.has(key)) this.#over(one);
    this.#told = now;
  }
}
