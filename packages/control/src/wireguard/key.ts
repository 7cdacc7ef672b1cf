/** Keys as people handle them: 32 octets in base64, in files that nobody else can read (the formats of `wg`). */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { WeftError } from "../errors.js";
import { KEY_LEN, keyPair } from "./noise/primitives.js";

/** Characters of a key in base64. */
const TEXT_LEN = 44;
/** Longest key file that is looked at: a key, a newline, a little more. */
const FILE_MAX = 256;
const NOT_OWNER = 0o077;

/** @returns the 32 octets; undefined when it is no key. Base64 in its one canonical form. */
export function readKey(text: string): Buffer | undefined {
  if (text.length !== TEXT_LEN) return undefined;
  const key = Buffer.from(text, "base64");
  return key.length === KEY_LEN && key.toString("base64") === text ? key : undefined;
}

/** What `wg genkey` makes of 32 random octets: those bits set that X25519 sets anyway (RFC 7748 §5). Changes `random`. */
export function clamp(random: Buffer): Buffer {
  random.writeUInt8(random.readUInt8(0) & 248, 0);
  random.writeUInt8((random.readUInt8(31) & 127) | 64, 31);
  return random;
}

/** @returns base64 of the public key that belongs to a private one. */
export function publicKeyText(privateKey: Uint8Array): string {
  return keyPair(privateKey).public.toString("base64");
}

/**
 * Reads a private or preshared key.
 *
 * @param path of a file with nothing but the key; its mode has nothing for group and others
 * @throws WeftError bad_config that names the file and what to do; never with any of its content
 */
export function readKeyFile(path: string): Buffer {
  const refuse = (why: string): WeftError => new WeftError("bad_config", `${path}: ${why}`);
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (error) {
    throw refuse(`cannot be read (${(error as NodeJS.ErrnoException).code}): make one with \`weft keygen\``);
  }
  const octets = Buffer.alloc(FILE_MAX);
  try {
    // Of what is open, so that nobody can put another file in its place between the two looks.
    const { mode, isFile } = ((stat) => ({ mode: stat.mode, isFile: stat.isFile() }))(fstatSync(fd));
    if (!isFile) throw refuse("is not a file");
    if ((mode & NOT_OWNER) !== 0)
      throw refuse(`mode is ${(mode & 0o777).toString(8).padStart(4, "0")}, others can use it: chmod 600 ${path}`);
    const length = readSync(fd, octets, 0, FILE_MAX, 0);
    const key = readKey(octets.toString("latin1", 0, length).trim());
    if (!key) throw refuse("holds no key: 32 octets in base64, as `weft keygen` writes");
    return key;
  } finally {
    octets.fill(0);
    closeSync(fd);
  }
}
