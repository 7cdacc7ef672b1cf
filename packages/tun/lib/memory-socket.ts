/** A UDP socket of the in-memory twin. */
import { parseAddress, toMapped } from "./addresses.js";
import { ERRNO } from "./errors.js";
import type { OpenUdp } from "./link.js";
import type { Datagram } from "./memory-network.js";

/** What Linux gives a socket that asks for nothing (net.core.rmem_default). */
const BUFFER_DEFAULT = 212_992;
/** What one queued datagram costs beside its octets: the kernel's own bookkeeping, roughly. */
const OVERHEAD = 768;
/** Longest buffer that joining makes. */
const JOINED_MAX = 65_535;

/** A datagram, or several of one sender joined as UDP_GRO joins them. */
export interface Joined {
  readonly first: Datagram;
  readonly parts: readonly Uint8Array[];
  /** Length of each part but the last; 0: one datagram alone. */
  readonly segLen: number;
}

export class MemorySocket {
  readonly family: 4 | 6;
  readonly address: string;
  readonly octets: Uint8Array;
  readonly port: number;
  readonly reusePort: boolean;
  /** Whether datagrams bring the address that they were sent to. */
  readonly packetInfo: boolean;
  /** What is longer than the interface's MTU is refused. */
  readonly dontFragment: boolean;
  readonly gro: boolean;
  readonly receiveBuffer: number;
  readonly sendBuffer: number;
  dropped = 0;
  open = true;
  readonly #failures: number[] = [];
  readonly #queue: Datagram[] = [];
  #queued = 0;
  #wake: () => void = () => {};

  constructor(spec: OpenUdp, port: number, gro: boolean) {
    this.family = spec.family;
    this.address = spec.address;
    this.octets = toMapped(parseAddress(spec.address) ?? new Uint8Array(4));
    this.port = port;
    this.reusePort = spec.reusePort ?? false;
    this.packetInfo = spec.packetInfo ?? false;
    this.dontFragment = spec.dontFragment ?? false;
    this.gro = gro;
    this.receiveBuffer = spec.receiveBuffer ?? BUFFER_DEFAULT;
    this.sendBuffer = spec.sendBuffer ?? BUFFER_DEFAULT;
  }

  /** Lets the next `count` sends from this socket fail with an errno. */
  failNext(errno: number, count: number): void {
    for (let i = 0; i < count; i++) this.#failures.push(-errno);
  }
  takeFailure(): number | undefined {
    return this.#failures.shift();
  }

  /** Whether it is bound to all addresses. */
  get any(): boolean {
    return isAny(this.address);
  }

  arrive(datagram: Datagram): void {
    const cost = datagram.payload.length + OVERHEAD;
    if (this.#queued + cost > this.receiveBuffer) {
      this.dropped++;
      return;
    }
    this.#queued += cost;
    this.#queue.push(datagram);
    this.#wake();
  }

  get waiting(): number {
    return this.#queue.length;
  }
  onReadable(wake: () => void): void {
    this.#wake = wake;
  }

  /** Takes the next datagram, with those behind it that UDP_GRO would have joined to it. */
  shift(joinMax: number): Joined | undefined {
    const first = this.#pop();
    if (!first) return undefined;
    const parts = [first.payload];
    let total = first.payload.length;
    while (this.gro && parts.length < joinMax) {
      const next = this.#queue[0];
      if (!next || !sameFlow(first, next) || next.payload.length > first.payload.length) break;
      if (next.payload.length === 0 || total + next.payload.length > JOINED_MAX) break;
      this.#pop();
      parts.push(next.payload);
      total += next.payload.length;
      // A shorter one ends the run.
      if (next.payload.length < first.payload.length) break;
    }
    return { first, parts, segLen: parts.length > 1 ? first.payload.length : 0 };
  }

  #pop(): Datagram | undefined {
    const datagram = this.#queue.shift();
    if (datagram) this.#queued -= datagram.payload.length + OVERHEAD;
    return datagram;
  }
}

function sameFlow(a: Datagram, b: Datagram): boolean {
  const ends = Buffer.compare(a.from, b.from) === 0 && Buffer.compare(a.to, b.to) === 0;
  return ends && a.fromPort === b.fromPort && a.tos === b.tos;
}

/** Whether a socket with that address is bound to all there are. */
export function isAny(address: string): boolean {
  return address === "0.0.0.0" || address === "::";
}

/** Family of 16 octets: IPv4 is ::ffff:a.b.c.d. */
export function familyOf(octets: Uint8Array): 4 | 6 {
  return octets.subarray(0, 10).every((o) => o === 0) && octets[10] === 0xff && octets[11] === 0xff ? 4 : 6;
}

/** First octet of WireGuard's transport data messages; the receiver index behind it is little-endian. */
const WIREGUARD_DATA = 4;

/** Which member of a steered group a datagram is for: what udp_steer_wireguard() of udp.c lets the kernel do. */
export function steeredMember(payload: Uint8Array, members: number): number {
  return payload[0] === WIREGUARD_DATA && payload.length > 4 ? (payload[4] as number) % members : 0;
}

/** Longest payload: what the IP length field leaves. */
export function payloadMax(family: 4 | 6): number {
  return family === 4 ? 65_507 : 65_527;
}

/** -EMSGSIZE, or undefined when the kernel would take a datagram of that length. */
export function tooLong(family: 4 | 6, length: number): number | undefined {
  return length > payloadMax(family) ? -(ERRNO.EMSGSIZE as number) : undefined;
}
