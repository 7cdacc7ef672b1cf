/**
 * A double of the mesh for tests of what is built on records: nodes in one process on a virtual clock, each with its own view.
 * Records travel alone and are delayed, doubled and reordered; what a partition holds back comes when it ends.
 */
import type { Kind, Values } from "../../packages/control/src/mesh/records.js";
import type { Entry, Member, MeshEvent, NodeId, Records } from "../../packages/control/src/mesh/types.js";
import { pick, randomOf } from "./random.js";

export const NETWORK_ID = "00112233445566778899aabbccddeeff";

/** A NodeId that sorts by number. */
export function idOf(number: number): NodeId {
  return `${String(number).padStart(3, "0")}${"A".repeat(40)}`;
}

export class GossipDouble {
  now = 1_700_000_000_000;
  readonly nodes: NodeDouble[] = [];
  readonly random: () => number;
  /** Milliseconds that a record is under way. */
  latency: () => number;
  /** Records that come twice, percent. */
  doubled = 10;
  /** The next one last. */
  readonly #timers: { readonly at: number; run: (() => void) | undefined }[] = [];

  constructor(count: number, seed = 1) {
    this.random = randomOf(seed);
    this.latency = () => pick(this.random, 200);
    for (let i = 0; i < count; i++) this.nodes.push(new NodeDouble(this, idOf(i)));
  }

  get(number: number): NodeDouble {
    return this.nodes[number] as NodeDouble;
  }

  after(ms: number, run: () => void): () => void {
    const timer: { readonly at: number; run: (() => void) | undefined } = { at: this.now + ms, run };
    let low = 0;
    let high = this.#timers.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#timers[middle] as { at: number }).at > timer.at) low = middle + 1;
      else high = middle;
    }
    this.#timers.splice(low, 0, timer);
    return () => {
      timer.run = undefined;
    };
  }

  /** Lets virtual time pass. */
  async run(ms: number): Promise<void> {
    const end = this.now + ms;
    await turn();
    for (let next = this.#timers.at(-1); next && next.at <= end; next = this.#timers.at(-1)) {
      this.#timers.pop();
      this.now = Math.max(this.now, next.at);
      if (!next.run) continue;
      next.run();
      await turn();
    }
    this.now = end;
  }

  /** Runs until a promise has settled. @throws what it rejects with */
  async until<T>(promise: Promise<T>, ms = 60_000): Promise<T> {
    let isDone = false;
    promise.then(
      () => {
        isDone = true;
      },
      () => {
        isDone = true;
      },
    );
    for (let spent = 0; spent < ms; spent += 50) {
      await this.run(spent === 0 ? 0 : 50);
      if (isDone) return promise;
    }
    throw new Error(`nothing within ${ms} ms`);
  }

  /** Puts nodes into groups; those of different ones do not hear each other. One group: the partition ends. */
  partition(groups: readonly (readonly number[])[]): void {
    for (const node of this.nodes) node.group = groups.findIndex((group) => group.some((i) => this.get(i) === node));
    for (const from of this.nodes) for (const to of this.nodes) this.#sync(from, to);
    for (const node of this.nodes) for (const other of this.nodes) if (node !== other) node.tellAlive(other);
  }

  send(from: NodeDouble, to: NodeDouble, entry: Entry): void {
    const times = pick(this.random, 100) < this.doubled ? 2 : 1;
    for (let i = 0; i < times; i++)
      this.after(this.latency(), () => {
        if (this.hears(from, to)) to.receive(entry);
      });
  }

  hears(from: NodeDouble, to: NodeDouble): boolean {
    return from.isUp && to.isUp && from.group === to.group;
  }

  /** Anti-entropy: everything that one knows, to another. */
  syncAll(): void {
    for (const from of this.nodes) for (const to of this.nodes) this.#sync(from, to);
  }

  #sync(from: NodeDouble, to: NodeDouble): void {
    if (from !== to && this.hears(from, to)) for (const entry of from.known()) this.send(from, to, entry);
  }
}

export class NodeDouble implements Records {
  readonly self: NodeId;
  readonly networkId = NETWORK_ID;
  group = 0;
  isUp = true;
  /** Set to have the disk refuse. */
  diskFull = false;
  readonly #world: GossipDouble;
  readonly #entries = new Map<string, Entry>();
  readonly #listeners = new Set<(event: MeshEvent) => void>();
  /** What others have said and the disk does not have. */
  readonly #unwritten = new Set<Entry>();
  /** Removed nodes. What they had written still comes to those who do not have it; they write no more. */
  readonly #gone = new Set<NodeId>();
  #version = 0;

