/**
 * The sessions of one peer (WireGuard paper §6.1 and §6.2): one that seals, and around it those that still or already open.
 *
 * The paper and the kernel know three by name: previous, current and next. Here those older than the current one are
 * "previous" and those newer are "next", and there may be two of a kind, as long as there is room: when both sides start
 * at once, or a first message is lost, the peer may still be sealing with one that three names would have no place for.
 */
import { wipe } from "./secrets.js";
import type { Slot, Slots } from "./slots.js";
import type { KeyTable, Role } from "./surroundings.js";
import { REJECT_AFTER_TIME } from "./timers.js";

/** Slots that one peer may hold, the one of an initiation under way included. */
export const SLOTS_PER_PEER = 4;

export interface Session extends Slot {
  /** Receiver index that we write, u32. */
  readonly remote: number;
  /** Ours in its handshake. */
  readonly role: Role;
  readonly bornMs: number;
  /** Key that seals; for keepalives. */
  readonly send: Buffer;
  /** Authenticated data has come under it: the peer has it too. */
  isConfirmed: boolean;
  /** It has sealed as many messages as it should. */
  isWorn: boolean;
}

export class Sessions<Owner> {
  readonly #peer: number;
  readonly #keys: KeyTable;
  readonly #slots: Slots<Owner>;
  /** Oldest first. */
  #all: Session[] = [];
  #current: Session | undefined;
  readonly #unused: () => void;

  /** @param unused is called for every session of a responder that went without having been used */
  constructor(peer: number, keys: KeyTable, slots: Slots<Owner>, unused: () => void) {
    this.#peer = peer;
    this.#keys = keys;
    this.#slots = slots;
    this.#unused = unused;
  }

  /** The one that seals. */
  get current(): Session | undefined {
    return this.#current;
  }
  get count(): number {
    return this.#all.length;
  }
  find(slot: number): Session | undefined {
    return this.#all.find((session) => session.slot === slot);
  }

  /** A finished handshake. That of an initiator seals at once, that of a responder when the peer has used it. */
  add(session: Session): void {
    this.#all.push(session);
    if (session.role === "initiator") this.#makeCurrent(session);
  }

  /** The peer has used a session. @returns true when that made it the current one */
  confirm(session: Session): boolean {
    session.isConfirmed = true;
    if (!this.#isNext(session)) return false;
    this.#makeCurrent(session);
    return true;
  }

  #makeCurrent(session: Session): void {
    this.#current = session;
    this.#keys.setSendSlot(this.#peer, session.slot);
  }

  #isNext(session: Session): boolean {
    return (
      session !== this.#current && (!this.#current || this.#all.indexOf(session) > this.#all.indexOf(this.#current))
    );
  }

  /** Retires sessions until there are at most so many: those first that the peer is least likely to seal with. */
  shrinkTo(most: number): void {
    while (this.#all.length > most) {
      const victim = this.#victim();
      if (!victim) return;
      this.#retire(victim);
    }
  }

  #victim(): Session | undefined {
    const next = this.#all.find((session) => this.#isNext(session));
    const previous = this.#all.find((session) => session !== this.#current && !this.#isNext(session));
    // As long as the peer has not used the current one, it seals with the one before.
    return this.#current?.isConfirmed ? (previous ?? next) : (next ?? previous);
  }

  /** Retires what is older than REJECT_AFTER_TIME. */
  expire(now: number): void {
    for (const session of this.#all.filter(({ bornMs }) => now - bornMs >= REJECT_AFTER_TIME)) this.#retire(session);
  }

  clear(): void {
    for (const session of [...this.#all]) this.#retire(session);
  }

  #retire(session: Session): void {
    if (session === this.#current) {
      this.#current = undefined;
      this.#keys.setSendSlot(this.#peer, undefined);
    }
    if (session.role === "responder" && !session.isConfirmed) this.#unused();
    this.#all = this.#all.filter((other) => other !== session);
    this.#slots.retire(session);
    wipe(session.send);
  }
}
