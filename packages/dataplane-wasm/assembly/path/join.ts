/**
 * Coalescing: a run of frames of one flow from the underlay becomes one super-frame for its port.
 *
 * The payload stays where it was received. The operation is an iovec list: the first frame whole, then the payloads of
 * those that follow; one writev takes it, and the receiving stack runs once instead of up to 64 times.
 *
 * Which frames may be joined are the kernel's own rules (net/ipv4/tcp_offload.c tcp_gro_receive, udp_offload.c
 * udp_gro_receive_segment, net/core/gro.c): candidate(), extend(). Checksums are verified before frames are
 * joined, because nobody looks at them afterwards: a super-frame is handed over with NEEDS_CSUM, which local delivery takes
 * for verified. A frame that fails goes on alone and unchanged, and its receiver drops it.
 *
 * Order within a flow is kept: a frame of the flow that cannot join closes the item. Only a pure acknowledgment may be
 * overtaken by data that follows it (as nebula does): its number is cumulative.
 */
import {
  JOIN_CLOSED, JOIN_OPEN, JOIN_PARTIAL, JOIN_UNVERIFIED, JoinItem, L3_FRAGMENT, L3_L4, OFFLOAD_TCP,
  OFFLOAD_UDP, OP_TAP, RxDesc, TX_OP_VNET_HDR, TxOp, Worker,
} from "../abi.gen";
import { header } from "../table/config";
import { be16, be32, setBe16 } from "../wire/bytes";
import * as checksum from "../wire/checksum";
import * as ipv4 from "../wire/ipv4";
import * as ipv6 from "../wire/ipv6";
import * as tcp from "../wire/tcp";
import * as udp from "../wire/udp";
import * as virtio from "../wire/virtio";
import * as deliver from "./deliver";
import * as items from "./items";

/** Pieces of one super-frame: what the oldest kernel takes for UDP (UDP_MAX_SEGMENTS), and enough for 64 KiB of TCP. */
const PIECES_MAX: u32 = 64;
/** Octets of the longest IP packet. */
const PACKET_MAX: u32 = 65_535;

/** Folded sum of an IPv4 header of 20 octets, little-endian words: 0xffff when its checksum is right. */
function sum20(ip: usize): u32 {
  const words = <u64>load<u32>(ip) + <u64>load<u32>(ip, 4) + <u64>load<u32>(ip, 8) + <u64>load<u32>(ip, 12);
  return checksum.fold(words + <u64>load<u32>(ip, 16));
}

/** Octets of all headers of a frame that could be joined; 0 for one that never is. */
function candidate(d: RxDesc): u32 {
  if (d.gsoType != 0) return 0;
  const l3 = <u32>d.l3Off;
  const l4 = <u32>d.l4Off;
  const ip = <usize>d.frame + l3;
  // No IPv4 options, no IPv6 extension headers, no octets behind the packet.
  if (d.ipVersion == 4) {
    if (l4 - l3 != ipv4.HEADER_LEN || l3 + ipv4.totalLen(ip) != d.frameLen) return 0;
    // The super-frame gets a new header checksum: a wrong one must not become right.
    if (sum20(ip) != 0xffff) return 0;
  } else if (l4 - l3 != ipv6.HEADER_LEN || l3 + ipv6.HEADER_LEN + ipv6.payloadLen(ip) != d.frameLen) return 0;
  const p = <usize>d.frame + l4;
  let len: u32;
  if (<u32>d.ipProto == tcp.PROTO) {
    // Only data in the middle of a connection.
    if ((be16(p + 12) & tcp.FLAGS & ~(tcp.PSH | tcp.ECE)) != tcp.ACK) return 0;
    len = l4 + tcp.headerLen(p);
  } else {
    if (udp.length(p) != d.frameLen - l4 || load<u16>(p, udp.CHECKSUM_OFFSET) == 0) return 0;
    len = l4 + udp.HEADER_LEN;
  }
  return len < d.frameLen ? len : 0;
}

