/**
 * Frames that the switch makes itself: they stand in a header area of the worker, with room for the VXLAN header in front, and take
 * the place of the frame in its descriptor.
 */
import { HEADERS_MAX, HEADER_AREA, RxDesc, VXLAN_LEN, Worker } from "../abi.gen";
import { parse } from "./parse";

/** Room for another one? */
export function hasRoom(w: Worker): bool {
  return w.headerCount < HEADERS_MAX;
}

/** First octet of a new frame, at most HEADER_AREA - VXLAN_LEN long; the caller has asked hasRoom(). */
export function begin(w: Worker): usize {
  const at = <usize>w.headers + <usize>w.headerCount * HEADER_AREA + VXLAN_LEN;
  w.headerCount++;
  return at;
}

/** The descriptor's frame is now the one at `at`: whole, of `len` octets. */
export function take(d: RxDesc, at: usize, len: u32): void {
  d.frame = <u32>at;
  d.frameLen = len;
  d.vnetFlags = 0;
  d.gsoType = 0;
  d.gsoSize = 0;
  d.hdrLen = 0;
  d.csumStart = 0;
  d.csumOffset = 0;
  d.run = 0;
  parse(d);
}
