/** What the kernel does alone: the ceiling, its own VXLAN, and its bridge. */
import { release } from "node:os";
import {
  INNER_MTU,
  joinVeth,
  makeContainers,
  makeNamespace,
  moveToContainer,
  other,
  raise,
  run,
  SIDES,
  VNI,
} from "../lab.js";
import { type Definition, factsOf, kernelOnly } from "./system.js";

/** weft listens on 4789. */
const VXLAN_PORT = 4790;
const version = `Linux ${release()}`;
const plain = { layer: 2, cipher: "none", mtu: INNER_MTU, needs: [] } as const;

/** The containers joined by a veth pair, with the inner MTU so that segments are equal. */
export const veth: Definition = {
  ...{ name: "veth", title: "bare veth", scope: "overlay" as const, ...plain },
  async start() {
    const containers = makeContainers("veth");
    const wire = (side: "a" | "b") => ({ netns: containers.container(side), device: "eth0" });
    joinVeth(wire("a"), wire("b"));
    for (const side of SIDES) raise(wire(side), INNER_MTU, containers.address(side));
    return { ...factsOf(veth), version, ...containers, wire, ...kernelOnly };
  },
};

/** The kernel's VXLAN device, moved into the container: the shortest path the kernel has, no bridge, no veth. */
export const kernelVxlan: Definition = {
  ...{ name: "kernel-vxlan", title: "kernel VXLAN", scope: "overlay" as const, ...plain },
  async start(hosts) {
    const containers = makeContainers("vxlan");
    for (const side of SIDES) {
      const device = { netns: hosts.netns(side), device: "vxlan0" };
      run(
        ...(["ip", "-n", device.netns, "link", "add", device.device, "type", "vxlan", "id", String(VNI)] as const),
        ...(["local", hosts.address(side), "remote", hosts.address(other(side))] as const),
        ...(["dstport", String(VXLAN_PORT), "dev", hosts.wire(side).device] as const),
      );
      moveToContainer(device, containers.container(side), INNER_MTU, containers.address(side));
    }
    return { ...factsOf(kernelVxlan), version, ...containers, wire: hosts.wire, ...kernelOnly };
  },
};

/** Two containers of one host, each with a veth pair to the host's Linux bridge. */
export const bridge: Definition = {
  ...{ name: "bridge", title: "Linux bridge + veth, one host", scope: "local" as const, ...plain },
  async start() {
    const containers = makeContainers("bridge");
    const netns = "bridge";
    makeNamespace(netns);
    run("ip", "-n", netns, "link", "add", "br0", "mtu", String(INNER_MTU), "type", "bridge");
    for (const side of SIDES) {
      const [inside, outside] = [
        { netns: containers.container(side), device: "eth0" },
        { netns, device: `port-${side}` },
      ];
      joinVeth(inside, outside);
      raise(inside, INNER_MTU, containers.address(side));
      raise(outside, INNER_MTU);
      run("ip", "-n", netns, "link", "set", outside.device, "master", "br0");
    }
    raise({ netns, device: "br0" }, INNER_MTU);
    return { ...factsOf(bridge), version, ...containers, ...kernelOnly };
  },
};
