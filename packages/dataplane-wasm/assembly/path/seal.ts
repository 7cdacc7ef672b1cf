/**
 * Sealing: frames for VTEPs inside the tunnel, and packets of the tunnel device, become WireGuard transport data.
 *
 * The messages of a frame are put together in the worker's arena (SEALED), one behind the other, and sealed there in place:
 *
 *   | head (16) | inner IP (20 or 40) | inner UDP (8) | VXLAN (8) | frame | zeros up to a multiple of 16 | tag (16) |
 *
 * All but the last message of a super-frame are equally long, so one iovec is a whole UDP_SEGMENT send. A packet of the tunnel
 * device is sealed as it is, without the headers in the middle. Copying costs a fiftieth of sealing.
 *
 * Counters are taken in one step for all messages of a frame: several workers may seal for one peer.
 *
 * A message for a peer that is reached through another one (Peer.via) is sealed once more, for that one, as the payload of a UDP packet
 * to the far peer's tunnel address. Who relays it sees that packet and can do nothing with what is in it:
 *
 *   | head (16) | IPv6 (40) | UDP (8) | the message as above | zeros | tag (16) |
 */
import {
  COUNT_SEALED, DROP_NO_ENDPOINT, DROP_NO_ROOM, DROP_NO_SESSION, DROP_PATH_MTU, EVENT_KEY_WORN, EVENT_NO_SESSION, HEADER_AREA, HOP_LIMIT, IOV_SIZE, Iov,
  JOIN_CLOSED, KEY_AGE_MS, KEY_SEND, KEY_VALID, KIND_L3PEER, KIND_VTEP, Key, PEER_QUIET_MS, PEER_TUNNEL_ADDR, Peer, RxDesc, SENDER_WIREGUARD,
  TUNNEL_HEAD, TUNNEL_SOURCE4, TUNNEL_SOURCE6, TUNNEL_TAG, TxOp, VTEP_ADDR, VXLAN_LEN, Vtep, Worker,
} from "../abi.gen";
import { header, key, ownerOf, peer, peerLive, tunnel, vtep } from "../table/config";
import { emitKey, emitPeer } from "../table/events";
import * as aead from "../crypto/aead";
import * as ipv4 from "../wire/ipv4";
import * as ipv6 from "../wire/ipv6";
import * as udp from "../wire/udp";
import * as wireguard from "../wire/wireguard";
import * as deliver from "./deliver";
import * as ecn from "./ecn";
import * as group from "./group";
import { add, dropMany } from "./verdict";

/** Most octets of one send over IPv4 and IPv6. */
const SEND4_MAX: u32 = 65_507;
const SEND6_MAX: u32 = 65_527;
/** Octets in front of a message that somebody relays. A multiple of 16, as the ciphers like their data. */
const RELAY_LEAD: u32 = TUNNEL_HEAD + ipv6.HEADER_LEN + udp.HEADER_LEN;
/** Octets that sealing adds to one message, at most: head, inner IPv6 and UDP, padding, tag; and once more for a relay. */
export const OVERHEAD: u32 = 2 * (TUNNEL_HEAD + ipv6.HEADER_LEN + udp.HEADER_LEN + 15 + TUNNEL_TAG);
/** A key may have been made a moment after this batch began. */
const EARLY_MS: u32 = 10_000;
/** First port of the range that inner UDP source ports are from (RFC 7348 §5), and how many there are. */
const SOURCE_PORT: u32 = 49_152;
const SOURCE_PORT_MASK: u32 = 0x3fff;

/** Octets of the arena that one copy of a frame takes, at most; `segments` as segment.bound() says. */
export function bound(frameLen: u32, segments: u32): u32 {
  const count = segments == 0 ? 1 : segments;
  return frameLen + count * (OVERHEAD + HEADER_AREA) + 16;
}

/** Room for `octets` more? An empty arena has to do. */
export function hasRoom(w: Worker, octets: u32): bool {
  return w.sealedUsed == 0 || ((w.sealedUsed + 15) & ~15) + octets <= w.sealedMax;
}

/** A time as PeerLive keeps it: never 0. */
export function stamp(w: Worker): u32 {
  return w.nowMs == 0 ? 1 : w.nowMs;
}

