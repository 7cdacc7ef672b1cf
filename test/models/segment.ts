/**
 * What becomes of a super-frame on its way to a VTEP, one segment after the other, each built whole.
 *
 * TCP as RFC 9293 §3.1 and the kernel's net/ipv4/tcp_offload.c (FIN and PSH only on the last segment, CWR only on the
 * first: RFC 3168 §6.1.2), UDP as net/ipv4/udp_offload.c (every segment a datagram of its own).
 */
import type { VnetHdr } from "../frames/build.js";
import { checksum } from "./checksum.js";
import { type Parsed, parseFrame } from "./frame.js";

const TCP = 6;
const UDP = 17;
/** gso_type without the ECN bit → IP version and protocol that the headers must show. */
const KINDS: Readonly<Record<number, { readonly versions: readonly number[]; readonly protocol: number }>> = {
  1: { versions: [4], protocol: TCP },
  4: { versions: [6], protocol: TCP },
  5: { versions: [4, 6], protocol: UDP },
};
/** Octets of a header area that hold Ethernet, IP and transport header; the VXLAN header takes the other eight. */
const HEADER_MAX = 192 - 8;
const SEGMENTS_MAX = 2048;
/** Octets that one UDP datagram, or one UDP_SEGMENT send, takes: 65,535 less the headers that count. */
const UDP_PAYLOAD_MAX = { 4: 65_507, 6: 65_527 };

export type Segments = { readonly drop: "gso_header" | "gso_segments" } | { readonly segments: readonly Buffer[] };

/**
 * Cuts a super-frame. The caller has made sure that its open checksum is the one of its own TCP or UDP header.
 * `gsoType` and `gsoSize` are all that is believed of the virtio_net_hdr.
 */
export function segment(frame: Buffer, { gsoType, gsoSize }: Pick<VnetHdr, "gsoType" | "gsoSize">): Segments {
  const bad = { drop: "gso_header" } as const;
  const kind = KINDS[gsoType & 0x7f];
  const p = parseFrame(frame);
  if (!kind?.versions.includes(p.version) || kind.protocol !== p.protocol) return bad;
  if (p.l4 === 0 || p.fragment || gsoSize === 0) return bad;
  const packet = frame.subarray(p.l3);
  const length = p.version === 4 ? packet.readUInt16BE(2) : 40 + packet.readUInt16BE(4);
  if (length !== packet.length) return bad;
  const header = p.l4 + (p.protocol === TCP ? (frame.readUInt8(p.l4 + 12) >> 4) * 4 : 8);
  if (header > HEADER_MAX || header === frame.length) return bad;
  const count = Math.ceil((frame.length - header) / gsoSize);
  if (count > SEGMENTS_MAX) return { drop: "gso_segments" };
  return {
    segments: Array.from({ length: count }, (_, i) => {
      const payload = frame.subarray(header + i * gsoSize).subarray(0, gsoSize);
      return piece(frame, header, payload, p, i, i * gsoSize, i === count - 1);
    }),
  };
}

function piece(
  frame: Buffer,
  header: number,
  payload: Buffer,
  p: Parsed,
  i: number,
  at: number,
  isLast: boolean,
): Buffer {
  const out = Buffer.concat([frame.subarray(0, header), payload]);
  const packet = out.subarray(p.l3);
  const transport = out.subarray(p.l4);
  const isTcp = p.protocol === TCP;
  if (p.version === 4) {
    packet.writeUInt16BE(packet.length, 2);
    packet.writeUInt16BE((packet.readUInt16BE(4) + i) % 65_536, 4);
    packet.writeUInt16BE(0, 10);
    packet.writeUInt16BE(checksum(packet.subarray(0, p.l4 - p.l3)), 10);
  } else {
    packet.writeUInt16BE(packet.length - 40, 4);
  }
  if (isTcp) {
    transport.writeUInt32BE((transport.readUInt32BE(4) + at) % 2 ** 32, 4);
    let flags = transport.readUInt8(13);
    if (!isLast) flags &= ~(1 | 8);
    if (i > 0) flags &= ~128;
    transport.writeUInt8(flags & 0xff, 13);
  } else {
    transport.writeUInt16BE(transport.length, 4);
  }
  const field = isTcp ? 16 : 6;
  // The field says what the pseudo-header adds up to, with the length of the whole.
  const pseudo = transport.readUInt16BE(field) + (0xffff - (frame.length - p.l4)) + transport.length;
  transport.writeUInt16BE(0, field);
  let sum = checksum(transport, pseudo);
  if (sum === 0 && !isTcp) sum = 0xffff;
  transport.writeUInt16BE(sum, field);
  return out;
}

/**
 * Segments in each send: `length` is the octets of a whole datagram, VXLAN header included, `most` what one UDP_SEGMENT
 * send takes.
 */
export function sends(count: number, length: number, most: number, family: 4 | 6 = 4): number[] {
  const each = Math.max(1, Math.min(most, Math.floor(UDP_PAYLOAD_MAX[family] / length)));
  const full = new Array<number>(Math.floor(count / each)).fill(each);
  return count % each === 0 ? full : [...full, count % each];
}
