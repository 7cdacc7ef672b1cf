/**
 * Session keys in the shared memory, where workers seal and open with them. Written here while no worker may use a slot: a slot is
 * FREE, then HANDSHAKE (its receiver index is given out), VALID (both keys work), RETIRING (neither does), and FREE again when it
 * was wiped. Who retires a slot wipes it once every worker has begun another turn: Tables.publish() tells when.
 */
import { randomInt } from "node:crypto";
import { ENUM, layout, offsetOf } from "../abi/index.js";
import { elementAddress, type SwitchMemory } from "./instance.js";

const { KEY } = ENUM;
const SIZE = layout("Key").size;
const field = (name: string): number => offsetOf("Key", name);
/** Octets of a receiver index: worker (8 bits), slot (16 bits), random (8 bits). */
const SLOT_SHIFT = 8;
const SALT_SHIFT = 24;

export class KeySlots {
  readonly #memory: SwitchMemory;
  readonly #octets: Uint8Array;
  readonly #words: Int32Array;
  readonly #counters: BigUint64Array;
  readonly #free: number[];

  constructor(memory: SwitchMemory) {
    this.#memory = memory;
    this.#octets = new Uint8Array(memory.memory.buffer);
    this.#words = new Int32Array(memory.memory.buffer);
    this.#counters = new BigUint64Array(memory.memory.buffer);
    this.#free = Array.from({ length: memory.plan.regions.KEYS.count }, (_, slot) => slot);
  }

  /** Slots that nobody uses. */
  get free(): number {
    return this.#free.length;
  }

  /**
   * Gives out a slot and its receiver index.
   *
   * @param worker the one that opens what comes under the index
   * @returns undefined when all slots are in use
   */
  reserve(peer: number, worker: number): { readonly slot: number; readonly local: number } | undefined {
    const slot = this.#free.shift();
    if (slot === undefined) return undefined;
    const local = ((randomInt(256) << SALT_SHIFT) | (slot << SLOT_SHIFT) | worker) >>> 0;
    this.#set(slot, "local", local);
    this.#set(slot, "peer", peer);
    this.#setState(slot, KEY.HANDSHAKE);
    return { slot, local };
  }

  /** Both keys, 32 octets each: the slot opens from now on. `bornMs`: the workers' clock. */
  install(
    slot: number,
    keys: { readonly send: Uint8Array; readonly receive: Uint8Array },
    remote: number,
    bornMs: number,
  ): void {
    const at = this.#at(slot);
    this.#octets.set(keys.send, at + field("send"));
    this.#octets.set(keys.receive, at + field("receive"));
    this.#set(slot, "remote", remote);
    this.#set(slot, "bornMs", bornMs);
    this.#setState(slot, KEY.VALID);
  }

  /** Whether a slot still has a receiver index. */
  has(slot: number, local: number): boolean {
    return Atomics.load(this.#words, (this.#at(slot) + field("local")) >>> 2) >>> 0 === local;
  }

  /** Takes the counter of one message that the caller seals itself. */
  takeCounter(slot: number): bigint {
    return Atomics.add(this.#counters, (this.#at(slot) + field("counter")) >>> 3, 1n);
  }

  /** From the next look at it on, no worker seals or opens with the slot. */
  retire(slot: number): void {
    this.#setState(slot, KEY.RETIRING);
  }

  /** Forgets the keys. No worker can still be at the slot; nothing happens when it is not retired. */
  wipe(slot: number): void {
    const at = this.#at(slot);
    if (Atomics.load(this.#words, (at + field("state")) >>> 2) !== KEY.RETIRING) return;
    this.#octets.fill(0, at, at + SIZE);
    this.#free.push(slot);
  }

  #at(slot: number): number {
    return elementAddress(this.#memory, "KEYS", slot);
  }
  #set(slot: number, name: string, value: number): void {
    Atomics.store(this.#words, (this.#at(slot) + field(name)) >>> 2, value | 0);
  }
  #setState(slot: number, state: number): void {
    this.#set(slot, "state", state);
  }
}
