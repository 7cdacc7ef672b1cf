/**
 * Explicit congestion notification through the tunnel (RFC 6040). Outer DSCP is always 0: only the two ECN bits travel.
 *
 * Egress copies the inner bits to the outer header (normal mode, §4.1). Ingress follows §4.2 figure 4: CE outside marks an
 * ECN-capable packet inside and condemns one that is not; ECT(1) outside raises ECT(0) inside.
 */
import { RxDesc } from "../abi.gen";
import * as ipv4 from "../wire/ipv4";
import * as ipv6 from "../wire/ipv6";

const NOT_ECT: u32 = 0;
const ECT_1: u32 = 1;
const ECT_0: u32 = 2;
const CE: u32 = 3;

/** What ingress must do with the frame. */
export const KEEP: u32 = 0;
export const MARKED: u32 = 1;
export const CONDEMNED: u32 = 2;

/** No bits: the packet must go. */
export const CONDEMNED_BITS: u32 = 4;

/** ECN bits of the inner packet; not ECN-capable when it is no IP. */
export function inner(d: RxDesc): u32 {
  const p = <usize>d.frame + d.l3Off;
  if (d.ipVersion == 4) return ipv4.tos(p) & 3;
  if (d.ipVersion == 6) return ipv6.trafficClass(p) & 3;
  return NOT_ECT;
}

function setInner(d: RxDesc, ecn: u32): void {
  const p = <usize>d.frame + d.l3Off;
  if (d.ipVersion == 4) ipv4.setTos(p, (ipv4.tos(p) & 0xfc) | ecn);
  else ipv6.setTrafficClass(p, (ipv6.trafficClass(p) & 0xfc) | ecn);
}

/** What inner bits become under outer ones, or CONDEMNED_BITS (RFC 6040 §4.2, figure 4). */
export function merge(outer: u32, own: u32): u32 {
  if (outer == CE) return own == NOT_ECT ? CONDEMNED_BITS : CE;
  return outer == ECT_1 && own == ECT_0 ? ECT_1 : own;
}

/** Brings the outer bits of a received datagram to the inner packet. */
export function decapsulate(d: RxDesc): u32 {
  const outer = <u32>d.tos & 3;
  if (outer == NOT_ECT || d.ipVersion == 0) return KEEP;
  const own = inner(d);
  const bits = merge(outer, own);
  if (bits == own) return KEEP;
  if (bits == CONDEMNED_BITS) return CONDEMNED;
  setInner(d, bits);
  return bits == CE ? MARKED : KEEP;
}
