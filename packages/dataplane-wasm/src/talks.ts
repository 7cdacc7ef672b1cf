/** Reads the workers' conversations and adds them up. Never writes; a cell that changes hands meanwhile is left out. */
import { LIMIT, layout, offsetOf } from "../abi/index.js";
import { elementAddress, type SwitchMemory } from "./instance.js";
import { macText } from "./mac-text.js";

/** One conversation of a local port. Octets of Ethernet frames. */
export interface TalkRow {
  readonly port: number;
  /** Of the port, when it was counted. */
  readonly generation: number;
  readonly localMac: string;
  readonly remoteMac: string;
  readonly rxPackets: number;
  readonly rxBytes: number;
  readonly txPackets: number;
  readonly txBytes: number;
  /** Milliseconds since the last frame. */
  readonly ageMs: number;
}

const SUMS = ["rxPackets", "rxBytes", "txPackets", "txBytes"] as const;
const word = (field: string): number => offsetOf("Talk", field) >> 2;

export class Talks {
  readonly #memory: SwitchMemory;
  readonly #words: Int32Array;
  readonly #big: BigUint64Array;

  constructor(memory: SwitchMemory) {
    this.#memory = memory;
    this.#words = new Int32Array(memory.memory.buffer);
    this.#big = new BigUint64Array(memory.memory.buffer);
  }

  /** Everything that is not forgotten yet. `nowMs` is the clock the workers are given. */
  read(nowMs: number): TalkRow[] {
    const sums = new Map<string, TalkRow>();
    const { count } = this.#memory.plan.regions.TALKS;
    for (let worker = 0; worker < this.#memory.plan.sizes.workers; worker++) {
      for (let bucket = 0; bucket < count; bucket++) {
        const at = elementAddress(this.#memory, "TALKS", bucket, worker);
        for (let cell = 0; cell < LIMIT.TALK_CELLS; cell++) {
          const row = this.#cell((at + cell * layout("Talk").size) >>> 2, nowMs);
          if (!row) continue;
          const key = `${row.port} ${row.generation} ${row.localMac} ${row.remoteMac}`;
          const other = sums.get(key);
          sums.set(key, other ? merged(row, other) : row);
        }
      }
    }
    return [...sums.values()];
  }

  #cell(at: number, nowMs: number): TalkRow | undefined {
    const w = (i: number): number => Atomics.load(this.#words, at + i) >>> 0;
    const version = w(word("version"));
    const local = word("local");
    if (version % 2 === 1 || (w(local) | w(local + 1)) === 0) return undefined;
    const remote = word("remote");
    const number = (field: string): number => Number(Atomics.load(this.#big, (at + word(field)) >>> 1));
    const age = (nowMs - w(word("seenMs"))) | 0;
    const row: TalkRow = {
      port: w(remote + 1) >>> 16,
      generation: w(local + 1) >>> 16,
      localMac: macText(w(local + 1), w(local)),
      remoteMac: macText(w(remote + 1), w(remote)),
      rxPackets: number("rxPackets"),
      rxBytes: number("rxBytes"),
      txPackets: number("txPackets"),
      txBytes: number("txBytes"),
      // A worker's batch may have begun after the reader looked at the clock.
      ageMs: Math.max(0, age),
    };
    return w(word("version")) === version && age <= LIMIT.TALK_AGE_MS && age > -AHEAD_MS ? row : undefined;
  }
}

/** A time stamp further ahead than this is half a turn of the clock old. */
const AHEAD_MS = 60_000;

function merged(a: TalkRow, b: TalkRow): TalkRow {
  const sums = Object.fromEntries(SUMS.map((name) => [name, a[name] + b[name]])) as Pick<
    TalkRow,
    (typeof SUMS)[number]
  >;
  return { ...a, ...sums, ageMs: Math.min(a.ageMs, b.ageMs) };
}
