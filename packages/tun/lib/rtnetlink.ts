/**
 * rtnetlink: messages and attributes, and one conversation with the kernel. Host byte order, which is little-endian
 * wherever this package builds.
 */
import { closeSync } from "node:fs";
import { NETNS_OWN, native } from "./addon.js";

/** Message types (linux/rtnetlink.h). */
export const RTM = {
  NEWLINK: 16,
  DELLINK: 17,
  GETLINK: 18,
  SETLINK: 19,
  NEWADDR: 20,
  GETADDR: 22,
  NEWROUTE: 24,
  DELROUTE: 25,
  GETROUTE: 26,
} as const;
/** Message flags (linux/netlink.h). */
export const NLM = { REQUEST: 1, ACK: 4, DUMP: 0x300, REPLACE: 0x100, EXCL: 0x200, CREATE: 0x400 } as const;
/** Link attributes (linux/if_link.h). */
export const IFLA = {
  ADDRESS: 1,
  IFNAME: 3,
  MTU: 4,
  TXQLEN: 13,
  LINKINFO: 18,
  IFALIAS: 20,
  STATS64: 23,
  NET_NS_FD: 28,
  GSO_MAX_SIZE: 41,
  GSO_IPV4_MAX_SIZE: 63,
} as const;
/** Address attributes (linux/if_addr.h). */
export const IFA = { ADDRESS: 1, LOCAL: 2, FLAGS: 8 } as const;
/** Route attributes (linux/rtnetlink.h). */
export const RTA = { DST: 1, OIF: 4, GATEWAY: 5, PRIORITY: 6, PREFSRC: 7, TABLE: 15 } as const;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const IFF_UP = 1;
/** Octets of struct ifinfomsg, ifaddrmsg and rtmsg, in front of the attributes. */
export const HEAD = { link: 16, addr: 8, route: 12 } as const;

const HEADER = 16;
const align = (length: number): number => (length + 3) & ~3;

/** A piece of a message: attribute type and value. A number is a u32, a string ends with NUL. */
export type Attribute = readonly [type: number, value: number | string | Uint8Array];

/** One received message. */
export interface Message {
  readonly type: number;
  /** The fixed struct behind the header. */
  readonly head: Buffer;
  readonly attributes: ReadonlyMap<number, Buffer>;
}

function encodeAttribute([type, value]: Attribute): Buffer {
  const data =
    typeof value === "number"
      ? Buffer.from(Uint32Array.of(value).buffer)
      : typeof value === "string"
        ? Buffer.from(`${value}\0`)
        : value;
  const out = Buffer.alloc(align(4 + data.length));
  out.writeUInt16LE(4 + data.length, 0);
  out.writeUInt16LE(type, 2);
  out.set(data, 4);
  return out;
}

function decode(data: Buffer, headLength: number): Message[] {
  const out: Message[] = [];
  for (let at = 0; at + HEADER <= data.length; ) {
    const length = data.readUInt32LE(at);
    const end = at + length;
    const attributes = new Map<number, Buffer>();
    for (let a = at + HEADER + align(headLength); a + 4 <= end; ) {
      const size = data.readUInt16LE(a);
      if (size < 4 || a + size > end) break;
      // The upper two bits say "nested" and "network order".
      attributes.set(data.readUInt16LE(a + 2) & 0x3fff, data.subarray(a + 4, a + size));
      a += align(size);
    }
    out.push({
      type: data.readUInt16LE(at + 4),
      head: data.subarray(at + HEADER, at + HEADER + headLength),
      attributes,
    });
    at += align(length);
  }
  return out;
}

/** A route socket inside one namespace. It keeps that namespace alive: close it soon. */
export class RouteSocket {
  readonly #fd: number;
  #sequence = 0;

  constructor(netnsFd: number = NETNS_OWN) {
    this.#fd = native().netlinkOpen(netnsFd);
  }

