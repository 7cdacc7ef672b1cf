/**
 * Neighbours: (network, IP address) → MAC and where it was seen, from ARP and neighbour discovery.
 *
 * Told by the senders themselves. It is for people (`weft status neighbours`), and for layer-3 ports, whose packets get the MAC
 * of their next hop from it as those of a kernel do from its own. One candidate bucket per address; when it is full the oldest entry goes.
 */
import { Header, LATCH_SPINS, NEIGHBOUR_BUCKET_SIZE, NEIGHBOUR_CELLS, REGION_NEIGHBOURS, Worker } from "../abi.gen";
import { header, network, region } from "./config";
import { keyHash } from "./hash";
import { release, take } from "./latch";
import { ageOf } from "./tick";

const CELL: usize = 32;
const FIRST: usize = 32;
const MAC_MASK: u64 = 0xffff_ffff_ffff;
/** Ticks after which a MAC is asked for again while it is still used (REACHABLE_TIME, RFC 4861 §10). */
const STALE_TICKS: u32 = 30;
/** Bit beside the MAC in what resolve() returns: the caller is to ask for it. */
export const ASK: u64 = (<u64>1) << 48;

function bucketOf(networkIndex: u32, hi: u64, lo: u64): usize {
  const h = header();
  const seed = (<u64>h.hashSeedHi << 32) | <u64>h.hashSeedLo;
  const hash = keyHash(seed, keyHash(seed ^ (hi + networkIndex), lo));
  const r = region(REGION_NEIGHBOURS);
  return <usize>r.base + <usize>(<u32>hash & (r.count - 1)) * NEIGHBOUR_BUCKET_SIZE;
}

/** owner = KIND << 24 | index, as everywhere; network + 1 keeps a used cell from being 0. */
function pack(owner: u32, tick: u32, networkIndex: u32): u64 {
  return (<u64>owner << 32) | (<u64>tick << 16) | <u64>(networkIndex + 1);
}

/** Notes that the owner of `mac` said it has this address (IPv4 mapped). */
export function learn(w: Worker, networkIndex: u32, hi: u64, lo: u64, mac: u64, owner: u32, tick: u32): void {
  const bucket = bucketOf(networkIndex, hi, lo);
  const meta = pack(owner, tick, networkIndex);
  let free: usize = 0;
  let oldest: usize = 0;
  let oldestAge: u32 = 0;
  if (!take(bucket)) return;
  let cell: usize = 0;
  for (let c: usize = FIRST; c < FIRST + NEIGHBOUR_CELLS * CELL; c += CELL) {
    const at = bucket + c;
    const have = load<u64>(at + 24);
    if (have == 0) {
      free = at;
      continue;
    }
    if (load<u64>(at) == hi && load<u64>(at + 8) == lo && (have & 0xffff) == (meta & 0xffff)) {
      cell = at;
      break;
    }
    const age = ageOf(tick, <u32>(have >> 16) & 0xffff) + 1;
    if (age > oldestAge) {
      oldestAge = age;
      oldest = at;
    }
  }
  if (cell == 0 && free != 0 && atomic.load<u32>(offsetof<Header>("neighbourCount")) < header().neighbourMax) {
    cell = free;
    atomic.add<u32>(offsetof<Header>("neighbourCount"), 1);
  }
  if (cell == 0) cell = oldest;
  if (cell != 0) {
    atomic.store<u64>(cell, hi);
    atomic.store<u64>(cell + 8, lo);
    atomic.store<u64>(cell + 16, mac);
    atomic.store<u64>(cell + 24, meta);
  }
  release(bucket);
}

/** Address of the cell of an address in a bucket, latched or not; 0: there is none. */
function cellOf(bucket: usize, networkIndex: u32, hi: u64, lo: u64): usize {
  for (let c: usize = FIRST; c < FIRST + NEIGHBOUR_CELLS * CELL; c += CELL) {
    const at = bucket + c;
    if ((atomic.load<u64>(at + 24) & 0xffff) != <u64>(networkIndex + 1)) continue;
    if (atomic.load<u64>(at) == hi && atomic.load<u64>(at + 8) == lo) return at;
  }
  return 0;
}

/** True when it is time to ask for a MAC, for the first time or again: not within the tick in which somebody has. */
function isDue(mac: u64, meta: u64, tick: u32): bool {
  if (mac == 0) return true;
  const asked = <u32>(mac >> 48);
  if ((mac & MAC_MASK) != 0 && ageOf(tick, <u32>(meta >> 16) & 0xffff) <= STALE_TICKS) return false;
  return asked == 0 || ageOf(tick, asked) != 0;
}

