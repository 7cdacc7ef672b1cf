/** Paths that are narrower than a frame: TCP super-frames are cut shorter, what has come cut is answered too-big. */
import { LIMIT } from "@weft/dataplane-wasm/abi";
import t from "tap";
import { ETHERTYPE, ethernet, ipv4, ipv6, mac, PROTO, udp } from "../frames/build.js";
import { content, packetFrame, superFrame, transportAt } from "../frames/super.js";
import { sum16 } from "../models/checksum.js";
import { type Delivered, type MeshHost, Trio } from "../models/relay-rig.js";
import type { Build, Sent } from "../models/rig.js";
import { TunnelHost } from "../models/tunnel-rig.js";

/** Octets of IPv6, UDP, VXLAN and Ethernet around an IP packet inside the session. */
const AROUND = 40 + 8 + 8 + 14;
const there = (given = {}) => packetFrame({ srcMac: mac(1), dstMac: mac(3), protocol: "udp", ...given });

/** Host 1 reaches host 3 directly, `room` octets of IP at a time. */
async function narrow(build: Build, room: number): Promise<Trio> {
  const trio = await Trio.open(build, false);
  const [a] = trio.hosts;
  a.path(a.peerOf(3), undefined, room + AROUND);
  await a.commit();
  return trio;
}
/** As the switch has to answer a frame, octet by octet. */
function answerTo(frame: Buffer, room: number, tags = 0): Buffer {
  const l3 = 14 + 4 * tags;
  const packet = frame.subarray(l3);
  const is4 = (packet[0] as number) >> 4 === 4;
  const quoted = packet.subarray(0, (is4 ? 576 - 20 : 1280 - 40) - 8);
  const head = Buffer.alloc(8);
  head.writeUInt16BE(is4 ? 0x0304 : 0x0200, 0);
  head.writeUInt32BE(room, 4);
  const message = Buffer.concat([head, quoted]);
  const [src, dst] = is4
    ? [packet.subarray(16, 20).join("."), packet.subarray(12, 16).join(".")]
    : [text6(packet.subarray(24, 40)), text6(packet.subarray(8, 24))];
  const answer = is4
    ? ipv4({ src, dst, id: 0, fragment: 0x4000, protocol: PROTO.icmp, payload: message })
    : ipv6({ src, dst, protocol: PROTO.icmp6, payload: message });
  return Buffer.concat([frame.subarray(6, 12), frame.subarray(0, 6), frame.subarray(12, l3), answer]);
}
const text6 = (octets: Buffer): string => (octets.toString("hex").match(/..../g) as string[]).join(":");

