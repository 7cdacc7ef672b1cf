/**
 * ICMP and ICMPv6 headers (RFC 792, RFC 4443 §2.1) and the neighbour discovery messages a switch looks at (RFC 4861 §4).
 *
 *  | type (1) | code (1) | checksum (2) | … |      NS and NA: | reserved (4) | target (16) | options |
 */
import { be16, be48, be64, setBe16, setBe32, setBe48 } from "./bytes";
import * as checksum from "./checksum";

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
/** Octets of NS and NA with a link-layer address. */
export const ND_MAC_LEN: u32 = 32;
export const OPTION_SOURCE_MAC: u32 = 1;
export const OPTION_TARGET_MAC: u32 = 2;
/** Flags of an NA, in its first reserved word: it answers a question, it replaces what the other knows. */
export const SOLICITED: u32 = 0x4000_0000;
export const OVERRIDE: u32 = 0x2000_0000;

/** Fragmentation needed (RFC 792, RFC 1191 §4) and packet too big (RFC 4443 §3.2): type and code as the two octets are read. */
export const FRAGMENTATION_NEEDED: u32 = 0x0403;
export const PACKET_TOO_BIG: u32 = 2;
/** Octets of those in front of the packet that they quote. */
export const ERROR_LEN: u32 = 8;

export function check(p: usize, len: u32): bool {
  return len >= HEADER_LEN;
}
export function type(p: usize): u32 {
  return load<u8>(p);
}
/** True for what asks or answers, not for errors: those are answered with no error (RFC 1122 §3.2.2, RFC 4443 §2.4 e). */
export function isQuery(kind: u32, isV6: bool): bool {
  if (isV6) return kind >= 128;
  return kind == ECHO_REPLY || kind == ECHO || (kind >= 13 && kind <= 18);
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
/** True when the checksum of `len` octets of ICMPv6 at `p` is right; `ip`: the IPv6 header. */
export function isSound6(ip: usize, p: usize, len: u32): bool {
  const pseudo = bswap<u16>(<u16>checksum.pseudo6(ip, PROTO_V6, len));
  return checksum.fold(checksum.sumLe(p, len, pseudo)) == 0xffff;
}
/**
 * Looks through the options of an NS or NA of `len` ≥ ND_LEN octets.
 * @returns 0: one is not whole or has length 0 (to be ignored, RFC 4861 §7.1); 1: sound; 2: sound, with one of that kind
 */
export function options(p: usize, len: u32, kind: u32): u32 {
  let found: u32 = 1;
  let at = ND_LEN;
  while (at < len) {
    if (at + 2 > len) return 0;
    const size = <u32>load<u8>(p + at, 1) << 3;
    if (size == 0 || at + size > len) return 0;
    if (<u32>load<u8>(p + at) == kind) found = 2;
    at += size;
  }
  return found;
}
/**
 * Writes an NS or NA with a link-layer address option: ND_MAC_LEN octets at `p`, behind the IPv6 header at `ip`, which is
 * written already. `target`: 16 octets.
 */
export function writeNeighbour(ip: usize, p: usize, kind: u32, flags: u32, target: usize, option: u32, mac: u64): void {
  store<u32>(p, kind);
  setBe32(p + 4, flags);
  v128.store(p + 8, v128.load(target));
  store<u8>(p, <u8>option, 24);
  store<u8>(p, 1, 25);
  setBe48(p + 26, mac);
  const pseudo = bswap<u16>(<u16>checksum.pseudo6(ip, PROTO_V6, ND_MAC_LEN));
  store<u16>(p, <u16>~checksum.fold(checksum.sumLe(p, ND_MAC_LEN, pseudo)), 2);
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
