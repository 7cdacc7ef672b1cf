/** Super-frames, segmentation and full sockets on the real kernel, on both addon builds. */
import { spawn, spawnSync } from "node:child_process";
import { constants } from "node:os";
import { LIMIT } from "@weft/dataplane-wasm/abi";
import { type Features, kernelLink } from "@weft/tun";
import t from "tap";
import { datagrams, netns, open, openIo, pause, sh, udp, withoutFeatures } from "../tun/kernel.js";
import { mapped, TestMemory } from "../tun/memory.js";
import { passThrough } from "../tun/offloads.js";
import { commandEnvironment, plainNode, runSanitized } from "../tun/sanitized.js";
import { GSO, TUN_HEADERS, VNET_FRAME, VNET_HEADERS } from "../tun/vnet.js";

const link = kernelLink();
const { EAGAIN, EINVAL } = constants.errno;

sh("ip link set lo up");

t.test("every feature the probe tries is there on a current kernel, and WEFT_DISABLE takes them away", async (t) => {
  const features = link.features();
  t.match(features, {
    kernel: /^\d+\.\d+/,
    vnetHdr: true,
    tapChecksum: true,
    tso: true,
    coalesceTcp: true,
    gso: true,
    gro: true,
    tunGetDevNetns: true,
    reuseportSteering: true,
  });
  t.equal(features.coalesceUdp, features.uso, "both came with Linux 6.2");
  t.ok([64, 128].includes(features.gsoMax));
  t.equal(sh("ip -br link show type tun | grep -c weftprobe || true").trim(), "0", "the probe leaves no device");
  const print = `import("@weft/tun").then(({ kernelLink }) => console.log(JSON.stringify(kernelLink().features())))`;
  const alone = spawnSync(
    "setpriv",
    ["--bounding-set=-sys_admin", "--inh-caps=-sys_admin", "--", process.execPath, "-e", print],
    { encoding: "utf8", env: plainNode() },
  );
  t.strictSame(JSON.parse(alone.stdout), features, "nor does it need a namespace of its own");
  t.equal(sh("ip -br link show type tun | grep -c weftprobe || true").trim(), "0", "or leave a device there");

  const without = (disable: string): Promise<Features> => withoutFeatures(disable, (other) => other.features());
  t.match(await without("gro, tapChecksum"), {
    gro: false,
    tapChecksum: false,
    tso: false,
    uso: false,
    coalesceTcp: false,
    coalesceUdp: false,
    vnetHdr: true,
    gso: true,
  });
  t.match(await without("vnetHdr,gso,bufferForce"), {
    vnetHdr: false,
    tapChecksum: false,
    coalesceTcp: false,
    gso: false,
    gsoMax: 1,
    bufferForce: false,
  });
  for (const name of [
    "tso",
    "uso",
    "coalesceTcp",
    "coalesceUdp",
    "gso",
    "gro",
    "tunGetDevNetns",
    "reuseportSteering",
  ]) {
    const left: Record<string, unknown> = { ...features, [name]: false };
    if (name === "tso") left.uso = false;
    if (name === "gso") left.gsoMax = 1;
    t.strictSame(await without(name), left, `without ${name}, and with all the others`);
  }
  for (const [disable, gro] of [
    ["", true],
    ["gro", false],
  ] as const) {
    const socket = await withoutFeatures(disable, (other) =>
      other.openUdp({ family: 4, address: "127.0.0.1", port: 0, gro: true }),
    );
    t.equal(socket.gro, gro, `a socket ${gro ? "with" : "without"} UDP_GRO`);
    socket.close();
  }
  await t.rejects(without("grro"), /no feature grro; there are vnetHdr,/, "a misspelt name is an error");
});

t.test("the size of super-frames is kept through a move, and one the kernel refuses is no error", async (t) => {
  const ns = netns(t);
  const device = open(t);
  const size = (run: (line: string) => string, name: string): unknown =>
    (JSON.parse(run(`ip -d -j link show ${name}`)) as [{ gso_max_size: number }])[0].gso_max_size;
  t.equal(size(sh, device.name), 65_536, "the kernel's own");
  link.configureDevice({ ifname: device.name, gsoMaxSize: 62_000 });
  link.configureDevice({ ifname: device.name, gsoMaxSize: 4_000_000, mtu: 1400 });
  t.equal(size(sh, device.name), 62_000, "as before: a TAP takes 65,536 octets at most");
  t.equal(link.deviceStats(device)?.mtu, 1400, "what else was asked for is done");
  link.placeDevice({ name: device.name, netnsFd: ns.fd, ifname: "eth0" });
  t.equal(size(ns.in, "eth0"), 62_000);
});

