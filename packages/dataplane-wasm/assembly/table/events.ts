/**
 * The ring of events from one worker to the main thread: one writer, one reader. A full ring counts events_lost; the
 * data path never waits for the control plane.
 */
import { COUNT_EVENTS_LOST, EVENTS_MAX, EVENT_SIZE, EVENT_SOURCE, Event, Worker } from "../abi.gen";
import { eventRing } from "./config";

/** Claims the next cell of the ring; 0 when it is full. The caller fills the cell, then publishes it. */
function claim(w: Worker): usize {
  const self = changetype<usize>(w);
  const head = w.eventHead;
  const tail = atomic.load<u32>(self + offsetof<Worker>("eventTail"));
  if (head - tail >= EVENTS_MAX) {
    const cell = <usize>w.counters + (<usize>COUNT_EVENTS_LOST << 3);
    store<u64>(cell, load<u64>(cell) + 1);
    return 0;
  }
  return eventRing(w) + <usize>(head & (EVENTS_MAX - 1)) * EVENT_SIZE;
}

/** The event is whole: the main thread may read it. */
function publish(w: Worker): void {
  atomic.store<u32>(changetype<usize>(w) + offsetof<Worker>("eventHead"), w.eventHead + 1);
}

export function emit(w: Worker, kind: u32, network: u32, mac: u64, owner: u32, previous: u32): void {
  const at = claim(w);
  if (at == 0) return;
  const e = changetype<Event>(at);
  e.kind = kind;
  e.network = network;
  e.mac = mac;
  e.owner = owner;
  e.previous = previous;
  publish(w);
}

/** Tells of a datagram that was refused. `network` is its index or, for EVENT_REFUSED_VNI, the VNI; `source` 16 octets. */
export function emitRefused(w: Worker, kind: u32, network: u32, source: usize): void {
  const at = claim(w);
  if (at == 0) return;
  const e = changetype<Event>(at);
  e.kind = kind;
  e.network = network;
  v128.store(at + EVENT_SOURCE, v128.load(source));
  publish(w);
}