/** Notes that the MAC is being asked for. An address that nobody has told of gets a cell only while half of them are free. */
function noteAsked(bucket: usize, networkIndex: u32, hi: u64, lo: u64, owner: u32, tick: u32): void {
  if (!take(bucket)) return;
  let cell = cellOf(bucket, networkIndex, hi, lo);
  if (cell == 0 && atomic.load<u32>(offsetof<Header>("neighbourCount")) < header().neighbourMax / 2) {
    for (let c: usize = FIRST; c < FIRST + NEIGHBOUR_CELLS * CELL; c += CELL) {
      if (load<u64>(bucket + c + 24) == 0) cell = bucket + c;
    }
    if (cell != 0) {
      atomic.add<u32>(offsetof<Header>("neighbourCount"), 1);
      atomic.store<u64>(cell, hi);
      atomic.store<u64>(cell + 8, lo);
      atomic.store<u64>(cell + 16, 0);
      atomic.store<u64>(cell + 24, pack(owner, tick, networkIndex));
    }
  }
  // 0 would say that nobody ever asked.
  if (cell != 0) atomic.store<u64>(cell + 16, (load<u64>(cell + 16) & MAC_MASK) | (<u64>(tick == 0 ? 1 : tick) << 48));
  release(bucket);
}

/**
 * MAC of an address (IPv4 mapped), 0 when nobody has told it. With ASK beside it the caller is to ask everybody: that is due when
 * the MAC is unknown or has not been heard of for a while, at most once a tick.
 *
 * @param owner the port that wants to know
 */
export function resolve(networkIndex: u32, hi: u64, lo: u64, owner: u32, tick: u32): u64 {
  const bucket = bucketOf(networkIndex, hi, lo);
  let mac: u64 = 0;
  let meta: u64 = 0;
  for (let i: u32 = 0; i < LATCH_SPINS; i++) {
    const before = atomic.load<u32>(bucket);
    if (before & 1) continue;
    const cell = cellOf(bucket, networkIndex, hi, lo);
    mac = cell == 0 ? 0 : atomic.load<u64>(cell + 16);
    meta = cell == 0 ? 0 : atomic.load<u64>(cell + 24);
    if (atomic.load<u32>(bucket) == before) break;
    mac = 0;
  }
  if (!isDue(mac, meta, tick)) return mac & MAC_MASK;
  noteAsked(bucket, networkIndex, hi, lo, owner, tick);
  return (mac & MAC_MASK) | ASK;
}

/** Removes what was not seen for its network's age limit from one bucket. */
export function ageBucket(w: Worker, number: u32, tick: u32): void {
  const r = region(REGION_NEIGHBOURS);
  const bucket = <usize>r.base + <usize>(number & (r.count - 1)) * NEIGHBOUR_BUCKET_SIZE;
  for (let c: usize = FIRST; c < FIRST + NEIGHBOUR_CELLS * CELL; c += CELL) {
    const meta = atomic.load<u64>(bucket + c + 24);
    if (meta == 0) continue;
    const n = network(w, (<u32>meta & 0xffff) - 1);
    const age = ageOf(tick, <u32>(meta >> 16) & 0xffff);
    if (n.flags != 0 && (n.ageTicks == 0 || age <= n.ageTicks)) continue;
    drop(bucket, bucket + c, meta);
  }
}

/** Forgets the entries of one network index, or of all with 0xffffffff. */
export function flush(networkIndex: u32): void {
  const r = region(REGION_NEIGHBOURS);
  for (let i: u32 = 0; i < r.count; i++) {
    const bucket = <usize>r.base + <usize>i * NEIGHBOUR_BUCKET_SIZE;
    for (let c: usize = FIRST; c < FIRST + NEIGHBOUR_CELLS * CELL; c += CELL) {
      const meta = atomic.load<u64>(bucket + c + 24);
      if (meta == 0 || (networkIndex != u32.MAX_VALUE && (<u32>meta & 0xffff) != networkIndex + 1)) continue;
      drop(bucket, bucket + c, meta);
    }
  }
}

/** Empties a cell if it still holds what was seen. */
function drop(bucket: usize, cell: usize, meta: u64): void {
  if (!take(bucket)) return;
  if (load<u64>(cell + 24) == meta) {
    for (let i: usize = 0; i < CELL; i += 8) atomic.store<u64>(cell + i, 0);
    atomic.sub<u32>(offsetof<Header>("neighbourCount"), 1);
  }
  release(bucket);
}
