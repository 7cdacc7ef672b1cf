/** Devices, sockets and netlink on the real kernel, on both addon builds. */
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { constants } from "node:os";
import { LIMIT } from "@weft/dataplane-wasm/abi";
import { kernelLink, netnsIdentity, type OpenDevice, READY } from "@weft/tun";
import t from "tap";
import { datagrams, netns, open, openIo, pause, sh, udp } from "../tun/kernel.js";
import { mapped, TestMemory, v6 } from "../tun/memory.js";
import { commandEnvironment, runSanitized } from "../tun/sanitized.js";

const link = kernelLink();
const { EIO, EMSGSIZE } = constants.errno;
const EBADFD = 77;

/** Octets from the Ethernet header on. */
const frameOf = (octets: Buffer): Buffer => octets.subarray(LIMIT.VNET_HDR_LEN);

sh("ip link set lo up");

t.test("a TAP answers a real ping through the Io, with virtio_net_hdr and without", async (t) => {
  for (const vnetHdr of [true, false]) {
    const ns = netns(t);
    const memory = new TestMemory();
    const io = openIo(t, memory);
    const device = open(t, { vnetHdr });
    t.equal(device.describe().vnetHdr, vnetHdr);
    if (vnetHdr) device.setOffload({ checksum: true });
    link.placeDevice({ name: device.name, netnsFd: ns.fd, ifname: "eth0" });
    link.configureDevice({
      ifname: "eth0",
      netnsFd: ns.fd,
      mac: "02:00:00:00:00:01",
      addresses: ["10.8.0.1/24"],
      up: true,
    });
    ns.in("ip neigh add 10.8.0.2 lladdr 02:00:00:00:00:02 dev eth0");
    io.addPort(3, device.fd, true);
    const ping = import("node:child_process").then(
      ({ spawn }) =>
        new Promise<number | null>((resolve) => {
          spawn("ip", ["netns", "exec", ns.name, "ping", "-c3", "-i0.05", "-W2", "10.8.0.2"], {
            env: commandEnvironment(),
            stdio: "ignore",
          }).on("close", resolve);
        }),
    );
    let status: number | null | undefined;
    void ping.then((code) => {
      status = code;
    });
    let answered = 0;
    for (const until = Date.now() + 40_000; status === undefined && Date.now() < until; ) {
      await pause(1);
      io.poll(5);
      const n = io.readPorts(128);
      memory.clear();
      for (let i = 0; i < n; i++) {
        const { octets, source } = memory.received(i);
        const frame = Buffer.from(frameOf(octets));
        if (source !== 3 || frame.readUInt16BE(12) !== 0x0800 || frame[23] !== 1 || frame[34] !== 8) continue;
        // An echo request becomes its answer: addresses swapped, type 0, checksum adjusted.
        const [dst, src] = [Buffer.from(frame.subarray(0, 6)), Buffer.from(frame.subarray(6, 12))];
        frame.set(src, 0);
        frame.set(dst, 6);
        const [from, to] = [Buffer.from(frame.subarray(26, 30)), Buffer.from(frame.subarray(30, 34))];
        frame.set(to, 26);
        frame.set(from, 30);
        frame[34] = 0;
        const sum = frame.readUInt16BE(36) + 0x0800;
        frame.writeUInt16BE((sum & 0xffff) + (sum >> 16), 36);
        memory.tap({ port: 3, frame: [frame.subarray(0, 20), frame.subarray(20)] });
        answered++;
        t.equal(memory.startInSlot(i), LIMIT.HEADROOM - LIMIT.VNET_HDR_LEN);
      }
      io.send(memory.count);
      for (const result of memory.results()) t.ok(result > 80, "the device takes the answer");
    }
    t.equal(status, 0, `ping has its answers ${vnetHdr ? "with" : "without"} virtio_net_hdr`);
    t.equal(answered, 3);
    t.ok(
      memory.counter("sys_read") >= 3 && memory.counter("sys_writev") === 3 && memory.counter("sys_poll") > 0,
      "calls are counted",
    );
    ns.end();
  }
});

