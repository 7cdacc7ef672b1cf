/** Layer-3 ports: next hops, questions asked and answered for them, what they get, super-frames both ways. */
import t from "tap";
import {
  arp,
  BROADCAST,
  ETHERTYPE,
  ethernet,
  ip,
  ipv4,
  ipv6,
  mac,
  neighbour,
  PROTO,
  type VnetHdr,
  vxlan,
} from "../frames/build.js";
import { content, packetFrame, superFrame } from "../frames/super.js";
import { answerTo } from "../models/answer.js";
import { addressKey, type Build, datagramsOf, macKey, Rig, type Sent } from "../models/rig.js";
import { segment } from "../models/segment.js";
import { type Remote, TunnelHost } from "../models/tunnel-rig.js";

const BUILDS: readonly Build[] = ["debug", "release"];
const ETH = 14;
/** The layer-3 port, an Ethernet port beside it, a station behind the VTEP. */
const L3 = mac(1);
const LOCAL = mac(2);
const FAR = mac(9);
const ADDRESS = { 4: "10.8.0.1", 6: "fd08::1" } as const;
const FAR_ADDRESS = { 4: "10.8.0.9", 6: "fd08::9" } as const;

class Host extends Rig {
  readonly net = this.network({ mtu: 1450 });
  readonly l3 = this.port(this.net, L3, {
    routed: {
      addresses: [addressKey(ADDRESS[4]), addressKey(ADDRESS[6])],
      hops: [
        { family: 4, length: 24, key: addressKey("10.8.0.0"), viaGateway: false },
        { family: 6, length: 64, key: addressKey("fd08::"), viaGateway: false },
        { family: 4, length: 28, key: addressKey("10.8.0.64"), viaGateway: true },
        { family: 4, length: 16, key: addressKey("172.16.0.0"), viaGateway: false },
      ],
      gateway4: addressKey("10.8.0.254"),
      gateway6: addressKey("fd08::fe"),
    },
  });
  readonly tap = this.port(this.net, LOCAL);
  readonly v = this.vtep(this.net, "192.0.2.9");

  static async open(build: Build, bound = true): Promise<Host> {
    const h = new Host(build);
    if (bound) {
      for (const address of Object.values(FAR_ADDRESS)) h.tables.setBinding(h.net, addressKey(address), macKey(FAR));
      h.tables.setBinding(h.net, addressKey("10.8.0.254"), macKey(mac(254)));
      h.tables.setBinding(h.net, addressKey("fd08::fe"), macKey(mac(254)));
    }
    await h.commit();
    return h;
  }
  send(packet: Uint8Array, vnet: Partial<VnetHdr> = {}, nowMs = 1000): Sent[] {
    return this.egress([{ port: this.l3, frame: packet, vnet }], nowMs);
  }
  receive(frame: Uint8Array, nowMs = 1000): Sent[] {
    return this.ingress([{ address: "192.0.2.9", payload: vxlan(42, frame) }], nowMs);
  }
  from(frame: Uint8Array, nowMs = 1000): Sent[] {
    return this.egress([{ port: this.tap, frame }], nowMs);
  }
}
const packet = (dst: string, src?: string): Buffer =>
  dst.includes(":") ? ipv6({ src: src ?? ADDRESS[6], dst }) : ipv4({ src: src ?? ADDRESS[4], dst });
const macsOf = (sent: readonly Sent[]): string[] =>
  sent
    .map((s) => {
      const frame = s.kind === "port" ? s.frame : s.payload.subarray(8);
      return `${s.kind} ${frame.toString("hex", 0, 6)} from ${frame.toString("hex", 6, 12)}`;
    })
    .sort();
const hex = (n: number): string => n.toString(16).padStart(12, "0");

