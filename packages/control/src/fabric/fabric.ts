/**
 * The mesh of this host, put together: membership, paths, networks, addresses, containers, gateways and names around one data plane.
 *
 * Everything that others have to know goes through records; everything that the data plane has to do is computed from them
 * (overlay/reconciler.ts), so it makes no difference whether news comes from here, from another host or from the disk.
 */
import type { MeshConfig } from "../config/mesh.js";
import type { DataplaneApi, DataplaneEvent } from "../dataplane/types.js";
import { DOMAIN, Zone, type ZoneContainer, type ZoneEntry } from "../dns/zone.js";
import { WeftError } from "../errors.js";
import type { BlockedPort } from "../gateway/nft.js";
import { HostPorts } from "../gateway/publish.js";
import { Ipam } from "../ipam/ipam.js";
import { Rings } from "../ipam/rings.js";
import { errorFields, type Log } from "../log/log.js";
import type { NodeId, Records } from "../mesh/types.js";
import type { MeshProblem } from "../mesh-answers.js";
import { DEFAULT_NETWORK, type Network, Networks } from "../overlay/networks.js";
import { Reconciler } from "../overlay/reconciler.js";
import { writable } from "../paths/endpoints.js";
import { meshMtu } from "../paths/mtu.js";
import { Paths } from "../paths/paths.js";
import type { Router } from "../router/router.js";
import { Attachments } from "./attachments.js";
import { Convergence } from "./convergence.js";
import type { Membership } from "./membership.js";
import { nameOf } from "./membership.js";
import { Outside } from "./outside.js";
import { ProblemLog, problemsOf } from "./problems.js";
import type { MeshStore } from "./state.js";

/** UDP port of echoes inside the tunnel. */
export const PROBE_PORT = 6783;
const TICK_MS = 100;
/** Ticks between two looks for what the log should say is wrong. */
const PROBLEMS_EVERY = 50;
/** Records that names are answered from; the zone is large, and made anew when they change. */
const NAMING = ["container", "dns", "network", "member", "removed"] as const;

export interface FabricOptions {
  readonly config: MeshConfig;
  readonly membership: Membership;
  readonly dataplane: DataplaneApi;
  readonly router: Router;
  readonly store: MeshStore;
  readonly socket: string;
  readonly blocked: readonly BlockedPort[];
  readonly routesMax: number;
  readonly networksMax: number;
  readonly log: Log;
  /** The daemon ends. */
  readonly ended: (why: Ended) => void;
}

/** Why a node is no longer in its network. */
export type Ended =
  | { readonly why: "left" }
  | { readonly why: "removed"; readonly error: Error }
  /** Another machine has our identity. */
  | { readonly why: "failed"; readonly error: Error };

export class Fabric {
  readonly options: FabricOptions;
  readonly networks: Networks;
  readonly ipam: Ipam;
  readonly rings: Rings;
  readonly paths: Paths;
  readonly reconciler: Reconciler;
  readonly convergence = new Convergence();
  readonly #timer: NodeJS.Timeout;
  readonly #off: (() => void)[] = [];
  #outside: Outside | undefined;
  #attachments: Attachments | undefined;
  readonly #problemLog: ProblemLog;
  #ticks = 0;
  #zone: Zone | undefined;
  #zoneSerial = 0;
  #closing: Promise<void> | undefined;

