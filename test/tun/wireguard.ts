/**
 * What WireGuard asks of sockets, told once for the kernel (test/netns) and for the twin (test/unit): local addresses of
 * datagrams, source addresses of answers, steering, turns.
 */
import { constants } from "node:os";
import { ENUM } from "@weft/dataplane-wasm/abi";
import type { Io, Link, OpenUdp, UdpSocket } from "@weft/tun";
import type { Test } from "tap";
import { mapped, TestMemory } from "./memory.js";

/** A host with addresses for these tests. */
export interface TestHost {
  readonly link: Link;
  /** Takes one of its addresses away, until the test's end. */
  remove(address: string): void;
}

/** By family: the host's addresses as text and as 16 octets, all addresses, RECEIVER and senders of WireGuard and VXLAN. */
const FAMILIES = [
  {
    family: 4,
    any: "0.0.0.0",
    texts: ["10.50.0.1", "10.50.0.2", "10.50.0.3"],
    octets: ["10.50.0.1", "10.50.0.2", "10.50.0.3"].map(mapped),
    receiver: ENUM.RECEIVER.WIREGUARD4,
    sender: 32,
    plain: { receiver: ENUM.RECEIVER.VXLAN4, sender: 0 },
  },
  {
    family: 6,
    any: "::",
    texts: ["fd50::1", "fd50::2", "fd50::3"],
    octets: [1, 2, 3].map((n) => `fd50${"00".repeat(13)}0${n}`),
    receiver: ENUM.RECEIVER.WIREGUARD6,
    sender: 33,
    plain: { receiver: ENUM.RECEIVER.VXLAN6, sender: 16 },
  },
] as const;

/** What a host needs to have. The first is where the others send from. */
export const HOST_ADDRESSES: readonly string[] = FAMILIES.flatMap(({ texts }) => texts);

const { EFAULT } = constants.errno;

function udp(t: Test, link: Link, spec: Partial<OpenUdp> & Pick<OpenUdp, "family" | "address">): UdpSocket {
  const socket = link.openUdp({ port: 0, receiveBuffer: 4 << 20, ...spec });
  t.teardown(() => socket.close());
  return socket;
}

/** An Io on a memory of its own. */
function openIo(t: Test, link: Link): { io: Io; memory: TestMemory } {
  const memory = new TestMemory();
  const io = link.createIo(memory.octets, 0);
  t.teardown(() => io.close());
  return { io, memory };
}

/** Everything that arrives at an Io: receiver, local and remote address, octets. */
function drain(io: Io, memory: TestMemory): { source: number; local: string; addr: string; octets: Buffer }[] {
  const out: { source: number; local: string; addr: string; octets: Buffer }[] = [];
  while (io.poll(50) !== 0) {
    const n = io.receive(128);
    for (let i = 0; i < n; i++) {
      const { source, addr, octets } = memory.received(i);
      out.push({ source, addr, octets, local: memory.local(i) });
    }
  }
  return out;
}

