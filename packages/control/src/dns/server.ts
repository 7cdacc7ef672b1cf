/**
 * DNS at the gateways of networks: UDP and TCP on the kernel's stack, on sockets inside the gateways' namespace that are bound to
 * the gateway's device. So only containers of that network reach them, and where a query comes in says which network asks.
 *
 * What a query takes is shared between networks, and in a network between the containers of this host (shares.ts). Which network asks is
 * certain. Which container asks is what the source address says: all addresses that no container has are one source together, so a prefix
 * full of them is worth no more than one; but a container that writes another's address into its datagrams uses up what that one may
 * have, and nothing here can see it. So whatever a container does, other networks are answered; and so are the others of its own as long
 * as it does not forge their addresses.
 */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { createServer, isIPv6, type Server, type Socket } from "node:net";
import { openService } from "@weft/tun";
import { withNetns } from "../dataplane/netns.js";
import type { Forwarder } from "./forward.js";
import { CLASS_IN, encodeReply, parseQuery, type Query, RCODE, type Reply } from "./message.js";
import { RateLimit } from "./rate.js";
import { Shares } from "./shares.js";
import type { Zone } from "./zone.js";

/** Queries under way upstream, over all gateways, and of one source. */
const IN_FLIGHT_MAX = 1024;
const IN_FLIGHT_PER_SOURCE = 128;
/** Connections over all gateways, and of one source. */
const TCP_MAX = 256;
const TCP_PER_SOURCE = 16;
/** Of one connection: further ones wait in the kernel. */
const TCP_IN_FLIGHT_MAX = 16;
const TCP_IDLE_MS = 10_000;

/** What became of queries. */
export const RESULTS = [
  "answered",
  "nodata",
  "nxdomain",
  "forwarded",
  "servfail",
  "refused",
  "malformed",
  "limited",
] as const;
export type Result = (typeof RESULTS)[number];

/** Where to listen. */
export interface Endpoint {
  readonly network: string;
  readonly address: string;
  /** Default 53. */
  readonly port?: number;
  /** Path of the namespace, and the device in it; absent: here, on any device. */
  readonly netns?: string;
  readonly ifname?: string;
  /** Another number for another device of the same name: a socket is bound to the one that was there. */
  readonly making?: number;
}

export interface DnsServerOptions {
  /** The names as they are now. */
  readonly zone: () => Zone;
  readonly forwarder: Pick<Forwarder, "ask" | "close">;
  /** Which container of this host has an address in a network; undefined: none. */
  readonly ownerOf: (network: string, address: string) => string | undefined;
  readonly now?: () => number;
}

interface Listened {
  readonly ports: Map<string, number>;
  readonly problems: Map<string, Error>;
}
interface Listening {
  readonly udp: UdpSocket;
  readonly tcp: Server;
}

