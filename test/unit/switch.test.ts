/** What the switch does with frames that it forwards: floods, routes, congestion marks, offloads, batches. */

import { ENUM, layout } from "@weft/dataplane-wasm/abi";
import t from "tap";
import {
  arp,
  BROADCAST,
  ETHERTYPE,
  ethernet,
  ipv4,
  ipv6,
  mac,
  neighbour,
  PLAIN,
  PROTO,
  tcp,
  udp,
  vxlan,
} from "../frames/build.js";
import { describeFrame } from "../frames/describe.js";
import { sum16 } from "../models/checksum.js";
import { addressKey, type Build, macKey, mapped, Rig, type Sent } from "../models/rig.js";

const V4 = "192.0.2.9";
const V6 = "2001:db8::9";
const ip4 = (given: Parameters<typeof ipv4>[0]): { type: number; payload: Buffer } => ({
  type: ETHERTYPE.ipv4,
  payload: ipv4(given),
});
const ip6 = (given: Parameters<typeof ipv6>[0]): { type: number; payload: Buffer } => ({
  type: ETHERTYPE.ipv6,
  payload: ipv6(given),
});
/** `port 1` or `vtep 0`, sorted. */
const where = (sent: readonly Sent[]): string[] =>
  sent.map((s) => (s.kind === "port" ? `port ${s.port}` : `vtep ${s.vtep}`)).sort();
/** The frame in an operation, without VXLAN header. */
const inner = (sent: Sent | undefined): Buffer =>
  sent?.kind === "port" ? sent.frame : (sent?.payload.subarray(8) ?? Buffer.alloc(0));

