/**
 * ARP requests and neighbour solicitations that the switch answers: from local ports for addresses that are bound to a MAC, and from
 * anywhere for addresses of layer-3 ports, behind which nobody could. The question ends here; what goes back is a frame of our own.
 *
 * Not answered, but forwarded as ever: what is tagged or malformed, announcements (sender = target), and questions of the station
 * itself that has the address, so that a duplicate of it is found by whoever else has it (RFC 5227 §2.1.1, RFC 4862 §5.4).
 */
import {
  COUNT_ARP_ANSWERED, COUNT_CONSUMED_EGRESS, COUNT_CONSUMED_INGRESS, COUNT_MADE_EGRESS, COUNT_MADE_INGRESS, COUNT_ND_ANSWERED, ETH_LEN,
  KIND_VTEP, L3_FRAGMENT, L3_L4, Network, PORT_ROUTED, RxDesc, VXLAN_LEN, Worker,
} from "../abi.gen";
import { indexOf, kindOf, port } from "../table/config";
import * as route from "../table/route";
import { be64, setBe64 } from "../wire/bytes";
import * as arp from "../wire/arp";
import * as eth from "../wire/ethernet";
import * as icmp from "../wire/icmp";
import * as ipv6 from "../wire/ipv6";
import * as vxlan from "../wire/vxlan";
import * as deliver from "./deliver";
import * as made from "./made";
import { add } from "./verdict";
import * as outward from "./vtep";

const MAPPED: u64 = 0x0000_ffff_0000_0000;
/** ff02::1, all nodes of the link, and its MAC. */
const ALL_NODES_HI: u64 = 0xff02_0000_0000_0000;
const ALL_NODES_LO: u64 = 1;
/** ff02::1:ff00:0/104, the solicited-node addresses (RFC 4291 §2.7.1). */
const SOLICITED_NODE: u64 = 0x0000_0001_ff;
/** Octets of an answer to a neighbour solicitation. */
const NA_LEN: u32 = ETH_LEN + ipv6.HEADER_LEN + icmp.ND_MAC_LEN;

/** An untagged ARP request that asks for somebody else. */
function isRequest(d: RxDesc): bool {
  if (<u32>d.etherType != eth.ARP || <u32>d.l3Off != ETH_LEN) return false;
  const p = <usize>d.frame + ETH_LEN;
  if (arp.operation(p) != arp.REQUEST || arp.senderIp(p) == arp.targetIp(p)) return false;
  return arp.senderMac(p) == eth.src(<usize>d.frame);
}

/** An untagged neighbour solicitation as RFC 4861 §7.1.1 wants it. */
function isSolicitation(d: RxDesc): bool {
  if (d.ipVersion != 6 || <u32>d.ipProto != icmp.PROTO_V6 || <u32>d.l3Off != ETH_LEN) return false;
  if ((d.l3Flags & <u8>L3_L4) == 0 || (d.l3Flags & <u8>L3_FRAGMENT) != 0) return false;
  if (<u32>d.l4Off != ETH_LEN + ipv6.HEADER_LEN) return false;
  const ip = <usize>d.frame + ETH_LEN;
  const p = ip + ipv6.HEADER_LEN;
  const len = ipv6.payloadLen(ip);
  // Type and code.
  if (load<u16>(p) != <u16>icmp.NEIGHBOUR_SOLICITATION || len < icmp.ND_LEN) return false;
  if (ipv6.hopLimit(ip) != ipv6.LINK_HOPS || !icmp.isSound6(ip, p, len)) return false;
  if (icmp.targetHi(p) >> 56 == 0xff || ipv6.srcHi(ip) >> 56 == 0xff) return false;
  const options = icmp.options(p, len, icmp.OPTION_SOURCE_MAC);
  if (options == 0) return false;
  if ((ipv6.srcHi(ip) | ipv6.srcLo(ip)) != 0) return true;
  // Nobody has the address yet: it asks whether anybody else does.
  return options == 1 && ipv6.dstHi(ip) == ALL_NODES_HI && ipv6.dstLo(ip) >> 24 == SOLICITED_NODE;
}

/** MAC to answer with, 0 for none. `isOwn`: only for addresses of layer-3 ports. */
function macOf(w: Worker, d: RxDesc, hi: u64, lo: u64, isOwn: bool): u64 {
  const owner = route.own(w, d.network, hi, lo);
  const mac = owner != route.NONE ? port(w, indexOf(owner)).mac : isOwn ? 0 : route.binding(w, d.network, hi, lo);
  return mac == eth.src(<usize>d.frame) ? 0 : mac;
}

