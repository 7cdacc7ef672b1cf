/** UDP sockets of the kernel, and the lock that keeps two switches off one port. */
import { closeSync } from "node:fs";
import { isIPv6 } from "node:net";
import { native, UDP_FLAG } from "./addon.js";
import { attempt, createSystemError, ERRNO, hasCode } from "./errors.js";
import type { Features, OpenUdp, SystemError, UdpSocket } from "./link.js";

type UdpFeatures = Pick<Features, "gro" | "bufferForce" | "reuseportSteering">;

class KernelUdpSocket implements UdpSocket {
  readonly fd: number;
  readonly address: string;
  readonly port: number;
  readonly receiveBuffer: number;
  readonly sendBuffer: number;
  readonly gro: boolean;
  readonly #family: 4 | 6;
  readonly #canSteer: boolean;
  #open = true;

  constructor(spec: OpenUdp, opened: Opened, canSteer: boolean) {
    this.fd = opened.fd;
    this.address = spec.address;
    this.#family = spec.family;
    this.#canSteer = canSteer;
    this.port = opened.port;
    this.receiveBuffer = opened.receiveBuffer;
    this.sendBuffer = opened.sendBuffer;
    this.gro = opened.gro;
  }

  drops(): number {
    const fd = this.#fd("getsockopt");
    return attempt(`cannot read the drop count of ${where(this.address, this.port)}`, () => native().udpDrops(fd));
  }

  send(octets: Uint8Array, address: string, port: number, from = ""): void {
    const fd = this.#fd("sendmsg");
    const what = `cannot send ${octets.length} octets to ${where(address, port)}${from && ` from ${from}`}`;
    attempt(what, () => native().udpSend(fd, this.#family, octets, address, port, from), sendAdvice(this.#family));
  }

  steerWireguard(members: number): void {
    const syscall = "setsockopt(SO_ATTACH_REUSEPORT_CBPF)";
    const fd = this.#fd(syscall);
    const what = `cannot steer WireGuard on ${where(this.address, this.port)}`;
    if (!this.#canSteer) {
      const why = `${what} (EOPNOTSUPP, ${syscall}): ${NO_STEERING}`;
      throw createSystemError("EOPNOTSUPP", ERRNO.EOPNOTSUPP as number, syscall, why);
    }
    attempt(what, () => native().udpSteerWireguard(fd, members), {
      EINVAL: "the socket has to be opened with reusePort, and there has to be a member",
      ENOPROTOOPT: NO_STEERING,
    });
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    closeSync(this.fd);
  }

  /** The number may belong to another file once this socket is closed. */
  #fd(syscall: string): number {
    if (!this.#open) throw createSystemError("EBADF", ERRNO.EBADF as number, syscall, "the socket is closed");
    return this.fd;
  }
}

/** What udpOpen answers. */
type Opened = ReturnType<ReturnType<typeof native>["udpOpen"]>;

const NO_STEERING =
  "the kernel cannot choose within a group of sockets, or WEFT_DISABLE has reuseportSteering: receive with one socket";

function sendAdvice(family: 4 | 6): Record<string, string> {
  return {
    EINVAL: `address and source have to be numeric IPv${family} addresses, the port 1 to 65535`,
    ENETUNREACH: "there is no route to it: see `ip route`, `ip -6 route`",
    EHOSTUNREACH: "there is no way to it: see `ip route`, `ip neigh`",
    EPERM: "a firewall rule of this host refuses it: see `nft list ruleset`",
    EACCES: "it is a broadcast address, or a route or rule prohibits it: see `ip route`",
    EMSGSIZE: "it is longer than a UDP datagram",
    EAGAIN: "the socket's send buffer is full: send again later",
    ENOBUFS: "the interface's queue is full: send again later",
  };
}

/** `10.9.0.1:4789`, `[fd00::1]:4789`. */
function where(address: string, port: number): string {
  return isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`;
}

const BIND_ADVICE = (address: string): Record<string, string> => ({
  EADDRINUSE: "another program has the port: choose another one or stop that program (`ss -ulpn`, `ip -d link`)",
  EADDRNOTAVAIL: `no interface of this host has the address ${address}: see \`ip address\``,
  EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE",
  EINVAL: `${address} is not a usable address`,
  EAFNOSUPPORT: "the kernel has no IPv6",
});

/** Opens a UDP socket. With `range`, ports are tried from a random one upwards, each once. */
export function openUdp(spec: OpenUdp, features: UdpFeatures): UdpSocket {
  const flags =
    (spec.reusePort ? UDP_FLAG.REUSE_PORT : 0) |
    (spec.gro && features.gro ? UDP_FLAG.GRO : 0) |
    (spec.packetInfo ? UDP_FLAG.PACKET_INFO : 0) |
    (spec.dontFragment ? UDP_FLAG.DONT_FRAGMENT : 0) |
    (features.bufferForce ? UDP_FLAG.FORCE : 0);
  const open = (port: number): UdpSocket => {
    const opened = attempt(
      `cannot open UDP ${where(spec.address, port)}`,
      () => native().udpOpen(spec.family, spec.address, port, flags, spec.receiveBuffer ?? 0, spec.sendBuffer ?? 0),
      BIND_ADVICE(spec.address),
    );
    return new KernelUdpSocket(spec, opened, features.reuseportSteering);
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

/** For a socket that is only bound. */
const NOTHING: UdpFeatures = { gro: false, bufferForce: false, reuseportSteering: false };

/** EADDRINUSE with the one who has the port. */
export interface PortTaken extends SystemError {
  readonly holder: "weft" | "other";
}

/**
 * Keeps a UDP port for this process: two programs that both use SO_REUSEPORT would silently share its datagrams.
 *
 * The abstract Unix socket tells weft from weft (and, like the port, belongs to the network namespace); a bind without
 * SO_REUSEPORT finds everyone else, kernel vxlan and wireguard devices included. All addresses (`0.0.0.0`, `::`) are free only
 * where no single one is taken, and the other way round; a weft that has one of the others then counts as `other`.
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
    openUdp({ family: isIPv6(address) ? 6 : 4, address, port }, NOTHING).close();
  } catch (error) {
    closeSync(lock);
    if (!hasCode(error, "EADDRINUSE")) throw error;
    throw taken(
      "other",
      `UDP ${at} is taken by another program or a kernel vxlan or wireguard device: see \`ss -ulpn\` and \`ip -d link\`, or use another port (EADDRINUSE, bind)`,
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
