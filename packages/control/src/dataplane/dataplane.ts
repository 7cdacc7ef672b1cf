/** The Dataplane class: wiring and life cycle. What it does is in the files beside it. */
import { createMemory, type EntryEvent, loadModule, type MemorySizes, type RefusedEvent } from "@weft/dataplane-wasm";
import { ABI_HASH, counterCell } from "@weft/dataplane-wasm/abi";
import { kernelLink, type Link } from "@weft/tun";
import { formatAddress } from "./address.js";
import { Core, closedError } from "./core.js";
import type { HostEvents } from "./host.js";
import { InlineHost } from "./inline-host.js";
import { InvalidInput } from "./invalid.js";
import { monotonicMs } from "./loop.js";
import type { Network } from "./network.js";
import { NetworkSet } from "./network-set.js";
import { checkOptions, type Options } from "./options.js";
import { PortSet } from "./port-set.js";
import { readConversations, readCounters, readFdb, readNeighbours } from "./report.js";
import { Sockets } from "./sockets.js";
import { ThreadHost } from "./thread-host.js";
import type { Tunnel } from "./tunnel.js";
import type { TunnelMesh } from "./tunnel-mesh.js";
import type {
  AttachSpec,
  BindingTable,
  Conversation,
  Counters,
  DataplaneApi,
  DataplaneEvent,
  DataplaneInfo,
  DataplaneOptions,
  FdbEntry,
  NeighbourEntry,
  NetworkInfo,
  NetworkSpec,
  PathSpec,
  PeerActivity,
  PeerChange,
  PeerSpec,
  PortInfo,
  PortRecord,
  ProbeSpec,
  RouteTable,
  WireguardInfo,
} from "./types.js";
import { watchUnderlay } from "./watch-underlay.js";
import { WireguardSockets } from "./wireguard-sockets.js";

/** Milliseconds between two looks at the workers' event rings. */
const EVENTS_MS = 200;
/** Milliseconds between two looks at the devices. */
const WATCH_MS = 1000;
/** Milliseconds in which one source of refused VXLAN is told of once, and how many sources are remembered. */
const REFUSED_MS = 60_000;
const REFUSED_MAX = 256;
/** Below this, bursts are lost in the kernel before weft sees them. */
const BUFFER_WANTED = 1 << 20;

/** One switch with its ports, tables and worker threads. Several may live in one process. */
export class Dataplane implements DataplaneApi {
  readonly #core: Core;
  readonly #networks: NetworkSet;
  readonly #ports: PortSet;
  readonly #nowMs: () => number;
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #refused = new Map<string, number>();
  #eventsLost = 0;
  #drains = false;
  #ending: Promise<void> | undefined;
  readonly info: DataplaneInfo;

  private constructor(core: Core) {
    this.#core = core;
    this.#networks = new NetworkSet(core);
    this.#ports = new PortSet(core, this.#networks);
    this.#nowMs = core.link.nowMs ? () => (core.link.nowMs?.() ?? 0) >>> 0 : monotonicMs();
    core.readUnderlay();
    this.info = describe(core);
  }

