/**
 * Who belongs to the network, from the records alone, so that all nodes with the same records agree.
 *
 * - *Admitted* is the founder, and whoever an admitted node has ever admitted. It only grows. Their admissions and tombstones are kept and
 *   passed on, also of those that were removed since.
 * - *Rank*: the founder, then whom it has admitted, in this order, then whom those have admitted, and so on.
 * - *Removed* is who has a tombstone by an admitted node, for ever.
 * - A tombstone names the greatest version that its writer had seen of the removed node. In greater versions it is not believed: whom it
 *   admits in them is no member (it can join again), whom it removes in them stays. Of several tombstones the greatest counts.
 * - Of two that remove each other, each after the other as it says, the one of higher rank is believed: who was removed and has kept its key
 *   cannot turn on those above it. Those at the top repeat every tombstone (mesh.ts), so that this holds whoever wrote it first.
 */
import type { NodeId } from "./types.js";

export interface Tombstone {
  /** Of the record. */
  readonly version: number;
  /** Up to which the removed node is believed. */
  readonly upTo: number;
  /** Who has removed it, as the writer says: itself, or whose tombstone it repeats. */
  readonly by: NodeId;
}

/** What the store knows about admissions: writer to (node to version). */
export interface Statements {
  readonly admissions: ReadonlyMap<NodeId, ReadonlyMap<NodeId, number>>;
  /** Writer to (removed node to its tombstone). */
  readonly tombstones: ReadonlyMap<NodeId, ReadonlyMap<NodeId, Tombstone>>;
}

export interface Membership {
  /** Not removed. */
  readonly members: ReadonlySet<NodeId>;
  /** To who has removed it, as the writer of highest rank says. */
  readonly removed: ReadonlyMap<NodeId, NodeId>;
  /** Up to which version a removed node is believed. */
  readonly believedTo: ReadonlyMap<NodeId, number>;
  /** All that were ever admitted, by rank. */
  readonly ranked: readonly NodeId[];
}

export function membership(founder: NodeId, said: Statements): Membership {
  const removed = new Map<NodeId, NodeId>();
  const believedTo = new Map<NodeId, number>();
  const limit = (node: NodeId): number => believedTo.get(node) ?? Number.POSITIVE_INFINITY;
  const ranked = reach(founder, said, () => Number.POSITIVE_INFINITY);
  const admitters = new Map<NodeId, { readonly by: NodeId; readonly version: number }[]>();
  for (const by of ranked)
    for (const [node, version] of said.admissions.get(by) ?? [])
      admitters.set(node, [...(admitters.get(node) ?? []), { by, version }]);
  const isLetIn = (node: NodeId): boolean =>
    node === founder || (admitters.get(node) ?? []).some(({ by, version }) => version <= limit(by));

  // Those of higher rank have spoken when it is a writer's turn.
  for (const writer of ranked) {
    const inOrder = [...(said.tombstones.get(writer) ?? [])].sort(([, a], [, b]) => a.version - b.version);
    for (const [node, { version, upTo, by }] of inOrder) {
      if (version > limit(writer) || !isLetIn(writer)) continue;
      if (!removed.has(node)) removed.set(node, by);
      believedTo.set(node, Math.max(upTo, believedTo.get(node) ?? 0));
    }
  }
  const members = reach(founder, said, limit);
  for (const node of removed.keys()) members.delete(node);
  return { members, removed, believedTo, ranked: [...ranked] };
}

/** Who is reached by admissions up to those versions, by rank. */
function reach(founder: NodeId, said: Statements, believedTo: (node: NodeId) => number): Set<NodeId> {
  const reached = new Set([founder]);
  // A Set may grow while it is walked through.
  for (const writer of reached) {
    const to = believedTo(writer);
    const inOrder = [...(said.admissions.get(writer) ?? [])].sort(([, a], [, b]) => a - b);
    for (const [node, version] of inOrder) if (version <= to) reached.add(node);
  }
  return reached;
}
