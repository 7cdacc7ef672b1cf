/**
 * `identity.json` in the state directory (0600): the keys of this node and the network it belongs to. Written once, when
 * the node founds a network or joins one, before anybody hears of it; read at every start after.
 */
import { createHmac, randomBytes } from "node:crypto";
import fs from "node:fs";
import { join } from "node:path";
import { WeftError } from "../errors.js";
import { REPLACE_CALLS, type ReplaceCalls, replaceFile } from "../state/file.js";
import { clamp, readKey } from "../wireguard/key.js";
import { Identity, isNetworkId, KEY_LEN, newNetworkId, readNodeId } from "./identity.js";
import type { NodeId } from "./types.js";

export const IDENTITY_VERSION = 1;
const NAME = "identity.json";
/** Octets of the longest file that is looked at; a real one has some 400. */
const FILE_MAX = 4096;
const NOT_OWNER = 0o077;

export interface NodeKeys {
  /** 32 hexadecimal digits. */
  readonly networkId: string;
  /** Who began the network: whose members are believed. */
  readonly founder: NodeId;
  /** Of the Ed25519 key pair, 32 octets. */
  readonly seed: Buffer;
  /** Private, X25519, 32 octets. */
  readonly wireguardKey: Buffer;
  /** Of `machineOf()`; null where the machine has no id. */
  readonly machine: string | null;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
}

/** The system calls that are made, so that a test can fail each. */
export interface Disk extends ReplaceCalls {
  /** Permission bits. */
  mode(fd: number): number;
  read(fd: number, into: Buffer): number;
}

export const DISK: Disk = {
  ...REPLACE_CALLS,
  mode: (fd) => fs.fstatSync(fd).mode & 0o777,
  read: (fd, into) => fs.readSync(fd, into),
};

/**
 * Fresh keys of a node that founds a network, or is about to join one.
 *
 * @param token what it joins with: names the network and its founder
 */
export async function newKeys(
  machine: string | null,
  now: number,
  token?: { readonly networkId: string; readonly founder: NodeId },
): Promise<NodeKeys> {
  const seed = randomBytes(KEY_LEN);
  const founder = token?.founder ?? (await Identity.fromSeed(seed)).id;
  const networkId = token?.networkId ?? newNetworkId();
  return { networkId, founder, seed, wireguardKey: clamp(randomBytes(KEY_LEN)), machine, createdAt: now };
}

/**
 * @param directory exists
 * @param machine of `machineOf()`
 * @returns undefined where there is no file: this node has never been in a network
 * @throws WeftError bad_state for a file that is damaged, of another version, of another machine, or readable for others. It is
 *   never overwritten.
 */
export function loadKeys(directory: string, machine: string | null, disk: Disk = DISK): NodeKeys | undefined {
  const file = join(directory, NAME);
  const text = readWhole(file, disk);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw damaged(file, "is not JSON");
  }
  if (typeof value !== "object" || value === null || !("version" in value)) throw damaged(file, "has no version");
  if (value.version !== IDENTITY_VERSION) {
    throw refusal(
      file,
      `is of version ${JSON.stringify(value.version)}, this weft reads version ${IDENTITY_VERSION}: ` +
        "run the weft that wrote it, or start with another --state-dir and join again",
    );
  }
  const keys = readFields(value as Record<string, unknown>);
  if (!keys) throw damaged(file, "has fields that are missing or wrong");
  if (keys.machine !== null && machine !== null && keys.machine !== machine) {
    throw refusal(
      file,
      "was made on another machine: this one is a clone of it, and two nodes cannot have one identity. " +
        "Remove the state directory here and join again. " +
        "If the machine is the same and only /etc/machine-id has changed, do that too, and remove the old node with `weft rmpeer`",
    );
  }
  return keys;
}

/** Returns when it is on disk. */
export function saveKeys(directory: string, keys: NodeKeys, disk: Disk = DISK): void {
  const value = {
    version: IDENTITY_VERSION,
    networkId: keys.networkId,
    founder: keys.founder,
    seed: keys.seed.toString("base64"),
    wireguardKey: keys.wireguardKey.toString("base64"),
    machine: keys.machine,
    createdAt: keys.createdAt,
  };
  replaceFile(join(directory, NAME), `${JSON.stringify(value, null, 1)}\n`, disk);
}

/**
 * What a machine is known by: a keyed hash of /etc/machine-id, which itself is not to be shown to others (machine-id(5)).
 *
 * @returns 32 hexadecimal digits; null where there is no such file, as in many containers
 */
export function machineOf(path = "/etc/machine-id"): string | null {
  let id: string;
  try {
    id = fs.readFileSync(path, "latin1").trim();
  } catch {
    return null;
  }
  if (!/^[0-9a-f]{32}$/.test(id)) return null;
  return createHmac("sha256", "weft machine 1").update(id).digest("hex").slice(0, 32);
}

function readWhole(file: string, disk: Disk): string | undefined {
  let fd: number;
  try {
    fd = disk.open(file, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  const octets = Buffer.alloc(FILE_MAX);
  try {
    const mode = disk.mode(fd);
    if ((mode & NOT_OWNER) !== 0) {
      const found = mode.toString(8).padStart(4, "0");
      throw refusal(file, `holds private keys and has mode ${found}, so that others can use it: chmod 600 ${file}`);
    }
    return octets.toString("utf8", 0, disk.read(fd, octets));
  } finally {
    octets.fill(0);
    disk.close(fd);
  }
}

function readFields(value: Record<string, unknown>): NodeKeys | undefined {
  const { networkId, founder, machine, createdAt } = value;
  const seed = typeof value["seed"] === "string" ? readKey(value["seed"]) : undefined;
  const wireguardKey = typeof value["wireguardKey"] === "string" ? readKey(value["wireguardKey"]) : undefined;
  if (typeof networkId !== "string" || !isNetworkId(networkId)) return undefined;
  if (typeof founder !== "string" || !readNodeId(founder)) return undefined;
  if (machine !== null && (typeof machine !== "string" || !/^[0-9a-f]{32}$/.test(machine))) return undefined;
  if (!Number.isSafeInteger(createdAt) || (createdAt as number) < 0) return undefined;
  if (!seed || !wireguardKey) return undefined;
  return { networkId, founder, seed, wireguardKey, machine, createdAt: createdAt as number };
}

function damaged(file: string, how: string): WeftError {
  return refusal(
    file,
    `${how}: it was changed by something else than weft. Restore it, or move the state directory away and join again ` +
      "(the old node is then removed with `weft rmpeer`)",
  );
}

function refusal(file: string, why: string): WeftError {
  return new WeftError("bad_state", `${file} ${why}`);
}