function writeReply(w: Worker, d: RxDesc, mac: u64): void {
  const from = <usize>d.frame;
  const p = from + ETH_LEN;
  const at = made.begin(w);
  eth.setMacs(at, eth.src(from), mac);
  eth.setType(at, eth.ARP);
  arp.write(at + ETH_LEN, arp.REPLY, mac, arp.targetIp(p), eth.src(from), arp.senderIp(p));
  made.take(d, at, ETH_LEN + arp.HEADER_LEN);
}

function writeAdvertisement(w: Worker, d: RxDesc, mac: u64): void {
  const from = <usize>d.frame;
  const asked = from + ETH_LEN;
  const target = asked + ipv6.HEADER_LEN + 8;
  const at = made.begin(w);
  const ip = at + ETH_LEN;
  const isProbe = (ipv6.srcHi(asked) | ipv6.srcLo(asked)) == 0;
  eth.setMacs(at, isProbe ? eth.group6(ALL_NODES_LO) : eth.src(from), mac);
  eth.setType(at, eth.IPV6);
  ipv6.write(ip, 0, 0, icmp.ND_MAC_LEN, icmp.PROTO_V6, target, asked + 8);
  ipv6.setHopLimit(ip, ipv6.LINK_HOPS);
  if (isProbe) {
    setBe64(ip + 24, ALL_NODES_HI);
    setBe64(ip + 32, ALL_NODES_LO);
  }
  const flags = icmp.OVERRIDE | (isProbe ? 0 : icmp.SOLICITED);
  icmp.writeNeighbour(ip, ip + ipv6.HEADER_LEN, icmp.NEIGHBOUR_ADVERTISEMENT, flags, target, icmp.OPTION_TARGET_MAC, mac);
  made.take(d, at, NA_LEN);
}

/** Puts the answer in place of the question in the descriptor; false when it is none that we answer. */
function compose(w: Worker, d: RxDesc, isOwn: bool): bool {
  if (!made.hasRoom(w)) return false;
  const p = <usize>d.frame + ETH_LEN;
  if (isRequest(d)) {
    const mac = macOf(w, d, 0, MAPPED | <u64>arp.targetIp(p), isOwn);
    if (mac == 0) return false;
    writeReply(w, d, mac);
    add(w, COUNT_ARP_ANSWERED, 1);
    return true;
  }
  if (!isSolicitation(d)) return false;
  const mac = macOf(w, d, be64(p + ipv6.HEADER_LEN + 8), be64(p + ipv6.HEADER_LEN + 16), isOwn);
  if (mac == 0) return false;
  writeAdvertisement(w, d, mac);
  add(w, COUNT_ND_ANSWERED, 1);
  return true;
}

/** Answers a question from a local port; false when it has to go on. The kernel behind a layer-3 port asks nobody. */
export function toPort(w: Worker, d: RxDesc): bool {
  const index = indexOf(d.owner);
  if ((port(w, index).flags & PORT_ROUTED) != 0 || !compose(w, d, false)) return false;
  add(w, COUNT_CONSUMED_EGRESS, 1);
  add(w, COUNT_MADE_EGRESS, 1);
  deliver.toPort(w, d, index);
  return true;
}

/** Answers a question from a VTEP for the address of a layer-3 port; false when it has to go on. */
export function toVtep(w: Worker, d: RxDesc, n: Network): bool {
  if (kindOf(d.owner) != KIND_VTEP || !compose(w, d, true)) return false;
  add(w, COUNT_CONSUMED_INGRESS, 1);
  add(w, COUNT_MADE_INGRESS, 1);
  const index = indexOf(d.owner);
  vxlan.write(<usize>d.frame - VXLAN_LEN, n.vni);
  outward.send(w, d, index);
  return true;
}

/** True for ARP, neighbour solicitations and advertisements: what a kernel without a MAC has no use for. */
export function isResolution(d: RxDesc): bool {
  if (<u32>d.etherType == eth.ARP) return d.l3Off != 0;
  if (d.ipVersion != 6 || <u32>d.ipProto != icmp.PROTO_V6 || (d.l3Flags & <u8>L3_L4) == 0) return false;
  const type = icmp.type(<usize>d.frame + d.l4Off);
  return type == icmp.NEIGHBOUR_SOLICITATION || type == icmp.NEIGHBOUR_ADVERTISEMENT;
}
