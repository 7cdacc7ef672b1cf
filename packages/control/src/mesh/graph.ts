/**
 * The graph of links that both ends state, and who is in our part of it. It follows the records one by one: a record that says the same as
 * before costs nothing, an edge more is walked from where it leads on, and only an edge less makes us walk through all of our part again.
 *
 * Members are numbered, so that a walk over hundreds of nodes takes microseconds.
 */
import type { NodeId } from "./types.js";

export class LinkGraph {
  readonly #self: NodeId;
  #nodes: readonly NodeId[] = [];
  readonly #numbers = new Map<NodeId, number>();
  /** By number; whom it names, and whom of them it is named by in turn. */
  #stated: number[][] = [];
  #edges: number[][] = [];
  #isReached = new Uint8Array(0);
  #reached = new Set<NodeId>();
  /** Nodes out of reach that have an edge with one in reach. */
  #beyond: number[] = [];
  /** An edge of our part has gone, or members have changed. */
  #isTorn = false;

  constructor(self: NodeId) {
    this.#self = self;
  }

  /** Whoever is connected with us, ourselves not among them, as of the last `walk`. */
  get reached(): ReadonlySet<NodeId> {
    return this.#reached;
  }
  /** Whether `walk` may find something new. */
  get hasChanged(): boolean {
    return this.#isTorn || this.#beyond.length > 0;
  }

  /**
   * Begins anew.
   * @param members others do not count, whoever names them
   * @param stated of each member, whom it is linked with as it says
   */
  build(members: Iterable<NodeId>, stated: Iterable<readonly [NodeId, readonly NodeId[]]>): void {
    this.#nodes = [...new Set([this.#self, ...members])];
    this.#numbers.clear();
    for (const [number, node] of this.#nodes.entries()) this.#numbers.set(node, number);
    this.#stated = this.#nodes.map(() => []);
    this.#edges = this.#nodes.map(() => []);
    this.#isReached = Uint8Array.from(this.#nodes, (node) => (node === this.#self || this.#reached.has(node) ? 1 : 0));
    for (const [node, to] of stated) this.state(node, to);
    this.#isTorn = true;
  }

  /** Puts what a node states in place of what it stated before. */
  state(node: NodeId, to: readonly NodeId[]): void {
    const number = this.#numbers.get(node);
    if (number === undefined) return;
    const before = this.#stated[number] as number[];
    const now: number[] = [];
    for (const other of to) {
      const named = this.#numbers.get(other);
      if (named !== undefined && named !== number && !now.includes(named)) now.push(named);
    }
    this.#stated[number] = now;
    const isMutual = (other: number): boolean => (this.#stated[other] as number[]).includes(number);
    for (const other of before) if (!now.includes(other) && isMutual(other)) this.#cut(number, other);
    for (const other of now) if (!before.includes(other) && isMutual(other)) this.#join(number, other);
  }

  /** Brings `reached` up to date. */
  walk(): { readonly came: readonly NodeId[]; readonly gone: readonly NodeId[] } {
    const came: NodeId[] = [];
    let gone: NodeId[] = [];
    if (this.#isTorn) {
      // Ourselves, who are number 0, are where it begins.
      this.#isReached.fill(0);
      this.#isReached[0] = 1;
      this.#spread(this.#edges[0] as number[], () => undefined);
      const before = this.#reached;
      this.#reached = new Set(this.#nodes.filter((_, number) => number > 0 && this.#isReached[number] === 1));
      for (const node of this.#reached) if (!before.has(node)) came.push(node);
      gone = [...before].filter((node) => !this.#reached.has(node));
    } else
      this.#spread(this.#beyond, (number) => {
        const node = this.#nodes[number] as NodeId;
        this.#reached.add(node);
        came.push(node);
      });
    this.#isTorn = false;
    this.#beyond = [];
    return { came, gone };
  }

  #spread(from: readonly number[], found: (number: number) => void): void {
    const open = [...from];
    for (let number = open.pop(); number !== undefined; number = open.pop()) {
      if (this.#isReached[number] === 1) continue;
      this.#isReached[number] = 1;
      found(number);
      for (const next of this.#edges[number] as number[]) if (this.#isReached[next] === 0) open.push(next);
    }
  }

  #join(a: number, b: number): void {
    this.#edges[a]?.push(b);
    this.#edges[b]?.push(a);
    if (this.#isReached[a] !== this.#isReached[b]) this.#beyond.push(this.#isReached[a] === 1 ? b : a);
  }

  #cut(a: number, b: number): void {
    this.#edges[a] = (this.#edges[a] as number[]).filter((number) => number !== b);
    this.#edges[b] = (this.#edges[b] as number[]).filter((number) => number !== a);
    if (this.#isReached[a] === 1 || this.#isReached[b] === 1) this.#isTorn = true;
  }
}
