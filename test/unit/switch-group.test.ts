/** Small frames that share a UDP_SEGMENT send: the datagrams on the wire are those of a switch that never groups. */

import fc from "fast-check";
import t from "tap";
import { BROADCAST, mac, vxlan } from "../frames/build.js";
import { content, type Packet, packetFrame, superFrame } from "../frames/super.js";
import { group } from "../models/group.js";
import { type Build, datagramsOf, macKey, Rig, type Sent } from "../models/rig.js";

const RUNS = process.env.WEFT_TEST_LONG === "1" ? 3000 : 80;
type Remote = Extract<Sent, { kind: "vtep" }>;
type Given = Packet & { readonly gsoSize?: number };
const isRemote = (s: Sent): s is Remote => s.kind === "vtep";

/** One container; mac 9 behind a VTEP over IPv4, mac 8 over IPv6, mac 7 a second one over IPv4. */
async function open(build: Build, gsoSegments: number): Promise<Rig> {
  const rig = new Rig(build).features(gsoSegments, 0);
  const net = rig.network();
  rig.port(net, mac(1));
  for (const [n, address] of [
    [9, "192.0.2.9"],
    [8, "2001:db8::9"],
    [7, "192.0.2.10"],
  ] as const) {
    const index = rig.vtep(net, address);
    rig.tables.setRoute(net, { kind: "mac", length: 0, key: macKey(mac(n)) }, { kind: "vtep", index }, true);
  }
  await rig.commit();
  return rig;
}
/** One batch from the container. */
function run(rig: Rig, list: readonly Given[]): Remote[] {
  const frames = list.map((given) => {
    const made = given.gsoSize === undefined ? { frame: packetFrame(given) } : superFrame(given);
    return { port: 0, ...made };
  });
  return rig.egress(frames).filter(isRemote);
}
const pathOf = (s: Remote): string => `${s.socket} ${s.vtep}`;
/** Datagrams of each socket and VTEP, in order. */
function byPath(sent: readonly Remote[]): Record<string, string[]> {
  const out: Record<string, string[]> = {};
  for (const s of sent) {
    const path = pathOf(s);
    out[path] = [...(out[path] ?? []), ...datagramsOf(s).map((one) => `${s.tos} ${one.toString("hex")}`)];
  }
  return out;
}
/** Frames in each send of a batch. */
const sizes = (sent: readonly Remote[]): number[] => sent.map((s) => s.segs);

/** n frames of one flow, numbered. */
const frames = (n: number, given: Given = {}): Given[] =>
  Array.from({ length: n }, (_, i) => ({ payload: content(100, i), ...given }));

const cases: readonly (readonly [string, number, readonly Given[], readonly number[]])[] = [
  ["frames of one flow and length share a send", 64, frames(5), [5]],
  ["at most as many as the kernel takes", 64, frames(100), [64, 36]],
  ["at most 128, whatever the kernel takes", 1000, [...frames(128)], [128]],
  ["one is sent as it is", 64, frames(1), [1]],
  ["without UDP_SEGMENT each is a send of its own", 1, frames(3), [1, 1, 1]],
  ["a shorter one ends the send", 64, [...frames(3), ...frames(2, { payload: content(99) })], [4, 1]],
  ["a longer one begins another", 64, [...frames(3), ...frames(2, { payload: content(101) })], [3, 2]],
  ["another TOS begins another", 64, [...frames(3), ...frames(2, { tos: 1 })], [3, 2]],
  ["and nothing goes back past it", 64, [...frames(2), ...frames(1, { tos: 2 }), ...frames(2)], [2, 1, 2]],
  ["DSCP stays inside", 64, [...frames(3), ...frames(2, { tos: 0xfc })], [5]],
  ["another VTEP has its own", 64, [...frames(2), ...frames(2, { dstMac: mac(7) }), ...frames(2)], [4, 2]],
  ["a VTEP over IPv6 too", 64, [...frames(2, { dstMac: mac(8) }), ...frames(2), ...frames(1, { dstMac: mac(8) })], [3, 2]], // biome-ignore format: table
  ["64 KB are the most", 64, frames(10, { payload: content(9000) }), [7, 3]],
  ["a frame of 64 KB fits none", 64, frames(2, { protocol: "udp", payload: content(60_000) }), [1, 1]],
  ["a super-frame of the flow comes between", 64, [...frames(2), { payload: content(300), gsoSize: 100 }, ...frames(2)], [2, 3, 2]], // biome-ignore format: table
];

