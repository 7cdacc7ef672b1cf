/** What the kernel checks of a virtio_net_hdr that is written to a TAP or TUN: the twin refuses the same ones. */
import { LIMIT } from "@weft/dataplane-wasm/abi";
import type { DeviceKind } from "./link.js";

const NEEDS_CSUM = 1;
/** A TCP super-frame with ECN marks (CWR) says so beside its type. */
const GSO_ECN = 0x80;
const GSO = { NONE: 0, TCPV4: 1, TCPV6: 4, UDP_L4: 5 } as const;
/** By type: octets of the shortest transport header, where in it the checksum is, and the shortest IP header. */
const TRANSPORT: ReadonlyMap<number, { length: number; checksum: number; ip: number }> = new Map([
  [GSO.TCPV4, { length: 20, checksum: 16, ip: 20 }],
  [GSO.TCPV6, { length: 20, checksum: 16, ip: 40 }],
  [GSO.UDP_L4, { length: 8, checksum: 6, ip: 20 }],
]);
/** Most datagrams in a UDP super-frame. */
const UDP_SEGMENTS_MAX = 128;

/** Which super-frames a TAP takes (Features.coalesceTcp, coalesceUdp). */
export interface Supers {
  readonly tcp: boolean;
  readonly udp: boolean;
}

/**
 * Whether a device answers EINVAL to a frame with this header. The rules are those of tun_get_user() and
 * virtio_net_hdr_to_skb(), without the look at the protocol of frames whose checksum is finished; lengths
 * count from the Ethernet header, those of a TUN from the IP header.
 */
export function refusesVnetHdr(header: Uint8Array, frameLength: number, supers: Supers, kind: DeviceKind): boolean {
  const view = new DataView(header.buffer, header.byteOffset, LIMIT.VNET_HDR_LEN);
  const needsCsum = (view.getUint8(0) & NEEDS_CSUM) !== 0;
  const type = view.getUint8(1) & ~GSO_ECN;
  const headerLength = view.getUint16(2, true);
  const gsoSize = view.getUint16(4, true);
  const csumStart = view.getUint16(6, true);
  const csumOffset = view.getUint16(8, true);
  const transport = TRANSPORT.get(type);
  if (headerLength > frameLength) return true;
  if (kind === "tap" && !needsCsum && headerLength > 0 && headerLength < LIMIT.ETH_LEN) return true;
  if (type !== GSO.NONE && !transport) return true;
  const headers = csumStart + Math.max(transport?.length ?? 0, csumOffset + 2);
  if (needsCsum && (headers > frameLength || csumStart < (transport?.ip ?? 20))) return true;
  if (!transport) return false;
  if (gsoSize === 0 || gsoSize === 0xffff) return true;
  if (needsCsum && csumOffset !== transport.checksum) return true;
  if (type !== GSO.UDP_L4) return !supers.tcp;
  if (type !== view.getUint8(1)) return true;
  return !supers.udp || !needsCsum || frameLength - csumStart - transport.length > gsoSize * UDP_SEGMENTS_MAX;
}
