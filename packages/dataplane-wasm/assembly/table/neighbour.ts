/**
 * Neighbours: (network, IP address) → MAC and where it was seen, from ARP and neighbour discovery.
 *
 * Told by the senders themselves, so it is knowledge for people (`weft status neighbours`) and, later, for answering; no
 * frame is forwarded by it. One candidate bucket per address; when it is full the oldest entry goes.
 */
import { Header, NEIGHBOUR_BUCKET_SIZE, NEIGHBOUR_CELLS, REGION_NEIGHBOURS, Worker } from "../abi.gen";
import { header, network, region } from "./config";
import { keyHash } from "./hash";
import { release, take } from "./latch";
import { ageOf } from "./tick";

const CELL: usize = 32;
const FIRST: usize = 32;

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
