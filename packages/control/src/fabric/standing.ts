/**
 * Who this host is in which network: read from the state directory, or made by founding a network or joining one.
 *
 * A member that starts again needs no token and nobody to answer: what it was told with `--join` is then only where to dial.
 */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { MeshConfig } from "../config/mesh.js";
import { isThere, readToken } from "../config/token.js";
import { WeftError } from "../errors.js";
import { Identity } from "../mesh/identity.js";
import { loadKeys, machineOf, type NodeKeys, newKeys, saveKeys } from "../mesh/identity-file.js";
import { parseToken, type Token } from "../mesh/token.js";

const RECORDS = "records.log";

export interface Standing {
  readonly keys: NodeKeys;
  readonly identity: Identity;
  /** To be admitted with; undefined: founder, or a member since an earlier start. */
  readonly token: Token | undefined;
  /** The keys were made just now. */
  readonly isNew: boolean;
}

/**
 * Keys are on disk when this returns, before anybody hears of them.
 *
 * @param stateDir undefined: nothing is kept
 * @throws WeftError bad_state, bad_config, conflict for a token of another network
 */
export async function takeStanding(config: MeshConfig, stateDir: string | undefined): Promise<Standing> {
  const machine = machineOf();
  const known = stateDir === undefined ? undefined : loadKeys(stateDir, machine);
  if (known) {
    const identity = await Identity.fromSeed(known.seed);
    const token = config.token && isThere(config.token) ? tokenOf(config) : undefined;
    if (token && token.networkId !== known.networkId) {
      throw new WeftError(
        "conflict",
        `this host belongs to network ${known.networkId}, the token to ${token.networkId}, and networks never merge: ` +
          `leave the one with \`weft leave\`, or start with another --state-dir`,
      );
    }
    return { keys: known, identity, token, isNew: false };
  }
  if (stateDir !== undefined && existsSync(join(stateDir, RECORDS))) {
    const file = join(stateDir, RECORDS);
    throw new WeftError(
      "bad_state",
      `${file} is there, but no identity.json beside it, whose records it holds: restore that one, or start with another --state-dir`,
    );
  }
  if (config.join.length === 0) {
    const keys = await newKeys(machine, Date.now());
    if (stateDir !== undefined) saveKeys(stateDir, keys);
    return { keys, identity: await Identity.fromSeed(keys.seed), token: undefined, isNew: true };
  }
  const token = tokenOf(config);
  if (!token) {
    throw new WeftError(
      "bad_config",
      "--join: a token is needed to be let in. On a member, `weft token` prints the whole command; " +
        "give it with --token (`-`: standard input), --token-file or WEFT_TOKEN",
    );
  }
  const keys = await newKeys(machine, Date.now(), token);
  if (stateDir !== undefined) saveKeys(stateDir, keys);
  return { keys, identity: await Identity.fromSeed(keys.seed), token, isNew: true };
}

function tokenOf({ token }: MeshConfig): Token | undefined {
  return token === undefined ? undefined : parseToken(readToken(token));
}

/** Forgets who we were: after `weft leave`, after a removal, and when the first join has failed. */
export function dropStanding(stateDir: string | undefined): void {
  if (stateDir === undefined) return;
  // Records without an identity are refused at the next start.
  for (const name of [RECORDS, "identity.json"]) rmSync(join(stateDir, name), { force: true });
}
