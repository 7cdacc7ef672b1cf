/**
 * Handshake messages on the WireGuard port: which of them the control plane gets to see (WireGuard paper §5.3, §5.4.4, §5.4.7).
 *
 * Whoever does not know our public key fails at mac1. Under load, that is while more initiations come than LOAD_PER_TICK, an
 * initiation also needs a mac2, which only who receives at the address it writes from can make; one without is handed on only
 * to be answered with a cookie. Responses need no mac2: there are never more of them than we have asked for, because each has to
 * name the index of a handshake that waits for one.
 */
import {
  AEAD_HEAD, COUNT_CONSUMED_INGRESS, COUNT_PUNTED, COUNT_UNDER_LOAD, DROP_MAC1, DROP_PUNT_FULL,
  DROP_UNKNOWN_INDEX, DROP_WIREGUARD_MESSAGE, KEY_FREE, KEY_HANDSHAKE, Key, LOAD_PER_TICK, PLANE_INGRESS, PUNT_LOAD, REGION_BLAKE2S, REGION_KEYS,
  RX_DESC_ADDR, RxDesc, TICK_SHIFT, TUNNEL_COOKIE_SECRET, TUNNEL_MAC1KEY, Worker,
} from "../abi.gen";
import { key, region, tunnel } from "../table/config";
import * as punt from "../table/punt";
import * as blake2s from "../crypto/blake2s";
import { setBe16 } from "../wire/bytes";
import * as wireguard from "../wire/wireguard";
import { add, drop } from "./verdict";

/** Compares the sixteen octets of a mac at once. */
function isRight(w: Worker, keyAt: usize, keyLen: u32, p: usize, len: u32): bool {
  const out = <usize>w.aead + AEAD_HEAD;
  blake2s.digest(<usize>region(REGION_BLAKE2S).base + <usize>w.index * region(REGION_BLAKE2S).perWorker, keyAt, keyLen, p, len, out, wireguard.MAC_LEN);
  return !v128.any_true(v128.xor(v128.load(out), v128.load(p + len)));
}

/** mac2 made with the cookie of the address and port that the message came from. */
function isMac2Right(w: Worker, d: RxDesc, p: usize, len: u32): bool {
  const scratch = <usize>w.aead + AEAD_HEAD;
  const source = scratch + 64;
  const cookie = scratch + 32;
  v128.store(source, v128.load(changetype<usize>(d) + RX_DESC_ADDR));
  setBe16(source + 16, d.addrPort);
  const state = <usize>region(REGION_BLAKE2S).base + <usize>w.index * region(REGION_BLAKE2S).perWorker;
  blake2s.digest(state, changetype<usize>(tunnel(w)) + TUNNEL_COOKIE_SECRET, 32, source, 18, cookie, wireguard.MAC_LEN);
  return isRight(w, cookie, wireguard.MAC_LEN, p, len - wireguard.MAC_LEN);
}

/** Counts an initiation. @returns whether there are too many of them */
function isUnderLoad(w: Worker): bool {
  const now = (w.nowMs >> TICK_SHIFT) + 1;
  if (w.loadTick != now) {
    w.loadTick = now;
    w.loadCount = 0;
  }
  w.loadCount++;
  if (w.loadCount > LOAD_PER_TICK) w.loadUntil = now + 1;
  // Below 2, not a difference of signs: ticks wrap with the clock, and a loadUntil of long ago is none.
  return w.loadUntil - now < 2;
}

/** KEY state of the slot that has a receiver index; FREE when none has. */
function stateOf(index: u32): u32 {
  const slot = (index >> 8) & 0xffff;
  if (slot >= region(REGION_KEYS).count) return KEY_FREE;
  const k = key(slot);
  return k.local == index ? atomic.load<u32>(changetype<usize>(k) + offsetof<Key>("state")) : KEY_FREE;
}

/** Length that a handshake message of this type has; 0 for no type. */
function lenOf(type: u32): u32 {
  if (type == wireguard.INITIATION) return wireguard.INITIATION_LEN;
  if (type == wireguard.RESPONSE) return wireguard.RESPONSE_LEN;
  return type == wireguard.COOKIE_REPLY ? wireguard.COOKIE_REPLY_LEN : 0;
}

/** Judges a datagram that is no transport data. `via`: peer index + 1 that it came through, inside its session; 0: directly. */
export function message(w: Worker, d: RxDesc, p: usize, len: u32, via: u32): void {
  const type = len < 4 ? 0 : wireguard.type(p);
  if (type == 0 || len != lenOf(type)) return drop(w, PLANE_INGRESS, DROP_WIREGUARD_MESSAGE);
  let flags: u32 = 0;
  if (type == wireguard.COOKIE_REPLY) {
    // It may answer an initiation or a response of ours.
    if (stateOf(wireguard.receiver(p)) == KEY_FREE) return drop(w, PLANE_INGRESS, DROP_UNKNOWN_INDEX);
  } else {
    if (!isRight(w, changetype<usize>(tunnel(w)) + TUNNEL_MAC1KEY, 32, p, len - 2 * wireguard.MAC_LEN)) {
      return drop(w, PLANE_INGRESS, DROP_MAC1);
    }
    if (type == wireguard.RESPONSE) {
      if (stateOf(wireguard.responseReceiver(p)) != KEY_HANDSHAKE) return drop(w, PLANE_INGRESS, DROP_UNKNOWN_INDEX);
    } else if (isUnderLoad(w) && !isMac2Right(w, d, p, len)) {
      flags = PUNT_LOAD;
      add(w, COUNT_UNDER_LOAD, 1);
    }
  }
  const isCheap = flags != 0 || type == wireguard.COOKIE_REPLY;
  if (!punt.put(w, d, p, len, flags, isCheap, via)) return drop(w, PLANE_INGRESS, DROP_PUNT_FULL);
  add(w, COUNT_PUNTED, 1);
  add(w, COUNT_CONSUMED_INGRESS, 1);
}
