/**
 * Who owns which addresses of a network: the ring of its indexes 0 .. size-1, computed from records alone.
 *
 * The founder owns all of it under epoch 0. A grant by the owner under epoch n moves a part of one range to another node under
 * epoch n+1. A range of a removed node goes to its heir, the owner of the next range clockwise, who takes it over by a grant to
 * itself before it uses any of it.
 *
 * Why two nodes never use one index:
 * - Only the owner under epoch n writes the grant of epoch n+1, and only one: its own records are on disk when they are written
 *   and are all known to it for ever, whatever else it knows. So a node that finds itself the owner, by whatever part of the
 *   others' records has reached it, is the owner: the chain of grants up to it is signed, and nobody but itself can go on.
 *   Records that are late, doubled or out of order make others know less, never this node own more.
 * - A giver grants only what it does not use, and nobody else uses what it owns. The grant is on the giver's disk before anybody
 *   hears of it; a taker uses an index, or grants it on, after the grant and its own use are on its disk.
 * - The heir of a range cannot change while it lives. A range of two indexes or more is an anchor: its first two are never
 *   granted, so it stays with its owner. The heir is the owner of the next anchor; new anchors come up only inside ranges, behind
 *   an existing one, so none can come between a range and the next anchor. Single indexes pass from hand to hand and inherit
 *   nothing.
 *
 * Where it is not safe, because a removal is the operator's word that the node is gone:
 * - A removed node that still runs uses its addresses until it sees its tombstone.
 * - What the removed node had granted must have reached the heir before the heir takes over. The heir waits a little (ipam.ts); a
 *   grant that reached its taker alone and stays hidden longer, beyond a partition, is overlooked. The grant then wins over the
 *   takeover on every node, and the heir sees which of its addresses are not its own.
 * - Where no anchor has a living owner (a founder removed before it gave), the one who removed it inherits. Two who did so on the
 *   two sides of a partition both do, until the partition ends; then the lower NodeId keeps it.
 * - Whether somebody took over in its turn is not checked, because nobody records when a node was removed. A member that lies
 *   here could as well announce containers with any address.
 *
 * Grants are history and stay for ever: a writer makes at most GRANTS_MAX of them in a network. Ranges do not join again.
 */
import { createHash } from "node:crypto";
import type { NodeId } from "../mesh/types.js";

/** Grants that one node writes in one network; who needs addresses then asks another. */
export const GRANTS_MAX = 1024;
/** And in all networks together: half of the records that it may have. */
export const GRANTS_ALL_MAX = 2048;
/** Indexes at the beginning of a range of two or more that are never granted. */
export const ANCHOR = 2;

/** A ring: a network from its creation to its deletion. */
export interface Ring {
  /** What its records are called after: another one when the network is deleted and made again. */
  readonly id: string;
  /** 2 .. 2^32. */
  readonly size: number;
  readonly founder: NodeId;
}

export interface Grant {
  readonly writer: NodeId;
  /** Version of the record: one writer's grants count in the order in which it wrote them. */
  readonly version: number;
  /** Indexes start .. end-1. */
  readonly start: number;
  readonly end: number;
  readonly to: NodeId;
  readonly epoch: number;
}

export interface OwnedRange {
  readonly start: number;
  readonly end: number;
  /** Who may use or grant it (the heir after taking over only); null: nobody is left. */
  readonly owner: NodeId | null;
  readonly epoch: number;
  /** The removed node whose range it is, as long as the heir has not taken over; null: the owner's own. */
  readonly heirOf: NodeId | null;
}

export interface Ownership {
  /** Sorted, disjoint, from 0 to size without a gap. */
  readonly ranges: readonly OwnedRange[];
  /** Grants that have no effect: not by the owner, not of this size, not of the next epoch. */
  readonly ignored: number;
}

export interface Removed {
  has(node: NodeId): boolean;
  /** Who inherits from a node when no owner of an anchor is left: of those who removed it, the one with the lowest NodeId. */
  remover(node: NodeId): NodeId | null;
}

interface Range {
  start: number;
  end: number;
  owner: NodeId;
  epoch: number;
}

