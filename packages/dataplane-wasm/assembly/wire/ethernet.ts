/**
 * Ethernet II header and 802.1Q tags (IEEE 802.3 §3, 802.1Q §9).
 *
 *  |   destination (6)   |     source (6)      | EtherType (2) |    a tag puts TPID 8100 or 88a8 and TCI before the type
 *
 * p is the first octet of the destination. Call check() first. Knows nothing of tables or drops.
 */
import { be16, be48, setBe16, setBe48 } from "./bytes";

export const HEADER_LEN: u32 = 14;
export const TAG_LEN: u32 = 4;
/** Tags looked through. Linux strips stacked priority tags without end, so a guard must look further than 802.1ad's two. */
export const TAGS_MAX: u32 = 8;
export const IPV4: u32 = 0x0800;
export const ARP: u32 = 0x0806;
export const IPV6: u32 = 0x86dd;
export const BROADCAST: u64 = 0xffff_ffff_ffff;
export const VLAN: u32 = 0x8100;
export const QINQ: u32 = 0x88a8;

/** True when every getter but tagged ones may be used on `len` octets at `p`. */
export function check(p: usize, len: u32): bool {
  return len >= HEADER_LEN;
}
/** Destination MAC as a number below 2^48. */
export function dst(p: usize): u64 {
  return be48(p);
}
/** Source MAC as a number below 2^48. */
export function src(p: usize): u64 {
  return be48(p + 6);
}
/** EtherType or TPID, `off` octets (0, 4, 8) behind the plain position. */
export function etherType(p: usize, off: u32): u32 {
  return be16(p + 12 + off);
}
/** Broadcast and multicast: the group bit, first octet's lowest. */
export function isGroup(mac: u64): bool {
  return ((mac >> 40) & 1) != 0;
}
/** 01:80:c2:00:00:00 to 0f: addresses that no bridge forwards (IEEE 802.1Q §8.6.3). */
export function isReservedGroup(mac: u64): bool {
  return (mac & 0xffff_ffff_fff0) == 0x0180_c200_0000;
}
/** The group address that an IPv4 multicast address is mapped to (RFC 1112 §6.4). */
export function group4(address: u32): u64 {
  return 0x0100_5e00_0000 | <u64>(address & 0x7f_ffff);
}
/** The same for IPv6 (RFC 2464 §7). `lo`: second half of the address. */
export function group6(lo: u64): u64 {
  return 0x3333_0000_0000 | (lo & 0xffff_ffff);
}
export function isTag(type: u32): bool {
  return type == VLAN || type == QINQ;
}
/** Writes both addresses. */
export function setMacs(p: usize, to: u64, from: u64): void {
  setBe48(p, to);
  setBe48(p + 6, from);
}
/** Writes the EtherType of an untagged frame. */
export function setType(p: usize, type: u32): void {
  setBe16(p + 12, type);
}
