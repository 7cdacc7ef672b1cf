/** Super-frames towards VTEPs, and small frames that share a send: against the plain twin, debug and release builds. */

import fc from "fast-check";
import t, { type Test } from "tap";
import { BROADCAST, mac, options6, TCP, type VnetHdr, vxlan } from "../frames/build.js";
import { content, type Packet, packetFrame, superFrame } from "../frames/super.js";
import { type Build, datagramsOf, type FromPort, macKey, Rig, type Sent } from "../models/rig.js";
import { segment, sends } from "../models/segment.js";

const BUILDS: readonly Build[] = ["debug", "release"];
/** Runs of each property. */
const RUNS = process.env.WEFT_TEST_LONG === "1" ? 3000 : 60;
type Remote = Extract<Sent, { kind: "vtep" }>;
type Super = Packet & { readonly gsoSize?: number };

/** Two containers, a VTEP over IPv4 (mac 9) and one over IPv6 (mac 8). */
class Hosts extends Rig {
  readonly net = this.network({ mtu: 1450 });
  readonly a = this.port(this.net, mac(1));
  readonly b = this.port(this.net, mac(2));
  readonly v4 = this.vtep(this.net, "192.0.2.9");
  readonly v6 = this.vtep(this.net, "2001:db8::9");

  static async open(build: Build, gsoSegments = 64): Promise<Hosts> {
    const h = new Hosts(build).features(gsoSegments, 0);
    for (const [n, index] of [
      [9, h.v4],
      [8, h.v6],
    ] as const)
      h.tables.setRoute(h.net, { kind: "mac", length: 0, key: macKey(mac(n)) }, { kind: "vtep", index }, true);
    await h.commit();
    return h;
  }
  send(...frames: { frame: Buffer; vnet?: Partial<VnetHdr> }[]): Remote[] {
    return this.sendAll(frames).filter((s): s is Remote => s.kind === "vtep");
  }
  sendAll(frames: readonly { frame: Buffer; vnet?: Partial<VnetHdr> }[]): Sent[] {
    return this.egress(frames.map(({ frame, vnet }): FromPort => ({ port: this.a, frame, ...(vnet ? { vnet } : {}) })));
  }
  isLawful(t: Test, name: string): void {
    t.same([this.missing("egress"), this.missing("ingress")], [0, 0], `${name}: the law holds`);
  }
}

/** The datagrams that a super-frame must become. */
function wanted(frame: Buffer, vnet: Pick<VnetHdr, "gsoType" | "gsoSize">): Buffer[] {
  const cut = segment(frame, vnet);
  if ("drop" in cut) throw new Error(`the twin drops it: ${cut.drop}`);
  return cut.segments.map((inner) => vxlan(42, inner));
}
/** "" when both lists hold the same datagrams, else where they differ. */
function difference(got: readonly Buffer[], want: readonly Buffer[]): string {
  if (got.length !== want.length) return `${got.length} datagrams, not ${want.length}`;
  const i = got.findIndex((one, n) => !one.equals(want[n] as Buffer));
  if (i < 0) return "";
  const [a, b] = [got[i] as Buffer, want[i] as Buffer];
  const at = a.findIndex((octet, n) => octet !== b[n]);
  return `datagram ${i} from octet ${at}: ${a.toString("hex", at, at + 32)}, not ${b.toString("hex", at, at + 32)}`;
}
const sorted = (octets: readonly Buffer[]): Buffer[] => [...octets].sort(Buffer.compare);
const onWire = (sent: readonly Remote[]): Buffer[] => sent.flatMap(datagramsOf);

