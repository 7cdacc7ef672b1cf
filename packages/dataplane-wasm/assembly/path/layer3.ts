/**
 * The TUN device that has the tunnel addresses: IP packets of the host to peers, and from peers to the host.
 *
 * A packet gets an Ethernet header in front of it, made up in the octets that are there anyway (virtio_net_hdr on the way out,
 * the head of the sealed message on the way in). So cutting and joining super-frames need to know one kind of frame only; the
 * header is left out where packets are sealed (`skip` in seal.ts) or written to the device (deliver.skipOf).
 */
import {
  DROP_FRAME_LONG, DROP_FRAME_SHORT, DROP_NO_PEER, DROP_NO_ROOM, DROP_TUNNEL_OWN, DROP_VNET_HDR, ETH_LEN, FRAME_MAX, IOV_SIZE, KIND_L3PEER, KIND_PORT,
  COUNT_IN_EGRESS, COUNT_MADE_EGRESS, L3_L4, PLANE_EGRESS, PORT_UP, RxDesc, VNET_HDR_LEN, VXLAN_LEN, Worker,
} from "../abi.gen";
import { ownerOf, port, portCounters, tunnel } from "../table/config";
import * as route from "../table/route";
import * as eth from "../wire/ethernet";
import * as ipv4 from "../wire/ipv4";
import * as ipv6 from "../wire/ipv6";
import * as udp from "../wire/udp";
import * as virtio from "../wire/virtio";
import * as complete from "./complete";
import * as deliver from "./deliver";
import * as ecn from "./ecn";
import * as join from "./join";
import { parse } from "./parse";
import * as seal from "./seal";
import * as segment from "./segment";
import { add, drop } from "./verdict";
import * as vnet from "./vnet";

/** Makes up the Ethernet header in front of the packet at `p`. */
export function dress(d: RxDesc, p: usize, len: u32): void {
  d.frame = <u32>p - ETH_LEN;
  d.frameLen = len + ETH_LEN;
  store<u64>(d.frame, 0);
  store<u32>(d.frame, 0, 8);
  eth.setType(d.frame, load<u8>(p) >> 4 == 6 ? eth.IPV6 : eth.IPV4);
}

/** Peer that the packet is for: index + 1, or 0. */
function peerOf(w: Worker, d: RxDesc): u32 {
  const p = <usize>d.frame + d.l3Off;
  if (d.ipVersion == 4) return route.peer4(w, ipv4.dst(p));
  if (d.ipVersion == 6) return route.peer6(w, ipv6.dstHi(p), ipv6.dstLo(p));
  return 0;
}

/**
 * True for what no program of the host has a right to send into the tunnel. VXLAN from our tunnel address is the switch's: a peer
 * takes it for a frame of a network. A message of WireGuard itself has come because its peer's address lies behind the device
 * (by configuration, or because somebody on the way has changed the source address of a message): sealed again, it would go
 * round for ever.
 */
function isOwn(w: Worker, d: RxDesc): bool {
  if (<u32>d.ipProto != udp.PROTO || ((<u32>d.l3Flags) & L3_L4) == 0) return false;
  const p = <usize>d.frame + d.l4Off;
  return udp.dstPort(p) == tunnel(w).vxlanPort || udp.srcPort(p) == tunnel(w).listenPort;
}

/** Cuts and seals a super-frame of the host for a peer. */
function superToPeer(w: Worker, d: RxDesc, index: u32): void {
  const headerBytes = segment.measure(w, d, 1);
  if (headerBytes == 0) return;
  const count = segment.countOf(d, headerBytes);
  const iov = <usize>w.iovs + <usize>segment.cut(w, d, 0, headerBytes) * IOV_SIZE;
  const total = d.frameLen + (count - 1) * headerBytes;
  seal.segments(w, d, index, null, ownerOf(KIND_L3PEER, index), iov, count, VXLAN_LEN + ETH_LEN, total, headerBytes);
  add(w, COUNT_MADE_EGRESS, count - 1);
}

function judge(w: Worker, d: RxDesc): void {
  parse(d);
  if (d.vnetFlags != 0 && !vnet.isTransportChecksum(d)) {
    if (<u32>d.gsoType != virtio.GSO_NONE) return drop(w, PLANE_EGRESS, DROP_VNET_HDR);
    deliver.finishChecksum(d);
    parse(d);
  }
  const to = peerOf(w, d);
  if (to == 0) return drop(w, PLANE_EGRESS, DROP_NO_PEER);
  if (isOwn(w, d)) return drop(w, PLANE_EGRESS, DROP_TUNNEL_OWN);
  if (<u32>d.gsoType != virtio.GSO_NONE) return superToPeer(w, d, to - 1);
  deliver.finishChecksum(d);
  seal.toPeer(w, d, to - 1, <usize>d.frame + ETH_LEN, d.frameLen - ETH_LEN, ecn.inner(d));
}

/** Room for what the packet can become? */
function hasRoom(w: Worker, d: RxDesc, segments: u32): bool {
  return deliver.hasRoom(w, segment.opsBound(segments, d.len)) && segment.hasRoom(w, segments) && seal.hasRoom(w, seal.bound(d.len, segments));
}

/** A packet from the host. False when the transmit region must be emptied first. */
export function fromDevice(w: Worker, d: RxDesc): bool {
  const whole = d.len >= VNET_HDR_LEN + ipv4.HEADER_LEN;
  const segments = whole ? segment.bound(w, d.off, d.len) : 0;
  let fits = hasRoom(w, d, segments);
  if (!fits) {
    if (w.txCount != 0) return false;
    complete.reclaim(w);
    fits = hasRoom(w, d, segments);
  }
  add(w, COUNT_IN_EGRESS, 1);
  const c = portCounters(w, d.source);
  c.rxPackets++;
  c.rxBytes += d.len - (whole ? VNET_HDR_LEN : 0);
  d.owner = ownerOf(KIND_PORT, d.source);
  d.network = 0;
  if (!fits) drop(w, PLANE_EGRESS, DROP_NO_ROOM);
  else if (!whole) drop(w, PLANE_EGRESS, DROP_FRAME_SHORT);
  else if (d.len > VNET_HDR_LEN + FRAME_MAX - ETH_LEN) drop(w, PLANE_EGRESS, DROP_FRAME_LONG);
  else {
    d.frameLen = d.len - VNET_HDR_LEN + ETH_LEN;
    // The made-up header lies over the virtio_net_hdr: that is read first.
    const sound = vnet.read(d, ETH_LEN);
    dress(d, <usize>d.off + VNET_HDR_LEN, d.len - VNET_HDR_LEN);
    if (sound) judge(w, d);
    else drop(w, PLANE_EGRESS, DROP_VNET_HDR);
  }
  return true;
}

/** True when there is a device for packets from peers. */
export function hasDevice(w: Worker): bool {
  const index = tunnel(w).device;
  return index != 0 && (port(w, index - 1).flags & PORT_UP) != 0;
}

/** A packet of a peer for the host, with those before it or alone. The sixteen octets in front of it may be written to. */
export function toDevice(w: Worker, d: RxDesc, packet: usize, len: u32): void {
  dress(d, packet, len);
  parse(d);
  d.vnetFlags = 0;
  d.gsoType = 0;
  d.gsoSize = 0;
  d.hdrLen = 0;
  d.csumStart = 0;
  d.csumOffset = 0;
  d.run = 0;
  join.toPort(w, d, tunnel(w).device - 1);
}