  /**
   * Sends one message and returns the answer. Without DUMP an acknowledgement is asked for.
   * Throws what the addon throws: errno is the kernel's verdict.
   */
  request(type: number, flags: number, head: Uint8Array, attributes: readonly Attribute[] = []): Message[] {
    const parts = [head, new Uint8Array(align(head.length) - head.length), ...attributes.map(encodeAttribute)];
    const message = Buffer.concat([Buffer.alloc(HEADER), ...parts]);
    message.writeUInt32LE(message.length, 0);
    message.writeUInt16LE(type, 4);
    message.writeUInt16LE(NLM.REQUEST | flags | ((flags & NLM.DUMP) === NLM.DUMP ? 0 : NLM.ACK), 6);
    message.writeUInt32LE(++this.#sequence, 8);
    return decode(native().netlinkRequest(this.#fd, message), head.length);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** Runs `use` with a route socket of a namespace. */
export function withRouteSocket<T>(netnsFd: number | undefined, use: (socket: RouteSocket) => T): T {
  const socket = new RouteSocket(netnsFd ?? NETNS_OWN);
  try {
    return use(socket);
  } finally {
    socket.close();
  }
}

/** struct ifinfomsg. */
export function linkHead(index: number, flags = 0, change = 0): Buffer {
  const out = Buffer.alloc(HEAD.link);
  out.writeInt32LE(index, 4);
  out.writeUInt32LE(flags, 8);
  out.writeUInt32LE(change, 12);
  return out;
}

/** What RTM_GETLINK says about a device. */
export interface LinkFacts {
  readonly index: number;
  readonly name: string;
  readonly flags: number;
  readonly mac: Buffer;
  /** Empty for none. */
  readonly alias: string;
  /** Driver, as `tun` or `veth`; empty for devices without one. */
  readonly kind: string;
  readonly mtu: number;
  readonly rxDropped: number;
  readonly txDropped: number;
}

const IFLA_INFO_KIND = 1;
/** Offsets in struct rtnl_link_stats64. */
const STATS_RX_DROPPED = 48;
const STATS_TX_DROPPED = 56;

/** The kind in IFLA_LINKINFO: its first nested attribute. */
function kindOf(info: Buffer | undefined): string {
  if (!info || info.length < 4 || info.readUInt16LE(2) !== IFLA_INFO_KIND) return "";
  return info.subarray(4, info.readUInt16LE(0)).toString("latin1").replace(/\0.*$/s, "");
}

function linkFacts(message: Message | undefined): LinkFacts {
  const attributes = message?.attributes ?? new Map<number, Buffer>();
  const stats = attributes.get(IFLA.STATS64);
  const stat = (offset: number): number =>
    stats && stats.length >= offset + 8 ? Number(stats.readBigUInt64LE(offset)) : 0;
  const text = (type: number): string => (attributes.get(type)?.toString("latin1") ?? "").replace(/\0.*$/s, "");
  return {
    index: message?.head.readInt32LE(4) ?? 0,
    name: text(IFLA.IFNAME),
    flags: message?.head.readUInt32LE(8) ?? 0,
    mac: attributes.get(IFLA.ADDRESS) ?? Buffer.alloc(6),
    alias: text(IFLA.IFALIAS),
    kind: kindOf(attributes.get(IFLA.LINKINFO)),
    mtu: attributes.get(IFLA.MTU)?.readUInt32LE(0) ?? 0,
    rxDropped: stat(STATS_RX_DROPPED),
    txDropped: stat(STATS_TX_DROPPED),
  };
}

/** Facts of a device by name or index. Throws errno ENODEV when there is none. */
export function getLink(socket: RouteSocket, device: string | number): LinkFacts {
  const byName = typeof device === "string";
  const [message] = socket.request(
    RTM.GETLINK,
    0,
    linkHead(byName ? 0 : device),
    byName ? [[IFLA.IFNAME, device]] : [],
  );
  return linkFacts(message);
}

/** Facts of all devices of the namespace. */
export function allLinks(socket: RouteSocket): LinkFacts[] {
  return socket.request(RTM.GETLINK, NLM.DUMP, linkHead(0)).map(linkFacts);
}
