/**
 * Which index this node uses for which key, on disk before it is used. An index that was given back stays remembered for its
 * key: the same key gets it again while nobody else has it, and others get it last, the one first that has been free longest.
 */
import { WeftError } from "../errors.js";
import { networkOf } from "./ring.js";

/** One of the two: in use (`freedAt` null), or given back at that time (milliseconds since 1970). */
export interface Allocation {
  readonly ring: string;
  readonly key: string;
  readonly index: number;
  readonly freedAt: number | null;
}

export interface AllocationStore {
  load(): readonly Allocation[];
  /** Returns when they are on disk, all of them. */
  save(allocations: readonly Allocation[]): void;
}

interface Span {
  readonly start: number;
  readonly end: number;
}

/** Indexes given back that are remembered, over all networks; older ones are forgotten. */
export const REMEMBERED_MAX = 4096;
/** Milliseconds after which an index that was given back may go to another node, unless that one is asked for by address. */
export const REST_MS = 60_000;

export class Allocations {
  readonly #store: AllocationStore;
  readonly #now: () => number;
  /** Ring → index → allocation. */
  readonly #byIndex = new Map<string, Map<number, Allocation>>();
  /** Ring → where the next search begins. */
  readonly #cursors = new Map<string, number>();

  constructor(store: AllocationStore, now: () => number) {
    this.#store = store;
    this.#now = now;
    for (const one of store.load()) {
      this.#toWrite(one.ring).set(one.index, one);
      this.#cursors.set(one.ring, Math.max(this.#cursors.get(one.ring) ?? 0, one.index + 1));
    }
  }

  /** Index that a key uses. */
  indexOf(ring: string, key: string): number | undefined {
    return this.#find(ring, key, true)?.index;
  }

  /** Key that uses an index. */
  keyOf(ring: string, index: number): string | undefined {
    const one = this.#of(ring).get(index);
    return one?.freedAt === null ? one.key : undefined;
  }

  used(ring: string): number[] {
    return [...this.#of(ring).values()].filter((one) => one.freedAt === null).map((one) => one.index);
  }

  /** What uses addresses of rings that a network of this name had before, or on the other side of a partition. */
  keysOfOthers(network: string, ring: string): string[] {
    const others = [...this.#byIndex].filter(([id]) => id !== ring && networkOf(id) === network);
    return others.flatMap(([, byIndex]) =>
      [...byIndex.values()].flatMap((one) => (one.freedAt === null ? [one.key] : [])),
    );
  }

  /** The same index as before if it is free and in one of the spans, or the next one that nobody had, or the one longest free. */
  pick(ring: string, key: string, spans: readonly Span[]): number | undefined {
    const isWithin = (index: number): boolean => spans.some(({ start, end }) => index >= start && index < end);
    const before = this.#find(ring, key, false);
    if (before && isWithin(before.index)) return before.index;
    const unused = this.#nextUnused(ring, spans);
    if (unused !== undefined) return unused;
    const freed = [...this.#of(ring).values()].filter((one) => one.freedAt !== null && isWithin(one.index));
    return freed.sort((a, b) => Number(a.freedAt) - Number(b.freedAt))[0]?.index;
  }

  /** @throws WeftError not_recorded; nothing has changed then */
  take(ring: string, key: string, index: number): void {
    const byIndex = this.#toWrite(ring);
    const before = byIndex.get(index);
    const remembered = this.#find(ring, key, false);
    if (remembered) byIndex.delete(remembered.index);
    byIndex.set(index, { ring, key, index, freedAt: null });
    try {
      this.#store.save(this.#all());
    } catch (error) {
      byIndex.delete(index);
      for (const one of [before, remembered]) if (one) byIndex.set(one.index, one);
      const why = error instanceof Error ? error.message : String(error);
      throw new WeftError(
        "not_recorded",
        `no address given: the state directory cannot be written (${why}); make room or put the directory back`,
      );
    }
    this.#cursors.set(ring, index + 1);
  }

  /** Gives back what these keys use. When the disk refuses, the next save brings it there; after a crash `retain` does. */
  release(keys: ReadonlySet<string>): void {
    let changed = false;
    for (const byIndex of this.#byIndex.values()) {
      for (const one of byIndex.values()) {
        if (one.freedAt !== null || !keys.has(one.key)) continue;
        byIndex.set(one.index, { ...one, freedAt: this.#now() });
        changed = true;
      }
    }
    if (changed) this.#saveFreed();
  }

  keys(): Set<string> {
    return new Set(this.#all().flatMap((one) => (one.freedAt === null ? [one.key] : [])));
  }

  /** Forgets what was given back in a span: it is another node's now. */
  forget(ring: string, { start, end }: Span): void {
    for (const one of [...this.#of(ring).values()])
      if (one.freedAt !== null && one.index >= start && one.index < end) this.#byIndex.get(ring)?.delete(one.index);
  }

  /** The longest gap of indexes in the spans that are neither used nor, since REST_MS, given back. */
  longestGap(ring: string, spans: readonly Span[]): Span | undefined {
    const cutoff = this.#now() - REST_MS;
    const taken = [...this.#of(ring).values()]
      .filter((one) => one.freedAt === null || one.freedAt > cutoff)
      .map((one) => one.index)
      .sort((a, b) => a - b);
    let longest: Span | undefined;
    for (const span of spans) {
      let { start } = span;
      const inside = taken.filter((index) => index >= span.start && index < span.end);
      for (const end of [...inside, span.end]) {
        if (end - start > (longest ? longest.end - longest.start : 0)) longest = { start, end };
        start = end + 1;
      }
    }
    return longest;
  }

  #nextUnused(ring: string, spans: readonly Span[]): number | undefined {
    const known = this.#of(ring);
    const cursor = this.#cursors.get(ring) ?? 0;
    const behind = spans.map(({ start, end }) => ({ start: Math.max(start, cursor), end }));
    const before = spans.map(({ start, end }) => ({ start, end: Math.min(end, cursor) }));
    // Every step but the last passes a known index, so there are never more steps than allocations and spans.
    for (const { start, end } of [...behind, ...before])
      for (let index = start; index < end; index++) if (!known.has(index)) return index;
    return undefined;
  }

  #find(ring: string, key: string, isUsed: boolean): Allocation | undefined {
    for (const one of this.#of(ring).values()) if (one.key === key && (one.freedAt === null) === isUsed) return one;
    return undefined;
  }

  #saveFreed(): void {
    const freed = this.#all().filter((one) => one.freedAt !== null);
    freed.sort((a, b) => Number(b.freedAt) - Number(a.freedAt));
    for (const one of freed.slice(REMEMBERED_MAX)) this.#byIndex.get(one.ring)?.delete(one.index);
    try {
      this.#store.save(this.#all());
    } catch {
      // See release.
    }
  }

  /** Rings come and go with others' records: looking at one keeps nothing of it. */
  #of(ring: string): ReadonlyMap<number, Allocation> {
    return this.#byIndex.get(ring) ?? new Map<number, Allocation>();
  }
  #toWrite(ring: string): Map<number, Allocation> {
    const known = this.#byIndex.get(ring) ?? new Map<number, Allocation>();
    this.#byIndex.set(ring, known);
    return known;
  }

  #all(): Allocation[] {
    return [...this.#byIndex.values()].flatMap((byIndex) => [...byIndex.values()]);
  }
}
