/**
 * The ring of handshake messages and probes from one worker to the main thread: one writer, one reader, bounded. Half of it is for
 * messages that cost their sender something; a flood of initiations without mac2, or of forged cookie replies, can only fill the other.
 */
import {
  PUNTS_MAX, PUNT_ADDR, PUNT_LOCAL, PUNT_MESSAGE, PUNT_SIZE, PUNT_PROBE, Punt, RX_DESC_ADDR, RX_DESC_LOCAL, RxDesc, Worker,
} from "../abi.gen";
import { puntRing } from "./config";
import { callMain } from "./events";

/** The next place; 0 when the ring is full. */
function place(w: Worker, isCheap: bool): usize {
  const self = changetype<usize>(w);
  const head = w.puntHead;
  const used = head - atomic.load<u32>(self + offsetof<Worker>("puntTail"));
  if (used >= (isCheap ? PUNTS_MAX / 2 : PUNTS_MAX)) return 0;
  return puntRing(w) + <usize>(head & (PUNTS_MAX - 1)) * PUNT_SIZE;
}

function fill(w: Worker, d: RxDesc, at: usize, p: usize, len: u32, flags: u32, via: u32): void {
  const self = changetype<usize>(w);
  const punt = changetype<Punt>(at);
  punt.len = len;
  punt.via = via;
  punt.flags = flags;
  punt.source = d.source;
  punt.port = d.addrPort;
  v128.store(at + PUNT_ADDR, v128.load(changetype<usize>(d) + RX_DESC_ADDR));
  v128.store(at + PUNT_LOCAL, v128.load(changetype<usize>(d) + RX_DESC_LOCAL));
  memory.copy(at + PUNT_MESSAGE, p, len);
  atomic.store<u32>(self + offsetof<Worker>("puntHead"), w.puntHead + 1);
  callMain(w);
}

/**
 * Copies a message of `len` ≤ PUNT_LEN octets. `isCheap`: anybody can make many of its kind. `via`: peer index + 1 that it came through.
 * @returns whether there was room
 */
export function put(w: Worker, d: RxDesc, p: usize, len: u32, flags: u32, isCheap: bool, via: u32): bool {
  const at = place(w, isCheap);
  if (at == 0) return false;
  fill(w, d, at, p, len, flags, via);
  return true;
}

/** Copies `len` ≤ PROBE_LEN octets of a probe's payload. `total`: octets of its packet. @returns whether there was room */
export function probe(w: Worker, d: RxDesc, index: u32, via: u32, p: usize, len: u32, total: u32): bool {
  const at = place(w, true);
  if (at == 0) return false;
  const punt = changetype<Punt>(at);
  punt.peer = index;
  punt.total = total;
  fill(w, d, at, p, len, PUNT_PROBE, via);
  return true;
}
