/**
 * Shortest paths over what all nodes say of their links.
 *
 * A link counts when both ends state it, with the worse of both statements, so that equal records give equal costs in both
 * directions at every node. All costs are positive and every node follows the same distances, so each step comes nearer and there
 * are no loops; while records differ, packets may turn until their hop limit ends.
 */
import type { LinksValue } from "../mesh/records.js";
import type { NodeId } from "../mesh/types.js";

/** Cost is microseconds. Handing a packet on takes about this. */
const HOP_COST = 1_000;
/** Per lost echo of 1000: one in ten costs 20 ms. */
const LOSS_COST = 200;
/**
 * Two nodes with a control link, and no data path that they have used: there probably is one. Longer than any measured detour, so
 * that it decides only where nothing is measured.
 */
const HINT_COST = 60_000_000;

/** What we know of our own link with a node, fresher than any record. */
export interface OwnLink {
  readonly to: NodeId;
  readonly rttUs: number;
  /** Of 1000. */
  readonly loss: number;
}

export interface Detour {
  readonly via: NodeId;
  /** From us to the far node. */
  readonly cost: number;
}

export function costOf({ rttUs, loss }: { readonly rttUs: number; readonly loss: number }): number {
  return rttUs + LOSS_COST * loss + HOP_COST;
}

interface Stated {
  readonly data: ReadonlyMap<NodeId, number>;
  readonly control: ReadonlySet<NodeId>;
}
/** Records change seldom and are asked often. */
const indexed = new WeakMap<LinksValue, Stated>();

function indexOf(links: LinksValue): Stated {
  let stated = indexed.get(links);
  if (stated === undefined) {
    stated = { data: new Map(links.data.map((d) => [d.to, costOf(d)])), control: new Set(links.control) };
    indexed.set(links, stated);
  }
  return stated;
}

/** Neighbours of a node by the records of both ends, with costs: the same from either end. */
export function* edgesOf(states: ReadonlyMap<NodeId, LinksValue>, node: NodeId): Generator<[NodeId, number]> {
  const links = states.get(node);
  if (links === undefined) return;
  const { data, control } = indexOf(links);
  for (const [to, cost] of data) {
    const other = states.get(to);
    const back = other === undefined ? undefined : indexOf(other).data.get(node);
    if (to !== node && back !== undefined) yield [to, Math.max(cost, back)];
  }
  for (const to of control) {
    const other = states.get(to);
    if (to === node || other === undefined) continue;
    const { data: theirs, control: back } = indexOf(other);
    if (back.has(node) && !(data.has(to) && theirs.has(node))) yield [to, HINT_COST];
  }
}

/** The choice of relays at one node. Made anew when records or own links have changed: that costs little, and each choice what it looks at. */
export class NextHops {
  readonly #self: NodeId;
  readonly #states: ReadonlyMap<NodeId, LinksValue>;
  readonly #own = new Map<NodeId, number>();
  readonly #least: number;
  readonly #nearest = new Map<NodeId, Detour | null>();
  /** Links looked at so far: what the searches have cost. */
  looked = 0;

  /**
   * @param states at most one per node; nodes that are not alive left out
   * @param own our links that work now
   * @param down nodes that we know not to reach directly, whatever records say
   */
  constructor(
    self: NodeId,
    states: ReadonlyMap<NodeId, LinksValue>,
    own: readonly OwnLink[],
    down: ReadonlySet<NodeId>,
  ) {
    this.#self = self;
    this.#states = states;
    const stated = new Map(edgesOf(states, self));
    for (const [to, cost] of stated) if (cost >= HINT_COST && !down.has(to)) this.#own.set(to, cost);
    for (const link of own) {
      // Where both ends have a record its figures are everybody's, and paths with equal figures are free of loops.
      const cost = stated.get(link.to);
      this.#own.set(link.to, cost !== undefined && cost < HINT_COST ? cost : costOf(link));
    }
    this.#least = Math.min(...this.#own.values());
  }

  /** Whether `nearest` knows without a search. */
  isKnown(to: NodeId): boolean {
    return this.#own.size === 0 || this.#nearest.has(to);
  }
  /** The neighbour that packets for `to` go to, when they do not go there directly; never `to` itself. null: none is known. */
  nearest(to: NodeId): Detour | null {
    let nearest = this.#nearest.get(to);
    if (nearest === undefined) {
      nearest = this.detour(to, new Set());
      this.#nearest.set(to, nearest);
    }
    return nearest;
  }

  /**
   * The best one among those that have not been tried. Dijkstra's algorithm from the far end, through everybody but us, as far as it
   * takes to be sure. Equal costs: the smaller name.
   * @param excluded neighbours that have been tried in vain
   */
  detour(to: NodeId, excluded: ReadonlySet<NodeId>): Detour | null {
    if ([...this.#own.keys()].every((node) => node === to || excluded.has(node))) return null;
    const done = new Set<NodeId>([this.#self]);
    const found: { via: NodeId; cost: number; rest: number }[] = [];
    const queue = new Queue();
    let best = Number.POSITIVE_INFINITY;
    let wanted = Number.POSITIVE_INFINITY;
    queue.push({ node: to, cost: 0 });
    for (let entry = queue.pop(); entry !== undefined && entry.cost + this.#least <= wanted; entry = queue.pop()) {
      const { node, cost: rest } = entry;
      if (done.has(node)) continue;
      done.add(node);
      const step = node === to ? undefined : this.#own.get(node);
      if (step !== undefined) {
        best = Math.min(best, step + rest);
        if (!excluded.has(node)) {
          found.push({ via: node, cost: step + rest, rest });
          wanted = Math.min(wanted, step + rest);
        }
      }
      for (const [next, more] of edgesOf(this.#states, node)) {
        this.looked++;
        if (!done.has(next)) queue.push({ node: next, cost: rest + more });
      }
    }
    // Nobody here leads to any of those that were seen: one search finds that out for a whole partition.
    if (best === Number.POSITIVE_INFINITY) for (const node of done) this.#nearest.set(node, null);
    // RFC 5286 §3.1: a neighbour whose own way leads back through us is the last choice.
    const comesBack = ({ via, rest }: { via: NodeId; rest: number }): boolean =>
      rest >= (this.#own.get(via) as number) + best;
    found.sort((a, b) => Number(comesBack(a)) - Number(comesBack(b)) || a.cost - b.cost || (a.via < b.via ? -1 : 1));
    return found[0] === undefined ? null : { via: found[0].via, cost: found[0].cost };
  }
}

interface Entry {
  readonly node: NodeId;
  readonly cost: number;
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.cost < b.cost;
}

/** A binary heap. */
class Queue {
  readonly #heap: Entry[] = [];

  push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(entry, heap[parent] as Entry)) break;
      heap[at] = heap[parent] as Entry;
      at = parent;
    }
    heap[at] = entry;
  }
  pop(): Entry | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined || heap.length === 0) return top;
    let at = 0;
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Entry, heap[child] as Entry)) child++;
      if (!isBefore(heap[child] as Entry, last)) break;
      heap[at] = heap[child] as Entry;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}
