/**
 * The in-memory twin of the kernel: a host with devices and UDP sockets that are queues. Needs no privilege, no
 * addon and no thread; the switch cannot tell the difference.
 *
 * Tests and examples drive the container's side with `device(name).inject()` and `.take()`.
 */
import { parseAddress, toMapped } from "./addresses.js";
import { createSystemError, ERRNO } from "./errors.js";
import type * as Contract from "./link.js";
import { MemoryDevice } from "./memory-device.js";
import { MemoryIo } from "./memory-io.js";
import { type Datagram, MemoryNetwork } from "./memory-network.js";
import { MemorySocket } from "./memory-socket.js";
import type { Operation } from "./worker-memory.js";

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
};

function fail(code: string, syscall: string, message: string): Contract.SystemError {
  return createSystemError(code, ERRNO[code] as number, syscall, `${message} (${code}, ${syscall})`);
}

export class MemoryLink implements Contract.Link {
  readonly kind = "memory";
  readonly network: MemoryNetwork;
  /** The network's clock; absent when it runs on the system's. */
  readonly nowMs?: () => number;
  readonly #addresses: readonly { readonly text: string; readonly octets: Uint8Array }[];
  readonly #interface: { readonly name: string; readonly mtu: number };
  readonly #fragmentation: boolean;
  readonly #features: Contract.Features;
  readonly #devices = new Set<MemoryDevice>();
  /** Open descriptors of devices and sockets. */
  readonly #open = new Map<number, MemoryDevice | MemorySocket>();
  readonly #sockets = new Set<MemorySocket>();
  readonly #locks = new Set<string>();
  readonly #ios = new Map<Contract.WakeHandle, MemoryIo>();
  #next = 1;
  #up = true;

  constructor(options: MemoryLinkOptions) {
    this.network = options.network ?? new MemoryNetwork();
    if (this.network.nowMs) this.nowMs = this.network.nowMs;
    this.#addresses = options.addresses.map((text) => {
      const octets = parseAddress(text);
      if (!octets) throw fail("EINVAL", "inet_pton", `${text} is not an IP address`);
      return { text, octets: toMapped(octets) };
    });
    this.#interface = { name: "underlay0", mtu: 1500, ...options.interface };
    this.#fragmentation = options.fragmentation ?? true;
    this.#features = { ...FEATURES, ...options.features };
    this.network.join({
      has: (address) => this.#up && this.#addresses.some((a) => Buffer.compare(a.octets, address) === 0),
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
      const mac = `02:00:00:${[16, 8, 0].map((shift) => ((index >> shift) & 255).toString(16).padStart(2, "0")).join(":")}`;
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
    device.configure(spec);
  }

  deleteDevice(ifname: string, netnsFd?: number): void {
    const device = this.#find(ifname, netnsFd);
    if (!device) throw fail("ENODEV", "netlink", `cannot delete device ${ifname}`);
    this.#devices.delete(device);
    device.destroy();
  }

  findTap(mac: string, ifname: string, netnsFd?: number): string | undefined {
    const fits = (d: MemoryDevice): boolean => !d.gone && d.netnsFd === netnsFd && d.mac === mac;
    const all = [...this.#devices].filter(fits);
    return (all.find((d) => d.name === ifname) ?? all[0])?.name;
  }

  deviceStats(device: Contract.Device): Contract.DeviceStats | undefined {
    const found = this.#open.get(device.fd);
    return found instanceof MemoryDevice && !found.gone ? found.stats() : undefined;
  }

  openUdp(spec: Contract.OpenUdp): Contract.UdpSocket {
    const what = `cannot open UDP ${spec.address}`;
    const any = spec.address === "0.0.0.0" || spec.address === "::";
    if (!any && !this.#addresses.some((a) => a.text === spec.address)) {
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
      close: () => {
        socket.open = false;
        this.#sockets.delete(socket);
        this.#open.delete(fd);
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
        send: (socket, operation, payload) => this.#send(socket, operation, payload),
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
    const all = (a: string): boolean => a === "0.0.0.0" || a === "::";
    return [...this.#sockets].some(
      (s) =>
        s.port === port &&
        s.address.includes(":") === address.includes(":") &&
        (s.address === address || all(s.address) || all(address)) &&
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
    if (!this.#up) return -(ERRNO.ENETUNREACH as number);
    const headers = socket.family === 4 ? 28 : 48;
    return !this.#fragmentation && length + headers > this.#interface.mtu ? -(ERRNO.EMSGSIZE as number) : undefined;
  }

  #send(socket: MemorySocket, { addr, port, tos }: Operation, payload: Uint8Array): void {
    this.network.send({ from: socket.octets, fromPort: socket.port, to: addr, toPort: port, tos, payload });
  }

  #arrive(datagram: Datagram): void {
    const matching = [...this.#sockets].filter(
      (s) =>
        s.port === datagram.toPort &&
        (Buffer.compare(s.octets, datagram.to) === 0 || s.address === "0.0.0.0" || s.address === "::"),
    );
    // As SO_REUSEPORT spreads by 4-tuple: one sender's port stays with one socket.
    matching[datagram.fromPort % Math.max(1, matching.length)]?.arrive(datagram);
  }
}