t.test("a TAP takes and refuses the virtio_net_hdrs that the twin does", async (t) => {
  const memory = new TestMemory();
  const io = openIo(t, memory);
  const device = open(t);
  sh(`ip link set ${device.name} addrgenmode none`);
  link.configureDevice({ ifname: device.name, up: true });
  io.addPort(0, device.fd, false);
  const { coalesceUdp } = link.features();
  for (const [what, header, verdict] of VNET_HEADERS) {
    if (!coalesceUdp && what.includes("UDP")) continue;
    memory.clear();
    memory.tap({ port: 0, frame: [Buffer.alloc(66), Buffer.alloc(VNET_FRAME - 66)], vnetHdr: header });
    io.send(1);
    t.equal(memory.result(0), verdict === "taken" ? VNET_FRAME + LIMIT.VNET_HDR_LEN : -EINVAL, what);
  }
});

t.test("a TUN does too, counted from the IP header", async (t) => {
  const memory = new TestMemory();
  const io = openIo(t, memory);
  const device = open(t, { kind: "tun" });
  link.configureDevice({ ifname: device.name, mtu: 1440, up: true });
  t.match(link.deviceStats(device), { mac: "00:00:00:00:00:00", mtu: 1440, up: true }, "it has no MAC");
  t.throws(() => link.configureDevice({ ifname: device.name, mac: "02:00:00:00:00:01" }), {
    code: "EOPNOTSUPP",
    message: /a TUN device has no MAC/,
  });
  io.addPort(0, device.fd, false);
  const write = (version: number, vnetHdr: Buffer): number => {
    memory.clear();
    memory.tap({ port: 0, frame: [Buffer.alloc(66, version << 4), Buffer.alloc(VNET_FRAME - 66)], vnetHdr });
    io.send(1);
    return memory.result(0);
  };
  for (const [what, header, verdict] of TUN_HEADERS) {
    if (!link.features().coalesceUdp && what.includes("UDP")) continue;
    t.equal(write(4, header), verdict === "taken" ? VNET_FRAME + LIMIT.VNET_HDR_LEN : -EINVAL, what);
  }
  t.equal(write(6, Buffer.alloc(LIMIT.VNET_HDR_LEN)), VNET_FRAME + LIMIT.VNET_HDR_LEN, "IPv6");
  t.equal(write(5, Buffer.alloc(LIMIT.VNET_HDR_LEN)), -EINVAL, "neither");
});

t.test("super-frames pass between TUNs", async (t) => {
  const { uso } = link.features();
  for (const disable of ["", "tapChecksum"]) {
    const what = disable === "" ? "with everything" : `without ${disable}`;
    const [a, b] = [netns(t), netns(t)];
    const { tcp, udp: datagrams } = await withoutFeatures(disable, (other) =>
      passThrough(other, [a.name, b.name], "tun"),
    );
    a.end();
    b.end();
    for (const { intact, refused } of [tcp, datagrams]) {
      t.ok(intact, `every octet arrives ${what}`);
      t.strictSame(refused, [], "every packet is taken");
    }
    const whole = disable === "";
    t.equal(tcp.types.includes(GSO.TCPV4), whole);
    t.ok(whole ? tcp.longest > 20_000 : tcp.longest <= 1500, `${tcp.longest} octets ${what}`);
    t.equal(tcp.open > 0, whole, "checksums are left open");
    t.equal(datagrams.longest, whole && uso ? 28 + 10_000 : 28 + 1000);
    t.strictSame(datagrams.datagrams, Array(10).fill(1000), "the datagrams are as they were sent");
  }
});

