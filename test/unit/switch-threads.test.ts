/** Two workers and the main thread on one memory: no entry is torn, no frame is judged by half a table. */
import { Worker } from "node:worker_threads";
import { LIMIT, layout, offsetOf } from "@weft/dataplane-wasm/abi";
import t from "tap";
import { ethernet, mac, vnetHdr } from "../frames/build.js";
import { macKey, moduleOf, Rig } from "../models/rig.js";

interface Result {
  readonly turns: number;
  readonly checked: number;
  readonly torn: number;
  readonly mixed: number;
  readonly found: number;
}
const SECONDS = process.env.WEFT_TEST_LONG === "1" ? 120 : 2.5;

/** Starts a thread on a worker's part of the memory. It reports after `seconds`. */
function start(rig: Rig, kind: "fdb" | "routes", worker: number, seconds: number, macs: number): Promise<Result> {
  const word = (struct: string, field: string): number => offsetOf(struct, field) >> 2;
  const at = {
    macs,
    slots: rig.address("SLOTS", 0, worker),
    slotSize: LIMIT.SLOT_SIZE,
    raw: LIMIT.HEADROOM - LIMIT.VNET_HDR_LEN,
    txCount: (rig.address("WORKER", 0, worker) >> 2) + word("Worker", "txCount"),
    ops: rig.address("TX_OPS", 0, worker) >> 2,
    opWords: layout("TxOp").size >> 2,
    owner: word("TxOp", "owner"),
    result: word("TxOp", "result"),
  };
  const workerData = {
    module: moduleOf("test").module,
    memory: rig.switchMemory.memory,
    worker,
    seed: 77 + worker,
    kind,
    ms: seconds * 1000,
    at,
  };
  const thread = new Worker(new URL("../models/stress.mjs", import.meta.url), { workerData, execArgv: [] });
  return new Promise((resolve, reject) => {
    thread.once("message", resolve);
    thread.once("error", reject);
  });
}

t.test(
  "fdb: two threads that learn, look up, age and flush the same MACs never see a torn entry, nor does a reader",
  async (t) => {
    const rig = new Rig("test", { workers: 2, fdbMax: 1024 });
    rig.network({ ageTicks: 0 });
    for (let i = 0; i < 64; i++) rig.vtep(0, `192.0.2.${i + 1}`);
    await rig.commit();
    const running = [0, 1].map((worker) => start(rig, "fdb", worker, SECONDS, 3000));
    let isDone = false;
    const finished = Promise.all(running).finally(() => (isDone = true));
    let [rows, torn] = [0, 0];
    while (!isDone) {
      for (const row of rig.reader.fdb(0)) {
        const n = Number.parseInt(row.mac.replaceAll(":", ""), 16) - 0x0200_0000_0000;
        rows++;
        if (row.generation !== 1 || (-row.ageTicks & 0xffff) !== ((n * 31 + row.owner.index * 257 + 7) & 0xffff))
          torn++;
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    for (const [worker, result] of (await finished).entries()) {
      t.equal(result.torn, 0, `worker ${worker}: ${result.checked} lookups, ${result.found} found`);
      t.ok(result.found > 1000 && result.turns > 50, `worker ${worker}: ${result.turns} turns`);
    }
    t.equal(torn, 0, `the main thread read ${rows} entries`);
    t.ok(rows > 1000);
    const left = rig.reader.fdb(0);
    t.equal(new Set(left.map((row) => row.mac)).size, left.length, "no MAC stands twice");
    t.equal(rig.view.getUint32(offsetOf("Header", "fdbCount"), true), left.length, "fdbCount");
    t.equal(rig.reader.block("NETWORK_COUNTERS", 0).fdbVteps, left.length, "the network's sums over both workers");
    t.ok((rig.reader.block("NETWORK_COUNTERS", 0).moves as number) > 100);
  },
);

t.test(
  "tables: 10,000 routes replaced again and again under traffic of two threads: no frame lost, none judged by half a table",
  async (t) => {
    const ROUTES = 10_000;
    const rig = new Rig("test", { workers: 2, routesMax: 2 * ROUTES });
    rig.network();
    const ports = [rig.port(0, mac(0xa0_0001)), rig.port(0, mac(0xa0_0002))];
    for (let i = 0; i < 64; i++) rig.vtep(0, `192.0.2.${i + 1}`);
    const replace = (round: number): void => {
      for (let n = 0; n < ROUTES; n++) {
        rig.tables.setRoute(
          0,
          { kind: "mac", length: 0, key: macKey(mac(n)) },
          { kind: "vtep", index: round % 64 },
          round === 0,
        );
        const prefix = [0, 0, 0xffff, (0x0a00_0000 + n) >>> 0] as const;
        if (n % 4 === 0)
          rig.tables.setRoute(
            0,
            { kind: "ipv4", length: 32, key: prefix },
            { kind: "vtep", index: round % 64 },
            round === 0,
          );
      }
    };
    replace(0);
    await rig.commit();
    for (const [worker, port] of ports.entries()) {
      rig.exports.park(worker);
      for (let i = 0; i < LIMIT.BATCH_MAX; i++) {
        const raw = Buffer.concat([vnetHdr({}), ethernet({ src: mac(0xa0_0001 + worker), dst: mac(0) })]);
        const slot = rig.address("SLOTS", i, worker) + LIMIT.HEADROOM - LIMIT.VNET_HDR_LEN;
        const desc = rig.address("RX_DESCS", i, worker);
        rig.octets.set(raw, slot);
        rig.setField("RxDesc", "off", desc, slot);
        rig.setField("RxDesc", "len", desc, raw.length);
        rig.setField("RxDesc", "source", desc, port);
      }
    }
    const running = Promise.all([0, 1].map((worker) => start(rig, "routes", worker, SECONDS, ROUTES)));
    let isDone = false;
    void running.finally(() => (isDone = true));
    let rounds = 0;
    while (!isDone) {
      replace(++rounds);
      await rig.tables.publish();
      // With both workers parked the line above needs no turn of the event loop, and their messages do.
      await new Promise((resolve) => setImmediate(resolve));
    }
    let checked = 0;
    for (const [worker, result] of (await running).entries()) {
      t.same(
        [result.torn, result.mixed],
        [0, 0],
        `worker ${worker}: ${result.checked} frames in ${result.turns} turns`,
      );
      checked += result.checked;
    }
    t.ok(rounds >= 10, `${rounds} replacements`);
    t.ok(checked > 10_000, `${checked} frames`);
    t.same([rig.counter("in_egress"), rig.counter("out_egress")], [checked, checked], "no frame lost");
    t.equal(rig.missing("egress"), 0);
    t.same(rig.drops(), {});
  },
);
