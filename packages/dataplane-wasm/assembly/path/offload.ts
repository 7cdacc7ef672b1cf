/**
 * Unfinished frames from the underlay.
 *
 * A kernel VXLAN peer whose datagrams never cross a real wire (veth between namespaces, virtio between guests) hands over
 * whole 64 KB inner super-frames as one datagram, and inner checksums that hold only the pseudo-header sum: nobody has
 * segmented or summed them, because the sending stack left both to a device that does not exist
 * (net/ipv4/udp_offload.c keeps SKB_GSO_UDP_TUNNEL packets whole for sockets without encap_rcv). A virtio_net_hdr tells
 * the receiving stack the same, so that the frame goes on as what it is.
 */
import { L3_FRAGMENT, L3_L4, OFFLOAD_CHECKSUM, RxDesc } from "../abi.gen";
import { header } from "../table/config";
import * as checksum from "../wire/checksum";
import * as ipv4 from "../wire/ipv4";
import * as ipv6 from "../wire/ipv6";
import * as tcp from "../wire/tcp";
import * as udp from "../wire/udp";
import * as virtio from "../wire/virtio";
import { be16 } from "../wire/bytes";

/** Octets of the IP packet. */
function packetLen(d: RxDesc): u32 {
  const ip = <usize>d.frame + d.l3Off;
  return d.ipVersion == 4 ? ipv4.totalLen(ip) : ipv6.HEADER_LEN + ipv6.payloadLen(ip);
}

/** True when the L4 checksum field holds the folded pseudo-header sum instead of a checksum. */
function isOpen(d: RxDesc, field: u32): bool {
  const ip = <usize>d.frame + d.l3Off;
  const l4 = <usize>d.frame + d.l4Off;
  const before = <u32>(d.l4Off - d.l3Off);
  const stored = be16(l4 + field);
  let pseudo: u32;
  if (d.ipVersion == 4) pseudo = checksum.pseudo4(ip, d.ipProto, ipv4.totalLen(ip) - before);
  else pseudo = checksum.pseudo6(ip, d.ipProto, ipv6.HEADER_LEN + ipv6.payloadLen(ip) - before);
  return stored == pseudo;
}

/**
 * Sets the virtio_net_hdr fields of a frame from the underlay. `mtu` is the network's: a TCP super-frame is cut to
 * segments that fit it.
 * @returns false for a UDP super-frame, whose segment size nobody knows, and for any when devices have no virtio_net_hdr.
 */
export function recognise(d: RxDesc, mtu: u32): bool {
  d.vnetFlags = 0;
  d.gsoType = 0;
  d.gsoSize = 0;
  d.hdrLen = 0;
  d.csumStart = 0;
  d.csumOffset = 0;
  const isTcp = <u32>d.ipProto == tcp.PROTO;
  if ((!isTcp && <u32>d.ipProto != udp.PROTO) || (d.l3Flags & <u8>L3_L4) == 0) return true;
  if ((d.l3Flags & <u8>L3_FRAGMENT) != 0) return true;
  const field = isTcp ? tcp.CHECKSUM_OFFSET : udp.CHECKSUM_OFFSET;
  if (!isOpen(d, field)) return true;
  const l4 = <u32>d.l4Off;
  const isLong = d.frameLen > mtu + <u32>d.l3Off;
  if ((header().offloads & OFFLOAD_CHECKSUM) == 0) {
    // The devices cannot be told: finished here, where that is possible.
    if (!isLong) checksum.finish(<usize>d.frame, d.l3Off + packetLen(d), l4, field);
    return !isLong;
  }
  if (isLong && !isTcp) return false;
  d.vnetFlags = <u8>virtio.NEEDS_CSUM;
  d.csumStart = d.l4Off;
  d.csumOffset = <u16>field;
  if (!isLong) return true;
  const headerLen = tcp.headerLen(<usize>d.frame + l4);
  const overhead = l4 - <u32>d.l3Off + headerLen;
  if (overhead >= mtu) return true;
  d.gsoType = <u8>(d.ipVersion == 4 ? virtio.GSO_TCPV4 : virtio.GSO_TCPV6);
  d.gsoSize = <u16>(mtu - overhead);
  d.hdrLen = <u16>(l4 + headerLen);
  return true;
}
