/** A mesh over the in-memory twin: relays, probes and paths of whole data planes, with real handshakes. The clock is the network's. */
import { randomBytes } from "node:crypto";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import {
  Dataplane,
  type DataplaneEvent,
  InvalidInput,
  type PeerSpec,
  type PortInfo,
  type WireguardSpec,
} from "@weft/control";
import { type Datagram, MemoryLink, MemoryNetwork } from "@weft/tun";
import t, { type Test } from "tap";
import { publicKeyText } from "../../packages/control/dist/wireguard/key.js";
import { ethernet, ipv4, udp } from "../frames/build.js";
import { content } from "../frames/super.js";

const PROBE_PORT = 6783;
const number = (mac: string): number => Number.parseInt(mac.replaceAll(":", ""), 16);
type Of<Type extends DataplaneEvent["type"]> = Extract<DataplaneEvent, { type: Type }>;

/** A host n: 10.9.0.n outside, fd07::n inside. */
class Host {
  readonly n: number;
  readonly privateKey = randomBytes(32);
  readonly key = publicKeyText(this.privateKey);
  readonly link: MemoryLink;
  readonly events: DataplaneEvent[] = [];
  dp!: Dataplane;
  port!: PortInfo;

  constructor(network: MemoryNetwork, n: number) {
    this.n = n;
    this.link = new MemoryLink({ network, addresses: [`10.9.0.${n}`] });
  }
  async start(wireguard: Partial<WireguardSpec> = {}): Promise<void> {
    const { link, privateKey, n } = this;
    this.dp = await Dataplane.start({
      underlay: [`10.9.0.${n}`],
      link,
      ...{ fdbMax: 1024, routesMax: 256, vtepsMax: 64, networksMax: 8 },
      wireguard: { privateKey, address: [`fd07::${n}`], mesh: { probePort: PROBE_PORT }, peersMax: 8, ...wireguard },
    });
    this.dp.on("event", (event) => this.events.push(event));
  }
  peer(over: Partial<PeerSpec> = {}): PeerSpec {
    return { publicKey: this.key, endpoint: `10.9.0.${this.n}:51820`, allowedIps: [`fd07::${this.n}/128`], ...over };
  }
  of<Type extends DataplaneEvent["type"]>(type: Type): Of<Type>[] {
    return this.events.filter((e): e is Of<Type> => e.type === type);
  }
  session(of: Host): string | undefined {
    return this.dp.peerActivity().find((p) => p.publicKey === of.key)?.session;
  }
  drops(): Record<string, number> {
    const rows = this.dp.counters().drops.filter(({ count }) => count > 0);
    return Object.fromEntries(rows.map(({ plane, reason, count }) => [`${plane}/${reason}`, count]));
  }
  other(name: string): number | undefined {
    return this.dp.counters().other.find((o) => o.name === name)?.count;
  }
}

class Mesh {
  readonly network = new MemoryNetwork();
  readonly hosts: readonly [Host, Host, Host];
  /** Pairs of hosts, `1 3`, between which nothing arrives. */
  readonly cut = new Set<string>();
  /** Messages on the wire, `1 2 type`. */
  readonly seen: string[] = [];
  readonly payloads: Buffer[] = [];

