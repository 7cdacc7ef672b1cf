/**
 * The interface between the switch and the outside: what both the kernel (`kernel.ts`) and the in-memory twin
 * (`memory-link.ts`) obey. Nothing here parses a frame.
 *
 * A Link opens devices and sockets; an Io moves frames between them and one worker's part of the shared memory, in
 * batches. File descriptors are plain numbers; in the twin they are handles of its own.
 */

/** Kinds of device a Link can open. TAP carries Ethernet frames, TUN carries IP packets. */
export type DeviceKind = "tap" | "tun";

export interface OpenDevice {
  readonly kind: DeviceKind;
  /** Device name, 1..15 octets; `%d` is filled in by the kernel. */
  readonly name: string;
  /** virtio_net_hdr (10 octets) in front of every frame. */
  readonly vnetHdr: boolean;
  /** IFF_MULTI_QUEUE: must be the same at every open of a persistent device (EINVAL otherwise). */
  readonly multiQueue?: boolean;
  /** Namespace to open in, as an open descriptor; default: the caller's. */
  readonly netnsFd?: number;
  /** Fail with EEXIST-like ENODEV instead of creating: adopt a persistent device only. */
  readonly mustExist?: boolean;
}

/** An open TAP or TUN device. Close it with `close()`, not by its descriptor. */
export interface Device {
  readonly fd: number;
  /** Name at opening time (a move may have renamed the device since). */
  readonly name: string;
  /** TUNSETOFFLOAD: which unfinished frames the kernel may hand over. */
  setOffload(flags: { checksum: boolean; tso4?: boolean; tso6?: boolean; uso?: boolean }): void;
  /** TUNSETPERSIST: the device outlives its descriptors. */
  setPersist(on: boolean): void;
  /** Current flags (TUNGETIFF): vnetHdr, persist, multiQueue and the present name. */
  describe(): { name: string; vnetHdr: boolean; persist: boolean; multiQueue: boolean };
  /** dev:inode of the namespace the device is in now (TUNGETDEVNETNS); undefined where the kernel lacks the call. */
  netns(): string | undefined;
  close(): void;
}

/** How a device is put into a container's namespace. All in one RTM_NEWLINK where the kernel allows it. */
export interface PlaceDevice {
  /** Present name, in the Link's own namespace. */
  readonly name: string;
  /** Open descriptor of the target namespace. */
  readonly netnsFd: number;
  /** Name there. EEXIST when taken. */
  readonly ifname: string;
}

export interface ConfigureDevice {
  readonly ifname: string;
  /** Namespace, as an open descriptor; default: the Link's own. */
  readonly netnsFd?: number;
  /** EOPNOTSUPP for a TUN, which has none. */
  readonly mac?: string;
  /** A text of at most 255 characters that stays with the device when it is renamed or moved (`ip link set alias`). */
  readonly alias?: string;
  readonly mtu?: number;
  readonly txQueueLen?: number;
  /**
   * Longest super-frame the container's kernel makes for the device, in octets from the IP header on (gso_max_size);
   * 65,536 unless set. A kernel that refuses it is no error: the reader has to cope with longer ones.
   */
  readonly gsoMaxSize?: number;
  /** `10.8.0.1/24`, `fd00::1/64`; IPv6 without duplicate address detection (nodad). */
  readonly addresses?: readonly string[];
  readonly up?: boolean;
  /** Also bring up `lo` in that namespace. */
  readonly loopback?: boolean;
  readonly routes?: readonly { readonly to: string; readonly via?: string }[];
  /** A route to the same prefix that is there stays (EEXIST); default: it is replaced. */
  readonly keepRoutes?: boolean;
  /** Prefixes whose routes through the device are to go; one that is not there is no error. */
  readonly removeRoutes?: readonly string[];
}

/** Facts of a device, from RTM_GETLINK. */
export interface DeviceStats {
  readonly ifindex: number;
  /** `00:00:00:00:00:00` for a TUN, which has none. */
  readonly mac: string;
  /** Empty for none. */
  readonly alias: string;
  readonly mtu: number;
  readonly up: boolean;
  /** Frames the device's ring had no room for: the switch did not read fast enough. */
  readonly txDropped: number;
  readonly rxDropped: number;
}

