/**
 * The route hash: what the configuration says, exact match, written by the main thread, double-buffered.
 *
 * All kinds of key share it: static MACs (ports' own included), IPv4 and IPv6 prefixes, source addresses of VTEPs outside and
 * inside the tunnel, VNIs, WireGuard's own addresses and allowed prefixes, bindings, and addresses and routes of layer-3 ports. Open addressing with linear probing over a power-of-two number of cells, at most half of them used.
 * The longest prefix is found by trying the lengths that the network uses, longest first: a network has few lengths, and
 * only frames whose MAC is unknown come here.
 */
import {
  Network, Port, REGION_ROUTES, ROUTE_BINDING, ROUTE_HOP4, ROUTE_HOP6, ROUTE_IPV4, ROUTE_IPV6, ROUTE_MAC, ROUTE_OWN, ROUTE_PEER4, ROUTE_PEER6, ROUTE_SIZE, ROUTE_TUNNEL, ROUTE_TUNNEL_VTEP,
  ROUTE_VNI, ROUTE_VTEP, Route, Tunnel, Worker,
} from "../abi.gen";
import { header, region, tunnel } from "./config";
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
/** The same for a source address inside the tunnel. */
export function tunnelVtepOf(w: Worker, network: u32, hi: u64, lo: u64): u32 {
  const r = find(w, (ROUTE_TUNNEL_VTEP << 24) | network, hi, lo);
  return r ? (r.value & 0xff_ffff) + 1 : 0;
}
/** True for an address of our own inside the tunnel. */
export function isTunnel(w: Worker, hi: u64, lo: u64): bool {
  return find(w, ROUTE_TUNNEL << 24, hi, lo) != null;
}
/** Index + 1 of the network with this VNI, 0 for none. */
export function networkOf(w: Worker, vni: u32): u32 {
  const r = find(w, ROUTE_VNI << 24, 0, vni);
  return r ? (r.value & 0xff_ffff) + 1 : 0;
}

/** Value of the longest IPv4 prefix that covers the address. `tag` without length; `lens`: the lengths there are. */
function longest4(w: Worker, tag: u32, lens: u64, address: u32): u32 {
  while (lens != 0) {
    const len = <u32>(63 - clz<u64>(lens));
    lens ^= (<u64>1) << len;
    const masked: u32 = len == 0 ? 0 : address & (u32.MAX_VALUE << (32 - len));
    const owner = value(w, tag | (len << 16), 0, MAPPED | <u64>masked);
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
function longest6Word(w: Worker, tag: u32, lens: u64, base: u32, hi: u64, lo: u64): u32 {
  while (lens != 0) {
    const bit = <u32>(63 - clz<u64>(lens));
    lens ^= (<u64>1) << bit;
    const len = base + bit;
    const owner = value(w, tag | (len << 16), hi & maskHi(len), lo & maskLo(len));
    if (owner != NONE) return owner;
  }
  return NONE;
}

/** The same for IPv6: lens0 has the lengths 0..63, lens1 64..127, lens2 128. */
function longest6(w: Worker, tag: u32, lens0: u64, lens1: u64, lens2: u64, hi: u64, lo: u64): u32 {
  let owner = longest6Word(w, tag, lens2, 128, hi, lo);
  if (owner == NONE) owner = longest6Word(w, tag, lens1, 64, hi, lo);
  if (owner == NONE) owner = longest6Word(w, tag, lens0, 0, hi, lo);
  return owner;
}

/** Owner of the longest IPv4 prefix of a network that covers the address. */
export function prefix4(w: Worker, index: u32, n: Network, address: u32): u32 {
  return longest4(w, (ROUTE_IPV4 << 24) | index, n.v4Lens, address);
}
/** Owner of the longest IPv6 prefix of a network that covers the address. */
export function prefix6(w: Worker, index: u32, n: Network, hi: u64, lo: u64): u32 {
  return longest6(w, (ROUTE_IPV6 << 24) | index, n.v6Lens0, n.v6Lens1, n.v6Lens2, hi, lo);
}

/** Index + 1 of the WireGuard peer whose allowed prefix covers an IPv4 address longest; 0 for none. */
export function peer4(w: Worker, address: u32): u32 {
  const owner = longest4(w, ROUTE_PEER4 << 24, tunnel(w).v4Lens, address);
  return owner == NONE ? 0 : (owner & 0xff_ffff) + 1;
}
/** The same for IPv6. */
export function peer6(w: Worker, hi: u64, lo: u64): u32 {
  const t: Tunnel = tunnel(w);
  const owner = longest6(w, ROUTE_PEER6 << 24, t.v6Lens0, t.v6Lens1, t.v6Lens2, hi, lo);
  return owner == NONE ? 0 : (owner & 0xff_ffff) + 1;
}

/** MAC that is bound to an address (IPv4 mapped); 0 for none. */
export function binding(w: Worker, network: u32, hi: u64, lo: u64): u64 {
  const r = find(w, (ROUTE_BINDING << 24) | network, hi, lo);
  return r ? (<u64>r.generation << 32) | <u64>r.value : 0;
}
/** Layer-3 port that has the address, or NONE. */
export function own(w: Worker, network: u32, hi: u64, lo: u64): u32 {
  return value(w, (ROUTE_OWN << 24) | network, hi, lo);
}
/** What the routes of a layer-3 port say of an IPv4 address: HOP << 8 | length of the prefix, or NONE. */
export function hop4(w: Worker, index: u32, p: Port, address: u32): u32 {
  return longest4(w, (ROUTE_HOP4 << 24) | index, p.v4Lens, address);
}
/** The same for IPv6. */
export function hop6(w: Worker, index: u32, p: Port, hi: u64, lo: u64): u32 {
  return longest6(w, (ROUTE_HOP6 << 24) | index, p.v6Lens0, p.v6Lens1, p.v6Lens2, hi, lo);
}

/** True when the network has prefix routes of that family at all. */
export function hasPrefix4(n: Network): bool {
  return n.v4Lens != 0;
}
export function hasPrefix6(n: Network): bool {
  return (n.v6Lens0 | n.v6Lens1 | n.v6Lens2) != 0;
}
