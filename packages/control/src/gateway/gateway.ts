/**
 * Gateways of networks, the host's own ports in them, and what lets them out and others in. A caller says how all of it should
 * be (`apply`); what stands and is right is not touched.
 */
import type { DataplaneApi, PortInfo } from "../dataplane/types.js";
import { messageOf } from "../errors.js";
import { gatewayMac } from "../mac.js";
import {
  bare,
  familyOf,
  type GatewayNetwork,
  gatewayAddresses,
  gatewayIfname,
  hostIfname,
  overlaps,
} from "./address.js";
import { acceptIn } from "./foreign.js";
import { GatewayNamespace, tagOf } from "./namespace.js";
import { type BlockedPort, innerRulesText, type Publication, removalText, rulesText, targetOf } from "./nft.js";
import { type Run, run } from "./program.js";
import { enableForwarding, loosenReversePath, removeUplink, Uplink, uplinkIfname } from "./uplink.js";

/** Milliseconds between two looks at rules that others may have flushed. */
const WATCH_MS = 3_000;

/** The host's own port in a network (`weft expose`). */
export interface Exposure {
  readonly network: string;
  /** Its addresses with prefix length. */
  readonly ip: readonly string[];
  readonly mac: string;
}

/** How everything should be. */
export interface Wanted {
  /** Networks that have a gateway on this host. */
  readonly networks: readonly GatewayNetwork[];
  readonly exposed: readonly Exposure[];
  readonly published: readonly Publication[];
}

export interface GatewayOptions {
  /** Where ports are made: the data plane, or who records its ports. */
  readonly ports: Pick<DataplaneApi, "attach" | "detach" | "ports">;
  /** Path of the gateways' namespace, one for each daemon; see namespacePath(). */
  readonly path: string;
  /** Ports of this host that no container may reach: the control port, metrics, VXLAN, WireGuard. */
  readonly blocked: readonly BlockedPort[];
  /** Things an operator should know, as sentences. */
  readonly tell?: (text: string) => void;
  readonly run?: Run;
}

/** Where DNS is to be served. */
export interface GatewayEndpoint {
  readonly network: string;
  readonly address: string;
  readonly ifname: string;
  /** Which device of this name it is: another number when it was made anew. */
  readonly making: number;
  /** Path of the namespace. */
  readonly netns: string;
}

/** A network without a gateway, or that is not exposed as it should be. What cannot be made may be tried again; an overlap stays. */
export interface GatewayProblem {
  readonly network: string;
  readonly what: "overlap" | "gateway" | "exposure";
  readonly why: string;
}

export interface GatewayStatus {
  readonly namespace: string;
  readonly gateways: readonly { readonly network: string; readonly ip: readonly string[]; readonly ifname: string }[];
  readonly problems: readonly GatewayProblem[];
  /** Device of the host that leads to the gateways; null: nothing is exposed or published. */
  readonly uplink: string | null;
  /** Table of nftables; null: none is needed. */
  readonly table: string | null;
  readonly exposed: readonly { readonly network: string; readonly ip: readonly string[]; readonly ifname: string }[];
  readonly published: readonly Publication[];
  /** Other people's chains that weft has put accept rules into: `ip filter DOCKER-USER`. */
  readonly acceptedIn: readonly string[];
  /** How often rules were gone and had to be put back. */
  readonly putBack: number;
}

const NOTHING: Wanted = { networks: [], exposed: [], published: [] };

export class Gateway {
  readonly #namespace: GatewayNamespace;
  readonly #options: GatewayOptions;
  readonly #run: Run;
  readonly #table: string;
  #wanted: Wanted = NOTHING;
  #standing: GatewayNetwork[] = [];
  /** Gateways made so far, and which of them each port is. */
  #made = 0;
  readonly #makings = new Map<string, number>();
  /** Ids of the host's own ports. */
  readonly #hostPorts = new Set<string>();
  /** Exposures whose port is there. */
  #exposed: Exposure[] = [];
  #problems: GatewayProblem[] = [];
  #uplink: Uplink | undefined;
  #rules = "";
  #innerRules = "";
  #acceptedIn: readonly string[] = [];
  #putBack = 0;
  /** Changes happen one after the other. */
  #last: Promise<unknown> = Promise.resolve();
  readonly #timer: NodeJS.Timeout;

