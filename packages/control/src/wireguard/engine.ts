/**
 * The control plane of WireGuard: handshakes, cookies and timers of all peers. Data is sealed and opened by the workers;
 * they and the clock are handed in (surroundings.ts), so this runs on a virtual one too.
 *
 * Who writes something unsound gets no answer (WireGuard paper §5.1). All times are milliseconds.
 */

import type { SessionState } from "../dataplane/types.js";
import { Allowance } from "./allowance.js";
import { addressOctets, CookieSecret } from "./cookies.js";
import { readInitiation } from "./noise/handshake.js";
import { COOKIE_NONCE_LEN, cookieKey, cookieOf, cookieReply } from "./noise/macs.js";
import { COOKIE_REPLY, INITIATION, RESPONSE, typeOf } from "./noise/messages.js";
import { type KeyPair, keyPair } from "./noise/primitives.js";
import { type Common, Peer, type PeerConfig } from "./peer.js";
import { wipe } from "./secrets.js";
import { Slots } from "./slots.js";
import type { Endpoint, Surroundings } from "./surroundings.js";
import { Tai64n } from "./tai64n.js";
import { type EngineCounters, Tally } from "./tally.js";
import { Clock, STRANGER_SPACING } from "./timers.js";

export class Engine {
  readonly #surroundings: Surroundings;
  readonly #own: KeyPair;
  readonly #cookieKey: Buffer;
  readonly #cookies: CookieSecret;
  readonly #common: Common;
  readonly #peers = new Map<number, Peer>();
  /** By public key in base64. */
  readonly #byKey = new Map<string, Peer>();
  readonly #allowance = new Allowance();
  #isClosed = false;
  #strangerMs: number | undefined;

