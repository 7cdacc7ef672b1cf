/**
 * One switch in a memory of its own, driven from a test: tables through the product's writers, frames into slots and
 * out of transmit operations by the simplest Io there can be.
 */
import { readFileSync } from "node:fs";
import {
  CounterReader,
  createMemory,
  elementAddress,
  instantiate,
  type MemorySizes,
  type NetworkRow,
  type PortRow,
  type SwitchExports,
  type SwitchMemory,
  type SwitchModule,
  Tables,
} from "@weft/dataplane-wasm";
import {
  type counterCell,
  dropRows,
  ENUM,
  LIMIT,
  layout,
  offsetOf,
  type Plane,
  REGION_TABLE,
  regionId,
} from "@weft/dataplane-wasm/abi";
import { ip, readVnetHdr, type VnetHdr, vnetHdr } from "../frames/build.js";

/** The exports that a plain JavaScript test needs from WebAssembly, whose types TypeScript ships for browsers only. */
interface Wasm {
  readonly Module: { new (code: Uint8Array): object; imports(m: object): unknown[]; exports(m: object): unknown[] };
  readonly Memory: new (size: {
    initial: number;
    maximum: number;
    shared: true;
  }) => { readonly buffer: SharedArrayBuffer };
}
export const wasm = (globalThis as unknown as { WebAssembly: Wasm }).WebAssembly;

export type Build = "release" | "debug" | "test";
/** Functions of assembly/testing.ts: u32 in and out as numbers (signed), u64 as BigInt. */
export type Inner = Record<string, (...args: (number | bigint)[]) => number> & Record<`u64${string}`, never>;

export function codeOf(build: Build): Uint8Array {
  return readFileSync(new URL(`../../packages/dataplane-wasm/wasm/${build}.wasm`, import.meta.url));
}
const modules = new Map<Build, SwitchModule>();
export function moduleOf(build: Build): SwitchModule {
  let found = modules.get(build);
  if (!found) {
    const module = new wasm.Module(codeOf(build));
    const scratch = new wasm.Memory({ initial: 16, maximum: 16, shared: true });
    found = { module, heapBase: instantiate(module, scratch as never).heapBase() >>> 0 };
    modules.set(build, found);
  }
  return found;
}

const { KIND, OP } = ENUM;
const SMALL: MemorySizes = {
  workers: 1,
  networksMax: 8,
  portsMax: 64,
  vtepsMax: 64,
  routesMax: 256,
  fdbMax: 4096,
  neighboursMax: 256,
};

/** MAC as the route key that Tables takes. */
export const macKey = (mac: number): readonly [number, number, number, number] => [
  0,
  0,
  Math.floor(mac / 2 ** 32),
  mac >>> 0,
];
/** Sixteen octets of an address, IPv4 mapped. */
export function mapped(text: string): Buffer {
  const octets = ip(text);
  return octets.length === 16 ? octets : Buffer.concat([Buffer.alloc(10), Buffer.from([255, 255]), octets]);
}
export function addressKey(text: string): readonly [number, number, number, number] {
  const octets = mapped(text);
  return [octets.readUInt32BE(0), octets.readUInt32BE(4), octets.readUInt32BE(8), octets.readUInt32BE(12)];
}

/** A transmit operation as a test sees it. */
export type Sent =
  | {
      readonly kind: "port";
      readonly port: number;
      readonly frame: Buffer;
      readonly vnet: VnetHdr;
      /** Frames in it, and their octets. */
      readonly segs: number;
      readonly bytes: number;
      readonly result: number;
    }
  | Datagrams<"vtep">
  /** To a WireGuard peer itself. */
  | Datagrams<"peer">;
