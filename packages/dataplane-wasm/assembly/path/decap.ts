/**
 * VXLAN from the underlay or from inside the tunnel.
 *
 * For each datagram, in this order:
 *   1. VXLAN header, VNI, whether the network takes it in clear, and whether the sender is a VTEP of that network
 *   2. Ethernet header, congestion marks, one parse
 *   3. the source MAC is checked against static entries and learned
 *   4. a question about the address of a layer-3 port is answered (answer.ts)
 *   5. unfinished checksums and super-frames are recognised
 *   6. delivery: one port or all ports; never a VTEP (split horizon)
 */
import {
  COUNT_ECN_MARKED, DROP_BLACKHOLE, DROP_ECN_CE, DROP_FRAME_LONG, DROP_FRAME_SHORT, DROP_GATEWAY_LEAK, DROP_GSO_UNKNOWN, DROP_NO_ROOM,
  DROP_PLAINTEXT_REFUSED, DROP_RESERVED_GROUP, DROP_SOURCE_MAC, DROP_SPLIT_HORIZON, DROP_STATIC_CONFLICT, DROP_UNKNOWN_VNI,
  DROP_UNKNOWN_VTEP, DROP_VXLAN_FLAGS, ETH_LEN, EVENT_REFUSED_VNI, EVENT_REFUSED_VTEP, FRAME_MAX, HEADER_AREA, KIND_NONE, KIND_PORT, KIND_VTEP,
  NETWORK_ACCEPT_ANY, NETWORK_ENCRYPTED, Network, PLANE_INGRESS, RxDesc, TICK_SHIFT, VXLAN_LEN, Worker,
} from "../abi.gen";
import { indexOf, isCurrent, kindOf, network, ownerOf, vtep, vtepCounters } from "../table/config";
import { emitRefused } from "../table/events";
import * as fdb from "../table/fdb";
import * as route from "../table/route";
import * as talk from "../table/talk";
import { be64 } from "../wire/bytes";
import * as eth from "../wire/ethernet";
import * as vxlan from "../wire/vxlan";
import * as answer from "./answer";
import * as complete from "./complete";
import * as deliver from "./deliver";
import * as ecn from "./ecn";
import * as flood from "./flood";
import * as join from "./join";
import * as learn from "./learn";
import * as made from "./made";
import { recognise } from "./offload";
import { parse } from "./parse";
import * as seal from "./seal";
import * as toRouted from "./to-routed";
import { add, drop } from "./verdict";

/** A frame for the station behind a port. */
function deliverTo(w: Worker, d: RxDesc, index: u32): void {
  if (!toRouted.admit(w, d, index)) return;
  note(w, d, index);
  join.toPort(w, d, index);
}

/** Counts a frame for the conversation of the port's station. */
function note(w: Worker, d: RxDesc, index: u32): void {
  talk.received(w, index, eth.dst(<usize>d.frame), eth.src(<usize>d.frame), d.frameLen);
}

/** Forwards a frame whose bounds, sender and source are in order. */
function forward(w: Worker, d: RxDesc, n: Network, dst: u64): void {
  if (eth.isGroup(dst)) return flood.fromVtep(w, d, n);
  let owner = route.mac(w, d.network, dst);
  if (owner == route.NONE) {
    const value = fdb.lookup(w, fdb.keyOf(d.network, dst), learn.tickOf(w));
    if (value == fdb.MISS || !isCurrent(w, fdb.ownerIn(value), fdb.generationIn(value))) return flood.fromVtep(w, d, n);
    owner = fdb.ownerIn(value);
  }
  const kind = kindOf(owner);
  if (kind == KIND_PORT) {
    const index = indexOf(owner);
    if (index + 1 == n.gatewayPort) return drop(w, PLANE_INGRESS, DROP_GATEWAY_LEAK);
    d.run = index + 1;
    return deliverTo(w, d, index);
  }
  if (kind == KIND_VTEP) return drop(w, PLANE_INGRESS, DROP_SPLIT_HORIZON);
  drop(w, PLANE_INGRESS, DROP_BLACKHOLE);
}

