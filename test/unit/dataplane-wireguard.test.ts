/**
 * Encrypted networks over the in-memory twin: real handshakes, real keys, and every datagram seen on the wire. The clock is
 * the network's own, so that minutes pass at once.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import {
  type Counters,
  Dataplane,
  type DataplaneEvent,
  InvalidInput,
  type NetworkSpec,
  type PeerInfo,
  type PeerSpec,
  type PortInfo,
  type WireguardSpec,
} from "@weft/control";
import { MemoryLink, MemoryNetwork, type MemoryNetworkOptions } from "@weft/tun";
import t, { type Test } from "tap";
import { publicKeyText } from "../../packages/control/dist/wireguard/key.js";
import { KeySlots } from "../../packages/dataplane-wasm/dist/src/key-slots.js";
import { BROADCAST, ethernet, ipv4, ipv6, PROTO, udp, vxlan } from "../frames/build.js";

const PORT = 51_820;
const number = (mac: string): number => Number.parseInt(mac.replaceAll(":", ""), 16);

interface HostOptions {
  readonly underlay?: readonly string[];
  readonly wireguard?: Partial<WireguardSpec>;
  readonly privateKey?: Buffer;
  readonly mtu?: number;
  readonly portsMax?: number;
}

/** A host n: 10.9.0.n and fd09::n outside, 10.7.0.n and fd07::n inside. */
class Host {
  readonly n: number;
  readonly privateKey: Buffer;
  readonly publicKey: string;
  readonly link: MemoryLink;
  readonly events: DataplaneEvent[] = [];
  readonly #options: HostOptions;
  dp!: Dataplane;
  /** What workers and main thread share. */
  memory: Buffer = Buffer.alloc(0);

  constructor(network: MemoryNetwork, n: number, options: HostOptions = {}) {
    this.n = n;
    this.#options = options;
    this.privateKey = options.privateKey ?? randomBytes(32);
    this.publicKey = publicKeyText(this.privateKey);
    const addresses = options.underlay ?? [`10.9.0.${n}`];
    this.link = new MemoryLink({ network, addresses, interface: { mtu: options.mtu ?? 1500 } });
    const createIo = this.link.createIo.bind(this.link);
    this.link.createIo = (memory, worker) => {
      this.memory = Buffer.from(memory.buffer);
      return createIo(memory, worker);
    };
  }
  async start(): Promise<this> {
    const { underlay = [`10.9.0.${this.n}`], wireguard, portsMax } = this.#options;
    this.dp = await Dataplane.start({
      underlay,
      link: this.link,
      // A small memory: it is searched for keys.
      ...{ fdbMax: 1024, routesMax: 256, vtepsMax: 256, networksMax: 8 },
      ...(portsMax === undefined ? {} : { portsMax }),
      wireguard: { privateKey: this.privateKey, address: [`10.7.0.${this.n}`], ...wireguard },
    });
    this.dp.on("event", (event) => this.events.push(event));
    return this;
  }
  /** What another host is told of this one. */
  peer(over: Partial<PeerSpec> = {}): PeerSpec {
    const { underlay = [`10.9.0.${this.n}`] } = this.#options;
    const address = underlay[0] as string;
    const endpoint = address.includes(":") ? `[${address}]:${PORT}` : `${address}:${PORT}`;
    return { publicKey: this.publicKey, endpoint, allowedIps: [`10.7.0.${this.n}/32`], ...over };
  }
  seen(host: Host): PeerInfo {
    const found = this.dp.wireguard()?.peers.find((p) => p.publicKey === host.publicKey);
    if (!found) throw new Error(`host ${this.n} has no peer ${host.n}`);
    return found;
  }
  types(type: DataplaneEvent["type"]): DataplaneEvent[] {
    return this.events.filter((e) => e.type === type);
  }
}

/** Datagrams on the wire by what they are. In clear: those with a VXLAN header for an outer port of VXLAN. */
class Wire {
  readonly network: MemoryNetwork;
  readonly clear: Buffer[] = [];
  readonly messages = { 1: 0, 2: 0, 3: 0, 4: 0 } as Record<number, number>;
  /** Octets of every payload, to look for words in. */
  readonly all: Buffer[] = [];

  constructor(options: MemoryNetworkOptions = {}) {
    this.network = new MemoryNetwork(options);
    this.network.watch(({ toPort, payload }) => {
      this.all.push(Buffer.from(payload));
      if (toPort === 4789) this.clear.push(Buffer.from(payload));
      else this.messages[payload[0] as number] = (this.messages[payload[0] as number] ?? 0) + 1;
    });
  }
  carried(word: string): boolean {
    return this.all.some((payload) => payload.includes(word));
  }
  /** Lets time pass, in steps in which timers look. */
  async pass(ms: number, ...hosts: Host[]): Promise<void> {
    const step = ms >= 5000 ? 5000 : 1000;
    for (let left = ms; left > 0; left -= step) {
      this.network.advance(Math.min(left, step));
      // The timers run on the real clock, and look at the other one.
      await sleep(205);
      await settle(...hosts);
    }
  }
}

