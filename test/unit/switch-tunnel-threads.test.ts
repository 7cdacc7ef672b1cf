/** Two threads that seal for one peer while its keys are changed: no counter twice, nothing under a key that is gone. */
import { Worker } from "node:worker_threads";
import { LIMIT, layout, offsetOf } from "@weft/dataplane-wasm/abi";
import t from "tap";
import { mac, vnetHdr } from "../frames/build.js";
import { content, packetFrame, superFrame } from "../frames/super.js";
import { moduleOf } from "../models/rig.js";
import { type Direction, opened, TunnelHost } from "../models/tunnel-rig.js";

const MS = process.env.WEFT_TEST_LONG === "1" ? 20_000 : 700;
const FRAMES = 24;

interface Result {
  readonly turns: number;
  readonly messages: readonly Uint8Array[];
  readonly lengths: readonly number[];
}

function start(h: TunnelHost, worker: number): Promise<Result> {
  const at = {
    slots: h.address("SLOTS", 0, worker) + LIMIT.HEADROOM - LIMIT.VNET_HDR_LEN,
    slotSize: LIMIT.SLOT_SIZE,
    txCount: (h.address("WORKER", 0, worker) + offsetOf("Worker", "txCount")) >> 2,
    ops: h.address("TX_OPS", 0, worker),
    opSize: layout("TxOp").size,
    iovs: h.address("IOVS", 0, worker),
    iovStart: offsetOf("TxOp", "iovStart"),
    iovCount: offsetOf("TxOp", "iovCount"),
    gsoSize: offsetOf("TxOp", "gsoSize"),
    result: offsetOf("TxOp", "result"),
  };
  const workerData = {
    module: moduleOf("test").module,
    memory: h.switchMemory.memory,
    worker,
    ms: MS,
    frames: FRAMES,
    at,
  };
  const thread = new Worker(new URL("../models/seal.mjs", import.meta.url), { workerData, execArgv: [] });
  return new Promise((resolve, reject) => {
    thread.once("message", resolve);
    thread.once("error", reject);
  });
}

t.test("two threads seal for one peer: every message opens, and no counter of a key comes twice", async (t) => {
  const h = await TunnelHost.open("test", false, { sizes: { workers: 2 } });
  h.port(h.net, mac(2));
  await h.commit();
  for (const worker of [0, 1]) {
    h.exports.park(worker);
    for (let i = 0; i < FRAMES; i++) {
      const given = { srcMac: mac(1 + worker), payload: content(i % 8 === 0 ? 9000 : 40 + 30 * (i % 3), i) };
      const { frame, vnet } =
        i % 8 === 0 ? superFrame({ ...given, gsoSize: 1200 }) : { frame: packetFrame(given), vnet: {} };
      const raw = Buffer.concat([vnetHdr(vnet), frame]);
      const slot = h.address("SLOTS", i, worker) + LIMIT.HEADROOM - LIMIT.VNET_HDR_LEN;
      const desc = h.address("RX_DESCS", i, worker);
      h.octets.set(raw, slot);
      h.setField("RxDesc", "off", desc, slot);
      h.setField("RxDesc", "len", desc, raw.length);
      h.setField("RxDesc", "source", desc, h.a + worker);
    }
  }
  const keys = new Map<number, Direction>([[h.session.out.index, h.session.out]]);
  const running = Promise.all([0, 1].map((worker) => start(h, worker)));
  let isDone = false;
  void running.finally(() => (isDone = true));
  for (let salt = 10; !isDone; salt = (salt + 2) & 0xffff) {
    await new Promise((resolve) => setTimeout(resolve, 15));
    const old = h.session;
    h.session = h.renew(salt);
    keys.set(h.session.out.index, h.session.out);
    // As the control plane does it: the new key in force, the old one retired, and wiped when no worker can be at it.
    await h.tables.publish();
    h.slots.retire(old.slot);
    await h.tables.publish();
    h.slots.wipe(old.slot);
  }
  const seen = new Set<string>();
  let [checked, twice] = [0, 0];
  for (const { turns, messages, lengths } of await running) {
    t.ok(turns > 20, `${turns} turns`);
    const all = Buffer.concat(messages);
    for (let at = 0, i = 0; i < lengths.length; at += lengths[i++] as number) {
      const message = all.subarray(at, at + (lengths[i] as number));
      const name = message.toString("latin1", 4, 16);
      if (seen.has(name)) twice++;
      seen.add(name);
      // Opening all of them would take longer than sealing them has.
      if (i % 8 !== 0) continue;
      const key = keys.get(message.readUInt32LE(4));
      if (!key) throw new Error(`receiver index ${message.readUInt32LE(4)}`);
      opened(key, message);
      checked++;
    }
  }
  t.equal(twice, 0, `${seen.size} messages under ${keys.size} keys`);
  t.ok(checked > 1000 && keys.size > 10, `${checked} opened`);
  t.equal(h.counter("sealed"), seen.size);
  t.equal(h.missing("egress"), 0);
  const drops = h.drops();
  t.same(
    Object.keys(drops).filter((name) => name !== "egress/no_session"),
    [],
    JSON.stringify(drops),
  );
});
