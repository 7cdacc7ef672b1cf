/** What both kinds of WireGuard need in a test: keys, key files, and the section of weft's configuration. */
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { newKeys } from "../models/keys.js";
import type { Lab } from "./lab.js";

/** UDP port of every WireGuard in the lab. */
export const PORT = 51820;

/** As `wg` writes keys: base64. */
export interface KeyPair {
  readonly secret: string;
  readonly public: string;
}

export function keyPair(): KeyPair {
  const keys = newKeys("x25519");
  return { secret: keys.private.toString("base64"), public: keys.public.toString("base64") };
}

export function presharedKey(): string {
  return randomBytes(32).toString("base64");
}

let files = 0;

/** A file with a key, readable by its owner alone. */
export function keyFile(lab: Lab, key: string): string {
  const path = lab.file(`key${files++}`);
  writeFileSync(path, `${key}\n`, { mode: 0o600 });
  return path;
}

/** One end as the other sees it. */
export interface Peer {
  readonly publicKey: string;
  readonly presharedKey?: string;
  /** `ADDR:PORT`; absent: the peer has to begin. */
  readonly endpoint?: string;
  readonly allowedIps: readonly string[];
  readonly persistentKeepalive?: number;
}

export interface Section {
  readonly keys: KeyPair;
  readonly address: readonly string[];
  readonly peers: readonly Peer[];
  readonly device?: string;
  readonly rekeyAfterMessages?: number;
}

/** The `wireguard:` section of a configuration file, with its keys in files. */
export function wireguardSection(lab: Lab, { keys, peers, ...rest }: Section): object {
  return {
    privateKeyFile: keyFile(lab, keys.secret),
    listenPort: PORT,
    ...rest,
    peers: peers.map(({ presharedKey, ...peer }) => ({
      ...peer,
      ...(presharedKey === undefined ? {} : { presharedKeyFile: keyFile(lab, presharedKey) }),
    })),
  };
}

/** `ADDR:PORT` of a host's WireGuard. */
export function endpointAt(address: string): string {
  return address.includes(":") ? `[${address}]:${PORT}` : `${address}:${PORT}`;
}

/** The whole prefix of one address. */
export function only(address: string): string {
  return `${address}/${address.includes(":") ? 128 : 32}`;
}
