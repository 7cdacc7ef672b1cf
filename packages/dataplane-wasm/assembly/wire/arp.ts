/**
 * ARP for IPv4 over Ethernet (RFC 826).
 *
 *  | hw type (2) | protocol (2) | 6 (1) | 4 (1) | operation (2) | sender MAC (6) | sender IP (4) | target MAC (6) | target IP (4) |
 *
 * p is the first octet of the hardware type. check() also tells whether it is this kind of ARP at all.
 */
import { be16, be32, be48, setBe16, setBe32, setBe48 } from "./bytes";

export const HEADER_LEN: u32 = 28;
export const REQUEST: u32 = 1;
export const REPLY: u32 = 2;

/** True when `len` octets at `p` hold an Ethernet/IPv4 ARP packet. */
export function check(p: usize, len: u32): bool {
  return len >= HEADER_LEN && be32(p) == 0x0001_0800 && be16(p + 4) == 0x0604;
}
export function operation(p: usize): u32 {
  return be16(p + 6);
}
export function senderMac(p: usize): u64 {
  return be48(p + 8);
}
export function senderIp(p: usize): u32 {
  return be32(p + 14);
}
export function targetIp(p: usize): u32 {
  return be32(p + 24);
}
/** Writes a whole packet. */
export function write(p: usize, op: u32, fromMac: u64, fromIp: u32, toMac: u64, toIp: u32): void {
  setBe32(p, 0x0001_0800);
  setBe16(p + 4, 0x0604);
  setBe16(p + 6, op);
  setBe48(p + 8, fromMac);
  setBe32(p + 14, fromIp);
  setBe48(p + 18, toMac);
  setBe32(p + 24, toIp);
}
