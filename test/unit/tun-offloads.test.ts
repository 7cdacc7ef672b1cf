/** Segmentation, long iovec lists, polling awake and turns: the Io on both addon builds, and the in-memory twin. */
import { constants } from "node:os";
import { Worker } from "node:worker_threads";
import { type Io, kernelLink, MemoryLink, MemoryNetwork, READY } from "@weft/tun";
import t from "tap";
import { mapped, TestMemory } from "../tun/memory.js";
import { runSanitized } from "../tun/sanitized.js";
import { GSO, TUN_HEADERS, VNET_FRAME, VNET_HEADERS, vnet } from "../tun/vnet.js";

const { EAGAIN, EINVAL } = constants.errno;

const payload = (length: number, fill = 1): Buffer => Buffer.alloc(length, fill);
const frame = payload;

t.test("a poll that stays awake sees what comes, and sleeps when its time is over", async (t) => {
  const link = kernelLink();
  const memory = new TestMemory();
  const io = link.createIo(memory.octets, 0);
  const receiver = link.openUdp({ family: 4, address: "127.0.0.1", port: 0 });
  const sender = link.openUdp({ family: 4, address: "127.0.0.1", port: 0 });
  t.teardown(() => {
    for (const opened of [io, receiver, sender]) opened.close();
  });
  io.addReceiver(0, receiver.fd);
  io.addSender(0, sender.fd);
  /** Polls; returns what it saw, epoll_wait calls, milliseconds and milliseconds of CPU. */
  const poll = (timeoutMs: number, spinUs?: number): { ready: number; calls: number; ms: number; cpu: number } => {
    const [calls, started, cpu] = [memory.counter("sys_poll"), performance.now(), process.cpuUsage()];
    const ready = io.poll(timeoutMs, spinUs);
    const { user, system } = process.cpuUsage(cpu);
    return {
      ready,
      calls: memory.counter("sys_poll") - calls,
      ms: performance.now() - started,
      cpu: (user + system) / 1000,
    };
  };
  t.match(poll(0, 50_000), { ready: 0, calls: 1 }, "no time at all is none to spin either");
  t.match(poll(30), { ready: 0, calls: 1 }, "without spinning it sleeps at once");
  const spun = poll(200, 20_000);
  // How often it looks is the scheduler's to say: on a busy host a look can take its whole time slice.
  t.ok(spun.calls > 1 && spun.ready === 0, `${spun.calls} looks in 20 ms`);
  t.ok(spun.ms >= 195, "and then it sleeps for the rest");
  const short = poll(10, 5_000_000);
  t.ok(short.ms >= 10 && short.ms < 1000, `never longer than asked: ${short.ms.toFixed(1)} ms`);

  memory.udp({ sender: 0, addr: mapped("127.0.0.1"), port: receiver.port, payload: payload(9) });
  io.send(1);
  const seen = poll(-1, 1_000_000);
  t.match(seen, { ready: READY.UDP, calls: 1 }, "what is there is seen by the first look");
  t.match(poll(-1, 1_000_000), { ready: READY.UDP, calls: 1 }, "and one that was not read keeps it from spinning");
  io.receive(128);

  const code = `import("@weft/tun").then(({ kernelLink }) => {
    const { workerData, parentPort } = require("node:worker_threads");
    parentPort.postMessage("up");
    Atomics.wait(workerData.cell, 0, 0);
    setTimeout(() => kernelLink().wake(workerData.handle), 50);
  })`;
  const cell = new Int32Array(new SharedArrayBuffer(4));
  const thread = new Worker(code, { eval: true, workerData: { cell, handle: io.wakeHandle } });
  await new Promise((resolve) => thread.once("message", resolve));
  Atomics.store(cell, 0, 1);
  Atomics.notify(cell, 0);
  const woken = poll(20_000, 10_000_000);
  t.equal(woken.ready, READY.WAKE, "a wake from another thread is seen while it spins");
  t.ok(woken.ms < 5000 && woken.calls > 1, `after ${woken.ms.toFixed(0)} ms and ${woken.calls} looks`);
  await thread.terminate();
});

