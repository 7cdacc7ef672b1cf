/**
 * Packets from layer-3 ports, the TUN devices of containers: they get an Ethernet header (source: the port's MAC; destination: the
 * next hop's), and are frames like all others then. The header is made up in the octets of the virtio_net_hdr and before.
 *
 * The next hop is the destination itself inside the port's own prefixes, else the port's gateway. Its MAC is that of a binding, of
 * another layer-3 port, or of the neighbour table; one that nobody has told is asked for (ask.ts), and the packet is dropped.
 */
import {
  DROP_L3_NOT_IP, DROP_NO_NEIGHBOUR, ETH_LEN, HOP_ON_LINK, Network, PLANE_EGRESS, PORT_GATEWAY6, Port, RxDesc, VNET_HDR_LEN, Worker,
} from "../abi.gen";
import { indexOf, port } from "../table/config";
import * as neighbour from "../table/neighbour";
import * as route from "../table/route";
import { be64 } from "../wire/bytes";
import * as eth from "../wire/ethernet";
import * as ipv4 from "../wire/ipv4";
import * as ipv6 from "../wire/ipv6";
import * as ask from "./ask";
import * as layer3 from "./layer3";
import * as learn from "./learn";
import { parse } from "./parse";
import { drop } from "./verdict";

const MAPPED: u64 = 0x0000_ffff_0000_0000;
/** What dress() returns. */
export const GONE: u32 = 0;
export const READY: u32 = 1;
export const DUE: u32 = 2;

/** MAC of a next hop, with neighbour.ASK beside it when it should be asked for; 0: not known. */
function macOf(w: Worker, d: RxDesc, hi: u64, lo: u64): u64 {
  const bound = route.binding(w, d.network, hi, lo);
  if (bound != 0) return bound;
  const owner = route.own(w, d.network, hi, lo);
  if (owner != route.NONE) return port(w, indexOf(owner)).mac;
  const found = neighbour.resolve(d.network, hi, lo, d.owner, learn.tickOf(w));
  // Nobody checks what senders say of themselves.
  return eth.isGroup(found & ~neighbour.ASK) ? found & neighbour.ASK : found;
}

/** The same, remembered for the packets of this call that go the same way: the next hop is then in Worker.lastHop. */
function hopMac(w: Worker, d: RxDesc, hi: u64, lo: u64): u64 {
  const who = indexOf(d.owner) + 1;
  if (w.lastHopPort == who && w.lastHopLo == lo && w.lastHopHi == hi) return w.lastHopMac;
  const mac = macOf(w, d, hi, lo);
  w.lastHopPort = who;
  w.lastHopHi = hi;
  w.lastHopLo = lo;
  w.lastHopMac = mac & ~neighbour.ASK;
  return mac;
}

/** All ones behind a prefix of `length`: the broadcast address of its network (RFC 922 §7). */
function isBroadcast(address: u32, length: u32): bool {
  return length < 31 && (address | (length == 0 ? 0 : u32.MAX_VALUE << (32 - length))) == u32.MAX_VALUE;
}

/** MAC that the packet goes to, as macOf() says. What no route of the port covers goes to the gateway, if there is one. */
function resolve4(w: Worker, d: RxDesc, p: Port, dst: u32): u64 {
  if (dst >> 28 == 14) return eth.group4(dst);
  if (dst == u32.MAX_VALUE) return eth.BROADCAST;
  const hop = route.hop4(w, indexOf(d.owner), p, dst);
  const isOnLink = hop >> 8 == HOP_ON_LINK;
  if (isOnLink && isBroadcast(dst, hop & 0xff)) return eth.BROADCAST;
  return hopMac(w, d, 0, MAPPED | <u64>(isOnLink || p.gateway4 == 0 ? dst : p.gateway4));
}

function resolve6(w: Worker, d: RxDesc, p: Port, hi: u64, lo: u64): u64 {
  if (hi >> 56 == 0xff) return eth.group6(lo);
  const gateway = changetype<usize>(p) + PORT_GATEWAY6;
  const via = be64(gateway) | be64(gateway + 8);
  // fe80::/10 is always on the link.
  const isOnLink = via == 0 || hi >> 54 == 0x3fa || route.hop6(w, indexOf(d.owner), p, hi, lo) >> 8 == HOP_ON_LINK;
  return isOnLink ? hopMac(w, d, hi, lo) : hopMac(w, d, be64(gateway), be64(gateway + 8));
}

/**
 * Makes a frame of the packet in the descriptor, whose virtio_net_hdr is read already, and parses it.
 * @returns GONE: it was dropped; READY: it may be judged; DUE: then, askAgain() is to follow
 */
export function dress(w: Worker, d: RxDesc, n: Network): u32 {
  layer3.dress(d, <usize>d.off + VNET_HDR_LEN, d.len - VNET_HDR_LEN);
  parse(d);
  const p = port(w, indexOf(d.owner));
  const ip = <usize>d.frame + ETH_LEN;
  let mac: u64;
  if (d.ipVersion == 4) mac = resolve4(w, d, p, ipv4.dst(ip));
  else if (d.ipVersion == 6) mac = resolve6(w, d, p, ipv6.dstHi(ip), ipv6.dstLo(ip));
  else {
    drop(w, PLANE_EGRESS, DROP_L3_NOT_IP);
    return GONE;
  }
  const to = mac & ~neighbour.ASK;
  if (to == 0) {
    drop(w, PLANE_EGRESS, DROP_NO_NEIGHBOUR);
    if (mac != 0) ask.everybody(w, d, n, p, w.lastHopHi, w.lastHopLo);
    return GONE;
  }
  eth.setMacs(d.frame, to, p.mac);
  return mac == to ? READY : DUE;
}

/** Asks for the next hop of the packet in the descriptor again, after it went. */
export function askAgain(w: Worker, d: RxDesc, n: Network): void {
  ask.everybody(w, d, n, port(w, indexOf(d.owner)), w.lastHopHi, w.lastHopLo);
}