/** Asks the main thread for a session, if it was not asked just now. */
function ask(w: Worker, index: u32): void {
  const live = peerLive(w, index);
  if (live.askedMs != 0 && w.nowMs - live.askedMs < PEER_QUIET_MS) return;
  live.askedMs = stamp(w);
  emitPeer(w, EVENT_NO_SESSION, index);
}

/** True while a key may be used. */
export function isYoung(w: Worker, k: Key): bool {
  return w.nowMs - k.bornMs + EARLY_MS < KEY_AGE_MS + EARLY_MS;
}

/** The key that seals for a peer, or null: then the main thread has been asked for one. */
function sealingKey(w: Worker, index: u32, p: Peer): Key | null {
  if (p.sendKey != 0) {
    const k = key(p.sendKey - 1);
    if (atomic.load<u32>(changetype<usize>(k) + offsetof<Key>("state")) == KEY_VALID && isYoung(w, k)) return k;
  }
  ask(w, index);
  return null;
}

/** Tells once that a key has sealed enough; again when there was no room for that. */
function tellWorn(w: Worker, k: Key, index: u32): void {
  const at = changetype<usize>(k) + offsetof<Key>("worn");
  if (atomic.cmpxchg<u32>(at, 0, 1) != 0) return;
  if (!emitKey(w, EVENT_KEY_WORN, peer(w, index).sendKey - 1)) atomic.store<u32>(at, 0);
}

/** Takes `count` counters; COUNTER_END when there are not so many left. */
function takeCounters(w: Worker, k: Key, index: u32, count: u32): u64 {
  const at = changetype<usize>(k);
  // Looked at first: a used-up counter must not go on, and around.
  if (atomic.load<u64>(at + offsetof<Key>("counter")) >= wireguard.COUNTER_END - count) return wireguard.COUNTER_END;
  const first = atomic.add<u64>(at + offsetof<Key>("counter"), count);
  if (first >= wireguard.COUNTER_END - count) return wireguard.COUNTER_END;
  if (first + count >= tunnel(w).rekeyAfter && atomic.load<u32>(at + offsetof<Key>("worn")) == 0) tellWorn(w, k, index);
  return first;
}

/** Octets of a packet with the zeros behind it: a multiple of 16, but not beyond the tunnel's MTU for that (paper §5.4.6). */
function padded(p: Peer, len: u32): u32 {
  const whole = (len + 15) & ~15;
  return whole <= p.mtu || len > p.mtu ? whole : p.mtu;
}

/** Writes inner IP and UDP header in front of `len` octets at `to` + their own. @returns their length */
function writeInner(w: Worker, v: Vtep, to: usize, len: u32, tos: u32, hash: u32): u32 {
  const port = SOURCE_PORT | (hash & SOURCE_PORT_MASK);
  const self = changetype<usize>(tunnel(w));
  const dst = changetype<usize>(v) + VTEP_ADDR;
  if (v.family == 4) {
    ipv4.write(to, tos, ipv4.HEADER_LEN + udp.HEADER_LEN + len, udp.PROTO, load<u32>(self, TUNNEL_SOURCE4 + 12), load<u32>(dst, 12));
    // No checksum: RFC 7348 §5 asks for none, and the tag vouches for every octet.
    udp.write(to + ipv4.HEADER_LEN, port, v.port, udp.HEADER_LEN + len);
    return ipv4.HEADER_LEN + udp.HEADER_LEN;
  }
  ipv6.write(to, tos, hash & 0xf_ffff, udp.HEADER_LEN + len, udp.PROTO, self + TUNNEL_SOURCE6, dst);
  udp.write(to + ipv6.HEADER_LEN, port, v.port, udp.HEADER_LEN + len);
  return ipv6.HEADER_LEN + udp.HEADER_LEN;
}

/** Octets of inner headers towards a VTEP. */
function innerLen(v: Vtep): u32 {
  return (v.family == 4 ? ipv4.HEADER_LEN : ipv6.HEADER_LEN) + udp.HEADER_LEN;
}

/**
 * Puts one message together at `at`: `v` null for a packet as it is. `a` and `b` are the pieces of what is sealed.
 * @returns octets to seal
 */
