/** The echoes of one kind of path (direct or relayed) with a peer, in both directions: what was sent, heard and confirmed. */
import type { Echo, Heard, HeardFull } from "./echo.js";

/** Own echoes that a report may speak of: older ones say nothing any more. */
const REMEMBERED = 16;
/** Longest round trip that is believed. */
const ROUND_TRIP_MAX_US = 60_000_000;
const U48 = 2 ** 48;

/** How a clock's milliseconds are written into an echo. */
export function microseconds(nowMs: number): number {
  return Math.round(nowMs * 1000) % U48;
}

export class Series {
  #sequence = 0;
  #fullSequence = 0;
  /** When the last REMEMBERED small echoes were sent, by sequence. */
  readonly #sentMs = new Float64Array(REMEMBERED);
  #heard: { sequence: number; sentUs: number; atMs: number } | null = null;
  #heardBy = 0n;
  #heardFull: HeardFull | null = null;
  #confirmed: { sequence: number; sentMs: number } | null = null;
  /** RFC 6298 §2, microseconds. */
  #srttUs: number | null = null;
  #rttvarUs = 0;
  /** Bit i: the i-th sequence number before the last one heard was heard; as many as `#counted`. */
  #window = 0;
  #counted = 0;
  #lossThere = 0;

  /** Milliseconds of our clock; null: nothing heard, or nothing confirmed. */
  get heardAtMs(): number | null {
    return this.#heard?.atMs ?? null;
  }
  /** When the latest small echo that the peer has confirmed was sent. */
  get confirmedSentMs(): number | null {
    return this.#confirmed?.sentMs ?? null;
  }
  get rttUs(): number | null {
    return this.#srttUs === null ? null : Math.round(this.#srttUs);
  }
  /** Echoes that were lost, of 1000, over the last 32 of either side: that of the worse direction. */
  get loss(): number {
    return Math.max(this.lossHere, this.#lossThere);
  }
  /** Of the peer's. */
  get lossHere(): number {
    if (this.#counted === 0) return 0;
    let heard = 0;
    for (let i = 0; i < this.#counted; i++) heard += (this.#window >>> i) & 1;
    return Math.round((1000 * (this.#counted - heard)) / this.#counted);
  }

  /** Takes the number of the next echo to send. */
  next(isFull: boolean, nowMs: number): { sequence: number; sentUs: number } {
    const sentUs = microseconds(nowMs);
    if (isFull) return { sequence: ++this.#fullSequence, sentUs };
    this.#sequence++;
    this.#sentMs[this.#sequence % REMEMBERED] = nowMs;
    return { sequence: this.#sequence, sentUs };
  }

  /** An echo has come. @returns false: it is not newer than what was heard before */
  take(echo: Echo, nowMs: number): boolean {
    if (echo.full) {
      if (this.#heardFull !== null && echo.sequence <= this.#heardFull.sequence) return false;
      this.#heardFull = { sequence: echo.sequence, bytes: echo.bytes };
      return true;
    }
    const gap = echo.sequence - (this.#heard?.sequence ?? echo.sequence - 1);
    if (gap <= 0) return false;
    this.#window = gap >= 32 ? 1 : ((this.#window << gap) | 1) >>> 0;
    this.#counted = this.#heard === null ? 1 : Math.min(32, this.#counted + gap);
    this.#heard = { sequence: echo.sequence, sentUs: echo.sentUs, atMs: nowMs };
    this.#heardBy = echo.relay;
    return true;
  }

  /**
   * The peer says which of our echoes it has heard last.
   * @param isRoundTrip the report came the way the echo went, so that the time it took is the path's
   * @returns whether that is news
   */
  report(heard: Heard | null, isRoundTrip: boolean, nowMs: number): boolean {
    if (heard === null || heard.sequence > this.#sequence || heard.sequence <= this.#sequence - REMEMBERED)
      return false;
    if (this.#confirmed !== null && heard.sequence <= this.#confirmed.sequence) return false;
    const sentMs = this.#sentMs[heard.sequence % REMEMBERED] as number;
    if (microseconds(sentMs) !== heard.sentUs) return false;
    this.#confirmed = { sequence: heard.sequence, sentMs };
    if (isRoundTrip) this.#measure((nowMs - sentMs) * 1000 - heard.heldUs);
    return true;
  }

  /** So many of ours were lost, of 1000, says the peer. */
  told(loss: number): void {
    this.#lossThere = loss;
  }
  /** What to tell the peer. */
  heard(nowMs: number): Heard | null {
    if (this.#heard === null) return null;
    const { sequence, sentUs, atMs } = this.#heard;
    return { sequence, sentUs, heldUs: Math.max(0, Math.round((nowMs - atMs) * 1000)) };
  }
  /** Tag of the relay that the peer sent it through; 0n: none. */
  get heardBy(): bigint {
    return this.#heardBy;
  }
  get heardFull(): HeardFull | null {
    return this.#heardFull;
  }

  /** The peer has begun anew: its numbers start from 1 again. */
  restart(): void {
    this.#heard = null;
    this.#heardFull = null;
    this.#window = 0;
    this.#counted = 0;
  }
  /** Another path is used for the series: what was measured was the old one's. */
  unmeasure(): void {
    this.#confirmed = null;
    this.#srttUs = null;
  }

  #measure(us: number): void {
    if (us < 0 || us > ROUND_TRIP_MAX_US) return;
    if (this.#srttUs === null) {
      this.#srttUs = us;
      this.#rttvarUs = us / 2;
      return;
    }
    this.#rttvarUs = 0.75 * this.#rttvarUs + 0.25 * Math.abs(this.#srttUs - us);
    this.#srttUs = 0.875 * this.#srttUs + 0.125 * us;
  }
}