/** A TCP segment that carries nothing but its acknowledgment. */
function isPureAck(d: RxDesc): bool {
  const p = <usize>d.frame + d.l4Off;
  if (<u32>d.ipProto != tcp.PROTO || (be16(p + 12) & tcp.FLAGS) != tcp.ACK) return false;
  const ip = <usize>d.frame + d.l3Off;
  const packet = d.ipVersion == 4 ? ipv4.totalLen(ip) : ipv6.HEADER_LEN + ipv6.payloadLen(ip);
  return <u32>(d.l4Off - d.l3Off) + tcp.headerLen(p) == packet;
}

function same16(a: usize, b: usize): bool {
  return load<u64>(a) == load<u64>(b) && load<u64>(a, 8) == load<u64>(b, 8);
}

/** For that port, and no group of datagrams that leave again (group.ts). */
function isFor(op: TxOp, port: u32): bool {
  return op.dest == port && <u32>op.kind == OP_TAP;
}

/** Same port of the switch, addresses, protocol and transport ports: the flow whose order is kept. */
function isOf(it: JoinItem, d: RxDesc, port: u32): bool {
  if (!isFor(changetype<TxOp>(<usize>it.op), port) || it.ipProto != d.ipProto || it.ipVersion != d.ipVersion) return false;
  const a = <usize>it.frame;
  const b = <usize>d.frame;
  if (load<u32>(a + it.l4Off) != load<u32>(b + d.l4Off)) return false;
  const ipA = a + it.l3Off;
  const ipB = b + d.l3Off;
  if (d.ipVersion == 4) return load<u64>(ipA, 12) == load<u64>(ipB, 12);
  return same16(ipA + 8, ipB + 8) && same16(ipA + 24, ipB + 24);
}

function keyOf(d: RxDesc, port: u32): u32 {
  return d.hash + port * 0x9e37_79b1;
}

/** The newest item of the frame's flow, open or closed. */
function find(w: Worker, d: RxDesc, port: u32, key: u32): JoinItem | null {
  const last = items.last(w);
  if (last != null && last.key == key && isOf(last, d, port)) return last;
  let it = items.first(w, key);
  while (it != null) {
    if (it.key == key && isOf(it, d, port)) return it;
    it = items.next(w, it);
  }
  return null;
}

/** True when a transport checksum is right. */
function isSound(ip: usize, version: u32, proto: u32, p: usize, len: u32): bool {
  // The pseudo-header: addresses, protocol, length.
  let sum: u64 = <u64>bswap<u16>(<u16>proto) + <u64>bswap<u16>(<u16>len);
  if (version == 4) sum += <u64>load<u32>(ip, 12) + <u64>load<u32>(ip, 16);
  else for (let i: usize = 8; i < 40; i += 4) sum += <u64>load<u32>(ip + i);
  return checksum.fold(sum + checksum.sumLe(p, len, 0)) == 0xffff;
}

/** Equal in both IP headers, and right in the second: all but length, identification and header checksum. */
function sameIp(version: u32, a: usize, b: usize, packet: u32): bool {
  if (version == 4) {
    // Version, IHL, TOS; fragment word; TTL and protocol; addresses.
    if (load<u16>(a) != load<u16>(b) || load<u32>(a, 6) != load<u32>(b, 6)) return false;
    return load<u64>(a, 12) == load<u64>(b, 12) && ipv4.totalLen(b) == packet && sum20(b) == 0xffff;
  }
  // Version, traffic class, flow label; next header and hop limit; addresses.
  if (load<u32>(a) != load<u32>(b) || load<u16>(a, 6) != load<u16>(b, 6)) return false;
  return same16(a + 8, b + 8) && same16(a + 24, b + 24) && ipv6.HEADER_LEN + ipv6.payloadLen(b) == packet;
}