for (const build of ["debug", "release"] satisfies Build[]) {
  t.test(`groups: rule by rule (${build} build)`, async (t) => {
    for (const [name, most, list, want] of cases) {
      const rig = await open(build, most);
      const sent = run(rig, list);
      t.same(sizes(sent), want, name);
      t.same(
        sent.map((s) => s.gsoSize),
        sent.map((s) => (s.segs === 1 ? 0 : (datagramsOf(s)[0] as Buffer).length)),
        `${name}: UDP_SEGMENT sizes`,
      );
      t.same(byPath(sent), byPath(run(await open(build, 1), list)), `${name}: the same datagrams in the same order`);
      t.equal(
        rig.counter("grouped_sends"),
        sent.filter((s) => s.segs > 1).length - rig.counter("super_frames_egress"),
        `${name}: counted`,
      );
      t.equal(rig.missing("egress"), 0, `${name}: the law holds`);
    }
  });

  t.test(`groups: a frame is the datagram it would be alone (${build} build)`, async (t) => {
    const rig = await open(build, 64);
    const list = [...frames(3), ...frames(1, { payload: content(50) })];
    const [send] = run(rig, list);
    t.same(
      send && datagramsOf(send),
      list.map((given) => vxlan(42, packetFrame(given))),
      "octet for octet",
    );
    t.equal(send?.bytes, 3 * packetFrame(frames(1)[0] as Given).length + 104, "octets of the inner frames");
    t.match(rig.reader.block("VTEP_COUNTERS", 0), { txPackets: 4, txBytes: send?.bytes });
  });

  t.test(`groups: what the kernel takes of one goes out, the rest is dropped (${build} build)`, async (t) => {
    const rig = await open(build, 64);
    const length = packetFrame(frames(1)[0] as Given).length;
    rig.taken = () => 2 * (length + 8);
    run(rig, frames(5));
    t.same(rig.drops(), { "egress/udp_full": 3 });
    t.match(rig.reader.block("VTEP_COUNTERS", 0), { txPackets: 2, txBytes: 2 * length });
    rig.errno = () => 90;
    run(rig, frames(5));
    t.same(rig.drops(), { "egress/udp_full": 3, "egress/udp_too_big": 5 });
    t.equal(rig.counter("out_egress"), 2);
    t.equal(rig.missing("egress"), 0);
  });

  t.test(`groups: random batches leave as the twin says (${build} build)`, async (t) => {
    const grouping = await open(build, 64);
    const plain = await open(build, 1);
    const small = fc.record({
      protocol: fc.constant("udp" as const),
      dstMac: fc.constantFrom(mac(9), mac(9), mac(8), mac(7), BROADCAST),
      ports: fc.tuple(fc.constantFrom(1000, 1001, 1002), fc.constant(9)),
      tos: fc.constantFrom(0, 0, 0, 1, 2, 0x20),
      payload: fc
        .tuple(fc.constantFrom(18, 18, 18, 19, 200, 1400, 9000), fc.nat())
        .map(([length, seed]) => content(length, seed)),
    });
    const supers = fc.record({
      protocol: fc.constant("udp" as const),
      dstMac: fc.constantFrom(mac(9), mac(7), BROADCAST),
      ports: fc.tuple(fc.constantFrom(1000, 1001), fc.constant(9)),
      payload: fc.nat(9000).map((n) => content(n + 1)),
      gsoSize: fc.constantFrom(18, 1400),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(2, 7, 64, 128),
        fc.array(small, { minLength: 2, maxLength: 40 }),
        async (most, list) => {
          grouping.features(most, 0);
          const alone = run(plain, list);
          const got = run(grouping, list);
          const datagrams = alone.map((s) => ({ path: pathOf(s), tos: s.tos, octets: s.payload }));
          const line = (path: string, tos: number, octets: Buffer): string =>
            `${path} ${tos} ${octets.toString("hex")}`;
          const want = group(datagrams, most).map((send) =>
            send.map((one) => line(one.path, one.tos, one.octets)).join("\n"),
          );
          const have = got.map((s) =>
            datagramsOf(s)
              .map((one) => line(pathOf(s), s.tos, one))
              .join("\n"),
          );
          if (JSON.stringify(have) !== JSON.stringify(want))
            throw new Error(`${sizes(got)}, not ${group(datagrams, most).map((g) => g.length)}`);
          if (grouping.missing("egress") !== 0) throw new Error("the law");
        },
      ),
      { numRuns: RUNS, seed: 5 },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(small, supers), { minLength: 2, maxLength: 30 }), async (list) => {
        const [got, want] = [byPath(run(grouping, list)), byPath(run(plain, list))];
        if (JSON.stringify(Object.entries(got).sort()) !== JSON.stringify(Object.entries(want).sort()))
          throw new Error("other datagrams");
        if (grouping.missing("egress") !== 0) throw new Error("the law");
      }),
      { numRuns: RUNS, seed: 6 },
    );
    t.pass(`${2 * RUNS} batches`);
    t.same(grouping.drops(), {});
  });
}
