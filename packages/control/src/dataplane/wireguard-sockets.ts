/**
 * WireGuard's UDP sockets: one port on all addresses of the host, for each family of the underlay.
 *
 * Each worker has a socket of its own in a SO_REUSEPORT group, and a program in the kernel that hands it the data of the sessions
 * that it opens. Where the kernel has no such program, one socket receives for all on worker 0. Workers send from their
 * receiving sockets, because peers answer to where data comes from.
 */
import { ENUM, LIMIT } from "@weft/dataplane-wasm/abi";
import type { Link, UdpSocket } from "@weft/tun";
import type { Order } from "./host.js";
import { RECEIVE_BUFFER, SEND_BUFFER } from "./sockets.js";

const ANY = { 4: "0.0.0.0", 6: "::" } as const;

export class WireguardSockets {
  readonly #sockets: { readonly family: 4 | 6; readonly worker: number; readonly socket: UdpSocket }[] = [];
  readonly #locks: { release(): void }[] = [];
  readonly #workers: number;
  readonly #isMesh: boolean;
  #lostBefore = 0;
  /** Whether every worker receives. */
  readonly isSteered: boolean;

  /** @throws the system error of the first that fails; nothing stays open then */
  constructor(link: Link, families: readonly (4 | 6)[], port: number, workers: number, isMesh: boolean) {
    const { gro, reuseportSteering } = link.features();
    this.#workers = workers;
    this.#isMesh = isMesh;
    this.isSteered = reuseportSteering && workers > 1;
    const count = this.isSteered ? workers : 1;
    try {
      for (const family of families) {
        this.#locks.push(link.lockUdpPort(ANY[family], port));
        for (let worker = 0; worker < count; worker++) {
          const socket = link.openUdp({
            family,
            address: ANY[family],
            port,
            reusePort: true,
            gro,
            packetInfo: true,
            dontFragment: isMesh,
            receiveBuffer: RECEIVE_BUFFER,
            sendBuffer: SEND_BUFFER,
          });
          this.#sockets.push({ family, worker, socket });
        }
        // Nobody has a key yet, so what has come in between were handshakes, and any worker hands those on.
        if (this.isSteered) this.#sockets.at(-1)?.socket.steerWireguard(count);
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** What a worker has to be told. */
  ordersFor(worker: number): Order[] {
    return this.#sockets.flatMap(({ family, worker: owner, socket }): Order[] => {
      const second = family === 4 ? 0 : 1;
      const send: Order = { do: "addSender", index: LIMIT.SENDER_WIREGUARD + second, fd: socket.fd };
      if (owner === worker)
        return [{ do: "addReceiver", index: ENUM.RECEIVER.WIREGUARD4 + second, fd: socket.fd }, send];
      return !this.isSteered && owner === 0 ? [send] : [];
    });
  }

  /**
   * The worker that opens the sessions of a peer. In a mesh it is always the first: a message may come inside another peer's, whose worker
   * has to open both. So in a mesh more workers help to seal, not to open.
   */
  workerOf(peer: number): number {
    return this.isSteered && !this.#isMesh ? peer % this.#workers : 0;
  }

  /** Sends one datagram of the control plane. @throws the system error */
  send(datagram: Uint8Array, address: string, port: number, local?: string): void {
    const family = address.includes(":") ? 6 : 4;
    this.#sockets.find((s) => s.family === family)?.socket.send(datagram, address, port, local);
  }

  /** Datagrams lost in full receive buffers since start. */
  drops(): number {
    return this.#sockets.reduce((sum, { socket }) => sum + socket.drops(), this.#lostBefore);
  }

  /** Closes the sockets of a worker that died, but the one that the control plane sends from. */
  closeWorker(worker: number): void {
    if (worker === 0) return;
    for (const [i, { worker: owner, socket }] of [...this.#sockets.entries()].reverse()) {
      if (owner !== worker) continue;
      this.#lostBefore += socket.drops();
      socket.close();
      this.#sockets.splice(i, 1);
    }
  }

  close(): void {
    for (const { socket } of this.#sockets.splice(0)) socket.close();
    for (const lock of this.#locks.splice(0)) lock.release();
  }
}
