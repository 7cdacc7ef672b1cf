/**
 * Segmentation: one super-frame from a TAP becomes many frames on the underlay, without moving its payload.
 *
 * Each segment gets a header of its own (VXLAN, Ethernet, IP, TCP or UDP) in a header area; a send is a list of (header,
 * piece of payload) pairs that the kernel cuts into datagrams (UDP_SEGMENT). Headers and iovecs are made once per
 * super-frame; a flooded one goes to every VTEP from the same list.
 *
 * What a segment's header is follows the kernel's own segmentation (net/ipv4/tcp_offload.c tcp_gso_segment, udp_offload.c
 * __udp_gso_segment): IPv4 identification counts up, TCP sequence moves on, FIN and PSH stay on the last segment only, CWR
 * on the first only. hdr_len of the virtio_net_hdr is not used: a forwarded frame may carry the length of its whole first
 * packet.
 *
 * Checksums: the part that all segments share is summed once per super-frame; a segment adds its length, sequence, flags
 * and payload.
 */
import {
  COUNT_MADE_EGRESS, COUNT_SUPER_FRAMES_EGRESS, DROP_GSO_HEADER, DROP_GSO_SEGMENTS, DROP_NO_ROOM, HEADERS_MAX, HEADER_AREA, IOV_SIZE,
  L3_FRAGMENT, L3_L4, Network, PLANE_EGRESS, RxDesc, VXLAN_LEN, Worker,
} from "../abi.gen";
import { header, tunnel } from "../table/config";
import { be16, be32, setBe16, setBe32 } from "../wire/bytes";
import * as checksum from "../wire/checksum";
import * as ipv4 from "../wire/ipv4";
import * as ipv6 from "../wire/ipv6";
import * as tcp from "../wire/tcp";
import * as udp from "../wire/udp";
import * as virtio from "../wire/virtio";
import * as vxlan from "../wire/vxlan";
import * as deliver from "./deliver";
import * as seal from "./seal";
import { add, drop } from "./verdict";
import * as outward from "./vtep";

/** Most octets of one UDP datagram's payload over IPv4 and IPv6: what all segments of one send add up to. */
const UDP4_MAX: u32 = 65_507;
const UDP6_MAX: u32 = 65_527;

/** Octets of Ethernet, IP and transport header of a super-frame that can be cut; 0 for one that cannot. */
function headerLen(d: RxDesc): u32 {
  if ((d.l3Flags & <u8>L3_L4) == 0 || (d.l3Flags & <u8>L3_FRAGMENT) != 0 || d.gsoSize == 0) return 0;
  const type = <u32>d.gsoType & ~virtio.GSO_ECN;
  const ip = <usize>d.frame + d.l3Off;
  // The lengths in the segments follow from the frame's: nothing may lie behind the packet.
  const packet = d.ipVersion == 4 ? ipv4.totalLen(ip) : ipv6.HEADER_LEN + ipv6.payloadLen(ip);
  if (d.l3Off + packet != d.frameLen) return 0;
  const l4 = <u32>d.l4Off;
  let len: u32;
  if (type == virtio.GSO_UDP_L4) {
    if (<u32>d.ipProto != udp.PROTO) return 0;
    len = l4 + udp.HEADER_LEN;
  } else {
    if (<u32>d.ipProto != tcp.PROTO) return 0;
    if (type != (d.ipVersion == 4 ? virtio.GSO_TCPV4 : virtio.GSO_TCPV6)) return 0;
    len = l4 + tcp.headerLen(<usize>d.frame + l4);
  }
  return len < d.frameLen && VXLAN_LEN + len <= HEADER_AREA ? len : 0;
}

/** Most that a path takes off a segment's payload besides its length: inner IPv6, UDP and VXLAN header, and a header area. */
const PATH_OVERHEAD: u32 = ipv6.HEADER_LEN + udp.HEADER_LEN + VXLAN_LEN + HEADER_AREA;

/** At most this many segments come of the frame behind the virtio_net_hdr at `p`; 0 when it is no super-frame and cannot become one. */
export function bound(w: Worker, p: usize, frameLen: u32): u32 {
  let size = virtio.gsoSize(p);
  // A narrow path may cut it smaller (too-big.ts).
  const least = tunnel(w).leastMtu;
  if (least != 0 && size + PATH_OVERHEAD > least) size = least > 2 * PATH_OVERHEAD ? least - PATH_OVERHEAD : PATH_OVERHEAD;
  if (virtio.gsoType(p) == virtio.GSO_NONE || size == 0)
    return least != 0 && least < ipv6.MTU_MIN + PATH_OVERHEAD && (virtio.flags(p) & virtio.NEEDS_CSUM) != 0 ? 2 : 0;
  const count = frameLen / size + 1;
  return count < HEADERS_MAX ? count : HEADERS_MAX;
}

