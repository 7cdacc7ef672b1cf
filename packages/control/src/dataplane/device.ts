/**
 * The TAP of a port, or the TUN of a layer-3 port: made in the daemon's namespace, then moved into the container's, or taken over from an earlier
 * process. Everything here can be undone; the caller keeps the list.
 */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import type { ConfigureDevice, Device, DeviceStats, Link } from "@weft/tun";
import { formatMac } from "./address.js";
import type { CheckedAttach } from "./attach-check.js";
import { OWN, withNetns } from "./netns.js";
import type { PortRecord } from "./types.js";

/** Frames the device holds until the switch reads them. */
export const QUEUE_FRAMES = 1000;
/** Octets of a super-frame: with the headers of all its segments (74 octets each, 45 of them) it fits one UDP send. */
export const SUPER_FRAME_MAX = 62_000;

export interface OpenedDevice {
  readonly device: Device;
  /** dev:inode of the namespace it belongs in; null where nobody can tell. */
  readonly netnsId: string | null;
  /** The open descriptor keeps the namespace alive: only for devices that were opened inside it. */
  readonly pins: boolean;
  readonly ifname: string;
  /** Losses that happened before. */
  readonly droppedBefore: number;
}

/** Opens a fresh device, down, with its MAC, MTU and queue; it ends with this process. `undo` gets what takes it back. */
export function openDevice(link: Link, wanted: CheckedAttach, undo: (() => void)[]): OpenedDevice {
  const stays = wanted.netns === null && wanted.configure;
  const name = (stays ? wanted.ifname : undefined) ?? `weft${randomBytes(4).toString("hex")}`;
  // TUNSETIFF would quietly join somebody's persistent device of that name.
  if (link.kind === "kernel" && existsHere(name)) throw taken(name, "this namespace");
  const device = link.openDevice({ kind: wanted.routed ? "tun" : "tap", name, vnetHdr: true });
  undo.push(() => {
    device.setPersist(false);
    device.close();
  });
  setOffload(link, device);
  link.configureDevice({
    ifname: name,
    // A TUN has no MAC to be known by.
    ...(wanted.routed ? { alias: formatMac(wanted.mac) } : { mac: formatMac(wanted.mac) }),
    mtu: wanted.mtu,
    txQueueLen: QUEUE_FRAMES,
    gsoMaxSize: SUPER_FRAME_MAX,
  });
  return {
    device,
    netnsId: link.kind === "memory" ? (device.netns() ?? null) : withNetns(wanted.netnsPath ?? OWN, (_fd, id) => id),
    pins: false,
    ifname: wanted.configure && wanted.netnsPath !== null ? (wanted.ifname ?? name) : name,
    droppedBefore: 0,
  };
}

/**
 * Asks for super-frames, as far as the kernel has them. A local port gets them as they come, so they are only asked for
 * where a device also takes them.
 */
export function setOffload(link: Link, device: Device): void {
  const { tapChecksum, coalesceTcp, coalesceUdp } = link.features();
  device.setOffload({ checksum: tapChecksum, tso4: coalesceTcp, tso6: coalesceTcp, uso: coalesceUdp });
}

/** Moves the device where it belongs and brings it up with addresses and routes. */
export function installDevice(link: Link, wanted: CheckedAttach, opened: OpenedDevice): void {
  const configuration = (netnsFd?: number): ConfigureDevice => ({
    ifname: netnsFd === undefined ? opened.device.name : opened.ifname,
    ...(netnsFd === undefined ? {} : { netnsFd }),
    addresses: wanted.ip,
    up: true,
    loopback: netnsFd !== undefined,
    routes: [...wanted.routes, ...wanted.gateway.map((via) => ({ to: via.includes(":") ? "::/0" : "0.0.0.0/0", via }))],
  });
  if (wanted.netnsPath === null) {
    link.configureDevice(configuration());
    return;
  }
  withNetns(wanted.netnsPath, (netnsFd) => {
    link.placeDevice({ name: opened.device.name, netnsFd, ifname: opened.ifname });
    link.configureDevice(configuration(netnsFd));
  });
}

