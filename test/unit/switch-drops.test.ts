/** Every drop reason of the ABI table, produced in every plane where it exists, on the debug and the release build. */

import { dropRows, ENUM, type Plane } from "@weft/dataplane-wasm/abi";
import t from "tap";
import {
  arp,
  BROADCAST,
  ETHERTYPE,
  ethernet,
  fragment6,
  ipv4,
  ipv6,
  mac,
  options6,
  PROTO,
  routerAdvertisement,
  tcp,
  udp,
  type VnetHdr,
  vnetHdr,
  vxlan,
} from "../frames/build.js";
import { content, type Packet, superFrame } from "../frames/super.js";
import { addressKey, type Build, macKey, Rig, type Sent } from "../models/rig.js";
import { TUNNEL_DROPS } from "../models/tunnel.js";

type Super = Packet & { readonly gsoSize?: number };

/** Two containers, a VTEP over IPv4 and one over IPv6. */
class Hosts extends Rig {
  readonly net = this.network({ mtu: 1450 });
  readonly a = this.port(this.net, mac(1));
  readonly b = this.port(this.net, mac(2));
  readonly v4 = this.vtep(this.net, "192.0.2.9");
  readonly v6 = this.vtep(this.net, "2001:db8::9");

  /** From now on operations are answered with these errnos. */
  failing(errno: (sent: Sent) => number): this {
    this.errno = errno;
    return this;
  }
  /** A unicast frame from container a; `to` defaults to container b. */
  send(payload: Partial<Parameters<typeof ethernet>[0]>, raw?: Uint8Array): Sent[] {
    return this.egress([
      { port: this.a, frame: ethernet({ src: mac(1), dst: mac(2), ...payload }), ...(raw ? { raw } : {}) },
    ]);
  }
  /** A super-frame from container a for a remote container, its virtio_net_hdr and octets changed. */
  cut(given: Super, vnet: Partial<VnetHdr> = {}, change = (frame: Buffer): Buffer => frame): void {
    if (given.dstMac !== BROADCAST) this.receive({});
    const made = superFrame(given);
    const sent = this.egress([{ port: this.a, frame: change(made.frame), vnet: { ...made.vnet, ...vnet } }]);
    if (sent.length > 0) throw new Error(`it became ${sent.length} operations`);
  }
  /** A datagram from the IPv4 VTEP with a frame from a remote container. */
  receive(
    given: Partial<Parameters<typeof ethernet>[0]>,
    more: { tos?: number; vni?: number; address?: string; flags?: number } = {},
  ): Sent[] {
    const frame = ethernet({ src: mac(9), dst: mac(1), ...given });
    return this.ingress([
      { address: more.address ?? "192.0.2.9", tos: more.tos ?? 0, payload: vxlan(more.vni ?? 42, frame, more.flags) },
    ]);
  }
}

interface Case {
  readonly when: string;
  readonly plane: Plane;
  readonly reason: string;
  /** Frames dropped; 1 when absent. */
  readonly count?: number;
  readonly txMax?: number;
  /** Changes the tables before they are put in force. */
  readonly prepare?: (h: Hosts) => unknown;
  readonly run: (h: Hosts) => void;
}
const ip4 = (given: Parameters<typeof ipv4>[0]): { type: number; payload: Buffer } => ({
  type: ETHERTYPE.ipv4,
  payload: ipv4(given),
});
const ip6 = (given: Parameters<typeof ipv6>[0]): { type: number; payload: Buffer } => ({
  type: ETHERTYPE.ipv6,
  payload: ipv6(given),
});
const icmp6 = { protocol: PROTO.icmp6, payload: routerAdvertisement() };
const dhcp = udp({ src: 67, dst: 68 });
const open = (start: number, offset: number): Buffer =>
  Buffer.concat([vnetHdr({ flags: 1, csumStart: start, csumOffset: offset }), ethernet({ src: mac(1), dst: mac(2) })]);
/**
 * An ICMPv6 echo request whose virtio_net_hdr says that its type and code are an open checksum, and whose last word is chosen
 * so that this checksum comes out as 0x8600: type 134, a router advertisement.
 */
