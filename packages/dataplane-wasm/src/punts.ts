/** Reads the rings of handshake messages and probes that workers hand to the control plane. */
import { ENUM, LIMIT, offsetOf } from "../abi/index.js";
import { address, elementAddress, type SwitchMemory } from "./instance.js";
import type { Key } from "./route-hash.js";

export interface Punt {
  /** A copy. */
  readonly message: Buffer;
  /** Outer source address and port. */
  readonly address: Key;
  readonly port: number;
  /** The address of ours that it was sent to; all zero when the kernel did not tell. */
  readonly local: Key;
  /** It deserves a cookie and no work. */
  readonly isLoad: boolean;
  /** Index of the peer that it came through; then address and port are those inside the tunnel. */
  readonly via: number | undefined;
  /** Set for a probe, whose message is the first octets of its payload. */
  readonly probe: { readonly peer: number; readonly packetBytes: number } | undefined;
}

export class Punts {
  readonly #memory: SwitchMemory;
  readonly #words: Int32Array;
  readonly #octets: Buffer;

  constructor(memory: SwitchMemory) {
    this.#memory = memory;
    this.#words = new Int32Array(memory.memory.buffer);
    this.#octets = Buffer.from(memory.memory.buffer);
  }

  /** True when a worker has asked for attention since the last call. */
  takeAttention(): boolean {
    let asked = false;
    for (let worker = 0; worker < this.#memory.plan.sizes.workers; worker++) {
      const word = (this.#record(worker) + offsetOf("Worker", "attention")) >>> 2;
      if (Atomics.exchange(this.#words, word, 0) !== 0) asked = true;
    }
    return asked;
  }

  /** Takes all messages that wait, oldest first. */
  take(): Punt[] {
    const out: Punt[] = [];
    for (let worker = 0; worker < this.#memory.plan.sizes.workers; worker++) {
      const head = Atomics.load(this.#words, (this.#record(worker) + offsetOf("Worker", "puntHead")) >>> 2) >>> 0;
      const tailWord = (this.#record(worker) + offsetOf("Worker", "puntTail")) >>> 2;
      let tail = Atomics.load(this.#words, tailWord) >>> 0;
      for (; tail !== head; tail = (tail + 1) >>> 0) {
        out.push(this.#read(elementAddress(this.#memory, "PUNTS", tail & (LIMIT.PUNTS_MAX - 1), worker)));
      }
      Atomics.store(this.#words, tailWord, tail | 0);
    }
    return out;
  }

  #record(worker: number): number {
    return address(this.#memory.plan.regions.WORKER, worker);
  }
  #read(at: number): Punt {
    const octets = this.#octets;
    const word = (field: string): number => octets.readUInt32LE(at + offsetOf("Punt", field));
    const key = (field: string): Key => {
      const from = at + offsetOf("Punt", field);
      const part = (i: number): number => octets.readUInt32BE(from + 4 * i);
      return [part(0), part(1), part(2), part(3)];
    };
    const from = at + offsetOf("Punt", "message");
    const length = Math.min(word("len"), LIMIT.PUNT_LEN);
    const flags = word("flags");
    const via = word("via");
    return {
      message: Buffer.from(octets.subarray(from, from + length)),
      address: key("addr"),
      port: word("port"),
      local: key("local"),
      isLoad: (flags & ENUM.PUNT.LOAD) !== 0,
      via: via === 0 ? undefined : via - 1,
      probe: (flags & ENUM.PUNT.PROBE) === 0 ? undefined : { peer: word("peer"), packetBytes: word("total") },
    };
  }
}
