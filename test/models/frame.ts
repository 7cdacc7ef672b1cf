/** A plain frame parser: what the switch should know of a frame, read octet by octet. */

export interface Parsed {
  readonly dst: number;
  readonly src: number;
  /** Behind at most eight VLAN tags. */
  readonly etherType: number;
  /** Octets in front of the IP or ARP header; 0 when the EtherType is none of these, or no whole ARP packet follows. */
  readonly l3: number;
  /** 0 when there is no well-formed IP packet. */
  readonly version: 0 | 4 | 6;
  readonly protocol: number;
  /** Octets in front of the transport header; 0 when it is not wholly there or not known. */
  readonly l4: number;
  readonly fragment: boolean;
  readonly chainBad: boolean;
}

const EXTENSIONS = new Set([0, 43, 44, 51, 60]);

/** True when a TCP, UDP, ICMP or ICMPv6 header is wholly in `octets`. */
function isTransport(protocol: number, octets: Buffer): boolean {
  if (protocol === 17) return octets.length >= 8;
  if (protocol === 1 || protocol === 58) return octets.length >= 4;
  if (protocol !== 6 || octets.length < 20) return false;
  const length = (octets.readUInt8(12) >> 4) * 4;
  return length >= 20 && length <= octets.length;
}

/** The frame must hold an Ethernet header. */
export function parseFrame(frame: Buffer): Parsed {
  let at = 12;
  let type = frame.readUInt16BE(at);
  for (let tags = 0; tags < 8 && (type === 0x8100 || type === 0x88a8) && frame.length >= at + 6; tags++) {
    at += 4;
    type = frame.readUInt16BE(at);
  }
  const l3 = at + 2;
  const base: Parsed = {
    dst: frame.readUIntBE(0, 6),
    src: frame.readUIntBE(6, 6),
    etherType: type,
    l3: 0,
    version: 0,
    protocol: 0,
    l4: 0,
    fragment: false,
    chainBad: false,
  };
  const rest = frame.subarray(l3);
  if (type === 0x0806) {
    const isArp = rest.length >= 28 && rest.subarray(0, 6).equals(Buffer.from([0, 1, 8, 0, 6, 4]));
    return { ...base, l3: isArp ? l3 : 0 };
  }
  if (type === 0x0800) return { ...base, l3, ...parse4(rest, l3) };
  if (type === 0x86dd) return { ...base, l3, ...parse6(rest, l3) };
  return base;
}

function parse4(packet: Buffer, l3: number): Partial<Parsed> {
  if (packet.length < 20 || packet.readUInt8(0) >> 4 !== 4) return {};
  const header = (packet.readUInt8(0) & 15) * 4;
  const total = packet.readUInt16BE(2);
  if (header < 20 || total < header || packet.length < total) return {};
  const word = packet.readUInt16BE(6);
  const protocol = packet.readUInt8(9);
  const hasL4 = (word & 0x1fff) === 0 && isTransport(protocol, packet.subarray(header, total));
  return { version: 4, protocol, fragment: (word & 0x3fff) !== 0, l4: hasL4 ? l3 + header : 0 };
}

function parse6(packet: Buffer, l3: number): Partial<Parsed> {
  if (packet.length < 40 || packet.readUInt8(0) >> 4 !== 6) return {};
  const end = 40 + packet.readUInt16BE(4);
  if (packet.length < end) return {};
  let kind = packet.readUInt8(6);
  let at = 40;
  let fragment = false;
  for (let headers = 0; EXTENSIONS.has(kind); headers++) {
    if (headers === 8 || at + 8 > end) return { version: 6, protocol: kind, fragment, chainBad: true };
    const next = packet.readUInt8(at);
    const unit = packet.readUInt8(at + 1);
    if (kind === 44) {
      const offset = packet.readUInt16BE(at + 2) >> 3;
      if (offset > 0) return { version: 6, protocol: next, fragment: true };
      if ((packet.readUInt8(at + 3) & 1) !== 0) fragment = true;
      at += 8;
    } else at += kind === 51 ? (unit + 2) * 4 : (unit + 1) * 8;
    kind = next;
  }
  if (at <= end && isTransport(kind, packet.subarray(at, end)))
    return { version: 6, protocol: kind, fragment, l4: l3 + at };
  return { version: 6, protocol: kind, fragment, chainBad: kind === 58 };
}
