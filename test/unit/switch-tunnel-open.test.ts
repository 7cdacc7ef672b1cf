/** Opening, attacked: replays, forgeries, expired keys, packets inside that lie, and buffers that mix all of it. */
import t from "tap";
import { ip, ipv4, ipv6, mac, PROTO, udp, vxlan } from "../frames/build.js";
import { content, packetFrame } from "../frames/super.js";
import { pick, randomOf } from "../models/random.js";
import { addressKey, type Build, type FromUnderlay, type Sent } from "../models/rig.js";
import { inside, mergeEcn } from "../models/tunnel.js";
import { opened, type Session, sealed, TunnelHost } from "../models/tunnel-rig.js";

const BUILDS: readonly Build[] = ["debug", "release"];
const frame = packetFrame({ srcMac: mac(9), dstMac: mac(1) });
const WIREGUARD = { port: 51_820 };

const hex = (key: readonly number[]): string => key.map((word) => word.toString(16).padStart(8, "0")).join("");
/** Several messages as UDP_GRO hands them over: all but the last are equally long. */
const buffer = (messages: readonly Buffer[], tos = 0): FromUnderlay => ({
  address: "192.0.2.2",
  payload: Buffer.concat(messages),
  segLen: messages[0]?.length ?? 0,
  tos,
  wireguard: WIREGUARD,
});
/** What changed in the drops while `run` ran. */
function dropped(h: TunnelHost, run: () => void): Record<string, number> {
  const before = h.drops();
  run();
  const changes = Object.entries(h.drops()).map(([name, n]) => [name.slice(8), n - (before[name] ?? 0)] as const);
  return Object.fromEntries(changes.filter(([, n]) => n !== 0));
}