t.test("virtio_net_hdr asks for checksums both ways", async (t) => {
  const ns = netns(t);
  const memory = new TestMemory();
  const io = openIo(t, memory);
  const device = open(t);
  device.setOffload({ checksum: true });
  link.placeDevice({ name: device.name, netnsFd: ns.fd, ifname: "eth0" });
  link.configureDevice({
    ifname: "eth0",
    netnsFd: ns.fd,
    mac: "02:00:00:00:00:01",
    addresses: ["10.8.0.1/24"],
    up: true,
  });
  ns.in("ip neigh add 10.8.0.2 lladdr 02:00:00:00:00:02 dev eth0");
  io.addPort(0, device.fd, true);
  datagrams("10.8.0.2", 1, `ip netns exec ${ns.name}`);
  io.poll(1000);
  const n = io.readPorts(128);
  const found = Array.from({ length: n }, (_, i) => memory.received(i).octets).find((o) => frameOf(o)[23] === 17);
  t.ok(found, "the datagram arrives");
  if (!found) return;
  t.equal(found[0], 1, "NEEDS_CSUM");
  t.equal(found.readUInt16LE(6), 34, "csum_start counts from the Ethernet header");
  t.equal(found.readUInt16LE(8), 6, "csum_offset is UDP's");
  t.equal(frameOf(found).subarray(42, 47).toString(), "hello");
});

t.test("a TUN carries IP packets", async (t) => {
  const memory = new TestMemory();
  const io = openIo(t, memory);
  const device = open(t, { kind: "tun" });
  link.configureDevice({ ifname: device.name, addresses: ["10.77.0.1/24", "fd77::1/64"], up: true, mtu: 1400 });
  io.addPort(1, device.fd, true);
  sh("ping -c1 -W1 10.77.0.9 >/dev/null 2>&1 &");
  await pause(100);
  t.equal(io.poll(1000) & READY.TAP, READY.TAP);
  const packets = Array.from({ length: io.readPorts(128) }, (_, i) => frameOf(memory.received(i).octets));
  const echo = packets.find((p) => (p[0] ?? 0) >> 4 === 4 && p[9] === 1);
  t.ok(echo, "an ICMP packet without Ethernet header");
  if (!echo) return;
  // Sent back as it is, with the addresses exchanged: the kernel takes it as a request for itself and answers.
  const back = Buffer.concat([echo.subarray(0, 12), echo.subarray(16, 20), echo.subarray(12, 16), echo.subarray(20)]);
  memory.clear();
  memory.tap({ port: 1, frame: back });
  io.send(1);
  t.equal(memory.result(0), back.length + LIMIT.VNET_HDR_LEN);
  io.poll(1000);
  const answers = Array.from({ length: io.readPorts(128) }, (_, i) => frameOf(memory.received(i).octets));
  t.ok(
    answers.some((p) => p[9] === 1 && p[20] === 0),
    "the kernel answers the request",
  );
});

