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
import type { WeftHosts } from "./weft-hosts.js";

export const SIDES = ["a", "b"] as const;
export type Side = (typeof SIDES)[number];

export const SYSTEMS = ["veth", "kernel-vxlan", "weft"] as const;
export type SystemName = (typeof SYSTEMS)[number];

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
/** Not 4789, which weft listens on. */
const KERNEL_VXLAN_PORT = 4790;

export const underlayAddress = (side: Side): string => `10.9.0.${side === "a" ? 1 : 2}`;
export const other = (side: Side): Side => (side === "a" ? "b" : "a");

/** A system under test, ready to carry traffic. */
export interface System {
  readonly name: SystemName;
  /** Namespace of the container on a side. */
  container(side: Side): string;
  /** Inner address of the container on a side. */
  address(side: Side): string;
  /** Where its frames cross from host to host: namespace and device, for offload switches and frame counts. */
  wire(side: Side): { readonly netns: string; readonly device: string };
  /** Daemons, where the system has any. */
  readonly daemons?: WeftHosts;
}

/** Runs a program; its error output becomes the message of the error. */
export function run(program: string, ...args: string[]): string {
  try {
    return execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    const failed = error as NodeJS.ErrnoException & { stderr?: string };
    if (failed.code === "ENOENT") {
      const debian = program === "ethtool" ? "ethtool" : program === "ip" ? "iproute2" : "util-linux";
      throw new Error(`bench: ${program} is not installed: \`apt-get install ${debian}\``);
    }
    throw new Error(`bench: ${program} ${args.join(" ")}: ${failed.stderr?.trim() || failed.message}`);
  }
}

function makeNamespace(name: string): void {
  run("ip", "netns", "add", name);
  run("ip", "-n", name, "link", "set", "lo", "up");
}

/** A veth pair between two namespaces, both ends up, with addresses. */
function joinVeth(ends: readonly { netns: string; device: string; address: string }[], mtu: number): void {
  const [x, y] = ends;
  if (!x || !y) throw new Error("bench: a veth pair has two ends");
  run("ip", "link", "add", x.device, "netns", x.netns, "type", "veth", "peer", "name", y.device, "netns", y.netns);
  for (const end of ends) {
    run("ip", "-n", end.netns, "address", "add", end.address, "dev", end.device);
    run("ip", "-n", end.netns, "link", "set", end.device, "mtu", String(mtu), "up");
  }
}

/** The private /run, and the hosts with their underlay. Call once, first. */
export function makeHosts(): void {
  run("mount", "-t", "tmpfs", "tmpfs", "/run");
  mkdirSync("/run/netns");
  for (const side of SIDES) makeNamespace(`host-${side}`);
  joinVeth(
    SIDES.map((side) => ({ netns: `host-${side}`, device: "under", address: `${underlayAddress(side)}/24` })),
    UNDERLAY_MTU,
  );
}

function makeContainers(name: string): Pick<System, "container"> {
  const container = (side: Side): string => `${name}-${side}`;
  for (const side of SIDES) makeNamespace(container(side));
  return { container };
}

/** The ceiling: the containers joined by a veth pair of their own, with the inner MTU so that segments are equal. */
export function makeVeth(): System {
  const containers = makeContainers("veth");
  const address = (side: Side): string => `10.10.0.${side === "a" ? 1 : 2}`;
  joinVeth(
    SIDES.map((side) => ({ netns: containers.container(side), device: "eth0", address: `${address(side)}/24` })),
    INNER_MTU,
  );
  return {
    name: "veth",
    ...containers,
    address,
    wire: (side) => ({ netns: containers.container(side), device: "eth0" }),
  };
}

/** The kernel's own VXLAN device, moved into the container: the shortest path the kernel has, no bridge, no veth. */
export function makeKernelVxlan(): System {
  const containers = makeContainers("vxlan");
  const address = (side: Side): string => `10.11.0.${side === "a" ? 1 : 2}`;
  for (const side of SIDES) {
    const [host, netns] = [`host-${side}`, containers.container(side)];
    run(
      ...(["ip", "-n", host, "link", "add", "vxlan0", "type", "vxlan", "id", String(VNI)] as const),
      ...(["local", underlayAddress(side), "remote", underlayAddress(other(side))] as const),
      ...(["dstport", String(KERNEL_VXLAN_PORT), "dev", "under"] as const),
    );
    run("ip", "-n", host, "link", "set", "vxlan0", "netns", netns, "name", "eth0");
    run("ip", "-n", netns, "address", "add", `${address(side)}/24`, "dev", "eth0");
    run("ip", "-n", netns, "link", "set", "eth0", "mtu", String(INNER_MTU), "up");
  }
  return { name: "kernel-vxlan", ...containers, address, wire: (side) => ({ netns: `host-${side}`, device: "under" }) };
}

/** weft: one daemon per host, the container's eth0 is its TAP. */
export async function makeWeft(start: (system: Omit<System, "daemons">) => Promise<WeftHosts>): Promise<System> {
  const containers = makeContainers("weft");
  const system: Omit<System, "daemons"> = {
    name: "weft",
    ...containers,
    address: (side) => `10.12.0.${side === "a" ? 1 : 2}`,
    wire: (side) => ({ netns: `host-${side}`, device: "under" }),
  };
  return { ...system, daemons: await start(system) };
}

/** What makes a datagram longer than the MTU, or leaves its checksum undone. Names as in `ethtool -k`. */
const SHORTCUTS = [
  ...["tx-checksum-ip-generic", "tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-tcp-ecn-segmentation"],
  ...["tx-udp_tnl-segmentation", "tx-udp_tnl-csum-segmentation", "tx-udp-segmentation"],
  ...["tx-gso-list", "generic-segmentation-offload"],
];

/** Switches the underlay of every system (for veth: the veth itself) to a regime. */
export function setRegime(regime: Regime, systems: readonly System[]): void {
  const devices = new Map<string, { netns: string; device: string }>();
  for (const system of systems) {
    for (const side of SIDES) {
      const wire = system.wire(side);
      devices.set(`${wire.netns} ${wire.device}`, wire);
    }
  }
  const state = regime === "wire" ? "off" : "on";
  const switches = SHORTCUTS.flatMap((name) => [name, state]);
  for (const { netns, device } of devices.values()) {
    run(
      "nsenter",
      `--net=/run/netns/${netns}`,
      "ethtool",
      "-K",
      device,
      ...switches,
      "gro",
      regime === "wire" ? "on" : "off",
    );
  }
}

/** Frames and octets a wire end has sent, both as the kernel counts them (a super-frame counts once). */
export function wireCounts(system: System): { frames: number; octets: number } {
  let frames = 0;
  let octets = 0;
  for (const side of SIDES) {
    const { netns, device } = system.wire(side);
    const text = run("ip", "-n", netns, "-json", "-statistics", "link", "show", "dev", device);
    const [link] = JSON.parse(text) as { stats64: { tx: { packets: number; bytes: number } } }[];
    frames += link?.stats64.tx.packets ?? 0;
    octets += link?.stats64.tx.bytes ?? 0;
  }
  return { frames, octets };
}
