/**
 * struct virtio_net_hdr in front of TAP frames (include/uapi/linux/virtio_net.h), little-endian.
 *
 *  | flags (1) | gso_type (1) | hdr_len (2) | gso_size (2) | csum_start (2) | csum_offset (2) |
 *
 * On a TAP all offsets count from the Ethernet header. hdr_len from the kernel is not to be trusted (a forwarded frame
 * may carry the length of the whole first packet).
 */
export const HEADER_LEN: u32 = 10;
export const NEEDS_CSUM: u32 = 1;
export const GSO_NONE: u32 = 0;
export const GSO_TCPV4: u32 = 1;
export const GSO_TCPV6: u32 = 4;
export const GSO_UDP_L4: u32 = 5;
/** Set beside the type when the super-frame carries CWR; mask it before comparing. */
export const GSO_ECN: u32 = 0x80;

export function flags(p: usize): u32 {
  return load<u8>(p);
}
export function gsoType(p: usize): u32 {
  return load<u8>(p, 1);
}
export function hdrLen(p: usize): u32 {
  return load<u16>(p, 2);
}
export function gsoSize(p: usize): u32 {
  return load<u16>(p, 4);
}
export function csumStart(p: usize): u32 {
  return load<u16>(p, 6);
}
export function csumOffset(p: usize): u32 {
  return load<u16>(p, 8);
}
/** Writes all ten octets. */
export function write(p: usize, flag: u32, type: u32, header: u32, size: u32, start: u32, offset: u32): void {
  store<u8>(p, <u8>flag);
  store<u8>(p, <u8>type, 1);
  store<u16>(p, <u16>header, 2);
  store<u16>(p, <u16>size, 4);
  store<u16>(p, <u16>start, 6);
  store<u16>(p, <u16>offset, 8);
}
