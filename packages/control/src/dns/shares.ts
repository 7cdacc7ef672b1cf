/**
 * Who may have how much of what there is a bound of: queries upstream, connections.
 *
 * Every source may always have two, as long as no more sources than a quarter of the bound have any. Half of the bound is kept for that.
 * Of the other half a source may have more, up to `perSource`: half of what of it is free less what its network has. So one network
 * never has more than a quarter of all beyond the two of each, and the more is in use, the less each may have.
 */

/** Of each source, whoever else has any. */
const ALWAYS = 2;

export class Shares {
  readonly #max: number;
  readonly #perSource: number;
  #used = 0;
  /** By network, then by source; only of those that have some. */
  readonly #networks = new Map<string, { used: number; readonly sources: Map<string, number> }>();

  constructor(max: number, perSource: number) {
    this.#max = max;
    this.#perSource = perSource;
  }

  /** @returns gives it back, once; undefined: there is none for this source now */
  take(network: string, source: string): (() => void) | undefined {
    const of = this.#networks.get(network) ?? { used: 0, sources: new Map<string, number>() };
    const had = of.sources.get(source) ?? 0;
    const room = this.#max / 2 - this.#used - of.used;
    if (this.#used >= this.#max || had >= Math.max(ALWAYS, Math.min(this.#perSource, room / 2))) return undefined;
    this.#networks.set(network, of);
    of.sources.set(source, had + 1);
    of.used++;
    this.#used++;
    return () => {
      const left = (of.sources.get(source) ?? 1) - 1;
      if (left > 0) of.sources.set(source, left);
      else of.sources.delete(source);
      this.#used--;
      of.used--;
      if (of.used === 0) this.#networks.delete(network);
    };
  }
}
