/**
 * What becomes of the frames of one batch on their way to ports: which of them become one super-frame, and how it looks.
 *
 * The rules are those of generic receive offload in the kernel (net/core/gro.c, net/ipv4/tcp_offload.c, udp_offload.c):
 * only what segmentation would turn into the same frames again may be merged.
 */
import { PLAIN, type VnetHdr } from "../frames/build.js";
import { pseudo16, sum16 } from "./checksum.js";
import { type Parsed, parseFrame } from "./frame.js";

const TCP = 6;
const PSH = 8;
const ACK = 16;
const ECE = 64;
const PIECES_MAX = 64;

export interface Delivery {
  readonly port: number;
  readonly frame: Buffer;
  /** As ingress recognised it: NEEDS_CSUM when the sending kernel left the checksum open. */
  readonly vnet: VnetHdr;
}
export interface Written extends Delivery {
  /** Frames in it, and their octets. */
  readonly pieces: number;
  readonly octets: number;
}
export interface Offloads {
  readonly tcp: boolean;
  readonly udp: boolean;
}

/** A frame that may become a piece of a super-frame, taken apart. */
interface Piece {
  readonly delivery: Delivery;
  readonly p: Parsed;
  /** Octets in front of the payload. */
  readonly header: number;
  readonly payload: Buffer;
  readonly isOpen: boolean;
  /** Everything that all pieces must have alike. */
  readonly alike: string;
}
interface Item {
  readonly flow: string;
  readonly pieces: Piece[];
  isClosed: boolean;
}

/** Writes to ports, in order. */
export function join(deliveries: readonly Delivery[], offloads: Offloads): Written[] {
  const items: Item[] = [];
  for (const delivery of deliveries) {
    const { frame, port } = delivery;
    const p = parseFrame(frame);
    const flow = `${port} ${flowOf(frame, p) ?? `none ${items.length}`}`;
    const last = items.findLast((item) => item.flow === flow && !item.isClosed);
    const piece = pieceOf(delivery, p, offloads);
    if (piece && last && fits(last, piece)) {
      last.pieces.push(piece);
      if (ends(last, piece)) last.isClosed = true;
      continue;
    }
    if (piece) {
      if (last) last.isClosed = true;
      items.push({ flow, pieces: [piece], isClosed: ends(undefined, piece) });
      continue;
    }
    if (last && !isPureAck(frame, p)) last.isClosed = true;
    // It may be of any flow: of which one, only its first says.
    if (p.fragment) for (const item of items) item.isClosed = true;
    const alone = { delivery, p, header: 0, payload: frame, isOpen: false, alike: "" };
    items.push({ flow, pieces: [alone], isClosed: true });
  }
  return items.map(({ pieces }) => written(pieces));
}

/** Addresses, ports and protocol of a TCP or UDP packet; undefined when it has none to see. */
function flowOf(frame: Buffer, p: Parsed): string | undefined {
  if (p.l4 === 0 || p.fragment || (p.protocol !== TCP && p.protocol !== 17)) return undefined;
  const addresses = p.version === 4 ? frame.subarray(p.l3 + 12, p.l3 + 20) : frame.subarray(p.l3 + 8, p.l3 + 40);
  const ports = frame.subarray(p.l4, p.l4 + 4);
  return `${p.protocol} ${addresses.toString("hex")} ${ports.toString("hex")}`;
}

/** undefined: the frame goes on alone, whatever comes before or after it. */
function pieceOf(delivery: Delivery, p: Parsed, offloads: Offloads): Piece | undefined {
  const { frame, vnet } = delivery;
  if (vnet.gsoType !== 0 || flowOf(frame, p) === undefined) return undefined;
  const packet = frame.subarray(p.l3);
  // No IPv4 options, no extension headers, and nothing behind the packet.
  if (p.l4 - p.l3 !== (p.version === 4 ? 20 : 40)) return undefined;
  if ((p.version === 4 ? packet.readUInt16BE(2) : 40 + packet.readUInt16BE(4)) !== packet.length) return undefined;
  const transport = frame.subarray(p.l4);
  const ip =
    p.version === 4
      ? // TOS, flag bits, TTL.
        `${packet.readUInt8(1)} ${packet.readUInt8(6) & 0xe0} ${packet.readUInt8(8)}`
      : // Traffic class and flow label, hop limit.
        `${packet.readUInt32BE(0)} ${packet.readUInt8(7)}`;
  let header = p.l4 + 8;
  let alike = `${frame.subarray(0, p.l3).toString("hex")} ${ip}`;
  if (p.protocol === TCP) {
    const flags = flagsOf(transport);
    if (!offloads.tcp || (flags & ~(ACK | PSH | ECE)) !== 0 || (flags & ACK) === 0) return undefined;
    header = p.l4 + (transport.readUInt8(12) >> 4) * 4;
    const options = frame.subarray(p.l4 + 20, header).toString("hex");
    // Acknowledgement, header length with the reserved bits, ECE, window, options.
    alike += ` ${transport.readUInt32BE(8)} ${transport.readUInt8(12)} ${flags & ECE} ${transport.readUInt16BE(14)} ${options}`;
  } else {
    if (!offloads.udp || transport.readUInt16BE(6) === 0 || transport.readUInt16BE(4) !== transport.length)
      return undefined;
  }
  const payload = frame.subarray(header);
  const isOpen = (vnet.flags & 1) !== 0;
  if (payload.length === 0 || !isSummed(packet, transport, p, isOpen)) return undefined;
  return { delivery, p, header, payload, isOpen, alike };
}

