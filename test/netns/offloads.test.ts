/**
 * Every kernel feature taken away in turn (WEFT_DISABLE): the same traffic passes, between two wefts and between weft and the
 * kernel's vxlan device, and the daemon's counters say that super-frames were used where they could be, and only there.
 *
 * Two regimes of the underlay: offloads on, where a kernel peer hands over up to 64 KB as one datagram, and off, where every
 * datagram has its size on the wire. The long form takes every feature in both, and each transfer by itself over both families.
 */
import type { Counters } from "@weft/control";
import t, { type Test } from "tap";
import { kernelVxlan } from "../lab/kernel-vxlan.js";
import { Lab } from "../lab/lab.js";
import type { Namespace } from "../lab/namespace.js";
import { bursts, datagrams, transfer, type UdpRun } from "../lab/traffic.js";
import { Weft } from "../lab/weft.js";

const LONG = process.env.WEFT_TEST_LONG === "1";
const BYTES = LONG ? 20e6 : 5e6;

/** What is left without a feature: super-frames out of TCP and UDP, into TCP and UDP, and grouped sends. */
interface Used {
  readonly tcpOut: boolean;
  readonly udpOut: boolean;
  readonly tcpIn: boolean;
  readonly udpIn: boolean;
  readonly groups: boolean;
}
const ALL: Used = { tcpOut: true, udpOut: true, tcpIn: true, udpIn: true, groups: true };
const NONE: Used = { tcpOut: false, udpOut: false, tcpIn: false, udpIn: false, groups: false };
const cases: readonly (readonly [string, Used])[] = [
  ["", ALL],
  ["tso", { ...ALL, tcpOut: false, udpOut: false }],
  ["uso", { ...ALL, udpOut: false }],
  ["gso", { ...ALL, groups: false }],
  ["gro", ALL],
  // Local ports get super-frames as they come, so none are asked for where none can be written.
  ["coalesceTcp", { ...ALL, tcpOut: false, tcpIn: false }],
  ["coalesceUdp", { ...ALL, udpOut: false, udpIn: false }],
  ["tapChecksum", { ...NONE, groups: true }],
  ["vnetHdr", { ...NONE, groups: true }],
  ["tapChecksum,tso,uso,gso,gro,coalesceTcp,coalesceUdp", NONE],
];

interface Scene {
  readonly lab: Lab;
  readonly wefts: readonly [Weft, Weft];
  /** Containers: of the first weft, of the second, and a kernel vxlan device; 10.8.0.N and fd00::N. */
  readonly a: Namespace;
  readonly b: Namespace;
  readonly k: Namespace;
  /** Weft to weft only. */
  readonly brief: boolean;
}

async function scene(t: Test, disabled: string, offloads: boolean, brief: boolean): Promise<Scene> {
  const lab = await Lab.open(t);
  const [hostA, hostB, hostK] = await lab.hosts("hostA", "hostB", "hostK");
  for (const host of [hostA, hostB, hostK]) await host.offloads(offloads);
  const env = { WEFT_DISABLE: disabled };
  const wefts = await Promise.all([
    Weft.up(lab, hostA, { env, vteps: [hostB.v4, hostK.v4] }),
    Weft.up(lab, hostB, { env, vteps: [hostA.v4, hostK.v4] }),
  ]);
  const [a, b] = [await lab.container("a"), await lab.container("b")];
  await Promise.all([
    wefts[0].attach(a, { ip: ["10.8.0.1/24", "fd00::1/64"] }),
    wefts[1].attach(b, { ip: ["10.8.0.2/24", "fd00::2/64"] }),
  ]);
  const k = await kernelVxlan(lab, hostK, {
    peers: [hostA.v4, hostB.v4],
    ip: ["10.8.0.3/24", "fd00::3/64"],
    label: "k",
  });
  return { lab, wefts, a, b, k, brief };
}

// Each has a lab of its own, and mostly waits for processes.
t.jobs = 2;
for (const [disabled, used] of cases) {
  // The short form takes one feature away on a wire and between wefts only, and none and all in both regimes.
  const isBoth = LONG || disabled === "" || disabled.includes(",");
  // Without a virtio_net_hdr nobody can be told where to cut what a kernel peer hands over whole.
  for (const offloads of isBoth && disabled !== "vnetHdr" ? [true, false] : [false]) {
    const name = `${disabled === "" ? "everything on" : `without ${disabled}`}, underlay offloads ${offloads ? "on" : "off"}`;
    t.test(name, async (t) => {
      const all = await scene(t, disabled, offloads, !isBoth);
      await pings(t, all);
      const before = await sums(all.wefts);
      await streams(t, all);
      const between = await sums(all.wefts);
      await packets(t, all, offloads);
      const after = await sums(all.wefts);
      const tcp = difference(before, between);
      const udp = difference(between, after);
      const is = (n: number, wanted: boolean, what: string): void =>
        void t.ok(wanted ? n > 0 : n === 0, `${n} ${what}: ${wanted ? "some" : "none"} wanted`);
      is(tcp.super_frames_egress, used.tcpOut, "TCP super-frames cut");
      is(tcp.super_frames_ingress, used.tcpIn, "TCP super-frames made");
      is(tcp.merged, used.tcpIn, "TCP frames joined");
      is(udp.super_frames_egress, used.udpOut, "UDP super-frames cut");
      is(udp.super_frames_ingress, used.udpIn, "UDP super-frames made");
      is(udp.merged, used.udpIn, "UDP frames joined");
      // Segments of one send come back to back; single datagrams may come one in a batch.
      if (!used.groups) t.equal(udp.grouped_sends, 0, "no sends of several UDP frames");
      else if (!used.udpOut) is(udp.grouped_sends, true, "sends of several UDP frames");
      t.same([after.missing, after.refused], [0, 0], "the law holds, and nothing was refused or uncuttable");
    });
  }
}

