/** Public types of WireGuard and of the mesh calls; see types.ts, whose conventions hold here too. */
import type { Traffic } from "./types.js";

/**
 * The WireGuard interface of this host. wireguard-go, or a kernel with WireGuard, is a full peer.
 *
 * Keys are never answered, logged or put into an error.
 */
export interface WireguardSpec {
  /** 32 octets. Read by Dataplane.start() only: whoever gave them may wipe them when that has resolved. */
  readonly privateKey: Uint8Array;
  /** UDP port on every address of the host, default 51820. */
  readonly listenPort?: number;
  /** Addresses of this host inside the tunnel, 1..8: VXLAN runs on the first of each family. */
  readonly address: readonly string[];
  /** Name of a TUN device that has these addresses, and routes to the peers' allowedIps: the host is then an ordinary peer. */
  readonly device?: string;
  readonly peers?: readonly PeerSpec[];
  /** Most peers there will ever be, 1..4096, default 256. */
  readonly peersMax?: number;
  /** Messages under one key after which a new one is made, 1..2^53-1, default 2^53-1. Time (120 s) does so anyway. */
  readonly rekeyAfterMessages?: number;
  /** File that keys of sessions are appended to, for Wireshark (`wg.keylog_file`). Whoever reads it reads all traffic. */
  readonly keylog?: string;
  /** Peers reach each other through other peers, and the caller finds the paths; absent: every peer is reached directly. */
  readonly mesh?: MeshSpec;
}

/**
 * For a caller that keeps the paths between peers (setPaths, sendProbe). Sessions then begin with the first frame for a peer, not
 * with its VTEP; packets of peers for other peers are handed on (relayed), sealed messages only and with a hop limit; the outer
 * packets are never fragmented (IP_PMTUDISC_PROBE), because path MTUs are the caller's to find.
 */
export interface MeshSpec {
  /** UDP port, inside the tunnel, of probes: what comes there is a `probe` event. */
  readonly probePort: number;
}

/** How a peer is reached. Its session is with the peer itself on every path: whoever relays sees sealed messages. */
export interface PathSpec {
  readonly publicKey: string;
  /** Peer that messages for this one go to next; null: directly, to its endpoint. */
  readonly via: string | null;
  /** Octets of the longest packet inside the session that this path carries, 576..65535; null: as the underlay's MTU says, less what a relay adds. */
  readonly mtu: number | null;
  /** `ADDR:PORT` to write to from now on, when it is another one; absent: as it is. */
  readonly endpoint?: string;
}

/** A message for the caller on the other side, authenticated and sealed by the session with the peer. */
export interface ProbeSpec {
  readonly publicKey: string;
  /** Peer to send it through, whatever path data takes; null: directly. */
  readonly via: string | null;
  /** 1..128 octets. */
  readonly payload: Uint8Array;
  /** Octets that the IP packet inside the session has, by zeros behind the payload; absent: as long as it must be. */
  readonly packetBytes?: number;
}

/** What a peer is doing, for who keeps its path: cheap to ask for all peers often. */
export interface PeerActivity {
  readonly publicKey: string;
  readonly session: SessionState;
  /** Milliseconds since data was last sealed for, and opened from, the peer, probes and keepalives left out; null: never. */
  readonly sentAgoMs: number | null;
  readonly receivedAgoMs: number | null;
}

/** Another host of the WireGuard network. */
export interface PeerSpec {
  /** 32 octets in base64: the peer's name. */
  readonly publicKey: string;
  /** `ADDR:PORT` or `[ADDR]:PORT`; absent: known once the peer has written. */
  readonly endpoint?: string;
  /** Prefixes: what comes from the peer has a source in them, what goes to an address in them goes to the peer. */
  readonly allowedIps?: readonly string[];
  /** 32 octets. */
  readonly presharedKey?: Uint8Array;
  /** Seconds between messages that keep a NAT open, 0 (off, default) ..65535. */
  readonly persistentKeepalive?: number;
}

/** Single peers to add or replace, and public keys of those to take out. */
export interface PeerChange {
  readonly set?: readonly PeerSpec[];
  readonly remove?: readonly string[];
}

export type SessionState =
  /** No usable key. */
  | "none"
  /** An initiation is under way, and there is no usable key. */
  | "handshake"
  /** There is a key. */
  | "established";

export interface PeerInfo {
  readonly publicKey: string;
  /** As it is now: the peer may have roamed. null: not known yet. */
  readonly endpoint: string | null;
  readonly allowedIps: readonly string[];
  readonly presharedKey: boolean;
  readonly persistentKeepalive: number;
  readonly session: SessionState;
  /** Milliseconds since 1970; null: never. */
  readonly lastHandshake: number | null;
  /** WireGuard messages, handshakes included; octets of UDP payload. */
  readonly receive: Traffic;
  readonly transmit: Traffic;
}

export interface WireguardInfo {
  readonly publicKey: string;
  readonly listenPort: number;
  readonly address: readonly string[];
  readonly device: string | null;
  /** Octets of the longest packet inside the tunnel. */
  readonly mtu: number;
  readonly keylog: string | null;
  readonly peers: readonly PeerInfo[];
}

/** What the WireGuard control plane has done. Data messages and their drops are among the other counters. */
export interface WireguardCounters {
  /** Handshakes by role and result; every pair there is, zero ones too. */
  readonly handshakes: readonly {
    readonly role: "initiator" | "responder";
    readonly result: "completed" | "failed" | "timeout";
    readonly count: number;
  }[];
  /** Handshakes completed while an earlier session was still usable. */
  readonly rekeys: number;
  /** Initiations and responses refused, by why. */
  readonly refused: Readonly<
    Record<"unsound" | "unknown_peer" | "stale_timestamp" | "too_soon" | "unknown_index", number>
  >;
  readonly cookiesSent: number;
  readonly cookiesReceived: number;
  readonly keepalivesSent: number;
  readonly roams: number;
  readonly peers: readonly {
    readonly publicKey: string;
    readonly receive: Traffic;
    readonly transmit: Traffic;
    /** Milliseconds since 1970; null: never. */
    readonly lastHandshake: number | null;
    readonly session: SessionState;
  }[];
}
