/**
 * The paths to all members: drives the data plane's mesh calls, and says over which links this node reaches others.
 *
 * It has no timers: who owns it calls `tick` every 100 ms. Bounds: PEERS_MAX peers; per tick so many echoes, and
 * so much search for relays. Whoever comes too late has its turn in the next one.
 */
import { InvalidInput } from "../dataplane/invalid.js";
import type { DataplaneApi, DataplaneEvent, PathSpec } from "../dataplane/types.js";
import type { LinksValue } from "../mesh/records.js";
import type { MeshEvent, NodeId, Records } from "../mesh/types.js";
import type { Around } from "./around.js";
import { decodeEcho } from "./echo.js";
import { Outside, writable } from "./endpoints.js";
import { DataLinks } from "./links.js";
import { NextHops, type OwnLink } from "./next-hops.js";
import { PeerPaths } from "./peer-paths.js";
import { type PathInfo, type PathsCounters, REASONS, type Reason } from "./types.js";

const PEERS_MAX = 4096;
/** Peers whose echoes are due are looked after until so many echoes have gone out; in one tick. */
const ECHOES_PER_TICK = 1024;
/** Links that searches for relays look at, in one tick; the last search may go beyond it, once over all links there are. */
const LINKS_PER_TICK = 20_000;
/** Sessions begun because the other side believes that it has one. */
const REOPENED_PER_TICK = 16;
/** What the data plane does with a peer unless told otherwise. */
const AS_BEGUN = { via: null, mtu: null };
/** When no underlay has an MTU that we know of. */
const UNDERLAY_MTU = 1500;

export interface PathsOptions {
  readonly dataplane: Pick<DataplaneApi, "info" | "sendProbe" | "setPaths" | "peerActivity" | "on" | "off">;
  readonly records: Pick<Records, "self" | "get" | "list" | "members" | "isAlive" | "on">;
  /** Milliseconds of a clock that never goes back; its fractions count. */
  readonly nowMs: () => number;
  /** Milliseconds since 1970 when this process began; greater than those of its earlier runs. */
  readonly epochMs: number;
  /** 0 up to, but not including, 1. */
  readonly random: () => number;
  /** Writes `data` of our `links` record. At most once a second. */
  readonly publish: (data: LinksValue["data"]) => void;
  /** An echo of the node has come, so it is alive. */
  readonly heard: (node: NodeId) => void;
  /** Where others see our WireGuard port, most often seen first, at most 4: for `endpoints` of our `node` record. */
  readonly outside: (endpoints: readonly string[]) => void;
}

export class Paths implements Around {
  readonly epochMs: number;
  readonly random: () => number;
  readonly #options: PathsOptions;
  readonly #peers = new Map<NodeId, PeerPaths>();
  readonly #byKey = new Map<string, PeerPaths>();
  readonly #outside = new Outside();
  readonly #links: DataLinks;
  readonly #underlay = new Map<string, number>();
  readonly #off: () => void;
  #hops: NextHops;
  #hopsChanged = true;
  #membersChanged = true;
  #duplicateKeys = 0;
  #echoes = 0;
  #lookedMax = 0;
  /** Peers are looked at from here on: a tick that had too much to do does not favour the first ones. */
  #first = 0;

  /** By public key, as the data plane has it; absent: directly, as the underlay's MTU says. */
  readonly #set = new Map<string, Omit<PathSpec, "publicKey" | "endpoint">>();
  #isSetting = false;
  /** Peers of the data plane, as of the last tick. */
  #known: ReadonlySet<string> = new Set();
  /** Somebody's path has changed since the data plane was told. */
  #isDue = false;

  readonly #changes = Object.fromEntries(REASONS.map((reason) => [reason, 0])) as Record<Reason, number>;
  readonly #counts = { sent: 0, received: 0, missed: 0, refused: 0, stale: 0 };
  #mtuChanges = 0;
  #setFailed = 0;

  constructor(options: PathsOptions) {
    const { dataplane, records } = options;
    this.#options = options;
    this.epochMs = options.epochMs;
    this.random = options.random;
    this.#hops = new NextHops(records.self, new Map(), [], new Set());
    this.#links = new DataLinks(options.publish);
    for (const { address, mtu } of dataplane.info.underlay) this.#underlay.set(address, mtu);
    const onRecords = records.on((event) => this.#onRecords(event));
    const onEvent = (event: DataplaneEvent): void => this.#onEvent(event);
    dataplane.on("event", onEvent);
    this.#off = () => {
      onRecords();
      dataplane.off("event", onEvent);
    };
  }

  close(): void {
    this.#off();
  }

