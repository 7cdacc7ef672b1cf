/**
 * Exports of the module, and nothing else. Every argument is a u32; `worker` is a worker index below Header.workers.
 *
 * The module keeps no state of its own: all of it lies in the regions of the memory, so that several instances work on one
 * memory and a new instance can take over between two batches.
 */
import { ABI_HASH, GENERATION_PARKED, Worker } from "./abi.gen";
import { age as agePath } from "./path/age";
import { complete as completePath } from "./path/complete";
import { egress as egressPath } from "./path/egress";
import { ingress as ingressPath } from "./path/ingress";
import { begin as beginConfig, setup as setupConfig, worker as workerAt } from "./table/config";
import * as fdb from "./table/fdb";
import * as neighbour from "./table/neighbour";

/** Identity of the ABI this module was compiled with. */
export function abiHash(): u32 {
  return ABI_HASH;
}
/** First octet behind the module's static data: regions lie behind it. */
export function heapBase(): usize {
  return __heap_base;
}
/** Fills a worker's record from the region table. Once per worker, before anything else. */
export function setup(worker: u32): void {
  setupConfig(worker);
}
/** Takes the configuration in force. At the start of every turn of the loop. */
export function begin(worker: u32): void {
  beginConfig(workerAt(worker));
}
/** Says that this worker holds no table. Before it sleeps. */
export function park(worker: u32): void {
  atomic.store<u32>(changetype<usize>(workerAt(worker)) + offsetof<Worker>("generation"), GENERATION_PARKED);
}
/** Judges frames from ports; see path/egress.ts. */
export function egress(worker: u32, first: u32, n: u32, nowMs: u32): u32 {
  return egressPath(workerAt(worker), first, n, nowMs);
}
/** Judges datagrams from the underlay; see path/ingress.ts. */
export function ingress(worker: u32, first: u32, n: u32, nowMs: u32): u32 {
  return ingressPath(workerAt(worker), first, n, nowMs);
}
/** Counts the results of the transmit operations and empties their list. */
export function complete(worker: u32): void {
  completePath(workerAt(worker));
}
/** Ages the next buckets of the FDB and the neighbour table. */
export function age(worker: u32, buckets: u32, nowMs: u32): void {
  agePath(workerAt(worker), buckets, nowMs);
}
/** Forgets where a MAC of a network index was learned; `macHi` its first two octets, `macLo` the other four. */
export function forget(worker: u32, network: u32, macHi: u32, macLo: u32): void {
  fdb.forget(workerAt(worker), fdb.keyOf(network, (<u64>macHi << 32) | <u64>macLo));
}
/** Forgets learned MACs and neighbours of a network index, or of all with 0xffffffff. */
export function flush(worker: u32, network: u32): void {
  fdb.flush(workerAt(worker), network);
  neighbour.flush(network);
}