export interface OpenUdp {
  readonly family: 4 | 6;
  /** Address to bind. */
  readonly address: string;
  /** Port; 0 for any free one. With `range`, a free one of [low, high] is searched. */
  readonly port: number;
  readonly range?: readonly [low: number, high: number];
  readonly reusePort?: boolean;
  /** UDP_GRO: the kernel hands over runs of equal datagrams in one buffer. */
  readonly gro?: boolean;
  /**
   * Datagrams are never fragmented, and the kernel's path MTU is not asked (IP_PMTUDISC_PROBE): EMSGSIZE beyond the interface's MTU, and
   * what is too long further on is lost. Default: fragmented where that is needed (IP_PMTUDISC_OMIT).
   */
  readonly dontFragment?: boolean;
  /** IP_PKTINFO: each datagram brings the local address that it was sent to (RxDesc.local). For sockets bound to all addresses. */
  readonly packetInfo?: boolean;
  /** Octets asked of SO_RCVBUFFORCE / SO_SNDBUFFORCE, falling back to the unprivileged calls. */
  readonly receiveBuffer?: number;
  readonly sendBuffer?: number;
}

/** An open UDP socket. */
export interface UdpSocket {
  readonly fd: number;
  readonly address: string;
  readonly port: number;
  /** Octets in force after the kernel's own limits. */
  readonly receiveBuffer: number;
  readonly sendBuffer: number;
  /** Whether UDP_GRO is on. */
  readonly gro: boolean;
  /** Datagrams lost because the receive buffer was full (SO_MEMINFO). */
  drops(): number;
  /**
   * Sends one datagram, without waiting. For the few that the control plane sends itself.
   *
   * @param from local address to send from (IP_PKTINFO); when the host has it no more, the kernel chooses.
   * @throws the system error
   */
  send(octets: Uint8Array, address: string, port: number, from?: string): void;
  /**
   * Steers what the SO_REUSEPORT group of this socket receives, by a classic BPF program: WireGuard data (type 4) to member
   * (low octet of the receiver index) mod `members`, everything else to member 0. Members count in the order of binding.
   *
   * @throws the system error; see Features.reuseportSteering
   */
  steerWireguard(members: number): void;
  close(): void;
}

/** What poll() saw, as bits. */
export const READY = { TAP: 1, UDP: 2, WAKE: 4, GONE: 8 } as const;

/**
 * One worker's batched I/O on the shared memory. Not thread safe: lives and dies on its worker's thread.
 *
 * Layout, limits and struct offsets are those of the ABI table. Every offset read from memory is checked against the
 * memory's size before a system call; an operation that fails the check gets result -EFAULT.
 */
export interface Io {
  /** What wake() takes to make this Io's poll() return. */
  readonly wakeHandle: WakeHandle;
  /**
   * The twin only, for a switch that runs on its event loop: `listener` is called (soon, not from inside send()) when
   * a port or socket that was empty has something to read, and after wake().
   */
  onReadable?(listener: () => void): void;
  /**
   * Adds a device under a port index. Every worker may write to every port, so each has to be told of all; `reads`
   * says whether this Io also polls and reads it (level-triggered): one worker per port does.
   */
  addPort(port: number, fd: number, reads: boolean): void;
  /** Forgets a port; its descriptor may be closed afterwards. */
  removePort(port: number): void;
  /** Adds a receiving socket by its RECEIVER index: VXLAN IPv4, VXLAN IPv6, WireGuard IPv4, WireGuard IPv6. */
  addReceiver(index: number, fd: number): void;
  /** Adds a sending socket: 0..15 IPv4, 16..31 IPv6; 32 and 33 are WireGuard's over IPv4 and IPv6, and may be receivers too. */
  addSender(index: number, fd: number): void;
  /**
   * Waits for work: at most `timeoutMs` (-1 for ever, 0 not at all), the first `spinUs` microseconds of it (default 0)
   * without sleeping: what comes meanwhile is seen sooner, at the price of a busy core. It spins only while that pays: eight
   * spins in a row that saw nothing end it for 64 polls. The twin never waits.
   * At its end it writes the time to Worker.clockMs; at its start it counts the time since, when frames were taken.
   * @returns READY bits; READY.WAKE once per wake(), which it also clears; READY.GONE until takeGonePorts().
   */
  poll(timeoutMs: number, spinUs?: number): number;
  /**
   * Reads frames from the ports that poll() found ready, in turn, at most `max` (≤ BATCH_MAX) in all and a bounded
   * number from each, into slots 0.. and receive descriptors 0.. of this worker. A port that was cut short is read
   * first next time.
   * @returns descriptors filled.
   */
  readPorts(max: number): number;
  /** The same for the receiving sockets, with recvmmsg. */
  receive(max: number): number;
  /** Carries out transmit operations 0..count-1 of this worker and writes each one's result. */
  send(count: number): void;
  /** Port indexes whose device vanished (EBADFD, ENODEV, POLLERR) since the last call; they are out of the poller. */
  takeGonePorts(): number[];
  close(): void;
}

