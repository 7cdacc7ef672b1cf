/**
 * Worker threads: the protocol between them and the main thread, and the tables that they share.
 *
 * The kernel's Io needs no privilege as long as nobody opens a device, so the product's own worker file runs here.
 */
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { CounterReader, createMemory, elementAddress, loadModule, type RouteRow, Tables } from "@weft/dataplane-wasm";
import { dropRows, ENUM, layout, offsetOf, REGION_TABLE, regionId } from "@weft/dataplane-wasm/abi";
import { kernelLink } from "@weft/tun";
import t from "tap";
import { ThreadHost } from "../../packages/control/dist/dataplane/thread-host.js";

const PORTS = 8;
const MACS = 400;
const MAC_BASE = 0x0200_0000_0000;
const ROUTES = 500;
const ROUTE_BASE = 0x0210_0000_0000;
/** Both workers do at least this much, however busy the machine is. */
const BURSTS = process.env.WEFT_TEST_LONG === "1" ? 100_000 : 400;
const PUBLICATIONS = 50;

interface Result {
  readonly sent: number;
  readonly routed: number;
  readonly unicast: number;
  readonly flooded: number;
  readonly silent: number;
  readonly wrong: string[];
}

const macKey = (mac: number): readonly [number, number, number, number] => [0, 0, Math.floor(mac / 2 ** 32), mac >>> 0];
const route = (i: number): RouteRow => ({ kind: "mac", length: 0, key: macKey(ROUTE_BASE + i) });
const churn = (i: number): RouteRow => ({
  kind: "ipv4",
  length: 32,
  key: [0, 0, 0xffff, (0x0a00_0000 + Math.imul(i, 2_654_435)) >>> 0],
});

t.test("a worker that dies is reported, its orders fail, and the others go on", async (t) => {
  const module = await loadModule();
  const sizes = {
    workers: 2,
    networksMax: 1,
    portsMax: 4,
    vtepsMax: 4,
    routesMax: 4,
    fdbMax: 1024,
    neighboursMax: 1024,
  };
  const memory = createMemory(module.heapBase, sizes);
  const tables = new Tables(memory);
  const failures: [number, Error][] = [];
  const events = {
    gone: () => {},
    attention: () => {},
    failed: (worker: number, error: Error) => failures.push([worker, error]),
  };
  const hosts = await Promise.all([0, 1].map((w) => ThreadHost.start(kernelLink(), module, memory, w, events)));
  const [first, second] = hosts as [ThreadHost, ThreadHost];
  t.teardown(() => Promise.all(hosts.map((h) => h.stop())));

  await t.rejects(
    first.send({ do: "addPort", port: 0, fd: 0, reads: true }),
    { code: "ENOTTY", syscall: "addPort" },
    "errors cross the threads whole",
  );
  await t.rejects(second.send({ do: "removePort", port: 3 }), { code: "ENOENT" });
  const before = tables.generation;
  await Promise.all([tables.publish(), tables.publish(), tables.publish()]);
  t.ok(tables.generation > before && tables.generation <= before + 3, "changes made together travel together");

  // A table that lies outside of the memory: the next slice of ageing, which worker 0 does, traps.
  const view = new DataView(memory.memory.buffer);
  view.setUint32(
    REGION_TABLE + regionId("FDB") * layout("Region").size + offsetOf("Region", "base"),
    0xffff_0000,
    true,
  );
  view.setUint32(offsetOf("Header", "fdbCount"), 1, true);
  while (first.alive) {
    await first.send({ do: "removePort", port: 0 }).catch(() => undefined);
    await sleep(20);
  }
  t.match(failures, [[0, { message: /memory access out of bounds/ }]]);
  await t.rejects(first.send({ do: "flush", network: 0 }), /worker 0 of the data plane has stopped: memory access/);
  tables.forgetWorker(0);
  await tables.publish();
  t.equal(second.alive, true);
  await second.stop();
  await second.stop();
  t.equal(second.alive, false);
  await t.rejects(second.send({ do: "flush", network: 0 }), /worker 1 of the data plane has stopped/);
  t.equal(failures.length, 1, "a worker that was stopped has not failed");
});

/*
 * Two worker threads learn, move and look up the same few hundred MACs over one memory, while this thread rewrites the
 * routes and reads everything. An entry that is ever torn shows: a MAC's number says behind which two ports it may be,
 * and all routes of one configuration lead to one VTEP.
 */
