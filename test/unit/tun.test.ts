/**
 * The Io on hostile memory, on both addon builds; the in-memory twin; the small calls for daemons. Nothing here needs
 * a device.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, openSync, rmSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { LIMIT, REGION_TABLE, type RegionName, regionId } from "@weft/dataplane-wasm/abi";
import {
  createSystemError,
  type Io,
  kernelLink,
  lockFile,
  MemoryLink,
  MemoryNetwork,
  netnsIdentity,
  READY,
  sdNotify,
  setParentDeathSignal,
} from "@weft/tun";
import fc from "fast-check";
import t, { type Test } from "tap";
import { mapped, TestMemory, v6 } from "../tun/memory.js";
import { commandEnvironment, runSanitized } from "../tun/sanitized.js";

const { EFAULT, EINVAL, ENODEV, EIO, ENOBUFS, EMSGSIZE, ENETUNREACH, EAFNOSUPPORT } = constants.errno;
const EBADFD = 77;

const payload = (length: number, fill = 1): Buffer => Buffer.alloc(length, fill);
const frame = (length = 60, fill = 1): Buffer => payload(length, fill);

/** Both kinds of Io over a memory, with one sender to somewhere. */
function bothIos(t: Test, memory: TestMemory): [string, Io][] {
  const kernel = kernelLink();
  const twin = new MemoryLink({ addresses: ["127.0.0.1"] });
  return [kernel, twin].map((link) => {
    const io = link.createIo(memory.octets, 0);
    const socket = link.openUdp({ family: 4, address: "127.0.0.1", port: 0 });
    io.addSender(0, socket.fd);
    t.teardown(() => {
      io.close();
      socket.close();
    });
    return [link.kind, io];
  });
}

t.test("an operation that points outside of the memory gets -EFAULT and nothing is sent", async (t) => {
  const memory = new TestMemory();
  const size = memory.octets.length;
  const iovMax = memory.shared.plan.regions.IOVS.count;
  for (const [kind, io] of bothIos(t, memory)) {
    const bad: [string, () => void, number][] = [
      ["an iovec at the end", () => memory.setIov(0, size - 10, 11), -EFAULT],
      ["an iovec behind the end", () => memory.setIov(0, size, 1), -EFAULT],
      ["an iovec whose end wraps 2^32", () => memory.setIov(0, 0xffff_ffff, 0xffff_ffff), -EFAULT],
      ["a length of 2^32-1", () => memory.setIov(0, 4096, 0xffff_ffff), -EFAULT],
      ["a first iovec behind the region", () => memory.spoil(0, "iovStart", iovMax), -EFAULT],
      ["a first iovec of 2^32-1", () => memory.spoil(0, "iovStart", 0xffff_ffff), -EFAULT],
      [
        "iovecs that leave the region",
        () => memory.spoil(0, "iovStart", iovMax - 1) ?? memory.spoil(0, "iovCount", 2),
        -EFAULT,
      ],
      ["no iovec", () => memory.spoil(0, "iovCount", 0), -EINVAL],
      ["more iovecs than a call takes", () => memory.spoil(0, "iovCount", 65_535), -EINVAL],
      ["a socket that cannot exist", () => memory.spoil(0, "dest", LIMIT.SENDERS), -EFAULT],
      ["a socket of 2^32-1", () => memory.spoil(0, "dest", 0xffff_ffff), -EFAULT],
      ["a socket nobody added", () => memory.spoil(0, "dest", 3), -EAFNOSUPPORT],
      ["WireGuard's, which nobody added", () => memory.spoil(0, "dest", 32), -EAFNOSUPPORT],
      ["a family that is not the socket's", () => memory.spoil(0, "family", 6), -EAFNOSUPPORT],
      ["a source address at the end", () => memory.spoil(0, "local", size - 15), -EFAULT],
      ["a source address at 2^32-1", () => memory.spoil(0, "local", 0xffff_ffff), -EFAULT],
      ["an unknown kind", () => memory.spoil(0, "kind", 9), -EINVAL],
    ];
    for (const [what, spoil, result] of bad) {
      memory.clear();
      memory.udp({ sender: 0, addr: mapped("127.0.0.1"), port: 9, payload: payload(100) });
      spoil();
      io.send(1);
      t.equal(memory.result(0), result, `${kind}: ${what}`);
    }
    memory.clear();
    memory.tap({ port: 31, frame: frame() });
    memory.tap({ port: 32, frame: frame() });
    memory.tap({ port: 0xffff_ffff, frame: frame() });
    io.send(3);
    t.strictSame(memory.results(), [-ENODEV, -EFAULT, -EFAULT], `${kind}: ports that do not exist`);
    // The kernel would answer EFAULT too: the check has to come before it is asked.
    t.equal(memory.counter("sys_sendmmsg") + memory.counter("sys_writev"), 0, `${kind}: no system call was made`);
    t.throws(() => io.send(memory.shared.plan.regions.TX_OPS.count + 1), `${kind}: more operations than there are`);
    t.throws(() => io.addPort(32, 0, true), { code: "EINVAL" }, `${kind}: no such port`);
    t.throws(() => io.addReceiver(4, 0), `${kind}: no such receiver`);
    t.throws(() => io.addSender(LIMIT.SENDERS, 0), `${kind}: no such sender`);
    t.throws(() => io.removePort(1), { code: "ENOENT" }, `${kind}: removing what is not there`);
  }
});

