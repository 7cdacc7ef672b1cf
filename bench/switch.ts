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
  sealBatch(key: number, from: number, to: number, length: number, n: number): void;
  aeadSealRun(
    key: number,
    counter: bigint,
    at: number,
    stride: number,
    count: number,
    length: number,
    lastLength: number,
  ): void;
  openBatch(key: number, from: number, to: number, length: number, n: number): number;
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

/** The last worker never runs: its slots are room for lists. */
const SIZES = {
  workers: 3,
  networksMax: 4,
  portsMax: 16,
  vtepsMax: 16,
  routesMax: 64,
  fdbMax: 65_536,
  neighboursMax: 1024,
};
export const VNI = 42;

export interface SwitchSpec {
  /** The port's own MAC. */
  readonly mac: Mac;
  /** IPv4 address of the only VTEP. */
  readonly vtep: readonly [number, number, number, number];
}

/** A built switch as another thread needs it to work on the same tables. Can be posted. */
export interface SharedSwitch {
  readonly module: WasmModule;
  readonly memory: SwitchMemory;
  readonly network: number;
  readonly port: number;
  readonly vtep: number;
  readonly vtepGeneration: number;
}

const have = <T>(value: T | undefined): T => {
  if (value === undefined) throw new Error("bench: no room in the tables");
  return value;
};

/** One worker's instance over the memory of one switch. */
export class BenchSwitch {
  readonly exports: SwitchExports & BatchExports;
  readonly octets: Uint8Array;
  readonly shared: SharedSwitch;
  readonly worker: number;
  readonly #view: DataView;

  /** Builds a switch; its configuration is in force when this resolves. */
  static async open(spec: SwitchSpec): Promise<BenchSwitch> {
    module ??= loadModule();
    const scratch = new wasm.Memory({ initial: 16, maximum: 16, shared: true });
    const memory = createMemory(instantiate(module, scratch).heapBase() >>> 0, SIZES, Buffer.from("weftweft"));
    const tables = new Tables(memory);
    const { GUARD_SPOOF, GUARD_RA, GUARD_DHCP } = ENUM.NETWORK;
    const flags = GUARD_SPOOF | GUARD_RA | GUARD_DHCP;
    const network = have(
      tables.addNetwork({ flags, vni: VNI, mtu: 1450, ageTicks: 293, bumRate: 0, bumBurst: 0, macsPerPort: 1024 }),
    );
    const mac = [0, 0, Math.floor(spec.mac / 2 ** 32), spec.mac >>> 0] as const;
    const port = have(tables.reservePort());
    tables.addPort(port, { network, mac, mtu: 1450 });
    const [a, b, c, d] = spec.vtep;
    const address = [0, 0, 0xffff, ((a << 24) | (b << 16) | (c << 8) | d) >>> 0] as const;
    const vtep = have(tables.addVtep({ network, address, family: 4, port: 4789 }));
    const vtepGeneration = have(tables.vtepGeneration(vtep));
    await tables.publish();
    return new BenchSwitch({ module, memory, network, port, vtep, vtepGeneration }, 0);
  }

  /**
   * A further worker of a switch, on any thread.
   * @param worker 0 or 1; no two instances may be the same worker at once
   */
  constructor(shared: SharedSwitch, worker: number) {
    this.shared = shared;
    this.worker = worker;
    const { memory } = shared.memory;
    this.exports = instantiate(shared.module, memory) as SwitchExports & BatchExports;
    this.octets = new Uint8Array(memory.buffer);
    this.#view = new DataView(memory.buffer);
    this.exports.setup(worker);
    this.exports.begin(worker);
  }

  at(region: RegionName, index = 0): number {
    return elementAddress(this.shared.memory, region, index, this.worker);
  }
  /** 8 MiB that no frame lies in. */
  get spare(): number {
    return elementAddress(this.shared.memory, "SLOTS", 0, SIZES.workers - 1);
  }
  u32(address: number, struct: string, field: string): number {
    return this.#view.getUint32(address + offsetOf(struct, field), true);
  }
  #describe(index: number, off: number, length: number, source: number, segment = 0): number {
    const desc = this.at("RX_DESCS", index);
    this.#view.setUint32(desc + offsetOf("RxDesc", "off"), off, true);
    this.#view.setUint32(desc + offsetOf("RxDesc", "len"), length, true);
    this.#view.setUint32(desc + offsetOf("RxDesc", "source"), source, true);
    this.#view.setUint32(desc + offsetOf("RxDesc", "segLen"), segment, true);
    this.#view.setUint8(desc + offsetOf("RxDesc", "rxFlags"), 0);
    this.#view.setUint8(desc + offsetOf("RxDesc", "tos"), 0);
    return desc;
  }

  /** Puts virtio_net_hdr and frame into slot and descriptor `index`, as a read from the port does. */
  stageFrame(index: number, image: Uint8Array): void {
    const off = this.at("SLOTS", index) + LIMIT.HEADROOM - LIMIT.VNET_HDR_LEN;
    this.octets.set(image, off);
    this.#describe(index, off, image.length, this.shared.port);
  }
  /**
   * Puts a datagram from the VTEP into slot and descriptor `index`, as a receive does.
   * @param pieces what it consists of, one after the other
   * @param segment octets of each datagram, where the kernel has joined several (UDP_GRO); 0 for one
   */
  stageDatagram(index: number, pieces: readonly Uint8Array[], from: readonly number[], segment = 0): void {
    const off = this.at("SLOTS", index) + LIMIT.HEADROOM - LIMIT.VXLAN_LEN;
    let end = off;
    for (const piece of pieces) {
      this.octets.set(piece, end);
      end += piece.length;
    }
    const desc = this.#describe(index, off, end - off, 0, segment);
    const address = desc + offsetOf("RxDesc", "addr");
    this.octets.fill(0, address, address + 10);
    this.octets.set([255, 255, ...from], address + 10);
  }
  /** Waiting transmit operations. */
  get waiting(): number {
    return this.u32(this.at("WORKER"), "Worker", "txCount");
  }
  /** The octets of one waiting operation: views, good until the next call. */
  operation(index: number): Operation {
    const op = this.at("TX_OPS", index);
    const first = this.u32(op, "TxOp", "iovStart");
    const count = this.#view.getUint16(op + offsetOf("TxOp", "iovCount"), true);
    const pieces: Uint8Array[] = [];
    let length = 0;
    for (let i = first; i < first + count; i++) {
      const iov = this.at("IOVS", i);
      const off = this.u32(iov, "Iov", "off");
      const end = off + this.u32(iov, "Iov", "len");
      pieces.push(this.octets.subarray(off, end));
      length += end - off;
    }
    const frames = this.#view.getUint16(op + offsetOf("TxOp", "segs"), true);
    const segment = this.#view.getUint16(op + offsetOf("TxOp", "gsoSize"), true);
    return { pieces, length, frames, segment };
  }
  /** Says that the kernel took operation `index`, as a send does. */
  answer(index: number, taken: number): void {
    this.#view.setInt32(this.at("TX_OPS", index) + offsetOf("TxOp", "result"), taken, true);
  }
}

/** What egress or ingress wants sent in one system call. */
export interface Operation {
  readonly pieces: readonly Uint8Array[];
  /** Octets of all pieces. */
  readonly length: number;
  readonly frames: number;
  /** UDP_SEGMENT: octets of each datagram but the last; 0: one datagram. */
  readonly segment: number;
}
