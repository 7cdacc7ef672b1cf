/** Which octets of the memory a worker and its Io may write. */
import { offsetOf } from "@weft/dataplane-wasm/abi";
import type { Rig } from "./rig.js";

/** Regions that all workers write, by their name. */
const LEARNED = ["FDB", "NEIGHBOURS", "PORT_LIVE"];

/**
 * Address of the first octet that worker 0 had no business with and that differs from `before`; undefined: there is none.
 * `also`: further shared regions that it may write.
 */
export function strayWrite(rig: Rig, before: Buffer, also: readonly string[] = []): number | undefined {
  const allowed: [number, number][] = ["fdbCount", "neighbourCount"].map((field) => [
    offsetOf("Header", field),
    offsetOf("Header", field) + 4,
  ]);
  for (const region of Object.values(rig.switchMemory.plan.regions)) {
    if (region.perWorker > 0 || LEARNED.includes(region.name) || also.includes(region.name))
      allowed.push([region.base, region.base + region.stride * region.count]);
  }
  allowed.sort((a, b) => a[0] - b[0]);
  let from = 0;
  for (const [start, end] of [...allowed, [before.length, before.length] as const]) {
    if (rig.octets.compare(before, from, start, from, start) !== 0) {
      let at = from;
      while (rig.octets[at] === before[at]) at++;
      return at;
    }
    from = end;
  }
  return undefined;
}