  /** @param privateKey 32 octets; the caller may wipe them afterwards */
  constructor(privateKey: Uint8Array, surroundings: Surroundings) {
    this.#surroundings = surroundings;
    this.#own = keyPair(privateKey);
    this.#cookieKey = cookieKey(this.#own.public);
    const clock = new Clock(() => surroundings.nowMs());
    this.#cookies = new CookieSecret(
      (octets) => surroundings.random(octets),
      (secret) => surroundings.setCookieSecret(secret),
      clock.now(),
    );
    this.#common = {
      own: this.#own,
      ownRaw: surroundings.keylog ? Buffer.from(privateKey) : undefined,
      surroundings,
      slots: new Slots<Peer>(surroundings.keys),
      clock,
      tai64n: new Tai64n(),
      tally: new Tally(),
    };
  }

  /** 32 octets. */
  get publicKey(): Buffer {
    return this.#own.public;
  }
  get #now(): number {
    return this.#common.clock.now();
  }

  /** @throws RangeError when the index or the public key is taken */
  addPeer(index: number, config: PeerConfig): void {
    const key = Buffer.from(config.publicKey).toString("base64");
    if (this.#peers.has(index) || this.#byKey.has(key)) throw new RangeError(`peer ${index} ${key} is there already`);
    const peer = new Peer(index, config, this.#common);
    this.#peers.set(index, peer);
    this.#byKey.set(key, peer);
  }

  /** Its public key is that of the peer already, its sessions go on. Without an endpoint the one it has stays. */
  changePeer(index: number, config: PeerConfig): void {
    this.#peers.get(index)?.change(config);
  }

  /** Retires its slots and wipes its secrets. */
  removePeer(index: number): void {
    const peer = this.#peers.get(index);
    if (!peer) return;
    peer.remove();
    this.#peers.delete(index);
    this.#byKey.delete(peer.publicKey.toString("base64"));
  }

  /**
   * A handshake message whose mac1 is right, as the workers have checked.
   *
   * @param underLoad its mac2 is wrong or missing, and we have too much to do: it deserves a cookie and no work
   */
  punted(message: Buffer, from: Endpoint, underLoad: boolean): void {
    if (this.#isClosed) return;
    const type = typeOf(message);
    const now = this.#now;
    if (type === undefined) this.#common.tally.refused.unsound++;
    else if (type === "cookieReply")
      this.#ownerOf(message.readUInt32LE(COOKIE_REPLY.RECEIVER))?.cookieReply(message, now);
    else if (underLoad) this.#sendCookie(message, from);
    else if (!this.#allowance.take(from.address, now)) this.#common.tally.refused.too_soon++;
    else if (type === "response") this.#ownerOf(message.readUInt32LE(RESPONSE.RECEIVER))?.response(message, from, now);
    else this.#initiation(message, from, now);
  }

  #ownerOf(local: number): Peer | undefined {
    const peer = this.#common.slots.ownerOfIndex(local);
    if (!peer) this.#common.tally.refused.unknown_index++;
    return peer;
  }

  #initiation(message: Buffer, from: Endpoint, now: number): void {
    const { refused } = this.#common.tally;
    const initiation = readInitiation(this.#own, message);
    const peer = initiation && this.#byKey.get(initiation.public.toString("base64"));
    if (!initiation) refused.unsound++;
    else if (!peer) {
      refused.unknown_peer++;
      this.#tellStranger(initiation.public, from, now);
    } else peer.initiation(initiation, message.length, from, now);
    if (initiation) wipe(initiation.c, initiation.h);
  }

  /** Whoever knows our key can make up others as fast as it likes: told of now and then. */
  #tellStranger(key: Buffer, from: Endpoint, now: number): void {
    if (this.#strangerMs !== undefined && now - this.#strangerMs < STRANGER_SPACING) return;
    this.#strangerMs = now;
    this.#surroundings.emit({ type: "stranger", publicKey: key.toString("base64"), from });
  }

  #sendCookie(message: Buffer, to: Endpoint): void {
    const { box } = this.#surroundings;
    const cookie = cookieOf(this.#cookies.octets, addressOctets(to.address), to.port);
    const nonce = this.#surroundings.random(COOKIE_NONCE_LEN);
    const sender = message.readUInt32LE(INITIATION.SENDER);
    const reply = cookieReply(box, this.#cookieKey, message, sender, cookie, nonce);
    if (this.#surroundings.send(reply, to)) this.#common.tally.cookiesSent++;
  }

  /** There is data for a peer and no key that seals. Does nothing while a handshake is under way. */
  noSession(index: number): void {
    this.#peers.get(index)?.wanted(this.#now);
  }

  /** Makes a new session, whether there is one or not. @returns false when that is not possible now: see Peer.start() */
  initiateNow(index: number): boolean {
    return this.#peers.get(index)?.wanted(this.#now) ?? false;
  }

  /** Seals a packet for a peer; undefined: there is no key that seals. */
  seal(index: number, packet: Buffer): Buffer | undefined {
    return this.#peers.get(index)?.seal(packet, this.#now);
  }

  /** A message of `seal` for a peer, or one that the peer passes on, went out. */
  wasSent(index: number, octets: number): void {
    this.#peers.get(index)?.wasSent(octets);
  }

  /** The way to a peer is another one. */
  rerouted(index: number): void {
    this.#peers.get(index)?.rerouted(this.#now);
  }

  sessionOf(index: number): SessionState {
    return this.#peers.get(index)?.session(this.#now) ?? "none";
  }

  /** The first authenticated data under a key, of whichever role. */
  keyUsed(slot: number): void {
    this.#common.slots.ownerOfSlot(slot)?.keyUsed(slot, this.#now);
  }

  /** A key has sealed as many messages as it should. */
  keyWorn(slot: number): void {
    this.#common.slots.ownerOfSlot(slot)?.keyWorn(slot, this.#now);
  }

  /** Authenticated data of a peer has come from another address, or to another one of ours. */
  roamed(index: number, endpoint: Endpoint): void {
    this.#peers.get(index)?.roamed(endpoint);
  }

  /** A datagram to the peer could not be sent from the address of ours that it is sent from: that may be gone. */
  localGone(index: number): void {
    this.#peers.get(index)?.forgetLocal();
  }

  /** Does what is due. To be called every 100 to 250 ms. */
  tick(): void {
    if (this.#isClosed) return;
    const now = this.#now;
    this.#cookies.tick(now);
    for (const peer of this.#peers.values()) peer.tick(now);
  }

  counters(): EngineCounters {
    const now = this.#now;
    return this.#common.tally.read([...this.#peers.values()].map((peer) => peer.counters(now)));
  }

  /** Removes all peers and wipes all secrets. Nothing is sent or answered afterwards. */
  close(): void {
    if (this.#isClosed) return;
    for (const index of [...this.#peers.keys()]) this.removePeer(index);
    this.#cookies.wipe();
    if (this.#common.ownRaw) wipe(this.#common.ownRaw);
    this.#isClosed = true;
  }
}
