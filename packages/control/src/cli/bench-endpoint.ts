/** Where `weft bench serve` listens and `weft bench to` connects, as text. */
import { isIPv6 } from "node:net";
import { InvalidArgumentError } from "commander";
import { splitEndpoint, splitHost } from "../config/formats.js";
import { DEFAULT_PORT } from "./bench-wire.js";

export interface Endpoint {
  /** An address, or a name to be resolved. */
  readonly address: string;
  readonly port: number;
}

export function formatEndpoint({ address, port }: Endpoint): string {
  return `${isIPv6(address) ? `[${address}]` : address}:${port}`;
}

/** ADDR, ADDR:PORT or [ADDR]:PORT */
export function listenEndpoint(text: string): Endpoint {
  const found = splitEndpoint(text);
  if (!found) throw new InvalidArgumentError("Allowed: ADDR, ADDR:PORT or [ADDR]:PORT.");
  return { address: found.address, port: found.port ?? DEFAULT_PORT };
}

/** The same, or a host's name with or without :PORT */
export function hostEndpoint(text: string): Endpoint {
  const found = splitHost(text);
  if (!found) throw new InvalidArgumentError("Allowed: HOST, HOST:PORT, ADDR, ADDR:PORT or [ADDR]:PORT.");
  return { address: found.host, port: found.port ?? DEFAULT_PORT };
}
