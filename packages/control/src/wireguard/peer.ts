/**
 * One peer: its handshakes, its sessions and its timers. Semantics of the WireGuard paper (§6) and of the kernel's
 * timers.c, with one difference: the kernel sets a timer with every packet, here `tick()` looks at when packets last went.
 */
import type { SessionState } from "../dataplane/types.js";
import { Macs } from "./cookies.js";
import { sealMessage } from "./keepalive.js";
import { keylogLines } from "./keylog.js";
import {
  type Initiation,
  initiate,
  type Pending,
  type Remote,
  readResponse,
  respond,
  type SessionKeys,
} from "./noise/handshake.js";
import { RESPONSE } from "./noise/messages.js";
import { ephemeralPair, KEY_LEN, type KeyPair } from "./noise/primitives.js";
import { wipe } from "./secrets.js";
import { Sessions, SLOTS_PER_PEER } from "./sessions.js";
import type { Slot, Slots } from "./slots.js";
import type { Endpoint, Role, Surroundings } from "./surroundings.js";
import type { Tai64n } from "./tai64n.js";
import { type PeerCounters, PeerTally, type Tally } from "./tally.js";
import {
  Activity,
  type Clock,
  INITIATION_SPACING,
  JITTER_MAX,
  NEVER,
  PassiveKeepalive,
  REJECT_AFTER_TIME,
  REKEY_AFTER_TIME,
  REKEY_ATTEMPT_TIME,
  REKEY_ON_RECEIVE,
  REKEY_TIMEOUT,
  Silence,
} from "./timers.js";

/** What all peers of an engine have in common. */
export interface Common {
  readonly own: KeyPair;
  /** Octets of our private key; only there for the key log. */
  readonly ownRaw: Buffer | undefined;
  readonly surroundings: Surroundings;
  readonly slots: Slots<Peer>;
  readonly clock: Clock;
  readonly tai64n: Tai64n;
  readonly tally: Tally;
}

export interface PeerConfig {
  /** 32 octets. */
  readonly publicKey: Uint8Array;
  /** 32 octets. */
  readonly preshared?: Uint8Array | undefined;
  /** Absent: not known, or, when a peer is changed, as it is. */
  readonly endpoint?: Endpoint | undefined;
  /** Seconds; 0: off. */
  readonly persistentKeepalive: number;
}

/** An initiation that has been sent. */
interface Sent extends Slot {
  readonly noise: Pending;
}
/** From the first initiation to the response, or to REKEY_ATTEMPT_TIME. */
interface Attempt {
  readonly startedMs: number;
  retryMs: number;
  sent: Sent | undefined;
}

/** Of a peer that is written to over others alone. */
const NOWHERE: Endpoint = { address: "::", port: 0 };

export class Peer {
  readonly index: number;
  readonly #common: Common;
  readonly #public: Buffer;
  #preshared: Buffer;
  #endpoint: Endpoint | undefined;
  #persistentMs: number;
  readonly #sessions: Sessions<Peer>;
  #attempt: Attempt | undefined;
  readonly #macs: Macs;
  readonly #activity: Activity;
  readonly #passive = new PassiveKeepalive();
  readonly #silence = new Silence();
  /** Of the last initiation that was taken: later ones must be greater. */
  #timestamp: Buffer | undefined;
  #initiationMs = NEVER;
  #lastHandshake: number | null = null;
  readonly #traffic = new PeerTally();

  constructor(index: number, config: PeerConfig, common: Common) {
    this.index = index;
    this.#common = common;
    this.#public = Buffer.from(config.publicKey);
    this.#preshared = presharedOf(config);
    this.#persistentMs = config.persistentKeepalive * 1000;
    this.#macs = new Macs(this.#public);
    this.#activity = new Activity(common.clock);
    const { keys } = common.surroundings;
    this.#sessions = new Sessions(index, keys, common.slots, () => common.tally.handshake("responder", "timeout"));
    if (config.endpoint) this.#setEndpoint(config.endpoint);
  }

  get publicKey(): Buffer {
    return this.#public;
  }
  get #remote(): Remote {
    return { public: this.#public, preshared: this.#preshared };
  }

