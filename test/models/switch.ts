/**
 * A slow switch: what must become of one frame, or of a batch from the underlay, told in the order of the design, without
 * buckets or memory. Sending sockets are not modelled (they follow a hash), nor how datagrams share a send; everything else
 * of an operation is.
 */
import { PLAIN, readVnetHdr, type VnetHdr, vxlan } from "../frames/build.js";
import { checksum, pseudo16 } from "./checksum.js";
import { type Owner, SlowFdb } from "./fdb.js";
import { type Parsed, parseFrame } from "./frame.js";
import { type Delivery, join, type Offloads } from "./join.js";
import { longestPrefix, type Prefix } from "./prefix.js";
import { segment } from "./segment.js";

export interface SlowPort {
  readonly mac: number;
  readonly generation: number;
}
export interface SlowVtep {
  /** Sixteen octets in hexadecimal, IPv4 mapped. */
  readonly address: string;
  readonly udpPort: number;
  readonly generation: number;
}
export interface SlowNetwork {
  readonly vni: number;
  readonly mtu: number;
  readonly guards: boolean;
  readonly acceptAny: boolean;
  readonly ageTicks: number;
  readonly bumRate: number;
  readonly bumBurst: number;
  readonly macsPerPort: number;
  readonly ports: Map<number, SlowPort>;
  readonly vteps: Map<number, SlowVtep>;
  /** Static MACs of the configuration: an owner, or `blackhole`. */
  readonly macs: Map<number, Owner>;
  readonly prefixes: Prefix<Owner>[];
}
/** `drop REASON`, or one line for each copy, sorted. */
export type Outcome = readonly string[];

export interface Datagram {
  /** As in SlowVtep. */
  readonly address: string;
  readonly tos: number;
  readonly payload: Buffer;
}
type Judged = { readonly drop: string } | { readonly copies: readonly Delivery[]; readonly isFlooded: boolean };

const GROUP = 2 ** 40;
const isGroup = (mac: number): boolean => Math.floor(mac / GROUP) % 2 === 1;
const isReserved = (mac: number): boolean => Math.floor(mac / 16) === 0x0180_c200_000;
const drop = (reason: string): Outcome => [`drop ${reason}`];

export class SlowSwitch {
  readonly networks: SlowNetwork[] = [];
  readonly #fdbs = new Map<SlowNetwork, SlowFdb>();
  readonly #buckets = new Map<number, { tokens: number; at: number }>();

  add(network: SlowNetwork): void {
    this.networks.push(network);
    const isCurrent = (owner: Owner, generation: number): boolean => {
      const [kind, index] = owner.split(":");
      const members: Map<number, { generation: number }> = kind === "port" ? network.ports : network.vteps;
      return members.get(Number(index))?.generation === generation;
    };
    this.#fdbs.set(network, new SlowFdb(isCurrent));
  }
  fdb(network: SlowNetwork): SlowFdb {
    return this.#fdbs.get(network) as SlowFdb;
  }

