/**
 * With whom a node should be linked. All live nodes in the order of their keys, which are random, make a ring: each is linked with the next
 * on it, so that the graph is connected, and with others at random up to LINKS_WANTED, so that it is shallow.
 *
 * The ring is looked after slowly: after a partition has healed, all of it changes, and nothing hangs on it at once.
 *
 * Members out of reach are tried all the time. All nodes of a live part together make eight attempts a second, or the square root of how many
 * are out of reach: the first link between two parts tells both of them about all, more at once would only say it again.
 */
import type { NodeId } from "./types.js";

export const LINKS_WANTED = 5;
/** Beyond, links that are not needed are ended, one at a time. */
export const LINKS_ENOUGH = 10;
/** Beyond, links that others open are refused, */
export const LINKS_MAX = 16;
/** but for those from nodes out of reach, up to here. */
export const LINKS_LIMIT = 20;
const ATTEMPTS = 8;

/** The next in the order of keys, around the end. */
export function successor(self: NodeId, alive: Iterable<NodeId>): NodeId | undefined {
  let least: NodeId | undefined;
  let next: NodeId | undefined;
  for (const node of alive) {
    if (node === self) continue;
    if (least === undefined || node < least) least = node;
    if (node > self && (next === undefined || node < next)) next = node;
  }
  return next ?? least;
}

/** Whether a link between the two belongs to the ring. */
export function isOnRing(self: NodeId, other: NodeId, alive: readonly NodeId[]): boolean {
  return successor(self, alive) === other || successor(other, [...alive, self]) === self;
}

/** Chance that a node of a live part of `alive` nodes tries one of those out of reach in this second. */
export function chanceToTry(alive: number, outOfReach: number): number {
  return Math.min(1, Math.max(ATTEMPTS, Math.sqrt(outOfReach)) / alive);
}
