/**
 * How much handshaking one address gets (WireGuard paper §5.3; figures of the kernel's ratelimiter.c). mac2 proves an address, and
 * whoever has one can make as many sound macs as he likes: each would cost us a key exchange.
 */
import { addressOctets } from "./cookies.js";

/** Messages a second from one address, and how many at once. */
const RATE = 20;
const BURST = 5;
/** Addresses that are remembered. Those of a flood without cookies are made up: when it is full, all have their burst again. */
const ADDRESSES_MAX = 8192;
/** Below so many messages a second from everybody there is nothing to share out. */
const FREE = 50;

export class Allowance {
  readonly #spent = new Map<string, { tokens: number; atMs: number }>();
  #secondMs = Number.NEGATIVE_INFINITY;
  #count = 0;

  /** @returns whether a message from there may cost a key exchange now */
  take(address: string, now: number): boolean {
    if (now - this.#secondMs >= 1000) {
      this.#secondMs = now;
      // A full second of silence since, and nobody owes anything.
      if (this.#count < FREE) this.#spent.clear();
      this.#count = 0;
    }
    if (++this.#count <= FREE && this.#spent.size === 0) return true;
    // A network of IPv6 has one: whoever has an address there has them all.
    const whose = address.includes(":") ? addressOctets(address).toString("hex", 0, 8) : address;
    const known = this.#spent.get(whose);
    if (!known && this.#spent.size >= ADDRESSES_MAX) this.#spent.clear();
    const tokens = known ? Math.min(BURST, known.tokens + ((now - known.atMs) * RATE) / 1000) : BURST;
    this.#spent.set(whose, { tokens: tokens >= 1 ? tokens - 1 : tokens, atMs: now });
    return tokens >= 1;
  }
}
