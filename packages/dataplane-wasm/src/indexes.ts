/** Hands out the indexes of a region, each use with a generation of its own (1..65535). */
export class Indexes {
  readonly #max: number;
  readonly #free: number[] = [];
  readonly #generations = new Map<number, number>();
  #fresh = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Indexes in use or waiting to be given back. */
  get used(): number {
    return this.#fresh - this.#free.length;
  }

  get free(): number {
    return this.#max - this.used;
  }

  /** The lowest fresh index, or the one given back longest ago; undefined when all are in use. */
  take(): { index: number; generation: number } | undefined {
    const index = this.#free.length > 0 ? this.#free.shift() : this.#fresh < this.#max ? this.#fresh++ : undefined;
    if (index === undefined) return undefined;
    const last = this.#generations.get(index) ?? 0;
    const generation = last === 0xffff ? 1 : last + 1;
    this.#generations.set(index, generation);
    return { index, generation };
  }

  /** Gives an index back; nobody may use it any more. */
  release(index: number): void {
    this.#free.push(index);
  }
}
