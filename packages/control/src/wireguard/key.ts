/** Keys as people handle them: 32 octets in base64, in files that nobody else can read (the formats of `wg`). */
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { WeftError } from "../errors.js";
import { KEY_LEN, keyPair } from "./noise/primitives.js";

/** Characters of a key in base64. */
const TEXT_LEN = 44;
/** Longest file that is looked at: a key or a token, a newline, a little more. */
const FILE_MAX = 256;
const NOT_OWNER = 0o077;
/** A FIFO is refused, not waited for. */
const { O_RDONLY, O_WRONLY, O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK } = constants;

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
  const key = readKey(readSecretFile(path, "make one with `weft keygen`", "write a key into it with `weft keygen`"));
  if (!key) throw refusal(path, "holds no key: 32 octets in base64, as `weft keygen` writes, and nothing else");
  return key;
}

/**
 * Reads a short secret, without the white space around it.
 *
 * @param path of a file whose mode has nothing for group and others
 * @param missing what to do when it cannot be read
 * @param empty what to do when nothing is in it
 * @throws WeftError bad_config that names the file and what to do; never with any of its content
 */
export function readSecretFile(path: string, missing: string, empty = missing): string {
  const fd = open(path, O_RDONLY | O_NONBLOCK, "read", missing);
  const octets = Buffer.alloc(FILE_MAX);
  try {
    refuseShared(path, fd);
    const length = readSync(fd, octets, 0, FILE_MAX, 0);
    if (length === 0) throw refusal(path, `is empty: ${empty}`);
    return octets.toString("latin1", 0, length).trim();
  } finally {
    octets.fill(0);
    closeSync(fd);
  }
}

/**
 * Makes the file that keys of sessions are appended to (0600), or takes one that nobody else can use.
 *
 * @returns whether it was made
 * @throws WeftError bad_config that names the file and what to do
 */
export function makeKeylog(path: string): boolean {
  try {
    closeSync(openSync(path, O_WRONLY | O_CREAT | O_EXCL, 0o600));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw refusal(path, `cannot be made (${reason(error)})`);
  }
  const fd = open(
    path,
    O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK,
    "appended to",
    "give another --wireguard-keylog",
  );
  try {
    refuseShared(path, fd);
  } finally {
    closeSync(fd);
  }
  return false;
}

function open(path: string, flags: number, what: string, advice: string): number {
  try {
    return openSync(path, flags);
  } catch (error) {
    throw refusal(path, `cannot be ${what} (${reason(error)}): ${advice}`);
  }
}

/** Looks at what is open, so that nobody can put another file in its place between the two looks. */
function refuseShared(path: string, fd: number): void {
  const stat = fstatSync(fd);
  if (!stat.isFile()) throw refusal(path, "is not a file");
  if ((stat.mode & NOT_OWNER) === 0) return;
  const mode = (stat.mode & 0o777).toString(8).padStart(4, "0");
  throw refusal(path, `has mode ${mode}, so that others can use it: chmod 600 ${path}`);
}

function refusal(path: string, why: string): WeftError {
  return new WeftError("bad_config", `${path} ${why}`);
}

function reason(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code ?? String(error);
  const words: Readonly<Record<string, string>> = {
    ENOENT: "there is no such file or directory",
    EACCES: "no permission",
    EISDIR: "it is a directory",
    ELOOP: "it is a symbolic link",
    // A FIFO that nobody reads.
    ENXIO: "it is not a file",
  };
  return words[code] ?? code;
}
