/**
 * The direct path to one peer: up or down by what is heard on it and by what the peer says to have heard.
 *
 * It is up only while both directions work. Who hears nothing for three intervals says so in its next echoes ("deaf"), which reach
 * the other side directly or over a relay: a one-way cut is seen at both ends.
 */

import { Series } from "./series.js";
import { GOOD_SPACING_MS, GOODS, MISSES } from "./timing.js";

export type DirectState =
  /** Nothing has been heard since the session began. */
  "unknown" | "up" | "down";
/** Why a direct path changed. */
export type DirectChange = "proven" | "silent" | "deaf";

export class DirectPath {
  readonly series = new Series();
  #state: DirectState = "unknown";
  #sinceMs: number;
  /** Echoes are expected since then, at the present interval. */
  #waitingMs: number;
  #goods = 0;
  #goodAtMs = Number.NEGATIVE_INFINITY;

  constructor(nowMs: number) {
    this.#sinceMs = nowMs;
    this.#waitingMs = nowMs;
  }

  get state(): DirectState {
    return this.#state;
  }
  get sinceMs(): number {
    return this.#sinceMs;
  }

  /** A session began after there was none: nothing is known of its path. */
  begin(nowMs: number): void {
    this.#set("unknown", nowMs);
    this.series.unmeasure();
    this.#waitingMs = nowMs;
  }
  /** Echoes come at another interval from now on. */
  expect(nowMs: number): void {
    this.#waitingMs = nowMs;
  }
  /** Milliseconds of silence that count. */
  silenceMs(nowMs: number): number {
    return nowMs - Math.max(this.series.heardAtMs ?? Number.NEGATIVE_INFINITY, this.#waitingMs);
  }
  /** What the peer is told. */
  isDeaf(nowMs: number, intervalMs: number): boolean {
    return this.silenceMs(nowMs) > MISSES * intervalMs;
  }

  /** Looks at the clock. @returns what has changed, or null */
  check(nowMs: number, intervalMs: number): DirectChange | null {
    // In a row means in a row.
    if (this.silenceMs(nowMs) > 2 * intervalMs) this.#goods = 0;
    if (this.#state === "down" || !this.isDeaf(nowMs, intervalMs)) return null;
    this.#set("down", nowMs);
    return "silent";
  }
  /** The peer says, in its latest echo on any path, that it does not hear us directly. */
  toldDeaf(nowMs: number): DirectChange | null {
    this.#goods = 0;
    if (this.#state === "down") return null;
    this.#set("down", nowMs);
    return "deaf";
  }
  /** A direct echo has come, from a peer that hears us. */
  good(nowMs: number, intervalMs: number): DirectChange | null {
    const confirmedMs = this.series.confirmedSentMs;
    const patienceMs = MISSES * intervalMs + (this.series.rttUs ?? 0) / 1000;
    if (this.#state === "up" || confirmedMs === null || nowMs - confirmedMs > patienceMs) return null;
    if (this.#state === "down") {
      if (nowMs - this.#goodAtMs < GOOD_SPACING_MS) return null;
      this.#goodAtMs = nowMs;
      if (++this.#goods < GOODS) return null;
    }
    this.#set("up", nowMs);
    return "proven";
  }

  #set(state: DirectState, nowMs: number): void {
    this.#state = state;
    this.#sinceMs = nowMs;
    this.#goods = 0;
  }
}