/** Operations that a frame of bound() `count` needs per VTEP, at most. */
export function opsBound(count: u32, frameLen: u32): u32 {
  if (count <= 1) return 1;
  const most = header().gsoSegments;
  // Full sends, one that the longest payload ends, and the rest.
  return (count + most - 1) / most + (frameLen + count * (HEADER_AREA + seal.OVERHEAD)) / UDP4_MAX + 1;
}

/** Room for the headers and iovecs of `count` segments? */
export function hasRoom(w: Worker, count: u32): bool {
  return count == 0 || (w.headerCount + count <= HEADERS_MAX && w.iovCount + 2 * count <= w.iovMax);
}

/**
 * Sum of what all segments' transport checksums share: the header as it stands, its checksum field included. That holds the
 * sum of the pseudo-header, of which only the length changes (tcp_gso_segment): the addresses there need not be those of
 * the IP header (RFC 8200 §8.1 with a routing header).
 */
function transportBase(d: RxDesc, headerBytes: u32): u64 {
  const withoutLength = <u32>bswap<u16>(~<u16>(d.frameLen - d.l4Off));
  return checksum.sumLe(<usize>d.frame + d.l4Off, headerBytes - d.l4Off, withoutLength);
}

/** Copies `len` ≤ HEADER_AREA octets; both sides have room for the next multiple of 16. */
function copyHeader(to: usize, from: usize, len: u32): void {
  for (let i: usize = 0; i < len; i += 16) v128.store(to + i, v128.load(from + i));
}

/** Sum of what all segments' IPv4 headers share: all but length, identification and checksum. */
function ipBase(ip: usize, len: u32): u64 {
  return checksum.sumLe(ip, len, 0) - <u64>load<u16>(ip, 2) - <u64>load<u16>(ip, 4) - <u64>load<u16>(ip, 10);
}

/** Makes headers and iovecs of all segments: the last iovecs in use, where toVtep() finds them. */
function cutAll(w: Worker, d: RxDesc, headerBytes: u32, count: u32): void {
  const l3 = <usize>d.l3Off;
  const l4 = <usize>d.l4Off;
  const is4 = d.ipVersion == 4;
  const isTcp = <u32>d.ipProto == tcp.PROTO;
  const ip = <usize>d.frame + l3;
  const p = <usize>d.frame + l4;
  const base4 = is4 ? ipBase(ip, <u32>(l4 - l3)) : 0;
  const id = is4 ? be16(ip + 4) : 0;
  // What differs between segments is 0 while the rest is summed. Put back then: a flooded one may go to ports, too.
  const seq = be32(p + 4);
  const flags = be16(p + 12);
  const length = load<u16>(p, 4);
  if (isTcp) {
    store<u32>(p, 0, 4);
    store<u16>(p, 0, 12);
  } else {
    store<u16>(p, 0, 4);
  }
  const base = transportBase(d, headerBytes);
  if (isTcp) {
    setBe32(p + 4, seq);
    setBe16(p + 12, flags);
  } else {
    store<u16>(p, length, 4);
  }

  const size = <u32>d.gsoSize;
  const l4Bytes = headerBytes - <u32>l4;
  // Octets that the IP header's length counts besides the payload.
  const ipBytes = headerBytes - <u32>l3 - (is4 ? 0 : ipv6.HEADER_LEN);
  let at = <usize>w.headers + <usize>w.headerCount * HEADER_AREA;
  let iov = <usize>w.iovs + <usize>w.iovCount * IOV_SIZE;
  let payload = <usize>d.frame + headerBytes;
  let left = d.frameLen - headerBytes;
  for (let i: u32 = 0; i < count; i++) {
    const take = left < size ? left : size;
    copyHeader(at, <usize>d.frame - VXLAN_LEN, VXLAN_LEN + headerBytes);
    const h = at + VXLAN_LEN + l4;
    const len = bswap<u16>(<u16>(l4Bytes + take));
    const sum = checksum.sumLe(payload, take, len) + base;
    if (isTcp) {
      const number = bswap<u32>(seq + i * size);
      let f = flags;
      if (i + 1 < count) f &= ~(tcp.FIN | tcp.PSH);
      if (i != 0) f &= ~tcp.CWR;
      const bits = bswap<u16>(<u16>f);
      store<u32>(h, number, 4);
      store<u16>(h, bits, 12);
      store<u16>(h, <u16>~checksum.fold(sum + <u64>number + <u64>bits), tcp.CHECKSUM_OFFSET);
    } else {
      // The length counts twice: in the pseudo-header and in the header.
      const folded = ~checksum.fold(sum + <u64>len) & 0xffff;
      store<u16>(h, len, 4);
      store<u16>(h, <u16>(folded == 0 ? 0xffff : folded), udp.CHECKSUM_OFFSET);
    }
    const packet = bswap<u16>(<u16>(ipBytes + take));
    if (is4) {
      const number = bswap<u16>(<u16>(id + i));
      const q = at + VXLAN_LEN + l3;
      store<u16>(q, packet, 2);
      store<u16>(q, number, 4);
      store<u16>(q, <u16>~checksum.fold(base4 + <u64>packet + <u64>number), 10);
    } else {
      store<u16>(at + VXLAN_LEN + l3, packet, 4);
    }
    store<u32>(iov, <u32>at);
    store<u32>(iov, VXLAN_LEN + headerBytes, 4);
    store<u32>(iov, <u32>payload, 8);
    store<u32>(iov, take, 12);
    iov += 2 * IOV_SIZE;
    at += HEADER_AREA;
    payload += take;
    left -= take;
  }
  w.iovCount += 2 * count;
  w.headerCount += count;
}

