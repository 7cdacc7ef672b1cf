/** Key files that the configuration names: read with it, and wrong ones reported with its other problems. */
import { resolve } from "node:path";
import { messageOf } from "../errors.js";
import { publicKeyText, readKeyFile } from "../wireguard/key.js";
import { isKey } from "./formats.js";
import type { Problem } from "./problems.js";
import { asMap, entries } from "./tunnel.js";

export interface Keys {
  /** 32 octets; undefined where there is a problem. */
  readonly private: Buffer | undefined;
  /** By position in the list of peers. */
  readonly preshared: readonly (Buffer | undefined)[];
  readonly problems: readonly Problem[];
}

/**
 * Reads the key files of a `wireguard` section, which the schema has not judged yet.
 *
 * @param directory that relative paths begin at: the configuration file's.
 */
export function readKeys(section: unknown, directory: string): Keys {
  const problems: Problem[] = [];
  const { privateKeyFile, peers } = asMap(section);
  const read = (path: unknown, at: Problem["path"]): Buffer | undefined => {
    if (typeof path !== "string" || path === "") return undefined;
    if (isKey(path.trim()) || (isKey(`${path}=`) && !path.startsWith("/"))) {
      problems.push({ path: at, text: "found a key; allowed: the path of a file that holds it (mode 0600)" });
      return undefined;
    }
    try {
      return readKeyFile(resolve(directory, path));
    } catch (error) {
      problems.push({ path: at, text: messageOf(error) });
      return undefined;
    }
  };
  const own = read(privateKeyFile, ["wireguard", "privateKeyFile"]);
  const ownPublic = own && publicKeyText(own);
  const preshared = entries(peers).map((peer, i) => {
    const { publicKey, presharedKeyFile } = asMap(peer);
    if (ownPublic !== undefined && publicKey === ownPublic) {
      const text = "found this host's own public key; allowed: keys of other hosts";
      problems.push({ path: ["wireguard", "peers", i, "publicKey"], text });
    }
    return read(presharedKeyFile, ["wireguard", "peers", i, "presharedKeyFile"]);
  });
  return { private: own, preshared, problems };
}

/** Overwrites what was read and is not needed. */
export function wipeKeys(keys: Keys): void {
  for (const key of [keys.private, ...keys.preshared]) key?.fill(0);
}
