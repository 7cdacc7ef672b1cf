/** Three hosts in one network: two run weft, the third the kernel's vxlan device. */
import t, { type Test } from "tap";
import { BROADCAST, ethernet, testMac } from "../lab/frame.js";
import { until } from "../lab/job.js";
import { kernelVxlan } from "../lab/kernel-vxlan.js";
import { type Host, Lab } from "../lab/lab.js";
import type { Namespace } from "../lab/namespace.js";
import { ownSleep } from "../lab/own-time.js";
import { Weft } from "../lab/weft.js";
import { Wire } from "../lab/wire.js";

interface Scene {
  readonly lab: Lab;
  readonly a: Weft;
  readonly b: Weft;
  readonly hosts: readonly [Host, Host, Host];
  /** Two containers on host a, one on host b, and the kernel's. */
  readonly containers: {
    readonly a1: Namespace;
    readonly a2: Namespace;
    readonly b1: Namespace;
    readonly k1: Namespace;
  };
  readonly wires: { readonly a1: Wire; readonly a2: Wire; readonly b1: Wire; readonly k1: Wire };
}

async function scene(t: Test, network: object = {}): Promise<Scene> {
  const lab = await Lab.open(t);
  const [hostA, hostB, hostK] = await lab.hosts("a", "b", "k");
  const up = async (host: Host, peers: readonly Host[]): Promise<Weft> =>
    await Weft.up(lab, host, {
      config: {
        underlay: [host.v4],
        networks: [{ name: "blue", vni: 42, vteps: peers.map((peer) => peer.v4), ...network }],
      },
    });
  const [a, b] = await Promise.all([up(hostA, [hostB, hostK]), up(hostB, [hostA, hostK])]);
  const [a1, a2, b1] = [await lab.container("a1"), await lab.container("a2"), await lab.container("b1")];
  await a.attach(a1, { network: "blue", id: "a1", ip: ["10.8.0.1/24"] });
  await a.attach(a2, { network: "blue", id: "a2", ip: ["10.8.0.2/24"] });
  await b.attach(b1, { network: "blue", id: "b1", ip: ["10.8.0.3/24"] });
  const k1 = await kernelVxlan(lab, hostK, { peers: [hostA.v4, hostB.v4], ip: ["10.8.0.4/24"], label: "k1" });
  const containers = { a1, a2, b1, k1 };
  const wires = {
    a1: await Wire.open(lab, a1),
    a2: await Wire.open(lab, a2),
    b1: await Wire.open(lab, b1),
    k1: await Wire.open(lab, k1),
  };
  return { lab, a, b, hosts: [hostA, hostB, hostK], containers, wires };
}

type Place = keyof Scene["wires"];
const PLACES: readonly Place[] = ["a1", "a2", "b1", "k1"];

/** Long enough for a second copy, or one that went round in a loop, to arrive as well. */
const settle = (): Promise<void> => ownSleep(250);

let marks = 0;

/** Sends one marked frame and tells where it arrived how often. */
async function arrivals(
  wires: Scene["wires"],
  from: Place,
  src: string,
  dst: string,
): Promise<Partial<Record<Place, number>>> {
  const mark = `frame ${++marks}`;
  await wires[from].send(ethernet({ dst, src, payload: Buffer.from(mark.padEnd(46, "\0")) }));
  await settle();
  const counts: Partial<Record<Place, number>> = {};
  for (const place of PLACES) {
    const count = wires[place].own.filter((frame) => frame.payload.toString().startsWith(`${mark}\0`)).length;
    if (count > 0) counts[place] = count;
  }
  return counts;
}

t.test("flooding reaches every other member once", async (t) => {
  const { containers, wires } = await scene(t);
  for (const [from, to] of [
    ["a1", "10.8.0.4"],
    ["b1", "10.8.0.1"],
    ["k1", "10.8.0.3"],
  ] as const) {
    const { received, duplicates } = await containers[from].ping(to);
    t.match({ received, duplicates }, { received: 3, duplicates: 0 }, `${from} pings ${to}`);
  }
  for (const from of PLACES) {
    const src = testMac(1, PLACES.indexOf(from));
    const others = Object.fromEntries(PLACES.filter((place) => place !== from).map((place) => [place, 1]));
    t.same(await arrivals(wires, from, src, BROADCAST), others, `broadcast from ${from}`);
    t.same(await arrivals(wires, from, src, "01:00:5e:01:02:03"), others, `multicast from ${from}`);
    t.same(await arrivals(wires, from, src, "02:ee:00:00:00:01"), others, `unknown unicast from ${from}`);
  }
});

