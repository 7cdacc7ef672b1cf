/**
 * Who belongs to the network, from the records alone, so that all nodes with the same records agree.
 *
 * - *Admitted* is the founder, and whoever an admitted node has ever admitted. It only grows. Their records are kept and passed on, also of
 *   those that were removed since: what a node had said stays the same everywhere.
 * - *Removed* is who has a tombstone by an admitted node, for ever.
 * - A tombstone names the greatest version that its writer had seen of the removed node. What the removed node has admitted in greater
 *   versions does not count, and who is admitted only that way is no member (it can join again). Of several tombstones the greatest counts.
 */
import type { NodeId } from "./types.js";

/** What the store knows about admissions: writer to (node to version). */
export interface Statements {
  readonly admissions: ReadonlyMap<NodeId, ReadonlyMap<NodeId, number>>;
  /** Writer to (removed node to the version up to which it is believed). */
  readonly tombstones: ReadonlyMap<NodeId, ReadonlyMap<NodeId, number>>;
}

export interface Membership {
  /** Not removed. */
  readonly members: ReadonlySet<NodeId>;
  /** To one of those who wrote a tombstone. */
  readonly removed: ReadonlyMap<NodeId, NodeId>;
}

export function membership(founder: NodeId, said: Statements): Membership {
  const removed = new Map<NodeId, NodeId>();
  const believedTo = new Map<NodeId, number>();
  for (const writer of reach(founder, said, () => Number.POSITIVE_INFINITY)) {
    for (const [node, version] of said.tombstones.get(writer) ?? []) {
      const other = removed.get(node);
      // The least writer, so that all name the same.
      if (other === undefined || writer < other) removed.set(node, writer);
      believedTo.set(node, Math.max(version, believedTo.get(node) ?? 0));
    }
  }
  const members = reach(founder, said, (node) => believedTo.get(node) ?? Number.POSITIVE_INFINITY);
  for (const node of removed.keys()) members.delete(node);
  return { members, removed };
}

function reach(founder: NodeId, said: Statements, believedTo: (node: NodeId) => number): Set<NodeId> {
  const reached = new Set([founder]);
  // A Set may grow while it is walked through.
  for (const writer of reached) {
    const to = believedTo(writer);
    for (const [node, version] of said.admissions.get(writer) ?? []) if (version <= to) reached.add(node);
  }
  return reached;
}
