/**
 * Reads what the workers write: counters, histograms, events and learned entries. Never writes but the event tail,
 * and never waits: a bucket that a worker holds is read again a few times, then left out.
 *
 * Counters have one writer each, so sums over workers are exact once the workers are between batches.
 */
import {
  BATCH_BASE,
  COUNTER_CELLS,
  type CounterName,
  counterCell,
  ENUM,
  LIMIT,
  LOOP_BASE,
  layout,
  offsetOf,
  type Plane,
} from "../abi/index.js";
import { address, elementAddress, type SwitchMemory } from "./instance.js";
import { macText } from "./mac-text.js";

/** A block of named u64 counters as numbers, exact below 2^53. */
export type Block = Readonly<Record<string, number>>;
export type CounterBlock = "PORT_COUNTERS" | "VTEP_COUNTERS" | "NETWORK_COUNTERS" | "PEER_COUNTERS";
const BLOCK_STRUCT = {
  PORT_COUNTERS: "PortCounters",
  VTEP_COUNTERS: "VtepCounters",
  NETWORK_COUNTERS: "NetworkCounters",
  PEER_COUNTERS: "PeerCounters",
};

export type SwitchEvent = EntryEvent | RefusedEvent | PeerEvent;
/** A learned MAC came, moved or went. */
export interface EntryEvent {
  readonly kind: "learned" | "moved" | "aged" | "evicted";
  readonly network: number;
  readonly mac: string;
  readonly owner: Owner;
  readonly previous: Owner;
}
/** VXLAN was dropped; a sample, at most one a second and worker. */
export interface RefusedEvent {
  readonly kind: "unknown_vtep" | "unknown_vni";
  /** unknown_vtep: network index; unknown_vni: the VNI. */
  readonly network: number;
  /** Four words of the outer source address, IPv4 mapped into IPv6. */
  readonly source: readonly [number, number, number, number];
}
/** Something about a WireGuard peer that the control plane has to act on. */
export interface PeerEvent {
  readonly kind: "roamed" | "no_session" | "key_used" | "key_worn";
  readonly peer: number;
  /** key_*: key slot, and the receiver index it had. */
  readonly slot: number;
  readonly receiver: number;
  /** roamed: outer source address and port, and the address of ours that was written to (all zero: not known). */
  readonly address: Words;
  readonly port: number;
  readonly local: Words;
}
/** Four words of an address, IPv4 mapped into IPv6. */
type Words = readonly [number, number, number, number];
/** What an entry points to. */
export interface Owner {
  readonly kind: number;
  readonly index: number;
}
export interface FdbRow {
  readonly network: number;
  readonly mac: string;
  readonly owner: Owner;
  readonly generation: number;
  /** Ticks since the MAC was last seen. */
  readonly ageTicks: number;
}
export interface NeighbourRow {
  readonly network: number;
  /** Four words of the address, IPv4 mapped into IPv6. */
  readonly address: readonly [number, number, number, number];
  readonly mac: string;
  readonly owner: Owner;
  readonly ageTicks: number;
}

const REFUSED_NAMES = new Map<number, RefusedEvent["kind"]>([
  [ENUM.EVENT.REFUSED_VTEP, "unknown_vtep"],
  [ENUM.EVENT.REFUSED_VNI, "unknown_vni"],
]);
const PEER_NAMES = new Map<number, PeerEvent["kind"]>([
  [ENUM.EVENT.ROAMED, "roamed"],
  [ENUM.EVENT.NO_SESSION, "no_session"],
  [ENUM.EVENT.KEY_USED, "key_used"],
  [ENUM.EVENT.KEY_WORN, "key_worn"],
]);
const EVENT_NAMES = new Map<number, EntryEvent["kind"]>([
  [ENUM.EVENT.LEARNED, "learned"],
  [ENUM.EVENT.MOVED, "moved"],
  [ENUM.EVENT.AGED, "aged"],
  [ENUM.EVENT.EVICTED, "evicted"],
]);
/** Looks at a bucket that is being written. */
const READ_TRIES = 1000;

