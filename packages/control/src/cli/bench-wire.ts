/**
 * What `weft bench serve` and `weft bench to` say to each other. One TCP connection per test: a line of JSON from the
 * client says what to do, then either side sends a stream, or datagrams go to the same port over UDP.
 *
 * Both ends use the sockets of Node.js, so that an installed package needs no compiler and no second program. That
 * carries some 10 Gbit/s of TCP and some 100,000 datagrams a second on one core, and where a network does more the
 * figures are those of this program; `npm run bench` has senders in C for that.
 *
 *     test        client                          server
 *     send        line, then a stream             one line {octets, seconds} at the end of its window
 *     receive     line, counts                    a stream until the client closes
 *     datagrams   line, datagrams, line "end"     {token}, then {received} after "end"
 *
 * A datagram is an octet string of at least 16: token (8), kind (u32), number (u32). The server answers and counts only
 * datagrams with the token of an open connection: it is no reflector for strangers.
 */
import type { Socket } from "node:net";

/** Another one than those of a daemon on the same machine: 6782 for metrics, 6783 for control links. `npm run bench -- serve` has 6785 and 6786. */
export const DEFAULT_PORT = 6784;
export const CHUNK = 256 * 1024;
/** Seconds of a stream before its window begins: TCP opens its own window meanwhile. */
export const WARM = 0.5;
export const SECONDS_MAX = 60;
export const LINE_MAX = 512;
export const TOKEN = 8;
export const DATAGRAM_MIN = TOKEN + 8;
/** Kinds of datagrams. */
export const COUNT = 0;
export const ECHO = 1;

export type Test = "send" | "receive" | "datagrams";
export interface Order {
  readonly test: Test;
  /** Length of the measured window. */
  readonly seconds: number;
}

/** The order in a line, or undefined when it is none. */
export function readOrder(line: string): Order | undefined {
  let value: Partial<Order> | null;
  try {
    value = JSON.parse(line) as Partial<Order> | null;
  } catch {
    return undefined;
  }
  const { test, seconds } = value ?? {};
  if (test !== "send" && test !== "receive" && test !== "datagrams") return undefined;
  if (typeof seconds !== "number" || !(seconds > 0 && seconds <= SECONDS_MAX)) return undefined;
  return { test, seconds };
}

export function sendLine(socket: Socket, value: object | string): void {
  socket.write(`${typeof value === "string" ? value : JSON.stringify(value)}\n`);
}

/**
 * The next line of a connection. Octets behind it are put back.
 * @throws Error when the connection ends before, or the line is longer than LINE_MAX
 */
export function nextLine(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let held: Buffer = Buffer.alloc(0);
    const over = (error?: Error): void => {
      socket.off("readable", read).off("end", ended).off("close", ended).off("error", over);
      if (error) reject(error);
    };
    const ended = (): void => over(new Error("the other side closed the connection"));
    const read = (): void => {
      for (let part = socket.read() as Buffer | null; part !== null; part = socket.read() as Buffer | null) {
        held = Buffer.concat([held, part]);
        const end = held.indexOf(10);
        if (end >= 0 && end <= LINE_MAX) {
          over();
          if (held.length > end + 1) socket.unshift(held.subarray(end + 1));
          resolve(held.toString("utf8", 0, end));
          return;
        }
        if (held.length > LINE_MAX) {
          over(new Error("a line is too long: is the other side `weft bench`?"));
          return;
        }
      }
    };
    socket.on("readable", read).on("end", ended).on("close", ended).on("error", over);
    read();
  });
}

/** Octets that arrive between `WARM` and `WARM + seconds` after the first. */
export function countStream(socket: Socket, seconds: number): Promise<{ octets: number; seconds: number }> {
  return new Promise((resolve, reject) => {
    let begin = 0;
    let end = 0;
    let octets = 0;
    const over = (error?: Error): void => {
      socket.off("data", data).off("end", ended).off("close", ended).off("error", over);
      if (error) reject(error);
    };
    const ended = (): void => over(new Error("the stream ended early"));
    const data = (part: Buffer): void => {
      const now = performance.now();
      if (begin === 0) begin = now + WARM * 1000;
      if (end === 0) {
        if (now < begin) return;
        begin = now;
        end = now + seconds * 1000;
        return;
      }
      octets += part.length;
      if (now < end) return;
      over();
      resolve({ octets, seconds: (now - begin) / 1000 });
    };
    socket.on("data", data).on("end", ended).on("close", ended).on("error", over);
  });
}

/** Sends until the other side closes, at most `seconds` (with a little for the way) long. */
export function sendStream(socket: Socket, seconds: number): Promise<void> {
  const chunk = Buffer.alloc(CHUNK, "w");
  const last = performance.now() + (WARM + seconds + 5) * 1000;
  return new Promise((resolve) => {
    const push = (): void => {
      while (!socket.destroyed && socket.writable && performance.now() < last) {
        if (!socket.write(chunk)) return;
      }
      socket.destroy();
    };
    socket.on("drain", push).once("close", () => resolve());
    // The receiver may close in the middle of what it no longer wants.
    socket.on("error", () => undefined);
    push();
  });
}
