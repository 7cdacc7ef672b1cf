/** A plain forwarding database: one Map, no buckets, no limit but that of MACs per port. */

/** `port:3` or `vtep:0`. */
export type Owner = string;

interface Entry {
  owner: Owner;
  /** Generation of the port or VTEP. */
  generation: number;
  /** Tick of 1.024 s, not wrapped. */
  seen: number;
}

export class SlowFdb {
  readonly entries = new Map<number, Entry>();
  readonly #isCurrent: (owner: Owner, generation: number) => boolean;
  moves = 0;
  refused = 0;

  constructor(isCurrent: (owner: Owner, generation: number) => boolean) {
    this.#isCurrent = isCurrent;
  }

  /** Entries that count for a port. */
  held(owner: Owner): number {
    return [...this.entries.values()].filter((e) => e.owner === owner && this.#isCurrent(e.owner, e.generation)).length;
  }

  learn(mac: number, owner: Owner, generation: number, tick: number, limit: number, ageTicks: number): void {
    const entry = this.entries.get(mac);
    if (entry && entry.owner === owner && entry.generation === generation) {
      entry.seen = tick;
      return;
    }
    if (owner.startsWith("port") && this.held(owner) >= limit) {
      this.refused++;
      return;
    }
    if (entry && this.#isAlive(entry, tick, ageTicks)) this.moves++;
    this.entries.set(mac, { owner, generation, seen: tick });
  }

  lookup(mac: number, tick: number, ageTicks: number): Owner | undefined {
    const entry = this.entries.get(mac);
    return entry && this.#isAlive(entry, tick, ageTicks) ? entry.owner : undefined;
  }

  /** Removes what is old or belongs to nobody. */
  age(tick: number, ageTicks: number): void {
    for (const [mac, entry] of this.entries) if (!this.#isAlive(entry, tick, ageTicks)) this.entries.delete(mac);
  }

  #isAlive(entry: Entry, tick: number, ageTicks: number): boolean {
    return this.#isCurrent(entry.owner, entry.generation) && (ageTicks === 0 || tick - entry.seen <= ageTicks);
  }
}
