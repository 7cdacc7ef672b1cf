/**
 * The in-memory twin of the kernel: a host with devices and UDP sockets that are queues. Needs no privilege, no
 * addon and no thread; the switch cannot tell the difference.
 *
 * Tests and examples drive the container's side with `device(name).inject()` and `.take()`.
 */
import { parseAddress, toMapped } from "./addresses.js";
import { createSystemError, ERRNO, errnoName } from "./errors.js";
import type * as Contract from "./link.js";
import { MemoryDevice } from "./memory-device.js";
import { type Destination, MemoryIo } from "./memory-io.js";
import { type Datagram, MemoryNetwork } from "./memory-network.js";
import { familyOf, isAny, MemorySocket, steeredMember, tooLong } from "./memory-socket.js";

export interface MemoryLinkOptions {
  /** The wire; default: one of its own. */
  readonly network?: MemoryNetwork;
  /** Underlay addresses of this host. */
  readonly addresses: readonly string[];
  /** Name and MTU of the interface that has them. Default `underlay0`, 1500. */
  readonly interface?: { readonly name?: string; readonly mtu?: number };
  /** Datagrams longer than the MTU: cut by IP (default), or refused with EMSGSIZE. */
  readonly fragmentation?: boolean;
  /** Kernel features to go without. */
  readonly features?: Partial<Contract.Features>;
}

const FEATURES: Contract.Features = {
  kernel: "memory",
  vnetHdr: true,
  tapChecksum: true,
  tso: true,
  uso: true,
  coalesceTcp: true,
  coalesceUdp: true,
  gso: true,
  gro: true,
  gsoMax: 128,
  tunGetDevNetns: true,
  bufferForce: true,
  reuseportSteering: true,
};

function fail(code: string, syscall: string, message: string): Contract.SystemError {
  return createSystemError(code, ERRNO[code] as number, syscall, `${message} (${code}, ${syscall})`);
}

/** What the kernel says of a device without MAC. */
const NO_MAC = "00:00:00:00:00:00";

/** 16 octets of a numeric address. */
function octetsOf(text: string, what = ""): Uint8Array {
  const octets = parseAddress(text);
  if (!octets) throw fail("EINVAL", "inet_pton", `${what}${text} is not an IP address`);
  return toMapped(octets);
}

/** Sockets of one SO_REUSEPORT group have the same. */
function groupOf({ address, port }: { address: string; port: number }): string {
  return `${address} ${port}`;
}

export class MemoryLink implements Contract.Link {
  readonly kind = "memory";
  readonly network: MemoryNetwork;
  /** The network's clock; absent when it runs on the system's. */
  readonly nowMs?: () => number;
  #addresses: readonly { readonly text: string; readonly octets: Uint8Array }[] = [];
  readonly #interface: { readonly name: string; readonly mtu: number };
  readonly #fragmentation: boolean;
  readonly #features: Contract.Features;
  readonly #devices = new Set<MemoryDevice>();
  /** Open descriptors of devices and sockets. */
  readonly #open = new Map<number, MemoryDevice | MemorySocket>();
  readonly #sockets = new Set<MemorySocket>();
  /** Members of the SO_REUSEPORT groups that are steered, by groupOf(). */
  readonly #steered = new Map<string, number>();
  readonly #locks = new Set<string>();
  readonly #ios = new Map<Contract.WakeHandle, MemoryIo>();
  #next = 1;
  #up = true;

  constructor(options: MemoryLinkOptions) {
    this.network = options.network ?? new MemoryNetwork();
    if (this.network.nowMs) this.nowMs = this.network.nowMs;
    this.setAddresses(options.addresses);
    this.#interface = { name: "underlay0", mtu: 1500, ...options.interface };
    this.#fragmentation = options.fragmentation ?? true;
    this.#features = { ...FEATURES, ...options.features };
    this.network.join({
      has: (address) => this.#up && this.#hasAddress(address),
      arrive: (datagram) => this.#arrive(datagram),
    });
  }

  // ---- for tests ----

