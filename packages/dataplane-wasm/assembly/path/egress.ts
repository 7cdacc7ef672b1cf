/**
 * Egress: TAP → underlay, and local port → local port.
 *
 * For each frame, in this order:
 *   1. virtio_net_hdr and Ethernet header are checked, the frame is parsed once
 *   2. guards: reserved addresses, MAC spoofing, router advertisements, DHCP answers
 *   3. the source MAC is learned
 *   4. a question about an address whose MAC is known is answered (answer.ts)
 *   5. the destination is looked up, and it goes to one port, one VTEP, or all (forward.ts)
 * A packet from a layer-3 port gets its Ethernet header before that (from-routed.ts).
 */
import {
  COUNT_BATCH_SUM_EGRESS, COUNT_IN_EGRESS, DROP_DHCP_GUARD, DROP_FRAME_LONG, DROP_FRAME_SHORT, DROP_GATEWAY_LEAK, DROP_NO_ROOM,
  DROP_PORT_INACTIVE, DROP_RA_GUARD, DROP_RESERVED_GROUP, DROP_SOURCE_MAC, DROP_SPOOFED_MAC, DROP_VNET_HDR, ETH_LEN, FRAME_MAX,
  KIND_PORT, NETWORK_GUARD_DHCP, NETWORK_GUARD_RA, NETWORK_GUARD_SPOOF, Network, PLANE_EGRESS, PORT_L3, PORT_ROUTED, PORT_USED,
  REGION_PORTS, RxDesc, VNET_HDR_LEN, Worker,
} from "../abi.gen";
import { desc, indexOf, network, networkCounters, ownerOf, port, portCounters, region, tunnel } from "../table/config";
import * as route from "../table/route";
import * as talk from "../table/talk";
import * as eth from "../wire/ethernet";
import * as ipv4 from "../wire/ipv4";
import * as virtio from "../wire/virtio";
import * as answer from "./answer";
import * as complete from "./complete";
import * as deliver from "./deliver";
import * as forward from "./forward";
import * as fromRouted from "./from-routed";
import * as guard from "./guard";
import * as layer3 from "./layer3";
import * as learn from "./learn";
import { parse } from "./parse";
import * as seal from "./seal";
import * as segment from "./segment";
import { add, countBatch, drop } from "./verdict";
import * as vnet from "./vnet";

/** True when the frame's source MAC is not the port's to use: another port's or a static route's. */
function isSpoofed(owner: u32, fixed: u32): bool {
  return fixed != route.NONE && fixed != owner;
}

/** Judges one frame. The caller has made sure of room for every copy. */
function judge(w: Worker, d: RxDesc, n: Network): void {
  const p = <usize>d.frame;
  const src = eth.src(p);
  if (src == 0 || eth.isGroup(src)) return drop(w, PLANE_EGRESS, DROP_SOURCE_MAC);
  if (eth.isReservedGroup(eth.dst(p))) return drop(w, PLANE_EGRESS, DROP_RESERVED_GROUP);
  parse(d);
  judgeParsed(w, d, n);
}

/** Judges a frame with a sound Ethernet header. */
function judgeParsed(w: Worker, d: RxDesc, n: Network): void {
  const p = <usize>d.frame;
  const src = eth.src(p);
  const dst = eth.dst(p);
  if (d.vnetFlags != 0 && !vnet.isTransportChecksum(d)) {
    // The open checksum is another one (a tunnel's inside the container), or a trick: finishing it later would change
    // octets that the guards are about to judge. So it is finished now and the frame read again.
    if (<u32>d.gsoType != virtio.GSO_NONE) return drop(w, PLANE_EGRESS, DROP_VNET_HDR);
    deliver.finishChecksum(d);
    parse(d);
  }
  if ((n.flags & NETWORK_GUARD_RA) != 0 && guard.isRouterAdvertisement(d)) return drop(w, PLANE_EGRESS, DROP_RA_GUARD);
  if ((n.flags & NETWORK_GUARD_DHCP) != 0 && guard.isDhcpAnswer(d)) return drop(w, PLANE_EGRESS, DROP_DHCP_GUARD);
  // Not a guard that can be off: nobody but its port speaks for the gateway.
  if (n.gateway != 0) {
    if (src == n.gateway && indexOf(d.owner) + 1 != n.gatewayPort) return drop(w, PLANE_EGRESS, DROP_SPOOFED_MAC);
    if (dst == n.gateway && n.gatewayPort == 0) return drop(w, PLANE_EGRESS, DROP_GATEWAY_LEAK);
  }
  // The port's own MAC stands in the route table; only other ones are looked up, and learned.
  if (src != port(w, indexOf(d.owner)).mac) {
    const fixed = route.mac(w, d.network, src);
    if (isSpoofed(d.owner, fixed)) {
      if ((n.flags & NETWORK_GUARD_SPOOF) != 0) return drop(w, PLANE_EGRESS, DROP_SPOOFED_MAC);
    } else if (fixed == route.NONE) {
      learn.source(w, d, src);
      w.lastDst = forward.NO_DST;
    }
  }
  learn.addresses(w, d);
  if (!answer.toPort(w, d)) forward.frame(w, d, n, dst);
}

