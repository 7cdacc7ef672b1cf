/** When workers last heard from a WireGuard peer, and sent to it. */
import { offsetOf } from "../abi/index.js";
import { elementAddress, type SwitchMemory } from "./instance.js";

/** Times of the workers' clock (u32 ms), the latest over all workers; 0: never. */
export interface PeerTimes {
  readonly sentMs: number;
  readonly sentDataMs: number;
  readonly receivedMs: number;
  readonly receivedDataMs: number;
}

/** @param peer peer index */
export function readPeerTimes(memory: SwitchMemory, peer: number): PeerTimes {
  const words = new Int32Array(memory.memory.buffer);
  const latest = (field: string): number => {
    let out = 0;
    for (let worker = 0; worker < memory.plan.sizes.workers; worker++) {
      const at = elementAddress(memory, "PEER_LIVE", peer, worker) + offsetOf("PeerLive", field);
      const time = Atomics.load(words, at >>> 2) >>> 0;
      if (time !== 0 && (out === 0 || ((time - out) | 0) > 0)) out = time;
    }
    return out;
  };
  return {
    sentMs: latest("sentMs"),
    sentDataMs: latest("sentDataMs"),
    receivedMs: latest("receivedMs"),
    receivedDataMs: latest("receivedDataMs"),
  };
}

/** Forgets the times of an index, for its next user. Nobody may be using it. */
export function clearPeerTimes(memory: SwitchMemory, peer: number): void {
  const octets = new Uint8Array(memory.memory.buffer);
  for (let worker = 0; worker < memory.plan.sizes.workers; worker++) {
    const at = elementAddress(memory, "PEER_LIVE", peer, worker);
    octets.fill(0, at, at + memory.plan.regions.PEER_LIVE.stride);
  }
}
