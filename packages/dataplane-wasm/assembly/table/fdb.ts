/**
 * The forwarding database: (network, MAC) → where it was last seen. Learned entries only; what the configuration says
 * stands in the route hash, is looked up first, and never ages.
 *
 * Each key has two candidate buckets of three cells. There are twice as many cells as the limit allows entries, so both
 * buckets are full only under attack; then the older of the entries that may go makes room (counted). A port may push
 * out its own entries and those of VTEPs, a VTEP only those of VTEPs: no container evicts another container. A port may
 * also hold only so many MACs; beyond them its frames are forwarded but not learned from (counted).
 *
 * Readers take no latch (table/latch.ts). Writers take both buckets of a key, so one key never stands twice.
 *
 * Ages are ticks of 1.024 s modulo 2^16; ageing (age()) runs often enough that no stamp wraps.
 */
import {
  COUNT_LATCH_MISSES, COUNT_LEARN_REFUSED, EVENT_AGED, EVENT_EVICTED, EVENT_LEARNED, EVENT_MOVED, FDB_BUCKET_SIZE, FDB_CELLS,
  Header, KIND_PORT, LATCH_SPINS, PortLive, REGION_FDB, Worker,
} from "../abi.gen";
import { header, indexOf, isCurrent, kindOf, network, networkCounters, portLive, region } from "./config";
import { emit } from "./events";
import { keyHash } from "./hash";
import { release, releaseBoth, take, takeBoth } from "./latch";
import { ageOf } from "./tick";

const CELL: usize = 16;
const FIRST: usize = 8;

/** Result of a lookup that found nothing. */
export const MISS: u64 = 0;

/** Packs a key. `mac` is not 0, so a key never is. */
// @ts-ignore: decorator
@inline
export function keyOf(networkIndex: u32, mac: u64): u64 {
  return (<u64>networkIndex << 48) | mac;
}
// @ts-ignore: decorator
@inline
export function ownerIn(value: u64): u32 {
  return <u32>value;
}
// @ts-ignore: decorator
@inline
export function generationIn(value: u64): u32 {
  return <u32>(value >> 32) & 0xffff;
}
// @ts-ignore: decorator
@inline
function stampIn(value: u64): u32 {
  return <u32>(value >> 48);
}
// @ts-ignore: decorator
@inline
function pack(owner: u32, generation: u32, tick: u32): u64 {
  return (<u64>tick << 48) | (<u64>generation << 32) | <u64>owner;
}

function seed(): u64 {
  const h = header();
  return (<u64>h.hashSeedHi << 32) | <u64>h.hashSeedLo;
}
// @ts-ignore: decorator
@inline
function bucketAt(number: u32): usize {
  const r = region(REGION_FDB);
  return <usize>r.base + <usize>(number & (r.count - 1)) * FDB_BUCKET_SIZE;
}
function count(w: Worker, cell: u32): void {
  const at = <usize>w.counters + (<usize>cell << 3);
  store<u64>(at, load<u64>(at) + 1);
}

/** True when an entry was not seen for its network's age limit. */
function isExpired(w: Worker, key: u64, value: u64, tick: u32): bool {
  const limit = network(w, <u32>(key >> 48)).ageTicks;
  return limit != 0 && ageOf(tick, stampIn(value)) > limit;
}

/** Value of a key in one bucket, read whole; MISS when it is not there. */
function read(w: Worker, bucket: usize, key: u64): u64 {
  for (let i: u32 = 0; i < LATCH_SPINS; i++) {
    const before = atomic.load<u32>(bucket);
    if (before & 1) continue;
    let value = MISS;
    for (let c: usize = FIRST; c < FIRST + FDB_CELLS * CELL; c += CELL) {
      if (atomic.load<u64>(bucket + c) == key) {
        value = atomic.load<u64>(bucket + c + 8);
        break;
      }
    }
    if (atomic.load<u32>(bucket) == before) return value;
  }
  count(w, COUNT_LATCH_MISSES);
  return MISS;
}

/** Packed value of a live entry, or MISS. Take it apart with ownerIn() and generationIn(). */
export function lookup(w: Worker, key: u64, tick: u32): u64 {
  const h = keyHash(seed(), key);
  let value = read(w, bucketAt(<u32>h), key);
  if (value == MISS) value = read(w, bucketAt(<u32>(h >> 32)), key);
  if (value == MISS || isExpired(w, key, value, tick)) return MISS;
  return value;
}

/** Address of a key's cell in a latched bucket, or 0. */
function cellOf(bucket: usize, key: u64): usize {
  for (let c: usize = FIRST; c < FIRST + FDB_CELLS * CELL; c += CELL) {
    if (load<u64>(bucket + c) == key) return bucket + c;
  }
  return 0;
}

