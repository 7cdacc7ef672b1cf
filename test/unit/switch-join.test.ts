/** Frames from the underlay that become super-frames for a port: rule by rule, and random streams beside the twin. */

import { ENUM } from "@weft/dataplane-wasm/abi";
import fc from "fast-check";
import t, { type Test } from "tap";
import { fragment6, mac, options6, PROTO, TCP, vxlan } from "../frames/build.js";
import { type Step, stream, wire, withoutId } from "../frames/stream.js";
import { content, type Packet, packetFrame, superFrame } from "../frames/super.js";
import { parseFrame } from "../models/frame.js";
import { type Delivery, join } from "../models/join.js";
import { type Build, type FromUnderlay, macKey, Rig, type Sent } from "../models/rig.js";
import { segment } from "../models/segment.js";
import { unfinished } from "../models/switch.js";

const BUILDS: readonly Build[] = ["debug", "release"];
const RUNS = process.env.WEFT_TEST_LONG === "1" ? 5000 : 120;
const MTU = 1450;
const BOTH = ENUM.OFFLOAD.TCP | ENUM.OFFLOAD.UDP;
const V4 = "192.0.2.9";
type Local = Extract<Sent, { kind: "port" }>;

async function open(build: Build, offloads = BOTH): Promise<Rig> {
  const rig = new Rig(build).features(64, offloads);
  const net = rig.network({ mtu: MTU });
  rig.port(net, mac(1));
  rig.port(net, mac(2));
  rig.vtep(net, V4);
  await rig.commit();
  return rig;
}
/** One batch of datagrams, one frame each. */
const single = (frames: readonly Buffer[]): FromUnderlay[] =>
  frames.map((frame) => ({ address: V4, payload: vxlan(42, frame) }));
/** The same as UDP_GRO hands them over: runs of one length, which a shorter one may end, are one buffer. */
function merged(frames: readonly Buffer[]): FromUnderlay[] {
  const runs: Buffer[][] = [];
  for (const frame of frames) {
    const run = runs.at(-1);
    const [first, last] = [run?.[0], run?.at(-1)];
    const isMore = first && last && last.length === first.length && frame.length <= first.length;
    if (run && isMore && run.length < 40) run.push(frame);
    else runs.push([frame]);
  }
  return runs.map((run) => {
    const payload = Buffer.concat(run.map((frame) => vxlan(42, frame)));
    return { address: V4, payload, segLen: run.length === 1 ? 0 : (run[0] as Buffer).length + 8 };
  });
}
function receive(rig: Rig, datagrams: readonly FromUnderlay[]): Local[] {
  return rig.ingress(datagrams).filter((s): s is Local => s.kind === "port");
}
/** What ingress makes of frames before it joins them. */
function deliveries(frames: readonly Buffer[]): Delivery[] {
  return frames.map((frame) => {
    const p = parseFrame(frame);
    const vnet = unfinished(frame, p, MTU);
    if (!vnet) throw new Error("not to be delivered");
    return { port: p.dst === mac(1) ? 0 : 1, frame, vnet };
  });
}
const lines = (list: readonly (Delivery & { readonly pieces?: number; readonly segs?: number })[]): string[] =>
  list.map((one) => `${one.pieces ?? one.segs} ${one.port} ${JSON.stringify(one.vnet)} ${one.frame.toString("hex")}`);
const sizes = (list: readonly { readonly segs: number }[]): number[] => list.map(({ segs }) => segs);

