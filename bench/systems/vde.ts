/** VDE, which does not encrypt: as switches with a UDP cable between them, and as its network without switches. */
import { existsSync } from "node:fs";
import {
  type Device,
  type Hosts,
  INNER_MTU,
  makeContainers,
  moveToContainer,
  other,
  run,
  SIDES,
  type Side,
} from "../lab.js";
import { type Program, startProgram, together, until, untilDevice, versionOf } from "./program.js";
import { type Definition, factsOf } from "./system.js";

const needs = [
  { program: "vde_switch", package: "vde2" },
  { program: "vde_plug", package: "vde2" },
];
const plain = { layer: 2, cipher: "none", mtu: INNER_MTU, scope: "overlay", needs } as const;

/** A UDP plug ends when nobody listens at the other end: both run before a device is up and speaks. */
function cable(hosts: Hosts, side: Side): string {
  const port = 10_100;
  return `udp://${hosts.address(side)}:${port}->${hosts.address(other(side))}:${port}`;
}

export const vde: Definition = {
  ...{ name: "vde", title: "vde_switch, UDP cable", ...plain },
  async start(hosts) {
    const containers = makeContainers("vde");
    const programs: Program[] = [];
    const deviceOf = (side: Side): Device => ({ netns: hosts.netns(side), device: `vde-${side}` });
    for (const side of SIDES) {
      const { netns, device } = deviceOf(side);
      const socket = `/run/bench-vde-${side}`;
      programs.push(startProgram(netns, ["vde_switch", "-tap", device, "-sock", socket]));
      await until("vde_switch", () => existsSync(`${socket}/ctl`), programs);
      programs.push(startProgram(netns, ["vde_plug", `vde://${socket}`, cable(hosts, side)]));
    }
    for (const side of SIDES) {
      moveToContainer(deviceOf(side), containers.container(side), INNER_MTU, containers.address(side));
    }
    const version = versionOf("vde_switch", "--version");
    return { ...factsOf(vde), version, ...containers, wire: hosts.wire, ...together(programs) };
  },
};

const GROUP = "239.0.0.42";

/** Each plug learns behind which host an address is, and finds the others by multicast. It does not tell its version. */
export const vxvde: Definition = {
  ...{ name: "vxvde", title: "VDE, vxvde", ...plain },
  async start(hosts) {
    const containers = makeContainers("vxvde");
    const programs: Program[] = [];
    for (const side of SIDES) {
      const device = { netns: hosts.netns(side), device: `vxvde-${side}` };
      const under = hosts.wire(side).device;
      run("ip", "-n", device.netns, "route", "add", `${GROUP}/32`, "dev", under);
      const words = ["vde_plug", `tap://${device.device}`, `vxvde://${GROUP}/v4/if=${under}`] as const;
      programs.push(startProgram(device.netns, words));
      await untilDevice(device, programs);
      moveToContainer(device, containers.container(side), INNER_MTU, containers.address(side));
    }
    const version = versionOf("dpkg-query", "--show", "vdeplug");
    return { ...factsOf(vxvde), version, ...containers, wire: hosts.wire, ...together(programs) };
  },
};
