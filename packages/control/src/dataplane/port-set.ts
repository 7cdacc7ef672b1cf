/**
 * Ports: made, taken over, watched and removed.
 *
 * A port's index is reserved first and given back last. In between: device, every worker's Io, tables (frames may now
 * be sent to it), and only then the device comes up, or, where it is up already, is read from. Removing goes the other
 * way round, and an index is free again only when no worker can hold it any more.
 */
import { ENUM } from "@weft/dataplane-wasm/abi";
import type { DeviceStats } from "@weft/tun";
import { type CheckedAttach, checkAttach } from "./attach-check.js";
import { type Core, closedError } from "./core.js";
import { adoptDevice, installDevice, type OpenedDevice, openDevice } from "./device.js";
import { InvalidInput } from "./invalid.js";
import { findNetnsById, leadsTo } from "./netns.js";
import type { Network } from "./network.js";
import type { NetworkSet } from "./network-set.js";
import { Port } from "./port.js";
import { Turns } from "./turns.js";
import type { AttachSpec, PortInfo, PortState } from "./types.js";

/**
 * Milliseconds of each round of watch() for the states of devices (some tenths of a millisecond each), and for where
 * they are (much less). So an idle daemon costs the same with ten ports and with a thousand.
 */
const STATES_MS = 2.5;
const PLACES_MS = 1.5;
/** Milliseconds for reading losses when counters are asked for. */
const LOSSES_MS = 10;

export class PortSet {
  readonly #core: Core;
  readonly #networks: NetworkSet;
  readonly #leaving = new Set<Promise<void>>();
  readonly #attaching = new Map<string, Promise<PortInfo>>();
  /** Ports in force: those whose state is due, those that nobody has brought up yet, and whose place is due. */
  readonly #states = new Turns<Port>();
  readonly #created = new Turns<Port>();
  readonly #places = new Turns<Port>();

  constructor(core: Core, networks: NetworkSet) {
    this.#core = core;
    this.#networks = networks;
  }

