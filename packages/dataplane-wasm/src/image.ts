/**
 * The main thread's own copy of one double-buffered region: changed at leisure, then copied into the shared memory
 * as a whole. `version` says whether a copy there is out of date.
 */
import { type FieldLayout, layout, type RegionName, type RegionPlan, regions } from "../abi/index.js";
import { address, type SwitchMemory } from "./instance.js";

export class Image {
  readonly #plan: RegionPlan;
  readonly #fields: ReadonlyMap<string, FieldLayout>;
  readonly #shared: Uint8Array;
  readonly #copied = [-1, -1];
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Goes up with every change. */
  version = 0;

  constructor(memory: SwitchMemory, region: RegionName) {
    this.#plan = memory.plan.regions[region];
    this.#shared = new Uint8Array(memory.memory.buffer);
    const type = regions.find(([name]) => name === region)?.[1] as string;
    this.#fields = new Map(layout(type).fields.map((f) => [f.name, f]));
    // Written to, so that it has its pages from the start: a route more is then not a page more.
    this.bytes = new Uint8Array(this.#plan.stride * this.#plan.count).fill(0);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Elements. */
  get count(): number {
    return this.#plan.count;
  }

  /** Writes fields of one element. `octets:N` fields take a Uint8Array. */
  put(index: number, values: Readonly<Record<string, number | bigint | Uint8Array>>): void {
    for (const [name, value] of Object.entries(values)) {
      const field = this.#fields.get(name);
      if (!field) throw new Error(`no field ${name} in ${this.#plan.name}`);
      const at = index * this.#plan.stride + field.offset;
      if (value instanceof Uint8Array) this.bytes.set(value.subarray(0, field.size), at);
      else if (field.type === "u64") this.view.setBigUint64(at, BigInt(value), true);
      else if (field.type === "u32") this.view.setUint32(at, Number(value), true);
      else if (field.type === "u16") this.view.setUint16(at, Number(value), true);
      else this.view.setUint8(at, Number(value));
    }
    this.version++;
  }

  /** A u32 field of one element. */
  u32(index: number, name: string): number {
    const field = this.#fields.get(name) as FieldLayout;
    return this.view.getUint32(index * this.#plan.stride + field.offset, true);
  }

  /** Zeroes one element. */
  clear(index: number): void {
    this.bytes.fill(0, index * this.#plan.stride, (index + 1) * this.#plan.stride);
    this.version++;
  }

  /** Brings one copy in the shared memory up to date. Nobody may be reading it. */
  copyTo(copy: 0 | 1): void {
    if (this.#copied[copy] === this.version) return;
    this.#shared.set(this.bytes, address(this.#plan, 0, copy));
    this.#copied[copy] = this.version;
  }
}
