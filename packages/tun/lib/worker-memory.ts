/**
 * One worker's part of the shared memory for TypeScript: what memory.c is for the addon, with the same checks.
 */
import {
  ABI_HASH,
  type CounterName,
  counterCell,
  LIMIT,
  LOOP_BASE,
  layout,
  MAGIC,
  offsetOf,
  REGION_TABLE,
  type RegionName,
  regionId,
} from "@weft/dataplane-wasm/abi";
import { createSystemError, ERRNO } from "./errors.js";

/** Field offsets, looked up once. */
const RX = {
  size: layout("RxDesc").size,
  off: offsetOf("RxDesc", "off"),
  len: offsetOf("RxDesc", "len"),
  source: offsetOf("RxDesc", "source"),
  segLen: offsetOf("RxDesc", "segLen"),
  addr: offsetOf("RxDesc", "addr"),
  addrPort: offsetOf("RxDesc", "addrPort"),
  tos: offsetOf("RxDesc", "tos"),
  rxFlags: offsetOf("RxDesc", "rxFlags"),
  /** End of what the receiver writes. */
  end: offsetOf("RxDesc", "frame"),
  /** Behind that end: WireGuard's datagrams only. */
  local: offsetOf("RxDesc", "local"),
};
const TX = {
  size: layout("TxOp").size,
  kind: offsetOf("TxOp", "kind"),
  tos: offsetOf("TxOp", "tos"),
  dest: offsetOf("TxOp", "dest"),
  iovStart: offsetOf("TxOp", "iovStart"),
  iovCount: offsetOf("TxOp", "iovCount"),
  gsoSize: offsetOf("TxOp", "gsoSize"),
  addr: offsetOf("TxOp", "addr"),
  port: offsetOf("TxOp", "port"),
  family: offsetOf("TxOp", "family"),
  result: offsetOf("TxOp", "result"),
  vnetHdr: offsetOf("TxOp", "vnetHdr"),
  local: offsetOf("TxOp", "local"),
};
const IOV_SIZE = layout("Iov").size;

/** What a receive descriptor says beside where the octets are. UDP only, except `source`. */
export interface Received {
  readonly source: number;
  readonly segLen?: number;
  /** 16 octets, IPv4 as ::ffff:a.b.c.d. */
  readonly addr?: Uint8Array;
  readonly addrPort?: number;
  readonly tos?: number;
  readonly rxFlags?: number;
  /** 16 octets: the address of ours that it was sent to; all 0 when it is not known. Not given: left as it was. */
  readonly local?: Uint8Array;
}

/** A transmit operation, its octets not yet gathered. */
export interface Operation {
  readonly kind: number;
  readonly tos: number;
  readonly dest: number;
  readonly gsoSize: number;
  readonly addr: Uint8Array;
  readonly port: number;
  readonly family: number;
  readonly vnetHdr: Uint8Array;
  /** Where the 16 octets of the source address lie; 0: the sender chooses. */
  readonly local: number;
}

export class WorkerMemory {
  readonly txMax: number;
  readonly portsMax: number;
  /** Datagrams one UDP_SEGMENT send takes, as the header says; 0: it says nothing. */
  readonly gsoSegments: number;
  readonly #octets: Uint8Array;
  readonly #view: DataView;
  readonly #counters: BigUint64Array;
  readonly #record: number;
  readonly #rxDescs: number;
  readonly #txOps: number;
  readonly #iovs: number;
  readonly #iovMax: number;
  readonly #slots: number;

