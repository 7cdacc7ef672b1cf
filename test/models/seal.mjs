/**
 * One worker thread that seals as fast as it can: the module over the shared memory, with nothing of the product around it.
 * workerData: { module, memory, worker, ms: how long, frames: descriptors filled, at: addresses and offsets }. It answers with
 * what it has sealed: messages one behind the other, and the length of each.
 */
import { parentPort, workerData } from "node:worker_threads";

const { module, memory, worker, ms, frames, at } = workerData;
const { exports } = new WebAssembly.Instance(module, { env: { memory } });
const until = Date.now() + ms;
const octets = new Uint8Array(memory.buffer);
const words = new Uint32Array(memory.buffer);
const shorts = new Uint16Array(memory.buffer);
/** The virtio_net_hdrs, because VXLAN headers are written over them. */
const headers = Array.from({ length: frames }, (_, i) => {
  const from = at.slots + i * at.slotSize;
  return octets.slice(from, from + 10);
});

const messages = [];
const lengths = [];
let turns = 0;
while (Date.now() < until) {
  exports.begin(worker);
  for (const [i, header] of headers.entries()) octets.set(header, at.slots + i * at.slotSize);
  for (let k = 0; k < frames; ) {
    k += exports.egress(worker, k, frames - k, 1000);
    const count = words[at.txCount];
    for (let i = 0; i < count; i++) {
      const op = at.ops + i * at.opSize;
      const pieces = shorts[(op + at.iovCount) >> 1];
      const gsoSize = shorts[(op + at.gsoSize) >> 1];
      let total = 0;
      for (let j = 0; j < pieces; j++) {
        const iov = at.iovs + (words[(op + at.iovStart) >> 2] + j) * 8;
        const [off, len] = [words[iov >> 2], words[(iov >> 2) + 1]];
        messages.push(octets.slice(off, off + len));
        for (let left = len; left > 0; left -= gsoSize || len) lengths.push(Math.min(left, gsoSize || len));
        total += len;
      }
      words[(op + at.result) >> 2] = total;
    }
    exports.complete(worker);
  }
  turns++;
  if (turns % 7 === 0) exports.park(worker);
}
exports.park(worker);
parentPort.postMessage({ turns, messages, lengths });