const shapes: readonly (readonly [string, Super])[] = [
  ["TCP over IPv4", {}],
  ["TCP over IPv6", { version: 6 }],
  ["UDP over IPv4", { protocol: "udp" }],
  ["UDP over IPv6", { protocol: "udp", version: 6 }],
  ["behind a VLAN tag", { tags: [[0x8100, 7]] }],
  ["behind two tags", { version: 6, tags: [[0x88a8, 7], [0x8100, 9]] }], // biome-ignore format: one line each
  ["with IPv4 options", { options: Buffer.alloc(12, 1) }],
  ["with TCP options", { tcp: { options: Buffer.alloc(12, 1) } }],
  ["with the longest IPv4 and TCP options", { options: Buffer.alloc(40, 1), tcp: { options: Buffer.alloc(40, 1) } }],
  [
    "behind IPv6 extension headers",
    {
      version: 6,
      chain: [
        [0, options6()],
        [60, options6(3)],
      ],
    },
  ],
  ["with FIN, PSH, URG and a pointer", { tcp: { flags: TCP.ack | TCP.psh | TCP.fin | TCP.urg, urgent: 3 } }],
  ["with CWR and ECE", { version: 6, tcp: { flags: TCP.ack | TCP.cwr | TCP.ece } }],
  ["with a sequence number and an identification that turn over", { id: 0xfffe, tcp: { seq: 0xffff_fc00 } }],
  ["whose last piece is one octet", { payload: content(4001) }],
  ["whose pieces are one octet each", { payload: content(300), gsoSize: 1 }],
  ["of exactly two pieces", { payload: content(2000) }],
  ["of one piece", { payload: content(1000) }],
  ["with pieces of odd length", { payload: content(30_001), gsoSize: 1447 }],
  ["as long as one can be", { payload: content(65_535 - 40), gsoSize: 1398 }],
  [
    "as long as one can be, UDP over IPv6",
    { protocol: "udp", version: 6, payload: content(65_535 - 48), gsoSize: 1382 },
  ],
  ["whose pieces fill a datagram of 64 KB", { payload: content(65_535 - 40), gsoSize: 65_000 }],
  ["with a congestion mark", { tos: 3 }],
];

