/** virtio_net_hdrs, and what a TAP says to them: the kernel's in test/netns, the twin's in test/unit. */
import { LIMIT } from "@weft/dataplane-wasm/abi";

/** gso_type of struct virtio_net_hdr. */
export const GSO = { NONE: 0, TCPV4: 1, TCPV6: 4, UDP_L4: 5, ECN: 0x80 } as const;

export interface VnetFields {
  readonly flags?: number;
  readonly type?: number;
  /** hdr_len. */
  readonly length?: number;
  readonly size?: number;
  readonly start?: number;
  readonly offset?: number;
}

/** A header that leaves a checksum to the kernel; those of TCP over IPv4 unless told otherwise. */
export function vnet(fields: VnetFields): Buffer {
  const { flags = 1, type = GSO.NONE, length = 0, size = 1400, start = 34, offset = 16 } = fields;
  const out = Buffer.alloc(LIMIT.VNET_HDR_LEN);
  out[0] = flags;
  out[1] = type;
  for (const [i, value] of [length, size, start, offset].entries()) out.writeUInt16LE(value, 2 + 2 * i);
  return out;
}

/** Octets of the frame behind each header of VNET_HEADERS and TUN_HEADERS. */
export const VNET_FRAME = 9000;

export const VNET_HEADERS: readonly [what: string, header: Buffer, verdict: "taken" | "EINVAL"][] = [
  ["nothing asked for", vnet({ flags: 0, size: 0, start: 0, offset: 0 }), "taken"],
  ["a checksum to finish", vnet({}), "taken"],
  ["TCP over IPv4", vnet({ type: GSO.TCPV4, length: 54 }), "taken"],
  ["TCP over IPv4 with CWR", vnet({ type: GSO.TCPV4 | GSO.ECN }), "taken"],
  ["TCP over IPv6", vnet({ type: GSO.TCPV6, start: 54 }), "taken"],
  ["UDP", vnet({ type: GSO.UDP_L4, offset: 6 }), "taken"],
  ["UDP over IPv6", vnet({ type: GSO.UDP_L4, start: 54, offset: 6 }), "taken"],
  ["128 datagrams", vnet({ type: GSO.UDP_L4, offset: 6, size: 70 }), "taken"],
  ["129 datagrams", vnet({ type: GSO.UDP_L4, offset: 6, size: 69 }), "EINVAL"],
  ["headers that fill the frame", vnet({ length: VNET_FRAME }), "taken"],
  ["headers longer than the frame", vnet({ flags: 0, length: VNET_FRAME + 1 }), "EINVAL"],
  ["headers shorter than Ethernet's", vnet({ flags: 0, length: 13 }), "EINVAL"],
  ["an unknown type", vnet({ type: 2 }), "EINVAL"],
  ["segments of no length", vnet({ type: GSO.TCPV4, size: 0 }), "EINVAL"],
  ["the length that means fragments", vnet({ type: GSO.TCPV4, size: 0xffff }), "EINVAL"],
  ["UDP with a finished checksum", vnet({ flags: 0, type: GSO.UDP_L4, offset: 6 }), "EINVAL"],
  ["UDP with TCP's checksum", vnet({ type: GSO.UDP_L4, offset: 16 }), "EINVAL"],
  ["UDP with CWR", vnet({ type: GSO.UDP_L4 | GSO.ECN, offset: 6 }), "EINVAL"],
  ["TCP with UDP's checksum", vnet({ type: GSO.TCPV4, offset: 6 }), "EINVAL"],
  ["TCP over IPv6 where IPv4's would be", vnet({ type: GSO.TCPV6 }), "EINVAL"],
  ["a checksum inside the Ethernet header", vnet({ start: 10, offset: 0 }), "EINVAL"],
  ["a checksum behind the frame", vnet({ start: VNET_FRAME - 10 }), "EINVAL"],
  ["a transport header that leaves the frame", vnet({ type: GSO.TCPV4, start: VNET_FRAME - 19 }), "EINVAL"],
];

/** The same for a TUN, where lengths count from the IP header. */
export const TUN_HEADERS: readonly [what: string, header: Buffer, verdict: "taken" | "EINVAL"][] = [
  ["nothing asked for", vnet({ flags: 0, size: 0, start: 0, offset: 0 }), "taken"],
  ["headers shorter than Ethernet's", vnet({ flags: 0, length: 13 }), "taken"],
  ["headers longer than the packet", vnet({ flags: 0, length: VNET_FRAME + 1 }), "EINVAL"],
  ["a checksum to finish", vnet({ start: 20 }), "taken"],
  ["TCP over IPv4", vnet({ type: GSO.TCPV4, length: 40, start: 20 }), "taken"],
  ["UDP", vnet({ type: GSO.UDP_L4, start: 20, offset: 6 }), "taken"],
  ["129 datagrams", vnet({ type: GSO.UDP_L4, start: 20, offset: 6, size: 69 }), "EINVAL"],
  ["TCP over IPv6 where IPv4's would be", vnet({ type: GSO.TCPV6, start: 20 }), "EINVAL"],
  ["a checksum inside the IP header", vnet({ start: 10, offset: 0 }), "EINVAL"],
];
