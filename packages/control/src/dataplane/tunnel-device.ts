/** The TUN device that has the tunnel addresses: this host is then an ordinary WireGuard peer for its other programs. */
import type { ConfigureDevice, Device } from "@weft/tun";
import type { Address, Prefix } from "./address.js";
import { formatAddress } from "./address.js";
import { type Core, closedError } from "./core.js";
import { existsHere, QUEUE_FRAMES, SUPER_FRAME_MAX, setOffload } from "./device.js";

export class TunnelDevice {
  readonly #core: Core;
  readonly #device: Device;
  /** Its port. */
  readonly index: number;
  readonly name: string;
  /** Prefixes that routes were made to. */
  readonly #routes = new Set<string>();
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
    // TUNSETIFF would quietly join somebody's persistent device of that name.
    if (link.kind === "kernel" && existsHere(name)) throw taken(name);
    const index = tables.reservePort();
    if (index === undefined) throw closedError();
    const device = link.openDevice({ kind: "tun", name, vnetHdr: link.features().vnetHdr });
    try {
      setOffload(link, device);
      tables.addTunnelPort(index, mtu);
      await tables.publish();
      await Promise.all(hosts.map((h) => h.send({ do: "addPort", port: index, fd: device.fd, reads: h.worker === 0 })));
      link.configureDevice({
        ifname: name,
        mtu,
        txQueueLen: QUEUE_FRAMES,
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
   * Makes the routes through the device those to these prefixes. No default route: the peers' own endpoints would lie behind it. A
   * route that was there before, whoever made it, stays.
   */
  setRoutes(prefixes: readonly Prefix[]): void {
    const wanted = new Set(prefixes.filter((p) => p.length > 0).map((p) => `${formatAddress(p.key)}/${p.length}`));
    for (const prefix of this.#routes) {
      if (wanted.has(prefix)) continue;
      this.#configure({ removeRoutes: [prefix] });
      this.#routes.delete(prefix);
    }
    for (const to of wanted) {
      if (!this.#routes.has(to) && this.#configure({ routes: [{ to }], keepRoutes: true })) this.#routes.add(to);
    }
  }

  /** @returns false when there is such a route already, or no device any more. */
  #configure(change: Omit<ConfigureDevice, "ifname">): boolean {
    if (this.isGone) return false;
    try {
      this.#core.link.configureDevice({ ifname: this.name, ...change });
      return true;
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === "ENODEV") this.isGone = true;
      else if (code !== "EEXIST") throw error;
      return false;
    }
  }

  async close(): Promise<void> {
    const { hosts } = this.#core;
    await Promise.allSettled(hosts.filter((h) => h.alive).map((h) => h.send({ do: "removePort", port: this.index })));
    this.#device.close();
  }
}

function taken(name: string): Error {
  const message = `there is a device ${name} in this namespace already: choose another name for wireguard.device`;
  return Object.assign(new Error(message), { code: "EEXIST" });
}