interface Datagrams<Kind> {
  readonly kind: Kind;
  /** Index of either. */
  readonly vtep: number;
  readonly socket: number;
  readonly address: string;
  readonly udpPort: number;
  readonly tos: number;
  /** Sixteen octets of source address, hex; "": the kernel chooses. */
  readonly local: string;
  readonly payload: Buffer;
  /** UDP_SEGMENT; 0: the payload is one datagram. */
  readonly gsoSize: number;
  /** Frames in it, and octets of the inner frames. */
  readonly segs: number;
  readonly bytes: number;
  readonly result: number;
}
/** The datagrams that the kernel makes of an operation. */
export function datagramsOf({ payload, gsoSize }: { readonly payload: Buffer; readonly gsoSize: number }): Buffer[] {
  if (gsoSize === 0) return [payload];
  return Array.from({ length: Math.ceil(payload.length / gsoSize) }, (_, i) =>
    payload.subarray(i * gsoSize, (i + 1) * gsoSize),
  );
}
export interface FromPort {
  readonly port: number;
  readonly frame: Uint8Array;
  readonly vnet?: Partial<VnetHdr>;
  /** Octets received when not virtio_net_hdr and frame. */
  readonly raw?: Uint8Array;
}
export interface FromUnderlay {
  readonly address: string;
  readonly payload: Uint8Array;
  readonly tos?: number;
  readonly segLen?: number;
  readonly truncated?: boolean;
  /** It came to the WireGuard socket: outer source port, and the address that it was sent to. */
  readonly wireguard?: { readonly port: number; readonly local?: string };
}

export class Rig {
  readonly exports: SwitchExports;
  readonly inner: Inner;
  readonly switchMemory: SwitchMemory;
  readonly tables: Tables;
  readonly reader: CounterReader;
  readonly octets: Buffer;
  readonly view: DataView;
  /** Answers of the next transmit operations, as errno; 0 or missing: taken. */
  errno: (sent: Sent) => number = () => 0;
  /** Octets that the kernel takes of an operation when it takes fewer than there are. */
  taken: (sent: Sent) => number | undefined = () => undefined;
  /** How often egress or ingress stopped because the transmit region was full. */
  resumed = 0;

  /** @param txMax transmit operations there is room for, when not as planned. */
  constructor(build: Build, sizes: Partial<MemorySizes> = {}, txMax?: number, seed = 1) {
    const { module, heapBase } = moduleOf(build);
    const secret = Buffer.alloc(8, seed);
    this.switchMemory = createMemory(heapBase, { ...SMALL, ...sizes }, secret);
    const { buffer } = this.switchMemory.memory;
    this.octets = Buffer.from(buffer);
    this.view = new DataView(buffer);
    if (txMax !== undefined) {
      const region = REGION_TABLE + regionId("TX_OPS") * layout("Region").size;
      this.view.setUint32(region + offsetOf("Region", "count"), txMax, true);
    }
    this.features(1, 0);
    this.exports = instantiate(module, this.switchMemory.memory);
    this.inner = this.exports as unknown as Inner;
    this.tables = new Tables(this.switchMemory);
    this.reader = new CounterReader(this.switchMemory);
    for (let worker = 0; worker < this.switchMemory.plan.sizes.workers; worker++) this.exports.setup(worker);
  }

  /**
   * What the kernel can do: datagrams in one UDP_SEGMENT send (1: none), super-frames that the ports' devices take as OFFLOAD
   * bits, and whether they have a virtio_net_hdr.
   */
  features(gsoSegments: number, offloads: number, vnetHdr = true): this {
    this.setField("Header", "gsoSegments", 0, gsoSegments);
    this.setField("Header", "offloads", 0, offloads | (vnetHdr ? ENUM.OFFLOAD.CHECKSUM : 0));
    return this;
  }

  network(row: Partial<NetworkRow> = {}): number {
    const { GUARD_SPOOF, GUARD_RA, GUARD_DHCP } = ENUM.NETWORK;
    const index = this.tables.addNetwork({
      flags: GUARD_SPOOF | GUARD_RA | GUARD_DHCP,
      vni: 42,
      mtu: 1450,
      ageTicks: 293,
      bumRate: 0,
      bumBurst: 0,
      macsPerPort: 1024,
      ...row,
    });
    if (index === undefined) throw new Error("no room for a network");
    return index;
  }
  port(network: number, mac: number, more: Partial<PortRow> = {}): number {
    const index = this.tables.reservePort();
    if (index === undefined) throw new Error("no room for a port");
    this.tables.addPort(index, { network, mac: macKey(mac), mtu: 1450, ...more });
    return index;
  }
  vtep(network: number, address: string, port = 4789): number {
    const index = this.tables.addVtep({
      network,
      address: addressKey(address),
      family: address.includes(":") ? 6 : 4,
      port,
    });
    if (index === undefined) throw new Error("no room for a VTEP");
    return index;
  }
  /** Puts everything changed so far in force. */
  async commit(): Promise<void> {
    const { workers } = this.switchMemory.plan.sizes;
    for (let worker = 0; worker < workers; worker++) this.exports.park(worker);
    await this.tables.publish();
    for (let worker = 0; worker < workers; worker++) this.exports.begin(worker);
  }