async function settle(...hosts: Host[]): Promise<void> {
  const taken = (): number =>
    hosts.reduce((sum, { dp }) => {
      const { law, wireguard, other } = dp.counters();
      const done = wireguard?.handshakes.reduce((n, h) => n + h.count, 0) ?? 0;
      return sum + law.egress.in + law.ingress.in + done + other.reduce((n, o) => n + o.count, 0);
    }, 0);
  let before = -1;
  for (let quiet = 0; quiet < 3; ) {
    for (let i = 0; i < 4; i++) await nextTurn();
    const now = taken();
    quiet = now === before ? quiet + 1 : 0;
    before = now;
  }
}
async function until(what: () => boolean, ms = 20_000): Promise<boolean> {
  for (const end = Date.now() + ms; !what() && Date.now() < end; ) await sleep(10);
  return what();
}
function lawHolds(counters: Counters): boolean {
  return Object.values(counters.law).every((l) => l.in + l.made === l.out + l.consumed + l.merged + l.drops);
}
const dropped = (host: Host): Record<string, number> =>
  Object.fromEntries(
    host.dp
      .counters()
      .drops.filter((d) => d.count > 0)
      .map((d) => [`${d.plane} ${d.reason}`, d.count]),
  );
const frame = (from: PortInfo, to: PortInfo | number, word = "weft"): Buffer =>
  ethernet({
    src: number(from.mac),
    dst: typeof to === "number" ? to : number(to.mac),
    payload: Buffer.from(word.padEnd(46, ".")),
  });
async function problemsOf(promise: Promise<unknown>): Promise<string[]> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof InvalidInput) return error.problems.map((p) => p.key);
    throw error;
  }
  return [];
}

/** Hosts that all know each other, one network `blue` over all, one port each. */
async function mesh(
  t: Test,
  count: number,
  { wire = new Wire(), host = {}, spec = {} }: { wire?: Wire; host?: HostOptions; spec?: Partial<NetworkSpec> } = {},
): Promise<{ wire: Wire; hosts: Host[]; ports: PortInfo[] }> {
  const hosts = Array.from({ length: count }, (_, i) => new Host(wire.network, i + 1, host));
  for (const one of hosts) await one.start();
  t.teardown(() => Promise.all(hosts.map((h) => h.dp.close())));
  const ports: PortInfo[] = [];
  for (const one of hosts) {
    await one.dp.setPeers(hosts.filter((h) => h !== one).map((h) => h.peer()));
    await one.dp.setNetwork({ name: "blue", vni: 42, vteps: hosts.map((h) => `10.7.0.${h.n}`), ...spec });
    ports.push(await one.dp.attach({ network: "blue", ifname: `c${one.n}` }));
  }
  await settle(...hosts);
  return { wire, hosts, ports };
}
type Two = readonly [Host, Host];

/** Sends one frame and says whether it came out at the other side. */
async function passes(from: Host, to: Host, ports: readonly PortInfo[], word = "weft"): Promise<boolean> {
  const [source, target] = [ports[from.n - 1] as PortInfo, ports[to.n - 1] as PortInfo];
  to.link.device(target.ifname).take();
  from.link.device(source.ifname).inject(frame(source, target, word));
  await settle(from, to);
  return to.link
    .device(target.ifname)
    .take()
    .some((f) => Buffer.from(f.frame).includes(word));
}

t.test("three hosts exchange frames, and nothing goes in clear", async (t) => {
  const { wire, hosts, ports } = await mesh(t, 3);
  const [a, b, c] = hosts as [Host, Host, Host];
  t.equal(a.dp.networks()[0]?.mtu, 1390);
  t.equal(a.dp.networks()[0]?.encryption, "required", "what is not said with WireGuard");
  t.ok(
    hosts.every((h) => h.dp.wireguard()?.peers.every((p) => p.session === "established")),
    "sessions begin without a frame",
  );
  for (const from of hosts)
    for (const to of hosts) if (from !== to) t.ok(await passes(from, to, ports, `${from.n} to ${to.n}`));
  a.link.device("c1").inject(frame(ports[0] as PortInfo, BROADCAST, "to all"));
  await settle(...hosts);
  t.equal(b.link.device("c2").take().length, 1);
  t.equal(c.link.device("c3").take().length, 1);
  t.same(wire.clear, []);
  t.notOk(wire.carried("weft") || wire.carried("to all") || wire.carried(" to "), "no word of it is on the wire");
  for (const h of hosts) {
    t.same(dropped(h), {});
    t.ok(lawHolds(h.dp.counters()));
  }
  const infos = a.dp.wireguard();
  t.match(infos, { publicKey: a.publicKey, listenPort: PORT, address: ["10.7.0.1"], device: null, mtu: 1440 });
  t.match(a.seen(b), { endpoint: `10.9.0.2:${PORT}`, allowedIps: ["10.7.0.2/32"], presharedKey: false });
  t.ok(Math.abs((a.seen(b).lastHandshake ?? 0) - Date.now()) < 60_000);
  const { handshakes } = a.dp.counters().wireguard ?? { handshakes: [] };
  t.equal(handshakes.reduce((n, h) => n + (h.result === "completed" ? h.count : 0), 0) >= 2, true);
  // Both sides may begin at once: then there are two sessions, and the later one is used.
  const met = new Set(a.types("handshake").map((e) => (e.type === "handshake" ? e.peer : "")));
  t.same([...met].sort(), [b.publicKey, c.publicKey].sort());
  t.notMatch(JSON.stringify([infos, a.dp.counters(), a.events]), a.privateKey.toString("base64"));
});