for (const build of BUILDS) {
  t.test(`segmentation: every kind of super-frame becomes what the twin says (${build} build)`, async (t) => {
    for (const [name, given] of shapes) {
      for (const to of [9, 8]) {
        for (const most of [1, 7, 64, 128]) {
          const h = await Hosts.open(build, most);
          const { frame, vnet } = superFrame({ ...given, dstMac: mac(to) });
          const want = wanted(frame, vnet);
          const sent = h.send({ frame, vnet });
          const what = `${name}, to mac ${to}, ${most} in a send`;
          const got = onWire(sent);
          if (!t.equal(difference(got, want), "", what)) return;
          const each = sends(want.length, (want[0] as Buffer).length, most, to === 9 ? 4 : 6);
          t.same(
            sent.map((s) => s.segs),
            each,
            `${what}: sends`,
          );
          t.same(
            sent.map((s) => s.gsoSize),
            each.map((n) => (n === 1 ? 0 : (want[0] as Buffer).length)),
            `${what}: UDP_SEGMENT sizes`,
          );
          checkCounts(t, h, what, frame, want, to === 9 ? h.v4 : h.v6);
        }
      }
    }
  });

  t.test(`segmentation: hdr_len and the ECN bit of the type are not believed (${build} build)`, async (t) => {
    for (const hdrLen of [0, 14, 54, 1500, 0xffff]) {
      const h = await Hosts.open(build);
      const { frame, vnet } = superFrame({ tcp: { flags: TCP.ack | TCP.cwr } });
      const sent = h.send({ frame, vnet: { ...vnet, hdrLen, gsoType: 0x81 } });
      t.equal(difference(onWire(sent), wanted(frame, vnet)), "", `hdr_len ${hdrLen}`);
    }
  });

  t.test(`segmentation: a super-frame for a local port stays as it is (${build} build)`, async (t) => {
    const h = await Hosts.open(build);
    for (const [name, given] of shapes) {
      const { frame, vnet } = superFrame({ ...given, dstMac: mac(2) });
      const ecn = { ...vnet, gsoType: vnet.gsoType | 0x80 };
      const [local, ...more] = h.sendAll([{ frame, vnet: ecn }]);
      t.same(more, [], name);
      t.match(local, { kind: "port", port: h.b, vnet: ecn, segs: 1 }, name);
      t.ok(local?.kind === "port" && local.frame.equals(frame), `${name}: octet for octet`);
    }
    t.equal(h.counter("super_frames_egress"), 0);
    h.isLawful(t, "local");
  });

  t.test(
    `segmentation: a flooded super-frame goes to every VTEP in pieces and to ports whole (${build} build)`,
    async (t) => {
      const h = await Hosts.open(build, 3);
      const { frame, vnet } = superFrame({ protocol: "udp", dstMac: BROADCAST });
      const sent = h.sendAll([{ frame, vnet }]);
      const want = wanted(frame, vnet);
      for (const index of [h.v4, h.v6]) {
        const own = sent.filter((s): s is Remote => s.kind === "vtep" && s.vtep === index);
        t.equal(difference(onWire(own), want), "", `VTEP ${index}`);
      }
      const local = sent.filter((s) => s.kind === "port");
      t.match(local, [{ port: h.b, vnet }]);
      t.ok(local[0]?.kind === "port" && local[0].frame.equals(frame), "the port's copy is untouched");
      t.equal(h.counter("made_egress"), 2 * want.length + 1 - 1);
      t.equal(h.counter("out_egress"), 2 * want.length + 1);
      t.equal(h.counter("super_frames_egress"), 1);
      h.isLawful(t, "flood");
    },
  );

  t.test(`segmentation: what the kernel takes of a send goes out, the rest is dropped (${build} build)`, async (t) => {
    for (const [name, answer, reason] of [
      ["a short count without an error", { taken: 2 }, "egress/udp_full"],
      ["nothing at all", { errno: 11 }, "egress/udp_full"],
      ["too long", { errno: 90 }, "egress/udp_too_big"],
      ["no route", { errno: 101 }, "egress/udp_unreachable"],
      ["not allowed", { errno: 1 }, "egress/udp_refused"],
    ] as const) {
      const h = await Hosts.open(build, 64);
      const { frame, vnet } = superFrame({});
      const want = wanted(frame, vnet);
      const length = (want[0] as Buffer).length;
      if ("taken" in answer) h.taken = () => answer.taken * length;
      else h.errno = () => answer.errno;
      h.send({ frame, vnet });
      const went = "taken" in answer ? answer.taken : 0;
      t.same(h.drops(), { [reason]: want.length - went }, name);
      t.equal(h.counter("out_egress"), went, `${name}: sent`);
      const block = h.reader.block("VTEP_COUNTERS", h.v4);
      t.match(block, { txPackets: went, txBytes: went * (length - 8) }, `${name}: VTEP's counters`);
      h.isLawful(t, name);
    }
  });

  t.test(`segmentation: header areas are emptied in time, whatever comes in a batch (${build} build)`, async (t) => {
    for (const [name, frames] of [
      [
        "one frame fills them, then one of a single piece",
        [
          [2048, 1],
          [100, 1000],
        ],
      ],
      ["one after the other", Array.from({ length: 40 }, () => [60_000, 500])],
      ["plain frames between", Array.from({ length: 60 }, (_, i) => (i % 2 === 0 ? [2000, 1] : [1, 0]))],
      ["many that fill them", Array.from({ length: 24 }, () => [2048, 1])],
    ] as const) {
      const h = await Hosts.open(build, 128);
      const given = frames.map(([length, gsoSize], i) => {
        const packet = { payload: content(length as number, i), ports: [i, 9] as const };
        return gsoSize === 0 ? { frame: packetFrame(packet) } : superFrame({ ...packet, gsoSize: gsoSize as number });
      });
      const want = given.flatMap((one) => ("vnet" in one ? wanted(one.frame, one.vnet) : [vxlan(42, one.frame)]));
      // Frames of one flow leave one socket in order; here each flow is one frame.
      t.equal(difference(sorted(onWire(h.send(...given))), sorted(want)), "", name);
      h.isLawful(t, name);
      t.same(h.drops(), {}, name);
    }
  });

  t.test(`segmentation: random super-frames (${build} build)`, async (t) => {
    const h = await Hosts.open(build, 64);
    const inner = fc.record({
      version: fc.constantFrom(4 as const, 6 as const),
      protocol: fc.constantFrom("tcp" as const, "udp" as const),
      dstMac: fc.constantFrom(mac(9), mac(8), BROADCAST),
      tags: fc.constantFrom(
        [],
        [[0x8100, 5]] as const,
        [
          [0x88a8, 1],
          [0x8100, 2],
        ] as const,
      ),
      tos: fc.nat(255),
      ttl: fc.nat(255),
      id: fc.nat(0xffff),
      options: fc.constantFrom(0, 0, 4, 40).map((n) => Buffer.alloc(n, 1)),
      chain: fc.constantFrom([], [], [[60, options6(2)]] as const),
      flow: fc.nat(0xfffff),
      ports: fc.tuple(fc.nat(0xffff), fc.integer({ min: 1024, max: 0xffff })),
      tcp: fc.record({
        seq: fc.nat(0xffff_ffff),
        ack: fc.nat(0xffff_ffff),
        flags: fc.nat(255),
        reserved: fc.nat(15),
        window: fc.nat(0xffff),
        urgent: fc.nat(0xffff),
        options: fc.constantFrom(0, 12, 40).map((n) => Buffer.alloc(n, 1)),
      }),
      payload: fc
        .tuple(fc.constantFrom(1, 2, 999, 3000, 20_000, 60_000), fc.nat(200), fc.nat())
        .map(([n, more, seed]) => content(n + more, seed)),
      gsoSize: fc.oneof(
        fc.integer({ min: 1, max: 2000 }),
        fc.integer({ min: 500, max: 1460 }),
        fc.integer({ min: 1, max: 0xffff }),
      ),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(inner, { minLength: 1, maxLength: 6 }),
        fc.constantFrom(1, 2, 64, 128),
        async (list, most) => {
          h.features(most, 0);
          const given = list.map(superFrame);
          const before = [
            h.drops(),
            h.counter("super_frames_egress"),
            h.counter("out_egress"),
            h.counter("made_egress"),
          ] as const;
          const sent = h.send(...given);
          const results = given.map(({ frame, vnet }) => segment(frame, vnet));
          for (const index of [h.v4, h.v6]) {
            const mine = results.flatMap((cut, i) => {
              const to = list[i]?.dstMac;
              const isTo = to === BROADCAST || to === (index === h.v4 ? mac(9) : mac(8));
              return isTo && "segments" in cut ? cut.segments.map((one) => vxlan(42, one)) : [];
            });
            const own = sent.filter((s) => s.vtep === index);
            // By socket, order holds; between sockets there is none.
            const wrong = difference(sorted(onWire(own)), sorted(mine));
            if (wrong !== "") throw new Error(`VTEP ${index}: ${wrong}`);
            for (const s of own) checkShape(s, most);
          }
          const dropped = results.filter((cut) => "drop" in cut).length;
          const after = h.drops();
          if (total(after) - total(before[0]) !== dropped)
            throw new Error(`${JSON.stringify(after)}: ${dropped} expected`);
          if (h.counter("super_frames_egress") - before[1] !== given.length - dropped)
            throw new Error("super_frames_egress");
          if (h.missing("egress") !== 0) throw new Error("the law");
        },
      ),
      { numRuns: RUNS, seed: 3 },
    );
    t.pass(`${RUNS} lists`);
  });
}