  address(region: Parameters<typeof elementAddress>[1], index = 0, worker = 0): number {
    return elementAddress(this.switchMemory, region, index, worker);
  }
  field(struct: string, field: string, base: number): number {
    const found = layout(struct).fields.find((f) => f.name === field);
    if (!found) throw new Error(`no field ${struct}.${field}`);
    const at = base + found.offset;
    return found.size === 1
      ? this.view.getUint8(at)
      : found.size === 2
        ? this.view.getUint16(at, true)
        : this.view.getUint32(at, true);
  }
  setField(struct: string, field: string, base: number, value: number): void {
    const found = layout(struct).fields.find((f) => f.name === field);
    if (!found) throw new Error(`no field ${struct}.${field}`);
    const at = base + found.offset;
    if (found.size === 1) this.view.setUint8(at, value);
    else if (found.size === 2) this.view.setUint16(at, value, true);
    else this.view.setUint32(at, value >>> 0, true);
  }

  #load(index: number, octets: Uint8Array, offset: number, worker: number): number {
    const slot = this.address("SLOTS", index, worker);
    const desc = this.address("RX_DESCS", index, worker);
    this.octets.fill(0xa5, desc, desc + layout("RxDesc").size);
    this.octets.set(octets, slot + offset);
    this.setField("RxDesc", "off", desc, slot + offset);
    this.setField("RxDesc", "len", desc, octets.length);
    this.setField("RxDesc", "segLen", desc, 0);
    this.setField("RxDesc", "rxFlags", desc, 0);
    return desc;
  }

  /** Frames from ports, one batch. */
  egress(frames: readonly FromPort[], nowMs = 1000, worker = 0): Sent[] {
    frames.forEach(({ port, frame, vnet = {}, raw }, i) => {
      const octets = raw ?? Buffer.concat([vnetHdr(vnet), frame]);
      const desc = this.#load(i, octets, LIMIT.HEADROOM - LIMIT.VNET_HDR_LEN, worker);
      this.setField("RxDesc", "source", desc, port);
    });
    return this.#run("egress", frames.length, nowMs, worker);
  }
  /** Datagrams from the underlay, one batch. */
  ingress(datagrams: readonly FromUnderlay[], nowMs = 1000, worker = 0): Sent[] {
    datagrams.forEach(({ address, payload, tos = 0, segLen = 0, truncated = false, wireguard }, i) => {
      const desc = this.#load(i, payload, LIMIT.HEADROOM - LIMIT.VXLAN_LEN, worker);
      this.setField(
        "RxDesc",
        "source",
        desc,
        (address.includes(":") ? 1 : 0) + (wireguard ? ENUM.RECEIVER.WIREGUARD4 : 0),
      );
      if (wireguard) {
        this.setField("RxDesc", "addrPort", desc, wireguard.port);
        this.octets.set(mapped(wireguard.local ?? "::"), desc + offsetOf("RxDesc", "local"));
      }
      this.setField("RxDesc", "segLen", desc, segLen);
      this.setField("RxDesc", "tos", desc, tos);
      this.setField("RxDesc", "rxFlags", desc, truncated ? ENUM.RX.TRUNCATED : 0);
      this.octets.set(mapped(address), desc + offsetOf("RxDesc", "addr"));
    });
    return this.#run("ingress", datagrams.length, nowMs, worker);
  }

  #run(plane: Plane, n: number, nowMs: number, worker: number): Sent[] {
    const out: Sent[] = [];
    for (let k = 0; k < n; ) {
      const done = this.exports[plane](worker, k, n - k, nowMs);
      const sent = this.#take(worker);
      if (done < n - k) {
        if (sent.length === 0) throw new Error(`${plane} made no progress`);
        this.resumed++;
      }
      out.push(...sent);
      this.exports.complete(worker);
      k += done;
    }
    return out;
  }

  /** True when the octets lie in one slot or one header area of the worker. */
  #isOwn(off: number, len: number, worker: number): boolean {
    const { stride, count } = this.switchMemory.plan.regions.SEALED;
    const sealed = off - this.address("SEALED", 0, worker);
    if (sealed >= 0 && sealed + len <= stride * count) return true;
    return (["SLOTS", "HEADERS"] as const).some((name) => {
      const { stride, count } = this.switchMemory.plan.regions[name];
      const at = off - this.address(name, 0, worker);
      return at >= 0 && at < stride * count && (at % stride) + len <= stride;
    });
  }

  /** Copies the waiting operations and answers them. */
  #take(worker: number): Sent[] {
    const record = this.address("WORKER", 0, worker);
    const count = this.field("Worker", "txCount", record);
    return Array.from({ length: count }, (_, i) => {
      const op = this.address("TX_OPS", i, worker);
      const field = (name: string): number => this.field("TxOp", name, op);
      const iovs = Array.from({ length: field("iovCount") }, (_, j) => {
        const iov = this.address("IOVS", field("iovStart") + j, worker);
        const off = this.field("Iov", "off", iov);
        const len = this.field("Iov", "len", iov);
        if (!this.#isOwn(off, len, worker)) throw new Error(`piece ${off}+${len} is in no slot and no header area`);
        return Buffer.from(this.octets.subarray(off, off + len));
      });
      const octets = Buffer.concat(iovs);
      const at = (name: string, len: number): Buffer =>
        Buffer.from(this.octets.subarray(op + offsetOf("TxOp", name)).subarray(0, len));
      const owner = field("owner");
      const isTap = field("kind") === OP.TAP;
      if (!isTap && field("kind") !== OP.UDP) throw new Error(`operation of kind ${field("kind")}`);
      const kinds: readonly number[] = isTap ? [KIND.PORT] : [KIND.VTEP, KIND.L3PEER];
      if (!kinds.includes(owner >>> 24)) throw new Error(`operation counted for ${owner.toString(16)}`);
      const common = { segs: field("segs"), bytes: field("bytes"), result: 0 };
      const sent: Sent = isTap
        ? { kind: "port", port: field("dest"), frame: octets, vnet: readVnetHdr(at("vnetHdr", 10)), ...common }
        : {
            kind: owner >>> 24 === KIND.VTEP ? "vtep" : "peer",
            vtep: owner & 0xff_ffff,
            socket: field("dest"),
            address: at("addr", 16).toString("hex"),
            udpPort: field("port"),
            tos: field("tos"),
            local: field("local") === 0 ? "" : this.octets.toString("hex", field("local"), field("local") + 16),
            payload: octets,
            gsoSize: field("gsoSize"),
            ...common,
          };
      const errno = this.errno(sent);
      const result = errno === 0 ? (this.taken(sent) ?? octets.length) : -errno;
      this.view.setInt32(op + offsetOf("TxOp", "result"), result, true);
      return { ...sent, result };
    });
  }

  counter(name: Parameters<typeof counterCell>[0]): number {
    return this.reader.counter(name);
  }
  /** Drops that are not zero, `plane/reason`. */
  drops(): Record<string, number> {
    const rows = dropRows.map(({ plane, reason, cell }) => [`${plane}/${reason}`, this.reader.total(cell)] as const);
    return Object.fromEntries(rows.filter(([, n]) => n !== 0));
  }
  /** in + made − out − consumed − merged − Σ drops of a plane: 0 when the law of the data path holds. */
  missing(plane: Plane): number {
    const lost = dropRows
      .filter((row) => row.plane === plane)
      .reduce((sum, { cell }) => sum + this.reader.total(cell), 0);
    const c = (name: string): number => this.counter(`${name}_${plane}` as Parameters<typeof counterCell>[0]);
    return c("in") + c("made") - c("out") - c("consumed") - c("merged") - lost;
  }
}