/**
 * Octets of header of each segment, when the super-frame can be cut and there is room for it to go to `vteps` of them.
 * @returns 0 when the frame was dropped
 */
export function measure(w: Worker, d: RxDesc, vteps: u32): u32 {
  const headerBytes = headerLen(d);
  if (headerBytes == 0) {
    drop(w, PLANE_EGRESS, DROP_GSO_HEADER);
    return 0;
  }
  const count = countOf(d, headerBytes);
  if (count > HEADERS_MAX) {
    drop(w, PLANE_EGRESS, DROP_GSO_SEGMENTS);
    return 0;
  }
  if (!hasRoom(w, count) || !deliver.hasRoom(w, vteps * opsBound(count, d.frameLen))) {
    drop(w, PLANE_EGRESS, DROP_NO_ROOM);
    return 0;
  }
  return headerBytes;
}

/** Makes the segments of a super-frame that measure() has found good. @returns index of the first of their iovecs, two for each */
export function cut(w: Worker, d: RxDesc, vni: u32, headerBytes: u32): u32 {
  const first = w.iovCount;
  vxlan.write(<usize>d.frame - VXLAN_LEN, vni);
  cutAll(w, d, headerBytes, countOf(d, headerBytes));
  add(w, COUNT_SUPER_FRAMES_EGRESS, 1);
  return first;
}

/** Segments that a super-frame with this header becomes. */
export function countOf(d: RxDesc, headerBytes: u32): u32 {
  return (d.frameLen - headerBytes + d.gsoSize - 1) / d.gsoSize;
}

/** Sends the segments that cut() has made to a VTEP. `first`: what cut() returned. */
export function toVtep(w: Worker, d: RxDesc, index: u32, headerBytes: u32, first: u32): void {
  if (outward.isTunnel(w, index)) {
    const iov = <usize>w.iovs + <usize>first * IOV_SIZE;
    return seal.superToVtep(w, d, index, iov, countOf(d, headerBytes), headerBytes);
  }
  const size = <u32>d.gsoSize;
  const whole = VXLAN_LEN + headerBytes + size;
  let left = countOf(d, headerBytes);
  let payload = d.frameLen - headerBytes;
  let iov = first;
  let most = header().gsoSegments;
  const fits = (deliver.familyOf(w, index) == 6 ? UDP6_MAX : UDP4_MAX) / whole;
  if (fits < most) most = fits != 0 ? fits : 1;
  deliver.closeGroup(w, d, index);
  while (left != 0) {
    const segs = left < most ? left : most;
    const octets = segs == left ? payload : segs * size;
    const op = deliver.newVtepOp(w, d, index, iov, 2 * segs);
    op.segs = <u16>segs;
    op.gsoSize = segs == 1 ? 0 : <u16>whole;
    op.bytes = segs * headerBytes + octets;
    left -= segs;
    payload -= octets;
    iov += 2 * segs;
  }
}

/** Makes a TCP super-frame's segments so short that frames of `most` octets hold them; 0: they may be as long as they are. */
export function narrow(d: RxDesc, most: u32): void {
  if (most == 0 || (<u32>d.gsoType & ~virtio.GSO_ECN) == virtio.GSO_UDP_L4) return;
  const headerBytes = headerLen(d);
  if (headerBytes != 0 && headerBytes + d.gsoSize > most && most > headerBytes) d.gsoSize = <u16>(most - headerBytes);
}

/** One super-frame to one VTEP. */
export function forward(w: Worker, d: RxDesc, n: Network, index: u32): void {
  const headerBytes = measure(w, d, 1);
  if (headerBytes == 0) return;
  toVtep(w, d, index, headerBytes, cut(w, d, n.vni, headerBytes));
  add(w, COUNT_MADE_EGRESS, countOf(d, headerBytes) - 1);
}