  /**
   * Opens the sockets, starts the workers and forwards from then on.
   *
   * @throws InvalidInput that lists every wrong option
   * @throws a system error (`code`, `errno`, `syscall`) when a socket or thread cannot be had: EADDRINUSE when the VXLAN
   *   port is taken, by another weft or another program
   */
  static async start(options: DataplaneOptions): Promise<Dataplane> {
    const link = (options as DataplaneOptions | undefined)?.link ?? kernelLink();
    const checked = checkOptions(options, link);
    const module = await loadModule();
    const has = link.features();
    const memory = createMemory(module.heapBase, memorySizes(checked), undefined, {
      gsoSegments: has.gsoMax,
      coalesceTcp: has.coalesceTcp,
      coalesceUdp: has.coalesceUdp,
      vnetHdr: has.vnetHdr,
    });
    // First: their port may lie where the other sockets' ports are taken from.
    const wireguard = openWireguard(link, checked);
    const core = new Core(link, checked, memory, openSockets(link, checked, wireguard));
    try {
      const dataplane = new Dataplane(core);
      const events = dataplane.#hostEvents();
      for (let worker = 0; worker < checked.workers; worker++) {
        const host =
          link.kind === "memory"
            ? new InlineHost(link, module, memory, events)
            : await ThreadHost.start(link, module, memory, worker, events);
        core.hosts.push(host);
        for (const order of core.sockets.ordersFor(worker)) await host.send(order);
      }
      if (checked.wireguard && wireguard) {
        const around = { nowMs: dataplane.#nowMs, drainEvents: () => dataplane.#drainEvents() };
        // With it comes libsodium, which who needs no WireGuard should not have to load.
        const { Tunnel } = await import("./tunnel.js");
        core.tunnel = await Tunnel.start(core, checked.wireguard, wireguard, around);
      }
      dataplane.#every(EVENTS_MS, () => dataplane.#drainEvents());
      dataplane.#every(WATCH_MS, () => dataplane.#ports.watch());
      dataplane.#every(WATCH_MS, watchUnderlay(core));
      return dataplane;
    } catch (error) {
      await core.tunnel?.close();
      await Promise.allSettled(core.hosts.map((h) => h.stop()));
      core.sockets.close();
      wireguard?.close();
      throw error;
    }
  }

  #hostEvents(): HostEvents {
    const core = this.#core;
    return {
      gone: (_worker, ports) => {
        this.#ports.goneFromWorker(ports);
        core.tunnel?.gone(ports);
      },
      attention: () => this.#drainSoon(),
      failed: (worker, error) => {
        core.tables.forgetWorker(worker);
        core.sockets.closeWorker(worker);
        core.tunnel?.sockets.closeWorker(worker);
        core.emit({ type: "workerFailed", worker, error });
      },
    };
  }

