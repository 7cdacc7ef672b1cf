/**
 * A switch without any I/O: its memory, one network with one port and one VTEP, frames put into slots by hand.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
  createMemory,
  elementAddress,
  instantiate,
  type SwitchExports,
  type SwitchMemory,
  Tables,
  type WasmMemory,
  type WasmModule,
} from "@weft/dataplane-wasm";
import { ENUM, LIMIT, offsetOf, type RegionName } from "@weft/dataplane-wasm/abi";
import type { Mac } from "./frames.js";

/** Further exports of test.wasm; see assembly/batches.ts. */
interface BatchExports {
  parseBatch(worker: number, n: number): void;
  lookupBatch(worker: number, network: number, macs: number, n: number, tick: number): number;
  learnBatch(
    worker: number,
    network: number,
    macs: number,
    n: number,
    owner: number,
    generation: number,
    tick: number,
  ): void;
  checksumBatch(address: number, length: number, n: number): number;
  encapBatch(worker: number, n: number, vtep: number): void;
  decapBatch(worker: number, n: number): number;
  copyBatch(slots: number, stride: number, to: number, length: number, n: number): void;
}

/** What TypeScript knows of WebAssembly only together with the browser's library. */
interface Wasm {
  readonly Module: new (code: Uint8Array) => WasmModule;
  readonly Memory: new (size: { initial: number; maximum: number; shared: true }) => WasmMemory;
}
const wasm = (globalThis as unknown as { WebAssembly: Wasm }).WebAssembly;

/** The optimised build with the batch functions: the code of release.wasm, compiled with the same flags. */
function loadModule(): WasmModule {
  const url = new URL(
    "../wasm/test.wasm",
    import.meta.resolve("@weft/dataplane-wasm/abi").replace("/abi/index.js", "/"),
  );
  try {
    return new wasm.Module(readFileSync(url));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    throw new Error(`bench: ${fileURLToPath(url)} is missing: run \`npm run build\``);
  }
}
let module: WasmModule | undefined;

/** The second worker never runs: its slots are room for lists. */
const SIZES = {
  workers: 2,
  networksMax: 4,
  portsMax: 16,
  vtepsMax: 16,
  routesMax: 64,
  fdbMax: 65_536,
  neighboursMax: 1024,
};
export const VNI = 42;
export const WORKER = 0;

export interface SwitchSpec {
  /** The port's own MAC. */
  readonly mac: Mac;
  /** IPv4 address of the only VTEP. */
  readonly vtep: readonly [number, number, number, number];
}

export class BenchSwitch {
  readonly exports: SwitchExports & BatchExports;
  readonly octets: Uint8Array;
  readonly network: number;
  readonly port: number;
  readonly vtep: number;
  readonly vtepGeneration: number;
  readonly #memory: SwitchMemory;
  readonly #view: DataView;
  readonly #tables: Tables;

  /** Builds the switch; its configuration is in force when this resolves. */
  static async open(spec: SwitchSpec): Promise<BenchSwitch> {
    const made = new BenchSwitch(spec);
    await made.#tables.publish();
    made.exports.begin(WORKER);
    return made;
  }

