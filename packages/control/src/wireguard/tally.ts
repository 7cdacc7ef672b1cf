/** What the engine counts, in the shape that the data plane exports. */
import type { SessionState, Traffic, WireguardCounters } from "../dataplane/types.js";
import type { Endpoint, Role } from "./surroundings.js";

/**
 * completed: as responder, once the peer has used the key. failed: as initiator, a response that was not sound or a peer
 * key that cannot be used; as responder, a sound initiation that could not be answered. timeout: as initiator, no answer
 * for 90 s; as responder, a session that was never used.
 */
export type Result = "completed" | "failed" | "timeout";
export type Refusal = keyof WireguardCounters["refused"];

const ROLES: readonly Role[] = ["initiator", "responder"];
const RESULTS: readonly Result[] = ["completed", "failed", "timeout"];

export interface PeerCounters {
  readonly peer: number;
  /** Handshake messages; octets of UDP payload. */
  readonly receive: Traffic;
  /** Handshake messages and the keepalives that the engine sent. */
  readonly transmit: Traffic;
  /** Milliseconds since 1970; null: never. */
  readonly lastHandshake: number | null;
  readonly session: SessionState;
  readonly endpoint: Endpoint | undefined;
}

export interface EngineCounters extends Omit<WireguardCounters, "peers"> {
  /** Handshakes wanted with peers whose endpoint is not known. */
  readonly noEndpoint: number;
  readonly peers: readonly PeerCounters[];
}

export class Tally {
  readonly #handshakes = new Map<string, number>();
  readonly refused: Record<Refusal, number> = {
    unsound: 0,
    unknown_peer: 0,
    stale_timestamp: 0,
    too_soon: 0,
    unknown_index: 0,
  };
  rekeys = 0;
  cookiesSent = 0;
  cookiesReceived = 0;
  keepalivesSent = 0;
  roams = 0;
  noEndpoint = 0;

  handshake(role: Role, result: Result): void {
    const key = `${role} ${result}`;
    this.#handshakes.set(key, (this.#handshakes.get(key) ?? 0) + 1);
  }

  read(peers: readonly PeerCounters[]): EngineCounters {
    const { rekeys, cookiesSent, cookiesReceived, keepalivesSent, roams, noEndpoint } = this;
    return {
      handshakes: ROLES.flatMap((role) =>
        RESULTS.map((result) => ({ role, result, count: this.#handshakes.get(`${role} ${result}`) ?? 0 })),
      ),
      ...{ rekeys, cookiesSent, cookiesReceived, keepalivesSent, roams, noEndpoint },
      refused: { ...this.refused },
      peers,
    };
  }
}

/** Messages of one peer that pass the main thread. */
export class PeerTally {
  readonly #receive = { packets: 0, bytes: 0 };
  readonly #transmit = { packets: 0, bytes: 0 };

  received(octets: number): void {
    this.#receive.packets++;
    this.#receive.bytes += octets;
  }
  sent(octets: number): void {
    this.#transmit.packets++;
    this.#transmit.bytes += octets;
  }
  get traffic(): { readonly receive: Traffic; readonly transmit: Traffic } {
    return { receive: { ...this.#receive }, transmit: { ...this.#transmit } };
  }
}