  #every(ms: number, run: () => void): void {
    // The worker threads keep the process alive, not the housekeeping.
    this.#timers.push(setInterval(run, ms).unref());
  }

  /**
   * Not at once: a message port hands over up to a thousand messages before anything else runs, and under a flood of handshakes
   * there is always another one. Timers, requests and publications have their turn in between.
   */
  #drainSoon(): void {
    if (this.#drains) return;
    this.#drains = true;
    setImmediate(() => {
      this.#drains = false;
      this.#drainEvents();
    });
  }

  #drainEvents(): void {
    const core = this.#core;
    core.tunnel?.takeAttention();
    for (const event of core.reader.events()) {
      if ("slot" in event) core.tunnel?.handle(event);
      else if ("source" in event) this.#tellRefused(event);
      else this.#tellEntry(event);
    }
    core.tunnel?.takePunts();
    const lost = core.reader.total(counterCell("events_lost"));
    if (lost > this.#eventsLost) core.emit({ type: "eventsLost", count: lost - this.#eventsLost });
    this.#eventsLost = lost;
  }

  #tellEntry({ kind, network: index, mac, owner, previous }: EntryEvent): void {
    const core = this.#core;
    const network = core.networkAt.get(index)?.spec.name;
    if (network === undefined) return;
    const via = core.nameOf(owner);
    if (kind === "moved") core.emit({ type: kind, network, mac, from: core.nameOf(previous), via });
    else core.emit({ type: kind, network, mac, via });
  }

  /** Each source and reason at most once a minute; the memory of them is bounded too. */
  #tellRefused({ kind, network: index, source: key }: RefusedEvent): void {
    const network = kind === "unknown_vtep" ? this.#core.networkAt.get(index)?.spec : undefined;
    if (kind === "unknown_vtep" && network === undefined) return;
    const source = formatAddress(key);
    const who = `${kind} ${index} ${source}`;
    const now = Date.now();
    for (const [old, at] of this.#refused) if (now - at >= REFUSED_MS) this.#refused.delete(old);
    if (this.#refused.has(who) || this.#refused.size >= REFUSED_MAX) return;
    this.#refused.set(who, now);
    const vni = network?.vni ?? index;
    this.#core.emit({ type: "refused", source, vni, network: network?.name ?? null, reason: kind });
  }

  async setNetwork(spec: NetworkSpec): Promise<void> {
    this.#open();
    await this.#networks.set(spec);
  }
  async removeNetwork(name: string): Promise<void> {
    this.#open();
    await this.#networks.remove(name);
  }
  networks(): NetworkInfo[] {
    return [...this.#core.networks.values()].map((n) => n.info());
  }
  routes(network: string): RouteTable {
    return this.#networks.table(network);
  }

  bindings(network: string): BindingTable {
    return this.#networks.bindings(network);
  }
  conversations(): Conversation[] {
    return readConversations(this.#core, this.#nowMs(), Date.now());
  }

  async attach(spec: AttachSpec): Promise<PortInfo> {
    this.#open();
    return this.#ports.attach(spec);
  }
  async detach(id: string): Promise<void> {
    this.#open();
    await this.#ports.detach(id);
  }
  ports(): PortInfo[] {
    const { ports, reader } = this.#core;
    return [...ports.values()].map((p) => p.info(reader.block("PORT_COUNTERS", p.index)));
  }
  records(): PortRecord[] {
    return [...this.#core.ports.values()].filter((p) => p.attached).map((p) => p.record());
  }

  fdb(network?: string): FdbEntry[] {
    return readFdb(this.#core, this.#nowMs(), this.#only(network));
  }
  neighbours(network?: string): NeighbourEntry[] {
    return readNeighbours(this.#core, this.#nowMs(), this.#only(network));
  }
  async flush(network?: string): Promise<void> {
    this.#open();
    const index = this.#only(network)?.index ?? 0xffff_ffff;
    const host = this.#core.hosts.find((h) => h.alive);
    await host?.send({ do: "flush", network: index });
  }
  async setPeers(peers: readonly PeerSpec[]): Promise<void> {
    this.#open();
    await this.#tunnel("setPeers").setPeers(peers);
  }
  async changePeers(change: PeerChange): Promise<void> {
    this.#open();
    await this.#tunnel("changePeers").changePeers(change);
  }
  async setPaths(paths: readonly PathSpec[]): Promise<void> {
    this.#open();
    await this.#mesh("setPaths").setPaths(paths);
  }
  sendProbe(probe: ProbeSpec): boolean {
    this.#open();
    return this.#mesh("sendProbe").sendProbe(probe);
  }
  peerActivity(): PeerActivity[] {
    return this.#core.tunnel?.mesh?.activity() ?? [];
  }
  #mesh(asked: string): TunnelMesh {
    const mesh = this.#tunnel(asked).mesh;
    const allowed = "a data plane that was started with wireguard.mesh";
    if (!mesh) throw new InvalidInput(asked, [{ key: "mesh", found: "none", allowed }]);
    return mesh;
  }
  #tunnel(asked: string): Tunnel {
    if (this.#core.tunnel) return this.#core.tunnel;
    throw new InvalidInput(asked, [
      { key: "peers", found: "no WireGuard interface", allowed: "a data plane that was started with wireguard" },
    ]);
  }
  wireguard(): WireguardInfo | null {
    return this.#core.tunnel?.info() ?? null;
  }
  counters(): Counters {
    return readCounters(this.#core, this.#ports.ringDrops());
  }

  on(event: "event", listener: (event: DataplaneEvent) => void): this {
    this.#core.emitter.on(event, listener);
    return this;
  }
  off(event: "event", listener: (event: DataplaneEvent) => void): this {
    this.#core.emitter.off(event, listener);
    return this;
  }

  async park(): Promise<void> {
    this.#ending ??= this.#end(async () => {
      await this.#stopWorkers();
      await this.#ports.park();
    });
    await this.#ending;
  }
  async close(): Promise<void> {
    this.#ending ??= this.#end(async () => {
      await this.#ports.close();
      await this.#stopWorkers();
    });
    await this.#ending;
  }

  async #end(letGo: () => Promise<void>): Promise<void> {
    this.#core.closed = true;
    for (const timer of this.#timers) clearInterval(timer);
    await this.#core.tunnel?.close();
    await letGo();
    this.#drainEvents();
    this.#core.sockets.close();
  }
  async #stopWorkers(): Promise<void> {
    await Promise.allSettled(this.#core.hosts.map((h) => h.stop()));
  }

  #open(): void {
    if (this.#core.closed) throw closedError();
  }
  #only(name: string | undefined): Network | undefined {
    if (name === undefined) return undefined;
    const network = this.#core.networks.get(name);
    if (network) return network;
    throw new InvalidInput("network", [{ key: "network", found: name, allowed: "the name of a network that was set" }]);
  }
}