function disguised(): Buffer {
  const start = 34;
  const type = 54;
  const frame = ethernet({ ...ip6({ protocol: PROTO.icmp6, payload: Buffer.alloc(16) }), src: mac(1), dst: mac(2) });
  frame.writeUInt16BE(0x8000, type);
  frame.writeUInt16BE(0, frame.length - 2);
  let sum = 0;
  for (let at = start; at < frame.length; at += 2) sum += frame.readUInt16BE(at);
  // One's complement: sum + word must be ~0x8600.
  frame.writeUInt16BE((((0x79ff - (sum % 0xffff)) % 0xffff) + 0xffff) % 0xffff, frame.length - 2);
  return Buffer.concat([vnetHdr({ flags: 1, csumStart: start, csumOffset: type - start }), frame]);
}
const blackhole = (h: Hosts): void =>
  h.tables.setRoute(h.net, { kind: "mac", length: 0, key: macKey(mac(77)) }, { kind: "blackhole" }, true);
const flood = (h: Hosts): unknown => h.send({ dst: mac(99) });

const gateway = (h: Hosts): void =>
  h.tables.changeNetwork(h.net, {
    flags: 0,
    vni: 42,
    mtu: 1450,
    ageTicks: 293,
    bumRate: 0,
    bumBurst: 0,
    macsPerPort: 9,
    gateway: macKey(mac(40)),
  });
/** A layer-3 port beside the others, and a question for its address from behind the VTEP. */
const layer3 = (h: Hosts): unknown =>
  h.port(h.net, mac(30), {
    routed: {
      addresses: [addressKey("192.0.2.30")],
      hops: [{ family: 4, length: 24, key: addressKey("192.0.2.0"), viaGateway: false }],
    },
  });
const question = arp({ senderMac: mac(9), senderIp: "192.0.2.99", targetIp: "192.0.2.30" });

/** errno → reason, for a write to a port and for a datagram. */
const PORT_ERRNO = { port_gone: [9, 77, 19], port_down: [5], port_full: [11, 105, 12], port_refused: [22, 1, 14] };
const UDP_ERRNO = {
  udp_full: [11, 105, 12],
  udp_too_big: [90],
  udp_unreachable: [101, 113, 100, 112, 99, 19],
  udp_refused: [1, 22, 14],
};

/** Super-frames that nobody can cut, by what is wrong with them: towards a VTEP, and to be flooded to VTEPs. */
const uncuttable = (
  [
    ["has no segment size", { gsoSize: 0 }],
    ["has no payload", { payload: content(0) }],
    ["is TCP over IPv6 and says IPv4", { version: 6 }, { gsoType: 1 }],
    ["is TCP over IPv4 and says IPv6", {}, { gsoType: 4 }],
    ["is TCP and says UDP", {}, { gsoType: 5 }],
    ["is UDP and says TCP", { protocol: "udp" }, { gsoType: 1 }],
    ["is UDP over IPv6 and says TCP", { protocol: "udp", version: 6 }, { gsoType: 4 }],
    ["is of the old kind for UDP, which is cut by IP fragmentation", { protocol: "udp" }, { gsoType: 3 }],
    ["is of a kind that nobody knows", {}, { gsoType: 2 }],
    ["is of no kind but says ECN", {}, { gsoType: 0x80 }],
    ["is a tunnel's", { protocol: "udp" }, { gsoType: 0x25 }],
    ["has 185 octets of headers", { version: 6, chain: [[60, options6(13)]], tcp: { options: Buffer.alloc(8, 1) }, tags: [[0x8100, 1]] }], // biome-ignore format: table
    ["has octets behind its packet", {}, {}, (frame) => Buffer.concat([frame, Buffer.alloc(1)])],
    ["says it is shorter than it is (IPv4)", {}, {}, (frame) => shorter(frame, 16)],
    ["says it is shorter than it is (IPv6)", { version: 6 }, {}, (frame) => shorter(frame, 18)],
  ] as readonly (readonly [string, Super, Partial<VnetHdr>?, ((frame: Buffer) => Buffer)?])[]
).flatMap(([what, given, vnet, change]): Case[] =>
  [false, true].map((isFlooded) => ({
    when: `a super-frame ${isFlooded ? "to be flooded" : "for a VTEP"} ${what}`,
    plane: "egress",
    reason: "gso_header",
    run: (h) => h.cut({ ...given, ...(isFlooded ? { dstMac: BROADCAST } : {}) }, vnet, change),
  })),
);
/** The 16-bit number at an octet is one less. */
function shorter(frame: Buffer, at: number): Buffer {
  frame.writeUInt16BE(frame.readUInt16BE(at) - 1, at);
  return frame;
}

