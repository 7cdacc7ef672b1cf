/**
 * Who is there: the nodes in our part of the graph of links that both ends state in their `links` records.
 *
 * A link that has broken stays in our record for a second. Meanwhile it is dialled again, two neighbours are asked whether they hear the
 * node, and what the data path hears of it counts too: whoever is heard gets another second and a half. A node that says goodbye is out at once.
 *
 * Every version of a `links` record goes to all nodes. So one is written soon when it can change who is in reach: a link that has gone, or one
 * with a node out of reach. A link more among live nodes waits for others. After four in a row there is one every second and a half at most.
 */
import { LinkGraph } from "./graph.js";
import type { Kind, LinksValue } from "./records.js";
import type { RecordStore } from "./store.js";
import type { MeshSurroundings } from "./surroundings.js";
import type { Entry, NodeId } from "./types.js";

const SUSPECT_MS = 1000;
const VOUCHED_MS = 1500;
/** Heard so recently: there. */
const HEARD_MS = 1000;
/** Own record: what changes soon waits for what belongs to it, a mere addition for others, and versions in a row so long. */
const MOMENT_MS = 50;
const COMPANY_MS = 500;
const VERSION_MS = 1500;
const BURST = 4;
/** After a start. */
const FIRST_MS = 1000;
/** Between two looks at the graph. */
const LOOK_MS = 200;

type DataLinks = LinksValue["data"];

export class Liveness {
  readonly #store: RecordStore;
  readonly #surroundings: MeshSurroundings;
  /** Links of our record; undefined: open, else when it is taken out, and whether somebody has vouched. */
  readonly #stated = new Map<NodeId, { readonly untilMs: number; readonly isVouched: boolean } | undefined>();
  readonly #dataHeardMs = new Map<NodeId, number>();
  /** Wall clock. */
  readonly #lastAlive = new Map<NodeId, number>();
  readonly #graph: LinkGraph;
  #data: DataLinks = [];
  /** When the versions of the last burst are made up for. */
  #paidMs = Number.NEGATIVE_INFINITY;
  #lookedMs = Number.NEGATIVE_INFINITY;
  #publication: { readonly atMs: number; cancel(): void } | undefined;
  #cancelLook: (() => void) | undefined;

  constructor(store: RecordStore, surroundings: MeshSurroundings) {
    this.#store = store;
    this.#surroundings = surroundings;
    this.#graph = new LinkGraph(store.self);
    this.#build();
    store.alive = {
      nodes: () => this.#graph.reached,
      isAlive: (node) => this.#graph.reached.has(node),
      aliveAt: (node) =>
        node === store.self || this.#graph.reached.has(node) ? surroundings.wallMs() : (this.#lastAlive.get(node) ?? 0),
    };
    store.on((event) => {
      if (event.type === "records") this.#follow(event.kinds, event.entries);
    });
    // Our record is from before the restart: if nobody links with us, it says so soon.
    this.#publishWithin(FIRST_MS);
  }

  opened(node: NodeId): void {
    const isNew = !this.#stated.has(node);
    this.#stated.set(node, undefined);
    if (!isNew) return;
    this.#changed(this.#graph.reached.has(node) ? COMPANY_MS : MOMENT_MS);
  }

