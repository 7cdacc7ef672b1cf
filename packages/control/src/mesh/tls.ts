/**
 * Control links: TLS over TCP, port 6783. Listens for other nodes, dials them, and hands over channels whose other end is known.
 *
 * Nobody gets anywhere without a pre-shared key (psk.ts): a dialler names itself (`node:ID`) or a token (`join:TID`), and both
 * ends prove the key in the handshake. For an identity that we do not take a random key is used, so that it fails exactly like
 * a wrong key. Names travel in clear in the first packet; they are no secrets.
 *
 * With `node:` the key itself says who both are. A dialler that calls itself by our own name is refused: otherwise somebody
 * could connect our own call back to us (RFC 9257 §4.1, the Selfie attack).
 *
 * A removed node that was out of reach has to learn that it is removed: it still gets a link. Who receives it shows it the
 * tombstone, takes nothing from it and closes.
 */
import { randomBytes } from "node:crypto";
import { setMaxListeners } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from "node:tls";
import { messageOf, WeftError } from "../errors.js";
import { admitOver, type Membership, NotAdmitted } from "./admission.js";
import type { Channel, Transport } from "./channel.js";
import { FrameError, FrameReader } from "./framing.js";
import { GATE_LIMITS, Gate, type GateLimits } from "./gate.js";
import type { Identity } from "./identity.js";
import { failure, joinNetwork } from "./join.js";
import { LinkKeys, PSK_LEN, readPskIdentity, tokenPsk } from "./psk.js";
import { TlsChannel } from "./tls-channel.js";
import { DialError, KEEPALIVE_MS, openTls, type Target, targetAt, targetText } from "./tls-dial.js";
import { ALPN, TLS_SETTINGS } from "./tls-settings.js";
import type { Token } from "./token.js";
import type { NodeId } from "./types.js";

/** Links by how they began or ended, and what that means. */
export const LINK_COUNTS = {
  accepted: "links that others have opened",
  accepted_removed: "links of removed nodes, to show them that they are",
  dialled: "links that we have opened",
  refused_identity: "diallers that are no member, or came with an unknown or retired token",
  refused_psk: "diallers whose key was wrong",
  refused_version: "connections that speak no version of ours",
  refused_join: "newcomers with a right token that were not let in",
  broken: "connections that ended before they had authenticated",
  handshake_timeout: "connections that took too long to authenticate",
  too_many: "connections closed at once: too many, or too often",
  oversize: "links ended for a frame that was too long",
  malformed: "links ended for something that is no frame, or out of place",
  too_slow: "links ended because the other end did not read",
} as const;
export type LinkCount = keyof typeof LINK_COUNTS;

export interface LinkLimits extends GateLimits {
  /** Milliseconds that a stranger has to authenticate, a join included. */
  readonly handshakeMs: number;
  /** Milliseconds for one address, and for all addresses of a node that is dialled. */
  readonly dialEachMs: number;
  readonly dialAllMs: number;
  /** Links that one node may have opened to us. */
  readonly perNode: number;
}
export const LINK_LIMITS: LinkLimits = {
  ...GATE_LIMITS,
  handshakeMs: 5000,
  dialEachMs: 2000,
  dialAllMs: 5000,
  perNode: 4,
};

export interface ControlLinksOptions {
  readonly identity: Identity;
  readonly membership: Membership;
  /** Addresses of this machine, or 0.0.0.0 and ::. Port 0 takes any free one. */
  readonly listen: readonly Target[];
  readonly limits?: Partial<LinkLimits>;
  /** What a newcomer was not told, for the log. */
  warn?(message: string): void;
}

/** A connection that has not shown yet who it is. */
interface Stranger {
  readonly tcp: Socket;
  readonly address: string;
  readonly deadline: NodeJS.Timeout;
  /** Set by the handshake: whom it says it is, if that is somebody. */
  isKnown: boolean;
  node: NodeId | undefined;
}

