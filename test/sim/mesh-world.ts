/**
 * Many nodes of the mesh in one process: the product's own Mesh with real Ed25519 signatures, over links, a clock and timers made here.
 * Links have a latency, can be cut, and then say nothing; whoever is killed resets them.
 *
 * A signature is verified once and the result remembered: 500 nodes look at the same records.
 */
import { type KeyObject, sign, verify } from "node:crypto";
import type { Channel, Transport } from "../../packages/control/src/mesh/channel.js";
import type { Journal, Stored } from "../../packages/control/src/mesh/journal.js";
import { Mesh } from "../../packages/control/src/mesh/mesh.js";
import {
  decodeRecord,
  encodeBody,
  nodeOctets,
  type RawRecord,
  signedOctets,
} from "../../packages/control/src/mesh/record.js";
import type { Kind, NodeValue, Values } from "../../packages/control/src/mesh/records.js";
import type { ByType } from "../../packages/control/src/mesh/stats.js";
import type { MeshLog, MeshSurroundings } from "../../packages/control/src/mesh/surroundings.js";
import type { NodeId } from "../../packages/control/src/mesh/types.js";
import { newKeys } from "../models/keys.js";
import { randomOf } from "../models/random.js";

export const NETWORK_ID = "00112233445566778899aabbccddeeff";
/** What a dial to somebody who does not answer takes: as long as the real one gives an address. */
const DIAL_TIMEOUT_MS = 2000;
/** TCP sends its first segment again after a second (RFC 6298 §2.1). */
const KNOCK_AGAIN_MS = 1000;

interface Timer {
  readonly atMs: number;
  readonly order: number;
  callback: (() => void) | undefined;
}

/** Milliseconds that pass when somebody says so. Callbacks of one instant run in the order in which they were asked for. */
export class VirtualClock {
  now = 0;
  readonly #heap: Timer[] = [];
  #orders = 0;

  after(ms: number, callback: () => void): () => void {
    const timer: Timer = { atMs: this.now + Math.max(0, ms), order: this.#orders++, callback };
    this.#push(timer);
    return () => {
      timer.callback = undefined;
    };
  }

  /** Runs what is due within `ms`, promises that it settles included. */
  async run(ms: number, until: () => boolean = () => false): Promise<void> {
    const end = this.now + ms;
    for (let first = this.#heap[0]; first && first.atMs <= end; first = this.#heap[0]) {
      this.#pop();
      const { callback } = first;
      if (!callback) continue;
      this.now = first.atMs;
      callback();
      if (this.hasPromises) {
        this.hasPromises = false;
        for (let turn = 0; turn < 3; turn++) await undefined;
      }
      if (until()) return;
    }
    this.now = end;
  }
  /** A callback has settled a promise: whoever waits for it comes first. */
  hasPromises = false;

  #push(timer: Timer): void {
    const heap = this.#heap;
    let at = heap.push(timer) - 1;
    for (let up = (at - 1) >> 1; at > 0 && isBefore(timer, heap[up] as Timer); up = (at - 1) >> 1) {
      heap[at] = heap[up] as Timer;
      at = up;
    }
    heap[at] = timer;
  }
  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Timer;
    if (heap.length === 0) return;
    let at = 0;
    for (let down = 1; down < heap.length; down = 2 * at + 1) {
      if (down + 1 < heap.length && isBefore(heap[down + 1] as Timer, heap[down] as Timer)) down++;
      if (!isBefore(heap[down] as Timer, last)) break;
      heap[at] = heap[down] as Timer;
      at = down;
    }
    heap[at] = last;
  }
}
const isBefore = (a: Timer, b: Timer): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

/** Keeps records as long as the test does. */
export class MemoryJournal implements Journal {
  readonly records: RawRecord[];
  constructor(records: readonly RawRecord[] = []) {
    this.records = [...records];
  }
  load(): readonly RawRecord[] {
    return this.records;
  }
  append(records: readonly Stored[]): void {
    for (const { node, octets } of records) this.records.push(decodeRecord(node, octets, 0));
  }
  compact(): void {}
  close(): void {}
}

/** For nodes that are never restarted. */
class NoJournal extends MemoryJournal {
  override append(): void {}
}

export interface Identity {
  readonly id: NodeId;
  readonly key: KeyObject;
}
const PUBLIC_DER = Buffer.from("302a300506032b6570032100", "hex");