/** Free cells of a latched bucket. */
function freeIn(bucket: usize): u32 {
  let free: u32 = 0;
  for (let c: usize = FIRST; c < FIRST + FDB_CELLS * CELL; c += CELL) if (load<u64>(bucket + c) == 0) free++;
  return free;
}

/** Takes one MAC off the books of its owner and network. */
function unaccount(w: Worker, key: u64, value: u64): void {
  const owner = ownerIn(value);
  const n = networkCounters(w, <u32>(key >> 48));
  if (kindOf(owner) == KIND_PORT) {
    n.fdbPorts--;
    // Entries of an earlier use of the index are not on this port's count.
    if (isCurrent(w, owner, generationIn(value))) {
      atomic.sub<u32>(changetype<usize>(portLive(indexOf(owner))) + offsetof<PortLive>("macs"), 1);
    }
  } else {
    n.fdbVteps--;
  }
}

/** Puts one MAC on the books. False when the port may not have another one. */
function account(w: Worker, networkIndex: u32, owner: u32): bool {
  const n = networkCounters(w, networkIndex);
  if (kindOf(owner) == KIND_PORT) {
    const macs = changetype<usize>(portLive(indexOf(owner))) + offsetof<PortLive>("macs");
    if (atomic.add<u32>(macs, 1) >= network(w, networkIndex).macsPerPort) {
      atomic.sub<u32>(macs, 1);
      return false;
    }
    n.fdbPorts++;
  } else {
    n.fdbVteps++;
  }
  return true;
}

/** Empties a latched cell and takes its entry off the books. */
function remove(w: Worker, cell: usize): void {
  const key = load<u64>(cell);
  const value = load<u64>(cell + 8);
  atomic.store<u64>(cell, 0);
  atomic.store<u64>(cell + 8, 0);
  unaccount(w, key, value);
  atomic.sub<u32>(offsetof<Header>("fdbCount"), 1);
}

/** May `owner` push out this entry? */
function mayEvict(victim: u32, owner: u32): bool {
  return kindOf(victim) != KIND_PORT || victim == owner;
}

/** The cell to give up for `owner` among both latched buckets: expired or stale first, then the oldest; 0: none. */
function victimFor(w: Worker, a: usize, b: usize, owner: u32, tick: u32): usize {
  let best: usize = 0;
  let bestAge: u32 = 0;
  for (let side = 0; side < 2; side++) {
    const bucket = side == 0 ? a : b;
    for (let c: usize = FIRST; c < FIRST + FDB_CELLS * CELL; c += CELL) {
      const cell = bucket + c;
      const key = load<u64>(cell);
      if (key == 0) continue;
      const value = load<u64>(cell + 8);
      let age = ageOf(tick, stampIn(value)) + 1;
      if (isExpired(w, key, value, tick) || !isCurrent(w, ownerIn(value), generationIn(value))) age = u32.MAX_VALUE;
      else if (!mayEvict(ownerIn(value), owner)) continue;
      if (age > bestAge) {
        best = cell;
        bestAge = age;
      }
    }
    if (a == b) break;
  }
  return best;
}

/** A free cell for the key in the emptier of two latched buckets, made free if need be; 0: none may go. */
function roomFor(w: Worker, a: usize, b: usize, owner: u32, tick: u32): usize {
  const freeA = freeIn(a);
  const freeB = freeIn(b);
  const h = header();
  const full = atomic.load<u32>(offsetof<Header>("fdbCount")) >= h.fdbMax;
  if (!full && (freeA | freeB) != 0) {
    return cellOf(freeA >= freeB ? a : b, 0);
  }
  const victim = victimFor(w, a, b, owner, tick);
  if (victim == 0) return 0;
  const key = load<u64>(victim);
  const value = load<u64>(victim + 8);
  const dead = isExpired(w, key, value, tick) || !isCurrent(w, ownerIn(value), generationIn(value));
  remove(w, victim);
  if (!dead) {
    networkCounters(w, <u32>(key >> 48)).evictions++;
    emit(w, EVENT_EVICTED, <u32>(key >> 48), key & 0xffff_ffff_ffff, ownerIn(value), 0);
  }
  return victim;
}

