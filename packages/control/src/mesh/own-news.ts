/**
 * How long our own records take to get to our neighbours. Clocks of two nodes cannot be compared, so a node measures what it writes itself:
 * from then until each neighbour of that time has it. A ping follows the record on each link, and what is answered to it comes after the
 * record has been taken in, as links and nodes keep the order: ten octets a link and measurement, one measurement at a time.
 */
import type { Link } from "./link.js";
import type { MeshStats } from "./stats.js";

export class OwnNews {
  readonly #stats: MeshStats;
  /** When what is measured was written; undefined: nothing is. */
  #writtenMs: number | undefined;
  /** Links on which it is not known to have arrived, each with the ping behind it; undefined: the record has not gone out yet. */
  readonly #awaited = new Map<Link, number | undefined>();
  /** Of the latest record that is measured. */
  #version = 0;
  #isUnderWay = false;
  #arrivedMs: number | undefined;

  constructor(stats: MeshStats) {
    this.#stats = stats;
  }

  written(nowMs: number): void {
    this.#writtenMs ??= nowMs;
  }

  /** Something was written that has not been sent on any link. */
  get isToGo(): boolean {
    return this.#writtenMs !== undefined && !this.#isUnderWay;
  }

  /**
   * @param version of the latest of our records that have gone out
   * @param links that lack them, and whether they are on their way: a link that cannot take them gets them with a comparison
   */
  gone(version: number, links: ReadonlyMap<Link, boolean>): void {
    this.#isUnderWay = true;
    this.#version = version;
    for (const [link, isSent] of links) this.#awaited.set(link, isSent ? link.mark() : undefined);
    this.#look();
  }

  /** All that a neighbour lacked is on its way. */
  answered(link: Link): void {
    if (this.#awaited.has(link) && this.#awaited.get(link) === undefined) this.#awaited.set(link, link.mark());
  }

  /** It has answered a ping. */
  ponged(link: Link, nowMs: number): void {
    const mark = this.#awaited.get(link);
    if (mark !== undefined && link.answeredMark >= mark) this.hasAll(link, nowMs);
    else this.#look();
  }

  /** It sends us a record of our own, which it has from another neighbour: those before it, too. */
  passedOn(link: Link, version: number, nowMs: number): void {
    if (version >= this.#version) this.hasAll(link, nowMs);
  }

  /** It has what we have. */
  hasAll(link: Link, nowMs: number): void {
    if (this.#awaited.delete(link)) this.#arrivedMs = nowMs;
    this.#look();
  }

  /** Who has gone is not waited for. */
  closed(): void {
    this.#look();
  }

  #look(): void {
    for (const link of this.#awaited.keys()) if (link.isClosed) this.#awaited.delete(link);
    if (!this.#isUnderWay || this.#awaited.size > 0) return;
    // Where no neighbour has it there is nothing to tell.
    if (this.#arrivedMs !== undefined) this.#stats.onConverged(this.#arrivedMs - (this.#writtenMs as number));
    this.#writtenMs = undefined;
    this.#arrivedMs = undefined;
    this.#isUnderWay = false;
  }
}