/** @param seed 32 octets; random ones if absent */
export function newIdentity(seed?: Buffer): Identity {
  const { key, public: octets } = newKeys("ed25519", seed);
  return { id: octets.toString("base64url"), key };
}

const verified = new Map<string, Buffer>();
/** Ed25519, remembered. */
export function verifyOnce(signature: Uint8Array, octets: Uint8Array, key: Uint8Array): boolean {
  const name = Buffer.from(signature.buffer, signature.byteOffset, signature.length).toString("latin1");
  if (verified.get(name)?.equals(octets)) return true;
  const isGood = verify(
    null,
    octets,
    { key: Buffer.concat([PUBLIC_DER, key]), format: "der", type: "spki" },
    signature,
  );
  // The octets contain the key.
  if (isGood) verified.set(name, Buffer.from(octets));
  return isGood;
}

/** A record as `identity` would write it, true or not. */
export function signedRecord<K extends Kind>(
  identity: Identity,
  name: string,
  version: number,
  value: Values[K] | null,
  floor = 0,
): RawRecord {
  const body = encodeBody(name, version, floor, value);
  const octets = Buffer.concat([
    body,
    sign(null, signedOctets(Buffer.from(NETWORK_ID, "hex"), nodeOctets(identity.id), body), identity.key),
  ]);
  return decodeRecord(identity.id, octets, 0);
}

export const nodeValue = (name: string): NodeValue => ({
  name,
  wireguard: `${"A".repeat(43)}=`,
  control: [`${name}:6783`],
  endpoints: [`192.0.2.1:51820`],
  underlayMtu: 1500,
  version: "0",
  capabilities: [],
  startedAt: 0,
});

/** One end of a link. */
class End implements Channel {
  readonly node: NodeId;
  readonly isOutbound: boolean;
  readonly remote: string;
  /** Octets that wait, as a test has it. */
  backlog = 0;
  other!: End;
  isOpen = true;
  isStuck = false;
  sent = 0;
  readonly owner: SimNode;
  readonly #world: MeshWorld;
  #handlers: Parameters<Channel["receive"]>[0] | undefined;
  #early: Uint8Array[] = [];
  #lastMs = 0;

  constructor(world: MeshWorld, owner: SimNode, peer: SimNode, isOutbound: boolean) {
    this.#world = world;
    this.owner = owner;
    this.node = peer.id;
    this.remote = `${peer.name}:6783`;
    this.isOutbound = isOutbound;
  }
  receive(handlers: Parameters<Channel["receive"]>[0]): void {
    this.#handlers = handlers;
    for (const message of this.#early.splice(0)) handlers.message(message);
  }
  send(message: Uint8Array): void {
    if (!this.isOpen) return;
    this.sent += message.length;
    this.#arrive(() => this.other.#take(message));
  }
  close(why: string): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.owner.ends.delete(this);
    this.#arrive(() => this.other.#closed(`closed by the other end (${why})`));
  }
  /** In order; nothing any more from when on something was lost. */
  #arrive(callback: () => void): void {
    const atMs = Math.max(this.#lastMs, this.#world.clock.now + this.#world.latencyMs());
    this.#lastMs = atMs;
    this.#world.clock.after(atMs - this.#world.clock.now, () => {
      if (this.#world.isCut(this.owner, this.other.owner)) this.isStuck = true;
      if (!this.isStuck) callback();
    });
  }
  #take(message: Uint8Array): void {
    if (!this.isOpen) return;
    if (this.#handlers) this.#handlers.message(message);
    else this.#early.push(message);
  }
  #closed(why: string): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.owner.ends.delete(this);
    this.#handlers?.closed(why);
  }
}

const octetsOf = (traffic: ByType): number => Object.values(traffic).reduce((sum, { octets }) => sum + octets, 0);

const SILENT: MeshLog = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

export class SimNode implements Transport {
  readonly identity: Identity;
  readonly name: string;
  readonly ends = new Set<End>();
  readonly journal: MemoryJournal;
  /** Other nodes that it holds for alive. */
  readonly alive = new Set<NodeId>();
  isUp = false;
  mesh!: Mesh;
  log: MeshLog = SILENT;
  seeds: string[] = [];
  readonly #world: MeshWorld;
  #listener: (channel: Channel) => void = () => {};
  /** Timers of an earlier run do not call back. */
  #run = 0;
  /** Octets of records that went over before there was a control link. */
  #handed = { sent: 0, received: 0 };

