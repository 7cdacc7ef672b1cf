/**
 * Learning: the source MAC of a frame into the FDB, the sender of an ARP or neighbour discovery message into the
 * neighbour table.
 */
import { L3_L4, RxDesc, TICK_SHIFT, Worker } from "../abi.gen";
import * as fdb from "../table/fdb";
import * as neighbour from "../table/neighbour";
import * as arp from "../wire/arp";
import * as eth from "../wire/ethernet";
import * as icmp from "../wire/icmp";
import * as ipv6 from "../wire/ipv6";

const MAPPED: u64 = 0x0000_ffff_0000_0000;

/** Time of this batch in ticks. */
export function tickOf(w: Worker): u32 {
  return (w.nowMs >> TICK_SHIFT) & 0xffff;
}

/** Learns where the MAC is. */
export function source(w: Worker, d: RxDesc, mac: u64): void {
  fdb.learn(w, fdb.keyOf(d.network, mac), d.owner, d.ownerGeneration, tickOf(w));
}

/** Learns the address that an ARP packet, NS or NA says its sender has. */
export function addresses(w: Worker, d: RxDesc): void {
  const p = <usize>d.frame + d.l3Off;
  if (<u32>d.etherType == eth.ARP && d.l3Off != 0) {
    const ip = arp.senderIp(p);
    // 0.0.0.0 is a probe (RFC 5227 §2.1.1): nobody has it yet.
    if (ip != 0) neighbour.learn(w, d.network, 0, MAPPED | <u64>ip, arp.senderMac(p), d.owner, tickOf(w));
    return;
  }
  if (d.ipVersion != 6 || <u32>d.ipProto != icmp.PROTO_V6 || (d.l3Flags & <u8>L3_L4) == 0) return;
  const l4 = <usize>d.frame + d.l4Off;
  const len = d.frameLen - d.l4Off;
  if (len < icmp.ND_LEN) return;
  const type = icmp.type(l4);
  if (type == icmp.NEIGHBOUR_ADVERTISEMENT) {
    const mac = icmp.targetMac(l4, len);
    neighbour.learn(
      w, d.network, icmp.targetHi(l4), icmp.targetLo(l4), mac == 0 ? eth.src(<usize>d.frame) : mac, d.owner, tickOf(w),
    );
  } else if (type == icmp.NEIGHBOUR_SOLICITATION) {
    const hi = ipv6.srcHi(p);
    const lo = ipv6.srcLo(p);
    // The unspecified source is duplicate address detection (RFC 4862 §5.4.2).
    if ((hi | lo) != 0) neighbour.learn(w, d.network, hi, lo, eth.src(<usize>d.frame), d.owner, tickOf(w));
  }
}