t.test("two workers and the main thread share the tables: no entry is ever torn, no frame is lost", async (t) => {
  const module = await loadModule();
  const sizes = {
    workers: 2,
    networksMax: 4,
    portsMax: 16,
    vtepsMax: 16,
    routesMax: 4096,
    fdbMax: 1024,
    neighboursMax: 1024,
  };
  const memory = createMemory(module.heapBase, sizes);
  const tables = new Tables(memory);
  const reader = new CounterReader(memory);
  const row = { flags: 0, mtu: 1450, ageTicks: 300, bumRate: 0, bumBurst: 0, macsPerPort: 1024 };
  const decoy = tables.addNetwork({ ...row, vni: 1 }) as number;
  const network = tables.addNetwork({ ...row, vni: 42 }) as number;
  const ports = Array.from({ length: PORTS }, (_, i) => {
    const index = tables.reservePort() as number;
    tables.addPort(index, { network, mac: macKey(0x0220_0000_0000 + i), mtu: 1450 });
    return index;
  });
  const vteps = [2, 3].map(
    (i) => tables.addVtep({ network, address: [0, 0, 0xffff, 0x0a09_0000 + i], family: 4, port: 4789 }) as number,
  );
  const pointAll = (index: number, isNew: boolean): void => {
    for (let i = 0; i < ROUTES; i++) tables.setRoute(network, route(i), { kind: "vtep", index }, isNew);
  };
  pointAll(vteps[0] as number, true);
  await tables.publish();

  const control = new SharedArrayBuffer(12);
  const common = {
    module,
    memory,
    ports,
    vteps: vteps.length,
    macBase: MAC_BASE,
    macs: MACS,
    routeBase: ROUTE_BASE,
    routes: ROUTES,
    control,
  };
  const threads = [0, 1].map(
    (worker) =>
      new Worker(new URL("./dataplane-stress-worker.mjs", import.meta.url), {
        workerData: { ...common, worker },
        execArgv: [],
      }),
  );
  const results = threads.map(async (thread) => (await once(thread, "message"))[0] as Result);

  /** Every learned entry must be one that was written whole. */
  let rows = 0;
  const tornOnes = (): string[] => {
    const learned = reader.fdb(performance.now() >>> 0);
    rows += learned.length;
    return learned
      .filter((entry) => {
        const k = Number.parseInt(entry.mac.replaceAll(":", ""), 16) - MAC_BASE;
        const homes = [ports[k % PORTS], ports[(k + 1) % PORTS]];
        const { kind, index } = entry.owner;
        return (
          entry.network !== network ||
          k < 0 ||
          k >= MACS ||
          kind !== ENUM.KIND.PORT ||
          !homes.includes(index) ||
          entry.generation !== tables.portGeneration(index)
        );
      })
      .map((entry) => JSON.stringify(entry));
  };

  let publications = 0;
  const torn: string[] = [];
  const words = new Int32Array(control);
  while ([1, 2].some((i) => Atomics.load(words, i) === 0)) await sleep(5);
  while (publications < PUBLICATIONS || [1, 2].some((i) => Atomics.load(words, i) < BURSTS)) {
    publications++;
    pointAll(vteps[publications % 2] as number, false);
    // Insertions and deletions beside them, so that cells move while others are looked for.
    for (let i = 0; i < 100; i++) tables.setRoute(decoy, churn(publications * 100 + i), { kind: "blackhole" }, true);
    if (publications > 1) for (let i = 0; i < 100; i++) tables.deleteRoute(decoy, churn((publications - 1) * 100 + i));
    await tables.publish();
    torn.push(...tornOnes());
    await sleep(1);
  }
  Atomics.store(words, 0, 1);
  const [a, b] = (await Promise.all(results)) as [Result, Result];

  t.same(
    [a.wrong, b.wrong].map((w) => w.slice(0, 5)),
    [[], []],
  );
  t.same(torn.slice(0, 5), []);
  t.comment(
    `${publications} publications, ${rows} entries read, frames sent ${a.sent} and ${b.sent}, unicast ${a.unicast} and ${b.unicast}`,
  );
  for (const r of [a, b]) t.ok(r.unicast > 1000 && r.routed > 1000, "learned and routed frames were among them");
  t.ok(a.flooded + b.flooded > 0, "and flooded ones");
  t.ok(rows > MACS * 10);

  // The books agree once all stand still.
  const sum = (name: "in" | "made" | "out" | "consumed" | "merged"): number => reader.counter(`${name}_egress`);
  const drops = dropRows
    .filter((d) => d.plane === "egress")
    .map((d) => [d.reason, reader.total(d.cell)] as const)
    .filter(([, n]) => n > 0);
  t.same(drops, [["reflect", a.silent + b.silent]]);
  t.equal(sum("in"), a.sent + b.sent);
  t.equal(sum("in") + sum("made"), sum("out") + sum("consumed") + sum("merged") + a.silent + b.silent);
  const held = reader.fdb(performance.now() >>> 0);
  const header = new DataView(memory.memory.buffer);
  t.equal(held.length, MACS, "every MAC stands once");
  t.equal(new Set(held.map((e) => e.mac)).size, MACS);
  t.equal(header.getUint32(offsetOf("Header", "fdbCount"), true), MACS);
  t.equal(reader.block("NETWORK_COUNTERS", network).fdbPorts, MACS);
  t.same(
    ports.map((index) => header.getUint32(elementAddress(memory, "PORT_LIVE", index), true)),
    ports.map((index) => held.filter((e) => e.owner.index === index).length),
    "each port's count of MACs is right",
  );
  t.ok((reader.block("NETWORK_COUNTERS", network).moves ?? 0) > 1000, "MACs moved between the workers' ports");
  await Promise.all(threads.map((thread) => thread.terminate()));
});