/** Writes an entry under both latches: refresh, move or insert. */
function write(w: Worker, a: usize, b: usize, key: u64, owner: u32, generation: u32, tick: u32): bool {
  const networkIndex = <u32>(key >> 48);
  const mac = key & 0xffff_ffff_ffff;
  let cell = cellOf(a, key);
  if (cell == 0) cell = cellOf(b, key);
  if (cell != 0) {
    const old = load<u64>(cell + 8);
    const before = ownerIn(old);
    if (before == owner && generationIn(old) == generation) {
      atomic.store<u64>(cell + 8, pack(owner, generation, tick));
      return true;
    }
    const alive = isCurrent(w, before, generationIn(old)) && !isExpired(w, key, old, tick);
    if (!account(w, networkIndex, owner)) return false;
    unaccount(w, key, old);
    atomic.store<u64>(cell + 8, pack(owner, generation, tick));
    if (alive) networkCounters(w, networkIndex).moves++;
    emit(w, alive ? EVENT_MOVED : EVENT_LEARNED, networkIndex, mac, owner, alive ? before : 0);
    return true;
  }
  if (!account(w, networkIndex, owner)) return false;
  cell = roomFor(w, a, b, owner, tick);
  if (cell == 0) {
    unaccount(w, key, pack(owner, generation, tick));
    return false;
  }
  atomic.store<u64>(cell + 8, pack(owner, generation, tick));
  atomic.store<u64>(cell, key);
  atomic.add<u32>(offsetof<Header>("fdbCount"), 1);
  emit(w, EVENT_LEARNED, networkIndex, mac, owner, 0);
  return true;
}

/**
 * Notes that a MAC was seen behind `owner`. The usual case, seen there within this tick already, reads only.
 * A MAC that was elsewhere moves at once: the next frame for it follows.
 */
export function learn(w: Worker, key: u64, owner: u32, generation: u32, tick: u32): void {
  const h = keyHash(seed(), key);
  const a = bucketAt(<u32>h);
  const b = bucketAt(<u32>(h >> 32));
  const value = pack(owner, generation, tick);
  if (read(w, a, key) == value || (a != b && read(w, b, key) == value)) return;
  if (!takeBoth(a, b)) {
    count(w, COUNT_LATCH_MISSES);
    return;
  }
  const done = write(w, a, b, key, owner, generation, tick);
  releaseBoth(a, b);
  if (!done) count(w, COUNT_LEARN_REFUSED);
}

/** True when a bucket holds an entry that should go. Reads without the latch: a wrong guess is repaired under it. */
function hasDead(w: Worker, bucket: usize, tick: u32): bool {
  for (let c: usize = FIRST; c < FIRST + FDB_CELLS * CELL; c += CELL) {
    const key = atomic.load<u64>(bucket + c);
    if (key == 0) continue;
    const value = atomic.load<u64>(bucket + c + 8);
    if (isExpired(w, key, value, tick) || !isCurrent(w, ownerIn(value), generationIn(value))) return true;
  }
  return false;
}

/** Removes expired entries, and those of ports and VTEPs that are gone, from one bucket. */
export function ageBucket(w: Worker, number: u32, tick: u32): void {
  const bucket = bucketAt(number);
  if (!hasDead(w, bucket, tick)) return;
  if (!take(bucket)) return;
  for (let c: usize = FIRST; c < FIRST + FDB_CELLS * CELL; c += CELL) {
    const key = load<u64>(bucket + c);
    if (key == 0) continue;
    const value = load<u64>(bucket + c + 8);
    const current = isCurrent(w, ownerIn(value), generationIn(value));
    if (current && !isExpired(w, key, value, tick)) continue;
    remove(w, bucket + c);
    if (current) emit(w, EVENT_AGED, <u32>(key >> 48), key & 0xffff_ffff_ffff, ownerIn(value), 0);
  }
  release(bucket);
}

/** Forgets one MAC of a network: a route says from now on where it is, and nothing older comes back when that goes. */
export function forget(w: Worker, key: u64): void {
  const h = keyHash(seed(), key);
  const a = bucketAt(<u32>h);
  const b = bucketAt(<u32>(h >> 32));
  if (read(w, a, key) == MISS && (a == b || read(w, b, key) == MISS)) return;
  if (!takeBoth(a, b)) {
    count(w, COUNT_LATCH_MISSES);
    return;
  }
  const cell = cellOf(a, key) || cellOf(b, key);
  if (cell != 0) remove(w, cell);
  releaseBoth(a, b);
}

/** Forgets the entries of one network index, or of all with 0xffffffff. */
export function flush(w: Worker, networkIndex: u32): void {
  const buckets = region(REGION_FDB).count;
  for (let i: u32 = 0; i < buckets; i++) {
    const bucket = bucketAt(i);
    for (let c: usize = FIRST; c < FIRST + FDB_CELLS * CELL; c += CELL) {
      const seen = atomic.load<u64>(bucket + c);
      if (seen == 0 || (networkIndex != u32.MAX_VALUE && <u32>(seen >> 48) != networkIndex)) continue;
      if (!take(bucket)) break;
      // Another worker may have changed the cell before the latch was taken.
      if (load<u64>(bucket + c) == seen) remove(w, bucket + c);
      release(bucket);
    }
  }
}
