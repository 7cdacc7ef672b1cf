/** One peer's path through a relay: whether it leads there, and which relays have not. */
import type { NodeId } from "../mesh/types.js";
import type { MtuSearch } from "./mtu-search.js";
import { Series } from "./series.js";
import { EXCLUDED_MS, MISSES } from "./timing.js";

/** Relays that one peer's path leaves alone at a time. */
const EXCLUDED_MAX = 16;

export class RelayedPath<Relay extends { readonly node: NodeId }> {
  /** One series for all relays: numbers go on when the relay changes. */
  readonly series = new Series();
  #relay: Relay | null = null;
  #mtu: MtuSearch | null = null;
  #waitingMs = 0;
  readonly #excluded = new Map<NodeId, number>();

  get relay(): Relay | null {
    return this.#relay;
  }
  get mtu(): MtuSearch | null {
    return this.#mtu;
  }

  /** @param mtu called for another relay, which has its own MTU */
  set(relay: Relay | null, nowMs: number, mtu: () => MtuSearch): void {
    if (relay === this.#relay) return;
    this.#relay = relay;
    this.#mtu = relay === null ? null : mtu();
    this.#waitingMs = nowMs;
    this.series.unmeasure();
  }
  expect(nowMs: number): void {
    this.#waitingMs = nowMs;
  }

  /** Nothing that was sent through it in three intervals has been confirmed. */
  hasFailed(nowMs: number, intervalMs: number): boolean {
    const confirmed = this.series.confirmedSentMs;
    // In the steady state a confirmation is as old as an interval of ours, one of the peer and the round trip.
    const patience = confirmed === null ? 0 : intervalMs + (this.series.rttUs ?? 0) / 1000;
    const since = Math.max(this.#waitingMs, confirmed ?? Number.NEGATIVE_INFINITY);
    return this.#relay !== null && nowMs - since > MISSES * intervalMs + patience;
  }
  /** Leaves the present relay alone for some time. */
  exclude(nowMs: number): void {
    if (this.#relay === null) return;
    if (this.#excluded.size >= EXCLUDED_MAX) this.#excluded.clear();
    this.#excluded.set(this.#relay.node, nowMs + EXCLUDED_MS);
  }
  excluded(nowMs: number): ReadonlySet<NodeId> {
    for (const [node, untilMs] of this.#excluded) if (nowMs >= untilMs) this.#excluded.delete(node);
    return new Set(this.#excluded.keys());
  }
  /** All have been tried: they are as good as before. */
  forgive(): void {
    this.#excluded.clear();
  }
}