/** Names of kernel features and whether they are there, found by trying each once. */
export interface Features {
  readonly kernel: string;
  readonly vnetHdr: boolean;
  readonly tapChecksum: boolean;
  readonly tso: boolean;
  readonly uso: boolean;
  /** A TAP takes TCP super-frames with an unfinished checksum. */
  readonly coalesceTcp: boolean;
  /** The same for UDP, and a socket behind it gets the datagrams they were made of. */
  readonly coalesceUdp: boolean;
  /** UDP_SEGMENT: one send of many datagrams, which arrive as they should. */
  readonly gso: boolean;
  /** UDP_GRO: many datagrams in one buffer, with the right segment size. */
  readonly gro: boolean;
  /** Most datagrams one UDP_SEGMENT send takes: 64 or 128; 1 without `gso`. */
  readonly gsoMax: number;
  readonly tunGetDevNetns: boolean;
  readonly bufferForce: boolean;
  /** A classic BPF program chooses among the sockets of a SO_REUSEPORT group (SO_ATTACH_REUSEPORT_CBPF). */
  readonly reuseportSteering: boolean;
}

export interface Link {
  readonly kind: "kernel" | "memory";
  /** Probes once and remembers. `WEFT_DISABLE=uso,gro,…` switches features off. */
  features(): Features;
  openDevice(spec: OpenDevice): Device;
  placeDevice(spec: PlaceDevice): void;
  configureDevice(spec: ConfigureDevice): void;
  /** Deletes a device by name (`ip link del`). ENODEV when there is none. */
  deleteDevice(ifname: string, netnsFd?: number): void;
  /** Present name of the TAP in a namespace that has a MAC, or of the TUN that has it for its alias: `ifname`, unless it was renamed. */
  findTap(mac: string, ifname: string, netnsFd?: number): string | undefined;
  /** Facts of a device that may have been moved; undefined when it is gone. */
  deviceStats(device: Device): DeviceStats | undefined;
  openUdp(spec: OpenUdp): UdpSocket;
  /**
   * Takes the abstract Unix socket `@weft/udp/ADDRESS:PORT` as a lock and tries one bind without SO_REUSEPORT.
   * @throws EADDRINUSE with `holder: "weft" | "other"`.
   */
  lockUdpPort(address: string, port: number): { release(): void };
  /** The interface that has the address, its MTU and whether it is up; undefined when no interface has it. */
  underlayInterface(address: string): { name: string; mtu: number; up: boolean } | undefined;
  /** Source addresses of the default routes, at most one per family. */
  defaultSources(): string[];
  /** Io for one worker over the given memory (a view of the whole shared WASM memory). */
  createIo(memory: Uint8Array, worker: number): Io;
  /** Makes a blocked poll() of that worker return, from any thread. */
  wake(worker: WakeHandle): void;
  /** The twin only: the clock of its simulation in milliseconds, in place of CLOCK_MONOTONIC. */
  nowMs?(): number;
}

/** What another thread needs to wake an Io: an eventfd number, or a handle of the twin. */
export type WakeHandle = number;

/** A failed system call: what Node's own errors carry, and a message that says what to do. */
export interface SystemError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
}
