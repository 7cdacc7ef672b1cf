/**
 * One function of the switch over a whole batch, for the bench: the loop runs here, so that the cost of a call from
 * JavaScript does not count. Part of debug.wasm and test.wasm only.
 *
 * Lists of MACs are u64 numbers in memory, at an address that is a multiple of 8.
 */
import { REGION_AEADS, RX_DESC_ADDR, VXLAN_LEN } from "./abi.gen";
import * as aead from "./crypto/aead";
import { encapsulate, toVtep } from "./path/deliver";
import { parse } from "./path/parse";
import { desc, network, region, worker } from "./table/config";
import * as fdb from "./table/fdb";
import * as route from "./table/route";
import { be64 } from "./wire/bytes";
import * as checksum from "./wire/checksum";
import * as vxlan from "./wire/vxlan";

/** Parses the frames of descriptors 0..n-1. */
export function parseBatch(workerIndex: u32, n: u32): void {
  const w = worker(workerIndex);
  for (let i: u32 = 0; i < n; i++) parse(desc(w, i));
}
/** Looks up n MACs. Returns how many were found. */
export function lookupBatch(workerIndex: u32, networkIndex: u32, macs: usize, n: u32, tick: u32): u32 {
  const w = worker(workerIndex);
  let found: u32 = 0;
  for (let i: usize = 0; i < <usize>n; i++) {
    if (fdb.lookup(w, fdb.keyOf(networkIndex, load<u64>(macs + (i << 3))), tick) != fdb.MISS) found++;
  }
  return found;
}
/** Learns n MACs behind one owner. */
export function learnBatch(
  workerIndex: u32, networkIndex: u32, macs: usize, n: u32, owner: u32, generation: u32, tick: u32,
): void {
  const w = worker(workerIndex);
  for (let i: usize = 0; i < <usize>n; i++) {
    fdb.learn(w, fdb.keyOf(networkIndex, load<u64>(macs + (i << 3))), owner, generation, tick);
  }
}
/** Sums `len` octets n times. Each sum is the seed of the next, so that none can be left out. */
export function checksumBatch(p: usize, len: u32, n: u32): u32 {
  let sum: u32 = 0;
  for (let i: u32 = 0; i < n; i++) sum = checksum.fold(checksum.sumLe(p, len, sum));
  return sum;
}
/** Writes VXLAN header and transmit operation for parsed descriptors 0..n-1, in place of the operations waiting. */
export function encapBatch(workerIndex: u32, n: u32, vtepIndex: u32): void {
  const w = worker(workerIndex);
  w.txCount = 0;
  w.iovCount = 0;
  for (let i: u32 = 0; i < n; i++) {
    const d = desc(w, i);
    encapsulate(d, network(w, d.network).vni);
    toVtep(w, d, vtepIndex);
  }
}
/** What ingress does before the inner frame: VXLAN header, VNI and sender of descriptors 0..n-1. Returns how many pass. */
export function decapBatch(workerIndex: u32, n: u32): u32 {
  const w = worker(workerIndex);
  let passed: u32 = 0;
  for (let i: u32 = 0; i < n; i++) {
    const d = desc(w, i);
    const p = <usize>d.off;
    if (!vxlan.hasVni(p)) continue;
    const index = route.networkOf(w, vxlan.vni(p));
    if (index == 0) continue;
    const addr = changetype<usize>(d) + RX_DESC_ADDR;
    if (route.vtepOf(w, index - 1, be64(addr), be64(addr + 8)) == 0) continue;
    d.network = <u16>(index - 1);
    d.frame = d.off + VXLAN_LEN;
    d.frameLen = d.len - VXLAN_LEN;
    passed++;
  }
  return passed;
}
/** Copies n times `len` octets within slots `stride` apart, from octet 0 to octet `to` of each: the floor for touching a frame. */
export function copyBatch(slots: usize, stride: u32, to: u32, len: u32, n: u32): void {
  for (let i: usize = 0; i < <usize>n; i++) {
    const slot = slots + i * <usize>stride;
    memory.copy(slot + <usize>to, slot, len);
  }
}
/** Seals `len` octets at `from` n times, under nonces that count up. */
export function sealBatch(key: usize, from: usize, to: usize, len: u32, n: u32): void {
  const s = <usize>region(REGION_AEADS).base;
  for (let i: u32 = 0; i < n; i++) aead.seal(s, key, 0, i, 0, 0, from, to, len);
}
/** Opens a message that was sealed under nonce 0, n times. @returns how many were right */
export function openBatch(key: usize, from: usize, to: usize, len: u32, n: u32): u32 {
  const s = <usize>region(REGION_AEADS).base;
  let right: u32 = 0;
  for (let i: u32 = 0; i < n; i++) if (aead.open(s, key, 0, 0, 0, 0, from, to, len)) right++;
  return right;
}