/** "" when the module did what the twin says. */
function difference(got: readonly Local[], frames: readonly Buffer[], offloads = { tcp: true, udp: true }): string {
  const want = join(deliveries(frames), offloads);
  const [a, b] = [lines(got), lines(want)];
  const i = b.findIndex((line, n) => line !== a[n]);
  if (i < 0 && a.length === b.length) return "";
  return `pieces ${sizes(got)}, not ${want.map((w) => w.pieces)}; operation ${i}: ${a[i]?.slice(0, 300)}, not ${b[i]?.slice(0, 300)}`;
}
function isCounted(t: Test, rig: Rig, frames: readonly Buffer[], got: readonly Local[], name: string): void {
  const of = (port: number): Buffer[] => frames.filter((frame) => parseFrame(frame).dst === mac(port + 1));
  const octets = (list: readonly Buffer[]): number => list.reduce((sum, frame) => sum + frame.length, 0);
  const counts = {
    in: rig.counter("in_ingress"),
    out: rig.counter("out_ingress"),
    merged: rig.counter("merged_ingress"),
    supers: rig.counter("super_frames_ingress"),
    ports: [0, 1].map((port) => {
      const { txPackets, txBytes } = rig.reader.block("PORT_COUNTERS", port);
      return [txPackets, txBytes];
    }),
    missing: rig.missing("ingress"),
  };
  const want = {
    in: frames.length,
    out: got.length,
    merged: frames.length - got.length,
    supers: got.filter((s) => s.segs > 1).length,
    ports: [0, 1].map((port) => [of(port).length, octets(of(port))]),
    missing: 0,
  };
  t.same(counts, want, `${name}: counters`);
}

/** One octet of a frame changed. */
function damaged(frame: Buffer, at: number): Buffer {
  const out = Buffer.from(frame);
  out.writeUInt8(out.readUInt8(at < 0 ? out.length + at : at) ^ 0x10, at < 0 ? out.length + at : at);
  return out;
}
/** Frames of one flow, the second unlike the others in one thing. */
function odd(change: Packet, given: Packet = {}): Buffer[] {
  const all = stream(4, given);
  const other = stream(2, { ...given, ...change, tcp: { ...given.tcp, ...change.tcp } })[1] as Buffer;
  return all.map((frame, i) => (i === 1 ? other : frame));
}
const udp = { protocol: "udp" } as const;
const v6 = { version: 6 } as const;

/** Frames of every flow in order, acknowledgments without data in a list of their own. */
function byFlow(frames: readonly Buffer[], isOpen: boolean): Map<string, string[]> {
  const flows = new Map<string, string[]>();
  for (const frame of frames) {
    const p = parseFrame(frame);
    const isEmpty = p.protocol === PROTO.tcp && frame.length === p.l4 + 20;
    const flow = `${p.dst} ${p.version} ${p.protocol} ${frame.toString("hex", p.l4, p.l4 + 4)} ${isEmpty}`;
    flows.set(flow, [...(flows.get(flow) ?? []), withoutId(frame, isOpen).toString("hex")]);
  }
  return flows;
}
/** The frames that the receiver's kernel would make of a super-frame. */
function cut({ frame, vnet }: Local): readonly Buffer[] {
  const made = segment(frame, vnet);
  if ("drop" in made) throw new Error(`nobody can cut it: ${made.drop}`);
  return made.segments;
}
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    flow: fc.oneof(fc.nat(1), fc.nat(7)),
    event: fc.oneof(
      { weight: 12, arbitrary: fc.constant("next" as const) },
      { weight: 5, arbitrary: fc.constantFrom("again", "lost", "ack", "old", "damaged", "fin", "short", "long") },
    ),
    size: fc.oneof({ weight: 4, arbitrary: fc.constant(100) }, fc.integer({ min: 1, max: 1300 })),
    change: fc.oneof(
      { weight: 14, arbitrary: fc.constant({}) },
      fc.constantFrom<Packet>(
        { tos: 2 },
        { ttl: 1 },
        { fragment: 0 },
        { flow: 9 },
        { tags: [[0x8100, 9]] },
        { srcMac: mac(8) },
        { dstMac: mac(2) },
        { options: Buffer.alloc(4, 1) },
        { chain: [[60, options6()]] },
        { sum: "pseudo" },
        { sum: "asis" },
        { tcp: { ack: 4 } },
        { tcp: { window: 4 } },
        { tcp: { flags: TCP.ack | TCP.ece } },
        { tcp: { reserved: 1 } },
        { tcp: { options: Buffer.alloc(12, 1) } },
      ),
    ),
    isPushed: fc.nat(9).map((n) => n === 0),
  }),
  { minLength: 2, maxLength: 60 },
);

