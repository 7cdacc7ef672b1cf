/**
 * Ingress: underlay → TAP. Undoes UDP_GRO and hands each datagram on: VXLAN to decap.ts, WireGuard data to open.ts (and from there
 * to decap.ts), WireGuard handshakes to admit.ts.
 */
import {
  COUNT_BATCH_SUM_INGRESS, COUNT_IN_INGRESS, DROP_TRUNCATED, PLANE_INGRESS, RECEIVER_WIREGUARD4, RX_DESC_ADDR, RX_TRUNCATED, RxDesc, Worker,
} from "../abi.gen";
import { desc } from "../table/config";
import * as talk from "../table/talk";
import * as admit from "./admit";
import * as decap from "./decap";
import * as join from "./join";
import * as open from "./open";
import { add, countBatch, drop } from "./verdict";

/** Datagrams that a descriptor holds: more than one after UDP_GRO. */
function segmentsOf(d: RxDesc): u32 {
  return d.segLen == 0 || d.len <= d.segLen ? 1 : (d.len + d.segLen - 1) / d.segLen;
}

/** Judges one datagram. False when the transmit region must be emptied first. */
function one(w: Worker, d: RxDesc, off: u32, len: u32): bool {
  if (d.source < RECEIVER_WIREGUARD4) {
    return decap.follow(w, d, off, len) || decap.datagram(w, d, off, len, changetype<usize>(d) + RX_DESC_ADDR, 0);
  }
  if (open.isData(off, len)) return open.data(w, d, off, len);
  admit.message(w, d, off, len, 0);
  return true;
}

/**
 * Judges receive descriptors first..first+n-1, read from the underlay. A descriptor that is cut off by a full transmit
 * region is taken up again at its next segment (Worker.resumeSeg).
 * @returns how many are finished.
 */
export function ingress(w: Worker, first: u32, n: u32, nowMs: u32): u32 {
  w.nowMs = nowMs;
  talk.age(w);
  for (let i: u32 = 0; i < n; i++) {
    const d = desc(w, first + i);
    d.plane = <u8>PLANE_INGRESS;
    if ((<u32>d.rxFlags & RX_TRUNCATED) != 0) {
      add(w, COUNT_IN_INGRESS, 1);
      drop(w, PLANE_INGRESS, DROP_TRUNCATED);
      continue;
    }
    const count = segmentsOf(d);
    if (w.resumeSeg == 0) d.run = 0;
    for (let s = w.resumeSeg; s < count; s++) {
      const at = s * d.segLen;
      const len = s + 1 < count ? d.segLen : d.len - at;
      if (!one(w, d, d.off + at, len)) {
        w.resumeSeg = s;
        join.finish(w);
        return i;
      }
      add(w, COUNT_IN_INGRESS, 1);
    }
    w.resumeSeg = 0;
  }
  join.finish(w);
  countBatch(w, PLANE_INGRESS, first + n, COUNT_BATCH_SUM_INGRESS);
  return n;
}