/** Reads the frame and brings the outer congestion mark to it; false when that condemned it. */
function read(w: Worker, d: RxDesc): bool {
  parse(d);
  const mark = ecn.decapsulate(d);
  if (mark == ecn.MARKED) add(w, COUNT_ECN_MARKED, 1);
  if (mark != ecn.CONDEMNED) return true;
  drop(w, PLANE_INGRESS, DROP_ECN_CE);
  return false;
}

/** Judges the inner frame at d.frame. */
function judge(w: Worker, d: RxDesc, n: Network): void {
  const p = <usize>d.frame;
  const src = eth.src(p);
  const dst = eth.dst(p);
  if (src == 0 || eth.isGroup(src)) return drop(w, PLANE_INGRESS, DROP_SOURCE_MAC);
  if (eth.isReservedGroup(dst)) return drop(w, PLANE_INGRESS, DROP_RESERVED_GROUP);
  // Every host has that MAC for its own.
  if (n.gateway != 0 && (src == n.gateway || dst == n.gateway)) return drop(w, PLANE_INGRESS, DROP_GATEWAY_LEAK);
  if (!read(w, d)) return;
  const fixed = route.mac(w, d.network, src);
  if (fixed != route.NONE) {
    if (fixed != d.owner) return drop(w, PLANE_INGRESS, DROP_STATIC_CONFLICT);
  } else if (kindOf(d.owner) == KIND_VTEP) {
    learn.source(w, d, src);
  }
  if (kindOf(d.owner) == KIND_VTEP) learn.addresses(w, d);
  if (answer.toVtep(w, d, n)) return;
  if (!recognise(d, n.mtu)) return drop(w, PLANE_INGRESS, DROP_GSO_UNKNOWN);
  forward(w, d, n, dst);
}

/** Tells of a stranger's VXLAN at most once a tick: a flood of it costs a comparison each. */
function tellUnknownVtep(w: Worker, index: u32, source: usize): void {
  const now = (w.nowMs >> TICK_SHIFT) + 1;
  if (w.refusedVtepTick == now) return;
  w.refusedVtepTick = now;
  emitRefused(w, EVENT_REFUSED_VTEP, index, source);
}
/** The same for a VNI that no network has. */
function tellUnknownVni(w: Worker, vni: u32, source: usize): void {
  const now = (w.nowMs >> TICK_SHIFT) + 1;
  if (w.refusedVniTick == now) return;
  w.refusedVniTick = now;
  emitRefused(w, EVENT_REFUSED_VNI, vni, source);
}

function countFrom(w: Worker, d: RxDesc, from: u32): void {
  const c = vtepCounters(w, from - 1);
  c.rxPackets++;
  c.rxBytes += d.frameLen;
}

/** Room for `copies` of a frame, or an answer to it? */
function hasRoom(w: Worker, copies: u32): bool {
  return deliver.hasRoom(w, copies) && made.hasRoom(w) && seal.hasRoom(w, seal.bound(HEADER_AREA, 1));
}

/**
 * A datagram of the same buffer with the VXLAN header and MAC addresses of the one before, which went to a port: network,
 * sender, learning and destination are the same. False when it has to be judged from the start.
 */