t.test("random operations never reach outside of the memory, and both Ios refuse the same ones", async (t) => {
  const memory = new TestMemory();
  const [[, kernel], [, twin]] = bothIos(t, memory) as [[string, Io], [string, Io]];
  const size = memory.octets.length;
  const edge = fc.oneof(fc.nat(size), fc.constantFrom(0, size - 1, size, 0xffff_fff0, 0xffff_ffff), fc.nat());
  const operation = fc.record({
    dest: fc.constantFrom(0, 1, 15, 16, 32, 33, 34, 0xffff_ffff),
    kind: fc.constantFrom(0, 1, 2, 2, 2, 3, 255),
    iovStart: fc.oneof(fc.nat(8), fc.nat(0xffff_ffff)),
    iovCount: fc.oneof(fc.nat(8), fc.nat(65_535)),
    gsoSize: fc.constantFrom(0, 0, 1, 7, 1400, 65_535),
    family: fc.constantFrom(4, 4, 4, 6, 0),
    local: fc.oneof(fc.constant(0), edge),
  });
  const iov = fc.record({ off: edge, len: fc.oneof(fc.nat(64), edge) });
  const refused = new Set([-EFAULT, -EINVAL, -ENODEV, -EAFNOSUPPORT]);
  fc.assert(
    fc.property(
      fc.array(operation, { minLength: 1, maxLength: 20 }),
      fc.array(iov, { minLength: 8, maxLength: 8 }),
      (ops, iovs) => {
        const results = [kernel, twin].map((io) => {
          memory.clear();
          for (const op of ops) {
            const index = memory.udp({ sender: 0, addr: mapped("127.0.0.1"), port: 9, payload: payload(1) });
            for (const [field, value] of Object.entries(op)) memory.spoil(index, field, value);
          }
          for (const [i, { off, len }] of iovs.entries()) memory.setIov(i, off, len);
          io.send(ops.length);
          return memory.results();
        });
        const [fromKernel, fromTwin] = results as [number[], number[]];
        return ops.every((_, i) => {
          const [a, b] = [fromKernel[i] as number, fromTwin[i] as number];
          // Whether the kernel takes a valid datagram is its own business.
          return a === b || (!refused.has(b) && (a >= 0 || a === -EMSGSIZE || !refused.has(a)));
        });
      },
    ),
    { seed: 4789, numRuns: 300 },
  );
  t.pass("300 lists of operations");
});

t.test("a memory of another shape is refused with one sentence", async (t) => {
  for (const link of [kernelLink(), new MemoryLink({ addresses: [] })]) {
    const attempt =
      (change: (memory: TestMemory) => void, worker = 0): (() => Io) =>
      () => {
        const memory = new TestMemory();
        change(memory);
        return link.createIo(memory.octets, worker);
      };
    const region = (name: RegionName, field: number): number => REGION_TABLE + 24 * regionId(name) + 4 * field;
    t.throws(
      attempt((m) => m.view.setUint32(0, 1)),
      { message: /does not start with a weft header/ },
      `${link.kind}: magic`,
    );
    t.throws(
      attempt((m) => m.view.setUint32(4, 1)),
      { message: /another version.*rebuild/ },
      `${link.kind}: ABI hash`,
    );
    t.throws(
      attempt(() => {}, 1),
      { message: /no such worker/ },
      `${link.kind}: worker`,
    );
    t.throws(() => link.createIo(new Uint8Array(100), 0), { message: /too small/ }, `${link.kind}: size`);
    for (const id of ["COUNTERS", "RX_DESCS", "TX_OPS", "IOVS", "SLOTS"] as const) {
      t.throws(
        attempt((m) => m.view.setUint32(region(id, 0), 0xffff_0000, true)),
        { message: /lies outside/ },
        `${link.kind}: region ${id}`,
      );
      t.throws(
        attempt((m) => m.view.setUint32(region(id, 2), 0x7fff_ffff, true)),
        { message: /lies outside/ },
        `${link.kind}: count ${id}`,
      );
    }
  }
});

