/**
 * The route hash: what the configuration says, exact match, written by the main thread, double-buffered.
 *
 * Five kinds of key share it: static MACs (ports' own included), IPv4 and IPv6 prefixes, outer source addresses of
 * VTEPs, and VNIs. Open addressing with linear probing over a power-of-two number of cells, at most half of them used.
 * The longest prefix is found by trying the lengths that the network uses, longest first: a network has few lengths, and
 * only frames whose MAC is unknown come here.
 */
import { Network, REGION_ROUTES, ROUTE_IPV4, ROUTE_IPV6, ROUTE_MAC, ROUTE_SIZE, ROUTE_VNI, ROUTE_VTEP, Route, Worker } from "../abi.gen";
import { header, region } from "./config";
import { routeHash } from "./hash";

/** No such route. */
export const NONE: u32 = 0;
const MAPPED: u64 = 0x0000_ffff_0000_0000;

/** Cell of a key, or null. The probe ends at a free cell; the main thread leaves half of them free. */
function find(w: Worker, tag: u32, hi: u64, lo: u64): Route | null {
  const count = region(REGION_ROUTES).count;
  const mask = count - 1;
  let at = routeHash(header().hashSeedLo, tag, hi, lo) & mask;
  for (let tries: u32 = 0; tries < count; tries++) {
    const r = changetype<Route>(<usize>w.routes + <usize>at * ROUTE_SIZE);
    if (r.tag == 0) return null;
    if (r.tag == tag && r.keyLo == lo && r.keyHi == hi) return r;
    at = (at + 1) & mask;
  }
  return null;
}

/** KIND << 24 | index of a key, or NONE. A blackhole's index is 0. */
function value(w: Worker, tag: u32, hi: u64, lo: u64): u32 {
  const r = find(w, tag, hi, lo);
  return r ? r.value : NONE;
}

/** Owner of a static MAC. */
export function mac(w: Worker, network: u32, address: u64): u32 {
  return value(w, (ROUTE_MAC << 24) | network, 0, address);
}
/** Index + 1 of the VTEP that has this outer source address (IPv4 mapped), 0 for none. */
export function vtepOf(w: Worker, network: u32, hi: u64, lo: u64): u32 {
  const r = find(w, (ROUTE_VTEP << 24) | network, hi, lo);
  return r ? (r.value & 0xff_ffff) + 1 : 0;
}
/** Index + 1 of the network with this VNI, 0 for none. */
export function networkOf(w: Worker, vni: u32): u32 {
  const r = find(w, ROUTE_VNI << 24, 0, vni);
  return r ? (r.value & 0xff_ffff) + 1 : 0;
}

/** Owner of the longest IPv4 prefix that covers the address. */
export function prefix4(w: Worker, index: u32, n: Network, address: u32): u32 {
  let lens = n.v4Lens;
  while (lens != 0) {
    const len = <u32>(63 - clz<u64>(lens));
    lens ^= (<u64>1) << len;
    const masked: u32 = len == 0 ? 0 : address & (u32.MAX_VALUE << (32 - len));
    const owner = value(w, (ROUTE_IPV4 << 24) | (len << 16) | index, 0, MAPPED | <u64>masked);
    if (owner != NONE) return owner;
  }
  return NONE;
}

/** The high 64 bits of a mask of `len` ≤ 128 bits. */
function maskHi(len: u32): u64 {
  return len == 0 ? 0 : len >= 64 ? u64.MAX_VALUE : u64.MAX_VALUE << <u64>(64 - len);
}
function maskLo(len: u32): u64 {
  return len <= 64 ? 0 : len == 128 ? u64.MAX_VALUE : u64.MAX_VALUE << <u64>(128 - len);
}

/** Tries the lengths base + bit for the bits of one word of the length set. */
function prefix6Word(w: Worker, index: u32, lens: u64, base: u32, hi: u64, lo: u64): u32 {
  while (lens != 0) {
    const bit = <u32>(63 - clz<u64>(lens));
    lens ^= (<u64>1) << bit;
    const len = base + bit;
    const owner = value(w, (ROUTE_IPV6 << 24) | (len << 16) | index, hi & maskHi(len), lo & maskLo(len));
    if (owner != NONE) return owner;
  }
  return NONE;
}

/** Owner of the longest IPv6 prefix that covers the address. */
export function prefix6(w: Worker, index: u32, n: Network, hi: u64, lo: u64): u32 {
  let owner = prefix6Word(w, index, n.v6Lens2, 128, hi, lo);
  if (owner == NONE) owner = prefix6Word(w, index, n.v6Lens1, 64, hi, lo);
  if (owner == NONE) owner = prefix6Word(w, index, n.v6Lens0, 0, hi, lo);
  return owner;
}

/** True when the network has prefix routes of that family at all. */
export function hasPrefix4(n: Network): bool {
  return n.v4Lens != 0;
}
export function hasPrefix6(n: Network): bool {
  return (n.v6Lens0 | n.v6Lens1 | n.v6Lens2) != 0;
}
