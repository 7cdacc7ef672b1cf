/**
 * Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s as WireGuard uses it (paper §5.4.2 to §5.4.5). Pure functions: keys, time and
 * randomness are arguments, nothing is kept here. Names are the paper's: C is the chaining key, H the hash.
 *
 * Macs are not made or checked here: see macs.ts.
 */
import { INITIATION, RESPONSE, TIMESTAMP_LEN, TYPE } from "./messages.js";
import { dh, hash, KEY_LEN, type KeyPair, kdf, open, seal, TAG_LEN } from "./primitives.js";

const CONSTRUCTION = Buffer.from("Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s");
const IDENTIFIER = Buffer.from("WireGuard v1 zx2c4 Jason@zx2c4.com");
const C0 = hash(CONSTRUCTION);
const H0 = hash(C0, IDENTIFIER);
const NOTHING = Buffer.alloc(0);

/** The other side, as configured. */
export interface Remote {
  /** 32 octets. */
  readonly public: Buffer;
  /** 32 octets; all zero when there is none. */
  readonly preshared: Buffer;
}

/** What the initiator has to remember until the response comes. */
export interface Pending {
  readonly ephemeral: KeyPair;
  readonly c: Buffer;
  readonly h: Buffer;
}

/** What an initiation says, once it is known to be sound. */
export interface Initiation {
  /** Static public key of the sender. */
  readonly public: Buffer;
  /** TAI64N, 12 octets; later ones compare greater. */
  readonly timestamp: Buffer;
  /** The sender's index: where it wants answers. */
  readonly sender: number;
  readonly ephemeral: Buffer;
  readonly c: Buffer;
  readonly h: Buffer;
}

/** The two keys of a session, 32 octets each, from this side's point of view. */
export interface SessionKeys {
  readonly send: Buffer;
  readonly receive: Buffer;
}

/**
 * Makes an initiation, its macs left 0.
 *
 * @param sender index at which the answer and transport data shall arrive, u32
 * @param timestamp TAI64N, later than any this side has sent to this peer
 * @returns undefined when the peer's public key is unusable
 */
export function initiate(
  own: KeyPair,
  remote: Remote,
  ephemeral: KeyPair,
  sender: number,
  timestamp: Buffer,
): { readonly message: Buffer; readonly pending: Pending } | undefined {
  const message = Buffer.alloc(INITIATION.LEN);
  message.writeUInt32LE(TYPE.INITIATION, 0);
  message.writeUInt32LE(sender, INITIATION.SENDER);
  ephemeral.public.copy(message, INITIATION.EPHEMERAL);
  let h = hash(hash(H0, remote.public), ephemeral.public);
  let [c] = kdf(1, C0, ephemeral.public) as [Buffer];
  const es = dh(ephemeral, remote.public);
  const ss = dh(own, remote.public);
  if (!es || !ss) return undefined;
  let k: Buffer;
  [c, k] = kdf(2, c, es) as [Buffer, Buffer];
  const sealedStatic = seal(k, own.public, h);
  h = hash(h, sealedStatic);
  [c, k] = kdf(2, c, ss) as [Buffer, Buffer];
  const sealedTime = seal(k, timestamp, h);
  h = hash(h, sealedTime);
  sealedStatic.copy(message, INITIATION.STATIC);
  sealedTime.copy(message, INITIATION.TIMESTAMP);
  return { message, pending: { ephemeral, c, h } };
}

