/** What the mesh counts, for metrics and `status mesh`. */
import { MESSAGE_TYPES, type MessageType } from "./wire.js";

export interface Traffic {
  messages: number;
  octets: number;
}
export type ByType = Readonly<Record<MessageType, Traffic>>;

const zero = (): ByType =>
  Object.fromEntries(MESSAGE_TYPES.map((type) => [type, { messages: 0, octets: 0 }])) as unknown as ByType;

export class MeshStats {
  readonly sent = zero();
  readonly received = zero();
  /** Links that were closed, by why: our own words, so there are few. */
  readonly closed = new Map<string, number>();
  /** Rounds of anti-entropy that others began with us. */
  readonly rounds = { same: 0, different: 0 };
  /** Called with each measurement of convergence: milliseconds until all neighbours had what we wrote (own-news.ts). */
  onConverged: (ms: number) => void = () => undefined;

  count(traffic: ByType, type: MessageType, octets: number): void {
    traffic[type].messages++;
    traffic[type].octets += octets;
  }
  /** What follows a colon or bracket is left out. */
  countClosed(why: string): void {
    const short = why.split(/[:(]/, 1)[0]?.trim() ?? "";
    if (this.closed.has(short) || this.closed.size < 64) this.closed.set(short, (this.closed.get(short) ?? 0) + 1);
  }
}
