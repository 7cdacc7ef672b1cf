/** Cookies of both sides (WireGuard paper §5.4.7): the secret that ours are made with, and those that others gave us. */
import { isIPv4 } from "node:net";
import ipaddr from "ipaddr.js";
import { type CookieSeal, cookieKey, mac1Key, readCookieReply, writeMacs } from "./noise/macs.js";
import { MAC_LEN } from "./noise/messages.js";
import { wipe } from "./secrets.js";
import { COOKIE_LIFETIME, NEVER } from "./timers.js";

const SECRET_LEN = 32;

/** An address as cookies are made of it, here and by the workers that check mac2: 16 octets, IPv4 as ::ffff:a.b.c.d. */
export function addressOctets(address: string): Buffer {
  const parsed = isIPv4(address) ? ipaddr.IPv4.parse(address).toIPv4MappedAddress() : ipaddr.IPv6.parse(address);
  return Buffer.from(parsed.toByteArray());
}

/** What our cookies are made with: another one every two minutes. */
export class CookieSecret {
  readonly #random: (octets: number) => Buffer;
  readonly #tell: (secret: Buffer) => void;
  #secret: Buffer;
  #bornMs: number;

  constructor(random: (octets: number) => Buffer, tell: (secret: Buffer) => void, now: number) {
    this.#random = random;
    this.#tell = tell;
    this.#secret = random(SECRET_LEN);
    this.#bornMs = now;
    tell(this.#secret);
  }

  get octets(): Buffer {
    return this.#secret;
  }

  tick(now: number): void {
    if (now - this.#bornMs < COOKIE_LIFETIME) return;
    this.wipe();
    this.#secret = this.#random(SECRET_LEN);
    this.#bornMs = now;
    this.#tell(this.#secret);
  }

  wipe(): void {
    wipe(this.#secret);
  }
}

/** The macs of our messages to one peer, and the cookie that it last gave us. */
export class Macs {
  readonly #key1: Buffer;
  readonly #cookieKey: Buffer;
  #lastMac1: Buffer | undefined;
  #cookie: Uint8Array | undefined;
  #cookieMs = NEVER;

  constructor(publicKey: Uint8Array) {
    this.#key1 = mac1Key(publicKey);
    this.#cookieKey = cookieKey(publicKey);
  }

  /** Writes mac1 and, with a cookie not older than 120 s, mac2. */
  write(message: Buffer, now: number): void {
    this.tick(now);
    writeMacs(message, this.#key1, this.#cookie);
    const at = message.length - 2 * MAC_LEN;
    this.#lastMac1 = Buffer.from(message.subarray(at, at + MAC_LEN));
  }

  /** Takes the cookie out of a reply to our last message. @returns false when it is none */
  read(box: CookieSeal, reply: Buffer, now: number): boolean {
    const cookie = this.#lastMac1 && readCookieReply(box, this.#cookieKey, reply, this.#lastMac1);
    if (!cookie) return false;
    this.wipe();
    this.#cookie = cookie;
    this.#cookieMs = now;
    return true;
  }

  tick(now: number): void {
    if (now - this.#cookieMs >= COOKIE_LIFETIME) this.wipe();
  }

  wipe(): void {
    if (this.#cookie) wipe(this.#cookie);
    this.#cookie = undefined;
  }
}
