/** The TUN device of the tunnel addresses: packets of the host both ways, super-frames included. */
import t from "tap";
import { ip, ipv4, ipv6, mac, PROTO, type VnetHdr, vxlan } from "../frames/build.js";
import { content, type Packet, packetFrame, superFrame } from "../frames/super.js";
import { checksum, pseudo16 } from "../models/checksum.js";
import { type Build, datagramsOf, type Sent } from "../models/rig.js";
import { segment, sends } from "../models/segment.js";
import { paddedLength } from "../models/tunnel.js";
import { opened, type Remote, sealed, TunnelHost } from "../models/tunnel-rig.js";

const BUILDS: readonly Build[] = ["debug", "release"];
const ETH = 14;

/** A host with a device, and the TUN device's view of packets: no Ethernet header, offsets from the IP header. */
class Machine {
  readonly host: TunnelHost;
  readonly tun: number;
  counter = 0n;

  private constructor(host: TunnelHost) {
    this.host = host;
    this.tun = host.device();
  }
  static async open(build: Build, endpoint = "192.0.2.2"): Promise<Machine> {
    const machine = new Machine(await TunnelHost.open(build, false, { addresses: ["fd07::1"], endpoint }));
    const { host } = machine;
    const row = (family: 4 | 6, text: string, length: number) => {
      const octets = family === 4 ? Buffer.concat([Buffer.alloc(10, 0), Buffer.from([255, 255]), ip(text)]) : ip(text);
      return { family, length, key: [0, 4, 8, 12].map((at) => octets.readUInt32BE(at)) as never };
    };
    host.tables.tunnel.setAllowed(host.index, [
      row(4, "10.7.0.2", 32),
      row(4, "192.168.0.0", 16),
      row(6, "fd07::", 64),
    ]);
    await host.commit();
    return machine;
  }
  send(...packets: readonly { frame: Buffer; vnet?: Partial<VnetHdr> }[]): Remote[] {
    const given = packets.map(({ frame, vnet = {} }) => {
      const isOpen = ((vnet.flags ?? 0) & 1) !== 0;
      const shifted = isOpen
        ? { ...vnet, csumStart: (vnet.csumStart ?? 0) - ETH, hdrLen: (vnet.hdrLen ?? ETH) - ETH }
        : vnet;
      return { port: this.tun, frame: frame.subarray(ETH), vnet: shifted };
    });
    return this.host.egress(given).filter((s): s is Remote => s.kind !== "port");
  }
  /** The packet in a message; throws when what is behind it is not zeros up to the right length. */
  inside(message: Buffer): Buffer {
    const { counter, plain } = opened(this.host.session.out, message);
    if (counter !== this.counter++) throw new Error(`counter ${counter}`);
    const length = plain[0]?.toString(16)[0] === "4" ? plain.readUInt16BE(2) : 40 + plain.readUInt16BE(4);
    if (plain.length !== paddedLength(length, 1440) || plain.subarray(length).some((octet) => octet !== 0))
      throw new Error("padding");
    return plain.subarray(0, length);
  }
  receive(packets: readonly Buffer[], from: bigint, tos = 0): Sent[] {
    const messages = packets.map((packet, i) => sealed(this.host.session.in, from + BigInt(i), packet));
    const segLen = messages[0]?.length ?? 0;
    return this.host.ingress([
      { address: "192.0.2.2", payload: Buffer.concat(messages), segLen, tos, wireguard: { port: 51_820 } },
    ]);
  }
}
const towards = (version: 4 | 6): Packet =>
  version === 4 ? { version, src: "10.7.0.1", dst: "192.168.3.4" } : { version, src: "fd07::1", dst: "fd07::99" };
const back = (version: 4 | 6): Packet =>
  version === 4 ? { version, src: "192.168.3.4", dst: "10.7.0.1" } : { version, src: "fd07::99", dst: "fd07::1" };

