/** Everything weft is measured beside, in the order of the tables. */
import { type Hosts, other, SIDES } from "../lab.js";
import { startPeer } from "../peer.js";
import { relay } from "../relay.js";
import { fastdNull, fastdSalsa } from "./fastd.js";
import { bridge, kernelVxlan, veth } from "./kernel.js";
import { n2n } from "./n2n.js";
import { nebula } from "./nebula.js";
import { ovs } from "./ovs.js";
import { programsStarted, together } from "./program.js";
import { type Definition, missingPackages, type System } from "./system.js";
import { tinc, tincPlain } from "./tinc.js";
import { vde, vxvde } from "./vde.js";
import { weft, weftLocal } from "./weft.js";
import { weftLayer3, weftWireguard } from "./weft-wireguard.js";
import { wireguard, wireguardVxlan } from "./wireguard.js";

/** With `--peers`. */
export const PEERS: readonly Definition[] = [
  ...[veth, kernelVxlan, weft, relay],
  ...[ovs, fastdNull, vde, vxvde, tincPlain],
  ...[weftWireguard, wireguardVxlan, fastdSalsa, tinc, n2n],
  ...[weftLayer3, wireguard, nebula],
  ...[bridge, weftLocal],
];

const PROBE_PORT = 5200;
/** fastd greets every 20 s. */
const PROBE_LIMIT_MS = 30_000;

/** Waits until datagrams go there and back from both sides. */
async function untilReachable(system: System): Promise<void> {
  for (const side of SIDES) {
    const at = [system.address(other(side)), PROBE_PORT];
    const echo = startPeer(system.container(other(side)), ["echo", ...at], PROBE_LIMIT_MS / 1000 + 5);
    try {
      await echo.line("listening");
      const end = Date.now() + PROBE_LIMIT_MS;
      for (;;) {
        const ping = startPeer(system.container(side), ["ping", ...at, 0, 0.01, 64], 5);
        const answered = await ping.result().then(
          () => true,
          () => false,
        );
        await ping.stop();
        if (answered) break;
        const failure = system.failure();
        if (failure !== undefined) throw new Error(failure);
        if (Date.now() > end) throw new Error(`no datagram came back to side ${side} in ${PROBE_LIMIT_MS / 1000} s`);
      }
    } finally {
      await echo.stop();
    }
  }
}

/**
 * Starts systems one after another, and sees that each carries traffic both ways.
 * @param notes gets a sentence for each that is left out, and why
 * @throws Error when weft is among them and does not run
 */
export async function startSystems(
  definitions: readonly Definition[],
  hosts: Hosts,
  notes: string[],
): Promise<System[]> {
  const systems: System[] = [];
  for (const definition of definitions) {
    const missing = missingPackages(definition);
    if (missing.length > 0) {
      notes.push(`${definition.title} is left out: \`apt-get install ${missing.join(" ")}\``);
      continue;
    }
    const before = programsStarted().length;
    try {
      const system = await definition.start(hosts);
      await untilReachable(system);
      systems.push(system);
    } catch (error) {
      // Half a system would go on costing time.
      await together(programsStarted().slice(before)).stop();
      const why = (error instanceof Error ? error.message : String(error)).replace(/^bench: /, "");
      if (definition.name.startsWith("weft")) throw new Error(`bench: ${definition.title}: ${why}`);
      notes.push(`${definition.title} is left out: ${why}`);
    }
  }
  return systems;
}