  constructor(world: GossipDouble, self: NodeId) {
    this.#world = world;
    this.self = self;
  }

  get founder(): NodeId {
    return this.#world.get(0).self;
  }

  get<K extends Kind>(node: NodeId, kind: K, id = ""): Values[K] | undefined {
    return (this.#entries.get(nameOf(node, kind, id)) as Entry<K> | undefined)?.value ?? undefined;
  }
  list<K extends Kind>(kind: K): Iterable<Entry<K> & { readonly value: Values[K] }> {
    return this.#list(kind, false);
  }
  listRemoved<K extends Kind>(kind: K): Iterable<Entry<K> & { readonly value: Values[K] }> {
    return this.#list(kind, true);
  }
  put<K extends Kind>(kind: K, id: string, value: Values[K]): void {
    this.putAll([{ kind, id, value }]);
  }
  putAll(records: readonly { readonly kind: Kind; readonly id: string; readonly value: Values[Kind] | null }[]): void {
    if (this.diskFull) throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
    const entries = records
      .filter(({ kind, id, value }) => JSON.stringify(this.get(this.self, kind, id) ?? null) !== JSON.stringify(value))
      .map(({ kind, id, value }) => ({ node: this.self, kind, id, version: ++this.#version, value }));
    for (const entry of entries) this.#keep(entry);
    if (entries.length === 0) return;
    this.persist();
    for (const entry of entries) for (const to of this.#world.nodes) if (to !== this) this.#world.send(this, to, entry);
    this.#tell({ type: "records", kinds: new Set(entries.map((entry) => entry.kind)), entries });
  }
  remove(kind: Kind, id: string): void {
    if (this.get(this.self, kind, id) !== undefined) this.putAll([{ kind, id, value: null }]);
  }
  persist(): void {
    if (this.diskFull && this.#unwritten.size > 0)
      throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
    this.#unwritten.clear();
  }
  members(): Member[] {
    return this.#world.nodes
      .filter(({ self }) => !this.isRemoved(self))
      .map(({ self }) => ({
        id: self,
        node: this.get(self, "node"),
        isAlive: this.isAlive(self),
        aliveAt: this.#world.now,
      }));
  }
  isMember(node: NodeId): boolean {
    return !this.isRemoved(node) && this.#world.nodes.some(({ self }) => self === node);
  }
  isRemoved(node: NodeId): boolean {
    return this.#gone.has(node);
  }
  isAlive(node: NodeId): boolean {
    const other = this.#world.nodes.find(({ self }) => self === node);
    return other === this || (other !== undefined && !this.isRemoved(node) && this.#world.hears(other, this));
  }
  on(listener: (event: MeshEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  known(): Entry[] {
    return [...this.#entries.values()];
  }
  receive(entry: Entry): void {
    const name = nameOf(entry.node, entry.kind, entry.id);
    if ((this.#entries.get(name)?.version ?? 0) >= entry.version) return;
    this.#keep(entry);
    this.#unwritten.add(entry);
    this.#tell({ type: "records", kinds: new Set([entry.kind]), entries: [entry] });
  }
  tellAlive(other: NodeDouble): void {
    this.#tell({ type: "alive", node: other.self, isAlive: this.isAlive(other.self) });
  }
  /** Ends, and comes up with what is on its disk: the rest of what others had said has to be said again. */
  restart(): void {
    this.#listeners.clear();
    for (const [name, entry] of this.#entries) if (this.#unwritten.has(entry)) this.#entries.delete(name);
    this.#unwritten.clear();
    this.#gone.clear();
    for (const { kind, id } of this.known()) if (kind === "removed") this.#gone.add(id);
    this.isUp = true;
  }

  #keep(entry: Entry): void {
    this.#entries.set(nameOf(entry.node, entry.kind, entry.id), entry);
    if (entry.kind === "removed") this.#gone.add(entry.id);
  }
  *#list<K extends Kind>(kind: K, ofRemoved: boolean): Iterable<Entry<K> & { readonly value: Values[K] }> {
    for (const entry of this.#entries.values())
      if (entry.kind === kind && entry.value !== null && this.isRemoved(entry.node) === ofRemoved)
        yield entry as Entry<K> & { readonly value: Values[K] };
  }
  #tell(event: MeshEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }
}

function nameOf(node: NodeId, kind: Kind, id: string): string {
  return `${node} ${kind} ${id}`;
}
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
