/**
 * One worker thread of the stress test: the module over the shared memory, with nothing of the product around it.
 * workerData: { module, memory, worker, seed, kind, ms: how long, at: addresses and offsets }.
 */
import { parentPort, workerData } from "node:worker_threads";

const { module, memory, worker, seed, kind, ms, at } = workerData;
const { exports } = new WebAssembly.Instance(module, { env: { memory } });
const until = Date.now() + ms;
const words = new Int32Array(memory.buffer);
const octets = new Uint8Array(memory.buffer);
let state = seed;
function random() {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return state >>> 0;
}
/** Stamp that belongs to a MAC behind a VTEP: an entry with another one is torn. */
const stampOf = (mac, index) => (mac * 31 + index * 257 + 7) & 0xffff;

const result = { turns: 0, checked: 0, torn: 0, mixed: 0, found: 0 };
if (kind === "fdb") {
  exports.begin(worker);
  while (Date.now() < until) {
    for (let i = 0; i < 500; i++) {
      const mac = random() % at.macs;
      const index = random() % 64;
      exports.fdbLearn(worker, 0, BigInt(0x0200_0000_0000 + mac), (2 << 24) | index, 1, stampOf(mac, index));
      const other = random() % at.macs;
      const value = BigInt.asUintN(64, exports.fdbLookup(worker, 0, BigInt(0x0200_0000_0000 + other), 0));
      result.checked++;
      if (value === 0n) continue;
      result.found++;
      if (Number(value >> 48n) !== stampOf(other, Number(value & 0xffffffn)) || ((value >> 32n) & 0xffffn) !== 1n)
        result.torn++;
    }
    result.turns++;
    if (result.turns % 40 === 39) exports.flush(worker, 0);
    if (worker === 0) exports.age(worker, 16, random());
  }
} else {
  // Frames of one container to 128 of the routed MACs, again and again: in one turn all must take the same way.
  while (Date.now() < until) {
    exports.begin(worker);
    for (let i = 0; i < 128; i++) {
      const slot = at.slots + i * at.slotSize + at.raw;
      octets.fill(0, slot, slot + 10);
      const mac = random() % at.macs;
      octets[slot + 13] = mac >>> 16;
      octets[slot + 14] = mac >>> 8;
      octets[slot + 15] = mac;
    }
    const done = exports.egress(worker, 0, 128, 1000 + result.turns);
    const count = words[at.txCount];
    if (done !== 128 || count !== 128) result.torn++;
    const first = words[at.ops + at.owner];
    for (let i = 0; i < count; i++) {
      const op = at.ops + i * at.opWords;
      if (words[op + at.owner] !== first) result.mixed++;
      words[op + at.result] = 60;
    }
    exports.complete(worker);
    result.checked += count;
    result.turns++;
    if (result.turns % 7 === 0) exports.park(worker);
  }
  exports.park(worker);
}
parentPort.postMessage(result);
