/**
 * n2n, as Debian has it (1.3, which encrypts always): a supernode on a third host introduces the two edges, which then
 * talk to each other. On one of their own hosts it would go on relaying one direction.
 */
import {
  type Hosts,
  joinVeth,
  makeContainers,
  makeNamespace,
  moveToContainer,
  raise,
  run,
  SIDES,
  UNDERLAY_MTU,
} from "../lab.js";
import { startProgram, together, untilDevice, versionOf } from "./program.js";
import { type Definition, factsOf } from "./system.js";

const PORT = 7654;
/** At its default of 1400 every full frame is sent in two fragments. */
const MTU = 1350;
const SUPERNODE = "10.5.0.1";
const THIRD = "n2n-third";

/** A host that both others reach, each by its underlay address. */
function makeThirdHost(hosts: Hosts): void {
  makeNamespace(THIRD);
  run("ip", "-n", THIRD, "address", "add", `${SUPERNODE}/32`, "dev", "lo");
  for (const side of SIDES) {
    const netns = hosts.netns(side);
    const [near, far] = [
      { netns, device: "third" },
      { netns: THIRD, device: `to-${side}` },
    ];
    joinVeth(near, far);
    for (const end of [near, far]) raise(end, UNDERLAY_MTU);
    run("ip", "-n", netns, "route", "add", `${SUPERNODE}/32`, "dev", near.device, "src", hosts.address(side));
    run("ip", "-n", THIRD, "route", "add", `${hosts.address(side)}/32`, "dev", far.device, "src", SUPERNODE);
  }
}

export const n2n: Definition = {
  ...{ name: "n2n", title: "n2n", layer: 2, cipher: "Twofish", mtu: MTU, scope: "overlay" },
  needs: [{ program: "edge", package: "n2n" }],
  async start(hosts) {
    const containers = makeContainers("n2n");
    makeThirdHost(hosts);
    const programs = [startProgram(THIRD, ["supernode", "-l", String(PORT)])];
    for (const side of SIDES) {
      const device = { netns: hosts.netns(side), device: `n2n-${side}` };
      const flags = ["-d", device.device, "-a", containers.address(side), "-c", "bench", "-k", "bench"];
      const places = ["-M", String(MTU), "-p", String(PORT), "-l", `${SUPERNODE}:${PORT}`];
      programs.push(startProgram(device.netns, ["edge", ...flags, ...places]));
      await untilDevice(device, programs);
      moveToContainer(device, containers.container(side), MTU, containers.address(side));
    }
    const version = versionOf("edge", "-h");
    return { ...factsOf(n2n), version, ...containers, wire: hosts.wire, ...together(programs) };
  },
};