t.test("super-frames pass between TAPs, and each offload can be switched off", async (t) => {
  const mtu = 1500 + 14;
  const { uso } = link.features();
  for (const [disable, tcp, udp] of [
    ["", GSO.TCPV4, GSO.UDP_L4],
    ["uso", GSO.TCPV4, GSO.NONE],
    ["tso", GSO.NONE, GSO.NONE],
    ["tapChecksum", GSO.NONE, GSO.NONE],
    ["vnetHdr", GSO.NONE, GSO.NONE],
  ] as const) {
    const what = disable === "" ? "with everything" : `without ${disable}`;
    const [a, b] = [netns(t), netns(t)];
    const got = await withoutFeatures(disable, (other) => passThrough(other, [a.name, b.name]));
    a.end();
    b.end();
    for (const protocol of ["tcp", "udp"] as const) {
      t.ok(got[protocol].intact, `${protocol} ${what}: every octet arrives`);
      t.strictSame(got[protocol].refused, [], `${protocol} ${what}: every frame is taken`);
    }
    t.equal(got.tcp.types.includes(GSO.TCPV4), tcp !== GSO.NONE, `TCP super-frames ${what}`);
    t.ok(tcp === GSO.NONE ? got.tcp.longest <= mtu : got.tcp.longest > 20_000, `${got.tcp.longest} octets ${what}`);
    const whole = udp !== GSO.NONE && uso;
    t.strictSame(got.udp.types, [whole ? GSO.UDP_L4 : GSO.NONE], `UDP super-frames ${what}`);
    t.equal(got.udp.longest, whole ? 42 + 10_000 : 42 + 1000);
    t.strictSame(got.udp.datagrams, Array(10).fill(1000), "the datagrams are as they were sent");
    const unfinished = disable !== "tapChecksum" && disable !== "vnetHdr";
    t.equal(got.tcp.open > 0, unfinished, `open checksums ${what}`);
  }
});

t.test("a turn of super-frames is cut short, so that the others have theirs", async (t) => {
  const memory = new TestMemory();
  const io = openIo(t, memory);
  for (const port of [0, 1]) {
    const device = open(t);
    device.setOffload({ checksum: true, tso4: true, tso6: true, uso: true });
    sh(`ip link set ${device.name} addrgenmode none`);
    link.configureDevice({ ifname: device.name, addresses: [`10.7${port}.0.1/24`], up: true });
    sh(`ip neigh add 10.7${port}.0.2 lladdr 02:00:00:00:00:02 dev ${device.name}`);
    io.addPort(port, device.fd, true);
  }
  sh(
    `perl -MSocket -e 'socket(S,AF_INET,SOCK_DGRAM,0); setsockopt(S,1,32,pack("i",4<<20)); setsockopt(S,17,103,pack("i",1400)); send(S,"x"x56000,0,sockaddr_in(7,inet_aton("10.70.0.2"))) or die for 1..12'`,
  );
  datagrams("10.71.0.2", 20);
  io.poll(100);
  const sources = Array.from({ length: io.readPorts(128) }, (_, i) => memory.received(i));
  const first = sources.findIndex(({ source }) => source === 1);
  if (link.features().uso) {
    t.equal(first, 10, "ten frames of 56,042 octets are the first to pass 512 KiB");
    t.ok(
      sources.slice(0, 10).every(({ octets }) => octets.length === 56_052),
      "super-frames",
    );
    t.equal(sources.length, 32, "all of both");
  } else {
    t.equal(first, 32, "small frames go by their number");
  }
});

