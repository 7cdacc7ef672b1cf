/**
 * The Io of the in-memory twin: the same descriptors and results as the addon's, over queues instead of descriptors.
 * It never waits: poll() says what is there.
 */
import { ENUM, LIMIT } from "@weft/dataplane-wasm/abi";
import { createSystemError, ERRNO } from "./errors.js";
import type { Io, WakeHandle } from "./link.js";
import { READY } from "./link.js";
import type { MemoryDevice } from "./memory-device.js";
import type { MemoryNetwork } from "./memory-network.js";
import { type MemorySocket, payloadMax, tooLong } from "./memory-socket.js";
import { type Operation, WorkerMemory } from "./worker-memory.js";

/** Frames and octets read from one port before it is the next one's turn. As in io.h. */
const PORT_BUDGET = 32;
const PORT_OCTETS = 512 * 1024;

/** Where a datagram goes: address of 16 octets, port, TOS. */
export type Destination = Pick<Operation, "addr" | "port" | "tos">;

interface Port {
  readonly index: number;
  readonly device: MemoryDevice;
  readonly reads: boolean;
  /** What is left of this turn: frames, and octets (spent when not positive). */
  left: number;
  octets: number;
}

/** Receivers, by ENUM.RECEIVER. */
const RECEIVERS = 4;
/** What a descriptor says when the local address of a datagram is not known. */
const UNKNOWN = new Uint8Array(16);

/** Whether a sending socket is one of IPv4. As io_sends_v4() of io.h. */
function sendsV4(sender: number): boolean {
  return sender < LIMIT.SOURCE_PORTS || sender === LIMIT.SENDER_WIREGUARD;
}

/** What an Io needs of its host. */
export interface IoHost {
  readonly network: MemoryNetwork;
  /** Most datagrams of one UDP_SEGMENT send; 1: there is none, and single datagrams go out instead. */
  readonly gsoMax: number;
  /** The switch's clock, milliseconds. */
  nowMs(): number;
  device(fd: number): MemoryDevice | undefined;
  socket(fd: number): MemorySocket | undefined;
  /** The negative errno with which a send of datagrams of that length fails; undefined when it does not. */
  refuses(socket: MemorySocket, length: number): number | undefined;
  /** Sends one datagram that is not refused. `source`: from that address, while the host has it. */
  send(socket: MemorySocket, to: Destination, payload: Uint8Array, source?: Uint8Array): void;
  closed(io: MemoryIo): void;
}

function fail(code: string, syscall: string, message: string): Error {
  return createSystemError(code, ERRNO[code] as number, syscall, `${message} (${code}, ${syscall})`);
}

/** Refusals of UDP_SEGMENT after which single datagrams are tried. As in io-send.c. */
const GSO_REFUSED: ReadonlySet<number> = new Set(["EMSGSIZE", "EINVAL", "EIO"].map((code) => -(ERRNO[code] as number)));

/** A port's next turn begins. */
function renew(port: Port): void {
  port.left = PORT_BUDGET;
  port.octets = PORT_OCTETS;
}

export class MemoryIo implements Io {
  readonly wakeHandle: WakeHandle;
  readonly #host: IoHost;
  readonly #memory: WorkerMemory;
  readonly #ports = new Map<number, Port>();
  readonly #receivers: (MemorySocket | undefined)[] = new Array(RECEIVERS).fill(undefined);
  readonly #senders = new Map<number, MemorySocket>();
  /** Ports in the order of their turns. */
  #turns: Port[] = [];
  #gone: number[] = [];
  readonly #gso: boolean;
  #receiverNext = 0;
  #woken = false;
  /** When poll() returned, and whether frames were taken since. */
  #returned = 0;
  #busy = false;
  #open = true;
  #listener: (() => void) | undefined;
  #told = false;

  constructor(host: IoHost, memory: Uint8Array, worker: number, wakeHandle: WakeHandle) {
    this.#host = host;
    this.#memory = new WorkerMemory(memory, worker);
    this.#gso = host.gsoMax > 1 && this.#memory.gsoSegments !== 1;
    this.wakeHandle = wakeHandle;
  }

  onReadable(listener: () => void): void {
    this.#listener = listener;
  }