  constructor(world: MeshWorld, identity: Identity, name: string, journal: MemoryJournal) {
    this.#world = world;
    this.identity = identity;
    this.name = name;
    this.journal = journal;
  }
  get id(): NodeId {
    return this.identity.id;
  }

  start(): void {
    const world = this.#world;
    const run = ++this.#run;
    this.isUp = true;
    const surroundings: MeshSurroundings = {
      nowMs: () => world.clock.now,
      wallMs: () => Math.floor(1_700_000_000_000 + world.clock.now),
      after: (ms, callback) =>
        world.clock.after(ms, () => {
          if (this.#run === run && this.isUp) callback();
        }),
      random: world.random,
      sign: (octets) => sign(null, octets, this.identity.key),
      verify: verifyOnce,
      log: this.log,
    };
    const { id: self, journal } = this;
    this.mesh = new Mesh({
      self,
      networkId: NETWORK_ID,
      founder: world.founder.id,
      journal,
      transport: this,
      surroundings,
      seeds: () => this.seeds,
    });
    this.#handed = { sent: 0, received: 0 };
    this.alive.clear();
    this.mesh.records.on((event) => {
      if (event.type === "alive") this.alive[event.isAlive ? "add" : "delete"](event.node);
    });
  }

  /** As `weft down` does it. */
  stop(): void {
    this.mesh.stop();
    this.#end();
  }
  /** As `kill -9` does it: the kernel resets the links. */
  kill(): void {
    for (const end of [...this.ends]) end.close("reset");
    this.#end();
  }
  /** As a power cut does it: nobody is told. */
  vanish(): void {
    for (const end of [...this.ends]) {
      end.isStuck = true;
      end.close("");
    }
    this.#end();
  }
  #end(): void {
    this.isUp = false;
    this.ends.clear();
  }

  /** Octets sent in messages since the start, without what TCP and TLS add; the records of a join among them. */
  get sent(): number {
    return this.#handed.sent + octetsOf(this.mesh.stats.sent);
  }
  get received(): number {
    return this.#handed.received + octetsOf(this.mesh.stats.received);
  }
  /** Records as the join protocol brings them from one node to another. */
  hand(records: Buffer, to: SimNode): Buffer {
    this.#handed.sent += records.length;
    to.#handed.received += records.length;
    return records;
  }

