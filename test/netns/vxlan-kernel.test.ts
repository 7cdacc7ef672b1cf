/**
 * The kernel's vxlan device is the judge: weft on one host, `ip link … type vxlan` on the other.
 *
 * Over IPv4 and IPv6 underlay, with the peer's offloads on (it then hands over up to 64 KB as one datagram whose inner
 * checksum is unfinished) and off (every datagram has its size on the wire).
 */
import t, { type Test } from "tap";
import { BROADCAST, ethernet } from "../lab/frame.js";
import { until } from "../lab/job.js";
import { kernelVxlan } from "../lab/kernel-vxlan.js";
import { type Host, Lab } from "../lab/lab.js";
import type { Namespace } from "../lab/namespace.js";
import { datagrams, kernelLosses, transfer, type UdpSpec } from "../lab/traffic.js";
import { difference, total, Weft } from "../lab/weft.js";
import { Wire } from "../lab/wire.js";

interface Scene {
  readonly lab: Lab;
  readonly left: Host;
  readonly right: Host;
  readonly weft: Weft;
  /** 10.8.0.1 and fd00::1, a port of weft. */
  readonly c1: Namespace;
  /** 10.8.0.2 and fd00::2, the kernel's vxlan device. */
  readonly c2: Namespace;
}

async function scene(t: Test, family: 4 | 6, offloads: boolean): Promise<Scene> {
  const lab = await Lab.open(t);
  const [left, right] = await lab.hosts("left", "right");
  await right.offloads(offloads);
  const weft = await Weft.up(lab, left, { underlay: [left.address(family)], vteps: [right.address(family)] });
  const c1 = await lab.container("c1");
  await weft.attach(c1, { ip: ["10.8.0.1/24", "fd00::1/64"] });
  const c2 = await kernelVxlan(lab, right, { peers: [left.address(family)], ip: ["10.8.0.2/24", "fd00::2/64"] });
  return { lab, left, right, weft, c1, c2 };
}

for (const family of [4, 6] as const) {
  for (const offloads of [true, false]) {
    t.test(`over IPv${family}, the kernel's offloads ${offloads ? "on" : "off"}`, async (t) => {
      const all = await scene(t, family, offloads);
      await t.test("pings of every size pass both ways", (t) => pings(t, all, family));
      await t.test("100 MB over TCP arrive both ways with equal hashes", (t) => streams(t, all));
      await t.test("every UDP datagram arrives or is in a named counter", (t) => counted(t, all));
    });
  }
}

async function pings(t: Test, { c1, c2 }: Scene, family: 4 | 6): Promise<void> {
  // Inner MTU: 1500 less 50 octets over IPv4, 20 more over IPv6.
  const largest4 = family === 4 ? 1422 : 1402;
  const largest6 = largest4 - 20;
  const directions = [
    [c1, "10.8.0.2", "fd00::2"],
    [c2, "10.8.0.1", "fd00::1"],
  ] as const;
  for (const [from, v4, v6] of directions) {
    for (const [size, whole] of [
      [56, true],
      [largest4, true],
      [largest4 + 1, false],
      [8000, false],
    ] as const) {
      await pinged(t, from, v4, { size, whole });
    }
    const tooLong = await from.ping(v4, { size: largest4 + 1, whole: true, count: 1 });
    t.equal(tooLong.received, 0, `${largest4 + 1} octets do not fit whole: the MTU is right`);
    for (const [size, whole] of [
      [56, true],
      [largest6, true],
      [largest6 + 1, false],
      [8000, false],
    ] as const) {
      await pinged(t, from, v6, { size, whole });
    }
  }
}

/** Every ping of a size comes back, once. */
async function pinged(t: Test, from: Namespace, to: string, options: { size: number; whole: boolean }): Promise<void> {
  const { sent, received, duplicates, text } = await from.ping(to, options);
  const good = received === sent && duplicates === 0;
  t.ok(good, `${from.label} → ${to}, ${options.size} octets${good ? "" : `: ${text}`}`);
}

async function streams(t: Test, { c1, c2 }: Scene): Promise<void> {
  for (const [from, to, address] of [
    [c1, c2, "10.8.0.2"],
    [c2, c1, "10.8.0.1"],
  ] as const) {
    const { sent, received } = await transfer(from, to, address, 100e6);
    t.equal(received.bytes, 100e6, `${from.label} → ${to.label}: every octet`);
    t.equal(
      received.sha256,
      sent.sha256,
      `${from.label} → ${to.label}: the same octets, ${received.seconds.toFixed(2)} s`,
    );
  }
}

async function counted(t: Test, scene: Scene): Promise<void> {
  const { c1, c2 } = scene;
  for (const [from, to, address] of [
    [c1, c2, "10.8.0.2"],
    [c2, c1, "10.8.0.1"],
  ] as const) {
    const flood = await account(t, scene, from, to, address, { count: 30_000, size: 1000 });
    const rate = Math.floor(flood.received / Math.max(flood.receiveSeconds, 0.05) / 2);
    await account(t, scene, from, to, address, { count: Math.min(rate, 40_000), size: 1000, rate, flows: 4 });
  }
}