/** Datagrams tell which address they were sent to, and an answer leaves from there; also when the host has lost it. */
export async function answersFromWhereItWasAsked(t: Test, { link, remove }: TestHost): Promise<void> {
  for (const { family, any, texts, octets, receiver, sender, plain } of FAMILIES) {
    const [server, client] = [openIo(t, link), openIo(t, link)];
    const wide = udp(t, link, { family, address: any, packetInfo: true, gro: true });
    const near = udp(t, link, { family, address: texts[0], gro: true });
    server.io.addReceiver(receiver, wide.fd);
    server.io.addSender(sender, wide.fd);
    client.io.addReceiver(plain.receiver, near.fd);
    client.io.addSender(plain.sender, near.fd);
    const ask = (to: number): { source: number; local: string; addr: string; octets: Buffer }[] => {
      client.memory.clear();
      const payload = [Buffer.alloc(100, to), Buffer.alloc(100, to), Buffer.alloc(60, to)];
      const addr = octets[to] as string;
      client.memory.udp({ sender: plain.sender, addr, port: wide.port, payload, gsoSize: 100, tos: 2 });
      client.io.send(1);
      return drain(server.io, server.memory);
    };
    /** Sends answers from an address, several in one UDP_SEGMENT send as well; what the client sees of them. */
    const answer = (from: string, segments = 3): { results: number[]; from: string[]; octets: number } => {
      const { io, memory } = server;
      memory.clear();
      const to = { sender, addr: octets[0] as string, port: near.port, from };
      memory.udp({ ...to, payload: Buffer.alloc(50, 1), tos: 0xb8 });
      memory.udp({ ...to, payload: Buffer.alloc(10 * segments, 2), gsoSize: 10 });
      memory.udp({ ...to, payload: Buffer.alloc(20, 3), tos: 2 });
      io.send(3);
      const seen = drain(client.io, client.memory);
      return {
        results: memory.results(),
        from: [...new Set(seen.map(({ addr }) => addr))],
        octets: seen.reduce((sum, { octets: got }) => sum + got.length, 0),
      };
    };
    for (const to of [1, 2]) {
      const asked = ask(to);
      const about = `IPv${family}, address ${to}`;
      t.equal(
        asked.reduce((sum, { octets: got }) => sum + got.length, 0),
        260,
        `${about}: all arrives`,
      );
      t.ok(
        asked.every(({ source }) => source === receiver),
        `${about}: the receiver's index`,
      );
      t.ok(
        asked.every(({ addr }) => addr === octets[0]),
        `${about}: who asks`,
      );
      t.ok(
        asked.every(({ local }) => local === octets[to]),
        `${about}: who is asked`,
      );
      t.strictSame(answer(octets[to] as string), { results: [50, 30, 20], from: [octets[to]], octets: 100 }, about);
      const many = { results: [50, 2000, 20], from: [octets[to]], octets: 2070 };
      t.strictSame(answer(octets[to] as string, 200), many, `${about}: more segments than a send takes`);
    }
    t.equal(server.memory.counter("gso_fallbacks"), 2, "those went out singly");
    const unspecified = "00".repeat(16);
    t.equal(answer(unspecified).octets, 100, "the unspecified address leaves the choice to the host");

    server.memory.clear();
    const op = { sender, addr: octets[0] as string, port: near.port, payload: Buffer.alloc(9) };
    server.memory.udp(op);
    server.memory.spoil(server.memory.udp({ ...op, from: unspecified }), "local", server.memory.octets.length - 15);
    server.memory.udp(op);
    server.io.send(3);
    t.strictSame(server.memory.results(), [9, -EFAULT, 9], "an address outside of the memory");
    drain(client.io, client.memory);

    ask(1);
    wide.send(Buffer.from("from there"), texts[0], near.port, texts[1]);
    wide.send(Buffer.from("from anywhere"), texts[0], near.port);
    const [there, anywhere] = drain(client.io, client.memory);
    t.match(there, { addr: octets[1], octets: Buffer.from("from there") }, "send() with a source address");
    t.match(anywhere, { octets: Buffer.from("from anywhere") }, "and without one");

    remove(texts[1]);
    const gone = answer(octets[1] as string);
    t.strictSame(gone.results, [50, 30, 20], `IPv${family}: nothing is lost with the address`);
    t.equal(gone.octets, 100);
    t.notMatch(gone.from, [octets[1]], "it leaves from another one");
    t.strictSame(answer(octets[1] as string, 200).results, [50, 2000, 20], "the same where a send is refused anyway");
    wide.send(Buffer.from("moved"), texts[0], near.port, texts[1]);
    t.match(drain(client.io, client.memory), [{ octets: Buffer.from("moved") }], "send() too");
    t.strictSame(answer(octets[2] as string).from, [octets[2]], "the other address is as good as before");
  }
}

/** A socket that tells no local address says zeros, whatever the slot held before. */
export async function unknownLocalIsZero(t: Test, { link }: TestHost): Promise<void> {
  for (const { family, texts, receiver } of FAMILIES) {
    const { io, memory } = openIo(t, link);
    const socket = udp(t, link, { family, address: texts[1] });
    io.addReceiver(receiver, socket.fd);
    memory.octets.fill(0xaa, memory.base("RX_DESCS"), memory.base("RX_DESCS") + 112);
    udp(t, link, { family, address: texts[0] }).send(Buffer.from("x"), texts[1], socket.port);
    t.match(drain(io, memory), [{ source: receiver, local: "00".repeat(16) }], `IPv${family}`);
  }
}

/** A WireGuard message: type, and the receiver index where data has it. */
export function message(type: number, index = 0, length = 64): Buffer {
  const out = Buffer.alloc(length);
  out[0] = type;
  if (length >= 8) out.writeUInt32LE(index, 4);
  return out;
}

/** A group of sockets on all addresses, steered; what each has received since the last look, as text. */
export function steeredGroup(
  t: Test,
  link: Link,
  family: 4 | 6,
  members: number,
  gro = false,
): { port: number; sockets: UdpSocket[]; look: () => Buffer[][] } {
  const { any, receiver } = FAMILIES[family === 4 ? 0 : 1];
  const sockets: UdpSocket[] = [];
  const ios = Array.from({ length: members }, () => {
    const port = sockets[0]?.port ?? 0;
    const socket = udp(t, link, { family, address: any, port, reusePort: true, packetInfo: true, gro });
    sockets.push(socket);
    const opened = openIo(t, link);
    opened.io.addReceiver(receiver, socket.fd);
    return opened;
  });
  const look = (): Buffer[][] => ios.map(({ io, memory }) => drain(io, memory).map(({ octets }) => octets));
  return { port: sockets[0]?.port ?? 0, sockets, look };
}

