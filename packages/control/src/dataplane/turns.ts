/** Members that take turns: each is as often served as the others, as many at a time as there is time for. */
export class Turns<T> {
  /** In the order of their next turns: who was served goes to the end. */
  readonly #members = new Set<T>();
  readonly #nowMs: () => number;

  /** @param nowMs the clock, in milliseconds. */
  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** A member that is there already keeps its place. */
  add(member: T): void {
    this.#members.add(member);
  }
  delete(member: T): void {
    this.#members.delete(member);
  }

  /**
   * Serves members until `ms` are over, the first in any case and none twice. A member may leave while it is served.
   * @returns how many were served.
   */
  serve(ms: number, serve: (member: T) => void): number {
    const end = this.#nowMs() + ms;
    let served = 0;
    // A copy: the set's own order changes underway.
    for (const member of [...this.#members]) {
      if (served > 0 && this.#nowMs() >= end) break;
      if (!this.#members.delete(member)) continue;
      this.#members.add(member);
      serve(member);
      served++;
    }
    return served;
  }
}