  private constructor() {
    const send = this.network.send.bind(this.network);
    this.network.send = (datagram: Datagram) => {
      const [from, to] = [datagram.from[15], datagram.to[15]];
      this.seen.push(`${from} ${to} ${datagram.payload[0]}`);
      this.payloads.push(Buffer.from(datagram.payload));
      if (!this.cut.has(`${from} ${to}`)) send(datagram);
    };
    this.hosts = [1, 2, 3].map((n) => new Host(this.network, n)) as [Host, Host, Host];
  }
  /** Three hosts that know each other, network `blue` over all, one port each. */
  static async open(t: Test): Promise<Mesh> {
    const mesh = new Mesh();
    for (const host of mesh.hosts) await host.start();
    t.teardown(() => Promise.all(mesh.hosts.map((h) => h.dp.close())));
    for (const host of mesh.hosts) {
      await host.dp.setPeers(mesh.hosts.filter((h) => h !== host).map((h) => h.peer()));
      const vteps = mesh.hosts.map((h) => `fd07::${h.n}`);
      await host.dp.setNetwork({ name: "blue", vni: 42, vteps });
      host.port = await host.dp.attach({ network: "blue", ifname: `c${host.n}` });
    }
    for (const host of mesh.hosts) {
      const routes = mesh.hosts.filter((h) => h !== host).map((h) => ({ mac: h.port.mac, via: `fd07::${h.n}` }));
      await host.dp.routes("blue").replace(routes);
    }
    await mesh.settle();
    return mesh;
  }
  /** Nothing goes between two hosts. */
  separate(a: Host, b: Host): void {
    this.cut.add(`${a.n} ${b.n}`).add(`${b.n} ${a.n}`);
  }
  async settle(): Promise<void> {
    for (let quiet = 0, before = -1; quiet < 4; ) {
      for (let i = 0; i < 6; i++) await nextTurn();
      await sleep(2);
      quiet = this.seen.length === before ? quiet + 1 : 0;
      before = this.seen.length;
    }
  }
  async pass(ms: number): Promise<void> {
    this.network.advance(ms);
    // The timers run on the real clock, and look at the other one.
    await sleep(210);
    await this.settle();
  }
  /** Sends a frame, twice at most: the first may have asked for a session. */
  async passes(from: Host, to: Host, word = "weft"): Promise<boolean> {
    for (let tries = 0; tries < 2; tries++) {
      to.link.device(to.port.ifname).take();
      const payload = ipv4({ payload: udp({ payload: Buffer.from(word.padEnd(60, ".")) }) });
      from.link
        .device(from.port.ifname)
        .inject(ethernet({ src: number(from.port.mac), dst: number(to.port.mac), payload, type: 0x0800 }));
      await this.settle();
      const got = to.link.device(to.port.ifname).take();
      if (got.some((f) => Buffer.from(f.frame).includes(word))) return true;
    }
    return false;
  }
  isLawful(t: Test): void {
    for (const { dp, n } of this.hosts) {
      const { law } = dp.counters();
      for (const l of Object.values(law)) t.equal(l.in + l.made, l.out + l.consumed + l.merged + l.drops, `host ${n}`);
    }
  }
}
function peerOf(host: Host, peer: Host) {
  return host.dp.wireguard()?.peers.find(({ publicKey }) => publicKey === peer.key);
}
const sent = (from: Host, to: Host) => peerOf(from, to)?.transmit;
const received = (at: Host, from: Host) => peerOf(at, from)?.receive;
function problemsOf(error: unknown): string[] {
  if (error instanceof InvalidInput) return error.problems.map((p) => p.key);
  throw error;
}

t.test("sessions begin with the first frame, and every change of one is told", async (t) => {
  const mesh = await Mesh.open(t);
  const [a, b, c] = mesh.hosts;
  t.same(mesh.seen, [], "nobody has said a word");
  t.equal(a.dp.wireguard()?.mtu, 1360, "there is room for a relay");
  t.equal(a.dp.networks()[0]?.mtu, 1290);
  t.same(
    a.dp.peerActivity(),
    [b, c].map((h) => ({ publicKey: h.key, session: "none", sentAgoMs: null, receivedAgoMs: null })),
  );
  mesh.network.advance(1000);
  t.ok(await mesh.passes(a, b));
  t.same([a.session(b), b.session(a), a.session(c)], ["established", "established", "none"]);
  for (const [host, other] of [
    [a, b],
    [b, a],
  ] as const) {
    const told = host.of("session");
    t.match(told.at(-1), { peer: other.key, session: "established" });
    t.ok(told.every((e) => e.peer === other.key));
  }
  mesh.network.advance(700);
  t.match(a.dp.peerActivity()[0], { sentAgoMs: 700, receivedAgoMs: null });
  t.match(b.dp.peerActivity()[0], { sentAgoMs: null, receivedAgoMs: 700 });
  for (const n of [1, 2]) mesh.cut.add(`${n} ${3 - n}`);
  await mesh.pass(200_000);
  t.not(a.session(b), "established", "keys are too old now");
  t.match(a.of("session").at(-1), { peer: b.key, session: a.session(b) });
  mesh.isLawful(t);
});