  constructor(options: FabricOptions) {
    this.options = options;
    const { membership, dataplane, router, store, log } = options;
    const { records, mesh } = membership;
    const warn = (component: string) => (sentence: string) => log.warn({ component }, sentence);
    const after = (ms: number, run: () => void): (() => void) => {
      const timer = setTimeout(() => {
        try {
          run();
        } catch (error) {
          log.error({ component: "mesh", ...errorFields(log, error) }, "part of the mesh failed");
        }
      }, ms).unref();
      return () => clearTimeout(timer);
    };
    this.networks = new Networks(
      records,
      () => ({
        prefixes: dataplane.info.underlay.map(({ address, family }) => `${address}/${family === 4 ? 32 : 128}`),
        names: new Set(router.ownNetworks.map(({ name }) => name)),
        vnis: new Set(router.ownNetworks.map(({ vni }) => vni)),
      }),
      () => Date.now(),
    );
    const source = {
      get: (name: string) => this.networks.get(name)?.value,
      names: () => this.networks.list().map(({ name }) => name),
    };
    this.rings = new Rings(records, source);
    this.ipam = new Ipam({
      records,
      networks: source,
      store: { load: () => store.state.allocations, save: (allocations) => store.change({ allocations }) },
      now: () => Date.now(),
      nowMs: () => performance.now(),
      after,
      random: () => Math.random(),
      nameOf: (node) => nameOf(records, node),
      warn: warn("ipam"),
    });
    this.paths = new Paths({
      dataplane,
      records,
      nowMs: () => performance.now(),
      epochMs: Date.now(),
      random: () => Math.random(),
      publish: (data) => mesh.setDataLinks(data),
      heard: (node) => mesh.heard(node),
      outside: (endpoints) => membership.seenAt(endpoints),
    });
    this.reconciler = new Reconciler({
      records,
      networks: this.networks,
      dataplane,
      tunnelAddress: (node) => membership.tunnelAddressOf(node),
      writable: (endpoints) => writable(endpoints, dataplane.info.underlay),
      mtu: () => this.mtu,
      routesMax: options.routesMax,
      bindingsMax: options.routesMax,
      networksMax: () => options.networksMax - router.ownNetworks.length,
      now: () => performance.now(),
      after,
      warn: warn("overlay"),
    });
    const fields = ({ kind, network }: MeshProblem) => ({
      ...{ component: "mesh", problem: kind },
      ...(network === null ? {} : { network }),
    });
    this.#problemLog = new ProblemLog(
      (problem) => log.warn(fields(problem), problem.text),
      (problem) => log.info(fields(problem), `no longer: ${problem.text}`),
    );
    this.#timer = setInterval(() => this.#tick(), TICK_MS).unref();
    this.#off.push(
      records.on((event) => {
        if (event.type !== "records" || NAMING.some((kind) => event.kinds.has(kind))) this.#zone = undefined;
        if (event.type === "expelled") this.options.ended(endBy(event.by, records));
        else if (event.type === "alive") {
          log.info(
            { component: "mesh", node: nameOf(records, event.node) },
            event.isAlive ? "node is there" : "node cannot be reached",
          );
        } else if (event.kinds.has("network") || event.kinds.has("removed")) {
          this.rings.changed();
          this.#outside?.request();
        } else if (event.kinds.has("grant")) this.rings.changed();
      }),
    );
    mesh.stats.onConverged = (ms) => this.convergence.observe(ms);
    mesh.onCloned(() => {
      const what = "another machine runs with this node's identity: its state directory was copied";
      this.options.ended({ why: "failed", error: new WeftError("conflict", what) });
    });
    dataplane.on("event", this.#onEvent);
    this.#off.push(() => dataplane.off("event", this.#onEvent));
  }

  /** Octets of the longest packet in networks that leave it open: room for one relay, whichever underlay. */
  get mtu(): number {
    return Math.min(...this.options.dataplane.info.underlay.map(({ mtu, family }) => meshMtu(mtu, family)));
  }

  /** Before the router adopts ports: networks are there when this resolves. */
  async start(): Promise<void> {
    const { records } = this.options.membership;
    // Not only by the first start: that may have been broken off before.
    if (records.self === records.founder && records.members().length === 1) {
      const { cidr } = this.options.config;
      const six = cidr?.find((one) => one.includes(":"));
      const four = cidr?.find((one) => !one.includes(":"));
      this.networks.createDefault(cidr === undefined ? {} : { cidr4: four ?? null, cidr6: six ?? null });
    }
    this.reconciler.request();
    await this.reconciler.settled();
  }

  /** After the router has adopted ports: gateways and names. */
  async open(): Promise<void> {
    const { membership, dataplane, router, store, log } = this.options;
    const { records } = membership;
    const { networks, ipam } = this;
    const outside = await Outside.open({
      ...{ dataplane, router, networks, ipam, store, log },
      socket: this.options.socket,
      blocked: this.options.blocked,
      zone: () => this.#zoneNow(),
    });
    this.#outside = outside;
    const hostPorts = new HostPorts({
      taken: () => Object.values(store.state.containers).flatMap(({ published }) => published),
      remembered: {
        entries: () => Object.entries(store.state.hostPorts),
        set: (name, port) => store.rememberHostPort(name, port),
      },
    });
    this.#attachments = new Attachments({
      ...{ router, dataplane, records, networks, ipam, hostPorts, store },
      settled: () => this.reconciler.settled(),
      changed: async () => {
        this.reconciler.request();
        await outside.apply();
      },
      fullNames,
    });
    await this.#attachments.adopted();
    await outside.apply();
    // Heard before anybody listened here.
    for (const { id, value } of records.list("removed"))
      if (id === records.self) this.options.ended(endBy(value.by, records));
  }

  /** Made anew when somebody asks and records have changed since. */
  #zoneNow(): Zone {
    const { records } = this.options.membership;
    this.#zone ??= new Zone(
      {
        networks: this.networks
          .list()
          .filter(({ localVni }) => localVni !== null)
          .map(({ name, value }) => ({ name, cidr4: value.cidr4, cidr6: value.cidr6 })),
        containers: liveContainers(records),
        entries: liveEntries(records),
      },
      ++this.#zoneSerial,
      (n) => Math.floor(Math.random() * n),
    );
    return this.#zone;
  }

  /** What is wrong now and does not right itself. */
  problems(): MeshProblem[] {
    const { gateways = [], dns = [] } = this.#outside?.problems() ?? {};
    const { networks, ipam, reconciler } = this;
    return problemsOf({ networks: networks.list(), gateways, dns, ipam: ipam.info(), overlay: reconciler.info() });
  }

  get outside(): Outside {
    if (!this.#outside) throw new WeftError("unavailable", "weft is starting");
    return this.#outside;
  }
  get attachments(): Attachments {
    if (!this.#attachments) throw new WeftError("unavailable", "weft is starting");
    return this.#attachments;
  }

  /** By name; the default network when none is said. @throws WeftError not_found */
  network(name: string = DEFAULT_NETWORK): Network {
    const network = this.networks.get(name);
    if (network) return network;
    const known = this.networks.list().map((one) => one.name);
    throw new WeftError("not_found", `there is no network ${name} (known: ${known.join(", ") || "none"})`);
  }

  /** Ends what stands outside of the data plane, before that is parked or closed. Again: waits for the first. */
  close(isParked: boolean): Promise<void> {
    this.#closing ??= this.#close(isParked);
    return this.#closing;
  }
  async #close(isParked: boolean): Promise<void> {
    clearInterval(this.#timer);
    for (const off of this.#off) off();
    this.#attachments?.close();
    await this.#outside?.close(isParked);
    this.ipam.close();
    this.paths.close();
    await this.reconciler.close();
    this.networks.close();
    await this.options.membership.close();
  }

  #tick(): void {
    try {
      this.paths.tick();
      if (++this.#ticks % PROBLEMS_EVERY === 0) this.#problemLog.look(this.problems());
    } catch (error) {
      this.options.log.error({ component: "mesh", ...errorFields(this.options.log, error) }, "part of the mesh failed");
    }
  }

  readonly #onEvent = (event: DataplaneEvent): void => {
    if (event.type !== "portGone") return;
    this.#attachments?.gone(event.id).catch((error: unknown) => {
      const { log } = this.options;
      log.error(
        { component: "ports", port: event.id, ...errorFields(log, error) },
        "its address and names are not withdrawn",
      );
    });
  };
}

function endBy(by: NodeId, records: Records): Ended {
  // What others say of us is no decision of ours.
  if (records.get(records.self, "removed", records.self)) return { why: "left" };
  const error = new WeftError("conflict", `this host was removed from its network by ${nameOf(records, by)}`);
  return { why: "removed", error };
}

/** Those whose names are answered. */
function* liveContainers(records: Records): Generator<ZoneContainer> {
  for (const { node, value } of records.list("container")) {
    if (!records.isAlive(node)) continue;
    const names = [...(value.name === null ? [] : [value.name]), ...value.dns];
    yield { network: value.network, names, ips: value.ips };
  }
}

/** Names that were added by hand, on live nodes. */
function* liveEntries(records: Records): Generator<ZoneEntry> {
  for (const { node, id, value } of records.list("dns")) {
    if (!records.isAlive(node)) continue;
    const [name = "", network = null] = id.split("@");
    yield { name, network, ips: value.ips, srv: value.srv };
  }
}

/** `NAME.NETWORK.weft.local` for each. */
export function fullNames(names: readonly string[], network: string): string[] {
  return names.map((name) => `${name}.${network}.${DOMAIN}`);
}