  /** @throws EINVAL when the memory was not laid out for this version */
  constructor(memory: Uint8Array, worker: number) {
    this.#octets = memory;
    this.#view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
    const refuse = (why: string): Error =>
      createSystemError(
        "EINVAL",
        ERRNO.EINVAL as number,
        "createIo",
        `worker ${worker} cannot use the shared memory (EINVAL, createIo, ${why})`,
      );
    const word = (field: string): number => this.#view.getUint32(offsetOf("Header", field), true);
    if (memory.length < 1024) throw refuse("it is too small");
    if (word("magic") !== MAGIC)
      throw refuse("it does not start with a weft header: the memory has to be laid out first");
    if (word("abiHash") !== ABI_HASH)
      throw refuse("it was laid out by another version (ABI hash differs): rebuild all packages of one version");
    if (worker >= word("workers")) throw refuse("it has no such worker");

    const region = (name: RegionName): { base: number; count: number } => {
      const at = REGION_TABLE + regionId(name) * layout("Region").size;
      const field = (f: string): number => this.#view.getUint32(at + offsetOf("Region", f), true);
      const base = field("base") + worker * field("perWorker");
      const count = field("count");
      if (base + count * field("stride") > memory.length) throw refuse("a region lies outside of it");
      return { base, count };
    };
    const counters = region("COUNTERS");
    this.#counters = new BigUint64Array(memory.buffer, memory.byteOffset + counters.base, counters.count);
    this.#record = region("WORKER").base;
    this.#rxDescs = region("RX_DESCS").base;
    ({ base: this.#txOps, count: this.txMax } = region("TX_OPS"));
    ({ base: this.#iovs, count: this.#iovMax } = region("IOVS"));
    this.#slots = region("SLOTS").base;
    this.portsMax = region("PORTS").count;
    this.gsoSegments = word("gsoSegments");
  }

  /** Adds one to a counter cell. */
  countUp(name: CounterName): void {
    this.#add(counterCell(name), 1n);
  }

  /** Counts the time between two polls, as count_loop() of io.c does. */
  countLoop(ns: number): void {
    const us = Math.ceil(ns / 1000);
    const bucket = us <= 1 ? 0 : Math.min(LIMIT.LOOP_BUCKETS - 1, 32 - Math.clz32(us - 1));
    this.#add(LOOP_BASE + bucket, 1n);
    this.#add(counterCell("loops"), 1n);
    this.#add(counterCell("loop_ns"), BigInt(Math.round(ns)));
  }

  #add(cell: number, by: bigint): void {
    Atomics.store(this.#counters, cell, (this.#counters[cell] as bigint) + by);
  }

  setClock(ms: number): void {
    this.#view.setUint32(this.#record + offsetOf("Worker", "clockMs"), ms >>> 0, true);
  }

  /**
   * Puts octets into a slot, `start` octets in, and fills its descriptor.
   * Octets beyond the slot are cut off, and the descriptor says so.
   */
  fill(slot: number, start: number, parts: readonly Uint8Array[], facts: Received, cutFlag = 0): void {
    const base = this.#slots + slot * LIMIT.SLOT_SIZE;
    let at = start;
    let cut = false;
    for (const part of parts) {
      const room = LIMIT.SLOT_SIZE - at;
      this.#octets.set(part.length > room ? part.subarray(0, room) : part, base + at);
      cut ||= part.length > room;
      at += Math.min(part.length, room);
    }
    const desc = this.#rxDescs + slot * RX.size;
    this.#octets.fill(0, desc, desc + RX.end);
    this.#view.setUint32(desc + RX.off, base + start, true);
    this.#view.setUint32(desc + RX.len, at - start, true);
    this.#view.setUint32(desc + RX.source, facts.source, true);
    this.#view.setUint32(desc + RX.segLen, facts.segLen ?? 0, true);
    if (facts.addr) this.#octets.set(facts.addr, desc + RX.addr);
    this.#view.setUint16(desc + RX.addrPort, facts.addrPort ?? 0, true);
    if (facts.local) this.#octets.set(facts.local, desc + RX.local);
    this.#octets[desc + RX.tos] = facts.tos ?? 0;
    this.#octets[desc + RX.rxFlags] = (facts.rxFlags ?? 0) | (cut ? cutFlag : 0);
  }

  /** Reads a transmit operation. */
  operation(index: number): Operation {
    const at = this.#txOps + index * TX.size;
    const view = this.#view;
    return {
      kind: view.getUint8(at + TX.kind),
      tos: view.getUint8(at + TX.tos),
      dest: view.getUint32(at + TX.dest, true),
      gsoSize: view.getUint16(at + TX.gsoSize, true),
      addr: this.#octets.slice(at + TX.addr, at + TX.addr + 16),
      port: view.getUint16(at + TX.port, true),
      family: view.getUint8(at + TX.family),
      vnetHdr: this.#octets.slice(at + TX.vnetHdr, at + TX.vnetHdr + LIMIT.VNET_HDR_LEN),
      local: view.getUint32(at + TX.local, true),
    };
  }

  /** A copy of the octets an operation sends, or the negative errno the addon would answer. */
  gather(index: number): Uint8Array | number {
    const at = this.#txOps + index * TX.size;
    const start = this.#view.getUint32(at + TX.iovStart, true);
    const count = this.#view.getUint16(at + TX.iovCount, true);
    if (count === 0 || count > 1023) return -(ERRNO.EINVAL as number);
    if (start + count > this.#iovMax) return -(ERRNO.EFAULT as number);
    const pieces: Uint8Array[] = [];
    for (let i = start; i < start + count; i++) {
      const off = this.#view.getUint32(this.#iovs + i * IOV_SIZE, true);
      const len = this.#view.getUint32(this.#iovs + i * IOV_SIZE + 4, true);
      if (off + len > this.#octets.length) return -(ERRNO.EFAULT as number);
      pieces.push(this.#octets.subarray(off, off + len));
    }
    const out = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
    let to = 0;
    for (const piece of pieces) {
      out.set(piece, to);
      to += piece.length;
    }
    return out;
  }

  /** A copy of the 16 octets of an address, or the negative errno the addon would answer. */
  addressAt(off: number): Uint8Array | number {
    if (off + 16 > this.#octets.length) return -(ERRNO.EFAULT as number);
    return this.#octets.slice(off, off + 16);
  }

  setResult(index: number, result: number): void {
    this.#view.setInt32(this.#txOps + index * TX.size + TX.result, result, true);
  }
}
