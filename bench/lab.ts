/**
 * Two hosts joined by a veth pair as underlay, and for each system under test one container on each side:
 *
 *     container a ─ eth0 … host a ─ under ══════ under ─ host b … eth0 ─ container b
 *
 * Everything lives in namespaces under a private /run, made by this process, which is the first of its own process
 * and mount namespace: when it ends, by whatever cause, the kernel removes all of it.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";

export const SIDES = ["a", "b"] as const;
export type Side = (typeof SIDES)[number];
export const other = (side: Side): Side => (side === "a" ? "b" : "a");

/**
 * `offloads`: veth as the kernel makes it; 64 KiB super-frames cross the underlay whole and no checksum is computed.
 * `wire`: segmentation and checksum offloads off and GRO on at the underlay, so that every datagram is at most an MTU
 * long and carries a checksum, as on a cable.
 */
export const REGIMES = ["offloads", "wire"] as const;
export type Regime = (typeof REGIMES)[number];

/** Octets of the longest IP packet on the underlay, and inside VXLAN over IPv4. */
export const UNDERLAY_MTU = 1500;
export const INNER_MTU = UNDERLAY_MTU - 50;
export const VNI = 42;

/** A network device and the namespace (as in `ip netns`) it is in. */
export interface Device {
  readonly netns: string;
  readonly device: string;
}

/** Two hosts and the underlay between them. */
export interface Hosts {
  netns(side: Side): string;
  /** Underlay address, without prefix length. */
  address(side: Side): string;
  /** Underlay device. */
  wire(side: Side): Device;
}

/** A container on each side. */
export interface Containers {
  container(side: Side): string;
  /** Inner address, without prefix length; all are /24. */
  address(side: Side): string;
}

/** Where a program is found that an ordinary user's PATH may lack. */
export const PATH = `${process.env.PATH ?? "/usr/bin:/bin"}:/usr/local/sbin:/usr/sbin:/sbin`;

/** Runs a program; its error output becomes the message of the error. */
export function run(program: string, ...args: string[]): string {
  try {
    const env = { ...process.env, PATH };
    return execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], env });
  } catch (error) {
    const failed = error as NodeJS.ErrnoException & { stderr?: string };
    if (failed.code === "ENOENT") {
      const debian = program === "ethtool" ? "ethtool" : program === "ip" ? "iproute2" : "util-linux";
      throw new Error(`bench: ${program} is not installed: \`apt-get install ${debian}\``);
    }
    throw new Error(`bench: ${program} ${args.join(" ")}: ${failed.stderr?.trim() || failed.message}`);
  }
}

export function makeNamespace(name: string): void {
  run("ip", "netns", "add", name);
  run("ip", "-n", name, "link", "set", "lo", "up");
}

/**
 * Sets a kernel setting of a namespace.
 * @param name with slashes, as below /proc/sys
 */
export function setting(netns: string, name: string, value: string): void {
  run("nsenter", `--net=/run/netns/${netns}`, "sh", "-c", `echo ${value} > /proc/sys/${name}`);
}

/** Runs `ethtool` on a device. */
export function ethtool({ netns, device }: Device, ...args: readonly string[]): string {
  const [flag = "", ...rest] = args;
  return run("nsenter", `--net=/run/netns/${netns}`, "ethtool", flag, device, ...rest);
}

/** Gives a device its address, if it has one, its MTU, and sets it up. */
export function raise({ netns, device }: Device, mtu: number, address?: string): void {
  if (address !== undefined) run("ip", "-n", netns, "address", "add", `${address}/24`, "dev", device);
  run("ip", "-n", netns, "link", "set", device, "mtu", String(mtu), "up");
}

/** Moves a device into another namespace as its eth0. */
export function moveToContainer(from: Device, netns: string, mtu: number, address: string): void {
  run("ip", "-n", from.netns, "link", "set", from.device, "netns", netns, "name", "eth0");
  raise({ netns, device: "eth0" }, mtu, address);
}

