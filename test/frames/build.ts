/**
 * Frames written octet by octet from the RFC figures, with documentation addresses (192.0.2.0/24, 2001:db8::/32,
 * 02:00:…). Independent of the product: checksums come from models/checksum.ts.
 */
import { checksum, pseudo16 } from "../models/checksum.js";

export const BROADCAST = 0xffff_ffff_ffff;
export const ETHERTYPE = {
  ipv4: 0x0800,
  arp: 0x0806,
  ipv6: 0x86dd,
  vlan: 0x8100,
  qinq: 0x88a8,
  experiment: 0x88b5,
} as const;
export const PROTO = { icmp: 1, tcp: 6, udp: 17, icmp6: 58 } as const;

/** The n-th MAC of these tests, 02:00:00:00:00:01 and so on, as a number below 2^48. */
export const mac = (n: number): number => 0x0200_0000_0000 + n;

export function macOctets(value: number): Buffer {
  const out = Buffer.alloc(6);
  out.writeUIntBE(value, 0, 6);
  return out;
}
const be16 = (value: number): Buffer => Buffer.from([(value >> 8) & 255, value & 255]);

/** Four or sixteen octets of an address in text. */
export function ip(text: string): Buffer {
  if (!text.includes(":")) return Buffer.from(text.split(".").map(Number));
  const [left = "", right] = text.split("::");
  const words = (part: string): number[] =>
    part === "" ? [] : part.split(":").map((word) => Number.parseInt(word, 16));
  const head = words(left);
  const tail = right === undefined ? [] : words(right);
  const middle = new Array<number>(8 - head.length - tail.length).fill(0);
  return Buffer.concat([...head, ...(right === undefined ? [] : middle), ...tail].map(be16));
}

export interface Ethernet {
  readonly dst?: number;
  readonly src?: number;
  /** [TPID, TCI], outermost first. */
  readonly tags?: readonly (readonly [number, number])[];
  readonly type?: number;
  readonly payload?: Uint8Array;
}
export function ethernet({
  dst = BROADCAST,
  src = mac(1),
  tags = [],
  type = ETHERTYPE.experiment,
  payload,
}: Ethernet): Buffer {
  return Buffer.concat([
    macOctets(dst),
    macOctets(src),
    ...tags.flatMap(([tpid, tci]) => [be16(tpid), be16(tci)]),
    be16(type),
    payload ?? Buffer.alloc(46),
  ]);
}

export interface Arp {
  readonly operation?: number;
  readonly senderMac?: number;
  readonly senderIp?: string;
  readonly targetMac?: number;
  readonly targetIp?: string;
}
export function arp({
  operation = 1,
  senderMac = mac(1),
  senderIp = "192.0.2.1",
  targetMac = 0,
  targetIp = "192.0.2.2",
}: Arp): Buffer {
  const kind = Buffer.from([0, 1, 8, 0, 6, 4]);
  return Buffer.concat([kind, be16(operation), macOctets(senderMac), ip(senderIp), macOctets(targetMac), ip(targetIp)]);
}

/** What stands in a TCP, UDP or ICMPv6 checksum field: the checksum, the pseudo-header's sum, or what the payload has. */
export type Sum = "full" | "pseudo" | "asis";
const FIELD: Record<number, number> = { [PROTO.tcp]: 16, [PROTO.udp]: 6, [PROTO.icmp6]: 2, [PROTO.icmp]: 2 };

function withSum(header: Buffer, protocol: number, payload: Uint8Array, sum: Sum): Buffer {
  const out = Buffer.from(payload);
  const field = FIELD[protocol];
  if (field === undefined || sum === "asis" || out.length < field + 2) return out;
  const seed = protocol === PROTO.icmp ? 0 : pseudo16(header, protocol, out.length);
  out.writeUInt16BE(0, field);
  let value = sum === "pseudo" ? seed : checksum(out, seed);
  if (sum === "full" && value === 0 && protocol === PROTO.udp) value = 0xffff;
  out.writeUInt16BE(value, field);
  return out;
}

export interface Ipv4 {
  readonly src?: string;
  readonly dst?: string;
  readonly tos?: number;
  readonly id?: number;
  /** Flags and fragment offset as one word: 0x2000 is MF. */
  readonly fragment?: number;
  readonly ttl?: number;
  readonly protocol?: number;
  readonly options?: Uint8Array;
  readonly payload?: Uint8Array;
  readonly sum?: Sum;
}
export function ipv4(given: Ipv4): Buffer {
  const {
    src = "192.0.2.1",
    dst = "192.0.2.2",
    tos = 0,
    id = 1,
    fragment = 0,
    ttl = 64,
    protocol = PROTO.udp,
    sum = "full",
  } = given;
  const options = given.options ?? new Uint8Array(0);
  const payload = given.payload ?? udp({});
  const header = Buffer.alloc(20 + options.length);
  header.writeUInt8(0x40 | (header.length >> 2), 0);
  header.writeUInt8(tos, 1);
  header.writeUInt16BE(header.length + payload.length, 2);
  header.writeUInt16BE(id, 4);
  header.writeUInt16BE(fragment, 6);
  header.writeUInt8(ttl, 8);
  header.writeUInt8(protocol, 9);
  ip(src).copy(header, 12);
  ip(dst).copy(header, 16);
  header.set(options, 20);
  header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([header, (fragment & 0x3fff) === 0 ? withSum(header, protocol, payload, sum) : payload]);
}

