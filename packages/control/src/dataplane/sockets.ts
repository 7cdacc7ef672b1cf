/** The UDP sockets of the underlay: opened by the main thread, handed to the workers by number. */
import { LIMIT } from "@weft/dataplane-wasm/abi";
import type { Link, UdpSocket } from "@weft/tun";
import type { Order } from "./host.js";
import type { Options } from "./options.js";

/**
 * RFC 7348 §5 recommends source ports of the dynamic range, from 49,152 on. WireGuard's usual 51,820 lies in it, and whoever starts
 * later with that port must not find it taken.
 */
const SOURCE_RANGE = [52_000, 65_535] as const;
/** A burst of 64 KiB sends from several peers: what is not asked for is lost before weft can count it. */
export const RECEIVE_BUFFER = 8 << 20;
export const SEND_BUFFER = 4 << 20;

interface Opened {
  readonly worker: number;
  readonly order: "addReceiver" | "addSender";
  readonly index: number;
  readonly socket: UdpSocket;
}

export class Sockets {
  readonly #opened: Opened[] = [];
  readonly #locks: { release(): void }[] = [];
  /** Losses of sockets that are closed. */
  #lostBefore = 0;

  /**
   * Locks the VXLAN port on every underlay address and opens, per worker and family, one receiver and sixteen senders.
   * @throws the system error of the first that fails; nothing stays open then
   */
  constructor(link: Link, options: Options) {
    const { gro } = link.features();
    try {
      for (const { family, text: address } of options.underlay) {
        this.#locks.push(link.lockUdpPort(address, options.vxlanPort));
        const kind = family === 4 ? 0 : 1;
        for (let worker = 0; worker < options.workers; worker++) {
          this.#add(
            worker,
            "addReceiver",
            kind,
            link.openUdp({
              family,
              address,
              port: options.vxlanPort,
              reusePort: true,
              gro,
              receiveBuffer: RECEIVE_BUFFER,
            }),
          );
          for (let i = 0; i < LIMIT.SOURCE_PORTS; i++) {
            this.#add(
              worker,
              "addSender",
              kind * LIMIT.SOURCE_PORTS + i,
              link.openUdp({
                family,
                address,
                port: 0,
                range: SOURCE_RANGE,
                sendBuffer: SEND_BUFFER,
              }),
            );
          }
        }
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #add(worker: number, order: Opened["order"], index: number, socket: UdpSocket): void {
    this.#opened.push({ worker, order, index, socket });
  }

  /** What a worker has to be told. */
  ordersFor(worker: number): Order[] {
    return this.#opened
      .filter((o) => o.worker === worker)
      .map(({ order, index, socket }) => ({ do: order, index, fd: socket.fd }));
  }

  /** Smallest buffers in force, octets. */
  get buffers(): { receive: number; send: number } {
    const of = (order: Opened["order"]): Opened[] => this.#opened.filter((o) => o.order === order);
    return {
      receive: Math.min(...of("addReceiver").map((o) => o.socket.receiveBuffer)),
      send: Math.min(...of("addSender").map((o) => o.socket.sendBuffer)),
    };
  }

  /** Datagrams lost in full receive buffers since start. */
  drops(): number {
    return this.#opened.reduce((sum, o) => sum + (o.order === "addReceiver" ? o.socket.drops() : 0), this.#lostBefore);
  }

  /** Closes the sockets of a worker that died, so that the kernel hands its flows to the others. */
  closeWorker(worker: number): void {
    this.#lostBefore = this.drops();
    const kept = this.#opened.filter((o) => o.worker !== worker);
    for (const o of this.#opened) if (o.worker === worker) o.socket.close();
    this.#lostBefore -= kept.reduce((sum, o) => sum + (o.order === "addReceiver" ? o.socket.drops() : 0), 0);
    this.#opened.splice(0, this.#opened.length, ...kept);
  }

  close(): void {
    for (const o of this.#opened.splice(0)) o.socket.close();
    for (const lock of this.#locks.splice(0)) lock.release();
  }
}