function compose(w: Worker, p: Peer, v: Vtep | null, at: usize, a: usize, aLen: u32, b: usize, bLen: u32, tos: u32, hash: u32): u32 {
  let to = at + TUNNEL_HEAD;
  let len = aLen + bLen;
  if (v != null) {
    const inner = innerLen(v);
    memory.copy(to + inner, a, aLen);
    memory.copy(to + inner + aLen, b, bLen);
    writeInner(w, v, to, len, tos, hash);
    // The sum runs over what lies behind the headers, so it comes last.
    if (v.family == 6) udp.finish6(to, to + ipv6.HEADER_LEN);
    len += inner;
  } else {
    memory.copy(to, a, aLen);
    memory.copy(to + aLen, b, bLen);
  }
  const whole = padded(p, len);
  to += len;
  for (let i = len; i < whole; i++) store<u8>(to++, 0);
  return whole;
}

/** Why a peer cannot be sent to: a drop reason + 1, or 0. `via`: peer index + 1 of a relay. */
function obstacle(w: Worker, index: u32, p: Peer, via: u32): u32 {
  if (sealingKey(w, index, p) == null) return DROP_NO_SESSION + 1;
  if (via == 0) return p.port == 0 ? DROP_NO_ENDPOINT + 1 : 0;
  const r = peer(w, via - 1);
  if (sealingKey(w, via - 1, r) == null) return DROP_NO_SESSION + 1;
  return r.port == 0 ? DROP_NO_ENDPOINT + 1 : 0;
}

/** Octets of a message in which `len` octets are sealed. */
function messageLen(len: u32): u32 {
  return TUNNEL_HEAD + len + TUNNEL_TAG;
}

/** Octets that are sealed for a relay, to carry a message in which `len` octets are sealed. */
function carriedLen(r: Peer, len: u32): u32 {
  return padded(r, ipv6.HEADER_LEN + udp.HEADER_LEN + messageLen(len));
}

/**
 * Seals `count` messages for a relay once more, which stand RELAY_LEAD behind `first` + i * `stride`; `len` octets are sealed in each,
 * `lastLen` in the last. The packet has no UDP checksum: the tag vouches for every octet, twice (RFC 6935 §5).
 * @returns false when the relay's key is used up
 */
function wrap(w: Worker, p: Peer, first: usize, stride: u32, count: u32, len: u32, lastLen: u32, tos: u32): bool {
  const via = <u32>p.via - 1;
  const r = peer(w, via);
  const k = key(r.sendKey - 1);
  const counter = takeCounters(w, k, via, count);
  if (counter == wireguard.COUNTER_END) return false;
  const self = changetype<usize>(tunnel(w));
  const port = tunnel(w).listenPort;
  let at = first;
  for (let i: u32 = 0; i < count; i++) {
    const inner = messageLen(i + 1 == count ? lastLen : len);
    const ip = at + TUNNEL_HEAD;
    ipv6.write(ip, tos, 0, udp.HEADER_LEN + inner, udp.PROTO, self + TUNNEL_SOURCE6, changetype<usize>(p) + PEER_TUNNEL_ADDR);
    ipv6.setHopLimit(ip, HOP_LIMIT);
    udp.write(ip + ipv6.HEADER_LEN, port, port, udp.HEADER_LEN + inner);
    const end = at + TUNNEL_HEAD + carriedLen(r, i + 1 == count ? lastLen : len);
    for (let q = at + RELAY_LEAD + inner; q < end; q++) store<u8>(q, 0);
    wireguard.writeData(at, k.remote, counter + i);
    at += stride;
  }
  aead.sealRun(w.aead, changetype<usize>(k) + KEY_SEND, counter, first, stride, count, carriedLen(r, len), carriedLen(r, lastLen));
  sent(w, via, count);
  return true;
}

/** Sending socket towards a peer. */
function socketOf(p: Peer): u32 {
  return SENDER_WIREGUARD + (p.family == 6 ? 1 : 0);
}

/**
 * Seals `count` messages whose pieces are the pairs of iovecs at `iov` (the first `skip` octets of each pair left out), and
 * makes their operations. What cannot be sent is dropped with its reason.
 *
 * @param v the VTEP the frames are for; null: packets for the peer itself
 * @param frameLen octets of the super-frame that they are cut from, for counting: `headerBytes` in each, the rest shared out
 */
