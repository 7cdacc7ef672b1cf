/** A port in force, or one that is just being made or removed. */
import type { Block } from "@weft/dataplane-wasm";
import type { Device } from "@weft/tun";
import { formatMac } from "./address.js";
import type { CheckedAttach } from "./attach-check.js";
import type { OpenedDevice } from "./device.js";
import type { PortInfo, PortRecord, PortState, Traffic } from "./types.js";

export class Port {
  readonly wanted: CheckedAttach;
  /** Its MAC as text. */
  readonly mac: string;
  readonly index: number;
  /** Worker that reads the device. */
  readonly reader: number;
  /** Counters of the index when this port took it: what earlier ports counted. */
  readonly #before: Block;
  opened: OpenedDevice | undefined;
  state: PortState = "created";
  /** attach() has resolved: the port is worth recording. */
  attached = false;
  /** Set while it is being removed. */
  leaving: Promise<void> | undefined;
  /** Namespace and name as last seen; another runtime may move a device that was not configured here. */
  netnsId: string | null = null;
  ifname = "";
  /** Frames lost in the device's ring, as last seen. */
  ringDrops = 0;

  constructor(wanted: CheckedAttach, index: number, reader: number, before: Block) {
    this.wanted = wanted;
    this.mac = formatMac(wanted.mac);
    this.index = index;
    this.reader = reader;
    this.#before = before;
    this.ifname = wanted.ifname ?? "";
  }

  get id(): string {
    return this.wanted.id;
  }
  get network(): string {
    return this.wanted.network.spec.name;
  }
  get device(): Device | undefined {
    return this.opened?.device;
  }

  /** What this port has received and transmitted, from the counters of its index. */
  traffic(now: Block): { receive: Traffic; transmit: Traffic } {
    const since = (name: string): number => (now[name] as number) - (this.#before[name] as number);
    return {
      receive: { packets: since("rxPackets"), bytes: since("rxBytes") },
      transmit: { packets: since("txPackets"), bytes: since("txBytes") },
    };
  }

  info(now: Block): PortInfo {
    const { id, netns, ip, mtu, gateway, routes, labels, role, routed } = this.wanted;
    return {
      id,
      network: this.network,
      state: this.state,
      ifname: this.ifname,
      role,
      l3: routed !== undefined,
      netns,
      mac: this.mac,
      ip,
      mtu,
      gateway,
      routes,
      labels,
      ...this.traffic(now),
    };
  }

  record(): PortRecord {
    const { id, netnsPath, ip, mtu, gateway, routes, labels, configure, role, routed } = this.wanted;
    return {
      id,
      network: this.network,
      ifname: this.ifname,
      role,
      l3: routed !== undefined,
      netnsPath,
      netnsId: this.netnsId,
      mac: this.mac,
      ip,
      mtu,
      gateway,
      routes,
      labels,
      configure,
    };
  }
}
