/** weft in clear: between hosts, and between two ports of one daemon. */
import { type Containers, INNER_MTU, makeContainers, makeNamespace, other, run, SIDES } from "../lab.js";
import { startWeft, WEFT, type WeftHosts } from "../weft-hosts.js";
import { type Definition, factsOf, type System } from "./system.js";

/** What every system of weft's daemons says of itself. */
export const dutiesOf = (daemons: WeftHosts): Pick<System, "version" | "pids" | "failure" | "stop" | "weft"> => ({
  version: run(process.execPath, WEFT, "--version").trim(),
  pids: daemons.pids,
  failure: daemons.failure,
  stop: daemons.stop,
  weft: daemons,
});

/** Gives the container of each side a port of that side's daemon. @param name daemons are named `NAME-a` and `NAME-b` */
export async function attachBoth(daemons: WeftHosts, name: string, containers: Containers): Promise<void> {
  for (const side of SIDES) {
    const port = { netns: containers.container(side), ip: `${containers.address(side)}/24` };
    await daemons.attach(`${name}-${side}`, [port]);
  }
}

/** weft between hosts, in clear. Its daemons are named `host-a` and `host-b`. */
export const weft: Definition = {
  name: "weft",
  title: "weft",
  layer: 2,
  cipher: "none",
  mtu: INNER_MTU,
  scope: "overlay",
  needs: [],
  async start(hosts, nodeFlags) {
    const containers = makeContainers("weft");
    const daemons = await startWeft(
      SIDES.map((side) => ({
        name: `host-${side}`,
        netns: hosts.netns(side),
        underlay: hosts.address(side),
        vteps: [hosts.address(other(side))],
      })),
      nodeFlags,
    );
    await attachBoth(daemons, "host", containers);
    return { ...factsOf(weft), ...containers, wire: hosts.wire, ...dutiesOf(daemons) };
  },
};

/** Two ports of one daemon, named `host-local`. */
export const weftLocal: Definition = {
  name: "weft-local",
  title: "weft, two ports of one host",
  layer: 2,
  cipher: "none",
  mtu: INNER_MTU,
  scope: "local",
  needs: [],
  async start() {
    const containers = makeContainers("weft-local");
    const [name, underlay] = ["host-local", "127.0.0.1"];
    makeNamespace(name);
    const daemons = await startWeft([{ name, netns: name, underlay, vteps: [] }]);
    for (const side of SIDES) {
      const [netns, ip] = [containers.container(side), `${containers.address(side)}/24`];
      // The network's own MTU would be the loopback's.
      await daemons.attach(name, [{ netns, ip, mtu: INNER_MTU }]);
    }
    return { ...factsOf(weftLocal), ...containers, ...dutiesOf(daemons) };
  },
};
