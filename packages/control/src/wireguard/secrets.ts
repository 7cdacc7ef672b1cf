/** Wiping of key material. Keys that Node.js holds as KeyObjects cannot be wiped: they are dropped as early as possible. */
import sodium from "libsodium-wrappers";

export function wipe(...secrets: readonly Uint8Array[]): void {
  for (const secret of secrets) sodium.memzero(secret);
}
