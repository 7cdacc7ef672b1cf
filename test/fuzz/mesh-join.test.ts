/**
 * Random and damaged octets into the framing of control links and into the messages of a join: nothing throws what it does not
 * say, nothing is kept beyond one frame, and nothing is believed that was changed.
 *
 *   WEFT_FUZZ_JOINS=N   how many (default 20,000, with WEFT_TEST_LONG=1 3 * 10^6)
 *   WEFT_FUZZ_SEED=N    where the random numbers start (default 1)
 */
import t from "tap";
import { MESSAGE_MAX } from "../../packages/control/dist/mesh/channel.js";
import {
  FRAME,
  FrameError,
  FrameReader,
  frame,
  HEAD_LEN,
  textFrame,
  textOf,
} from "../../packages/control/dist/mesh/framing.js";
import { Identity } from "../../packages/control/dist/mesh/identity.js";
import { decodeHello, decodeJoin, encodeHello, encodeJoin } from "../../packages/control/dist/mesh/join-messages.js";
import { readPskIdentity } from "../../packages/control/dist/mesh/psk.js";
import { parseToken } from "../../packages/control/dist/mesh/token.js";
import { pick, randomOf } from "../models/random.js";

const COUNT = Number(process.env.WEFT_FUZZ_JOINS ?? (process.env.WEFT_TEST_LONG === "1" ? 3e6 : 20_000));
const SEED = Number(process.env.WEFT_FUZZ_SEED ?? 1);
const NETWORK = "000102030405060708090a0b0c0d0e0f";

const random = randomOf(SEED);
const below = (n: number): number => pick(random, n);
const octets = (length: number): Buffer => Buffer.from(Array.from({ length }, () => below(256)));

/** One to four changes: an octet, a cut, something put in, a length field. */
function damage(good: Buffer): Buffer {
  let bad = Buffer.from(good);
  for (let n = 1 + below(4); n > 0 && bad.length > 0; n--) {
    const at = below(bad.length);
    const kind = below(4);
    if (kind === 0) bad[at] = below(256);
    else if (kind === 1) bad = bad.subarray(0, at);
    else if (kind === 2) bad = Buffer.concat([bad.subarray(0, at), octets(1 + below(8)), bad.subarray(at)]);
    else if (bad.length >= at + 4) bad.writeUInt32BE(below(2) ? below(MESSAGE_MAX + 2) : random(), at);
  }
  return bad;
}

/** Pushes a stream in pieces; gives the frames, and the error that ended it. */
function readAll(stream: Buffer): { frames: { type: number; body: Buffer }[]; error: FrameError | undefined } {
  const reader = new FrameReader();
  const frames: { type: number; body: Buffer }[] = [];
  for (let at = 0; at < stream.length; ) {
    const length = 1 + below(below(4) === 0 ? 3 : 5000);
    reader.push(stream.subarray(at, at + length));
    at += length;
    try {
      for (let next = reader.next(); next; next = reader.next()) frames.push(next);
    } catch (error) {
      if (error instanceof FrameError) return { frames, error };
      throw error;
    }
  }
  return { frames, error: undefined };
}

t.test(`framing: frames come out as they went in, however the stream is cut (seed ${SEED})`, async (t) => {
  for (let i = 0; i < COUNT / 100; i++) {
    const sent = Array.from({ length: below(8) }, () => {
      const type = [FRAME.HELLO, FRAME.JOIN, FRAME.RECORDS, FRAME.MESSAGE, FRAME.WELCOME, FRAME.CLOSE][below(6)]!;
      return { type, body: octets(type === FRAME.WELCOME ? 0 : below(below(3) ? 256 : 400)) };
    });
    const { frames, error } = readAll(Buffer.concat(sent.map(({ type, body }) => frame(type, body.subarray(0, 256)))));
    if (error) throw error;
    const wanted = sent.map(({ type, body }) => ({ type, body: body.subarray(0, 256) }));
    if (JSON.stringify(frames) !== JSON.stringify(wanted)) t.same(frames, wanted);
  }
  const large = frame(FRAME.MESSAGE, Buffer.alloc(MESSAGE_MAX, 7));
  t.same(
    readAll(Buffer.concat([large, large])).frames.map(({ body }) => body.length),
    [MESSAGE_MAX, MESSAGE_MAX],
  );
});

