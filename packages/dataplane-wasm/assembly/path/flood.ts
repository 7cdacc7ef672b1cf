/**
 * Broadcast, unknown unicast and multicast: head-end replication (RFC 7348 §4.2).
 *
 * From a port to every other port and every VTEP of the network; from a VTEP to ports only (split horizon), so a full mesh of
 * VTEPs needs no loop protection. The gateway's port is every host's own: between it and VTEPs nothing is flooded. All copies
 * share one payload.
 */
import {
  COUNT_FLOOD_EGRESS, COUNT_FLOOD_INGRESS, COUNT_MADE_EGRESS, COUNT_MADE_INGRESS, DROP_BUM_RATE, DROP_NO_DESTINATION,
  Network, PLANE_EGRESS, PLANE_INGRESS, PORT_UP, RxDesc, Worker,
} from "../abi.gen";
import { indexOf, port, portLive, vtep } from "../table/config";
import * as virtio from "../wire/virtio";
import * as deliver from "./deliver";
import * as items from "./items";
import * as seal from "./seal";
import * as segment from "./segment";
import * as toRouted from "./to-routed";
import * as tooBig from "./too-big";
import { add, drop } from "./verdict";
import * as outward from "./vtep";

/**
 * Takes `frames` tokens of the port's BUM rate, or as many as there can ever be; false when it has fewer. Tokens are counted in
 * 1/1000 of a frame.
 */
export function takeTokens(w: Worker, n: Network, index: u32, frames: u32): bool {
  if (n.bumRate == 0) return true;
  const live = portLive(index);
  const limit = n.bumBurst * 1000;
  let tokens = limit;
  // A port that never sent has stamp 0 and a full bucket.
  if (live.bumStampMs != 0) {
    const since = <i32>(w.nowMs - live.bumStampMs);
    // rate frames/s is rate thousandths per millisecond.
    const refill = <u64>(since > 0 ? since : 0) * <u64>n.bumRate + <u64>live.bumTokens;
    if (refill < <u64>limit) tokens = <u32>refill;
  }
  live.bumStampMs = w.nowMs == 0 ? 1 : w.nowMs;
  const price = (frames < n.bumBurst ? frames : n.bumBurst) * 1000;
  const ok = tokens >= price && tokens >= 1000;
  if (ok) tokens -= price;
  live.bumTokens = tokens;
  return ok;
}

/** Copies a frame from a port to everybody else. */
export function fromPort(w: Worker, d: RxDesc, n: Network): void {
  const from = indexOf(d.owner);
  const isSuper = <u32>d.gsoType != virtio.GSO_NONE;
  // A super-frame is many frames to whoever gets it.
  const frames = isSuper && d.gsoSize != 0 ? d.frameLen / d.gsoSize + 1 : 1;
  if (!takeTokens(w, n, from, frames)) return drop(w, PLANE_EGRESS, DROP_BUM_RATE);
  add(w, COUNT_FLOOD_EGRESS, 1);
  let copies: u32 = 0;
  const vteps = from + 1 == n.gatewayPort ? 0 : n.vtepHead;
  if (vteps != 0 && isSuper) {
    const gsoSize = d.gsoSize;
    for (let next = vteps; next != 0; next = vtep(w, next - 1).next) segment.narrow(d, seal.frameMax(w, next - 1));
    const headerBytes = segment.measure(w, d, n.fanout);
    if (headerBytes == 0) return;
    const segments = segment.countOf(d, headerBytes);
    const first = segment.cut(w, d, n.vni, headerBytes);
    for (let next = vteps; next != 0; next = vtep(w, next - 1).next) {
      segment.toVtep(w, d, next - 1, headerBytes, first);
      copies += segments;
    }
    // Ports get it as it came.
    d.gsoSize = gsoSize;
  } else if (vteps != 0) {
    // First, because it finishes the checksum that local copies would otherwise still announce as open.
    deliver.encapsulate(d, n.vni);
    for (let next = vteps; next != 0; next = vtep(w, next - 1).next) {
      // One VTEP's path may be too narrow for what all others get.
      if (tooBig.fits(w, d, next - 1)) outward.send(w, d, next - 1);
      copies++;
    }
  }
  copies += toPorts(w, d, n, from + 1, 0);
  finish(w, PLANE_EGRESS, COUNT_MADE_EGRESS, copies);
}

/** Copies a frame from a VTEP to every port. */
export function fromVtep(w: Worker, d: RxDesc, n: Network): void {
  add(w, COUNT_FLOOD_INGRESS, 1);
  // The copies share their headers, so they are never joined; and nothing may go past them.
  items.closeAll(w);
  finish(w, PLANE_INGRESS, COUNT_MADE_INGRESS, toPorts(w, d, n, 0, n.gatewayPort));
}

/** Copies to all ports but those two, index + 1. */
function toPorts(w: Worker, d: RxDesc, n: Network, except: u32, gateway: u32): u32 {
  let copies: u32 = 0;
  for (let next = n.portHead; next != 0; next = port(w, next - 1).next) {
    if (next == except || next == gateway || (port(w, next - 1).flags & PORT_UP) == 0) continue;
    if (!toRouted.takesCopy(w, d, next - 1)) continue;
    deliver.toPort(w, d, next - 1);
    copies++;
  }
  return copies;
}

/** One frame became `copies` frames. */
function finish(w: Worker, plane: u32, madeCell: u32, copies: u32): void {
  if (copies == 0) return drop(w, plane, DROP_NO_DESTINATION);
  add(w, madeCell, copies - 1);
}