  async attach(spec: AttachSpec): Promise<PortInfo> {
    // A port that is just leaving may still have the device name, MAC or id.
    while (this.#leaving.size > 0) await Promise.allSettled(this.#leaving);
    if (this.#core.closed) throw closedError();
    const wanted = checkAttach(spec, {
      namespaces: this.#core.link.kind === "kernel",
      network: (name) => this.#core.networks.get(name),
      hasPort: (id) => this.#core.ports.has(id),
      ownerOfMac: (network, mac) => this.#ownerOfMac(network, mac),
      gatewayPort: (network) => this.#gatewayPort(network),
      routesLeft: this.#core.options.routesMax - this.#core.routesUsed(),
    });
    const task = this.#make(wanted, spec.beforePersist);
    this.#attaching.set(wanted.id, task);
    try {
      return await task;
    } finally {
      this.#attaching.delete(wanted.id);
    }
  }

  async #make(wanted: CheckedAttach, beforePersist: AttachSpec["beforePersist"]): Promise<PortInfo> {
    const core = this.#core;
    const { tables, reader, link, ports, portAt, options } = core;
    const index = tables.reservePort();
    if (index === undefined) {
      throw new InvalidInput("attach", [
        { key: "id", found: `port ${ports.size + 1}`, allowed: `${options.portsMax} ports (portsMax)` },
      ]);
    }
    const port = new Port(wanted, index, this.#reader(), reader.block("PORT_COUNTERS", index));
    ports.set(port.id, port);
    portAt.set(index, port);
    core.name(ENUM.KIND.PORT, index, port.id);
    wanted.network.ports++;

    const undo: (() => void)[] = [];
    try {
      const opened = wanted.adopt ? adoptDevice(link, wanted, undo) : openDevice(link, wanted, undo);
      port.opened = opened;
      port.netnsId = opened.netnsId;
      port.ifname = opened.ifname;
      const { fd } = opened.device;
      await Promise.all(
        core.hosts
          .filter((h) => h.alive)
          .map((h) => h.send({ do: "addPort", port: index, fd, reads: h.worker === port.reader && !wanted.adopt })),
      );
      const { network, mac, mtu, routed } = wanted;
      const isGateway = wanted.role === "gateway";
      tables.addPort(index, { network: network.index, mac, mtu, up: wanted.configure, isGateway, routed });
      this.#pointRoutes(port);
      await tables.publish();
      // Its container sends already: what is read before the tables know the port would be lost.
      if (wanted.adopt) await core.hosts[port.reader]?.send({ do: "readPort", port: index, fd });
      else if (wanted.configure) installDevice(link, wanted, opened);
      if (!wanted.adopt && options.persistent) {
        await beforePersist?.(port.record());
        opened.device.setPersist(true);
      }
    } catch (error) {
      await this.#takeBack(port, undo);
      throw error;
    }
    port.attached = true;
    for (const turns of [this.#states, this.#created, this.#places]) turns.add(port);
    this.#look(port);
    return port.info(reader.block("PORT_COUNTERS", index));
  }

  /** The living worker that reads the fewest ports. */
  #reader(): number {
    const load = new Map(this.#core.hosts.filter((h) => h.alive).map((h) => [h.worker, 0]));
    if (load.size === 0) throw new Error("every worker of the data plane has stopped");
    for (const { reader } of this.#core.ports.values())
      if (load.has(reader)) load.set(reader, (load.get(reader) as number) + 1);
    return [...load].reduce((least, entry) => (entry[1] < least[1] ? entry : least))[0];
  }

  /** Takes a failed attachment apart; the error that caused it is the one to tell. */
  async #takeBack(port: Port, undo: (() => void)[]): Promise<void> {
    await this.#takeOut(port);
    for (const step of undo.reverse()) {
      try {
        step();
      } catch {
        // The device may have gone with its namespace.
      }
    }
    this.#core.tables.releasePort(port.index);
    this.#core.portAt.delete(port.index);
  }

  /** Removes a port from tables and workers; afterwards nobody uses its index or descriptor. */
  async #takeOut(port: Port): Promise<void> {
    const { tables, ports, hosts } = this.#core;
    if (ports.get(port.id) === port) ports.delete(port.id);
    port.wanted.network.ports--;
    tables.removePort(port.index);
    this.#pointRoutes(port);
    await tables.publish();
    const order = { do: "removePort", port: port.index } as const;
    // A worker that lost the device has let go of it already; one that died holds nothing.
    await Promise.allSettled(hosts.filter((h) => h.alive).map((h) => h.send(order)));
  }

  #pointRoutes(port: Port): void {
    this.#networks.pointRoutes(port.wanted.network, (via) => via.kind === "port" && via.id === port.id);
  }

  async detach(id: string): Promise<void> {
    const attaching = this.#attaching.get(id);
    if (attaching !== undefined) await attaching.catch(() => undefined);
    const port = this.#core.ports.get(id);
    if (port) await this.#remove(port);
  }

  /** Removes a port and its device. `why` is set when it is gone by itself. */
  #remove(port: Port, why?: string): Promise<void> {
    if (port.leaving !== undefined) return port.leaving;
    const task = this.#removeNow(port, why).finally(() => this.#leaving.delete(task));
    port.leaving = task;
    this.#leaving.add(task);
    return task;
  }

  async #removeNow(port: Port, why: string | undefined): Promise<void> {
    const core = this.#core;
    const { id, network } = port;
    for (const turns of [this.#states, this.#created, this.#places]) turns.delete(port);
    this.#readDrops(port);
    core.ringDropsBefore += port.ringDrops;
    await this.#takeOut(port);
    if (port.device) destroy(port.device);
    core.tables.releasePort(port.index);
    core.portAt.delete(port.index);
    port.state = "gone";
    if (why === undefined) return; // The caller knows.
    core.emit({ type: "portState", id, network, state: "gone" });
    core.emit({ type: "portGone", id, network, why });
  }

  /** Worker's news: the device answers no more. */
  goneFromWorker(indexes: readonly number[]): void {
    for (const index of indexes) {
      const port = this.#core.portAt.get(index);
      // An attachment under way fails by itself at its next step.
      if (port?.attached) void this.#remove(port, "its device or namespace is gone");
    }
  }

  /** Looks at the devices, once a second: at as many as the time allows, in turn. */
  watch(): void {
    this.#created.serve(STATES_MS, (port) => this.#look(port));
    this.#states.serve(STATES_MS, (port) => this.#look(port));
    this.#places.serve(PLACES_MS, (port) => this.#leaveIf(port, this.#misplaced(port)));
  }

  #look(port: Port): void {
    this.#leaveIf(port, this.#lost(port));
  }
  #leaveIf(port: Port, why: string | undefined): void {
    if (why !== undefined) void this.#remove(port, why);
  }

