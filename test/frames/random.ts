/** Random frames near the edges of what the switch tells apart: well-formed ones of every shape, then damaged. */
import { pick } from "../models/random.js";
import {
  arp,
  BROADCAST,
  ETHERTYPE,
  ethernet,
  fragment6,
  ipv4,
  ipv6,
  mac,
  macOctets,
  neighbour,
  options6,
  PROTO,
  routerAdvertisement,
  type Sum,
  tcp,
  udp,
  type VnetHdr,
} from "./build.js";
import { type Step, wire } from "./stream.js";
import { content, superFrame } from "./super.js";

export type Random = () => number;
const of = <T>(random: Random, list: readonly T[]): T => list[pick(random, list.length)] as T;

const ADDRESSES4 = [
  "192.0.2.1",
  "192.0.2.2",
  "198.51.100.5",
  "198.51.100.200",
  "203.0.113.9",
  "0.0.0.0",
  "255.255.255.255",
] as const;
const ADDRESSES6 = [
  "2001:db8::1",
  "2001:db8:a::7",
  "2001:db8:a::8",
  "2001:db8:b::1",
  "fe80::1",
  "ff02::1:ff00:7",
  "::",
] as const;
const PORTS = [53, 67, 68, 546, 547, 1024, 50_000] as const;
const GROUPS = [BROADCAST, 0x3333_ff00_0007, 0x0100_5e00_0001, 0x0180_c200_000e, 0];

function transport(random: Random): { protocol: number; payload: Buffer; sum: Sum } {
  const sum = of(random, ["full", "full", "pseudo", "asis"] as const);
  const size = of(random, [0, 1, 4, 33, 600, 2000]);
  const ports = { src: of(random, PORTS), dst: of(random, PORTS), payload: Buffer.alloc(size, random() & 255) };
  switch (pick(random, 6)) {
    case 0:
    case 1:
      return { protocol: PROTO.udp, payload: udp(ports), sum };
    case 2:
    case 3:
      return { protocol: PROTO.tcp, payload: tcp({ ...ports, options: Buffer.alloc(4 * pick(random, 4), 1) }), sum };
    case 4:
      return {
        protocol: PROTO.icmp6,
        payload: of(random, [
          routerAdvertisement(),
          neighbour(135, of(random, ADDRESSES6), mac(1)),
          neighbour(136, of(random, ADDRESSES6)),
        ]),
        sum,
      };
    default:
      return { protocol: of(random, [PROTO.icmp, 59, 50, 132]), payload: Buffer.alloc(20, random() & 255), sum };
  }
}

function packet(random: Random): { type: number; payload: Buffer } {
  const tos = random() & 255;
  switch (pick(random, 8)) {
    case 0:
      return {
        type: ETHERTYPE.arp,
        payload: arp({
          operation: 1 + pick(random, 3),
          senderIp: of(random, ADDRESSES4),
          targetIp: of(random, ADDRESSES4),
        }),
      };
    case 1:
      return {
        type: of(random, [ETHERTYPE.experiment, ETHERTYPE.ipv4, ETHERTYPE.ipv6, ETHERTYPE.arp, 0x88cc]),
        payload: Buffer.alloc(46, random() & 255),
      };
    case 2:
    case 3:
    case 4: {
      const fragment = of(random, [0, 0, 0, 0x4000, 0x2000, 0x2010, 0x0010]);
      const options = Buffer.alloc(4 * of(random, [0, 0, 0, 1, 10]), 1);
      return {
        type: ETHERTYPE.ipv4,
        payload: ipv4({
          src: of(random, ADDRESSES4),
          dst: of(random, ADDRESSES4),
          tos,
          fragment,
          options,
          ...transport(random),
        }),
      };
    }
    default: {
      const chain = Array.from({ length: of(random, [0, 0, 0, 1, 2, 9]) }, (): [number, Buffer] => {
        const kind = of(random, [0, 43, 44, 51, 60]);
        return [
          kind,
          kind === 44 ? fragment6(of(random, [0, 0, 5]), pick(random, 2) === 1) : options6(1 + pick(random, 3)),
        ];
      });
      return {
        type: ETHERTYPE.ipv6,
        payload: ipv6({
          src: of(random, ADDRESSES6),
          dst: of(random, ADDRESSES6),
          trafficClass: tos,
          hopLimit: of(random, [64, 255]),
          chain,
          ...transport(random),
        }),
      };
    }
  }
}