  private constructor(namespace: GatewayNamespace, options: GatewayOptions) {
    this.#namespace = namespace;
    this.#options = options;
    this.#run = options.run ?? run;
    this.#table = tableOf(namespace.tag);
    this.#timer = setInterval(() => void this.#queue(() => this.#watch()).catch(this.#tellError), WATCH_MS);
    this.#timer.unref();
  }

  /** Makes the namespace, and removes what an earlier daemon with this path has left. @throws WeftError */
  static async open(options: GatewayOptions): Promise<Gateway> {
    await removeGateway(options.path, options.run);
    return new Gateway(await GatewayNamespace.open(options.path, options.run), options);
  }

  /**
   * Makes everything as it should be. What cannot be made is in `problems` and tried again with the next call; it keeps nothing
   * else from being made.
   * @throws the first error of an exposure, or the rules': what a user has asked for
   */
  apply(wanted: Wanted): Promise<void> {
    return this.#queue(async () => {
      this.#wanted = wanted;
      const failed = await this.#applyNetworks();
      await this.#applyOutside();
      if (failed.length > 0) throw failed[0];
    });
  }

  endpoints(): GatewayEndpoint[] {
    const netns = this.#namespace.path;
    return this.#standing.flatMap((network) =>
      gatewayAddresses(network).map((ip) => ({
        network: network.name,
        address: bare(ip),
        ifname: gatewayIfname(network.vni),
        making: this.#makings.get(gatewayPortId(network.vni)) ?? 0,
        netns,
      })),
    );
  }

  status(): GatewayStatus {
    return {
      namespace: this.#namespace.path,
      gateways: this.#standing.map((network) => ({
        network: network.name,
        ip: gatewayAddresses(network),
        ifname: gatewayIfname(network.vni),
      })),
      problems: this.#problems,
      uplink: this.#uplink?.ifname ?? null,
      table: this.#rules === "" ? null : this.#table,
      exposed: this.#exposed.map(({ network, ip }) => ({ network, ip, ifname: hostIfname(network) })),
      published: this.#wanted.published,
      acceptedIn: this.#acceptedIn,
      putBack: this.#putBack,
    };
  }

  /**
   * Removes everything; sockets that somebody has in the namespace have to be closed before.
   * @param keepHostPorts leaves the host its ports in networks, for the next daemon to take over
   */
  close(keepHostPorts = false): Promise<void> {
    clearInterval(this.#timer);
    return this.#queue(async () => {
      const { exposed } = this.#wanted;
      this.#wanted = { ...NOTHING, exposed: keepHostPorts ? exposed : [] };
      await this.#applyNetworks();
      this.#wanted = NOTHING;
      await this.#removeOutside();
      await this.#namespace.close();
    });
  }

  #queue<T>(step: () => Promise<T>): Promise<T> {
    const next = this.#last.then(step, step);
    this.#last = next.catch(() => undefined);
    return next;
  }

  readonly #tellError = (error: unknown): void => this.#options.tell?.(messageOf(error));

  /** Gateway ports, and the host's own. @returns why some of the latter could not be made */
  async #applyNetworks(): Promise<unknown[]> {
    const { ports } = this.#options;
    const { networks, exposed } = this.#wanted;
    const wanted = usable(networks);
    const { problems } = wanted;
    const hosts = new Map(exposed.map((exposure) => [hostPortId(exposure.network), exposure]));
    const gateways = new Map(wanted.networks.map((network) => [gatewayPortId(network.vni), network]));
    for (const port of ports.ports()) {
      const network = gateways.get(port.id);
      const isGone =
        port.role === "gateway"
          ? network === undefined || !isAs(port, network.name, gatewayAddresses(network))
          : this.#isOwnHostPort(port) && !isAsExposed(port, hosts.get(port.id));
      if (isGone) await ports.detach(port.id);
    }
    const standing: GatewayNetwork[] = [];
    for (const [id, network] of gateways) {
      try {
        if (!ports.ports().some((port) => port.id === id)) {
          await ports.attach(this.#gatewayPort(id, network));
          this.#makings.set(id, ++this.#made);
        }
        standing.push(network);
      } catch (error) {
        problems.push({ network: network.name, what: "gateway", why: messageOf(error) });
      }
    }
    this.#standing = standing;
    for (const id of this.#makings.keys()) if (!gateways.has(id)) this.#makings.delete(id);
    const failed: unknown[] = [];
    this.#exposed = [];
    for (const [id, exposure] of hosts) {
      const { network, ip, mac } = exposure;
      try {
        if (!ports.ports().some((port) => port.id === id && this.#isOwnHostPort(port)))
          await ports.attach({ id, network, ip, mac, ifname: hostIfname(network) });
        this.#hostPorts.add(id);
        this.#exposed.push(exposure);
      } catch (error) {
        problems.push({ network, what: "exposure", why: `not exposed: ${messageOf(error)}` });
        failed.push(error);
      }
    }
    for (const id of this.#hostPorts) if (!hosts.has(id)) this.#hostPorts.delete(id);
    this.#problems = problems;
    return failed;
  }

  /** Made by us, or by the daemon before us. A user may call a container's port anything. */
  #isOwnHostPort({ id, netns, ifname, network }: PortInfo): boolean {
    if (this.#hostPorts.has(id)) return true;
    return id === hostPortId(network) && netns === null && ifname === hostIfname(network);
  }

  #gatewayPort(id: string, network: GatewayNetwork): Parameters<DataplaneApi["attach"]>[0] {
    return {
      id,
      role: "gateway",
      network: network.name,
      netns: this.#namespace.path,
      ifname: gatewayIfname(network.vni),
      mac: gatewayMac(network.vni),
      ip: gatewayAddresses(network),
    };
  }

  /** Uplink, routes and rules, as far as something is exposed or published. */
  async #applyOutside(): Promise<void> {
    const exposed = this.#exposed;
    const published = this.#wanted.published.filter((p) => this.#standing.some((n) => n.name === p.network));
    if (exposed.length + published.length === 0) return await this.#removeOutside();
    const families = new Set([...exposed.flatMap((e) => e.ip), ...published.map((p) => p.ip)].map(familyOf));
    const changed = enableForwarding(families);
    if (changed.length > 0)
      this.#options.tell?.(
        `${changed.join(" and ")} turned on, as exposed and published networks need it; it stays on`,
      );
    const hosts = exposed.map(({ network }) => hostIfname(network));
    for (const name of hosts) loosenReversePath(name);
    // The rules come first: there is never a way out that they do not watch.
    await this.#writeRules(hosts, published);
    if (this.#uplink?.stands === false) this.#uplink = undefined;
    this.#uplink ??= await Uplink.open(this.#namespace, this.#run);
    await this.#uplink.route(routesOf(published, exposed));
  }

  async #writeRules(hostPorts: readonly string[], published: readonly Publication[]): Promise<void> {
    const { networks } = this.#wanted;
    const exposed = this.#exposed;
    const { blocked } = this.#options;
    const uplink = uplinkIfname(this.#namespace.tag);
    const names = new Set(exposed.map((e) => e.network));
    const rules = rulesText({ table: this.#table, uplink, hostPorts, networks, exposed: names, published, blocked });
    if (rules !== this.#rules) await this.#run(["nft", "-f", "-"], rules);
    this.#rules = rules;
    const inner = innerRulesText(this.#table, published);
    if (inner !== this.#innerRules) await this.#namespace.run(["nft", "-f", "-"], inner);
    this.#innerRules = inner;
    this.#acceptedIn = (await acceptIn(this.#namespace.tag, [uplink, ...hostPorts], this.#table, this.#run)).chains;
  }

  async #removeOutside(): Promise<void> {
    if (this.#rules !== "") {
      await acceptIn(this.#namespace.tag, [], this.#table, this.#run);
      await this.#run(["nft", "-f", "-"], removalText(this.#table));
      await this.#namespace.run(["nft", "-f", "-"], removalText(this.#table));
    }
    [this.#rules, this.#innerRules, this.#acceptedIn] = ["", "", []];
    await this.#uplink?.close();
    this.#uplink = undefined;
  }

  /** Puts back what somebody has flushed. */
  async #watch(): Promise<void> {
    const uplink = this.#uplink;
    if (uplink === undefined) return;
    const devices = [uplink.ifname, ...this.#exposed.map(({ network }) => hostIfname(network))];
    const { chains, added, hasTable } = await acceptIn(this.#namespace.tag, devices, this.#table, this.#run);
    this.#acceptedIn = chains;
    this.#putBack += added + (hasTable ? 0 : 1) + (uplink.stands ? 0 : 1);
    if (added > 0) this.#options.tell?.(`accept rules put into ${chains.join(", ")}: they were missing`);
    if (hasTable && uplink.stands) return;
    this.#options.tell?.("weft's nftables rules or uplink were removed by somebody: put back");
    if (!hasTable) this.#rules = "";
    await this.#applyOutside();
  }
}

/** Port id of the host's own port in a network. */
export function hostPortId(network: string): string {
  return `host-${network}`;
}
/** Port id of a network's gateway. */
export function gatewayPortId(vni: number): string {
  return `gateway-${vni}`;
}

/** Table of nftables of the daemon with this tag. */
export function tableOf(tag: string): string {
  return `weft_${tag}`;
}

/**
 * Removes namespace, uplink and rules of a daemon that was killed.
 * @returns whether there was anything
 */
export async function removeGateway(path: string, program: Run = run): Promise<boolean> {
  const tag = tagOf(path);
  const had = await Promise.all([removeUplink(tag, program), removeRules(tag, program)]);
  const hadNamespace = await GatewayNamespace.remove(path, program);
  return hadNamespace || had.includes(true);
}

async function removeRules(tag: string, program: Run): Promise<boolean> {
  let text: string;
  try {
    text = await program(["nft", "list", "tables"]);
  } catch {
    // Without nft there are no rules of an earlier daemon, and nothing needs them before something is exposed.
    return false;
  }
  await acceptIn(tag, [], tableOf(tag), program);
  const isThere = text.split("\n").includes(`table inet ${tableOf(tag)}`);
  if (isThere) await program(["nft", "-f", "-"], removalText(tableOf(tag)));
  return isThere;
}

/** Networks that can have a gateway: those that share addresses with an earlier one cannot, in one namespace. */
function usable(all: readonly GatewayNetwork[]): {
  networks: GatewayNetwork[];
  problems: GatewayProblem[];
} {
  const networks: GatewayNetwork[] = [];
  const problems: GatewayProblem[] = [];
  const prefixes = ({ cidr4, cidr6 }: GatewayNetwork): string[] => [cidr4, cidr6].filter((cidr) => cidr !== null);
  for (const network of [...all].sort((a, b) => a.vni - b.vni)) {
    const other = networks.find((n) => prefixes(n).some((a) => prefixes(network).some((b) => overlaps(a, b))));
    if (other === undefined) networks.push(network);
    else {
      const why = `its addresses overlap with those of network ${other.name}`;
      problems.push({ network: network.name, what: "overlap", why });
    }
  }
  return { networks, problems };
}

function isAs(port: PortInfo, network: string, ip: readonly string[]): boolean {
  return port.network === network && [...port.ip].sort().join() === [...ip].sort().join();
}

function isAsExposed(port: PortInfo, exposure: Exposure | undefined): boolean {
  return exposure !== undefined && port.mac === exposure.mac && isAs(port, exposure.network, exposure.ip);
}

/** Published containers, each with the address that the host itself has in their network. */
function routesOf(published: readonly Publication[], exposed: readonly Exposure[]): Map<string, string | null> {
  const routes = new Map<string, string | null>();
  for (const publication of published) {
    const target = targetOf(publication);
    if (target === undefined) continue;
    const family = familyOf(target);
    const own = exposed.find((e) => e.network === publication.network)?.ip.find((ip) => familyOf(ip) === family);
    routes.set(`${target}/${family === 4 ? 32 : 128}`, own === undefined ? null : bare(own));
  }
  return routes;
}
