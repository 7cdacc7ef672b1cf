/**
 * Grouping: frames to one VTEP, and packets for others that a relay hands to one peer, leave in one send that the kernel cuts into
 * datagrams (UDP_SEGMENT), when their length and TOS are equal. Nothing in them changes. A shorter frame of a local port may be the
 * last of its group. What comes from the underlay may be of several senders: there, a longer one that does not fit the path would
 * take the shorter one of somebody else with it.
 *
 * Order is kept per sending socket and owner (VTEP or peer), and so per flow: what cannot join closes the group.
 */
import { ITEM_IOVS, JOIN_CLOSED, JOIN_GROUP, JoinItem, PLANE_EGRESS, TxOp, Worker } from "../abi.gen";
import { header } from "../table/config";
import * as items from "./items";

/** Most octets of one send; what IPv6 allows is 20 more. */
const SEND_MAX: u32 = 65_507;

/** The newest group of a socket and owner, open or closed. */
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

/** Adds a datagram of `len` octets at `off` to a group. False: it is closed now, the datagram goes on its own. */
export function append(w: Worker, it: JoinItem, off: u32, len: u32, tos: u32, frameLen: u32): bool {
  if (<u32>it.state == JOIN_CLOSED) return false;
  const op = changetype<TxOp>(<usize>it.op);
  const segs = <u32>op.segs;
  let most = header().gsoSegments;
  if (most > ITEM_IOVS) most = ITEM_IOVS;
  const isOther = len > it.segLen || (len < it.segLen && <u32>op.plane != PLANE_EGRESS);
  if (isOther || <u32>op.tos != tos || segs >= most || it.octets + len > SEND_MAX) {
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
