/** Sentences that a reader of a result must know, without saying one thing twice. */
export class Notes {
  /** As they are. */
  readonly plain: string[] = [];
  readonly #times = new Map<string, number>();
  readonly #drops = new Map<string, Map<string, { sum: number; rounds: number }>>();

  /** Something that may happen again: printed once, with how often. */
  once(text: string): void {
    this.#times.set(text, (this.#times.get(text) ?? 0) + 1);
  }

  /** Drops of one round where none were wanted, by place. */
  dropped(what: string, places: ReadonlyMap<string, number>): void {
    if (places.size === 0) return;
    const sums = this.#drops.get(what) ?? new Map<string, { sum: number; rounds: number }>();
    this.#drops.set(what, sums);
    for (const [place, count] of places) {
      const { sum, rounds } = sums.get(place) ?? { sum: 0, rounds: 0 };
      sums.set(place, { sum: sum + count, rounds: rounds + 1 });
    }
  }

  all(): string[] {
    const inRounds = (n: number): string => (n === 1 ? "in one round" : `in ${n} rounds`);
    const listed = (sums: Map<string, { sum: number; rounds: number }>): string =>
      [...sums].map(([place, { sum, rounds }]) => `${place}: ${sum} ${inRounds(rounds)}`).join("; ");
    return [
      ...this.plain,
      ...[...this.#times].map(([text, times]) => (times === 1 ? text : `${text} (${times} times)`)),
      ...[...this.#drops].map(([what, sums]) => `drops in ${what}: ${listed(sums)}`),
    ];
  }
}
