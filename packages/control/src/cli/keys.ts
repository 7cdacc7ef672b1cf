/** `weft keygen` and `weft pubkey`: what `wg genkey` and `wg pubkey` do. */
import { fstatSync, readFileSync } from "node:fs";
import sodium from "libsodium-wrappers";
import { WeftError } from "../errors.js";
import { clamp, publicKeyText, readKey } from "../wireguard/key.js";

const STDIN = 0;
const STDOUT = 1;
const OTHERS = 0o007;

/** Prints a new private key. */
export async function keygen(): Promise<number> {
  await sodium.ready;
  const stat = fstatSync(STDOUT);
  if (stat.isFile() && (stat.mode & OTHERS) !== 0)
    process.stderr.write("weft: warning: this file can be used by others: write keys with `umask 077`\n");
  const { buffer, byteOffset, length } = sodium.crypto_box_keypair().privateKey;
  const key = clamp(Buffer.from(buffer, byteOffset, length));
  process.stdout.write(`${key.toString("base64")}\n`);
  sodium.memzero(key);
  return 0;
}

/** Prints the public key of the private one on standard input. */
export function pubkey(): number {
  const key = readKey(readFileSync(STDIN, "latin1").trim());
  if (!key) throw new WeftError("invalid_input", "standard input holds no key: weft pubkey < FILE");
  process.stdout.write(`${publicKeyText(key)}\n`);
  key.fill(0);
  return 0;
}
