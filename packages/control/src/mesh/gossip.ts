/**
 * How records get everywhere. News is passed on at once to all neighbours but the one it came from. Whatever that misses is found by
 * comparing: every 5 to 10 s with one neighbour the hash of everything, then of 64 buckets, then versions of the nodes in those that differ;
 * then the records that are missing go over, in the order in which they were written. A new link begins with a comparison.
 */
import type { Link } from "./link.js";
import { OwnNews } from "./own-news.js";
import type { MeshStats } from "./stats.js";
import type { RecordStore } from "./store.js";
import { type MeshSurroundings, pickOne } from "./surroundings.js";
import type { Kept } from "./table.js";
import type { NodeId } from "./types.js";
import {
  BUCKETS,
  DIGESTS_MAX,
  type Digest,
  encodeBuckets,
  encodeRecords,
  encodeRoot,
  encodeVersions,
  encodeWant,
  type Message,
  WANTS_MAX,
  type Want,
} from "./wire.js";

/** News waits so long for more, and longer when it comes without end: much of it crosses the same news from the other side then. */
const TOGETHER_MS = 10;
const CROWDED_MS = 50;
/** After the last news, a comparison finds what is really missing. */
const QUIET_MS = 1000;
const ROUND_MS = { min: 5000, max: 10_000 } as const;
/** News for one neighbour: beyond, it is quicker to compare. */
const QUEUE_MAX = 8192;

export class Gossip {
  readonly #store: RecordStore;
  readonly #links: () => Iterable<Link>;
  readonly #surroundings: MeshSurroundings;
  readonly #stats: MeshStats;
  /** What waits for one neighbour or another, in the order in which it came. */
  readonly #news = new Set<Kept>();
  #flushedMs = Number.NEGATIVE_INFINITY;
  #newsMs = Number.NEGATIVE_INFINITY;
  #cancelFlush: (() => void) | undefined;
  #cancelRound: () => void;
  readonly #ownNews: OwnNews;

  /** @param links those that are ready */
  constructor(store: RecordStore, links: () => Iterable<Link>, surroundings: MeshSurroundings, stats: MeshStats) {
    this.#store = store;
    this.#links = links;
    this.#surroundings = surroundings;
    this.#stats = stats;
    this.#ownNews = new OwnNews(stats);
    store.onOwn = (records) => {
      this.#ownNews.written(surroundings.nowMs());
      this.spread(records);
    };
    this.#cancelRound = this.#nextRound();
  }

  stop(): void {
    this.#cancelRound();
    this.flush();
  }

