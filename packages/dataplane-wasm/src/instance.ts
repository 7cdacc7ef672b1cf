/**
 * Loads the switch module and lays out the memory it runs on.
 *
 * One memory is shared by all workers of one switch; each worker instantiates the same compiled module over it. The
 * memory describes itself (header and region table), so whoever has it needs nothing else.
 */
import { randomFillSync } from "node:crypto";
import { readFile } from "node:fs/promises";
import {
  ABI_HASH,
  ENUM,
  LIMIT,
  layout,
  MAGIC,
  type MemoryPlan,
  type MemorySizes,
  offsetOf,
  planMemory,
  REGION_TABLE,
  type RegionName,
  type RegionPlan,
  regionId,
  regions,
} from "../abi/index.js";
import { type WasmMemory, type WasmModule, wasm } from "./webassembly.js";

/** What the module exports. All arguments are u32; nothing is allocated and no clock is read. */
export interface SwitchExports {
  /** Identity of the ABI table the module was built from. */
  abiHash(): number;
  /** First octet behind the module's static data. */
  heapBase(): number;
  /** Fills the Worker record's addresses; once per worker. */
  setup(worker: number): void;
  /** Takes the configuration in force; start of every turn. */
  begin(worker: number): void;
  /** Lets go of the configuration; before sleeping. */
  park(worker: number): void;
  /** Judges receive descriptors first..first+n-1 read from ports. Returns how many were finished. */
  egress(worker: number, first: number, n: number, nowMs: number): number;
  /** The same for datagrams. */
  ingress(worker: number, first: number, n: number, nowMs: number): number;
  /** Counts the results of all transmit operations and empties the list. */
  complete(worker: number): void;
  /** Ages the next `buckets` FDB and neighbour buckets. Worker 0 only. */
  age(worker: number, buckets: number, nowMs: number): void;
  /** Removes what was learned of one MAC; `macHi` its first two octets, `macLo` the other four. */
  forget(worker: number, network: number, macHi: number, macLo: number): void;
  /** Removes learned entries of a network index, or all with 0xffffffff. */
  flush(worker: number, network: number): void;
}

/** A compiled module that fits this package's ABI table. */
export interface SwitchModule {
  readonly module: WasmModule;
  readonly heapBase: number;
}

/** One switch's memory and where its parts lie. Can be posted to worker threads. */
export interface SwitchMemory {
  readonly memory: WasmMemory;
  readonly plan: MemoryPlan;
}

/** Octets of a page of the system, or a part of one. */
const PAGE = 4096;

const loaded = new Map<string, Promise<SwitchModule>>();

/**
 * Reads and compiles the module once per process.
 *
 * @param build `debug` has assertions and names and is several times slower.
 * @throws Error when the module is missing or was built from another ABI table.
 */
export function loadModule(build: "release" | "debug" = "release"): Promise<SwitchModule> {
  let found = loaded.get(build);
  if (!found) {
    found = load(build);
    loaded.set(build, found);
    found.catch(() => loaded.delete(build));
  }
  return found;
}

async function load(build: string): Promise<SwitchModule> {
  // dist/src/instance.js → wasm/
  const file = new URL(`../../wasm/${build}.wasm`, import.meta.url);
  let code: Buffer;
  try {
    code = await readFile(file);
  } catch (cause) {
    throw new Error(`weft: the switch module wasm/${build}.wasm is missing: run \`npm run build\``, { cause });
  }
  const module = await wasm.compile(code);
  const scratch = new wasm.Memory({ initial: 16, maximum: 16, shared: true });
  const exports = instantiate(module, scratch);
  const hash = typeof exports.abiHash === "function" ? exports.abiHash() >>> 0 : 0;
  if (hash !== ABI_HASH) {
    throw new Error(
      `weft: wasm/${build}.wasm was built from another ABI table (${hash.toString(16)}, not ${ABI_HASH.toString(16)}): ` +
        "run `npm run build`",
    );
  }
  return { module, heapBase: exports.heapBase() >>> 0 };
}

/** Instantiates the module over a memory. Only static constants are written, all below heapBase. */
export function instantiate(module: WasmModule, memory: WasmMemory): SwitchExports {
  return new wasm.Instance(module, { env: { memory } }).exports as SwitchExports;
}