export class ControlLinks implements Transport {
  readonly #identity: Identity;
  readonly #membership: Membership;
  readonly #limits: LinkLimits;
  readonly #warn: (message: string) => void;
  readonly #keys: LinkKeys;
  readonly #gate: Gate;
  readonly #tls: TlsServer;
  readonly #servers: Server[] = [];
  /** By the four numbers of the connection. */
  readonly #strangers = new Map<string, Stranger>();
  /** Open links by other end, those that it has opened. */
  readonly #inbound = new Map<NodeId, number>();
  readonly #sockets = new Set<TLSSocket>();
  readonly #counts = Object.fromEntries(Object.keys(LINK_COUNTS).map((name) => [name, 0])) as Record<LinkCount, number>;
  readonly #closing = new AbortController();
  #listener: ((channel: Channel) => void) | undefined;

  private constructor(options: ControlLinksOptions) {
    this.#identity = options.identity;
    this.#membership = options.membership;
    this.#limits = { ...LINK_LIMITS, ...options.limits };
    this.#warn = options.warn ?? (() => undefined);
    this.#keys = new LinkKeys(options.identity, options.membership.networkId);
    this.#gate = new Gate(this.#limits, performance.now());
    // As many as there are dials at once.
    setMaxListeners(0, this.#closing.signal);
    this.#tls = createTlsServer({
      ...TLS_SETTINGS,
      ALPNProtocols: [ALPN],
      // Our own deadline comes first; this one is for nobody.
      handshakeTimeout: this.#limits.handshakeMs * 2,
      pskCallback: (socket, identity) => this.#keyFor(socket, identity),
    });
    this.#tls.on("secureConnection", (socket) => this.#secured(socket));
    this.#tls.on("tlsClientError", (error, socket) => this.#failed(error, socket));
  }

  /**
   * @throws WeftError already_running for a port that is taken, conflict for an address that this machine does not have
   */
  static async start(options: ControlLinksOptions): Promise<ControlLinks> {
    const links = new ControlLinks(options);
    try {
      for (const target of options.listen) await links.#listen(target);
    } catch (error) {
      await links.close();
      throw error;
    }
    return links;
  }

  /** `ADDR:PORT` of what it listens on. */
  get listening(): string[] {
    return this.#servers.map((server) => targetText(server.address() as AddressInfo));
  }

  get counts(): Readonly<Record<LinkCount, number>> {
    return { ...this.#counts };
  }

  /** Connections that have not authenticated, and open links. */
  get open(): { readonly strangers: number; readonly links: number } {
    return { strangers: this.#gate.waiting, links: this.#sockets.size };
  }

  /** Links of removed nodes are handed over too: refuse them after you have told them. */
  onChannel(listener: (channel: Channel) => void): void {
    this.#listener = listener;
  }

  async dial(node: NodeId, addresses: readonly string[]): Promise<Channel> {
    const psk = node === this.#identity.id ? undefined : this.#keys.with(node);
    if (!psk)
      throw new WeftError("invalid_input", `cannot open a control link to ${node}: it is this node, or no node id`);
    const end = performance.now() + this.#limits.dialAllMs;
    const problems: string[] = [];
    for (const address of addresses) {
      const timeoutMs = Math.min(this.#limits.dialEachMs, Math.round(end - performance.now()));
      if (timeoutMs <= 0) break;
      try {
        return await this.#dialOne(node, psk, address, timeoutMs);
      } catch (error) {
        if (!(error instanceof DialError)) throw error;
        problems.push(error.message);
      }
    }
    throw failure(
      "unavailable",
      `cannot open a control link to ${node}`,
      addresses.length > 0 ? problems : ["it has no address"],
    );
  }

  /**
   * Opens a link to whoever answers at these hosts, with a join token: for members that have lost sight of each other.
   *
   * @param own what a newcomer would say of itself
   * @throws WeftError as `joinNetwork`, and invalid_input for a token of another network
   */
  async connect(
    addresses: readonly string[],
    token: Token,
    own: { readonly name: string; readonly records: Uint8Array },
  ): Promise<Channel> {
    if (token.networkId !== this.#membership.networkId) {
      throw new WeftError(
        "invalid_input",
        `the token is of network ${token.networkId}, this node belongs to ${this.#membership.networkId}: networks never merge`,
      );
    }
    const { channel, by } = await joinNetwork(
      { token, addresses, identity: this.#identity, ...own, rounds: 1, signal: this.#closing.signal },
      (offence) => this.#count(offence),
    );
    if (this.#membership.isRemoved(by)) {
      channel.close("you have been removed from the network");
      throw new WeftError("invalid_input", `${channel.remote} is a node that has been removed from the network: ${by}`);
    }
    this.#count("dialled");
    this.#closing.signal.addEventListener("abort", () => channel.close("this node stops"));
    return channel;
  }

  /** Listens no more and ends all links. */
  async close(): Promise<void> {
    this.#closing.abort();
    const closed = this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
    for (const { tcp } of this.#strangers.values()) tcp.destroy();
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(closed);
  }

  async #listen({ address, port }: Target): Promise<void> {
    const server = createServer((tcp) => this.#arrived(tcp));
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error) => reject(listenError(error, targetText({ address, port }))));
      // IPv6 alone, so that 0.0.0.0 and :: can stand side by side.
      server.listen({ host: address, port, ipv6Only: true }, resolve);
    });
    server.on("error", (error) => this.#warn(`control port: ${messageOf(error)}`));
    this.#servers.push(server);
  }

  #arrived(tcp: Socket): void {
    const address = tcp.remoteAddress ?? "";
    const name = nameOf(tcp);
    if (tcp.destroyed || !this.#gate.enter(address, performance.now())) {
      this.#count("too_many");
      tcp.resetAndDestroy();
      return;
    }
    tcp.setNoDelay(true);
    tcp.setKeepAlive(true, KEEPALIVE_MS);
    const deadline = setTimeout(() => {
      this.#count("handshake_timeout");
      this.#authenticated(name);
      tcp.destroy();
    }, this.#limits.handshakeMs);
    this.#strangers.set(name, { tcp, address, deadline, isKnown: false, node: undefined });
    tcp.once("close", () => this.#authenticated(name, tcp));
    this.#tls.emit("connection", tcp);
  }

  /** It is no stranger any more, or gone. */
  #authenticated(name: string, tcp?: Socket): void {
    const stranger = this.#strangers.get(name);
    if (!stranger || (tcp && stranger.tcp !== tcp)) return;
    clearTimeout(stranger.deadline);
    this.#strangers.delete(name);
    this.#gate.leave(stranger.address);
  }

  /** 32 octets: the key of whom it says that it is, or a random one. */
  #keyFor(socket: TLSSocket, text: string): Buffer {
    const stranger = this.#strangers.get(nameOf(socket));
    const psk = stranger && this.#lookUp(stranger, text);
    if (stranger) stranger.isKnown = psk !== undefined;
    return psk ?? randomBytes(PSK_LEN);
  }

  #lookUp(stranger: Stranger, text: string): Buffer | undefined {
    const who = readPskIdentity(text);
    stranger.node = who?.kind === "node" ? who.node : undefined;
    const { networkId } = this.#membership;
    if (who?.kind === "node") return this.#isWelcome(who.node) ? this.#keys.with(who.node) : undefined;
    for (const { id, secret } of who ? this.#membership.tokens() : []) {
      if (id === who?.token && secret) return tokenPsk(networkId, secret);
    }
    return undefined;
  }

  #isWelcome(node: NodeId): boolean {
    return node !== this.#identity.id && (this.#membership.isMember(node) || this.#membership.isRemoved(node));
  }

  #failed(error: Error, socket: TLSSocket): void {
    const stranger = this.#strangers.get(nameOf(socket));
    const code = (error as NodeJS.ErrnoException).code ?? "";
    // Closed by the deadline, and counted there.
    if (!stranger) return;
    if (code === "ERR_SSL_BINDER_DOES_NOT_VERIFY") this.#count(stranger.isKnown ? "refused_psk" : "refused_identity");
    else this.#count(code.startsWith("ERR_SSL_") ? "refused_version" : "broken");
    stranger.tcp.destroy();
  }

  #secured(socket: TLSSocket): void {
    socket.pause();
    socket.on("error", () => undefined);
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    const name = nameOf(socket);
    const stranger = this.#strangers.get(name);
    // Without a key of ours nobody comes here; it is asked all the same.
    if (!stranger?.isKnown || !socket.isSessionReused() || socket.alpnProtocol !== ALPN) {
      this.#count("refused_version");
      socket.destroy();
      return;
    }
    const reader = new FrameReader();
    if (stranger.node !== undefined) {
      this.#handOver(name, socket, reader, stranger.node);
      return;
    }
    admitOver(socket, reader, this.#identity, this.#membership).then(
      (node) => this.#handOver(name, socket, reader, node),
      (error: unknown) => this.#notAdmitted(name, socket, error),
    );
  }

  #notAdmitted(name: string, socket: TLSSocket, error: unknown): void {
    if (error instanceof NotAdmitted) {
      // It reads why and closes; if not, the deadline does.
      this.#count("refused_join");
      this.#warn(`a newcomer from ${socket.remoteAddress} was not let in: ${error.message}`);
      return;
    }
    if (error instanceof FrameError) this.#count(error.isOversize ? "oversize" : "malformed");
    else if (this.#strangers.has(name)) this.#count("broken");
    socket.destroy();
  }

  #handOver(name: string, socket: TLSSocket, reader: FrameReader, node: NodeId): void {
    const { tcp } = this.#strangers.get(name) ?? {};
    if (!tcp || socket.destroyed) return;
    this.#authenticated(name);
    const remote = targetText({ address: socket.remoteAddress ?? "", port: socket.remotePort ?? 0 });
    const channel = this.#channel(socket, reader, { node, isOutbound: false, remote });
    const open = (this.#inbound.get(node) ?? 0) + 1;
    this.#inbound.set(node, open);
    socket.once("close", () => this.#gone(node));
    if (open > this.#limits.perNode || !this.#listener) {
      this.#count("too_many");
      channel.close(this.#listener ? "you have too many links to this node" : "this node is starting");
      return;
    }
    this.#count(this.#membership.isRemoved(node) ? "accepted_removed" : "accepted");
    this.#listener(channel);
  }

  #gone(node: NodeId): void {
    const left = (this.#inbound.get(node) ?? 0) - 1;
    if (left > 0) this.#inbound.set(node, left);
    else this.#inbound.delete(node);
  }

  async #dialOne(node: NodeId, psk: Buffer, address: string, timeoutMs: number): Promise<Channel> {
    const target = targetAt(address);
    // Others have written it, and it may be anything: names are not asked for.
    if (!target) throw new DialError("unreachable", `${JSON.stringify(address)} is no address of a control port`);
    const socket = await openTls(
      target,
      { identity: { kind: "node", node: this.#identity.id }, psk },
      {
        timeoutMs,
        signal: this.#closing.signal,
        refused: (where) => `${where}: link refused: it does not know this node, or is not the node that was meant`,
      },
    );
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    this.#count("dialled");
    return this.#channel(socket, new FrameReader(), { node, isOutbound: true, remote: targetText(target) });
  }

  #channel(
    socket: TLSSocket,
    reader: FrameReader,
    facts: { node: NodeId; isOutbound: boolean; remote: string },
  ): Channel {
    return new TlsChannel(socket, reader, facts, (offence) => this.#count(offence));
  }

  #count(what: LinkCount): void {
    this.#counts[what]++;
  }
}

/** Both sockets of a connection, that of TCP and that of TLS, have these four numbers, and no two connections share them. */
function nameOf({ localAddress, localPort, remoteAddress, remotePort }: Socket): string {
  return `${localAddress} ${localPort} ${remoteAddress} ${remotePort}`;
}

function listenError(error: NodeJS.ErrnoException, where: string): WeftError {
  if (error.code === "EADDRINUSE") {
    return new WeftError(
      "already_running",
      `${where} is taken: another weft, or another program, listens there. Stop it, or give another --port`,
    );
  }
  if (error.code === "EADDRNOTAVAIL")
    return new WeftError(
      "conflict",
      `cannot listen on ${where}: this machine has no such address: \`ip address\` shows those for --underlay`,
    );
  return new WeftError("conflict", `cannot listen on ${where} (${error.code})`);
}