/** Equal in both TCP headers: ports, acknowledgment, flags without PSH, window, options. */
function sameTcp(a: usize, b: usize, headerLen: u32): bool {
  if (load<u32>(a) != load<u32>(b) || load<u32>(a, 8) != load<u32>(b, 8)) return false;
  if (((load<u32>(a, 12) ^ load<u32>(b, 12)) & ~bswap<u32>(tcp.PSH << 16)) != 0) return false;
  for (let i: usize = tcp.HEADER_LEN; i < <usize>headerLen; i += 4) {
    if (load<u32>(a + i) != load<u32>(b + i)) return false;
  }
  return true;
}

/**
 * Adds a frame to an item when the rules allow it. Needs no parse: whatever parse() reads must be equal to the item's first
 * frame. Reads the frame only as far as its length.
 */
function extend(w: Worker, it: JoinItem, frame: usize, frameLen: u32, isPartial: bool): bool {
  const op = changetype<TxOp>(<usize>it.op);
  const headerBytes = it.headerLen;
  const piece = frameLen - headerBytes;
  if (frameLen <= headerBytes || piece > it.segLen || <u32>op.segs >= PIECES_MAX || it.octets + piece > PACKET_MAX) return false;
  if (isPartial != (<u32>it.state == JOIN_PARTIAL)) return false;
  const a = <usize>it.frame;
  const l3 = <usize>it.l3Off;
  const l4 = <usize>it.l4Off;
  if (load<u64>(a) != load<u64>(frame) || load<u32>(a, 8) != load<u32>(frame, 8)) return false;
  for (let i: usize = 12; i < l3; i += 2) if (load<u16>(a + i) != load<u16>(frame + i)) return false;
  const version = <u32>it.ipVersion;
  if (!sameIp(version, a + l3, frame + l3, frameLen - <u32>l3)) return false;
  const p = frame + l4;
  const len = frameLen - <u32>l4;
  let push: u32 = 0;
  if (<u32>it.ipProto == tcp.PROTO) {
    if (be32(p + 4) != it.nextSeq || !sameTcp(a + l4, p, headerBytes - <u32>l4)) return false;
    push = <u32>load<u8>(p, 13) & tcp.PSH;
  } else if (load<u32>(a + l4) != load<u32>(p) || udp.length(p) != len || load<u16>(p, udp.CHECKSUM_OFFSET) == 0) return false;
  if (!isPartial) {
    if (<u32>it.state == JOIN_UNVERIFIED) {
      if (!isSound(a + l3, version, it.ipProto, a + l4, headerBytes + it.segLen - <u32>l4)) return false;
      it.state = <u8>JOIN_OPEN;
    }
    if (!isSound(frame + l3, version, it.ipProto, p, len)) return false;
  }
  items.append(w, op, <u32>frame + headerBytes, piece);
  op.segs++;
  op.bytes += frameLen - it.skip;
  it.octets += piece;
  it.nextSeq += piece;
  it.flags |= <u8>push;
  if (push != 0 || piece < it.segLen) it.state = <u8>JOIN_CLOSED;
  return true;
}

/**
 * Adds a frame that nobody has parsed to the item that took the last one; false when it has to go the long way. The caller
 * knows that it is for the port of the frame before it.
 */
export function follow(w: Worker, frame: u32, frameLen: u32, port: u32): bool {
  const it = items.last(w);
  if (it == null || <u32>it.state == JOIN_CLOSED || !isFor(changetype<TxOp>(<usize>it.op), port)) return false;
  return extend(w, it, frame, frameLen, false);
}

/** Lets the frame's operation be joined by those that follow. */
function open(w: Worker, d: RxDesc, op: TxOp, key: u32, headerBytes: u32): void {
  const it = items.open(w, key);
  items.adopt(w, it, op);
  it.frame = d.frame;
  it.skip = deliver.skipOf(w, op.dest);
  it.headerLen = headerBytes;
  it.l3Off = d.l3Off;
  it.l4Off = d.l4Off;
  it.ipVersion = d.ipVersion;
  it.ipProto = d.ipProto;
  it.segLen = d.frameLen - headerBytes;
  it.octets = d.frameLen - d.l3Off;
  it.flags = 0;
  it.state = <u8>(d.vnetFlags != 0 ? JOIN_PARTIAL : JOIN_UNVERIFIED);
  if (<u32>d.ipProto == tcp.PROTO) {
    const p = <usize>d.frame + d.l4Off;
    it.nextSeq = be32(p + 4) + it.segLen;
    if ((be16(p + 12) & tcp.PSH) != 0) it.state = <u8>JOIN_CLOSED;
  }
}

