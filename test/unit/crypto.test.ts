/**
 * The module's cryptography against published vectors, against plain twins, and against two libraries that many eyes have
 * seen. Debug and release builds.
 *
 *   WEFT_CRYPTO_CASES=N   random cases (default 5,000, with WEFT_TEST_LONG=1 100,000)
 */
import { createCipheriv, createHash } from "node:crypto";
import { blake2s } from "@noble/hashes/blake2.js";
import { layout } from "@weft/dataplane-wasm/abi";
import sodium from "libsodium-wrappers";
import t, { type Test } from "tap";
import { aeadSeal, chachaBlock, poly1305 } from "../models/aead.js";
import { randomOf } from "../models/random.js";
import { type Build, Rig } from "../models/rig.js";

const CASES = Number(process.env.WEFT_CRYPTO_CASES ?? (process.env.WEFT_TEST_LONG === "1" ? 100_000 : 5_000));
const TAG = 16;
const TUNNEL_HEAD = 16;
const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ""), "hex");

interface Message {
  readonly key: Buffer;
  /** 12 octets. */
  readonly nonce: Buffer;
  readonly aad: Buffer;
  readonly plain: Buffer;
}

/** The functions of assembly/testing.ts over a part of the memory. */
class Crypto {
  readonly #rig: Rig;
  /** Key, additional data, one-time key; two places for messages. */
  readonly #key: number;
  readonly #aad: number;
  readonly #a: number;
  readonly #b: number;

  constructor(build: Build) {
    this.#rig = new Rig(build);
    const { base, stride } = this.#rig.switchMemory.plan.regions.SLOTS;
    this.#key = base;
    this.#aad = base + 64;
    this.#a = base + stride;
    this.#b = base + 3 * stride;
  }

  get octets(): Buffer {
    return this.#rig.octets;
  }

