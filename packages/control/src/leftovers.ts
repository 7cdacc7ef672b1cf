/**
 * What a daemon that was killed has left, removed without a daemon: the gateways' namespace, the uplink and rules of nftables, and the
 * devices of its ports, wherever they are.
 */
import { existsSync, lstatSync, rmSync } from "node:fs";
import { join } from "node:path";
import { kernelLink } from "@weft/tun";
import { removeRecorded } from "./dataplane/device.js";
import type { PortRecord } from "./dataplane/types.js";
import { codeOf, messageOf } from "./errors.js";
import { removeGateway } from "./gateway/gateway.js";
import { namespacePath } from "./gateway/namespace.js";
import { whyNamespaceGone, withNamespaceOf } from "./router/namespace.js";
import { lastSocket, lockStateDir } from "./state/lock.js";
import { StateStore } from "./state/store.js";

export interface Leftovers {
  /** Ports that were detached. */
  readonly ports: number;
  /** There was a gateway, with whatever led out of it. */
  readonly hadGateway: boolean;
  /** Devices that could not be removed, with the reason. */
  readonly problems: readonly string[];
}

/**
 * @param socket control socket of a daemon that does not run
 * @param stateDir its state directory; left alone when another daemon, with another socket, has used it last
 * @throws WeftError already_running when the daemon runs although its socket is gone, bad_state when there is no telling its ports: the
 *   gateway is gone then
 */
export async function removeLeftovers(socket: string, stateDir: string): Promise<Leftovers> {
  const owner = lastSocket(stateDir);
  const isUsed = ["lock", "state.json"].some((name) => existsSync(join(stateDir, name)));
  const isOurs = isUsed && (owner === undefined || owner === socket);
  const lock = isOurs ? lockStateDir(stateDir, socket) : undefined;
  try {
    const hadGateway = await removeGateway(namespacePath(socket));
    const ports = isOurs ? removePorts(new StateStore(stateDir)) : [];
    if (lstatSync(socket, { throwIfNoEntry: false })?.isSocket()) rmSync(socket);
    return { ports: ports.length, hadGateway, problems: ports.filter((problem) => problem !== undefined) };
  } finally {
    lock?.release();
  }
}

/** @returns for each port why its device could not be removed, or undefined */
function removePorts(store: StateStore): (string | undefined)[] {
  const problems = store.load().ports.map((record) => {
    const why = removalProblem(record);
    return why === undefined ? undefined : `port ${record.id}: ${why}`;
  });
  store.clear();
  return problems;
}

function removalProblem(record: PortRecord): string | undefined {
  if (whyNamespaceGone(record)) return undefined;
  try {
    withNamespaceOf(record, (netnsFd) => removeRecorded(kernelLink(), record, netnsFd));
    return undefined;
  } catch (error) {
    return ["ENODEV", "ENOENT"].includes(codeOf(error) ?? "") ? undefined : messageOf(error);
  }
}
