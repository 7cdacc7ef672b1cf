/** Times of the protocol (WireGuard paper §6.1), and the clock they are measured with. */
import type { Live } from "./surroundings.js";

/** Milliseconds, by the names of the paper. */
export const REKEY_AFTER_TIME = 120_000;
export const REJECT_AFTER_TIME = 180_000;
export const REKEY_ATTEMPT_TIME = 90_000;
export const REKEY_TIMEOUT = 5_000;
export const KEEPALIVE_TIMEOUT = 10_000;
export const COOKIE_LIFETIME = 120_000;
/** Added to REKEY_TIMEOUT, so that two sides do not go on trying at the same moment; inclusive. */
export const JITTER_MAX = 333;
/** A responder does no work for initiations of one peer that come closer: 50 a second, as the kernel has it. */
export const INITIATION_SPACING = 20;
/** An initiator that receives under a key this old makes a new one, so that the peer need not fall silent. */
export const REKEY_ON_RECEIVE = REJECT_AFTER_TIME - KEEPALIVE_TIMEOUT - REKEY_TIMEOUT;
/** With data sent and nothing heard for this long, the peer has lost the session. */
export const SILENCE = KEEPALIVE_TIMEOUT + REKEY_TIMEOUT;

export const NEVER = Number.NEGATIVE_INFINITY;

/** Between two tales of handshakes by somebody who is no peer. */
export const STRANGER_SPACING = 10_000;

/** The u32 clock made long: milliseconds that never wrap. */
export class Clock {
  readonly #read: () => number;
  #last: number;
  #long = 0;

  constructor(read: () => number) {
    this.#read = read;
    this.#last = read() >>> 0;
  }

  now(): number {
    const now = this.#read() >>> 0;
    this.#long += (now - this.#last) >>> 0;
    this.#last = now;
    return this.#long;
  }

  /** @param ms u32, less than 24 days from the last `now()`, before or after it */
  long(ms: number): number {
    return this.#long + ((ms - this.#last) | 0);
  }
}

/** One time that workers write: made long when it changes, since an old u32 would seem to lie in the future one day. */
class Seen {
  at = NEVER;
  #raw = 0;

  look(raw: number, clock: Clock): void {
    if (raw === this.#raw) return;
    this.#raw = raw;
    this.at = raw === 0 ? NEVER : clock.long(raw);
  }
}

/** When what was last exchanged with a peer, by workers and by the engine itself. */
export class Activity {
  readonly #clock: Clock;
  readonly #sent = new Seen();
  readonly #sentData = new Seen();
  readonly #received = new Seen();
  readonly #receivedData = new Seen();
  #ownSent = NEVER;
  #handshakeSent = NEVER;
  #handshakeReceived = NEVER;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  look(live: Live): void {
    this.#sent.look(live.sentMs, this.#clock);
    this.#sentData.look(live.sentDataMs, this.#clock);
    this.#received.look(live.receivedMs, this.#clock);
    this.#receivedData.look(live.receivedDataMs, this.#clock);
  }

  keepaliveWasSent(now: number): void {
    this.#ownSent = now;
  }
  handshakeWasSent(now: number): void {
    this.#handshakeSent = now;
  }
  handshakeWasReceived(now: number): void {
    this.#handshakeReceived = now;
  }

  /** Initiation or response sent. */
  get handshakeSent(): number {
    return this.#handshakeSent;
  }
  /** Data message sent, keepalives included. */
  get transportSent(): number {
    return Math.max(this.#sent.at, this.#sentData.at, this.#ownSent);
  }
  /** Data message received, keepalives included. */
  get transportReceived(): number {
    return Math.max(this.#received.at, this.#receivedData.at);
  }
  get dataSent(): number {
    return this.#sentData.at;
  }
  get dataReceived(): number {
    return this.#receivedData.at;
  }
  /** Anything authenticated sent. */
  get sent(): number {
    return Math.max(this.transportSent, this.#handshakeSent);
  }
  /** Anything authenticated received. */
  get received(): number {
    return Math.max(this.transportReceived, this.#handshakeReceived);
  }
}

/**
 * Passive keepalive: after data has come and nothing has gone back for KEEPALIVE_TIMEOUT, the peer is told that we are
 * still there. If more came while waiting, there is a second one.
 */
export class PassiveKeepalive {
  #since: number | undefined;

  /** @returns true: send one now, and call `wasSent()` */
  isDue(activity: Activity, now: number): boolean {
    if (this.#since !== undefined && activity.sent > this.#since) this.#since = undefined;
    if (this.#since === undefined && activity.dataReceived > activity.sent) this.#since = activity.dataReceived;
    return this.#since !== undefined && now >= this.#since + KEEPALIVE_TIMEOUT;
  }

  wasSent(activity: Activity, now: number): void {
    this.#since = this.#since !== undefined && activity.dataReceived > this.#since ? now : undefined;
  }
}

/** Data was sent and nothing at all has come back for SILENCE and a little: the session may be gone at the peer. */
export class Silence {
  #since: number | undefined;
  #wait = SILENCE;
  #doneUntil = NEVER;

  /** @param jitter is asked once per wait, milliseconds */
  isDue(activity: Activity, now: number, jitter: () => number): boolean {
    if (this.#since !== undefined && activity.received > this.#since) this.#since = undefined;
    if (this.#since === undefined && activity.dataSent > Math.max(activity.received, this.#doneUntil)) {
      this.#since = activity.dataSent;
      this.#wait = SILENCE + jitter();
    }
    return this.#since !== undefined && now >= this.#since + this.#wait;
  }

  /** Something is being done about it: waits for data that is sent from now on. */
  stop(now: number): void {
    this.#since = undefined;
    this.#doneUntil = now;
  }
}
