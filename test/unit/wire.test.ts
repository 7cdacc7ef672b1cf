/**
 * The headers of assembly/wire, one subtest each, on the debug and on the optimised build: octets written by hand from
 * the RFC figures are read, and what is written is compared octet by octet with its surroundings (0xa5) untouched.
 */

import { ENUM } from "@weft/dataplane-wasm/abi";
import t, { type Test } from "tap";
import {
  arp,
  ETHERTYPE,
  ethernet,
  fragment6,
  ipv4,
  ipv6,
  mac,
  neighbour,
  options6,
  PROTO,
  routerAdvertisement,
  tcp,
  udp,
  vnetHdr,
  vxlan,
} from "../frames/build.js";
import { describeFrame } from "../frames/describe.js";
import { checksum, pseudo16, sum16 } from "../models/checksum.js";
import { parseFrame } from "../models/frame.js";
import { randomOf } from "../models/random.js";
import { type Build, Rig } from "../models/rig.js";

const hex = (text: string): Buffer => Buffer.from(text.replace(/[^0-9a-f]/gi, ""), "hex");

for (const build of ["debug", "test"] satisfies Build[]) {
  await t.test(`wire (${build} build)`, async (t) => {
    const rig = new Rig(build);
    const { inner, octets } = rig;
    /** Somewhere in a slot, on an odd address: no getter may count on alignment. */
    const P = rig.address("SLOTS", 1) + 4097;
    const fill = (): void => void octets.fill(0xa5, P - 64, P + 70_000);
    const put = (bytes: Uint8Array): number => {
      fill();
      octets.set(bytes, P);
      return P;
    };
    const u32 = (name: string, ...args: (number | bigint)[]): number =>
      (inner[name] as (...a: unknown[]) => number)(...args) >>> 0;
    const u64 = (name: string, ...args: (number | bigint)[]): bigint =>
      BigInt.asUintN(64, (inner[name] as unknown as (...a: unknown[]) => bigint)(...args));
    const yes = (name: string, ...args: number[]): boolean => u32(name, ...args) === 1;
    /** Nothing but `bytes` at P was written. */
    const isWritten = (t: Test, bytes: Buffer, what: string): void => {
      t.equal(octets.toString("hex", P, P + bytes.length), bytes.toString("hex"), what);
      t.equal(octets.toString("hex", P - 16, P), "a5".repeat(16), `${what}: nothing in front`);
      t.equal(
        octets.toString("hex", P + bytes.length, P + bytes.length + 16),
        "a5".repeat(16),
        `${what}: nothing behind`,
      );
    };

    t.test("bytes: numbers are read and written most significant octet first, at any address", async (t) => {
      put(hex("01 23 45 67 89 ab cd ef"));
      t.equal(u32("be16", P), 0x0123);
      t.equal(u32("be32", P), 0x0123_4567);
      t.equal(u64("be48", P), 0x0123_4567_89abn);
      t.equal(u64("be64", P), 0x0123_4567_89ab_cdefn);
      t.equal(u32("be16", P + 6), 0xcdef, "the top bit is no sign");
      t.equal(u32("be32", P + 4), 0x89ab_cdef);
      for (const [name, value, want] of [
        ["setBe16", 0xfedc, "fedc"],
        ["setBe32", 0xfedc_ba98, "fedcba98"],
      ] as const) {
        fill();
        inner[name]?.(P, value);
        isWritten(t, hex(want), name);
      }
      fill();
      inner.setBe48?.(P, 0xfedc_ba98_7654n);
      isWritten(t, hex("fedcba987654"), "setBe48");
    });

    t.test(
      "ethernet: reads addresses and type, and types behind 802.1Q tags (IEEE 802.3 §3.1.1, 802.1Q §9.6)",
      async (t) => {
        put(hex("33 33 00 00 00 fb  02 00 00 00 00 07  88 a8 00 64  81 00 60 0a  86 dd"));
        t.equal(u64("ethDst", P), 0x3333_0000_00fbn);
        t.equal(u64("ethSrc", P), 0x0200_0000_0007n);
        t.equal(u32("ethEtherType", P, 0), 0x88a8);
        t.equal(u32("ethEtherType", P, 4), 0x8100);
        t.equal(u32("ethEtherType", P, 8), 0x86dd);
        t.same(
          [0x8100, 0x88a8, 0x0800, 0x9100].map((type) => yes("ethIsTag", type)),
          [true, true, false, false],
        );
        t.equal(yes("ethCheck", P, 14), true);
        t.equal(yes("ethCheck", P, 13), false);
        const group = (n: bigint): boolean => u32("ethIsGroup", n) === 1;
        t.equal(group(0xffff_ffff_ffffn), true);
        t.equal(group(0x3333_0000_0001n), true);
        t.equal(group(0x0200_0000_0001n), false);
        t.equal(group(0xfeff_ffff_ffffn), false);
        const reserved = (n: bigint): boolean => u32("ethIsReservedGroup", n) === 1;
        t.equal(reserved(0x0180_c200_0000n), true, "spanning tree");
        t.equal(reserved(0x0180_c200_000fn), true);
        t.equal(reserved(0x0180_c200_0010n), false);
        t.equal(reserved(0x0180_c200_0100n), false);
      },
    );

    t.test("arp: reads an Ethernet/IPv4 request and refuses other kinds (RFC 826)", async (t) => {
      const request = hex("0001 0800 06 04 0001  02 00 00 00 00 01  c0 00 02 01  00 00 00 00 00 00  c0 00 02 fe");
      t.same(arp({ targetIp: "192.0.2.254" }), request, "the builder writes the same");
      put(request);
      t.equal(yes("arpCheck", P, 28), true);
      t.equal(yes("arpCheck", P, 27), false);
      t.equal(u32("arpOperation", P), 1);
      t.equal(u64("arpSenderMac", P), 0x0200_0000_0001n);
      t.equal(u32("arpSenderIp", P), 0xc000_0201);
      t.equal(u32("arpTargetIp", P), 0xc000_02fe);
      for (const [at, value] of [
        [1, 6],
        [2, 0x86],
        [4, 8],
        [5, 16],
      ] as const) {
        put(request);
        octets[P + at] = value;
        t.equal(yes("arpCheck", P, 28), false, `octet ${at} = ${value}`);
      }
    });

    t.test("ipv4: reads every field of a header with options (RFC 791 §3.1)", async (t) => {
      put(
        hex(
          "47 b9 00 24 12 34 20 05 40 11 00 00  c0 00 02 01  cb 00 71 fe  94 04 00 00 01 01 01 00  aa bb cc dd ee ff 00 11",
        ),
      );
      t.equal(yes("ipv4Check", P, 36), true);
      t.equal(yes("ipv4Check", P, 35), false, "total length passes the end");
      t.equal(yes("ipv4Check", P, 19), false);
      t.equal(u32("ipv4HeaderLen", P), 28);
      t.equal(u32("ipv4Tos", P), 0xb9);
      t.equal(u32("ipv4TotalLen", P), 36);
      t.equal(yes("ipv4IsFragment", P), true);
      t.equal(u32("ipv4FragmentOffset", P), 5);
      t.equal(u32("ipv4Proto", P), 17);
      t.equal(u32("ipv4Src", P), 0xc000_0201);
      t.equal(u32("ipv4Dst", P), 0xcb00_71fe);
      const broken: [string, number, number][] = [
        ["version 6", 0, 0x67],
        ["IHL 4", 0, 0x44],
        ["header longer than packet", 0, 0x4f],
        ["total shorter than header", 3, 27],
      ];
      for (const [what, at, value] of broken) {
        octets[P + at] = value;
        t.equal(yes("ipv4Check", P, 36), false, what);
        put(hex("47 b9 00 24 12 34 20 05 40 11 00 00  c0 00 02 01  cb 00 71 fe  94 04 00 00 01 01 01 00"));
      }
      for (const [word, fragment, offset] of [
        [0x4000, false, 0],
        [0x0000, false, 0],
        [0x2000, true, 0],
        [0x0001, true, 1],
        [0x1fff, true, 0x1fff],
      ] as const) {
        octets.writeUInt16BE(word, P + 6);
        t.equal(yes("ipv4IsFragment", P), fragment, `flags and offset ${word.toString(16)}`);
        t.equal(u32("ipv4FragmentOffset", P), offset);
      }
    });

    t.test("ipv4: setTos corrects the header checksum for every old and new value (RFC 1624 §3)", async (t) => {
      let wrong = 0;
      for (let before = 0; before < 256; before += 5) {
        for (let after = 0; after < 256; after++) {
          const header = ipv4({ tos: before, id: before * 256 + after, payload: Buffer.alloc(0) });
          octets.set(header, P);
          inner.ipv4SetTos?.(P, after);
          const now = octets.subarray(P, P + 20);
          if (now[1] !== after || sum16(now) !== 0xffff || now[0] !== 0x45) wrong++;
        }
      }
      t.equal(wrong, 0);
      // Every checksum there is, so that every carry is met.
      const header = ipv4({ tos: 1, payload: Buffer.alloc(0) });
      for (let id = 0; id < 65_536; id++) {
        header.writeUInt16BE(id, 4);
        header.writeUInt16BE(0, 10);
        header.writeUInt16BE(checksum(header), 10);
        for (const tos of [0, 255]) {
          octets.set(header, P);
          inner.ipv4SetTos?.(P, tos);
          if (sum16(octets.subarray(P, P + 20)) !== 0xffff) wrong++;
        }
      }
      t.equal(wrong, 0, "all checksums");
      fill();
      octets.set(ipv4({ payload: Buffer.alloc(0) }), P);
      inner.ipv4SetTos?.(P, 3);
      isWritten(t, ipv4({ tos: 3, payload: Buffer.alloc(0) }), "a header with TOS 3");
    });

    t.test("ipv6: reads every field, and writes the traffic class alone (RFC 8200 §3)", async (t) => {
      put(
        hex(
          "6b 9f ed cb 00 08 3a ff  20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 01  fe 80 00 00 00 00 00 00 02 00 00 ff fe 00 00 02",
        ),
      );
      t.equal(yes("ipv6Check", P, 48), true);
      t.equal(yes("ipv6Check", P, 47), false, "payload passes the end");
      t.equal(yes("ipv6Check", P, 39), false);
      t.equal(u32("ipv6TrafficClass", P), 0xb9);
      t.equal(u32("ipv6PayloadLen", P), 8);
      t.equal(u32("ipv6NextHeader", P), 58);
      t.equal(u64("ipv6SrcHi", P), 0x2001_0db8_0000_0000n);
      t.equal(u64("ipv6SrcLo", P), 1n);
      t.equal(u64("ipv6DstHi", P), 0xfe80_0000_0000_0000n);
      t.equal(u64("ipv6DstLo", P), 0x0200_00ff_fe00_0002n);
      octets[P] = 0x4b;
      t.equal(yes("ipv6Check", P, 48), false, "version 4");
      for (const value of [0, 1, 3, 0x80, 0xb8, 0xff]) {
        const want = ipv6({ trafficClass: value, flow: 0xfedcb });
        put(ipv6({ trafficClass: 0x55, flow: 0xfedcb }));
        inner.ipv6SetTrafficClass?.(P, value);
        isWritten(t, want, `traffic class ${value}`);
        t.equal(u32("ipv6TrafficClass", P), value);
      }
    });

    t.test("ipv6: knows the extension headers and their lengths (RFC 8200 §4, RFC 4302 §2.2)", async (t) => {
      t.same(
        [0, 43, 44, 51, 60].map((kind) => yes("ipv6IsExtension", kind)),
        [true, true, true, true, true],
      );
      t.same(
        [6, 17, 58, 59, 50, 1].map((kind) => yes("ipv6IsExtension", kind)),
        [false, false, false, false, false, false],
      );
      put(hex("3a 02"));
      t.equal(u32("ipv6ExtensionLen", P, 0), 24, "hop-by-hop: (2 + 1) · 8");
      t.equal(u32("ipv6ExtensionLen", P, 60), 24);
      t.equal(u32("ipv6ExtensionLen", P, 51), 16, "authentication: (2 + 2) · 4");
      t.equal(u32("ipv6ExtensionLen", P, 44), 8, "fragment: always 8");
      put(fragment6(185, true));
      t.equal(u32("ipv6FragmentOffset", P), 185);
      t.equal(yes("ipv6MoreFragments", P), true);
      put(fragment6(8191, false));
      t.equal(u32("ipv6FragmentOffset", P), 8191);
      t.equal(yes("ipv6MoreFragments", P), false);
    });

    t.test("udp, tcp: read ports and lengths; tcp options must fit (RFC 768, RFC 9293 §3.1)", async (t) => {
      put(hex("c0 01 12 b5 00 0c ab cd 01 02 03 04"));
      t.same([u32("udpSrcPort", P), u32("udpDstPort", P), u32("udpLength", P)], [0xc001, 4789, 12]);
      t.equal(yes("udpCheck", P, 8), true);
      t.equal(yes("udpCheck", P, 7), false);
      put(hex("ff fe 01 bb 00 00 00 01 00 00 00 02 80 18 ff ff 00 00 00 00 01 01 08 0a 00 00 00 01 00 00 00 02"));
      t.same([u32("tcpSrcPort", P), u32("tcpDstPort", P), u32("tcpHeaderLen", P)], [0xfffe, 443, 32]);
      t.equal(yes("tcpCheck", P, 32), true);
      t.equal(yes("tcpCheck", P, 31), false, "options pass the end");
      t.equal(yes("tcpCheck", P, 19), false);
      octets[P + 12] = 0x40;
      t.equal(yes("tcpCheck", P, 32), false, "data offset 4");
    });

    t.test("icmp: reads neighbour discovery with and without the address option (RFC 4861 §4)", async (t) => {
      put(hex("88 00 00 00 60 00 00 00  20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 09  02 01 02 00 00 00 00 09"));
      t.equal(u32("icmpType", P), 136);
      t.equal(u64("icmpTargetHi", P), 0x2001_0db8_0000_0000n);
      t.equal(u64("icmpTargetLo", P), 9n);
      t.equal(u64("icmpTargetMac", P, 32), 0x0200_0000_0009n);
      t.equal(u64("icmpTargetMac", P, 31), 0n, "option cut off");
      t.equal(u64("icmpTargetMac", P, 24), 0n, "no option");
      octets[P + 24] = 1;
      t.equal(u64("icmpTargetMac", P, 32), 0n, "a source address option is another thing");
      octets[P + 24] = 2;
      octets[P + 25] = 2;
      t.equal(u64("icmpTargetMac", P, 32), 0n, "an option of 16 octets holds no Ethernet address");
      t.equal(yes("icmpCheck", P, 4), true);
      t.equal(yes("icmpCheck", P, 3), false);
    });

    t.test("vxlan: writes eight octets and reads them back; only the I flag counts (RFC 7348 §5)", async (t) => {
      for (const [vni, want] of [
        [1, "08000000 00000100"],
        [0x12_3456, "08000000 12345600"],
        [0xff_ffff, "08000000 ffffff00"],
      ] as const) {
        fill();
        inner.vxlanWrite?.(P, vni);
        isWritten(t, hex(want), `VNI ${vni}`);
        t.equal(u32("vxlanVni", P), vni);
        t.equal(yes("vxlanHasVni", P), true);
      }
      put(hex("f7 ff ff ff 00 00 2a ff"));
      t.equal(yes("vxlanHasVni", P), false, "every bit but I");
      t.equal(u32("vxlanVni", P), 42, "the last octet is reserved");
      put(hex("88 00 00 00 00 00 2a 00"));
      t.equal(yes("vxlanHasVni", P), true, "reserved bits are ignored");
      t.equal(yes("vxlanCheck", P, 8), true);
      t.equal(yes("vxlanCheck", P, 7), false);
    });

    t.test("virtio: writes ten octets little-endian and reads them back (linux/virtio_net.h)", async (t) => {
      fill();
      inner.virtioWrite?.(P, 1, 0x84, 0x1234, 0x5678, 0x9abc, 0xdef0);
      isWritten(t, hex("01 84 3412 7856 bc9a f0de"), "virtio_net_hdr");
      t.same(
        vnetHdr({ flags: 1, gsoType: 0x84, hdrLen: 0x1234, gsoSize: 0x5678, csumStart: 0x9abc, csumOffset: 0xdef0 }),
        hex("01843412 7856bc9af0de"),
      );
      t.same(
        ["virtioFlags", "virtioGsoType", "virtioHdrLen", "virtioGsoSize", "virtioCsumStart", "virtioCsumOffset"].map(
          (name) => u32(name, P),
        ),
        [1, 0x84, 0x1234, 0x5678, 0x9abc, 0xdef0],
      );
    });

    t.test("checksum: the example of RFC 1071 §3 gives ddf2", async (t) => {
      put(hex("00 01 f2 03 f4 f5 f6 f7"));
      t.equal(u32("checksumSum", P, 8), 0xddf2);
      t.equal(sum16(hex("00 01 f2 03 f4 f5 f6 f7")), 0xddf2, "the twin agrees");
      t.equal(u32("checksumSum", P, 0), 0);
    });

    t.test("checksum: equals the twin for every length 0..200 at every offset mod 16, and for 64 KiB", async (t) => {
      const random = randomOf(7);
      const data = Buffer.from(Array.from({ length: 66_000 }, () => random() & 255));
      let wrong = "";
      const base = rig.address("SLOTS", 1) + 4096;
      for (let offset = 0; offset < 16; offset++) {
        octets.fill(0xa5, base, base + 512);
        octets.set(data.subarray(0, 200), base + offset);
        for (let len = 0; len <= 200; len++) {
          octets.fill(0xa5, base + offset + len, base + offset + 216);
          if (u32("checksumSum", base + offset, len) !== sum16(data.subarray(0, len)))
            wrong ||= `length ${len} at ${offset}`;
          octets.set(data.subarray(len, 200), base + offset + len);
        }
      }
      t.equal(wrong, "");
      octets.set(data, P);
      for (const len of [65_535, 65_534, 65_549, 32_768, 1514, 1023])
        t.equal(u32("checksumSum", P, len), sum16(data.subarray(0, len)), `${len} octets`);
      octets.fill(0xff, P, P + 65_549);
      t.equal(u32("checksumSum", P, 65_549), sum16(Buffer.alloc(65_549, 0xff)), "lanes do not overflow on all ones");
      for (const seed of [0, 1, 0xffff, 0x1_0000, 0xffff_ffff]) {
        const le = u64("checksumSumLe", P, 100, seed | 0) - u64("checksumSumLe", P, 100, 0);
        t.equal(le, BigInt(seed), `seed ${seed} is added`);
      }
      for (const value of [0n, 1n, 0xffffn, 0x1_0000n, 0xffff_ffffn, 0x1_ffff_ffffn, 0xffff_ffff_ffff_ffffn]) {
        const want = value === 0n ? 0 : Number(value % 0xffffn) || 0xffff;
        t.equal(u32("checksumFold", value), want, `fold ${value.toString(16)}`);
      }
    });

    t.test(
      "checksum: pseudo-header sums equal the twin for IPv4 and IPv6 (RFC 9293 §3.1, RFC 8200 §8.1)",
      async (t) => {
        const random = randomOf(9);
        let wrong = 0;
        for (let i = 0; i < 300; i++) {
          const four = Buffer.from(ipv4({ payload: udp({}) }));
          const six = Buffer.from(ipv6({ payload: udp({}) }));
          for (let j = 12; j < 20; j++) four[j] = i === 0 ? 255 : random() & 255;
          for (let j = 8; j < 40; j++) six[j] = i === 0 ? 255 : random() & 255;
          const [proto, length] = [random() & 255, random() & 0xffff];
          octets.set(four, P);
          if (u32("checksumPseudo4", P, proto, length) !== pseudo16(four, proto, length)) wrong++;
          octets.set(six, P);
          if (u32("checksumPseudo6", P, proto, length) !== pseudo16(six, proto, length)) wrong++;
        }
        t.equal(wrong, 0);
      },
    );

    t.test(
      "checksum: finish() completes what the kernel left open; UDP 0 becomes ffff, TCP 0 stays (RFC 768)",
      async (t) => {
        for (const [what, make] of [
          ["ipv4", ipv4],
          ["ipv6", ipv6],
        ] as const) {
          for (const [proto, field, header] of [
            [PROTO.tcp, 16, tcp],
            [PROTO.udp, 6, udp],
          ] as const) {
            for (const size of [0, 1, 2, 63, 64, 1399, 60_000]) {
              const payload = header({ payload: Buffer.alloc(size, 0x5b) });
              const packet = { protocol: proto, payload };
              const frame = (sum: "full" | "pseudo"): Buffer =>
                ethernet({ type: what === "ipv4" ? 0x0800 : 0x86dd, payload: make({ ...packet, sum }) });
              put(frame("pseudo"));
              const start = frame("full").length - payload.length;
              inner.checksumFinish?.(P, frame("full").length, start, field);
              isWritten(t, frame("full"), `${what} protocol ${proto}, ${size} octets`);
            }
            // A payload whose last word makes the sum all ones, so that the checksum is 0.
            const zero = Buffer.from(make({ protocol: proto, payload: header({ payload: Buffer.alloc(2) }) }));
            const at = zero.length - (proto === PROTO.tcp ? 22 : 10);
            const was = zero.readUInt16BE(at + field);
            zero.writeUInt16BE(was, zero.length - 2);
            const length = zero.length - at;
            zero.writeUInt16BE(pseudo16(zero, proto, length), at + field);
            put(zero);
            inner.checksumFinish?.(P, zero.length, at, field);
            t.equal(
              octets.readUInt16BE(P + at + field),
              proto === PROTO.udp ? 0xffff : 0,
              `${what} protocol ${proto}: checksum 0`,
            );
          }
        }
      },
    );

    t.test("checksum: a whole packet with the right checksum sums to ffff", async (t) => {
      const packet = ipv4({ payload: Buffer.alloc(0) });
      put(packet);
      t.equal(u32("checksumSum", P, 20), 0xffff);
      octets[P + 15]! ^= 1;
      t.not(u32("checksumSum", P, 20), 0xffff);
      t.equal(checksum(packet), 0);
    });

    t.test("parse: equals the twin on every kind of frame, cut off at every octet", async (t) => {
      let wrong = "";
      let count = 0;
      for (const frame of samples()) {
        for (let len = 14; len <= frame.length; len++) {
          fill();
          octets.set(frame.subarray(0, len), P);
          const desc = rig.address("RX_DESCS", 3);
          octets.fill(0xa5, desc, desc + 128);
          rig.setField("RxDesc", "frame", desc, P);
          rig.setField("RxDesc", "frameLen", desc, len);
          inner.parseDesc?.(0, 3);
          const field = (name: string): number => rig.field("RxDesc", name, desc);
          const flags = field("l3Flags");
          const has = (bit: number): boolean => (flags & bit) !== 0;
          const want = parseFrame(frame.subarray(0, len));
          const got = {
            dst: want.dst,
            src: want.src,
            etherType: field("etherType"),
            l3: field("l3Off"),
            version: field("ipVersion"),
            protocol: field("ipProto"),
            l4: has(ENUM.L3.L4) ? field("l4Off") : 0,
            fragment: has(ENUM.L3.FRAGMENT),
            chainBad: has(ENUM.L3.CHAIN_BAD),
          };
          count++;
          if (wrong === "" && JSON.stringify(got) !== JSON.stringify(want)) {
            wrong = `${describeFrame(frame.subarray(0, len))}\n got ${JSON.stringify(got)}\nwant ${JSON.stringify(want)}`;
          }
        }
      }
      t.equal(wrong, "");
      t.ok(count > 1500, `${count} frames`);
    });

    t.test("parse: the flow hash is the same both ways, differs by flow, and ignores ports in fragments", async (t) => {
      const hash = (frame: Buffer): number => {
        octets.set(frame, P);
        const desc = rig.address("RX_DESCS", 3);
        rig.setField("RxDesc", "frame", desc, P);
        rig.setField("RxDesc", "frameLen", desc, frame.length);
        inner.parseDesc?.(0, 3);
        return rig.field("RxDesc", "hash", desc);
      };
      const [a, b] = [mac(1), mac(2)];
      for (const version of [4, 6] as const) {
        const [x, y] = version === 4 ? ["192.0.2.1", "198.51.100.7"] : ["2001:db8::1", "2001:db8:5::7"];
        const packet = (src: string, dst: string, sport: number, dport: number, fragment = 0): Buffer =>
          version === 4
            ? ipv4({ src, dst, fragment, payload: udp({ src: sport, dst: dport }) })
            : ipv6({
                src,
                dst,
                chain: fragment === 0 ? [] : [[44, fragment6(0, true)]],
                payload: udp({ src: sport, dst: dport }),
              });
        const type = version === 4 ? ETHERTYPE.ipv4 : ETHERTYPE.ipv6;
        const there = hash(ethernet({ src: a, dst: b, type, payload: packet(x, y, 1000, 53) }));
        t.equal(
          hash(ethernet({ src: b, dst: a, type, payload: packet(y, x, 53, 1000) })),
          there,
          `IPv${version}: both ways`,
        );
        const part = (port: number): number =>
          hash(ethernet({ src: a, dst: b, type, payload: packet(x, y, port, 53, 0x2000) }));
        t.equal(part(1000), part(2000), `IPv${version}: fragments of one pair of hosts`);
        const sockets = new Map<number, number>();
        for (let port = 1000; port < 2600; port++) {
          const socket = hash(ethernet({ src: a, dst: b, type, payload: packet(x, y, port, 53) })) & 15;
          sockets.set(socket, (sockets.get(socket) ?? 0) + 1);
        }
        t.equal(sockets.size, 16, `IPv${version}: flows spread over all sending sockets`);
        t.ok(
          [...sockets.values()].every((n) => n > 50 && n < 200),
          `IPv${version}: evenly: ${[...sockets.values()]}`,
        );
      }
      const other = hash(ethernet({ src: a, dst: b }));
      t.equal(hash(ethernet({ src: b, dst: a })), other, "frames without IP: both ways");
      t.not(hash(ethernet({ src: a, dst: mac(3) })), other);
    });
  });
}

