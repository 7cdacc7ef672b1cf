/** The handshake between two of us, with everything an attacker may change; wireguard-go judges the rest in test/netns. */
import { randomBytes } from "node:crypto";
import t from "tap";
import { cookieSeal } from "../../packages/control/src/wireguard/noise/cookie-seal.js";
import {
  initiate,
  type Remote,
  readInitiation,
  readResponse,
  respond,
} from "../../packages/control/src/wireguard/noise/handshake.js";
import {
  cookieKey,
  cookieOf,
  cookieReply,
  isMac1Right,
  isMac2Right,
  mac1Key,
  readCookieReply,
  writeMacs,
} from "../../packages/control/src/wireguard/noise/macs.js";
import { INITIATION, RESPONSE, typeOf } from "../../packages/control/src/wireguard/noise/messages.js";
import { dh, ephemeralPair, type KeyPair, keyPair } from "../../packages/control/src/wireguard/noise/primitives.js";

const pair = (): KeyPair => keyPair(randomBytes(32));
const NO_PSK = Buffer.alloc(32);
const TIME = Buffer.from("400000005f5e100000000001", "hex");

interface Side {
  readonly own: KeyPair;
  readonly other: Remote;
}
function sides(preshared = NO_PSK): readonly [Side, Side] {
  const [a, b] = [pair(), pair()];
  return [
    { own: a, other: { public: b.public, preshared } },
    { own: b, other: { public: a.public, preshared } },
  ];
}

t.test("two sides agree on keys", async (t) => {
  for (const psk of [NO_PSK, randomBytes(32)]) {
    const [a, b] = sides(psk);
    const first = initiate(a.own, a.other, pair(), 0x01020304, TIME);
    if (!first) throw new Error("no initiation");
    t.equal(typeOf(first.message), "initiation");
    const read = readInitiation(b.own, first.message);
    if (!read) throw new Error("not read");
    t.strictSame([read.public, read.timestamp, read.sender], [a.own.public, TIME, 0x01020304]);
    const answer = respond(b.other, read, pair(), 0x0a0b0c0d);
    if (!answer) throw new Error("no answer");
    t.equal(typeOf(answer.message), "response");
    t.equal(answer.message.readUInt32LE(RESPONSE.RECEIVER), 0x01020304);
    const keys = readResponse(a.own, a.other, first.pending, answer.message);
    t.strictSame(keys?.send, answer.keys.receive);
    t.strictSame(keys?.receive, answer.keys.send);
    t.notSame(keys?.send, keys?.receive);
    const wrong = { ...a.other, preshared: randomBytes(32) };
    t.equal(readResponse(a.own, wrong, first.pending, answer.message), undefined, "not with another preshared key");
  }
});

t.test("whatever is changed is refused", async (t) => {
  const [a, b] = sides();
  const first = initiate(a.own, a.other, pair(), 1, TIME);
  const read = first && readInitiation(b.own, first.message);
  const answer = read && respond(b.other, read, pair(), 2);
  if (!first || !answer) throw new Error("no handshake");
  for (let at = INITIATION.EPHEMERAL; at < INITIATION.MAC1; at++) {
    const changed = Buffer.from(first.message);
    changed.writeUInt8(changed.readUInt8(at) ^ (1 << (at % 7)), at);
    if (readInitiation(b.own, changed)) t.fail(`octet ${at} of an initiation`);
  }
  for (let at = RESPONSE.EPHEMERAL; at < RESPONSE.MAC1; at++) {
    const changed = Buffer.from(answer.message);
    changed.writeUInt8(changed.readUInt8(at) ^ (1 << (at % 7)), at);
    if (readResponse(a.own, a.other, first.pending, changed)) t.fail(`octet ${at} of a response`);
  }
  t.equal(readInitiation(pair(), first.message), undefined, "not by somebody else");
});

t.test("public keys that make any secret zero are refused", async (t) => {
  // Points of small order (RFC 7748 §6.1 asks to look for the zero that they give).
  const points = [
    "00".repeat(32),
    `01${"00".repeat(31)}`,
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    `ec${"ff".repeat(30)}7f`,
    `ed${"ff".repeat(30)}7f`,
    `ee${"ff".repeat(30)}7f`,
  ];
  for (const point of points) {
    const theirs = Buffer.from(point, "hex");
    t.equal(dh(pair(), theirs), undefined, point.slice(0, 16));
    t.equal(initiate(pair(), { public: theirs, preshared: NO_PSK }, pair(), 1, TIME), undefined);
  }
});

t.test("datagrams that are no message have no type", async (t) => {
  for (const type of [0, 1, 2, 3, 4, 5, 255]) {
    for (const length of [0, 1, 3, 4, 31, 32, 63, 64, 65, 91, 92, 93, 147, 148, 149, 1500]) {
      const datagram = Buffer.alloc(length);
      if (length > 0) datagram.writeUInt8(type, 0);
      const wanted = { 1: ["initiation", 148], 2: ["response", 92], 3: ["cookieReply", 64] }[type];
      t.equal(typeOf(datagram), wanted?.[1] === length ? wanted[0] : undefined);
    }
  }
  t.equal(typeOf(Buffer.concat([Buffer.of(1, 0, 0, 1), Buffer.alloc(144)])), undefined, "reserved octets are 0");
});

t.test("macs and cookies", async (t) => {
  const box = await cookieSeal();
  const [a, b] = sides();
  const message = initiate(a.own, a.other, pair(), 77, TIME)?.message as Buffer;
  const key1 = mac1Key(b.own.public);
  writeMacs(message, key1, undefined);
  t.ok(isMac1Right(message, key1));
  t.notOk(isMac1Right(message, mac1Key(a.own.public)), "for nobody else");
  t.ok(message.subarray(INITIATION.MAC2).every((octet) => octet === 0));
  // Under load the responder answers with the cookie of the sender's address.
  const [secret, address] = [randomBytes(32), Buffer.from([10, 9, 0, 1])];
  const cookie = cookieOf(secret, address, 51820);
  t.notSame(cookieOf(secret, address, 51821), cookie);
  const reply = cookieReply(box, cookieKey(b.own.public), message, 77, cookie, randomBytes(24));
  t.equal(typeOf(reply), "cookieReply");
  const mac1 = message.subarray(INITIATION.MAC1, INITIATION.MAC2);
  const got = readCookieReply(box, cookieKey(b.own.public), reply, mac1);
  t.strictSame(got && Buffer.from(got), cookie);
  t.equal(readCookieReply(box, cookieKey(b.own.public), reply, Buffer.alloc(16)), undefined, "only to this message");
  t.equal(readCookieReply(box, cookieKey(a.own.public), reply, mac1), undefined, "only from its owner");
  writeMacs(message, key1, cookie);
  t.ok(isMac1Right(message, key1) && isMac2Right(message, cookie));
  t.notOk(isMac2Right(message, cookieOf(randomBytes(32), address, 51820)), "the secret has changed");
});

t.test("both ways to make a key pair agree", async (t) => {
  for (let i = 0; i < 50; i++) {
    const raw = randomBytes(32);
    const [a, b, other] = [keyPair(raw), ephemeralPair(raw), pair()];
    t.same(a.public, b.public);
    t.same(dh(a, other.public), dh(b, other.public));
  }
});