t.test(`framing: damaged streams end with a reason or wait for more (seed ${SEED})`, async (t) => {
  let refused = 0;
  for (let i = 0; i < COUNT; i++) {
    const good = Buffer.concat([frame(FRAME.MESSAGE, octets(below(60))), textFrame(FRAME.CLOSE, "why")]);
    const { frames, error } = readAll(below(2) ? damage(good) : octets(below(60)));
    if (error) refused++;
    for (const { type, body } of frames) {
      if (type < FRAME.HELLO || type > FRAME.CLOSE || body.length > MESSAGE_MAX) t.fail(`type ${type}, ${body.length}`);
    }
  }
  t.ok(refused > COUNT / 10, `${refused} of ${COUNT} refused`);
});

t.test(
  "framing: nothing is kept for a body that is announced too long, and no more than announced for others",
  async (t) => {
    for (const type of Object.values(FRAME)) {
      const head = Buffer.alloc(HEAD_LEN);
      head.writeUInt32BE(0x7fff_ffff);
      head.writeUInt8(type, 4);
      const before = process.memoryUsage().arrayBuffers;
      const reader = new FrameReader();
      reader.push(head);
      t.throws(() => reader.next(), new FrameError(`it sent a frame of type ${type} with 2147483647 octets`, true));
      t.ok(process.memoryUsage().arrayBuffers - before < 1e6);
    }
  },
);

t.test(`texts in frames are bounded and fit for a terminal (seed ${SEED})`, async (t) => {
  for (let i = 0; i < COUNT / 10; i++) {
    const text = octets(below(600));
    const sent = textFrame(FRAME.REFUSED, text.toString("latin1"));
    const read = textOf(sent.subarray(HEAD_LEN));
    const raw = textOf(text);
    if (sent.length > HEAD_LEN + 400 || /\p{C}/u.test(read) || /\p{C}/u.test(raw)) t.fail(JSON.stringify(raw));
  }
  t.equal(textOf(textFrame(FRAME.CLOSE, " a\n\u001b[31mb\u202e ").subarray(HEAD_LEN)), "a [31mb");
});

t.test(`join and hello: what is changed is not believed (seed ${SEED})`, async (t) => {
  const identity = await Identity.fromSeed(Buffer.alloc(32, 7));
  const exporter = Buffer.alloc(32, 9);
  const own = { name: "näme", records: octets(300) };
  const hello = encodeHello(identity, NETWORK, exporter);
  const join = encodeJoin(identity, NETWORK, exporter, own);
  t.same(decodeHello(hello, exporter), { networkId: NETWORK, node: identity.id });
  t.same(decodeJoin(join, exporter), { networkId: NETWORK, id: identity.id, ...own });
  t.equal(decodeHello(hello, Buffer.alloc(32)), undefined, "of another connection");
  t.equal(decodeJoin(join, Buffer.alloc(32)), undefined, "of another connection");
  t.equal(decodeJoin(Buffer.concat([hello, Buffer.from([1, 65])]), exporter), undefined, "the other's signature");
  t.equal(decodeHello(join.subarray(0, hello.length), exporter), undefined, "the other's signature");
  let believed = 0;
  for (let i = 0; i < COUNT / 10; i++) {
    const [badHello, badJoin] = [damage(hello), damage(join)];
    if (!badHello.equals(hello) && decodeHello(badHello, exporter)) believed++;
    if (!badJoin.equals(join) && decodeJoin(badJoin, exporter)) believed++;
    const noise = octets(below(400));
    if (decodeHello(noise, exporter) || decodeJoin(noise, exporter)) believed++;
  }
  t.equal(believed, 0);
  for (const name of ["", "x".repeat(65)])
    t.throws(() => encodeJoin(identity, NETWORK, exporter, { ...own, name }), RangeError);
  t.throws(() => encodeJoin(identity, NETWORK, exporter, { ...own, records: Buffer.alloc(50_000) }), RangeError);
  for (const name of ["a\nb", "\u0000", "a\u001b[2J", "\u202eb"])
    t.equal(
      decodeJoin(encodeJoin(identity, NETWORK, exporter, { ...own, name }), exporter),
      undefined,
      JSON.stringify(name),
    );
});

t.test(`texts from outside: identities and tokens (seed ${SEED})`, async (t) => {
  let taken = 0;
  for (let i = 0; i < COUNT; i++) {
    const text = octets(below(140)).toString("latin1");
    if (readPskIdentity(text) || readPskIdentity(`node:${text}`) || readPskIdentity(`join:${text}`)) taken++;
    try {
      parseToken(`weft1.${octets(92).toString("base64url")}`);
      taken++;
    } catch {}
  }
  t.equal(taken, 0);
});