t.test("the addon's UDP round trip writes what the ABI says", async (t) => {
  const link = kernelLink();
  const memory = new TestMemory();
  const io = link.createIo(memory.octets, 0);
  const receiver = link.openUdp({ family: 4, address: "127.0.0.1", port: 0, receiveBuffer: 4 << 20 });
  const sender = link.openUdp({ family: 4, address: "127.0.0.1", port: 0, range: [50_000, 60_000] });
  t.teardown(() => {
    for (const opened of [io, receiver, sender]) opened.close();
  });
  io.addReceiver(0, receiver.fd);
  io.addSender(15, sender.fd);
  t.equal(io.poll(0), 0, "nothing to do");
  memory.udp({
    sender: 15,
    addr: mapped("127.0.0.1"),
    port: receiver.port,
    payload: [payload(10), payload(20, 2), payload(0)],
    tos: 0xb9,
  });
  memory.udp({ sender: 15, addr: mapped("127.0.0.1"), port: receiver.port, payload: payload(1) });
  io.send(2);
  t.strictSame(memory.results(), [30, 1], "both taken");
  t.equal(memory.counter("sys_sendmmsg"), 1, "in one call");
  t.equal(io.poll(1000), READY.UDP);
  t.equal(io.receive(128), 2);
  const { octets, ...rest } = memory.received(0);
  t.strictSame(rest, { source: 0, segLen: 0, addr: mapped("127.0.0.1"), addrPort: sender.port, tos: 0xb9, rxFlags: 0 });
  t.equal(octets.toString("hex"), "01".repeat(10) + "02".repeat(20));
  t.equal(memory.startInSlot(0), LIMIT.HEADROOM);
  t.equal(memory.received(1).tos, 0, "no TOS left over from the one before");
  t.equal(io.poll(0), 0, "empty again");
  t.ok(sender.port >= 50_000 && sender.port <= 60_000, "the port lies in the range");
});

t.test("wake() ends a poll, once, also from another thread", async (t) => {
  for (const link of [kernelLink(), new MemoryLink({ addresses: [] })]) {
    const io = link.createIo(new TestMemory().octets, 0);
    link.wake(io.wakeHandle);
    link.wake(io.wakeHandle);
    t.equal(io.poll(5000), READY.WAKE, `${link.kind}: woken`);
    t.equal(io.poll(0), 0, `${link.kind}: only once`);
    io.close();
    io.close();
    if (link.kind === "kernel") t.throws(() => io.poll(0), "a closed Io does not poll");
  }
  const io = kernelLink().createIo(new TestMemory().octets, 0);
  const code = `import("@weft/tun").then(({ kernelLink }) => kernelLink().wake(${io.wakeHandle}))`;
  const thread = new Worker(code, { eval: true });
  // The main thread's event loop stands still meanwhile, as a worker's does.
  t.equal(io.poll(20_000), READY.WAKE, "woken out of a blocking call");
  await thread.terminate();
  io.close();
});

