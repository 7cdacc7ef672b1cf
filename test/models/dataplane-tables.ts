/** A double of the data plane for tests of who fills its tables: keeps them, and refuses what the real one refuses. */
import type {
  Binding,
  BindingTable,
  DataplaneApi,
  NetworkSpec,
  PeerSpec,
  PortInfo,
  Route,
  RouteTable,
} from "../../packages/control/src/dataplane/types.js";

type Tables = Pick<DataplaneApi, "changePeers" | "setNetwork" | "removeNetwork" | "routes" | "bindings" | "ports">;

export class DataplaneTablesDouble implements Tables {
  readonly peers = new Map<string, PeerSpec>();
  readonly networks = new Map<string, NetworkSpec>();
  readonly routesOf = new Map<string, readonly Route[]>();
  readonly bindingsOf = new Map<string, readonly Binding[]>();
  /** What was called, in order: `setNetwork blue`. */
  calls: string[] = [];
  /** Ports, as far as their network and MAC matter. */
  portList: { network: string; mac: string }[] = [];
  /** Calls that fail, by their beginning. */
  failing = new Set<string>();
  running = 0;

  async changePeers(change: {
    readonly set?: readonly PeerSpec[];
    readonly remove?: readonly string[];
  }): Promise<void> {
    const { set = [], remove = [] } = change;
    await this.#begin(`changePeers +${set.length} -${remove.length}`);
    if (set.some(({ endpoint }) => endpoint !== undefined && !/:\d+$/.test(endpoint)))
      throw new Error("endpoint: found x");
    for (const key of remove) this.peers.delete(key);
    for (const peer of set) this.peers.set(peer.publicKey, peer);
  }
  async setNetwork(spec: NetworkSpec): Promise<void> {
    await this.#begin(`setNetwork ${spec.name}`);
    for (const other of this.networks.values())
      if (other.name !== spec.name && other.vni === spec.vni) throw new Error(`vni: ${other.name} has ${spec.vni}`);
    const covered = new Set([...this.peers.values()].flatMap(({ allowedIps = [] }) => allowedIps));
    for (const vtep of spec.vteps ?? [])
      if (vtep.startsWith("fd") && !covered.has(`${vtep}/128`)) throw new Error(`${vtep} is in no peer's allowedIps`);
    this.networks.set(spec.name, spec);
  }
  async removeNetwork(name: string): Promise<void> {
    await this.#begin(`removeNetwork ${name}`);
    if (this.portList.some(({ network }) => network === name)) throw new Error(`network ${name} has ports`);
    this.networks.delete(name);
    this.routesOf.delete(name);
    this.bindingsOf.delete(name);
  }
  routes(network: string): Pick<RouteTable, "replace"> & RouteTable {
    const replace = async (routes: readonly Route[]): Promise<void> => {
      await this.#begin(`routes ${network}`);
      for (const { via } of routes)
        if (!this.networks.get(network)?.vteps?.includes(via)) throw new Error(`no VTEP ${via}`);
      this.routesOf.set(network, routes);
    };
    const refuse = async (): Promise<void> => {
      throw new Error("the whole table is replaced");
    };
    return { replace, add: refuse, remove: refuse, list: () => [...(this.routesOf.get(network) ?? [])] };
  }
  bindings(network: string): BindingTable {
    return {
      replace: async (bindings) => {
        await this.#begin(`bindings ${network}`);
        this.bindingsOf.set(network, bindings);
      },
      list: () => [...(this.bindingsOf.get(network) ?? [])],
    };
  }
  ports(): PortInfo[] {
    return this.portList as PortInfo[];
  }

  async #begin(call: string): Promise<void> {
    this.calls.push(call);
    if (++this.running > 1) throw new Error("two changes at once");
    await Promise.resolve();
    this.running--;
    for (const one of this.failing) if (call.startsWith(one)) throw new Error("refused by the test");
  }
}
