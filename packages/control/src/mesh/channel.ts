/**
 * Control links as the gossip sees them. The real ones are TLS over TCP (tls.ts); a simulation has others.
 *
 * A channel is authenticated before it is handed over: `node` is whom it really leads to.
 */
import type { NodeId } from "./types.js";

/** Octets of the longest message. */
export const MESSAGE_MAX = 65_536;

export interface Channel {
  readonly node: NodeId;
  /** We have dialled. */
  readonly isOutbound: boolean;
  /** `ADDR:PORT` of the other end, for listings. */
  readonly remote: string;
  /** Octets sent and not yet taken by the network. Who sends looks at it: nothing is queued without bound. */
  readonly backlog: number;
  /** Sends one message, 1..MESSAGE_MAX octets. In order and whole, or not at all because the channel has closed. */
  send(message: Uint8Array): void;
  /** Ends it; `why` is for the log. */
  close(why: string): void;
  /** Set once, by who gets the channel, at once. What has come before waits. */
  receive(handlers: { message(message: Uint8Array): void; closed(why: string): void }): void;
}

export interface Transport {
  /** Opens a control link to a member. Rejects with what stood in the way, within 5 s. */
  dial(node: NodeId, addresses: readonly string[]): Promise<Channel>;
  /** Called for each link that a member has opened. */
  onChannel(listener: (channel: Channel) => void): void;
}
