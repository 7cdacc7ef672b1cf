/**
 * Counts what became of the transmit operations, after the addon has carried them out: out and traffic for those that the
 * kernel took, a drop reason by errno for the others.
 */
import {
  COUNT_GROUPED_SENDS, COUNT_MERGED_INGRESS, COUNT_OUT_EGRESS, COUNT_OUT_INGRESS, COUNT_SUPER_FRAMES_INGRESS, DROP_PORT_DOWN, DROP_PORT_FULL, DROP_PORT_GONE, DROP_PORT_REFUSED, DROP_UDP_FULL,
  DROP_UDP_REFUSED, DROP_UDP_TOO_BIG, DROP_UDP_UNREACHABLE, KIND_L3PEER, KIND_PORT, KIND_VTEP, OP_TAP, OP_UDP, PLANE_EGRESS, PORT_L3,
  SENDER_WIREGUARD, TX_OP_SIZE, TxOp, VXLAN_LEN, Worker,
} from "../abi.gen";
import { indexOf, kindOf, networkCounters, peerCounters, port, portCounters, vtep, vtepCounters } from "../table/config";
import * as items from "./items";
import { add, dropMany } from "./verdict";

// Linux errno values (include/uapi/asm-generic/errno-base.h, errno.h).
const EIO: i32 = 5;
const EBADF: i32 = 9;
const EAGAIN: i32 = 11;
const ENOMEM: i32 = 12;
const ENODEV: i32 = 19;
const EBADFD: i32 = 77;
const EMSGSIZE: i32 = 90;
const EADDRNOTAVAIL: i32 = 99;
const ENETDOWN: i32 = 100;
const ENETUNREACH: i32 = 101;
const ENOBUFS: i32 = 105;
const EHOSTDOWN: i32 = 112;
const EHOSTUNREACH: i32 = 113;

function portReason(errno: i32): u32 {
  if (errno == EBADF || errno == EBADFD || errno == ENODEV) return DROP_PORT_GONE;
  if (errno == EIO) return DROP_PORT_DOWN;
  if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM) return DROP_PORT_FULL;
  return DROP_PORT_REFUSED;
}

function udpReason(errno: i32): u32 {
  if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM) return DROP_UDP_FULL;
  if (errno == EMSGSIZE) return DROP_UDP_TOO_BIG;
  if (
    errno == ENETUNREACH || errno == EHOSTUNREACH || errno == ENETDOWN || errno == EHOSTDOWN || errno == EADDRNOTAVAIL ||
    errno == ENODEV
  ) {
    return DROP_UDP_UNREACHABLE;
  }
  return DROP_UDP_REFUSED;
}

/**
 * Segments of a send that the kernel took. The addon may have had to send them one by one (a kernel or interface that
 * refuses UDP_SEGMENT) and may have been stopped half-way: `octets` then ends at a segment's border.
 */
function segmentsTaken(op: TxOp, octets: u32): u32 {
  const segs = <u32>op.segs;
  // The last segment has at least one octet: whoever took more than the others took all.
  if (op.gsoSize == 0 || octets > (segs - 1) * op.gsoSize) return segs;
  return octets / op.gsoSize;
}

/** Octets of a frame in all but the last segment of a send; of sealed ones, whose padding nobody keeps, the mean. */
function frameOctets(op: TxOp): u64 {
  return op.dest >= SENDER_WIREGUARD ? op.bytes / op.segs : <u64>op.gsoSize - VXLAN_LEN;
}

/** Counts what was sent of one operation. */
function count(w: Worker, op: TxOp, segs: u32, octets: u64): void {
  const isMerged = <u32>op.kind == OP_TAP && segs > 1;
  const frames: u64 = isMerged ? 1 : segs;
  const index = indexOf(op.owner);
  if (<u32>op.kind == OP_UDP && segs > 1 && op.iovCount == op.segs) add(w, COUNT_GROUPED_SENDS, 1);
  if (op.plane == PLANE_EGRESS) {
    add(w, COUNT_OUT_EGRESS, frames);
  } else {
    add(w, COUNT_OUT_INGRESS, frames);
    if (isMerged) {
      add(w, COUNT_MERGED_INGRESS, segs - 1);
      add(w, COUNT_SUPER_FRAMES_INGRESS, 1);
    }
  }
  if (kindOf(op.owner) == KIND_PORT) {
    const c = portCounters(w, index);
    c.txPackets += segs;
    c.txBytes += octets;
    if ((port(w, index).flags & PORT_L3) != 0) return;
    const n = networkCounters(w, op.network);
    n.txPackets += segs;
    n.txBytes += octets;
  } else if (kindOf(op.owner) == KIND_VTEP) {
    const c = vtepCounters(w, index);
    c.txPackets += segs;
    c.txBytes += octets;
    const peer = vtep(w, index).peer;
    if (peer != 0) countPeer(w, peer - 1, segs, op.result);
  } else if (kindOf(op.owner) == KIND_L3PEER) {
    countPeer(w, index, segs, op.result);
  }
}

/** Data messages that went to a WireGuard peer, and their octets. */
function countPeer(w: Worker, index: u32, messages: u32, octets: u32): void {
  const c = peerCounters(w, index);
  c.txPackets += messages;
  c.txBytes += octets;
}

/** Counts operations 0..txCount-1 and empties the list. */
export function complete(w: Worker): void {
  for (let i: u32 = 0; i < w.txCount; i++) {
    const op = changetype<TxOp>(<usize>w.txOps + <usize>i * TX_OP_SIZE);
    const segs = <u32>op.segs;
    if (op.result < 0) {
      const errno = -op.result;
      dropMany(w, op.plane, <u32>op.kind == OP_TAP ? portReason(errno) : udpReason(errno), segs);
      continue;
    }
    const taken = segmentsTaken(op, op.result);
    if (taken == segs) {
      count(w, op, segs, op.bytes);
      continue;
    }
    // What stopped the rest is not known: most often the socket was full.
    dropMany(w, op.plane, DROP_UDP_FULL, segs - taken);
    if (taken != 0) count(w, op, taken, taken * frameOctets(op));
  }
  w.txCount = 0;
  reclaim(w);
}

/** Takes back what operations would name, while there is none: made for frames that were dropped, it would be in others' way. */
export function reclaim(w: Worker): void {
  w.iovCount = 0;
  w.headerCount = 0;
  w.sealedUsed = 0;
  items.clear(w);
}
