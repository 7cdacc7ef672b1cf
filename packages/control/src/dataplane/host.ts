/**
 * What runs one worker: a thread of its own for the kernel's devices, or the caller's event loop for the in-memory
 * twin. The Dataplane sees only this.
 */
import type { Io } from "@weft/tun";
import type { SwitchLoop } from "./loop.js";

/** A change to a worker's Io or tables. Descriptors belong to the process, so they may be named across threads. */
export type Order =
  | { readonly do: "addPort"; readonly port: number; readonly fd: number; readonly reads: boolean }
  /** Reads a port that was added without reading. */
  | { readonly do: "readPort"; readonly port: number; readonly fd: number }
  | { readonly do: "removePort"; readonly port: number }
  | { readonly do: "addReceiver" | "addSender"; readonly index: number; readonly fd: number }
  /** MACs in two parts, of 2 and of 4 octets. */
  | { readonly do: "forget"; readonly network: number; readonly macs: readonly (readonly [hi: number, lo: number])[] }
  | { readonly do: "flush"; readonly network: number };

export interface WorkerHost {
  readonly worker: number;
  /** False once the worker has stopped or died. */
  readonly alive: boolean;
  /** Carries out an order between two turns. Rejects with the system error, or when the worker is dead. */
  send(order: Order): Promise<void>;
  /** Ends the worker after its present turn. */
  stop(): Promise<void>;
}

/** What a worker tells of itself. */
export interface HostEvents {
  /** Port indexes whose devices vanished; the Io has let go of them. */
  gone(worker: number, ports: readonly number[]): void;
  /** The worker has events or handshake messages that should not wait for the next look. */
  attention(worker: number): void;
  /** The worker died of this; it does not come back. */
  failed(worker: number, error: Error): void;
}

/** Carries out an order on the worker's own thread. */
export function carryOut(order: Order, io: Io, loop: SwitchLoop): void {
  switch (order.do) {
    case "addPort":
      io.addPort(order.port, order.fd, order.reads);
      break;
    case "readPort":
      io.removePort(order.port);
      io.addPort(order.port, order.fd, true);
      break;
    case "removePort":
      io.removePort(order.port);
      break;
    case "addReceiver":
      io.addReceiver(order.index, order.fd);
      break;
    case "addSender":
      io.addSender(order.index, order.fd);
      break;
    case "forget":
      loop.forget(order.network, order.macs);
      break;
    case "flush":
      loop.flush(order.network);
  }
}