t.test("probes", async (t) => {
  const mesh = await Mesh.open(t);
  const [a, b, c] = mesh.hosts;
  const payload = randomBytes(40);
  t.notOk(a.dp.sendProbe({ publicKey: b.key, via: null, payload }), "no session");
  await mesh.settle();
  t.equal(a.session(b), "established", "but it was begun");
  mesh.network.advance(500);
  const heard = b.dp.peerActivity()[0]?.receivedAgoMs;
  t.ok(a.dp.sendProbe({ publicKey: b.key, via: null, payload }));
  await mesh.settle();
  t.match(b.of("probe"), [{ peer: a.key, via: null, endpoint: "10.9.0.1:51820", packetBytes: 88 }]);
  t.same(Buffer.from(b.of("probe")[0]?.payload ?? []), payload);
  t.equal(b.dp.peerActivity()[0]?.receivedAgoMs, heard, "a probe is no data");
  t.equal(a.dp.peerActivity()[0]?.sentAgoMs, null);
  t.notOk(
    mesh.payloads.some((p) => p.includes(payload)),
    "it is sealed",
  );

  t.ok(a.dp.sendProbe({ publicKey: b.key, via: null, payload, packetBytes: 1440 }));
  await mesh.settle();
  t.match(b.of("probe").at(-1), { packetBytes: 1440 });
  t.equal(b.of("probe").at(-1)?.payload.length, 128, "the first octets");
  t.notOk(
    a.dp.sendProbe({ publicKey: b.key, via: null, payload, packetBytes: 1441 }),
    "longer than the interface's MTU",
  );
  t.same(sent(a, b), received(b, a), "what goes out is counted as what comes in is");

  t.ok((await mesh.passes(a, c)) && (await mesh.passes(c, b)));
  mesh.seen.length = 0;
  t.ok(a.dp.sendProbe({ publicKey: b.key, via: c.key, payload }));
  await mesh.settle();
  t.same([sent(a, b), sent(a, c)], [received(b, a), received(c, a)], "also what another one passes on");
  t.match(b.of("probe").at(-1), { peer: a.key, via: c.key, endpoint: null, packetBytes: 88 });
  t.same(mesh.seen, ["1 3 4", "3 2 4"]);
  t.equal(c.other("relayed_packets"), 1);
  for (let i = 0; i < 100; i++) a.dp.sendProbe({ publicKey: b.key, via: null, payload });
  await mesh.settle();
  t.ok((b.drops()["ingress/probe_rate"] ?? 0) >= 36, "more than there is use for");

  const wrong = (spec: object): string[] => {
    try {
      a.dp.sendProbe({ publicKey: b.key, via: null, payload, ...spec });
    } catch (error) {
      return problemsOf(error);
    }
    return [];
  };
  t.same(wrong({ publicKey: a.key }), ["publicKey"]);
  t.same(wrong({ via: b.key }), ["via"]);
  t.same(wrong({ payload: Buffer.alloc(129) }), ["payload"]);
  t.same(wrong({ payload: Buffer.alloc(0), packetBytes: 70_000 }), ["payload", "packetBytes"]);
  t.same(wrong({ packetBytes: 87 }), ["packetBytes"]);
  mesh.isLawful(t);
});