const total = (drops: Record<string, number>): number => Object.values(drops).reduce((sum, n) => sum + n, 0);

/** A UDP_SEGMENT send as the kernel takes it: all datagrams but the last as long as announced, not too many, not too long. */
function checkShape({ payload, gsoSize, segs, bytes }: Remote, most: number): void {
  const count = datagramsOf({ payload, gsoSize }).length;
  if (count !== segs || bytes !== payload.length - 8 * count)
    throw new Error(`${segs} frames of ${bytes} octets announced`);
  if (gsoSize === 0) return;
  if (count < 2 || count > Math.min(most, 128) || payload.length > 65_527)
    throw new Error(`${count} datagrams, ${payload.length} octets`);
}

/** One super-frame of port a has gone to one VTEP. */
function checkCounts(t: Test, h: Hosts, what: string, frame: Buffer, want: readonly Buffer[], vtep: number): void {
  const inner = want.reduce((sum, one) => sum + one.length - 8, 0);
  const counts = {
    in: h.counter("in_egress"),
    made: h.counter("made_egress"),
    out: h.counter("out_egress"),
    supers: h.counter("super_frames_egress"),
    port: h.reader.block("PORT_COUNTERS", h.a),
    vtep: h.reader.block("VTEP_COUNTERS", vtep),
  };
  const wantCounts = {
    in: 1,
    made: want.length - 1,
    out: want.length,
    supers: 1,
    port: { rxPackets: 1, rxBytes: frame.length, txPackets: 0, txBytes: 0 },
    vtep: { rxPackets: 0, rxBytes: 0, txPackets: want.length, txBytes: inner },
  };
  t.same(counts, wantCounts, `${what}: counters`);
  h.isLawful(t, what);
}