/** What the kernel takes in one call. */
export interface Offloads {
  /** Datagrams of one UDP_SEGMENT send, 1..128; 1: there is no UDP_SEGMENT. */
  readonly gsoSegments: number;
  /** TCP super-frames may be written to ports. */
  readonly coalesceTcp: boolean;
  /** UDP super-frames may be written to ports. */
  readonly coalesceUdp: boolean;
  /** Frames with an unfinished checksum may be written to ports: they have a virtio_net_hdr. */
  readonly vnetHdr: boolean;
}
const ALL_OFFLOADS: Offloads = { gsoSegments: 64, coalesceTcp: true, coalesceUdp: true, vnetHdr: true };

/**
 * Creates the memory of one switch and writes its header and region table.
 *
 * @param seed eight octets that the hashes are keyed with; random when absent (a fixed one makes a run repeatable).
 * @param offloads default: those of a kernel of 6.2 or later.
 * @throws RangeError when the sizes need more than 4 GiB, or the machine does not give that much address space.
 */
export function createMemory(
  heapBase: number,
  sizes: MemorySizes,
  seed?: Uint8Array,
  offloads: Offloads = ALL_OFFLOADS,
): SwitchMemory {
  const plan = planMemory(sizes, heapBase);
  const memory = allocate(plan);
  const view = new DataView(memory.buffer);
  const header = (field: string, value: number): void => view.setUint32(offsetOf("Header", field), value >>> 0, true);
  const secret = new DataView(new ArrayBuffer(8));
  if (seed) new Uint8Array(secret.buffer).set(seed.subarray(0, 8));
  else randomFillSync(new Uint8Array(secret.buffer));

  header("abiHash", ABI_HASH);
  header("memoryBytes", plan.bytes);
  header("regionCount", regions.length);
  header("workers", sizes.workers);
  header("generation", 0);
  header("hashSeedLo", secret.getUint32(0, true));
  header("hashSeedHi", secret.getUint32(4, true));
  header("fdbMax", sizes.fdbMax);
  header("neighbourMax", sizes.neighboursMax);
  header("gsoSegments", offloads.gsoSegments);
  header(
    "offloads",
    (offloads.coalesceTcp ? ENUM.OFFLOAD.TCP : 0) |
      (offloads.coalesceUdp ? ENUM.OFFLOAD.UDP : 0) |
      (offloads.vnetHdr ? ENUM.OFFLOAD.CHECKSUM : 0),
  );

  const entry = layout("Region").size;
  for (const region of Object.values(plan.regions)) {
    const at = REGION_TABLE + regionId(region.name) * entry;
    for (const field of ["base", "stride", "count", "perWorker", "perCopy"] as const) {
      view.setUint32(at + offsetOf("Region", field), region[field], true);
    }
  }
  for (let worker = 0; worker < sizes.workers; worker++) {
    // Until a worker has begun its first turn it holds no table.
    const at = address(plan.regions.WORKER, worker);
    view.setUint32(at + offsetOf("Worker", "generation"), LIMIT.GENERATION_PARKED, true);
    view.setUint32(at + offsetOf("Worker", "index"), worker, true);
  }
  touch(memory);
  // Last: whoever sees the magic sees the rest.
  header("magic", MAGIC);
  return { memory, plan };
}

/**
 * Takes all pages from the system now: a station more, or a larger batch than any before, is then neither a page fault on the
 * data path nor a process that grows.
 */
function touch({ buffer }: WasmMemory): void {
  const octets = new Uint8Array(buffer);
  for (let at = 0; at < octets.length; at += PAGE) octets[at] = octets[at] as number;
}

function allocate({ pages, bytes }: MemoryPlan): WasmMemory {
  try {
    return new wasm.Memory({ initial: pages, maximum: pages, shared: true });
  } catch (cause) {
    const size = Math.ceil(bytes / 2 ** 20);
    throw new RangeError(
      `weft: the system does not give ${size} MiB of memory for the switch: ask for smaller tables`,
      {
        cause,
      },
    );
  }
}

/** First octet of a worker's part of a region, or of its second copy. */
export function address(region: RegionPlan, worker = 0, copy = 0): number {
  return region.base + worker * region.perWorker + copy * region.perCopy;
}

/** Address of element `index` of a region. */
export function elementAddress(memory: SwitchMemory, region: RegionName, index: number, worker = 0, copy = 0): number {
  const plan = memory.plan.regions[region];
  return address(plan, worker, copy) + index * plan.stride;
}
