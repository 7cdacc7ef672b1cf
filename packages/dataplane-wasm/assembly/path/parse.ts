/**
 * Reads a frame once into its descriptor: EtherType behind VLAN tags, IP version, protocol, offsets, fragment bit, flow
 * hash. A frame that is no well-formed IP packet is still a frame: it is forwarded by its MAC addresses, with ipVersion 0.
 */
import { L3_CHAIN_BAD, L3_FRAGMENT, L3_L4, RxDesc } from "../abi.gen";
import { mix32 } from "../table/hash";
import { be32 } from "../wire/bytes";
import * as arp from "../wire/arp";
import * as eth from "../wire/ethernet";
import * as icmp from "../wire/icmp";
import * as ipv4 from "../wire/ipv4";
import * as ipv6 from "../wire/ipv6";
import * as tcp from "../wire/tcp";
import * as udp from "../wire/udp";

/** True when the transport header of `proto` lies in `len` octets at `p`. */
function checkTransport(p: usize, len: u32, proto: u32): bool {
  if (proto == tcp.PROTO) return tcp.check(p, len);
  if (proto == udp.PROTO) return udp.check(p, len);
  if (proto == icmp.PROTO || proto == icmp.PROTO_V6) return icmp.check(p, len);
  return false;
}

/** Symmetric mix of both ports; 0 for protocols without ports. */
function portHash(p: usize, proto: u32): u32 {
  if (proto != tcp.PROTO && proto != udp.PROTO) return 0;
  const a = udp.srcPort(p);
  const b = udp.dstPort(p);
  return (a ^ b) | ((a + b) << 16);
}

function parse4(d: RxDesc, p: usize, len: u32): void {
  if (!ipv4.check(p, len)) return;
  d.ipVersion = 4;
  const proto = ipv4.proto(p);
  d.ipProto = <u8>proto;
  const src = ipv4.src(p);
  const dst = ipv4.dst(p);
  let h = mix32(src ^ dst) + (src + dst) + proto;
  const header = ipv4.headerLen(p);
  if (ipv4.isFragment(p)) d.l3Flags |= <u8>L3_FRAGMENT;
  // Every fragment of a packet must take the same path: ports count only where all parts show them.
  if (ipv4.fragmentOffset(p) == 0 && checkTransport(p + header, ipv4.totalLen(p) - header, proto)) {
    d.l3Flags |= <u8>L3_L4;
    d.l4Off = d.l3Off + <u16>header;
    if ((d.l3Flags & <u8>L3_FRAGMENT) == 0) h += mix32(portHash(p + header, proto));
  }
  d.hash = mix32(h);
}

function parse6(d: RxDesc, p: usize, len: u32): void {
  if (!ipv6.check(p, len)) return;
  d.ipVersion = 6;
  const end = ipv6.HEADER_LEN + ipv6.payloadLen(p);
  let kind = ipv6.nextHeader(p);
  let at = ipv6.HEADER_LEN;
  let first = true;
  for (let i: u32 = 0; ipv6.isExtension(kind); i++) {
    if (i == ipv6.CHAIN_MAX || at + 8 > end) {
      d.l3Flags |= <u8>L3_CHAIN_BAD;
      break;
    }
    if (kind == ipv6.FRAGMENT) {
      if (ipv6.fragmentOffset(p + at) != 0 || ipv6.moreFragments(p + at)) d.l3Flags |= <u8>L3_FRAGMENT;
      if (ipv6.fragmentOffset(p + at) != 0) first = false;
    }
    const next = <u32>load<u8>(p + at);
    at += ipv6.extensionLen(p + at, kind);
    kind = next;
    // What follows in a later fragment is payload, not a chain.
    if (!first) break;
  }
  d.ipProto = <u8>kind;
  let h: u32 = kind;
  for (let i: usize = 0; i < 16; i += 4) {
    const a = be32(p + 8 + i);
    const b = be32(p + 24 + i);
    h = mix32(h + (a ^ b)) + a + b;
  }
  if (first && (d.l3Flags & <u8>L3_CHAIN_BAD) == 0) {
    if (at <= end && checkTransport(p + at, end - at, kind)) {
      d.l3Flags |= <u8>L3_L4;
      d.l4Off = d.l3Off + <u16>at;
      if ((d.l3Flags & <u8>L3_FRAGMENT) == 0) h += mix32(portHash(p + at, kind));
    } else if (kind == icmp.PROTO_V6) {
      d.l3Flags |= <u8>L3_CHAIN_BAD;
    }
  }
  d.hash = mix32(h);
}

/**
 * Parses the frame at d.frame, d.frameLen ≥ 14. Writes etherType, l3Off, l4Off, ipVersion, ipProto, l3Flags and hash; never
 * reads past the frame.
 */
export function parse(d: RxDesc): void {
  const p = <usize>d.frame;
  const len = d.frameLen;
  let off: u32 = 0;
  let type = eth.etherType(p, 0);
  // What is behind more tags than that stays hidden: etherType then still is a tag's, and the guards refuse it.
  while (eth.isTag(type) && off < eth.TAGS_MAX * eth.TAG_LEN && eth.HEADER_LEN + off + eth.TAG_LEN <= len) {
    off += eth.TAG_LEN;
    type = eth.etherType(p, off);
  }
  d.etherType = <u16>type;
  d.ipVersion = 0;
  d.ipProto = 0;
  d.l3Flags = 0;
  d.l4Off = 0;
  d.l3Off = 0;
  // The shifts keep the hash symmetric: both directions of a flow have the same sum and difference of addresses.
  const src = eth.src(p);
  const dst = eth.dst(p);
  d.hash = mix32(<u32>(src ^ dst) + <u32>((src ^ dst) >> 24) + type);
  const l3 = eth.HEADER_LEN + off;
  const rest = len - l3;
  if (type == eth.IPV4) {
    d.l3Off = <u16>l3;
    parse4(d, p + l3, rest);
  } else if (type == eth.IPV6) {
    d.l3Off = <u16>l3;
    parse6(d, p + l3, rest);
  } else if (type == eth.ARP && arp.check(p + l3, rest)) {
    d.l3Off = <u16>l3;
  }
}
