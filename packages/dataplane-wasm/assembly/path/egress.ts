/**
 * Egress: TAP → underlay, and local port → local port.
 *
 * For each frame, in this order:
 *   1. virtio_net_hdr and Ethernet header are checked, the frame is parsed once
 *   2. guards: reserved addresses, MAC spoofing, router advertisements, DHCP answers
 *   3. the source MAC is learned
 *   4. the destination is looked up: static route, FDB, prefix route
 *   5. delivery: one port, one VTEP, or a flood
 * Control flow stays in judge(); the rest answers questions.
 */
import {
  COUNT_BATCH_SUM_EGRESS, COUNT_IN_EGRESS, COUNT_PREFIX_EGRESS, DROP_BLACKHOLE, DROP_BUM_RATE, DROP_DHCP_GUARD,
  DROP_FRAME_LONG, DROP_FRAME_SHORT, DROP_NO_ROOM, DROP_PORT_INACTIVE, DROP_RA_GUARD, DROP_REFLECT,
  DROP_RESERVED_GROUP, DROP_SOURCE_MAC, DROP_SPOOFED_MAC, DROP_VNET_HDR, ETH_LEN, FRAME_MAX, KIND_BLACKHOLE, KIND_PORT,
  KIND_VTEP, L3_L4, NETWORK_GUARD_DHCP, NETWORK_GUARD_RA, NETWORK_GUARD_SPOOF, Network, PLANE_EGRESS, PORT_L3, PORT_USED, REGION_PORTS,
  RxDesc, VNET_HDR_LEN, Worker,
} from "../abi.gen";
import { desc, indexOf, isCurrent, kindOf, network, networkCounters, ownerOf, port, portCounters, region, tunnel } from "../table/config";
import * as fdb from "../table/fdb";
import * as route from "../table/route";
import * as arp from "../wire/arp";
import * as eth from "../wire/ethernet";
import * as icmp from "../wire/icmp";
import * as ipv4 from "../wire/ipv4";
import * as ipv6 from "../wire/ipv6";
import * as virtio from "../wire/virtio";
import * as deliver from "./deliver";
import * as flood from "./flood";
import * as guard from "./guard";
import * as layer3 from "./layer3";
import * as learn from "./learn";
import { parse } from "./parse";
import * as seal from "./seal";
import * as segment from "./segment";
import { add, countBatch, drop } from "./verdict";
import * as vnet from "./vnet";
import * as outward from "./vtep";

/** Owner that a prefix route names for a frame whose MAC is unknown, or for the target of an ARP request or NS. */
function byPrefix(w: Worker, d: RxDesc, n: Network): u32 {
  const p = <usize>d.frame + d.l3Off;
  if (d.l3Off == 0) return route.NONE;
  const group = eth.isGroup(eth.dst(<usize>d.frame));
  if (<u32>d.etherType == eth.ARP) {
    if (!route.hasPrefix4(n) || arp.operation(p) != arp.REQUEST) return route.NONE;
    // A gratuitous request tells everybody something; only questions can be aimed.
    if (arp.senderIp(p) == arp.targetIp(p)) return route.NONE;
    return route.prefix4(w, d.network, n, arp.targetIp(p));
  }
  if (d.ipVersion == 4 && !group && route.hasPrefix4(n)) return route.prefix4(w, d.network, n, ipv4.dst(p));
  if (d.ipVersion == 6 && route.hasPrefix6(n)) {
    if (!group) return route.prefix6(w, d.network, n, ipv6.dstHi(p), ipv6.dstLo(p));
    const l4 = <usize>d.frame + d.l4Off;
    if (<u32>d.ipProto != icmp.PROTO_V6 || (d.l3Flags & <u8>L3_L4) == 0) return route.NONE;
    if (icmp.type(l4) != icmp.NEIGHBOUR_SOLICITATION || d.frameLen - d.l4Off < icmp.ND_LEN) return route.NONE;
    // Duplicate address detection asks everybody (RFC 4862 §5.4.2).
    if ((ipv6.srcHi(p) | ipv6.srcLo(p)) == 0) return route.NONE;
    return route.prefix6(w, d.network, n, icmp.targetHi(l4), icmp.targetLo(l4));
  }
  return route.NONE;
}

/** Worker.lastDst while there is none: the key of no unicast address. */
const NO_DST: u64 = ~(<u64>0);

/** Owner of a unicast destination: static route, then FDB; NONE when unknown. Frames of a batch often go the same way. */
function byMac(w: Worker, d: RxDesc, dst: u64): u32 {
  const key = fdb.keyOf(d.network, dst);
  if (key == w.lastDst) return w.lastOwner;
  let owner = route.mac(w, d.network, dst);
  if (owner == route.NONE) {
    const value = fdb.lookup(w, key, learn.tickOf(w));
    if (value == fdb.MISS || !isCurrent(w, fdb.ownerIn(value), fdb.generationIn(value))) return route.NONE;
    owner = fdb.ownerIn(value);
  }
  w.lastDst = key;
  w.lastOwner = owner;
  return owner;
}

/** One copy to a known owner. */
function forward(w: Worker, d: RxDesc, n: Network, owner: u32): void {
  const kind = kindOf(owner);
  if (kind == KIND_BLACKHOLE) return drop(w, PLANE_EGRESS, DROP_BLACKHOLE);
  if (kind == KIND_PORT) {
    if (owner == d.owner) return drop(w, PLANE_EGRESS, DROP_REFLECT);
    deliver.toPort(w, d, indexOf(owner));
    return;
  }
  if (kind != KIND_VTEP) return drop(w, PLANE_EGRESS, DROP_BLACKHOLE);
  if (<u32>d.gsoType != virtio.GSO_NONE) return segment.forward(w, d, n, indexOf(owner));
  deliver.encapsulate(d, n.vni);
  outward.send(w, d, indexOf(owner));
}

