/** A control link over a TLS socket: what the gossip gets once it is known who is at the other end. */
import type { TLSSocket } from "node:tls";
import { type Channel, MESSAGE_MAX } from "./channel.js";
import { FRAME, type Frame, FrameError, type FrameReader, frame, textFrame, textOf } from "./framing.js";
import type { NodeId } from "./types.js";

/** Octets that may wait for a slow reader at the other end. */
export const BACKLOG_MAX = 4 * 1024 * 1024;
/** Milliseconds that a closing link has to send its last frames. */
const LINGER_MS = 1000;

/** Why a link was ended for what the other end did. */
export type Offence = "oversize" | "malformed" | "too_slow";

export interface ChannelFacts {
  readonly node: NodeId;
  readonly isOutbound: boolean;
  readonly remote: string;
}

export class TlsChannel implements Channel {
  readonly node: NodeId;
  readonly isOutbound: boolean;
  readonly remote: string;
  readonly #socket: TLSSocket;
  readonly #reader: FrameReader;
  readonly #offended: (offence: Offence) => void;
  #handlers: { message(message: Uint8Array): void; closed(why: string): void } | undefined;
  /** Set when it is over. */
  #why: string | undefined;

  /**
   * @param reader may hold frames that have come already
   * @param offended counts
   */
  constructor(socket: TLSSocket, reader: FrameReader, facts: ChannelFacts, offended: (offence: Offence) => void) {
    this.node = facts.node;
    this.isOutbound = facts.isOutbound;
    this.remote = facts.remote;
    this.#socket = socket;
    this.#reader = reader;
    this.#offended = offended;
    socket.pause();
    socket.on("error", (error) => this.#over(wordsOf(error)));
    socket.on("close", () => this.#over("the other end closed the connection"));
    if (socket.destroyed) this.#over("the other end closed the connection");
  }

  get backlog(): number {
    return this.#socket.writableLength;
  }

  send(message: Uint8Array): void {
    if (message.length < 1 || message.length > MESSAGE_MAX)
      throw new RangeError(`a message of ${message.length} octets: 1 to ${MESSAGE_MAX} are allowed`);
    if (this.#why !== undefined) return;
    if (this.backlog + message.length <= BACKLOG_MAX) {
      this.#socket.write(frame(FRAME.MESSAGE, message));
      return;
    }
    this.#offended("too_slow");
    this.#over(`too slow: ${this.backlog} octets wait to be taken`);
    this.#socket.destroy();
  }

  close(why: string): void {
    if (this.#why !== undefined) return;
    this.#over(why);
    this.#leave(textFrame(FRAME.CLOSE, why));
  }

  receive(handlers: { message(message: Uint8Array): void; closed(why: string): void }): void {
    if (this.#handlers) throw new Error("a control link has one receiver");
    this.#handlers = handlers;
    // Not from within this call: the caller is still making itself ready.
    queueMicrotask(() => {
      if (this.#why !== undefined) {
        handlers.closed(this.#why);
        return;
      }
      this.#deliver();
      this.#socket.on("data", (octets: Buffer) => {
        this.#reader.push(octets);
        this.#deliver();
      });
      this.#socket.resume();
    });
  }

  #deliver(): void {
    while (this.#why === undefined) {
      let next: Frame | undefined;
      try {
        next = this.#reader.next();
      } catch (error) {
        if (!(error instanceof FrameError)) throw error;
        this.#offence(error.isOversize ? "oversize" : "malformed", error.message);
        return;
      }
      if (!next) return;
      if (next.type === FRAME.MESSAGE && next.body.length > 0) this.#handlers?.message(next.body);
      else if (next.type === FRAME.CLOSE) {
        this.#over(`the other end: ${textOf(next.body)}`);
        this.#leave();
      } else this.#offence("malformed", `it sent a frame of type ${next.type} out of place`);
    }
  }

  #offence(offence: Offence, why: string): void {
    this.#offended(offence);
    this.close(why);
  }

  /** Nothing is delivered from here on. Who closes it hears of it too, a little later. */
  #over(why: string): void {
    if (this.#why !== undefined) return;
    this.#why = why;
    const handlers = this.#handlers;
    if (handlers) queueMicrotask(() => handlers.closed(why));
  }

  #leave(last?: Buffer): void {
    const socket = this.#socket;
    // What still comes is read and thrown away: the connection ends with FIN, not with a reset that could overtake our last frame.
    socket.removeAllListeners("data");
    socket.resume();
    if (last) socket.end(last);
    else socket.end();
    const timer = setTimeout(() => socket.destroy(), LINGER_MS);
    socket.once("close", () => clearTimeout(timer));
  }
}

/**
 * The next frame of a link that is not a channel yet. The socket has nobody else that reads it.
 *
 * @throws FrameError, and Error when it ends before
 */
export function readFrame(socket: TLSSocket, reader: FrameReader): Promise<Frame> {
  return new Promise((resolve, reject) => {
    const take = (): boolean => {
      try {
        const next = reader.next();
        if (next) done(() => resolve(next));
        return next !== undefined;
      } catch (error) {
        done(() => reject(error));
        return true;
      }
    };
    const onData = (octets: Buffer): void => {
      reader.push(octets);
      take();
    };
    const onClose = (): void => done(() => reject(new Error("it closed the connection")));
    const done = (settle: () => void): void => {
      socket.pause();
      socket.off("data", onData);
      socket.off("close", onClose);
      settle();
    };
    if (take()) return;
    if (socket.destroyed) {
      onClose();
      return;
    }
    socket.on("close", onClose);
    socket.on("data", onData);
    socket.resume();
  });
}

function wordsOf(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === "ECONNRESET" || code === "EPIPE") return "the other end closed the connection";
  if (code === "ETIMEDOUT") return "the other end does not answer any more";
  return code ?? error.message;
}
