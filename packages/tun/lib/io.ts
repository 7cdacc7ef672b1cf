/** The Io of the kernel: a thin shell around the addon's. */
import { type IoHandle, native } from "./addon.js";
import { attempt } from "./errors.js";
import type { Io, WakeHandle } from "./link.js";

export class KernelIo implements Io {
  readonly wakeHandle: WakeHandle;
  readonly #io: IoHandle;
  readonly #native = native();
  // The hot calls, looked up once: the addon's functions are many, and so in a slow kind of object.
  readonly #poll = this.#native.ioPoll;
  readonly #readPorts = this.#native.ioReadPorts;
  readonly #receive = this.#native.ioReceive;
  readonly #send = this.#native.ioSend;

  constructor(memory: Uint8Array, worker: number, gso: boolean) {
    this.#io = attempt(`worker ${worker} cannot use the shared memory`, () =>
      this.#native.ioCreate(memory, worker, gso ? 1 : 0),
    );
    this.wakeHandle = this.#native.ioWakeHandle(this.#io);
  }

  addPort(port: number, fd: number, reads: boolean): void {
    attempt(`cannot add port ${port}`, () => this.#native.ioAddPort(this.#io, port, fd, reads ? 1 : 0), {
      EEXIST: "the index is in use",
      EINVAL: "the memory has no such port",
      EBADFD: "the device is gone",
      ENOTTY: "the descriptor is no TAP or TUN device",
    });
  }

  removePort(port: number): void {
    attempt(`cannot remove port ${port}`, () => this.#native.ioRemovePort(this.#io, port), {
      ENOENT: "there is no port under that index",
    });
  }

  addReceiver(index: number, fd: number): void {
    attempt(`cannot add receiving socket ${index}`, () => this.#native.ioAddReceiver(this.#io, index, fd));
  }

  addSender(index: number, fd: number): void {
    attempt(`cannot add sending socket ${index}`, () => this.#native.ioAddSender(this.#io, index, fd));
  }

  poll(timeoutMs: number, spinUs = 0): number {
    return this.#poll(this.#io, timeoutMs, spinUs);
  }

  readPorts(max: number): number {
    return this.#readPorts(this.#io, max);
  }

  receive(max: number): number {
    return this.#receive(this.#io, max);
  }

  send(count: number): void {
    this.#send(this.#io, count);
  }

  takeGonePorts(): number[] {
    return this.#native.ioTakeGone(this.#io);
  }

  close(): void {
    this.#native.ioClose(this.#io);
  }
}