t.test("the twin carries frames and datagrams with the fields the addon writes", async (t) => {
  const network = new MemoryNetwork();
  const [left, right] = ["10.9.0.1", "10.9.0.2"].map(
    (address) => new MemoryLink({ network, addresses: [address, "fd00::1"] }),
  ) as [MemoryLink, MemoryLink];
  const memory = new TestMemory();
  const io = left.createIo(memory.octets, 0);
  const device = left.openDevice({ kind: "tap", name: "eth%d", vnetHdr: true });
  t.equal(device.name, "eth0");
  left.configureDevice({ ifname: "eth0", up: true, mac: "02:00:00:00:00:07", mtu: 1450, addresses: ["10.8.0.1/24"] });
  t.match(left.deviceStats(device), { mac: "02:00:00:00:00:07", mtu: 1450, up: true });
  io.addPort(5, device.fd, true);
  const wire = left.device("eth0");
  wire.inject(frame(100, 3), Buffer.from("01020304050607080910", "hex"));
  t.equal(io.poll(0), READY.TAP);
  t.equal(io.readPorts(128), 1);
  t.match(memory.received(0), { source: 5, segLen: 0, addrPort: 0, tos: 0, rxFlags: 0 });
  t.equal(memory.received(0).octets.toString("hex"), `01020304050607080910${"03".repeat(100)}`);
  t.equal(memory.startInSlot(0), LIMIT.HEADROOM - LIMIT.VNET_HDR_LEN);

  memory.tap({ port: 5, frame: [frame(14), frame(50, 2)], vnetHdr: Buffer.from("00000000000000000001", "hex") });
  io.send(1);
  t.equal(memory.result(0), 74, "octets with the header");
  const [taken] = wire.take();
  t.equal(Buffer.from(taken?.vnetHdr ?? []).toString("hex"), "00000000000000000001");
  t.equal(Buffer.from(taken?.frame ?? []).toString("hex"), "01".repeat(14) + "02".repeat(50));
  t.strictSame(wire.take(), [], "taken once");

  const sender = right.openUdp({ family: 4, address: "10.9.0.2", port: 50_000 });
  const back = right.createIo(new TestMemory().octets, 0);
  const remote = new TestMemory();
  const remoteIo = right.createIo(remote.octets, 0);
  back.close();
  remoteIo.addSender(0, sender.fd);
  const receiver = left.openUdp({ family: 4, address: "10.9.0.1", port: 4789, gro: true });
  io.addReceiver(0, receiver.fd);
  for (const length of [100, 100, 60, 100])
    remote.udp({ sender: 0, addr: mapped("10.9.0.1"), port: 4789, payload: payload(length), tos: 2 });
  remoteIo.send(4);
  t.strictSame(remote.results(), [100, 100, 60, 100]);
  t.equal(io.poll(0), READY.UDP);
  t.equal(io.receive(128), 2, "joined as UDP_GRO would: a shorter one ends the run");
  t.match(memory.received(0), { source: 0, segLen: 100, addr: mapped("10.9.0.2"), addrPort: 50_000, tos: 2 });
  t.equal(memory.received(0).octets.length, 260);
  t.match(memory.received(1), { segLen: 0 });

  remote.clear();
  remote.udp({ sender: 0, addr: mapped("10.9.0.1"), port: 4789, payload: payload(250), gsoSize: 100 });
  remoteIo.send(1);
  t.equal(remote.result(0), 250);
  io.poll(0);
  t.equal(io.receive(128), 1);
  t.equal(memory.received(0).segLen, 100, "cut on sending, joined on receiving");
});

