/** What must become of the packet inside an authentic WireGuard message, octet by octet, and what sealing must make of one. */
import { checksum, pseudo16, sum16 } from "./checksum.js";
import { longestPrefix, type Prefix } from "./prefix.js";

export interface Tunnelled {
  /** Index of the peer that has sealed it. */
  readonly peer: number;
  readonly allowed: readonly Prefix<number>[];
  /** Own addresses, 4 or 16 octets. */
  readonly own: readonly Uint8Array[];
  readonly vxlanPort: number;
  readonly hasDevice: boolean;
}
export type Inside =
  | { readonly drop: string }
  /** VXLAN for the switch, and the ECN bits that it has travelled under. */
  | { readonly vxlan: Buffer; readonly ecn: number }
  | { readonly device: Buffer }
  | { readonly reply: Buffer };

/** RFC 6040 §4.2, figure 4: rows are the arriving inner bits (not-ECT, ECT(1), ECT(0), CE), columns the outer ones. */
const MERGED = [
  [0, 0, 0, undefined],
  [1, 1, 1, 3],
  [2, 1, 2, 3],
  [3, 3, 3, 3],
] as const;
/** Bits that an inner packet goes on with; undefined: it is dropped. */
export function mergeEcn(outer: number, inner: number): number | undefined {
  return MERGED[inner & 3]?.[outer & 3];
}

const isMapped = (address: Uint8Array): boolean =>
  address.subarray(0, 10).every((octet) => octet === 0) && address[10] === 255 && address[11] === 255;

interface Packet {
  readonly is4: boolean;
  readonly octets: Buffer;
  readonly head: number;
  readonly protocol: number;
  readonly isFragment: boolean;
  readonly src: Buffer;
  readonly dst: Buffer;
}

/** The packet without what is behind it; undefined when it is not whole. */
function packetOf(plain: Buffer): Packet | undefined {
  if (plain.length >= 20 && plain.readUInt8(0) >> 4 === 4) {
    const head = (plain.readUInt8(0) & 15) * 4;
    const total = plain.readUInt16BE(2);
    if (head < 20 || total < head || total > plain.length || sum16(plain.subarray(0, head)) !== 0xffff)
      return undefined;
    const octets = Buffer.from(plain.subarray(0, total));
    const isFragment = (octets.readUInt16BE(6) & 0x3fff) !== 0;
    const [src, dst] = [octets.subarray(12, 16), octets.subarray(16, 20)];
    return { is4: true, octets, head, protocol: octets.readUInt8(9), isFragment, src, dst };
  }
  if (plain.length < 40 || plain.readUInt8(0) >> 4 !== 6) return undefined;
  const total = 40 + plain.readUInt16BE(4);
  if (total > plain.length || isMapped(plain.subarray(8, 24)) || isMapped(plain.subarray(24, 40))) return undefined;
  const octets = Buffer.from(plain.subarray(0, total));
  const [src, dst] = [octets.subarray(8, 24), octets.subarray(24, 40)];
  return { is4: false, octets, head: 40, protocol: octets.readUInt8(6), isFragment: false, src, dst };
}

function withEcn({ is4, octets, head }: Packet, bits: number): Buffer {
  if (is4) {
    octets.writeUInt8((octets.readUInt8(1) & 0xfc) | bits, 1);
    octets.writeUInt16BE(0, 10);
    octets.writeUInt16BE(checksum(octets.subarray(0, head)), 10);
  } else octets.writeUInt8((octets.readUInt8(1) & 0xcf) | (bits << 4), 1);
  return octets;
}

function echoReply({ is4, octets, head, protocol, src, dst }: Packet): Buffer | undefined {
  const message = octets.subarray(head);
  if (protocol !== (is4 ? 1 : 58) || message.length < 8 || message.readUInt16BE(0) !== (is4 ? 0x0800 : 0x8000))
    return undefined;
  if (sum16(message, is4 ? 0 : pseudo16(octets, 58, message.length)) !== 0xffff) return undefined;
  const [asked, asks] = [Buffer.from(dst), Buffer.from(src)];
  asked.copy(src);
  asks.copy(dst);
  message.writeUInt8(is4 ? 0 : 129, 0);
  message.writeUInt16BE(0, 2);
  message.writeUInt16BE(checksum(message, is4 ? 0 : pseudo16(octets, 58, message.length)), 2);
  return octets;
}

/** Judges what `plain` holds, padding included. `outer`: ECN bits of the datagram that it came in. */
export function inside(plain: Buffer, { peer, allowed, own, vxlanPort, hasDevice }: Tunnelled, outer: number): Inside {
  const packet = packetOf(plain);
  if (!packet) return { drop: "tunnel_packet" };
  if (longestPrefix(allowed, packet.src) !== peer) return { drop: "allowed_ips" };
  const tos = packet.is4 ? packet.octets.readUInt8(1) : (packet.octets.readUInt16BE(0) >> 4) & 255;
  const ecn = mergeEcn(outer, tos);
  if (ecn === undefined) return { drop: "ecn_ce" };
  const isOurs = own.some((address) => packet.dst.equals(address));
  const rest = packet.octets.subarray(packet.head);
  if (
    isOurs &&
    packet.protocol === 17 &&
    !packet.isFragment &&
    rest.length >= 8 &&
    rest.readUInt16BE(2) === vxlanPort
  ) {
    const length = rest.readUInt16BE(4);
    if (length >= 8 && length <= rest.length) return { vxlan: rest.subarray(8, length), ecn };
  }
  if (hasDevice) return { device: withEcn(packet, ecn) };
  if (!isOurs) return { drop: "tunnel_address" };
  const reply = packet.isFragment ? undefined : echoReply(packet);
  return reply ? { reply } : { drop: "tunnel_protocol" };
}

/** The UDP payload of an IPv6 packet without extension headers. */
export function udpPayloadOf(packet: Buffer): Buffer {
  return packet.subarray(48, 40 + packet.readUInt16BE(4));
}

/** Octets that `length` octets are sealed as (WireGuard paper §5.4.6): a multiple of 16, but not beyond the MTU for that. */
export function paddedLength(length: number, mtu: number): number {
  const whole = Math.ceil(length / 16) * 16;
  return length > mtu ? whole : Math.min(whole, mtu);
}

/** Drop reasons that only WireGuard brings: test/unit/switch-tunnel-drops.test.ts meets each of them. */
export const TUNNEL_DROPS = [
  "egress/no_session",
  "egress/no_endpoint",
  "egress/no_peer",
  "egress/tunnel_own",
  "egress/path_mtu",
  "ingress/no_session",
  "ingress/no_endpoint",
  "ingress/plaintext_refused",
  "ingress/wireguard_message",
  "ingress/mac1",
  "ingress/punt_full",
  "ingress/unknown_index",
  "ingress/key_expired",
  "ingress/auth_failed",
  "ingress/replay",
  "ingress/tunnel_packet",
  "ingress/allowed_ips",
  "ingress/tunnel_address",
  "ingress/tunnel_protocol",
  "ingress/hop_limit",
  "ingress/relay_loop",
  "ingress/probe_rate",
] as const;
