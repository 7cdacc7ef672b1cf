/**
 * Packets inside a session that carry a WireGuard message: for us, from a peer that is reached through the one the session is with, or
 * for another peer, to be handed on. Whoever carries a message sees a sealed one only; the packet's source is not checked, because
 * allowedIps are a matter of the session that the message belongs to.
 */
import { COUNT_RELAYED_PACKETS, COUNT_RELAYED_BYTES, DROP_HOP_LIMIT, DROP_RELAY_LOOP, HOP_LIMIT, PLANE_INGRESS, RxDesc, Worker } from "../abi.gen";
import { peer, tunnel } from "../table/config";
import * as route from "../table/route";
import * as ipv6 from "../wire/ipv6";
import * as udp from "../wire/udp";
import * as wireguard from "../wire/wireguard";
import * as deliver from "./deliver";
import * as seal from "./seal";
import { add, drop } from "./verdict";

/** Octets of IPv6 and UDP header in front of the message. */
export const LEAD: u32 = ipv6.HEADER_LEN + udp.HEADER_LEN;

/** Octets of the message that the packet at `p` carries, which is whole; 0 when it is another packet. */
export function messageLen(w: Worker, p: usize, len: u32): u32 {
  if (tunnel(w).probePort == 0 || !ipv6.check(p, len) || ipv6.nextHeader(p) != udp.PROTO) return 0;
  const datagram = ipv6.payloadLen(p);
  const u = p + ipv6.HEADER_LEN;
  if (datagram < udp.HEADER_LEN + 4 || udp.length(u) != datagram || udp.dstPort(u) != tunnel(w).listenPort) return 0;
  const type = wireguard.type(p + LEAD);
  return type == 0 || type > wireguard.DATA ? 0 : datagram - udp.HEADER_LEN;
}

/** Peer that the packet is for: index + 1; 0: none. */
export function peerOf(w: Worker, p: usize): u32 {
  return route.peer6(w, ipv6.dstHi(p), ipv6.dstLo(p));
}

/**
 * Hands the packet of peer `from` on to the peer `to`, or to the next on the way there. False when the transmit region must be emptied
 * first.
 */
export function relay(w: Worker, d: RxDesc, from: u32, to: u32, p: usize, tos: u32): bool {
  const via = <u32>peer(w, to).via;
  const next = via != 0 ? via - 1 : to;
  if (next == from || to == from) {
    drop(w, PLANE_INGRESS, DROP_RELAY_LOOP);
    return true;
  }
  // Whoever sealed it may have said more than anybody of us starts with.
  const said = ipv6.hopLimit(p);
  const hops = said < HOP_LIMIT ? said : HOP_LIMIT;
  if (hops <= 1) {
    drop(w, PLANE_INGRESS, DROP_HOP_LIMIT);
    return true;
  }
  const len = ipv6.HEADER_LEN + ipv6.payloadLen(p);
  if (!deliver.hasRoom(w, 1) || !seal.hasRoom(w, seal.bound(len, 1))) return false;
  ipv6.setHopLimit(p, hops - 1);
  add(w, COUNT_RELAYED_PACKETS, 1);
  add(w, COUNT_RELAYED_BYTES, len - LEAD);
  d.hash = 0;
  d.network = 0;
  d.run = 0;
  d.frameLen = len;
  d.ipVersion = 0;
  seal.handOn(w, d, next, p, len, tos);
  return true;
}
