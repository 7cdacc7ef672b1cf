/** `weft down` */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { codeOf, messageOf, WeftError } from "../errors.js";
import { call } from "./client.js";

export async function down(socket: string, stateDir: string): Promise<void> {
  const { pid, detached } = await call<{ pid: number; detached: number }>(socket, "POST", "/v1/down", {}).catch(
    (error: unknown) => {
      throw parked(error, stateDir) ?? error;
    },
  );
  // The answer comes when everything is detached; what is left is the process itself.
  for (let tries = 0; tries < 100 && alive(pid); tries++) await new Promise((resolve) => setTimeout(resolve, 20));
  process.stdout.write(`detached ${detached === 1 ? "1 port" : `${detached} ports`}, stopped\n`);
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Without a daemon, containers may still have devices that only a daemon can remove: says how. */
function parked(error: unknown, stateDir: string): WeftError | undefined {
  if (codeOf(error) !== "no_daemon") return undefined;
  try {
    const state = JSON.parse(readFileSync(join(stateDir, "state.json"), "utf8")) as { ports?: unknown };
    const count = Array.isArray(state.ports) ? state.ports.length : 0;
    if (count === 0) return undefined;
    const ports = count === 1 ? "1 port is" : `${count} ports are`;
    return new WeftError(
      "no_daemon",
      `${messageOf(error)}. ${ports} parked in ${stateDir}: start \`weft up\` on it, then \`weft down\` removes them`,
    );
  } catch {
    // Nothing is kept there, or not for us to read.
    return undefined;
  }
}
