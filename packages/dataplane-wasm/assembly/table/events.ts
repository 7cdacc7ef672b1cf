/**
 * The ring of events from one worker to the main thread: one writer, one reader. A full ring counts events_lost; the
 * data path never waits for the control plane.
 */
import {
  COUNT_EVENTS_LOST, EVENTS_MAX, EVENT_LOCAL, EVENT_ROAMED, EVENT_SIZE, EVENT_SOURCE, Event, KIND_L3PEER, RX_DESC_ADDR, RX_DESC_LOCAL, RxDesc, Worker,
} from "../abi.gen";
import { eventRing, key, ownerOf } from "./config";

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

/** @returns whether there was room */
export function emit(w: Worker, kind: u32, network: u32, mac: u64, owner: u32, previous: u32): bool {
  const at = claim(w);
  if (at == 0) return false;
  const e = changetype<Event>(at);
  e.kind = kind;
  e.network = network;
  e.mac = mac;
  e.owner = owner;
  e.previous = previous;
  publish(w);
  return true;
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

/** Asks the main thread to look at events and messages now, not at its next turn. */
export function callMain(w: Worker): void {
  const at = changetype<usize>(w) + offsetof<Worker>("attention");
  if (atomic.load<u32>(at) == 0) atomic.store<u32>(at, 1);
}

/** Tells of a WireGuard peer. */
export function emitPeer(w: Worker, kind: u32, peer: u32): void {
  emit(w, kind, 0, 0, ownerOf(KIND_L3PEER, peer), 0);
  callMain(w);
}
/** Tells of a key. Its receiver index goes with it: the slot may have a new user before the main thread looks. @returns whether there was room */
export function emitKey(w: Worker, kind: u32, slot: u32): bool {
  const k = key(slot);
  const told = emit(w, kind, k.local, 0, ownerOf(KIND_L3PEER, k.peer), slot);
  callMain(w);
  return told;
}

/** Tells that a peer's authenticated datagram has come another way than before. */
export function emitRoamed(w: Worker, peer: u32, d: RxDesc): void {
  const at = claim(w);
  if (at == 0) return;
  const e = changetype<Event>(at);
  e.kind = EVENT_ROAMED;
  e.network = 0;
  e.owner = ownerOf(KIND_L3PEER, peer);
  e.port = d.addrPort;
  v128.store(at + EVENT_SOURCE, v128.load(changetype<usize>(d) + RX_DESC_ADDR));
  v128.store(at + EVENT_LOCAL, v128.load(changetype<usize>(d) + RX_DESC_LOCAL));
  publish(w);
  callMain(w);
}
