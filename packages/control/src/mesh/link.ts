/** One control link: a channel, how it is, and how much its other end may still ask of us. */
import type { Channel } from "./channel.js";
import type { MeshStats } from "./stats.js";
import type { Kept } from "./table.js";
import type { NodeId } from "./types.js";
import { encodeGoodbye, encodePing, type GoodbyeReason, MESSAGE_TYPES, type MessageType } from "./wire.js";

/** Octets that wait for the network: beyond, nothing but pings is sent. What is left out comes with the next round. */
const BACKLOG_MAX = 2 ** 20;
/** What one neighbour may send: far more than it ever does, and bounded. Verifying takes a third of a millisecond. */
const LIMITS = {
  messages: { rate: 1000, burst: 5000 },
  octets: { rate: 8 * 2 ** 20, burst: 64 * 2 ** 20 },
  verifications: { rate: 500, burst: 10_000 },
} as const;

class Allowance {
  readonly #limit: { readonly rate: number; readonly burst: number };
  #left: number;
  #at: number;

  constructor(limit: { readonly rate: number; readonly burst: number }, now: number) {
    this.#limit = limit;
    this.#left = limit.burst;
    this.#at = now;
  }

  take(n: number, now: number): boolean {
    this.#left = Math.min(this.#limit.burst, this.#left + ((now - this.#at) * this.#limit.rate) / 1000);
    this.#at = now;
    if (this.#left < n) return false;
    this.#left -= n;
    return true;
  }
}

export class Link {
  readonly channel: Channel;
  readonly node: NodeId;
  readonly openedMs: number;
  /** When anything last came. */
  heardMs: number;
  /** Milliseconds; undefined until the first answer. */
  rttMs: number | undefined;
  /** Both have said hello. */
  isReady = false;
  isClosed = false;
  /** News for it, sent together. */
  readonly queue = new Set<Kept>();
  /** It could not take what was for it: a round of anti-entropy is due. */
  isBehind = false;
  readonly #sent = { packets: 0, bytes: 0 };
  readonly #received = { packets: 0, bytes: 0 };
  readonly #stats: MeshStats;
  readonly #messages: Allowance;
  readonly #octets: Allowance;
  readonly #verifications: Allowance;
  /** Greatest number of a ping that it has answered. */
  answeredMark = 0;
  #ping: { readonly number: number; readonly atMs: number } | undefined;
  #pings = 0;

  constructor(channel: Channel, stats: MeshStats, now: number) {
    this.channel = channel;
    this.node = channel.node;
    this.openedMs = now;
    this.heardMs = now;
    this.#stats = stats;
    this.#messages = new Allowance(LIMITS.messages, now);
    this.#octets = new Allowance(LIMITS.octets, now);
    this.#verifications = new Allowance(LIMITS.verifications, now);
  }

  /** Messages and their octets, up to now. */
  get sent(): { readonly packets: number; readonly bytes: number } {
    return { ...this.#sent };
  }
  get received(): { readonly packets: number; readonly bytes: number } {
    return { ...this.#received };
  }
  get hasRoom(): boolean {
    return this.channel.backlog < BACKLOG_MAX;
  }

  send(message: Buffer): void {
    if (this.isClosed) return;
    this.#stats.count(this.#stats.sent, MESSAGE_TYPES[(message[0] as number) - 1] as MessageType, message.length);
    this.#sent.packets++;
    this.#sent.bytes += message.length;
    this.channel.send(message);
  }

  /** @returns false when it has sent more than anybody should */
  mayReceive(octets: number, now: number): boolean {
    this.#received.packets++;
    this.#received.bytes += octets;
    return this.#messages.take(1, now) && this.#octets.take(octets, now);
  }
  mayVerify(now: number): boolean {
    return this.#verifications.take(1, now);
  }

  ping(now: number): void {
    this.#ping = { number: ++this.#pings, atMs: now };
    this.send(encodePing("ping", this.#pings));
  }
  /** A ping that measures no round trip. @returns its number: everything sent before has been taken in when that is answered */
  mark(): number {
    this.send(encodePing("ping", ++this.#pings));
    return this.#pings;
  }
  pong(number: number, now: number): void {
    // Nobody answers what was not asked.
    if (number <= this.#pings) this.answeredMark = Math.max(this.answeredMark, number);
    if (this.#ping?.number !== number) return;
    const rtt = now - this.#ping.atMs;
    // Smoothed as TCP does it (RFC 6298 §2).
    this.rttMs = this.rttMs === undefined ? rtt : this.rttMs + (rtt - this.rttMs) / 8;
    this.#ping = undefined;
  }
  get pingedMs(): number {
    return this.#ping?.atMs ?? Number.NEGATIVE_INFINITY;
  }

  goodbye(reason: GoodbyeReason, others: readonly NodeId[] = []): void {
    this.send(encodeGoodbye(reason, others));
  }
}