  /**
   * Called by both ends; the one that has dialled asks. With a node that was in reach before, it waits until what is being said all over the
   * network has been said: when many nodes look for new links at once, each comparison would send half of it once more.
   */
  opened(link: Link): void {
    if (!link.channel.isOutbound) return;
    const { nowMs, after, random } = this.#surroundings;
    const isQuiet = nowMs() - this.#newsMs > QUIET_MS;
    if (isQuiet || !this.#store.isAlive(link.node)) this.#compare(link);
    else after(QUIET_MS * (1 + random()), () => this.#compare(link));
  }

  closed(): void {
    this.#ownNews.closed();
  }

  /** It has answered a ping. */
  ponged(link: Link): void {
    this.#ownNews.ponged(link, this.#surroundings.nowMs());
  }

  /** @returns what ends the link: a neighbour that passes on what it has not looked at */
  message(link: Link, message: Message): "forged" | undefined {
    if (message.type === "records") return this.#records(link, message.records, message.isComplete);
    if (message.type === "root") this.#root(link, message.hash);
    else if (message.type === "buckets") this.#buckets(link, message.hashes);
    else if (message.type === "versions") this.#versions(link, message.buckets, message.digests);
    else if (message.type === "want") this.#want(link, message.wants);
    return undefined;
  }

  /** Sends what waits. */
  flush(): void {
    this.#cancelFlush?.();
    this.#cancelFlush = undefined;
    this.#flushedMs = this.#surroundings.nowMs();
    const news = this.#inOrder();
    this.#news.clear();
    // Most neighbours lack the same: it is written once for all of them.
    const written: { readonly records: readonly Kept[]; readonly messages: readonly Buffer[] }[] = [];
    const { isToGo } = this.#ownNews;
    const own = isToGo ? news.filter(({ node }) => node === this.#store.self) : [];
    const withOwn = new Map<Link, boolean>();
    for (const link of this.#links()) {
      if (link.isBehind && link.hasRoom) {
        link.isBehind = false;
        this.#compare(link);
      }
      if (link.queue.size === 0) continue;
      if (own.some((record) => link.queue.has(record))) withOwn.set(link, true);
      if (!link.hasRoom || link.queue.size > QUEUE_MAX) {
        link.isBehind = true;
        if (withOwn.has(link)) withOwn.set(link, false);
      } else {
        const records = news.filter((record) => link.queue.has(record));
        let same = written.find((one) => isSame(one.records, records));
        if (!same) {
          same = { records, messages: [...encodeRecords(records, false)] };
          written.push(same);
        }
        for (const message of same.messages) link.send(message);
      }
      link.queue.clear();
    }
    if (isToGo) this.#ownNews.gone(own.at(-1)?.version ?? 0, withOwn);
  }

  /** News in force: a node's own in order; whose admission is among it comes later, as it has come to us. */
  #inOrder(): Kept[] {
    const { nodes } = this.#store.tables;
    const byNode = new Map<NodeId, Kept[]>();
    for (const record of this.#news) {
      if (nodes.get(record.node)?.records.get(record.name) !== record) continue;
      const of = byNode.get(record.node);
      if (of) of.push(record);
      else byNode.set(record.node, [record]);
    }
    return [...byNode.values()].flatMap((records) => records.sort((a, b) => a.version - b.version));
  }

  /** News, for all neighbours but the one it came from. */
  spread(records: readonly Kept[], from?: Link): void {
    if (records.length === 0) return;
    const now = this.#surroundings.nowMs();
    this.#newsMs = now;
    for (const record of records) this.#news.add(record);
    for (const link of this.#links()) {
      if (link === from) continue;
      for (const record of records) link.queue.add(record);
    }
    const wait = Math.max(TOGETHER_MS, this.#flushedMs + CROWDED_MS - now);
    this.#cancelFlush ??= this.#surroundings.after(wait, () => this.flush());
  }

  #records(link: Link, records: Parameters<RecordStore["receive"]>[0], isComplete: boolean): "forged" | undefined {
    // What it has sent us it has.
    const { nodes } = this.#store.tables;
    const now = this.#surroundings.nowMs();
    for (const { node, version } of records) if (node === this.#store.self) this.#ownNews.passedOn(link, version, now);
    if (link.queue.size > 0)
      for (const { node, name, version } of records) {
        const ours = nodes.get(node)?.records.get(name);
        if (ours && ours.version <= version) link.queue.delete(ours);
      }
    const mayVerify = (): boolean => link.mayVerify(this.#surroundings.nowMs());
    const { kept, gaps, isForged } = this.#store.receive(records, isComplete, mayVerify);
    this.spread(kept, link);
    const wants = [...gaps].map(([node, since]) => ({ node, since }));
    if (wants.length > 0) link.send(encodeWant(wants.slice(0, WANTS_MAX)));
    return isForged ? "forged" : undefined;
  }

  #nextRound(): () => void {
    const wait = ROUND_MS.min + this.#surroundings.random() * (ROUND_MS.max - ROUND_MS.min);
    return this.#surroundings.after(wait, () => {
      const link = pickOne([...this.#links()], this.#surroundings.random);
      if (link) this.#compare(link);
      this.flush();
      this.#cancelRound = this.#nextRound();
    });
  }

  #compare(link: Link): void {
    link.send(encodeRoot(this.#store.tables.root.octets));
  }

  #root(link: Link, hash: Buffer): void {
    const { root, buckets } = this.#store.tables;
    const isSame = root.octets.equals(hash);
    this.#stats.rounds[isSame ? "same" : "different"]++;
    if (!isSame) link.send(encodeBuckets(buckets.map((bucket) => bucket.octets)));
    else this.#ownNews.hasAll(link, this.#surroundings.nowMs());
  }

  #buckets(link: Link, hashes: readonly Buffer[]): void {
    const { buckets, nodes } = this.#store.tables;
    const differing = new Set<number>();
    for (let i = 0; i < BUCKETS; i++) if (!buckets[i]?.octets.equals(hashes[i] as Buffer)) differing.add(i);
    const tables = [...nodes.values()].filter((table) => differing.has(table.bucket));
    for (let at = 0; at < Math.max(1, tables.length); at += DIGESTS_MAX) {
      const part = tables.slice(at, at + DIGESTS_MAX);
      // A bucket that is cut in two is not listed in full by either message.
      const whole = tables.length <= DIGESTS_MAX ? differing : new Set<number>();
      link.send(
        encodeVersions(
          whole,
          part.map(({ node, version, hash }) => ({ node, version, hash: hash.octets })),
        ),
      );
    }
  }

  #versions(link: Link, buckets: ReadonlySet<number>, digests: readonly Digest[]): void {
    const { nodes } = this.#store.tables;
    const lacks = new Map<NodeId, number>();
    const wants: Want[] = [];
    const listed = new Set<NodeId>();
    for (const { node, version, hash } of digests) {
      listed.add(node);
      const table = nodes.get(node);
      if (table?.hash.octets.equals(hash) && table.version === version) continue;
      const ours = table?.version ?? 0;
      // Of the same age and not the same: something in the middle. All of it, both ways.
      if (ours >= version) lacks.set(node, ours === version ? 0 : version);
      if (ours <= version) wants.push({ node, since: ours === version ? 0 : ours });
    }
    for (const { node, bucket } of nodes.values()) if (buckets.has(bucket) && !listed.has(node)) lacks.set(node, 0);
    if (wants.length > 0) link.send(encodeWant(wants));
    this.#answer(link, lacks);
  }

  #want(link: Link, wants: readonly Want[]): void {
    this.#answer(link, new Map(wants.map(({ node, since }) => [node, since])));
  }

  /** Those who were admitted first come first, so that the other end knows who it is that speaks. */
  #answer(link: Link, since: ReadonlyMap<NodeId, number>): void {
    const { nodes } = this.#store.tables;
    function* missing(): Generator<Kept> {
      for (const table of nodes.values()) {
        const version = since.get(table.node);
        if (version !== undefined) yield* table.newerThan(version);
      }
    }
    for (const message of encodeRecords(missing(), true)) {
      if (!link.hasRoom) {
        link.isBehind = true;
        return;
      }
      link.send(message);
    }
    this.#ownNews.answered(link);
  }
}

const isSame = (a: readonly Kept[], b: readonly Kept[]): boolean =>
  a.length === b.length && a.every((record, i) => record === b[i]);