t.test("long lists of iovecs go out in few calls", async (t) => {
  const link = kernelLink();
  const memory = new TestMemory();
  const io = link.createIo(memory.octets, 0);
  const receiver = link.openUdp({ family: 4, address: "127.0.0.1", port: 0, receiveBuffer: 8 << 20, gro: true });
  const sender = link.openUdp({ family: 4, address: "127.0.0.1", port: 0, sendBuffer: 8 << 20 });
  t.teardown(() => {
    for (const opened of [io, receiver, sender]) opened.close();
  });
  io.addReceiver(0, receiver.fd);
  io.addSender(0, sender.fd);
  const to = { sender: 0, addr: mapped("127.0.0.1"), port: receiver.port };
  /** As the switch cuts a super-frame: a header area and a piece of payload for each segment. */
  const pieces = (segments: number, header: number, length: number, seed: number): Buffer[] =>
    Array.from({ length: 2 * segments }, (_, i) => payload(i % 2 === 0 ? header : length, (seed + i) & 255));
  const sent = Array.from({ length: 8 }, (_, i) => pieces(43, 100, 1398, i));
  for (const frames of sent) memory.udp({ ...to, payload: frames, gsoSize: 1498 });
  io.send(8);
  t.ok(
    memory.results().every((r) => r === 43 * 1498),
    "eight super-frames of 64 KB",
  );
  t.equal(memory.counter("sys_sendmmsg"), 1, "one call");
  const arrived: Buffer[] = [];
  const receive = (): void => {
    while (io.poll(50) & READY.UDP) {
      const n = io.receive(64);
      for (let i = 0; i < n; i++) arrived.push(memory.received(i).octets);
    }
  };
  receive();
  t.ok(Buffer.concat(arrived).equals(Buffer.concat(sent.flat())), "octet for octet, in order");

  memory.clear();
  arrived.length = 0;
  const many = pieces(128, 8, 24, 7);
  memory.udp({ ...to, payload: many, gsoSize: 32 });
  // The last iovec list that is allowed, the first that is not, and one behind it.
  const single = Array.from({ length: 1023 }, (_, i) => payload(1, i & 255));
  memory.udp({ ...to, payload: single });
  memory.udp({ ...to, payload: [...single, payload(1)] });
  memory.udp({ ...to, payload: payload(3) });
  io.send(4);
  t.strictSame(memory.results(), [128 * 32, 1023, -EINVAL, 3]);
  t.equal(memory.counter("sys_sendmmsg"), 2, "one call again");
  receive();
  t.ok(Buffer.concat(arrived).equals(Buffer.concat([...many, ...single, payload(3)])));
  t.equal(memory.counter("gso_fallbacks"), 0);
});

t.test("without UDP_SEGMENT the same datagrams go out singly", async (t) => {
  t.teardown(() => delete process.env.WEFT_DISABLE);
  for (const [how, disable, gsoSegments] of [
    ["switched off", "gso", 128],
    ["absent, says the header", "", 1],
  ] as const) {
    process.env.WEFT_DISABLE = disable;
    const memory = new TestMemory(1, 0, gsoSegments);
    const twin = new MemoryLink({ addresses: ["127.0.0.1"], features: { gso: disable === "" } });
    for (const link of [kernelLink(), twin]) {
      const calls = memory.counter("sys_sendmmsg");
      const io = link.createIo(memory.octets, 0);
      const receiver = link.openUdp({ family: 4, address: "127.0.0.1", port: 0, receiveBuffer: 4 << 20 });
      const sender = link.openUdp({ family: 4, address: "127.0.0.1", port: 0 });
      io.addReceiver(0, receiver.fd);
      io.addSender(0, sender.fd);
      memory.clear();
      const to = { sender: 0, addr: mapped("127.0.0.1"), port: receiver.port };
      memory.udp({ ...to, payload: payload(2, 1) });
      memory.udp({ ...to, payload: [payload(150, 2), payload(0), payload(100, 3)], gsoSize: 100 });
      memory.udp({ ...to, payload: payload(4, 4) });
      io.send(3);
      t.strictSame(memory.results(), [2, 250, 4]);
      io.poll(1000);
      const lengths = Array.from({ length: io.receive(64) }, (_, i) => memory.received(i).octets.toString("hex"));
      const want = ["0101", "02".repeat(100), "02".repeat(50) + "03".repeat(50), "03".repeat(50), "04040404"];
      t.strictSame(lengths, want, `${link.kind}, ${how}: in order`);
      t.equal(memory.counter("sys_sendmmsg") - calls, 5, "a call for each, as nothing can be put together");
      t.equal(memory.counter("gso_fallbacks"), 0, "nothing was refused");
      for (const opened of [io, receiver, sender]) opened.close();
    }
  }
});

