/**
 * The wire of the in-memory twin: carries UDP datagrams between hosts by address, and can lose, double, reorder and
 * delay them. Everything random comes from one seed, so a run repeats exactly.
 */
import { formatAddress } from "./addresses.js";
import { familyOf } from "./memory-socket.js";

/** A UDP datagram under way. Addresses are 16 octets, IPv4 as ::ffff:a.b.c.d. */
export interface Datagram {
  readonly from: Uint8Array;
  readonly fromPort: number;
  readonly to: Uint8Array;
  readonly toPort: number;
  readonly tos: number;
  readonly payload: Uint8Array;
}

/** What the wire does to datagrams. Probabilities are 0..1, per datagram. */
export interface Impairments {
  readonly loss: number;
  readonly duplicate: number;
  /** Probability that a datagram is overtaken by up to four later ones. */
  readonly reorder: number;
  /** Milliseconds of the network's clock from sending to arrival. */
  readonly latencyMs: number;
}

export interface MemoryNetworkOptions extends Partial<Impairments> {
  readonly seed?: number;
  /** Most datagrams joined into one receive buffer, as UDP_GRO does; 1 switches it off. Default 64. */
  readonly gro?: number;
  /**
   * The clock, in milliseconds. Without it time stands still until `advance()`; with `"real"` hosts use the system's.
   */
  readonly clock?: (() => number) | "real";
}

/** What became of the datagrams sent: sent + duplicated = arrived + lost + unreachable + held. */
export interface WireCounts {
  sent: number;
  duplicated: number;
  arrived: number;
  lost: number;
  /** No host has the address, or its interface is down. */
  unreachable: number;
}

/** A host's end of the wire. */
export interface WireEnd {
  /** Whether this host has the address and takes datagrams. */
  has(address: Uint8Array): boolean;
  arrive(datagram: Datagram): void;
}

interface Held {
  readonly datagram: Datagram;
  readonly end: WireEnd;
  readonly dueMs: number;
  /** Later arrivals of the same host that still have to overtake it. */
  behind: number;
}

export class MemoryNetwork {
  readonly gro: number;
  readonly counts: WireCounts = { sent: 0, duplicated: 0, arrived: 0, lost: 0, unreachable: 0 };
  /** undefined: hosts use the system's clock. */
  readonly nowMs: (() => number) | undefined;
  readonly #ends = new Set<WireEnd>();
  readonly #listeners = new Set<(datagram: Datagram) => void>();
  readonly #random: () => number;
  #impairments: Impairments;
  #held: Held[] = [];
  #now = 0;

  constructor(options: MemoryNetworkOptions = {}) {
    const { seed = 1, gro = 64, clock, ...impairments } = options;
    this.gro = gro;
    this.#random = mulberry32(seed);
    this.#impairments = { loss: 0, duplicate: 0, reorder: 0, latencyMs: 0, ...impairments };
    this.nowMs = clock === "real" ? undefined : (clock ?? (() => this.#now));
  }

  /** Changes what the wire does from now on. */
  impair(impairments: Partial<Impairments>): void {
    this.#impairments = { ...this.#impairments, ...impairments };
  }

  /** Moves the network's own clock on and lets arrive what is due. */
  advance(ms: number): void {
    this.#now += ms;
    this.deliverDue();
  }

  /** Sees every datagram as it is sent, before anything happens to it. */
  watch(listener: (datagram: Datagram) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Datagrams that are under way. */
  get held(): number {
    return this.#held.length;
  }

  join(end: WireEnd): void {
    this.#ends.add(end);
  }
  leave(end: WireEnd): void {
    this.#ends.delete(end);
    this.#held = this.#held.filter((held) => held.end !== end);
  }

  send(datagram: Datagram): void {
    const { loss, duplicate } = this.#impairments;
    this.counts.sent++;
    for (const listener of this.#listeners) listener(datagram);
    // Drawn in any case: one impairment more or less does not shift what happens to later datagrams.
    const lost = this.#random() < loss;
    const doubled = this.#random() < duplicate;
    const end = [...this.#ends].find((e) => e.has(datagram.to));
    if (lost) this.counts.lost++;
    else if (!end) this.counts.unreachable++;
    else this.#carry(datagram, end);
    if (doubled && !lost && end) {
      this.counts.duplicated++;
      this.#carry(datagram, end);
    }
  }

  /** Lets arrive what has waited long enough, and what waited to be overtaken when nothing else is under way. */
  deliverDue(): void {
    if (this.#held.length === 0) return;
    const now = this.#clock();
    const due = this.#held.filter((held) => held.dueMs <= now && held.behind === 0);
    this.#held = this.#held.filter((held) => held.dueMs > now || held.behind > 0);
    for (const held of due) this.#arrive(held.datagram, held.end);
    if (due.length > 0) return;
    const stuck = this.#held.filter((held) => held.dueMs <= now);
    this.#held = this.#held.filter((held) => held.dueMs > now);
    for (const held of stuck) this.#arrive(held.datagram, held.end);
  }

  #carry(datagram: Datagram, end: WireEnd): void {
    const { reorder, latencyMs } = this.#impairments;
    const late = this.#random() < reorder;
    const behind = 1 + Math.floor(this.#random() * 4);
    if (late || latencyMs > 0) {
      this.#held.push({ datagram, end, dueMs: this.#clock() + latencyMs, behind: late ? behind : 0 });
    } else {
      this.#arrive(datagram, end);
    }
  }

  #arrive(datagram: Datagram, end: WireEnd): void {
    if (end.has(datagram.to)) {
      this.counts.arrived++;
      end.arrive(datagram);
    } else {
      this.counts.unreachable++;
    }
    // Each arrival brings those it overtakes one step nearer.
    const now = this.#clock();
    const freed: Held[] = [];
    for (const held of this.#held) {
      if (held.end === end && held.behind > 0 && --held.behind === 0 && held.dueMs <= now) freed.push(held);
    }
    if (freed.length === 0) return;
    this.#held = this.#held.filter((held) => !freed.includes(held));
    for (const held of freed) this.#arrive(held.datagram, held.end);
  }

  #clock(): number {
    return this.nowMs ? this.nowMs() : performance.now();
  }
}

/** A small seeded generator: the same numbers on every machine. */
export function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** `10.9.0.1` or `fd00::1` of sixteen octets. */
export function addressText(octets: Uint8Array): string {
  return formatAddress(familyOf(octets) === 4 ? octets.subarray(12) : octets);
}