t.test("a path through a relay: handshakes, data and back to the direct one", async (t) => {
  const mesh = await Mesh.open(t);
  const [a, relay, b] = mesh.hosts;
  mesh.separate(a, b);
  t.ok(await mesh.passes(relay, b), "the relay has its own session");
  await a.dp.setPaths([{ publicKey: b.key, via: relay.key, mtu: 1360 }]);
  await b.dp.setPaths([{ publicKey: a.key, via: relay.key, mtu: 1360 }]);
  t.ok(await mesh.passes(a, b, "through another"), "one with the relay is made, then the one through it");
  t.ok(await mesh.passes(b, a, "and back"));
  t.notOk(
    mesh.seen.some((s) => s.startsWith("1 3") || s.startsWith("3 1")),
    "nothing was tried directly",
  );
  t.equal(relay.session(a), "established");
  t.ok((relay.other("relayed_packets") ?? 0) >= 4, `${relay.other("relayed_packets")} messages relayed`);
  t.equal(a.dp.wireguard()?.peers.find((p) => p.publicKey === b.key)?.endpoint, "10.9.0.3:51820", "endpoints stay");
  t.same([a.of("roamed"), b.of("roamed")], [[], []]);

  // The same session goes on directly.
  const handshakes = a.of("handshake").length;
  mesh.cut.clear();
  for (const [host, other] of [
    [a, b],
    [b, a],
  ] as const) {
    await host.dp.setPaths([{ publicKey: other.key, via: null, mtu: null, endpoint: `10.9.0.${other.n}:51820` }]);
  }
  mesh.seen.length = 0;
  t.ok(await mesh.passes(a, b, "directly"));
  t.same(mesh.seen, ["1 3 4"]);
  t.equal(a.of("handshake").length, handshakes);

  // The relay goes: nobody is reached through it any more.
  await a.dp.setPaths([{ publicKey: b.key, via: relay.key, mtu: 1360 }]);
  await a.dp.changePeers({ remove: [relay.key] });
  mesh.seen.length = 0;
  t.ok(await mesh.passes(a, b));
  t.same(mesh.seen, ["1 3 4"]);
  for (const host of mesh.hosts) t.same(host.drops()["ingress/auth_failed"], undefined);
  mesh.isLawful(t);
});

t.test("a handshake under way is repeated on another path at once", async (t) => {
  const mesh = await Mesh.open(t);
  const [a, relay, b] = mesh.hosts;
  t.ok((await mesh.passes(a, relay)) && (await mesh.passes(relay, b)));
  mesh.separate(a, b);
  t.notOk(await mesh.passes(a, b));
  t.equal(a.session(b), "handshake");
  await a.dp.setPaths([{ publicKey: b.key, via: relay.key, mtu: null }]);
  await mesh.settle();
  t.equal(a.session(b), "established", "no time has passed: the answer came the way that the question went");
  t.equal(b.dp.wireguard()?.peers.find((p) => p.publicKey === a.key)?.endpoint, "10.9.0.1:51820");
  t.notOk(await mesh.passes(b, a), "the other end's path is its own affair");
  await b.dp.setPaths([{ publicKey: a.key, via: relay.key, mtu: null }]);
  t.ok(await mesh.passes(b, a));
  t.ok(await mesh.passes(a, b));
  mesh.isLawful(t);
});

t.test("paths carry so much, and whoever sends more is told", async (t) => {
  const mesh = await Mesh.open(t);
  const [a, b] = mesh.hosts;
  t.ok(await mesh.passes(a, b));
  const long = ethernet({
    src: number(a.port.mac),
    dst: number(b.port.mac),
    type: 0x0800,
    payload: ipv4({ payload: udp({ payload: content(1250) }), fragment: 0x4000 }),
  });
  const device = a.link.device("c1");
  device.inject(long);
  await mesh.settle();
  t.equal(b.link.device("c2").take().length, 1);
  await a.dp.setPaths([{ publicKey: b.key, via: null, mtu: 1280 }]);
  device.take();
  device.inject(long);
  await mesh.settle();
  t.equal(b.link.device("c2").take().length, 0);
  const [answer] = device.take();
  t.same([answer?.frame[34], answer?.frame[35], Buffer.from(answer?.frame ?? []).readUInt16BE(40)], [3, 4, 1210]);
  t.same(a.drops(), { "egress/no_session": 1, "egress/path_mtu": 1 });

  // Nobody has measured the path through the relay: there is room for what the relay adds, 40 + 8 + 32 octets.
  const relay = mesh.hosts[2];
  t.ok(await mesh.passes(a, relay));
  const room = async (mtu: number | null): Promise<number> => {
    await a.dp.setPaths([
      { publicKey: b.key, via: relay.key, mtu: null },
      { publicKey: relay.key, via: null, mtu },
    ]);
    device.take();
    device.inject(
      ethernet({
        src: number(a.port.mac),
        dst: number(b.port.mac),
        type: 0x0800,
        payload: ipv4({ payload: udp({ payload: content(1400) }), fragment: 0x4000 }),
      }),
    );
    await mesh.settle();
    const [told] = device.take();
    return Buffer.from(told?.frame ?? []).readUInt16BE(40);
  };
  t.equal(await room(null), 1440 - 80 - 70);
  t.equal(await room(1300), 1300 - 80 - 70);
  mesh.isLawful(t);
});

