/**
 * The configuration as the workers read it: networks, ports, VTEPs and routes, written by the main thread.
 *
 * Every method changes the main thread's own images at once; publish() puts all changes since the last one in force
 * together. An index that was removed stays reserved until release…(), which the caller calls when publish() has
 * resolved and nothing else uses the index. Values are taken as checked: a wrong one is a programming error.
 */
import { ENUM, layout, offsetOf } from "../abi/index.js";
import { Image } from "./image.js";
import { Indexes } from "./indexes.js";
import { elementAddress, type SwitchMemory } from "./instance.js";
import { lengthBits } from "./prefix-lengths.js";
import { Publication } from "./publication.js";
import { RouteCells } from "./route-cells.js";
import type { Key } from "./route-hash.js";
import { deleteRouted, type RoutedRow, setRouted } from "./routed-rows.js";
import { octetsOf, TunnelTables } from "./tunnel-tables.js";

export interface NetworkRow {
  /** NETWORK bits except USED. */
  readonly flags: number;
  readonly vni: number;
  readonly mtu: number;
  /** Ticks of 1.024 s, 1..32767; 0 never. */
  readonly ageTicks: number;
  /** Frames per second and port; 0 unlimited. */
  readonly bumRate: number;
  readonly bumBurst: number;
  readonly macsPerPort: number;
  /** MAC of the network's gateway, the same on every host; absent: it has none. */
  readonly gateway?: Key | undefined;
}
export interface PortRow {
  readonly network: number;
  /** The MAC as a key: its number in the last two words. */
  readonly mac: Key;
  readonly mtu: number;
  /** Whether floods go to it; default true. */
  readonly up?: boolean;
  /** It is the port of the network's gateway. */
  readonly isGateway?: boolean;
  /** It is a layer-3 port. */
  readonly routed?: RoutedRow | undefined;
}
export interface VtepRow {
  readonly network: number;
  /** IPv4 mapped into IPv6. */
  readonly address: Key;
  readonly family: 4 | 6;
  readonly port: number;
  /** The address lies inside the tunnel: the WireGuard peer that covers it, or undefined when none does any more. */
  readonly tunnel?: { readonly peer: number | undefined } | undefined;
}
export interface RouteRow {
  readonly kind: "mac" | "ipv4" | "ipv6";
  /** Prefix length; 0 for a MAC. */
  readonly length: number;
  /** Masked to the length; IPv4 mapped into IPv6. */
  readonly key: Key;
}
/** Where a route leads. */
export type Target = { readonly kind: "port" | "vtep"; readonly index: number } | { readonly kind: "blackhole" };

const { KIND, NETWORK, PORT, ROUTE, VTEP } = ENUM;
const ROUTE_KIND = { mac: ROUTE.MAC, ipv4: ROUTE.IPV4, ipv6: ROUTE.IPV6 } as const;

interface Member {
  readonly generation: number;
  readonly network: number;
}
interface Prefixes {
  /** How many routes of each length the network has. */
  readonly ipv4: number[];
  readonly ipv6: number[];
}

const routeTag = (kind: number, length: number, network: number): number =>
  ((kind << 24) | (length << 16) | network) >>> 0;
const portFlags = (up: boolean, isRouted: boolean): number =>
  PORT.USED | (up ? PORT.UP : 0) | (isRouted ? PORT.ROUTED : 0);
const macNumber = (mac: Key): bigint => (BigInt(mac[2]) << 32n) | BigInt(mac[3]);
export class Tables {
  readonly #memory: SwitchMemory;
  readonly #networks: Image;
  readonly #ports: Image;
  readonly #vteps: Image;
  readonly #routes: RouteCells;
  readonly #publication: Publication;
  readonly #networkIndexes: Indexes;
  readonly #portIndexes: Indexes;
  readonly #vtepIndexes: Indexes;
  readonly #prefixes = new Map<number, Prefixes>();
  /** Of the present or coming use of each port index. */
  readonly #portGenerations = new Map<number, number>();
  readonly #portMembers = new Map<number, Member & Pick<PortRow, "mac" | "isGateway" | "routed">>();
  readonly #vtepMembers = new Map<number, Member & { address: Key; kind: number }>();
  /** WireGuard's part. */
  readonly tunnel: TunnelTables;

