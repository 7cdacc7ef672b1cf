/**
 * Ingress: underlay → TAP.
 *
 * For each datagram, in this order:
 *   1. VXLAN header, VNI, and whether the sender is a VTEP of that network
 *   2. Ethernet header, congestion marks, one parse
 *   3. the source MAC is checked against static entries and learned
 *   4. unfinished checksums and super-frames are recognised
 *   5. delivery: one port or all ports; never a VTEP (split horizon)
 */
import {
  COUNT_BATCH_SUM_INGRESS, COUNT_ECN_MARKED, COUNT_IN_INGRESS, DROP_BLACKHOLE, DROP_ECN_CE, DROP_FRAME_LONG,
  DROP_FRAME_SHORT, DROP_GSO_UNKNOWN, DROP_NO_ROOM, DROP_RESERVED_GROUP, DROP_SOURCE_MAC, DROP_SPLIT_HORIZON,
  DROP_STATIC_CONFLICT, DROP_TRUNCATED, DROP_UNKNOWN_VNI, DROP_UNKNOWN_VTEP, DROP_VXLAN_FLAGS, ETH_LEN, EVENT_REFUSED_VNI,
  EVENT_REFUSED_VTEP, FRAME_MAX, KIND_NONE,
  KIND_PORT, KIND_VTEP, NETWORK_ACCEPT_ANY, Network, PLANE_INGRESS, RX_DESC_ADDR, RX_TRUNCATED, RxDesc, TICK_SHIFT, VXLAN_LEN, Worker,
} from "../abi.gen";
import { desc, indexOf, isCurrent, kindOf, network, ownerOf, vtep, vtepCounters } from "../table/config";
import { emitRefused } from "../table/events";
import * as fdb from "../table/fdb";
import * as route from "../table/route";
import { be64 } from "../wire/bytes";
import * as eth from "../wire/ethernet";
import * as vxlan from "../wire/vxlan";
import * as deliver from "./deliver";
import * as ecn from "./ecn";
import * as flood from "./flood";
import * as join from "./join";
import * as learn from "./learn";
import { recognise } from "./offload";
import { parse } from "./parse";
import { add, countBatch, drop } from "./verdict";

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
    d.run = indexOf(owner) + 1;
    return join.toPort(w, d, indexOf(owner));
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
  if (!read(w, d)) return;
  const fixed = route.mac(w, d.network, src);
  if (fixed != route.NONE) {
    if (fixed != d.owner) return drop(w, PLANE_INGRESS, DROP_STATIC_CONFLICT);
  } else if (kindOf(d.owner) == KIND_VTEP) {
    learn.source(w, d, src);
  }
  if (kindOf(d.owner) == KIND_VTEP) learn.addresses(w, d);
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

/**
 * A datagram of the same buffer with the VXLAN header and MAC addresses of the one before, which went to a port: network,
 * sender, learning and destination are the same. False when it has to be judged from the start.
 */
function follow(w: Worker, d: RxDesc, off: u32, len: u32): bool {
  const before = <usize>d.frame - VXLAN_LEN;
  const p = <usize>off;
  if (d.run == 0 || len < VXLAN_LEN + ETH_LEN || len > VXLAN_LEN + FRAME_MAX) return false;
  // 20 octets: VXLAN header and both MACs.
  if (load<u64>(p) != load<u64>(before) || load<u64>(p, 8) != load<u64>(before, 8)) return false;
  if (load<u32>(p, 16) != load<u32>(before, 16) || !deliver.hasRoom(w, 1)) return false;
  const port = d.run - 1;
  d.frame = off + VXLAN_LEN;
  d.frameLen = len - VXLAN_LEN;
  add(w, COUNT_IN_INGRESS, 1);
  if (d.vtep != 0) countFrom(w, d, d.vtep);
  // Most often it continues the same flow, and then need not even be parsed. An outer congestion mark is to be looked at.
  if ((d.tos & 3) == 0 && join.follow(w, d.frame, d.frameLen, port)) return true;
  if (!read(w, d)) return true;
  if (kindOf(d.owner) == KIND_VTEP) learn.addresses(w, d);
  if (recognise(d, network(w, d.network).mtu)) join.toPort(w, d, port);
  else drop(w, PLANE_INGRESS, DROP_GSO_UNKNOWN);
  return true;
}

/** Judges one datagram of `len` octets at `off`. False when the transmit region must be emptied first. */
function datagram(w: Worker, d: RxDesc, off: u32, len: u32): bool {
  const p = <usize>off;
  const addr = changetype<usize>(d) + RX_DESC_ADDR;
  d.plane = <u8>PLANE_INGRESS;
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
    add(w, COUNT_IN_INGRESS, 1);
    drop(w, PLANE_INGRESS, reason - 1);
    return true;
  }
  index--;
  const n = network(w, index);
  const fits = deliver.hasRoom(w, n.fanout + 1);
  if (!fits && w.txCount != 0) return false;
  add(w, COUNT_IN_INGRESS, 1);
  if (!fits) {
    drop(w, PLANE_INGRESS, DROP_NO_ROOM);
    return true;
  }
  const from = route.vtepOf(w, index, be64(addr), be64(addr + 8));
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

/** Datagrams that a descriptor holds: more than one after UDP_GRO. */
function segmentsOf(d: RxDesc): u32 {
  return d.segLen == 0 || d.len <= d.segLen ? 1 : (d.len + d.segLen - 1) / d.segLen;
}

/**
 * Judges receive descriptors first..first+n-1, read from the underlay. A descriptor that is cut off by a full transmit
 * region is taken up again at its next segment (Worker.resumeSeg).
 * @returns how many are finished.
 */
export function ingress(w: Worker, first: u32, n: u32, nowMs: u32): u32 {
  w.nowMs = nowMs;
  for (let i: u32 = 0; i < n; i++) {
    const d = desc(w, first + i);
    if ((<u32>d.rxFlags & RX_TRUNCATED) != 0) {
      add(w, COUNT_IN_INGRESS, 1);
      drop(w, PLANE_INGRESS, DROP_TRUNCATED);
      continue;
    }
    const count = segmentsOf(d);
    if (w.resumeSeg == 0) d.run = 0;
    for (let s = w.resumeSeg; s < count; s++) {
      const at = s * d.segLen;
      const len = s + 1 < count ? d.segLen : d.len - at;
      if (follow(w, d, d.off + at, len)) continue;
      if (!datagram(w, d, d.off + at, len)) {
        w.resumeSeg = s;
        join.finish(w);
        return i;
      }
    }
    w.resumeSeg = 0;
  }
  join.finish(w);
  countBatch(w, PLANE_INGRESS, first + n, COUNT_BATCH_SUM_INGRESS);
  return n;
}