/** Reads an initiation whose macs have been checked. @returns undefined when it is not for us or not sound */
export function readInitiation(own: KeyPair, message: Buffer): Initiation | undefined {
  const ephemeral = Buffer.from(message.subarray(INITIATION.EPHEMERAL, INITIATION.EPHEMERAL + KEY_LEN));
  let h = hash(hash(H0, own.public), ephemeral);
  let [c] = kdf(1, C0, ephemeral) as [Buffer];
  const es = dh(own, ephemeral);
  if (!es) return undefined;
  let k: Buffer;
  [c, k] = kdf(2, c, es) as [Buffer, Buffer];
  const sealedStatic = message.subarray(INITIATION.STATIC, INITIATION.STATIC + KEY_LEN + TAG_LEN);
  const remote = open(k, sealedStatic, h);
  if (!remote) return undefined;
  h = hash(h, sealedStatic);
  const ss = dh(own, remote);
  if (!ss) return undefined;
  [c, k] = kdf(2, c, ss) as [Buffer, Buffer];
  const sealedTime = message.subarray(INITIATION.TIMESTAMP, INITIATION.TIMESTAMP + TIMESTAMP_LEN + TAG_LEN);
  const timestamp = open(k, sealedTime, h);
  if (!timestamp) return undefined;
  h = hash(h, sealedTime);
  return { public: remote, timestamp, sender: message.readUInt32LE(INITIATION.SENDER), ephemeral, c, h };
}

/** What both sides do with the chaining key after the three DH results: psk, and the key that seals nothing. */
function mixPreshared(c: Buffer, h: Buffer, preshared: Buffer): { c: Buffer; h: Buffer; k: Buffer } {
  const [next, t, k] = kdf(3, c, preshared) as [Buffer, Buffer, Buffer];
  return { c: next, h: hash(h, t), k };
}

/**
 * Answers an initiation, macs left 0. The responder may use the keys for receiving at once, for sending after the first
 * transport packet has come (paper §5.4.6).
 *
 * @param sender index at which transport data shall arrive, u32
 */
export function respond(
  remote: Remote,
  initiation: Initiation,
  ephemeral: KeyPair,
  sender: number,
): { readonly message: Buffer; readonly keys: SessionKeys } | undefined {
  const message = Buffer.alloc(RESPONSE.LEN);
  message.writeUInt32LE(TYPE.RESPONSE, 0);
  message.writeUInt32LE(sender, RESPONSE.SENDER);
  message.writeUInt32LE(initiation.sender, RESPONSE.RECEIVER);
  ephemeral.public.copy(message, RESPONSE.EPHEMERAL);
  const ee = dh(ephemeral, initiation.ephemeral);
  const se = dh(ephemeral, initiation.public);
  if (!ee || !se) return undefined;
  let [c] = kdf(1, initiation.c, ephemeral.public) as [Buffer];
  [c] = kdf(1, c, ee) as [Buffer];
  [c] = kdf(1, c, se) as [Buffer];
  const mixed = mixPreshared(c, hash(initiation.h, ephemeral.public), remote.preshared);
  seal(mixed.k, NOTHING, mixed.h).copy(message, RESPONSE.NOTHING);
  const [receive, send] = kdf(2, mixed.c, NOTHING) as [Buffer, Buffer];
  return { message, keys: { send, receive } };
}

/** Reads the response to `pending`. @returns undefined when it is not sound */
export function readResponse(own: KeyPair, remote: Remote, pending: Pending, message: Buffer): SessionKeys | undefined {
  const ephemeral = message.subarray(RESPONSE.EPHEMERAL, RESPONSE.EPHEMERAL + KEY_LEN);
  const ee = dh(pending.ephemeral, ephemeral);
  const se = dh(own, ephemeral);
  if (!ee || !se) return undefined;
  let [c] = kdf(1, pending.c, ephemeral) as [Buffer];
  [c] = kdf(1, c, ee) as [Buffer];
  [c] = kdf(1, c, se) as [Buffer];
  const mixed = mixPreshared(c, hash(pending.h, ephemeral), remote.preshared);
  if (!open(mixed.k, message.subarray(RESPONSE.NOTHING, RESPONSE.NOTHING + TAG_LEN), mixed.h)) return undefined;
  const [send, receive] = kdf(2, mixed.c, NOTHING) as [Buffer, Buffer];
  return { send, receive };
}
