/**
 * Opening: WireGuard transport data becomes IP packets, in place, and those go where they belong.
 *
 * In this order (WireGuard paper §5.4.6):
 *   1. the receiver index names a key of ours, which is young enough
 *   2. the counter was not seen before; the tag is right; only now the counter counts as seen
 *   3. the peer's address is where this came from (roaming)
 *   4. a message of another session in it is opened in its turn, or handed on (carried.ts)
 *   5. the packet inside is whole, and its source is one of the peer's allowedIps
 *   6. VXLAN to one of our addresses goes to the switch; a probe to the main thread; an echo request is answered; the rest is the
 *      tunnel device's
 *
 * A session is opened by one worker only (its number is in the receiver index), so the replay window has one writer.
 */
import {
  COUNT_CONSUMED_INGRESS, COUNT_KEEPALIVES, COUNT_OPENED, DROP_ALLOWED_IPS, DROP_AUTH_FAILED, DROP_ECN_CE, DROP_KEY_EXPIRED, DROP_RELAY_LOOP, DROP_REPLAY,
  DROP_TUNNEL_ADDRESS, DROP_TUNNEL_PACKET, DROP_TUNNEL_PROTOCOL, DROP_UNKNOWN_INDEX, EVENT_KEY_USED, KEY_HANDSHAKE, KEY_RECEIVE,
  KEY_REPLAY, KEY_FREE, KEY_VALID, Key, PEER_ADDR, PEER_LOCAL, PEER_QUIET_MS, PEER_USED, PLANE_INGRESS, REGION_KEYS, RX_DESC_ADDR, RX_DESC_LOCAL,
  Replay, RxDesc, TUNNEL_HEAD, Worker, WORKER_TUNNEL_SOURCE,
} from "../abi.gen";
import { key, peer, peerCounters, peerLive, region, tunnel } from "../table/config";
import { emitKey, emitRoamed } from "../table/events";
import * as replay from "../table/replay";
import * as route from "../table/route";
import * as aead from "../crypto/aead";
import { be64 } from "../wire/bytes";
import * as ipv4 from "../wire/ipv4";
import * as ipv6 from "../wire/ipv6";
import * as udp from "../wire/udp";
import * as wireguard from "../wire/wireguard";
import * as admit from "./admit";
import * as carried from "./carried";
import * as decap from "./decap";
import * as deliver from "./deliver";
import * as echo from "./echo";
import * as ecn from "./ecn";
import * as layer3 from "./layer3";
import * as probe from "./probe";
import * as seal from "./seal";
import { add, drop } from "./verdict";

/** ::ffff:0:0/96 as the upper 96 bits see it. */
const MAPPED_WORD: u32 = 0xffff_0000;

/** True when a datagram may be transport data. */
export function isData(off: u32, len: u32): bool {
  return len >= wireguard.DATA_MIN && wireguard.type(off) == wireguard.DATA;
}

/** Slot of the key that a receiver index names, + 1; 0 for none that this worker opens. */
function slotOf(w: Worker, index: u32): u32 {
  const slot = (index >> 8) & 0xffff;
  if ((index & 0xff) != w.index || slot >= region(REGION_KEYS).count) return 0;
  const k = key(slot);
  const state = atomic.load<u32>(changetype<usize>(k) + offsetof<Key>("state"));
  return state == KEY_FREE || state == KEY_HANDSHAKE || k.local != index ? 0 : slot + 1;
}

/** Opens the message at `p`. @returns why not, as a drop reason + 1; 0: it is open */
function unseal(w: Worker, k: Key, p: usize, len: u32): u32 {
  const at = changetype<usize>(k);
  if (atomic.load<u32>(at + offsetof<Key>("state")) != KEY_VALID || !seal.isYoung(w, k)) return DROP_KEY_EXPIRED + 1;
  const counter = wireguard.counter(p);
  if (counter >= wireguard.COUNTER_END) return DROP_KEY_EXPIRED + 1;
  const seen = changetype<Replay>(at + KEY_REPLAY);
  if (!replay.isFresh(seen, counter)) return DROP_REPLAY + 1;
  const data = p + TUNNEL_HEAD;
  if (!aead.open(w.aead, at + KEY_RECEIVE, 0, counter, 0, 0, data, data, len - wireguard.DATA_MIN)) return DROP_AUTH_FAILED + 1;
  replay.mark(seen, counter);
  return 0;
}