export class DnsServer {
  readonly #options: DnsServerOptions;
  readonly #now: () => number;
  readonly #listening = new Map<string, Listening>();
  readonly #connections = new Set<Socket>();
  readonly #rate = new RateLimit();
  readonly #counts = new Map<Result, number>(RESULTS.map((result) => [result, 0]));
  readonly #inFlight = new Shares(IN_FLIGHT_MAX, IN_FLIGHT_PER_SOURCE);
  readonly #connected = new Shares(TCP_MAX, TCP_PER_SOURCE);
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: DnsServerOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Queries by result, zero ones too. */
  counts(): Readonly<Record<Result, number>> {
    return Object.fromEntries(this.#counts) as Record<Result, number>;
  }

  /**
   * Listens at these endpoints and no others; those that stay are not touched. Calls go one after the other.
   * @returns ports, and why some cannot be listened at, by `NETWORK ADDRESS`
   */
  listen(endpoints: readonly Endpoint[]): Promise<Listened> {
    const next = this.#last.then(() => this.#listen(endpoints));
    this.#last = next.catch(() => undefined);
    return next;
  }

  async #listen(endpoints: readonly Endpoint[]): Promise<Listened> {
    const wanted = new Map(endpoints.map((endpoint) => [keyOf(endpoint), endpoint]));
    const gone = [...this.#listening].filter(([key]) => !wanted.has(key));
    for (const [key] of gone) this.#listening.delete(key);
    await Promise.all(gone.map(([, listening]) => shut(listening)));
    const problems = new Map<string, Error>();
    for (const [key, endpoint] of wanted) {
      if (this.#listening.has(key)) continue;
      try {
        this.#listening.set(key, await this.#open(endpoint));
      } catch (error) {
        problems.set(`${endpoint.network} ${endpoint.address}`, error as Error);
      }
    }
    const ports = new Map<string, number>();
    for (const [key, { udp }] of this.#listening) {
      const endpoint = wanted.get(key) as Endpoint;
      ports.set(`${endpoint.network} ${endpoint.address}`, udp.address().port);
    }
    return { ports, problems };
  }

  async close(): Promise<void> {
    this.#options.forwarder.close();
    await this.listen([]);
    for (const socket of this.#connections) socket.destroy();
  }

  async #open(endpoint: Endpoint): Promise<Listening> {
    const { network, address } = endpoint;
    const udp = createSocket(isIPv6(address) ? "udp6" : "udp4");
    const tcp = createServer((socket) => this.#serve(network, socket));
    try {
      await bound(udp, (done) => udp.bind({ fd: openIn(endpoint, "udp", endpoint.port ?? 53), exclusive: true }, done));
      const { port } = udp.address();
      await bound(tcp, (done) => tcp.listen({ fd: openIn(endpoint, "tcp", port), exclusive: true }, done));
    } catch (error) {
      await shut({ udp, tcp });
      throw error;
    }
    // What goes wrong with its device: the caller listens anew when there is another one.
    udp.on("error", () => undefined);
    tcp.on("error", () => undefined);
    udp.on("message", (message, from) => {
      // It cannot be answered: no datagram goes to port 0.
      if (from.port === 0) return this.#count("malformed");
      void this.handle(network, message, "udp", from.address).then((reply) => {
        // Whoever cannot be reached any more asks again.
        if (reply && this.#isOpen(udp)) udp.send(reply, from.port, from.address, () => undefined);
      });
    });
    return { udp, tcp };
  }

  #isOpen(udp: UdpSocket): boolean {
    return [...this.#listening.values()].some((listening) => listening.udp === udp);
  }

  /** One connection: messages with their length in front (RFC 7766), answered as they are ready. */
  #serve(network: string, socket: Socket): void {
    const address = socket.remoteAddress ?? "";
    const giveBack = this.#connected.take(network, this.#sourceOf(network, address));
    if (giveBack === undefined) {
      this.#count("limited");
      socket.destroy();
      return;
    }
    this.#connections.add(socket);
    let got = Buffer.alloc(0);
    let under = 0;
    const read = (): void => {
      while (
        under < TCP_IN_FLIGHT_MAX &&
        !socket.writableNeedDrain &&
        got.length >= 2 &&
        got.length >= 2 + got.readUInt16BE(0)
      ) {
        const end = 2 + got.readUInt16BE(0);
        const message = got.subarray(2, end);
        got = got.subarray(end);
        under++;
        void this.handle(network, message, "tcp", address).then((reply) => {
          under--;
          if (socket.destroyed) return;
          // Silence would leave the asker waiting: what is not answered ends the connection.
          if (reply === undefined) socket.destroy();
          else {
            const length = Buffer.alloc(2);
            length.writeUInt16BE(reply.length);
            socket.write(Buffer.concat([length, reply]));
            read();
          }
        });
      }
      if (under >= TCP_IN_FLIGHT_MAX || socket.writableNeedDrain) socket.pause();
      else socket.resume();
    };
    socket.setTimeout(TCP_IDLE_MS, () => socket.destroy());
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      this.#connections.delete(socket);
      giveBack();
    });
    socket.on("drain", read);
    socket.on("data", (data: Buffer) => {
      got = Buffer.concat([got, data]);
      read();
    });
  }

  /**
   * Answers one message.
   * @returns undefined for what gets no answer: no query at all, or too many from one source.
   */
  async handle(
    network: string,
    message: Buffer,
    transport: "udp" | "tcp",
    address: string,
  ): Promise<Buffer | undefined> {
    const source = this.#sourceOf(network, address);
    if (!this.#rate.allows(`${network} ${source}`, this.#now())) return this.#count("limited");
    const query = parseQuery(message);
    if (query === undefined) return this.#count("malformed");
    const reply = (result: Result, what: Reply): Buffer => {
      this.#count(result);
      return encodeReply(query, what, transport);
    };
    const refusal = refusalOf(query);
    if (refusal !== undefined) return reply(refusal.result, { rcode: refusal.rcode });
    try {
      const own = this.#options.zone().answer(network, query.name, query.type);
      if (own !== undefined) {
        const { result, answers, authorities } = own;
        const rcode = result === "nxdomain" ? RCODE.NXDOMAIN : RCODE.NOERROR;
        return reply(result, { rcode, isAuthoritative: true, answers, authorities });
      }
    } catch {
      // Names come from other nodes: whatever they are, a query does not end the daemon.
      return reply("servfail", { rcode: RCODE.SERVFAIL });
    }
    if (!query.recursionDesired) return reply("refused", { rcode: RCODE.REFUSED });
    const answer = await this.#forward(message, transport, network, source);
    if (answer === undefined) return reply("servfail", { rcode: RCODE.SERVFAIL });
    this.#count("forwarded");
    return answer;
  }

  async #forward(
    message: Buffer,
    transport: "udp" | "tcp",
    network: string,
    source: string,
  ): Promise<Buffer | undefined> {
    const giveBack = this.#inFlight.take(network, source);
    if (giveBack === undefined) return undefined;
    try {
      return await this.#options.forwarder.ask(message, transport);
    } finally {
      giveBack();
    }
  }

  /** Who shares with the others of a network; empty: all whose address is no container's. */
  #sourceOf(network: string, address: string): string {
    return this.#options.ownerOf(network, address) ?? "";
  }

