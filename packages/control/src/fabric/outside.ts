/**
 * What of this host's containers leads outside, and names: gateways where containers are, the host's own ports, published ports, DNS at
 * the gateways' addresses.
 */

import { parseAddress } from "../dataplane/address.js";
import type { DataplaneApi } from "../dataplane/types.js";
import { Forwarder, serversOf } from "../dns/forward.js";
import { DnsServer } from "../dns/server.js";
import type { Zone } from "../dns/zone.js";
import { messageOf, WeftError } from "../errors.js";
import { bare } from "../gateway/address.js";
import { type Exposure, Gateway, type GatewayProblem, hostPortId } from "../gateway/gateway.js";
import { namespacePath } from "../gateway/namespace.js";
import type { BlockedPort, Publication } from "../gateway/nft.js";
import type { Ipam } from "../ipam/ipam.js";
import type { Log } from "../log/log.js";
import { containerMac } from "../mac.js";
import type { ExposureInfo } from "../mesh-answers.js";
import type { Networks } from "../overlay/networks.js";
import type { Router } from "../router/router.js";
import { Runs } from "./runs.js";
import type { MeshStore } from "./state.js";

/**
 * Milliseconds between two runs that nobody waits for: each starts programs, and any member can bring them about as fast as it signs
 * records.
 */
const PACE_MS = 1000;
/** Milliseconds until what could not be made is tried again; messages name them. */
const AGAIN_MS = 10_000;

export interface OutsideOptions {
  readonly dataplane: DataplaneApi;
  readonly router: Router;
  readonly networks: Networks;
  readonly ipam: Ipam;
  readonly store: MeshStore;
  /** Path of the control socket: the gateways' namespace stands beside it. */
  readonly socket: string;
  readonly blocked: readonly BlockedPort[];
  /** The names as they are now. */
  readonly zone: () => Zone;
  readonly log: Log;
}

/** A gateway's address where names cannot be served. */
export interface Unnamed {
  readonly network: string;
  readonly address: string;
  readonly why: string;
}

export class Outside {
  readonly #options: OutsideOptions;
  readonly #gateway: Gateway;
  readonly dns: DnsServer;
  readonly #servers: ReturnType<typeof serversOf>;
  readonly #runs: Runs;
  /** Ids of this host's ports by network and address, as of the last run: all that have an address here bring one about. */
  #owners = new Map<string, string>();
  #again: NodeJS.Timeout | undefined;
  #isClosed = false;
  #unnamed: readonly Unnamed[] = [];

  private constructor(options: OutsideOptions, gateway: Gateway) {
    this.#options = options;
    this.#gateway = gateway;
    this.#servers = serversOf(
      "/etc/resolv.conf",
      () => new Set(this.#gateway.endpoints().map(({ address }) => address)),
    );
    this.dns = new DnsServer({
      zone: options.zone,
      forwarder: new Forwarder({ servers: this.#servers }),
      ownerOf: (network, address) => this.#owners.get(`${network} ${address}`),
    });
    this.#runs = new Runs({
      run: () => this.#tryToApply(),
      paceMs: PACE_MS,
      now: () => performance.now(),
      after: (ms, run) => {
        const timer = setTimeout(run, ms).unref();
        return () => clearTimeout(timer);
      },
    });
  }

  /** Removes what an earlier daemon has left. @throws WeftError when a program is missing that makes namespaces */
  static async open(options: OutsideOptions): Promise<Outside> {
    const { dataplane, router, log } = options;
    const gateway = await Gateway.open({
      path: namespacePath(options.socket),
      ports: {
        ports: () => dataplane.ports(),
        // The host's own ports outlive the daemon, gateways do not.
        attach: (spec) => (spec.role === "gateway" ? dataplane.attach(spec) : router.attach(spec)),
        detach: async (id) => {
          if (dataplane.ports().find((port) => port.id === id)?.role === "gateway") await dataplane.detach(id);
          else await router.detach(id);
        },
      },
      blocked: options.blocked,
      tell: (text) => log.info({ component: "gateway" }, text),
    });
    return new Outside(options, gateway);
  }

  /**
   * Makes gateways, exposures and published ports as they should be now: in a run that begins after this call, and that all share who
   * wait for one. What fails is tried again.
   */
  apply(): Promise<void> {
    return this.#runs.next();
  }

  /** The same within a second or so, once for all who ask: what other nodes bring about. */
  request(): void {
    this.#runs.soon();
  }