const ownerOf = (word: number): Owner => ({ kind: word >>> 24, index: word & 0xff_ffff });
/** A word of octets in network order, read as little-endian. */
const swapped = (w: number): number => ((w << 24) | ((w & 0xff00) << 8) | ((w >>> 8) & 0xff00) | (w >>> 24)) >>> 0;

export class CounterReader {
  readonly #memory: SwitchMemory;
  readonly #workers: number;
  readonly #big: BigUint64Array;
  readonly #words: Int32Array;

  constructor(memory: SwitchMemory) {
    this.#memory = memory;
    this.#workers = memory.plan.sizes.workers;
    this.#big = new BigUint64Array(memory.memory.buffer);
    this.#words = new Int32Array(memory.memory.buffer);
  }

  /** One cell of one worker. */
  cell(worker: number, cell: number): number {
    return Number(Atomics.load(this.#big, (address(this.#memory.plan.regions.COUNTERS, worker) >> 3) + cell));
  }
  /** One cell summed over workers. */
  total(cell: number): number {
    let sum = 0;
    for (let worker = 0; worker < this.#workers; worker++) sum += this.cell(worker, cell);
    return sum;
  }
  counter(name: CounterName): number {
    return this.total(counterCell(name));
  }
  workerCounter(worker: number, name: CounterName): number {
    return this.cell(worker, counterCell(name));
  }
  /** All cells of one worker, in order. */
  cells(worker: number): number[] {
    return Array.from({ length: COUNTER_CELLS }, (_, i) => this.cell(worker, i));
  }

  /** A port's, VTEP's or network's counters summed over workers. Differences may be negative: sums are signed. */
  block(region: CounterBlock, index: number): Block {
    const out: Record<string, number> = {};
    for (const field of layout(BLOCK_STRUCT[region]).fields) {
      let sum = 0n;
      for (let worker = 0; worker < this.#workers; worker++) {
        sum += Atomics.load(this.#big, (elementAddress(this.#memory, region, index, worker) + field.offset) >>> 3);
      }
      out[field.name] = Number(BigInt.asIntN(64, sum));
    }
    return out;
  }

  /** Frames per batch: counts of the buckets ≤1, 2, 4 … 128, more. */
  batchBuckets(plane: Plane): number[] {
    const base = BATCH_BASE + (plane === "egress" ? 0 : LIMIT.BATCH_BUCKETS);
    return Array.from({ length: LIMIT.BATCH_BUCKETS }, (_, i) => this.total(base + i));
  }
  /** Loop time of one worker: counts of the buckets ≤1 µs, 2 µs … 16.4 ms, more. */
  loopBuckets(worker: number): number[] {
    return Array.from({ length: LIMIT.LOOP_BUCKETS }, (_, i) => this.cell(worker, LOOP_BASE + i));
  }

  /** Takes the events that the workers have written since the last call. */
  events(): SwitchEvent[] {
    const out: SwitchEvent[] = [];
    const words = this.#words;
    const at = (field: string): number => offsetOf("Event", field) >> 2;
    for (let worker = 0; worker < this.#workers; worker++) {
      const record = address(this.#memory.plan.regions.WORKER, worker);
      const headWord = (record + offsetOf("Worker", "eventHead")) >>> 2;
      const tailWord = (record + offsetOf("Worker", "eventTail")) >>> 2;
      const head = Atomics.load(words, headWord) >>> 0;
      let tail = Atomics.load(words, tailWord) >>> 0;
      for (; tail !== head; tail = (tail + 1) >>> 0) {
        const event = elementAddress(this.#memory, "EVENTS", tail & (LIMIT.EVENTS_MAX - 1), worker) >>> 2;
        const word = (field: string, more = 0): number => (words[event + at(field) + more] as number) >>> 0;
        const address = (field: string): Words => {
          const part = (i: number): number => swapped(word(field, i));
          return [part(0), part(1), part(2), part(3)];
        };
        const refused = REFUSED_NAMES.get(word("kind"));
        if (refused) {
          out.push({ kind: refused, network: word("network"), source: address("source") });
          continue;
        }
        const about = PEER_NAMES.get(word("kind"));
        if (about) {
          out.push({
            kind: about,
            peer: ownerOf(word("owner")).index,
            slot: word("previous"),
            receiver: word("network"),
            address: address("source"),
            port: word("port"),
            local: address("local"),
          });
          continue;
        }
        const kind = EVENT_NAMES.get(word("kind"));
        if (!kind) continue;
        out.push({
          kind,
          network: word("network"),
          mac: macText(word("mac", 1), word("mac")),
          owner: ownerOf(word("owner")),
          previous: ownerOf(word("previous")),
        });
      }
      Atomics.store(words, tailWord, tail | 0);
    }
    return out;
  }

  /** Learned MACs, of one network index or all. `nowMs` is the clock the workers are given. */
  fdb(nowMs: number, network?: number): FdbRow[] {
    const out: FdbRow[] = [];
    const tick = (nowMs >>> LIMIT.TICK_SHIFT) & 0xffff;
    const cell0 = offsetOf("FdbBucket", "key0") >> 2;
    this.#buckets("FDB", (w) => {
      for (let cell = 0; cell < LIMIT.FDB_CELLS; cell++) {
        const at = cell0 + 4 * cell;
        const [keyLo, keyHi, owner, stamp] = [w(at), w(at + 1), w(at + 2), w(at + 3)];
        if (keyLo === 0 && keyHi === 0) continue;
        if (network !== undefined && keyHi >>> 16 !== network) continue;
        out.push({
          network: keyHi >>> 16,
          mac: macText(keyHi, keyLo),
          owner: ownerOf(owner),
          generation: stamp & 0xffff,
          ageTicks: (tick - (stamp >>> 16)) & 0xffff,
        });
      }
    });
    return out;
  }

  /** Remembered IP addresses, of one network index or all. */
  neighbours(nowMs: number, network?: number): NeighbourRow[] {
    const out: NeighbourRow[] = [];
    const tick = (nowMs >>> LIMIT.TICK_SHIFT) & 0xffff;
    const cell0 = offsetOf("NeighbourBucket", "hi0") >> 2;
    this.#buckets("NEIGHBOURS", (w) => {
      for (let cell = 0; cell < LIMIT.NEIGHBOUR_CELLS; cell++) {
        const at = cell0 + 8 * cell;
        const [metaLo, metaHi] = [w(at + 6), w(at + 7)];
        if (metaLo === 0 && metaHi === 0) continue;
        const of = (metaLo & 0xffff) - 1;
        if (network !== undefined && of !== network) continue;
        out.push({
          network: of,
          address: [w(at + 1), w(at), w(at + 3), w(at + 2)],
          mac: macText(w(at + 5), w(at + 4)),
          owner: ownerOf(metaHi),
          ageTicks: (tick - (metaLo >>> 16)) & 0xffff,
        });
      }
    });
    return out;
  }

  /** Calls `read` with the words of a whole copy of every bucket that holds anything. */
  #buckets(region: "FDB" | "NEIGHBOURS", read: (word: (i: number) => number) => void): void {
    const { stride, count, base } = this.#memory.plan.regions[region];
    const words = this.#words;
    const length = stride >> 2;
    const copy = new Uint32Array(length);
    const word = (i: number): number => copy[i] as number;
    for (let i = 0; i < count; i++) {
      const at = (base + i * stride) >>> 2;
      for (let tries = 0; tries < READ_TRIES; tries++) {
        const before = Atomics.load(words, at);
        // Never written: most buckets of a quiet network.
        if (before === 0) break;
        if (before & 1) continue;
        for (let j = 1; j < length; j++) copy[j] = Atomics.load(words, at + j);
        if (Atomics.load(words, at) !== before) continue;
        read(word);
        break;
      }
    }
  }
}
