/**
 * Operations that may still take further frames: a UDP_SEGMENT send (group.ts) or a super-frame for a port (join.ts). They are
 * found by a key, newest first, and live until complete(). The frame that came last is most often of the same run, so its
 * item is looked at before the hash.
 *
 * Each item has a fixed part of the iovecs behind Worker.iovMax, so that its list can grow while others are made.
 */
import { IOV_SIZE, ITEMS_MAX, ITEM_IOVS, Iov, JOIN_ITEM_SIZE, JoinItem, TxOp, Worker } from "../abi.gen";

const HEADS: u32 = 256;

function itemAt(w: Worker, index: u32): JoinItem {
  return changetype<JoinItem>(<usize>w.items + <usize>index * JOIN_ITEM_SIZE);
}

/** Item of a position, index + 1; null for 0. */
function itemOf(w: Worker, position: u32): JoinItem | null {
  return position == 0 ? null : itemAt(w, position - 1);
}

/** Newest item of a hash head. */
export function first(w: Worker, key: u32): JoinItem | null {
  return itemOf(w, load<u8>(<usize>w.itemHeads + (key & (HEADS - 1))));
}
/** Next older item of the same hash head. */
export function next(w: Worker, it: JoinItem): JoinItem | null {
  return itemOf(w, it.next);
}
/** The item that took the last frame. */
export function last(w: Worker): JoinItem | null {
  return itemOf(w, w.lastItem);
}
/** Remembers the item that took a frame. */
export function touch(w: Worker, it: JoinItem): void {
  w.lastItem = <u32>((changetype<usize>(it) - <usize>w.items) / JOIN_ITEM_SIZE) + 1;
}

export function hasRoom(w: Worker): bool {
  return w.itemCount < ITEMS_MAX;
}

/** A new item; the caller has asked hasRoom() and fills the rest. */
export function open(w: Worker, key: u32): JoinItem {
  const it = itemAt(w, w.itemCount);
  w.itemCount++;
  const head = <usize>w.itemHeads + (key & (HEADS - 1));
  it.key = key;
  it.next = load<u8>(head);
  store<u8>(head, <u8>w.itemCount);
  w.lastItem = w.itemCount;
  return it;
}

/** Gives an operation of one iovec the item's own list. */
export function adopt(w: Worker, it: JoinItem, op: TxOp): void {
  const from = <usize>w.iovs + <usize>op.iovStart * IOV_SIZE;
  const start = w.iovMax + <u32>((changetype<usize>(it) - <usize>w.items) / JOIN_ITEM_SIZE) * ITEM_IOVS;
  store<u64>(<usize>w.iovs + <usize>start * IOV_SIZE, load<u64>(from));
  op.iovStart = start;
  it.op = <u32>changetype<usize>(op);
}

/** Adds an iovec to an item's operation; it has fewer than ITEM_IOVS. */
export function append(w: Worker, op: TxOp, off: u32, len: u32): void {
  const iov = changetype<Iov>(<usize>w.iovs + <usize>(op.iovStart + op.iovCount) * IOV_SIZE);
  iov.off = off;
  iov.len = len;
  op.iovCount++;
}

/** Nothing joins an item any more that is there now. */
export function closeAll(w: Worker): void {
  for (let i: usize = 0; i < HEADS; i += 16) v128.store(<usize>w.itemHeads + i, i64x2.splat(0));
  w.lastItem = 0;
}

/** Forgets all items: their operations are sent. */
export function clear(w: Worker): void {
  if (w.itemCount == 0) return;
  closeAll(w);
  w.itemCount = 0;
}

/** For going over all items: `i` below Worker.itemCount. */
export function at(w: Worker, i: u32): JoinItem {
  return itemAt(w, i);
}
