/**
 * Asking upstream what is not ours: the servers of the host's /etc/resolv.conf, in their order, the one that answered last
 * first. Octets pass unchanged but for the id; every query has a socket of its own, so its port is as random as its id (RFC 5452).
 * What was asked over TCP is asked over TCP; an answer cut short over UDP goes to the asker as it is, who then does so.
 */
import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { readFileSync, statSync } from "node:fs";
import { connect, isIP, isIPv6 } from "node:net";
import { answers, questionOf, withId } from "./message.js";

/** Milliseconds for one server. */
const TRY_MS = 5_000;
/** As resolv.conf(5): more are not looked at. */
const SERVERS_MAX = 3;
/** Milliseconds between two looks whether the file has changed. */
const LOOK_MS = 1_000;

export interface UpstreamServer {
  readonly address: string;
  readonly port: number;
}

/** Servers of a resolv.conf, without those in `own`. */
export function parseResolvConf(text: string, own: ReadonlySet<string> = new Set()): UpstreamServer[] {
  return text
    .split("\n")
    .flatMap((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? [])
    .filter((address) => isIP(address.replace(/%.*$/, "")) !== 0 && !own.has(address))
    .slice(0, SERVERS_MAX)
    .map((address) => ({ address, port: 53 }));
}

/** The servers of a file, read again when it has changed. */
export function serversOf(
  path: string,
  own: () => ReadonlySet<string>,
  now: () => number = () => performance.now(),
): () => readonly UpstreamServer[] {
  let text = "";
  let seen: string | undefined;
  let lookAt = Number.NEGATIVE_INFINITY;
  return () => {
    if (now() >= lookAt) {
      lookAt = now() + LOOK_MS;
      try {
        const stat = statSync(path);
        const state = `${stat.ino} ${stat.mtimeMs} ${stat.size}`;
        if (state !== seen) text = readFileSync(path, "utf8");
        seen = state;
      } catch {
        // It is just being replaced, cannot be read, or there is none: then nobody is upstream.
        seen = undefined;
        text = "";
      }
    }
    return parseResolvConf(text, own());
  };
}

export interface ForwarderOptions {
  readonly servers: () => readonly UpstreamServer[];
  /** Milliseconds for one server. */
  readonly tryMs?: number;
}

export class Forwarder {
  readonly #options: ForwarderOptions;
  /** Who answered last. */
  #good = "";
  readonly #open = new Set<() => void>();

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /**
   * @param query with exactly one question
   * @returns the answer, with the query's id; undefined when nobody answers.
   */
  async ask(query: Buffer, transport: "udp" | "tcp"): Promise<Buffer | undefined> {
    const question = questionOf(query)?.octets;
    if (question === undefined) return undefined;
    const { servers, tryMs = TRY_MS } = this.#options;
    const key = ({ address, port }: UpstreamServer): string => `${address} ${port}`;
    const order = [...servers()].sort((a, b) => Number(key(b) === this.#good) - Number(key(a) === this.#good));
    for (const server of order) {
      const id = randomInt(65_536);
      const asked = withId(query, id);
      const once = transport === "udp" ? askUdp : askTcp;
      const isAnswer = (message: Buffer): boolean => answers(message, id, question);
      const answer = await once(server, asked, isAnswer, tryMs, this.#open);
      if (answer === undefined) continue;
      this.#good = key(server);
      return withId(answer, query.readUInt16BE(0));
    }
    return undefined;
  }

  /** Gives up what is under way. */
  close(): void {
    for (const stop of [...this.#open]) stop();
  }
}

type Once = (
  server: UpstreamServer,
  asked: Buffer,
  isAnswer: (message: Buffer) => boolean,
  tryMs: number,
  open: Set<() => void>,
) => Promise<Buffer | undefined>;

const askUdp: Once = ({ address, port }, asked, isAnswer, tryMs, open) =>
  new Promise((resolve) => {
    const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
    const end = (answer?: Buffer): void => {
      if (!open.delete(stop)) return;
      clearTimeout(timer);
      socket.close();
      resolve(answer);
    };
    const stop = (): void => end();
    const timer = setTimeout(stop, tryMs);
    open.add(stop);
    socket.on("error", stop);
    socket.on("message", (message) => {
      if (isAnswer(message)) end(message);
    });
    // Connected: nobody else's datagrams come in, and a refusal is told. No callback: it would be called with an error, too.
    socket.on("connect", () => {
      if (open.has(stop)) socket.send(asked);
    });
    socket.connect(port, address);
  });

const askTcp: Once = ({ address, port }, asked, isAnswer, tryMs, open) =>
  new Promise((resolve) => {
    const socket = connect({ host: address, port });
    let got = Buffer.alloc(0);
    const end = (answer?: Buffer): void => {
      if (!open.delete(stop)) return;
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const stop = (): void => end();
    const timer = setTimeout(stop, tryMs);
    open.add(stop);
    socket.on("error", stop);
    socket.on("close", stop);
    socket.on("data", (data: Buffer) => {
      got = Buffer.concat([got, data]);
      if (got.length < 2 || got.length < 2 + got.readUInt16BE(0)) return;
      const message = got.subarray(2, 2 + got.readUInt16BE(0));
      end(isAnswer(message) ? message : undefined);
    });
    const length = Buffer.alloc(2);
    length.writeUInt16BE(asked.length);
    socket.write(Buffer.concat([length, asked]));
  });
