/** weft: between hosts, and between two ports of one daemon. */
import { INNER_MTU, makeContainers, makeNamespace, other, run, SIDES } from "../lab.js";
import { startWeft, WEFT, type WeftHosts } from "../weft-hosts.js";
import { type Definition, factsOf, type System } from "./system.js";

const versionOf = (): string => run(process.execPath, WEFT, "--version").trim();
const dutiesOf = (daemons: WeftHosts): Pick<System, "pids" | "failure" | "stop" | "weft"> => ({
  pids: daemons.pids,
  failure: daemons.failure,
  stop: daemons.stop,
  weft: daemons,
});

/**
 * weft between hosts. Its daemons are named `host-a` and `host-b`.
 * @param nodeFlags for Node.js, e.g. `["--perf-basic-prof"]`; what it writes to its working directory goes to /run
 */
export function weftWith(nodeFlags: readonly string[]): Definition {
  const definition: Definition = {
    name: "weft",
    title: "weft",
    layer: 2,
    cipher: "none",
    mtu: INNER_MTU,
    scope: "overlay",
    needs: [],
    async start(hosts) {
      const containers = makeContainers("weft");
      const daemons = await startWeft(
        SIDES.map((side) => ({
          name: `host-${side}`,
          netns: hosts.netns(side),
          underlay: hosts.address(side),
          vteps: [hosts.address(other(side))],
        })),
        nodeFlags,
        "/run",
      );
      for (const side of SIDES) {
        const port = { netns: containers.container(side), ip: `${containers.address(side)}/24` };
        await daemons.attach(`host-${side}`, [port]);
      }
      return { ...factsOf(definition), version: versionOf(), ...containers, wire: hosts.wire, ...dutiesOf(daemons) };
    },
  };
  return definition;
}

export const weft = weftWith([]);

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
    return { ...factsOf(weftLocal), version: versionOf(), ...containers, ...dutiesOf(daemons) };
  },
};