t.test("a full socket is waited for once, keeps its order and holds up no other", async (t) => {
  const ns = netns(t);
  sh(
    `ip link add full0 type veth peer name full1 netns ${ns.name}; ip address add 10.57.0.1/24 dev full0; ip link set full0 up; tc qdisc add dev full0 root tbf rate 8mbit burst 3000 limit 4000000`,
  );
  t.teardown(() => sh("ip link del full0"));
  ns.in("ip address add 10.57.0.2/24 dev full1");
  ns.in("ip link set full1 up");
  sh(`ip neigh add 10.57.0.2 lladdr ${ns.in("cat /sys/class/net/full1/address").trim()} dev full0`);
  const memory = new TestMemory();
  const io = openIo(t, memory);
  const slow = udp(t, { address: "10.57.0.1", sendBuffer: 1 });
  const free = udp(t);
  const sink = udp(t, { receiveBuffer: 4 << 20 });
  io.addSender(0, slow.fd);
  io.addSender(1, free.fd);

  /** Collects datagrams at the far end until nothing has come for half a second; prints number and length of each. */
  const program = `socket(S,AF_INET,SOCK_DGRAM,0); setsockopt(S,1,33,pack("i",8<<20)); bind(S,sockaddr_in(9000,INADDR_ANY)); $|=1; print "up\n"; while (1) { vec($r="",fileno(S),1)=1; last unless select($r,undef,undef,$n++ ? 0.5 : 10); recv(S,$b,65536,0); printf "%d:%d\n",unpack("N",$b),length $b }`;
  const far = spawn("ip", ["netns", "exec", ns.name, "perl", "-MSocket", "-e", program], {
    env: commandEnvironment(),
    stdio: ["ignore", "pipe", "inherit"],
  });
  let heard = "";
  const ended = new Promise((resolve) => far.on("close", resolve));
  await new Promise<void>((resolve) => {
    far.stdout.setEncoding("utf8").on("data", (text: string) => {
      heard += text;
      if (heard.startsWith("up\n")) resolve();
    });
  });

  const numbered = (n: number, length: number): Buffer => {
    const out = Buffer.alloc(length);
    out.writeUInt32BE(n);
    return out;
  };
  const to = { sender: 0, addr: mapped("10.57.0.2"), port: 9000 };
  const wanted: string[] = [];
  let number = 0;
  let partial = 0;
  const times: number[] = [];
  for (let round = 0; round < 20; round++) {
    memory.clear();
    const before = { send: memory.counter("sys_sendmmsg"), poll: memory.counter("sys_poll") };
    /** What was asked of the slow socket: number of the first datagram, how many, and how long each. */
    const asked: { index: number; first: number; count: number; length: number }[] = [];
    const add = (count: number, length: number): void => {
      const datagrams = Array.from({ length: count }, (_, i) => numbered(number + i, length));
      const index = memory.udp({ ...to, payload: datagrams, gsoSize: count > 1 ? length : 0 });
      asked.push({ index, first: number, count, length });
      number += count;
    };
    // 130 are more than a kernel takes in one send, so they go out one by one.
    if (round % 2 === 0) add(130, 200);
    const others: number[] = [];
    for (let i = 0; i < 20; i++) {
      add(1, 1000);
      const payload = Buffer.alloc(8);
      others.push(memory.udp({ ...to, sender: 1, addr: mapped("127.0.0.1"), port: sink.port, payload }));
    }
    add(3, 700);
    add(130, 200);
    const started = performance.now();
    io.send(memory.count);
    times.push(performance.now() - started);

    for (const index of others) t.equal(memory.result(index), 8, "the other socket takes everything");
    const results = asked.map(({ index }) => memory.result(index));
    for (const [i, { first, count, length }] of asked.entries()) {
      const taken = Math.max(0, results[i] as number) / length;
      t.ok(Number.isInteger(taken) && taken <= count, "whole datagrams");
      for (let k = 0; k < taken; k++) wanted.push(`${first + k}:${length}`);
      if (taken > 0 && taken < count) partial++;
    }
    const full = asked.findIndex(({ count, length }, i) => results[i] !== count * length);
    t.ok(full >= 0, "the socket is full before the end");
    t.ok((results[full] as number) > 0 || results[full] === -EAGAIN, `and says so: ${results[full]}`);
    t.ok(
      results.slice(full + 1).every((r) => r === -EAGAIN),
      "behind the first refusal nothing is sent",
    );
    t.equal(memory.counter("sys_poll") - before.poll, 1, "it waits once");
    // One call for the other socket, and for this one: the first, one after the wait, one that finds it full again.
    const singly = round % 2 === 0 ? Math.max(0, results[0] as number) / 200 + 2 : 0;
    const calls = memory.counter("sys_sendmmsg") - before.send;
    t.ok(calls <= 6 + singly, `${calls} calls`);
    await pause(round % 3 === 0 ? 40 : 3);
  }
  await ended;
  t.strictSame(heard.trim().split("\n").slice(1), wanted, "what was taken arrives, in order, and nothing else");
  // The fastest, as the machine may be busy otherwise: a datagram every millisecond, and it does not stay for them all.
  t.ok(Math.min(...times) < 20, `it takes ${times.map((ms) => ms.toFixed(1)).join()} ms`);
  t.ok(partial > 0, "there were sends of which a part went out");
  t.comment(`${wanted.length} of ${number} datagrams, ${partial} partial results`);
});

runSanitized(import.meta.url);
