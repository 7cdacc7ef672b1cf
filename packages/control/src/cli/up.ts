/** `weft up` */

import { resolveConfig } from "../config/config.js";
import type { UpFlags } from "../config/defaults.js";

/** Runs until SIGTERM, SIGINT or `weft down`; SIGHUP reads the file again. @returns the exit code. */
export async function up(given: UpFlags): Promise<number> {
  const flags = given.token === "-" ? await withInput(given) : given;
  const config = await resolveConfig(flags);
  const { runDaemon } = await import("../daemon.js");
  const code = await runDaemon(config, flags.config === undefined ? undefined : () => resolveConfig(flags));
  // Everything is closed; should a library hold the event loop, that must not hold the exit.
  setTimeout(() => process.exit(code), 200).unref();
  return code;
}

/**
 * `--token -`, read before anything else, while an interrupt still ends the process. A member that starts again has nothing
 * there, and needs nothing.
 */
async function withInput({ token: _, ...others }: UpFlags): Promise<UpFlags> {
  const { tokenFrom } = await import("../config/token.js");
  if (process.stdin.isTTY) process.stderr.write("weft: the token, then Enter: ");
  const token = await tokenFrom(process.stdin);
  return token === undefined ? others : { ...others, token };
}
