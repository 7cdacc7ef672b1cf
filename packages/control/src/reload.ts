/** SIGHUP: networks and peers are what can change while frames flow; everything else of the file is for the next start. */
import { isDeepStrictEqual } from "node:util";
import type { Config } from "./config/config.js";
import type { WireguardSpec } from "./dataplane/types.js";
import { describe, WeftError } from "./errors.js";
import { errorFields, type Log } from "./log/log.js";
import type { Router } from "./router/router.js";

const component = "daemon";

/**
 * Reads the configuration again and takes over what can be. What is wrong with it is logged, and all stays as it was.
 *
 * @param before what the daemon was started with.
 */
export async function reload(router: Router, before: Config, reread: () => Promise<Config>, log: Log): Promise<void> {
  let later: readonly string[] = [];
  try {
    const config = await reread();
    later = await changedForLater(before, config, router.dataplane.wireguard()?.publicKey);
    if ((config.wireguard === undefined) !== (before.wireguard === undefined)) {
      const what = config.wireguard ? "there is a wireguard section now" : "the wireguard section is gone";
      throw new WeftError("bad_config", `${what}, which takes a restart, and the networks depend on it`);
    }
    const peers = config.wireguard?.peers ?? [];
    const { removed, set } = await router.reload(config.networks, peers);
    const count = config.wireguard ? { peers: peers.length } : {};
    log.info(
      { component, networks: set, removed, ...count },
      "configuration read again: networks are as the file says",
    );
  } catch (error) {
    log.error(
      { component, ...errorFields(log, error), err: describe(error) },
      "configuration not taken over: all is as before",
    );
  }
  if (later.length > 0) log.warn({ component }, `changed in the file, in force after a restart: ${later.join(", ")}`);
}

/** Keys whose new values this process does not take over. Wipes the private key that was read for this. */
async function changedForLater(before: Config, now: Config, publicKey: string | undefined): Promise<string[]> {
  const differing = <T extends object>(was: T, is: T, left: readonly string[]): string[] =>
    [...new Set([...Object.keys(was), ...Object.keys(is)])].filter(
      (key) => !left.includes(key) && !isDeepStrictEqual(was[key as keyof T], is[key as keyof T]),
    );
  const keys = differing(before, now, ["networks", "wireguard"]);
  if (!now.wireguard) return before.wireguard ? [...keys, "wireguard"] : keys;
  const { publicKeyText } = await import("./wireguard/key.js");
  const isSame = publicKeyText(now.wireguard.privateKey) === publicKey;
  now.wireguard.privateKey.fill(0);
  if (!before.wireguard) return [...keys, "wireguard"];
  // The room for peers follows from limits.
  const taken: (keyof WireguardSpec)[] = ["peers", "peersMax", "privateKey"];
  const section = differing(before.wireguard, now.wireguard, taken);
  return [...keys, ...(isSame ? [] : ["privateKeyFile"]), ...section].map((key) =>
    keys.includes(key) ? key : `wireguard.${key}`,
  );
}
