/** The independent judge: the kernel's own VXLAN device, as the other end of a tunnel. */
import type { Host, Lab } from "./lab.js";
import type { Namespace } from "./namespace.js";

export interface KernelVxlan {
  /** Underlay addresses that unknown destinations are flooded to. */
  readonly peers: readonly string[];
  /** An address of the host to run on, as that of a tunnel; default: the underlay's, bound to its device. */
  readonly local?: string;
  readonly vni?: number;
  readonly ip?: readonly string[];
  readonly mac?: string;
  /** Default: 1450 over IPv4, 1430 over IPv6. */
  readonly mtu?: number;
  /** UDP port, default 4789. */
  readonly port?: number;
  /** Word of the container in the test's story. */
  readonly label?: string;
}

/**
 * A container on `host` whose eth0 is a kernel vxlan device: the device is made in the host's namespace, where its UDP
 * socket stays, and moved into the container. Checksums over IPv6 underlay are on, as the kernel's default is.
 */
export async function kernelVxlan(lab: Lab, host: Host, spec: KernelVxlan): Promise<Namespace> {
  const vni = spec.vni ?? 42;
  const family = spec.peers[0]?.includes(":") ? 6 : 4;
  const container = await lab.container(spec.label ?? `kernel${vni}`);
  const device = `vx${vni}`;
  const at = spec.local === undefined ? `${host.address(family)} dev ${host.device}` : spec.local;
  await host.run(`ip link add ${device} type vxlan id ${vni} local ${at} dstport ${spec.port ?? 4789}`);
  await host.run(`ip link set ${device} netns ${container.name} name eth0`);
  if (spec.mac !== undefined) await container.run(`ip link set eth0 address ${spec.mac}`);
  await container.run(`ip link set eth0 mtu ${spec.mtu ?? (family === 4 ? 1450 : 1430)}`);
  for (const address of spec.ip ?? []) {
    await container.run(`ip addr add ${address} dev eth0${address.includes(":") ? " nodad" : ""}`);
  }
  for (const peer of spec.peers) {
    await container.run(`bridge fdb append 00:00:00:00:00:00 dev eth0 dst ${peer}`);
  }
  await container.run("ip link set eth0 up");
  return container;
}
