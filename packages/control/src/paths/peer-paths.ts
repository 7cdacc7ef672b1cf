/**
 * All paths to one peer: opens its session, sends echoes, judges what comes, and chooses the way that data takes.
 *
 * Directly while that works; else through the relay that is nearest by the link-state of all. Its owner calls `tick` ten times a second.
 */
import type { PathSpec, PeerActivity, SessionState } from "../dataplane/types.js";
import type { NodeValue } from "../mesh/records.js";
import type { NodeId } from "../mesh/types.js";
import type { Around } from "./around.js";
import { type DirectChange, DirectPath } from "./direct.js";
import { type Echo, encodeEcho, tagOf } from "./echo.js";
import { Candidates, parseEndpoint } from "./endpoints.js";
import type { MtuSearch } from "./mtu-search.js";
import { nextEcho, Pace } from "./pace.js";
import { PeerMtu } from "./peer-mtu.js";
import { RelayedPath } from "./relay.js";
import { ANSWER_MS, ATTEMPT_MS, FAST_MS, MISSES, SLOW_MS, SUSPECT_MS } from "./timing.js";
import { modeOf, type PathInfo } from "./types.js";

export class PeerPaths {
  readonly node: NodeId;
  readonly publicKey: string;
  readonly tag: bigint;
  readonly direct: DirectPath;
  readonly candidates = new Candidates();
  readonly #around: Around;
  readonly #relayed = new RelayedPath<PeerPaths>();
  readonly #mtu: PeerMtu;
  #session: SessionState = "none";
  #isRelayed = false;
  #sinceMs: number;
  /** To be written to from now on; null: as it is. */
  #endpoint: string | null = null;
  #attemptAtMs = 0;
  #isRelaysTurn = true;
  readonly #pace = new Pace();
  /** Echoes that did not come since another endpoint was tried. */
  #misses = 0;
  #directAtMs = 0;
  #relayedAtMs = 0;
  #answeredMs = { direct: Number.NEGATIVE_INFINITY, relayed: Number.NEGATIVE_INFINITY };
  #lastEchoMs: number | null = null;
  #lastSentMs = Number.NEGATIVE_INFINITY;
  #epochMs: number | null = null;
  /** By the peer's clock: flags of an echo that was sent before another one say nothing. */
  #newestUs = -1;
  #hasHandshake = false;
  /** Relay that the last relayed echo came out of. */
  #incoming: { publicKey: string; atMs: number } | null = null;

  constructor(node: NodeId, publicKey: string, around: Around, nowMs: number) {
    this.node = node;
    this.publicKey = publicKey;
    this.tag = tagOf(publicKey);
    this.#around = around;
    this.#sinceMs = nowMs;
    this.direct = new DirectPath(nowMs);
    this.#mtu = new PeerMtu((family) => around.underlayMtu(family));
  }

  get session(): SessionState {
    return this.#session;
  }
  /** Data goes through there first; null: directly. */
  get via(): PeerPaths | null {
    return this.#isRelayed ? this.#relayed.relay : null;
  }

