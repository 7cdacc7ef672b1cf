/** UDP sockets of the kernel, and the lock that keeps two switches off one port. */
import { closeSync } from "node:fs";
import { isIPv6 } from "node:net";
import { native, UDP_FLAG } from "./addon.js";
import { attempt, createSystemError, ERRNO, hasCode } from "./errors.js";
import type { Features, OpenUdp, SystemError, UdpSocket } from "./link.js";

class KernelUdpSocket implements UdpSocket {
  readonly fd: number;
  readonly address: string;
  readonly port: number;
  readonly receiveBuffer: number;
  readonly sendBuffer: number;
  readonly gro: boolean;
  #open = true;

  constructor(address: string, opened: Omit<UdpSocket, "address" | "drops" | "close">) {
    this.fd = opened.fd;
    this.address = address;
    this.port = opened.port;
    this.receiveBuffer = opened.receiveBuffer;
    this.sendBuffer = opened.sendBuffer;
    this.gro = opened.gro;
  }

  drops(): number {
    if (!this.#open) throw createSystemError("EBADF", ERRNO.EBADF as number, "getsockopt", "the socket is closed");
    return attempt(`cannot read the drop count of ${where(this.address, this.port)}`, () => native().udpDrops(this.fd));
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    closeSync(this.fd);
  }
}

/** `10.9.0.1:4789`, `[fd00::1]:4789`. */
function where(address: string, port: number): string {
  return isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`;
}

const BIND_ADVICE = (address: string): Record<string, string> => ({
  EADDRINUSE:
    "another program has the port: choose another one or stop that program (`ss -ulpn`, `ip -d link show type vxlan`)",
  EADDRNOTAVAIL: `no interface of this host has the address ${address}: see \`ip address\``,
  EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE",
  EINVAL: `${address} is not a usable address`,
  EAFNOSUPPORT: "the kernel has no IPv6",
});

/** Opens a UDP socket. With `range`, ports are tried from a random one upwards, each once. */
export function openUdp(spec: OpenUdp, features: Pick<Features, "gro" | "bufferForce">): UdpSocket {
  const flags =
    (spec.reusePort ? UDP_FLAG.REUSE_PORT : 0) |
    (spec.gro && features.gro ? UDP_FLAG.GRO : 0) |
    (features.bufferForce ? UDP_FLAG.FORCE : 0);
  const open = (port: number): UdpSocket => {
    const opened = attempt(
      `cannot open UDP ${where(spec.address, port)}`,
      () => native().udpOpen(spec.family, spec.address, port, flags, spec.receiveBuffer ?? 0, spec.sendBuffer ?? 0),
      BIND_ADVICE(spec.address),
    );
    return new KernelUdpSocket(spec.address, opened);
  };
  if (!spec.range) return open(spec.port);

  const [low, high] = spec.range;
  const size = high - low + 1;
  const start = Math.floor(Math.random() * size);
  for (let i = 0; i < size; i++) {
    try {
      return open(low + ((start + i) % size));
    } catch (error) {
      if (!hasCode(error, "EADDRINUSE")) throw error;
    }
  }
  const message = `cannot open UDP ${spec.address}: every port from ${low} to ${high} is taken (EADDRINUSE, bind)`;
  throw createSystemError("EADDRINUSE", ERRNO.EADDRINUSE as number, "bind", message);
}

/** EADDRINUSE with the one who has the port. */
export interface PortTaken extends SystemError {
  readonly holder: "weft" | "other";
}

/**
 * Keeps a UDP port for this process: two programs that both use SO_REUSEPORT would silently share its datagrams.
 *
 * The abstract Unix socket tells weft from weft (and, like the port, belongs to the network namespace); a bind without
 * SO_REUSEPORT finds everyone else, kernel vxlan devices included.
 */
export function lockUdpPort(address: string, port: number): { release(): void } {
  const at = where(address, port);
  const taken = (holder: PortTaken["holder"], message: string): PortTaken =>
    Object.assign(createSystemError("EADDRINUSE", ERRNO.EADDRINUSE as number, "bind", message), { holder });
  let lock: number;
  try {
    lock = attempt(`cannot lock UDP ${at}`, () => native().abstractLock(`@weft/udp/${at}`));
  } catch (error) {
    if (!hasCode(error, "EADDRINUSE")) throw error;
    throw taken(
      "weft",
      `UDP ${at} is taken by another weft on this host: stop it, or use another port (EADDRINUSE, bind)`,
    );
  }
  try {
    openUdp({ family: isIPv6(address) ? 6 : 4, address, port }, { gro: false, bufferForce: false }).close();
  } catch (error) {
    closeSync(lock);
    if (!hasCode(error, "EADDRINUSE")) throw error;
    throw taken(
      "other",
      `UDP ${at} is taken by another program or a kernel vxlan device: see \`ss -ulpn\` and \`ip -d link show type vxlan\`, or use another port (EADDRINUSE, bind)`,
    );
  }
  let held = true;
  return {
    release() {
      if (held) closeSync(lock);
      held = false;
    },
  };
}