/**
 * Counts an authentic message, and tells the main thread what is new about its key or peer. One that came through another peer says
 * nothing of the peer's own address.
 */
function note(w: Worker, d: RxDesc, k: Key, slot: u32, len: u32, isDirect: bool): void {
  const c = peerCounters(w, k.peer);
  c.rxPackets++;
  c.rxBytes += len;
  const live = peerLive(w, k.peer);
  live.receivedMs = seal.stamp(w);
  add(w, COUNT_OPENED, 1);
  if (k.used == 0 && emitKey(w, EVENT_KEY_USED, slot)) k.used = 1;
  if (!isDirect) return;
  const p = peer(w, k.peer);
  if ((p.flags & PEER_USED) == 0) return;
  const self = changetype<usize>(p);
  const from = changetype<usize>(d);
  const local = v128.load(from + RX_DESC_LOCAL);
  let same = v128.eq<i8>(v128.load(from + RX_DESC_ADDR), v128.load(self + PEER_ADDR));
  // Without IP_PKTINFO the address that was written to is not known.
  if (v128.any_true(local)) same = v128.and(same, v128.eq<i8>(local, v128.load(self + PEER_LOCAL)));
  if (v128.all_true<i8>(same) && d.addrPort == p.port) return;
  if (live.roamedMs != 0 && w.nowMs - live.roamedMs < PEER_QUIET_MS) return;
  live.roamedMs = seal.stamp(w);
  emitRoamed(w, k.peer, d);
}

/** True for ::ffff:a.b.c.d. */
function isMapped(p: usize): bool {
  return load<u64>(p) == 0 && load<u32>(p, 8) == MAPPED_WORD;
}

/** True when the packet is one that a tunnel can carry to `w.tunnelSource`'s peer; else it is dropped. */
function isAllowed(w: Worker, p: usize, len: u32, index: u32): bool {
  const source = changetype<usize>(w) + WORKER_TUNNEL_SOURCE;
  let owner: u32;
  if (ipv4.check(p, len)) {
    if (!ipv4.isSound(p)) return refuse(w, DROP_TUNNEL_PACKET);
    store<u64>(source, 0);
    store<u32>(source, MAPPED_WORD, 8);
    store<u32>(source, load<u32>(p, 12), 12);
    owner = route.peer4(w, ipv4.src(p));
  } else if (ipv6.check(p, len)) {
    v128.store(source, v128.load(p + 8));
    // An IPv4 address in IPv6 dress would pass for that IPv4 address.
    if (isMapped(source) || isMapped(p + 24)) return refuse(w, DROP_TUNNEL_PACKET);
    owner = route.peer6(w, ipv6.srcHi(p), ipv6.srcLo(p));
  } else return refuse(w, DROP_TUNNEL_PACKET);
  return owner == index + 1 || refuse(w, DROP_ALLOWED_IPS);
}

function refuse(w: Worker, reason: u32): bool {
  drop(w, PLANE_INGRESS, reason);
  return false;
}

/** Octets of the packet without what is behind it: padding. */
function packetLen(p: usize): u32 {
  return load<u8>(p) >> 4 == 4 ? ipv4.totalLen(p) : ipv6.HEADER_LEN + ipv6.payloadLen(p);
}

/** Octets of the UDP header and before, when the packet is VXLAN for us in one piece; 0 else. */
function vxlanOff(w: Worker, p: usize, len: u32): u32 {
  const is4 = load<u8>(p) >> 4 == 4;
  if (<u32>(is4 ? ipv4.proto(p) : ipv6.nextHeader(p)) != udp.PROTO || (is4 && ipv4.isFragment(p))) return 0;
  const head = is4 ? ipv4.headerLen(p) : ipv6.HEADER_LEN;
  if (len < head + udp.HEADER_LEN || udp.dstPort(p + head) != tunnel(w).vxlanPort) return 0;
  const datagram = udp.length(p + head);
  return datagram >= udp.HEADER_LEN && head + datagram <= len ? head + udp.HEADER_LEN : 0;
}