  /** What the peer says of itself. */
  describe({ endpoints, underlayMtu }: Pick<NodeValue, "endpoints" | "underlayMtu">): void {
    this.#mtu.describe(underlayMtu);
    this.candidates.announce(endpoints);
    this.resize();
  }
  /** The underlay's MTU may have changed, or the family of the peer's address. */
  resize(): void {
    this.#mtu.resize(parseEndpoint(this.candidates.current ?? "")?.family);
    const { relay, mtu } = this.#relayed;
    if (relay !== null) mtu?.setCeiling(this.#mtu.ceilingOver(relay.#mtu));
  }
  /** Others are reached through it. */
  needed(nowMs: number): void {
    this.#pace.needed(nowMs);
  }
  /** A handshake ended well: the peer may be another process now. */
  handshake(): void {
    this.#hasHandshake = true;
  }

  sessionIs(session: SessionState, nowMs: number): void {
    if (session === this.#session) return;
    const before = this.#session;
    this.#session = session;
    if (session === "established") {
      this.direct.begin(nowMs);
      this.#relayed.expect(nowMs);
      this.#directAtMs = nowMs;
      this.#relayedAtMs = nowMs;
      this.#sinceMs = nowMs;
      this.#around.linkChanged();
      return;
    }
    if (session === "handshake") {
      this.#attemptAtMs = nowMs;
      this.#isRelaysTurn = true;
    }
    // A handshake goes the way that data went. Whoever is used again after a pause is tried directly first.
    if (session === "none" && !this.candidates.isEmpty) this.#use(null, nowMs);
    if (before !== "established") return;
    this.direct.begin(nowMs);
    this.#around.linkChanged();
  }

  tick(activity: PeerActivity, nowMs: number): void {
    this.sessionIs(activity.session, nowMs);
    this.#pace.sent(activity.sentAgoMs, nowMs);
    if (this.#session !== "established") {
      this.#begin(nowMs);
      return;
    }
    if (this.#pace.turn(nowMs)) this.#paced(nowMs);
    this.#hasten(nowMs);
    const change = this.direct.check(nowMs, this.#pace.expectedMs);
    if (change !== null) this.#turned(change, nowMs);
    this.#choose(nowMs);
    this.#echoes(nowMs);
  }

  /**
   * An echo is late on a path that is used: it is tried more often from now on. A TCP that runs over it repeats after 0.2, 0.6, 1.4 and 3 s,
   * and should find another path by the third time.
   */
  #hasten(nowMs: number): void {
    const { direct } = this;
    if (direct.state !== "up" || !this.#pace.isLate(direct.silenceMs(nowMs), direct.series.rttUs)) return;
    this.#pace.wake(direct.series.rttUs);
    this.#directAtMs = nowMs;
    direct.expect(nowMs);
  }

  /** Asks for a session: an echo without one begins it. At most once a second. */
  open(nowMs: number): void {
    if (this.#session !== "none" || nowMs - this.#lastSentMs < ATTEMPT_MS) return;
    this.#echo(null, nowMs, { answer: true });
  }

  /**
   * An echo has come. Forged ones are none: the session has authenticated it.
   * @param via public key of the relay that it came out of; null: directly
   * @returns whether it was taken
   */
  received(echo: Echo, via: string | null, endpoint: string | null, nowMs: number): "taken" | "refused" | "stale" {
    const isDirect = via === null;
    // A relay could put a message onto the direct path, to be taken for it; and nobody is his own relay.
    if (isDirect !== (echo.relay === 0n) || via === this.publicKey) return "refused";
    if (!this.#isOfNow(echo)) return "stale";
    const series = isDirect ? this.direct.series : this.#relayed.series;
    if (!series.take(echo, nowMs)) return "stale";
    this.#lastEchoMs = nowMs;
    if (isDirect) {
      this.#pace.awake();
      if (endpoint !== null) {
        this.candidates.seen(endpoint);
        this.resize();
      }
      this.#mtu.heard("direct", echo.mtu);
    } else {
      this.#incoming = { publicKey: via, atMs: nowMs };
      this.#mtu.heard("relayed", echo.mtu);
    }
    this.#reports(echo, isDirect, nowMs);
    const isNewest = echo.sentUs > this.#newestUs;
    if (isNewest) {
      this.#newestUs = echo.sentUs;
      this.#pace.peerSays(echo.used, nowMs);
    }
    let change: DirectChange | null = null;
    if (isNewest && echo.deaf) change = this.direct.toldDeaf(nowMs);
    else if (isDirect && !echo.deaf && !echo.full) change = this.direct.good(nowMs, this.#pace.expectedMs);
    if (change !== null) this.#turned(change, nowMs);
    this.#answer(echo, isDirect, via, nowMs);
    return "taken";
  }

  /** What the data plane should do; null: as it does. `endpoint` is there once. */
  spec(set: Pick<PathSpec, "via" | "mtu">): PathSpec | null {
    const endpoint = this.#endpoint;
    const via = this.via?.publicKey ?? null;
    const mtu = this.#session === "established" ? this.#mtuNow : null;
    if (endpoint === null && via === set.via && mtu === set.mtu) return null;
    this.#endpoint = null;
    return { publicKey: this.publicKey, via, mtu, ...(endpoint !== null && { endpoint }) };
  }

  info(nowMs: number): PathInfo {
    const { series } = this.#isRelayed ? this.#relayed : this.direct;
    const isOpen = this.#session === "established";
    return {
      node: this.node,
      publicKey: this.publicKey,
      session: this.#session,
      mode: modeOf(isOpen, this.#isRelayed, this.direct.state),
      via: this.via?.node ?? null,
      forMs: nowMs - this.#sinceMs,
      direct: this.direct.state,
      rttUs: series.rttUs,
      loss: series.loss,
      mtu: isOpen ? this.#mtuNow : null,
      mtuConfirmed: isOpen && (this.#search?.isConfirmed ?? false),
      endpoint: this.candidates.current,
      candidates: this.candidates.list,
      lastEchoMs: this.#lastEchoMs === null ? null : nowMs - this.#lastEchoMs,
    };
  }

  /** Whether an echo belongs to the peer's present run. */
  #isOfNow({ epochMs }: Echo): boolean {
    if (epochMs !== this.#epochMs) {
      // A clock may have been set back between two runs; only a handshake shows that there is a new one.
      if (this.#epochMs !== null && epochMs < this.#epochMs && !this.#hasHandshake) return false;
      this.#epochMs = epochMs;
      this.#newestUs = -1;
      this.direct.series.restart();
      this.#relayed.series.restart();
    }
    this.#hasHandshake = false;
    return true;
  }

  #reports(echo: Echo, isDirect: boolean, nowMs: number): void {
    this.direct.series.report(echo.direct, isDirect, nowMs);
    this.direct.series.told(echo.directLoss);
    this.#relayed.series.told(echo.relayedLoss);
    let hasChanged = false;
    if (echo.directFull !== null)
      hasChanged = this.#mtu.search.heard(echo.directFull.sequence, echo.directFull.bytes, nowMs);
    const { relay, series, mtu } = this.#relayed;
    if (relay !== null && echo.relayedBy === relay.tag) {
      series.report(echo.relayed, !isDirect, nowMs);
      if (echo.relayedFull !== null)
        hasChanged = mtu?.heard(echo.relayedFull.sequence, echo.relayedFull.bytes, nowMs) || hasChanged;
    }
    if (hasChanged) this.#around.mtuChanged();
  }

  /** The direct path has changed: the other side learns it at once, on every path. */
  #turned(change: DirectChange, nowMs: number): void {
    this.#pace.awake();
    this.#directAtMs = nowMs;
    this.#relayedAtMs = nowMs;
    this.#around.linkChanged();
    const was = this.#isRelayed;
    this.#choose(nowMs);
    if (this.#isRelayed !== was || change !== "proven") this.#around.changed(change);
  }

  /** Echoes are wanted more often, or less. */
  #paced(nowMs: number): void {
    if (this.#pace.isFast) {
      const { heardAtMs, rttUs } = this.direct.series;
      if (nowMs - (heardAtMs ?? Number.NEGATIVE_INFINITY) > MISSES * FAST_MS) this.#pace.wake(rttUs);
      this.#directAtMs = nowMs;
      this.#relayedAtMs = nowMs;
    }
    this.direct.expect(nowMs);
    this.#relayed.expect(nowMs);
  }

  /** There is no session yet. */
  #begin(nowMs: number): void {
    if (this.#session === "handshake") {
      this.via?.needed(nowMs);
      this.#attempt(nowMs);
      return;
    }
    // Without an address there is nothing to begin with until a relay is set.
    if (this.candidates.isEmpty) this.#use(this.#nextRelay(nowMs), nowMs);
    if (this.#pace.isNeeded(nowMs, ATTEMPT_MS)) this.open(nowMs);
  }

  /** A handshake is under way: other endpoints, and relays, one per second. */
  #attempt(nowMs: number): void {
    if (nowMs - this.#attemptAtMs < ATTEMPT_MS) return;
    this.#attemptAtMs = nowMs;
    const was = this.via;
    if (was !== null) this.#relayed.exclude(nowMs);
    // In turns: what is directly reachable now must not wait for the last relay. Where none is known, it stays the relay's turn.
    const relay = this.#isRelaysTurn ? (this.#nextRelay(nowMs) ?? null) : null;
    this.#isRelaysTurn = relay === null || this.candidates.isEmpty;
    const endpoint = this.candidates.next();
    if (endpoint !== null) this.#endpoint = endpoint;
    this.#use(relay, nowMs);
    if (relay !== was) this.#around.changed("no_session");
  }

  #choose(nowMs: number): void {
    const { direct } = this;
    // What comes through a relay comes at the usual pace.
    const interval = this.#pace.isFast ? FAST_MS : SLOW_MS;
    const heardMs = Math.max(direct.series.heardAtMs ?? direct.sinceMs, direct.sinceMs);
    const isSuspect = this.#pace.isFast && nowMs - heardMs > SUSPECT_MS;
    const isIncoming = this.#incoming !== null && nowMs - this.#incoming.atMs < MISSES * interval;
    if (direct.state === "up" || (direct.state === "unknown" && !this.#isRelayed && !isIncoming)) {
      this.#use(null, nowMs);
      // One is made ready before it is needed: its session may have to be opened.
      const relay = isSuspect ? this.#nextRelay(nowMs) : null;
      if (relay !== undefined) this.#setRelay(relay, nowMs);
      return;
    }
    const was = this.via;
    const hasFailed = this.#relayed.hasFailed(nowMs, interval) && this.#around.isAlive(this.node);
    if (hasFailed) this.#relayed.exclude(nowMs);
    const relay = this.#nextRelay(nowMs);
    if (relay === undefined) return;
    this.#use(relay, nowMs);
    if (was !== null && relay !== was) this.#around.changed(hasFailed ? "relay_failed" : "shorter");
    if (hasFailed && relay === was) this.#relayed.expect(nowMs);
  }

  #nextRelay(nowMs: number): PeerPaths | null | undefined {
    const find = (): PeerPaths | null | undefined => {
      const excluded = this.#relayed.excluded(nowMs);
      const relay = this.#around.relay(this.node, excluded);
      if (relay !== null) return relay;
      // No record says how, but the peer's own echoes come out of somebody who knows.
      const incoming = this.#incoming === null ? undefined : this.#around.peer(this.#incoming.publicKey);
      const isGood = incoming !== undefined && incoming.direct.state === "up" && !excluded.has(incoming.node);
      return isGood ? incoming : null;
    };
    const relay = find();
    if (relay !== null) return relay;
    this.#relayed.forgive();
    return find();
  }

  #setRelay(relay: PeerPaths | null, nowMs: number): void {
    if (relay === this.#relayed.relay) return;
    this.#relayed.set(relay, nowMs, () => this.#mtu.searchOver((relay as PeerPaths).#mtu));
    this.#relayedAtMs = nowMs;
  }
  #use(relay: PeerPaths | null | undefined, nowMs: number): void {
    if (relay === undefined) return;
    if (relay !== null || this.#isRelayed) this.#setRelay(relay, nowMs);
    if (this.#isRelayed === (relay !== null)) return;
    this.#isRelayed = relay !== null;
    this.#sinceMs = nowMs;
  }

  #echoes(nowMs: number): void {
    const { relay, series, mtu } = this.#relayed;
    if (relay !== null) relay.needed(nowMs);
    const interval = this.#pace.intervalMs(nowMs);
    if (nowMs >= this.#directAtMs) {
      if (this.direct.silenceMs(nowMs) > interval) this.#silent();
      this.#echo(null, nowMs, { answer: this.#pace.isWaking || this.#mtu.search.isWaiting });
      this.#directAtMs = nextEcho(nowMs, interval, this.#around.random);
    }
    if (relay !== null && nowMs >= this.#relayedAtMs) {
      this.#echo(relay, nowMs, { answer: series.confirmedSentMs === null || (mtu?.isWaiting ?? false) });
      this.#relayedAtMs = nextEcho(nowMs, interval, this.#around.random);
    }
    if (!this.#pace.isFast) return;
    if (this.direct.state === "up") this.#probeMtu(this.#mtu.search, null, nowMs);
    if (relay !== null && mtu !== null && this.#isRelayed) this.#probeMtu(mtu, relay, nowMs);
  }
  /** An echo did not come in time. */
  #silent(): void {
    this.#around.missed();
    if (this.direct.state !== "down" || ++this.#misses < MISSES) return;
    this.#misses = 0;
    const endpoint = this.candidates.next();
    if (endpoint !== null) this.#endpoint = endpoint;
  }

  #probeMtu(search: MtuSearch, relay: PeerPaths | null, nowMs: number): void {
    const { series } = relay === null ? this.direct : this.#relayed;
    const path = { roundTripMs: (series.rttUs ?? 0) / 1000, loss: series.loss };
    if (search.check(nowMs, series.confirmedSentMs ?? Number.NEGATIVE_INFINITY, path)) this.#around.mtuChanged();
    const bytes = search.due(nowMs);
    if (bytes === null) return;
    search.sent(this.#echo(relay, nowMs, { answer: true, bytes }), nowMs);
    // What shows that it is the size, and not the path.
    if (search.isSearching) this.#echo(relay, nowMs, { answer: true });
  }

  #answer(echo: Echo, isDirect: boolean, via: string | null, nowMs: number): void {
    const { relay } = this.#relayed;
    if (!echo.answer && (isDirect || relay !== null)) return;
    const kind = isDirect ? "direct" : "relayed";
    if (nowMs - this.#answeredMs[kind] < ANSWER_MS) return;
    this.#answeredMs[kind] = nowMs;
    const back = isDirect ? null : (relay ?? this.#around.peer(via as string));
    if (back !== undefined) this.#echo(back, nowMs, { answer: false });
  }

  /** @returns its sequence number */
  #echo(relay: PeerPaths | null, nowMs: number, { answer, bytes = 0 }: { answer: boolean; bytes?: number }): number {
    const direct = this.direct.series;
    const relayed = this.#relayed.series;
    const { sequence, sentUs } = (relay === null ? direct : relayed).next(bytes > 0, nowMs);
    const payload = encodeEcho({
      used: this.#pace.isUsed,
      answer,
      deaf: this.#session === "established" && this.direct.isDeaf(nowMs, this.#pace.expectedMs),
      full: bytes > 0,
      epochMs: this.#around.epochMs,
      sequence,
      sentUs,
      relay: relay?.tag ?? 0n,
      bytes,
      mtu: (relay === null ? this.#mtu.search : this.#relayed.mtu)?.mtu ?? 0,
      direct: direct.heard(nowMs),
      relayed: relayed.heard(nowMs),
      relayedBy: relayed.heardBy,
      directFull: direct.heardFull,
      relayedFull: relayed.heardFull,
      directLoss: direct.lossHere,
      relayedLoss: relayed.lossHere,
      endpoint: direct.heardAtMs === null ? null : this.candidates.current,
    });
    this.#lastSentMs = nowMs;
    const via = relay?.publicKey ?? null;
    this.#around.send({ publicKey: this.publicKey, via, payload, ...(bytes > 0 && { packetBytes: bytes }) });
    return sequence;
  }

  get #search(): MtuSearch | null {
    return this.#isRelayed ? this.#relayed.mtu : this.#mtu.search;
  }
  get #mtuNow(): number {
    return this.#isRelayed ? this.#mtu.relayed(this.#relayed.mtu) : this.#mtu.direct;
  }
}