/** True for frames whose flow has items: whole TCP and UDP, where the devices take super-frames of them. */
function isJoinable(d: RxDesc): bool {
  if ((d.l3Flags & <u8>L3_L4) == 0 || (d.l3Flags & <u8>L3_FRAGMENT) != 0) return false;
  const offloads = header().offloads;
  if (<u32>d.ipProto == tcp.PROTO) return (offloads & OFFLOAD_TCP) != 0;
  return <u32>d.ipProto == udp.PROTO && (offloads & OFFLOAD_UDP) != 0;
}

/** One frame from the underlay to a port: with those before it, or by an operation of its own. */
export function toPort(w: Worker, d: RxDesc, port: u32): void {
  if (!isJoinable(d)) {
    // Whose flow a fragment is of cannot be seen: nothing may go past it.
    if ((d.l3Flags & <u8>L3_FRAGMENT) != 0) items.closeAll(w);
    deliver.toPort(w, d, port);
    return;
  }
  const key = keyOf(d, port);
  const it = find(w, d, port, key);
  const headerBytes = candidate(d);
  if (it != null && <u32>it.state != JOIN_CLOSED) {
    if (headerBytes != 0 && extend(w, it, d.frame, d.frameLen, d.vnetFlags != 0)) return items.touch(w, it);
    if (headerBytes != 0 || !isPureAck(d)) it.state = <u8>JOIN_CLOSED;
  }
  const op = deliver.toPort(w, d, port);
  if (headerBytes != 0 && items.hasRoom(w)) open(w, d, op, key, headerBytes);
}

/** Writes the headers of all super-frames. Before their operations are sent. */
export function finish(w: Worker): void {
  for (let i: u32 = 0; i < w.itemCount; i++) {
    const it = items.at(w, i);
    const op = changetype<TxOp>(<usize>it.op);
    if (<u32>op.kind == OP_TAP && op.segs > 1) finishOne(it);
  }
}

function finishOne(it: JoinItem): void {
  const op = changetype<TxOp>(<usize>it.op);
  const l3 = <u32>it.l3Off;
  const l4 = <u32>it.l4Off;
  const ip = <usize>it.frame + l3;
  const p = <usize>it.frame + l4;
  const l4Len = it.octets - (l4 - l3);
  const isTcp = <u32>it.ipProto == tcp.PROTO;
  let pseudo: u32;
  if (it.ipVersion == 4) {
    setBe16(ip + 2, it.octets);
    store<u16>(ip, 0, 10);
    store<u16>(ip, <u16>~sum20(ip), 10);
    pseudo = checksum.pseudo4(ip, it.ipProto, l4Len);
  } else {
    setBe16(ip + 4, l4Len);
    pseudo = checksum.pseudo6(ip, it.ipProto, l4Len);
  }
  let type = virtio.GSO_UDP_L4;
  if (isTcp) {
    setBe16(p + 12, be16(p + 12) | it.flags);
    type = it.ipVersion == 4 ? virtio.GSO_TCPV4 : virtio.GSO_TCPV6;
  } else {
    setBe16(p + 4, l4Len);
  }
  const field = isTcp ? tcp.CHECKSUM_OFFSET : udp.CHECKSUM_OFFSET;
  setBe16(p + field, pseudo);
  virtio.write(changetype<usize>(op) + TX_OP_VNET_HDR, virtio.NEEDS_CSUM, type, it.headerLen - it.skip, it.segLen, l4 - it.skip, field);
}