t.test("what is wrong with paths, single peers and the mesh is named, and nothing changes", async (t) => {
  const mesh = await Mesh.open(t);
  const [a, b, c] = mesh.hosts;
  const stranger = publicKeyText(randomBytes(32));
  const paths = async (...list: object[]): Promise<string[]> => {
    try {
      await a.dp.setPaths(list as never);
    } catch (error) {
      return problemsOf(error);
    }
    return [];
  };
  const good = { publicKey: b.key, via: null, mtu: null };
  t.same(await paths({ ...good, publicKey: stranger }), ["paths[0].publicKey"]);
  t.same(await paths(good, good), ["paths[1].publicKey"]);
  t.same(await paths({ ...good, via: stranger }, { ...good, publicKey: c.key, via: c.key }), [
    "paths[0].via",
    "paths[1].via",
  ]);
  t.same(await paths({ ...good, mtu: 575 }), ["paths[0].mtu"]);
  t.same(await paths({ ...good, endpoint: "[2001:db8::1]:5" }), ["paths[0].endpoint"]);
  t.same(await paths("x" as never), ["paths[0].publicKey"]);

  const keys = (): string[] => (a.dp.wireguard()?.peers ?? []).map((p) => p.publicKey);
  const before = keys();
  const change = async (given: object): Promise<string[]> => {
    try {
      await a.dp.changePeers(given);
    } catch (error) {
      return problemsOf(error);
    }
    return [];
  };
  t.same(await change({ set: [{ publicKey: stranger, allowedIps: ["fd07::2/128"] }], remove: [c.key] }), [
    "peers[1].allowedIps[0]",
  ]);
  t.same(keys(), before);
  t.ok(await mesh.passes(a, c));
  t.same(await change({ set: [{ publicKey: stranger, allowedIps: ["fd07::2/128"] }], remove: [b.key, stranger] }), []);
  t.same(keys().sort(), [c.key, stranger].sort());
  mesh.seen.length = 0;
  t.ok(await mesh.passes(a, c), "the session of the one that stays goes on");
  t.same(mesh.seen, ["1 3 4"]);
  t.same(await change({ set: [b.peer()], remove: [stranger] }), []);
  t.ok(await mesh.passes(a, b));

  const host = new Host(new MemoryNetwork(), 1);
  const start = async (wireguard: object): Promise<string[]> => {
    try {
      await host.start(wireguard);
    } catch (error) {
      return problemsOf(error);
    }
    await host.dp.close();
    return [];
  };
  t.same(await start({ mesh: { probePort: 0 } }), ["wireguard.mesh.probePort"]);
  t.same(await start({ mesh: { probePort: 51_820 } }), ["wireguard.mesh.probePort"]);
  t.same(await start({ address: ["10.7.0.1"] }), ["wireguard.address"]);
  const alone = new Host(new MemoryNetwork(), 1);
  await alone.start({ mesh: undefined as never, address: ["10.7.0.1"] });
  t.teardown(() => alone.dp.close());
  await t.rejects(alone.dp.setPaths([]), InvalidInput);
  t.throws(() => alone.dp.sendProbe({ publicKey: "", via: null, payload: Buffer.alloc(1) }), InvalidInput);
  t.same(alone.dp.peerActivity(), []);
});
