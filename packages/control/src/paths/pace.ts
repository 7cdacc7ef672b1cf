/** How often echoes go to one peer, and how often its own may be expected. */
import { FAST_MS, LATE_MS, LINGER_MS, SLOW_MS, USED_MS, WAKE_MIN_MS } from "./timing.js";

export class Pace {
  #isUsed = false;
  #neededMs = Number.NEGATIVE_INFINITY;
  /** When the peer last said that it uses us; minus infinity: its latest echo says that it does not. */
  #peerUsesMs = Number.NEGATIVE_INFINITY;
  #isFast = false;
  #lingerMs = Number.NEGATIVE_INFINITY;
  /** Shorter interval while a path that slept is tried; null: none is. */
  #wakeMs: number | null = null;

  /** We have sent data lately, or reach others through the peer. */
  get isUsed(): boolean {
    return this.#isUsed;
  }
  /** One of both sides uses the other. */
  get isFast(): boolean {
    return this.#isFast;
  }
  get isWaking(): boolean {
    return this.#wakeMs !== null;
  }
  /** Between two echoes of the peer, as far as we may expect. */
  get expectedMs(): number {
    return this.#isFast ? (this.#wakeMs ?? FAST_MS) : SLOW_MS;
  }
  /** Between two of ours. */
  intervalMs(nowMs: number): number {
    return this.#isFast || nowMs < this.#lingerMs ? (this.#wakeMs ?? FAST_MS) : SLOW_MS;
  }

  needed(nowMs: number): void {
    this.#neededMs = nowMs;
  }
  isNeeded(nowMs: number, withinMs: number): boolean {
    return nowMs - this.#neededMs < withinMs;
  }
  peerSays(isUsed: boolean, nowMs: number): void {
    this.#peerUsesMs = isUsed ? nowMs : Number.NEGATIVE_INFINITY;
  }
  sent(agoMs: number | null, nowMs: number): void {
    this.#isUsed = (agoMs ?? Number.POSITIVE_INFINITY) < USED_MS || this.isNeeded(nowMs, USED_MS);
  }
  /** @returns whether echoes are expected at another interval from now on */
  turn(nowMs: number): boolean {
    const isFast = this.#isUsed || nowMs - this.#peerUsesMs < USED_MS;
    if (isFast) this.#lingerMs = nowMs + LINGER_MS;
    if (isFast === this.#isFast) return false;
    this.#isFast = isFast;
    this.#wakeMs = null;
    return true;
  }
  /** An echo of a used path has not come for longer than it should; false while that is being looked into. */
  isLate(silenceMs: number, rttUs: number | null): boolean {
    return this.#isFast && !this.isWaking && silenceMs > FAST_MS + LATE_MS + (2 * (rttUs ?? 0)) / 1000;
  }
  /** A path is tried that has slept. @param rttUs as it was, if it was measured */
  wake(rttUs: number | null): void {
    this.#wakeMs = Math.min(FAST_MS, Math.max(WAKE_MIN_MS, (2 * (rttUs ?? FAST_MS * 1000)) / 1000));
  }
  awake(): void {
    this.#wakeMs = null;
  }
}

/** When the next echo is due. Slow ones are spread: thousands of sessions may have begun in one moment. */
export function nextEcho(nowMs: number, intervalMs: number, random: () => number): number {
  return nowMs + (intervalMs === SLOW_MS ? intervalMs * (0.8 + 0.2 * random()) : intervalMs);
}