/** A frame between MACs of the list (or groups), in one case of three damaged or cut off. */
export function randomFrame(random: Random, sources: readonly number[], destinations: readonly number[]): Buffer {
  const tags = of(random, [
    [],
    [],
    [],
    [[0x8100, 5]],
    [
      [0x88a8, 1],
      [0x8100, 2],
    ],
    [
      [0x8100, 1],
      [0x8100, 2],
      [0x8100, 3],
    ],
  ]) as [number, number][];
  const src = pick(random, 40) === 0 ? of(random, GROUPS) : of(random, sources);
  const dst = pick(random, 5) === 0 ? of(random, GROUPS) : of(random, destinations);
  const frame = ethernet({ src, dst, tags, ...packet(random) });
  if (pick(random, 3) !== 0) return frame;
  return damage(random, frame);
}

/** The frame with some octets behind the MACs changed, or cut off, or lengthened. */
export function damage(random: Random, frame: Buffer): Buffer {
  const out = Buffer.from(frame);
  switch (pick(random, 4)) {
    case 0:
      return out.subarray(0, pick(random, out.length + 1));
    case 1:
      return Buffer.concat([out, Buffer.alloc(1 + pick(random, 60), random() & 255)]);
    default:
      for (let n = 1 + pick(random, 4); n > 0; n--) {
        const at = 12 + pick(random, Math.min(out.length - 12, 100));
        out[at] = of(random, [0, 1, 0xff, 0x7f, 0x80, random() & 255, (out[at] as number) ^ (1 << pick(random, 8))]);
      }
      return out;
  }
}

/** A virtio_net_hdr: mostly none, some open checksums, some super-frames, some nonsense. */
export function randomVnetHdr(random: Random): Partial<VnetHdr> {
  const open = {
    flags: 1,
    csumStart: of(random, [34, 38, 54, 14, 13, 9000]),
    csumOffset: of(random, [6, 16, 2, 9000]),
  };
  switch (pick(random, 8)) {
    case 0:
    case 1:
      return open;
    case 2:
      return { ...open, gsoType: of(random, [1, 4, 5, 0x81]), gsoSize: 1400, hdrLen: 54 };
    case 3:
      return {
        flags: random() & 255,
        gsoType: pick(random, 4) === 0 ? random() & 255 : 0,
        csumStart: pick(random, 80),
        csumOffset: pick(random, 40),
      };
    default:
      return {};
  }
}

/** A super-frame that can be cut, in one case of four with something wrong in its virtio_net_hdr. */
export function randomSuper(
  random: Random,
  sources: readonly number[],
  destinations: readonly number[],
): { frame: Buffer; vnet: VnetHdr } {
  const made = superFrame({
    version: of(random, [4, 6]),
    protocol: of(random, ["tcp", "tcp", "udp"]),
    srcMac: of(random, sources),
    dstMac: pick(random, 6) === 0 ? of(random, GROUPS) : of(random, destinations),
    tags: of(random, [[], [], [[0x8100, 5]]]) as [number, number][],
    tos: random() & 255,
    id: random() & 0xffff,
    ports: [of(random, PORTS), of(random, PORTS)],
    tcp: { seq: random(), flags: random() & 255, options: Buffer.alloc(4 * pick(random, 5), 1) },
    payload: content(1 + pick(random, 6000), random()),
    gsoSize: of(random, [1, 100, 536, 1398, 1400, 9000]),
  });
  const wrong: Partial<VnetHdr> = of(random, [
    { gsoSize: 0 },
    { gsoType: of(random, [1, 3, 4, 5, 0x81]) },
    { gsoType: random() & 255 },
    { hdrLen: random() & 0xffff },
    { csumOffset: 6 },
    { flags: 0 },
  ]);
  return { frame: made.frame, vnet: pick(random, 4) === 0 ? { ...made.vnet, ...wrong } : made.vnet };
}

/** Frames of a few flows as one batch from the underlay could bring them. */
export function randomStream(
  random: Random,
  frames: number,
  source: number,
  destinations: readonly number[],
): Buffer[] {
  const size = of(random, [1, 100, 1000, 1300]);
  const dstMac = of(random, destinations);
  const steps = Array.from({ length: frames }, (): Step => {
    const isPlain = pick(random, 4) !== 0;
    return {
      flow: pick(random, 3),
      event: isPlain ? "next" : of(random, ["again", "lost", "ack", "old", "damaged", "fin", "short", "long"]),
      size,
      isPushed: pick(random, 12) === 0,
      change: pick(random, 10) === 0 ? { tos: random() & 255, dstMac: of(random, destinations) } : {},
    };
  });
  const sum = of(random, ["full", "full", "pseudo"] as const);
  return wire(steps, { srcMac: source, dstMac, sum, tos: of(random, [0, 0, 2, 3]) });
}

/** Replaces the source MAC. */
export function withSource(frame: Buffer, source: number): Buffer {
  const out = Buffer.from(frame);
  macOctets(source).copy(out, 6);
  return out;
}
