/**
 * Search for the MTU of one path by echoes of full size (as RFC 8899, packetization layer path MTU discovery, with echoes as probes).
 * Nothing that is not authenticated is asked: no ICMP.
 *
 * It begins with the most that can be. Full echoes that are lost while small ones arrive lower it to the next floor at once, so that
 * data flows again; then the exact value is sought from there. Pure: who has it sends the echoes and tells what was heard.
 */

/**
 * Between two full echoes when nothing is wrong. With three that are missed in a row a path that has become narrower is known of within
 * 1.3 s: a TCP that runs over it repeats after 0.2, 0.6, 1.4 and 3 s (RFC 6298 §5.5), and should find it by the third time.
 */
const STEADY_MS = 500;
/** Between the first loss and the next try, and an unanswered echo's time; a round trip doubled where that is longer. */
const RETRY_MS = 200;
/** Full echoes in a row that must be lost, while small ones arrive; and where small ones are lost, too: so many are no accident. */
const MISSES = 3;
const MISSES_LOSSY = 6;
/** Of 1000. */
const LOSSY = 30;
/** Between two attempts to go up again. */
const UP_MS = 30_000;
/** Tried when the most does not go: a path that has not changed so much costs two sizes, not a whole search. */
const STEP = 16;

export class MtuSearch {
  /** Octets of the longest packet that we believe in. */
  #mtu: number;
  #ceiling: number;
  readonly #floors: readonly number[];
  /** What does not go; the search is between `#mtu` and this. null: no search. */
  #tooLong: number | null = null;
  /** An attempt to go up: first the most, then a step, then as any search. */
  #attempt: "most" | "step" | null = null;
  /** Size that is being tried, and its misses. */
  #size: number;
  #misses = 0;
  #pending: { sequence: number; sentMs: number } | null = null;
  #nextAtMs = 0;
  #upAtMs = 0;
  /** Whether anything has ever gone through at `#mtu`. */
  #isConfirmed = false;

  /** @param floors sizes to fall back to, largest first */
  constructor(ceiling: number, floors: readonly number[]) {
    this.#ceiling = ceiling;
    this.#floors = floors;
    this.#mtu = ceiling;
    this.#size = ceiling;
  }

  get mtu(): number {
    return this.#mtu;
  }
  get isConfirmed(): boolean {
    return this.#isConfirmed;
  }
  get isSearching(): boolean {
    return this.#tooLong !== null || this.#misses > 0;
  }

  /** An echo is out, and its fate is shown by the next small one that is answered. */
  get isWaiting(): boolean {
    return this.#pending !== null;
  }

  /** The underlay's MTU is another one: more is tried at once, less holds at once. */
  setCeiling(ceiling: number): void {
    if (ceiling === this.#ceiling) return;
    const isMore = ceiling > this.#ceiling;
    this.#ceiling = ceiling;
    if (ceiling < this.#mtu) this.#settle(ceiling, Number.POSITIVE_INFINITY);
    else if (isMore) this.#upAtMs = 0;
  }

  /** Octets of the full echo to send now; null: none is due. Who sends it calls `sent`, and sends a small one with it. */
  due(nowMs: number): number | null {
    if (this.#pending !== null || nowMs < this.#nextAtMs) return null;
    if (this.#tooLong === null && this.#misses === 0) {
      if (this.#mtu < this.#ceiling && nowMs >= this.#upAtMs) {
        this.#tooLong = this.#ceiling + 1;
        this.#attempt = "most";
        this.#size = this.#ceiling;
      } else this.#size = this.#mtu;
    }
    return this.#size;
  }
  sent(sequence: number, nowMs: number): void {
    this.#pending = { sequence, sentMs: nowMs };
    this.#nextAtMs = nowMs + STEADY_MS;
  }

  /** The peer has heard a full echo. @returns whether the MTU has changed */
  heard(sequence: number, bytes: number, nowMs: number): boolean {
    if (this.#pending === null || sequence !== this.#pending.sequence || bytes !== this.#size) return false;
    this.#pending = null;
    this.#misses = 0;
    if (this.#tooLong === null) {
      this.#isConfirmed = true;
      return false;
    }
    const before = this.#mtu;
    this.#mtu = this.#size;
    this.#isConfirmed = true;
    this.#attempt = null;
    this.#halve(nowMs);
    return this.#mtu !== before;
  }

  /**
   * Looks whether the echo that is out has been lost.
   * @param smallMs when the latest small echo that the peer has confirmed was sent
   * @param path smoothed round trip, and small echoes that are lost, of 1000
   * @returns whether the MTU has changed
   */
  check(nowMs: number, smallMs: number, { roundTripMs, loss }: { roundTripMs: number; loss: number }): boolean {
    const pending = this.#pending;
    if (pending === null || nowMs - pending.sentMs < Math.max(RETRY_MS, 2 * roundTripMs)) return false;
    if (smallMs < pending.sentMs) {
      // Small ones do not arrive either: the path is cut or lossy, and this says nothing of its MTU.
      if (nowMs - pending.sentMs >= STEADY_MS + 2 * roundTripMs) {
        this.#pending = null;
        this.#nextAtMs = nowMs;
      }
      return false;
    }
    this.#pending = null;
    this.#nextAtMs = nowMs;
    if (++this.#misses < (loss > LOSSY ? MISSES_LOSSY : MISSES)) return false;
    this.#misses = 0;
    if (this.#size > this.#mtu) {
      this.#tooLong = this.#size;
      if (this.#attempt === "most" && this.#size - this.#mtu > STEP) {
        this.#attempt = "step";
        this.#size = this.#mtu + STEP;
      } else if (this.#attempt === "step") this.#settle(this.#mtu, nowMs + UP_MS);
      else this.#halve(nowMs);
      return false;
    }
    const floor = this.#floors.find((one) => one < this.#mtu);
    if (floor === undefined) {
      this.#settle(this.#mtu, nowMs + UP_MS);
      return false;
    }
    this.#tooLong = this.#mtu;
    this.#attempt = null;
    this.#mtu = floor;
    this.#size = floor;
    this.#isConfirmed = false;
    return true;
  }

  /** The next size between what goes and what does not. */
  #halve(nowMs: number): void {
    const tooLong = this.#tooLong as number;
    if (tooLong - this.#mtu <= 1) {
      this.#settle(this.#mtu, nowMs + UP_MS);
      return;
    }
    this.#nextAtMs = nowMs;
    this.#size = (this.#mtu + tooLong) >> 1;
  }

  #settle(mtu: number, upAtMs: number): void {
    this.#mtu = mtu;
    this.#size = mtu;
    this.#tooLong = null;
    this.#attempt = null;
    this.#misses = 0;
    this.#pending = null;
    this.#upAtMs = upAtMs;
  }
}