  /** Where messages go that take the way of data; undefined: nowhere yet. */
  get #to(): Endpoint | undefined {
    return this.#endpoint ?? (this.#common.surroundings.isRelayed?.(this.index) ? NOWHERE : undefined);
  }

  /** Sessions go on; what is changed holds from the next handshake or message on. The public key stays. */
  change(config: PeerConfig): void {
    wipe(this.#preshared);
    this.#preshared = presharedOf(config);
    this.#persistentMs = config.persistentKeepalive * 1000;
    if (config.endpoint && !isSame(config.endpoint, this.#endpoint)) this.#setEndpoint(config.endpoint);
  }

  /** Nothing is left of it: no slot, no secret. */
  remove(): void {
    this.#endAttempt();
    this.#sessions.clear();
    this.#macs.wipe();
    wipe(this.#preshared);
  }

  /** Starts a handshake. @returns false when one is under way, was a moment ago, or there is neither an address nor a relay */
  start(now: number): boolean {
    if (this.#attempt || !this.#to) return false;
    if (now - this.#activity.handshakeSent < REKEY_TIMEOUT) return false;
    this.#attempt = { startedMs: now, retryMs: now, sent: undefined };
    this.#sendInitiation(this.#attempt, now);
    return true;
  }

  /** There is something to send: as `start()`, and a peer without address is counted. */
  wanted(now: number): boolean {
    if (!this.#to) this.#common.tally.noEndpoint++;
    return this.start(now);
  }

  #sendInitiation(attempt: Attempt, now: number): void {
    const { surroundings, slots, tai64n, tally, own } = this.#common;
    this.#dropSent(attempt);
    this.#sessions.shrinkTo(SLOTS_PER_PEER - 1);
    const slot = slots.reserve(this, this.index);
    // Without a slot it is tried again with every tick: one becomes free when no worker is at it any more.
    const to = this.#to;
    if (!slot || !to) return;
    const ephemeral = this.#makeEphemeral();
    const stamp = tai64n.next(surroundings.wallMs());
    const first = initiate(own, this.#remote, ephemeral, slot.local, stamp);
    if (!first) {
      slots.retire(slot);
      this.#attempt = undefined;
      tally.handshake("initiator", "failed");
      return;
    }
    attempt.sent = { ...slot, noise: first.pending };
    attempt.retryMs = now + REKEY_TIMEOUT + this.#jitter();
    this.#sendHandshake(first.message, to, now, this.index);
  }

  #sendHandshake(message: Buffer, to: Endpoint, now: number, peer?: number): void {
    this.#macs.write(message, now);
    this.#activity.handshakeWasSent(now);
    this.#send(message, to, peer);
  }

  /**
   * @param peer ourselves, when it goes the way that data takes
   * @returns false: it did not get out, not even from an address that the kernel chose
   */
  #send(message: Buffer, to: Endpoint, peer?: number): boolean {
    const { surroundings } = this.#common;
    const { address, port, local } = to;
    if (!surroundings.send(message, to, peer)) {
      if (local === undefined || !surroundings.send(message, { address, port }, peer)) return false;
      if (isSame(to, this.#endpoint)) this.forgetLocal();
    }
    this.#traffic.sent(message.length);
    return true;
  }

  #makeEphemeral(): KeyPair {
    const { surroundings, ownRaw } = this.#common;
    const raw = surroundings.random(KEY_LEN);
    const pair = ephemeralPair(raw);
    if (ownRaw)
      surroundings.keylog?.(
        keylogLines({ privateKey: ownRaw, remotePublic: this.#public, ephemeral: raw, preshared: this.#preshared }),
      );
    wipe(raw);
    return pair;
  }

  #jitter(): number {
    return this.#common.surroundings.random(2).readUInt16LE(0) % (JITTER_MAX + 1);
  }

  #dropSent(attempt: Attempt): void {
    if (!attempt.sent) return;
    this.#common.slots.retire(attempt.sent);
    wipe(attempt.sent.noise.c, attempt.sent.noise.h);
    attempt.sent = undefined;
  }

  #endAttempt(): void {
    if (this.#attempt) this.#dropSent(this.#attempt);
    this.#attempt = undefined;
  }

  /** An initiation that is sound and from this peer; old and hasty ones are refused. */
  initiation(initiation: Initiation, octets: number, from: Endpoint, now: number): void {
    const { tally, slots } = this.#common;
    this.#traffic.received(octets);
    if (this.#timestamp && Buffer.compare(initiation.timestamp, this.#timestamp) <= 0) tally.refused.stale_timestamp++;
    else if (now - this.#initiationMs < INITIATION_SPACING) tally.refused.too_soon++;
    else {
      this.#timestamp = initiation.timestamp;
      this.#initiationMs = now;
      this.#activity.handshakeWasReceived(now);
      this.#learn(from);
      this.#sessions.shrinkTo(SLOTS_PER_PEER - 1 - (this.#attempt?.sent ? 1 : 0));
      const slot = slots.reserve(this, this.index);
      const answer = slot && respond(this.#remote, initiation, this.#makeEphemeral(), slot.local);
      if (slot && answer) {
        // The slot opens before the answer is out: data may come back at once.
        this.#establish("responder", slot, initiation.sender, answer.keys, now);
        this.#sendHandshake(answer.message, from, now);
      } else {
        if (slot) slots.retire(slot);
        tally.handshake("responder", "failed");
      }
    }
  }

  /** A response with an index of ours. */
  response(message: Buffer, from: Endpoint, now: number): void {
    const { tally, own } = this.#common;
    this.#traffic.received(message.length);
    const sent = this.#attempt?.sent;
    if (!this.#attempt || !sent || sent.local !== message.readUInt32LE(RESPONSE.RECEIVER)) {
      tally.refused.unknown_index++;
      return;
    }
    const keys = readResponse(own, this.#remote, sent.noise, message);
    if (!keys) {
      tally.refused.unsound++;
      tally.handshake("initiator", "failed");
      return;
    }
    this.#attempt.sent = undefined;
    this.#attempt = undefined;
    wipe(sent.noise.c, sent.noise.h);
    this.#activity.handshakeWasReceived(now);
    this.#learn(from);
    this.#completed("initiator", now);
    this.#establish("initiator", sent, message.readUInt32LE(RESPONSE.SENDER), keys, now);
    // Nothing waits to be sent: the peer may use the key only after it has seen a message under it.
    this.#sendKeepalive(now);
  }

  #establish(role: Role, { slot, local }: Slot, remote: number, keys: SessionKeys, now: number): void {
    this.#common.surroundings.keys.install(slot, keys, remote);
    wipe(keys.receive);
    const fresh = { isConfirmed: false, isWorn: false };
    this.#sessions.add({ slot, local, remote, role, bornMs: now, send: keys.send, ...fresh });
  }

  #completed(role: Role, now: number): void {
    const { tally, surroundings } = this.#common;
    tally.handshake(role, "completed");
    if (this.#usable(now)) tally.rekeys++;
    this.#lastHandshake = surroundings.wallMs();
    surroundings.emit({ type: "handshake", peer: this.index, role });
  }

  /** A reply to our last message: the next one will have a mac2. It is not sent before its time. */
  cookieReply(message: Buffer, now: number): void {
    const { tally, surroundings } = this.#common;
    this.#traffic.received(message.length);
    if (this.#macs.read(surroundings.box, message, now)) tally.cookiesReceived++;
    else tally.refused.unsound++;
  }

  /** Authenticated data has come under a key for the first time. */
  keyUsed(slot: number, now: number): void {
    const session = this.#sessions.find(slot);
    if (!session || session.isConfirmed) return;
    if (session.role === "responder") this.#completed("responder", now);
    // With a key that the peer has too, ours need not be made any more.
    if (this.#sessions.confirm(session)) this.#endAttempt();
  }

  /** A key has sealed as many messages as it should: either side makes the next one. */
  keyWorn(slot: number, now: number): void {
    const session = this.#sessions.find(slot);
    if (!session) return;
    session.isWorn = true;
    if (this.#needsKey(now)) this.start(now);
  }

  /** Authenticated messages come from there: answers go there. */
  roamed(endpoint: Endpoint): void {
    this.#learn(endpoint);
  }

  #learn(from: Endpoint): void {
    const known = this.#endpoint;
    // What another peer has brought says nothing of where this one is.
    if (from.via !== undefined || isSame(known, from)) return;
    this.#setEndpoint(from);
    if (!known || (known.address === from.address && known.port === from.port)) return;
    this.#common.tally.roams++;
    this.#common.surroundings.emit({ type: "roamed", peer: this.index, endpoint: from });
  }

  #setEndpoint(endpoint: Endpoint): void {
    this.#endpoint = endpoint;
    this.#common.surroundings.setEndpoint(this.index, endpoint);
  }

  /** An address of ours may be gone: the kernel chooses again, until the peer has written to one. */
  forgetLocal(): void {
    if (this.#endpoint?.local === undefined) return;
    const { address, port } = this.#endpoint;
    this.#setEndpoint({ address, port });
  }

  /** Whatever is due. Keys and half handshakes are gone after 180 s, long before the paper's three times that (§6.3). */
  tick(now: number): void {
    this.#activity.look(this.#common.surroundings.live(this.index));
    this.#macs.tick(now);
    this.#sessions.expire(now);
    if (this.#attempt) this.#goOn(this.#attempt, now);
    else if (this.#needsKey(now)) this.start(now);
    else if (this.#silence.isDue(this.#activity, now, () => this.#jitter())) {
      this.forgetLocal();
      if (this.start(now)) this.#silence.stop(now);
    }
    this.#tickKeepalives(now);
  }

  #goOn(attempt: Attempt, now: number): void {
    if (now < attempt.retryMs) return;
    if (now - attempt.startedMs < REKEY_ATTEMPT_TIME) {
      this.forgetLocal();
      this.#sendInitiation(attempt, now);
      return;
    }
    this.#endAttempt();
    this.#silence.stop(now);
    this.#common.tally.handshake("initiator", "timeout");
    this.#common.surroundings.emit({ type: "unreachable", peer: this.index });
  }

  /** The key that seals is there and ought to be replaced. By age only who was the initiator does so, lest both do. */
  #needsKey(now: number): boolean {
    const session = this.#usable(now);
    if (!session) return false;
    if (session.isWorn) return true;
    if (session.role === "responder") return false;
    const { transportSent, transportReceived } = this.#activity;
    return transportSent - session.bornMs > REKEY_AFTER_TIME || transportReceived - session.bornMs > REKEY_ON_RECEIVE;
  }

  #usable(now: number): ReturnType<Sessions<Peer>["find"]> {
    const { current } = this.#sessions;
    return current && now - current.bornMs < REJECT_AFTER_TIME ? current : undefined;
  }

  #tickKeepalives(now: number): void {
    const passive = this.#passive.isDue(this.#activity, now);
    const last = Math.max(this.#activity.sent, this.#activity.received);
    const persistent = this.#persistentMs > 0 && now - last >= this.#persistentMs;
    if (!passive && !persistent) return;
    if (!this.#usable(now)) this.start(now);
    else {
      this.#sendKeepalive(now);
      if (passive) this.#passive.wasSent(this.#activity, now);
    }
  }

  #sendKeepalive(now: number): void {
    const { surroundings, tally } = this.#common;
    const session = this.#usable(now);
    const to = this.#to;
    if (!session || !to) return;
    const counter = surroundings.keys.takeCounter(session.slot);
    this.#activity.keepaliveWasSent(now);
    const message = sealMessage(session.send, session.remote, counter);
    if (this.#send(message, to, this.index)) tally.keepalivesSent++;
  }

  /** Seals a packet as workers do; undefined: there is no key. */
  seal(packet: Buffer, now: number): Buffer | undefined {
    const session = this.#usable(now);
    if (!session) return undefined;
    return sealMessage(session.send, session.remote, this.#common.surroundings.keys.takeCounter(session.slot), packet);
  }

  /** A message that `seal` has made went out. */
  wasSent(octets: number): void {
    this.#traffic.sent(octets);
  }

  /** The way to it is another one: an initiation that is under way is repeated at once. */
  rerouted(now: number): void {
    if (this.#attempt) this.#sendInitiation(this.#attempt, now);
  }

  counters(now: number): PeerCounters {
    return {
      peer: this.index,
      ...this.#traffic.traffic,
      lastHandshake: this.#lastHandshake,
      session: this.session(now),
      endpoint: this.#endpoint,
    };
  }

  session(now: number): SessionState {
    if (this.#usable(now)) return "established";
    return this.#attempt || this.#sessions.count > 0 ? "handshake" : "none";
  }
}

function presharedOf({ preshared }: PeerConfig): Buffer {
  return preshared ? Buffer.from(preshared) : Buffer.alloc(KEY_LEN);
}

function isSame(a: Endpoint | undefined, b: Endpoint | undefined): boolean {
  return a?.address === b?.address && a?.port === b?.port && a?.local === b?.local;
}
