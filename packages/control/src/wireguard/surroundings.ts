/** What the engine is given: no socket, no shared memory and no clock of its own, so that a test can be all of them. */
import type { SessionKeys } from "./noise/handshake.js";
import type { CookieSeal } from "./noise/macs.js";

/** A UDP address. */
export interface Endpoint {
  /** IPv4 or IPv6, without zone. */
  readonly address: string;
  readonly port: number;
  /** Address of ours to send from; absent: the kernel chooses. */
  readonly local?: string;
  /** Index of the peer that it came through: then the address is one inside the tunnel, and an answer goes back that way. */
  readonly via?: number;
}

/** Slots for the keys of sessions. All calls come from one thread. */
export interface KeyTable {
  /** A receiver index (u32, no other slot has it) and a slot that neither seals nor opens yet; undefined: all are taken. */
  reserve(peer: number): { readonly slot: number; readonly local: number } | undefined;
  /** Copies the keys of a finished handshake in: opens from now on. The caller wipes its own. */
  install(slot: number, keys: SessionKeys, remote: number): void;
  /** Which slot seals for a peer; undefined: none. */
  setSendSlot(peer: number, slot: number | undefined): void;
  /** Neither seals nor opens from now on; wiped and freed when no worker can still be at it. */
  retire(slot: number): void;
  /** Takes a counter for one message that the main thread seals itself. */
  takeCounter(slot: number): bigint;
}

/** When something last happened with a peer; u32 milliseconds as of `nowMs()`, 0: never. */
export interface Live {
  /** Authenticated data message sent, keepalives included. */
  readonly sentMs: number;
  /** The same, with data in it. */
  readonly sentDataMs: number;
  readonly receivedMs: number;
  readonly receivedDataMs: number;
}

/** `peer` is the index that the peer was added with. */
export type EngineEvent =
  /** A handshake ended well: for the initiator with the response, for the responder with the first data. */
  | { readonly type: "handshake"; readonly peer: number; readonly role: Role }
  /** No answer for REKEY_ATTEMPT_TIME: nothing is tried until there is something to send. */
  | { readonly type: "unreachable"; readonly peer: number }
  | { readonly type: "roamed"; readonly peer: number; readonly endpoint: Endpoint }
  /** A sound initiation of somebody who is no peer; at most one in STRANGER_SPACING. */
  | { readonly type: "stranger"; readonly publicKey: string; readonly from: Endpoint };

export type Role = "initiator" | "responder";

export interface Surroundings {
  readonly keys: KeyTable;
  /** Milliseconds modulo 2^32, monotonic, the clock of the workers; read at least once in 24 days. */
  nowMs(): number;
  /** Milliseconds since 1970; may jump. */
  wallMs(): number;
  /** Octets from a cryptographic source. */
  random(octets: number): Buffer;
  /**
   * Sends one datagram.
   * @param peer whom it is for, when it is to go the way that data for the peer takes; absent: to the endpoint, as it is
   * @returns false when that failed: then it is as good as lost on the way
   */
  send(datagram: Buffer, to: Endpoint, peer?: number): boolean;
  /** Whether data for a peer is handed to another one, so that it needs no endpoint of its own. Absent: never. */
  isRelayed?(peer: number): boolean;
  /** What workers have seen of a peer, the latest over all of them. */
  live(peer: number): Live;
  /** Where data for a peer goes from now on. */
  setEndpoint(peer: number, endpoint: Endpoint | undefined): void;
  /** What cookies (mac2) are made with from now on; 32 octets, to be copied. Before the first datagram and every 120 s. */
  setCookieSecret(secret: Buffer): void;
  readonly box: CookieSeal;
  emit(event: EngineEvent): void;
  /** Debugging only: lines for `wg.keylog_file` of Wireshark. Whoever has them can read all traffic. */
  keylog?(lines: string): void;
}