export function segments(
  w: Worker, d: RxDesc, index: u32, v: Vtep | null, owner: u32, iov: usize, count: u32, skip: u32, frameLen: u32, headerBytes: u32,
): void {
  const p = peer(w, index);
  const why = obstacle(w, index, p, p.via);
  if (why != 0) return dropMany(w, d.plane, why - 1, count);
  const k = key(p.sendKey - 1);
  // Whom the datagrams go to.
  const to = p.via != 0 ? peer(w, <u32>p.via - 1) : p;
  const lead: u32 = p.via != 0 ? RELAY_LEAD : 0;
  const tos = ecn.inner(d);
  const first = w.sealed + ((w.sealedUsed + 15) & ~15);
  const firstIov = changetype<Iov>(iov);
  const secondIov = changetype<Iov>(iov + IOV_SIZE);
  // All but the last are as long as the first: what they take together is known before anything is written.
  const inner = (v != null ? innerLen(v) : 0) + firstIov.len - skip;
  const each = padded(p, inner + secondIov.len);
  if (v != null && isTooLong(w, p, inner + secondIov.len)) return dropMany(w, d.plane, DROP_PATH_MTU, count);
  const stride = messageLen(lead != 0 ? carriedLen(to, each) : each);
  if (first + count * stride > w.sealed + w.sealedMax) return dropMany(w, d.plane, DROP_NO_ROOM, count);
  const counter = takeCounters(w, k, index, count);
  if (counter == wireguard.COUNTER_END) return dropMany(w, d.plane, DROP_NO_SESSION, count);
  let len: u32 = 0;
  let lastLen: u32 = 0;
  let at = <usize>first + lead;
  for (let i: u32 = 0; i < count; i++) {
    const a = changetype<Iov>(iov);
    const b = changetype<Iov>(iov + IOV_SIZE);
    lastLen = compose(w, p, v, at, a.off + skip, a.len - skip, b.off, b.len, tos, d.hash);
    if (i == 0) len = lastLen;
    wireguard.writeData(at, k.remote, counter + i);
    at += stride;
    iov += 2 * IOV_SIZE;
  }
  aead.sealRun(w.aead, changetype<usize>(k) + KEY_SEND, counter, first + lead, stride, count, len, lastLen);
  if (lead != 0) {
    if (!wrap(w, p, first, stride, count, len, lastLen, tos)) return dropMany(w, d.plane, DROP_NO_SESSION, count);
    lastLen = carriedLen(to, lastLen);
  }
  sent(w, index, count);
  closeGroup(w, to, owner);
  let most = header().gsoSegments;
  const fits = (to.family == 6 ? SEND6_MAX : SEND4_MAX) / stride;
  if (fits < most) most = fits != 0 ? fits : 1;
  const frame = headerBytes + d.gsoSize;
  let off = first;
  let left = count;
  let octets = frameLen;
  while (left != 0) {
    const segs = left < most ? left : most;
    const isLast = segs == left;
    const wire = isLast ? (segs - 1) * stride + messageLen(lastLen) : segs * stride;
    const op = deliver.newPeerOp(w, d, to, owner, socketOf(to), off, wire);
    op.segs = <u16>segs;
    op.gsoSize = segs == 1 ? 0 : <u16>stride;
    op.bytes = isLast ? octets : segs * frame;
    octets -= segs * frame;
    off += segs * stride;
    left -= segs;
  }
  w.sealedUsed = off - w.sealed;
}

/** Notes that data was sealed for a peer. */
function sent(w: Worker, index: u32, count: u32): void {
  const live = peerLive(w, index);
  live.sentMs = stamp(w);
  live.sentDataMs = live.sentMs;
  add(w, COUNT_SEALED, count);
}

function closeGroup(w: Worker, p: Peer, owner: u32): void {
  const it = group.find(w, socketOf(p), owner);
  if (it != null) it.state = <u8>JOIN_CLOSED;
}

/** True when `len` octets do not fit the path to a peer, and somebody keeps track of paths. */
function isTooLong(w: Worker, p: Peer, len: u32): bool {
  return len > p.mtu && tunnel(w).probePort != 0;
}