t.test("a device is configured as `ip` would", async (t) => {
  const ns = netns(t);
  const device = open(t);
  link.placeDevice({ name: device.name, netnsFd: ns.fd, ifname: "eth0" });
  link.configureDevice({
    ifname: "eth0",
    netnsFd: ns.fd,
    mac: "02:00:00:00:00:07",
    mtu: 1450,
    txQueueLen: 777,
    gsoMaxSize: 61_000,
    addresses: ["10.8.0.1/24", "fd00:1:2::ab:1/64", "192.0.2.1/32"],
    up: true,
    loopback: true,
    routes: [
      { to: "default", via: "10.8.0.254" },
      { to: "::/0", via: "fd00:1:2::1" },
      { to: "10.99.0.7/16", via: "10.8.0.9" },
      { to: "172.16.0.0/12" },
      { to: "fd99::/48" },
    ],
  });
  interface Link {
    ifname: string;
    address: string;
    mtu: number;
    txqlen: number;
    gso_max_size: number;
    flags: string[];
    addr_info: { local: string; prefixlen: number; nodad?: boolean; scope: string; tentative?: boolean }[];
  }
  const [eth0] = JSON.parse(ns.in("ip -d -j address show eth0")) as [Link];
  t.match(eth0, { address: "02:00:00:00:00:07", mtu: 1450, txqlen: 777, gso_max_size: 61_000 });
  t.ok(eth0.flags.includes("UP"));
  const addresses = eth0.addr_info
    .filter((a) => a.scope === "global")
    .map((a) => `${a.local}/${a.prefixlen}`)
    .sort();
  t.strictSame(addresses, ["10.8.0.1/24", "192.0.2.1/32", "fd00:1:2::ab:1/64"]);
  t.match(
    eth0.addr_info.find((a) => a.local === "fd00:1:2::ab:1"),
    { nodad: true },
  );
  const [lo] = JSON.parse(ns.in("ip -j link show lo")) as [Link];
  t.ok(lo.flags.includes("UP"), "lo is up");
  interface Route {
    dst: string;
    gateway?: string;
    dev: string;
    protocol: string;
  }
  const routes = (JSON.parse(ns.in("ip -j route")) as Route[]).map((r) => `${r.dst} ${r.gateway ?? "-"}`);
  for (const route of ["default 10.8.0.254", "10.99.0.0/16 10.8.0.9", "172.16.0.0/12 -"])
    t.ok(routes.includes(route), route);
  const routes6 = (JSON.parse(ns.in("ip -6 -j route")) as Route[]).map((r) => `${r.dst} ${r.gateway ?? "-"}`);
  for (const route of ["default fd00:1:2::1", "fd99::/48 -"]) t.ok(routes6.includes(route), route);

  t.match(link.deviceStats(device), { mac: "02:00:00:00:00:07", mtu: 1450, up: true });
  link.configureDevice({
    ifname: "eth0",
    netnsFd: ns.fd,
    addresses: ["10.8.0.1/24"],
    routes: [{ to: "default", via: "10.8.0.254" }],
  });
  t.pass("what is there already is kept without an error");
  link.configureDevice({ ifname: "eth0", netnsFd: ns.fd, up: false });
  t.match(link.deviceStats(device), { up: false });

  const refused =
    (spec: object): (() => void) =>
    () =>
      link.configureDevice({ ifname: "eth0", netnsFd: ns.fd, up: true, ...spec });
  t.throws(refused({ ifname: "nope" }), {
    code: "ENODEV",
    message: /cannot find device nope.*no such device in that namespace/,
  });
  t.throws(refused({ mac: "banana" }), { code: "EINVAL", message: /banana is not a MAC address/ });
  t.throws(refused({ mac: "01:00:00:00:00:01" }), {
    code: "EADDRNOTAVAIL",
    message: /cannot set MAC 01:00:00:00:00:01 of device eth0/,
  });
  t.throws(refused({ mtu: 10 }), { code: "EINVAL", message: /cannot set MTU 10 of device eth0/ });
  t.throws(refused({ addresses: ["10.8.0.300/24"] }), { code: "EINVAL", message: /10.8.0.300\/24 is not an address/ });
  t.throws(refused({ addresses: ["10.8.0.3/33"] }), { code: "EINVAL", message: /is not an address/ });
  t.throws(refused({ routes: [{ to: "10.0.0.0/8", via: "203.0.113.1" }] }), {
    code: "ENETUNREACH",
    message: /gateway is not in a network/,
  });
  t.throws(refused({ routes: [{ to: "10.0.0.0/8", via: "fd00::1" }] }), { code: "EINVAL", message: /same family/ });
});

t.test("a move that fails leaves the device where it was", async (t) => {
  const ns = netns(t);
  ns.in("ip link add eth0 type veth peer name peer0");
  const device = open(t);
  const own = netnsIdentity("/proc/self/ns/net");
  const place =
    (ifname: string, name = device.name): (() => void) =>
    () =>
      link.placeDevice({ name, netnsFd: ns.fd, ifname });
  t.throws(place("eth0"), { code: "EEXIST", message: /has a device eth0 already.*--ifname/ });
  t.throws(place("bad/name"), { code: "EINVAL", message: /is not a device name/ });
  t.throws(place("a-name-that-is-too-long"), { code: /ERANGE|EINVAL|ENAMETOOLONG/ });
  t.throws(place("x", "nope"), { code: "ENODEV" });
  t.equal(device.netns(), own);
  t.equal(device.describe().name, device.name, "name and place are as before");
  place("eth1")();
  t.equal(device.netns(), netnsIdentity(ns.fd));
  t.equal(device.describe().name, "eth1");
});

