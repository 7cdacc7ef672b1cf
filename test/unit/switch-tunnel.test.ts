/** Frames through the WireGuard tunnel: sealed by the switch and opened by node:crypto, and the other way round. */
import t from "tap";
import { ipv4, ipv6, mac, PROTO, vxlan } from "../frames/build.js";
import { content, type Packet, packetFrame, superFrame } from "../frames/super.js";
import { type Build, datagramsOf } from "../models/rig.js";
import { segment } from "../models/segment.js";
import { opened, type Remote, sealed, TunnelHost } from "../models/tunnel-rig.js";

const BUILDS: readonly Build[] = ["debug", "release"];
/** Octets of payload: every padding, both ends, and around where the tunnel's MTU ends it. The long form takes all. */
const LENGTHS = Array.from({ length: 1401 }, (_, i) => i).filter(
  (n) => process.env.WEFT_TEST_LONG === "1" || n < 66 || n % 97 === 0 || n > 1300,
);

const back = (given: Packet): Buffer => packetFrame({ srcMac: mac(9), dstMac: mac(1), ...given });

for (const build of BUILDS) {
  for (const is6 of [false, true]) {
    t.test(`${build}: frames of all lengths to ${is6 ? "an IPv6" : "an IPv4"} tunnel address`, async (t) => {
      const h = await TunnelHost.open(build, is6);
      let counter = 0n;
      const wrong: string[] = [];
      for (const length of LENGTHS) {
        const frame = packetFrame({ protocol: "udp", payload: content(length, length) });
        const [sent, more] = h.send({ frame });
        if (!sent || more) throw new Error("not one operation");
        const { counter: seen, payload } = h.inside(sent.payload);
        if (seen !== counter++ || !payload.equals(vxlan(42, frame))) wrong.push(`length ${length}`);
        const inner = payload.length + (is6 ? 48 : 28);
        const whole = Math.ceil(inner / 16) * 16;
        const padded = whole <= 1440 || inner > 1440 ? whole : 1440;
        if (sent.payload.length !== padded + 32) wrong.push(`length ${length}: ${sent.payload.length} octets`);
        if (sent.socket !== 32 || sent.udpPort !== 51_820 || sent.local !== "")
          wrong.push(`length ${length}: destination`);
      }
      t.same(wrong, []);
      h.isLawful(t);
    });

    t.test(`${build}: super-frames to ${is6 ? "an IPv6" : "an IPv4"} tunnel address`, async (t) => {
      const h = await TunnelHost.open(build, is6);
      for (const [length, gsoSize, sends] of [
        [60_000, 1300, 2],
        [4500, 1000, 1],
        [1001, 1000, 1],
        [64_000, 100, 10],
        [3000, 1000, 1],
      ] as const) {
        const made = superFrame({ payload: content(length), gsoSize });
        const before = h.counter("sealed");
        const out = h.send(made);
        const cut = segment(made.frame, made.vnet);
        if ("drop" in cut) throw new Error("the twin drops it");
        const got = out.flatMap(datagramsOf).map((m) => h.inside(m));
        t.same(out.length, sends, `${length}/${gsoSize}: sends`);
        t.ok(
          got.length === cut.segments.length &&
            got.every(({ payload }, i) => payload.equals(vxlan(42, cut.segments[i] as Buffer))),
          `${length}/${gsoSize}: ${cut.segments.length} segments as the twin cuts them`,
        );
        t.same(h.counter("sealed") - before, cut.segments.length);
        t.ok(
          got.every(({ counter }, i) => counter === (got[0]?.counter ?? 0n) + BigInt(i)),
          "counters count up",
        );
        t.equal(
          out.reduce((sum, s) => sum + s.segs, 0),
          cut.segments.length,
        );
        t.equal(
          out.reduce((sum, s) => sum + s.bytes, 0),
          cut.segments.reduce((sum, s) => sum + s.length, 0),
        );
      }
      h.isLawful(t);
    });

    t.test(`${build}: frames from ${is6 ? "an IPv6" : "an IPv4"} tunnel address`, async (t) => {
      const h = await TunnelHost.open(build, is6);
      const wrong: number[] = [];
      for (const length of LENGTHS) {
        const frame = back({ protocol: "udp", payload: content(length, length) });
        const [got, more] = h.receive(h.arriving(frame, BigInt(length)));
        if (more || got?.kind !== "port" || got.port !== h.a || !got.frame.equals(frame)) wrong.push(length);
      }
      t.same(wrong, []);
      t.same(h.drops(), {});
      h.isLawful(t);
    });
  }

  t.test(`${build}: a run of TCP in one buffer becomes a super-frame`, async (t) => {
    const h = await TunnelHost.open(build);
    const frames = [0, 1, 2, 3].map((i) =>
      back({ payload: content(1000, i), id: i + 1, tcp: { seq: 1 + 1000 * i, flags: 16 } }),
    );
    const messages = frames.map((frame, i) => h.arriving(frame, BigInt(i)));
    const segLen = messages[0]?.length ?? 0;
    const got = h.ingress([
      { address: "192.0.2.2", payload: Buffer.concat(messages), segLen, wireguard: { port: 51_820 } },
    ]);
    t.equal(got.length, 1);
    t.equal(got[0]?.segs, 4);
    t.same(h.drops(), {});
    h.isLawful(t);
  });

  t.test(`${build}: what is not taken`, async (t) => {
    const h = await TunnelHost.open(build);
    const frame = back({});
    const counted = (name: string, ...payloads: Buffer[]): void => {
      const before = h.drops();
      const out = h.receive(...payloads);
      const after = h.drops();
      t.equal(out.length, 0, `${name}: nothing comes out`);
      t.equal((after[`ingress/${name}`] ?? 0) - (before[`ingress/${name}`] ?? 0), payloads.length, name);
      h.isLawful(t);
    };
    const good = h.arriving(frame, 5n);
    t.equal(h.receive(good).length, 1);
    counted("replay", h.arriving(frame, 5n));
    t.equal(h.receive(h.arriving(frame, 9000n)).length, 1);
    counted("replay", h.arriving(frame, 700n));
    t.equal(h.receive(h.arriving(frame, 900n)).length, 1, "late, but in the window");
    counted("replay", h.arriving(frame, 900n));
    const bad = Buffer.from(h.arriving(frame, 9001n));
    bad[40] = (bad[40] as number) ^ 1;
    counted("auth_failed", bad);
    t.equal(h.receive(h.arriving(frame, 9001n)).length, 1, "a forgery does not use up the counter");
    const strange = Buffer.from(h.arriving(frame, 9002n));
    strange.writeUInt32LE((strange.readUInt32LE(4) ^ 0x0100_0000) >>> 0, 4);
    counted("unknown_index", strange);
    counted("allowed_ips", h.arriving(frame, 9003n, { src: "10.7.0.3" }));
    counted("tunnel_address", h.arriving(frame, 9004n, { dst: "10.7.0.9" }));
    counted("tunnel_protocol", h.arriving(frame, 9005n, { port: 53 }));
    counted("tunnel_packet", sealed(h.session.in, 9006n, content(64)));
    counted("wireguard_message", Buffer.alloc(31, 4), Buffer.alloc(0), Buffer.alloc(148));
    const clear = h.ingress([{ address: "192.0.2.2", payload: vxlan(42, frame) }]);
    t.same(clear, []);
    t.equal(h.drops()["ingress/plaintext_refused"], 1);
    const keepalives = h.counter("keepalives");
    t.same(h.receive(sealed(h.session.in, 9007n, Buffer.alloc(0))), []);
    t.equal(h.counter("keepalives"), keepalives + 1);
    h.slots.retire(h.session.slot);
    counted("key_expired", h.arriving(frame, 9008n));
    h.isLawful(t);
  });

  t.test(`${build}: an echo request is answered`, async (t) => {
    for (const is6 of [false, true]) {
      const h = await TunnelHost.open(build, is6);
      const payload = Buffer.concat([Buffer.from([is6 ? 128 : 8, 0, 0, 0, 1, 2, 3, 4]), content(56)]);
      const common = {
        src: h.other,
        dst: h.self,
        protocol: is6 ? PROTO.icmp6 : PROTO.icmp,
        payload,
        sum: "full" as const,
      };
      const packet = is6 ? ipv6(common) : ipv4(common);
      const [sent] = h.receive(sealed(h.session.in, 0n, packet)).filter((s): s is Remote => s.kind === "peer");
      if (!sent) throw new Error("no answer");
      const { plain } = opened(h.session.out, sent.payload);
      const reply = Buffer.from(payload);
      reply[0] = is6 ? 129 : 0;
      const want = { ...common, src: h.self, dst: h.other, payload: reply };
      const expected = is6 ? ipv6(want) : ipv4(want);
      t.same(plain.subarray(0, expected.length), expected, is6 ? "IPv6" : "IPv4");
      h.isLawful(t);
    }
  });

  t.test(`${build}: without a key, without an endpoint, without a peer`, async (t) => {
    const h = await TunnelHost.open(build);
    const frame = packetFrame({});
    h.tables.tunnel.setSendSlot(h.index, undefined);
    await h.commit();
    t.same(h.send({ frame }), []);
    t.equal(h.drops()["egress/no_session"], 1);
    const events = h.reader.events().filter((e) => e.kind === "no_session");
    t.equal(events.length, 1, "the main thread is asked for one");
    h.tables.tunnel.setSendSlot(h.index, h.session.slot);
    h.tables.tunnel.setEndpoint(h.index, undefined);
    await h.commit();
    t.same(h.send({ frame }), []);
    t.equal(h.drops()["egress/no_endpoint"], 1);
    h.tables.setVtepPeer(h.vtepIndex, undefined);
    await h.commit();
    t.same(h.send({ frame }, superFrame({})), []);
    t.equal(h.drops()["egress/no_session"], 1 + 1 + 5);
    h.isLawful(t);
  });
}
