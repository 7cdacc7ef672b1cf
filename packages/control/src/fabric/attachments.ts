/**
 * Ports of the mesh: the router's attachments with addresses from IPAM, names, published ports, and a record that all nodes see.
 *
 * Order of an attachment: the address is on disk, then the port, then its name; a crash in between leaves an address that the next
 * start gives back, or a port without a name.
 */
import { randomBytes } from "node:crypto";
import type { DataplaneApi, PortInfo } from "../dataplane/types.js";
import { WeftError } from "../errors.js";
import { bare, gatewaysWithin } from "../gateway/address.js";
import { hostPortId } from "../gateway/gateway.js";
import type { HostPorts } from "../gateway/publish.js";
import type { Ipam } from "../ipam/ipam.js";
import { AddressPlan } from "../ipam/prefix.js";
import { containerMac } from "../mac.js";
import type { Records } from "../mesh/types.js";
import { type OwnContainer, publishContainers } from "../overlay/containers.js";
import { DEFAULT_NETWORK, type Network, type Networks } from "../overlay/networks.js";
import type { MeshAttachRequest, MeshPort } from "../router/mesh-control.js";
import type { Router } from "../router/router.js";
import type { KeptContainer, MeshStore } from "./state.js";

/** Milliseconds between two tries to write what a full disk has refused. */
const AGAIN_MS = 10_000;

export interface AttachmentsOptions {
  readonly router: Router;
  readonly dataplane: DataplaneApi;
  readonly records: Records;
  readonly networks: Networks;
  readonly ipam: Ipam;
  readonly hostPorts: HostPorts;
  readonly store: MeshStore;
  /** Resolves when the data plane has what the records say. */
  readonly settled: () => Promise<void>;
  /** Ports, names or published ports have changed. */
  readonly changed: () => Promise<void>;
  /** Full names that lead to a container. */
  readonly fullNames: (names: readonly string[], network: string) => string[];
}

export class Attachments {
  readonly #options: AttachmentsOptions;
  /** By port id: the last of what is under way. */
  readonly #turns = new Map<string, Promise<unknown>>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: AttachmentsOptions) {
    this.#options = options;
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  /** @throws as Router.attach, and as Ipam.allocate */
  async attach(request: MeshAttachRequest): Promise<MeshPort> {
    const { router, settled } = this.#options;
    const { ipam: _, name, dnsNames = [], publish = [], ...given } = request;
    const own = this.#networkOf(given);
    if (!own) {
      if (name !== undefined || dnsNames.length > 0 || publish.length > 0)
        throw new WeftError("invalid_input", "names and published ports: only in networks of the mesh");
      return this.#meshPort(await router.attach(given));
    }
    await settled();
    const id = given.id ?? randomBytes(6).toString("hex");
    return this.#inTurn(id, () => this.#attach(own, id, request));
  }