t.test("a persistent device is adopted inside its namespace by a later opener", async (t) => {
  const ns = netns(t);
  const first = open(t);
  first.setPersist(true);
  link.placeDevice({ name: first.name, netnsFd: ns.fd, ifname: "eth0" });
  link.configureDevice({ ifname: "eth0", netnsFd: ns.fd, addresses: ["10.8.0.1/24"], up: true });
  t.match(first.describe(), { name: "eth0", persist: true, vnetHdr: true, multiQueue: false });
  const adopt: OpenDevice = { kind: "tap", name: "eth0", vnetHdr: true, netnsFd: ns.fd, mustExist: true };
  t.throws(() => link.openDevice(adopt), { code: "EBUSY", message: /another process has the device open/ });
  const { ifindex } = link.deviceStats(first) ?? {};
  first.close();
  first.close();
  t.throws(() => first.describe(), { code: "EBADF" });
  t.match(ns.in("ip -br address show eth0"), /10.8.0.1\/24/, "it outlives its opener, with its address");

  t.throws(() => link.openDevice({ ...adopt, name: "eth7" }), { code: "ENODEV", message: /no such device/ });
  t.throws(() => link.openDevice({ ...adopt, kind: "tun" }), { code: "EINVAL", message: /of another kind/ });
  t.throws(() => link.openDevice({ ...adopt, multiQueue: true }), { code: "EINVAL", message: /multi-queue/ });
  t.notMatch(ns.in("ip -br link"), /eth7/, "looking for a device does not make one");
  t.throws(
    () => link.openDevice({ kind: "tap", name: "eth0", vnetHdr: true, mustExist: true }),
    { code: "ENODEV" },
    "not here",
  );

  const again = link.openDevice(adopt);
  t.equal(link.deviceStats(again)?.ifindex, ifindex, "the same device");
  t.equal(again.netns(), netnsIdentity(ns.fd));
  t.equal(netnsIdentity("/proc/thread-self/ns/net"), netnsIdentity("/proc/self/ns/net"), "this thread has not moved");
  t.not(again.netns(), netnsIdentity("/proc/self/ns/net"));
  again.setPersist(false);
  again.close();
  t.notMatch(ns.in("ip -br link"), /eth0/, "it ends with its last opener");
});

t.test("queues of a multi-queue device are opened alike", async (t) => {
  const first = open(t, { multiQueue: true });
  const second = open(t, { multiQueue: true, name: first.name });
  t.ok(second.describe().multiQueue);
  t.throws(() => link.openDevice({ kind: "tap", name: first.name, vnetHdr: true }), {
    code: "EINVAL",
    syscall: "ioctl(TUNSETIFF)",
  });
  t.throws(
    () => link.openDevice({ kind: "tap", name: first.name, vnetHdr: false, multiQueue: true }),
    {
      code: "EINVAL",
      message: /vnet_hdr/,
    },
    "the kernel would accept a queue without the header, weft does not",
  );
});

