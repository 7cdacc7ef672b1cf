/**
 * WireGuard messages (WireGuard paper §5.4). All numbers are little-endian.
 *
 *  | type (1) | 0 (3) | receiver index (4) | counter (8) | sealed data … | tag (16) |        transport data
 *  | type (1) | 0 (3) | … | mac1 (16) | mac2 (16) |                                        initiation, response
 */

/** Types, with the three zero octets behind them. */
export const INITIATION: u32 = 1;
export const RESPONSE: u32 = 2;
export const COOKIE_REPLY: u32 = 3;
export const DATA: u32 = 4;

/** Octets of the messages of fixed length. */
export const INITIATION_LEN: u32 = 148;
export const RESPONSE_LEN: u32 = 92;
export const COOKIE_REPLY_LEN: u32 = 64;
/** Octets of transport data that seals nothing: a keepalive. */
export const DATA_MIN: u32 = 32;
export const MAC_LEN: u32 = 16;

/** REJECT_AFTER_MESSAGES: a counter from here on is neither used nor taken. */
export const COUNTER_END: u64 = 0xffff_ffff_ffff_dfff;

export function type(p: usize): u32 {
  return load<u32>(p);
}
/** Receiver index of transport data and of a cookie reply. */
export function receiver(p: usize): u32 {
  return load<u32>(p, 4);
}
/** Receiver index of a response. */
export function responseReceiver(p: usize): u32 {
  return load<u32>(p, 8);
}
export function counter(p: usize): u64 {
  return load<u64>(p, 8);
}
/** Writes the sixteen octets in front of sealed data. */
export function writeData(p: usize, index: u32, count: u64): void {
  store<u32>(p, DATA);
  store<u32>(p, index, 4);
  store<u64>(p, count, 8);
}
