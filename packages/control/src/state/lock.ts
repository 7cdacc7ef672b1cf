/** One daemon per state directory. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { lockFile } from "@weft/tun";
import { codeOf, WeftError } from "../errors.js";

/**
 * Locks the directory until release() or the end of the process. The lock file stays, with the PID and the control socket of who had
 * it last: removing it would let two daemons hold locks on two files of one name.
 *
 * @throws WeftError already_running with the other daemon's PID.
 */
export function lockStateDir(directory: string, socket: string): { release(): void } {
  const path = join(directory, "lock");
  try {
    const lock = lockFile(path);
    writeFileSync(path, `${process.pid}\n${socket}\n`);
    return lock;
  } catch (error) {
    if (codeOf(error) !== "EWOULDBLOCK") throw error;
    const [pid] = readFileSync(path, "utf8").split("\n");
    throw new WeftError(
      "already_running",
      `another weft runs with the state directory ${directory}${pid ? ` (PID ${pid})` : ""}: \`weft down\` ends it; a second one needs its own --state-dir`,
    );
  }
}

/** Control socket of the daemon that used the directory last; undefined where nobody has, or it cannot be read. */
export function lastSocket(directory: string): string | undefined {
  try {
    return readFileSync(join(directory, "lock"), "utf8").split("\n")[1] || undefined;
  } catch {
    return undefined;
  }
}