t.test("a MAC that moves is followed with its first frame", async (t) => {
  const { a, b, wires, hosts } = await scene(t);
  const mac = "02:aa:00:00:00:01";
  const sender = "02:aa:00:00:00:02";
  const where = async (weft: Weft): Promise<string | undefined> =>
    (await weft.fdb()).find((row) => row.mac === mac)?.via;
  const movesBefore = (await a.status()).counters.networks[0]?.moves ?? 0;
  const journey: readonly (readonly [Place, string, string])[] = [
    ["b1", hosts[1].v4, "b1"],
    ["k1", hosts[2].v4, hosts[2].v4],
    ["a2", "a2", hosts[0].v4],
    ["b1", hosts[1].v4, "b1"],
  ];
  for (const [place, viaAtA, viaAtB] of journey) {
    await wires[place].send(ethernet({ dst: BROADCAST, src: mac }));
    await settle();
    t.same(await arrivals(wires, "a1", sender, mac), { [place]: 1 }, `the next frame goes to ${place} alone`);
    t.equal(await where(a), viaAtA, `host a has it behind ${viaAtA}`);
    t.equal(await where(b), viaAtB, `host b has it behind ${viaAtB}`);
  }
  const moves = ((await a.status()).counters.networks[0]?.moves ?? 0) - movesBefore;
  t.equal(moves, journey.length - 1, "every move is counted once");
});

t.test("a MAC that is not seen any more is forgotten after the age limit", async (t) => {
  const { a, wires } = await scene(t, { ageSeconds: 3 });
  const mac = "02:bb:00:00:00:01";
  await wires.b1.send(ethernet({ dst: BROADCAST, src: mac }));
  await settle();
  t.same(await arrivals(wires, "a1", "02:bb:00:00:00:02", mac), { b1: 1 }, "known: one copy");
  const known = async (): Promise<boolean> => (await a.fdb()).some((row) => row.mac === mac);
  t.ok(await known(), "it is in the table");
  await until("the entry is gone", async () => !(await known()), 20_000);
  t.same(await arrivals(wires, "a1", "02:bb:00:00:00:02", mac), { a2: 1, b1: 1, k1: 1 }, "unknown again: flooded");
  const ports = (await a.fdb()).filter((row) => row.static).map((row) => row.via);
  t.same(ports.sort(), ["a1", "a2"], "the ports' own addresses stay");
});

t.test("60,000 MACs fit, and a flooding port evicts nobody", async (t) => {
  const { a, wires, containers } = await scene(t);
  const a1 = await containers.a1.mac();
  const network = async () => {
    const found = (await a.status()).counters.networks[0];
    if (!found) throw new Error("no network");
    return found;
  };
  /** Sends one frame from each address of a family to a1, slowly enough for every queue on the way. */
  const flood = async (place: Place, macs: readonly string[]): Promise<void> => {
    for (let i = 0; i < macs.length; i += 250) {
      await wires[place].send(...macs.slice(i, i + 250).map((src) => ethernet({ dst: a1, src })));
      await new Promise((resolve) => setTimeout(resolve, 4));
    }
  };
  // Addresses as random as real ones: the low 32 bits of a multiplicative sequence never repeat.
  const random = (family: number, count: number): string[] =>
    Array.from({ length: count }, (_, i) => testMac(family, Math.imul(i + 1, 0x9e3779b1) >>> 0));

  const quiet = random(7, 100);
  await flood("a2", quiet);
  await containers.k1.ping("10.8.0.1"); // so that the kernel knows where a1 is
  const far = random(8, 60_000);
  await flood("k1", far);
  await until("most MACs are learned", async () => (await network()).fdb.vtep > 59_000, 20_000);
  const { evictions } = await network();
  t.ok(evictions < 600, `under 1 % evictions: ${evictions}`);

  const before = await network();
  const refusedBefore = (await a.status()).counters.other.find((c) => c.name === "learn_refused")?.count ?? 0;
  await flood("a1", random(9, 60_000));
  const after = await network();
  t.ok(after.fdb.port - before.fdb.port <= 1024, `the port is held to its share: ${after.fdb.port - before.fdb.port}`);
  t.equal(
    after.evictions - before.evictions <= 10,
    true,
    `it evicts nobody else: ${after.evictions - before.evictions}`,
  );
  const refused =
    ((await a.status()).counters.other.find((c) => c.name === "learn_refused")?.count ?? 0) - refusedBefore;
  t.ok(refused > 50_000, `the rest is counted: ${refused}`);
  const table = new Map((await a.fdb()).map((row) => [row.mac, row.via]));
  t.equal(quiet.filter((mac) => table.get(mac) === "a2").length, quiet.length, "the quiet port keeps every address");
});
