/**
 * ICMP and ICMPv6 headers (RFC 792, RFC 4443 §2.1) and the neighbour discovery messages a switch looks at (RFC 4861 §4).
 *
 *  | type (1) | code (1) | checksum (2) | … |      NS and NA: | reserved (4) | target (16) | options |
 */
import { be16, be48, be64, setBe16 } from "./bytes";

export const HEADER_LEN: u32 = 4;
export const PROTO: u32 = 1;
export const PROTO_V6: u32 = 58;
export const ROUTER_ADVERTISEMENT: u32 = 134;
export const NEIGHBOUR_SOLICITATION: u32 = 135;
export const NEIGHBOUR_ADVERTISEMENT: u32 = 136;
/** Octets of NS and NA without options. */
export const ND_LEN: u32 = 24;
/** Type and code of echo requests, as the two octets are read; types of the answers (RFC 792, RFC 4443 §4.2). */
export const ECHO: u32 = 8;
export const ECHO_V6: u32 = 128;
export const ECHO_REPLY: u32 = 0;
export const ECHO_REPLY_V6: u32 = 129;
const OPTION_TARGET_MAC: u32 = 2;

export function check(p: usize, len: u32): bool {
  return len >= HEADER_LEN;
}
export function type(p: usize): u32 {
  return load<u8>(p);
}
export function targetHi(p: usize): u64 {
  return be64(p + 8);
}
export function targetLo(p: usize): u64 {
  return be64(p + 16);
}
/** MAC in the first option of an NA when that is a target link-layer address; 0 otherwise. */
export function targetMac(p: usize, len: u32): u64 {
  if (len < ND_LEN + 8 || load<u8>(p, 24) != OPTION_TARGET_MAC || load<u8>(p, 25) != 1) return 0;
  return be48(p + 26);
}
/** Replaces the type and corrects the checksum by the difference (RFC 1624 §3 eqn. 3). */
export function setType(p: usize, value: u32): void {
  const before = be16(p);
  store<u8>(p, <u8>value);
  let sum = (~be16(p + 2) & 0xffff) + (~before & 0xffff) + be16(p);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  setBe16(p + 2, ~sum & 0xffff);
}