  onChannel(listener: (channel: Channel) => void): void {
    this.#listener = listener;
  }
  dial(node: NodeId, addresses: readonly string[]): Promise<Channel> {
    const world = this.#world;
    const { clock } = world;
    const run = this.#run;
    return new Promise((resolve, reject) => {
      const settle = (ms: number, act: () => void): void => {
        clock.after(ms, () => {
          if (this.#run !== run || !this.isUp) return;
          clock.hasPromises = true;
          act();
        });
      };
      const to = world.nodes.get(node);
      if (!to || !addresses.includes(`${to.name}:6783`)) {
        settle(1, () => reject(new Error("no route to host")));
        return;
      }
      const knock = (isLast: boolean): void => {
        const isCut = world.isCut(this, to) || world.isCut(to, this);
        if (isCut && isLast) settle(DIAL_TIMEOUT_MS - KNOCK_AGAIN_MS, () => reject(new Error("timed out")));
        else if (isCut) clock.after(KNOCK_AGAIN_MS, () => knock(true));
        else
          settle(3 * world.latencyMs(), () => {
            if (!to.isUp) reject(new Error("connection refused"));
            else resolve(this.#connect(to));
          });
      };
      knock(false);
    });
  }
  /** A link that somebody has opened, with a test at its other end. */
  accept(channel: Channel): void {
    this.#listener(channel);
  }
  /** As if it had dialled. */
  connect(to: SimNode): void {
    this.#listener(this.#connect(to));
  }
  #connect(to: SimNode): Channel {
    const here = new End(this.#world, this, to, true);
    const there = new End(this.#world, to, this, false);
    here.other = there;
    there.other = here;
    this.ends.add(here);
    to.ends.add(there);
    to.#listener(there);
    return here;
  }
}

export class MeshWorld {
  readonly clock = new VirtualClock();
  readonly nodes = new Map<NodeId, SimNode>();
  readonly random: () => number;
  founder!: SimNode;
  /** Milliseconds, one way. */
  latencyMs: () => number;
  isCut: (from: SimNode, to: SimNode) => boolean = () => false;

  constructor(seed: number) {
    const random = randomOf(seed);
    this.random = () => random() / 2 ** 32;
    this.latencyMs = () => 1 + this.random() * 20;
  }

  get up(): SimNode[] {
    return [...this.nodes.values()].filter((node) => node.isUp);
  }
  run(ms: number): Promise<void> {
    return this.clock.run(ms);
  }
  /** @returns virtual milliseconds until it is so, or undefined after `ms`; looks every 10 ms */
  async until(ms: number, isSo: () => boolean): Promise<number | undefined> {
    const start = this.clock.now;
    while (!isSo()) {
      if (this.clock.now - start >= ms) return undefined;
      await this.clock.run(10);
    }
    return this.clock.now - start;
  }

  /** Nodes that know each other, all admitted by the first; not linked yet, or on a ring with two chords each. */
  begin(count: number, options: { readonly keepsJournals?: boolean; readonly isLinked?: boolean } = {}): SimNode[] {
    const { keepsJournals = true, isLinked = false } = options;
    const identities = Array.from({ length: count }, () => this.#identity());
    const founder = identities[0] as Identity;
    const records = identities.map((identity, i) => signedRecord<"node">(identity, "node", 1, nodeValue(`n${i}`)));
    const admissions = identities
      .slice(1)
      .map(({ id }, i) => signedRecord<"member">(founder, `member:${id}`, 2 + i, { name: `n${i + 1}`, at: 0 }));
    const graph = isLinked ? this.#graph(identities.map(({ id }) => id)) : new Map<NodeId, ReadonlySet<NodeId>>();
    const links = identities.flatMap((identity) => {
      const control = [...(graph.get(identity.id) ?? [])].sort();
      return isLinked ? [signedRecord<"links">(identity, "links", 1 + count, { control, data: [] })] : [];
    });
    const all = [...admissions, ...records, ...links];
    const nodes = identities.map((identity, i) => this.#add(identity, `n${i}`, all, keepsJournals));
    this.founder = nodes[0] as SimNode;
    for (const node of nodes) node.start();
    for (const [from, others] of graph)
      for (const to of others) if (from < to) this.nodes.get(from)?.connect(this.nodes.get(to) as SimNode);
    return nodes;
  }

  /** Of the same world the same ones: who is next to whom on the ring depends on it. */
  #identity(): Identity {
    return newIdentity(Buffer.from(Array.from({ length: 32 }, () => Math.floor(this.random() * 256))));
  }

  #graph(ids: readonly NodeId[]): Map<NodeId, Set<NodeId>> {
    const graph = new Map(ids.map((id) => [id, new Set<NodeId>()]));
    const ring = [...ids].sort();
    const link = (a: NodeId, b: NodeId): void => {
      if (a === b) return;
      graph.get(a)?.add(b);
      graph.get(b)?.add(a);
    };
    for (const [i, id] of ring.entries()) link(id, ring[(i + 1) % ring.length] as NodeId);
    for (const id of ids)
      while ((graph.get(id)?.size ?? 0) < Math.min(5, ids.length - 1))
        link(id, ids[Math.floor(this.random() * ids.length)] as NodeId);
    return graph;
  }

  #add(identity: Identity, name: string, records: readonly RawRecord[], keepsJournals: boolean): SimNode {
    const journal = keepsJournals ? new MemoryJournal(records) : new NoJournal(records);
    const node = new SimNode(this, identity, name, journal);
    this.nodes.set(node.id, node);
    return node;
  }

  /** A new node joins through `by`, as the join protocol does it. */
  join(by: SimNode, name: string): SimNode {
    const node = this.#add(this.#identity(), name, [], true);
    node.start();
    node.mesh.records.put("node", "", nodeValue(name));
    by.mesh.admit(node.id, name, node.hand(node.mesh.introduction(), by));
    node.mesh.load(by.hand(by.mesh.allRecords(), node));
    node.mesh.connect(by.id);
    return node;
  }
}