t.test(
  "a device that is down is not gone, and costs no poll; one whose namespace ended is, and the others go on",
  async (t) => {
    const ns = netns(t);
    const memory = new TestMemory();
    const io = openIo(t, memory);
    const doomed = open(t);
    const other = open(t);
    link.placeDevice({ name: doomed.name, netnsFd: ns.fd, ifname: "eth0" });
    // Without a link-local address it says nothing of its own accord.
    sh(`ip link set ${other.name} addrgenmode none`);
    link.configureDevice({ ifname: other.name, addresses: ["10.66.0.1/24"], up: true });
    io.addPort(0, doomed.fd, true);
    io.addPort(1, other.fd, true);
    while (io.poll(100) & READY.TAP) io.readPorts(128);
    const write = (): number[] => {
      memory.clear();
      memory.tap({ port: 0, frame: Buffer.alloc(60) });
      io.send(1);
      return memory.results();
    };
    t.strictSame(write(), [-EIO], "a write to a device that is down");
    const started = Date.now();
    t.equal(io.poll(150), 0);
    t.ok(Date.now() - started >= 140, "the poll sleeps");
    t.strictSame(io.takeGonePorts(), []);
    t.strictSame(link.deviceStats(doomed)?.up, false);
    link.configureDevice({ ifname: "eth0", netnsFd: ns.fd, up: true });
    t.ok((write()[0] ?? 0) > 0, "up again");

    ns.end();
    let gone: number[] = [];
    for (let i = 0; i < 1500 && gone.length === 0; i++) {
      await pause(20);
      if (io.poll(0) & READY.TAP) io.readPorts(128);
      gone = io.takeGonePorts();
    }
    t.strictSame(gone, [0], "the port is reported");
    t.strictSame(write(), [-EBADFD]);
    t.equal(link.deviceStats(doomed), undefined);
    t.throws(() => doomed.netns(), { code: "EBADFD", message: /the device or its namespace is gone/ });
    const idle = Date.now();
    while (io.poll(100) & READY.TAP) io.readPorts(128);
    t.ok(Date.now() - idle >= 90, "its descriptor does not keep the poll awake");
    datagrams("10.66.0.2", 1);
    t.equal(io.poll(1000) & READY.TAP, READY.TAP, "the other port is read");
    t.ok(io.readPorts(128) > 0);
    io.removePort(0);
    t.throws(() => io.addPort(0, doomed.fd, true), { code: "EBADFD" });
  },
);

t.test("a deleted device is gone too, whoever deleted it", async (t) => {
  const memory = new TestMemory();
  const io = openIo(t, memory);
  const device = open(t);
  io.addPort(9, device.fd, true);
  io.addPort(10, open(t).fd, false);
  link.deleteDevice(device.name);
  t.throws(() => link.deleteDevice(device.name), { code: "ENODEV", message: /cannot delete device/ });
  io.poll(100);
  t.strictSame(io.takeGonePorts(), [9]);
  t.strictSame(io.takeGonePorts(), [], "once");
});

t.test("frames the ring had no room for are counted", async (t) => {
  const device = open(t);
  link.configureDevice({ ifname: device.name, txQueueLen: 10, addresses: ["10.67.0.1/24"], up: true });
  sh(`ip neigh add 10.67.0.2 lladdr 02:00:00:00:00:02 dev ${device.name}`);
  datagrams("10.67.0.2", 40);
  t.ok((link.deviceStats(device)?.txDropped ?? 0) >= 20, "nobody reads");
});

t.test("ports are read in turn, a bounded number from each", async (t) => {
  const memory = new TestMemory();
  const io = openIo(t, memory);
  for (const port of [0, 1, 2]) {
    const device = open(t);
    link.configureDevice({ ifname: device.name, txQueueLen: 1000, addresses: [`10.7${port}.0.1/24`], up: true });
    sh(`ip neigh add 10.7${port}.0.2 lladdr 02:00:00:00:00:02 dev ${device.name}`);
    io.addPort(port, device.fd, true);
    const count = port === 1 ? 200 : 20;
    datagrams(`10.7${port}.0.2`, count);
  }
  io.poll(100);
  const sources = Array.from({ length: io.readPorts(128) }, (_, i) => memory.received(i).source);
  t.equal(sources.length, 128, "a full batch");
  for (const port of [0, 2]) t.ok(sources.filter((s) => s === port).length >= 20, `port ${port} had its turn`);
  t.equal(io.poll(0) & READY.TAP, READY.TAP, "what was left is still announced");
  let rest = 0;
  for (let n = io.readPorts(128); n > 0; n = io.readPorts(128)) rest += n;
  t.ok(rest >= 200 + 40 - 128);
});