/**
 * Takes over the persistent device of an earlier process, also when it was renamed since, and leaves alone what is
 * right: addresses, routes, state.
 * @throws Error ENODEV when there is no such device, EEXIST when another one has its name
 */
export function adoptDevice(link: Link, wanted: CheckedAttach, undo: (() => void)[]): OpenedDevice {
  const recorded = wanted.adopt?.ifname ?? "";
  const path = wanted.netnsPath ?? OWN;
  // The kernel gives the inode of a namespace that is gone to a new one: what is found by it alone may be a stranger's.
  const byInode = link.kind !== "memory" && wanted.netnsPath !== (wanted.adopt?.netnsPath ?? null);
  let name = recorded;
  const open = (netnsFd?: number): Device => {
    const found = link.findTap(formatMac(wanted.mac), recorded, netnsFd);
    if (found === undefined && byInode)
      throw Object.assign(new Error(`no device in ${path} has the MAC of port ${wanted.id}`), { code: "ENODEV" });
    name = found ?? recorded;
    return link.openDevice({
      kind: wanted.routed ? "tun" : "tap",
      name,
      vnetHdr: true,
      mustExist: true,
      ...(netnsFd === undefined ? {} : { netnsFd }),
    });
  };
  const here = wanted.netnsPath === null;
  // The namespace is only held while the device is opened in it.
  const device = here || link.kind === "memory" ? open() : withNetns(path, (fd) => open(fd));
  undo.push(() => device.close());
  const { vnetHdr, persist } = device.describe();
  const stats = link.deviceStats(device);
  const refuse = (what: string): Error =>
    Object.assign(new Error(`${name} in ${path} ${what}: not the device of port ${wanted.id}`), { code: "EEXIST" });
  if (vnetHdr !== link.features().vnetHdr) throw refuse(vnetHdr ? "has a virtio_net_hdr" : "has no virtio_net_hdr");
  if (!stats || !isOf(stats, formatMac(wanted.mac))) throw refuse(`has the MAC ${stats?.mac ?? "of nobody"}`);
  setOffload(link, device);
  if (!persist) device.setPersist(true);
  const netnsId = link.kind === "memory" ? (device.netns() ?? null) : withNetns(path, (_fd, id) => id);
  return { device, netnsId, pins: !here, ifname: name, droppedBefore: stats.txDropped };
}

/**
 * Removes the persistent device of an attachment that is not in force: the one with its MAC, under whatever name.
 * @throws Error when there is none; what has the recorded name now belongs to somebody else and stays
 */
export function removeRecorded(link: Link, { ifname, mac, l3 }: PortRecord, netnsFd?: number): void {
  const name = link.findTap(mac, ifname, netnsFd);
  if (name === undefined) throw new Error(`no TAP device there has the MAC ${mac}: others are left alone`);
  const device = link.openDevice({
    kind: l3 ? "tun" : "tap",
    name,
    vnetHdr: true,
    mustExist: true,
    ...(netnsFd === undefined ? {} : { netnsFd }),
  });
  try {
    // Only if nobody has put another device in its place meanwhile.
    const stats = link.deviceStats(device);
    if (!stats || !isOf(stats, mac)) throw new Error(`${name} has another MAC than ${mac}: it is left alone`);
    device.setPersist(false);
  } finally {
    device.close();
  }
}

/** Whether a device is the one of the port with that MAC: a TAP has it, a TUN has it for its alias. */
function isOf({ mac, alias }: DeviceStats, wanted: string): boolean {
  return mac === wanted || alias === wanted;
}

/** Whether this namespace has a device of that name. */
export function existsHere(name: string): boolean {
  return readFileSync("/proc/self/net/dev", "utf8")
    .split("\n")
    .some((line) => line.split(":")[0]?.trim() === name);
}
function taken(name: string, where: string): Error {
  return Object.assign(new Error(`a device ${name} is in ${where} already: choose another ifname`), { code: "EEXIST" });
}