  /** Brings a port's state up to date. @returns why it is lost, if it is. */
  #lost(port: Port): string | undefined {
    const opened = port.opened as OpenedDevice;
    const stats = this.#stats(opened);
    if (stats === "unknown") return undefined;
    if (!stats) return "its device is gone";
    port.ringDrops = Math.max(port.ringDrops, stats.txDropped - opened.droppedBefore);
    if (port.state !== "created" || stats.up) this.#setState(port, stats.up ? "up" : "down");
    return this.#misplaced(port);
  }

  /** Facts of a device; undefined when it is gone. A process out of descriptors cannot tell, and must not guess. */
  #stats({ device }: OpenedDevice): DeviceStats | "unknown" | undefined {
    try {
      return this.#core.link.deviceStats(device);
    } catch {
      return "unknown";
    }
  }

  /** Whether a device is where it belongs. @returns why it is lost, if it is. */
  #misplaced(port: Port): string | undefined {
    const opened = port.opened as OpenedDevice;
    try {
      const netnsId = opened.device.netns();
      const ifname = opened.device.describe().name;
      const moved = ifname !== port.ifname || (netnsId !== undefined && netnsId !== port.netnsId);
      port.ifname = ifname;
      if (netnsId === undefined) return this.#tellMoved(port, moved);
      // The other runtime may take the device where it wants it.
      if (netnsId !== port.netnsId && port.wanted.configure) return "its device was moved to another namespace";
      port.netnsId = netnsId;
      this.#tellMoved(port, moved);
      return opened.pins && !this.#inUse(port, netnsId) ? "its namespace is gone" : undefined;
    } catch (error) {
      return (error as { code?: string }).code === "EBADFD" ? "its device is gone" : undefined;
    }
  }

  #tellMoved({ id, network, ifname }: Port, moved: boolean): undefined {
    if (moved) this.#core.emit({ type: "portMoved", id, network, ifname });
  }

  /** Whether anybody but our own descriptor keeps a namespace alive. The cheap look first. */
  #inUse(port: Port, netnsId: string): boolean {
    const path = port.wanted.netnsPath;
    return (path !== null && leadsTo(path, netnsId)) || findNetnsById(netnsId) !== undefined;
  }

  #setState(port: Port, state: PortState): void {
    if (port.state === state) return;
    this.#created.delete(port);
    if (port.state === "created" && !port.wanted.configure) {
      // Until now nobody had brought the device up, and every flood to it would have been a drop.
      this.#core.tables.setPortUp(port.index, true);
      void this.#core.tables.publish();
    }
    port.state = state;
    this.#core.emit({ type: "portState", id: port.id, network: port.network, state });
  }

  /** Frames that the rings of all ports have lost: read now as far as the time allows, of the others as last seen. */
  ringDrops(): number {
    this.#states.serve(LOSSES_MS, (port) => this.#readDrops(port));
    let sum = this.#core.ringDropsBefore;
    for (const port of this.#core.ports.values()) sum += port.ringDrops;
    return sum;
  }
  #readDrops(port: Port): void {
    const stats = port.opened && this.#stats(port.opened);
    if (stats && stats !== "unknown" && port.opened)
      port.ringDrops = Math.max(port.ringDrops, stats.txDropped - port.opened.droppedBefore);
  }

  /** Waits for all that is under way, then removes every port. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#attaching.values());
    await Promise.allSettled([...this.#core.ports.values()].map((p) => this.#remove(p)));
    await Promise.allSettled(this.#leaving);
  }

  /** Waits for all that is under way, then lets go of the devices; the workers have stopped. Persistent ones stay. */
  async park(): Promise<void> {
    await Promise.allSettled(this.#attaching.values());
    await Promise.allSettled(this.#leaving);
    for (const port of this.#core.ports.values()) port.device?.close();
    this.#core.ports.clear();
  }

  #gatewayPort(network: Network): string | undefined {
    const ports = [...this.#core.portAt.values()];
    return ports.find(({ wanted }) => wanted.network === network && wanted.role === "gateway")?.id;
  }

  #ownerOfMac(network: Network, mac: string): string | undefined {
    if (network.routes.has(mac)) return "a route";
    for (const port of this.#core.portAt.values()) {
      if (port.wanted.network === network && port.mac === mac) return `port ${port.id}`;
    }
    return undefined;
  }
}

/** Deletes a device: the last descriptor of one that is not persistent takes it along. */
function destroy(device: NonNullable<Port["device"]>): void {
  try {
    device.setPersist(false);
  } catch {
    // Gone already.
  }
  device.close();
}