t.test("peer traffic is data and handshakes, in octets of UDP payload", async (t) => {
  const wire = new Wire();
  let sent = 0;
  const from9 = Buffer.from([10, 9, 0, 1]);
  wire.network.watch(({ from, payload }) => {
    if (Buffer.from(from).subarray(12).equals(from9)) sent += payload.length;
  });
  const { hosts, ports } = await mesh(t, 2, { wire });
  const [a, b] = hosts as unknown as Two;
  t.equal(a.seen(b).transmit.bytes, sent, "handshakes");
  const [out, arrived] = [a.seen(b).transmit, b.seen(a).receive];
  for (let i = 0; i < 20; i++) await passes(a, b, ports, `frame ${i}`);
  t.equal(a.seen(b).transmit.bytes, sent, "and data");
  t.equal(a.seen(b).transmit.packets - out.packets, 20);
  t.same(
    [b.seen(a).receive.packets - arrived.packets, b.seen(a).receive.bytes - arrived.bytes],
    [20, sent - out.bytes],
    "what one has sent the other has received",
  );
});

t.test("clear VXLAN is refused where encryption is required, and passes where it is not", async (t) => {
  const wire = new Wire();
  const { hosts, ports } = await mesh(t, 2, { wire });
  const [a, b] = hosts as unknown as Two;
  for (const h of [a, b]) {
    const other = h === a ? b : a;
    await h.dp.setNetwork({ name: "plain", vni: 43, vteps: [`10.9.0.${other.n}`], encryption: "none" });
    await h.dp.setNetwork({
      name: "both",
      vni: 44,
      vteps: [`10.7.0.${other.n}`, "10.9.0.9"],
      encryption: "mixed",
    });
    await h.dp.attach({ network: "plain", ifname: `p${h.n}`, id: "p" });
    await h.dp.attach({ network: "both", ifname: `m${h.n}`, id: "m" });
  }
  const mtus = Object.fromEntries(a.dp.networks().map((n) => [n.name, n.mtu]));
  t.same(mtus, { blue: 1390, plain: 1450, both: 1390 });
  const port = (h: Host, id: string): PortInfo => h.dp.ports().find((p) => p.id === id) as PortInfo;
  a.link.device("p1").inject(frame(port(a, "p"), port(b, "p"), "in clear"));
  a.link.device("m1").inject(frame(port(a, "m"), BROADCAST, "both ways"));
  await settle(a, b);
  t.ok(Buffer.from(b.link.device("p2").take()[0]?.frame ?? []).includes("in clear"));
  t.ok(Buffer.from(b.link.device("m2").take()[0]?.frame ?? []).includes("both ways"), "through the tunnel");
  t.equal(wire.clear.filter((p) => p.includes("both ways")).length, 1, "and in clear to the one without a peer");

  // A stranger, and a host that is a peer, write in clear to the encrypted network.
  const stranger = new MemoryLink({ network: wire.network, addresses: ["10.9.0.66", "10.7.0.2"] });
  for (const address of ["10.9.0.66", "10.7.0.2"]) {
    const socket = stranger.openUdp({ family: 4, address, port: 0 });
    socket.send(vxlan(42, frame(ports[1] as PortInfo, ports[0] as PortInfo, "forged")), "10.9.0.1", 4789);
    socket.close();
  }
  await settle(a, b);
  t.same(a.link.device("c1").take(), []);
  t.same(dropped(a), { "ingress plaintext_refused": 2 });
  t.ok(await passes(a, b, ports));
});

t.test("a peer that goes: frames to it drop, and nothing takes the clear way", async (t) => {
  const { wire, hosts, ports } = await mesh(t, 3);
  const [a, b, c] = hosts as [Host, Host, Host];
  t.ok(await passes(a, b, ports));
  const withThird = (): number =>
    c.types("handshake").filter((e) => e.type === "handshake" && e.peer === a.publicKey).length;
  const before = withThird();
  await a.dp.setPeers([c.peer()]);
  t.notOk(await passes(a, b, ports, "secret"));
  a.link.device("c1").inject(frame(ports[0] as PortInfo, BROADCAST, "secret to all"));
  await settle(...hosts);
  const heard = c.link
    .device("c3")
    .take()
    .filter((f) => Buffer.from(f.frame).includes("to all"));
  t.equal(heard.length, 1, "the other peer still hears");
  t.equal(b.link.device("c2").take().length, 0);
  t.match(dropped(a), { "egress no_session": 2 });
  t.same([wire.clear, wire.carried("secret")], [[], false]);
  t.notOk(await passes(b, a, ports), "nor is anything of it taken");
  t.throws(() => a.seen(b));
  t.equal(a.dp.counters().wireguard?.peers.length, 1);

  await a.dp.setPeers([b.peer(), c.peer()]);
  await wire.pass(1000, ...hosts);
  t.ok((await passes(a, b, ports)) || (await passes(a, b, ports)), "and back again");
  t.ok(await passes(b, a, ports));
  t.ok(await passes(a, c, ports), "the third never noticed");
  t.equal(withThird(), before);
});