/** Octets of the longest frame that the path to a VTEP carries; 0 when nobody keeps track of it. */
export function frameMax(w: Worker, index: u32): u32 {
  const v = vtep(w, index);
  if (tunnel(w).probePort == 0 || v.peer == 0) return 0;
  const mtu = peer(w, v.peer - 1).mtu;
  const over = innerLen(v) + VXLAN_LEN;
  return mtu > over ? mtu - over : 1;
}

/**
 * Seals one packet or frame of `len` octets at `from` for a peer; it shares a send with others of its length.
 * @param via peer index + 1 that it goes through; 0: directly
 */
function one(w: Worker, d: RxDesc, index: u32, via: u32, v: Vtep | null, owner: u32, from: usize, len: u32, tos: u32): void {
  const p = peer(w, index);
  const why = obstacle(w, index, p, via);
  if (why != 0) return dropMany(w, d.plane, why - 1, 1);
  if (v != null && isTooLong(w, p, len + innerLen(v))) return dropMany(w, d.plane, DROP_PATH_MTU, 1);
  const k = key(p.sendKey - 1);
  const to = via != 0 ? peer(w, via - 1) : p;
  const start = w.sealed + ((w.sealedUsed + 15) & ~15);
  const at = start + (via != 0 ? RELAY_LEAD : 0);
  if (start + bound(len, 1) > w.sealed + w.sealedMax) return dropMany(w, d.plane, DROP_NO_ROOM, 1);
  const counter = takeCounters(w, k, index, 1);
  if (counter == wireguard.COUNTER_END) return dropMany(w, d.plane, DROP_NO_SESSION, 1);
  const sealed = compose(w, p, v, at, from, len, 0, 0, tos, d.hash);
  wireguard.writeData(at, k.remote, counter);
  aead.sealRun(w.aead, changetype<usize>(k) + KEY_SEND, counter, at, 0, 1, sealed, sealed);
  if (via != 0 && !wrap(w, p, start, 0, 1, sealed, sealed, tos)) return dropMany(w, d.plane, DROP_NO_SESSION, 1);
  const wire = messageLen(via != 0 ? carriedLen(to, sealed) : sealed);
  w.sealedUsed = start + wire - w.sealed;
  sent(w, index, 1);
  const it = group.find(w, socketOf(to), owner);
  if (it != null && group.append(w, it, start, wire, tos, d.frameLen)) return;
  const op = deliver.newPeerOp(w, d, to, owner, socketOf(to), start, wire);
  op.tos = <u8>tos;
  group.open(w, op, wire);
}

/** One frame to a VTEP inside the tunnel, after deliver.encapsulate(). */
export function toVtep(w: Worker, d: RxDesc, index: u32): void {
  const v = vtep(w, index);
  if (v.peer == 0) return dropMany(w, d.plane, DROP_NO_SESSION, 1);
  one(w, d, v.peer - 1, peer(w, v.peer - 1).via, v, ownerOf(KIND_VTEP, index), d.frame - VXLAN_LEN, d.frameLen + VXLAN_LEN, ecn.inner(d));
}

/** The segments that segment.cut() has made last to a VTEP inside the tunnel. */
export function superToVtep(w: Worker, d: RxDesc, index: u32, iov: usize, count: u32, headerBytes: u32): void {
  const v = vtep(w, index);
  if (v.peer == 0) return dropMany(w, d.plane, DROP_NO_SESSION, count);
  segments(w, d, v.peer - 1, v, ownerOf(KIND_VTEP, index), iov, count, 0, d.frameLen + (count - 1) * headerBytes, headerBytes);
}

/** One IP packet to a peer, as it is. `tos`: ECN bits for the outer header. */
export function toPeer(w: Worker, d: RxDesc, index: u32, packet: usize, len: u32, tos: u32): void {
  one(w, d, index, peer(w, index).via, null, ownerOf(KIND_L3PEER, index), packet, len, tos);
}

/** One IP packet of another peer to the next one on its way: directly, whatever the path of our own data is. */
export function handOn(w: Worker, d: RxDesc, index: u32, packet: usize, len: u32, tos: u32): void {
  one(w, d, index, 0, null, ownerOf(KIND_L3PEER, index), packet, len, tos);
}
