/**
 * Brings the data plane to what the records say, and keeps it there: only what has changed is written, one run at a time, at most
 * ten a second. What fails is logged and tried again; one network that cannot be set does not stop the others.
 *
 * Order: peers come before the networks that refer to them and go after them.
 */
import type { Binding, DataplaneApi, NetworkSpec, PeerSpec, Route } from "../dataplane/types.js";
import type { NodeId, Records } from "../mesh/types.js";
import { DEFAULT_NETWORK, type Network, type Networks } from "./networks.js";
import { type Clash, type NetworkTables, networkTables, peersOf, type TableCounts } from "./tables.js";

/** Milliseconds between the beginnings of two runs, and until what has failed is tried again. */
const RUN_MS = 100;
const AGAIN_MS = 1000;

export interface ReconcilerOptions {
  readonly records: Records;
  readonly networks: Networks;
  readonly dataplane: Pick<
    DataplaneApi,
    "changePeers" | "setNetwork" | "removeNetwork" | "routes" | "bindings" | "ports"
  >;
  readonly tunnelAddress: (node: NodeId) => string;
  /** Of a peer's endpoints, those that the underlay of this host can write to. */
  readonly writable: (endpoints: readonly string[]) => readonly string[];
  /** MTU of networks whose record leaves it open. */
  readonly mtu: () => number | "auto";
  /** As the data plane has it (`routesMax`); bindings are bounded alike. */
  readonly routesMax: number;
  readonly bindingsMax: number;
  /** What the data plane has room for beside the networks that only this host has. */
  readonly networksMax: () => number;
  readonly now: () => number;
  /** Runs something later, once. @returns what takes it back */
  readonly after: (ms: number, run: () => void) => () => void;
  /** Sentences for the log. */
  readonly warn: (sentence: string) => void;
}

export interface ReconcilerInfo {
  readonly peers: number;
  readonly networks: number;
  readonly routes: number;
  readonly bindings: number;
  readonly counts: TableCounts;
  /** Some of those that counts has as sameMac and sameIp. */
  readonly clashes: readonly Clash[];
  /** Deleted networks that still have ports on this host. */
  readonly waiting: readonly string[];
  /** What the last run could not do. */
  readonly problems: readonly string[];
  readonly runs: number;
}

interface Applied {
  spec: NetworkSpec;
  /** As asked for, which may be more than `spec` has. */
  wanted: string;
  routes: readonly Route[];
  bindings: readonly Binding[];
}

const NOTHING: TableCounts = { sameMac: 0, sameIp: 0, unusable: 0, withoutRoute: 0, withoutBinding: 0 };
const RELEVANT = ["node", "network", "container", "removed", "member"] as const;