for (const build of ["debug", "release"] satisfies Build[]) {
  t.test(`switch (${build} build)`, async (t) => {
    /** Containers 1, 2, 3 with MACs 1, 2, 3; VTEPs 0 (IPv4) and 1 (IPv6). */
    const open = async (prepare?: (rig: Rig) => void, txMax?: number): Promise<Rig> => {
      const rig = new Rig(build, {}, txMax);
      rig.network({ vni: 42 });
      rig.network({ vni: 43 });
      for (const n of [1, 2, 3]) rig.port(0, mac(n));
      rig.vtep(0, V4);
      rig.vtep(0, V6, 8472);
      prepare?.(rig);
      await rig.commit();
      return rig;
    };
    const isLawful = (rig: Rig, drops: Record<string, number> = {}): void => {
      t.same(rig.drops(), drops);
      t.same([rig.missing("egress"), rig.missing("ingress")], [0, 0], "the law holds");
    };

    t.test(
      "egress: a broadcast goes once to every other port and every VTEP, as VXLAN with the network's VNI",
      async (t) => {
        const rig = await open();
        const frame = ethernet({ src: mac(1), payload: Buffer.from("a frame of forty-six octets as ARP pads it to") });
        const sent = rig.egress([{ port: 0, frame }]);
        t.same(where(sent), ["port 1", "port 2", "vtep 0", "vtep 1"]);
        for (const s of sent) {
          t.same(inner(s), frame, describeFrame(inner(s)));
          if (s.kind === "port") t.same(s.vnet, PLAIN);
          else {
            t.equal(s.payload.toString("hex", 0, 8), "0800000000002a00");
            t.same(
              [s.address, s.udpPort],
              s.vtep === 0 ? [mapped(V4).toString("hex"), 4789] : [mapped(V6).toString("hex"), 8472],
            );
            t.ok(s.vtep === 0 ? s.socket < 16 : s.socket >= 16 && s.socket < 32, `sending socket ${s.socket}`);
          }
        }
        t.same(
          ["in", "made", "out"].map((name) => rig.counter(`${name}_egress` as "in_egress")),
          [1, 3, 4],
        );
        t.equal(rig.counter("flood_egress"), 1);
        isLawful(rig);
      },
    );

    t.test("ingress: a broadcast goes to every port and to no VTEP (split horizon)", async (t) => {
      const rig = await open();
      t.same(where(rig.ingress([{ address: V4, payload: vxlan(42, ethernet({ src: mac(9) })) }])), [
        "port 0",
        "port 1",
        "port 2",
      ]);
      t.equal(rig.counter("flood_ingress"), 1);
      t.same(
        where(rig.ingress([{ address: V6, payload: vxlan(42, ethernet({ src: mac(8), dst: mac(99) })) }])),
        ["port 0", "port 1", "port 2"],
        "nor does unknown unicast",
      );
      isLawful(rig);
    });

    t.test("flooding: a port that is not up gets no copy", async (t) => {
      const rig = await open();
      const port = rig.field("Worker", "ports", rig.address("WORKER")) + layout("Port").size;
      rig.setField("Port", "flags", port, ENUM.PORT.USED);
      t.same(where(rig.egress([{ port: 0, frame: ethernet({ src: mac(1) }) }])), ["port 2", "vtep 0", "vtep 1"]);
      isLawful(rig);
    });

    t.test("networks: the same MACs in two networks do not meet", async (t) => {
      const rig = await open((r) => {
        r.port(1, mac(1));
        r.port(1, mac(2));
        r.vtep(1, V4);
      });
      t.same(where(rig.egress([{ port: 3, frame: ethernet({ src: mac(1), dst: mac(2) }) }])), ["port 4"]);
      t.same(where(rig.egress([{ port: 0, frame: ethernet({ src: mac(1), dst: mac(2) }) }])), ["port 1"]);
      rig.ingress([{ address: V4, payload: vxlan(43, ethernet({ src: mac(9), dst: mac(1) })) }]);
      const sent = rig.egress([
        { port: 3, frame: ethernet({ src: mac(1), dst: mac(9) }) },
        { port: 0, frame: ethernet({ src: mac(1), dst: mac(9) }) },
      ]);
      t.same(where(sent.slice(0, 1)), ["vtep 2"]);
      t.equal(sent[0]?.kind === "vtep" && sent[0].payload.readUIntBE(4, 3), 43);
      t.same(where(sent.slice(1)), ["port 1", "port 2", "vtep 0", "vtep 1"], "MAC 9 is unknown in the first");
      isLawful(rig);
    });

    t.test("learning: an answer goes to one place, and a MAC that moves is followed by the next frame", async (t) => {
      const rig = await open();
      const ask = (): string[] => where(rig.egress([{ port: 0, frame: ethernet({ src: mac(1), dst: mac(9) }) }]));
      const hear = (address: string): void =>
        void rig.ingress([{ address, payload: vxlan(42, ethernet({ src: mac(9), dst: mac(1) })) }]);
      t.equal(ask().length, 4, "unknown: flooded");
      hear(V4);
      t.same(ask(), ["vtep 0"]);
      hear(V6);
      t.same(ask(), ["vtep 1"]);
      rig.egress([{ port: 1, frame: ethernet({ src: mac(9), dst: mac(1) }) }]);
      t.same(ask(), ["port 1"]);
      t.same(where(rig.ingress([{ address: V4, payload: vxlan(42, ethernet({ src: mac(10), dst: mac(9) })) }])), [
        "port 1",
      ]);
      const events = rig.reader
        .events()
        .flatMap((e) =>
          "mac" in e
            ? `${e.kind} ${e.mac.slice(-2)} ${e.owner.kind}:${e.owner.index} ${e.previous.kind}:${e.previous.index}`
            : e.kind,
        );
      t.same(events, ["learned 09 2:0 0:0", "moved 09 2:1 2:0", "moved 09 1:1 2:1", "learned 0a 2:0 0:0"]);
      t.match(rig.reader.block("NETWORK_COUNTERS", 0), { moves: 2, fdbPorts: 1, fdbVteps: 1 });
      isLawful(rig);
    });

    t.test("VLAN tags pass through, one, two or three, and the IP packet behind them is seen", async (t) => {
      const rig = await open();
      for (const tags of [
        [[0x8100, 0x600a]],
        [
          [0x88a8, 7],
          [0x8100, 9],
        ],
        [
          [0x88a8, 7],
          [0x8100, 9],
          [0x8100, 1],
        ],
      ] as const) {
        const frame = ethernet({ src: mac(1), dst: mac(9), tags, ...ip4({ tos: 2 }) });
        const [remote] = rig.egress([{ port: 0, frame }]).filter((s) => s.kind === "vtep");
        t.same(inner(remote), frame);
        t.equal(remote?.kind === "vtep" && remote.tos, 2, "the outer ECN bits follow the packet");
        const back = ethernet({ src: mac(9), dst: mac(1), tags, ...ip4({ tos: 2 }) });
        const [local] = rig.ingress([{ address: V4, payload: vxlan(42, back) }]);
        t.same(inner(local), back);
        rig.exports.flush(0, 0);
      }
      isLawful(rig);
    });

    t.test(
      "ECN: every pair of inner and outer marks gives what RFC 6040 figure 4 says; checksums stay right",
      async (t) => {
        const rig = await open();
        // Rows: inner Not-ECT, ECT(0), ECT(1), CE; columns: outer the same. As the figure prints them.
        const [NOT, ECT1, ECT0, CE] = [0, 1, 2, 3] as const;
        const order = [NOT, ECT0, ECT1, CE];
        const figure = [
          [NOT, NOT, NOT, undefined],
          [ECT0, ECT0, ECT1, CE],
          [ECT1, ECT1, ECT1, CE],
          [CE, CE, CE, CE],
        ];
        let marked = 0;
        for (const version of [4, 6]) {
          for (const [row, own] of order.entries()) {
            for (const [column, outer] of order.entries()) {
              const packet = (ecn: number): Parameters<typeof ethernet>[0] =>
                version === 4 ? ip4({ tos: 0xb8 | ecn, id: row }) : ip6({ trafficClass: 0xb8 | ecn, flow: 0xabcde });
              const want = figure[row]?.[column];
              const before = rig.drops()["ingress/ecn_ce"] ?? 0;
              const [got] = rig.ingress([
                {
                  address: V4,
                  tos: 0xb8 | outer,
                  payload: vxlan(42, ethernet({ src: mac(9), dst: mac(1), ...packet(own) })),
                },
              ]);
              const name = `IPv${version} inner ${own} outer ${outer}`;
              if (want === undefined) {
                t.same([got, rig.drops()["ingress/ecn_ce"]], [undefined, before + 1], name);
                continue;
              }
              t.equal(
                inner(got).toString("hex"),
                ethernet({ src: mac(9), dst: mac(1), ...packet(want) }).toString("hex"),
                name,
              );
              if (version === 4) t.equal(sum16(inner(got).subarray(14, 34)), 0xffff, `${name}: header checksum`);
              if (want === CE && own !== CE) marked++;
            }
            const packet = version === 4 ? ip4({ tos: 0xb8 | own }) : ip6({ trafficClass: 0xb8 | own });
            const sent = rig.egress([{ port: 0, frame: ethernet({ src: mac(1), dst: mac(9), ...packet }) }]);
            t.match(sent, [{ kind: "vtep", tos: own }], `IPv${version} egress ${own}: copied, DSCP 0`);
          }
        }
        t.equal(rig.counter("ecn_marked"), marked);
        t.match(
          rig.egress([
            { port: 0, frame: ethernet({ src: mac(1), dst: mac(9), type: ETHERTYPE.arp, payload: arp({}) }) },
          ]),
          [{ tos: 0 }],
          "ARP",
        );
        isLawful(rig, { "ingress/ecn_ce": 2 });
      },
    );

    t.test(
      "prefix routes: steer packets, ARP requests and neighbour solicitations whose MAC is unknown; the longest wins",
      async (t) => {
        const rig = await open((r) => {
          const add = (kind: "ipv4" | "ipv6", text: string, length: number, index: number): void =>
            r.tables.setRoute(0, { kind, length, key: addressKey(text) }, { kind: "vtep", index }, true);
          add("ipv4", "198.51.100.0", 24, 0);
          add("ipv4", "198.51.100.128", 25, 1);
          add("ipv6", "2001:db8:a::", 48, 0);
          add("ipv6", "2001:db8:a::7", 128, 1);
        });
        const go = (given: Parameters<typeof ethernet>[0]): string[] =>
          where(rig.egress([{ port: 0, frame: ethernet({ src: mac(1), dst: mac(60), ...given }) }]));
        const all = ["port 1", "port 2", "vtep 0", "vtep 1"];
        const ask4 = (given: Parameters<typeof arp>[0]): Parameters<typeof ethernet>[0] => ({
          dst: BROADCAST,
          type: ETHERTYPE.arp,
          payload: arp(given),
        });
        const ask6 = (target: string, src = "2001:db8::1"): Parameters<typeof ethernet>[0] => ({
          dst: 0x3333_ff00_0007,
          ...ip6({ src, dst: "ff02::1:ff00:7", protocol: PROTO.icmp6, payload: neighbour(135, target, mac(1)) }),
        });
        t.same(go(ip4({ dst: "198.51.100.5" })), ["vtep 0"]);
        t.same(go(ip4({ dst: "198.51.100.200" })), ["vtep 1"]);
        t.same(go(ip4({ dst: "203.0.113.1" })), all);
        t.same(go(ip6({ dst: "2001:db8:a::8" })), ["vtep 0"]);
        t.same(go(ip6({ dst: "2001:db8:a::7" })), ["vtep 1"]);
        t.same(go(ask4({ targetIp: "198.51.100.200" })), ["vtep 1"], "ARP request");
        t.same(go({ ...ask4({ targetIp: "198.51.100.200" }), tags: [[0x8100, 3]] }), ["vtep 1"], "tagged ARP request");
        t.same(go(ask4({ senderIp: "198.51.100.9", targetIp: "198.51.100.9" })), all, "gratuitous ARP goes to all");
        t.same(go(ask4({ operation: 2, targetIp: "198.51.100.9" })), all, "so does a broadcast reply");
        t.same(go(ask4({ targetIp: "203.0.113.1" })), all);
        t.same(go(ask6("2001:db8:a::7")), ["vtep 1"], "neighbour solicitation");
        t.same(go(ask6("2001:db8:b::7")), all);
        t.same(go(ask6("2001:db8:a::7", "::")), all, "duplicate address detection asks all");
        t.same(go({ dst: BROADCAST, ...ip4({ dst: "198.51.100.5" }) }), all, "a broadcast packet is for all");
        t.equal(rig.counter("prefix_egress"), 7);
        rig.ingress([{ address: V6, payload: vxlan(42, ethernet({ src: mac(60), dst: mac(1) })) }]);
        t.same(go(ip4({ dst: "198.51.100.5" })), ["vtep 1"], "a learned MAC goes before a prefix");
        isLawful(rig);
      },
    );

    t.test(
      "static MACs: lead where the route says, for frames from ports and from VTEPs, and are not learned elsewhere",
      async (t) => {
        const rig = await open((r) =>
          r.tables.setRoute(0, { kind: "mac", length: 0, key: macKey(mac(50)) }, { kind: "port", index: 2 }, true),
        );
        t.same(where(rig.egress([{ port: 0, frame: ethernet({ src: mac(1), dst: mac(50) }) }])), ["port 2"]);
        t.same(where(rig.ingress([{ address: V4, payload: vxlan(42, ethernet({ src: mac(9), dst: mac(50) })) }])), [
          "port 2",
        ]);
        rig.egress([{ port: 2, frame: ethernet({ src: mac(50), dst: mac(1) }) }]);
        t.same(
          rig.reader.fdb(1000).map((row) => row.mac),
          ["02:00:00:00:00:09"],
          "the container behind the port may use it",
        );
        isLawful(rig);
      },
    );

    t.test(
      "neighbours: are remembered from ARP and neighbour discovery, not from probes or IPv4 packets of protocol 58",
      async (t) => {
        const rig = await open();
        const from = (given: Parameters<typeof ethernet>[0]): unknown =>
          rig.egress([{ port: 0, frame: ethernet({ src: mac(1), ...given }) }]);
        from({ type: ETHERTYPE.arp, payload: arp({ senderIp: "192.0.2.1" }) });
        from({ type: ETHERTYPE.arp, payload: arp({ senderIp: "0.0.0.0", targetIp: "192.0.2.1" }) });
        from(ip6({ src: "2001:db8::5", protocol: PROTO.icmp6, payload: neighbour(135, "2001:db8::6", mac(1)) }));
        from(ip6({ src: "::", protocol: PROTO.icmp6, payload: neighbour(135, "2001:db8::1", mac(1)) }));
        from(ip4({ protocol: PROTO.icmp6, payload: neighbour(135, "2001:db8::99"), sum: "asis" }));
        rig.ingress([
          {
            address: V4,
            payload: vxlan(
              42,
              ethernet({
                src: mac(9),
                ...ip6({ src: "fe80::9", protocol: PROTO.icmp6, payload: neighbour(136, "2001:db8::9", mac(19)) }),
              }),
            ),
          },
        ]);
        const rows = rig.reader
          .neighbours(1000)
          .map(
            (n) =>
              `${n.address.map((w) => w.toString(16)).join(":")} ${n.mac.slice(-2)} ${n.owner.kind}:${n.owner.index}`,
          );
        t.same(rows.sort(), ["0:0:ffff:c0000201 01 1:0", "20010db8:0:0:5 01 1:0", "20010db8:0:0:9 13 2:0"]);
        isLawful(rig);
      },
    );

    t.test("offloads: local switching passes virtio_net_hdr on untouched, super-frames included", async (t) => {
      const rig = await open();
      const csum = { flags: 1, csumStart: 34, csumOffset: 16 };
      const frame = ethernet({
        src: mac(1),
        dst: mac(2),
        ...ip4({ protocol: PROTO.tcp, payload: tcp({ payload: Buffer.alloc(60_000, 7) }), sum: "pseudo" }),
      });
      for (const vnet of [
        csum,
        { ...csum, gsoType: 1, gsoSize: 1400, hdrLen: 54 },
        { ...csum, gsoType: 0x81, gsoSize: 1400, hdrLen: 60_000 },
      ]) {
        const [sent, ...more] = rig.egress([{ port: 0, frame, vnet }]);
        t.same(sent?.kind === "port" && { ...sent.vnet }, { ...PLAIN, ...vnet });
        t.same(inner(sent), frame);
        t.same(more, []);
      }
      const [valid] = rig.egress([{ port: 0, frame, vnet: { flags: 2 } }]);
      t.same(valid?.kind === "port" && valid.vnet, PLAIN, "DATA_VALID is no promise of ours");
      isLawful(rig);
    });

    t.test(
      "offloads: checksums are finished before VXLAN, for TCP, UDP and ICMPv6, on tagged frames too",
      async (t) => {
        const rig = await open();
        rig.ingress([{ address: V4, payload: vxlan(42, ethernet({ src: mac(9), dst: mac(1) })) }]);
        const kinds = [
          [PROTO.tcp, 16, tcp({ payload: Buffer.alloc(777, 3) })],
          [PROTO.udp, 6, udp({ payload: Buffer.alloc(778, 3) })],
        ] as const;
        for (const [protocol, csumOffset, payload] of kinds) {
          for (const tags of [[], [[0x8100, 5]]] as const) {
            for (const [make, l3] of [
              [ip4, 34],
              [ip6, 54],
            ] as const) {
              const frame = (sum: "full" | "pseudo"): Buffer =>
                ethernet({ src: mac(1), dst: mac(9), tags, ...make({ protocol, payload, sum }) });
              const [sent] = rig.egress([
                { port: 0, frame: frame("pseudo"), vnet: { flags: 1, csumStart: l3 + 4 * tags.length, csumOffset } },
              ]);
              t.equal(sent?.kind, "vtep");
              t.equal(
                inner(sent).toString("hex"),
                frame("full").toString("hex"),
                `protocol ${protocol}, transport at ${l3 + 4 * tags.length}`,
              );
            }
          }
        }
        // The payload's last two octets make the sum all ones.
        const packet = ipv4({ payload: udp({ payload: Buffer.alloc(2) }) });
        const word = packet.readUInt16BE(26);
        const zero = udp({ payload: Buffer.from([word >> 8, word & 255]) });
        const frame = ethernet({ src: mac(1), dst: mac(9), ...ip4({ payload: zero, sum: "pseudo" }) });
        const [sent] = rig.egress([{ port: 0, frame, vnet: { flags: 1, csumStart: 34, csumOffset: 6 } }]);
        t.equal(inner(sent).readUInt16BE(40), 0xffff, "UDP: 0 would mean no checksum");
        isLawful(rig);
      },
    );

    t.test("offloads: a flooded frame with an open checksum is finished once, for VTEPs and ports alike", async (t) => {
      const rig = await open();
      const frame = (sum: "full" | "pseudo"): Buffer => ethernet({ src: mac(1), dst: BROADCAST, ...ip4({ sum }) });
      const sent = rig.egress([{ port: 0, frame: frame("pseudo"), vnet: { flags: 1, csumStart: 34, csumOffset: 6 } }]);
      t.equal(sent.length, 4);
      for (const s of sent) {
        t.same(inner(s), frame("full"));
        if (s.kind === "port") t.same(s.vnet, PLAIN);
      }
      isLawful(rig);
    });

    t.test("offloads: a datagram with the pseudo-header sum in place of a checksum is announced as open", async (t) => {
      const rig = await open();
      const cases = [
        [ip4, 34],
        [ip6, 54],
      ] as const;
      for (const [make, l4] of cases) {
        for (const [protocol, csumOffset, payload] of [
          [PROTO.tcp, 16, tcp({})],
          [PROTO.udp, 6, udp({})],
        ] as const) {
          for (const sum of ["full", "pseudo"] as const) {
            const frame = ethernet({ src: mac(9), dst: mac(1), ...make({ protocol, payload, sum }) });
            const [got] = rig.ingress([{ address: V4, payload: vxlan(42, frame) }]);
            t.same(inner(got), frame);
            t.same(
              got?.kind === "port" && got.vnet,
              sum === "full" ? PLAIN : { ...PLAIN, flags: 1, csumStart: l4, csumOffset },
            );
          }
        }
      }
      const none = ethernet({ src: mac(9), dst: mac(1), ...ip4({ sum: "asis" }) });
      t.match(rig.ingress([{ address: V4, payload: vxlan(42, none) }]), [{ vnet: PLAIN }], "UDP checksum 0 means none");
      isLawful(rig);
    });

    t.test(
      "offloads: without a virtio_net_hdr open checksums are finished, and super-frames of a peer dropped",
      async (t) => {
        const rig = await open();
        rig.features(1, 0, false);
        for (const make of [ip4, ip6]) {
          for (const [protocol, payload] of [
            [PROTO.tcp, tcp({})],
            [PROTO.udp, udp({})],
          ] as const) {
            const [open, full] = (["pseudo", "full"] as const).map((sum) =>
              ethernet({ src: mac(9), dst: mac(1), ...make({ protocol, payload, sum }) }),
            ) as [Buffer, Buffer];
            const [got] = rig.ingress([{ address: V4, payload: vxlan(42, open) }]);
            t.same(inner(got), full);
            t.same(got?.kind === "port" && got.vnet, PLAIN);
          }
          const long = make({ protocol: PROTO.tcp, payload: tcp({ payload: Buffer.alloc(60_000, 1) }), sum: "pseudo" });
          t.same(
            rig.ingress([{ address: V4, payload: vxlan(42, ethernet({ src: mac(9), dst: mac(1), ...long })) }]),
            [],
          );
        }
        isLawful(rig, { "ingress/gso_unknown": 2 });
      },
    );

    t.test(
      "offloads: a 64 KB TCP datagram of a kernel peer becomes a super-frame cut to the network's MTU",
      async (t) => {
        const rig = await open();
        const big = {
          protocol: PROTO.tcp,
          payload: tcp({ payload: Buffer.alloc(60_000, 1), options: Buffer.alloc(12, 1) }),
          sum: "pseudo",
        } as const;
        for (const [make, l4, ipLen, gsoType] of [
          [ip4, 34, 20, 1],
          [ip6, 54, 40, 4],
        ] as const) {
          const frame = ethernet({ src: mac(9), dst: mac(1), ...make(big) });
          const [got] = rig.ingress([{ address: V4, payload: vxlan(42, frame) }]);
          t.same(inner(got), frame);
          t.same(got?.kind === "port" && got.vnet, {
            flags: 1,
            gsoType,
            gsoSize: 1450 - ipLen - 32,
            hdrLen: l4 + 32,
            csumStart: l4,
            csumOffset: 16,
          });
        }
        isLawful(rig);
      },
    );

    t.test("UDP_GRO: a buffer of equal datagrams and a shorter last one is undone, each counted", async (t) => {
      const rig = await open();
      const frames = [1, 2, 3, 4].map((i) =>
        ethernet({ src: mac(9), dst: mac(1), payload: Buffer.alloc(i === 4 ? 20 : 100, i) }),
      );
      const payload = Buffer.concat(frames.map((frame) => vxlan(42, frame)));
      const sent = rig.ingress([{ address: V4, payload, segLen: 122 }]);
      t.same(sent.map(inner), frames);
      t.equal(rig.counter("in_ingress"), 4);
      t.match(rig.reader.block("VTEP_COUNTERS", 0), { rxPackets: 4, rxBytes: 3 * 114 + 34 });
      rig.ingress([{ address: V4, payload: payload.subarray(0, 366 + 5), segLen: 122 }]);
      isLawful(rig, { "ingress/frame_short": 1 });
    });

    t.test("a full transmit region: egress and ingress stop, go on after it was sent, and lose nothing", async (t) => {
      const rig = await open(undefined, 6);
      const frames = Array.from({ length: 20 }, (_, i) => ({
        port: i % 3,
        frame: ethernet({ src: mac(1 + (i % 3)), payload: Buffer.alloc(46, i) }),
      }));
      const sent = rig.egress(frames);
      t.equal(sent.length, 80);
      t.equal(rig.resumed, 19, "room for one flood of four at a time");
      const payload = Buffer.concat(
        Array.from({ length: 9 }, (_, i) => vxlan(42, ethernet({ src: mac(9), payload: Buffer.alloc(46, i) }))),
      );
      rig.resumed = 0;
      const datagrams = rig.ingress([
        { address: V4, payload, segLen: 68 },
        { address: V6, payload: payload.subarray(0, 136), segLen: 68 },
      ]);
      t.equal(datagrams.length, 33);
      t.same(
        datagrams.filter((s) => s.kind === "port" && s.port === 0).map((s) => inner(s)[20]),
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1],
      );
      t.ok(rig.resumed > 5, `stopped ${rig.resumed} times`);
      t.same(
        [rig.reader.batchBuckets("egress")[5], rig.reader.batchBuckets("ingress")[1]],
        [1, 1],
        "each counts as one batch",
      );
      t.same(
        ["batch_sum_egress", "batch_sum_ingress", "in_egress", "in_ingress"].map((name) =>
          rig.counter(name as "in_egress"),
        ),
        [20, 2, 20, 11],
      );
      isLawful(rig);
    });

    t.test("counters: ports, VTEPs and networks count frames and octets of both directions", async (t) => {
      const rig = await open();
      const frame = ethernet({ src: mac(1), payload: Buffer.alloc(86) });
      rig.egress([{ port: 0, frame }]);
      rig.errno = (sent) => (sent.kind === "port" && sent.port === 2 ? 105 : 0);
      rig.ingress([{ address: V6, payload: vxlan(42, ethernet({ src: mac(8), payload: Buffer.alloc(186) })) }]);
      t.same(rig.reader.block("PORT_COUNTERS", 0), { rxPackets: 1, rxBytes: 100, txPackets: 1, txBytes: 200 });
      t.same(rig.reader.block("PORT_COUNTERS", 1), { rxPackets: 0, rxBytes: 0, txPackets: 2, txBytes: 300 });
      t.same(
        rig.reader.block("PORT_COUNTERS", 2),
        { rxPackets: 0, rxBytes: 0, txPackets: 1, txBytes: 100 },
        "a refused frame is not counted as sent",
      );
      t.same(rig.reader.block("VTEP_COUNTERS", 0), { rxPackets: 0, rxBytes: 0, txPackets: 1, txBytes: 100 });
      t.same(rig.reader.block("VTEP_COUNTERS", 1), { rxPackets: 1, rxBytes: 200, txPackets: 1, txBytes: 100 });
      t.match(rig.reader.block("NETWORK_COUNTERS", 0), { rxPackets: 1, rxBytes: 100, txPackets: 4, txBytes: 600 });
      isLawful(rig, { "ingress/port_full": 1 });
    });
  });
}