t.test(
  "the twin refuses UDP_SEGMENT sends as a kernel does, and sends them singly where the addon would",
  async (t) => {
    const network = new MemoryNetwork();
    const link = new MemoryLink({ network, addresses: ["10.9.0.1"] });
    const memory = new TestMemory();
    const io = link.createIo(memory.octets, 0);
    io.addSender(0, link.openUdp({ family: 4, address: "10.9.0.1", port: 1000 }).fd);
    const lengths: number[] = [];
    network.watch((datagram) => lengths.push(datagram.payload.length));
    const send = (length: number, gsoSize: number): [result: number, lengths: string, fallbacks: number] => {
      const before = memory.counter("gso_fallbacks");
      memory.clear();
      lengths.length = 0;
      memory.udp({ sender: 0, addr: mapped("10.9.0.9"), port: 1, payload: payload(length), gsoSize });
      io.send(1);
      return [memory.result(0), lengths.join(), memory.counter("gso_fallbacks") - before];
    };
    t.strictSame(send(250, 100), [250, "100,100,50", 0]);
    t.strictSame(send(129, 1)[2], 1, "129 segments are more than a send takes");
    t.equal(lengths.length, 129);
    t.strictSame(send(66_000, 65_000), [66_000, "65000,1000", 0], "not even asked for: longer than a datagram may be");
    for (const code of ["EMSGSIZE", "EINVAL", "EIO"]) {
      link.failUdp(code);
      t.strictSame(send(250, 100), [250, "100,100,50", 1], code);
    }
    link.failUdp("EAGAIN");
    t.strictSame(send(250, 100), [-EAGAIN, "", 0], "a full socket takes nothing at all");
    link.failUdp("EIO");
    link.failUdp("EAGAIN");
    t.strictSame(send(250, 100), [-EAGAIN, "", 0], "nor does one that is full at the second try");
  },
);

t.test("the twin's devices take super-frames as a TAP does", async (t) => {
  const link = new MemoryLink({ addresses: [], features: { uso: false } });
  const device = link.openDevice({ kind: "tap", name: "a", vnetHdr: true });
  link.configureDevice({ ifname: "a", up: true, gsoMaxSize: 61_000 });
  const far = link.device("a");
  device.setOffload({ checksum: true, tso4: true, tso6: true, uso: true });
  t.strictSame(far.offload, { checksum: true, tso4: true, tso6: true, uso: false }, "as far as the features go");
  t.equal(far.gsoMaxSize, 61_000);
  link.configureDevice({ ifname: "a", gsoMaxSize: 1 << 20 });
  t.equal(far.gsoMaxSize, 61_000, "refused, which is no error");
  const memory = new TestMemory();
  const io = link.createIo(memory.octets, 0);
  io.addPort(0, device.fd, true);
  const big = frame(65_549, 5);
  const header = vnet({ type: GSO.TCPV4 });
  far.inject(big, header);
  io.poll(0);
  t.equal(io.readPorts(8), 1);
  t.ok(memory.received(0).octets.equals(Buffer.concat([header, big])), "the longest there is fits its slot");

  const write = (vnetHdr: Buffer, length = VNET_FRAME, to: Io = io): number => {
    memory.clear();
    memory.tap({ port: 0, frame: [frame(66), frame(length - 66)], vnetHdr });
    to.send(1);
    return memory.result(0);
  };
  for (const [what, hdr, verdict] of VNET_HEADERS) {
    t.equal(write(hdr), verdict === "taken" ? VNET_FRAME + 10 : -EINVAL, what);
  }
  t.equal(far.take().length, VNET_HEADERS.filter(([, , verdict]) => verdict === "taken").length);

  const plain = new MemoryLink({ addresses: [], features: { coalesceTcp: false, coalesceUdp: false } });
  const other = plain.openDevice({ kind: "tap", name: "b", vnetHdr: true });
  plain.configureDevice({ ifname: "b", up: true });
  const plainIo = plain.createIo(memory.octets, 0);
  plainIo.addPort(0, other.fd, true);
  t.equal(write(vnet({}), 1500, plainIo), 1510);
  t.equal(write(vnet({ type: GSO.TCPV4 }), VNET_FRAME, plainIo), -EINVAL, "a kernel that takes no TCP super-frames");
  t.equal(write(vnet({ type: GSO.UDP_L4, offset: 6 }), VNET_FRAME, plainIo), -EINVAL, "nor UDP ones");
});