/** The same for the same records, in whatever order they come. */
export function owners(ring: Ring, grants: Iterable<Grant>, removed: Removed): Ownership {
  const ranges: Range[] = [{ start: 0, end: ring.size, owner: ring.founder, epoch: 0 }];
  let ignored = 0;
  // A grant of epoch n touches ranges of epoch n-1 only: all of those are there when it is its turn.
  for (const grant of [...grants].sort((a, b) => byTurn(a, b, removed))) {
    const done = grant.writer === grant.to ? takeOver(ranges, grant, removed) : cut(ranges, grant);
    if (!done) ignored++;
  }
  return { ranges: withHeirs(ranges, removed), ignored };
}

/** Grants to others come before takeovers; of two takeovers that of a living node counts. */
function byTurn(a: Grant, b: Grant, removed: Removed): number {
  return (
    a.epoch - b.epoch ||
    Number(a.writer === a.to) - Number(b.writer === b.to) ||
    Number(removed.has(a.writer)) - Number(removed.has(b.writer)) ||
    compare(a.writer, b.writer) ||
    a.version - b.version
  );
}

function cut(ranges: Range[], { writer, start, end, to, epoch }: Grant): boolean {
  const at = positionOf(ranges, start);
  const range = ranges[at];
  if (!range || start >= end || end > range.end || range.owner !== writer || range.epoch !== epoch - 1) return false;
  if (start < firstGrantable(range)) return false;
  const parts: Range[] = [{ start, end, owner: to, epoch }];
  if (start > range.start) parts.unshift({ ...range, end: start });
  if (end < range.end) parts.push({ ...range, start: end });
  ranges.splice(at, 1, ...parts);
  return true;
}

/** What a removed node has left of the range; more than nothing. */
function takeOver(ranges: Range[], { writer, start, end, epoch }: Grant, removed: Removed): boolean {
  let done = false;
  const first = positionOf(ranges, start);
  if (ranges[first]?.start !== start) return false;
  for (let at = first; at < ranges.length; at++) {
    const range = ranges[at] as Range;
    if (range.end > end) break;
    if (range.epoch !== epoch - 1 || !removed.has(range.owner)) continue;
    range.owner = writer;
    range.epoch = epoch;
    done = true;
  }
  return done;
}

function withHeirs(ranges: readonly Range[], removed: Removed): OwnedRange[] {
  const found: OwnedRange[] = new Array(ranges.length);
  let heir: NodeId | null = null;
  // Twice around, against the clock: the first round ends with who comes after the last range.
  for (let step = 0; step < 2 * ranges.length; step++) {
    const at = (2 * ranges.length - 1 - step) % ranges.length;
    const range = ranges[at] as Range;
    const isGone = removed.has(range.owner);
    found[at] = isGone
      ? { ...range, owner: heir ?? removed.remover(range.owner), heirOf: range.owner }
      : { ...range, heirOf: null };
    if (!isGone && range.end - range.start >= ANCHOR) heir = range.owner;
  }
  return found;
}

/** Index from which on the owner of a range may grant. */
export function firstGrantable(range: { readonly start: number; readonly end: number }): number {
  return range.end - range.start >= ANCHOR ? range.start + ANCHOR : range.start;
}

/** Position of the range that contains an index; past the last one: none. */
export function positionOf(ranges: readonly { readonly start: number; readonly end: number }[], index: number): number {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ranges[middle] as { end: number }).end <= index) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * What to give of a gap of free indexes: about its upper half, from the roundest number (as in CIDR) in its middle on; more where
 * more is wanted and there. At least one index.
 */
export function upperHalf(
  gap: { readonly start: number; readonly end: number },
  count: number,
): { start: number; end: number } {
  const { end } = gap;
  const length = end - gap.start;
  const last = Math.min(end - Math.max(1, Math.ceil(length / 4)), end - count);
  const first = end - Math.floor((3 * length) / 4);
  if (last < first) return { start: Math.max(gap.start, last), end };
  let power = 2 ** 32;
  while (Math.ceil(first / power) * power > last) power /= 2;
  return { start: Math.ceil(first / power) * power, end };
}

/** Name of the network that a ring is or was. */
export const networkOf = (ringId: string): string => ringId.replace(/@[0-9a-f]+$/, "");

/** Id of a network's ring. Records of an earlier network of that name have another. */
export function ringId(
  name: string,
  network: {
    readonly founder: NodeId;
    readonly createdAt: number;
    readonly cidr4: string | null;
    readonly cidr6: string | null;
  },
): string {
  const { founder, createdAt, cidr4, cidr6 } = network;
  const hash = createHash("sha256").update(JSON.stringify([founder, createdAt, cidr4, cidr6]));
  return `${name}@${hash.digest("hex").slice(0, 12)}`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