/** Judges a packet from a layer-3 port. */
function judgePacket(w: Worker, d: RxDesc, n: Network): void {
  const state = fromRouted.dress(w, d, n);
  if (state == fromRouted.GONE) return;
  judgeParsed(w, d, n);
  if (state == fromRouted.DUE) fromRouted.askAgain(w, d, n);
}

/** Room for everything that this frame can become, or at least for what one destination needs of an empty region? */
function hasRoom(w: Worker, d: RxDesc, n: Network): bool {
  const segments = d.len < VNET_HDR_LEN + ETH_LEN ? 0 : segment.bound(w, d.off, d.len);
  const copies = (n.fanout + 1) * segment.opsBound(segments, d.len);
  if (!deliver.hasRoom(w, segments > 1 && copies > w.txMax ? w.txMax : copies) || !segment.hasRoom(w, segments == 0 ? 1 : segments)) return false;
  if (tunnel(w).isOn == 0) return true;
  // A group's frame is sealed for every VTEP; one for an unknown station, too, but that is seldom enough to be cut short. Where a
  // packet of a layer-3 port goes is not yet known; its first octets look like a group's at random, and that does no harm.
  const toAll = d.len >= VNET_HDR_LEN + ETH_LEN && eth.isGroup(eth.dst(<usize>d.off + VNET_HDR_LEN));
  return seal.hasRoom(w, (toAll ? n.fanout : 1) * seal.bound(d.len, segments));
}

/** Frame bounds, port and counters; then judge(). False when the transmit region must be emptied first. */
function one(w: Worker, d: RxDesc): bool {
  const index = d.source;
  d.plane = <u8>PLANE_EGRESS;
  if (index >= region(REGION_PORTS).count || (port(w, index).flags & PORT_USED) == 0) {
    add(w, COUNT_IN_EGRESS, 1);
    drop(w, PLANE_EGRESS, DROP_PORT_INACTIVE);
    return true;
  }
  const from = port(w, index);
  if ((from.flags & PORT_L3) != 0) return layer3.fromDevice(w, d);
  const n = network(w, from.network);
  let fits = hasRoom(w, d, n);
  if (!fits) {
    if (w.txCount != 0) return false;
    complete.reclaim(w);
    fits = hasRoom(w, d, n);
  }
  add(w, COUNT_IN_EGRESS, 1);
  if (!fits) {
    drop(w, PLANE_EGRESS, DROP_NO_ROOM);
    return true;
  }
  // The Ethernet header that a layer-3 port's packets do not have is made up in front of them.
  const skip = (from.flags & PORT_ROUTED) != 0 ? ETH_LEN : 0;
  if (d.len < VNET_HDR_LEN + (skip != 0 ? ipv4.HEADER_LEN : ETH_LEN)) {
    drop(w, PLANE_EGRESS, DROP_FRAME_SHORT);
    return true;
  }
  d.frame = d.off + VNET_HDR_LEN - skip;
  d.frameLen = d.len - VNET_HDR_LEN + skip;
  d.network = from.network;
  d.identity = from.identity;
  d.owner = ownerOf(KIND_PORT, index);
  d.ownerGeneration = from.generation;
  const c = portCounters(w, index);
  c.rxPackets++;
  c.rxBytes += d.frameLen - skip;
  const sums = networkCounters(w, from.network);
  sums.rxPackets++;
  sums.rxBytes += d.frameLen - skip;
  if (d.frameLen > FRAME_MAX) drop(w, PLANE_EGRESS, DROP_FRAME_LONG);
  else if (!vnet.read(d, skip)) drop(w, PLANE_EGRESS, DROP_VNET_HDR);
  else if (skip != 0) judgePacket(w, d, n);
  else judge(w, d, n);
  return true;
}

/**
 * Judges receive descriptors first..first+n-1, read from ports.
 * @returns how many are finished; fewer than n when the transmit region must be sent and completed first.
 */
export function egress(w: Worker, first: u32, n: u32, nowMs: u32): u32 {
  w.nowMs = nowMs;
  w.lastDst = forward.NO_DST;
  w.lastHopPort = 0;
  talk.age(w);
  for (let i: u32 = 0; i < n; i++) {
    if (!one(w, desc(w, first + i))) return i;
  }
  // Counted once per batch: the call that finishes it knows how many came before.
  countBatch(w, PLANE_EGRESS, first + n, COUNT_BATCH_SUM_EGRESS);
  return n;
}