/** True when the frame's source MAC is not the port's to use: another port's or a static route's. */
function isSpoofed(owner: u32, fixed: u32): bool {
  return fixed != route.NONE && fixed != owner;
}

/** Judges one frame. The caller has made sure of room for every copy. */
function judge(w: Worker, d: RxDesc, n: Network): void {
  const p = <usize>d.frame;
  const src = eth.src(p);
  const dst = eth.dst(p);
  if (src == 0 || eth.isGroup(src)) return drop(w, PLANE_EGRESS, DROP_SOURCE_MAC);
  if (eth.isReservedGroup(dst)) return drop(w, PLANE_EGRESS, DROP_RESERVED_GROUP);
  parse(d);
  if (d.vnetFlags != 0 && !vnet.isTransportChecksum(d)) {
    // The open checksum is another one (a tunnel's inside the container), or a trick: finishing it later would change
    // octets that the guards are about to judge. So it is finished now and the frame read again.
    if (<u32>d.gsoType != virtio.GSO_NONE) return drop(w, PLANE_EGRESS, DROP_VNET_HDR);
    deliver.finishChecksum(d);
    parse(d);
  }
  if ((n.flags & NETWORK_GUARD_RA) != 0 && guard.isRouterAdvertisement(d)) return drop(w, PLANE_EGRESS, DROP_RA_GUARD);
  if ((n.flags & NETWORK_GUARD_DHCP) != 0 && guard.isDhcpAnswer(d)) return drop(w, PLANE_EGRESS, DROP_DHCP_GUARD);
  // The port's own MAC stands in the route table; only other ones are looked up, and learned.
  if (src != port(w, indexOf(d.owner)).mac) {
    const fixed = route.mac(w, d.network, src);
    if (isSpoofed(d.owner, fixed)) {
      if ((n.flags & NETWORK_GUARD_SPOOF) != 0) return drop(w, PLANE_EGRESS, DROP_SPOOFED_MAC);
    } else if (fixed == route.NONE) {
      learn.source(w, d, src);
      w.lastDst = NO_DST;
    }
  }
  learn.addresses(w, d);
  let owner = eth.isGroup(dst) ? route.NONE : byMac(w, d, dst);
  if (owner == route.NONE) {
    owner = byPrefix(w, d, n);
    if (owner != route.NONE) {
      // A broadcast question costs a token like a flood; a packet that a prefix sends one way is plain unicast.
      if (eth.isGroup(dst) && !flood.takeTokens(w, n, indexOf(d.owner), 1)) return drop(w, PLANE_EGRESS, DROP_BUM_RATE);
      add(w, COUNT_PREFIX_EGRESS, 1);
    }
  }
  if (owner != route.NONE) return forward(w, d, n, owner);
  flood.fromPort(w, d, n);
}

/** Room for everything that this frame can become, or at least for what one destination needs of an empty region? */
function hasRoom(w: Worker, d: RxDesc, n: Network): bool {
  const segments = d.len < VNET_HDR_LEN + ETH_LEN ? 0 : segment.bound(d.off, d.len);
  const copies = (n.fanout + 1) * segment.opsBound(segments, d.len);
  if (!deliver.hasRoom(w, segments > 1 && copies > w.txMax ? w.txMax : copies) || !segment.hasRoom(w, segments)) return false;
  if (tunnel(w).isOn == 0) return true;
  // A group's frame is sealed for every VTEP; one for an unknown station, too, but that is seldom enough to be cut short.
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
  const fits = hasRoom(w, d, n);
  if (!fits && w.txCount != 0) return false;
  add(w, COUNT_IN_EGRESS, 1);
  if (!fits) {
    drop(w, PLANE_EGRESS, DROP_NO_ROOM);
    return true;
  }
  if (d.len < VNET_HDR_LEN + ETH_LEN) {
    drop(w, PLANE_EGRESS, DROP_FRAME_SHORT);
    return true;
  }
  d.frame = d.off + VNET_HDR_LEN;
  d.frameLen = d.len - VNET_HDR_LEN;
  d.network = from.network;
  d.identity = from.identity;
  d.owner = ownerOf(KIND_PORT, index);
  d.ownerGeneration = from.generation;
  const c = portCounters(w, index);
  c.rxPackets++;
  c.rxBytes += d.frameLen;
  const sums = networkCounters(w, from.network);
  sums.rxPackets++;
  sums.rxBytes += d.frameLen;
  if (d.frameLen > FRAME_MAX) drop(w, PLANE_EGRESS, DROP_FRAME_LONG);
  else if (!vnet.read(d, 0)) drop(w, PLANE_EGRESS, DROP_VNET_HDR);
  else judge(w, d, n);
  return true;
}

/**
 * Judges receive descriptors first..first+n-1, read from ports.
 * @returns how many are finished; fewer than n when the transmit region must be sent and completed first.
 */
export function egress(w: Worker, first: u32, n: u32, nowMs: u32): u32 {
  w.nowMs = nowMs;
  w.lastDst = NO_DST;
  for (let i: u32 = 0; i < n; i++) {
    if (!one(w, desc(w, first + i))) return i;
  }
  // Counted once per batch: the call that finishes it knows how many came before.
  countBatch(w, PLANE_EGRESS, first + n, COUNT_BATCH_SUM_EGRESS);
  return n;
}
