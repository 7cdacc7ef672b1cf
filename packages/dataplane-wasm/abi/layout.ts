/**
 * Layout computed from the ABI table: offsets, sizes, counter cells, and the plan of one memory.
 *
 * Everything here follows from `spec.ts`; a mistake in the table is an exception when this module loads.
 */
import { createHash } from "node:crypto";
import { counters, drops, enums, limits, regions, structs } from "./spec.js";

export type Plane = "egress" | "ingress";

export interface FieldLayout {
  readonly name: string;
  readonly type: string;
  readonly offset: number;
  readonly size: number;
  readonly doc: string;
}
export interface StructLayout {
  readonly name: string;
  readonly size: number;
  readonly doc: string;
  readonly fields: readonly FieldLayout[];
}

const SIZES: Record<string, number> = { u8: 1, u16: 2, u32: 4, i32: 4, u64: 8 };

/** Octets of a scalar type or of `octets:N`. */
export function sizeOf(type: string): number {
  const octets = /^octets:(\d+)$/.exec(type);
  if (octets) return Number(octets[1]);
  const struct = layouts.get(type);
  if (struct) return struct.size;
  const size = SIZES[type];
  if (size === undefined) throw new Error(`abi: unknown type ${type}`);
  return size;
}

const layouts = new Map<string, StructLayout>();
for (const [name, { doc, fields }] of Object.entries(structs)) {
  let offset = 0;
  const out: FieldLayout[] = [];
  for (const [field, type, fieldDoc] of fields) {
    const size = sizeOf(type);
    const align = type.startsWith("octets:") ? 1 : size;
    if (offset % align !== 0)
      throw new Error(`abi: ${name}.${field} at ${offset} is not aligned to ${align}: add a pad field`);
    out.push({ name: field, type, offset, size, doc: fieldDoc });
    offset += size;
  }
  if (offset % 8 !== 0) throw new Error(`abi: size of ${name} is ${offset}, not a multiple of 8: add a pad field`);
  layouts.set(name, { name, size: offset, doc, fields: out });
}

/** Layout of a struct of the table. */
export function layout(name: string): StructLayout {
  const found = layouts.get(name);
  if (!found) throw new Error(`abi: no struct ${name}`);
  return found;
}
/** All struct layouts in table order. */
export const allLayouts: readonly StructLayout[] = [...layouts.values()];

/** Octets from the start of a struct to one of its fields. */
export function offsetOf(struct: string, field: string): number {
  const found = layout(struct).fields.find((f) => f.name === field);
  if (!found) throw new Error(`abi: no field ${struct}.${field}`);
  return found.offset;
}

type LimitName = (typeof limits)[number][0];
/** Fixed limits by name. */
export const LIMIT = Object.fromEntries(limits.map(([n, v]) => [n, v])) as Record<LimitName, number>;

type Enums = typeof enums;
/** Enum values: `ENUM.KIND.VTEP`. */
export const ENUM = Object.fromEntries(
  Object.entries(enums).map(([group, rows]) => [group, Object.fromEntries(rows.map(([n, v]) => [n, v]))]),
) as { [G in keyof Enums]: { [R in Enums[G][number] as R[0]]: R[1] } };

export type DropReason = (typeof drops)[number][0];
export type CounterName = (typeof counters)[number][0];

const cells = new Map<string, number>();
let nextCell = 0;
for (const [name] of counters) cells.set(name, nextCell++);
/** First cell of the drop counters; cell = DROP_BASE + reason * 2 + plane. */
export const DROP_BASE = nextCell;
nextCell += drops.length * 2;
/** First cell of the histogram of frames per batch; cell = BATCH_BASE + plane * BATCH_BUCKETS + bucket. */
export const BATCH_BASE = nextCell;
nextCell += 2 * LIMIT.BATCH_BUCKETS;
/** First cell of the histogram of loop time. */
export const LOOP_BASE = nextCell;
nextCell += LIMIT.LOOP_BUCKETS;
/** u64 cells of one worker's counter block, rounded up to a cache line. */
export const COUNTER_CELLS = Math.ceil(nextCell / 8) * 8;

/** Cell of a plain counter. */
export function counterCell(name: CounterName): number {
  return cells.get(name) as number;
}
/** Cell of a drop counter, or undefined where the reason does not exist in that plane. */
export function dropCell(reason: DropReason, plane: Plane): number | undefined {
  const index = drops.findIndex(([n]) => n === reason);
  const row = drops[index];
  if (!row || (row[1] !== "both" && row[1] !== plane)) return undefined;
  return DROP_BASE + index * 2 + (plane === "egress" ? 0 : 1);
}
/** Every (plane, reason, help) that exists. */
export const dropRows: readonly { plane: Plane; reason: DropReason; help: string; cell: number }[] = (
  ["egress", "ingress"] as const
).flatMap((plane) =>
  drops.flatMap(([reason, , help]) => {
    const cell = dropCell(reason, plane);
    return cell === undefined ? [] : [{ plane, reason, help, cell }];
  }),
);

/** First 32 bits of SHA-256 over the table: the three readers compare it before they touch the memory. */
export const ABI_HASH = createHash("sha256")
  .update(JSON.stringify([limits, enums, structs, regions, drops, counters]))
  .digest()
  .readUInt32BE(0);