  /** @param from,to offsets modulo 16; `to` left out: in place. @returns ciphertext and tag */
  seal({ key, nonce, aad, plain }: Message, from = 0, to?: number): Buffer {
    const { octets, inner } = this.#rig;
    const source = this.#a + from;
    const target = to === undefined ? source : this.#b + to;
    octets.set(key, this.#key);
    octets.set(aad, this.#aad);
    octets.set(plain, source);
    octets.fill(0xa5, target + plain.length, target + plain.length + TAG + 16);
    const [head, tail] = [nonce.readUInt32LE(0), nonce.readBigUInt64LE(4)];
    inner.aeadSeal?.(this.#key, head, tail, this.#aad, aad.length, source, target, plain.length);
    if (!octets.subarray(target + plain.length + TAG, target + plain.length + TAG + 16).every((o) => o === 0xa5))
      throw new Error("sealing wrote behind the tag");
    return Buffer.from(octets.subarray(target, target + plain.length + TAG));
  }

  /**
   * Seals a run in place. @param texts all of one length but the last
   * @param room octets between the space of one message and the next
   */
  sealRun(key: Buffer, counter: bigint, texts: readonly Buffer[], room: number, from = 0): Buffer[] {
    const { octets, inner } = this.#rig;
    const [len, lastLen] = [texts[0]?.length ?? 0, texts.at(-1)?.length ?? 0];
    const stride = TUNNEL_HEAD + len + TAG + room;
    const at = this.#a + from;
    octets.fill(0xa5, at, at + stride * texts.length + TUNNEL_HEAD);
    octets.set(key, this.#key);
    for (const [i, text] of texts.entries()) octets.set(text, at + i * stride + TUNNEL_HEAD);
    inner.aeadSealRun?.(this.#key, counter, at, stride, texts.length, len, lastLen);
    return texts.map((text, i) => {
      const start = at + i * stride;
      const end = start + TUNNEL_HEAD + text.length + TAG;
      const around = [octets.subarray(start, start + TUNNEL_HEAD), octets.subarray(end, end + room)];
      if (!around.every((o) => o.every((octet) => octet === 0xa5)))
        throw new Error("sealing a run wrote outside of messages");
      return Buffer.from(octets.subarray(start + TUNNEL_HEAD, end));
    });
  }

  /** What lies where open() with `to` puts plaintext. */
  opened(to: number, len: number): Buffer {
    return Buffer.from(this.#rig.octets.subarray(this.#a + to, this.#a + to + len));
  }

  /** The worker's Aead record: zeros when no message is at work. */
  get record(): Buffer {
    const { base } = this.#rig.switchMemory.plan.regions.AEADS;
    return Buffer.from(this.#rig.octets.subarray(base, base + layout("Aead").size));
  }

  /** @returns the plaintext; undefined when the tag is wrong */
  open({ key, nonce, aad }: Omit<Message, "plain">, sealed: Buffer, from = 0, to?: number): Buffer | undefined {
    const { octets, inner } = this.#rig;
    const source = this.#b + from;
    const target = to === undefined ? source : this.#a + to;
    octets.set(key, this.#key);
    octets.set(aad, this.#aad);
    octets.set(sealed, source);
    const len = sealed.length - TAG;
    const [head, tail] = [nonce.readUInt32LE(0), nonce.readBigUInt64LE(4)];
    const isRight = inner.aeadOpen?.(this.#key, head, tail, this.#aad, aad.length, source, target, len);
    return isRight ? Buffer.from(octets.subarray(target, target + len)) : undefined;
  }

  tag(key: Buffer, message: Buffer): Buffer {
    const { octets, inner } = this.#rig;
    octets.set(key, this.#key);
    octets.set(message, this.#a);
    inner.poly1305Tag?.(this.#key, this.#a, message.length, this.#aad);
    return Buffer.from(octets.subarray(this.#aad, this.#aad + TAG));
  }

  blake2s(key: Buffer, message: Buffer, outLen: number): Buffer {
    const { octets, inner } = this.#rig;
    octets.set(key, this.#key);
    octets.set(message, this.#a);
    inner.blake2sDigest?.(this.#key, key.length, this.#a, message.length, this.#b, outLen);
    return Buffer.from(octets.subarray(this.#b, this.#b + outLen));
  }
}

/** By node:crypto. */
function byNode({ key, nonce, aad, plain }: Message): Buffer {
  const cipher = createCipheriv("chacha20-poly1305", key, nonce, { authTagLength: TAG });
  cipher.setAAD(aad, { plaintextLength: plain.length });
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}
function bySodium({ key, nonce, aad, plain }: Message): Buffer {
  return Buffer.from(sodium.crypto_aead_chacha20poly1305_ietf_encrypt(plain, aad, null, nonce, key));
}

/** Octets of the kinds that arithmetic stumbles over, or random ones. */
function content(random: () => number, len: number): Buffer {
  const kind = random() % 6;
  if (kind === 0) return Buffer.alloc(len, 0xff);
  if (kind === 1) return Buffer.alloc(len);
  return Buffer.from(Array.from({ length: len }, () => random() & 255));
}

function isSame(t: Test, got: Buffer | undefined, wanted: Buffer, what: string): boolean {
  if (got?.equals(wanted)) return true;
  t.fail(`${what}: ${got?.subarray(0, 64).toString("hex")} instead of ${wanted.subarray(0, 64).toString("hex")}`);
  return false;
}

await sodium.ready;

for (const build of ["debug", "test"] satisfies Build[]) {
  t.test(`ChaCha20-Poly1305 (${build} build)`, async (t) => {
    const c = new Crypto(build);

    t.test("the vectors of RFC 8439", async (t) => {
      const message = {
        key: Buffer.from(Array.from({ length: 32 }, (_, i) => 0x80 + i)),
        nonce: hex("070000004041424344454647"),
        aad: hex("50515253c0c1c2c3c4c5c6c7"),
        plain: Buffer.from(
          "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
        ),
      };
      const wanted =
        hex(`d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b
        1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de5
        76d26586cec64b61161ae10b594f09e26a7e902ecbd0600691`);
      t.strictSame(c.seal(message), wanted, "§2.8.2");
      t.strictSame(aeadSeal(message.key, message.nonce, message.aad, message.plain), wanted, "its twin");
      t.strictSame(c.open(message, wanted), message.plain);
      const block =
        hex(`10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4ed2826446079faa0914c2d705d98b02a2
        b5129cd1de164eb9cbd083e8a2503c4e`);
      const key = Buffer.from(Array.from({ length: 32 }, (_, i) => i));
      t.strictSame(chachaBlock(key, 1, hex("000000090000004a00000000")), block, "§2.3.2, the twin");
      t.strictSame(
        c
          .seal({ key, nonce: hex("000000090000004a00000000"), aad: Buffer.alloc(0), plain: Buffer.alloc(64) })
          .subarray(0, 64),
        block,
        "§2.3.2",
      );
    });

    t.test("Poly1305: vectors and edges of its arithmetic", async (t) => {
      const zeros = "00".repeat(16);
      const ones = "ff".repeat(16);
      const two = `02${"00".repeat(15)}`;
      const one = `01${"00".repeat(15)}`;
      const vectors: readonly (readonly [key: string, message: string, tag: string])[] = [
        [
          "85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b",
          Buffer.from("Cryptographic Forum Research Group").toString("hex"),
          "a8061dc1305136c6c22b8baf0c0127a9",
        ],
        // RFC 8439 appendix A.3, vectors 1 and 7 to 11.
        [zeros + zeros, zeros.repeat(4), zeros],
        [two + zeros, ones, `03${"00".repeat(15)}`],
        [two + ones, two, `03${"00".repeat(15)}`],
        [one + zeros, `${ones}f0${"ff".repeat(15)}11${"00".repeat(15)}`, `05${"00".repeat(15)}`],
        [one + zeros, `${ones}fb${"fe".repeat(15)}${"01".repeat(16)}`, zeros],
        [two + zeros, `fd${"ff".repeat(15)}`, `fa${"ff".repeat(15)}`],
      ];
      for (const [key, message, tag] of vectors) {
        t.equal(c.tag(hex(key), hex(message)).toString("hex"), tag, message.slice(0, 40));
        t.equal(poly1305(hex(key), hex(message)).toString("hex"), tag, "its twin");
      }
      const random = randomOf(1305);
      for (let i = 0; i < 2000; i++) {
        // Keys whose r has all bits that clamping leaves, and messages near the modulus.
        const key = i % 3 === 0 ? Buffer.alloc(32, 0xff) : content(random, 32);
        const message = content(random, random() % 200);
        if (i % 5 === 0 && message.length >= 16) message.fill(0xff, 0, 16).writeUInt8(0xfb - (i % 16), 0);
        if (!isSame(t, c.tag(key, message), poly1305(key, message), `case ${i}`)) return;
      }
      t.pass("2,000 random ones");
      for (const octet of [0xff, 0xfb]) {
        const [key, message] = [Buffer.alloc(32, 0xff), Buffer.alloc(65_520, octet)];
        t.strictSame(c.tag(key, message), poly1305(key, message), "limbs as large as they get, for long");
      }
    });

    t.test("every length, every alignment, in place or not", async (t) => {
      const random = randomOf(8439);
      const longest = content(random, 2048);
      const lengths = [...Array.from({ length: 2049 }, (_, i) => i), 65_535];
      for (const len of lengths) {
        const plain =
          len === 65_535 ? Buffer.concat(Array(32).fill(longest)).subarray(0, len) : longest.subarray(0, len);
        const message = { key: content(random, 32), nonce: content(random, 12), aad: Buffer.alloc(0), plain };
        const wanted = byNode(message);
        // All sixteen for the lengths around multiples of what one step takes; one for the others.
        const isEdge = len <= 40 || [0, 1, 15, 16, 17, 63, 64, 65, 191, 192, 193].includes(len % 256) || len === 65_535;
        for (const at of isEdge ? Array.from({ length: 16 }, (_, i) => i) : [len % 16]) {
          const to = (at * 5) % 16;
          if (!isSame(t, c.seal(message, at), wanted, `seal ${len} at ${at}`)) return;
          if (!isSame(t, c.seal(message, at, to), wanted, `seal ${len} from ${at} to ${to}`)) return;
          if (!isSame(t, c.open(message, wanted, at), plain, `open ${len} at ${at}`)) return;
          if (!isSame(t, c.open(message, wanted, at, to), plain, `open ${len} from ${at} to ${to}`)) return;
        }
      }
      t.pass(`${lengths.length} lengths`);
    });

    t.test("nothing that was changed is opened", async (t) => {
      const random = randomOf(7);
      for (const len of [0, 1, 16, 32, 100, 191, 192, 193, 448, 700, 1408]) {
        const message = {
          key: content(random, 32),
          nonce: content(random, 12),
          aad: content(random, 20),
          plain: content(random, len),
        };
        const sealed = c.seal(message);
        t.ok(c.open(message, sealed), `${len} octets as they were`);
        let opened = 0;
        for (let at = 0; at < sealed.length; at++) {
          const changed = Buffer.from(sealed);
          changed.writeUInt8(changed.readUInt8(at) ^ (1 << (at % 8)), at);
          if (c.open(message, changed)) opened++;
        }
        for (const field of ["key", "nonce", "aad"] as const) {
          for (let at = 0; at < message[field].length; at++) {
            const changed = Buffer.from(message[field]);
            changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
            if (c.open({ ...message, [field]: changed }, sealed)) opened++;
          }
        }
        if (c.open({ ...message, aad: message.aad.subarray(1) }, sealed)) opened++;
        if (sealed.length > TAG && c.open(message, sealed.subarray(0, -1))) opened++;
        t.equal(opened, 0, `${len} octets, each changed once, and key, nonce and additional data`);
      }
    });

    t.test("a run is sealed as its messages one by one", async (t) => {
      const random = randomOf(56);
      const lengths = [0, 1, 15, 16, 17, 64, 112, 191, 192, 193, 300, 447, 448, 449, 576, 703, 704, 705, 1390, 1408];
      for (const [n, len] of lengths.entries()) {
        for (const count of [1, 2, 3, 7]) {
          const lastLen = count === 1 || n % 3 === 0 ? len : random() % (len + 1);
          const texts = Array.from({ length: count }, (_, i) => content(random, i + 1 === count ? lastLen : len));
          const key = content(random, 32);
          // So that a carry goes through the counter.
          const first = n % 2 === 0 ? 0xffff_fffen : BigInt(random());
          const sealed = c.sealRun(key, first, texts, n % 4 === 0 ? 0 : random() % 40, random() % 16);
          for (const [i, plain] of texts.entries()) {
            const nonce = Buffer.alloc(12);
            nonce.writeBigUInt64LE(first + BigInt(i), 4);
            const message = { key, nonce, aad: Buffer.alloc(0), plain };
            const what = `message ${i} of ${count}, ${plain.length} octets`;
            if (!isSame(t, sealed[i], byNode(message), `${what}: OpenSSL`)) return;
            if (!isSame(t, sealed[i], aeadSeal(key, nonce, message.aad, plain), `${what}: twin`)) return;
          }
        }
      }
      t.strictSame(c.sealRun(Buffer.alloc(32), 0n, [], 0), [], "none at all");
      t.pass(`${lengths.length} lengths in runs of up to 7`);
    });

    t.test("nothing secret is left behind", async (t) => {
      const random = randomOf(11);
      for (const len of [0, 64, 192, 448, 500, 704, 1408]) {
        const message = {
          key: content(random, 32),
          nonce: content(random, 12),
          aad: Buffer.alloc(0),
          plain: Buffer.alloc(len, 0x5a),
        };
        const sealed = c.seal(message);
        t.ok(
          c.record.every((o) => o === 0),
          `after sealing ${len} octets`,
        );
        c.open(message, sealed);
        t.ok(
          c.record.every((o) => o === 0),
          `after opening`,
        );
        c.sealRun(message.key, 1n, [message.plain, message.plain], 0);
        t.ok(
          c.record.every((o) => o === 0),
          `after a run`,
        );
        const forged = Buffer.from(sealed);
        forged.writeUInt8(forged.readUInt8(forged.length - 1) ^ 0x80, forged.length - 1);
        t.equal(c.open(message, forged, 0, 0), undefined);
        t.notOk(c.opened(0, len).includes(Buffer.alloc(16, 0x5a)), `no plaintext of a forged message of ${len}`);
        t.ok(
          c.record.every((o) => o === 0),
          `nor keys`,
        );
      }
    });

    t.test(`${CASES} random cases agree with the twin, libsodium and OpenSSL`, { timeout: 600_000 }, async (t) => {
      const random = randomOf(build === "debug" ? 1 : 2);
      for (let i = 0; i < CASES; i++) {
        const len = random() % (i % 50 === 0 ? 3000 : 320);
        const message = {
          key: content(random, 32),
          nonce: content(random, 12),
          aad: content(random, i % 4 === 0 ? random() % 40 : 0),
          plain: content(random, len),
        };
        const sealed = c.seal(message, random() % 16, i % 2 ? random() % 16 : undefined);
        if (!isSame(t, sealed, byNode(message), `case ${i}: OpenSSL`)) return;
        if (!isSame(t, sealed, bySodium(message), `case ${i}: libsodium`)) return;
        if (!isSame(t, sealed, aeadSeal(message.key, message.nonce, message.aad, message.plain), `case ${i}: twin`))
          return;
        if (!isSame(t, c.open(message, sealed, random() % 16), message.plain, `case ${i}: opened`)) return;
      }
      t.pass("all of them");
    });
  });

  t.test(`BLAKE2s (${build} build)`, async (t) => {
    const c = new Crypto(build);
    t.equal(
      c.blake2s(Buffer.alloc(0), Buffer.from("abc"), 32).toString("hex"),
      "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982",
      "RFC 7693 appendix B",
    );
    const random = randomOf(2);
    for (let len = 0; len <= 300; len++) {
      const message = content(random, len);
      const plain = c.blake2s(Buffer.alloc(0), message, 32);
      if (!isSame(t, plain, createHash("blake2s256").update(message).digest(), `${len} octets: OpenSSL`)) return;
      for (const keyLen of [1, 16, 32]) {
        const key = content(random, keyLen);
        const dkLen = 1 + (random() % 32);
        const wanted = Buffer.from(blake2s(message, { key, dkLen }));
        if (!isSame(t, c.blake2s(key, message, dkLen), wanted, `${len} octets, key of ${keyLen}`)) return;
      }
    }
    t.pass("301 lengths, keyed and not");
  });
}
