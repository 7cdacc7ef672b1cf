/** Answers other nodes' requests for addresses out of what this node owns and does not use. */

import type { WantValue } from "../mesh/records.js";
import type { Entry, Records } from "../mesh/types.js";
import type { Allocations } from "./allocations.js";
import { firstGrantable, GRANTS_ALL_MAX, GRANTS_MAX, type OwnedRange, positionOf, upperHalf } from "./ring.js";
import { grantId, type Rings, type RingView } from "./rings.js";

type Want = Entry<"want"> & { readonly value: WantValue };

export interface GiverOptions {
  readonly records: Records;
  readonly rings: Rings;
  readonly allocations: Allocations;
  readonly warn: (sentence: string) => void;
  /** Makes inherited ranges this node's own. @returns whether there were any */
  readonly takeOver: (view: RingView) => boolean;
}

export class Giver {
  readonly #options: GiverOptions;
  /** Asker and ring → number of the request that was answered. As many as there are requests. */
  #answered = new Map<string, number>();
  #isServing = false;
  #isFull = false;

  constructor(options: GiverOptions) {
    this.#options = options;
  }

  /** Looks through all requests. A request is answered once, and only while its writer can be reached. */
  serve(): void {
    // A grant is a record, and records that change lead here.
    if (this.#isServing) return;
    this.#isServing = true;
    try {
      const { records, rings } = this.#options;
      const answered = new Map<string, number>();
      for (const want of [...records.list("want")]) {
        if (want.value.from !== records.self || want.node === records.self) continue;
        const key = `${want.node} ${want.id}`;
        // Anew for each request: the answer to the one before has changed what we own.
        const find = (): RingView | undefined => rings.byId(want.id);
        const isDone =
          this.#answered.get(key) === want.value.nonce || (records.isAlive(want.node) && this.#answer(find, want));
        if (isDone) answered.set(key, want.value.nonce);
      }
      this.#answered = answered;
    } finally {
      this.#isServing = false;
    }
  }

  /** @returns false: nothing to give, now */
  #answer(find: () => RingView | undefined, want: Want): boolean {
    const { records, rings, allocations, takeOver, warn } = this.#options;
    let view = find();
    let part = view && this.#part(view, want.value);
    if (view && !part && takeOver(view)) {
      view = find();
      part = view && this.#part(view, want.value);
    }
    if (!view || !part) return false;
    const { inNetwork, inAll } = this.#grants(view);
    if (inNetwork >= GRANTS_MAX || inAll >= GRANTS_ALL_MAX) {
      const what = `${inNetwork} grants written, ${inAll} in all networks`;
      // Whoever asks again and again fills no log.
      if (!this.#isFull) warn(`network ${view.network}: ${what}, no more are: nodes that need addresses ask others`);
      this.#isFull = true;
      return true;
    }
    const { start, end } = part;
    const epoch = part.range.epoch + 1;
    try {
      records.put("grant", grantId(view.ring.id, start, epoch), { start, end, to: want.node, epoch });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      warn(`network ${view.network}: no addresses given to another node: ${why}`);
      return false;
    } finally {
      rings.changed();
    }
    allocations.forget(view.ring.id, { start, end });
    return true;
  }

  #part(view: RingView, { at, count }: WantValue): { range: OwnedRange; start: number; end: number } | undefined {
    return at === null ? this.#gap(view, count) : this.#single(view, at);
  }

  #gap(view: RingView, count: number): { range: OwnedRange; start: number; end: number } | undefined {
    const gap = this.#options.allocations.longestGap(
      view.ring.id,
      this.#own(view).map((range) => grantable(view, range)),
    );
    if (!gap) return undefined;
    const range = view.ownership.ranges[positionOf(view.ownership.ranges, gap.start)] as OwnedRange;
    return { range, ...upperHalf(gap, count) };
  }

  #single(view: RingView, at: number): { range: OwnedRange; start: number; end: number } | undefined {
    const range = this.#own(view).find(({ start, end }) => at >= start && at < end);
    if (!range || this.#options.allocations.keyOf(view.ring.id, at) !== undefined) return undefined;
    const { start, end } = grantable(view, range);
    return at >= start && at < end ? { range, start: at, end: at + 1 } : undefined;
  }

  #own({ ownership }: RingView): OwnedRange[] {
    return ownership.ranges.filter(({ owner, heirOf }) => owner === this.#options.records.self && heirOf === null);
  }

  /** Written by this node. */
  #grants(view: RingView): { readonly inNetwork: number; readonly inAll: number } {
    const { records } = this.#options;
    const own = [...records.list("grant")].filter(({ node }) => node === records.self);
    return { inNetwork: own.filter(({ id }) => id.startsWith(`${view.ring.id}:`)).length, inAll: own.length };
  }
}

/** What of a range may be granted and is of use to the taker. */
function grantable({ plan }: RingView, range: OwnedRange): { start: number; end: number } {
  const start = firstGrantable(range);
  return { start, end: Math.max(start, Math.min(plan.size - 1, range.end)) };
}
