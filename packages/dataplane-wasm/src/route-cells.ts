/**
 * The route hash as the main thread writes it: open addressing, linear probing, at most half of the cells used, and
 * deletion that closes the gap, so that a reader's probe may always stop at a free cell.
 */
import { layout, offsetOf } from "../abi/index.js";
import type { Image } from "./image.js";
import { type Key, routeHash } from "./route-hash.js";

const WORDS = layout("Route").size >> 2;
const TAG = offsetOf("Route", "tag") >> 2;
const VALUE = offsetOf("Route", "value") >> 2;
const HI = offsetOf("Route", "keyHi") >> 2;
const LO = offsetOf("Route", "keyLo") >> 2;
const GENERATION = offsetOf("Route", "generation") >> 2;

export class RouteCells {
  readonly #image: Image;
  readonly #words: Uint32Array;
  readonly #mask: number;
  readonly #seed: number;
  #used = 0;

  constructor(image: Image, seed: number) {
    this.#image = image;
    this.#words = new Uint32Array(image.bytes.buffer);
    this.#mask = image.count - 1;
    this.#seed = seed;
  }

  /** Writes or overwrites one route. */
  set(tag: number, key: Key, value: number, generation: number): void {
    const words = this.#words;
    const cell = this.#find(tag, key);
    const at = cell * WORDS;
    if (words[at + TAG] === 0) {
      // The plan sizes the table for every limit at once, so this is a broken invariant, not a full table.
      if (++this.#used > (this.#mask + 1) / 2)
        throw new Error("route cells: more routes than the memory was planned for");
      words[at + TAG] = tag;
      words[at + HI] = key[1];
      words[at + HI + 1] = key[0];
      words[at + LO] = key[3];
      words[at + LO + 1] = key[2];
    }
    words[at + VALUE] = value;
    words[at + GENERATION] = generation & 0xffff;
    this.#image.version++;
  }

  /** Removes one route; nothing happens when it is not there. */
  delete(tag: number, key: Key): void {
    const words = this.#words;
    let gap = this.#find(tag, key);
    if (words[gap * WORDS + TAG] === 0) return;
    for (let at = (gap + 1) & this.#mask; words[at * WORDS + TAG] !== 0; at = (at + 1) & this.#mask) {
      // A cell may move into the gap unless the gap lies before the cell's own place.
      const home = this.#home(at);
      if (((at - home) & this.#mask) < ((at - gap) & this.#mask)) continue;
      words.copyWithin(gap * WORDS, at * WORDS, (at + 1) * WORDS);
      gap = at;
    }
    words.fill(0, gap * WORDS, (gap + 1) * WORDS);
    this.#used--;
    this.#image.version++;
  }

  /** Cell that has the key, or the free cell where it belongs. */
  #find(tag: number, key: Key): number {
    const words = this.#words;
    for (let cell = routeHash(this.#seed, tag, key) & this.#mask; ; cell = (cell + 1) & this.#mask) {
      const at = cell * WORDS;
      const held = words[at + TAG];
      if (held === 0) return cell;
      if (
        held === tag &&
        words[at + LO] === key[3] &&
        words[at + LO + 1] === key[2] &&
        words[at + HI] === key[1] &&
        words[at + HI + 1] === key[0]
      ) {
        return cell;
      }
    }
  }

  #home(cell: number): number {
    const at = cell * WORDS;
    const word = (i: number): number => this.#words[at + i] as number;
    return routeHash(this.#seed, word(TAG), [word(HI + 1), word(HI), word(LO + 1), word(LO)]) & this.#mask;
  }
}
