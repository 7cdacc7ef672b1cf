/** The virtio_net_hdr in front of what a device hands over: unfinished checksums and super-frames. */
import { ETH_LEN, L3_FRAGMENT, L3_L4, RxDesc } from "../abi.gen";
import * as tcp from "../wire/tcp";
import * as udp from "../wire/udp";
import * as virtio from "../wire/virtio";

/**
 * Takes over the virtio_net_hdr; false when it points outside the frame. `shift`: octets of the frame in front of what the
 * device calls its first.
 */
export function read(d: RxDesc, shift: u32): bool {
  const p = <usize>d.off;
  d.vnetFlags = <u8>(virtio.flags(p) & virtio.NEEDS_CSUM);
  d.gsoType = <u8>virtio.gsoType(p);
  d.gsoSize = 0;
  d.hdrLen = 0;
  d.csumStart = 0;
  d.csumOffset = 0;
  if (d.vnetFlags != 0) {
    const start = virtio.csumStart(p) + shift;
    const offset = virtio.csumOffset(p);
    if (start < ETH_LEN || start + offset + 2 > d.frameLen) return false;
    d.csumStart = <u16>start;
    d.csumOffset = <u16>offset;
  }
  if (<u32>d.gsoType != virtio.GSO_NONE) {
    d.gsoSize = <u16>virtio.gsoSize(p);
    d.hdrLen = <u16>(virtio.hdrLen(p) + shift);
    // A super-frame always leaves its checksum open.
    if (d.vnetFlags == 0) return false;
  }
  return true;
}

/** True when the checksum left open is the one of the packet's own TCP or UDP header. */
export function isTransportChecksum(d: RxDesc): bool {
  if ((d.l3Flags & <u8>L3_L4) == 0 || (d.l3Flags & <u8>L3_FRAGMENT) != 0 || d.csumStart != d.l4Off) return false;
  if (<u32>d.ipProto == tcp.PROTO) return <u32>d.csumOffset == tcp.CHECKSUM_OFFSET;
  return <u32>d.ipProto == udp.PROTO && <u32>d.csumOffset == udp.CHECKSUM_OFFSET;
}
