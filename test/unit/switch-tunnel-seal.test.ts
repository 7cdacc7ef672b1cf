/** Sealing under pressure: counters and worn keys, floods in clear and sealed at once, full arenas, sends that fall short. */
import { LIMIT, offsetOf } from "@weft/dataplane-wasm/abi";
import fc from "fast-check";
import t from "tap";
import { BROADCAST, mac, vxlan } from "../frames/build.js";
import { content, packetFrame, superFrame } from "../frames/super.js";
import { pick, randomOf } from "../models/random.js";
import { type Build, datagramsOf, macKey, type Sent } from "../models/rig.js";
import { segment, sends } from "../models/segment.js";
import { paddedLength } from "../models/tunnel.js";
import { type Remote, TunnelHost } from "../models/tunnel-rig.js";

const BUILDS: readonly Build[] = ["debug", "release"];
const RUNS = process.env.WEFT_TEST_LONG === "1" ? 3000 : 60;
/** REJECT_AFTER_MESSAGES (WireGuard paper §6.1). */
const END = (1n << 64n) - (1n << 13n) - 1n;
const remotes = (out: readonly Sent[]): Remote[] => out.filter((s): s is Remote => s.kind !== "port");

for (const build of BUILDS) {
  t.test(`${build}: a key is told to be worn once, by two workers`, async (t) => {
    const h = await TunnelHost.open(build, false, { sizes: { workers: 2 }, rekeyAfter: 10n });
    const told = (): number =>
      h.reader.events().filter((e) => e.kind === "key_worn" && e.slot === h.session.slot).length;
    const one = (worker: number): void => void h.egress([{ port: h.a, frame: packetFrame({}) }], 1000, worker);
    for (let i = 0; i < 9; i++) one(i & 1);
    t.equal(told(), 0, "nine messages");
    one(1);
    t.equal(told(), 1, "the tenth");
    for (let i = 0; i < 9; i++) one(i & 1);
    t.equal(told(), 0);
    h.session = h.renew(20);
    await h.commit();
    t.equal(h.send(superFrame({ payload: content(12_000), gsoSize: 1000 })).length, 1);
    t.equal(told(), 1, "a super-frame that goes beyond");
    h.session = h.renew(30);
    await h.commit();
    const worker = h.address("WORKER");
    const head = h.field("Worker", "eventHead", worker);
    h.setField("Worker", "eventTail", worker, head - 1024);
    h.send(superFrame({ payload: content(12_000), gsoSize: 1000 }));
    h.setField("Worker", "eventTail", worker, head);
    h.send({ frame: packetFrame({}) });
    t.equal(told(), 1, "told later when the ring was full");
    h.isLawful(t);
  });

  t.test(`${build}: a counter never goes round`, async (t) => {
    const h = await TunnelHost.open(build);
    const at = h.address("KEYS", h.session.slot) + offsetOf("Key", "counter");
    h.octets.writeBigUInt64LE(END - 12n, at);
    const seen = new Set<bigint>();
    let dropped = 0;
    for (let i = 0; i < 3000; i++) {
      const before = h.drops()["egress/no_session"] ?? 0;
      const out =
        i === 3 ? h.send(superFrame({ payload: content(20_000), gsoSize: 1000 })) : h.send({ frame: packetFrame({}) });
      for (const message of out.flatMap(datagramsOf)) {
        const { counter } = h.inside(message);
        t.ok(counter < END && !seen.has(counter), `${counter}`);
        seen.add(counter);
      }
      dropped += (h.drops()["egress/no_session"] ?? 0) - before;
      // As many as a long-lived flood would take.
      if (i === 100) h.octets.writeBigUInt64LE(END + 7000n, at);
    }
    t.ok(seen.size >= 3 && seen.size < 12, `${seen.size} messages`);
    t.equal(dropped, 2999 - seen.size + 20);
    h.isLawful(t);
  });

  t.test(`${build}: padding ends at the tunnel's MTU`, async (t) => {
    const h = await TunnelHost.open(build);
    for (const mtu of [1280, 1420, 1433, 1440]) {
      h.tables.tunnel.setPath(h.index, undefined, mtu);
      await h.commit();
      const wrong: number[] = [];
      for (let inner = mtu - 34; inner <= mtu + 34; inner++) {
        const [sent] = h.send({ frame: packetFrame({ protocol: "udp", payload: content(inner - 78) }) });
        if (!sent || sent.payload.length !== 32 + paddedLength(inner, mtu)) wrong.push(inner);
        h.inside(sent?.payload as Buffer);
      }
      t.same(wrong, [], `MTU ${mtu}`);
    }
    h.isLawful(t);
  });

  t.test(`${build}: a flood to VTEPs in clear and in tunnels and to ports; results of every kind`, async (t) => {
    const h = await TunnelHost.open(build, false, { sizes: { peersMax: 8 } });
    h.port(h.net, mac(2));
    const clear = [h.vtep(h.net, "192.0.2.11"), h.vtep(h.net, "2001:db8::11")];
    const none = h.peer(["10.7.0.4/32"], "192.0.2.4");
    const mute = h.peer(["10.7.0.5/32"], null);
    h.keys(mute, 90);
    const tunnels = [
      h.vtepIndex,
      h.tunnelVtep(h.net, "10.7.0.4", none),
      h.tunnelVtep(h.net, "10.7.0.5", mute),
      h.tunnelVtep(h.net, "10.7.0.6", undefined),
    ];
    await h.commit();
    const frame = packetFrame({ dstMac: BROADCAST, payload: content(500) });
    const made = superFrame({ dstMac: BROADCAST, payload: content(5000), gsoSize: 1000 });
    const one = h.egress([{ port: h.a, frame }]);
    const many = h.egress([{ port: h.a, ...made }]);
    for (const out of [one, many]) {
      t.same(
        remotes(out)
          .map((s) => s.vtep)
          .sort(),
        [...clear, h.vtepIndex].sort(),
        "who gets it",
      );
      for (const s of remotes(out)) {
        const frames = datagramsOf(s).map((m) => (s.vtep === h.vtepIndex ? h.inside(m).payload : m));
        const cut = out === one ? [frame] : (segment(made.frame, made.vnet) as { segments: Buffer[] }).segments;
        t.same(
          frames,
          cut.map((f) => vxlan(42, f)),
        );
      }
      t.same(
        out.filter((s) => s.kind === "port").map((s) => (s as { port: number }).port),
        [h.a + 1],
      );
    }
    t.same(h.drops(), { "egress/no_session": 12, "egress/no_endpoint": 6 });
    h.isLawful(t);
    const counters = (): unknown[] => [
      ...tunnels.map((v) => h.reader.block("VTEP_COUNTERS", v).txPackets),
      h.reader.block("PEER_COUNTERS", h.index).txPackets,
    ];
    t.same(counters(), [6, 0, 0, 0, 6]);
    const octets = remotes([...one, ...many])
      .filter((s) => s.vtep === h.vtepIndex)
      .reduce((n, s) => n + s.payload.length, 0);
    t.equal(h.reader.block("PEER_COUNTERS", h.index).txBytes, octets, "octets of UDP payload");

    // Two of five segments taken; then none; then refused.
    const unicast = superFrame({ payload: content(5000), gsoSize: 1000 });
    h.taken = (s) => (s.kind === "vtep" ? 2 * s.gsoSize : undefined);
    t.equal(h.send(unicast)[0]?.segs, 5);
    t.same(counters(), [8, 0, 0, 0, 8]);
    t.equal(h.drops()["egress/udp_full"], 3);
    h.taken = () => 0;
    h.send(unicast);
    t.equal(h.drops()["egress/udp_full"], 8);
    h.taken = () => undefined;
    for (const [errno, reason] of [
      [11, "udp_full"],
      [90, "udp_too_big"],
      [101, "udp_unreachable"],
      [1, "udp_refused"],
    ] as const) {
      const before = h.drops()[`egress/${reason}`] ?? 0;
      h.errno = () => errno;
      h.send(unicast, { frame: packetFrame({}) });
      t.equal((h.drops()[`egress/${reason}`] ?? 0) - before, 6, reason);
      h.isLawful(t);
    }
    t.same(counters(), [8, 0, 0, 0, 8]);
  });

  t.test(`${build}: the arena fills up: nothing is lost, and what never fits has a name`, async (t) => {
    const h = await TunnelHost.open(build);
    h.setField("Worker", "sealedMax", h.address("WORKER"), 2 * 65_536);
    const made = Array.from({ length: 8 }, (_, i) =>
      superFrame({ payload: content(40_000, i), gsoSize: 1200, id: 100 * i }),
    );
    const out = h.send(...made);
    t.ok(h.resumed >= 3, `stopped ${h.resumed} times`);
    const got = out.flatMap(datagramsOf).map((m) => h.inside(m));
    const cut = made.flatMap(({ frame, vnet }) => (segment(frame, vnet) as { segments: Buffer[] }).segments);
    t.ok(
      got.length === cut.length && got.every(({ payload }, i) => payload.equals(vxlan(42, cut[i] as Buffer))),
      "all, in order",
    );
    t.same(h.drops(), {});
    const small = Array.from({ length: 128 }, (_, i) => ({ frame: packetFrame({ payload: content(1300, i) }) }));
    t.equal(h.send(...small).flatMap(datagramsOf).length, 128);
    t.same(h.drops(), {});
    h.send(superFrame({ payload: content(60_000), gsoSize: 40 }));
    t.same(h.drops(), { "egress/no_room": 1500 });
    h.isLawful(t);
  });

  t.test(`${build}: grouping keeps the order, whatever the lengths`, async (t) => {
    const h = await TunnelHost.open(build);
    const second = h.tunnelVtep(h.net, "10.7.0.3", h.index);
    h.tables.setRoute(h.net, { kind: "mac", length: 0, key: macKey(mac(8)) }, { kind: "vtep", index: second }, true);
    await h.commit();
    const random = randomOf(12);
    for (let round = 0; round < 25; round++) {
      const frames = Array.from({ length: 128 }, (_, i) => {
        const near = pick(random, 3) === 0;
        const length = [100, 116, 1000][pick(random, 3)] as number;
        const given = { dstMac: near ? mac(8) : mac(9), tos: pick(random, 6) === 0 ? 2 : 0, id: i };
        if (pick(random, 20) === 0) return superFrame({ ...given, payload: content(2500, i), gsoSize: 1000 });
        return { frame: packetFrame({ ...given, protocol: "udp", payload: content(length, i) }) };
      });
      const wanted = [h.vtepIndex, second].map((vtep) =>
        frames
          .filter(({ frame }) => (frame[5] === 9) === (vtep === h.vtepIndex))
          .flatMap((f) => {
            if (!("vnet" in f)) return [f.frame];
            return (segment(f.frame, f.vnet) as { segments: Buffer[] }).segments;
          }),
      );
      const out = h.send(...frames);
      for (const [i, vtep] of [h.vtepIndex, second].entries()) {
        const ops = out.filter((s) => s.vtep === vtep);
        const got = ops.flatMap(datagramsOf).map((m) => vtepFrame(h, m));
        const want = wanted[i] as Buffer[];
        if (got.length !== want.length || !got.every((f, n) => f.equals(want[n] as Buffer)))
          t.fail(`round ${round}, VTEP ${vtep}: order`);
        for (const s of ops)
          if (s.tos !== (datagramsOf(s).length > 0 ? tosOf(vtepFrame(h, datagramsOf(s)[0] as Buffer)) : 0))
            t.fail("TOS of a group");
      }
      if (
        out.some(
          (s) => s.gsoSize !== 0 && datagramsOf(s).some((m, n, all) => n < all.length - 1 && m.length !== s.gsoSize),
        )
      )
        t.fail("lengths in a send");
    }
    t.ok(h.counter("grouped_sends") > 20, `${h.counter("grouped_sends")} grouped sends`);
    t.same(h.drops(), {});
    h.isLawful(t);
  });

  t.test(`${build}: super-frames of all sizes, over IPv4 and IPv6, cut and sent as the twin does`, async (t) => {
    const hosts: TunnelHost[] = [];
    for (const is6 of [false, true])
      for (const endpoint of ["192.0.2.2", "2001:db8::2"]) hosts.push(await TunnelHost.open(build, is6, { endpoint }));
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 3 }),
        fc.record({
          version: fc.constantFrom(4 as const, 6 as const),
          protocol: fc.constantFrom("tcp" as const, "udp" as const),
          gsoSize: fc.oneof(fc.integer({ min: 40, max: 2000 }), fc.integer({ min: 2000, max: 65_000 })),
          tos: fc.integer({ min: 0, max: 255 }),
        }),
        fc.oneof(fc.integer({ min: 1, max: 4000 }), fc.integer({ min: 4000, max: 65_400 })),
        fc.integer({ min: 1, max: 128 }),
        (which, given, length, most) => {
          const h = hosts[which] as TunnelHost;
          h.features(most, 3);
          const made = superFrame({ ...given, payload: content(length) });
          const cut = segment(made.frame, made.vnet);
          if ("drop" in cut) throw new Error(cut.drop);
          const out = h.send(made);
          const frames = out.flatMap(datagramsOf).map((m) => h.inside(m, given.tos & 3).payload);
          const inner = (cut.segments[0] as Buffer).length + 8 + (which >= 2 ? 48 : 28);
          const stride = 32 + paddedLength(inner, 1440);
          const family = which & 1 ? 6 : 4;
          const right =
            frames.length === cut.segments.length &&
            frames.every((f, i) => f.equals(vxlan(42, cut.segments[i] as Buffer))) &&
            out.every((s) => s.socket === LIMIT.SENDER_WIREGUARD + (which & 1) && s.tos === (given.tos & 3)) &&
            JSON.stringify(out.map((s) => s.segs)) === JSON.stringify(sends(frames.length, stride, most, family));
          if (!right)
            throw new Error(
              `${out.map((s) => `${s.segs} of ${s.gsoSize}`)}; wanted ${sends(cut.segments.length, stride, most, family)} of ${stride}`,
            );
        },
      ),
      { numRuns: RUNS, seed: 4 },
    );
    for (const h of hosts) {
      t.same(h.drops(), {});
      h.isLawful(t);
    }
  });
}

/** The frame in a message, for either VTEP of the host. */
function vtepFrame(h: TunnelHost, message: Buffer): Buffer {
  return h.payloadOf(message).subarray(8);
}
const tosOf = (frame: Buffer): number => frame.readUInt8(15) & 3;