const cases: readonly Case[] = [
  { when: "a frame has 13 octets", plane: "egress", reason: "frame_short", run: (h) => h.send({}, Buffer.alloc(23)) },
  { when: "a read gives nothing", plane: "egress", reason: "frame_short", run: (h) => h.send({}, Buffer.alloc(0)) },
  {
    when: "an inner frame has 13 octets",
    plane: "ingress",
    reason: "frame_short",
    run: (h) => h.ingress([{ address: "192.0.2.9", payload: vxlan(42, Buffer.alloc(13)) }]),
  },
  {
    when: "a datagram is empty",
    plane: "ingress",
    reason: "frame_short",
    run: (h) => h.ingress([{ address: "192.0.2.9", payload: Buffer.alloc(0) }]),
  },
  {
    when: "a frame has 65,550 octets",
    plane: "egress",
    reason: "frame_long",
    run: (h) => h.send({ payload: Buffer.alloc(65_536) }),
  },
  {
    when: "an inner frame has 65,550 octets",
    plane: "ingress",
    reason: "frame_long",
    run: (h) => h.receive({ payload: Buffer.alloc(65_536) }),
  },
  {
    when: "a datagram was longer than its slot",
    plane: "ingress",
    reason: "truncated",
    run: (h) => h.ingress([{ address: "192.0.2.9", truncated: true, payload: Buffer.alloc(2000) }]),
  },
  {
    when: "csum_start lies in the Ethernet header",
    plane: "egress",
    reason: "vnet_hdr",
    run: (h) => h.send({}, open(13, 6)),
  },
  {
    when: "the checksum field ends behind the frame",
    plane: "egress",
    reason: "vnet_hdr",
    run: (h) => h.send({}, open(34, 60 - 34 - 1)),
  },
  {
    when: "csum_start and csum_offset are 65,535",
    plane: "egress",
    reason: "vnet_hdr",
    run: (h) => h.send({}, open(65_535, 65_535)),
  },
  {
    when: "a super-frame has a finished checksum",
    plane: "egress",
    reason: "vnet_hdr",
    run: (h) => h.cut({}, { flags: 0 }),
  },
  {
    when: "a super-frame's open checksum is not where its TCP header has one",
    plane: "egress",
    reason: "vnet_hdr",
    run: (h) => h.cut({}, { csumOffset: 6 }),
  },
  {
    when: "a super-frame's open checksum is in front of its TCP header",
    plane: "egress",
    reason: "vnet_hdr",
    run: (h) => h.cut({ options: Buffer.alloc(4, 1) }, { csumStart: 34 }),
  },
  {
    when: "a super-frame is a fragment",
    plane: "egress",
    reason: "vnet_hdr",
    run: (h) => h.cut({ fragment: 0x2000 }),
  },
  {
    when: "a super-frame is a fragment of an IPv6 packet",
    plane: "egress",
    reason: "vnet_hdr",
    run: (h) => h.cut({ version: 6, chain: [[44, fragment6(0, true)]] }),
  },
  ...uncuttable,
  {
    when: "a super-frame would become 2,049 segments",
    plane: "egress",
    reason: "gso_segments",
    run: (h) => h.cut({ payload: content(2049), gsoSize: 1 }),
  },
  {
    when: "a super-frame to be flooded to VTEPs would become 65,000 segments",
    plane: "egress",
    reason: "gso_segments",
    run: (h) => h.cut({ dstMac: BROADCAST, protocol: "udp", payload: content(65_000), gsoSize: 1 }),
  },
  {
    when: "a UDP super-frame does not say its segment size",
    plane: "ingress",
    reason: "gso_unknown",
    run: (h) => h.receive(ip4({ payload: udp({ payload: Buffer.alloc(3000) }), sum: "pseudo" })),
  },
  {
    when: "the source is broadcast",
    plane: "egress",
    reason: "source_mac",
    run: (h) => h.send({ src: 0xffff_ffff_ffff }),
  },
  {
    when: "the source is multicast",
    plane: "egress",
    reason: "source_mac",
    run: (h) => h.send({ src: 0x0100_5e00_0001 }),
  },
  { when: "the source is zero", plane: "egress", reason: "source_mac", run: (h) => h.send({ src: 0 }) },
  {
    when: "the source is multicast",
    plane: "ingress",
    reason: "source_mac",
    run: (h) => h.receive({ src: 0x3333_0000_0001 }),
  },
  { when: "the source is zero", plane: "ingress", reason: "source_mac", run: (h) => h.receive({ src: 0 }) },
  {
    when: "it is a spanning tree frame",
    plane: "egress",
    reason: "reserved_group",
    run: (h) => h.send({ dst: 0x0180_c200_0000 }),
  },
  {
    when: "it is an LLDP frame",
    plane: "ingress",
    reason: "reserved_group",
    run: (h) => h.receive({ dst: 0x0180_c200_000e }),
  },
  {
    when: "the port is not in the tables",
    plane: "egress",
    reason: "port_inactive",
    run: (h) => h.egress([{ port: 40, frame: ethernet({}) }]),
  },
  {
    when: "the port number is beyond the region",
    plane: "egress",
    reason: "port_inactive",
    run: (h) => h.egress([{ port: 0xffff_ffff, frame: ethernet({}) }]),
  },
  {
    when: "a container uses its neighbour's MAC",
    plane: "egress",
    reason: "spoofed_mac",
    run: (h) => h.send({ src: mac(2), dst: mac(9) }),
  },
  {
    when: "a container uses the MAC of a static route",
    plane: "egress",
    reason: "spoofed_mac",
    prepare: (h) =>
      h.tables.setRoute(h.net, { kind: "mac", length: 0, key: macKey(mac(50)) }, { kind: "vtep", index: h.v4 }, true),
    run: (h) => h.send({ src: mac(50) }),
  },
  {
    when: "a container advertises a router (RFC 6105)",
    plane: "egress",
    reason: "ra_guard",
    run: (h) => h.send(ip6(icmp6)),
  },
  {
    when: "the advertisement hides behind extension headers",
    plane: "egress",
    reason: "ra_guard",
    run: (h) =>
      h.send(
        ip6({
          ...icmp6,
          chain: [
            [0, options6()],
            [60, options6(4)],
            [43, options6()],
          ],
        }),
      ),
  },
  {
    when: "the advertisement is in a tagged frame",
    plane: "egress",
    reason: "ra_guard",
    run: (h) =>
      h.send({
        ...ip6(icmp6),
        tags: [
          [0x88a8, 1],
          [0x8100, 2],
        ],
      }),
  },
  {
    when: "the advertisement is behind three priority tags, which a receiver strips",
    plane: "egress",
    reason: "ra_guard",
    run: (h) => h.send({ ...ip6(icmp6), tags: Array.from({ length: 3 }, () => [0x8100, 0] as const) }),
  },
  {
    when: "something is behind more tags than anybody looks through",
    plane: "egress",
    reason: "ra_guard",
    run: (h) => h.send({ ...ip6(icmp6), tags: Array.from({ length: 9 }, () => [0x8100, 0] as const) }),
  },
  {
    when: "finishing the checksum would make an echo request an advertisement",
    plane: "egress",
    reason: "ra_guard",
    run: (h) => h.send({}, disguised()),
  },
  {
    when: "the first fragment holds no whole header chain (RFC 7113)",
    plane: "egress",
    reason: "ra_guard",
    run: (h) =>
      h.send(
        ip6({
          protocol: PROTO.icmp6,
          payload: Buffer.alloc(0),
          chain: [
            [60, options6()],
            [44, fragment6(0, true)],
          ],
        }),
      ),
  },
  {
    when: "there are nine extension headers",
    plane: "egress",
    reason: "ra_guard",
    run: (h) => h.send(ip6({ ...icmp6, chain: Array.from({ length: 9 }, () => [60, options6()] as const) })),
  },
  {
    when: "a container answers DHCP",
    plane: "egress",
    reason: "dhcp_guard",
    run: (h) => h.send(ip4({ payload: dhcp })),
  },
  {
    when: "a container answers DHCP from another port: clients do not look at it",
    plane: "egress",
    reason: "dhcp_guard",
    run: (h) => h.send(ip4({ payload: udp({ src: 1067, dst: 68 }) })),
  },
  {
    when: "router advertisements are allowed but DHCP could be behind nine tags",
    plane: "egress",
    reason: "dhcp_guard",
    prepare: (h) =>
      h.tables.changeNetwork(h.net, {
        flags: ENUM.NETWORK.GUARD_DHCP,
        vni: 42,
        mtu: 1450,
        ageTicks: 293,
        bumRate: 0,
        bumBurst: 0,
        macsPerPort: 9,
      }),
    run: (h) => h.send({ ...ip4({ payload: dhcp }), tags: Array.from({ length: 9 }, () => [0x8100, 0] as const) }),
  },
  {
    when: "a container answers DHCP in a first fragment with IP options",
    plane: "egress",
    reason: "dhcp_guard",
    run: (h) => h.send(ip4({ payload: dhcp, fragment: 0x2000, options: Buffer.alloc(8, 1) })),
  },
  {
    when: "a container answers DHCPv6",
    plane: "egress",
    reason: "dhcp_guard",
    run: (h) => h.send(ip6({ payload: udp({ src: 547, dst: 546 }) })),
  },
  {
    when: "a port floods beyond its rate",
    plane: "egress",
    reason: "bum_rate",
    count: 3,
    prepare: (h) =>
      h.tables.changeNetwork(h.net, {
        flags: 7,
        vni: 42,
        mtu: 1450,
        ageTicks: 293,
        bumRate: 10,
        bumBurst: 5,
        macsPerPort: 9,
      }),
    run: (h) => h.egress(Array.from({ length: 8 }, () => ({ port: h.a, frame: ethernet({ src: mac(1) }) }))),
  },
  {
    when: "questions aimed by a prefix route pass the rate",
    plane: "egress",
    reason: "bum_rate",
    prepare: (h) => {
      h.tables.changeNetwork(h.net, {
        flags: 7,
        vni: 42,
        mtu: 1450,
        ageTicks: 293,
        bumRate: 1,
        bumBurst: 1,
        macsPerPort: 9,
      });
      h.tables.setRoute(
        h.net,
        { kind: "ipv4", length: 24, key: [0, 0, 0xffff, 0xc633_6400] },
        { kind: "vtep", index: h.v4 },
        true,
      );
    },
    run: (h) =>
      h.egress(
        [0, 1].map(() => ({
          port: h.a,
          frame: ethernet({
            src: mac(1),
            dst: BROADCAST,
            type: ETHERTYPE.arp,
            payload: arp({ targetIp: "198.51.100.3" }),
          }),
        })),
      ),
  },
  {
    when: "the destination is the sender itself",
    plane: "egress",
    reason: "reflect",
    run: (h) => h.send({ dst: mac(1) }),
  },
  {
    when: "the destination was learned behind the same port",
    plane: "egress",
    reason: "reflect",
    run: (h) => {
      h.send({ src: mac(30) });
      h.send({ src: mac(31), dst: mac(30) });
    },
  },
  {
    when: "the container is alone in its network",
    plane: "egress",
    reason: "no_destination",
    prepare: (h) => {
      h.tables.removePort(h.b);
      h.tables.removeVtep(h.v4);
      h.tables.removeVtep(h.v6);
    },
    run: flood,
  },
  {
    when: "no container is left",
    plane: "ingress",
    reason: "no_destination",
    prepare: (h) => {
      h.tables.removePort(h.a);
      h.tables.removePort(h.b);
    },
    run: (h) => h.receive({ dst: 0xffff_ffff_ffff }),
  },
  {
    when: "a route says so",
    plane: "egress",
    reason: "blackhole",
    prepare: blackhole,
    run: (h) => h.send({ dst: mac(77) }),
  },
  {
    when: "a route says so",
    plane: "ingress",
    reason: "blackhole",
    prepare: blackhole,
    run: (h) => h.receive({ dst: mac(77) }),
  },
  {
    when: "a prefix route says so",
    plane: "egress",
    reason: "blackhole",
    prepare: (h) =>
      h.tables.setRoute(h.net, { kind: "ipv6", length: 32, key: [0x2001_0db8, 0, 0, 0] }, { kind: "blackhole" }, true),
    run: (h) => h.send({ dst: mac(60), ...ip6({}) }),
  },
  {
    when: "the I flag is clear (RFC 7348 §5)",
    plane: "ingress",
    reason: "vxlan_flags",
    run: (h) => h.receive({}, { flags: 0xf7 }),
  },
  { when: "no network has the VNI", plane: "ingress", reason: "unknown_vni", run: (h) => h.receive({}, { vni: 43 }) },
  {
    when: "the sender is no VTEP",
    plane: "ingress",
    reason: "unknown_vtep",
    run: (h) => h.receive({}, { address: "192.0.2.10" }),
  },
  {
    when: "an IPv6 sender is no VTEP",
    plane: "ingress",
    reason: "unknown_vtep",
    run: (h) => h.receive({}, { address: "2001:db8::10" }),
  },
  {
    when: "the source is a local container's MAC",
    plane: "ingress",
    reason: "static_conflict",
    run: (h) => h.receive({ src: mac(2) }),
  },
  {
    when: "the source is another VTEP's static MAC",
    plane: "ingress",
    reason: "static_conflict",
    prepare: (h) =>
      h.tables.setRoute(h.net, { kind: "mac", length: 0, key: macKey(mac(50)) }, { kind: "vtep", index: h.v6 }, true),
    run: (h) => h.receive({ src: mac(50) }),
  },
  {
    when: "the destination is behind another VTEP",
    plane: "ingress",
    reason: "split_horizon",
    run: (h) => {
      h.receive({ src: mac(8) }, { address: "2001:db8::9" });
      h.receive({ dst: mac(8) });
    },
  },
  {
    when: "CE arrives on a packet that is not ECN-capable (RFC 6040 §4.2)",
    plane: "ingress",
    reason: "ecn_ce",
    run: (h) => h.receive(ip4({}), { tos: 3 }),
  },
  {
    when: "CE arrives on an IPv6 packet that is not ECN-capable",
    plane: "ingress",
    reason: "ecn_ce",
    run: (h) => h.receive(ip6({}), { tos: 0xff }),
  },
  { when: "a network has more members than fit", plane: "egress", reason: "no_room", txMax: 4, run: flood },
  {
    when: "a network has more members than fit",
    plane: "ingress",
    reason: "no_room",
    txMax: 4,
    run: (h) => h.receive({ dst: 0xffff_ffff_ffff }),
  },
  ...Object.entries(PORT_ERRNO).flatMap(([reason, errnos]) =>
    errnos.flatMap((errno): Case[] => [
      {
        when: `a write to the port fails with errno ${errno}`,
        plane: "egress",
        reason,
        run: (h) => h.failing(() => errno).send({}),
      },
      {
        when: `a write to the port fails with errno ${errno}`,
        plane: "ingress",
        reason,
        run: (h) => h.failing(() => errno).receive({}),
      },
    ]),
  ),
  ...Object.entries(UDP_ERRNO).flatMap(([reason, errnos]) =>
    errnos.map(
      (errno): Case => ({
        when: `a datagram is refused with errno ${errno}, a local copy is not`,
        plane: "egress",
        reason,
        count: 2,
        run: (h) => flood(h.failing((sent) => (sent.kind === "vtep" ? errno : 0))),
      }),
    ),
  ),
  ...Object.entries(UDP_ERRNO).flatMap(([reason, errnos]) =>
    errnos.map(
      (errno): Case => ({
        when: `an answer is refused with errno ${errno}`,
        plane: "ingress",
        reason,
        prepare: layer3,
        run: (h) => h.failing(() => errno).receive({ dst: 0xffff_ffff_ffff, type: ETHERTYPE.arp, payload: question }),
      }),
    ),
  ),
  {
    when: "the gateway is not here",
    plane: "egress",
    reason: "gateway_leak",
    prepare: gateway,
    run: (h) => h.send({ dst: mac(40) }),
  },
  {
    when: "it is for the gateway",
    plane: "ingress",
    reason: "gateway_leak",
    prepare: gateway,
    run: (h) => h.receive({ dst: mac(40) }),
  },
  {
    when: "it is no IP packet",
    plane: "egress",
    reason: "l3_not_ip",
    prepare: layer3,
    run: (h) => h.send({ dst: mac(30) }),
  },
  {
    when: "it is no IP packet",
    plane: "ingress",
    reason: "l3_not_ip",
    prepare: layer3,
    run: (h) => h.receive({ dst: mac(30) }),
  },
  {
    when: "nobody has told the next hop's MAC",
    plane: "egress",
    reason: "no_neighbour",
    prepare: layer3,
    // The third port of the network is the layer-3 one.
    run: (h) => h.egress([{ port: h.b + 1, frame: ipv4({ src: "192.0.2.30", dst: "192.0.2.31" }) }]),
  },
];