  /** To be called every 100 ms. */
  tick(): void {
    const nowMs = this.#options.nowMs();
    this.#echoes = 0;
    if (this.#membersChanged) this.#follow(nowMs);
    if (this.#hopsChanged) this.#link();
    this.#lookedMax = this.#hops.looked + LINKS_PER_TICK;
    const activities = this.#options.dataplane.peerActivity();
    let reopened = 0;
    for (let i = 0; i < activities.length; i++) {
      const activity = activities[(this.#first + i) % activities.length];
      const peer = activity === undefined ? undefined : this.#byKey.get(activity.publicKey);
      if (activity === undefined || peer === undefined) continue;
      if (this.#echoes >= ECHOES_PER_TICK) {
        this.#first = (this.#first + i) % activities.length;
        break;
      }
      peer.tick(activity, nowMs);
      if (peer.session === "none" && reopened < REOPENED_PER_TICK && this.#believesInUs(peer.node)) {
        reopened++;
        peer.open(nowMs);
      }
    }
    if (this.#links.isDue(nowMs)) this.#links.update(this.#ownLinks(), nowMs);
    this.#known = new Set(activities.map(({ publicKey }) => publicKey));
    this.#gone(nowMs);
    this.#apply();
  }

  /** Of all members that have a WireGuard key, ourselves left out. */
  info(): PathInfo[] {
    const nowMs = this.#options.nowMs();
    return [...this.#peers.values()].map((peer) => peer.info(nowMs));
  }
  counters(): PathsCounters {
    return {
      changes: { ...this.#changes },
      mtuChanges: this.#mtuChanges,
      echoes: { ...this.#counts },
      setFailed: this.#setFailed,
      duplicateKeys: this.#duplicateKeys,
    };
  }
  /** Where others see us. */
  outside(): readonly string[] {
    return this.#outside.list;
  }

  // Around

  send(probe: Parameters<DataplaneApi["sendProbe"]>[0]): boolean {
    this.#echoes++;
    try {
      const isSent = this.#options.dataplane.sendProbe(probe);
      if (isSent) this.#counts.sent++;
      return isSent;
    } catch (error) {
      // The peer, or the relay: members and the data plane's peers do not change in one instant. As lost as any other echo.
      if (error instanceof InvalidInput) return false;
      throw error;
    }
  }
  relay(to: NodeId, excluded: ReadonlySet<NodeId>): PeerPaths | null | undefined {
    const hops = this.#hops;
    const isSpent = hops.looked >= this.#lookedMax;
    if (isSpent && !hops.isKnown(to)) return undefined;
    const nearest = hops.nearest(to);
    let via = nearest === null || excluded.has(nearest.via) ? null : nearest.via;
    if (nearest !== null && via === null) {
      if (isSpent) return undefined;
      via = hops.detour(to, excluded)?.via ?? null;
    }
    return via === null ? null : (this.#peers.get(via) ?? null);
  }
  peer(publicKey: string): PeerPaths | undefined {
    return this.#byKey.get(publicKey);
  }
  underlayMtu(family: 4 | 6): number {
    const all = [...this.#underlay];
    const own = all.filter(([address]) => address.includes(":") === (family === 6));
    const mtus = (own.length > 0 ? own : all).map(([, mtu]) => mtu);
    return mtus.length > 0 ? Math.min(...mtus) : UNDERLAY_MTU;
  }
  isAlive(node: NodeId): boolean {
    return this.#options.records.isAlive(node);
  }
  changed(reason: Reason): void {
    this.#changes[reason]++;
    this.#isDue = true;
  }
  mtuChanged(): void {
    this.#mtuChanges++;
  }
  missed(): void {
    this.#counts.missed++;
  }
  linkChanged(): void {
    this.#hopsChanged = true;
  }

  #onEvent(event: DataplaneEvent): void {
    const nowMs = this.#options.nowMs();
    if (event.type === "probe") this.#received(event, nowMs);
    else if (event.type === "session") this.#byKey.get(event.peer)?.sessionIs(event.session, nowMs);
    else if (event.type === "handshake") this.#byKey.get(event.peer)?.handshake();
    else if (event.type === "roamed") this.#byKey.get(event.peer)?.candidates.seen(event.endpoint);
    else if (event.type === "underlay") {
      this.#underlay.set(event.address, event.mtu);
      for (const peer of this.#peers.values()) peer.resize();
    }
    // What is lost until the next tick would be.
    if (this.#isDue) this.#apply();
  }
  #received(event: Extract<DataplaneEvent, { type: "probe" }>, nowMs: number): void {
    const echo = decodeEcho(event.payload);
    const peer = this.#byKey.get(event.peer);
    // A full echo is as long as it says: what was cut on its way, or made longer, shows nothing.
    if (echo === null || peer === undefined || (echo.full && echo.bytes !== event.packetBytes)) {
      this.#counts.refused++;
      return;
    }
    const result = peer.received(echo, event.via, event.endpoint, nowMs);
    if (result !== "taken") {
      this.#counts[result]++;
      return;
    }
    this.#counts.received++;
    this.#options.heard(peer.node);
    if (event.via === null && echo.endpoint !== null && this.#outside.saw(peer.node, echo.endpoint))
      this.#options.outside(this.#outside.list);
  }

  #onRecords(event: MeshEvent): void {
    if (event.type === "alive") this.#hopsChanged = true;
    if (event.type !== "records") return;
    if (event.kinds.has("links")) this.#hopsChanged = true;
    if (event.kinds.has("node") || event.kinds.has("member") || event.kinds.has("removed")) this.#membersChanged = true;
  }
  /** Peers are the members that have said who they are. */
  #follow(nowMs: number): void {
    this.#membersChanged = false;
    this.#hopsChanged = true;
    this.#duplicateKeys = 0;
    const { records } = this.#options;
    const members = new Map(records.members().map((member) => [member.id, member]));
    for (const peer of this.#peers.values()) {
      if (members.get(peer.node)?.node?.wireguard !== peer.publicKey) this.#forget(peer);
    }
    for (const { id, node } of members.values()) {
      if (id === records.self || node === undefined) continue;
      let peer = this.#peers.get(id);
      if (peer === undefined) {
        // Whoever names another's key does not get its messages: the first one keeps it.
        if (this.#byKey.has(node.wireguard)) this.#duplicateKeys++;
        if (this.#byKey.has(node.wireguard) || this.#peers.size >= PEERS_MAX) continue;
        peer = new PeerPaths(id, node.wireguard, this, nowMs);
        this.#peers.set(id, peer);
        this.#byKey.set(node.wireguard, peer);
      }
      const endpoints = writable(node.endpoints, this.#options.dataplane.info.underlay);
      peer.describe({ endpoints, underlayMtu: node.underlayMtu });
    }
  }
  #forget(peer: PeerPaths): void {
    this.#peers.delete(peer.node);
    this.#byKey.delete(peer.publicKey);
    this.#set.delete(peer.publicKey);
    if (this.#outside.forget(peer.node)) this.#options.outside(this.#outside.list);
  }

  /** At most once in a tick, however much has changed. */
  #link(): void {
    this.#hopsChanged = false;
    const { records } = this.#options;
    const states = new Map<NodeId, LinksValue>();
    for (const { node, value } of records.list("links")) {
      if (node === records.self || records.isAlive(node)) states.set(node, value);
    }
    const down = new Set<NodeId>();
    for (const peer of this.#peers.values()) if (peer.direct.state === "down") down.add(peer.node);
    this.#hops = new NextHops(records.self, states, this.#ownLinks(), down);
  }
  #ownLinks(): OwnLink[] {
    const links: OwnLink[] = [];
    for (const { node, direct } of this.#peers.values()) {
      const { rttUs, loss } = direct.series;
      if (direct.state === "up" && rttUs !== null) links.push({ to: node, rttUs, loss });
    }
    return links;
  }
  /** A node that still states a path to us seals with keys that we, begun anew, do not have. */
  #believesInUs(node: NodeId): boolean {
    const { records } = this.#options;
    if (!records.isAlive(node)) return false;
    return records.get(node, "links")?.data.some(({ to }) => to === records.self) ?? false;
  }

  /** Peers that the data plane has no longer: should they come back, they begin anew. */
  #gone(nowMs: number): void {
    for (const publicKey of this.#set.keys()) {
      if (this.#known.has(publicKey)) continue;
      this.#set.delete(publicKey);
      this.#byKey.get(publicKey)?.sessionIs("none", nowMs);
    }
  }
  /** Tells the data plane what has changed. One call at a time, so that they take effect in order. */
  #apply(): void {
    if (this.#isSetting) return;
    this.#isDue = false;
    const specs: PathSpec[] = [];
    for (const publicKey of this.#known) {
      const spec = this.#byKey.get(publicKey)?.spec(this.#set.get(publicKey) ?? AS_BEGUN);
      if (spec) specs.push(spec);
    }
    if (specs.length === 0) return;
    this.#isSetting = true;
    void this.#setPaths(specs).finally(() => {
      this.#isSetting = false;
      if (this.#isDue) this.#apply();
    });
  }
  /** Resolves when all are in force but those that the data plane does not take; these are said again. */
  async #setPaths(specs: readonly PathSpec[]): Promise<void> {
    const { dataplane } = this.#options;
    try {
      await dataplane.setPaths(specs);
      for (const { publicKey, via, mtu } of specs) this.#set.set(publicKey, { via, mtu });
    } catch {
      this.#setFailed++;
      // One of them stands in the way of all: a peer that has just been taken out, an address of a family that there is not.
      if (specs.length > 1) for (const spec of specs) await this.#setPaths([spec]);
    }
  }
}