/** One UDP run; what was sent and did not arrive must be in counters that have a name. */
async function account(t: Test, scene: Scene, from: Namespace, to: Namespace, address: string, spec: UdpSpec) {
  const { weft, left, right, c1, c2 } = scene;
  const look = async (): Promise<Record<string, number>> => ({
    ...(await weft.losses()),
    ...(await kernelLosses({ containers: [c1], hosts: [left], others: [c2, right] })),
  });
  const before = await look();
  const run = await datagrams(from, to, address, spec);
  const lost = difference(before, await look());
  const what = `${from.label} → ${to.label}, ${spec.rate ? `${spec.rate} per second` : "as fast as it goes"}`;
  t.equal(run.duplicates, 0, `${what}: no duplicates`);
  t.equal(
    run.sent - run.received,
    total(lost),
    `${what}: ${run.sent} sent, ${run.received} received, ${JSON.stringify(lost)}`,
  );
  return run;
}

t.test("address resolution, broadcast and multicast cross the tunnel", async (t) => {
  const { c1, c2 } = await scene(t, 4, true);
  for (const [from, to, v4, v6] of [
    [c1, c2, "10.8.0.2", "fd00::2"],
    [c2, c1, "10.8.0.1", "fd00::1"],
  ] as const) {
    await from.run("ip neigh flush dev eth0");
    t.equal((await from.ping(v4)).received, 3, `${from.label}: IPv4 after a flush`);
    t.equal((await from.ping(v6)).received, 3, `${from.label}: IPv6 after a flush`);
    const mac = await to.mac();
    const neighbours = await from.json<{ dst: string; lladdr?: string }[]>("ip -j neigh show dev eth0");
    t.equal(neighbours.find((n) => n.dst === v4)?.lladdr, mac, "ARP found the right address");
    t.equal(neighbours.find((n) => n.dst === v6)?.lladdr, mac, "neighbour discovery found the right address");
    await to.run(["sh", "-c", "echo 0 > /proc/sys/net/ipv4/icmp_echo_ignore_broadcasts"]);
    t.equal((await from.ping("10.8.0.255", { more: ["-b"] })).received, 3, `${from.label}: broadcast is answered`);
    t.equal(
      (await from.ping("224.0.0.1", { more: ["-I", "eth0"] })).received,
      3,
      `${from.label}: IPv4 multicast is answered`,
    );
    // The sender answers ff02::1 too: every further answer counts as a duplicate. One that comes after ping's end counts nowhere.
    await until(`${from.label}: IPv6 multicast is answered by the other side`, async () => {
      const { received, duplicates, text } = await from.ping("ff02::1%eth0");
      if (received + duplicates <= 3) throw new Error(text);
      return true;
    });
  }
});

t.test("two VNIs with the same MACs and addresses do not see each other", async (t) => {
  const lab = await Lab.open(t);
  const [left, right] = await lab.hosts("left", "right");
  const weft = await Weft.up(lab, left, { vteps: [right.v4] });
  const near: Namespace[] = [];
  const far: Namespace[] = [];
  for (const vni of [42, 43]) {
    const container = await lab.container(`near${vni}`);
    await weft.attach(container, { vni, ip: ["10.8.0.1/24"], mac: "02:00:00:00:00:01" });
    near.push(container);
    const spec = { peers: [left.v4], vni, ip: ["10.8.0.2/24"], mac: "02:00:00:00:00:02" };
    far.push(await kernelVxlan(lab, right, spec));
  }
  const [near42, near43] = near as [Namespace, Namespace];
  const [far42, far43] = far as [Namespace, Namespace];
  t.equal((await near42.ping("10.8.0.2")).received, 3, "VNI 42 talks");
  t.equal((await near43.ping("10.8.0.2")).received, 3, "VNI 43 talks");
  const wires = {
    near42: await Wire.open(lab, near42),
    near43: await Wire.open(lab, near43),
    far42: await Wire.open(lab, far42),
    far43: await Wire.open(lab, far43),
  };
  const frame = (word: string): Buffer =>
    ethernet({ dst: BROADCAST, src: "02:00:00:00:00:09", payload: Buffer.from(word.padEnd(46, "\0")) });
  await wires.near42.send(frame("from near42"));
  await wires.far43.send(frame("from far43"));
  const says =
    (word: string) =>
    (got: { payload: Buffer }): boolean =>
      got.payload.toString().startsWith(word);
  await wires.far42.next("near42's broadcast at far42", says("from near42"));
  await wires.near43.next("far43's broadcast at near43", says("from far43"));
  t.equal(wires.far43.own.length + wires.near42.own.length, 0, "nothing went into the other network");
  t.equal(wires.far42.own.length + wires.near43.own.length, 2, "each arrived once");
  const before = (await near43.json<[{ stats64: { rx: { packets: number } } }]>("ip -s -j link show dev eth0"))[0];
  await near42.ping("10.8.0.2", { count: 20 });
  const after = (await near43.json<[{ stats64: { rx: { packets: number } } }]>("ip -s -j link show dev eth0"))[0];
  t.ok(after.stats64.rx.packets - before.stats64.rx.packets < 5, "unicast of one VNI does not appear in the other");
});