/** What comes, and of how many frames each write to a port consists. */
const cases: readonly (readonly [string, readonly Buffer[], readonly number[]])[] = [
  ["TCP over IPv4", stream(5), [5]],
  ["TCP over IPv6", stream(5, v6), [5]],
  ["UDP over IPv4", stream(5, udp), [5]],
  ["UDP over IPv6", stream(5, { ...udp, ...v6 }), [5]],
  ["one alone", stream(1), [1]],
  ["behind a VLAN tag", stream(3, { tags: [[0x8100, 5]] }), [3]],
  [
    "behind two, TCP options",
    stream(3, {
      ...v6,
      tags: [
        [0x88a8, 5],
        [0x8100, 6],
      ],
      tcp: { options: Buffer.alloc(12, 1) },
    }),
    [3],
  ],
  ["ECE on all", stream(3, { tcp: { flags: TCP.ack | TCP.ece } }), [3]],
  ["a congestion mark on all", stream(3, { tos: 3 }), [3]],
  ["DF clear on all", stream(3, { fragment: 0 }), [3]],
  ["a short piece ends it", [...stream(2), ...stream(2, { size: 60, tcp: { seq: 1200 } })], [3, 1]],
  ["UDP: a short piece ends it", [...stream(2, udp), ...stream(2, { ...udp, size: 60 })], [3, 1]],
  ["a longer piece begins another", [...stream(2), ...stream(2, { size: 120, tcp: { seq: 1200 } })], [2, 2]],
  ["UDP: a longer piece begins another", [...stream(2, udp), ...stream(2, { ...udp, size: 120 })], [2, 2]],
  ["PSH ends it", [...stream(2), ...odd({ tcp: { flags: 24 } }, { tcp: { seq: 1200 } })], [4, 2]],
  ["PSH on the first ends it", [...stream(1, { tcp: { flags: 24 } }), ...stream(2, { tcp: { seq: 1100 } })], [1, 2]],
  ["64 pieces are the most", stream(70), [64, 6]],
  ["64 KB are the most", stream(60, { size: 1390 }), [47, 13]],
  ["UDP: 64 KB are the most", stream(60, { ...udp, ...v6, size: 1390 }), [47, 13]],
  ["a gap", [...stream(2), ...stream(2, { tcp: { seq: 1201 } })], [2, 2]],
  ["a repetition", [...stream(2), ...stream(2, { tcp: { seq: 1100 } })], [2, 2]],
  ["a sequence that turns over", stream(4, { tcp: { seq: 2 ** 32 - 150 } }), [4]],
  ["another acknowledgment", odd({ tcp: { ack: 7 } }), [1, 1, 2]],
  ["another window", odd({ tcp: { window: 7 } }), [1, 1, 2]],
  ["ECE on one", odd({ tcp: { flags: TCP.ack | TCP.ece } }), [1, 1, 2]],
  ["other reserved bits", odd({ tcp: { reserved: 2 } }), [1, 1, 2]],
  [
    "other TCP options",
    odd({ tcp: { options: Buffer.alloc(12, 2) } }, { tcp: { options: Buffer.alloc(12, 1) } }),
    [1, 1, 2],
  ],
  ["another header length", odd({ tcp: { options: Buffer.alloc(4, 1) } }), [1, 1, 2]],
  ...(["fin", "syn", "rst", "urg", "cwr"] as const).map(
    (flag) => [`${flag} on one`, odd({ tcp: { flags: TCP.ack | TCP[flag] } }), [1, 1, 2]] as const,
  ),
  ["no flag at all on one", odd({ tcp: { flags: 0 } }), [1, 1, 2]],
  ["the accurate ECN bit on all", stream(3, { tcp: { reserved: 1 } }), [1, 1, 1]],
  ["SYN on all", stream(3, { tcp: { flags: TCP.syn | TCP.ack } }), [1, 1, 1]],
  ["another TOS", odd({ tos: 4 }), [1, 1, 2]],
  ["UDP: another TOS", odd({ tos: 4 }, udp), [1, 1, 2]],
  ["another traffic class", odd({ tos: 4 }, v6), [1, 1, 2]],
  ["another flow label", odd({ flow: 4 }, v6), [1, 1, 2]],
  ["another TTL", odd({ ttl: 63 }), [1, 1, 2]],
  ["another hop limit", odd({ ttl: 63 }, { ...udp, ...v6 }), [1, 1, 2]],
  ["another DF", odd({ fragment: 0 }), [1, 1, 2]],
  ["the evil bit", odd({ fragment: 0xc000 }), [1, 1, 2]],
  ["another source MAC", odd({ srcMac: mac(8) }), [1, 1, 2]],
  ["a VLAN tag on one", odd({ tags: [[0x8100, 1]] }), [1, 1, 2]],
  ["another VLAN", odd({ tags: [[0x8100, 2]] }, { tags: [[0x8100, 1]] }), [1, 1, 2]],
  ["another priority", odd({ tags: [[0x8100, 0x2001]] }, { tags: [[0x8100, 1]] }), [1, 1, 2]],
  ["IPv4 options on one", odd({ options: Buffer.alloc(4, 1) }), [1, 1, 2]],
  ["IPv4 options on all", stream(3, { options: Buffer.alloc(4, 1) }), [1, 1, 1]],
  ["an extension header on one", odd({ chain: [[60, options6()]] }, { ...v6, ...udp }), [1, 1, 2]],
  ["extension headers on all", stream(3, { ...v6, chain: [[60, options6()]] }), [1, 1, 1]],
  ["fragments", stream(3, { ...udp, fragment: 0x2000 }), [1, 1, 1]],
  ["fragments of IPv6", stream(3, { ...udp, ...v6, chain: [[44, fragment6(0, true)]] }), [1, 1, 1]],
  ["no payload", stream(3, { size: 0 }), [1, 1, 1]],
  ["UDP without payload", stream(3, { ...udp, size: 0 }), [1, 1, 1]],
  ["UDP without checksum", stream(3, { ...udp, sum: "asis" }), [1, 1, 1]],
  ["octets behind the packets", stream(3).map((frame) => Buffer.concat([frame, Buffer.alloc(2)])), [1, 1, 1]],
  [
    "octets behind the packets of IPv6",
    stream(3, v6).map((frame) => Buffer.concat([frame, Buffer.alloc(1)])),
    [1, 1, 1],
  ],
  ["a wrong checksum first", stream(4).map((frame, i) => (i === 0 ? damaged(frame, -1) : frame)), [1, 3]],
  ["a wrong checksum second", stream(4).map((frame, i) => (i === 1 ? damaged(frame, -1) : frame)), [1, 1, 2]],
  ["a wrong checksum at the end", stream(4).map((frame, i) => (i === 3 ? damaged(frame, -1) : frame)), [3, 1]],
  [
    "UDP: a wrong checksum",
    stream(4, { ...udp, ...v6 }).map((frame, i) => (i === 2 ? damaged(frame, -3) : frame)),
    [2, 1, 1],
  ],
  ["a wrong IPv4 header first", stream(4).map((frame, i) => (i === 0 ? damaged(frame, 24) : frame)), [1, 3]],
  ["a wrong IPv4 header in between", stream(4).map((frame, i) => (i === 2 ? damaged(frame, 18) : frame)), [2, 1, 1]],
  ["all checksums wrong", stream(3).map((frame) => damaged(frame, -1)), [1, 1, 1]],
  ["open checksums", stream(4, { sum: "pseudo" }), [4]],
  ["UDP: open checksums over IPv6", stream(4, { ...udp, ...v6, sum: "pseudo" }), [4]],
  ["one open checksum", odd({ sum: "pseudo" }), [1, 1, 2]],
  ["one finished checksum", odd({ sum: "full" }, { sum: "pseudo" }), [1, 1, 2]],
  [
    "the peer's own super-frame in between",
    [
      ...stream(2),
      packetFrame({
        dstMac: mac(1),
        srcMac: mac(9),
        payload: content(3000),
        sum: "pseudo",
        tcp: { seq: 1200, flags: TCP.ack },
      }),
      ...stream(2, { tcp: { seq: 4200 } }),
    ],
    [2, 1, 2],
  ],
  [
    "an acknowledgment of the flow in between",
    [...stream(2), ...stream(1, { size: 0, tcp: { seq: 1200 } }), ...stream(2, { tcp: { seq: 1200 } })],
    [4, 1],
  ],
  [
    "an acknowledgment with more in between",
    [
      ...stream(2),
      ...stream(1, { size: 0, tcp: { seq: 1200, flags: TCP.ack | TCP.ece } }),
      ...stream(2, { tcp: { seq: 1200 } }),
    ],
    [2, 1, 2],
  ],
  ["two flows by turns", stream(3).flatMap((frame, i) => [frame, stream(3, { ports: [9, 9] })[i] as Buffer]), [3, 3]],
  [
    "both directions by turns",
    stream(3, { ports: [8, 9] }).flatMap((frame, i) => [frame, stream(3, { ports: [9, 8] })[i] as Buffer]),
    [3, 3],
  ],
  [
    "addresses the other way round",
    stream(3).flatMap((frame, i) => [frame, stream(3, { src: "192.0.2.2", dst: "192.0.2.1" })[i] as Buffer]),
    [3, 3],
  ],
  [
    "TCP and UDP of the same ports by turns",
    stream(3).flatMap((frame, i) => [frame, stream(3, udp)[i] as Buffer]),
    [3, 3],
  ],
  [
    "100 flows by turns",
    Array.from(
      { length: 100 },
      (_, i) => stream(1 + Math.floor(i / 50), { ports: [i % 50, 9] })[Math.floor(i / 50)] as Buffer,
    ),
    new Array<number>(50).fill(2),
  ],
];