t.test("UDP_SEGMENT and UDP_GRO carry many datagrams in one call each way", async (t) => {
  for (const [family, address, addr, index, receiverIndex] of [
    [4, "127.0.0.1", mapped("127.0.0.1"), 0, 0],
    [6, "::1", v6("1"), 16, 1],
  ] as const) {
    const memory = new TestMemory();
    const io = openIo(t, memory);
    const receiver = udp(t, { family, address, gro: true, receiveBuffer: 8 << 20 });
    const sender = udp(t, { family, address });
    t.ok(receiver.gro);
    // Without real privilege (in a user namespace) the system's limit holds.
    const buffer = link.features().bufferForce ? 8 << 20 : 1 << 16;
    t.ok(receiver.receiveBuffer >= buffer, "the buffer passes the system's limit where it may");
    io.addReceiver(receiverIndex, receiver.fd);
    io.addSender(index, sender.fd);
    const data = randomBytes(20 * 1400 + 300);
    const to = { sender: index, addr, port: receiver.port };
    memory.udp({ ...to, payload: [data.subarray(0, 5000), data.subarray(5000)], gsoSize: 1400, tos: 0x02 });
    memory.udp({ ...to, payload: data.subarray(0, 1000), gsoSize: 1400 });
    memory.udp({ ...to, payload: Buffer.alloc(500, 7), tos: 0xb8 });
    io.send(3);
    t.strictSame(memory.results(), [data.length, 1000, 500], `IPv${family}: taken whole`);
    t.equal(memory.counter("sys_sendmmsg"), 1, "one call");
    t.equal(io.poll(1000), READY.UDP);
    const n = io.receive(128);
    t.equal(n, 3, "one buffer for the 21 datagrams");
    const got = memory.received(0);
    t.match(got, { source: receiverIndex, segLen: 1400, addr, addrPort: sender.port, tos: 2, rxFlags: 0 });
    t.ok(got.octets.equals(data), "octet for octet");
    t.match(memory.received(1), { segLen: 0, tos: 0 });
    t.match(memory.received(2), { segLen: 0, tos: 0xb8 });

    // Many more than one call takes.
    memory.clear();
    for (let i = 0; i < 150; i++) memory.udp({ ...to, payload: Buffer.from([i & 255, i >> 8, 1, 2]) });
    io.send(150);
    t.ok(memory.results().every((r) => r === 4));
    const numbers: number[] = [];
    while (io.poll(50) & READY.UDP) {
      const count = io.receive(128);
      for (let i = 0; i < count; i++) {
        const { octets, segLen } = memory.received(i);
        for (let at = 0; at < octets.length; at += segLen || octets.length) numbers.push(octets.readUInt16LE(at));
      }
    }
    t.strictSame(
      numbers,
      Array.from({ length: 150 }, (_, i) => i),
      "all, in order",
    );
    t.equal(receiver.drops(), 0);
  }
});

t.test(
  "a refused UDP_SEGMENT send goes out as single datagrams; what cannot go has its errno and stops nobody",
  async (t) => {
    const memory = new TestMemory();
    const io = openIo(t, memory);
    const receiver = udp(t, { receiveBuffer: 8 << 20 });
    const sender = udp(t);
    io.addReceiver(0, receiver.fd);
    io.addSender(0, sender.fd);
    const to = { sender: 0, addr: mapped("127.0.0.1"), port: receiver.port };
    memory.udp({ ...to, payload: Buffer.alloc(65_508) });
    memory.udp({ ...to, payload: Buffer.alloc(200 * 10, 1), gsoSize: 10 });
    memory.udp({ ...to, payload: Buffer.alloc(65_535, 2), gsoSize: 1400 });
    memory.udp({ ...to, payload: Buffer.alloc(66_000, 3), gsoSize: 65_507 });
    memory.udp({ ...to, payload: Buffer.from("last") });
    io.send(5);
    t.strictSame(memory.results(), [-EMSGSIZE, 2000, 65_535, 66_000, 4]);
    t.equal(memory.counter("gso_fallbacks"), 1, "the 200: the others are not even asked for, or are no such send");
    const lengths: number[] = [];
    while (io.poll(50) & READY.UDP) {
      const n = io.receive(128);
      for (let i = 0; i < n; i++) lengths.push(memory.received(i).octets.length);
    }
    const of = (length: number): number => lengths.filter((l) => l === length).length;
    t.equal(of(10), 200, "200 segments are more than one send takes");
    t.equal(of(1400), 46, "65,535 octets are more than one send takes");
    t.equal(of(65_507), 1);
    t.equal(of(4), 1, "the one behind them all");
    t.equal(lengths.length, 200 + 47 + 2 + 1);
  },
);

