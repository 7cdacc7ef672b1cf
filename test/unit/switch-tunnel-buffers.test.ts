/** Buffers of several WireGuard messages (UDP_GRO): what one of them leaves behind must not change what the next one is. */
import { ENUM, layout, offsetOf } from "@weft/dataplane-wasm/abi";
import t from "tap";
import { BROADCAST, ipv4, mac, PROTO, udp, vxlan } from "../frames/build.js";
import { content, packetFrame, superFrame } from "../frames/super.js";
import { pick, randomOf } from "../models/random.js";
import { type Build, datagramsOf, type FromUnderlay, macKey, type Sent } from "../models/rig.js";
import { type Direction, opened, sealed, TunnelHost, TunnelRig } from "../models/tunnel-rig.js";

const BUILDS: readonly Build[] = ["debug", "release"];

const buffer = (messages: readonly Buffer[]): FromUnderlay => ({
  address: "192.0.2.2",
  payload: Buffer.concat(messages),
  segLen: messages[0]?.length ?? 0,
  wireguard: { port: 51_820 },
});
const packet = (src: string, vni: number, frame: Uint8Array): Buffer =>
  ipv4({ src, dst: "10.7.0.1", payload: udp({ src: 50_000, dst: 4789, payload: vxlan(vni, frame) }) });
/** `length`: octets of the whole packet. */
const echo = (src: string, length: number, seed = 1): Buffer => {
  const payload = Buffer.concat([Buffer.from([8, 0, 0, 0, 1, 2, 3, 4]), content(length - 28, seed)]);
  return ipv4({ src, dst: "10.7.0.1", protocol: PROTO.icmp, payload, sum: "full" });
};
/** The memory's header, but for what workers count in it. */
function headerOf(h: TunnelHost): Buffer {
  const out = Buffer.from(h.octets.subarray(0, layout("Header").size));
  for (const field of ["fdbCount", "neighbourCount"]) out.writeUInt32LE(0, offsetOf("Header", field));
  return out;
}