const seen = new Set<string>();
for (const build of ["debug", "release"] satisfies Build[]) {
  t.test(`drops (${build} build)`, async (t) => {
    for (const { when, plane, reason, count = 1, txMax, prepare, run } of cases) {
      const h = new Hosts(build, {}, txMax);
      prepare?.(h);
      await h.commit();
      run(h);
      const name = `${plane}: drops with ${reason} when ${when}`;
      if (t.same(h.drops(), { [`${plane}/${reason}`]: count }, name)) seen.add(`${plane}/${reason}`);
      t.same([h.missing("egress"), h.missing("ingress")], [0, 0], `${plane}: the law holds when ${when}`);
    }
  });
}

t.test("drops: every reason of the ABI table is produced above", async (t) => {
  t.same(
    dropRows.map(({ plane, reason }) => `${plane}/${reason}`).filter((row) => !seen.has(row)),
    TUNNEL_DROPS,
  );
});

t.test("guards: what they name passes when the network's guards are off", async (t) => {
  const h = new Hosts("release");
  h.tables.changeNetwork(h.net, {
    flags: ENUM.NETWORK.ACCEPT_ANY,
    vni: 42,
    mtu: 1450,
    ageTicks: 293,
    bumRate: 0,
    bumBurst: 0,
    macsPerPort: 9,
  });
  await h.commit();
  for (const frame of [
    { src: mac(2), dst: mac(2) },
    { ...ip6(icmp6) },
    { ...ip4({ payload: dhcp }) },
    { ...ip6({ payload: udp({ src: 547, dst: 546 }) }) },
  ]) {
    t.match(h.send(frame), [{ kind: "port", port: h.b }]);
  }
  t.match(
    h.receive({}, { address: "203.0.113.77" }),
    [{ kind: "port", port: h.a }],
    "VXLAN from an address that is no VTEP",
  );
  t.same(h.reader.fdb(1000), [], "nothing was learned from it, nor from a container that used another's MAC");
  t.same(h.drops(), {});
});

t.test("guards: leave a container's own questions alone", async (t) => {
  const h = new Hosts("release");
  await h.commit();
  const passing = [
    ip6({ protocol: PROTO.icmp6, payload: Buffer.from([133, 0, 0, 0, 0, 0, 0, 0]) }),
    ip6({ payload: udp({ src: 546, dst: 547 }) }),
    ip4({ payload: udp({ src: 68, dst: 67 }) }),
    ip4({ protocol: PROTO.tcp, payload: tcp({ src: 67, dst: 68 }) }),
    ip6({ chain: Array.from({ length: 8 }, () => [60, options6()] as const) }),
    ip6({ chain: [[44, fragment6(9, true)]], protocol: PROTO.icmp6, payload: routerAdvertisement() }),
  ];
  for (const frame of passing) t.match(h.send(frame), [{ kind: "port", port: h.b }]);
  t.same(h.drops(), {});
});