for (const build of BUILDS) {
  t.test(`${build}: the replay window, through whole messages`, async (t) => {
    const h = await TunnelHost.open(build);
    const take = (counter: bigint): string => {
      let out: Sent[] = [];
      const drops = dropped(h, () => (out = h.receive(h.arriving(frame, counter))));
      return out.length === 1 ? "taken" : Object.keys(drops).join();
    };
    const far = 1n << 33n;
    for (const [counter, want] of [
      [0n, "taken"],
      [0n, "replay"],
      [8191n, "taken"],
      [1n, "taken"],
      [8192n, "taken"],
      [2n, "taken"],
      [0n, "replay"],
      [8193n, "taken"],
      [8193n, "replay"],
      [16_384n, "taken"],
      [8192n, "replay"],
      [8193n, "replay"],
      [8194n, "taken"],
      [far, "taken"],
      [16_385n, "replay"],
      [far - 8191n, "taken"],
      [far - 8192n, "replay"],
      [far - 1n, "taken"],
      [far + 64n, "taken"],
      [far + 63n, "taken"],
      [(1n << 64n) - 8194n, "taken"],
      [(1n << 64n) - 8193n, "key_expired"],
      [(1n << 64n) - 1n, "key_expired"],
    ] as const)
      t.equal(take(counter), want, `${counter}`);
    h.isLawful(t);
  });

  t.test(`${build}: truncated at every octet, tampered with at every octet`, async (t) => {
    const h = await TunnelHost.open(build);
    const message = h.arriving(frame, 1n);
    const tallies = dropped(h, () => {
      for (let length = 0; length < message.length; length++) h.receive(message.subarray(0, length));
    });
    t.same(tallies, { wireguard_message: 32, auth_failed: message.length - 32 });
    const wrong: string[] = [];
    for (let at = 0; at < message.length; at++) {
      const bad = Buffer.from(message);
      bad[at] = (bad[at] as number) ^ (1 << (at & 7));
      const [reason, ...more] = Object.keys(dropped(h, () => t.same(h.receive(bad), [])));
      const want = at < 4 ? "wireguard_message" : at < 8 ? "unknown_index" : "auth_failed";
      if (reason !== want || more.length > 0) wrong.push(`octet ${at}: ${reason} ${more}`);
    }
    t.same(wrong, []);
    t.equal(h.counter("opened"), 0);
    t.same(h.reader.events(), [], "nothing is told of a forger");
    t.same(h.reader.block("PEER_COUNTERS", h.index), { rxPackets: 0, rxBytes: 0, txPackets: 0, txBytes: 0 });
    t.equal(h.receive(message).length, 1, "and the message itself is still good");
    h.isLawful(t);
  });

  t.test(`${build}: keys: of another worker, retiring, too old, across the clock's wrap`, async (t) => {
    const h = await TunnelHost.open(build, false, { sizes: { workers: 2 } });
    const message = h.arriving(frame, 1n);
    const other = (payload: Buffer, worker: number, nowMs = 1000): Sent[] =>
      h.ingress([{ address: "192.0.2.2", payload, wireguard: WIREGUARD }], nowMs, worker);
    t.same(
      dropped(h, () => other(message, 1)),
      { unknown_index: 1 },
      "the window has one writer",
    );
    t.equal(other(message, 0).length, 1);
    const reserved = h.slots.reserve(h.index, 0);
    if (!reserved) throw new Error("no slot");
    const early = sealed({ key: Buffer.alloc(32), index: reserved.local }, 0n, ipv4({}));
    t.same(
      dropped(h, () => h.receive(early)),
      { unknown_index: 1 },
      "no keys yet: all-zero ones open nothing",
    );
    let counter = 100n;
    for (const [bornMs, nowMs, want] of [
      [1000, 1000, "taken"],
      [1000, 180_999, "taken"],
      [1000, 181_000, "key_expired"],
      [1500, 1000, "taken"],
      [2 ** 32 - 1000, 178_999, "taken"],
      [2 ** 32 - 1000, 179_000, "key_expired"],
      [2 ** 32 - 1, 0, "taken"],
      [100, 2 ** 32 - 100, "taken"],
      [0, 2 ** 31 - 1, "key_expired"],
      [0, 2 ** 31 + 10, "key_expired"],
      [0, 2 ** 32 - 3_600_000, "key_expired"],
    ] as const) {
      h.session = h.renew(30, { bornMs });
      await h.commit();
      let out: Sent[] = [];
      const arriving = h.arriving(frame, counter++);
      const why = Object.keys(dropped(h, () => (out = other(arriving, 0, nowMs)))).join();
      t.equal(out.length === 1 ? "taken" : why, want, `born ${bornMs}, now ${nowMs}`);
      const seals = h.egress([{ port: h.a, frame: packetFrame({}) }], nowMs).length === 1;
      t.equal(seals, want === "taken", "and it seals as long as it opens");
      h.slots.retire(h.session.slot);
      const late = h.arriving(frame, counter++);
      t.same(
        dropped(h, () => other(late, 0, nowMs)),
        { key_expired: 1 },
        "retired",
      );
      h.slots.wipe(h.session.slot);
      t.same(
        dropped(h, () => other(late, 0, nowMs)),
        { unknown_index: 1 },
        "wiped",
      );
    }
    h.isLawful(t);
  });

  t.test(`${build}: what the main thread is told: the key is in use, the peer has moved`, async (t) => {
    const h = await TunnelHost.open(build);
    let counter = 0n;
    const from = (address: string, port: number, local: string | undefined, nowMs: number, bad = false): string[] => {
      const message = h.arriving(frame, counter++);
      if (bad) message[message.length - 1] = (message.at(-1) as number) ^ 1;
      const wireguard = { port, ...(local === undefined ? {} : { local }) };
      h.ingress([{ address, payload: message, wireguard }], nowMs);
      return h.reader.events().flatMap((e) => {
        if (e.kind === "roamed")
          return [`${hex(e.address).slice(24)} ${e.port} ${hex(e.local).slice(24)} of ${e.peer}`];
        return e.kind === "key_used" ? [`used ${e.slot} of ${e.peer}`] : [];
      });
    };
    t.same(from("192.0.2.2", 51_820, undefined, 1000, true), [], "a forgery uses nothing");
    t.same(from("192.0.2.2", 51_820, undefined, 1000), [`used ${h.session.slot} of ${h.index}`], "once");
    t.same(from("192.0.2.2", 51_820, undefined, 1001), []);
    t.same(from("192.0.2.2", 51_821, undefined, 2000), ["c0000202 51821 00000000 of 0"], "another port");
    t.same(from("192.0.2.3", 51_820, undefined, 2099), [], "not again so soon");
    t.same(from("192.0.2.3", 51_820, "192.0.2.1", 2100), ["c0000203 51820 c0000201 of 0"], "address, and ours");
    t.same(from("192.0.2.4", 51_820, "192.0.2.1", 2300, true), [], "a forgery moves nobody");
    counter--;
    counter--;
    t.same(from("192.0.2.4", 51_820, "192.0.2.1", 2400), [], "nor does a replay");
    counter++;
    const local = addressKey("192.0.2.1");
    h.tables.tunnel.setEndpoint(h.index, { family: 4, key: addressKey("192.0.2.3"), port: 51_820, local });
    await h.commit();
    t.same(from("192.0.2.3", 51_820, "192.0.2.1", 3000), [], "known by now");
    t.same(from("192.0.2.3", 51_820, undefined, 3200), [], "the kernel did not tell");
    t.same(from("192.0.2.3", 51_820, "192.0.2.9", 3400), ["c0000203 51820 c0000209 of 0"], "to another of ours");
    t.same(from("192.0.2.5", 1, "192.0.2.9", 2 ** 32 - 40), ["c0000205 1 c0000209 of 0"]);
    t.same(from("192.0.2.5", 1, "192.0.2.9", 20), [], "60 ms later, though the clock went round");
    t.same(from("192.0.2.5", 1, "192.0.2.9", 60), ["c0000205 1 c0000209 of 0"]);
    t.same(from("2001:db8::5", 1, "2001:db8::1", 300), ["00000005 1 00000001 of 0"], "IPv6");
    h.isLawful(t);
  });

  t.test(`${build}: an event that finds the ring full is told later`, async (t) => {
    const h = await TunnelHost.open(build);
    const worker = h.address("WORKER");
    const head = h.field("Worker", "eventHead", worker);
    h.setField("Worker", "eventTail", worker, head - 1024);
    t.equal(h.receive(h.arriving(frame, 0n)).length, 1);
    h.setField("Worker", "eventTail", worker, head);
    h.receive(h.arriving(frame, 1n));
    t.same(
      h.reader.events().filter((e) => e.kind === "key_used").length,
      1,
      "a peer's first use of a key is not forgotten",
    );
    h.isLawful(t);
  });

  t.test(`${build}: keepalives`, async (t) => {
    const h = await TunnelHost.open(build);
    t.same(h.receive(sealed(h.session.in, 0n, Buffer.alloc(0)), sealed(h.session.in, 1n, Buffer.alloc(0))), []);
    t.equal(h.counter("keepalives"), 2);
    t.same(h.drops(), {});
    t.same(
      dropped(h, () => h.receive(sealed(h.session.in, 1n, Buffer.alloc(0)))),
      { replay: 1 },
    );
    t.same(
      dropped(h, () => h.receive(sealed(h.session.in, 2n, Buffer.alloc(16)))),
      { tunnel_packet: 1 },
    );
    h.isLawful(t);
  });

  t.test(`${build}: ECN, outer times tunnel times inner (RFC 6040)`, async (t) => {
    for (const is6 of [false, true]) {
      const h = await TunnelHost.open(build, is6);
      const wrong: string[] = [];
      let counter = 0n;
      for (let all = 0; all < 64; all++) {
        const [outer, middle, own] = [all & 3, (all >> 2) & 3, all >> 4] as const;
        const inner = packetFrame({ srcMac: mac(9), dstMac: mac(1), tos: 0xb8 | own });
        const payload = udp({ src: 50_000, dst: 4789, payload: vxlan(42, inner) });
        const common = { src: h.other, dst: h.self, payload };
        const packet = is6 ? ipv6({ ...common, trafficClass: middle }) : ipv4({ ...common, tos: middle });
        const [got] = h.ingress([buffer([sealed(h.session.in, counter++, packet)], outer)]);
        const first = mergeEcn(outer, middle);
        const want = first === undefined ? undefined : mergeEcn(first, own);
        const expected =
          want === undefined ? undefined : packetFrame({ srcMac: mac(9), dstMac: mac(1), tos: 0xb8 | want });
        const seen = got?.kind === "port" ? got.frame : undefined;
        if (expected === undefined ? seen !== undefined : !seen?.equals(expected))
          wrong.push(`${outer} ${middle} ${own}`);
      }
      t.same(wrong, [], is6 ? "IPv6" : "IPv4");
      h.isLawful(t);
    }
  });

  t.test(`${build}: random and damaged packets inside, against the twin`, async (t) => {
    for (const hasDevice of [false, true]) {
      const h = await TunnelHost.open(build, false, { addresses: ["fd07::1"] });
      const second = h.peer(["10.7.0.0/16", "10.0.0.0/8", "fd07::/16", "10.7.0.9/32"], "192.0.2.3");
      h.tables.tunnel.setAllowed(
        h.index,
        ["10.7.0.2/32", "10.7.0.0/24", "0.0.0.0/0", "fd07::2/128", "fd07::/64", "::/0"].map((text) => {
          const [address = "", length] = text.split("/");
          return { family: address.includes(":") ? 6 : 4, key: addressKey(address), length: Number(length) };
        }),
      );
      h.tunnelVtep(h.net, "fd07::2", h.index);
      const keys = [h.session, h.keys(second, 40)];
      const device = hasDevice ? h.device() : -1;
      await h.commit();
      const allowed = [
        ...["10.7.0.2/32", "10.7.0.0/24", "0.0.0.0/0", "fd07::2/128", "fd07::/64", "::/0"].map(
          (p) => [p, h.index] as const,
        ),
        ...["10.7.0.0/16", "10.0.0.0/8", "fd07::/16", "10.7.0.9/32"].map((p) => [p, second] as const),
      ].map(([text, target]) => {
        const [address = "", length] = text.split("/");
        return { octets: ip(address), length: Number(length), target };
      });
      const random = randomOf(hasDevice ? 51 : 50);
      const seen = new Map<string, number>();
      for (let i = 0; i < 1500; i++) {
        const plain = randomInside(random, h.self);
        const peer = pick(random, 2);
        const outer = pick(random, 2) === 0 ? pick(random, 4) : 0;
        const own = { peer, allowed, own: [ip(h.self), ip("fd07::1")], vxlanPort: 4789, hasDevice };
        const want = inside(Buffer.concat([plain, Buffer.alloc((16 - (plain.length % 16)) % 16)]), own, outer);
        const message = sealed((keys[peer] as Session).in, BigInt(i), plain);
        let out: Sent[] = [];
        const drops = dropped(h, () => (out = h.ingress([buffer([message], outer)])));
        let got: string;
        let expected: string;
        if ("drop" in want) [got, expected] = [`${out.length} ${JSON.stringify(drops)}`, `0 {"${want.drop}":1}`];
        else if ("device" in want) [got, expected] = [framesOf(out), `port ${device} ${want.device.toString("hex")}`];
        else if ("reply" in want) {
          const answer = out[0]?.kind === "peer" ? out[0] : undefined;
          const text = answer ? opened((keys[peer] as Session).out, answer.payload).plain.toString("hex") : "nothing";
          [got, expected] = [text.slice(0, 2 * want.reply.length), want.reply.toString("hex")];
        } else {
          // The second peer has no VTEP here, and the first one's are two addresses.
          const from = (plain[0] as number) >> 4 === 6 ? plain.subarray(8, 24) : plain.subarray(12, 16);
          const isVtep = peer === h.index && (from.equals(ip("10.7.0.2")) || from.equals(ip("fd07::2")));
          const whole = want.vxlan.length >= 22;
          const isDelivered = whole && isVtep;
          got = out.length > 0 ? framesOf(out) : JSON.stringify(drops);
          expected = isDelivered
            ? `port ${h.a} ${want.vxlan.toString("hex", 8)}`
            : whole
              ? `{"unknown_vtep":1}`
              : `{"frame_short":1}`;
        }
        const kind = "drop" in want ? want.drop : (Object.keys(want)[0] as string);
        seen.set(kind, (seen.get(kind) ?? 0) + 1);
        if (got !== expected) {
          t.equal(got, expected, `packet ${i} of peer ${peer} under ${outer}: ${plain.toString("hex")}`);
          return;
        }
      }
      for (const kind of hasDevice ? ["device", "vxlan"] : ["vxlan", "reply", "tunnel_address", "tunnel_protocol"])
        t.ok((seen.get(kind) ?? 0) > 10, `${kind}: ${seen.get(kind)}`);
      for (const kind of ["tunnel_packet", "allowed_ips", "ecn_ce"])
        t.ok((seen.get(kind) ?? 0) > 10, `${kind}: ${seen.get(kind)}`);
      h.isLawful(t);
    }
  });
}