t.test("lists that are wrong change nothing", async (t) => {
  const { hosts, ports } = await mesh(t, 2);
  const [a, b] = hosts as unknown as Two;
  const key = (): string => publicKeyText(randomBytes(32));
  const before = JSON.stringify(a.dp.wireguard());
  const twice = [b.peer(), { publicKey: key(), allowedIps: ["10.7.0.2/32"] }];
  t.same(await problemsOf(a.dp.setPeers(twice)), ["peers[1].allowedIps[0]"]);
  t.same(await problemsOf(a.dp.setPeers([b.peer(), b.peer()])), ["peers[1].publicKey"]);
  t.same(await problemsOf(a.dp.setPeers([{ publicKey: a.publicKey }])), ["peers[0].publicKey"]);
  t.same(await problemsOf(a.dp.setPeers([b.peer({ endpoint: "[fd09::2]:51820", allowedIps: ["10.7.0.2"] })])), [
    "peers[0].endpoint",
    "peers[0].allowedIps[0]",
  ]);
  t.same(await problemsOf(a.dp.setPeers(null as never)), ["peers"]);
  const many = Array.from({ length: 257 }, () => ({ publicKey: key() }));
  t.same(await problemsOf(a.dp.setPeers(many)), ["peers"]);
  t.equal(JSON.stringify(a.dp.wireguard()), before);
  t.ok(await passes(a, b, ports));
  const plain = await Dataplane.start({
    underlay: ["10.9.0.1"],
    link: new MemoryLink({ addresses: ["10.9.0.1"] }),
  });
  t.same(await problemsOf(plain.setPeers([])), ["peers"]);
  t.equal(plain.wireguard(), null);
  t.equal(plain.counters().wireguard, null);
  await plain.close();
});

t.test("setPeers many times at once: the last list holds, and no index is lost", async (t) => {
  const wire = new Wire();
  const { hosts, ports } = await mesh(t, 2, { wire, host: { wireguard: { peersMax: 2 } } });
  const [a, b] = hosts as unknown as Two;
  const other = (): PeerSpec => ({ publicKey: publicKeyText(randomBytes(32)), allowedIps: ["10.7.9.9/32"] });
  for (let round = 0; round < 3; round++) {
    const lists = Array.from({ length: 8 }, (_, i) =>
      i % 3 === 2 ? [b.peer()] : [other(), other()].slice(0, (i % 2) + 1),
    );
    const fit = lists.map((l) =>
      l.map((p, i) => (p.publicKey === b.publicKey ? p : { ...p, allowedIps: [`10.7.9.${i}/32`] })),
    );
    const done = await Promise.allSettled([
      ...fit.map((list) => a.dp.setPeers(list)),
      a.dp.setPeers([b.peer(), other()]),
    ]);
    t.same(
      done.filter((d) => d.status === "rejected"),
      [],
    );
  }
  t.equal(a.dp.wireguard()?.peers.length, 2);
  await wire.pass(6000, a, b);
  await passes(a, b, ports);
  t.ok(await passes(a, b, ports));
  t.ok(await passes(b, a, ports));
});

t.test("setPeers beside setNetwork, and beside close", async (t) => {
  const { wire, hosts, ports } = await mesh(t, 2);
  const [a, b] = hosts as unknown as Two;
  const blue = { name: "blue", vni: 42, vteps: ["10.7.0.2"] };
  const results = await Promise.allSettled([
    a.dp.setPeers([]),
    a.dp.setNetwork(blue),
    a.dp.setPeers([b.peer()]),
    a.dp.setNetwork(blue),
    a.dp.setNetwork({ ...blue, vteps: [] }),
    a.dp.setPeers([b.peer()]),
    a.dp.setNetwork(blue),
  ]);
  const refused = results.flatMap((r) => (r.status === "rejected" ? [r.reason] : []));
  t.ok(
    refused.every((e) => e instanceof InvalidInput),
    "each list is judged by what is there at its turn",
  );
  await a.dp.setNetwork(blue);
  await wire.pass(1000, a, b);
  await passes(a, b, ports);
  t.ok(await passes(a, b, ports));
  t.same(wire.clear, []);
  const late = [a.dp.setPeers([]), a.dp.setPeers([b.peer()]), a.dp.close(), a.dp.setPeers([])];
  const ends = await Promise.allSettled(late);
  t.equal(ends[2]?.status, "fulfilled");
  for (const end of ends) if (end.status === "rejected") t.equal((end.reason as { code?: string }).code, "ERR_CLOSED");
  t.equal(ends[3]?.status, "rejected");
});

