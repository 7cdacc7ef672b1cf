/**
 * Frames that are longer than the path to their VTEP: TCP super-frames are cut smaller, whoever sent anything else is told how long a
 * packet may be (RFC 1191 §4, RFC 4443 §3.2), unless that is less than IPv6 knows. Without DF, too: the sender's kernel then fragments, the switch never does.
 *
 * The answer comes from the address that the packet was for: there is no router in between that a container could know. It quotes
 * the packet where it lies. Nothing here is read from the underlay, so nobody can forge a path's MTU.
 */
import {
  COUNT_MADE_EGRESS, COUNT_TOO_BIG_ANSWERS, DROP_PATH_MTU, HEADERS_MAX, HEADER_AREA, KIND_PORT, L3_L4, PLANE_EGRESS, PORT_UP, RxDesc, TICK_SHIFT,
  TOO_BIG_PER_TICK, Worker,
} from "../abi.gen";
import { indexOf, kindOf, port, portLive } from "../table/config";
import { setBe16 } from "../wire/bytes";
import * as checksum from "../wire/checksum";
import * as eth from "../wire/ethernet";
import * as icmp from "../wire/icmp";
import * as ipv4 from "../wire/ipv4";
import * as ipv6 from "../wire/ipv6";
import * as tcp from "../wire/tcp";
import * as udp from "../wire/udp";
import * as virtio from "../wire/virtio";
import * as deliver from "./deliver";
import * as seal from "./seal";
import { add, dropMany } from "./verdict";
import * as vnet from "./vnet";

/** Shortest piece of payload that a super-frame is cut to. */
const PIECE_MIN: u32 = 64;
/** Octets of the longest packet that an answer may be (RFC 1812 §4.3.2.3, RFC 4443 §2.4 c). */
const ANSWER4_MAX: u32 = 576;
const ANSWER6_MAX: u32 = 1280;

/** Octets of the packet. */
function packetLen(d: RxDesc): u32 {
  const p = <usize>d.frame + d.l3Off;
  return d.ipVersion == 4 ? ipv4.totalLen(p) : ipv6.HEADER_LEN + ipv6.payloadLen(p);
}

/** True for a packet whose sender may be told of an error (RFC 1122 §3.2.2, RFC 4443 §2.4 e). */
function deserves(d: RxDesc): bool {
  const p = <usize>d.frame + d.l3Off;
  if (d.ipVersion == 0 || eth.isGroup(eth.dst(<usize>d.frame))) return false;
  if (d.ipVersion == 4) {
    // Only the first fragment says what it belongs to; 0/8, 127/8 and from 224/4 on is no one station.
    const net = ipv4.src(p) >> 24;
    if (ipv4.fragmentOffset(p) != 0 || net == 0 || net == 127 || net >= 224) return false;
  } else if (load<u8>(p, 8) == 0xff || (ipv6.srcHi(p) | ipv6.srcLo(p)) == 0) return false;
  const proto = <u32>d.ipProto;
  if (proto != icmp.PROTO && proto != icmp.PROTO_V6) return true;
  return (<u32>d.l3Flags & L3_L4) != 0 && icmp.isQuery(icmp.type(<usize>d.frame + d.l4Off), d.ipVersion == 6);
}

/** Takes one of the answers that a port gets in a tick. */
function take(w: Worker, index: u32): bool {
  const live = portLive(index);
  const tick = (w.nowMs >> TICK_SHIFT) & 0xff_ffff;
  const count = live.tooBig >> 8 == tick ? live.tooBig & 0xff : 0;
  if (count >= TOO_BIG_PER_TICK) return false;
  live.tooBig = (tick << 8) | (count + 1);
  return true;
}

