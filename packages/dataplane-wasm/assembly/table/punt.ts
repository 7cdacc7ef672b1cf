/**
 * The ring of handshake messages from one worker to the main thread: one writer, one reader, bounded. Half of it is for messages
 * that cost their sender something; a flood of initiations without mac2, or of forged cookie replies, can only fill the other.
 */
import {
  PUNTS_MAX, PUNT_ADDR, PUNT_LOCAL, PUNT_MESSAGE, PUNT_SIZE, Punt, RX_DESC_ADDR, RX_DESC_LOCAL, RxDesc, Worker,
} from "../abi.gen";
import { puntRing } from "./config";
import { callMain } from "./events";

/** Copies a message of `len` ≤ PUNT_LEN octets. `isCheap`: anybody can make many of its kind. @returns whether there was room */
export function put(w: Worker, d: RxDesc, p: usize, len: u32, flags: u32, isCheap: bool): bool {
  const self = changetype<usize>(w);
  const head = w.puntHead;
  const used = head - atomic.load<u32>(self + offsetof<Worker>("puntTail"));
  if (used >= (isCheap ? PUNTS_MAX / 2 : PUNTS_MAX)) return false;
  const at = puntRing(w) + <usize>(head & (PUNTS_MAX - 1)) * PUNT_SIZE;
  const punt = changetype<Punt>(at);
  punt.len = len;
  punt.flags = flags;
  punt.source = d.source;
  punt.port = d.addrPort;
  v128.store(at + PUNT_ADDR, v128.load(changetype<usize>(d) + RX_DESC_ADDR));
  v128.store(at + PUNT_LOCAL, v128.load(changetype<usize>(d) + RX_DESC_LOCAL));
  memory.copy(at + PUNT_MESSAGE, p, len);
  atomic.store<u32>(self + offsetof<Worker>("puntHead"), head + 1);
  callMain(w);
  return true;
}