for (const build of BUILDS) {
  t.test(`coalescing: rule by rule (${build} build)`, async (t) => {
    for (const [name, frames, want] of cases) {
      for (const [how, datagrams] of [
        ["one by one", single(frames)],
        ["after UDP_GRO", merged(frames)],
      ] as const) {
        const rig = await open(build);
        const got = receive(rig, datagrams);
        t.same(sizes(got), want, `${name}, ${how}`);
        t.equal(difference(got, frames), "", `${name}, ${how}: as the twin`);
        isCounted(t, rig, frames, got, `${name}, ${how}`);
      }
    }
  });

  t.test(`coalescing: what a port's device does not take is not made (${build} build)`, async (t) => {
    const frames = [...stream(4), ...stream(4, udp)];
    for (const [offloads, want] of [
      [0, [1, 1, 1, 1, 1, 1, 1, 1]],
      [ENUM.OFFLOAD.TCP, [4, 1, 1, 1, 1]],
      [ENUM.OFFLOAD.UDP, [1, 1, 1, 1, 4]],
      [BOTH, [4, 4]],
    ] as const) {
      const rig = await open(build, offloads);
      const got = receive(rig, single(frames));
      t.same(sizes(got), want, `offloads ${offloads}`);
      const has = { tcp: (offloads & ENUM.OFFLOAD.TCP) !== 0, udp: (offloads & ENUM.OFFLOAD.UDP) !== 0 };
      t.equal(difference(got, frames, has), "", `offloads ${offloads}: as the twin`);
    }
  });

  t.test(`coalescing: ends with the batch, with a flood and with another port (${build} build)`, async (t) => {
    const rig = await open(build);
    const [a, b, c] = stream(3) as [Buffer, Buffer, Buffer];
    t.same([sizes(receive(rig, single([a]))), sizes(receive(rig, single([b, c])))], [[1], [2]], "two batches");
    const flooded = stream(1, { dstMac: 0xffff_ffff_ffff, ...udp })[0] as Buffer;
    const sent = receive(rig, single([a, flooded, b, c]));
    t.same(sizes(sent), [1, 1, 1, 2], "nothing goes past a flooded frame");
    t.ok(sent[1]?.frame.equals(flooded) && sent[2]?.frame.equals(flooded), "whose copies are as they came");
    const elsewhere = stream(3, { dstMac: mac(2) });
    const both = receive(rig, single([a, b, c].flatMap((frame, i) => [frame, elsewhere[i] as Buffer])));
    t.same(
      both.map(({ port, segs }) => [port, segs]),
      [
        [0, 3],
        [1, 3],
      ],
      "each port has its own",
    );
    t.equal(rig.missing("ingress"), 0);
  });

  t.test(`coalescing: a refused super-frame is as many drops as frames (${build} build)`, async (t) => {
    const rig = await open(build);
    rig.errno = (s) => (s.segs > 1 ? 105 : 0);
    receive(rig, single([...stream(5), ...stream(1, udp)]));
    t.same(rig.drops(), { "ingress/port_full": 5 });
    t.same([rig.counter("out_ingress"), rig.counter("merged_ingress"), rig.counter("super_frames_ingress")], [1, 0, 0]);
    t.match(rig.reader.block("PORT_COUNTERS", 0), { txPackets: 1 });
    t.equal(rig.missing("ingress"), 0);
  });

  t.test(
    `coalescing: random streams are joined as by the twin, and cut again are what came (${build} build)`,
    async (t) => {
      const rig = await open(build);
      let supers = 0;
      await fc.assert(
        fc.asyncProperty(
          steps,
          fc.boolean(),
          fc.constantFrom({}, { sum: "pseudo" as const }, { tags: [[0x8100, 3]] as const }),
          async (list, isGro, fixed) => {
            const frames = wire(list, fixed);
            const got = receive(rig, isGro ? merged(frames) : single(frames));
            supers += got.filter(({ segs }) => segs > 1).length;
            const wrong = difference(got, frames);
            if (wrong !== "") throw new Error(wrong);
            const again = got.flatMap((s) => (s.segs === 1 ? [s.frame] : cut(s)));
            const isOpen = fixed.sum === "pseudo";
            for (const [flow, came] of byFlow(frames, isOpen)) {
              const went = byFlow(again, isOpen).get(flow) ?? [];
              if (went.join() !== came.join())
                throw new Error(`flow ${flow}: ${went.length} frames, not ${came.length}, or others`);
            }
            if (rig.missing("ingress") !== 0) throw new Error("the law");
          },
        ),
        { numRuns: RUNS, seed: 11 },
      );
      t.ok(supers > RUNS / 2, `${RUNS} batches, ${supers} super-frames`);
      t.same(rig.drops(), {});
    },
  );

  t.test(`round trip: what is cut on one host is whole again on the other (${build} build)`, async (t) => {
    for (const [name, given] of [
      ["TCP over IPv4", { tcp: { flags: TCP.ack | TCP.psh } }],
      ["TCP over IPv6", { ...v6, tcp: { flags: TCP.ack, options: Buffer.alloc(12, 1) } }],
      ["UDP over IPv4", udp],
      ["UDP over IPv6 behind a tag", { ...udp, ...v6, tags: [[0x8100, 1]] }],
    ] as const) {
      const near = await open(build);
      near.tables.setRoute(0, { kind: "mac", length: 0, key: macKey(mac(7)) }, { kind: "vtep", index: 0 }, true);
      await near.commit();
      const far = new Rig(build).features(64, BOTH);
      far.vtep(far.network({ mtu: MTU }), "192.0.2.1");
      far.port(0, mac(7));
      await far.commit();
      const { frame, vnet } = superFrame({
        ...given,
        srcMac: mac(1),
        dstMac: mac(7),
        payload: content(20_000),
        gsoSize: 1300,
      });
      const out = near.egress([{ port: 0, frame, vnet }]);
      const datagrams = out.map((s): FromUnderlay => {
        if (s.kind !== "vtep") throw new Error("to a port");
        return { address: "192.0.2.1", payload: s.payload, segLen: s.gsoSize };
      });
      const [whole, ...more] = receive(far, datagrams);
      t.same(more, [], name);
      t.same(whole?.vnet, vnet, `${name}: virtio_net_hdr`);
      t.ok(whole?.frame.equals(frame), `${name}: octet for octet`);
      t.same([near.missing("egress"), far.missing("ingress")], [0, 0], `${name}: the law holds`);
    }
  });
}
