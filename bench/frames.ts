/** Frames for the benches: UDP in IPv4 as a container's kernel hands them over, the checksum left open. */
import { LIMIT } from "@weft/dataplane-wasm/abi";

const ETH = LIMIT.ETH_LEN;
const IPV4 = 20;
const UDP = 8;
const UDP_CHECKSUM = 6;

/** A MAC as a number below 2^48. */
export type Mac = number;

/** Folded one's complement sum of 16-bit words (RFC 1071). */
function sum16(octets: Buffer, start = 0): number {
  let sum = start;
  for (let i = 0; i < octets.length; i += 2) sum += (octets[i] ?? 0) * 256 + (octets[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 65_536);
  return sum;
}

/**
 * An Ethernet frame.
 * @param length octets of the whole frame, at least 42
 * @param flow sets the UDP source port, and so the flow hash
 */
export function udpFrame(src: Mac, dst: Mac, flow: number, length: number): Buffer {
  const frame = Buffer.alloc(length);
  frame.writeUIntBE(dst, 0, 6);
  frame.writeUIntBE(src, 6, 6);
  frame.writeUInt16BE(0x0800, 12);
  const ip = frame.subarray(ETH, ETH + IPV4);
  ip.writeUInt8(0x45, 0);
  ip.writeUInt16BE(length - ETH, 2);
  ip.writeUInt8(64, 8);
  ip.writeUInt8(17, 9);
  ip.set([10, 8, 0, 1], 12);
  ip.set([10, 8, 0, 2], 16);
  ip.writeUInt16BE(~sum16(ip) & 0xffff, 10);
  const udp = frame.subarray(ETH + IPV4);
  udp.writeUInt16BE(1024 + flow, 0);
  udp.writeUInt16BE(5201, 2);
  udp.writeUInt16BE(udp.length, 4);
  for (let i = UDP; i < udp.length; i++) udp[i] = i & 255;
  // NEEDS_CSUM: the field holds the sum of the pseudo-header.
  udp.writeUInt16BE(sum16(ip.subarray(12, 20), 17 + udp.length), UDP_CHECKSUM);
  return frame;
}

/** virtio_net_hdr (10 octets) that asks the reader to finish the UDP checksum of such a frame. */
export function openChecksum(): Buffer {
  const header = Buffer.alloc(LIMIT.VNET_HDR_LEN);
  header.writeUInt8(1, 0);
  header.writeUInt16LE(ETH + IPV4, 6);
  header.writeUInt16LE(UDP_CHECKSUM, 8);
  return header;
}