/** Tells the sender of the frame, if it is IP from a port, that frames of `room` octets are the longest that its path carries. */
function answer(w: Worker, d: RxDesc, room: u32): void {
  const index = indexOf(d.owner);
  const l3 = <u32>d.l3Off;
  if (kindOf(d.owner) != KIND_PORT || (port(w, index).flags & PORT_UP) == 0 || !deserves(d) || room <= l3) return;
  const mtu = room - l3;
  if (d.gsoType == 0 && packetLen(d) <= mtu) return;
  if (!deliver.hasRoom(w, 2) || w.headerCount >= HEADERS_MAX || !take(w, index)) return;
  const frame = <usize>d.frame;
  const packet = frame + l3;
  const isV6 = d.ipVersion == 6;
  const head = isV6 ? ipv6.HEADER_LEN : ipv4.HEADER_LEN;
  const most = (isV6 ? ANSWER6_MAX : ANSWER4_MAX) - head - icmp.ERROR_LEN;
  const whole = packetLen(d);
  const quoted = whole < most ? whole : most;
  const at = <usize>w.headers + <usize>w.headerCount * HEADER_AREA;
  w.headerCount++;
  // Ethernet with the tags that the packet came under, the other way.
  memory.copy(at, frame + 6, 6);
  memory.copy(at + 6, frame, 6);
  memory.copy(at + 12, frame + 12, l3 - 12);
  const ip = at + l3;
  const message = ip + head;
  store<u64>(message, 0);
  setBe16(message + 6, mtu);
  if (isV6) {
    ipv6.write(ip, 0, 0, icmp.ERROR_LEN + quoted, icmp.PROTO_V6, packet + 24, packet + 8);
    store<u16>(message, <u16>icmp.PACKET_TOO_BIG);
  } else {
    ipv4.write(ip, 0, head + icmp.ERROR_LEN + quoted, icmp.PROTO, load<u32>(packet, 16), load<u32>(packet, 12));
    store<u16>(message, <u16>icmp.FRAGMENTATION_NEEDED);
  }
  const pseudo: u32 = isV6 ? <u32>bswap<u16>(<u16>checksum.pseudo6(ip, icmp.PROTO_V6, icmp.ERROR_LEN + quoted)) : 0;
  const sum = checksum.sumLe(message, icmp.ERROR_LEN, pseudo) + checksum.sumLe(packet, quoted, 0);
  store<u16>(message, <u16>~checksum.fold(sum), 2);
  deliver.answer(w, d, index, <u32>at, l3 + head + icmp.ERROR_LEN, <u32>packet, quoted);
  add(w, COUNT_TOO_BIG_ANSWERS, 1);
  add(w, COUNT_MADE_EGRESS, 1);
}

/**
 * Makes a TCP segment a super-frame, to be cut in two, where telling its sender does not help: over IPv6 everybody sends 1280 octets,
 * whatever the path is said to carry (RFC 8200 §5, net/ipv6/route.c rt6_do_update_pmtu), and one through a relay may carry less. One whose
 * checksum is still open: a wrong one must not come out right.
 */
function halved(d: RxDesc, most: u32): bool {
  if (d.ipVersion != 6 || most >= <u32>d.l3Off + ipv6.MTU_MIN || packetLen(d) > ipv6.MTU_MIN) return false;
  if (<u32>d.ipProto != tcp.PROTO || (<u32>d.vnetFlags & virtio.NEEDS_CSUM) == 0 || !vnet.isTransportChecksum(d)) return false;
  // Nothing may lie behind the packet, see segment.ts.
  if (d.l3Off + packetLen(d) != d.frameLen) return false;
  const head = <u32>d.l4Off + tcp.headerLen(<usize>d.frame + d.l4Off);
  if (head + PIECE_MIN > most) return false;
  d.gsoType = <u8>virtio.GSO_TCPV6;
  d.gsoSize = <u16>(most - head);
  return true;
}

/** True when the frame can go to the VTEP, its segments cut smaller perhaps; else its sender was told, and it is dropped. */
export function fits(w: Worker, d: RxDesc, vtep: u32): bool {
  const most = seal.frameMax(w, vtep);
  if (most == 0) return true;
  const isSuper = <u32>d.gsoType != virtio.GSO_NONE;
  if (!isSuper) {
    if (d.frameLen <= most || halved(d, most)) return true;
  } else {
    const isTcp = <u32>d.ipProto == tcp.PROTO && (d.l3Flags & <u8>L3_L4) != 0;
    const head = <u32>d.l4Off + (isTcp ? tcp.headerLen(<usize>d.frame + d.l4Off) : udp.HEADER_LEN);
    if (head + d.gsoSize <= most) return true;
    if (isTcp && head + PIECE_MIN <= most) {
      d.gsoSize = <u16>(most - head);
      return true;
    }
  }
  // A UDP super-frame is as many packets as it would become.
  const size = <u32>d.gsoSize;
  const count = isSuper && size != 0 && d.frameLen > <u32>d.l4Off + udp.HEADER_LEN ? (d.frameLen - d.l4Off - udp.HEADER_LEN + size - 1) / size : 1;
  dropMany(w, PLANE_EGRESS, DROP_PATH_MTU, count);
  add(w, COUNT_MADE_EGRESS, count - 1);
  answer(w, d, most);
  return false;
}