for (const build of BUILDS) {
  t.test(`${build}: a batch of echo requests is answered, and nothing else is touched`, async (t) => {
    const h = await TunnelHost.open(build);
    const before = headerOf(h);
    const requests = Array.from({ length: 5 }, (_, i) => echo(h.other, 84, i));
    const run = packetFrame({ srcMac: mac(9), dstMac: mac(1), payload: content(300) });
    const messages = requests.map((request, i) => sealed(h.session.in, BigInt(i), request));
    const out = h.ingress([
      buffer(messages),
      buffer([h.arriving(run, 10n)]),
      buffer([sealed(h.session.in, 11n, echo(h.other, 84))]),
    ]);
    const answers = out.flatMap((s) => (s.kind === "peer" ? datagramsOf(s) : []));
    t.equal(answers.length, 6);
    t.equal(out.filter((s) => s.kind === "port").length, 1);
    for (const [i, answer] of answers.entries()) {
      const { counter, plain } = opened(h.session.out, answer);
      t.equal(counter, BigInt(i));
      t.same(plain.subarray(28, 84), (requests[i] ?? echo(h.other, 84)).subarray(28), `answer ${i}`);
    }
    t.same(headerOf(h), before, "the memory's header");
    t.same(h.drops(), {});
    h.isLawful(t);
  });

  t.test(`${build}: an echo request between two frames of another network`, async (t) => {
    const h = (await TunnelHost.open(build)).features(64, 0);
    const second = h.network({ vni: 43, mtu: 1390 });
    h.port(second, mac(0x21));
    h.tunnelVtep(second, h.other, h.index);
    await h.commit();
    const frame = packetFrame({ srcMac: mac(0x29), dstMac: mac(0x21), protocol: "udp", payload: content(100) });
    const whole = packet(h.other, 43, frame);
    const messages = [whole, echo(h.other, whole.length), whole].map((p, i) => sealed(h.session.in, BigInt(i), p));
    const out = h.ingress([buffer(messages)]);
    t.equal(
      out.filter((s) => s.kind === "port").reduce((n, s) => n + s.segs, 0),
      2,
    );
    const sums = [h.net, second].map((network) => h.reader.block("NETWORK_COUNTERS", network).txPackets);
    t.same(sums, [0, 2], "both are counted for the network that they are of");
    t.same(h.drops(), {});
    h.isLawful(t);
  });

  t.test(`${build}: peers that work together cannot pass for a third one`, async (t) => {
    const h = await TunnelHost.open(build);
    const b = h.peer(["10.7.0.3/32"], "192.0.2.2");
    const c = h.peer(["10.7.0.4/32"], "192.0.2.2");
    h.tunnelVtep(h.net, "10.7.0.4", c);
    const [keyB, keyC] = [h.keys(b, 50), h.keys(c, 60)];
    const target = { kind: "vtep", index: h.vtepIndex } as const;
    h.tables.setRoute(h.net, { kind: "mac", length: 0, key: macKey(mac(9)) }, target, false);
    await h.commit();
    const frame = packetFrame({ srcMac: mac(9), dstMac: mac(1), protocol: "udp" });
    const messages = [
      sealed(h.session.in, 0n, packet(h.other, 42, frame)),
      sealed(keyB.in, 0n, packet("10.7.0.4", 42, frame)),
      sealed(keyC.in, 0n, packet("10.7.0.4", 42, frame)),
    ];
    t.equal(
      h.ingress([buffer(messages)]).reduce((n, s) => n + s.segs, 0),
      1,
    );
    t.same(h.drops(), { "ingress/allowed_ips": 1, "ingress/static_conflict": 1 });
    h.isLawful(t);
  });

  t.test(`${build}: VXLAN from the tunnel address of another peer`, async (t) => {
    const h = await TunnelHost.open(build);
    // The second peer may use any address but the first one's; its VTEP is 10.7.0.3.
    const b = h.peer(["0.0.0.0/0"], "192.0.2.3");
    h.tunnelVtep(h.net, "10.7.0.3", b);
    const keyB = h.keys(b, 50);
    await h.commit();
    const frame = packetFrame({ srcMac: mac(0x31), dstMac: mac(1) });
    t.same(h.ingress([buffer([sealed(keyB.in, 0n, packet(h.other, 42, frame))])]), []);
    t.same(h.drops(), { "ingress/allowed_ips": 1 });
    t.equal(h.ingress([buffer([sealed(keyB.in, 1n, packet("10.7.0.3", 42, frame))])]).length, 1);
    // The address has gone to another peer, and the VTEP still names the first.
    h.tables.tunnel.setAllowed(h.index, []);
    await h.commit();
    t.same(h.ingress([buffer([sealed(keyB.in, 2n, packet(h.other, 42, frame))])]), []);
    t.equal(h.drops()["ingress/unknown_vtep"], 1);
    const clear = h.ingress([{ address: h.other, payload: vxlan(42, frame) }]);
    t.same(clear, [], "a tunnel address outside the tunnel");
    t.equal(h.drops()["ingress/plaintext_refused"], 1);
    h.isLawful(t);
  });

  t.test(`${build}: a key that goes while a buffer waits for room`, async (t) => {
    for (const reuse of [false, true]) {
      const h = await TunnelHost.open(build, false, { txMax: 5 });
      h.port(h.net, mac(2));
      await h.commit();
      const frame = packetFrame({ srcMac: mac(9), dstMac: BROADCAST, protocol: "udp" });
      const messages = Array.from({ length: 12 }, (_, i) => h.arriving(frame, BigInt(i)));
      let goes = true;
      h.taken = () => {
        if (goes) {
          h.slots.retire(h.session.slot);
          h.slots.wipe(h.session.slot);
          for (let n = 0; reuse && n < 16; n++) h.slots.reserve(h.index, 0);
        }
        goes = false;
        return undefined;
      };
      const out = h.ingress([buffer(messages)]);
      const first = h.counter("opened");
      t.ok(h.resumed >= 1 && first < 12 && out.length <= 2 * first, `${out.length} copies of ${first}`);
      t.same(h.drops(), { "ingress/unknown_index": 12 - out.length / 2 });
      h.isLawful(t);
    }
  });

  t.test(`${build}: a thread that takes over takes nothing for opened`, async (t) => {
    const h = await TunnelHost.open(build);
    const worker = h.address("WORKER");
    // As a thread leaves it that died between two parts of a batch.
    h.setField("Worker", "opened", worker, 1);
    h.setField("Worker", "resumeSeg", worker, 3);
    h.exports.setup(0);
    h.exports.begin(0);
    const plain = packet(h.other, 42, packetFrame({ srcMac: mac(9), dstMac: mac(1) }));
    const head = h.arriving(plain, 0n).subarray(0, 16);
    t.same(h.receive(Buffer.concat([head, plain, Buffer.alloc(16)])), []);
    t.same(h.drops(), { "ingress/auth_failed": 1 });
    h.isLawful(t);
  });

  t.test(`${build}: good and bad messages, keys and peers in one buffer, with little room to send`, async (t) => {
    const random = randomOf(77);
    let resumed = 0;
    for (let round = 0; round < 40; round++) {
      const h = await TunnelHost.open(build, false, { txMax: [5, 6, 8, 2048][round & 3] as number });
      h.features([1, 64][round & 1] as number, [0, 3][(round >> 1) & 1] as number);
      const b = h.peer(["10.7.0.3/32"], "192.0.2.3");
      h.tunnelVtep(h.net, "10.7.0.3", b);
      const keyB = h.keys(b, 50);
      h.port(h.net, mac(2));
      await h.commit();
      const sides = [
        { in: h.session.in, out: h.session.out, src: h.other, source: mac(9) },
        { in: keyB.in, out: keyB.out, src: "10.7.0.3", source: mac(0x39) },
      ] as const;
      const wanted: Record<string, number> = {};
      const drops: Record<string, number> = {};
      const counters = [0n, 0n];
      const add = (to: Record<string, number>, name: string): void => {
        to[name] = (to[name] ?? 0) + 1;
      };
      const sent: Buffer[] = [];
      const messages = Array.from({ length: 30 }, (_, i) => {
        const who = pick(random, 2);
        const side = sides[who] as (typeof sides)[number];
        const kind = pick(random, 8);
        const counter = counters[who] as bigint;
        if (kind < 7) counters[who] = counter + 1n;
        const flood = kind === 0;
        const frame = packetFrame({
          srcMac: side.source,
          dstMac: flood ? BROADCAST : mac(1 + pick(random, 2)),
          protocol: "udp",
          src: side.src,
          id: i,
          payload: content(200, i),
        });
        const whole = packet(side.src, 42, frame);
        const make = (direction: Direction, inner: Buffer): Buffer => sealed(direction, counter, inner);
        if (kind < 4) {
          for (const n of flood ? [1, 2] : [frame[5] as number])
            add(wanted, `port ${n} ${content(200, i).toString("hex")}`);
          sent.push(make(side.in, whole));
          return sent.at(-1) as Buffer;
        }
        if (kind === 4) {
          const request = echo(side.src, whole.length, i);
          add(wanted, `peer ${who} ${request.toString("hex", 28)}`);
          return make(side.in, request);
        }
        if (kind === 5) {
          add(drops, "ingress/allowed_ips");
          return make(side.in, packet(sides[1 - who]?.src ?? "", 42, frame));
        }
        if (kind === 6) {
          add(drops, "ingress/auth_failed");
          const bad = make(side.in, whole);
          bad[60] = (bad[60] as number) ^ 4;
          return bad;
        }
        const again = sent[pick(random, sent.length)];
        if (again) {
          add(drops, "ingress/replay");
          return Buffer.from(again);
        }
        add(drops, "ingress/wireguard_message");
        return Buffer.alloc(make(side.in, whole).length, 9);
      });
      const got: Record<string, number> = {};
      const out = h.ingress([buffer(messages.slice(0, 17)), buffer(messages.slice(17))]);
      for (const s of out)
        for (const name of contents(
          s,
          sides.map((side) => side.out),
        ))
          add(got, name);
      t.same(got, wanted, `round ${round}`);
      t.same(h.drops(), drops, `round ${round}: drops`);
      t.same([h.missing("egress"), h.missing("ingress")], [0, 0]);
      resumed += h.resumed;
    }
    t.ok(resumed > 100, `the region was full ${resumed} times`);
  });

  t.test(`${build}: super-frames that go nowhere take no room from others`, async (t) => {
    const h = new TunnelRig(build, ["10.7.0.1"]).features(64, 3);
    const net = h.network({ mtu: 1390, flags: ENUM.NETWORK.ENCRYPTED });
    const a = h.port(net, mac(1));
    const device = h.tables.reservePort() as number;
    h.tables.addTunnelPort(device, 1440);
    for (const n of [2, 3]) {
      const peer = h.peer([`10.7.0.${n}/32`], `192.0.2.${n}`);
      const vtep = h.tunnelVtep(net, `10.7.0.${n}`, peer);
      h.tables.setRoute(net, { kind: "mac", length: 0, key: macKey(mac(n)) }, { kind: "vtep", index: vtep }, true);
      if (n === 3) h.keys(peer, 7);
    }
    await h.commit();
    const to = (n: number) => ({
      srcMac: mac(1),
      dstMac: mac(n),
      dst: `10.7.0.${n}`,
      payload: content(60_000),
      gsoSize: 1300,
    });
    const lost = Array.from({ length: 60 }, () => ({ port: a, ...superFrame(to(2)) }));
    t.equal(segmentsOf(h.egress([...lost, { port: a, ...superFrame(to(3)) }])), 47, "from a port");
    const { frame, vnet } = superFrame(to(3));
    const packet = { port: device, frame: frame.subarray(14), vnet: { ...vnet, csumStart: vnet.csumStart - 14 } };
    t.equal(segmentsOf(h.egress([...lost, packet])), 47, "from the tunnel device");
    t.same(h.drops(), { "egress/no_session": 2 * 60 * 47 });
    t.equal(h.missing("egress"), 0);
  });
}

/** What a test can know each frame or answer by: port and payload, or peer and data. */
function contents(s: Sent, directions: readonly Direction[]): string[] {
  if (s.kind !== "port") {
    return Array.from({ length: s.segs }, (_, i) => {
      const step = s.gsoSize === 0 ? s.payload.length : s.gsoSize;
      const { plain } = opened(directions[s.vtep] as Direction, s.payload.subarray(i * step, (i + 1) * step));
      return `peer ${s.vtep} ${plain.subarray(0, plain.readUInt16BE(2)).toString("hex", 28)}`;
    });
  }
  const size = s.vnet.gsoSize || s.frame.length - 42;
  return Array.from(
    { length: s.segs },
    (_, i) => `port ${s.port + 1} ${s.frame.subarray(42 + i * size).toString("hex", 0, size)}`,
  );
}

function segmentsOf(sent: readonly Sent[]): number {
  return sent.reduce((sum, { segs }) => sum + segs, 0);
}
