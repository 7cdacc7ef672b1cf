/** Super-frames as a TAP with offloads hands them over, and the frames of a flow as the underlay brings them. */
import { randomOf } from "../models/random.js";
import { ETHERTYPE, ethernet, ipv4, ipv6, mac, PROTO, type Sum, type Tcp, tcp, udp, type VnetHdr } from "./build.js";

/** A TCP or UDP packet in an Ethernet frame; what is absent is as in build.ts. */
export interface Packet {
  readonly version?: 4 | 6;
  readonly protocol?: "tcp" | "udp";
  readonly dstMac?: number;
  readonly srcMac?: number;
  readonly tags?: readonly (readonly [number, number])[];
  readonly src?: string;
  readonly dst?: string;
  readonly tos?: number;
  readonly ttl?: number;
  readonly id?: number;
  /** IPv4: flags and offset. */
  readonly fragment?: number;
  readonly options?: Uint8Array;
  /** IPv6: extension headers and flow label. */
  readonly chain?: readonly (readonly [number, Uint8Array])[];
  readonly flow?: number;
  readonly tcp?: Omit<Tcp, "src" | "dst" | "payload">;
  readonly ports?: readonly [number, number];
  readonly payload?: Uint8Array;
  readonly sum?: Sum;
}

/** Octets that tell where they stand: the same seed gives the same ones. */
export function content(length: number, seed = 1): Buffer {
  const random = randomOf(seed);
  const out = Buffer.alloc((length + 3) & ~3);
  for (let at = 0; at < length; at += 4) out.writeUInt32LE(random(), at);
  return out.subarray(0, length);
}

export function packetFrame(given: Packet): Buffer {
  const { version = 4, protocol = "tcp", dstMac = mac(9), srcMac = mac(1), tags = [], tos = 0, ttl = 64 } = given;
  const { ports = [1024, 2048], payload = content(100), sum = "full" } = given;
  const transport = { src: ports[0], dst: ports[1], payload };
  const l4 = protocol === "tcp" ? tcp({ ...given.tcp, ...transport }) : udp(transport);
  const common = {
    protocol: PROTO[protocol],
    payload: l4,
    sum,
    ...(given.src === undefined ? {} : { src: given.src }),
    ...(given.dst === undefined ? {} : { dst: given.dst }),
  };
  const { id = 1, fragment = 0x4000, options = Buffer.alloc(0), chain = [], flow = 0 } = given;
  const packet =
    version === 4
      ? ipv4({ ...common, tos, ttl, id, fragment, options })
      : ipv6({ ...common, trafficClass: tos, hopLimit: ttl, chain, flow });
  const type = version === 4 ? ETHERTYPE.ipv4 : ETHERTYPE.ipv6;
  return ethernet({ dst: dstMac, src: srcMac, tags, type, payload: packet });
}

/** Octets in front of the transport header. */
export function transportAt({ version = 4, tags = [], options, chain = [] }: Packet): number {
  const ip = version === 4 ? 20 + (options?.length ?? 0) : chain.reduce((sum, [, octets]) => sum + octets.length, 40);
  return 14 + 4 * tags.length + ip;
}

/** A super-frame with its virtio_net_hdr: the checksum is left open, the segments are to have `gsoSize` octets of payload. */
export function superFrame(given: Packet & { readonly gsoSize?: number }): { frame: Buffer; vnet: VnetHdr } {
  const { version = 4, protocol = "tcp", gsoSize = 1000 } = given;
  const isTcp = protocol === "tcp";
  const csumStart = transportAt(given);
  const header = csumStart + (isTcp ? 20 + (given.tcp?.options?.length ?? 0) : 8);
  return {
    frame: packetFrame({ payload: content(4500), ...given, sum: "pseudo" }),
    vnet: {
      flags: 1,
      gsoType: isTcp ? (version === 4 ? 1 : 4) : 5,
      hdrLen: header,
      gsoSize,
      csumStart,
      csumOffset: isTcp ? 16 : 6,
    },
  };
}