t.test("endpoint, preshared key and prefixes change while sessions go on", async (t) => {
  const wire = new Wire();
  const { hosts, ports } = await mesh(t, 3, { wire });
  const [a, b, c] = hosts as [Host, Host, Host];
  // The endpoint: to a wrong one, and back.
  await a.dp.setPeers([b.peer({ endpoint: `10.9.0.77:${PORT}` }), c.peer()]);
  t.equal(a.seen(b).endpoint, `10.9.0.77:${PORT}`);
  t.notOk(await passes(a, b, ports));
  t.ok(await passes(b, a, ports));
  t.equal(a.seen(b).endpoint, `10.9.0.2:${PORT}`, "the peer has written from where it is");
  t.ok(await passes(a, b, ports));
  // A list that says the same of the endpoint as before does not take that back.
  await a.dp.setPeers([b.peer({ endpoint: `10.9.0.77:${PORT}` }), c.peer()]);
  t.equal(a.seen(b).endpoint, `10.9.0.2:${PORT}`);
  t.ok(await passes(a, b, ports));
  await a.dp.setPeers([b.peer({ endpoint: undefined as never }), c.peer()]);
  t.ok(await passes(a, b, ports), "a peer of which the list says no endpoint keeps the one that it has");

  // The preshared key counts with the next handshake.
  const psk = randomBytes(32);
  await a.dp.setPeers([b.peer({ presharedKey: psk }), c.peer()]);
  t.equal(a.seen(b).presharedKey, true);
  t.ok(await passes(a, b, ports), "the session goes on");
  await b.dp.setPeers([a.peer(), c.peer()]);
  await a.dp.setPeers([c.peer()]);
  await a.dp.setPeers([b.peer({ presharedKey: psk }), c.peer()]);
  await wire.pass(6000, ...hosts);
  await passes(a, b, ports);
  t.notOk(await passes(a, b, ports), "only one side has it");
  t.ok(await passes(a, c, ports));
  await b.dp.setPeers([a.peer({ presharedKey: psk }), c.peer()]);
  await wire.pass(12_000, ...hosts);
  await passes(a, b, ports);
  t.ok(await passes(a, b, ports), "both have it");

  // A prefix that moves from one peer to the other: the frames move with it.
  await a.dp.setPeers([b.peer({ presharedKey: psk, allowedIps: [] }), c.peer({ allowedIps: ["10.7.0.2/31"] })]);
  const before = c.seen(a).receive.packets;
  t.notOk(await passes(a, b, ports), "sent to the other host, that has no such address");
  t.ok(c.seen(a).receive.packets > before);
  t.notOk(await passes(b, a, ports), "the old one may not use the address any more");
  t.match(dropped(a), { "ingress allowed_ips": 1 });
  t.same(wire.clear, []);
  t.ok(hosts.every((h) => lawHolds(h.dp.counters())));
});

t.test("both sides roam", async (t) => {
  const { wire, hosts, ports } = await mesh(t, 2);
  const [a, b] = hosts as unknown as Two;
  t.ok((await passes(a, b, ports)) && (await passes(b, a, ports)));
  b.link.setAddresses(["10.9.0.22"]);
  t.notOk(await passes(a, b, ports), "nobody knows yet");
  t.ok(await passes(b, a, ports));
  t.ok(await passes(a, b, ports));
  t.same(a.types("roamed"), [{ type: "roamed", peer: b.publicKey, endpoint: `10.9.0.22:${PORT}` }]);
  await wire.pass(3000, a, b);
  a.link.setAddresses(["10.9.0.11"]);
  t.ok(await passes(a, b, ports));
  t.ok(await passes(b, a, ports));
  t.equal(b.seen(a).endpoint, `10.9.0.11:${PORT}`);
  t.equal(b.types("roamed").length, 1);
  t.equal(a.dp.counters().wireguard?.roams, 1);
  t.same(wire.clear, []);
});

t.test("a host that starts anew is a peer again", async (t) => {
  const { wire, hosts, ports } = await mesh(t, 2);
  const [a, b] = hosts as unknown as Two;
  t.ok(await passes(a, b, ports));
  await b.dp.close();
  wire.network.advance(1000);
  await b.start();
  await b.dp.setPeers([a.peer()]);
  await b.dp.setNetwork({ name: "blue", vni: 42, vteps: ["10.7.0.1"] });
  const fresh = await b.dp.attach({ network: "blue", ifname: "c2" });
  await wire.pass(1000, a, b);
  const now = [ports[0] as PortInfo, fresh];
  t.ok(await passes(b, a, now), "who starts anew makes a session");
  t.ok(await passes(a, b, now));
  t.same(wire.clear, []);
});