t.test("a datagram that does not fit its slot says so, and a full buffer counts", async (t) => {
  const memory = new TestMemory();
  const io = openIo(t, memory);
  const small = udp(t, { receiveBuffer: 4096 });
  const sender = udp(t);
  io.addReceiver(0, small.fd);
  io.addSender(0, sender.fd);
  for (let i = 0; i < 100; i++)
    memory.udp({ sender: 0, addr: mapped("127.0.0.1"), port: small.port, payload: Buffer.alloc(1000) });
  io.send(100);
  io.poll(100);
  const got = io.receive(128);
  t.ok(got < 100 && got > 0);
  t.equal(small.drops(), 100 - got, "received and dropped are all that were sent");
  t.equal(memory.received(0).rxFlags, 0);
});

t.test("an underlay that is away answers with its own errno and the socket lives on", async (t) => {
  const memory = new TestMemory();
  const io = openIo(t, memory);
  sh(
    "ip link add under0 type veth peer name under1; ip link set under1 up; ip address add 10.55.0.1/24 dev under0; ip link set under0 up; ip neigh add 10.55.0.2 lladdr 02:00:00:00:00:09 dev under0",
  );
  t.teardown(() => sh("ip link del under0"));
  const sender = udp(t, { address: "10.55.0.1" });
  io.addSender(0, sender.fd);
  const send = (): number => {
    memory.clear();
    memory.udp({ sender: 0, addr: mapped("10.55.0.2"), port: 4789, payload: Buffer.alloc(100) });
    io.send(1);
    return memory.result(0);
  };
  t.equal(send(), 100);
  sh("ip link set under0 down");
  t.equal(send(), -constants.errno.ENETUNREACH);
  t.match(link.underlayInterface("10.55.0.1"), { name: "under0", up: false });
  sh("ip link set under0 up; ip neigh replace 10.55.0.2 lladdr 02:00:00:00:00:09 dev under0");
  t.equal(send(), 100);
  t.strictSame(link.underlayInterface("10.55.0.1"), { name: "under0", mtu: 1500, up: true });
  t.equal(link.underlayInterface("10.55.0.99"), undefined);
  t.throws(() => link.underlayInterface("nonsense"), { code: "EINVAL" });
  sh(
    "ip route add default via 10.55.0.2 metric 50; ip -6 address add fd55::1/64 dev under0 nodad; ip -6 route add default via fd55::2",
  );
  t.strictSame(link.defaultSources(), ["10.55.0.1", "fd55::1"]);
});

t.test("a UDP port is taken by one switch only", async (t) => {
  sh("ip address add 127.0.0.77/8 dev lo");
  t.teardown(() => sh("ip address del 127.0.0.77/8 dev lo"));
  const lock = link.lockUdpPort("127.0.0.1", 4789);
  t.throws(() => link.lockUdpPort("127.0.0.1", 4789), { code: "EADDRINUSE", holder: "weft", message: /another weft/ });
  const second = link.lockUdpPort("127.0.0.77", 4789);
  t.pass("another address of the same host has a lock of its own");
  udp(t, { port: 4789, reusePort: true });
  udp(t, { port: 4789, reusePort: true });
  udp(t, { port: 4789, address: "127.0.0.77", reusePort: true });
  lock.release();
  lock.release();
  second.release();
  t.throws(
    () => link.lockUdpPort("127.0.0.1", 4789),
    { code: "EADDRINUSE", holder: "other" },
    "sockets are there still",
  );

  sh("ip link add vx9 type vxlan id 9 dstport 4790 dev lo; ip link set vx9 up");
  t.teardown(() => sh("ip link del vx9"));
  t.throws(() => link.lockUdpPort("127.0.0.1", 4790), {
    code: "EADDRINUSE",
    holder: "other",
    message: /kernel vxlan or wireguard device/,
  });
  t.throws(
    () => link.lockUdpPort("127.0.0.1", 4790),
    { code: "EADDRINUSE", holder: "other" },
    "a failed try leaves no lock",
  );
  t.throws(() => link.openUdp({ family: 4, address: "192.0.2.200", port: 0 }), {
    code: "EADDRNOTAVAIL",
    message: /no interface of this host has/,
  });
  t.throws(() => link.openUdp({ family: 4, address: "127.0.0.1", port: 0, range: [4790, 4790] }), {
    code: "EADDRINUSE",
    message: /from 4790 to 4790/,
  });
});

