/** Frames for the benches: UDP and TCP in IPv4 as a container's kernel hands them over, the checksum left open. */
import { LIMIT } from "@weft/dataplane-wasm/abi";

const ETH = LIMIT.ETH_LEN;
const IPV4 = 20;
const UDP_CHECKSUM = 6;
/** A TCP header with the timestamp option that Linux always sends. */
const TCP = 32;
const TCP_CHECKSUM = 16;

/** A MAC as a number below 2^48. */
export type Mac = number;

/** Folded one's complement sum of 16-bit words (RFC 1071). */
function sum16(octets: Buffer, start = 0): number {
  let sum = start;
  for (let i = 0; i < octets.length; i += 2) sum += (octets[i] ?? 0) * 256 + (octets[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 65_536);
  return sum;
}

/** An Ethernet frame with an IPv4 header, filled with a pattern behind it. */
function ipv4Frame(src: Mac, dst: Mac, protocol: number, length: number): Buffer {
  const frame = Buffer.alloc(length);
  for (let i = ETH + IPV4; i < length; i++) frame[i] = i & 255;
  frame.writeUIntBE(dst, 0, 6);
  frame.writeUIntBE(src, 6, 6);
  frame.writeUInt16BE(0x0800, 12);
  const ip = frame.subarray(ETH, ETH + IPV4);
  ip.writeUInt8(0x45, 0);
  ip.writeUInt16BE(length - ETH, 2);
  ip.writeUInt8(64, 8);
  ip.writeUInt8(protocol, 9);
  ip.set([10, 8, 0, 1], 12);
  ip.set([10, 8, 0, 2], 16);
  ip.writeUInt16BE(~sum16(ip) & 0xffff, 10);
  return frame;
}

/**
 * An Ethernet frame with a UDP datagram.
 * @param length octets of the whole frame, at least 42
 * @param flow sets the UDP source port, and so the flow hash
 */
export function udpFrame(src: Mac, dst: Mac, flow: number, length: number): Buffer {
  const frame = ipv4Frame(src, dst, 17, length);
  const ip = frame.subarray(ETH, ETH + IPV4);
  const udp = frame.subarray(ETH + IPV4);
  udp.writeUInt16BE(1024 + flow, 0);
  udp.writeUInt16BE(5201, 2);
  udp.writeUInt16BE(udp.length, 4);
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

/**
 * A TCP super-frame with its virtio_net_hdr: what one read from a device with segmentation offload gives.
 * @param segments how many frames it stands for
 * @param mtu octets of the longest IP packet among them
 * @param index position in its flow, counted in super-frames: sets the sequence number
 */
export function tcpSuperFrame(
  src: Mac,
  dst: Mac,
  flow: number,
  { segments, mtu, index }: { readonly segments: number; readonly mtu: number; readonly index: number },
): Buffer {
  const segment = mtu - IPV4 - TCP;
  const frame = ipv4Frame(src, dst, 6, ETH + IPV4 + TCP + segments * segment);
  const tcp = frame.subarray(ETH + IPV4);
  tcp.writeUInt16BE(1024 + flow, 0);
  tcp.writeUInt16BE(5201, 2);
  tcp.writeUInt32BE((index * segments * segment) >>> 0, 4);
  tcp.writeUInt32BE(1, 8);
  // Data offset in words of four octets, then ACK.
  tcp.writeUInt16BE(((TCP / 4) << 12) | 0x10, 12);
  tcp.writeUInt16BE(1024, 14);
  tcp.writeUInt16BE(0, 18);
  // Two no-operations, then the timestamp option (RFC 7323).
  tcp.set([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1], 20);
  tcp.writeUInt16BE(sum16(frame.subarray(ETH + 12, ETH + IPV4), 6 + tcp.length), TCP_CHECKSUM);
  const header = openChecksum();
  header.writeUInt8(1, 1);
  header.writeUInt16LE(ETH + IPV4 + TCP, 2);
  header.writeUInt16LE(segment, 4);
  header.writeUInt16LE(TCP_CHECKSUM, 8);
  return Buffer.concat([header, frame]);
}
