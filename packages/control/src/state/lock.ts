/** One daemon per state directory. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { lockFile } from "@weft/tun";
import { codeOf, WeftError } from "../errors.js";

/**
 * Locks the directory until release() or the end of the process. The lock file stays: removing it would let two
 * daemons hold locks on two files of one name.
 *
 * @throws WeftError already_running with the other daemon's PID.
 */
export function lockStateDir(directory: string): { release(): void } {
  const path = join(directory, "lock");
  try {
    const lock = lockFile(path);
    writeFileSync(path, `${process.pid}\n`);
    return lock;
  } catch (error) {
    if (codeOf(error) !== "EWOULDBLOCK") throw error;
    const pid = readFileSync(path, "utf8").trim();
    throw new WeftError(
      "already_running",
      `another weft runs with the state directory ${directory}${pid ? ` (PID ${pid})` : ""}: \`weft down\` ends it; a second one needs its own --state-dir`,
    );
  }
}
