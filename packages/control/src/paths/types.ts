/** What the paths tell the daemon, for listings and metrics. */
import type { SessionState } from "../dataplane/types.js";
import type { NodeId } from "../mesh/types.js";
import type { DirectState } from "./direct.js";

export type Mode =
  /** No session, or no path that works. */
  "none" | "direct" | "relayed";

export function modeOf(isOpen: boolean, isRelayed: boolean, direct: DirectState): Mode {
  if (!isOpen) return "none";
  if (isRelayed) return "relayed";
  return direct === "down" ? "none" : "direct";
}

/** Why data to a peer took another path. */
export const REASONS = [
  /** No echo was heard directly for three intervals. */
  "silent",
  /** The peer does not hear us directly. */
  "deaf",
  /** The direct path has proven itself. */
  "proven",
  /** The relay did not lead to the peer. */
  "relay_failed",
  /** Another relay is nearer by what all nodes say. */
  "shorter",
  /** No session came to be. */
  "no_session",
] as const;
export type Reason = (typeof REASONS)[number];

export interface PathInfo {
  readonly node: NodeId;
  readonly publicKey: string;
  readonly session: SessionState;
  readonly mode: Mode;
  /** Node that data goes through first; null: direct, or none. */
  readonly via: NodeId | null;
  /** Milliseconds that it has been so. */
  readonly forMs: number;
  readonly direct: DirectState;
  /** Of the path in use, smoothed, microseconds; null: not measured. */
  readonly rttUs: number | null;
  /** Lost echoes of 1000, over the last 32 on the path in use; that of the worse direction. */
  readonly loss: number;
  /** Octets of the longest packet inside the session, and whether echoes of that size went through; null: no session. */
  readonly mtu: number | null;
  readonly mtuConfirmed: boolean;
  /** Where the direct path leads. */
  readonly endpoint: string | null;
  readonly candidates: readonly string[];
  /** Milliseconds since an echo came, on whichever path; null: none has. */
  readonly lastEchoMs: number | null;
}

export interface PathsCounters {
  readonly changes: Readonly<Record<Reason, number>>;
  readonly mtuChanges: number;
  readonly echoes: {
    readonly sent: number;
    readonly received: number;
    /** Intervals in which a peer's direct echo did not come. */
    readonly missed: number;
    /** Not readable, of another version, or on another path than it says. */
    readonly refused: number;
    /** Older than one that had been taken. */
    readonly stale: number;
  };
  /** setPaths that the data plane did not take; they are repeated. */
  readonly setFailed: number;
  /** Nodes whose WireGuard key another node had named before. */
  readonly duplicateKeys: number;
}