  /** Something became readable: tells the listener once, after the present call stack has ended. */
  notify(): void {
    if (!this.#listener || this.#told) return;
    this.#told = true;
    queueMicrotask(() => {
      this.#told = false;
      if (this.#open) this.#listener?.();
    });
  }

  wake(): void {
    this.#woken = true;
    this.notify();
  }

  addPort(port: number, fd: number, reads: boolean): void {
    if (port < 0 || port >= this.#memory.portsMax) throw fail("EINVAL", "addPort", `the memory has no port ${port}`);
    if (this.#ports.has(port)) throw fail("EEXIST", "addPort", `port ${port} is in use`);
    const device = this.#host.device(fd);
    if (!device) throw fail("EBADF", "addPort", `cannot add port ${port}: no device is open as ${fd}`);
    if (device.gone) throw fail("EBADFD", "addPort", `cannot add port ${port}: the device is gone`);
    const added: Port = { index: port, device, reads, left: PORT_BUDGET, octets: PORT_OCTETS };
    this.#ports.set(port, added);
    if (!reads) return;
    this.#turns.push(added);
    device.onReadable(() => this.notify());
    if (device.waiting > 0) this.notify();
  }

  removePort(port: number): void {
    const removed = this.#ports.get(port);
    if (!removed) throw fail("ENOENT", "removePort", `there is no port ${port}`);
    this.#ports.delete(port);
    this.#turns = this.#turns.filter((p) => p !== removed);
    this.#gone = this.#gone.filter((index) => index !== port);
    if (removed.reads) removed.device.onReadable(() => {});
  }

  addReceiver(index: number, fd: number): void {
    const socket = this.#socket(fd, `receiving socket ${index}`);
    if (index < 0 || index >= RECEIVERS) throw fail("EINVAL", "addReceiver", `there is no receiving socket ${index}`);
    if (this.#receivers[index]) throw fail("EEXIST", "addReceiver", `receiving socket ${index} is there already`);
    this.#receivers[index] = socket;
    socket.onReadable(() => this.notify());
    if (socket.waiting > 0) this.notify();
  }

  addSender(index: number, fd: number): void {
    const socket = this.#socket(fd, `sending socket ${index}`);
    if (index < 0 || index >= LIMIT.SENDERS) throw fail("EINVAL", "addSender", `there is no sending socket ${index}`);
    if (this.#senders.has(index)) throw fail("EEXIST", "addSender", `sending socket ${index} is there already`);
    this.#senders.set(index, socket);
  }

  /** Neither time matters: everything that can arrive arrives on this thread. */
  poll(_timeoutMs: number, _spinUs?: number): number {
    if (this.#busy) this.#memory.countLoop((performance.now() - this.#returned) * 1e6);
    this.#busy = false;
    this.#returned = performance.now();
    this.#memory.setClock(this.#host.nowMs());
    this.#memory.countUp("sys_poll");
    this.#host.network.deliverDue();
    for (const port of this.#turns.filter((p) => p.device.gone)) {
      this.#turns = this.#turns.filter((p) => p !== port);
      this.#gone.push(port.index);
    }
    const wake = this.#woken ? READY.WAKE : 0;
    this.#woken = false;
    const tap = this.#turns.some((port) => port.device.waiting > 0) ? READY.TAP : 0;
    const udp = this.#receivers.some((socket) => socket?.open && socket.waiting > 0) ? READY.UDP : 0;
    return wake | tap | udp | (this.#gone.length > 0 ? READY.GONE : 0);
  }

  readPorts(max: number): number {
    const limit = Math.min(max, LIMIT.BATCH_MAX);
    let filled = 0;
    // Ports without frames keep their place; one whose budget is spent goes behind the others.
    for (let at = 0; filled < limit && at < this.#turns.length; ) {
      const port = this.#turns[at] as Port;
      if (port.device.waiting === 0) {
        renew(port);
        at++;
      } else if (port.left === 0 || port.octets <= 0) {
        renew(port);
        this.#turns.splice(at, 1);
        this.#turns.push(port);
      } else {
        const frame = port.device.shift();
        if (!frame) continue;
        port.left--;
        port.octets -= frame.vnetHdr.length + frame.frame.length;
        this.#memory.countUp("sys_read");
        this.#memory.fill(filled++, LIMIT.HEADROOM - LIMIT.VNET_HDR_LEN, [frame.vnetHdr, frame.frame], {
          source: port.index,
        });
      }
    }
    this.#busy ||= filled > 0;
    return filled;
  }

  receive(max: number): number {
    const limit = Math.min(max, LIMIT.BATCH_MAX);
    let filled = 0;
    const start = this.#receiverNext;
    for (let i = 0; i < RECEIVERS && filled < limit; i++) {
      const index = (start + i) % RECEIVERS;
      const socket = this.#receivers[index];
      if (!socket?.open || socket.waiting === 0) continue;
      // Whoever was first is last next time.
      if (filled === 0) this.#receiverNext = (index + 1) % RECEIVERS;
      this.#memory.countUp("sys_recvmmsg");
      for (let got = socket.shift(this.#host.network.gro); got; got = socket.shift(this.#host.network.gro)) {
        const { first, parts, segLen } = got;
        const facts = { source: index, segLen, addr: first.from, addrPort: first.fromPort, tos: first.tos };
        const local = socket.packetInfo ? first.to : UNKNOWN;
        const wireguard = index >= ENUM.RECEIVER.WIREGUARD4;
        this.#memory.fill(filled++, LIMIT.HEADROOM, parts, wireguard ? { ...facts, local } : facts, ENUM.RX.TRUNCATED);
        if (filled === limit) break;
      }
    }
    this.#busy ||= filled > 0;
    return filled;
  }

  send(count: number): void {
    if (count > this.#memory.txMax) throw fail("EINVAL", "send", `there are not ${count} transmit operations`);
    for (let i = 0; i < count; i++) this.#memory.setResult(i, this.#carryOut(i, this.#memory.operation(i)));
  }

  takeGonePorts(): number[] {
    const gone = this.#gone;
    this.#gone = [];
    return gone;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    for (const { device, reads } of this.#ports.values()) if (reads) device.onReadable(() => {});
    for (const socket of this.#receivers) socket?.onReadable(() => {});
    this.#host.closed(this);
  }

  #socket(fd: number, what: string): MemorySocket {
    const socket = this.#host.socket(fd);
    if (!socket) throw fail("EBADF", "epoll_ctl", `cannot add ${what}: no socket is open as ${fd}`);
    return socket;
  }

  #carryOut(index: number, operation: Operation): number {
    if (operation.kind === ENUM.OP.TAP) return this.#writeFrame(index, operation);
    if (operation.kind !== ENUM.OP.UDP) return -(ERRNO.EINVAL as number);
    if (operation.dest >= LIMIT.SENDERS) return -(ERRNO.EFAULT as number);
    const socket = this.#senders.get(operation.dest);
    const family = sendsV4(operation.dest) ? 4 : 6;
    if (!socket || operation.family !== family) return -(ERRNO.EAFNOSUPPORT as number);
    const payload = this.#memory.gather(index);
    if (typeof payload === "number") return payload;
    const source = operation.local === 0 ? undefined : this.#memory.addressAt(operation.local);
    if (typeof source === "number") return source;
    const { gsoSize } = operation;
    if (gsoSize === 0 || payload.length <= gsoSize) return this.#sendOne(socket, operation, payload, source);
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < payload.length; at += gsoSize) pieces.push(payload.subarray(at, at + gsoSize));
    const asked = this.#gso && payload.length <= payloadMax(family);
    if (asked) {
      this.#memory.countUp("sys_sendmmsg");
      const tooMany = pieces.length > this.#host.gsoMax ? -(ERRNO.EINVAL as number) : undefined;
      const refused = tooMany ?? this.#host.refuses(socket, gsoSize);
      if (refused === undefined) {
        for (const piece of pieces) this.#host.send(socket, operation, piece, source);
        return payload.length;
      }
      if (!GSO_REFUSED.has(refused)) return refused;
    }
    // As the addon does: single datagrams up to the first that is refused.
    let sent = 0;
    for (const piece of pieces) {
      const result = this.#sendOne(socket, operation, piece, source);
      if (result < 0 && sent === 0) return result;
      if (result < 0) break;
      sent += result;
    }
    if (asked) this.#memory.countUp("gso_fallbacks");
    return sent;
  }

  #sendOne(socket: MemorySocket, to: Destination, payload: Uint8Array, source: Uint8Array | undefined): number {
    this.#memory.countUp("sys_sendmmsg");
    const refused = tooLong(socket.family, payload.length) ?? this.#host.refuses(socket, payload.length);
    if (refused !== undefined) return refused;
    this.#host.send(socket, to, payload, source);
    return payload.length;
  }

  #writeFrame(index: number, operation: Operation): number {
    if (operation.dest >= this.#memory.portsMax) return -(ERRNO.EFAULT as number);
    const port = this.#ports.get(operation.dest);
    if (!port) return -(ERRNO.ENODEV as number);
    const frame = this.#memory.gather(index);
    if (typeof frame === "number") return frame;
    this.#memory.countUp("sys_writev");
    return port.device.write({ vnetHdr: operation.vnetHdr, frame });
  }
}