export interface Ipv6 {
  readonly src?: string;
  readonly dst?: string;
  readonly trafficClass?: number;
  readonly flow?: number;
  readonly hopLimit?: number;
  readonly protocol?: number;
  /** Extension headers, in order: [kind, octets whose first is filled in with the next header]. */
  readonly chain?: readonly (readonly [number, Uint8Array])[];
  readonly payload?: Uint8Array;
  readonly sum?: Sum;
}
export function ipv6(given: Ipv6): Buffer {
  const {
    src = "2001:db8::1",
    dst = "2001:db8::2",
    trafficClass = 0,
    flow = 0,
    hopLimit = 64,
    protocol = PROTO.udp,
    chain = [],
    sum = "full",
  } = given;
  const header = Buffer.alloc(40);
  header.writeUInt32BE(((6 << 28) | (trafficClass << 20) | flow) >>> 0, 0);
  header.writeUInt8(chain[0]?.[0] ?? protocol, 6);
  header.writeUInt8(hopLimit, 7);
  ip(src).copy(header, 8);
  ip(dst).copy(header, 24);
  const extensions = chain.map(([, octets], i) => {
    const out = Buffer.from(octets);
    out[0] = chain[i + 1]?.[0] ?? protocol;
    return out;
  });
  const rest = Buffer.concat([...extensions, withSum(header, protocol, given.payload ?? udp({}), sum)]);
  header.writeUInt16BE(rest.length, 4);
  return Buffer.concat([header, rest]);
}
/** Octets of an options header (hop-by-hop, destination, routing) of 8·units octets, padded with one PadN option. */
export function options6(units = 1): Buffer {
  const out = Buffer.alloc(8 * units);
  out[1] = units - 1;
  out[2] = 1;
  out[3] = out.length - 4;
  return out;
}
/** Octets of a fragment header; `offset` in units of 8 octets. */
export function fragment6(offset: number, more: boolean): Buffer {
  const out = Buffer.alloc(8);
  out.writeUInt16BE((offset << 3) | (more ? 1 : 0), 2);
  out.writeUInt32BE(0x1234_5678, 4);
  return out;
}

export interface Transport {
  readonly src?: number;
  readonly dst?: number;
  readonly payload?: Uint8Array;
}
export function udp({ src = 1024, dst = 2048, payload = Buffer.from("weft") }: Transport): Buffer {
  return Buffer.concat([be16(src), be16(dst), be16(8 + payload.length), be16(0), payload]);
}
/** Bits of the thirteenth octet behind the ports of a TCP header (RFC 9293 §3.1). */
export const TCP = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32, ece: 64, cwr: 128 } as const;

export interface Tcp extends Transport {
  readonly seq?: number;
  readonly ack?: number;
  readonly flags?: number;
  /** The four bits beside the data offset. */
  readonly reserved?: number;
  readonly window?: number;
  readonly urgent?: number;
  /** A multiple of four octets. */
  readonly options?: Uint8Array;
}
export function tcp(given: Tcp): Buffer {
  const { src = 1024, dst = 2048, seq = 0x0102_0304, ack = 0x0506_0708, window = 0xfaf0 } = given;
  const { flags = TCP.ack | TCP.psh, reserved = 0, urgent = 0 } = given;
  const { payload = Buffer.from("weft"), options = Buffer.alloc(0) } = given;
  const header = Buffer.alloc(20);
  header.writeUInt16BE(src, 0);
  header.writeUInt16BE(dst, 2);
  header.writeUInt32BE(seq >>> 0, 4);
  header.writeUInt32BE(ack >>> 0, 8);
  header.writeUInt16BE((((20 + options.length) / 4) << 12) | (reserved << 8) | flags, 12);
  header.writeUInt16BE(window, 14);
  header.writeUInt16BE(urgent, 18);
  return Buffer.concat([header, options, payload]);
}
/** Neighbour solicitation (135) or advertisement (136), RFC 4861 §4.3 and §4.4, with a link-layer address option. */
export function neighbour(type: 135 | 136, target: string, option?: number): Buffer {
  const head = Buffer.from([type, 0, 0, 0, type === 136 ? 0x60 : 0, 0, 0, 0]);
  const tail =
    option === undefined ? Buffer.alloc(0) : Buffer.concat([Buffer.from([type === 136 ? 2 : 1, 1]), macOctets(option)]);
  return Buffer.concat([head, ip(target), tail]);
}
/** Router advertisement, RFC 4861 §4.2. */
export function routerAdvertisement(): Buffer {
  return Buffer.from([134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0]);
}

/** A VXLAN datagram's UDP payload, RFC 7348 §5. */
export function vxlan(vni: number, frame: Uint8Array, flags = 0x08): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt8(flags, 0);
  header.writeUIntBE(vni, 4, 3);
  return Buffer.concat([header, frame]);
}

/** Fields of a virtio_net_hdr. */
export interface VnetHdr {
  readonly flags: number;
  readonly gsoType: number;
  readonly hdrLen: number;
  readonly gsoSize: number;
  readonly csumStart: number;
  readonly csumOffset: number;
}
export const PLAIN: VnetHdr = { flags: 0, gsoType: 0, hdrLen: 0, gsoSize: 0, csumStart: 0, csumOffset: 0 };
export function vnetHdr(fields: Partial<VnetHdr>): Buffer {
  const { flags, gsoType, hdrLen, gsoSize, csumStart, csumOffset } = { ...PLAIN, ...fields };
  const out = Buffer.alloc(10);
  out.writeUInt8(flags, 0);
  out.writeUInt8(gsoType, 1);
  for (const [i, value] of [hdrLen, gsoSize, csumStart, csumOffset].entries()) out.writeUInt16LE(value, 2 + 2 * i);
  return out;
}
export function readVnetHdr(octets: Buffer): VnetHdr {
  const word = (at: number): number => octets.readUInt16LE(at);
  return {
    flags: octets.readUInt8(0),
    gsoType: octets.readUInt8(1),
    hdrLen: word(2),
    gsoSize: word(4),
    csumStart: word(6),
    csumOffset: word(8),
  };
}