function openWireguard(link: Link, { underlay, workers, wireguard }: Options): WireguardSockets | undefined {
  const families = underlay.map((u) => u.family);
  const isMesh = wireguard?.mesh !== undefined;
  return wireguard && new WireguardSockets(link, families, wireguard.listenPort, workers, isMesh);
}

function openSockets(link: Link, options: Options, wireguard: WireguardSockets | undefined): Sockets {
  try {
    return new Sockets(link, options);
  } catch (error) {
    wireguard?.close();
    throw error;
  }
}

function memorySizes(options: Options): MemorySizes {
  const { workers, networksMax, routesMax, fdbMax } = options;
  // The TUN device is a port too.
  const portsMax = options.portsMax + (options.wireguard?.device === undefined ? 0 : 1);
  // Twice: a network may exchange all its VTEPs at once, and the old ones' indexes are free only afterwards.
  const vtepsMax = 2 * options.vtepsMax;
  // A station has a MAC and, of those that talk IP, about as many addresses as fit a quarter of the MACs' room.
  const peersMax = options.wireguard ? 2 * options.wireguard.peersMax : 0;
  const neighboursMax = Math.max(1024, fdbMax >>> 2);
  return { workers, networksMax, portsMax, vtepsMax, routesMax, fdbMax, neighboursMax, peersMax };
}

function describe(core: Core): DataplaneInfo {
  const { link, options, sockets, underlay, memory } = core;
  const features = link.features();
  const buffers = sockets.buffers;
  const warnings: string[] = [];
  for (const [what, size] of Object.entries(buffers)) {
    if (size >= BUFFER_WANTED) continue;
    warnings.push(
      `the ${what} buffers of the UDP sockets have ${size} octets, less than ${BUFFER_WANTED}: bursts will be lost; ` +
        `raise net.core.${what === "receive" ? "r" : "w"}mem_max or give the process CAP_NET_ADMIN`,
    );
  }
  for (const { address, mtu } of underlay) {
    if (mtu < 1350)
      warnings.push(`the underlay of ${address} has an MTU of ${mtu}: less than 1280 octets are left for IPv6 inside`);
  }
  if (!features.vnetHdr) warnings.push("the kernel has no vnet_hdr on TAP devices: checksums are computed twice");
  if (!features.tunGetDevNetns && link.kind === "kernel") {
    warnings.push("the kernel has no TUNGETDEVNETNS: a device that is moved away is not noticed");
  }
  return {
    underlay,
    vxlanPort: options.vxlanPort,
    workers: options.workers,
    abi: ABI_HASH.toString(16).padStart(8, "0"),
    memoryBytes: memory.plan.bytes,
    features,
    socketBuffers: buffers,
    warnings,
  };
}