  /** @param isMeant it was closed on purpose @returns whether the node is suspected now: ask others */
  lost(node: NodeId, isMeant: boolean): boolean {
    if (!this.#stated.has(node)) return false;
    if (isMeant) {
      this.#stated.delete(node);
      this.#changed(MOMENT_MS);
      return false;
    }
    this.#stated.set(node, { untilMs: this.#surroundings.nowMs() + SUSPECT_MS, isVouched: false });
    return true;
  }

  /** Somebody hears a node that we suspect. Counts once. */
  vouched(node: NodeId): void {
    const suspicion = this.#stated.get(node);
    if (!suspicion || suspicion.isVouched) return;
    this.#stated.set(node, { untilMs: this.#surroundings.nowMs() + VOUCHED_MS, isVouched: true });
  }

  /** The data path has opened a packet of its. Cheap: called often. */
  heard(node: NodeId): void {
    this.#dataHeardMs.set(node, this.#surroundings.nowMs());
  }
  /** Milliseconds since the data path heard it. */
  heardSince(node: NodeId): number {
    return this.#surroundings.nowMs() - (this.#dataHeardMs.get(node) ?? Number.NEGATIVE_INFINITY);
  }

  setDataLinks(links: DataLinks): void {
    const now = new Set(links.map(({ to }) => to));
    const hasLost = this.#data.some(({ to }) => !now.has(to));
    this.#data = links;
    this.#changed(hasLost ? MOMENT_MS : COMPANY_MS);
  }

  /** A few times a second. */
  tick(): void {
    const now = this.#surroundings.nowMs();
    for (const [node, suspicion] of this.#stated) {
      if (!suspicion || suspicion.untilMs > now) continue;
      if (!suspicion.isVouched && this.heardSince(node) < HEARD_MS) this.vouched(node);
      else {
        this.#stated.delete(node);
        this.#changed(MOMENT_MS);
      }
    }
    for (const node of this.#dataHeardMs.keys()) if (!this.#store.isMember(node)) this.#dataHeardMs.delete(node);
  }

  /** @param isLeaving our record says that nobody is linked with us */
  stop(isLeaving: boolean): void {
    this.#publication?.cancel();
    this.#cancelLook?.();
    if (!isLeaving) return;
    this.#stated.clear();
    this.#data = [];
    this.#publish();
  }

  /** What we state: at once for ourselves, within so long for the others. */
  #changed(ms: number): void {
    this.#graph.state(this.#store.self, others(this.#own));
    if (this.#graph.hasChanged) this.#lookSoon();
    this.#publishWithin(ms);
  }

  #publishWithin(ms: number): void {
    const now = this.#surroundings.nowMs();
    const atMs = Math.max(now + ms, this.#paidMs - (BURST - 1) * VERSION_MS);
    if (this.#publication && this.#publication.atMs <= atMs) return;
    this.#publication?.cancel();
    const cancel = this.#surroundings.after(atMs - now, () => {
      this.#publication = undefined;
      this.#publish();
    });
    this.#publication = { atMs, cancel };
  }

  #publish(): void {
    const before = this.#store.get(this.#store.self, "links");
    try {
      this.#store.put("links", "", this.#own);
      if (this.#store.get(this.#store.self, "links") === before) return;
      this.#paidMs = Math.max(this.#paidMs, this.#surroundings.nowMs()) + VERSION_MS;
    } catch (error) {
      // A full disk: others see us as we were. Again when something changes.
      this.#surroundings.log.warn({ component: "mesh", err: String(error) }, "our links could not be written down");
    }
  }

  get #own(): LinksValue {
    return { control: [...this.#stated.keys()].sort().slice(0, 64), data: this.#data };
  }

  #lookSoon(): void {
    const wait = Math.max(0, this.#lookedMs + LOOK_MS - this.#surroundings.nowMs());
    this.#cancelLook ??= this.#surroundings.after(wait, () => {
      this.#cancelLook = undefined;
      this.#look();
    });
  }

  #build(): void {
    const stated = [...this.#store.list("links")].map(({ node, value }) => [node, others(value)] as const);
    this.#graph.build(this.#store.memberNodes(), stated);
    this.#graph.state(this.#store.self, others(this.#own));
  }

  #follow(kinds: ReadonlySet<Kind>, entries: readonly Entry[]): void {
    if (kinds.has("member") || kinds.has("removed")) this.#build();
    else if (kinds.has("links"))
      for (const { kind, node, value } of entries)
        if (kind === "links" && node !== this.#store.self) this.#graph.state(node, others(value as LinksValue | null));
    if (this.#graph.hasChanged) this.#lookSoon();
  }

  #look(): void {
    this.#lookedMs = this.#surroundings.nowMs();
    const { came, gone } = this.#graph.walk();
    const wall = this.#surroundings.wallMs();
    for (const node of gone) {
      this.#lastAlive.set(node, wall);
      this.#store.emit({ type: "alive", node, isAlive: false });
    }
    for (const node of came) this.#store.emit({ type: "alive", node, isAlive: true });
  }
}

/** All that a `links` record names. */
function others(links: LinksValue | null): readonly NodeId[] {
  return links ? [...links.control, ...links.data.map(({ to }) => to)] : [];
}