/** One frame of every shape that the parser tells apart. */
function samples(): Buffer[] {
  const four = (given: Parameters<typeof ipv4>[0]): Buffer => ethernet({ type: ETHERTYPE.ipv4, payload: ipv4(given) });
  const six = (given: Parameters<typeof ipv6>[0]): Buffer => ethernet({ type: ETHERTYPE.ipv6, payload: ipv6(given) });
  const options = tcp({ options: Buffer.alloc(12, 1) });
  const auth = Buffer.alloc(16);
  auth[1] = 2;
  const tags = [
    [0x88a8, 100],
    [0x8100, 10],
  ] as const;
  const long = Array.from({ length: 9 }, () => [60, options6()] as const);
  return [
    ethernet({}),
    ethernet({ tags }),
    ethernet({ tags: [...tags, [0x8100, 1]] }),
    ethernet({ type: ETHERTYPE.arp, payload: arp({}) }),
    ethernet({ tags: [[0x8100, 5]], type: ETHERTYPE.arp, payload: arp({ operation: 2 }) }),
    four({}),
    four({ protocol: PROTO.tcp, payload: options }),
    four({ options: Buffer.alloc(40, 1), protocol: PROTO.tcp, payload: tcp({}) }),
    four({ protocol: PROTO.icmp, payload: Buffer.alloc(12, 8) }),
    four({ protocol: 132, payload: Buffer.alloc(12) }),
    four({ fragment: 0x2000 }),
    four({ fragment: 0x2010 }),
    four({ fragment: 0x0010 }),
    four({ fragment: 0x4000 }),
    ethernet({ tags, type: ETHERTYPE.ipv4, payload: ipv4({ protocol: PROTO.tcp, payload: options }) }),
    ethernet({ type: ETHERTYPE.ipv4, payload: Buffer.concat([ipv4({}), Buffer.alloc(20, 0xcc)]) }),
    six({}),
    six({ protocol: PROTO.tcp, payload: options }),
    six({ protocol: PROTO.icmp6, payload: routerAdvertisement() }),
    six({ protocol: PROTO.icmp6, payload: neighbour(135, "2001:db8::2", mac(1)) }),
    six({ protocol: 59, payload: Buffer.alloc(4) }),
    six({
      chain: [
        [0, options6()],
        [60, options6(3)],
        [43, options6(2)],
      ],
      protocol: PROTO.tcp,
      payload: tcp({}),
    }),
    six({ chain: [[51, auth]], protocol: PROTO.icmp6, payload: routerAdvertisement() }),
    six({ chain: [[44, fragment6(0, true)]] }),
    six({
      chain: [
        [44, fragment6(0, false)],
        [60, options6()],
      ],
    }),
    six({ chain: [[44, fragment6(3, true)]], protocol: 60, payload: Buffer.alloc(16) }),
    six({ chain: [[44, fragment6(0, true)]], protocol: PROTO.icmp6, payload: Buffer.alloc(0) }),
    six({ chain: long.slice(0, 8), protocol: PROTO.icmp6, payload: routerAdvertisement() }),
    six({ chain: long }),
    ethernet({ tags, type: ETHERTYPE.ipv6, payload: ipv6({ chain: [[0, options6()]] }) }),
    ethernet({ type: ETHERTYPE.ipv4, payload: vxlan(1, Buffer.alloc(30)) }),
  ];
}