/** True when the packet's destination is an address of ours inside the tunnel. */
function isOurs(w: Worker, p: usize): bool {
  if (load<u8>(p) >> 4 == 4) return route.isTunnel(w, 0, 0x0000_ffff_0000_0000 | <u64>ipv4.dst(p));
  return route.isTunnel(w, ipv6.dstHi(p), ipv6.dstLo(p));
}

/** ECN bits of the packet under the outer ones; CONDEMNED_BITS when they condemn it. */
function ecnOf(d: RxDesc, p: usize): u32 {
  const own = (load<u8>(p) >> 4 == 4 ? ipv4.tos(p) : ipv6.trafficClass(p)) & 3;
  return ecn.merge(<u32>d.tos & 3, own);
}

function setEcn(p: usize, bits: u32): void {
  if (load<u8>(p) >> 4 == 4) {
    if ((ipv4.tos(p) & 3) != bits) ipv4.setTos(p, (ipv4.tos(p) & 0xfc) | bits);
  } else if ((ipv6.trafficClass(p) & 3) != bits) ipv6.setTrafficClass(p, (ipv6.trafficClass(p) & 0xfc) | bits);
}

/** VXLAN inside the tunnel: as from the underlay, with the tunnel's addresses and congestion marks in the outer ones' place. */
function vxlan(w: Worker, d: RxDesc, peerPlus1: u32, off: u32, len: u32, bits: u32): bool {
  const outer = d.tos;
  d.tos = <u8>bits;
  const addr = changetype<usize>(w) + WORKER_TUNNEL_SOURCE;
  const done = decap.follow(w, d, off, len) || decap.datagram(w, d, off, len, addr, peerPlus1);
  d.tos = outer;
  return done;
}

/** Puts the packet's source address and port in place of the outer ones in the descriptor. */
function takeSource(d: RxDesc, p: usize): void {
  v128.store(changetype<usize>(d) + RX_DESC_ADDR, v128.load(p + 8));
  v128.store(changetype<usize>(d) + RX_DESC_LOCAL, i64x2.splat(0));
  d.addrPort = <u16>udp.srcPort(p + ipv6.HEADER_LEN);
}

/** A message of `len` octets at `m` that the packet at `p`, from peer `index`, has brought. As data(). */
function nested(w: Worker, d: RxDesc, index: u32, p: usize, m: usize, len: u32): bool {
  if (!isData(<u32>m, len)) {
    const addr = v128.load(changetype<usize>(d) + RX_DESC_ADDR);
    const local = v128.load(changetype<usize>(d) + RX_DESC_LOCAL);
    const port = d.addrPort;
    takeSource(d, p);
    admit.message(w, d, m, len, index + 1);
    v128.store(changetype<usize>(d) + RX_DESC_ADDR, addr);
    v128.store(changetype<usize>(d) + RX_DESC_LOCAL, local);
    d.addrPort = port;
    return true;
  }
  return message(w, d, <u32>m, len, index + 1);
}

/** What a packet from peer `index` carries: true when it was one. `w.opened` says how far a packet that is judged again has come. */
function isCarried(w: Worker, d: RxDesc, index: u32, via: u32, p: usize, room: u32): u32 {
  const len = carried.messageLen(w, p, room);
  if (len == 0) return NOT_CARRIED;
  const bits = ecnOf(d, p);
  if (isOurs(w, p)) {
    // One message in another, never deeper.
    if (via != 0) drop(w, PLANE_INGRESS, DROP_TUNNEL_PROTOCOL);
    else if (bits == ecn.CONDEMNED_BITS) drop(w, PLANE_INGRESS, DROP_ECN_CE);
    else {
      const outer = d.tos;
      d.tos = <u8>bits;
      const done = nested(w, d, index, p, p + carried.LEAD, len);
      d.tos = outer;
      return done ? DONE : AGAIN;
    }
    return DONE;
  }
  const to = via == 0 ? carried.peerOf(w, p) : 0;
  if (to == 0) return NOT_CARRIED;
  if (bits == ecn.CONDEMNED_BITS) {
    drop(w, PLANE_INGRESS, DROP_ECN_CE);
    return DONE;
  }
  setEcn(p, bits);
  peerLive(w, index).receivedDataMs = seal.stamp(w);
  return carried.relay(w, d, index, to - 1, p, bits) ? DONE : AGAIN;
}
const NOT_CARRIED: u32 = 0;
const DONE: u32 = 1;
const AGAIN: u32 = 2;

