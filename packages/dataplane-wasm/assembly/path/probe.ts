/** Probes: packets of a peer for the one who keeps the paths, on the main thread. Counted per peer, so that none can fill the ring. */
import {
  COUNT_CONSUMED_INGRESS, COUNT_PROBES, DROP_PROBE_RATE, DROP_PUNT_FULL, PLANE_INGRESS, PROBES_PER_TICK, PROBE_LEN, RxDesc, TICK_SHIFT, Worker,
} from "../abi.gen";
import { peerLive, tunnel } from "../table/config";
import * as punt from "../table/punt";
import * as ipv4 from "../wire/ipv4";
import * as ipv6 from "../wire/ipv6";
import * as udp from "../wire/udp";
import { add, drop } from "./verdict";

/** Octets of the headers in front of a probe's payload, when the whole packet at `p`, which is for us, is one; 0 else. */
export function headOf(w: Worker, p: usize, len: u32): u32 {
  if (tunnel(w).probePort == 0) return 0;
  const is4 = load<u8>(p) >> 4 == 4;
  if (<u32>(is4 ? ipv4.proto(p) : ipv6.nextHeader(p)) != udp.PROTO || (is4 && ipv4.isFragment(p))) return 0;
  const head = is4 ? ipv4.headerLen(p) : ipv6.HEADER_LEN;
  if (len < head + udp.HEADER_LEN || udp.dstPort(p + head) != tunnel(w).probePort) return 0;
  return udp.length(p + head) == len - head ? head + udp.HEADER_LEN : 0;
}

/** Hands the first octets of the payload on. `via`: peer index + 1 that the packet came through; 0: directly. */
export function take(w: Worker, d: RxDesc, index: u32, via: u32, p: usize, head: u32, len: u32): void {
  const live = peerLive(w, index);
  const now = (w.nowMs >> TICK_SHIFT) + 1;
  if (live.probeTick != now) {
    live.probeTick = now;
    live.probeCount = 0;
  }
  if (++live.probeCount > PROBES_PER_TICK) return drop(w, PLANE_INGRESS, DROP_PROBE_RATE);
  const payload = len - head;
  if (!punt.probe(w, d, index, via, p + head, payload < PROBE_LEN ? payload : PROBE_LEN, len)) return drop(w, PLANE_INGRESS, DROP_PUNT_FULL);
  add(w, COUNT_PROBES, 1);
  add(w, COUNT_CONSUMED_INGRESS, 1);
}
