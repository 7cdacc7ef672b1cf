/**
 * TLS of control links, the same at both ends: version 1.3 only, pre-shared keys only (psk_dhe_ke with X25519, so that a key
 * that is found later opens nothing that was recorded), no certificates. The suites are those that the PSK callbacks of
 * OpenSSL can be used with: their hash is SHA-256.
 */
import { constants } from "node:crypto";
import type { SecureContextOptions } from "node:tls";

/** Name and version of the protocol inside. Another version has another name, and who dials offers all that it speaks. */
export const ALPN = "weft/1";

export const TLS_SETTINGS = {
  minVersion: "TLSv1.3",
  maxVersion: "TLSv1.3",
  ciphers: "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256",
  ecdhCurve: "X25519",
  // A ticket would open a link to a node that has been removed since.
  secureOptions: constants.SSL_OP_NO_TICKET,
} as const satisfies SecureContextOptions;
