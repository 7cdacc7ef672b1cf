/**
 * The daemon's knowledge around the data plane: which networks the file owns and which the state directory keeps, the
 * records of attachments, and the order in which both change. All changes run one after another; each is on disk
 * before its caller hears of it.
 *
 * A network of the configuration file is as the file says at every start: what the API changes there lasts until the
 * daemon stops. Every other network, with its routes, is kept in the state directory.
 */
import { isDeepStrictEqual } from "node:util";
import type { ConfiguredNetwork } from "../config/config.js";
import type {
  DataplaneApi,
  DataplaneEvent,
  NetworkInfo,
  NetworkSpec,
  PeerSpec,
  PortInfo,
  PortRecord,
  Route,
} from "../dataplane/types.js";
import { WeftError } from "../errors.js";
import { errorFields, type Log } from "../log/log.js";
import { EMPTY_STATE, type KeptNetwork, type State, type StateStore } from "../state/store.js";
import { adopt, besideFile, refusals, restoreRoutes } from "./adopt.js";
import { adviseNetwork, sharedAddresses } from "./advice.js";
import {
  type AttachRequest,
  chooseNetwork,
  refuseTakenMac,
  refuseTakenVni,
  refuseUsed,
  sameAttachment,
} from "./choose.js";
import { Ledger } from "./ledger.js";
import { inNamespace, missingNamespace, namespaceOf, whyNamespaceGone } from "./namespace.js";
import { meanwhile } from "./peers.js";

export type { AttachRequest } from "./choose.js";

/** An attachment of an earlier run that could not be adopted; its device still stands in its namespace. */
export interface ParkedPort {
  readonly record: PortRecord;
  readonly why: string;
}

export interface RouterOptions {
  readonly dataplane: DataplaneApi;
  /** Absent: nothing is kept. */
  readonly store?: StateStore | undefined;
  /** Networks of the configuration file. */
  readonly networks: readonly ConfiguredNetwork[];
  /** What the last run has left, where `start` comes later: its networks are taken until then. */
  readonly state?: State | undefined;
  /** WireGuard peers of the configuration file, which the data plane has already; default none. */
  readonly peers?: readonly PeerSpec[] | undefined;
  /** VTEPs of networks that list none of their own. */
  readonly vteps: readonly string[];
  readonly log: Log;
  /** Deletes the device of an attachment that is not adopted. Throws ENODEV or ENOENT when it is gone. */
  readonly removeDevice: (record: PortRecord) => void;
  /** Milliseconds between two tries to write a state that could not be written, default 10 s. */
  readonly saveAgainMs?: number;
}

/** Ports that are taken over together: the workers take note of them in one go. Each holds some descriptors meanwhile. */
const ADOPTED_AT_ONCE = 32;

export class Router {
  readonly #dataplane: DataplaneApi;
  readonly #store: StateStore | undefined;
  readonly #ledger: Ledger;
  #fileNetworks: readonly ConfiguredNetwork[];
  /** Those that are in force. */
  #peers: readonly PeerSpec[];
  #arePeersUnsure = false;
  readonly #vteps: readonly string[];
  readonly #log: Log;
  readonly #removeDevice: (record: PortRecord) => void;
  /** Specs of the networks that the state directory keeps. */
  readonly #kept = new Map<string, NetworkSpec>();
  #parked: ParkedPort[] = [];
  #queue: Promise<unknown> = Promise.resolve();
  #stopped: boolean = false;

