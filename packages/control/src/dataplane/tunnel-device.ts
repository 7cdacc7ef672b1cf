/** The TUN device that has the tunnel addresses: this host is then an ordinary WireGuard peer for its other programs. */
import type { Device } from "@weft/tun";
import type { Address, Prefix } from "./address.js";
import { formatAddress } from "./address.js";
import { type Core, closedError } from "./core.js";

/** Packets the device holds until the switch reads them. */
const QUEUE_PACKETS = 1000;
/** Octets of a super-frame: sealed in forty-five messages it fits two UDP sends. */
const SUPER_FRAME_MAX = 62_000;

export class TunnelDevice {
  readonly #core: Core;
  readonly #device: Device;
  /** Its port. */
  readonly index: number;
  readonly name: string;
  /** Somebody has deleted, renamed or moved it. */
  isGone = false;

  private constructor(core: Core, device: Device, index: number) {
    this.#core = core;
    this.#device = device;
    this.index = index;
    this.name = device.name;
  }

  /** Makes the device, and hands it to worker 0 to read. @throws the system error; nothing stays then */
  static async open(core: Core, name: string, addresses: readonly Address[], mtu: number): Promise<TunnelDevice> {
    const { link, tables, hosts } = core;
    const index = tables.reservePort();
    if (index === undefined) throw closedError();
    const { vnetHdr, tapChecksum, coalesceTcp, coalesceUdp } = link.features();
    const device = link.openDevice({ kind: "tun", name, vnetHdr });
    try {
      device.setOffload({ checksum: tapChecksum, tso4: coalesceTcp, tso6: coalesceTcp, uso: coalesceUdp });
      tables.addTunnelPort(index, mtu);
      await tables.publish();
      await Promise.all(hosts.map((h) => h.send({ do: "addPort", port: index, fd: device.fd, reads: h.worker === 0 })));
      link.configureDevice({
        ifname: name,
        mtu,
        txQueueLen: QUEUE_PACKETS,
        gsoMaxSize: SUPER_FRAME_MAX,
        addresses: addresses.map(({ text, family }) => `${text}/${family === 4 ? 32 : 128}`),
        up: true,
      });
    } catch (error) {
      device.close();
      throw error;
    }
    return new TunnelDevice(core, device, index);
  }

  /**
   * Makes routes through the device. No default route: the peers' own endpoints would lie behind it. A route that is there
   * already, whoever made it, stays.
   */
  addRoutes(prefixes: readonly Prefix[]): void {
    for (const prefix of prefixes) {
      if (prefix.length === 0 || this.isGone) continue;
      try {
        this.#core.link.configureDevice({
          ifname: this.name,
          routes: [{ to: `${formatAddress(prefix.key)}/${prefix.length}` }],
          keepRoutes: true,
        });
      } catch (error) {
        const { code } = error as { code?: string };
        if (code === "ENODEV") this.isGone = true;
        else if (code !== "EEXIST") throw error;
      }
    }
  }

  async close(): Promise<void> {
    const { hosts } = this.#core;
    await Promise.allSettled(hosts.filter((h) => h.alive).map((h) => h.send({ do: "removePort", port: this.index })));
    this.#device.close();
  }
}
