/** Which peer has which key slot and receiver index: the key table seen from the handshake. */
import type { KeyTable } from "./surroundings.js";

export interface Slot {
  readonly slot: number;
  /** Receiver index that the peer writes, u32. */
  readonly local: number;
}

export class Slots<Owner> {
  readonly #keys: KeyTable;
  readonly #bySlot = new Map<number, Owner>();
  readonly #byLocal = new Map<number, Owner>();

  constructor(keys: KeyTable) {
    this.#keys = keys;
  }

  get size(): number {
    return this.#bySlot.size;
  }
  ownerOfSlot(slot: number): Owner | undefined {
    return this.#bySlot.get(slot);
  }
  ownerOfIndex(local: number): Owner | undefined {
    return this.#byLocal.get(local);
  }

  /** @returns undefined when all slots are taken. */
  reserve(owner: Owner, peer: number): Slot | undefined {
    const slot = this.#keys.reserve(peer);
    if (!slot) return undefined;
    this.#bySlot.set(slot.slot, owner);
    this.#byLocal.set(slot.local, owner);
    return slot;
  }

  retire({ slot, local }: Slot): void {
    this.#bySlot.delete(slot);
    this.#byLocal.delete(local);
    this.#keys.retire(slot);
  }
}
