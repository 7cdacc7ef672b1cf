/** Ageing: a slice of the FDB and of the neighbour table per call, so that no call is long. */
import { REGION_FDB, REGION_NEIGHBOURS, TICK_SHIFT, Worker } from "../abi.gen";
import { region } from "../table/config";
import * as fdb from "../table/fdb";
import * as neighbour from "../table/neighbour";

/** Ages the next `buckets` buckets of each table, going round. */
export function age(w: Worker, buckets: u32, nowMs: u32): void {
  const tick = (nowMs >> TICK_SHIFT) & 0xffff;
  const fdbMask = region(REGION_FDB).count - 1;
  const neighbourMask = region(REGION_NEIGHBOURS).count - 1;
  for (let i: u32 = 0; i < buckets; i++) {
    fdb.ageBucket(w, w.ageBucket, tick);
    w.ageBucket = (w.ageBucket + 1) & fdbMask;
    neighbour.ageBucket(w, w.neighbourBucket, tick);
    w.neighbourBucket = (w.neighbourBucket + 1) & neighbourMask;
  }
}