t.test("a peer that does not answer is told of after 90 s, and back when it is there", async (t) => {
  const { wire, hosts, ports } = await mesh(t, 2);
  const [a, b] = hosts as unknown as Two;
  await b.dp.close();
  // 15 s until silence is noticed, 90 s of handshakes; a step in which the timers of a busy machine did not look is lost.
  let seconds = 0;
  for (; seconds < 240 && a.types("unreachable").length === 0; seconds += 5) {
    a.link.device("c1").inject(frame(ports[0] as PortInfo, BROADCAST));
    await wire.pass(5000, a);
  }
  t.ok(seconds >= 90, `after ${seconds} s`);
  t.same(a.types("unreachable"), [{ type: "unreachable", peer: b.publicKey }]);
  t.match(a.dp.counters().wireguard?.handshakes, [{}, {}, { role: "initiator", result: "timeout", count: 1 }]);
  await b.start();
  await b.dp.setPeers([{ ...a.peer(), endpoint: undefined as never }]);
  await b.dp.setNetwork({ name: "blue", vni: 42, vteps: ["10.7.0.1"] });
  const fresh = await b.dp.attach({ network: "blue", ifname: "c2" });
  const now = [ports[0] as PortInfo, fresh];
  await wire.pass(80_000, a, b);
  await passes(a, b, now);
  await wire.pass(7000, a, b);
  t.ok(await passes(a, b, now), "a frame begins it again");
  t.ok(await passes(b, a, now));
});

t.test("close leaves no key in the memory", async (t) => {
  const slots = new Set<KeySlots>();
  const keys: Buffer[] = [];
  const { install } = KeySlots.prototype;
  t.teardown(() => {
    KeySlots.prototype.install = install;
  });
  KeySlots.prototype.install = function (slot, pair, ...rest) {
    slots.add(this);
    keys.push(Buffer.from(pair.send), Buffer.from(pair.receive));
    install.call(this, slot, pair, ...rest);
  };
  const { wire, hosts, ports } = await mesh(t, 2, { host: { wireguard: { peersMax: 3 } } });
  const [a, b] = hosts as unknown as Two;
  t.ok(await passes(a, b, ports));
  t.equal(slots.size, 2);
  const present = (h: Host): number => keys.filter((key) => h.memory.includes(key)).length;
  t.ok(present(a) >= 2 && present(b) >= 2, "the keys in use are there");
  // Peers that come and go leave nothing behind.
  const [{ free }] = slots as unknown as [KeySlots];
  for (let i = 0; i < 12; i++) {
    await a.dp.setPeers([]);
    t.equal(present(a), 0);
    await a.dp.setPeers([b.peer()]);
    wire.network.advance(6000);
    await settle(a, b);
  }
  t.ok(keys.length > 24, `${keys.length} keys were made`);
  const [first] = slots as unknown as [KeySlots];
  t.ok(first.free >= free - 3, `${first.free} slots are free, ${free} were`);
  await Promise.all([a.dp.close(), b.dp.close()]);
  t.same([present(a), present(b)], [0, 0]);
  t.notOk(a.memory.includes(a.privateKey));
});

t.test("MTUs by underlay and tunnel addresses", async (t) => {
  const wire = new Wire();
  const cases = [
    { underlay: ["10.9.1.1"], address: ["10.7.0.1"], tunnel: 1440, network: 1390 },
    { underlay: ["10.9.1.2"], address: ["fd07::1"], tunnel: 1440, network: 1370 },
    { underlay: ["10.9.1.3"], address: ["10.7.0.1", "fd07::1"], tunnel: 1440, network: 1370 },
    { underlay: ["fd09::4"], address: ["10.7.0.1"], tunnel: 1420, network: 1370 },
    { underlay: ["fd09::5"], address: ["fd07::1"], tunnel: 1420, network: 1350 },
    { underlay: ["10.9.1.6", "fd09::6"], address: ["10.7.0.1"], tunnel: 1420, network: 1370 },
    { underlay: ["10.9.1.7"], address: ["10.7.0.1"], mtu: 9000, tunnel: 8940, network: 8890 },
  ];
  for (const { underlay, address, tunnel, network, mtu = 1500 } of cases) {
    const host = await new Host(wire.network, 1, { underlay, mtu, wireguard: { address } }).start();
    t.equal(host.dp.wireguard()?.mtu, tunnel, `${underlay} ${address}`);
    await host.dp.setNetwork({ name: "auto", vni: 1 });
    await host.dp.setNetwork({ name: "own", vni: 2, mtu: 1300 });
    await host.dp.setNetwork({ name: "plain", vni: 3, encryption: "none" });
    const least = underlay.some((u) => u.includes(":")) ? 70 : 50;
    t.same(
      host.dp.networks().map((n) => n.mtu),
      [network, 1300, mtu - least],
    );
    await host.dp.close();
  }
});

