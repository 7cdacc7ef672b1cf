/** `weft up` */

import { resolveConfig } from "../config/config.js";
import type { UpFlags } from "../config/defaults.js";

/** Runs until SIGTERM, SIGINT or `weft down`; SIGHUP reads the file again. @returns the exit code. */
export async function up(flags: UpFlags): Promise<number> {
  const config = await resolveConfig(flags);
  const { runDaemon } = await import("../daemon.js");
  const code = await runDaemon(config, flags.config === undefined ? undefined : () => resolveConfig(flags));
  // Everything is closed; should a library hold the event loop, that must not hold the exit.
  setTimeout(() => process.exit(code), 200).unref();
  return code;
}
