/** A laid-out memory as a test sees it: descriptors to read, operations to write, results to compare. */
import { address, createMemory, type SwitchMemory } from "@weft/dataplane-wasm";
import { type CounterName, counterCell, ENUM, LIMIT, layout, offsetOf } from "@weft/dataplane-wasm/abi";

/** What the receiving side writes into a descriptor, with its octets. */
export interface Received {
  readonly source: number;
  readonly segLen: number;
  readonly addr: string;
  readonly addrPort: number;
  readonly tos: number;
  readonly rxFlags: number;
  /** From `off`, `len` octets. */
  readonly octets: Buffer;
}

export interface TapOp {
  readonly port: number;
  readonly frame: Uint8Array | readonly Uint8Array[];
  readonly vnetHdr?: Uint8Array;
}
export interface UdpOp {
  readonly sender: number;
  /** 16 octets in hexadecimal. */
  readonly addr: string;
  readonly port: number;
  readonly payload: Uint8Array | readonly Uint8Array[];
  readonly tos?: number;
  readonly gsoSize?: number;
  readonly family?: number;
  /** Source address, 16 octets in hexadecimal. */
  readonly from?: string;
}

const OP = layout("TxOp").size;
const RX = layout("RxDesc").size;

export class TestMemory {
  readonly shared: SwitchMemory;
  readonly octets: Uint8Array;
  readonly view: DataView;
  readonly worker: number;
  #ops = 0;
  #iovs = 0;
  #payload: number;

  /** `gsoSegments`: what the header says that one UDP_SEGMENT send takes. */
  constructor(workers = 1, worker = 0, gsoSegments = 128) {
    const sizes = { networksMax: 4, portsMax: 32, vtepsMax: 32, routesMax: 16, fdbMax: 1024, neighboursMax: 64 };
    this.shared = createMemory(65_536, { workers, ...sizes });
    this.octets = new Uint8Array(this.shared.memory.buffer);
    this.view = new DataView(this.shared.memory.buffer);
    this.worker = worker;
    this.view.setUint32(offsetOf("Header", "gsoSegments"), gsoSegments, true);
    this.#payload = this.#payloadStart;
  }

  /** Payload is put where a test's frames do not disturb received ones: the upper half of the slots. */
  get #payloadStart(): number {
    return this.base("SLOTS") + 64 * LIMIT.SLOT_SIZE;
  }

  base(region: "TX_OPS" | "IOVS" | "SLOTS" | "RX_DESCS" | "COUNTERS"): number {
    return address(this.shared.plan.regions[region], this.worker);
  }

  received(index: number): Received {
    const at = this.base("RX_DESCS") + index * RX;
    const u32 = (field: string): number => this.view.getUint32(at + offsetOf("RxDesc", field), true);
    const off = u32("off");
    const addr = at + offsetOf("RxDesc", "addr");
    return {
      source: u32("source"),
      segLen: u32("segLen"),
      addr: Buffer.from(this.octets.slice(addr, addr + 16)).toString("hex"),
      addrPort: this.view.getUint16(at + offsetOf("RxDesc", "addrPort"), true),
      tos: this.view.getUint8(at + offsetOf("RxDesc", "tos")),
      rxFlags: this.view.getUint8(at + offsetOf("RxDesc", "rxFlags")),
      octets: Buffer.from(this.octets.slice(off, off + u32("len"))),
    };
  }
  /** RxDesc.local, 16 octets in hexadecimal. */
  local(index: number): string {
    const at = this.base("RX_DESCS") + index * RX + offsetOf("RxDesc", "local");
    return Buffer.from(this.octets.slice(at, at + 16)).toString("hex");
  }
  /** Octets from the start of the slot to those received. */
  startInSlot(index: number): number {
    const off = this.view.getUint32(this.base("RX_DESCS") + index * RX + offsetOf("RxDesc", "off"), true);
    return off - this.base("SLOTS") - index * LIMIT.SLOT_SIZE;
  }

  /** Begins a new list of operations. */
  clear(): void {
    this.#ops = 0;
    this.#iovs = 0;
    this.#payload = this.#payloadStart;
  }
  get count(): number {
    return this.#ops;
  }

  tap(op: TapOp): number {
    const index = this.#add(ENUM.OP.TAP, op.port, op.frame);
    if (op.vnetHdr) this.octets.set(op.vnetHdr, this.#field(index, "vnetHdr"));
    return index;
  }

  udp(op: UdpOp): number {
    const index = this.#add(ENUM.OP.UDP, op.sender, op.payload);
    this.octets.set(Buffer.from(op.addr, "hex"), this.#field(index, "addr"));
    this.view.setUint16(this.#field(index, "port"), op.port, true);
    this.view.setUint8(this.#field(index, "family"), op.family ?? (op.sender < 16 || op.sender === 32 ? 4 : 6));
    this.view.setUint8(this.#field(index, "tos"), op.tos ?? 0);
    this.view.setUint16(this.#field(index, "gsoSize"), op.gsoSize ?? 0, true);
    if (op.from !== undefined) {
      this.octets.set(Buffer.from(op.from, "hex"), this.#payload);
      this.view.setUint32(this.#field(index, "local"), this.#payload, true);
      this.#payload += 16;
    }
    return index;
  }

  #add(kind: number, dest: number, data: Uint8Array | readonly Uint8Array[]): number {
    const index = this.#ops++;
    const pieces = data instanceof Uint8Array ? [data] : data;
    this.octets.fill(0, this.base("TX_OPS") + index * OP, this.base("TX_OPS") + (index + 1) * OP);
    this.view.setUint8(this.#field(index, "kind"), kind);
    this.view.setUint32(this.#field(index, "dest"), dest, true);
    this.view.setUint32(this.#field(index, "iovStart"), this.#iovs, true);
    this.view.setUint16(this.#field(index, "iovCount"), pieces.length, true);
    this.view.setInt32(this.#field(index, "result"), 0x7fff_ffff, true);
    for (const piece of pieces) {
      this.setIov(this.#iovs++, this.#payload, piece.length);
      this.octets.set(piece, this.#payload);
      this.#payload += piece.length;
    }
    return index;
  }

  /** Overwrites a field of an operation: what a broken switch would have written. */
  spoil(index: number, field: string, value: number): void {
    const { type } = layout("TxOp").fields.find((f) => f.name === field) ?? { type: "u32" };
    const at = this.#field(index, field);
    if (type === "u8") this.view.setUint8(at, value);
    else if (type === "u16") this.view.setUint16(at, value, true);
    else this.view.setUint32(at, value >>> 0, true);
  }
  setIov(index: number, off: number, len: number): void {
    this.view.setUint32(this.base("IOVS") + 8 * index, off >>> 0, true);
    this.view.setUint32(this.base("IOVS") + 8 * index + 4, len >>> 0, true);
  }
  result(index: number): number {
    return this.view.getInt32(this.#field(index, "result"), true);
  }
  results(): number[] {
    return Array.from({ length: this.#ops }, (_, i) => this.result(i));
  }
  counter(name: CounterName): number {
    return Number(this.view.getBigUint64(this.base("COUNTERS") + 8 * counterCell(name), true));
  }

  #field(index: number, field: string): number {
    return this.base("TX_OPS") + index * OP + offsetOf("TxOp", field);
  }
}

/** 16 octets in hexadecimal, IPv4 as ::ffff:a.b.c.d. */
export function mapped(v4: string): string {
  return `${"00".repeat(10)}ffff${Buffer.from(v4.split(".").map(Number)).toString("hex")}`;
}
/** `::n` in hexadecimal. */
export function v6(low: string): string {
  return low.padStart(32, "0");
}