for (const build of BUILDS) {
  t.test(`${build}: packets of the host, as they are`, async (t) => {
    const m = await Machine.open(build);
    const wrong: string[] = [];
    for (const version of [4, 6] as const) {
      for (const length of [0, 1, 15, 16, 100, 1300, 1371, 1390, 1392, 1411, 1412, 1413, 1500, 9000]) {
        const frame = packetFrame({
          ...towards(version),
          protocol: "udp",
          tos: 0xb8 | (length & 3),
          payload: content(length),
        });
        const [sent, more] = m.send({ frame });
        if (more || sent?.kind !== "peer" || sent.vtep !== m.host.index || sent.tos !== (length & 3))
          wrong.push(`IPv${version}, ${length}: ${sent?.tos}`);
        else if (!m.inside(sent.payload).equals(frame.subarray(ETH))) wrong.push(`IPv${version}, ${length}: octets`);
      }
    }
    t.same(wrong, []);
    t.same(m.host.reader.block("PORT_COUNTERS", m.tun).rxPackets, 28);
    t.same(m.host.reader.block("PEER_COUNTERS", m.host.index).txPackets, 28);
    t.same(m.host.drops(), {});
    m.host.isLawful(t);
  });

  t.test(`${build}: open checksums of the host are finished`, async (t) => {
    const m = await Machine.open(build);
    for (const version of [4, 6] as const) {
      for (const protocol of ["tcp", "udp"] as const) {
        const { frame, vnet } = superFrame({ ...towards(version), protocol, payload: content(333) });
        const [sent] = m.send({ frame, vnet: { ...vnet, gsoType: 0, gsoSize: 0 } });
        const want = packetFrame({ ...towards(version), protocol, payload: content(333) });
        t.same(m.inside(sent?.payload as Buffer), want.subarray(ETH), `IPv${version} ${protocol}`);
      }
    }
    // A checksum further inside, as of a tunnel in the host.
    const frame = packetFrame({ ...towards(4), protocol: "udp", payload: content(100) });
    const [sent] = m.send({ frame, vnet: { flags: 1, csumStart: ETH + 40, csumOffset: 10 } });
    const want = Buffer.from(frame.subarray(ETH));
    const sum = checksum(want.subarray(40));
    want.writeUInt16BE(sum, 50);
    t.same(m.inside(sent?.payload as Buffer), want);
    m.host.isLawful(t);
  });

  t.test(`${build}: super-frames of the host are cut as the twin cuts them`, async (t) => {
    for (const endpoint of ["192.0.2.2", "2001:db8::2"]) {
      const m = await Machine.open(build, endpoint);
      for (const version of [4, 6] as const) {
        for (const [length, gsoSize] of [
          [60_000, 1380],
          [1001, 1000],
          [4000, 1000],
          [65_000, 100],
          [3000, 40],
          [65_000, 33_000],
        ] as const) {
          for (const protocol of ["tcp", "udp"] as const) {
            const made = superFrame({ ...towards(version), protocol, payload: content(length), gsoSize, tos: 2 });
            const cut = segment(made.frame, made.vnet);
            if ("drop" in cut) throw new Error(cut.drop);
            const out = m.send(made);
            const got = out.flatMap(datagramsOf).map((message) => m.inside(message));
            t.ok(
              got.length === cut.segments.length &&
                got.every((p, i) => p.equals((cut.segments[i] as Buffer).subarray(ETH))),
              `IPv${version} ${protocol} ${length}/${gsoSize} to ${endpoint}`,
            );
            const stride = 32 + paddedLength((cut.segments[0] as Buffer).length - ETH, 1440);
            t.same(
              out.map((s) => s.segs),
              sends(got.length, stride, 64, endpoint.includes(":") ? 6 : 4),
            );
            t.ok(out.every((s) => s.tos === 2));
          }
        }
      }
      t.same(m.host.drops(), {});
      m.host.isLawful(t);
    }
  });

  t.test(`${build}: what the host sends in vain`, async (t) => {
    const m = await Machine.open(build);
    const to = (dst: string): Buffer => packetFrame({ ...(dst.includes(":") ? towards(6) : towards(4)), dst });
    const noise = Buffer.concat([Buffer.alloc(ETH), Buffer.alloc(60, 0x77)]);
    const made = superFrame({ ...towards(4), dst: "203.0.113.1" });
    for (const [name, frame, vnet] of [
      ["no_peer", to("203.0.113.1"), {}],
      ["no_peer", to("2001:db8::1"), {}],
      ["no_peer", to("255.255.255.255"), {}],
      ["no_peer", noise, {}],
      ["no_peer", made.frame, made.vnet],
      ["frame_short", Buffer.concat([Buffer.alloc(ETH), Buffer.alloc(19, 0x45)]), {}],
      ["frame_short", Buffer.alloc(ETH), {}],
      ["vnet_hdr", to("10.7.0.2"), { flags: 1, csumStart: 9000, csumOffset: 16 }],
      ["vnet_hdr", to("10.7.0.2"), { flags: 1, csumStart: ETH + 139, csumOffset: 0 }],
      ["vnet_hdr", to("10.7.0.2"), { gsoType: 1, gsoSize: 100 }],
      ["vnet_hdr", superFrame(towards(4)).frame, { ...superFrame(towards(4)).vnet, csumStart: ETH + 24 }],
      ["gso_header", superFrame(towards(4)).frame, { ...superFrame(towards(4)).vnet, gsoType: 4 }],
      ["gso_header", superFrame(towards(4)).frame, { ...superFrame(towards(4)).vnet, gsoSize: 0 }],
    ] as const) {
      const before = m.host.drops()[`egress/${name}`] ?? 0;
      t.same(m.send({ frame, vnet }), [], name);
      t.equal((m.host.drops()[`egress/${name}`] ?? 0) - before, 1, name);
    }
    m.host.isLawful(t);
  });

  t.test(`${build}: packets of a peer, alone and joined`, async (t) => {
    const m = await Machine.open(build);
    let counter = 0n;
    for (const version of [4, 6] as const) {
      const one = packetFrame({ ...back(version), protocol: "udp", tos: 2, payload: content(77) }).subarray(ETH);
      const [got] = m.receive([one], counter++, 3);
      const marked = packetFrame({ ...back(version), protocol: "udp", tos: 3, payload: content(77) }).subarray(ETH);
      t.match(got, { kind: "port", port: m.tun, bytes: one.length });
      t.same(got?.kind === "port" && got.frame, marked, "marked as the way was");
      t.same(got?.kind === "port" && got.vnet, {
        flags: 0,
        gsoType: 0,
        hdrLen: 0,
        gsoSize: 0,
        csumStart: 0,
        csumOffset: 0,
      });
      const pieces = [0, 1, 2, 3, 4].map((i) =>
        packetFrame({
          ...back(version),
          id: i + 1,
          payload: content(1000, i),
          tcp: { seq: 1 + 1000 * i, flags: 16 },
        }).subarray(ETH),
      );
      const [joined, more] = m.receive(pieces, counter);
      counter += 5n;
      if (joined?.kind !== "port" || more) throw new Error("not one super-frame");
      const head = version === 4 ? 20 : 40;
      t.same(joined.vnet, {
        flags: 1,
        gsoType: version === 4 ? 1 : 4,
        hdrLen: head + 20,
        gsoSize: 1000,
        csumStart: head,
        csumOffset: 16,
      });
      t.same(joined.frame.subarray(head + 20), Buffer.concat(pieces.map((p) => p.subarray(head + 20))));
      t.equal(joined.frame.length, version === 4 ? joined.frame.readUInt16BE(2) : 40 + joined.frame.readUInt16BE(4));
      if (version === 4) t.equal(checksum(joined.frame.subarray(0, 20)), 0);
      t.equal(joined.frame.readUInt16BE(head + 16), fold(pseudo16(joined.frame, 6, joined.frame.length - head)));
      t.same([joined.segs, joined.bytes], [5, pieces.reduce((n, p) => n + p.length, 0)]);
    }
    t.same(m.host.reader.block("PORT_COUNTERS", m.tun).txPackets, 12);
    t.same(m.host.reader.block("NETWORK_COUNTERS", 0).txPackets, 0, "of no network");
    t.same(m.host.drops(), {});
    m.host.isLawful(t);
  });

  t.test(
    `${build}: VXLAN to our address is the switch's; an echo request, and what is for others, the host's`,
    async (t) => {
      const m = await Machine.open(build);
      const { host } = m;
      const frame = packetFrame({ srcMac: mac(9), dstMac: mac(1) });
      const message = host.arriving(frame, 0n);
      const [toSwitch] = host.receive(message);
      t.match(toSwitch, { kind: "port", port: host.a });
      const echo = (dst: string): Buffer =>
        ipv4({
          src: "10.7.0.2",
          dst,
          protocol: PROTO.icmp,
          payload: Buffer.concat([Buffer.from([8, 0, 0, 0, 1, 2, 3, 4]), content(20)]),
        });
      const elsewhere = ipv4({
        src: "10.7.0.2",
        dst: "10.1.1.1",
        payload: Buffer.concat([Buffer.from([0, 1, 0x12, 0xb5, 0, 100, 0, 0]), vxlan(42, frame)]),
      });
      for (const [i, packet] of [
        echo("10.7.0.1"),
        echo("10.9.9.9"),
        elsewhere,
        ipv6({ src: "fd07::5", dst: "fd07::1" }),
      ].entries()) {
        const [got, more] = m.receive([packet], BigInt(i + 1));
        t.match(got, { kind: "port", port: m.tun });
        t.same(got?.kind === "port" && got.frame, packet);
        t.notOk(more);
      }
      host.errno = () => 11;
      t.equal(m.receive([echo("10.7.0.1")], 9n).length, 1);
      t.same(host.drops(), { "ingress/port_full": 1 });
      host.isLawful(t);
    },
  );
}

const fold = (sum: number): number => (sum & 0xffff) + (sum >>> 16);