/** Data goes to the member that the low octet of its receiver index names, anything else to the first. */
export async function steersByReceiverIndex(t: Test, { link }: TestHost): Promise<void> {
  for (const { family, texts } of FAMILIES) {
    for (const members of [1, 2, 3]) {
      const group = steeredGroup(t, link, family, members);
      group.sockets.at(-1)?.steerWireguard(members);
      const client = udp(t, link, { family, address: texts[0] });
      const wanted: string[][] = Array.from({ length: members }, () => []);
      const send = (octets: Buffer, member: number): void => {
        client.send(octets, texts[1], group.port);
        wanted[member]?.push(octets.toString("hex"));
      };
      for (const index of [0, 1, 2, 3, 4, 5, 254, 255, 256, 0x01020307, 0xffff_ffff]) {
        send(message(4, index), (index & 255) % members);
      }
      // Handshakes, and what is no WireGuard message at all: also too short ones, whose load ends the program.
      for (const type of [0, 1, 2, 3, 5, 255]) send(message(type, 1), 0);
      for (const length of [0, 1, 4]) send(message(4, 0, length), 0);
      send(Buffer.from([4, 0, 0, 0, 1]), 1 % members);
      const seen = group.look().map((of) => of.map((octets) => octets.toString("hex")));
      t.strictSame(seen, wanted, `IPv${family}, ${members} members`);
      for (const socket of group.sockets) socket.close();
    }
  }
  const group = steeredGroup(t, link, 4, 2);
  group.sockets[0]?.steerWireguard(16);
  udp(t, link, { family: 4, address: "10.50.0.1" }).send(message(4, 7), "10.50.0.1", group.port);
  t.equal(group.look().flat().length, 1, "a member that is not there: one of the others has it");
  t.throws(() => group.sockets[0]?.steerWireguard(0), { code: "EINVAL", message: /there has to be a member/ });
  const alone = udp(t, link, { family: 4, address: "0.0.0.0" });
  t.throws(() => alone.steerWireguard(1), { code: "EINVAL", message: /cannot steer WireGuard on .*reusePort/ });
  alone.close();
  t.throws(() => alone.steerWireguard(1), { code: "EBADF", message: /closed/ });
}

/** What cannot be sent is a system error that names the destination. */
export async function sendFails(t: Test, { link }: TestHost): Promise<void> {
  for (const { family, any, texts } of FAMILIES) {
    const socket = udp(t, link, { family, address: any });
    const send =
      (to: string, port: number, length = 1, from?: string) =>
      () =>
        socket.send(Buffer.alloc(length), to, port, from);
    const other = family === 4 ? "fd50::1" : "10.50.0.1";
    const facts = { errno: Number, syscall: "sendmsg" };
    t.throws(send(texts[0], 9, 65_528), { ...facts, code: "EMSGSIZE", message: /cannot send 65528 octets to / });
    t.throws(send(other, 9), { code: "EINVAL", message: new RegExp(`IPv${family}`) });
    t.throws(send(texts[0], 9, 1, other), { code: "EINVAL" });
    t.throws(send(texts[0], 0), { code: "EINVAL", message: /port/ });
    t.throws(send("nobody.example", 9), { code: "EINVAL" }, "names are not looked up");
    socket.close();
    t.throws(send(texts[0], 9), { code: "EBADF", message: /closed/ });
  }
}

/** Each receiver that has something is first in its turn, so that one that fills every batch starves nobody. */
export async function receiversTakeTurns(t: Test, { link }: TestHost): Promise<void> {
  const { io, memory } = openIo(t, link);
  const all = FAMILIES.flatMap(({ family, texts, receiver, plain }) =>
    [plain.receiver, receiver].map((index) => {
      const socket = udp(t, link, { family, address: texts[1] });
      io.addReceiver(index, socket.fd);
      const from = udp(t, link, { family, address: texts[0] });
      const send = (count: number): void => {
        for (let i = 0; i < count; i++) from.send(Buffer.from("x"), texts[1], socket.port);
      };
      return { index, send };
    }),
  );
  const turns = (batches: number): string[] =>
    Array.from({ length: batches }, () => {
      io.poll(100);
      return [...new Set(Array.from({ length: io.receive(8) }, (_, i) => memory.received(i).source))].join("+");
    });
  for (const { send } of all) send(16);
  t.strictSame(turns(8), ["0", "1", "2", "3", "0", "1", "2", "3"], "all four");
  for (const { index, send } of all) if (index % 2 === 0) send(16);
  t.strictSame(turns(4), ["0", "2", "0", "2"], "two of them have every second batch");
  for (const { send } of all) send(2);
  t.strictSame(turns(1), ["3+0+1+2"], "and one batch takes from all while there is room");
}