for (const build of ["debug", "release"] satisfies Build[]) {
  t.test(`${build}: a packet that is too long is answered, one that fits is not`, async (t) => {
    for (const version of [4, 6] as const) {
      for (const tags of [[], [[0x8100, 7]]] as const) {
        const room = 1100;
        const trio = await narrow(build, room + 4 * tags.length);
        const head = (version === 4 ? 20 : 40) + 8;
        const sized = (octets: number) => there({ version, tags, payload: content(octets - head) });
        const fits = sized(room);
        t.same(trio.send(1, { frame: fits })[0]?.frame, fits, `IPv${version}: ${room} octets pass`);
        const long = sized(room + 1);
        const got = trio.send(1, { frame: long });
        t.match(got, [{ host: 1, segs: 1 }]);
        const answer = got[0]?.frame as Buffer;
        t.equal(answer.toString("hex"), answerTo(long, room, tags.length).toString("hex"), "one octet more does not");
        t.equal(got[0]?.bytes, answer.length);
        const [a] = trio.hosts;
        t.same(a.drops(), { "egress/path_mtu": 1 });
        t.equal(a.counter("too_big_answers"), 1);
        trio.isLawful(t);
      }
    }
    t.equal(sum16(answerTo(there({ payload: content(600) }), 1).subarray(34)), 0xffff, "the twin's sum is right");
  });

  t.test(`${build}: what is never answered`, async (t) => {
    const icmpError = ipv4({
      protocol: PROTO.icmp,
      payload: Buffer.concat([Buffer.from([3, 4, 0, 0]), content(1300)]),
    });
    const icmp6Error = ipv6({
      protocol: PROTO.icmp6,
      payload: Buffer.concat([Buffer.from([2, 0, 0, 0]), content(1300)]),
    });
    const wrap = (payload: Buffer, type: number) => ethernet({ src: mac(1), dst: mac(3), type, payload });
    const rows = [
      ["no IP", wrap(content(1400), 0x88b5)],
      ["an ICMP error", wrap(icmpError, ETHERTYPE.ipv4)],
      ["an ICMPv6 error", wrap(icmp6Error, ETHERTYPE.ipv6)],
      ["a later fragment", there({ payload: content(1300), fragment: 0x0010 })],
      ["from no address", there({ payload: content(1300), src: "0.0.0.0" })],
      ["from a group", there({ version: 6, payload: content(1300), src: "ff02::1" })],
      ["padding behind a short packet", Buffer.concat([there({ payload: content(100) }), Buffer.alloc(1300)])],
    ] as const;
    for (const [what, frame] of rows) {
      const trio = await narrow(build, 1100);
      t.same(trio.send(1, { frame }), [], what);
      t.same(trio.hosts[0].drops(), { "egress/path_mtu": 1 });
      trio.isLawful(t);
    }
    const echo = ipv4({ protocol: PROTO.icmp, payload: Buffer.concat([Buffer.from([8, 0, 0, 0]), content(1300)]) });
    const trio = await narrow(build, 1100);
    t.equal(trio.send(1, { frame: wrap(echo, ETHERTYPE.ipv4) }).length, 1, "but an echo request is");
  });

  t.test(`${build}: answers have a rate`, async (t) => {
    const trio = await narrow(build, 1100);
    const [a] = trio.hosts;
    const frames = Array.from({ length: 120 }, () => ({ port: a.port0, frame: there({ payload: content(1300) }) }));
    t.equal(a.egress(frames, 2 ** 32 - 5).length, LIMIT.TOO_BIG_PER_TICK);
    t.equal(a.egress(frames, 1500).length, LIMIT.TOO_BIG_PER_TICK, "the next tick has its own");
    t.same(a.drops(), { "egress/path_mtu": 240 });
    trio.isLawful(t);
  });

  t.test(`${build}: TCP super-frames are cut to fit, and no shorter than they ask for`, async (t) => {
    for (const [version, room] of [
      [4, 1100],
      [6, 1100],
      [4, 556],
    ] as const) {
      const trio = await narrow(build, room);
      const given = { version, srcMac: mac(1), dstMac: mac(3), payload: content(40_003), gsoSize: 1300 };
      const head = transportAt(given) + 20;
      const size = room + 14 - head;
      const got = trio.send(1, superFrame(given));
      const octets = Buffer.concat(got.map(({ frame }) => frame.subarray(head)));
      t.same(octets, content(40_003), `IPv${version} over ${room} octets: all of it`);
      t.equal(count(got), Math.ceil(40_003 / size), "in segments as long as the path carries");
      t.ok(trio.wire.every(({ sent }) => sent.gsoSize <= room + AROUND + 32));
      for (const host of trio.hosts) t.same(host.drops(), {});
      trio.isLawful(t);
      const small = trio.send(1, superFrame({ ...given, gsoSize: 300 }));
      t.equal(count(small), Math.ceil(40_003 / 300));
    }
  });

  t.test(
    `${build}: a TCP segment as long as any IPv6 path carries is cut in two where this one does not`,
    async (t) => {
      const given = { version: 6, srcMac: mac(1), dstMac: mac(3) } as const;
      const alone = (octets: number) => {
        const { frame, vnet } = superFrame({ ...given, payload: content(octets - 60) });
        return { frame, vnet: { ...vnet, gsoType: 0, gsoSize: 0 } };
      };
      const head = transportAt(given) + 20;
      for (const room of [1270, 1100]) {
        const trio = await narrow(build, room);
        const got = trio.send(1, alone(1280));
        t.ok(got.every(({ host }) => host === 3));
        t.same(Buffer.concat(got.map(({ frame }) => frame.subarray(head))), content(1220), `over ${room}: all of it`);
        t.ok(trio.wire.every(({ sent }) => sent.gsoSize <= room + AROUND + 32));
        for (const host of trio.hosts) t.same(host.drops(), {});
        trio.isLawful(t);
        t.match(trio.send(1, alone(1281)), [{ host: 1 }], "a longer one is answered");
        const closed = packetFrame({ ...given, payload: content(1220) });
        t.match(trio.send(1, { frame: closed }), [{ host: 1 }], "so is one whose checksum may be wrong");
      }
      const trio = await narrow(build, 1100);
      const four = superFrame({ ...given, version: 4, payload: content(1240) });
      t.match(
        trio.send(1, { frame: four.frame, vnet: { ...four.vnet, gsoType: 0, gsoSize: 0 } }),
        [{ host: 1 }],
        "and IPv4",
      );
    },
  );

  t.test(`${build}: UDP super-frames have come cut`, async (t) => {
    const trio = await narrow(build, 1100);
    const given = { protocol: "udp", srcMac: mac(1), dstMac: mac(3), payload: content(5000) } as const;
    const got = trio.send(1, superFrame({ ...given, gsoSize: 1100 }));
    t.match(got, [{ host: 1 }]);
    const { frame } = got[0] as Delivered;
    t.same([frame.readUInt16BE(34), frame.readUInt16BE(40)], [0x0304, 1100], "fragmentation needed");
    t.same(trio.hosts[0].drops(), { "egress/path_mtu": 5 }, "every segment counts");
    t.equal(count(trio.send(1, superFrame({ ...given, gsoSize: 1000 }))), 5);
    trio.isLawful(t);
  });

  t.test(`${build}: floods go where they fit`, async (t) => {
    const trio = await narrow(build, 1100);
    const [a, r, b] = trio.hosts;
    const extra = a.port(a.net, mac(77));
    await a.commit();
    const unknown = { srcMac: mac(1), dstMac: mac(99), payload: content(9000) };
    const big = superFrame({ ...unknown, gsoSize: 1300 });
    const got = trio.send(1, big);
    const local = got.filter(({ host }) => host === 1);
    t.match(local, [{ port: extra, vnet: { gsoSize: 1300 } }], "the local port gets it as it came");
    t.same(local[0]?.frame, big.frame);
    for (const host of [r, b]) {
      const mine = got.filter((d) => d.host === host.n);
      t.equal(count(mine), Math.ceil(9000 / 1060), `host ${host.n}: as the narrowest path has it`);
    }
    const plain = trio.send(1, { frame: there({ dstMac: mac(99), payload: content(1300) }) });
    t.same(
      plain.map(({ host, port }) => [host, port]).sort(),
      [
        [1, a.port0],
        [1, extra],
        [2, r.port0],
      ],
      "one path is too narrow, its sender hears of it",
    );
    t.equal(trio.send(1, { frame: there({ dstMac: 0xffff_ffff_ffff, payload: content(1300) }) }).length, 2);
    t.same(a.drops(), { "egress/path_mtu": 2 });
    trio.isLawful(t);
  });

  t.test(`${build}: nothing from outside changes a path`, async (t) => {
    const trio = await Trio.open(build, false);
    const [a] = trio.hosts;
    const forged = ipv4({
      src: "192.0.2.3",
      dst: "192.0.2.1",
      protocol: PROTO.icmp,
      payload: Buffer.concat([Buffer.from([3, 4, 0, 0, 0, 0, 2, 0]), ipv4({ payload: udp({}) })]),
    });
    const before = pathsOf(a);
    trio.receive(1, { address: "192.0.2.3", payload: forged, wireguard: { port: 51_820 } });
    trio.relay(forged);
    t.same(pathsOf(a), before);
    const frame = there({ payload: content(1270) });
    t.same(trio.send(1, { frame })[0]?.frame, frame, "long ones pass as before");
  });
}

t.test("without a mesh nothing is answered: packets of a tunnel may be fragmented outside", async (t) => {
  const h = await TunnelHost.open("release", true);
  h.path(h.index, undefined, 900);
  await h.commit();
  t.equal(h.send({ frame: packetFrame({ payload: content(1200) }) }).length, 1);
  t.same(h.drops(), {});
});

function count(got: readonly Sent[]): number {
  return got.reduce((sum, { segs }) => sum + segs, 0);
}
function pathsOf(host: MeshHost): number[] {
  return [2, 3].map((n) => host.field("Peer", "mtu", host.address("PEERS", host.peerOf(n))));
}
