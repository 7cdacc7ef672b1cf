/**
 * A device of the in-memory twin: its two queues, and the far end where a container would be.
 *
 * Frames pass with their virtio_net_hdr as they are, super-frames too: nothing here cuts or joins. The far end sees what
 * the switch wrote, and stands for the container's kernel when it injects: that one makes super-frames only for a device
 * whose `offload` asks for them.
 */
import { LIMIT } from "@weft/dataplane-wasm/abi";
import { ERRNO } from "./errors.js";
import type { ConfigureDevice, DeviceKind, DeviceStats, OpenDevice } from "./link.js";
import { refusesVnetHdr, type Supers } from "./memory-vnet.js";

/** A frame with the virtio_net_hdr in front of it. */
export interface MemoryFrame {
  /** 10 octets. */
  readonly vnetHdr: Uint8Array;
  readonly frame: Uint8Array;
}

export interface Offload {
  readonly checksum: boolean;
  readonly tso4: boolean;
  readonly tso6: boolean;
  readonly uso: boolean;
}

/** Frames the far end holds before the device refuses more (ENOBUFS). */
const TAKEN_MAX = 65_536;
/** Frames towards the switch; a TAP's default queue length. */
const QUEUE_DEFAULT = 1000;
/** Longest super-frame of any TAP. */
const GSO_MAX = 65_536;

export class MemoryDevice {
  readonly kind: DeviceKind;
  readonly ifindex: number;
  readonly multiQueue: boolean;
  name: string;
  /** Descriptor of the namespace it is in; undefined: the link's own. */
  netnsFd: number | undefined = undefined;
  mac: string;
  alias = "";
  mtu = 1500;
  up = false;
  persist = false;
  gone = false;
  /** What setOffload() asked for and the features grant. */
  offload: Offload = { checksum: false, tso4: false, tso6: false, uso: false };
  /** Octets of the longest super-frame the container's kernel makes. */
  gsoMaxSize = GSO_MAX;
  txDropped = 0;
  rxDropped = 0;
  /** Descriptors open on it. */
  openCount = 0;
  readonly addresses: string[] = [];
  readonly routes: { readonly to: string; readonly via?: string }[] = [];
  readonly #supers: Supers;
  readonly #failures: number[] = [];
  readonly #queue: MemoryFrame[] = [];
  #queueMax = QUEUE_DEFAULT;
  #taken: MemoryFrame[] = [];
  #wake: () => void = () => {};
  #onFrame: ((frame: MemoryFrame) => void) | undefined;

  constructor(spec: OpenDevice, name: string, ifindex: number, mac: string, supers: Supers) {
    this.kind = spec.kind;
    this.multiQueue = spec.multiQueue ?? false;
    this.name = name;
    this.ifindex = ifindex;
    this.mac = mac;
    this.#supers = supers;
  }

  // ---- the container's side: for tests, examples and benches ----

  /**
   * Sends a frame from the container towards the switch.
   * @returns false when the queue is full (counted as txDropped, as a TAP's ring does) or the device is down
   */
  inject(frame: Uint8Array, vnetHdr: Uint8Array = new Uint8Array(LIMIT.VNET_HDR_LEN)): boolean {
    if (!this.up || this.gone) return false;
    if (this.#queue.length >= this.#queueMax) {
      this.txDropped++;
      return false;
    }
    this.#queue.push({ vnetHdr, frame });
    this.#wake();
    return true;
  }

  /** Frames the switch has delivered since the last call. */
  take(): MemoryFrame[] {
    const out = this.#taken;
    this.#taken = [];
    return out;
  }

  /** Hands delivered frames to a listener instead of keeping them for take(): a container that answers. */
  onFrame(listener: ((frame: MemoryFrame) => void) | undefined): void {
    this.#onFrame = listener;
  }

  /** Lets the next `count` writes to this device fail with an errno: `failNext("ENOBUFS", 3)`. */
  failNext(code: string, count = 1): void {
    const errno = ERRNO[code];
    if (errno === undefined) throw new RangeError(`no errno is called ${code}`);
    for (let i = 0; i < count; i++) this.#failures.push(-errno);
  }

  /** The device vanishes, as when its namespace ends. */
  destroy(): void {
    this.gone = true;
    this.#queue.length = 0;
    this.#wake();
  }

  // ---- the switch's side ----

  get waiting(): number {
    return this.#queue.length;
  }
  shift(): MemoryFrame | undefined {
    return this.#queue.shift();
  }
  /** Called when an empty queue gets a frame, and when the device goes. */
  onReadable(wake: () => void): void {
    this.#wake = wake;
  }

  /** @returns octets written, or the negative errno a TAP would answer. */
  write(frame: MemoryFrame): number {
    const injected = this.#failures.shift();
    if (injected !== undefined) return injected;
    if (this.gone) return -(ERRNO.EBADFD as number);
    if (!this.up) return -(ERRNO.EIO as number);
    if (frame.frame.length < LIMIT.ETH_LEN && this.kind === "tap") return -(ERRNO.EINVAL as number);
    // A TUN finds the protocol in the packet's own version.
    if (this.kind === "tun" && ![4, 6].includes((frame.frame[0] ?? 0) >> 4)) return -(ERRNO.EINVAL as number);
    if (refusesVnetHdr(frame.vnetHdr, frame.frame.length, this.#supers, this.kind)) return -(ERRNO.EINVAL as number);
    if (this.#onFrame) {
      this.#onFrame(frame);
    } else if (this.#taken.length < TAKEN_MAX) {
      this.#taken.push(frame);
    } else {
      this.rxDropped++;
      return -(ERRNO.ENOBUFS as number);
    }
    return frame.frame.length + frame.vnetHdr.length;
  }

  configure(spec: ConfigureDevice): void {
    if (spec.mac !== undefined) this.mac = spec.mac.toLowerCase();
    if (spec.alias !== undefined) this.alias = spec.alias;
    if (spec.mtu !== undefined) this.mtu = spec.mtu;
    if (spec.gsoMaxSize !== undefined && spec.gsoMaxSize <= GSO_MAX) this.gsoMaxSize = spec.gsoMaxSize;
    if (spec.txQueueLen !== undefined) this.#queueMax = spec.txQueueLen;
    for (const address of spec.addresses ?? []) if (!this.addresses.includes(address)) this.addresses.push(address);
    if (spec.up !== undefined) this.up = spec.up;
    for (const prefix of spec.removeRoutes ?? []) {
      const at = this.routes.findIndex((r) => r.to === prefix);
      if (at >= 0) this.routes.splice(at, 1);
    }
    for (const route of spec.routes ?? []) {
      if (!this.routes.some((r) => r.to === route.to && r.via === route.via)) this.routes.push(route);
    }
  }

  stats(): DeviceStats {
    const { ifindex, mac, alias, mtu, up, txDropped, rxDropped } = this;
    return { ifindex, mac, alias, mtu, up, txDropped, rxDropped };
  }
}