t.test("the twin's TUNs count from the IP header, and have no MAC", async (t) => {
  const link = new MemoryLink({ addresses: [] });
  const device = link.openDevice({ kind: "tun", name: "wg0", vnetHdr: true });
  device.setOffload({ checksum: true, tso4: true, tso6: true, uso: true });
  link.configureDevice({ ifname: "wg0", mtu: 1440, addresses: ["10.20.0.1/24"], up: true });
  t.match(link.deviceStats(device), { mac: "00:00:00:00:00:00", mtu: 1440, up: true });
  t.throws(() => link.configureDevice({ ifname: "wg0", mac: "02:00:00:00:00:01" }), { code: "EOPNOTSUPP" });
  const memory = new TestMemory();
  const io = link.createIo(memory.octets, 0);
  io.addPort(0, device.fd, true);
  const write = (version: number, vnetHdr: Buffer): number => {
    memory.clear();
    memory.tap({ port: 0, frame: [payload(66, version << 4), payload(VNET_FRAME - 66)], vnetHdr });
    io.send(1);
    return memory.result(0);
  };
  for (const [what, header, verdict] of TUN_HEADERS) {
    t.equal(write(4, header), verdict === "taken" ? VNET_FRAME + 10 : -EINVAL, what);
  }
  t.equal(write(6, Buffer.alloc(10)), VNET_FRAME + 10, "IPv6");
  t.equal(write(5, Buffer.alloc(10)), -EINVAL, "neither");
  const packet = payload(20_000, 0x45);
  link.device("wg0").inject(packet, vnet({ type: GSO.TCPV4, start: 20 }));
  io.poll(0);
  t.equal(io.readPorts(8), 1);
  t.ok(memory.received(0).octets.subarray(10).equals(packet), "a super-frame, without an Ethernet header");
});

t.test("a turn ends after 512 KiB too, so that super-frames do not keep the others waiting", async (t) => {
  const link = new MemoryLink({ addresses: [] });
  const memory = new TestMemory();
  const io = link.createIo(memory.octets, 0);
  for (const port of [0, 1]) {
    const device = link.openDevice({ kind: "tap", name: `p${port}`, vnetHdr: true });
    link.configureDevice({ ifname: `p${port}`, up: true });
    io.addPort(port, device.fd, true);
    for (let i = 0; i < 40; i++) link.device(`p${port}`).inject(frame(port === 0 ? 65_000 : 60));
  }
  io.poll(0);
  const sources = Array.from({ length: io.readPorts(64) }, (_, i) => memory.received(i).source).join("");
  t.equal(sources, "0".repeat(9) + "1".repeat(32) + "0".repeat(9) + "1".repeat(8) + "0".repeat(6));
});

runSanitized(import.meta.url);
