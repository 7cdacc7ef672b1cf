/** What WireGuard answers about itself: the engine's figures and the workers', put together. */
import type { Block } from "@weft/dataplane-wasm";
import type { Endpoint } from "../wireguard/surroundings.js";
import type { EngineCounters } from "../wireguard/tally.js";
import type { Core } from "./core.js";
import { endpointText } from "./endpoint.js";
import type { PeerInfo, Traffic, WireguardCounters } from "./types.js";
import type { CheckedPeer } from "./wireguard-check.js";

interface ReportedPeer {
  readonly spec: CheckedPeer;
  readonly endpoint: Endpoint | undefined;
  /** Counters of the index when the peer took it. */
  readonly before: Block;
}

export function peerInfos(
  { reader }: Core,
  { peers }: EngineCounters,
  find: (index: number) => ReportedPeer | undefined,
): PeerInfo[] {
  return peers.flatMap(({ peer: index, receive, transmit, lastHandshake, session }) => {
    const peer = find(index);
    if (!peer) return [];
    const now = reader.block("PEER_COUNTERS", index);
    const data = (way: "rx" | "tx", more: Traffic): Traffic => ({
      packets: (now[`${way}Packets`] as number) - (peer.before[`${way}Packets`] as number) + more.packets,
      bytes: (now[`${way}Bytes`] as number) - (peer.before[`${way}Bytes`] as number) + more.bytes,
    });
    const { publicKey, allowedText, presharedKey, persistentKeepalive } = peer.spec;
    return {
      publicKey,
      endpoint: peer.endpoint ? endpointText(peer.endpoint) : null,
      allowedIps: allowedText,
      presharedKey: presharedKey !== undefined,
      persistentKeepalive,
      session,
      lastHandshake,
      receive: data("rx", receive),
      transmit: data("tx", transmit),
    };
  });
}

export function wireguardCounters(
  { handshakes, rekeys, refused, cookiesSent, cookiesReceived, keepalivesSent, roams }: EngineCounters,
  infos: readonly PeerInfo[],
): WireguardCounters {
  const peers = infos.map(({ publicKey, receive, transmit, lastHandshake, session }) => ({
    ...{ publicKey, receive, transmit, lastHandshake, session },
  }));
  return { handshakes, rekeys, refused, cookiesSent, cookiesReceived, keepalivesSent, roams, peers };
}