/** A veth pair; both ends are down and without addresses. */
export function joinVeth(x: Device, y: Device): void {
  run("ip", "link", "add", x.device, "netns", x.netns, "type", "veth", "peer", "name", y.device, "netns", y.netns);
}

/** A private /run. Call once, first. */
export function makeLab(): void {
  run("mount", "-t", "tmpfs", "tmpfs", "/run");
  mkdirSync("/run/netns");
}

/**
 * Two hosts with an underlay of their own.
 * @param name of the pair, and what its namespaces begin with
 * @param net the underlay is 10.NET.0.0/24
 */
export function makeHosts(name = "host", net = 9): Hosts {
  const hosts: Hosts = {
    netns: (side) => `${name}-${side}`,
    address: (side) => `10.${net}.0.${side === "a" ? 1 : 2}`,
    wire: (side) => ({ netns: `${name}-${side}`, device: "under" }),
  };
  for (const side of SIDES) makeNamespace(hosts.netns(side));
  joinVeth(hosts.wire("a"), hosts.wire("b"));
  for (const side of SIDES) raise(hosts.wire(side), UNDERLAY_MTU, hosts.address(side));
  return hosts;
}

/** Subnets of containers are 10.10.0.0/24 and up; 10.5 to 10.9 are the hosts'. */
let lastNet = 9;

/** Two empty namespaces with a subnet of their own. */
export function makeContainers(name: string): Containers {
  const net = ++lastNet;
  const containers: Containers = {
    container: (side) => `${name}-${side}`,
    address: (side) => `10.${net}.0.${side === "a" ? 1 : 2}`,
  };
  for (const side of SIDES) makeNamespace(containers.container(side));
  return containers;
}

/** What makes a datagram longer than the MTU, or leaves its checksum undone. Names as in `ethtool -k`. */
const SHORTCUTS = [
  ...["tx-checksum-ip-generic", "tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-tcp-ecn-segmentation"],
  ...["tx-udp_tnl-segmentation", "tx-udp_tnl-csum-segmentation", "tx-udp-segmentation"],
  ...["tx-gso-list", "generic-segmentation-offload"],
];

/** Something that crosses from host to host, or not: what setRegime() and wireCounts() need of a system. */
export interface Wired {
  /** Where its frames cross; undefined where both containers are on one host. */
  readonly wire?: (side: Side) => Device;
}

/** Switches the underlay of every system (for veth: the veth itself) to a regime. */
export function setRegime(regime: Regime, systems: readonly Wired[]): void {
  const devices = new Map<string, Device>();
  for (const system of systems) {
    for (const side of SIDES) {
      const wire = system.wire?.(side);
      if (wire) devices.set(`${wire.netns} ${wire.device}`, wire);
    }
  }
  const state = regime === "wire" ? "off" : "on";
  const switches = SHORTCUTS.flatMap((name) => [name, state]);
  for (const wire of devices.values()) ethtool(wire, "-K", ...switches, "gro", regime === "wire" ? "on" : "off");
}

/** What the two wire ends of a system have sent and dropped, as the kernel counts (a super-frame counts once). */
export interface WireCounts {
  readonly frames: number;
  readonly octets: number;
  /** Frames dropped on the way in or out. */
  readonly drops: number;
}

interface LinkCounts {
  readonly rx: { readonly dropped: number; readonly errors: number };
  readonly tx: { readonly packets: number; readonly bytes: number; readonly dropped: number; readonly errors: number };
}

/** Zeroes where the system has no wire. */
export function wireCounts(system: Wired): WireCounts {
  let [frames, octets, drops] = [0, 0, 0];
  for (const side of SIDES) {
    const wire = system.wire?.(side);
    if (!wire) continue;
    const text = run("ip", "-n", wire.netns, "-json", "-statistics", "link", "show", "dev", wire.device);
    const stats = (JSON.parse(text) as { stats64: LinkCounts }[])[0]?.stats64;
    if (!stats) continue;
    frames += stats.tx.packets;
    octets += stats.tx.bytes;
    drops += stats.rx.dropped + stats.rx.errors + stats.tx.dropped + stats.tx.errors;
  }
  return { frames, octets, drops };
}
