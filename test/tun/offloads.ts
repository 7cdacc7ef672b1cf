/**
 * Two containers on TAPs or TUNs, joined by an Io that hands every frame on with its virtio_net_hdr, and TCP and UDP
 * between them.
 */
import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { LIMIT } from "@weft/dataplane-wasm/abi";
import type { Device, DeviceKind, Io, Link } from "@weft/tun";
import { TestMemory } from "./memory.js";
import { commandEnvironment } from "./sanitized.js";

/** Of one transport protocol's data frames. */
export interface Passed {
  /** Octets of the longest frame. */
  longest: number;
  /** gso_types seen, 0 for plain frames. */
  types: number[];
  /** Frames whose checksum was left open. */
  open: number;
  /** Whether the far side got every octet. */
  intact: boolean;
  /** Octets of each datagram that arrived. */
  datagrams?: number[];
  /** Errnos of frames the second device refused. */
  refused: number[];
}

/** Numbers of IP protocols. */
const PROTOCOL = { tcp: 6, udp: 17 } as const;
const TCP_WORDS = 500_000;
const UDP_WORDS = 2500;
/** Both sides count in 32-bit words; the server says whether they came in order, and what came at once. */
const PROGRAMS = {
  tcp: {
    server: `socket(S,AF_INET,SOCK_STREAM,0); bind(S,sockaddr_in(5001,INADDR_ANY)) or die; listen(S,1); $|=1; print "up\\n";
      accept(C,S); while (sysread(C,$b,1<<20)) { $all.=$b } print $all eq pack("N*",1..${TCP_WORDS}) ? "intact" : "broken";`,
    client: `socket(S,AF_INET,SOCK_STREAM,0); connect(S,sockaddr_in(5001,inet_aton("10.90.0.2"))) or die; print S pack("N*",1..${TCP_WORDS});`,
  },
  udp: {
    server: `socket(S,AF_INET,SOCK_DGRAM,0); bind(S,sockaddr_in(5002,INADDR_ANY)) or die; $|=1; print "up\\n";
      while (length($all) < ${4 * UDP_WORDS}) { recv(S,$b,65536,0); $all.=$b; push @l,length $b }
      print $all eq pack("N*",1..${UDP_WORDS}) ? "intact" : "broken"; print " @l";`,
    client: `socket(S,AF_INET,SOCK_DGRAM,0); setsockopt(S,17,103,pack("i",1000)) or die;
      defined send(S,pack("N*",1..${UDP_WORDS}),0,sockaddr_in(5002,inet_aton("10.90.0.2"))) or die;`,
  },
};

/**
 * Sends 2 MB over TCP and ten datagrams in one send over UDP from the first namespace (a name under /run/netns) to the
 * second, and tells what passed.
 */
export async function passThrough(
  link: Link,
  names: readonly [string, string],
  kind: DeviceKind = "tap",
): Promise<{ tcp: Passed; udp: Passed }> {
  const memory = new TestMemory();
  const io = link.createIo(memory.octets, 0);
  const devices = names.map((name, i) => container(link, kind, name, i + 1));
  try {
    for (const [port, device] of devices.entries()) io.addPort(port, device.fd, true);
    const ipOffset = kind === "tap" ? LIMIT.ETH_LEN : 0;
    return {
      tcp: await run(io, memory, names, "tcp", ipOffset),
      udp: await run(io, memory, names, "udp", ipOffset),
    };
  } finally {
    for (const opened of [io, ...devices]) opened.close();
  }
}

/** A device with every offload there is, in a namespace. */
function container(link: Link, kind: DeviceKind, netns: string, number: number): Device {
  const device = link.openDevice({ kind, name: `off${number}`, vnetHdr: true });
  device.setOffload({ checksum: true, tso4: true, tso6: true, uso: true });
  const netnsFd = openSync(`/run/netns/${netns}`, "r");
  link.placeDevice({ name: device.name, netnsFd, ifname: "eth0" });
  const mac = kind === "tap" ? { mac: `02:00:00:00:00:0${number}` } : {};
  link.configureDevice({ ifname: "eth0", netnsFd, ...mac, addresses: [`10.90.0.${number}/24`], up: true });
  closeSync(netnsFd);
  return device;
}

/** Starts a Perl program in a namespace; resolves when it says `up`, or has ended, as asked. */
function perl(
  netns: string,
  program: string,
  until: "up" | "end",
): Promise<{ output: () => string; end: Promise<void> }> {
  const child = spawn("ip", ["netns", "exec", netns, "perl", "-MSocket", "-e", program], {
    env: commandEnvironment(),
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  const end = new Promise<void>((resolve) => child.on("close", () => resolve()));
  return new Promise((resolve) => {
    const running = { output: () => text, end };
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      if (until === "up" && text.startsWith("up\n")) resolve(running);
    });
    void end.then(() => resolve(running));
  });
}

async function run(
  io: Io,
  memory: TestMemory,
  [from, to]: readonly [string, string],
  protocol: "tcp" | "udp",
  ipOffset: number,
): Promise<Passed> {
  const passed: Passed = { longest: 0, types: [], open: 0, intact: false, refused: [] };
  const server = await perl(to, PROGRAMS[protocol].server, "up");
  let ended = false;
  void server.end.then(() => {
    ended = true;
  });
  void perl(from, PROGRAMS[protocol].client, "end");
  for (const until = Date.now() + 60_000; !ended && Date.now() < until; ) {
    await new Promise((resolve) => setImmediate(resolve));
    io.poll(1);
    relay(io, memory, PROTOCOL[protocol], ipOffset, passed);
  }
  const [, verdict, ...lengths] = server.output().split(/\s/);
  passed.intact = verdict === "intact";
  if (protocol === "udp") passed.datagrams = lengths.map(Number);
  passed.types.sort((a, b) => a - b);
  return passed;
}

/** Hands what is there on to the other device. `ipOffset`: octets in front of the IP header. */
function relay(io: Io, memory: TestMemory, protocol: number, ipOffset: number, passed: Passed): void {
  const n = io.readPorts(32);
  memory.clear();
  for (let i = 0; i < n; i++) {
    const { octets, source } = memory.received(i);
    const frame = octets.subarray(LIMIT.VNET_HDR_LEN);
    memory.tap({ port: 1 - source, frame, vnetHdr: octets.subarray(0, LIMIT.VNET_HDR_LEN) });
    const packet = frame.subarray(ipOffset);
    if (source !== 0 || (packet[0] as number) >> 4 !== 4 || packet[9] !== protocol) continue;
    // Headers alone (SYN, ACK, FIN) say nothing.
    if (frame.length < 100) continue;
    passed.longest = Math.max(passed.longest, frame.length);
    const type = octets[1] as number;
    if (!passed.types.includes(type)) passed.types.push(type);
    passed.open += (octets[0] as number) & 1;
  }
  io.send(memory.count);
  for (const result of memory.results()) if (result < 0) passed.refused.push(result);
}
