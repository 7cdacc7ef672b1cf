/**
 * How many strangers may be at the door: connections that have not shown yet who they are. Without it, whoever reaches the
 * control port could hold any number of sockets, or keep the daemon busy with handshakes. Members that are in are not counted.
 */
import ipaddr from "ipaddr.js";

export interface GateLimits {
  /** Connections that have not authenticated, in all and from one source. */
  readonly strangersMax: number;
  readonly strangersPerSource: number;
  /** New connections a second, in all and from one source; as many at once after a quiet second. */
  readonly perSecond: number;
  readonly perSecondPerSource: number;
}

export const GATE_LIMITS: GateLimits = {
  strangersMax: 64,
  strangersPerSource: 8,
  perSecond: 100,
  perSecondPerSource: 20,
};
/** Sources that are remembered; the one that came first is forgotten first. */
const SOURCES_MAX = 1024;

/** A bucket that fills at `rate` a second, to `rate`. */
class Bucket {
  #left: number;
  #at: number;
  readonly #rate: number;

  constructor(rate: number, now: number) {
    this.#rate = rate;
    this.#left = rate;
    this.#at = now;
  }

  take(now: number): boolean {
    this.#left = Math.min(this.#rate, this.#left + (Math.max(0, now - this.#at) * this.#rate) / 1000);
    this.#at = now;
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}

interface Source {
  waiting: number;
  readonly bucket: Bucket;
}

export class Gate {
  readonly #limits: GateLimits;
  readonly #bucket: Bucket;
  readonly #sources = new Map<string, Source>();
  #waiting = 0;

  /** @param now milliseconds, of a clock that does not jump. */
  constructor(limits: GateLimits, now: number) {
    this.#limits = limits;
    this.#bucket = new Bucket(limits.perSecond, now);
  }

  /** Connections that have not authenticated. */
  get waiting(): number {
    return this.#waiting;
  }

  get sources(): number {
    return this.#sources.size;
  }

  /** @returns whether a new connection may stay; then `leave` is called once, with the same address. */
  enter(address: string, now: number): boolean {
    const source = this.#source(address, now);
    if (this.#waiting >= this.#limits.strangersMax || source.waiting >= this.#limits.strangersPerSource) return false;
    // The source's own first: one that comes too often takes nothing from the others.
    if (!source.bucket.take(now) || !this.#bucket.take(now)) return false;
    this.#waiting++;
    source.waiting++;
    return true;
  }

  /** It has authenticated, or is gone. */
  leave(address: string): void {
    this.#waiting--;
    const source = this.#sources.get(sourceOf(address));
    if (source) source.waiting--;
  }

  #source(address: string, now: number): Source {
    const name = sourceOf(address);
    const known = this.#sources.get(name);
    if (known) return known;
    const made = { waiting: 0, bucket: new Bucket(this.#limits.perSecondPerSource, now) };
    this.#sources.set(name, made);
    if (this.#sources.size > SOURCES_MAX) {
      // At most strangersMax of them are waiting, so this ends soon.
      for (const [old, { waiting }] of this.#sources) {
        if (waiting > 0) continue;
        this.#sources.delete(old);
        break;
      }
    }
    return made;
  }
}

/** What counts as one: an IPv4 address, or the /64 that an IPv6 host has to itself. */
export function sourceOf(address: string): string {
  if (!ipaddr.isValid(address)) return address;
  const parsed = ipaddr.process(address);
  if (parsed.kind() === "ipv4") return parsed.toString();
  return (parsed as ipaddr.IPv6).parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(":");
}
