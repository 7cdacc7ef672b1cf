/** Relays: sealed messages of two switches through a third one, and what a relay refuses. The twin opens what is on the wire. */
import { Punts } from "@weft/dataplane-wasm";
import { LIMIT } from "@weft/dataplane-wasm/abi";
import fc from "fast-check";
import t from "tap";
import { ipv6, mac, PROTO, udp, vxlan } from "../frames/build.js";
import { content, packetFrame, superFrame } from "../frames/super.js";
import { group } from "../models/group.js";
import { addressOf, carrier, PORT, probe, type Remote, Trio } from "../models/relay-rig.js";
import { type Build, datagramsOf, type Sent } from "../models/rig.js";
import { udpPayloadOf } from "../models/tunnel.js";
import { type Direction, sealed } from "../models/tunnel-rig.js";

const RUNS = process.env.WEFT_TEST_LONG === "1" ? 2000 : 60;
const there = (given = {}) => packetFrame({ srcMac: mac(1), dstMac: mac(3), ...given });
const back = (given = {}) => packetFrame({ srcMac: mac(3), dstMac: mac(1), ...given });

for (const build of ["debug", "release"] satisfies Build[]) {
  t.test(`${build}: a frame through a relay, and one back`, async (t) => {
    const trio = await Trio.open(build);
    const [a, relay, b] = trio.hosts;
    for (const [n, to, frame] of [
      [1, 3, there({ payload: content(300), tos: 2 })],
      [3, 1, back({ version: 6, protocol: "udp", payload: content(77) })],
    ] as const) {
      trio.wire.length = 0;
      const got = trio.send(n, { frame });
      t.match(got, [{ host: to, segs: 1 }]);
      t.same(got[0]?.frame, frame, `host ${to} gets it as it was`);
      t.same(
        trio.wire.map(({ from, sent }) => [from, sent.address.slice(-2), sent.kind, sent.segs]),
        [
          [n, "02", "vtep", 1],
          [2, `0${to}`, "peer", 1],
        ],
      );
      const [first, second] = trio.wire.map(({ sent }) => sent.payload) as [Buffer, Buffer];
      const [outer, relayed] = [trio.opened(n, 2, first), trio.opened(2, to, second)];
      const length = 40 + outer.readUInt16BE(4);
      const message = outer.subarray(48, length);
      const want = carrier({ src: addressOf(n), dst: addressOf(to), trafficClass: n === 1 ? 2 : 0, payload: message });
      // No checksum.
      want.writeUInt16BE(0, 46);
      t.same(outer.subarray(0, length), want, "IPv6 and UDP around the message");
      t.ok(outer.subarray(length).every((octet) => octet === 0) && outer.length < length + 16, "zeros behind it");
      want.writeUInt8(7, 7);
      t.same(relayed, Buffer.concat([want, outer.subarray(length)]), "the relay changes the hop limit only");
      t.same(udpPayloadOf(trio.opened(n, to, message)), vxlan(42, frame), "the relay's session has another one inside");
      t.throws(() => trio.opened(n, 2, message), "that the relay has no key of");
    }
    t.same([relay.counter("relayed_packets"), relay.counter("opened"), relay.counter("sealed")], [2, 2, 2]);
    t.equal(relay.counter("relayed_bytes") % 16, 0);
    t.same([a.counter("sealed"), b.counter("opened")], [2, 2], "twice each way out, once for the other's");
    for (const host of trio.hosts) t.same(host.drops(), {});
    t.same(
      b.reader.events().filter(({ kind }) => kind === "roamed"),
      [],
      "nobody has moved",
    );
    trio.isLawful(t);
  });

  t.test(`${build}: super-frames through a relay`, async (t) => {
    for (const given of [{}, { version: 6 }, { protocol: "udp" }, { version: 6, protocol: "udp" }] as const) {
      const trio = await Trio.open(build);
      const big = superFrame({ srcMac: mac(1), dstMac: mac(3), payload: content(30_011), gsoSize: 1000, ...given });
      const got = trio.send(1, big);
      t.equal(
        got.reduce((sum, { segs }) => sum + segs, 0),
        31,
        "every segment",
      );
      t.same(Buffer.concat(got.map(({ frame }) => payloadOf(frame, given))), content(30_011), "and every octet");
      const { sent } = trio.wire[0] as (typeof trio.wire)[0];
      t.equal(sent.segs, 31, "one send of all");
      const lengths = new Set(
        datagramsOf(sent)
          .slice(0, -1)
          .map((d) => d.length),
      );
      t.equal(lengths.size, 1, "equally long");
      t.same(
        trio.wire.slice(1).map((one) => one.sent.segs),
        [30, 1],
        "the relay hands them on in one send, but for the shorter one",
      );
      for (const host of trio.hosts) t.same(host.drops(), {});
      trio.isLawful(t);
    }
  });

  t.test(`${build}: what a relay hands on shares sends`, async (t) => {
    const of = (n: number, length: number, given: Parameters<typeof carrier>[0] = {}) =>
      Array.from({ length: n }, (_, i) => ({ from: 1 as const, packet: transit(length, i, given) }));
    const back = of(3, 200, { src: addressOf(3), dst: addressOf(1) }).map((one) => ({ ...one, from: 3 as const }));
    const own = { from: 1 as const, packet: toRelay(1, there({ dstMac: mac(2) })) };
    const rows = [
      ["packets of one length", of(5, 200), [5]],
      ["at most as many as the kernel takes", of(20, 200), [16, 4]],
      ["64 KB are the most", of(9, 9000), [7, 2]],
      ["a shorter one may be another's", [...of(3, 200), ...of(2, 100)], [3, 2]],
      ["a longer one begins another", [...of(3, 100), ...of(2, 200)], [3, 2]],
      ["and nothing goes back past it", [...of(2, 100), ...of(1, 200), ...of(2, 100)], [2, 1, 2]],
      ["another mark begins another", [...of(2, 100), ...of(2, 100, { trafficClass: 1 })], [2, 2]],
      ["DSCP stays inside", [...of(2, 100), ...of(2, 100, { trafficClass: 0xfc })], [4]],
      ["another peer has its own", [...of(2, 200), ...back, ...of(2, 200)], [4, 3]],
      ["what is for the relay itself is not among them", [...of(2, 200), own, ...of(2, 200)], [4, 1]],
    ] as const;
    for (const [what, list, want] of rows) {
      const trio = await Trio.open(build);
      const relay = trio.hosts[1].features(16, 3);
      const sent = trio.batch(list);
      t.same(
        sent.map(({ segs }) => segs),
        want,
        what,
      );
      const shared = sent.filter((s) => s.kind === "peer" && s.segs > 1).length;
      t.equal(relay.counter("grouped_sends"), shared, `${what}: counted`);
      const octets = sent.reduce((sum, s) => sum + (s.kind === "peer" ? s.payload.length : 0), 0);
      const [to1, to3] = [1, 3].map((n) => relay.reader.block("PEER_COUNTERS", relay.peerOf(n)));
      const relayed = relay.counter("relayed_packets");
      t.same(
        [Number(to1?.txPackets) + Number(to3?.txPackets), Number(to1?.txBytes) + Number(to3?.txBytes)],
        [relayed, octets],
      );
      t.same(relay.drops(), {});
      trio.isLawful(t);
    }
  });

  t.test(`${build}: what the kernel takes of a shared send counts, the rest is dropped`, async (t) => {
    const trio = await Trio.open(build);
    const relay = trio.hosts[1];
    const list = Array.from({ length: 5 }, (_, i) => ({ from: 1 as const, packet: transit(300, i) }));
    relay.taken = (s) => (s.kind === "peer" ? 2 * s.gsoSize : undefined);
    const [sent] = trio.batch(list) as [Remote];
    t.same(relay.drops(), { "ingress/udp_full": 3 });
    const counted = { txPackets: 2, txBytes: 2 * sent.gsoSize };
    t.match(relay.reader.block("PEER_COUNTERS", relay.peerOf(3)), counted);
    t.equal(relay.counter("out_ingress"), 2);
    relay.errno = () => 90;
    trio.batch(list);
    t.same(relay.drops(), { "ingress/udp_full": 3, "ingress/udp_too_big": 5 });
    t.match(relay.reader.block("PEER_COUNTERS", relay.peerOf(3)), counted);
    trio.isLawful(t);
  });

  t.test(`${build}: random batches leave a relay as the twin says`, async (t) => {
    const grouping = await Trio.open(build);
    const plain = await Trio.open(build);
    plain.hosts[1].features(1, 3);
    const run = fc.record({
      count: fc.integer({ min: 1, max: 9 }),
      from: fc.constantFrom(1 as const, 1 as const, 3 as const),
      isOwn: fc.constantFrom(false, false, true),
      trafficClass: fc.constantFrom(0, 0, 0, 1, 2, 0x20),
      length: fc.constantFrom(100, 100, 100, 101, 116, 1200, 9000),
    });
    const seq = { 1: 0, 3: 0 };
    let seed = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(2, 7, 64),
        fc.array(run, { minLength: 1, maxLength: 7, size: "max" }),
        async (most, runs) => {
          grouping.hosts[1].features(most, 3);
          const list = runs.flatMap((one) => Array.from({ length: one.count }, () => one));
          const packets = list.map(({ from, isOwn, trafficClass, length }) => {
            const [src, dst] = [addressOf(from), addressOf(4 - from)];
            if (!isOwn) return { from, packet: transit(length, seed++, { src, dst, trafficClass }) };
            const payload = content(Math.min(length, 1200), seed++);
            const tcp = { seq: seq[from], flags: 16 };
            seq[from] += payload.length;
            return { from, packet: toRelay(from, packetFrame({ srcMac: mac(from), dstMac: mac(2), payload, tcp })) };
          });
          const [got, alone] = [grouping.batch(packets), plain.batch(packets)];
          // But for the receiver index, which is chosen at random.
          const line = (path: string, tos: number, octets: Buffer): string =>
            `${path} ${tos} ${octets.toString("hex", 8)}`;
          const datagrams = alone.flatMap((s) =>
            s.kind === "peer" ? [{ path: `${s.vtep}`, tos: s.tos, octets: s.payload }] : [],
          );
          const want = group(datagrams, most, true).map((send) => send.map((d) => line(d.path, d.tos, d.octets)));
          const have = got.flatMap((s) =>
            s.kind === "peer" ? [datagramsOf(s).map((octets) => line(`${s.vtep}`, s.tos, octets))] : [],
          );
          if (JSON.stringify(have) !== JSON.stringify(want))
            throw new Error(`${have.map((h) => h.length)}, not ${want.map((h) => h.length)}`);
          if (JSON.stringify(delivered(got)) !== JSON.stringify(delivered(alone)))
            throw new Error("other frames for its container");
          if (grouping.hosts[1].missing("ingress") !== 0) throw new Error("the law");
        },
      ),
      { numRuns: RUNS, seed: 7 },
    );
    t.same([grouping.hosts[1].drops(), plain.hosts[1].drops()], [{}, {}]);
    for (const name of ["grouped_sends", "merged_ingress"] as const) {
      const count = grouping.hosts[1].counter(name);
      t.ok(count > RUNS, `${count} ${name}`);
    }
  });

  t.test(`${build}: a full arena is emptied, and nothing is lost`, async (t) => {
    // Packets as long as the path takes are not padded, so what is behind them has to be aligned.
    const list = Array.from({ length: 12 }, (_, i) => ({ from: 1 as const, packet: transit(1441 - 48, i) }));
    const trio = await Trio.open(build);
    const relay = trio.hosts[1];
    relay.path(relay.peerOf(3), undefined, 1441);
    await relay.commit();
    for (let octets = 2900; octets < 3500; octets += 8) {
      relay.setField("Worker", "sealedMax", relay.address("WORKER"), octets);
      const sent = trio.batch(list).reduce((sum, { segs }) => sum + segs, 0);
      t.same([sent, relay.drops()], [list.length, {}], `${octets} octets`);
    }
    t.ok(relay.resumed > 100);
    trio.isLawful(t);
  });

  t.test(`${build}: a relay with next to no room`, async (t) => {
    const trio = await Trio.open(build, true, 4);
    const frames = Array.from({ length: 40 }, (_, i) => ({ frame: there({ payload: content(200 + i) }) }));
    t.equal(trio.send(1, ...frames).length, 40);
    const [, relay] = trio.hosts;
    t.same([relay.counter("relayed_packets"), relay.drops()], [40, {}]);
    // Each a send of its own.
    relay.features(1, 3);
    const message = (i: number): Buffer => sealed(trio.hosts[0].out.get(2) as Direction, BigInt(5000 + i), carrier());
    const one = message(0);
    const payload = Buffer.concat([one, ...Array.from({ length: 19 }, (_, i) => message(i + 1))]);
    trio.receive(2, { address: "192.0.2.1", payload, segLen: one.length, wireguard: { port: PORT } });
    t.ok(relay.resumed > 0, `it stopped ${relay.resumed} times`);
    t.equal(relay.counter("relayed_packets"), 60, "each once");
    t.equal(trio.hosts[2].drops()["ingress/unknown_index"], 20, "made up, as their addressee sees");
    t.ok(
      trio.wire.slice(-20).every(({ sent }) => trio.opened(2, 3, sent.payload).readUInt8(7) === 7),
      "the hop limit goes down once",
    );
    trio.isLawful(t);
  });

  t.test(`${build}: what a relay refuses`, async (t) => {
    const rows = [
      ["hop limit 1", carrier({ hopLimit: 1 }), "hop_limit"],
      ["hop limit 0", carrier({ hopLimit: 0 }), "hop_limit"],
      ["to where it came from", carrier({ dst: addressOf(1) }), "relay_loop"],
      ["to nobody", carrier({ dst: "fd07::9" }), "tunnel_address"],
      ["no message of WireGuard", carrier({ payload: content(80, 3) }), "tunnel_address"],
      ["a type with more in it", carrier({ payload: Buffer.from([4, 1, 0, 0, 5]) }), "tunnel_address"],
      ["another port", carrier({ port: 53 }), "tunnel_address"],
      ["of nobody's source, another port", carrier({ port: 53, src: "fd07::9" }), "allowed_ips"],
      [
        "TCP",
        ipv6({ src: addressOf(1), dst: addressOf(3), protocol: PROTO.tcp, payload: content(40) }),
        "tunnel_address",
      ],
      ["for itself, but nothing", carrier({ dst: addressOf(2), payload: content(80, 3) }), "tunnel_protocol"],
      ["for itself, of no session", carrier({ dst: addressOf(2) }), "unknown_index"],
    ] as const;
    for (const [what, packet, reason] of rows) {
      const trio = await Trio.open(build);
      trio.relay(packet);
      t.same(trio.hosts[1].drops(), { [`ingress/${reason}`]: 1 }, what);
      t.equal(trio.wire.length, 0);
      trio.isLawful(t);
    }
    const trio = await Trio.open(build);
    const [a, relay] = trio.hosts;
    trio.relay(carrier({ hopLimit: 255 }));
    const sent = trio.wire[0]?.sent.payload as Buffer;
    t.equal(trio.opened(2, 3, sent).readUInt8(7), LIMIT.HOP_LIMIT - 1, "who says more goes no further than others");
    relay.path(relay.peerOf(3), relay.peerOf(1));
    await relay.commit();
    trio.relay(carrier());
    t.same(relay.drops(), { "ingress/relay_loop": 1 }, "its own path leads back");
    relay.path(relay.peerOf(3), undefined);
    relay.tables.tunnel.setSendSlot(relay.peerOf(3), undefined);
    await relay.commit();
    relay.reader.events();
    trio.relay(carrier());
    t.equal(relay.drops()["ingress/no_session"], 1);
    t.match(relay.reader.events(), [{ kind: "no_session", peer: relay.peerOf(3) }], "and a session is asked for");
    a.tables.tunnel.setSendSlot(a.peerOf(2), undefined);
    await a.commit();
    a.reader.events();
    trio.send(1, { frame: there() });
    t.same(a.drops(), { "egress/no_session": 1 });
    t.match(a.reader.events().at(-1), { kind: "no_session", peer: a.peerOf(2) }, "of the next hop's");
    trio.isLawful(t);
  });

  t.test(`${build}: a session ends where it ends`, async (t) => {
    const trio = await Trio.open(build);
    const [a, relay, b] = trio.hosts;
    trio.send(1, { frame: there() });
    const last = trio.wire.at(-1)?.sent.payload as Buffer;
    const whole = udpPayloadOf(trio.opened(2, 3, last));
    const again = (payload: Buffer, counter: bigint) =>
      trio.receive(3, {
        address: "192.0.2.2",
        payload: sealed(relay.out.get(3) as Direction, counter, carrier({ payload })),
        wireguard: { port: PORT },
      });
    t.same(again(Buffer.from(whole), 900n), []);
    t.same(b.drops(), { "ingress/replay": 1 }, "a relay cannot say it twice");
    const forged = Buffer.from(whole);
    forged[40] = (forged[40] as number) ^ 1;
    again(forged, 901n);
    t.equal(b.drops()["ingress/replay"], 2, "its counter was seen");
    forged.writeBigUInt64LE(77n, 8);
    again(forged, 902n);
    t.equal(b.drops()["ingress/auth_failed"], 1, "nor say another thing");
    // The relay's own word, from the far host's address.
    const frame = there();
    const packet = ipv6({
      src: addressOf(1),
      dst: addressOf(3),
      payload: udp({ src: 50_000, dst: 4789, payload: vxlan(42, frame) }),
    });
    trio.receive(3, {
      address: "192.0.2.2",
      payload: sealed(relay.out.get(3) as Direction, 903n, packet),
      wireguard: { port: PORT },
    });
    t.equal(b.drops()["ingress/allowed_ips"], 1, "nor speak for its sender");
    const inner = sealed(a.out.get(3) as Direction, 500n, carrier({ dst: addressOf(3), payload: Buffer.from(whole) }));
    again(inner, 904n);
    t.equal(b.drops()["ingress/tunnel_protocol"], 1, "one inside the other, and no deeper");
    trio.isLawful(t);
  });

  t.test(`${build}: nobody is his own relay`, async (t) => {
    const trio = await Trio.open(build);
    const [a, relay] = trio.hosts;
    const punts = new Punts(relay.switchMemory);
    const message = sealed(a.out.get(2) as Direction, 500n, probe({ dst: addressOf(2) }));
    trio.relay(carrier({ dst: addressOf(2), payload: message }));
    t.same([punts.take(), relay.drops()], [[], { "ingress/relay_loop": 1 }], "no probe came through its own sender");
    t.equal(relay.counter("opened"), 1);
    trio.isLawful(t);
  });

  t.test(`${build}: congestion marks go all the way`, async (t) => {
    const trio = await Trio.open(build);
    const { out } = trio.hosts[0];
    const inner = (frame: Buffer, tos: number) =>
      ipv6({
        src: addressOf(1),
        dst: addressOf(3),
        trafficClass: tos,
        payload: udp({ src: 50_000, dst: 4789, payload: vxlan(42, frame) }),
      });
    const frame = there({ tos: 2 });
    const message = sealed(out.get(3) as Direction, 0n, inner(frame, 2));
    const [got] = trio.relay(carrier({ trafficClass: 2, payload: message }), 3);
    t.equal(got?.frame.readUInt8(15), 3, "marked on the way to the relay");
    t.same(trio.relay(carrier({ trafficClass: 0 }), 3), []);
    t.same(trio.hosts[1].drops(), { "ingress/ecn_ce": 1 }, "what cannot be marked is dropped");
    trio.isLawful(t);
  });

  t.test(`${build}: probes and handshakes for the main thread`, async (t) => {
    const trio = await Trio.open(build);
    const [a, relay, b] = trio.hosts;
    const punts = [relay, b].map((host) => new Punts(host.switchMemory));
    trio.relay(probe({ dst: addressOf(2), payload: content(500, 5) }));
    t.match(punts[0]?.take(), [
      { message: content(128, 5), via: undefined, port: PORT, probe: { peer: relay.peerOf(1), packetBytes: 548 } },
    ]);
    const message = sealed(a.out.get(3) as Direction, 0n, probe({ payload: Buffer.from("x") }));
    trio.relay(carrier({ payload: message }));
    t.match(punts[1]?.take(), [
      { message: Buffer.from("x"), via: b.peerOf(2), probe: { peer: b.peerOf(1), packetBytes: 49 } },
    ]);
    trio.relay(probe({ src: addressOf(3), dst: addressOf(2) }));
    t.same(relay.drops(), { "ingress/allowed_ips": 1 }, "nobody probes in another's name");
    trio.relay(probe());
    t.equal(relay.drops()["ingress/tunnel_address"], 1, "probes are not relayed but in sessions");
    const reply = content(64);
    reply.writeUInt32LE(3, 0);
    reply.writeUInt32LE(a.out.get(3)?.index as number, 4);
    trio.relay(carrier({ src: "fd07::1", payload: reply }));
    t.match(punts[1]?.take(), [{ message: reply, via: b.peerOf(2), port: PORT, probe: undefined }]);
    const bad = content(148);
    bad.writeUInt32LE(1, 0);
    trio.relay(carrier({ payload: bad }));
    t.same(b.drops(), { "ingress/mac1": 1 });
    for (let i = 0; i < LIMIT.PROBES_PER_TICK + 9; i++) trio.relay(probe({ dst: addressOf(2) }));
    t.equal(relay.drops()["ingress/probe_rate"], 10, "the one before counts too");
    trio.isLawful(t);
  });
}

function payloadOf(frame: Buffer, { version = 4, protocol = "tcp" }: { version?: number; protocol?: string }): Buffer {
  return frame.subarray(14 + (version === 4 ? 20 : 40) + (protocol === "tcp" ? 20 : 8));
}

/** A packet from host 1 to host 3 that carries `length` octets, like transport data. */
function transit(length: number, seed: number, given: Parameters<typeof carrier>[0] = {}): Buffer {
  return carrier({ payload: Buffer.concat([Buffer.from([4, 0, 0, 0]), content(length - 4, seed)]), ...given });
}
/** A frame of a host's container for the relay's. */
function toRelay(from: number, frame: Buffer): Buffer {
  const transport = udp({ src: 50_000, dst: 4789, payload: vxlan(42, frame) });
  return ipv6({ src: addressOf(from), dst: addressOf(2), payload: transport, sum: "full" });
}
/** What its container got. */
function delivered(sent: readonly Sent[]): string[] {
  return sent.flatMap((s) => (s.kind === "port" ? [`${s.frame.toString("hex")} ${JSON.stringify(s.vnet)}`] : []));
}
