/** Taking over what an earlier run has left: devices in their namespaces, and the routes of its networks. */
import type { ConfiguredNetwork } from "../config/config.js";
import type { DataplaneApi, PortRecord, Route } from "../dataplane/types.js";
import { codeOf, problemsOf } from "../errors.js";
import { errorFields, type Log } from "../log/log.js";
import type { KeptNetwork } from "../state/store.js";
import { adoptedMtu } from "./advice.js";
import { whyNamespaceGone } from "./namespace.js";

/**
 * Takes one port over. A port whose namespace or device is gone is forgotten, with one line.
 * @returns why the port has to stay parked, or undefined when it is adopted or forgotten.
 */
export async function adopt(record: PortRecord, dataplane: DataplaneApi, log: Log): Promise<string | undefined> {
  const { id: port, network } = record;
  const fields = { component: "ports", port, network, netns: record.netnsPath ?? undefined };
  const gone = whyNamespaceGone(record);
  if (gone) {
    log.warn(fields, `forgotten: ${gone}`);
    return undefined;
  }
  const owner = dataplane.networks().find((n) => n.name === network);
  if (!owner) {
    const why = `the network ${network} is not configured any more`;
    log.error(fields, `not adopted: ${why}; put it back, or \`weft detach ${port}\``);
    return why;
  }
  try {
    const { netnsPath, netnsId: _, ...rest } = record;
    const adopted = await dataplane.attach({
      ...rest,
      ...(netnsPath === null ? {} : { netns: netnsPath }),
      adopt: record,
    });
    log.info({ ...fields, mac: record.mac }, "adopted");
    const advice = adoptedMtu(adopted, owner);
    if (advice) log.warn(fields, advice);
    return undefined;
  } catch (error) {
    const { err, code } = errorFields(log, error);
    const goneSince = whyNamespaceGone(record);
    if (goneSince) {
      log.warn(fields, `forgotten: ${goneSince}`);
      return undefined;
    }
    if (code === "ENODEV" || code === "ENOENT") {
      log.warn(fields, `forgotten: its device ${record.ifname} is gone`);
      return undefined;
    }
    log.error({ ...fields, code }, `not adopted: ${err}`);
    return err;
  }
}

/**
 * Networks that the state directory keeps, without those that the configuration file has now, perhaps under a name of its own: their ports
 * follow the VNI.
 */
export function besideFile(
  networks: readonly KeptNetwork[],
  ofFile: readonly ConfiguredNetwork[],
  log: Log,
): { readonly kept: KeptNetwork[]; readonly renamed: ReadonlyMap<string, string> } {
  const renamed = new Map<string, string>();
  const kept = networks.filter(({ spec }) => {
    const owner = ofFile.find((n) => n.spec.name === spec.name || n.spec.vni === spec.vni);
    if (!owner) return true;
    renamed.set(spec.name, owner.spec.name);
    log.info(
      { component: "networks", network: spec.name },
      `the configuration file has this network now, as ${owner.spec.name}`,
    );
    return false;
  });
  return { kept, renamed };
}

/**
 * What the data plane has against a change at the start. Only it knows the families of a default underlay, and how much
 * room is left in the tables.
 *
 * @param what is being set, for the sentences.
 */
export async function refusals(what: string, set: () => Promise<void>): Promise<string[]> {
  try {
    await set();
    return [];
  } catch (error) {
    if (codeOf(error) !== "INVALID_INPUT") throw error;
    return problemsOf(error).map((problem) => `${what}: ${problem}`);
  }
}

/** Puts the routes of the last run in force. A route to a port that is gone must not keep the other containers offline. */
export async function restoreRoutes(
  network: string,
  routes: readonly Route[],
  dataplane: DataplaneApi,
  log: Log,
): Promise<void> {
  if (routes.length === 0) return;
  try {
    await dataplane.routes(network).replace(routes);
  } catch (error) {
    log.error({ component: "networks", network, ...errorFields(log, error) }, "routes of the last run not restored");
  }
}
