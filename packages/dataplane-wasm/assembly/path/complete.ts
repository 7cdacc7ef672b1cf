/**
 * Counts what became of the transmit operations, after the addon has carried them out: out and traffic for those that the
 * kernel took, a drop reason by errno for the others.
 */
import {
  COUNT_OUT_EGRESS, COUNT_OUT_INGRESS, DROP_PORT_DOWN, DROP_PORT_FULL, DROP_PORT_GONE, DROP_PORT_REFUSED, DROP_UDP_FULL,
  DROP_UDP_REFUSED, DROP_UDP_TOO_BIG, DROP_UDP_UNREACHABLE, KIND_PORT, KIND_VTEP, OP_TAP, PLANE_EGRESS, TX_OP_SIZE, TxOp,
  Worker,
} from "../abi.gen";
import { indexOf, kindOf, networkCounters, portCounters, vtepCounters } from "../table/config";
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

/** Counts operations 0..txCount-1 and empties the list. */
export function complete(w: Worker): void {
  const count = w.txCount;
  for (let i: u32 = 0; i < count; i++) {
    const op = changetype<TxOp>(<usize>w.txOps + <usize>i * TX_OP_SIZE);
    const segs = <u32>op.segs;
    const plane = <u32>op.plane;
    if (op.result < 0) {
      const errno = -op.result;
      dropMany(w, plane, <u32>op.kind == OP_TAP ? portReason(errno) : udpReason(errno), segs);
      continue;
    }
    add(w, plane == PLANE_EGRESS ? COUNT_OUT_EGRESS : COUNT_OUT_INGRESS, segs);
    const index = indexOf(op.owner);
    if (kindOf(op.owner) == KIND_PORT) {
      const c = portCounters(w, index);
      c.txPackets += segs;
      c.txBytes += op.bytes;
      const n = networkCounters(w, op.network);
      n.txPackets += segs;
      n.txBytes += op.bytes;
    } else if (kindOf(op.owner) == KIND_VTEP) {
      const c = vtepCounters(w, index);
      c.txPackets += segs;
      c.txBytes += op.bytes;
    }
  }
  w.txCount = 0;
  w.iovCount = 0;
}