  private constructor(spec: SwitchSpec) {
    module ??= loadModule();
    const scratch = new wasm.Memory({ initial: 16, maximum: 16, shared: true });
    this.#memory = createMemory(instantiate(module, scratch).heapBase() >>> 0, SIZES, Buffer.from("weftweft"));
    this.exports = instantiate(module, this.#memory.memory) as SwitchExports & BatchExports;
    this.octets = new Uint8Array(this.#memory.memory.buffer);
    this.#view = new DataView(this.#memory.memory.buffer);
    this.#tables = new Tables(this.#memory);
    const { GUARD_SPOOF, GUARD_RA, GUARD_DHCP } = ENUM.NETWORK;
    const guards = GUARD_SPOOF | GUARD_RA | GUARD_DHCP;
    const network = { flags: guards, vni: VNI, mtu: 1450, ageTicks: 293, bumRate: 0, bumBurst: 0, macsPerPort: 1024 };
    this.network = this.#have(this.#tables.addNetwork(network));
    const mac = [0, 0, Math.floor(spec.mac / 2 ** 32), spec.mac >>> 0] as const;
    this.port = this.#have(this.#tables.reservePort());
    this.#tables.addPort(this.port, { network: this.network, mac, mtu: 1450 });
    const [a, b, c, d] = spec.vtep;
    const address = [0, 0, 0xffff, ((a << 24) | (b << 16) | (c << 8) | d) >>> 0] as const;
    this.vtep = this.#have(this.#tables.addVtep({ network: this.network, address, family: 4, port: 4789 }));
    this.vtepGeneration = this.#have(this.#tables.vtepGeneration(this.vtep));
    this.exports.setup(WORKER);
  }

  #have<T>(value: T | undefined): T {
    if (value === undefined) throw new Error("bench: no room in the tables");
    return value;
  }
  at(region: RegionName, index = 0): number {
    return elementAddress(this.#memory, region, index, WORKER);
  }
  /** 8 MiB that no frame lies in. */
  get spare(): number {
    return elementAddress(this.#memory, "SLOTS", 0, WORKER + 1);
  }
  u32(address: number, struct: string, field: string): number {
    return this.#view.getUint32(address + offsetOf(struct, field), true);
  }
  #describe(index: number, off: number, length: number, source: number): number {
    const desc = this.at("RX_DESCS", index);
    this.#view.setUint32(desc + offsetOf("RxDesc", "off"), off, true);
    this.#view.setUint32(desc + offsetOf("RxDesc", "len"), length, true);
    this.#view.setUint32(desc + offsetOf("RxDesc", "source"), source, true);
    this.#view.setUint32(desc + offsetOf("RxDesc", "segLen"), 0, true);
    this.#view.setUint8(desc + offsetOf("RxDesc", "rxFlags"), 0);
    this.#view.setUint8(desc + offsetOf("RxDesc", "tos"), 0);
    return desc;
  }

  /** Puts virtio_net_hdr and frame into slot and descriptor `index`, as a read from the port does. */
  stageFrame(index: number, image: Uint8Array): void {
    const off = this.at("SLOTS", index) + LIMIT.HEADROOM - LIMIT.VNET_HDR_LEN;
    this.octets.set(image, off);
    this.#describe(index, off, image.length, this.port);
  }
  /** Puts a datagram from the VTEP into slot and descriptor `index`, as a receive does. */
  stageDatagram(index: number, payload: Uint8Array, from: readonly number[]): void {
    const off = this.at("SLOTS", index) + LIMIT.HEADROOM - LIMIT.VXLAN_LEN;
    this.octets.set(payload, off);
    const desc = this.#describe(index, off, payload.length, 0);
    const address = desc + offsetOf("RxDesc", "addr");
    this.octets.fill(0, address, address + 10);
    this.octets.set([255, 255, ...from], address + 10);
  }
  /** Waiting transmit operations. */
  get waiting(): number {
    return this.u32(this.at("WORKER"), "Worker", "txCount");
  }
  /** The octets of one waiting operation; a view, good until the next call. */
  operation(index: number): { readonly kind: number; readonly octets: Uint8Array } {
    const op = this.at("TX_OPS", index);
    const iov = this.at("IOVS", this.u32(op, "TxOp", "iovStart"));
    const off = this.u32(iov, "Iov", "off");
    const kind = this.#view.getUint8(op + offsetOf("TxOp", "kind"));
    return { kind, octets: this.octets.subarray(off, off + this.u32(iov, "Iov", "len")) };
  }
  /** Says that the kernel took operation `index`, as a send does. */
  answer(index: number, taken: number): void {
    this.#view.setInt32(this.at("TX_OPS", index) + offsetOf("TxOp", "result"), taken, true);
  }
}
