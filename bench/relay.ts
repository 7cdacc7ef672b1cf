/** The plain C relay (relay.c) as a system of the end-to-end bench: one process per host, its TAP is the container's. */
import { compile } from "./compile.js";
import { type Hosts, INNER_MTU, makeContainers, moveToContainer, other, run, SIDES, VNI } from "./lab.js";
import { type Program, startProgram, together, untilDevice } from "./systems/program.js";
import { type Definition, factsOf, type System } from "./systems/system.js";

/** Neither weft's nor the kernel's, so that all may run at once. */
const PORT = 4794;
const DEVICE = "relay0";
/** One super-frame, cut and with its headers, fits one send of 65507 octets. */
const GSO_MAX = 60_000;

/** @returns path of the program. Throws one line that says what to install, when there is no C compiler. */
export function buildRelay(): string {
  return compile({
    name: "relay",
    sources: ["relay.c", "relay-merge.c"],
    headers: ["relay.h"],
    flags: ["-O3", "-march=native"],
  });
}

/** Makes the two containers, starts the relays and hands their TAPs over. */
async function makeRelay(hosts: Hosts): Promise<System> {
  const program = buildRelay();
  const containers = makeContainers("relay");
  const programs: Program[] = [];
  for (const side of SIDES) {
    const netns = hosts.netns(side);
    const words = [DEVICE, hosts.address(side), hosts.address(other(side)), PORT, VNI].map(String);
    programs.push(startProgram(netns, [program, ...words]));
    const device = { netns, device: DEVICE };
    await untilDevice(device, programs);
    run("ip", "-n", netns, "link", "set", DEVICE, "gso_max_size", String(GSO_MAX), "txqueuelen", "1000");
    moveToContainer(device, containers.container(side), INNER_MTU, containers.address(side));
  }
  return { ...factsOf(relay), ...containers, version: "of this bench", wire: hosts.wire, ...together(programs) };
}

/** What plain C reaches with the system calls weft uses. */
export const relay: Definition = {
  ...{ name: "relay", title: "plain C relay", layer: 2, cipher: "none", mtu: INNER_MTU, scope: "overlay" },
  needs: [{ program: process.env.CC ?? "cc", package: "gcc" }],
  start: makeRelay,
};
