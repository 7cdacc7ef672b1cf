/** Where a frame from a port goes: static route, FDB, prefix route; then one copy there, or a flood. */
import {
  COUNT_PREFIX_EGRESS, DROP_BLACKHOLE, DROP_BUM_RATE, DROP_GATEWAY_LEAK, DROP_REFLECT, KIND_PORT, KIND_VTEP, L3_L4, Network, PLANE_EGRESS,
  RxDesc, Worker,
} from "../abi.gen";
import { indexOf, isCurrent, kindOf } from "../table/config";
import * as fdb from "../table/fdb";
import * as route from "../table/route";
import * as talk from "../table/talk";
import * as arp from "../wire/arp";
import * as eth from "../wire/ethernet";
import * as icmp from "../wire/icmp";
import * as ipv4 from "../wire/ipv4";
import * as ipv6 from "../wire/ipv6";
import * as virtio from "../wire/virtio";
import * as deliver from "./deliver";
import * as flood from "./flood";
import * as learn from "./learn";
import * as segment from "./segment";
import * as tooBig from "./too-big";
import * as toRouted from "./to-routed";
import { add, drop } from "./verdict";
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
export const NO_DST: u64 = ~(<u64>0);

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

/** Counts a unicast frame for the port it came from. */
function note(w: Worker, d: RxDesc, p: usize): void {
  const dst = eth.dst(p);
  if (!eth.isGroup(dst)) talk.sent(w, indexOf(d.owner), eth.src(p), dst, d.frameLen);
}

/** One copy to a known owner. */
function forward(w: Worker, d: RxDesc, n: Network, owner: u32): void {
  const kind = kindOf(owner);
  const p = <usize>d.frame;
  if (kind == KIND_PORT) {
    const index = indexOf(owner);
    if (owner == d.owner) return drop(w, PLANE_EGRESS, DROP_REFLECT);
    if (!toRouted.admit(w, d, index)) return;
    note(w, d, p);
    if (!eth.isGroup(eth.dst(p))) talk.received(w, index, eth.dst(p), eth.src(p), d.frameLen);
    deliver.toPort(w, d, index);
    return;
  }
  if (kind != KIND_VTEP) return drop(w, PLANE_EGRESS, DROP_BLACKHOLE);
  if (indexOf(d.owner) + 1 == n.gatewayPort) return drop(w, PLANE_EGRESS, DROP_GATEWAY_LEAK);
  note(w, d, p);
  if (!tooBig.fits(w, d, indexOf(owner))) return;
  if (<u32>d.gsoType != virtio.GSO_NONE) return segment.forward(w, d, n, indexOf(owner));
  deliver.encapsulate(d, n.vni);
  outward.send(w, d, indexOf(owner));
}

/** Sends a frame from a port where its destination is, or to everybody. */
export function frame(w: Worker, d: RxDesc, n: Network, dst: u64): void {
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
