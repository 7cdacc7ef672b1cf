/** Ethernet frames written by hand, and read back: small, slow and independent of the product. */

export const BROADCAST = "ff:ff:ff:ff:ff:ff";

export interface Ethernet {
  readonly dst: string;
  readonly src: string;
  readonly type?: number;
  readonly payload?: Buffer;
}

/** A frame; payload is filled up to 46 octets as on a wire. The default type, 0x88b5, is free for experiments. */
export function ethernet({ dst, src, type = 0x88b5, payload = Buffer.alloc(0) }: Ethernet): Buffer {
  const fill = Buffer.alloc(Math.max(0, 46 - payload.length));
  const kind = Buffer.from([type >> 8, type & 0xff]);
  return Buffer.concat([octets(dst), octets(src), kind, payload, fill]);
}

export interface Ipv4 {
  readonly src: string;
  readonly dst: string;
  readonly tos?: number;
  readonly protocol: number;
  readonly payload: Buffer;
}

export function ipv4({ src, dst, tos = 0, protocol, payload }: Ipv4): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt8(0x45, 0);
  header.writeUInt8(tos, 1);
  header.writeUInt16BE(20 + payload.length, 2);
  header.writeUInt8(64, 8);
  header.writeUInt8(protocol, 9);
  Buffer.from(src.split(".").map(Number)).copy(header, 12);
  Buffer.from(dst.split(".").map(Number)).copy(header, 16);
  header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([header, payload]);
}

/** UDP without checksum, which IPv4 allows. */
export function udp(sourcePort: number, destinationPort: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(sourcePort, 0);
  header.writeUInt16BE(destinationPort, 2);
  header.writeUInt16BE(8 + payload.length, 4);
  return Buffer.concat([header, payload]);
}

/** VXLAN, RFC 7348 §5; `flags` other than 0x08 are for tests of bad input. */
export function vxlan(vni: number, frame: Buffer, flags = 0x08): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt8(flags, 0);
  header.writeUIntBE(vni, 4, 3);
  return Buffer.concat([header, frame]);
}

export interface Tunnel {
  /** Underlay: MAC and IPv4 address of the sender and of the weft host. */
  readonly srcMac: string;
  readonly dstMac: string;
  readonly src: string;
  readonly dst: string;
  readonly vni: number;
  readonly tos?: number;
  readonly sourcePort?: number;
}

/** A whole underlay frame with a VXLAN datagram in it: what a VTEP puts on the wire. */
export function tunnelled(tunnel: Tunnel, inner: Buffer): Buffer {
  const datagram = udp(tunnel.sourcePort ?? 50_000, 4789, vxlan(tunnel.vni, inner));
  const packet = ipv4({ src: tunnel.src, dst: tunnel.dst, tos: tunnel.tos ?? 0, protocol: 17, payload: datagram });
  return ethernet({ dst: tunnel.dstMac, src: tunnel.srcMac, type: 0x0800, payload: packet });
}

export interface Parsed {
  readonly dst: string;
  readonly src: string;
  readonly type: number;
  readonly payload: Buffer;
}

export function parseEthernet(frame: Buffer): Parsed {
  return {
    dst: text(frame.subarray(0, 6)),
    src: text(frame.subarray(6, 12)),
    type: frame.readUInt16BE(12),
    payload: frame.subarray(14),
  };
}

/** The VXLAN datagram in an underlay frame: outer header facts and the inner frame; undefined when it is none. */
export function untunnel(
  frame: Buffer,
): { vni: number; src: string; tos: number; sourcePort: number; inner: Buffer } | undefined {
  const outer = parseEthernet(frame);
  if (outer.type !== 0x0800 || outer.payload[9] !== 17) return undefined;
  const ip = outer.payload;
  const segment = ip.subarray((ip.readUInt8(0) & 15) * 4, ip.readUInt16BE(2));
  if (segment.readUInt16BE(2) !== 4789) return undefined;
  return {
    vni: segment.readUIntBE(12, 3),
    src: [...ip.subarray(12, 16)].join("."),
    tos: ip.readUInt8(1),
    sourcePort: segment.readUInt16BE(0),
    inner: segment.subarray(16),
  };
}

/** The n-th locally administered MAC of a family of test addresses, n < 2^32. */
export function testMac(family: number, n: number): string {
  const out = Buffer.from([0x02, family, 0, 0, 0, 0]);
  out.writeUInt32BE(n, 2);
  return text(out);
}

function octets(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(":", ""), "hex");
}

function text(mac: Buffer): string {
  return (mac.toString("hex").match(/../g) ?? []).join(":");
}

/** The Internet checksum of an even number of octets. */
export function checksum(header: Buffer): number {
  let sum = 0;
  for (let i = 0; i < header.length; i += 2) sum += header.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
