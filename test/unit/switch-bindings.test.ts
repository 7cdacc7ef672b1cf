/** Questions about addresses whose MAC is known: answered by the switch, never flooded. */
import fc from "fast-check";
import t from "tap";
import { arp, BROADCAST, ETHERTYPE, ethernet, ip, ipv6, mac, neighbour, PROTO, vxlan } from "../frames/build.js";
import { answerTo } from "../models/answer.js";
import { addressKey, type Build, macKey, Rig, type Sent } from "../models/rig.js";

const BUILDS: readonly Build[] = ["debug", "release"];
const ASKED4 = "192.0.2.50";
const ASKED6 = "2001:db8::50";
const BOUND = mac(50);

/** Two containers and a VTEP; one address of each family is bound to a MAC elsewhere. */
class Hosts extends Rig {
  readonly net = this.network({ mtu: 1450 });
  readonly a = this.port(this.net, mac(1));
  readonly b = this.port(this.net, mac(2));
  readonly v = this.vtep(this.net, "192.0.2.9");

  static async open(build: Build): Promise<Hosts> {
    const h = new Hosts(build);
    h.tables.setBinding(h.net, addressKey(ASKED4), macKey(BOUND));
    h.tables.setBinding(h.net, addressKey(ASKED6), macKey(BOUND));
    await h.commit();
    return h;
  }
  ask(frame: Buffer): Sent[] {
    return this.egress([{ port: this.a, frame }]);
  }
}
const macOf = (address: string): number | undefined =>
  [ASKED4, ASKED6].some((text) => ip(text).toString("hex") === address) ? BOUND : undefined;
const request = (more: Parameters<typeof arp>[0] = {}, dst = BROADCAST): Buffer =>
  ethernet({ dst, src: mac(1), type: ETHERTYPE.arp, payload: arp({ targetIp: ASKED4, ...more }) });
const solicitation = (
  more: Partial<Parameters<typeof ipv6>[0]> = {},
  option: number | null = mac(1),
  target = ASKED6,
): Buffer =>
  ethernet({
    dst: 0x3333_ff00_0050,
    src: mac(1),
    type: ETHERTYPE.ipv6,
    payload: ipv6({
      src: "2001:db8::1",
      dst: "ff02::1:ff00:50",
      hopLimit: 255,
      protocol: PROTO.icmp6,
      payload: neighbour(135, target, option ?? undefined),
      ...more,
    }),
  });

