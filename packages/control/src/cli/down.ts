/** `weft down` */
import { codeOf } from "../errors.js";
import { listens } from "../listens.js";
import { call } from "./client.js";

export async function down(socket: string, stateDir: string): Promise<void> {
  try {
    const { pid, detached } = await call<{ pid: number; detached: number }>(socket, "POST", "/v1/down", {});
    // The answer comes when everything is detached; what is left is the process itself.
    for (let tries = 0; tries < 100 && alive(pid); tries++) await new Promise((resolve) => setTimeout(resolve, 20));
    process.stdout.write(`detached ${portsText(detached)}, stopped\n`);
  } catch (error) {
    // One that hangs may come back to life, and has its devices open.
    if (codeOf(error) !== "no_daemon" || (await listens(socket))) throw error;
    const { removeLeftovers } = await import("../leftovers.js");
    const { ports, hadGateway, problems } = await removeLeftovers(socket, stateDir);
    if (ports === 0 && !hadGateway) throw error;
    for (const problem of problems) process.stderr.write(`weft: ${problem}\n`);
    const gateway = hadGateway ? "; gateways and rules of a killed one are removed" : "";
    process.stdout.write(`no daemon ran: detached ${portsText(ports)} of ${stateDir}${gateway}\n`);
  }
}

function portsText(count: number): string {
  return count === 1 ? "1 port" : `${count} ports`;
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