  /** A frame as read from a port: virtio_net_hdr and Ethernet. */
  egress(port: number, raw: Buffer, nowMs: number): Outcome {
    const network = this.networks.find((n) => n.ports.has(port));
    if (!network) return drop("port_inactive");
    if (raw.length < 24) return drop("frame_short");
    let frame = Buffer.from(raw.subarray(10));
    if (frame.length > 65_549) return drop("frame_long");
    const given = readVnetHdr(raw);
    let open = (given.flags & 1) !== 0;
    if (open && (given.csumStart < 14 || given.csumStart + given.csumOffset + 2 > frame.length))
      return drop("vnet_hdr");
    if (given.gsoType !== 0 && !open) return drop("vnet_hdr");
    let p = parseFrame(frame);
    if (p.src === 0 || isGroup(p.src)) return drop("source_mac");
    if (isReserved(p.dst)) return drop("reserved_group");
    const field = { 6: 16, 17: 6 }[p.protocol];
    if (open && !(p.l4 > 0 && !p.fragment && given.csumStart === p.l4 && given.csumOffset === field)) {
      if (given.gsoType !== 0) return drop("vnet_hdr");
      frame = Buffer.from(finished(frame, given));
      open = false;
      p = parseFrame(frame);
    }
    if (network.guards && isRouterAdvertisement(frame, p)) return drop("ra_guard");
    if (network.guards && isDhcpAnswer(frame, p)) return drop("dhcp_guard");
    const self = `port:${port}`;
    const tick = Math.floor(nowMs / 1024);
    const fixed = this.#fixed(network, p.src);
    if (fixed !== undefined && fixed !== self) {
      if (network.guards) return drop("spoofed_mac");
    } else if (fixed === undefined) {
      const generation = network.ports.get(port)?.generation as number;
      this.fdb(network).learn(p.src, self, generation, tick, network.macsPerPort, network.ageTicks);
    }
    let owner = isGroup(p.dst)
      ? undefined
      : (this.#fixed(network, p.dst) ?? this.fdb(network).lookup(p.dst, tick, network.ageTicks));
    if (owner === undefined) {
      owner = byPrefix(network, frame, p);
      if (owner !== undefined && isGroup(p.dst) && !this.#takeTokens(network, port, nowMs, 1)) return drop("bum_rate");
    }
    const vnet: VnetHdr = {
      flags: open ? 1 : 0,
      gsoType: given.gsoType,
      hdrLen: given.gsoType === 0 ? 0 : given.hdrLen,
      gsoSize: given.gsoType === 0 ? 0 : given.gsoSize,
      csumStart: open ? given.csumStart : 0,
      csumOffset: open ? given.csumOffset : 0,
    };
    const local = (index: number, octets: Buffer, hdr: VnetHdr): string => toPort(index, octets, hdr);
    const cut = given.gsoType === 0 ? undefined : segment(frame, given);
    const remote = (index: number): string[] => {
      const v = network.vteps.get(index) as SlowVtep;
      const inner = cut && "segments" in cut ? cut.segments : [open ? finished(frame, given) : frame];
      const head = `vtep ${index} ${v.address} ${v.udpPort} tos ${ecn(frame, p)}`;
      return inner.map((one) => `${head} ${vxlan(network.vni, one).toString("hex")}`);
    };
    if (owner !== undefined) {
      const [kind, text] = owner.split(":");
      if (kind === "blackhole") return drop("blackhole");
      if (kind === "port") return owner === self ? drop("reflect") : [local(Number(text), frame, vnet)];
      return cut && "drop" in cut ? drop(cut.drop) : remote(Number(text)).sort();
    }
    const frames = given.gsoType === 0 || given.gsoSize === 0 ? 1 : Math.floor(frame.length / given.gsoSize) + 1;
    if (!this.#takeTokens(network, port, nowMs, frames)) return drop("bum_rate");
    if (cut && "drop" in cut && network.vteps.size > 0) return drop(cut.drop);
    const others = [...network.ports.keys()].filter((index) => index !== port);
    // A frame of one piece gets its checksum on the way to the VTEPs; the copies of ports have it then.
    const isSent = network.vteps.size > 0 && open && !cut;
    const copies = [
      ...[...network.vteps.keys()].flatMap(remote),
      ...others.map((index) => (isSent ? local(index, finished(frame, given), PLAIN) : local(index, frame, vnet))),
    ];
    return copies.length === 0 ? drop("no_destination") : copies.sort();
  }

  /** One datagram. `address` as in SlowVtep. */
  ingress(address: string, tos: number, payload: Buffer, nowMs: number): Outcome {
    return this.ingressBatch([{ address, tos, payload }], nowMs, { tcp: true, udp: true });
  }

  /** Datagrams that are judged together: what goes to one port only may be joined, and nothing is joined past a flood. */
  ingressBatch(datagrams: readonly Datagram[], nowMs: number, offloads: Offloads): Outcome {
    const out: string[] = [];
    let waiting: Delivery[] = [];
    const flush = (): void => {
      out.push(...join(waiting, offloads).map(({ port, frame, vnet }) => toPort(port, frame, vnet)));
      waiting = [];
    };
    for (const one of datagrams) {
      const result = this.#datagram(one, nowMs);
      if ("drop" in result) out.push(`drop ${result.drop}`);
      else if (!result.isFlooded) waiting.push(...result.copies);
      else {
        flush();
        out.push(...result.copies.map(({ port, frame, vnet }) => toPort(port, frame, vnet)));
      }
    }
    flush();
    return out.sort();
  }

  #datagram({ address, tos, payload }: Datagram, nowMs: number): Judged {
    const drop = (reason: string): Judged => ({ drop: reason });
    if (payload.length < 22) return drop("frame_short");
    if ((payload.readUInt8(0) & 8) === 0) return drop("vxlan_flags");
    const network = this.networks.find((n) => n.vni === payload.readUIntBE(4, 3));
    if (!network) return drop("unknown_vni");
    const from = [...network.vteps].find(([, v]) => v.address === address);
    if (!from && !network.acceptAny) return drop("unknown_vtep");
    const frame = Buffer.from(payload.subarray(8));
    if (frame.length > 65_549) return drop("frame_long");
    const p = parseFrame(frame);
    if (p.src === 0 || isGroup(p.src)) return drop("source_mac");
    if (isReserved(p.dst)) return drop("reserved_group");
    if (!carryEcn(frame, p, tos & 3)) return drop("ecn_ce");
    const tick = Math.floor(nowMs / 1024);
    const self = from ? `vtep:${from[0]}` : "nobody";
    const fixed = this.#fixed(network, p.src);
    if (fixed !== undefined && fixed !== self) return drop("static_conflict");
    if (fixed === undefined && from)
      this.fdb(network).learn(p.src, self, from[1].generation, tick, 0, network.ageTicks);
    const vnet = unfinished(frame, p, network.mtu);
    if (!vnet) return drop("gso_unknown");
    const owner = isGroup(p.dst)
      ? undefined
      : (this.#fixed(network, p.dst) ?? this.fdb(network).lookup(p.dst, tick, network.ageTicks));
    if (owner === undefined) {
      const copies = [...network.ports.keys()].map((port) => ({ port, frame, vnet }));
      return copies.length === 0 ? drop("no_destination") : { copies, isFlooded: true };
    }
    const [kind, text] = owner.split(":");
    if (kind === "port") return { copies: [{ port: Number(text), frame, vnet }], isFlooded: false };
    return drop(kind === "vtep" ? "split_horizon" : "blackhole");
  }

  #fixed(network: SlowNetwork, mac: number): Owner | undefined {
    const configured = network.macs.get(mac);
    if (configured !== undefined) return configured;
    const port = [...network.ports].find(([, p]) => p.mac === mac);
    return port && `port:${port[0]}`;
  }

  #takeTokens(network: SlowNetwork, port: number, nowMs: number, frames: number): boolean {
    if (network.bumRate === 0) return true;
    // Thousandths of a frame, so that the arithmetic is exact.
    const full = network.bumBurst * 1000;
    const bucket = this.#buckets.get(port) ?? { tokens: full, at: nowMs };
    bucket.tokens = Math.min(full, bucket.tokens + (nowMs - bucket.at) * network.bumRate);
    bucket.at = nowMs;
    this.#buckets.set(port, bucket);
    const price = Math.min(frames, network.bumBurst) * 1000;
    if (bucket.tokens < price || bucket.tokens < 1000) return false;
    bucket.tokens -= price;
    return true;
  }
}

function toPort(index: number, frame: Buffer, vnet: VnetHdr): string {
  return `port ${index} ${JSON.stringify(vnet)} ${frame.toString("hex")}`;
}

function isRouterAdvertisement(frame: Buffer, p: Parsed): boolean {
  if (isTag(p.etherType)) return true;
  if (p.version !== 6) return false;
  return p.chainBad || (p.protocol === 58 && p.l4 !== 0 && frame[p.l4] === 134);
}
function isDhcpAnswer(frame: Buffer, p: Parsed): boolean {
  if (isTag(p.etherType)) return true;
  return p.protocol === 17 && p.l4 !== 0 && frame.readUInt16BE(p.l4 + 2) === (p.version === 4 ? 68 : 546);
}
/** VLAN tags that the parser did not look behind. */
const isTag = (etherType: number): boolean => etherType === 0x8100 || etherType === 0x88a8;

/** Where prefix routes send a frame whose MAC is unknown, or a question about an address. */
function byPrefix(network: SlowNetwork, frame: Buffer, p: Parsed): Owner | undefined {
  const at = (from: number, length: number): Buffer => frame.subarray(from, from + length);
  const find = (address: Buffer): Owner | undefined => longestPrefix(network.prefixes, address);
  if (p.etherType === 0x0806 && p.l3 !== 0) {
    const [sender, target] = [at(p.l3 + 14, 4), at(p.l3 + 24, 4)];
    return frame.readUInt16BE(p.l3 + 6) === 1 && !sender.equals(target) ? find(target) : undefined;
  }
  if (p.version === 4) return isGroup(p.dst) ? undefined : find(at(p.l3 + 16, 4));
  if (p.version !== 6) return undefined;
  if (!isGroup(p.dst)) return find(at(p.l3 + 24, 16));
  const isQuestion = p.protocol === 58 && p.l4 !== 0 && frame[p.l4] === 135 && frame.length - p.l4 >= 24;
  return isQuestion && at(p.l3 + 8, 16).some((octet) => octet !== 0) ? find(at(p.l4 + 8, 16)) : undefined;
}

/** The frame with the checksum that the kernel left open. */
function finished(frame: Buffer, { csumStart, csumOffset }: VnetHdr): Buffer {
  const out = Buffer.from(frame);
  let value = checksum(out.subarray(csumStart));
  if (value === 0 && csumOffset === 6) value = 0xffff;
  out.writeUInt16BE(value, csumStart + csumOffset);
  return out;
}

function ecn(frame: Buffer, p: Parsed): number {
  if (p.version === 4) return (frame[p.l3 + 1] as number) & 3;
  return p.version === 6 ? ((frame[p.l3 + 1] as number) >> 4) & 3 : 0;
}
/** Brings the outer bits into the inner packet as RFC 6040 figure 4 says; false: drop. */
function carryEcn(frame: Buffer, p: Parsed, outer: number): boolean {
  if (p.version === 0) return true;
  const own = ecn(frame, p);
  // Rows: inner Not-ECT, ECT(1), ECT(0), CE. Columns: outer Not-ECT, ECT(1), ECT(0), CE. −1: drop.
  const figure4 = [
    [0, 0, 0, -1],
    [1, 1, 1, 3],
    [2, 1, 2, 3],
    [3, 3, 3, 3],
  ];
  const result = figure4[own]?.[outer] as number;
  if (result < 0) return false;
  if (result === own) return true;
  const octet = p.l3 + 1;
  if (p.version === 6) frame[octet] = ((frame[octet] as number) & 0xcf) | (result << 4);
  else {
    // The checksum may have been wrong on arrival; it must be as wrong afterwards (RFC 1624 changes by difference).
    const header = frame.subarray(p.l3, p.l3 + 20);
    const was = header.readUInt16BE(0);
    header[1] = ((header[1] as number) & 0xfc) | result;
    const word = Buffer.alloc(6);
    const words = [~header.readUInt16BE(10), ~was, header.readUInt16BE(0)];
    for (const [i, value] of words.entries()) word.writeUInt16BE(value & 0xffff, 2 * i);
    header.writeUInt16BE(checksum(word), 10);
  }
  return true;
}

/** The virtio_net_hdr of a frame that the sending kernel did not finish; undefined when nobody can finish it. */
export function unfinished(frame: Buffer, p: Parsed, mtu: number): VnetHdr | undefined {
  if (p.l4 === 0 || p.fragment || (p.protocol !== 6 && p.protocol !== 17)) return PLAIN;
  const field = p.protocol === 6 ? 16 : 6;
  const packet = frame.subarray(p.l3);
  const total = p.version === 4 ? packet.readUInt16BE(2) : 40 + packet.readUInt16BE(4);
  if (frame.readUInt16BE(p.l4 + field) !== pseudo16(packet, p.protocol, total - (p.l4 - p.l3))) return PLAIN;
  const isLong = frame.length > mtu + p.l3;
  if (isLong && p.protocol === 17) return undefined;
  const open = { ...PLAIN, flags: 1, csumStart: p.l4, csumOffset: field };
  if (!isLong) return open;
  const header = ((frame[p.l4 + 12] as number) >> 4) * 4;
  const overhead = p.l4 - p.l3 + header;
  if (overhead >= mtu) return open;
  return { ...open, gsoType: p.version === 4 ? 1 : 4, gsoSize: mtu - overhead, hdrLen: p.l4 + header };
}
