/** An open TAP or TUN device of the kernel. */
import { closeSync } from "node:fs";
import { NETNS_OWN, native, TAP_FLAG, TAP_OFFLOAD } from "./addon.js";
import { attempt, createSystemError, ERRNO } from "./errors.js";
import type { Device, Features, OpenDevice } from "./link.js";
import { netnsIdentity } from "./process.js";

/** What a device has to know of the features: those that are absent or switched off are not asked for. */
export type DeviceFeatures = Pick<Features, "vnetHdr" | "tapChecksum" | "tso" | "uso" | "tunGetDevNetns">;

const OPEN_ADVICE = {
  ENOENT:
    "there is no /dev/net/tun: load the module with `modprobe tun`, or give the container `--device /dev/net/tun`",
  ENXIO: "there is no /dev/net/tun driver: load the module with `modprobe tun`",
  EBUSY: "another process has the device open",
  EINVAL:
    "there is such a device, but of another kind or opened with other flags (TUN instead of TAP, vnet_hdr, multi-queue)",
  ENODEV: "there is no such device in that namespace",
  ENAMETOOLONG: "device names have at most 15 octets",
};

class KernelDevice implements Device {
  readonly fd: number;
  readonly name: string;
  readonly #features: () => DeviceFeatures;
  #open = true;

  constructor(fd: number, name: string, features: () => DeviceFeatures) {
    this.fd = fd;
    this.name = name;
    this.#features = features;
  }

  setOffload(flags: { checksum: boolean; tso4?: boolean; tso6?: boolean; uso?: boolean }): void {
    const has = this.#features();
    const bits =
      (flags.checksum && has.tapChecksum ? TAP_OFFLOAD.CSUM : 0) |
      (flags.tso4 && has.tso ? TAP_OFFLOAD.TSO4 : 0) |
      (flags.tso6 && has.tso ? TAP_OFFLOAD.TSO6 : 0) |
      (flags.uso && has.uso ? TAP_OFFLOAD.USO : 0);
    attempt(`cannot set the offloads of device ${this.name}`, () => native().deviceOffload(this.#fd(), bits), {
      EINVAL: "the kernel lacks one of them; super-frames need checksums, and a device without vnet_hdr has none",
    });
  }

  setPersist(on: boolean): void {
    attempt(`cannot make device ${this.name} ${on ? "persistent" : "transient"}`, () =>
      native().devicePersist(this.#fd(), on ? 1 : 0),
    );
  }

  describe(): { name: string; vnetHdr: boolean; persist: boolean; multiQueue: boolean } {
    const { name, flags } = attempt(
      `cannot read the flags of device ${this.name}`,
      () => native().deviceDescribe(this.#fd()),
      { EBADFD: "the device or its namespace is gone" },
    );
    return {
      name,
      vnetHdr: (flags & TAP_FLAG.VNET_HDR) !== 0,
      persist: (flags & TAP_FLAG.PERSIST) !== 0,
      multiQueue: (flags & TAP_FLAG.MULTI_QUEUE) !== 0,
    };
  }

  netns(): string | undefined {
    if (!this.#features().tunGetDevNetns) return undefined;
    const netnsFd = attempt(
      `cannot find the namespace of device ${this.name}`,
      () => native().deviceNetns(this.#fd()),
      { EBADFD: "the device or its namespace is gone" },
    );
    try {
      return netnsIdentity(netnsFd);
    } finally {
      closeSync(netnsFd);
    }
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    closeSync(this.fd);
  }

  /** The number may belong to another file once this device is closed. */
  #fd(): number {
    if (!this.#open) {
      throw createSystemError("EBADF", ERRNO.EBADF as number, "ioctl", `device ${this.name} is closed`);
    }
    return this.fd;
  }
}

/**
 * Opens a device. Where the kernel lacks vnet_hdr, or it is switched off, the device goes without: the Io then
 * supplies empty headers.
 */
export function openDevice(spec: OpenDevice, features: () => DeviceFeatures): Device {
  const flags =
    (spec.vnetHdr && features().vnetHdr ? TAP_FLAG.VNET_HDR : 0) |
    (spec.multiQueue ? TAP_FLAG.MULTI_QUEUE : 0) |
    (spec.mustExist ? TAP_FLAG.MUST_EXIST : 0) |
    (spec.kind === "tun" ? TAP_FLAG.IS_TUN : 0);
  const { fd, name } = attempt(
    `cannot ${spec.mustExist ? "adopt" : "open"} ${spec.kind} device ${spec.name}`,
    () => native().deviceOpen(spec.name, flags, spec.netnsFd ?? NETNS_OWN),
    OPEN_ADVICE,
  );
  return new KernelDevice(fd, name, features);
}