  constructor(memory: SwitchMemory) {
    const { sizes } = memory.plan;
    this.#memory = memory;
    this.#networks = new Image(memory, "NETWORKS");
    this.#ports = new Image(memory, "PORTS");
    this.#vteps = new Image(memory, "VTEPS");
    const routes = new Image(memory, "ROUTES");
    const seed = new DataView(memory.memory.buffer).getUint32(offsetOf("Header", "hashSeedLo"), true);
    this.#routes = new RouteCells(routes, seed);
    this.#networkIndexes = new Indexes(sizes.networksMax);
    this.#portIndexes = new Indexes(sizes.portsMax);
    this.#vtepIndexes = new Indexes(sizes.vtepsMax);
    this.tunnel = new TunnelTables(memory, this.#routes);
    const own = [this.#networks, this.#ports, this.#vteps, routes];
    this.#publication = new Publication(memory, [...own, ...this.tunnel.images]);
  }

  get generation(): number {
    return this.#publication.generation;
  }
  /** Resolves when every worker runs under all changes made so far. */
  publish(): Promise<void> {
    return this.#publication.publish();
  }
  /** Stops waiting for a worker that died. */
  forgetWorker(worker: number): void {
    this.#publication.forget(worker);
  }

  /** @returns the network's index, or undefined when there is no room. */
  addNetwork(row: NetworkRow): number | undefined {
    const taken = this.#networkIndexes.take();
    if (!taken) return undefined;
    const { index } = taken;
    this.#prefixes.set(index, { ipv4: new Array<number>(33).fill(0), ipv6: new Array<number>(129).fill(0) });
    this.#networks.clear(index);
    this.#writeNetwork(index, row);
    return index;
  }
  /** Changes everything but the members. */
  changeNetwork(index: number, row: NetworkRow): void {
    this.#routes.delete(routeTag(ROUTE.VNI, 0, 0), [0, 0, 0, this.#networks.u32(index, "vni")]);
    this.#writeNetwork(index, row);
  }
  /** Removes a network without ports, VTEPs, routes and bindings. */
  removeNetwork(index: number): void {
    this.#routes.delete(routeTag(ROUTE.VNI, 0, 0), [0, 0, 0, this.#networks.u32(index, "vni")]);
    this.#networks.clear(index);
    this.#prefixes.delete(index);
  }
  releaseNetwork(index: number): void {
    this.#networkIndexes.release(index);
  }
  #writeNetwork(index: number, { gateway, ...row }: NetworkRow): void {
    this.#networks.put(index, {
      ...row,
      flags: row.flags | NETWORK.USED,
      gateway: gateway === undefined ? 0n : macNumber(gateway),
    });
    this.#routes.set(routeTag(ROUTE.VNI, 0, 0), [0, 0, 0, row.vni], index, 0);
  }

  /** @returns an index for a port to come, or undefined when there is no room. */
  reservePort(): number | undefined {
    const taken = this.#portIndexes.take();
    if (taken) this.#portGenerations.set(taken.index, taken.generation);
    return taken?.index;
  }
  /** Writes a port under an index that was reserved for it. */
  addPort(index: number, row: PortRow): void {
    const { network, mac, mtu, up = true, isGateway = false, routed } = row;
    const generation = this.#portGenerations.get(index) as number;
    this.#ports.clear(index);
    if (routed) this.#ports.put(index, setRouted(this.#routes, routed, { index, network, generation }));
    if (isGateway) this.#networks.put(network, { gatewayPort: index + 1 });
    this.#ports.put(index, {
      flags: portFlags(up, routed !== undefined),
      network,
      generation,
      next: this.#networks.u32(network, "portHead"),
      mac: macNumber(mac),
      mtu,
    });
    this.#networks.put(network, { portHead: index + 1, fanout: this.#networks.u32(network, "fanout") + 1 });
    this.#routes.set(routeTag(ROUTE.MAC, 0, network), mac, ((KIND.PORT << 24) | index) >>> 0, generation);
    this.#portMembers.set(index, { generation, network, mac, isGateway, routed });
  }
  /** Writes the TUN device under an index that was reserved for it: a port of no network. */
  addTunnelPort(index: number, mtu: number): void {
    this.#ports.clear(index);
    this.#ports.put(index, {
      flags: PORT.USED | PORT.UP | PORT.L3,
      generation: this.#portGenerations.get(index) as number,
      mtu,
    });
    this.tunnel.setDevice(index);
  }
  /** Whether floods go to a port; nothing happens when it is not in the tables. */
  setPortUp(index: number, up: boolean): void {
    const member = this.#portMembers.get(index);
    if (member) this.#ports.put(index, { flags: portFlags(up, member.routed !== undefined) });
  }
  /** Takes a port out of the tables; nothing happens when it was only reserved. */
  removePort(index: number): void {
    const member = this.#portMembers.get(index);
    if (!member) return;
    this.#portMembers.delete(index);
    if (member.routed) deleteRouted(this.#routes, member.routed, index, member.network);
    if (member.isGateway) this.#networks.put(member.network, { gatewayPort: 0 });
    this.#routes.delete(routeTag(ROUTE.MAC, 0, member.network), member.mac);
    this.#unlink(this.#ports, "portHead", index, member.network);
    this.#ports.clear(index);
  }
  /** Gives the index back and forgets what workers knew of the port. */
  releasePort(index: number): void {
    const at = elementAddress(this.#memory, "PORT_LIVE", index);
    new Uint8Array(this.#memory.memory.buffer, at, layout("PortLive").size).fill(0);
    this.#portIndexes.release(index);
  }
  portGeneration(index: number): number | undefined {
    return this.#portMembers.get(index)?.generation;
  }

  /** How many VTEPs addVtep() has room for now. */
  get freeVteps(): number {
    return this.#vtepIndexes.free;
  }
  /** @returns the VTEP's index, or undefined when there is no room. */
  addVtep(row: VtepRow): number | undefined {
    const taken = this.#vtepIndexes.take();
    if (!taken) return undefined;
    const { index, generation } = taken;
    const { network, address, family, port, tunnel } = row;
    const kind = tunnel ? ROUTE.TUNNEL_VTEP : ROUTE.VTEP;
    this.#vteps.clear(index);
    this.#vteps.put(index, {
      flags: tunnel ? VTEP.USED | VTEP.TUNNEL : VTEP.USED,
      peer: tunnel?.peer === undefined ? 0 : tunnel.peer + 1,
      network,
      generation,
      next: this.#networks.u32(network, "vtepHead"),
      port,
      family,
      addr: octetsOf(address),
    });
    this.#networks.put(network, { vtepHead: index + 1, fanout: this.#networks.u32(network, "fanout") + 1 });
    this.#routes.set(routeTag(kind, 0, network), address, ((KIND.VTEP << 24) | index) >>> 0, generation);
    this.#vtepMembers.set(index, { generation, network, address, kind });
    return index;
  }
  removeVtep(index: number): void {
    const member = this.#vtepMembers.get(index);
    if (!member) return;
    this.#vtepMembers.delete(index);
    this.#routes.delete(routeTag(member.kind, 0, member.network), member.address);
    this.#unlink(this.#vteps, "vtepHead", index, member.network);
    this.#vteps.clear(index);
  }
  /** Another WireGuard peer covers the address of a VTEP inside the tunnel, or none does. */
  setVtepPeer(index: number, peer: number | undefined): void {
    if (this.#vtepMembers.has(index)) this.#vteps.put(index, { peer: peer === undefined ? 0 : peer + 1 });
  }
  releaseVtep(index: number): void {
    this.#vtepIndexes.release(index);
  }
  vtepGeneration(index: number): number | undefined {
    return this.#vtepMembers.get(index)?.generation;
  }

  /** Writes one route of a network, or overwrites the one with the same key. */
  setRoute(network: number, row: RouteRow, target: Target, isNew: boolean): void {
    let value: number;
    let generation = 0;
    if (target.kind === "blackhole") value = KIND.BLACKHOLE << 24;
    else {
      value = ((target.kind === "port" ? KIND.PORT : KIND.VTEP) << 24) | target.index;
      generation = (target.kind === "port" ? this.#portMembers : this.#vtepMembers).get(target.index)?.generation ?? 0;
    }
    this.#routes.set(routeTag(ROUTE_KIND[row.kind], row.length, network), row.key, value >>> 0, generation);
    if (isNew) this.#countPrefix(network, row, 1);
  }
  deleteRoute(network: number, row: RouteRow): void {
    this.#routes.delete(routeTag(ROUTE_KIND[row.kind], row.length, network), row.key);
    this.#countPrefix(network, row, -1);
  }

  /** Says which MAC has an address (IPv4 mapped into IPv6). */
  setBinding(network: number, address: Key, mac: Key): void {
    this.#routes.set(routeTag(ROUTE.BINDING, 0, network), address, mac[3], mac[2]);
  }
  deleteBinding(network: number, address: Key): void {
    this.#routes.delete(routeTag(ROUTE.BINDING, 0, network), address);
  }

  /** Keeps the sets of prefix lengths in use. */
  #countPrefix(network: number, row: RouteRow, by: 1 | -1): void {
    if (row.kind === "mac") return;
    const counts = (this.#prefixes.get(network) as Prefixes)[row.kind];
    const now = (counts[row.length] as number) + by;
    counts[row.length] = now;
    if (now > 1 || (now === 1 && by < 0)) return;
    const bits = (from: number): bigint => lengthBits(counts, from);
    this.#networks.put(
      network,
      row.kind === "ipv4" ? { v4Lens: bits(0) } : { v6Lens0: bits(0), v6Lens1: bits(64), v6Lens2: bits(128) },
    );
  }

  /** Takes a member out of its network's list. */
  #unlink(members: Image, head: "portHead" | "vtepHead", index: number, network: number): void {
    const next = members.u32(index, "next");
    let at = this.#networks.u32(network, head);
    if (at === index + 1) this.#networks.put(network, { [head]: next });
    else {
      while (members.u32(at - 1, "next") !== index + 1) at = members.u32(at - 1, "next");
      members.put(at - 1, { next });
    }
    this.#networks.put(network, { fanout: this.#networks.u32(network, "fanout") - 1 });
  }
}