  constructor(options: RouterOptions) {
    this.#dataplane = options.dataplane;
    this.#store = options.store;
    this.#fileNetworks = options.networks;
    this.#peers = options.peers ?? [];
    this.#vteps = options.vteps;
    this.#log = options.log;
    this.#removeDevice = options.removeDevice;
    for (const { spec } of options.state?.networks ?? []) this.#kept.set(spec.name, spec);
    const { store, log, saveAgainMs: againMs } = options;
    this.#ledger = new Ledger({
      store,
      state: () => this.#state(),
      log,
      between: (write) => this.#between(write),
      againMs,
    });
  }

  get dataplane(): DataplaneApi {
    return this.#dataplane;
  }
  /** Networks that only this host has: of the configuration file, and of the state directory, those of the last run included. */
  get ownNetworks(): readonly NetworkSpec[] {
    return [...this.#fileNetworks.map(({ spec }) => spec), ...this.#kept.values()];
  }
  get parked(): readonly ParkedPort[] {
    return this.#parked;
  }
  /** Networks of the file and of the state, then the ports of the last run. */
  start(state: State = EMPTY_STATE): Promise<void> {
    return this.#serial(async () => {
      const problems: string[] = [];
      for (const network of this.#fileNetworks)
        problems.push(...(await refusals(`network ${network.spec.name}`, () => this.#setFileNetwork(network))));
      const { kept, renamed } = besideFile(state.networks, this.#fileNetworks, this.#log);
      for (const name of renamed.keys()) this.#kept.delete(name);
      // A network made by `attach --vni` lists no VTEPs: it follows the flags of each start.
      for (const { spec } of kept) {
        const what = `network ${spec.name} (of the state directory; the configuration file may have it instead)`;
        problems.push(...(await refusals(what, () => this.#setKept(spec))));
      }
      if (problems.length > 0) throw new WeftError("bad_config", "the networks cannot be used", problems);
      const records = state.ports.map((r) => ({ ...r, network: renamed.get(r.network) ?? r.network }));
      for (let first = 0; first < records.length; first += ADOPTED_AT_ONCE)
        await this.#adopt(records.slice(first, first + ADOPTED_AT_ONCE));
      // Routes may name ports, so they come last.
      for (const { spec, routes } of kept) await restoreRoutes(spec.name, routes, this.#dataplane, this.#log);
      this.#dataplane.on("event", this.#onEvent);
      this.#ledger.loaded(state);
      this.#ledger.saveOrLater();
    });
  }

  /** @returns the port once frames flow and its record is on disk. */
  attach(request: AttachRequest): Promise<PortInfo> {
    return this.#change(async () => {
      const { network: _, vni: __, ...wanted } = request;
      const spec = typeof wanted.netns === "string" ? { ...wanted, netns: namespaceOf(wanted.netns) } : wanted;
      const parked = this.#parked.find((p) => p.record.id === request.id);
      if (parked) {
        const { id } = parked.record;
        throw new WeftError("conflict", `port ${id} is parked (${parked.why}): detach it first, or give another --id`);
      }
      if (request.id !== undefined && this.isOrphaned(request.id)) await this.#detach(request.id);
      const same = sameAttachment(request, this.#dataplane);
      if (same) return same;
      const { network, made } = await this.#networkFor(request);
      refuseTakenMac(request.mac, network, this.#dataplane.ports());
      try {
        const beforePersist = (record: PortRecord): void => this.#ledger.announce(record);
        const port = await this.#dataplane.attach({ ...spec, network, beforePersist });
        this.#log.info(
          { component: "ports", port: port.id, network, netns: port.netns ?? undefined, mac: port.mac },
          "attached",
        );
        for (const shared of sharedAddresses(port, this.#dataplane.ports()))
          this.#log.warn({ component: "ports", port: port.id, network }, `address twice in the network: ${shared}`);
        return port;
      } catch (error) {
        if (made) {
          this.#kept.delete(network);
          await this.#dataplane.removeNetwork(network);
        }
        this.#ledger.saveOrLater();
        throw missingNamespace(error, spec.netns) ?? error;
      }
    });
  }

  /** Whether the namespace of a port has gone, or another has its name, and the data plane is about to notice. */
  isOrphaned(id: string): boolean {
    const record = this.#dataplane.records().find((one) => one.id === id);
    return record !== undefined && whyNamespaceGone(record) !== undefined;
  }

  /** Ends one attachment, adopted or parked. @returns whether there was one. */
  detach(id: string): Promise<boolean> {
    return this.#change(async () => {
      const was = await this.#detach(id);
      if (was) this.#ledger.save(`port ${id} is detached`);
      return was;
    });
  }

  /** Ends every attachment of a namespace. @returns the ids there were. */
  detachNamespace(target: string): Promise<string[]> {
    return this.#change(async () => {
      const records = [...this.#dataplane.records(), ...this.#parked.map((p) => p.record)];
      const ids = records.filter(inNamespace(target)).map((r) => r.id);
      for (const one of ids) await this.#detach(one);
      if (ids.length > 0) this.#ledger.save(`detached: ${ids.join(", ")}`);
      return ids;
    });
  }

  /** Creates or changes a network. */
  putNetwork(spec: NetworkSpec): Promise<void> {
    return this.#change(async () => {
      const owner = this.#dataplane.networks().find((n) => n.vni === spec.vni && n.name !== spec.name);
      if (owner) throw new WeftError("conflict", `network ${owner.name} has vni ${spec.vni}: give another`);
      if (this.#fileNetworks.some((n) => n.spec.name === spec.name)) {
        await this.#setNetwork(spec);
        this.#log.warn(
          { component: "networks", network: spec.name },
          "changed until the daemon stops: the configuration file has this network",
        );
      } else {
        await this.#setKept(spec);
      }
      await this.#adoptWaiting(spec.name);
      if (this.#kept.has(spec.name)) this.#ledger.save(`network ${spec.name} is set`);
    });
  }

  /**
   * Puts the networks and peers of a configuration file that was read again in place of those of the last reading. A
   * network that is no longer in it goes when it has no ports. When one cannot be set, all are as before. Peers come
   * before the networks change and go afterwards: no network is without a peer that it needs.
   *
   * @throws what the data plane refuses; also WeftError conflict for a VNI that a network outside the file has.
   */
  reload(
    networks: readonly ConfiguredNetwork[],
    peers: readonly PeerSpec[] = this.#peers,
  ): Promise<{ set: number; removed: string[]; left: string[] }> {
    return this.#change(async () => {
      const before = this.#fileNetworks;
      const peersBefore = this.#peers;
      for (const { spec } of networks) refuseTakenVni(spec, [...this.#kept.values()]);
      const gone = before.map((n) => n.spec.name).filter((name) => !networks.some((n) => n.spec.name === name));
      const empty = gone.filter((name) => this.#dataplane.networks().find((n) => n.name === name)?.ports === 0);
      try {
        await this.#setPeers(meanwhile(peersBefore, peers));
        // First, so that another network may have their VNIs.
        for (const name of empty) await this.#dataplane.removeNetwork(name);
        for (const network of networks) await this.#setFileNetwork(network);
        await this.#setPeers(peers);
      } catch (error) {
        for (const { spec } of networks)
          if (!before.some((n) => n.spec.name === spec.name) && !this.#kept.has(spec.name))
            await this.#dataplane.removeNetwork(spec.name);
        for (const network of before) await this.#setFileNetwork(network);
        await this.#setPeers(peersBefore);
        throw error;
      }
      this.#fileNetworks = networks;
      const taken = networks.filter(({ spec }) => this.#kept.delete(spec.name));
      const left = gone.filter((name) => !empty.includes(name));
      for (const name of left) {
        const why = "it has ports; detach them and reload again, or it goes with the next start";
        this.#log.warn(
          { component: "networks", network: name },
          `no longer in the configuration file, but kept: ${why}`,
        );
      }
      if (taken.length > 0) this.#ledger.saveOrLater();
      for (const { spec } of networks) await this.#adoptWaiting(spec.name);
      return { set: networks.length, removed: empty, left };
    });
  }

  /** Ports that waited for a network to come back. */
  async #adoptWaiting(network: string): Promise<void> {
    const waiting = this.#parked.filter((p) => p.record.network === network).map((p) => p.record);
    if (waiting.length === 0) return;
    this.#parked = this.#parked.filter((p) => p.record.network !== network);
    await this.#adopt(waiting);
    this.#ledger.saveOrLater();
  }

  /** @returns whether there was such a network. */
  removeNetwork(name: string): Promise<boolean> {
    return this.#change(async () => {
      if (!this.#dataplane.networks().some((n) => n.name === name)) return false;
      refuseUsed(name, this.#dataplane.ports());
      await this.#dataplane.removeNetwork(name);
      if (this.#kept.delete(name)) this.#ledger.save(`network ${name} is removed`);
      return true;
    });
  }

  /** Puts the whole route table of a network. */
  putRoutes(network: string, routes: readonly Route[]): Promise<void> {
    return this.#change(async () => {
      await this.#dataplane.routes(network).replace(routes);
      if (this.#kept.has(network)) this.#ledger.save("the routes are in force");
    });
  }

  /** Stops forwarding; containers keep their devices for the next run. */
  park(): Promise<void> {
    return this.#serial(async () => {
      if (this.#stopped) return;
      this.#stopped = true;
      this.#dataplane.off("event", this.#onEvent);
      this.#ledger.close();
      await this.#dataplane.park();
    });
  }

  /** Ends every attachment and forgets everything. */
  down(): Promise<void> {
    return this.#serial(async () => {
      if (this.#stopped) return;
      this.#stopped = true;
      this.#dataplane.off("event", this.#onEvent);
      this.#ledger.close();
      for (const { record } of this.#parked) this.#removeParkedDevice(record);
      this.#parked = [];
      await this.#dataplane.close();
      this.#store?.clear();
    });
  }

  /** One change after the other, none once the end has begun. */
  #change<T>(change: () => Promise<T>): Promise<T> {
    return this.#serial(() => {
      if (this.#stopped) throw new WeftError("unavailable", "weft is stopping");
      return change();
    });
  }

  #serial<T>(change: () => Promise<T>): Promise<T> {
    const run = this.#queue.then(change);
    this.#queue = run.catch(() => undefined);
    return run;
  }

  #between(run: () => void): void {
    void this.#serial(async () => {
      if (!this.#stopped) run();
    }).catch((error: unknown) =>
      this.#log.error({ component: "state", ...errorFields(this.#log, error) }, "the state is not written"),
    );
  }

  readonly #onEvent = (event: DataplaneEvent): void => {
    if (event.type === "portMoved") {
      this.#log.info(
        { component: "ports", port: event.id, network: event.network },
        `its device is ${event.ifname} now`,
      );
      this.#between(() => this.#ledger.saveOrLater());
      return;
    }
    if (event.type !== "portGone") return;
    this.#log.warn({ component: "ports", port: event.id, network: event.network }, `detached: ${event.why}`);
    // The data plane has forgotten it. Its id may be another port's by the time this comes to its turn.
    this.#between(() => this.#ledger.saveOrLater());
  };

  async #adopt(records: readonly PortRecord[]): Promise<void> {
    const whys = await Promise.all(records.map((record) => adopt(record, this.#dataplane, this.#log)));
    for (const [i, record] of records.entries()) {
      const why = whys[i];
      if (why !== undefined) this.#parked.push({ record, why });
    }
  }

  async #detach(id: string): Promise<boolean> {
    const parked = this.#parked.find((p) => p.record.id === id);
    const live = this.#dataplane.ports().some((p) => p.id === id);
    if (!parked && !live) return false;
    if (parked) {
      this.#removeParkedDevice(parked.record);
      this.#parked = this.#parked.filter((p) => p !== parked);
    }
    if (live) await this.#dataplane.detach(id);
    this.#log.info({ component: "ports", port: id }, "detached");
    return true;
  }

  #removeParkedDevice(record: PortRecord): void {
    try {
      if (!whyNamespaceGone(record)) this.#removeDevice(record);
    } catch (error) {
      const { code } = errorFields(this.#log, error);
      if (code === "ENODEV" || code === "ENOENT") return;
      this.#log.error(
        { component: "ports", port: record.id, ...errorFields(this.#log, error) },
        `the device ${record.ifname} was not removed`,
      );
    }
  }

  async #networkFor(request: AttachRequest): Promise<{ network: string; made: boolean }> {
    const chosen = chooseNetwork(request, this.#dataplane.networks());
    if (chosen !== undefined) return { network: chosen, made: false };
    const spec: NetworkSpec = { name: `vni-${request.vni}`, vni: request.vni as number };
    await this.#setKept(spec);
    this.#log.info({ component: "networks", network: spec.name, vteps: this.#vteps }, "network made");
    return { network: spec.name, made: true };
  }

  /** A network that lists no VTEPs has those of the flags. */
  async #setNetwork(spec: NetworkSpec): Promise<void> {
    const full = { ...spec, vteps: spec.vteps ?? this.#vteps };
    await this.#dataplane.setNetwork(full);
    const network = this.#networkInfo(spec.name);
    if (network) adviseNetwork(full, network, this.#dataplane, this.#log);
  }

  /** A network of the state directory. It stays as encrypted as it is now, whatever the next start has as default. */
  async #setKept(spec: NetworkSpec): Promise<void> {
    await this.#setNetwork(spec);
    const encryption = this.#networkInfo(spec.name)?.encryption;
    this.#kept.set(spec.name, encryption === undefined ? spec : { ...spec, encryption });
  }

  async #setPeers(peers: readonly PeerSpec[]): Promise<void> {
    if (!this.#arePeersUnsure && isDeepStrictEqual(peers, this.#peers)) return;
    // A list may be in force although a route for it could not be made.
    this.#arePeersUnsure = true;
    await this.#dataplane.setPeers(peers);
    this.#arePeersUnsure = false;
    this.#peers = peers;
  }

  async #setFileNetwork({ spec, routes }: ConfiguredNetwork): Promise<void> {
    await this.#setNetwork(spec);
    const table = this.#dataplane.routes(spec.name);
    if (routes.length > 0 || table.list().length > 0) await table.replace(routes);
  }

  #networkInfo(name: string): NetworkInfo | undefined {
    return this.#dataplane.networks().find((n) => n.name === name);
  }

  #state(): State {
    const networks: KeptNetwork[] = [...this.#kept.values()].map((spec) => ({
      spec,
      // Whoever took it out of the data plane has not asked here.
      routes: this.#networkInfo(spec.name) ? this.#dataplane.routes(spec.name).list() : [],
    }));
    // Gateways are made anew at every start.
    const ports = this.#dataplane.records().filter(({ role }) => role !== "gateway");
    return { networks, ports: [...ports, ...this.#parked.map((p) => p.record)] };
  }
}