const framesOf = (out: readonly Sent[]): string =>
  out.map((s) => (s.kind === "port" ? `port ${s.port} ${s.frame.toString("hex")}` : s.kind)).join();

/** A packet near the edges of what a tunnel takes. Frames in VXLAN are no IP, so that nothing is done to them. */
function randomInside(random: () => number, self: string): Buffer {
  const of = <T>(list: readonly T[]): T => list[pick(random, list.length)] as T;
  const inner = Buffer.concat([
    Buffer.from("02000000000102000000000a 88b5".replace(" ", ""), "hex"),
    content(pick(random, 60)),
  ]);
  const encapsulated = pick(random, 12) === 0 ? vxlan(42, inner).subarray(0, pick(random, 22)) : vxlan(42, inner);
  const datagram = udp({ src: 50_000, dst: of([4789, 4789, 4789, 53]), payload: encapsulated });
  if (pick(random, 10) === 0)
    datagram.writeUInt16BE(of([0, 7, 8, datagram.length + 1, datagram.length - 1, 65_535]), 4);
  const echo = (type: number): Buffer =>
    Buffer.concat([Buffer.from([type, of([0, 0, 0, 1]), 0, 0, 1, 2, 3, 4]), content(pick(random, 40))]);
  const sum = of(["full", "full", "full", "asis"] as const);
  let packet: Buffer;
  if (pick(random, 2) === 0) {
    const isEcho = pick(random, 3) === 0;
    packet = ipv4({
      src: of(["10.7.0.2", "10.7.0.2", "10.7.0.2", "10.7.0.9", "10.7.1.1", "10.9.0.1", "203.0.113.1", "0.0.0.0"]),
      dst: of([self, self, self, self, "10.7.0.3", "255.255.255.255"]),
      tos: random() & 255,
      fragment: of([0, 0, 0, 0x4000, 0x2000, 1]),
      protocol: isEcho ? PROTO.icmp : of([PROTO.udp, PROTO.udp, PROTO.udp, PROTO.udp, 6, 58]),
      options: Buffer.alloc(4 * of([0, 0, 0, 1, 10]), 1),
      payload: isEcho ? echo(of([8, 8, 0])).subarray(0, of([999, 999, 999, 7])) : datagram,
      sum,
    });
  } else {
    packet = ipv6({
      src: of(["fd07::2", "fd07::2", "fd07::2", "fd07::3", "fd07:0:0:1::1", "2001:db8::7", "::ffff:a07:2", "::"]),
      dst: of(["fd07::1", "fd07::1", "fd07::1", "::ffff:a07:1", "fd07::9"]),
      trafficClass: random() & 255,
      protocol: of([PROTO.udp, PROTO.udp, PROTO.icmp6]),
      payload: pick(random, 3) === 0 ? echo(128) : datagram,
      chain: of([[], [], [[60, Buffer.alloc(8)]], [[44, Buffer.alloc(8)]]]) as [number, Buffer][],
      sum,
    });
  }
  if (pick(random, 6) === 0) {
    const at = of([0, 2, 3, 4, 5, 10, 11]);
    packet[at] = of([0, 0xff, 0x45, 0x60, 0x4f, (packet[at] as number) + 1]);
  }
  return pick(random, 12) === 0 ? packet.subarray(0, 1 + pick(random, packet.length - 1)) : packet;
}