t.test("the twin answers the errnos of a kernel, and those a test asks for", async (t) => {
  const link = new MemoryLink({ addresses: ["10.9.0.1", "fd00::1"], fragmentation: false });
  const memory = new TestMemory();
  const io = link.createIo(memory.octets, 0);
  const device = link.openDevice({ kind: "tap", name: "a", vnetHdr: true });
  const send = (): number[] => {
    io.send(memory.count);
    const results = memory.results();
    memory.clear();
    return results;
  };
  io.addPort(0, device.fd, true);
  memory.tap({ port: 0, frame: frame() });
  t.strictSame(send(), [-EIO], "the device is down");
  link.configureDevice({ ifname: "a", up: true, txQueueLen: 2 });
  link.device("a").failNext("ENOBUFS", 2);
  for (let i = 0; i < 3; i++) memory.tap({ port: 0, frame: frame() });
  t.strictSame(send(), [-ENOBUFS, -ENOBUFS, 70], "asked for");
  t.strictSame(
    [1, 2, 3].map(() => link.device("a").inject(frame())),
    [true, true, false],
    "the ring is full",
  );
  t.equal(link.deviceStats(device)?.txDropped, 1, "and counts");

  io.addSender(0, link.openUdp({ family: 4, address: "10.9.0.1", port: 1000 }).fd);
  io.addSender(16, link.openUdp({ family: 6, address: "fd00::1", port: 1000 }).fd);
  const udp = (length: number, sender = 0): number =>
    memory.udp({ sender, addr: sender < 16 ? mapped("10.9.0.9") : v6("9"), port: 1, payload: payload(length) });
  for (const length of [1472, 1473]) udp(length);
  for (const length of [1452, 1453]) udp(length, 16);
  t.strictSame(send(), [1472, -EMSGSIZE, 1452, -EMSGSIZE], "the interface's MTU");
  link.failUdp("ENOBUFS", 1, 1000);
  udp(1);
  udp(1);
  t.strictSame(send(), [-ENOBUFS, 1]);
  link.setUnderlay(false);
  udp(1);
  t.strictSame(send(), [-ENETUNREACH], "the underlay is down");

  t.throws(() => link.openUdp({ family: 4, address: "10.9.0.1", port: 1000 }), { code: "EADDRINUSE", syscall: "bind" });
  t.throws(() => link.openUdp({ family: 4, address: "10.9.9.9", port: 0 }), { code: "EADDRNOTAVAIL" });
  t.throws(() => link.lockUdpPort("10.9.0.1", 1000), { code: "EADDRINUSE", holder: "other" });
  const lock = link.lockUdpPort("10.9.0.1", 4789);
  t.throws(() => link.lockUdpPort("10.9.0.1", 4789), { code: "EADDRINUSE", holder: "weft" });
  lock.release();
  link.lockUdpPort("10.9.0.1", 4789).release();

  t.throws(() => link.openDevice({ kind: "tap", name: "a", vnetHdr: true }), { code: "EBUSY" });
  t.throws(() => link.openDevice({ kind: "tap", name: "b", vnetHdr: true, mustExist: true }), { code: "ENODEV" });
  link.placeDevice({ name: "a", netnsFd: 7, ifname: "eth0" });
  t.match(device.describe(), { name: "eth0" });
  t.not(device.netns(), undefined);
  link.device("eth0", 7).destroy();
  t.equal(io.poll(0) & READY.TAP, 0);
  t.strictSame(io.takeGonePorts(), [0], "the worker is told");
  t.strictSame(io.takeGonePorts(), [], "once");
  memory.tap({ port: 0, frame: frame() });
  t.strictSame(send(), [-EBADFD]);
  t.equal(link.deviceStats(device), undefined);
});

t.test("a busy port leaves the others their turn", async (t) => {
  const link = new MemoryLink({ addresses: [] });
  const memory = new TestMemory();
  const io = link.createIo(memory.octets, 0);
  for (const port of [0, 1, 2]) {
    const device = link.openDevice({ kind: "tap", name: `p${port}`, vnetHdr: true });
    link.configureDevice({ ifname: `p${port}`, up: true, txQueueLen: 10_000 });
    io.addPort(port, device.fd, true);
    for (let i = 0; i < (port === 0 ? 1000 : 40); i++) link.device(`p${port}`).inject(frame());
  }
  const seen = new Map<number, number>();
  for (let batch = 0; batch < 12; batch++) {
    io.poll(0);
    const n = io.readPorts(10);
    for (let i = 0; i < n; i++) {
      const { source } = memory.received(i);
      seen.set(source, (seen.get(source) ?? 0) + 1);
    }
  }
  t.strictSame(
    [...seen].sort(),
    [
      [0, 56],
      [1, 32],
      [2, 32],
    ],
    "32 frames each before the first has its second turn",
  );
});