for (const build of BUILDS) {
  t.test(`${build}: a question for a bound address is answered to its port, and ends there`, async (t) => {
    const questions: [what: string, frame: Buffer, counter: "arp_answered" | "nd_answered"][] = [
      ["broadcast ARP", request(), "arp_answered"],
      ["unicast ARP, as a kernel asks again", request({}, BOUND), "arp_answered"],
      ["ARP probe for another's address", request({ senderIp: "0.0.0.0" }), "arp_answered"],
      ["neighbour solicitation", solicitation(), "nd_answered"],
      ["without a source MAC", solicitation({}, null), "nd_answered"],
      ["duplicate address detection", solicitation({ src: "::" }, null), "nd_answered"],
    ];
    for (const [what, frame, counter] of questions) {
      const h = await Hosts.open(build);
      const sent = h.ask(frame);
      const expected = answerTo(frame, macOf);
      t.ok(expected, what);
      t.match(sent, [{ kind: "port", port: h.a, vnet: { flags: 0, gsoType: 0 } }], `${what}: one copy, to the asker`);
      t.equal((sent[0] as { frame: Buffer }).frame.toString("hex"), expected?.toString("hex"), `${what}: the octets`);
      t.same([h.counter(counter), h.counter("consumed_egress"), h.counter("made_egress")], [1, 1, 1], what);
      t.same([h.missing("egress"), h.counter("flood_egress"), h.drops()], [0, 0, {}], `${what}: the law holds`);
    }
  });

  t.test(`${build}: what is no such question goes on as ever`, async (t) => {
    const damaged = solicitation();
    damaged[damaged.length - 1] = (damaged[damaged.length - 1] as number) ^ 1;
    const endless = neighbour(135, ASKED6, mac(1));
    endless[25] = 0;
    const others: [what: string, frame: Buffer][] = [
      ["announcement", request({ senderIp: ASKED4 })],
      ["reply", request({ operation: 2 })],
      ["somebody else's address", request({ targetIp: "192.0.2.51" })],
      ["in another's name", request({ senderMac: mac(3) })],
      ["tagged", ethernet({ tags: [[0x8100, 5]], type: ETHERTYPE.arp, payload: arp({ targetIp: ASKED4 }) })],
      ["cut short", ethernet({ type: ETHERTYPE.arp, payload: arp({ targetIp: ASKED4 }).subarray(0, 27) })],
      ["from beyond a router", solicitation({ hopLimit: 254 })],
      ["wrong checksum", damaged],
      ["option without length", solicitation({ payload: endless })],
      ["probe with a source MAC", solicitation({ src: "::" })],
      ["probe to somebody", solicitation({ src: "::", dst: "2001:db8::50" }, null)],
      ["for a group", solicitation({}, mac(1), "ff02::50")],
      ["advertisement", solicitation({ payload: neighbour(136, ASKED6, mac(1)) })],
    ];
    for (const [what, frame] of others) {
      const h = await Hosts.open(build);
      t.equal(answerTo(frame, macOf), undefined, what);
      const sent = h.ask(frame);
      t.same(sent.map((s) => s.kind).sort(), ["port", "vtep"], `${what}: flooded`);
      t.ok(
        sent.every((s) => s.kind !== "port" || s.port === h.b),
        what,
      );
      t.equal(h.counter("consumed_egress"), 0, what);
    }
  });

  t.test(`${build}: the station with the address is not told that somebody has it`, async (t) => {
    const h = await Hosts.open(build);
    h.tables.setBinding(h.net, addressKey(ASKED4), macKey(mac(1)));
    await h.commit();
    t.same(h.ask(request({ senderIp: "0.0.0.0" })).length, 2, "its probe reaches everybody");
    h.tables.deleteBinding(h.net, addressKey(ASKED4));
    await h.commit();
    t.same(h.ask(request()).length, 2, "and an address that nobody is bound to is asked for");
  });

  t.test(`${build}: questions from a VTEP are delivered`, async (t) => {
    const h = await Hosts.open(build);
    const frame = ethernet({ src: mac(9), type: ETHERTYPE.arp, payload: arp({ senderMac: mac(9), targetIp: ASKED4 }) });
    const sent = h.ingress([{ address: "192.0.2.9", payload: vxlan(42, frame) }]);
    t.same(sent.map((s) => s.kind === "port" && s.port).sort(), [h.a, h.b]);
    t.equal(h.counter("arp_answered"), 0);
  });
}

t.test("property: any question is answered as the plain model says", async (t) => {
  const h = await Hosts.open("release");
  const address4 = fc.constantFrom(ASKED4, "192.0.2.1", "0.0.0.0", "192.0.2.77");
  const address6 = fc.constantFrom(ASKED6, "2001:db8::1", "::", "ff02::1:ff00:50", "fe80::1");
  const station = fc.constantFrom(mac(1), BOUND, mac(7));
  const arps = fc
    .record({ operation: fc.constantFrom(1, 2), senderMac: station, senderIp: address4, targetIp: address4 })
    .map((given) => ethernet({ src: mac(1), type: ETHERTYPE.arp, payload: arp(given) }));
  const solicitations = fc
    .record({
      src: address6,
      dst: address6,
      hopLimit: fc.constantFrom(255, 255, 64),
      target: address6,
      option: fc.option(station),
    })
    .map(({ target, option, ...packet }) => solicitation(packet, option, target));
  const cut = fc.record({
    frame: fc.oneof(arps, solicitations),
    octet: fc.nat(90),
    bits: fc.constantFrom(0, 0, 0, 1, 128),
  });
  fc.assert(
    fc.property(cut, ({ frame, octet, bits }) => {
      const asked = Buffer.from(frame);
      // The asker is a container with its own MAC: what it claims otherwise is not this test's matter.
      if (octet >= 12 && octet < asked.length) asked[octet] = (asked[octet] as number) ^ bits;
      const before = h.counter("arp_answered") + h.counter("nd_answered");
      const sent = h.ask(asked);
      const isAnswered = h.counter("arp_answered") + h.counter("nd_answered") > before;
      const expected = answerTo(asked, macOf);
      const got = isAnswered ? (sent[0] as { frame: Buffer }).frame.toString("hex") : undefined;
      return got === expected?.toString("hex") && h.missing("egress") === 0;
    }),
    { numRuns: 2000 },
  );
  t.pass();
});