for (const build of BUILDS) {
  t.test(`${build}: the Ethernet header follows the routes of the port`, async (t) => {
    const cases: [dst: string, mac: number][] = [
      [FAR_ADDRESS[4], FAR],
      [FAR_ADDRESS[6], FAR],
      ["192.0.2.7", mac(254)],
      ["2001:db8::7", mac(254)],
      ["10.8.0.65", mac(254)],
      ["224.1.130.3", 0x0100_5e01_8203],
      ["239.255.255.250", 0x0100_5e7f_fffa],
      ["255.255.255.255", BROADCAST],
      ["10.8.0.255", BROADCAST],
      ["172.16.255.255", BROADCAST],
      ["ff02::fb", 0x3333_0000_00fb],
    ];
    for (const [dst, to] of cases) {
      const h = await Host.open(build);
      const given = packet(dst);
      const sent = h.send(given);
      const [copy] = sent.filter((s) => s.kind === "vtep");
      const type = dst.includes(":") ? ETHERTYPE.ipv6 : ETHERTYPE.ipv4;
      const expected = ethernet({ dst: to, src: L3, type, payload: given });
      t.equal(copy?.kind === "vtep" && copy.payload.toString("hex"), vxlan(42, expected).toString("hex"), dst);
      t.same([h.drops(), h.missing("egress")], [{}, 0], dst);
    }
  });

  t.test(`${build}: an unknown next hop is asked for, once a tick, and the packet is dropped`, async (t) => {
    for (const version of [4, 6] as const) {
      const h = await Host.open(build, false);
      const address = FAR_ADDRESS[version];
      const sent = h.send(packet(address));
      const target = ip(address).subarray(-3).toString("hex");
      const question =
        version === 4
          ? ethernet({
              src: L3,
              type: ETHERTYPE.arp,
              payload: arp({ senderMac: L3, senderIp: ADDRESS[4], targetIp: address }),
            })
          : ethernet({
              dst: Number(`0x3333ff${target}`),
              src: L3,
              type: ETHERTYPE.ipv6,
              payload: ipv6({
                src: ADDRESS[6],
                dst: "ff02::1:ff00:9",
                hopLimit: 255,
                protocol: PROTO.icmp6,
                payload: neighbour(135, address, L3),
              }),
            });
      t.same(
        sent.map((s) => (s.kind === "port" ? s.frame : s.payload.subarray(8)).toString("hex")),
        [question.toString("hex"), question.toString("hex")],
        "to the VTEP and to the other port",
      );
      t.same(h.drops(), { "egress/no_neighbour": 1 });
      t.same([h.missing("egress"), h.counter("neighbour_asked")], [0, 1]);
      t.same(h.send(packet(address)), [], "not again at once");
      t.same(h.send(packet(address), {}, 2100).length, 2, "a little later");
      t.same(
        h.reader.neighbours(2100).map((n) => n.mac),
        ["00:00:00:00:00:00"],
      );

      const answer = answerTo(question, () => FAR);
      t.same(h.receive(answer as Buffer, 2200), [], "the answer ends here");
      t.same([h.counter("consumed_ingress"), h.missing("ingress")], [1, 0]);
      t.same(macsOf(h.send(packet(address), {}, 2200)), [`vtep ${hex(FAR)} from ${hex(L3)}`], "and packets flow");
      t.same(h.send(packet(address), {}, 40_000).length, 3, "after half a minute it is asked for again, on the way");
      t.same(h.send(packet(address), {}, 40_000).length, 1);
      t.equal(h.missing("egress"), 0);
    }
  });

  t.test(`${build}: a packet that its checksum unmakes asks for nothing`, async (t) => {
    const h = await Host.open(build, false);
    const told = arp({ operation: 2, senderMac: FAR, senderIp: FAR_ADDRESS[4], targetMac: L3, targetIp: ADDRESS[4] });
    h.receive(ethernet({ dst: L3, src: FAR, type: ETHERTYPE.arp, payload: told }));
    const whole = ipv4({ src: ADDRESS[4], dst: FAR_ADDRESS[4], payload: Buffer.alloc(0) });
    // What is written over version and header length is the sum of all of it.
    const sent = h.send(whole, { flags: 1, csumStart: 0, csumOffset: 0 }, 40_000);
    t.same([sent.length, h.counter("neighbour_asked")], [1, 0]);
    t.equal(h.missing("egress"), 0);
  });

  t.test(`${build}: an answer of a local station is learned, too`, async (t) => {
    const h = await Host.open(build, false);
    h.send(packet("10.8.0.2"));
    const reply = arp({ operation: 2, senderMac: LOCAL, senderIp: "10.8.0.2", targetMac: L3, targetIp: ADDRESS[4] });
    t.same(h.from(ethernet({ dst: L3, src: LOCAL, type: ETHERTYPE.arp, payload: reply })), []);
    t.equal(h.counter("consumed_egress"), 1);
    t.same(macsOf(h.send(packet("10.8.0.2"))), [`port ${hex(LOCAL)} from ${hex(L3)}`]);
    t.equal(h.missing("egress"), 0);
  });

  t.test(`${build}: questions for its addresses are answered, wherever they come from`, async (t) => {
    for (const dst of [BROADCAST, L3]) {
      const h = await Host.open(build, false);
      const macOf = (): number => L3;
      for (const [asker, address] of [
        [FAR, FAR_ADDRESS],
        [LOCAL, { 4: "10.8.0.2", 6: "fd08::2" }],
      ] as const) {
        const questions = [
          ethernet({
            dst,
            src: asker,
            type: ETHERTYPE.arp,
            payload: arp({ senderMac: asker, senderIp: address[4], targetIp: ADDRESS[4] }),
          }),
          ethernet({
            dst: dst === L3 ? L3 : 0x3333_ff00_0001,
            src: asker,
            type: ETHERTYPE.ipv6,
            payload: ipv6({
              src: address[6],
              dst: dst === L3 ? ADDRESS[6] : "ff02::1:ff00:1",
              hopLimit: 255,
              protocol: PROTO.icmp6,
              payload: neighbour(135, ADDRESS[6], asker),
            }),
          }),
        ];
        for (const question of questions) {
          const sent = asker === FAR ? h.receive(question) : h.from(question);
          t.equal(sent.length, 1, "one answer, no copies");
          const [only] = sent;
          const frame = only?.kind === "port" ? only.frame : only?.payload.subarray(8);
          t.equal(only?.kind, asker === FAR ? "vtep" : "port");
          t.equal(frame?.toString("hex"), answerTo(question, macOf)?.toString("hex"));
        }
      }
      t.same([h.counter("arp_answered"), h.counter("nd_answered")], [2, 2]);
      t.same([h.missing("egress"), h.missing("ingress"), h.drops()], [0, 0, {}]);
      // Learned from the questions.
      t.same(macsOf(h.send(packet(FAR_ADDRESS[6]))), [`vtep ${hex(FAR)} from ${hex(L3)}`]);
    }
  });

  t.test(`${build}: an answer that the underlay does not take is a drop`, async (t) => {
    const reasons = { 11: "udp_full", 90: "udp_too_big", 101: "udp_unreachable", 22: "udp_refused" };
    for (const [errno, reason] of Object.entries(reasons)) {
      const h = await Host.open(build);
      h.errno = () => Number(errno);
      const asked = arp({ senderMac: FAR, senderIp: FAR_ADDRESS[4], targetIp: ADDRESS[4] });
      h.receive(ethernet({ src: FAR, type: ETHERTYPE.arp, payload: asked }));
      t.same([h.drops(), h.missing("ingress")], [{ [`ingress/${reason}`]: 1 }, 0]);
    }
  });

  t.test(`${build}: questions in the middle of a received buffer`, async (t) => {
    const h = await Host.open(build);
    const data = (n: number): Buffer =>
      packetFrame({
        srcMac: FAR,
        dstMac: L3,
        src: FAR_ADDRESS[4],
        dst: ADDRESS[4],
        payload: content(2, n),
        protocol: "udp",
        ports: [5, 6 + n],
      });
    const question = ethernet({
      dst: L3,
      src: FAR,
      type: ETHERTYPE.arp,
      payload: Buffer.concat([
        arp({ senderMac: FAR, senderIp: FAR_ADDRESS[4], targetIp: ADDRESS[4] }),
        Buffer.alloc(2),
      ]),
    });
    const all = [data(1), question, data(2)].map((frame) => vxlan(42, frame));
    const segLen = all[0]?.length ?? 0;
    const sent = h.ingress([{ address: "192.0.2.9", payload: Buffer.concat(all), segLen }]);
    t.same(
      sent.map((s) => (s.kind === "port" ? s.frame.toString("hex") : s.kind)),
      [data(1).subarray(ETH).toString("hex"), "vtep", data(2).subarray(ETH).toString("hex")],
    );
    t.same([h.missing("ingress"), h.drops()], [0, {}]);
  });

  t.test(`${build}: it gets IP packets that are for it, and nothing else`, async (t) => {
    const h = await Host.open(build);
    const inner = packet(ADDRESS[4], FAR_ADDRESS[4]);
    const frame = (more: Parameters<typeof ethernet>[0]): Buffer =>
      ethernet({ dst: L3, src: FAR, type: ETHERTYPE.ipv4, payload: inner, ...more });
    const got = (sent: readonly Sent[]): string[] =>
      sent.flatMap((s) => (s.kind === "port" && s.port === h.l3 ? [s.frame.toString("hex")] : []));
    const alone = [inner.toString("hex")];
    t.same(got(h.receive(frame({}))), alone);
    t.same(got(h.from(frame({ src: LOCAL }))), alone);
    t.same(got(h.receive(frame({ dst: BROADCAST }))), alone, "a broadcast");
    t.same(got(h.from(frame({ src: LOCAL, dst: 0x0100_5e01_0203 }))), alone, "a multicast");
    t.same(h.drops(), {});
    t.same(got(h.from(frame({ src: LOCAL, dst: mac(77) }))), [], "what is for nobody known");
    t.same(got(h.receive(frame({ dst: BROADCAST, type: ETHERTYPE.experiment }))), []);
    const asked = arp({ senderMac: FAR, targetIp: "10.8.0.77" });
    t.same(got(h.receive(frame({ dst: BROADCAST, type: ETHERTYPE.arp, payload: asked }))), []);
    t.same(h.drops(), {});
    t.same(h.receive(frame({ type: ETHERTYPE.experiment })), []);
    t.same(h.receive(frame({ tags: [[0x8100, 5]] })), []);
    t.same(h.from(frame({ src: LOCAL, type: ETHERTYPE.experiment })), []);
    t.same(h.drops(), { "egress/l3_not_ip": 1, "ingress/l3_not_ip": 2 });
    t.same(h.send(Buffer.alloc(60)), [], "from it, too");
    t.same(h.send(Buffer.alloc(19, 0x45)), []);
    t.same(h.drops(), { "egress/l3_not_ip": 2, "ingress/l3_not_ip": 2, "egress/frame_short": 1 });
    t.same([h.missing("egress"), h.missing("ingress")], [0, 0]);
  });

  t.test(`${build}: super-frames both ways`, async (t) => {
    for (const version of [4, 6] as const) {
      const h = (await Host.open(build)).features(64, 3);
      const there = { version, srcMac: L3, dstMac: FAR, src: ADDRESS[version], dst: FAR_ADDRESS[version] } as const;
      const made = superFrame({ ...there, payload: content(20_000), gsoSize: 1300 });
      const shifted = { ...made.vnet, csumStart: made.vnet.csumStart - ETH, hdrLen: made.vnet.hdrLen - ETH };
      const sent = h.send(made.frame.subarray(ETH), shifted);
      const cut = segment(made.frame, made.vnet);
      t.same(
        sent.flatMap((s) => (s.kind === "vtep" ? datagramsOf(s) : [])).map((d) => d.subarray(8).toString("hex")),
        "segments" in cut ? cut.segments.map((s) => s.toString("hex")) : [],
        "cut for the underlay",
      );
      h.tables.setBinding(h.net, addressKey(FAR_ADDRESS[version]), macKey(LOCAL));
      await h.commit();
      const local = { ...there, dstMac: LOCAL };
      const whole = superFrame({ ...local, payload: content(20_000), gsoSize: 1300 });
      t.match(h.send(whole.frame.subarray(ETH), shifted), [
        { kind: "port", port: h.tap, frame: whole.frame, vnet: whole.vnet },
      ]);
      const back = { version, srcMac: LOCAL, dstMac: L3, src: FAR_ADDRESS[version], dst: ADDRESS[version] } as const;
      const other = superFrame({ ...back, payload: content(20_000), gsoSize: 1300 });
      t.match(h.egress([{ port: h.tap, frame: other.frame, vnet: other.vnet }]), [
        { kind: "port", port: h.l3, frame: other.frame.subarray(ETH), vnet: shifted },
      ]);
      const run = Array.from({ length: 10 }, (_, i) =>
        vxlan(42, packetFrame({ ...back, srcMac: FAR, payload: content(1000, i), tcp: { seq: 1000 * i, flags: 16 } })),
      );
      const segLen = run[0]?.length ?? 0;
      const joined = h.ingress([{ address: "192.0.2.9", payload: Buffer.concat(run), segLen }]);
      t.match(joined, [
        { kind: "port", port: h.l3, segs: 10, vnet: { gsoType: version === 4 ? 1 : 4, gsoSize: 1000 } },
      ]);
      const [super_] = joined as { frame: Buffer; vnet: VnetHdr }[];
      t.equal(super_?.vnet.hdrLen, (version === 4 ? 20 : 40) + 20);
      t.equal(super_?.frame.length, (version === 4 ? 20 : 40) + 20 + 10_000);
      t.same([h.missing("egress"), h.missing("ingress"), h.drops()], [0, 0, {}]);
    }
  });

  t.test(`${build}: two layer-3 ports, and the end of one`, async (t) => {
    const h = await Host.open(build, false);
    const other = h.port(h.net, mac(3), {
      routed: {
        addresses: [addressKey("10.8.0.3")],
        hops: [{ family: 4, length: 24, key: addressKey("10.8.0.0"), viaGateway: false }],
      },
    });
    await h.commit();
    t.match(h.send(packet("10.8.0.3")), [{ kind: "port", port: other, frame: packet("10.8.0.3") }]);
    h.tables.removePort(other);
    await h.commit();
    h.send(packet("10.8.0.3"));
    t.same(h.drops(), { "egress/no_neighbour": 1 });
  });

  t.test(`${build}: inside a tunnel questions are asked and answered sealed`, async (t) => {
    for (const is6 of [false, true]) {
      const h = await TunnelHost.open(build, is6);
      const l3 = h.port(h.net, mac(3), {
        routed: {
          addresses: [addressKey("10.8.0.3")],
          hops: [{ family: 4, length: 24, key: addressKey("10.8.0.0"), viaGateway: false }],
        },
      });
      await h.commit();
      const asked = h.egress([{ port: l3, frame: packet("10.8.0.9", "10.8.0.3") }]);
      const [message] = asked.filter((s): s is Remote => s.kind !== "port");
      const question = h.inside(message?.payload as Buffer).payload.subarray(8);
      const reply = answerTo(question, () => FAR) as Buffer;
      t.same(h.receive(h.arriving(reply, 0n)), [], "the answer ends here");
      t.equal(h.egress([{ port: l3, frame: packet("10.8.0.9", "10.8.0.3") }]).length, 1);

      const payload = arp({ senderMac: FAR, senderIp: "10.8.0.9", targetIp: "10.8.0.3" });
      const back = ethernet({ src: FAR, type: ETHERTYPE.arp, payload });
      const [answer, ...more] = h.receive(h.arriving(back, 1n)) as Remote[];
      t.same(more, []);
      t.equal(
        h.inside(answer?.payload as Buffer).payload.toString("hex"),
        vxlan(42, answerTo(back, () => mac(3)) as Buffer).toString("hex"),
      );
      t.same(h.drops(), { "egress/no_neighbour": 1 });
      h.isLawful(t);
    }
  });

  t.test(`${build}: a flood to unknown next hops costs tokens, and does not fill the table`, async (t) => {
    const h = new Rig(build, { neighboursMax: 64 });
    const net = h.network({ bumRate: 100, bumBurst: 100 });
    const l3 = h.port(net, L3, {
      routed: {
        addresses: [addressKey("10.8.0.1")],
        hops: [{ family: 4, length: 16, key: addressKey("10.8.0.0"), viaGateway: false }],
      },
    });
    h.port(net, LOCAL);
    await h.commit();
    let copies = 0;
    for (let n = 0; n < 500; n++)
      copies += h.egress([{ port: l3, frame: packet(`10.8.${1 + (n >> 8)}.${n & 255}`) }]).length;
    t.equal(copies, 100);
    t.same(h.drops(), { "egress/no_neighbour": 500, "egress/bum_rate": 400 });
    t.equal(h.missing("egress"), 0);
    t.ok(h.reader.neighbours(1000).length <= 32);
  });
}
