/** Sockets of a service that is reached in another network namespace than the process's own. */
import { isIPv6 } from "node:net";
import { NETNS_OWN, native } from "./addon.js";
import { attempt } from "./errors.js";

export interface OpenService {
  readonly protocol: "udp" | "tcp";
  /** Numeric address to bind. */
  readonly address: string;
  /** 0: any free one. */
  readonly port: number;
  /** Open descriptor of the namespace; default: the process's own. */
  readonly netnsFd?: number;
  /** Reached through this device only (SO_BINDTODEVICE). */
  readonly device?: string;
}

/**
 * Opens and binds a socket in a namespace, where it stays: no matter which namespace the process is in.
 * @returns its descriptor, for `dgram` `bind({ fd })` or `net.Server` `listen({ fd })`, which then own it.
 * @throws the system error
 */
export function openService({ protocol, address, port, netnsFd, device }: OpenService): number {
  const family = isIPv6(address) ? 6 : 4;
  const where = `${protocol.toUpperCase()} ${family === 6 ? `[${address}]` : address}:${port}${device ? ` on ${device}` : ""}`;
  return attempt(
    `cannot serve on ${where}`,
    () => native().serviceOpen(netnsFd ?? NETNS_OWN, family, protocol === "tcp" ? 1 : 0, address, port, device ?? ""),
    {
      EADDRINUSE: "another program has the port",
      EADDRNOTAVAIL: "no device in the namespace has the address",
      ENODEV: "there is no such device in the namespace",
      EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE",
    },
  );
}
