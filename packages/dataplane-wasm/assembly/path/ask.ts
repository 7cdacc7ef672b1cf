/** ARP requests and neighbour solicitations of our own: a layer-3 port has a packet for a next hop whose MAC nobody has told. */
import {
  COUNT_MADE_EGRESS, COUNT_NEIGHBOUR_ASKED, ETH_LEN, Network, Port, RxDesc, VNET_HDR_LEN, Worker,
} from "../abi.gen";
import { tunnel } from "../table/config";
import { setBe64 } from "../wire/bytes";
import * as arp from "../wire/arp";
import * as eth from "../wire/ethernet";
import * as icmp from "../wire/icmp";
import * as ipv4 from "../wire/ipv4";
import * as ipv6 from "../wire/ipv6";
import * as deliver from "./deliver";
import * as forward from "./forward";
import * as made from "./made";
import * as seal from "./seal";
import { add } from "./verdict";

/** Octets of the longer of the two. */
const ASK_LEN: u32 = ETH_LEN + ipv6.HEADER_LEN + icmp.ND_MAC_LEN;
/** First 104 bits of the solicited-node address (RFC 4291 §2.7.1). */
const SOLICITED_HI: u64 = 0xff02_0000_0000_0000;
const SOLICITED_LO: u64 = 0x0000_0001_ff00_0000;

/** Room for a question to everybody? */
function hasRoom(w: Worker, n: Network): bool {
  if (!made.hasRoom(w) || !deliver.hasRoom(w, n.fanout + 1)) return false;
  return tunnel(w).isOn == 0 || seal.hasRoom(w, n.fanout * seal.bound(ASK_LEN + VNET_HDR_LEN, 0));
}

/** Asks in the name of the packet at d.frame, whose source is one of the port's addresses. False when it has none. */
function write(w: Worker, d: RxDesc, p: Port, hi: u64, lo: u64): bool {
  const packet = <usize>d.frame + ETH_LEN;
  if (d.ipVersion == 4) {
    if (ipv4.src(packet) == 0) return false;
    const at = made.begin(w);
    eth.setMacs(at, eth.BROADCAST, p.mac);
    eth.setType(at, eth.ARP);
    arp.write(at + ETH_LEN, arp.REQUEST, p.mac, ipv4.src(packet), 0, <u32>lo);
    made.take(d, at, ETH_LEN + arp.HEADER_LEN);
    return true;
  }
  // Finishing a checksum may have made it no packet at all.
  if (d.ipVersion != 6 || (ipv6.srcHi(packet) | ipv6.srcLo(packet)) == 0) return false;
  const at = made.begin(w);
  const ip = at + ETH_LEN;
  const group = SOLICITED_LO | (lo & 0xff_ffff);
  eth.setMacs(at, eth.group6(group), p.mac);
  eth.setType(at, eth.IPV6);
  ipv6.write(ip, 0, 0, icmp.ND_MAC_LEN, icmp.PROTO_V6, packet + 8, packet + 24);
  ipv6.setHopLimit(ip, ipv6.LINK_HOPS);
  setBe64(ip + 24, SOLICITED_HI);
  setBe64(ip + 32, group);
  // Written behind the frame first: writeNeighbour() takes it as sixteen octets in network order.
  const target = at + ASK_LEN;
  setBe64(target, hi);
  setBe64(target + 8, lo);
  icmp.writeNeighbour(ip, ip + ipv6.HEADER_LEN, icmp.NEIGHBOUR_SOLICITATION, 0, target, icmp.OPTION_SOURCE_MAC, p.mac);
  made.take(d, at, ASK_LEN);
  return true;
}

/**
 * Asks everybody for the MAC of a next hop (IPv4 mapped), as a frame from the port: it costs a token like any other broadcast. When
 * there is no room for it, the next packet asks. The descriptor's frame is no longer the packet afterwards.
 */
export function everybody(w: Worker, d: RxDesc, n: Network, p: Port, hi: u64, lo: u64): void {
  if (!hasRoom(w, n) || !write(w, d, p, hi, lo)) return;
  add(w, COUNT_NEIGHBOUR_ASKED, 1);
  add(w, COUNT_MADE_EGRESS, 1);
  forward.frame(w, d, n, eth.dst(<usize>d.frame));
}
