/**
 * Counting. The law of the data path: in + made = out + consumed + merged + drops, per plane.
 *
 * drop() is the only way to end a frame early. `plane` is PLANE_EGRESS or PLANE_INGRESS.
 */
import { BATCH_BASE, BATCH_BUCKETS, DROP_BASE, Worker } from "../abi.gen";

/** Adds to a cell of this worker's counter block. */
// @ts-ignore: decorator
@inline
export function add(w: Worker, cell: u32, n: u64): void {
  const at = <usize>w.counters + (<usize>cell << 3);
  store<u64>(at, load<u64>(at) + n);
}

/** Ends `n` frames with a reason. */
// @ts-ignore: decorator
@inline
export function dropMany(w: Worker, plane: u32, reason: u32, n: u32): void {
  add(w, DROP_BASE + reason * 2 + plane, n);
}

/** Ends one frame with a reason. */
// @ts-ignore: decorator
@inline
export function drop(w: Worker, plane: u32, reason: u32): void {
  dropMany(w, plane, reason, 1);
}

/** Notes the size of a batch in the histogram: buckets ≤1, 2, 4 … 128, more. */
export function countBatch(w: Worker, plane: u32, n: u32, sumCell: u32): void {
  if (n == 0) return;
  let bucket: u32 = n == 1 ? 0 : 32 - clz<u32>(n - 1);
  if (bucket > BATCH_BUCKETS - 1) bucket = BATCH_BUCKETS - 1;
  add(w, BATCH_BASE + plane * BATCH_BUCKETS + bucket, 1);
  add(w, sumCell, n);
}