export function follow(w: Worker, d: RxDesc, off: u32, len: u32): bool {
  const before = <usize>d.frame - VXLAN_LEN;
  const p = <usize>off;
  if (d.run == 0 || len < VXLAN_LEN + ETH_LEN || len > VXLAN_LEN + FRAME_MAX) return false;
  // 20 octets: VXLAN header and both MACs.
  if (load<u64>(p) != load<u64>(before) || load<u64>(p, 8) != load<u64>(before, 8)) return false;
  if (load<u32>(p, 16) != load<u32>(before, 16) || !hasRoom(w, 1)) return false;
  const port = d.run - 1;
  d.frame = off + VXLAN_LEN;
  d.frameLen = len - VXLAN_LEN;
  if (d.vtep != 0) countFrom(w, d, d.vtep);
  // Most often it continues the same flow, and then need not even be parsed. An outer congestion mark is to be looked at.
  if ((d.tos & 3) == 0 && join.follow(w, d.frame, d.frameLen, port)) {
    note(w, d, port);
    return true;
  }
  if (!read(w, d)) return true;
  const n = network(w, d.network);
  if (kindOf(d.owner) == KIND_VTEP) learn.addresses(w, d);
  if (answer.toVtep(w, d, n)) return true;
  if (recognise(d, n.mtu)) deliverTo(w, d, port);
  else drop(w, PLANE_INGRESS, DROP_GSO_UNKNOWN);
  return true;
}

/** VTEP that the datagram is from: index + 1, or 0. Inside the tunnel it has to be one behind that very peer. */
function vtepOf(w: Worker, index: u32, addr: usize, peer: u32): u32 {
  if (peer == 0) return route.vtepOf(w, index, be64(addr), be64(addr + 8));
  const found = route.tunnelVtepOf(w, index, be64(addr), be64(addr + 8));
  return found != 0 && vtep(w, found - 1).peer == peer ? found : 0;
}

/**
 * Judges VXLAN of `len` octets at `off`. False when the transmit region must be emptied first: then it is as if nothing had been
 * done.
 *
 * @param addr sixteen octets of source address: the outer one, or the one inside the tunnel
 * @param peer WireGuard peer that it came through the tunnel from: index + 1; 0: in clear
 */
export function datagram(w: Worker, d: RxDesc, off: u32, len: u32, addr: usize, peer: u32): bool {
  const p = <usize>off;
  let reason: u32 = 0;
  let index: u32 = 0;
  if (len < VXLAN_LEN + ETH_LEN) reason = DROP_FRAME_SHORT + 1;
  else if (!vxlan.hasVni(p)) reason = DROP_VXLAN_FLAGS + 1;
  else {
    index = route.networkOf(w, vxlan.vni(p));
    if (index == 0) {
      reason = DROP_UNKNOWN_VNI + 1;
      tellUnknownVni(w, vxlan.vni(p), addr);
    }
  }
  if (reason != 0) {
    drop(w, PLANE_INGRESS, reason - 1);
    return true;
  }
  index--;
  const n = network(w, index);
  let fits = hasRoom(w, n.fanout + 1);
  if (!fits) {
    if (w.txCount != 0) return false;
    complete.reclaim(w);
    fits = hasRoom(w, n.fanout + 1);
  }
  if (!fits) {
    drop(w, PLANE_INGRESS, DROP_NO_ROOM);
    return true;
  }
  if (peer == 0 && (n.flags & NETWORK_ENCRYPTED) != 0) {
    drop(w, PLANE_INGRESS, DROP_PLAINTEXT_REFUSED);
    return true;
  }
  const from = vtepOf(w, index, addr, peer);
  if (from == 0 && (n.flags & NETWORK_ACCEPT_ANY) == 0) {
    tellUnknownVtep(w, index, addr);
    drop(w, PLANE_INGRESS, DROP_UNKNOWN_VTEP);
    return true;
  }
  d.network = <u16>index;
  d.identity = 0;
  d.frame = off + VXLAN_LEN;
  d.frameLen = len - VXLAN_LEN;
  d.owner = from == 0 ? ownerOf(KIND_NONE, 0) : ownerOf(KIND_VTEP, from - 1);
  if (from != 0) {
    d.ownerGeneration = vtep(w, from - 1).generation;
    countFrom(w, d, from);
  }
  d.vtep = from;
  d.run = 0;
  if (d.frameLen > FRAME_MAX) drop(w, PLANE_INGRESS, DROP_FRAME_LONG);
  else judge(w, d, n);
  return true;
}