for (const [what, underlay, inside] of [
  ["IPv6 outside, IPv4 inside", "fd09::", "10.7.0."],
  ["IPv4 outside, IPv6 inside", "10.9.0.", "fd07::"],
  ["IPv6 both", "fd09::", "fd07::"],
] as const) {
  t.test(what, async (t) => {
    const wire = new Wire();
    const hosts = [1, 2].map(
      (n) => new Host(wire.network, n, { underlay: [`${underlay}${n}`], wireguard: { address: [`${inside}${n}`] } }),
    );
    const [a, b] = hosts as unknown as Two;
    for (const h of hosts) await h.start();
    t.teardown(() => Promise.all(hosts.map((h) => h.dp.close())));
    const ports: PortInfo[] = [];
    for (const h of hosts) {
      const other = h === a ? b : a;
      const length = inside.includes(":") ? 128 : 32;
      await h.dp.setPeers([other.peer({ allowedIps: [`${inside}${other.n}/${length}`] })]);
      await h.dp.setNetwork({ name: "blue", vni: 42, vteps: [`${inside}${other.n}`] });
      ports.push(await h.dp.attach({ network: "blue", ifname: `c${h.n}` }));
    }
    await settle(a, b);
    t.ok((await passes(a, b, ports)) && (await passes(b, a, ports)));
    t.same([wire.clear, dropped(a), dropped(b)], [[], {}, {}]);
    t.ok(lawHolds(a.dp.counters()) && lawHolds(b.dp.counters()));
  });
}

t.test("a network lists everything that is wrong with its VTEPs", async (t) => {
  const wire = new Wire();
  const a = await new Host(wire.network, 1).start();
  t.teardown(() => a.dp.close());
  await a.dp.setPeers([
    { publicKey: publicKeyText(randomBytes(32)), allowedIps: ["10.7.0.2/32", "fd07::/64", "10.8.0.0/16"] },
  ]);
  const blue = { name: "blue", vni: 42 };
  t.same(
    await problemsOf(
      a.dp.setNetwork({ ...blue, vteps: ["10.7.0.2", "10.7.0.3", "fd07::2", "10.9.0.2", "x", "10.7.0.1"] }),
    ),
    ["vteps[1]", "vteps[2]", "vteps[3]", "vteps[4]"],
  );
  t.same(
    await problemsOf(a.dp.setNetwork({ ...blue, vteps: ["10.7.0.2", "fd07::2", "fd09::2"], encryption: "mixed" })),
    ["vteps[1]", "vteps[2]"],
  );
  t.same(await problemsOf(a.dp.setNetwork({ ...blue, encryption: "maybe" as never })), ["encryption"]);
  t.same(a.dp.networks(), []);
  const plain = await Dataplane.start({
    underlay: ["10.9.0.5"],
    link: new MemoryLink({ addresses: ["10.9.0.5"] }),
  });
  for (const encryption of ["required", "mixed"] as const)
    t.same(await problemsOf(plain.setNetwork({ ...blue, encryption })), ["encryption"]);
  await plain.setNetwork(blue);
  t.equal(plain.networks()[0]?.encryption, "none");
  await plain.close();
});

t.test("a hundred peers", async (t) => {
  const wire = new Wire();
  const keys = Array.from({ length: 100 }, () => randomBytes(32));
  const peers = keys.map((key, i) => ({
    publicKey: publicKeyText(key),
    endpoint: `10.9.1.${i + 1}:${PORT}`,
    allowedIps: [`10.7.1.${i + 1}/32`],
  }));
  const a = await new Host(wire.network, 1, { wireguard: { peers, peersMax: 100 } }).start();
  const picked = [0, 40, 99];
  const others: Host[] = [];
  for (const i of picked) {
    const host = new Host(wire.network, 2, {
      underlay: [`10.9.1.${i + 1}`],
      privateKey: keys[i] as Buffer,
      wireguard: { address: [`10.7.1.${i + 1}`], peersMax: 1, peers: [a.peer()] },
    });
    others.push(await host.start());
  }
  t.teardown(() => Promise.all([a, ...others].map((h) => h.dp.close())));
  await a.dp.setNetwork({ name: "blue", vni: 42, vteps: peers.map((_, i) => `10.7.1.${i + 1}`) });
  const from = await a.dp.attach({ network: "blue", ifname: "c1" });
  for (const other of others) {
    await other.dp.setNetwork({ name: "blue", vni: 42, vteps: ["10.7.0.1"] });
    await other.dp.attach({ network: "blue", ifname: "c2" });
  }
  t.ok(await until(() => others.every((o) => a.seen(o).session === "established")), "begun a few at a time");
  a.link.device("c1").inject(frame(from, BROADCAST, "to a hundred"));
  await settle(a, ...others);
  for (const other of others) t.equal(other.link.device("c2").take().length, 1);
  t.match(dropped(a), { "egress no_session": 97 });
  t.notOk(wire.carried("to a hundred"));
  t.ok(lawHolds(a.dp.counters()));
  await a.dp.setPeers(peers.slice(0, 1));
  await a.dp.setPeers(peers);
  t.equal(a.dp.wireguard()?.peers.length, 100);
});