/** True when the IPv4 header's checksum is right, and the transport's is right or left open. */
function isSummed(packet: Buffer, transport: Buffer, p: Parsed, isOpen: boolean): boolean {
  if (p.version === 4 && sum16(packet.subarray(0, 20)) !== 0xffff) return false;
  return isOpen || sum16(transport, pseudo16(packet, p.protocol, transport.length)) === 0xffff;
}

function fits(item: Item, next: Piece): boolean {
  const [first, last] = [item.pieces[0] as Piece, item.pieces.at(-1) as Piece];
  if (next.alike !== first.alike || next.isOpen !== first.isOpen) return false;
  if (item.pieces.length >= PIECES_MAX || next.payload.length > first.payload.length) return false;
  const packet = item.pieces.reduce((sum, piece) => sum + piece.payload.length, first.header - first.p.l3);
  if (packet + next.payload.length > 65_535) return false;
  if (first.p.protocol !== TCP) return true;
  return seqOf(next) === (seqOf(last) + last.payload.length) % 2 ** 32;
}
/** Nothing can follow a short piece (the cuts would be elsewhere), nor PSH (it would move to the end). */
function ends(item: Item | undefined, last: Piece): boolean {
  if (last.p.protocol === TCP && (last.delivery.frame.readUInt8(last.p.l4 + 13) & PSH) !== 0) return true;
  return item !== undefined && last.payload.length < (item.pieces[0] as Piece).payload.length;
}
/** The nine flags from AE (RFC 9768) to FIN. */
const flagsOf = (transport: Buffer): number => transport.readUInt16BE(12) & 0x1ff;
const seqOf = (piece: Piece): number => piece.delivery.frame.readUInt32BE(piece.p.l4 + 4);

/** A TCP segment that only acknowledges: it may be seen before data that it came after. */
function isPureAck(frame: Buffer, p: Parsed): boolean {
  if (p.l4 === 0 || p.protocol !== TCP || flagsOf(frame.subarray(p.l4)) !== ACK) return false;
  const packet = frame.subarray(p.l3);
  const length = p.version === 4 ? packet.readUInt16BE(2) : 40 + packet.readUInt16BE(4);
  return p.l3 + length === p.l4 + (frame.readUInt8(p.l4 + 12) >> 4) * 4;
}

function written(pieces: readonly Piece[]): Written {
  const first = pieces[0] as Piece;
  const { port } = first.delivery;
  const octets = pieces.reduce((sum, piece) => sum + piece.delivery.frame.length, 0);
  if (pieces.length === 1) return { ...first.delivery, pieces: 1, octets };
  const { p, header } = first;
  const frame = Buffer.concat([first.delivery.frame, ...pieces.slice(1).map((piece) => piece.payload)]);
  const packet = frame.subarray(p.l3);
  const transport = frame.subarray(p.l4);
  if (p.version === 4) {
    packet.writeUInt16BE(packet.length, 2);
    packet.writeUInt16BE(0, 10);
    packet.writeUInt16BE(~sum16(packet.subarray(0, 20)) & 0xffff, 10);
  } else {
    packet.writeUInt16BE(packet.length - 40, 4);
  }
  const isTcp = p.protocol === TCP;
  if (isTcp) {
    const last = (pieces.at(-1) as Piece).delivery.frame.readUInt8(p.l4 + 13);
    transport.writeUInt8(transport.readUInt8(13) | (last & PSH), 13);
  } else {
    transport.writeUInt16BE(transport.length, 4);
  }
  const csumOffset = isTcp ? 16 : 6;
  transport.writeUInt16BE(pseudo16(packet, p.protocol, transport.length), csumOffset);
  const gsoType = isTcp ? (p.version === 4 ? 1 : 4) : 5;
  const vnet = { ...PLAIN, flags: 1, gsoType, gsoSize: first.payload.length, hdrLen: header };
  return { port, frame, vnet: { ...vnet, csumStart: p.l4, csumOffset }, pieces: pieces.length, octets };
}
