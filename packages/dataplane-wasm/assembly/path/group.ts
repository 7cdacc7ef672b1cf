/**
 * Grouping: frames to one VTEP with equal length and TOS leave in one send that the kernel cuts into datagrams
 * (UDP_SEGMENT). Nothing in the frames changes. A shorter frame may be the last of its group.
 *
 * Order is kept per sending socket and VTEP, and so per flow: what cannot join closes the group.
 */
import { ITEM_IOVS, JOIN_CLOSED, JOIN_GROUP, JoinItem, TxOp, Worker } from "../abi.gen";
import { header } from "../table/config";
import * as items from "./items";

/** Most octets of one send; what IPv6 allows is 20 more. */
const SEND_MAX: u32 = 65_507;

/** The newest group of a socket and VTEP, open or closed. */
export function find(w: Worker, dest: u32, owner: u32): JoinItem | null {
  const key = keyOf(dest, owner);
  const last = items.last(w);
  if (last != null && last.key == key && isOf(last, dest, owner)) return last;
  let it = items.first(w, key);
  while (it != null) {
    if (it.key == key && isOf(it, dest, owner)) return it;
    it = items.next(w, it);
  }
  return null;
}

function keyOf(dest: u32, owner: u32): u32 {
  return owner * 37 + dest;
}
function isOf(it: JoinItem, dest: u32, owner: u32): bool {
  const op = changetype<TxOp>(<usize>it.op);
  return op.dest == dest && op.owner == owner;
}

/** Adds a frame of `len` octets, VXLAN header included, at `off` to a group. False: it is closed now, the frame goes on its own. */
export function append(w: Worker, it: JoinItem, off: u32, len: u32, tos: u32, frameLen: u32): bool {
  if (<u32>it.state == JOIN_CLOSED) return false;
  const op = changetype<TxOp>(<usize>it.op);
  const segs = <u32>op.segs;
  let most = header().gsoSegments;
  if (most > ITEM_IOVS) most = ITEM_IOVS;
  if (len > it.segLen || <u32>op.tos != tos || segs >= most || it.octets + len > SEND_MAX) {
    it.state = <u8>JOIN_CLOSED;
    return false;
  }
  items.append(w, op, off, len);
  op.gsoSize = <u16>it.segLen;
  op.segs = <u16>(segs + 1);
  op.bytes += frameLen;
  it.octets += len;
  if (len < it.segLen) it.state = <u8>JOIN_CLOSED;
  items.touch(w, it);
  return true;
}

/** Lets an operation of one frame be joined by others. */
export function open(w: Worker, op: TxOp, len: u32): void {
  if (header().gsoSegments == 1 || !items.hasRoom(w)) return;
  const it = items.open(w, keyOf(op.dest, op.owner));
  items.adopt(w, it, op);
  it.segLen = len;
  it.octets = len;
  it.state = <u8>JOIN_GROUP;
}
