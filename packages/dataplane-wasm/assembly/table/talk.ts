/**
 * Conversations: who has talked with whom, counted at the port of the local station. For people and their pictures; no frame
 * is forwarded by it.
 *
 * Each worker has a table of its own, so nothing is locked: the main thread adds the tables up, and Talk.version tells it when a
 * cell changed hands under its eyes. One candidate bucket for each pair; in a full one the conversation that was silent longest
 * makes room. The cells used last are looked at first: frames of a batch often go the same way.
 */
import { REGION_TALKS, TALK_AGE_MS, TALK_BUCKET_SIZE, TALK_CELLS, TALK_SIZE, Talk, Worker } from "../abi.gen";
import { header, port, region } from "./config";
import { keyHash } from "./hash";

/** A cell of another conversation, or a free one, becomes this one's. Readers see an odd version meanwhile. */
function renew(t: Talk, local: u64, remote: u64): void {
  const at = changetype<usize>(t);
  const version = atomic.load<u32>(at + offsetof<Talk>("version"));
  atomic.store<u32>(at + offsetof<Talk>("version"), version + 1);
  atomic.store<u64>(at + offsetof<Talk>("local"), local);
  atomic.store<u64>(at + offsetof<Talk>("remote"), remote);
  for (let i = offsetof<Talk>("rxPackets"); i <= offsetof<Talk>("txBytes"); i += 8) atomic.store<u64>(at + i, 0);
  atomic.store<u32>(at + offsetof<Talk>("version"), version + 2);
}

function isOld(w: Worker, t: Talk): bool {
  const age = <i32>(w.nowMs - t.seenMs);
  return age < 0 || <u32>age > TALK_AGE_MS;
}

/** Cell of a conversation, made if need be. */
function cellOf(w: Worker, local: u64, remote: u64): Talk {
  const h = header();
  const seed = (<u64>h.hashSeedHi << 32) | <u64>h.hashSeedLo;
  const hash = <u32>keyHash(seed, keyHash(seed ^ local, remote));
  const bucket = <usize>w.talks + <usize>(hash & (region(REGION_TALKS).count - 1)) * TALK_BUCKET_SIZE;
  let victim = changetype<Talk>(bucket);
  let silence: u32 = 0;
  for (let i: usize = 0; i < TALK_CELLS; i++) {
    const t = changetype<Talk>(bucket + i * TALK_SIZE);
    if (t.local == local && t.remote == remote) {
      if (isOld(w, t)) renew(t, local, remote);
      return t;
    }
    const since = t.local == 0 || isOld(w, t) ? u32.MAX_VALUE : w.nowMs - t.seenMs + 1;
    if (since <= silence) continue;
    silence = since;
    victim = t;
  }
  renew(victim, local, remote);
  return victim;
}

/** The cell used last when it is this conversation's, or the one in the table. */
// @ts-ignore: decorator
@inline
function find(w: Worker, last: u32, index: u32, mac: u64, other: u64): Talk {
  const local = (<u64>port(w, index).generation << 48) | mac;
  const remote = (<u64>index << 48) | other;
  const t = changetype<Talk>(<usize>last);
  if (last != 0 && t.local == local && t.remote == remote && !isOld(w, t)) return t;
  return cellOf(w, local, remote);
}

/** A frame of `octets` from the station `local` behind a port. */
export function sent(w: Worker, index: u32, local: u64, remote: u64, octets: u32): void {
  const t = find(w, w.lastSent, index, local, remote);
  t.txPackets++;
  t.txBytes += octets;
  t.seenMs = w.nowMs;
  w.lastSent = <u32>changetype<usize>(t);
}

/** A frame of `octets` for the station `local` behind a port. */
export function received(w: Worker, index: u32, local: u64, remote: u64, octets: u32): void {
  const t = find(w, w.lastReceived, index, local, remote);
  t.rxPackets++;
  t.rxBytes += octets;
  t.seenMs = w.nowMs;
  w.lastReceived = <u32>changetype<usize>(t);
}

/** Forgets what is old in the next bucket: once a batch, so that no time stamp gets old enough to look new. */
export function age(w: Worker): void {
  const bucket = <usize>w.talks + <usize>w.talkBucket * TALK_BUCKET_SIZE;
  w.talkBucket = (w.talkBucket + 1) & (region(REGION_TALKS).count - 1);
  for (let i: usize = 0; i < TALK_CELLS; i++) {
    const t = changetype<Talk>(bucket + i * TALK_SIZE);
    if (t.local != 0 && isOld(w, t)) renew(t, 0, 0);
  }
}