  async #tryToApply(): Promise<void> {
    clearTimeout(this.#again);
    try {
      await this.#apply();
    } catch (error) {
      if (this.#isClosed) return;
      this.#options.log.warn({ component: "gateway" }, `${messageOf(error)}; tried again in 10 s`);
      this.#applyLater();
    }
  }

  #applyLater(): void {
    clearTimeout(this.#again);
    if (!this.#isClosed) this.#again = setTimeout(() => void this.apply(), AGAIN_MS).unref();
  }

  /** What could not be made, as of the last time. */
  problems(): { readonly gateways: readonly GatewayProblem[]; readonly dns: readonly Unnamed[] } {
    return { gateways: this.#gateway.status().problems, dns: this.#unnamed };
  }

  /** The same, once, and a failure is the caller's. Only while nothing else runs. */
  async #apply(): Promise<void> {
    const { dataplane, networks, store } = this.#options;
    this.#noteOwners();
    const exposed = await this.#exposures();
    this.#refuseClosed();
    const used = new Set([
      ...dataplane
        .ports()
        .filter(({ role }) => role === "container")
        .map(({ network }) => network),
      ...store.state.exposed,
    ]);
    const wanted = networks.list().filter(({ name, localVni }) => used.has(name) && localVni !== null);
    await this.#gateway.apply({
      networks: wanted.map(({ name, value, localVni }) => ({
        name,
        vni: localVni ?? value.vni,
        cidr4: value.cidr4,
        cidr6: value.cidr6,
      })),
      exposed,
      published: this.#published(),
    });
    // The host's own ports are there now, too.
    this.#noteOwners();
    this.#refuseClosed();
    const { problems } = await this.dns.listen(this.#gateway.endpoints());
    this.#unnamed = [...problems].map(([where, error]) => {
      const [network = "", address = ""] = where.split(" ");
      return { network, address, why: error.message };
    });
    const { gateways } = this.problems();
    if (this.#unnamed.length > 0 || gateways.some(({ what }) => what !== "overlap")) this.#applyLater();
  }

  /** What is closed must not be made again by who has waited meanwhile. */
  #refuseClosed(): void {
    if (this.#isClosed) throw new WeftError("unavailable", "weft is stopping");
  }

  #noteOwners(): void {
    this.#owners = new Map(
      this.#options.dataplane.ports().flatMap(({ id, network, ip }) =>
        // In the kernel's form.
        ip.map((cidr) => [`${network} ${parseAddress(bare(cidr))?.text}`, id] as const),
      ),
    );
  }

  /** The host's own ports as they should be. */
  async #exposures(): Promise<Exposure[]> {
    const { networks, ipam, store } = this.#options;
    const exposed: Exposure[] = [];
    for (const network of store.state.exposed) {
      const value = networks.get(network)?.value;
      if (value === undefined) continue;
      const { ips, index } = await ipam.allocate(network, hostPortId(network));
      exposed.push({ network, ip: ips, mac: containerMac(value.vni, index) });
    }
    return exposed;
  }

  #published(): Publication[] {
    const { dataplane, store } = this.#options;
    return dataplane.ports().flatMap((port) =>
      (store.state.containers[port.id]?.published ?? []).map((published) => ({
        ...published,
        network: port.network,
        targets: port.ip.map(bare),
        isRouted: port.gateway.length > 0,
      })),
    );
  }

  /** @throws what keeps this one from being: nobody else's is begun meanwhile */
  expose(network: string): Promise<void> {
    const { store } = this.#options;
    return this.#runs.alone(async () => {
      const before = store.state.exposed;
      if (before.includes(network)) return;
      store.change({ exposed: [...before, network] });
      try {
        await this.#apply();
      } catch (error) {
        store.change({ exposed: before });
        await this.#tryToApply();
        throw error;
      }
    });
  }

  hide(network: string): Promise<void> {
    const { store, ipam } = this.#options;
    return this.#runs.alone(async () => {
      if (!store.state.exposed.includes(network)) return;
      store.change({ exposed: store.state.exposed.filter((one) => one !== network) });
      await this.#apply();
      ipam.release(hostPortId(network));
    });
  }

  info(): ExposureInfo {
    const { exposed, acceptedIn } = this.#gateway.status();
    const { dataplane, store } = this.#options;
    return {
      exposed: exposed.map(({ network, ifname, ip }) => ({ network, ifname, ips: ip.map(bare) })),
      published: dataplane
        .ports()
        .flatMap(({ id, network }) =>
          (store.state.containers[id]?.published ?? []).map((one) => ({ ...one, network, container: id })),
        ),
      foreignRules: acceptedIn.map((chain) => `accept rules of weft stand in chain ${chain}`),
    };
  }

  get listening(): string[] {
    return this.#gateway
      .endpoints()
      .map(({ address }) => (address.includes(":") ? `[${address}]:53` : `${address}:53`));
  }

  /** Where what is not ours is asked. */
  get upstream(): string[] {
    return this.#servers().map(({ address, port }) =>
      address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`,
    );
  }

  /** @param isParked the host keeps its own ports for the next start */
  async close(isParked: boolean): Promise<void> {
    this.#isClosed = true;
    this.#runs.close();
    clearTimeout(this.#again);
    await this.dns.close();
    await this.#gateway.close(isParked);
  }
}