t.test(
  "a wire with a seed loses, doubles and reorders the same datagrams every time, and counts them all",
  async (t) => {
    const run = (seed: number): { order: number[]; counts: object } => {
      const network = new MemoryNetwork({ seed, loss: 0.1, duplicate: 0.1, reorder: 0.2, latencyMs: 3, gro: 1 });
      const [a, b] = ["10.9.0.1", "10.9.0.2"].map((address) => new MemoryLink({ network, addresses: [address] })) as [
        MemoryLink,
        MemoryLink,
      ];
      const memory = new TestMemory();
      const io = a.createIo(memory.octets, 0);
      io.addSender(0, a.openUdp({ family: 4, address: "10.9.0.1", port: 1 }).fd);
      const far = new TestMemory();
      const farIo = b.createIo(far.octets, 0);
      farIo.addReceiver(0, b.openUdp({ family: 4, address: "10.9.0.2", port: 4789, receiveBuffer: 1 << 24 }).fd);
      for (let i = 0; i < 500; i++) {
        memory.clear();
        memory.udp({ sender: 0, addr: mapped("10.9.0.2"), port: 4789, payload: Buffer.from([i & 255, i >> 8]) });
        io.send(1);
        if (i % 10 === 9) network.advance(2);
      }
      const order: number[] = [];
      for (let turn = 0; turn < 50; turn++) {
        network.advance(1);
        farIo.poll(0);
        const n = farIo.receive(128);
        for (let i = 0; i < n; i++) order.push(far.received(i).octets.readUInt16LE(0));
      }
      t.equal(network.held, 0, "nothing stays under way");
      const { sent, duplicated, arrived, lost, unreachable } = network.counts;
      t.equal(sent + duplicated, arrived + lost + unreachable, "every datagram is accounted for");
      t.equal(order.length, arrived);
      return { order, counts: { ...network.counts } };
    };
    const first = run(7);
    t.strictSame(run(7), first, "same seed, same story");
    t.notSame(run(8).order, first.order, "another seed, another one");
    t.notSame(
      first.order,
      [...first.order].sort((x, y) => x - y),
      "there was reordering",
    );
    t.ok(new Set(first.order).size < first.order.length, "and doubling");
  },
);

t.test("a listener hears of work soon after it came, not from within the call that brought it", async (t) => {
  const link = new MemoryLink({ addresses: [] });
  const io = link.createIo(new TestMemory().octets, 0);
  const device = link.openDevice({ kind: "tap", name: "a", vnetHdr: true });
  link.configureDevice({ ifname: "a", up: true });
  io.addPort(0, device.fd, true);
  let heard = 0;
  io.onReadable?.(() => heard++);
  link.device("a").inject(frame());
  link.device("a").inject(frame());
  t.equal(heard, 0, "not inside inject()");
  await null;
  t.equal(heard, 1, "once for both");
  link.wake(io.wakeHandle);
  await null;
  t.equal(heard, 2, "and for wake()");
});

t.test("small calls for daemons", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "weft-tun-"));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const lock = lockFile(join(dir, "lock"));
  t.throws(() => lockFile(join(dir, "lock")), {
    code: "EWOULDBLOCK",
    syscall: "flock",
    message: /locked by another process/,
  });
  lock.release();
  lockFile(join(dir, "lock")).release();
  t.throws(() => lockFile(join(dir, "none", "lock")), { code: "ENOENT" });

  t.equal(netnsIdentity("/proc/self/ns/net"), netnsIdentity(openSync("/proc/self/ns/net", "r")));
  t.match(netnsIdentity("/proc/self/ns/net"), /^\d+:\d+$/);

  delete process.env.NOTIFY_SOCKET;
  t.equal(sdNotify("READY=1"), false, "nobody asked");
  process.env.NOTIFY_SOCKET = join(dir, "nobody");
  t.throws(() => sdNotify("READY=1"), { code: "ENOENT", syscall: "sendto" });
  for (const path of [join(dir, "notify"), `@weft-test-${process.pid}`]) {
    // Node has no Unix datagram sockets to listen with.
    const program =
      'use Socket; socket(S, AF_UNIX, SOCK_DGRAM, 0); $p = shift; $p =~ s/^@/\\0/; bind(S, pack_sockaddr_un($p)) or die; $| = 1; print "up\\n"; recv(S, $m, 99, 0); print $m;';
    const perl = spawn("perl", ["-e", program, path], {
      env: commandEnvironment(),
      stdio: ["ignore", "pipe", "inherit"],
    });
    let heard = "";
    await new Promise<void>((resolve) => {
      perl.stdout.setEncoding("utf8").on("data", (text: string) => {
        heard += text;
        if (heard === "up\n") resolve();
      });
    });
    process.env.NOTIFY_SOCKET = path;
    t.equal(sdNotify("READY=1"), true);
    await new Promise((resolve) => perl.on("close", resolve));
    t.equal(heard, "up\nREADY=1", path.startsWith("@") ? "abstract socket" : "socket in a directory");
  }
  delete process.env.NOTIFY_SOCKET;

  t.doesNotThrow(() => setParentDeathSignal(0));
  t.throws(() => setParentDeathSignal(9999), { code: "EINVAL" });
  t.match(createSystemError("EPERM", 1, "x", "y"), { code: "EPERM", errno: -1, syscall: "x", message: "y" });
});

runSanitized(import.meta.url);