t.test("all addresses are one lock, and exclude every single one", async (t) => {
  for (const [family, any, single] of [
    [4, "0.0.0.0", "127.0.0.1"],
    [6, "::", "::1"],
  ] as const) {
    const lock = link.lockUdpPort(any, 51_820);
    t.throws(() => link.lockUdpPort(any, 51_820), { code: "EADDRINUSE", holder: "weft", message: /another weft/ });
    const members = [1, 2].map(() => udp(t, { family, address: any, port: 51_820, reusePort: true }));
    lock.release();
    t.throws(() => link.lockUdpPort(any, 51_820), { code: "EADDRINUSE", holder: "other" }, "sockets are there still");
    t.throws(() => link.lockUdpPort(single, 51_820), { code: "EADDRINUSE", holder: "other" }, "one of its addresses");
    for (const member of members) member.close();
    const one = udp(t, { family, address: single, port: 51_820 });
    t.throws(() => link.lockUdpPort(any, 51_820), { code: "EADDRINUSE", holder: "other" }, "all, while one is taken");
    one.close();
    link.lockUdpPort(any, 51_820).release();
  }
});

t.test("IPv4 and IPv6 sockets share a port number", async (t) => {
  udp(t, { port: 4791 });
  udp(t, { family: 6, address: "::", port: 4791 });
  udp(t, { family: 6, address: "::1", port: 0 });
  t.pass("IPV6_V6ONLY");
});

t.test("errors without privilege or device node say what to do", async (t) => {
  const code = `import("@weft/tun").then(({ kernelLink }) => { try { kernelLink().openDevice({ kind: "tap", name: "x", vnetHdr: true }) } catch (e) { console.log(JSON.stringify({ code: e.code, errno: e.errno, syscall: e.syscall, message: e.message })) } })`;
  const run = (before: string[]): unknown => {
    const [command = "", ...args] = [...before, process.execPath, "-e", code];
    const { stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
    return stdout ? JSON.parse(stdout) : stderr;
  };
  t.match(run(["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", "--"]), {
    code: "EPERM",
    errno: -1,
    syscall: "ioctl(TUNSETIFF)",
    message: /cannot open tap device x .*CAP_NET_ADMIN.*unshare -Urnm/,
  });
  t.match(run(["unshare", "-m", "sh", "-c", 'mount -t tmpfs tmpfs /dev/net && exec "$@"', "sh"]), {
    code: "ENOENT",
    syscall: "open(/dev/net/tun)",
    message: /modprobe tun.*--device \/dev\/net\/tun/,
  });
});

t.test("statistics, looked at 500 times, do not keep the namespace alive", async (t) => {
  const device = open(t);
  const ns = netns(t);
  link.placeDevice({ name: device.name, netnsFd: ns.fd, ifname: "eth0" });
  for (let i = 0; i < 500; i++) link.deviceStats(device);
  ns.end();
  let gone = false;
  for (let i = 0; i < 1500 && !gone; i++) {
    await pause(20);
    gone = link.deviceStats(device) === undefined;
  }
  t.ok(gone, "the kernel has freed it");
});

runSanitized(import.meta.url);
