/** XChaCha20-Poly1305 by libsodium: what cookies are sealed with, and what Node.js lacks. */
import sodium from "libsodium-wrappers";
import type { CookieSeal } from "./macs.js";

/** Resolves once libsodium's own WebAssembly is loaded (some 40 ms). */
export async function cookieSeal(): Promise<CookieSeal> {
  await sodium.ready;
  return {
    seal: (key, nonce, plain, aad) => sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, aad, null, nonce, key),
    open(key, nonce, sealed, aad) {
      try {
        return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(null, sealed, aad, nonce, key);
      } catch {
        return undefined;
      }
    },
  };
}