export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #peers = new Map<NodeId, PeerSpec>();
  readonly #networks = new Map<string, Applied>();
  readonly #unsubscribe: () => void;
  #counts = NOTHING;
  #clashes: readonly Clash[] = [];
  #waiting: string[] = [];
  #problems: string[] = [];
  #isFull = false;
  #runs = 0;
  #begunAt = Number.NEGATIVE_INFINITY;
  #running: Promise<void> | undefined;
  #isWanted = false;
  #cancel: (() => void) | undefined;
  #isClosed = false;
  #idle: (() => void)[] = [];

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    this.#unsubscribe = options.records.on((event) => {
      if (event.type === "alive" || (event.type === "records" && RELEVANT.some((kind) => event.kinds.has(kind))))
        this.request();
    });
    this.request();
  }

  /** Something has changed that records do not tell: ports of this host, the MTU, the configuration. */
  request(): void {
    this.#isWanted = true;
    this.#schedule();
  }

  /** Resolves when what was asked for has been done, or tried once. */
  settled(): Promise<void> {
    if (this.#running === undefined && !this.#isWanted) return Promise.resolve();
    return new Promise((resolve) => {
      this.#idle.push(resolve);
    });
  }

  /** Ends after the present run. The data plane stays as it is. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#unsubscribe();
    this.#cancel?.();
    await this.#running;
    this.#tellIdle();
  }

  info(): ReconcilerInfo {
    const all = [...this.#networks.values()];
    return {
      peers: this.#peers.size,
      networks: all.length,
      routes: all.reduce((sum, { routes }) => sum + routes.length, 0),
      bindings: all.reduce((sum, { bindings }) => sum + bindings.length, 0),
      counts: this.#counts,
      clashes: this.#clashes,
      waiting: this.#waiting,
      problems: this.#problems,
      runs: this.#runs,
    };
  }

  #schedule(): void {
    if (this.#isClosed || this.#running !== undefined) return;
    this.#cancel?.();
    const { now, after } = this.#options;
    this.#cancel = after(Math.max(0, this.#begunAt + RUN_MS - now()), () => {
      this.#cancel = undefined;
      this.#isWanted = false;
      this.#begunAt = now();
      this.#running = this.#run().finally(() => {
        this.#running = undefined;
        if (this.#isWanted) this.#schedule();
        else this.#tellIdle();
      });
    });
  }

  #tellIdle(): void {
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  async #run(): Promise<void> {
    this.#runs++;
    const problems: string[] = [];
    const attempt = async (what: string, act: () => Promise<void>): Promise<boolean> => {
      try {
        await act();
        return true;
      } catch (error) {
        problems.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
        return false;
      }
    };
    await attempt("records", async () => {
      const { records, tunnelAddress, writable } = this.#options;
      const peers = peersOf(records, tunnelAddress, this.#peers, writable);
      await this.#setPeers(peers, attempt);
      const { tables, counts, clashes } = this.#tables(peers);
      this.#counts = counts;
      this.#clashes = clashes;
      await this.#removeNetworks(tables, attempt);
      for (const [name, table] of tables)
        await attempt(`network ${name}`, () => this.#applyNetwork(name, table, attempt));
      await this.#removePeers(peers, attempt);
    });
    this.#finish(problems);
  }

  #finish(problems: string[]): void {
    for (const problem of problems) if (!this.#problems.includes(problem)) this.#options.warn(problem);
    this.#problems = problems;
    if (problems.length > 0 && !this.#isWanted && !this.#isClosed) {
      // Whoever asks for a run in between makes this one superfluous.
      this.#cancel = this.#options.after(AGAIN_MS, () => this.request());
    }
  }

  async #setPeers(peers: ReadonlyMap<NodeId, PeerSpec>, attempt: Attempt): Promise<void> {
    const set = [...peers].filter(([node, peer]) => !isEqual(this.#peers.get(node), peer));
    if (set.length === 0) return;
    // A node with a new key: its old one still has the address.
    const remove = set.flatMap(([node, peer]) => {
      const before = this.#peers.get(node);
      return before && before.publicKey !== peer.publicKey ? [before.publicKey] : [];
    });
    const { dataplane } = this.#options;
    try {
      await dataplane.changePeers({ set: set.map(([, peer]) => peer), ...(remove.length > 0 ? { remove } : {}) });
      for (const [node, peer] of set) this.#peers.set(node, peer);
    } catch {
      // One that cannot be must not keep the others out: each by itself.
      for (const [node, peer] of set) {
        const before = this.#peers.get(node);
        const isOther = before !== undefined && before.publicKey !== peer.publicKey;
        const change = { set: [peer], ...(isOther ? { remove: [before.publicKey] } : {}) };
        if (await attempt(`peer ${node}`, () => dataplane.changePeers(change))) this.#peers.set(node, peer);
      }
    }
  }

  async #removePeers(peers: ReadonlyMap<NodeId, PeerSpec>, attempt: Attempt): Promise<void> {
    const gone = [...this.#peers].filter(([node]) => !peers.has(node));
    if (gone.length === 0) return;
    const kept = new Set([...peers.values()].map(({ publicKey }) => publicKey));
    const remove = gone.map(([, { publicKey }]) => publicKey).filter((key) => !kept.has(key));
    if (await attempt("peers", () => this.#options.dataplane.changePeers({ remove })))
      for (const [node] of gone) this.#peers.delete(node);
  }

  #tables(peers: ReadonlyMap<NodeId, PeerSpec>): ReturnType<typeof networkTables> {
    const { records, networks, dataplane, tunnelAddress, mtu, routesMax, bindingsMax } = this.#options;
    const macs = new Map<string, Set<string>>();
    for (const { network, mac } of dataplane.ports()) macs.set(network, (macs.get(network) ?? new Set()).add(mac));
    return networkTables({
      records,
      networks: this.#fitting(networks.list()),
      tunnelAddress,
      mtu,
      isPeer: (node) => peers.has(node) && this.#peers.has(node),
      localMacs: (network) => macs.get(network) ?? new Set(),
      routesMax,
      bindingsMax,
    });
  }

  /** All, or those that there is room for: any member makes networks, and the ones that are in use here come first. */
  #fitting(networks: readonly Network[]): Network[] {
    const { records, dataplane, networksMax, warn } = this.#options;
    const usable = networks.filter(({ localVni }) => localVni !== null);
    const room = networksMax();
    const isFull = usable.length > room;
    if (isFull && !this.#isFull) warn(`there is room for ${room} networks of the mesh here: no more are taken in`);
    this.#isFull = isFull;
    if (!isFull) return usable;
    const own = new Set([DEFAULT_NETWORK, ...dataplane.ports().map(({ network }) => network)]);
    // At a start there are no ports yet.
    for (const { node, value } of records.list("container")) if (node === records.self) own.add(value.network);
    const rank = ({ name }: Network): number => (own.has(name) ? 0 : this.#networks.has(name) ? 1 : 2);
    const inOrder = usable.sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1));
    return inOrder.slice(0, room);
  }

  /** A network with ports stays until they are gone: who detaches asks for another run. */
  async #removeNetworks(tables: ReadonlyMap<string, NetworkTables>, attempt: Attempt): Promise<void> {
    const { dataplane } = this.#options;
    const used = new Set(dataplane.ports().map(({ network }) => network));
    const gone = [...this.#networks.keys()].filter((name) => !tables.has(name));
    this.#waiting = gone.filter((name) => used.has(name));
    for (const name of gone) {
      if (used.has(name)) await attempt(`network ${name}`, () => this.#isolate(name));
      else if (await attempt(`network ${name}`, () => dataplane.removeNetwork(name))) this.#networks.delete(name);
    }
  }

  /** Takes a network that waits for its ports to go off all other hosts. */
  async #isolate(name: string): Promise<void> {
    const applied = this.#networks.get(name) as Applied;
    if (applied.spec.vteps?.length === 0) return;
    const spec: NetworkSpec = { ...applied.spec, vteps: [], encryption: "required" };
    await this.#options.dataplane.setNetwork(spec);
    await this.#options.dataplane.routes(name).replace([]);
    this.#networks.set(name, { ...applied, spec, wanted: "", routes: [] });
  }

  async #applyNetwork(name: string, tables: NetworkTables, attempt: Attempt): Promise<void> {
    const { dataplane } = this.#options;
    const wanted = JSON.stringify(tables.spec);
    let applied = this.#networks.get(name);
    if (applied?.wanted !== wanted) {
      const spec = await this.#setNetwork(tables, attempt);
      // With the rest, a VTEP that cannot be is tried again when something changes.
      applied = { spec, wanted, routes: applied?.routes ?? [], bindings: applied?.bindings ?? [] };
      this.#networks.set(name, applied);
    }
    if (!isEqual(applied.routes, tables.routes)) {
      await dataplane.routes(name).replace(tables.routes);
      applied.routes = tables.routes;
    }
    if (!isEqual(applied.bindings, tables.bindings)) {
      await dataplane.bindings(name).replace(tables.bindings);
      applied.bindings = tables.bindings;
    }
  }

  /** A kernel's VTEP may be one that this host cannot reach, of a family that it has no underlay of: then without those. */
  async #setNetwork({ spec, kernelVteps }: NetworkTables, attempt: Attempt): Promise<NetworkSpec> {
    const { dataplane } = this.#options;
    if (kernelVteps.length > 0) {
      const done = await attempt(`network ${spec.name}`, () => dataplane.setNetwork(spec));
      if (done) return spec;
      const own = { ...spec, vteps: (spec.vteps ?? []).filter((vtep) => !kernelVteps.includes(vtep)) };
      await dataplane.setNetwork({ ...own, encryption: "required" });
      return own;
    }
    await dataplane.setNetwork(spec);
    return spec;
  }
}

type Attempt = (what: string, act: () => Promise<void>) => Promise<boolean>;

function isEqual(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
