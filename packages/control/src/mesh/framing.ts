/**
 * Frames of a control link, inside TLS:
 *
 *   length 4, big endian │ type 1 │ body, `length` octets
 *
 * | type | body | sent by |
 * |---|---|---|
 * | 1 hello | see join-messages.ts | who was dialled with `join:`, first |
 * | 2 join | see join-messages.ts | the newcomer, then |
 * | 3 records | a piece of the signed records, opaque here | who was dialled, any number |
 * | 4 welcome | empty | who was dialled; the link is an ordinary one from here on |
 * | 5 refused | why, UTF-8 | who was dialled, instead; then it closes |
 * | 6 message | one message of the gossip, opaque here | both, on an ordinary link |
 * | 7 close | why, UTF-8 | both; the last frame |
 *
 * A link that was dialled with `node:` is an ordinary one from the start.
 */
import { MESSAGE_MAX } from "./channel.js";

export const FRAME = { HELLO: 1, JOIN: 2, RECORDS: 3, WELCOME: 4, REFUSED: 5, MESSAGE: 6, CLOSE: 7 } as const;
/** Octets before the body. */
export const HEAD_LEN = 5;
/** Octets of the longest text in a frame; what is longer is cut. */
const TEXT_MAX = 400;

/** Octets of the longest body by type; 0: there is no such type. */
const LONGEST = [0, 256, MESSAGE_MAX, MESSAGE_MAX, 0, TEXT_MAX, MESSAGE_MAX, TEXT_MAX];

export interface Frame {
  readonly type: number;
  /** Memory of its own. */
  readonly body: Buffer;
}

/** The stream cannot be followed any further. */
export class FrameError extends Error {
  override readonly name = "FrameError";
  readonly isOversize: boolean;

  constructor(message: string, isOversize: boolean) {
    super(message);
    this.isOversize = isOversize;
  }
}

export function frame(type: number, body: Uint8Array): Buffer {
  const whole = Buffer.allocUnsafe(HEAD_LEN + body.length);
  whole.writeUInt32BE(body.length, 0);
  whole.writeUInt8(type, 4);
  whole.set(body, HEAD_LEN);
  return whole;
}

/** A frame whose body is a sentence: control characters become spaces, and it is cut where it is too long. */
export function textFrame(type: number, text: string): Buffer {
  const octets = Buffer.from(clean(text));
  return frame(type, octets.subarray(0, TEXT_MAX));
}

/** What the other end wrote, fit for a log. */
export function textOf(body: Uint8Array): string {
  return clean(new TextDecoder().decode(body.subarray(0, TEXT_MAX)));
}

function clean(text: string): string {
  return text.replace(/\p{C}+/gu, " ").trim();
}

/** Cuts a stream into frames. Holds at most one unfinished frame and what was pushed last. */
export class FrameReader {
  readonly #head = Buffer.alloc(HEAD_LEN);
  #headFill = 0;
  #body: Buffer | undefined;
  #bodyFill = 0;
  #rest: Buffer = Buffer.alloc(0);

  /** Takes what has come. Frames are taken out with `next` before more is pushed, or the rest grows. */
  push(octets: Buffer): void {
    this.#rest = this.#rest.length === 0 ? octets : Buffer.concat([this.#rest, octets]);
  }

  /**
   * @returns the next whole frame; undefined when more octets are needed
   * @throws FrameError for a type that does not exist and for a body that is too long for its type: nothing is kept for it
   */
  next(): Frame | undefined {
    if (!this.#body) {
      this.#headFill += this.#take(this.#head, this.#headFill);
      if (this.#headFill < HEAD_LEN) return undefined;
      this.#body = Buffer.alloc(this.#judge());
      this.#bodyFill = 0;
    }
    this.#bodyFill += this.#take(this.#body, this.#bodyFill);
    if (this.#bodyFill < this.#body.length) return undefined;
    const done = { type: this.#head.readUInt8(4), body: this.#body };
    this.#body = undefined;
    this.#headFill = 0;
    return done;
  }

  /** Octets of the body that the head announces. */
  #judge(): number {
    const length = this.#head.readUInt32BE(0);
    const type = this.#head.readUInt8(4);
    const longest = LONGEST[type];
    if (longest === undefined || type === 0)
      throw new FrameError(`it sent a frame of type ${type}, which is none`, false);
    if (length <= longest) return length;
    throw new FrameError(`it sent a frame of type ${type} with ${length} octets, ${longest} are allowed`, true);
  }

  #take(into: Buffer, fill: number): number {
    const taken = this.#rest.copy(into, fill);
    this.#rest = this.#rest.subarray(taken);
    return taken;
  }
}