t.test("with a device the hosts talk to each other", async (t) => {
  const { wire, hosts } = await mesh(t, 2, { host: { wireguard: { device: "wg0" }, portsMax: 1 } });
  const [a, b] = hosts as unknown as Two;
  const device = a.link.device("wg0");
  t.match(device, { kind: "tun", mtu: 1440, up: true, addresses: ["10.7.0.1/32"] });
  t.same(device.routes, [{ to: "10.7.0.2/32" }]);
  t.equal(a.dp.wireguard()?.device, "wg0");
  const packet = ipv4({
    src: "10.7.0.1",
    dst: "10.7.0.2",
    protocol: PROTO.udp,
    payload: udp({ src: 5000, dst: 7, payload: Buffer.from("from host to host") }),
    sum: "full",
  });
  device.inject(packet);
  await settle(a, b);
  const got = b.link.device("wg0").take();
  t.equal(got.length, 1);
  t.same(Buffer.from(got[0]?.frame ?? []), packet);
  // Addresses that are not the sender's, and of no peer.
  device.inject(ipv4({ src: "10.7.0.66", dst: "10.7.0.2", payload: Buffer.alloc(8) }));
  device.inject(ipv4({ src: "10.7.0.1", dst: "10.7.0.99", payload: Buffer.alloc(8) }));
  device.inject(ipv6({ src: "fd07::1", dst: "fd07::2", payload: Buffer.alloc(8) }));
  await settle(a, b);
  t.same(b.link.device("wg0").take(), []);
  t.same([wire.clear, wire.carried("from host")], [[], false]);
  t.ok(lawHolds(a.dp.counters()) && lawHolds(b.dp.counters()));
  // A default route would lead the tunnel into itself: none is made.
  await a.dp.setPeers([b.peer({ allowedIps: ["10.7.0.2/32", "10.20.0.0/16", "0.0.0.0/0"] })]);
  t.same(
    device.routes.map((r) => r.to),
    ["10.7.0.2/32", "10.20.0.0/16"],
  );

  // Somebody deletes it: encrypted networks go on, and lists of peers are taken.
  a.link.deleteDevice("wg0");
  await a.dp.setPeers([b.peer({ allowedIps: ["10.7.0.2/32", "10.21.0.0/16"] })]);
  t.equal(a.dp.wireguard()?.device, null);
  await settle(a, b);
  t.ok(await passes(a, b, [a.dp.ports()[0] as PortInfo, b.dp.ports()[0] as PortInfo]));
  b.link.deleteDevice("wg0");
  t.ok(await until(() => b.dp.wireguard()?.device === null), "and that is noticed by itself");
  b.link.device("c2");
});

t.test("a device whose name is taken, and ports that are taken", async (t) => {
  const link = new MemoryLink({ addresses: ["10.9.0.1"] });
  const held = link.openDevice({ kind: "tun", name: "wg0", vnetHdr: true });
  const spec = { privateKey: randomBytes(32), address: ["10.7.0.1"] };
  const start = (over: object): Promise<Dataplane> =>
    Dataplane.start({ underlay: ["10.9.0.1"], link, wireguard: { ...spec, ...over } });
  await t.rejects(start({ device: "wg0" }), { code: "EBUSY", message: /wg0/ });
  held.close();
  const socket = link.openUdp({ family: 4, address: "0.0.0.0", port: PORT });
  await t.rejects(start({}), { code: "EADDRINUSE", message: new RegExp(String(PORT)) });
  socket.close();
  const dp = await start({ device: "wg0" });
  await t.rejects(start({ listenPort: 51_821, device: "wg1" }), { code: "EADDRINUSE" });
  t.same(
    link.devices().map((d) => d.name),
    ["wg0"],
    "nothing is left of those that failed",
  );
  await dp.close();
  t.same(link.devices(), []);
  await (await start({})).close();
});

t.test("the key log: 0600, and a file that can be written no more ends it and nothing else", async (t) => {
  const path = join(t.testdir({}), "keys.log");
  const wire = new Wire();
  const a = await new Host(wire.network, 1, { wireguard: { keylog: path } }).start();
  const b = await new Host(wire.network, 2).start();
  t.teardown(() => Promise.all([a.dp.close(), b.dp.close()]));
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.equal(a.dp.wireguard()?.keylog, path);
  const ports: PortInfo[] = [];
  for (const [h, other] of [
    [a, b],
    [b, a],
  ] as const) {
    await h.dp.setPeers([other.peer()]);
    await h.dp.setNetwork({ name: "blue", vni: 42, vteps: [`10.7.0.${other.n}`] });
    ports.push(await h.dp.attach({ network: "blue", ifname: `c${h.n}` }));
  }
  await settle(a, b);
  t.match(readFileSync(path, "utf8"), /LOCAL_EPHEMERAL_PRIVATE_KEY = /);
  // As good as a full disk: the file has become a directory.
  rmSync(path);
  mkdirSync(path);
  await a.dp.setPeers([]);
  await a.dp.setPeers([b.peer()]);
  await wire.pass(6000, a, b);
  await passes(a, b, ports);
  t.ok(await passes(a, b, ports), "sessions are made");
  t.equal(a.dp.wireguard()?.keylog, null, "and status says that there is no log");
  const wrong = new Host(wire.network, 3, { wireguard: { keylog: join(path, "no", "such", "place") } });
  await t.rejects(wrong.start(), { code: "ENOENT" });
  await (await new Host(wire.network, 3).start()).dp.close();
});
