/** What the parts of one Dataplane share. Wired by dataplane.ts; knows nobody. */
import { EventEmitter } from "node:events";
import {
  type Block,
  CounterReader,
  type Owner,
  routedRows,
  type SwitchMemory,
  Tables,
  Talks,
} from "@weft/dataplane-wasm";
import { ENUM } from "@weft/dataplane-wasm/abi";
import type { Link } from "@weft/tun";
import type { WorkerHost } from "./host.js";
import type { Network } from "./network.js";
import type { Options } from "./options.js";
import type { Port } from "./port.js";
import type { Sockets } from "./sockets.js";
import type { Tunnel } from "./tunnel.js";
import type { DataplaneEvent, DataplaneInfo } from "./types.js";

export class Core {
  readonly link: Link;
  readonly options: Options;
  readonly tables: Tables;
  readonly reader: CounterReader;
  readonly talks: Talks;
  readonly memory: SwitchMemory;
  readonly sockets: Sockets;
  readonly hosts: WorkerHost[] = [];
  readonly emitter = new EventEmitter();
  /** WireGuard; undefined: none. */
  tunnel: Tunnel | undefined;
  /** Networks by name, and by index. */
  readonly networks = new Map<string, Network>();
  readonly networkAt = new Map<number, Network>();
  /** Ports by id, and by index. One that is being removed is in the second only. */
  readonly ports = new Map<string, Port>();
  readonly portAt = new Map<number, Port>();
  /** Names of ports and VTEPs by KIND << 24 | index; the last user of an index stays until the next. */
  readonly #names = new Map<number, string>();
  /** Counters of a VTEP's index when the VTEP took it. */
  readonly vtepBefore = new Map<number, Block>();
  readonly networkBefore = new Map<number, Block>();
  underlay: DataplaneInfo["underlay"] = [];
  /** Frames that rings of ports lost that are gone. */
  ringDropsBefore = 0;
  closed = false;

  constructor(link: Link, options: Options, memory: SwitchMemory, sockets: Sockets) {
    this.link = link;
    this.options = options;
    this.memory = memory;
    this.tables = new Tables(memory);
    this.reader = new CounterReader(memory);
    this.talks = new Talks(memory);
    this.sockets = sockets;
  }

  emit(event: DataplaneEvent): void {
    this.emitter.emit("event", event);
  }

  name(kind: number, index: number, name: string): void {
    this.#names.set((kind << 24) | index, name);
  }
  /** Name of the port or VTEP that an entry points to. */
  nameOf(owner: Owner): string {
    if (owner.kind === ENUM.KIND.BLACKHOLE) return "blackhole";
    return this.#names.get((owner.kind << 24) | owner.index) ?? "unknown";
  }

  /** What is taken of the room for routes (routesMax). */
  routesUsed(): number {
    let sum = 0;
    for (const { routes, bindings } of this.networks.values()) sum += routes.size + bindings.size;
    for (const { routed } of [...this.portAt.values()].map((p) => p.wanted)) if (routed) sum += routedRows(routed);
    return sum;
  }

  /** Reads the underlay interfaces anew: MTUs may have changed. */
  readUnderlay(): void {
    this.underlay = this.options.underlay.map(({ family, text: address }) => {
      const found = this.link.underlayInterface(address);
      return { address, family, interface: found?.name ?? null, mtu: found?.mtu ?? 1500 };
    });
  }
}

/** A method was called after close() or park(). */
export function closedError(): Error {
  return Object.assign(new Error("the data plane is closed"), { code: "ERR_CLOSED" });
}
