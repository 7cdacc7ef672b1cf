/** WireGuard peers of a configuration file that was read again: which there are while its networks change. */
import { formatAddress, networkKey, parseCidr } from "../dataplane/address.js";
import type { PeerSpec } from "../dataplane/types.js";

/**
 * Peers for the time between two lists: all of the new one, and those that only the old one has. What the old list covers
 * stays covered, so that networks may change from one to the other; a prefix that has another peer now is that one's.
 */
export function meanwhile(before: readonly PeerSpec[], after: readonly PeerSpec[]): PeerSpec[] {
  const taken = new Set(after.flatMap((peer) => (peer.allowedIps ?? []).map(plain)));
  const coming = new Map(after.map((peer) => [peer.publicKey, peer]));
  // In the order of the old list: where nothing but a removal is to come, it is the old list.
  const staying = before.map((old) => {
    const peer = coming.get(old.publicKey);
    coming.delete(old.publicKey);
    const left = (old.allowedIps ?? []).filter((prefix) => !taken.has(plain(prefix)));
    if (!peer) return left.length === old.allowedIps?.length ? old : { ...old, allowedIps: left };
    return left.length === 0 ? peer : { ...peer, allowedIps: [...(peer.allowedIps ?? []), ...left] };
  });
  return [...staying, ...coming.values()];
}

/** A prefix in its one form. */
function plain(prefix: string): string {
  const parsed = parseCidr(prefix);
  return parsed ? `${formatAddress(networkKey(parsed))}/${parsed.length}` : prefix;
}
