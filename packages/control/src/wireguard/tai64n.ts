/** TAI64N times of initiations (https://cr.yp.to/libtai/tai64.html): 8 octets of seconds, 4 of nanoseconds, big-endian. */
import { TIMESTAMP_LEN } from "./noise/messages.js";

/** 2^62, and the 10 s that TAI was ahead of UTC in 1970; leap seconds are not counted, as everybody does it. */
const EPOCH = 2n ** 62n + 10n;
const SECOND = 1_000_000_000n;
/** Nanoseconds are cut to 16.8 ms, so that nobody measures our clock or our load by them (paper §5.1, kernel noise.c). */
const CUT = 2n ** 24n;

/** Gives times that only grow, whatever the wall clock does. One for all peers: a peer may be removed and come back. */
export class Tai64n {
  #last = 0n;

  /** @param wallMs milliseconds since 1970 */
  next(wallMs: number): Buffer {
    const ns = BigInt(Math.max(0, Math.floor(wallMs))) * 1_000_000n;
    const cut = (ns / SECOND) * SECOND + ((ns % SECOND) / CUT) * CUT;
    this.#last = cut > this.#last ? cut : this.#last + 1n;
    const stamp = Buffer.alloc(TIMESTAMP_LEN);
    stamp.writeBigUInt64BE(EPOCH + this.#last / SECOND, 0);
    stamp.writeUInt32BE(Number(this.#last % SECOND), 8);
    return stamp;
  }
}