type Pair = readonly [from: Namespace, to: Namespace, v4: string, v6: string];
/** weft to weft, and weft to the kernel, each there and back. */
function pairs({ a, b, k, brief }: Scene): readonly Pair[] {
  const all: readonly Pair[] = [
    [a, b, "10.8.0.2", "fd00::2"],
    [b, a, "10.8.0.1", "fd00::1"],
    [a, k, "10.8.0.3", "fd00::3"],
    [k, a, "10.8.0.1", "fd00::1"],
  ];
  return brief ? all.slice(0, 2) : all;
}
/** Every pair over both families; the short form takes one of them for each, in turn. */
function routes(all: Scene): readonly (readonly [Namespace, Namespace, string])[] {
  return pairs(all).flatMap(([from, to, v4, v6], i) => {
    if (LONG) return [[from, to, v4] as const, [from, to, v6] as const];
    return [[from, to, i % 2 === 0 ? v4 : v6] as const];
  });
}
/** One after the other in the long form, else all at once. */
async function each<T>(list: readonly T[], run: (one: T) => Promise<void>): Promise<void> {
  if (!LONG) await Promise.all(list.map(run));
  else for (const one of list) await run(one);
}

async function pings(t: Test, all: Scene): Promise<void> {
  for (const [from, to, v4, v6] of pairs(all)) {
    for (const address of [v4, v6]) {
      for (const size of all.brief ? [56, 8000] : [56, 1380, 8000]) {
        const { sent, received, duplicates, text } = await from.ping(address, { size, count: 2 });
        const isGood = received === sent && duplicates === 0;
        t.ok(isGood, `${from.label} → ${to.label}, ${address}, ${size} octets${isGood ? "" : `: ${text}`}`);
      }
    }
  }
}

async function streams(t: Test, all: Scene): Promise<void> {
  await each(routes(all), async ([from, to, address]) => {
    const { sent, received } = await transfer(from, to, address, BYTES);
    t.same(
      { bytes: received.bytes, sha256: received.sha256 },
      { bytes: BYTES, sha256: sent.sha256 },
      `TCP ${from.label} → ${to.label}, ${address}: the same ${BYTES / 1e6} MB, ${received.seconds.toFixed(2)} s`,
    );
  });
}

/**
 * Bursts of equal datagrams in one send each, then single ones; slow enough for every queue on the way. A kernel peer whose
 * underlay segments nothing hands over a UDP burst without its segment size, which nobody can cut (gso_unknown).
 */
async function packets(t: Test, all: Scene, offloads: boolean): Promise<void> {
  await each(routes(all), async ([from, to, address]) => {
    const what = `UDP ${from.label} → ${to.label}, ${address}`;
    const isCuttable = from !== all.k || !offloads;
    if (isCuttable) {
      const spec = { count: 1600, size: 1200, each: 16, rate: 4000 };
      await whole(t, `${what}, 16 in a send`, () => bursts(all.lab, from, to, address, spec));
    }
    await whole(t, `${what}, one by one`, () => datagrams(from, to, address, { count: 1600, size: 300, rate: 4000 }));
  });
}
/** Everything arrives as it was sent. A busy machine gets a second try: queues are not endless, but damage is damage. */
async function whole(t: Test, what: string, run: () => Promise<UdpRun>): Promise<void> {
  let got = await run();
  const isSound = ({ duplicates, damaged }: UdpRun): boolean => duplicates === 0 && damaged === 0;
  if (got.received < got.sent && isSound(got)) {
    t.comment(`${what}: ${got.sent - got.received} of ${got.sent} lost, again`);
    got = await run();
  }
  const { sent, received, duplicates, damaged, reordered } = got;
  t.same(
    { received, duplicates, damaged, reordered },
    { received: sent, duplicates: 0, damaged: 0, reordered: 0 },
    what,
  );
}

/** Counters of both wefts together. */
interface Sums {
  readonly super_frames_egress: number;
  readonly super_frames_ingress: number;
  readonly grouped_sends: number;
  readonly merged: number;
  /** What the law of the data path misses. */
  readonly missing: number;
  /** Frames that could not be cut or were refused. */
  readonly refused: number;
}
async function sums(wefts: readonly Weft[]): Promise<Sums> {
  const all = await Promise.all(wefts.map(async (weft) => (await weft.get("/v1/counters")) as Counters));
  const add = (of: (c: Counters) => number): number => all.reduce((sum, c) => sum + of(c), 0);
  const other = (name: string): number => add((c) => c.other.find((o) => o.name === name)?.count ?? Number.NaN);
  const bad = /^(vnet_hdr|gso_.*|port_refused|udp_refused|udp_too_big|truncated|no_room)$/;
  return {
    super_frames_egress: other("super_frames_egress"),
    super_frames_ingress: other("super_frames_ingress"),
    grouped_sends: other("grouped_sends"),
    merged: add((c) => c.law.ingress.merged),
    missing: add((c) =>
      Object.values(c.law).reduce((n, p) => n + Math.abs(p.in + p.made - p.out - p.consumed - p.merged - p.drops), 0),
    ),
    refused: add((c) => c.drops.reduce((n, { reason, count }) => (bad.test(reason) ? n + count : n), 0)),
  };
}
function difference(before: Sums, after: Sums): Sums {
  const entries = Object.entries(after).map(([name, n]) => [name, n - before[name as keyof Sums]]);
  return Object.fromEntries(entries) as Sums;
}