export const MAGIC = 0x5446_4557;
/** Octet of the first region table entry. */
export const REGION_TABLE = 64;

export type RegionName = (typeof regions)[number][0];
/** Position of a region in the region table. */
export function regionId(name: RegionName): number {
  return regions.findIndex(([n]) => n === name);
}
if (REGION_TABLE + regions.length * layout("Region").size > 1024)
  throw new Error("abi: region table passes octet 1024");

/** What a configuration decides about the memory. All are counts. */
export interface MemorySizes {
  /** Worker threads, 1..16. */
  readonly workers: number;
  /** Networks, 1..65535. */
  readonly networksMax: number;
  /** Local ports over all networks. */
  readonly portsMax: number;
  /** VTEPs over all networks. */
  readonly vtepsMax: number;
  /** Static MACs and prefixes over all networks. */
  readonly routesMax: number;
  /** Learned MACs over all networks, up to 1,048,576. */
  readonly fdbMax: number;
  /** IP addresses remembered from ARP and ND. */
  readonly neighboursMax: number;
  /** WireGuard peers; 0 (default): no WireGuard, and no memory for it. */
  readonly peersMax?: number;
  /** Conversations that each worker remembers; default 4096. */
  readonly talksMax?: number;
}

export interface RegionPlan {
  readonly name: RegionName;
  readonly base: number;
  readonly stride: number;
  readonly count: number;
  readonly perWorker: number;
  readonly perCopy: number;
}
export interface MemoryPlan {
  readonly sizes: MemorySizes;
  readonly bytes: number;
  readonly pages: number;
  readonly regions: Record<RegionName, RegionPlan>;
}

/** 64 KiB blocks of sealed messages: two batches, or one frame flooded to sixty peers. */
const SEALED_BLOCKS = 64;
/** Tunnel addresses of our own. */
const OWN_ADDRESSES = 8;
/** Prefixes in allowedIps and own tunnel addresses that there is room for. */
const prefixesMax = (peersMax: number): number =>
  peersMax > 0 ? LIMIT.PREFIXES_PER_PEER * peersMax + OWN_ADDRESSES : 0;

const pow2 = (n: number): number => 2 ** Math.ceil(Math.log2(Math.max(1, n)));

/**
 * Places every region for the given sizes. Regions start behind the module's own static data at `firstFree`
 * (its __heap_base), on 64 KiB borders.
 *
 * @throws RangeError when the whole passes 4 GiB.
 */
export function planMemory(sizes: MemorySizes, firstFree = 65_536): MemoryPlan {
  const { peersMax = 0, talksMax = 4096 } = sizes;
  const txMax = Math.max(2048, sizes.portsMax + sizes.vtepsMax + 256);
  const counts: Record<string, number> = {
    one: 1,
    networksMax: sizes.networksMax,
    portsMax: sizes.portsMax,
    vtepsMax: sizes.vtepsMax,
    // One cell in two stays free: probe runs stay short. Port MACs, VTEP addresses and VNIs live here too.
    routeCells: pow2(
      2 * (sizes.routesMax + sizes.portsMax + sizes.vtepsMax + sizes.networksMax + prefixesMax(peersMax)),
    ),
    peersMax: Math.max(1, peersMax),
    // The present session, the one before, one that the peer has started and one that we have.
    keysMax: Math.max(1, 4 * peersMax),
    puntsMax: peersMax > 0 ? LIMIT.PUNTS_MAX : 1,
    sealedMax: peersMax > 0 ? SEALED_BLOCKS : 1,
    fdbBuckets: pow2((2 * sizes.fdbMax) / LIMIT.FDB_CELLS),
    neighbourBuckets: pow2((2 * sizes.neighboursMax) / LIMIT.NEIGHBOUR_CELLS),
    talkBuckets: pow2(talksMax / LIMIT.TALK_CELLS),
    counterCells: COUNTER_CELLS,
    eventsMax: LIMIT.EVENTS_MAX,
    batchMax: LIMIT.BATCH_MAX,
    txMax,
    // Plain operations and segments, and behind them a fixed part for each join item.
    iovMax: 2 * (txMax + LIMIT.HEADERS_MAX) + LIMIT.ITEMS_MAX * LIMIT.ITEM_IOVS,
    headerMax: LIMIT.HEADERS_MAX,
    itemMax: LIMIT.ITEMS_MAX,
  };
  const align = (n: number, to: number): number => Math.ceil(n / to) * to;
  let next = align(Math.max(firstFree, 65_536), 65_536);
  const out = {} as Record<RegionName, RegionPlan>;
  for (const [name, type, kind, countName] of regions) {
    const stride = sizeOf(type);
    const count = counts[countName] as number;
    const part = align(stride * count, 4096);
    const perWorker = kind === "per worker" ? part : 0;
    const perCopy = kind === "double" ? part : 0;
    out[name] = { name, base: next, stride, count, perWorker, perCopy };
    next += part * (kind === "per worker" ? sizes.workers : kind === "double" ? 2 : 1);
    next = align(next, 4096);
  }
  const bytes = align(next, 65_536);
  if (bytes > 2 ** 32 - 65_536) {
    throw new RangeError(
      `weft: these sizes need ${(bytes / 2 ** 30).toFixed(1)} GiB of memory, at most 4 GiB is possible`,
    );
  }
  return { sizes, bytes, pages: bytes / 65_536, regions: out };
}
