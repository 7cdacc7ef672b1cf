/** Networks, their VTEPs and routes: changes to the tables, put in force together. */
import { ENUM } from "@weft/dataplane-wasm/abi";
import { sameKey } from "./address.js";
import { bindingOf, checkBindings } from "./bindings.js";
import { type Core, closedError } from "./core.js";
import type { Order } from "./host.js";
import { InvalidInput, Problems } from "./invalid.js";
import { checkNetwork, effectiveMtu, Network, networkRow, type VtepEntry } from "./network.js";
import type { Port } from "./port.js";
import { checkDestination, checkRoute, type RouteEntry, type Targets, type Via } from "./routes.js";
import type { Binding, BindingTable, NetworkSpec, Route, RouteTable } from "./types.js";

export class NetworkSet {
  readonly #core: Core;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(core: Core) {
    this.#core = core;
  }

  /** Creates or changes a network. Changes of networks run one after another. @throws InvalidInput, nothing changed */
  set(given: NetworkSpec): Promise<void> {
    return this.#serial(() => this.#set(given));
  }
  /** Removes a network without ports; nothing happens when there is none. */
  remove(name: string): Promise<void> {
    return this.#serial(() => this.#remove(name));
  }

  /** An exchange of VTEPs holds old and new indexes until every worker runs with the new ones: one at a time fits. */
  #serial(change: () => Promise<void>): Promise<void> {
    const run = this.#queue.then(() => {
      if (this.#core.closed) throw closedError();
      return change();
    });
    this.#queue = run.catch(() => undefined);
    return run;
  }

  async #set(given: NetworkSpec): Promise<void> {
    const { networks, networkAt, options, tables, reader } = this.#core;
    const old = networks.get(given.name);
    const held = [...networks.values()].reduce((sum, n) => sum + (n === old ? 0 : n.vteps.size), 0);
    const spec = checkNetwork(given, {
      vxlanPort: options.vxlanPort,
      underlay: options.underlay,
      ownerOfVni: (vni) => [...networks.values()].find((n) => n.spec.vni === vni)?.spec.name,
      ownerOfMac: (name, mac) => this.#ownerOfMac(networks.get(name), mac),
      gatewayPort: (name) => this.#portsOf(networks.get(name)).find((p) => p.wanted.role === "gateway"),
      vtepsLeft: options.vtepsMax - held,
      tunnel: this.#core.tunnel,
    });
    this.#core.readUnderlay();
    const mtu = effectiveMtu(spec, this.#core.underlay, this.#core.tunnel);
    const fresh = spec.vteps.filter((v) => !isSame(v, old?.vteps.get(v.text)?.entry)).length;
    if (fresh > tables.freeVteps) throw new Error(`there is no room for ${fresh} VTEPs beside those they replace`);
    let network = old;
    if (network) {
      tables.changeNetwork(network.index, networkRow(spec, mtu));
    } else {
      const index = tables.addNetwork(networkRow(spec, mtu));
      if (index === undefined) {
        throw new InvalidInput(`network ${spec.name}`, [
          {
            key: "name",
            found: `network ${networks.size + 1}`,
            allowed: `${options.networksMax} networks (networksMax)`,
          },
        ]);
      }
      network = new Network(index, spec, mtu);
      networks.set(spec.name, network);
      networkAt.set(index, network);
      this.#core.networkBefore.set(index, reader.block("NETWORK_COUNTERS", index));
    }
    const freed = this.#changeVteps(network, spec.vteps);
    network.spec = spec;
    network.mtu = mtu;
    await tables.publish();
    for (const index of freed) tables.releaseVtep(index);
    this.#core.tunnel?.startSessions();
  }

  /** Adds and removes VTEPs and points the routes at what is there. @returns indexes that became free. */
  #changeVteps(network: Network, wanted: readonly VtepEntry[]): number[] {
    const { tables, reader } = this.#core;
    const freed: number[] = [];
    for (const [address, { entry, index }] of network.vteps) {
      const kept = wanted.find((v) => v.text === address && isSame(v, entry));
      if (kept) {
        network.vteps.set(address, { entry: kept, index });
        this.#core.name(ENUM.KIND.VTEP, index, kept.name);
        continue;
      }
      tables.removeVtep(index);
      network.vteps.delete(address);
      freed.push(index);
    }
    for (const entry of wanted) {
      if (network.vteps.has(entry.text)) continue;
      const { key: address, family, port, isTunnel } = entry;
      const peer = isTunnel ? this.#core.tunnel?.peerOf(entry) : undefined;
      const tunnel = isTunnel ? { peer } : undefined;
      // There is room: set() has looked.
      const index = tables.addVtep({ network: network.index, address, family, port, tunnel }) as number;
      network.vteps.set(entry.text, { entry, index });
      this.#core.name(ENUM.KIND.VTEP, index, entry.name);
      this.#core.vtepBefore.set(index, reader.block("VTEP_COUNTERS", index));
    }
    this.pointRoutes(network, (via) => via.kind === "vtep");
    return freed;
  }

  async #remove(name: string): Promise<void> {
    const { networks, networkAt, tables } = this.#core;
    const network = networks.get(name);
    if (!network) return;
    if (network.ports > 0) {
      throw new InvalidInput("removeNetwork", [
        { key: "name", found: `${name}, which has ${network.ports} ports`, allowed: "a network without ports" },
      ]);
    }
    networks.delete(name);
    for (const entry of network.routes.values()) tables.deleteRoute(network.index, entry.row);
    network.routes.clear();
    for (const { address } of network.bindings.values()) tables.deleteBinding(network.index, address);
    network.bindings.clear();
    const freed = this.#changeVteps(network, []);
    tables.removeNetwork(network.index);
    await tables.publish();
    // Nobody learns in it any more; what is left would belong to the next user of the index.
    await this.#tellOne({ do: "flush", network: network.index });
    networkAt.delete(network.index);
    for (const index of freed) tables.releaseVtep(index);
    tables.releaseNetwork(network.index);
  }

  /** Has any one worker carry out what is about tables that they share. */
  async #tellOne(order: Order): Promise<void> {
    for (const host of this.#core.hosts.filter((h) => h.alive)) {
      try {
        return await host.send(order);
      } catch {
        // Died meanwhile: another one does it.
      }
    }
  }

  /** Routes are in force: what was learned of their MACs before would come back when they go. */
  async #forget(network: Network, routes: readonly RouteEntry[]): Promise<void> {
    const macs = routes.flatMap(({ row }) => (row.kind === "mac" ? [[row.key[2], row.key[3]] as const] : []));
    if (macs.length > 0) await this.#tellOne({ do: "forget", network: network.index, macs });
  }

  /** Points the routes that `which` picks at the present VTEPs and ports; a target that is away is a blackhole. */
  pointRoutes(network: Network, which: (via: Via) => boolean): void {
    for (const entry of network.routes.values()) if (which(entry.via)) this.#write(network, entry, false);
  }

  /** @throws InvalidInput when there is none of that name */
  #find(name: string, what: string): Network {
    const network = this.#core.networks.get(name);
    if (network) return network;
    throw new InvalidInput(what, [{ key: "network", found: name, allowed: "the name of a network that was set" }]);
  }

  bindings(name: string): BindingTable {
    const find = (): Network => this.#find(name, "bindings");
    find();
    return {
      replace: async (bindings) => this.#bind(find(), bindings),
      list: () => [...find().bindings.values()].map(bindingOf),
    };
  }

  async #bind(network: Network, bindings: readonly Binding[]): Promise<void> {
    const { tables } = this.#core;
    const problems = new Problems(`bindings of network ${network.spec.name}`);
    const wanted = checkBindings(bindings, problems);
    this.#checkRoom("bindings", wanted.size, network.bindings.size, problems);
    problems.throwIfAny();
    for (const [ip, { address }] of network.bindings) {
      if (!wanted.has(ip)) tables.deleteBinding(network.index, address);
    }
    for (const [ip, { address, mac }] of wanted) {
      const old = network.bindings.get(ip);
      if (!old || !sameKey(old.mac, mac)) tables.setBinding(network.index, address, mac);
    }
    network.bindings.clear();
    for (const [ip, entry] of wanted) network.bindings.set(ip, entry);
    await tables.publish();
  }

  table(name: string): RouteTable {
    const find = (): Network => this.#find(name, "routes");
    find();
    return {
      replace: async (routes) => this.#replace(find(), routes),
      add: async (route) => this.#add(find(), route),
      remove: async (route) => this.#removeRoute(find(), route),
      list: () => [...find().routes.values()].map((entry) => ({ ...entry.route })),
    };
  }

  async #replace(network: Network, routes: readonly Route[]): Promise<void> {
    const problems = new Problems(`routes of network ${network.spec.name}`);
    const wanted = new Map<string, RouteEntry>();
    const targets = this.#targets(network);
    if (!Array.isArray(routes)) problems.add("routes", routes, "a list of routes");
    else {
      routes.forEach((route: Route, i) => {
        const entry = checkRoute(route, `[${i}].`, targets, problems);
        if (!entry) return;
        if (wanted.has(entry.key)) problems.add(`[${i}]`, route, "each MAC or prefix once");
        wanted.set(entry.key, entry);
      });
    }
    this.#checkRoom("routes", wanted.size, network.routes.size, problems);
    problems.throwIfAny();
    for (const [key, entry] of network.routes) {
      if (!wanted.has(key)) this.#core.tables.deleteRoute(network.index, entry.row);
    }
    const fresh = [...wanted.values()].filter(({ key }) => !network.routes.has(key));
    for (const [key, entry] of wanted) this.#write(network, entry, !network.routes.has(key));
    network.routes.clear();
    for (const [key, entry] of wanted) network.routes.set(key, entry);
    await this.#core.tables.publish();
    await this.#forget(network, fresh);
  }

  async #add(network: Network, route: Route): Promise<void> {
    const problems = new Problems(`routes of network ${network.spec.name}`);
    const entry = checkRoute(route, "", this.#targets(network), problems);
    if (entry && !network.routes.has(entry.key))
      this.#checkRoom("routes", network.routes.size + 1, network.routes.size, problems);
    problems.throwIfAny();
    if (!entry) return;
    this.#write(network, entry, !network.routes.has(entry.key));
    network.routes.delete(entry.key);
    network.routes.set(entry.key, entry);
    await this.#core.tables.publish();
    await this.#forget(network, [entry]);
  }

  async #removeRoute(network: Network, route: { readonly mac?: unknown; readonly prefix?: unknown }): Promise<void> {
    const problems = new Problems(`routes of network ${network.spec.name}`);
    const destination = checkDestination(route, "", problems);
    problems.throwIfAny();
    const entry = destination && network.routes.get(destination.key);
    if (!entry) return;
    this.#core.tables.deleteRoute(network.index, entry.row);
    network.routes.delete(entry.key);
    await this.#core.tables.publish();
  }

  /** Whether there is room for `count` rows in place of `held` ones. */
  #checkRoom(what: "routes" | "bindings", count: number, held: number, problems: Problems): void {
    const most = this.#core.options.routesMax - (this.#core.routesUsed() - held);
    if (count > most) problems.add(what, `${count} ${what}`, `at most ${most} (routesMax)`);
  }

  #write(network: Network, entry: RouteEntry, isNew: boolean): void {
    const { via } = entry;
    const { tables } = this.#core;
    let index: number | undefined;
    if (via.kind === "vtep") index = network.vteps.get(via.address)?.index;
    if (via.kind === "port") index = this.#portOf(network, via.id);
    const target =
      via.kind === "blackhole" || index === undefined ? ({ kind: "blackhole" } as const) : { kind: via.kind, index };
    tables.setRoute(network.index, entry.row, target, isNew);
  }

  /** Index of a port that is in the tables. */
  #portOf(network: Network, id: string): number | undefined {
    const port = this.#core.ports.get(id);
    if (!port || port.wanted.network !== network) return undefined;
    return this.#core.tables.portGeneration(port.index) === undefined ? undefined : port.index;
  }

  #portsOf(network: Network | undefined): Port[] {
    return [...this.#core.ports.values()].filter((p) => p.wanted.network === network);
  }

  /** Who but the gateway's port has a MAC. */
  #ownerOfMac(network: Network | undefined, mac: string): string | undefined {
    if (network?.routes.has(mac)) return "a route";
    const port = this.#portsOf(network).find((p) => p.mac === mac && p.wanted.role !== "gateway");
    return port && `port ${port.id}`;
  }

  #targets(network: Network): Targets {
    const { ports } = this.#core;
    const macs = new Map(this.#portsOf(network).map((p) => [p.mac, p.id]));
    return {
      hasVtep: (address) => network.vteps.has(address),
      hasPort: (id) => ports.get(id)?.wanted.network === network,
      portOfMac: (mac) => macs.get(mac),
      gateway: network.spec.gateway,
    };
  }
}

/** Whether an entry of the list is the VTEP that is there. */
function isSame(wanted: VtepEntry, present: VtepEntry | undefined): boolean {
  return present?.port === wanted.port && present.isTunnel === wanted.isTunnel;
}
