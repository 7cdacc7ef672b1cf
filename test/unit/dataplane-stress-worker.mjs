/**
 * One worker of the two-thread stress test (dataplane-threads.test.ts): the product's loop over the shared memory, its
 * Io an in-memory link of this thread. Sends bursts as fast as it can and judges every frame that comes out.
 */
import { parentPort, workerData } from "node:worker_threads";
import { instantiate } from "@weft/dataplane-wasm";
import { MemoryLink } from "@weft/tun";
import { SwitchLoop } from "../../packages/control/dist/dataplane/loop.js";

const { module, memory, worker, ports, vteps, macBase, macs, routeBase, routes, control } = workerData;
/** [1 to stop, bursts of worker 0, bursts of worker 1] */
const words = new Int32Array(control);

const link = new MemoryLink({ addresses: ["10.9.0.1"] });
const io = link.createIo(new Uint8Array(memory.memory.buffer), worker);
const devices = ports.map((index, i) => {
  const { fd } = link.openDevice({ kind: "tap", name: `p${i}`, vnetHdr: true });
  link.configureDevice({ ifname: `p${i}`, up: true });
  io.addPort(index, fd, i % 2 === worker);
  return link.device(`p${i}`);
});
for (let i = 0; i < 16; i++) {
  io.addSender(i, link.openUdp({ family: 4, address: "10.9.0.1", port: 0, range: [49_152, 65_535] }).fd);
}
const exports = instantiate(module.module, memory.memory);
const loop = new SwitchLoop({ exports, memory, io, worker, nowMs: () => performance.now() >>> 0 });

/** Where the frames of the present burst came out, by serial number. */
let seen = new Map();
const note = (frame, where) => {
  const serial = Buffer.from(frame.buffer, frame.byteOffset, frame.length).readUInt32BE(frame.length - 4);
  seen.set(serial, [...(seen.get(serial) ?? []), where]);
};
for (const [i, device] of devices.entries()) device.onFrame(({ frame }) => note(frame, i));
link.network.watch(({ to, payload }) => note(payload, `vtep ${to[15]}`));

let seed = worker + 1;
const random = (below) => {
  seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
  return (seed >>> 8) % below;
};
/** The port of this worker behind which MAC number k is; the other worker sends from its neighbour. */
const home = (k) => [k % ports.length, (k + 1) % ports.length].find((p) => p % 2 === worker);

const result = { sent: 0, routed: 0, unicast: 0, flooded: 0, silent: 0, wrong: [] };
let serial = 0;
while (Atomics.load(words, 0) === 0) {
  seen = new Map();
  const sent = [];
  // Few enough that one turn reads them all, so one configuration judges them all.
  for (let i = 0; i < 24; i++) {
    const source = random(macs);
    const to = i % 3 === 0 ? undefined : random(macs);
    const frame = Buffer.alloc(64);
    frame.writeUIntBE(to === undefined ? routeBase + random(routes) : macBase + to, 0, 6);
    frame.writeUIntBE(macBase + source, 6, 6);
    frame.writeUInt16BE(0x88b5, 12);
    frame.writeUInt32BE(++serial, 60);
    devices[home(source)].inject(frame);
    sent.push({ serial, to });
  }
  loop.turn(0);
  Atomics.add(words, 1 + worker, 1);
  result.sent += sent.length;
  const vias = new Set();
  for (const one of sent) {
    const places = seen.get(one.serial) ?? [];
    if (one.to === undefined) {
      result.routed++;
      if (places.length !== 1) result.wrong.push(`routed frame left ${places.length} times`);
      vias.add(places[0]);
    } else if (places.length === 0) {
      // Its MAC was behind the port it came from: counted as reflect.
      result.silent++;
    } else if (places.length === 1) {
      result.unicast++;
      const [place] = places;
      if (place !== one.to % ports.length && place !== (one.to + 1) % ports.length) {
        result.wrong.push(`MAC ${one.to} was sent to ${place}`);
      }
    } else {
      result.flooded++;
      if (places.length !== ports.length - 1 + vteps) result.wrong.push(`flooded to ${places.length}`);
    }
  }
  if (vias.size !== 1) result.wrong.push(`one batch went by ${[...vias].join(" and ")}`);
}
loop.park();
io.close();
parentPort.postMessage(result);