/**
 * Judges the packet at `p`, which peer `index` has sealed. False when the transmit region must be emptied first.
 * @param via peer index + 1 that it came through; 0: directly
 */
function packet(w: Worker, d: RxDesc, index: u32, via: u32, p: usize, room: u32): bool {
  const state = isCarried(w, d, index, via, p, room);
  if (state != NOT_CARRIED) return state == DONE;
  const source = changetype<usize>(w) + WORKER_TUNNEL_SOURCE;
  const before = v128.load(source);
  const allowed = isAllowed(w, p, room, index);
  // decap.follow() takes the sender for the one before, which may have been refused.
  if (v128.any_true(v128.xor(before, v128.load(source)))) d.run = 0;
  if (!allowed) return true;
  const len = packetLen(p);
  const bits = ecnOf(d, p);
  if (bits == ecn.CONDEMNED_BITS) {
    drop(w, PLANE_INGRESS, DROP_ECN_CE);
    return true;
  }
  const ours = isOurs(w, p);
  const head = ours ? probe.headOf(w, p, len) : 0;
  if (head != 0) {
    probe.take(w, d, index, via, p, head, len);
    return true;
  }
  peerLive(w, index).receivedDataMs = seal.stamp(w);
  const inner = ours ? vxlanOff(w, p, len) : 0;
  if (inner != 0) return vxlan(w, d, index + 1, <u32>p + inner, udp.length(p + inner - udp.HEADER_LEN) - udp.HEADER_LEN, bits);
  if (layer3.hasDevice(w)) {
    if (!deliver.hasRoom(w, 1)) return false;
    setEcn(p, bits);
    layer3.toDevice(w, d, p, len);
    return true;
  }
  if (!ours) drop(w, PLANE_INGRESS, DROP_TUNNEL_ADDRESS);
  else if (echo.isRequest(p, len)) return echo.answer(w, d, index, p, len);
  else drop(w, PLANE_INGRESS, DROP_TUNNEL_PROTOCOL);
  return true;
}

/** Judges transport data of `len` octets at `off`. False when the transmit region must be emptied first; it stays open then. */
export function data(w: Worker, d: RxDesc, off: u32, len: u32): bool {
  const done = message(w, d, off, len, 0);
  if (done) w.opened = 0;
  return done;
}

/**
 * The same for a message that came directly (`via` 0) or in another one, through the peer `via` - 1. Worker.opened: how many of the two
 * are open already.
 */
function message(w: Worker, d: RxDesc, off: u32, len: u32, via: u32): bool {
  const p = <usize>off;
  const depth: u32 = via == 0 ? 0 : 1;
  const slot = slotOf(w, wireguard.receiver(p));
  if (slot == 0) {
    drop(w, PLANE_INGRESS, DROP_UNKNOWN_INDEX);
    return true;
  }
  const k = key(slot - 1);
  if (via != 0 && k.peer == via - 1) {
    // Nobody is his own relay, and who is told of such a path could not answer on it.
    drop(w, PLANE_INGRESS, DROP_RELAY_LOOP);
    return true;
  }
  if (w.opened <= depth) {
    const why = unseal(w, k, p, len);
    if (why != 0) {
      drop(w, PLANE_INGRESS, why - 1);
      return true;
    }
    note(w, d, k, slot - 1, len, via == 0);
    if (len == wireguard.DATA_MIN) {
      add(w, COUNT_KEEPALIVES, 1);
      add(w, COUNT_CONSUMED_INGRESS, 1);
      return true;
    }
  }
  if (packet(w, d, k.peer, via, p + TUNNEL_HEAD, len - wireguard.DATA_MIN)) return true;
  if (w.opened <= depth) w.opened = depth + 1;
  return false;
}