  /**
   * The far end of a device, by its present name (and namespace, where several have one of that name).
   * @throws ENODEV when there is none
   */
  device(name: string, netnsFd?: number): MemoryDevice {
    const found = [...this.#devices].find((d) => d.name === name && (netnsFd === undefined || d.netnsFd === netnsFd));
    if (!found) throw fail("ENODEV", "device", `there is no device ${name}`);
    return found;
  }

  /** All devices. */
  devices(): MemoryDevice[] {
    return [...this.#devices];
  }

  /**
   * Lets the next `count` sends fail with an errno: from the socket on that port, or from every socket. A UDP_SEGMENT
   * send is one, and each of the single datagrams that go out in its place is another.
   */
  failUdp(code: string, count = 1, port?: number): void {
    const errno = ERRNO[code];
    if (errno === undefined) throw new RangeError(`no errno is called ${code}`);
    for (const socket of this.#sockets) if (port === undefined || socket.port === port) socket.failNext(errno, count);
  }

  /** Takes the underlay interface down or up: sends fail with ENETUNREACH, nothing arrives. */
  setUnderlay(up: boolean): void {
    this.#up = up;
  }

  /** Gives the host other underlay addresses: it moves. Sockets stay bound to what they are bound to. */
  setAddresses(addresses: readonly string[]): void {
    this.#addresses = addresses.map((text) => ({ text, octets: octetsOf(text) }));
  }

  // ---- Link ----

  features(): Contract.Features {
    return this.#features;
  }

  openDevice(spec: Contract.OpenDevice): Contract.Device {
    const name = this.#name(spec);
    let device = this.#find(name, spec.netnsFd);
    const what = `cannot ${spec.mustExist ? "adopt" : "open"} ${spec.kind} device ${name}`;
    if (!device && spec.mustExist) throw fail("ENODEV", "ioctl(SIOCGIFINDEX)", `${what}: there is no such device`);
    if (device && (device.kind !== spec.kind || device.multiQueue !== (spec.multiQueue ?? false))) {
      throw fail("EINVAL", "ioctl(TUNSETIFF)", `${what}: it was opened with other flags`);
    }
    if (device && device.openCount > 0 && !device.multiQueue) {
      throw fail("EBUSY", "ioctl(TUNSETIFF)", `${what}: it is open already`);
    }
    if (!device) {
      const index = this.#next++;
      const mac =
        spec.kind === "tun"
          ? NO_MAC
          : `02:00:00:${[16, 8, 0].map((shift) => ((index >> shift) & 255).toString(16).padStart(2, "0")).join(":")}`;
      device = new MemoryDevice(spec, name, index, mac, {
        tcp: this.#features.coalesceTcp,
        udp: this.#features.coalesceUdp,
      });
      device.netnsFd = spec.netnsFd;
      this.#devices.add(device);
    }
    return this.#handle(device);
  }

  placeDevice({ name, netnsFd, ifname }: Contract.PlaceDevice): void {
    const what = `cannot move ${name} into the namespace as ${ifname}`;
    const device = this.#find(name, undefined);
    if (!device) throw fail("ENODEV", "netlink", what);
    if (this.#find(ifname, netnsFd)) throw fail("EEXIST", "netlink", `${what}: the name is taken`);
    device.name = ifname;
    device.netnsFd = netnsFd;
    // A moved device arrives down and without addresses.
    device.up = false;
    device.addresses.length = 0;
    device.routes.length = 0;
  }

  configureDevice(spec: Contract.ConfigureDevice): void {
    const device = this.#find(spec.ifname, spec.netnsFd);
    if (!device) throw fail("ENODEV", "netlink", `cannot find device ${spec.ifname}`);
    if (spec.mac !== undefined && device.kind === "tun")
      throw fail("EOPNOTSUPP", "netlink", `cannot set MAC ${spec.mac} of device ${spec.ifname}: a TUN device has none`);
    device.configure(spec);
  }

  deleteDevice(ifname: string, netnsFd?: number): void {
    const device = this.#find(ifname, netnsFd);
    if (!device) throw fail("ENODEV", "netlink", `cannot delete device ${ifname}`);
    this.#devices.delete(device);
    device.destroy();
  }

  findTap(mac: string, ifname: string, netnsFd?: number): string | undefined {
    const fits = (d: MemoryDevice): boolean => !d.gone && d.netnsFd === netnsFd && (d.mac === mac || d.alias === mac);
    const all = [...this.#devices].filter(fits);
    return (all.find((d) => d.name === ifname) ?? all[0])?.name;
  }

  deviceStats(device: Contract.Device): Contract.DeviceStats | undefined {
    const found = this.#open.get(device.fd);
    return found instanceof MemoryDevice && !found.gone ? found.stats() : undefined;
  }

  openUdp(spec: Contract.OpenUdp): Contract.UdpSocket {
    const what = `cannot open UDP ${spec.address}`;
    if (!isAny(spec.address) && !this.#addresses.some((a) => a.text === spec.address)) {
      throw fail("EADDRNOTAVAIL", "bind", `${what}: no interface of this host has the address`);
    }
    const port = this.#freePort(spec);
    if (port === undefined)
      throw fail("EADDRINUSE", "bind", `${what}: port ${spec.port || spec.range?.join("-")} is taken`);
    const socket = new MemorySocket(spec, port, (spec.gro ?? false) && this.#features.gro);
    const fd = this.#next++;
    this.#sockets.add(socket);
    this.#open.set(fd, socket);
    const { address, receiveBuffer, sendBuffer, gro } = socket;
    return {
      ...{ fd, address, port, receiveBuffer, sendBuffer, gro },
      drops: () => socket.dropped,
      send: (octets, to, toPort, from) => this.#sendAlone(socket, octets, to, toPort, from),
      steerWireguard: (members) => this.#steer(socket, members),
      close: () => {
        socket.open = false;
        this.#sockets.delete(socket);
        this.#open.delete(fd);
        const group = groupOf(socket);
        if (![...this.#sockets].some((s) => groupOf(s) === group)) this.#steered.delete(group);
      },
    };
  }

  lockUdpPort(address: string, port: number): { release(): void } {
    const key = `${address}:${port}`;
    const holder = this.#locks.has(key) ? "weft" : this.#taken(address, port, false) ? "other" : undefined;
    if (holder) throw Object.assign(fail("EADDRINUSE", "bind", `UDP ${key} is taken`), { holder });
    this.#locks.add(key);
    return { release: () => this.#locks.delete(key) };
  }

  underlayInterface(address: string): { name: string; mtu: number; up: boolean } | undefined {
    return this.#addresses.some((a) => a.text === address) ? { ...this.#interface, up: this.#up } : undefined;
  }

  defaultSources(): string[] {
    const families = [false, true].map((v6) => this.#addresses.find((a) => a.text.includes(":") === v6)?.text);
    return families.filter((text) => text !== undefined);
  }

  createIo(memory: Uint8Array, worker: number): MemoryIo {
    const handle = this.#next++;
    const io = new MemoryIo(
      {
        network: this.network,
        gsoMax: this.#features.gso ? this.#features.gsoMax : 1,
        nowMs: () => this.nowMs?.() ?? Number(process.hrtime.bigint() / 1_000_000n),
        refuses: (socket, length) => this.#refuses(socket, length),
        device: (fd) => this.#of(fd, MemoryDevice),
        socket: (fd) => this.#of(fd, MemorySocket),
        send: (socket, to, payload, source) => this.#send(socket, to, payload, source),
        closed: () => this.#ios.delete(handle),
      },
      memory,
      worker,
      handle,
    );
    this.#ios.set(handle, io);
    return io;
  }

  wake(handle: Contract.WakeHandle): void {
    const io = this.#ios.get(handle);
    if (!io) throw fail("EBADF", "write(eventfd)", "cannot wake a worker");
    io.wake();
  }

  // ---- inside ----

  #of<T extends MemoryDevice | MemorySocket>(fd: number, type: abstract new (...args: never[]) => T): T | undefined {
    const found = this.#open.get(fd);
    return found instanceof type ? found : undefined;
  }

  #find(name: string, netnsFd: number | undefined): MemoryDevice | undefined {
    return [...this.#devices].find((d) => !d.gone && d.name === name && d.netnsFd === netnsFd);
  }

  #name(spec: Contract.OpenDevice): string {
    if (spec.name.length > 15) throw fail("ENAMETOOLONG", "ioctl(TUNSETIFF)", `${spec.name} has more than 15 octets`);
    if (!spec.name.includes("%d")) return spec.name;
    let index = 0;
    while (this.#find(spec.name.replace("%d", String(index)), spec.netnsFd)) index++;
    return spec.name.replace("%d", String(index));
  }

  #handle(device: MemoryDevice): Contract.Device {
    const fd = this.#next++;
    this.#open.set(fd, device);
    device.openCount++;
    const alive = (): MemoryDevice => {
      if (!this.#open.has(fd)) throw fail("EBADF", "ioctl", `device ${device.name} is closed`);
      if (device.gone) throw fail("EBADFD", "ioctl", `device ${device.name} is gone`);
      return device;
    };
    return {
      fd,
      name: device.name,
      setOffload: (flags) => {
        const { tapChecksum, tso, uso } = this.#features;
        alive().offload = {
          checksum: flags.checksum && tapChecksum,
          tso4: (flags.tso4 ?? false) && tso,
          tso6: (flags.tso6 ?? false) && tso,
          uso: (flags.uso ?? false) && uso,
        };
      },
      setPersist: (on) => {
        alive().persist = on;
      },
      describe: () => {
        const { name, persist, multiQueue } = alive();
        return { name, vnetHdr: true, persist, multiQueue };
      },
      netns: () => (this.#features.tunGetDevNetns ? `memory:${alive().netnsFd ?? 0}` : undefined),
      close: () => {
        if (!this.#open.delete(fd)) return;
        if (--device.openCount > 0 || device.persist) return;
        this.#devices.delete(device);
        device.destroy();
      },
    };
  }

  #taken(address: string, port: number, reusePort: boolean): boolean {
    return [...this.#sockets].some(
      (s) =>
        s.port === port &&
        s.address.includes(":") === address.includes(":") &&
        (s.address === address || s.any || isAny(address)) &&
        !(s.reusePort && reusePort),
    );
  }

  #freePort(spec: Contract.OpenUdp): number | undefined {
    const [low, high] = spec.range ?? (spec.port === 0 ? [32_768, 60_999] : [spec.port, spec.port]);
    for (let port = low; port <= high; port++) {
      if (!this.#taken(spec.address, port, spec.reusePort ?? false)) return port;
    }
    return undefined;
  }

  #refuses(socket: MemorySocket, length: number): number | undefined {
    const injected = socket.takeFailure();
    if (injected !== undefined) return injected;
    if (!this.#up || !this.#sourceOf(socket)) return -(ERRNO.ENETUNREACH as number);
    const headers = socket.family === 4 ? 28 : 48;
    const mayCut = this.#fragmentation && !socket.dontFragment;
    return !mayCut && length + headers > this.#interface.mtu ? -(ERRNO.EMSGSIZE as number) : undefined;
  }

  /** UdpSocket.send(). */
  #sendAlone(socket: MemorySocket, octets: Uint8Array, to: string, port: number, from?: string): void {
    const what = `cannot send ${octets.length} octets to ${to} port ${port}`;
    if (!socket.open) throw fail("EBADF", "sendmsg", `${what}: the socket is closed`);
    const [addr, source] = [to, from ?? to].map((text) => octetsOf(text, `${what}: `)) as [Uint8Array, Uint8Array];
    if (port === 0 || [addr, source].some((address) => familyOf(address) !== socket.family))
      throw fail("EINVAL", "sendmsg", `${what}: the socket sends to ports and from addresses of IPv${socket.family}`);
    const refused = tooLong(socket.family, octets.length) ?? this.#refuses(socket, octets.length);
    if (refused !== undefined) throw fail(errnoName(refused), "sendmsg", what);
    this.#send(socket, { addr, port, tos: 0 }, octets.slice(), from === undefined ? undefined : source);
  }

  #send(socket: MemorySocket, { addr, port, tos }: Destination, payload: Uint8Array, wanted?: Uint8Array): void {
    const from = this.#sourceOf(socket, wanted);
    if (from) this.network.send({ from, fromPort: socket.port, to: addr, toPort: port, tos, payload });
  }

  /** The source address of a send: the one wanted if the host has it, else the socket's, else the host's first. */
  #sourceOf(socket: MemorySocket, wanted?: Uint8Array): Uint8Array | undefined {
    if (wanted && familyOf(wanted) === socket.family && this.#hasAddress(wanted)) return wanted;
    if (!socket.any) return socket.octets;
    return this.#addresses.find((a) => familyOf(a.octets) === socket.family)?.octets;
  }

  #hasAddress(octets: Uint8Array): boolean {
    return this.#addresses.some((a) => Buffer.compare(a.octets, octets) === 0);
  }

  #steer(socket: MemorySocket, members: number): void {
    const syscall = "setsockopt(SO_ATTACH_REUSEPORT_CBPF)";
    const what = `cannot steer WireGuard on ${socket.address} port ${socket.port}`;
    if (!socket.open) throw fail("EBADF", syscall, `${what}: the socket is closed`);
    if (!this.#features.reuseportSteering) throw fail("EOPNOTSUPP", syscall, what);
    if (!socket.reusePort || members < 1)
      throw fail("EINVAL", syscall, `${what}: it has to be opened with reusePort, and there has to be a member`);
    this.#steered.set(groupOf(socket), members);
  }

  #arrive(datagram: Datagram): void {
    const family = familyOf(datagram.to);
    const all = [...this.#sockets].filter((s) => s.port === datagram.toPort && s.family === family);
    const bound = all.filter((s) => Buffer.compare(s.octets, datagram.to) === 0);
    // A socket bound to the very address goes before those bound to all.
    const group = bound.length > 0 ? bound : all.filter((s) => s.any);
    const [first] = group;
    if (!first) return;
    const members = this.#steered.get(groupOf(first));
    const steered = members === undefined ? undefined : group[steeredMember(datagram.payload, members)];
    // As SO_REUSEPORT spreads by 4-tuple: one sender's port stays with one socket.
    (steered ?? group[datagram.fromPort % group.length])?.arrive(datagram);
  }
}