  /** The network of the mesh that is meant; undefined: one that only this host has. @throws WeftError not_found */
  #networkOf({ network, vni }: Pick<MeshAttachRequest, "network" | "vni">): Network | undefined {
    const { networks, dataplane } = this.#options;
    const name = network ?? (vni === undefined ? DEFAULT_NETWORK : undefined);
    const own = name === undefined ? networks.list().find(({ localVni }) => localVni === vni) : networks.get(name);
    const here = dataplane.networks();
    if (own || here.some((one) => (name === undefined ? one.vni === vni : one.name === name))) return own;
    const known = here.map((one) => `${one.name}, VNI ${one.vni}`).join("; ") || "none";
    throw new WeftError(
      "not_found",
      `there is no network ${name ?? `with VNI ${vni}`} (known: ${known}): \`weft network create\` makes one`,
    );
  }

  async #attach(own: Network, id: string, request: MeshAttachRequest): Promise<MeshPort> {
    const { router, ipam } = this.#options;
    const { ipam: wantsAddress = true, name, dnsNames = [], publish = [], ...given } = request;
    // A container that was started again, before the data plane has noticed that the old one is gone.
    if (router.isOrphaned(id)) await this.#detach(id);
    const present = this.#port(id);
    if (present) return this.#repeated({ ...given, id, network: own.name }, present);
    const isConfigured = given.configure !== false;
    const { ip, mac } = isConfigured && wantsAddress ? await this.#addresses(own, id, given) : given;
    try {
      const gateway = given.gateway ?? (isConfigured ? gatewaysWithin(own.value, ip ?? []) : undefined);
      const port = await router.attach({
        ...given,
        id,
        network: own.name,
        ...(ip === undefined ? {} : { ip }),
        ...(mac === undefined ? {} : { mac }),
        ...(gateway === undefined ? {} : { gateway }),
      });
      await this.#keep(port, { name: name ?? null, dns: dnsNames, publish, key: request.id ?? name ?? id });
      return this.#meshPort(port);
    } catch (error) {
      if (!this.#port(id)) ipam.release(id);
      throw error;
    }
  }

  detach(id: string): Promise<boolean> {
    return this.#inTurn(id, () => this.#detach(id));
  }
  async #detach(id: string): Promise<boolean> {
    const { router, store } = this.#options;
    const was = await router.detach(id);
    // What an earlier try could not take back, too.
    if (was || (Object.hasOwn(store.state.containers, id) && !this.#port(id))) await this.#forget(id);
    return was;
  }
  async detachNamespace(target: string): Promise<string[]> {
    const ids = await this.#options.router.detachNamespace(target);
    await Promise.all(ids.map((id) => this.gone(id)));
    return ids;
  }

  /** A port is no more, by itself or with its namespace: what it had here is withdrawn, everywhere. */
  gone(id: string): Promise<void> {
    return this.#inTurn(id, () => this.#forget(id));
  }

  /** After the ports of an earlier run were adopted: what belongs to others is given back. */
  async adopted(): Promise<void> {
    const keys = this.#keys();
    this.#options.ipam.retain(keys);
    this.#drop((id) => !keys.has(id));
    this.publish();
  }

  /** What has addresses here. */
  #keys(): Set<string> {
    const { dataplane, router, store } = this.#options;
    const keys = new Set([...dataplane.ports().map(({ id }) => id), ...router.parked.map(({ record }) => record.id)]);
    for (const network of store.state.exposed) keys.add(hostPortId(network));
    return keys;
  }

  /** What is done to one port is done one after the other: an address that a detachment gives back is not one that an attachment takes. */
  async #inTurn<T>(id: string, step: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(id);
    const turn = (before ?? Promise.resolve()).then(step, step);
    this.#turns.set(id, turn);
    try {
      return await turn;
    } finally {
      if (this.#turns.get(id) === turn) this.#turns.delete(id);
    }
  }

  /** Makes our container records those of the ports that there are. */
  publish(): void {
    const { dataplane, records, networks } = this.#options;
    const own: OwnContainer[] = dataplane.ports().flatMap((port) => {
      if (port.role === "gateway" || port.state === "gone" || !networks.get(port.network)) return [];
      const { name, dns, published, since } = this.#kept(port.id);
      const { id, network, ifname, mac } = port;
      const role = id === hostPortId(network) ? ("host" as const) : ("container" as const);
      const ips = port.ip.map(bare);
      return [{ port: id, name, network, ifname, mac, ips, dns: [...dns], role, published: [...published], since }];
    });
    publishContainers(records, own);
  }

  /** A port with what the mesh knows of it. */
  #meshPort(port: PortInfo): MeshPort {
    const { name, dns, published } = this.#kept(port.id);
    const names = [...(name === null ? [] : [name]), ...dns];
    return { ...port, name, dns: this.#options.fullNames(names, port.network), published };
  }

  async #repeated(given: MeshAttachRequest & { readonly id: string }, present: PortInfo): Promise<MeshPort> {
    const { ip, gateway, mac = present.mac } = given;
    const isSame = given.configure === false;
    // With the MAC that belongs to its addresses, should the port go before its turn comes, and be made anew.
    const filled = isSame
      ? { ...given, mac }
      : { ...given, mac, ip: ip ?? present.ip, gateway: gateway ?? present.gateway };
    return this.#meshPort(await this.#options.router.attach(filled));
  }

  /** Addresses in the network's ring are claimed, with the MAC that belongs to them; others are the caller's own business. */
  async #addresses(
    network: Network,
    key: string,
    { ip: given, mac }: Pick<MeshAttachRequest, "ip" | "mac">,
  ): Promise<Pick<MeshAttachRequest, "ip" | "mac">> {
    const { ipam } = this.#options;
    const macAt = (index: number): string => mac ?? containerMac(network.value.vni, index);
    if (given === undefined) {
      const { ips, index } = await ipam.allocate(network.name, key);
      return { ip: ips, mac: macAt(index) };
    }
    const plan = new AddressPlan(network.value);
    const inside = given.filter((cidr) => plan.indexOf(bare(cidr)) !== undefined);
    const indexes = new Set(inside.map((cidr) => plan.indexOf(bare(cidr))));
    const [first] = inside;
    if (first !== undefined && indexes.size > 1)
      throw new WeftError(
        "invalid_input",
        `ip: found ${inside.join(" and ")}; allowed in network ${network.name}: addresses of one number, as ` +
          plan.cidrs(plan.indexOf(bare(first)) ?? 0).join(" and "),
      );
    if (first === undefined) return { ip: given, ...(mac === undefined ? {} : { mac }) };
    const { index } = await ipam.claim(network.name, bare(first), key);
    return { ip: given, mac: macAt(index) };
  }

  async #keep(
    port: PortInfo,
    wish: Pick<KeptContainer, "name" | "dns"> & { publish: MeshAttachRequest["publish"]; key: string },
  ): Promise<void> {
    const { hostPorts, store } = this.#options;
    const { name, dns, publish = [], key } = wish;
    const record = (published: KeptContainer["published"]): void => {
      const kept: KeptContainer = { name, dns, published, since: Date.now() };
      store.change({ containers: { ...store.state.containers, [port.id]: kept } });
    };
    try {
      const requests = publish.map(({ ip, hostPort, ...rest }) => ({
        ip: ip ?? null,
        hostPort: hostPort ?? null,
        ...rest,
      }));
      if (requests.length === 0) record([]);
      else await hostPorts.allocate(key, requests, port.ip.map(bare), record);
      this.publish();
      await this.#options.changed();
    } catch (error) {
      await this.#detach(port.id);
      throw error;
    }
  }

  /**
   * In the id's turn. Where another port has the id by now, address, name and record are that one's. A disk that refuses keeps
   * nobody's address: what could not be written is written later.
   */
  async #forget(id: string): Promise<void> {
    const { ipam, changed } = this.#options;
    const isTaken = this.#port(id) !== undefined;
    try {
      this.publish();
      if (!isTaken) this.#drop((one) => one === id);
    } catch (error) {
      this.#later();
      throw error;
    } finally {
      if (!isTaken) ipam.release(id);
      await changed();
    }
  }

  #drop(isGone: (id: string) => boolean): void {
    const { store } = this.#options;
    const all = Object.entries(store.state.containers);
    const kept = all.filter(([id]) => !isGone(id));
    if (kept.length < all.length) store.change({ containers: Object.fromEntries(kept) });
  }

  #later(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      try {
        this.publish();
        this.#drop((id) => !this.#keys().has(id));
      } catch {
        this.#later();
      }
    }, AGAIN_MS).unref();
  }

  #port(id: string): PortInfo | undefined {
    return this.#options.dataplane.ports().find((port) => port.id === id);
  }
  #kept(id: string): KeptContainer {
    return this.#options.store.state.containers[id] ?? NAMELESS;
  }
}

const NAMELESS: KeptContainer = { name: null, dns: [], published: [], since: 0 };