  #count(result: Result): undefined {
    this.#counts.set(result, (this.#counts.get(result) ?? 0) + 1);
  }
}

/** Why a query is not even looked up. */
function refusalOf(query: Query): { readonly result: Result; readonly rcode: number } | undefined {
  if (query.opcode !== 0) return { result: "refused", rcode: RCODE.NOTIMP };
  if (query.question.length === 0) return { result: "malformed", rcode: RCODE.FORMERR };
  if (query.edns !== null && query.edns.version !== 0) return { result: "refused", rcode: RCODE.BADVERS };
  // Zone transfers, and what asks about the server itself (class CHAOS).
  if (query.class !== CLASS_IN || /^(AXFR|TYPE251)$/.test(query.type))
    return { result: "refused", rcode: RCODE.REFUSED };
  return undefined;
}

const keyOf = ({ network, address, port, netns, ifname, making }: Endpoint): string =>
  [network, address, port, netns, ifname, making].join(" ");

function openIn({ address, netns, ifname }: Endpoint, protocol: "udp" | "tcp", port: number): number {
  const spec = { protocol, address, port, ...(ifname === undefined ? {} : { device: ifname }) };
  return netns === undefined ? openService(spec) : withNetns(netns, (netnsFd) => openService({ ...spec, netnsFd }));
}

/** Waits until a socket listens, or says why it cannot. */
function bound(socket: UdpSocket | Server, start: (done: () => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    start(() => {
      socket.off("error", reject);
      resolve();
    });
  });
}

async function shut({ udp, tcp }: Listening): Promise<void> {
  try {
    udp.close();
  } catch {
    // Not open.
  }
  await new Promise<void>((resolve) => {
    if (tcp.listening) tcp.close();
    resolve();
  });
}
