/** ChaCha20-Poly1305 word for word as in RFC 8439: one block after the other, Poly1305 in big integers. */

const CONSTANTS = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574];
const P = 2n ** 130n - 5n;

function quarter(x: Uint32Array, a: number, b: number, c: number, d: number): void {
  const add = (to: number, from: number): void => {
    x[to] = (x[to] as number) + (x[from] as number);
  };
  const turn = (to: number, from: number, bits: number): void => {
    const value = (x[to] as number) ^ (x[from] as number);
    x[to] = (value << bits) | (value >>> (32 - bits));
  };
  add(a, b);
  turn(d, a, 16);
  add(c, d);
  turn(b, c, 12);
  add(a, b);
  turn(d, a, 8);
  add(c, d);
  turn(b, c, 7);
}

/** The 64 octets of a block (§2.3). @param nonce 12 octets */
export function chachaBlock(key: Buffer, counter: number, nonce: Buffer): Buffer {
  const start = Uint32Array.from([
    ...CONSTANTS,
    ...Array.from({ length: 8 }, (_, i) => key.readUInt32LE(4 * i)),
    counter,
    ...Array.from({ length: 3 }, (_, i) => nonce.readUInt32LE(4 * i)),
  ]);
  const x = Uint32Array.from(start);
  for (let i = 0; i < 10; i++) {
    for (let column = 0; column < 4; column++) quarter(x, column, 4 + column, 8 + column, 12 + column);
    for (let n = 0; n < 4; n++) quarter(x, n, 4 + ((n + 1) % 4), 8 + ((n + 2) % 4), 12 + ((n + 3) % 4));
  }
  const out = Buffer.alloc(64);
  for (const [i, word] of x.entries()) out.writeUInt32LE((word + (start[i] as number)) >>> 0, 4 * i);
  return out;
}

const littleEndian = (octets: Uint8Array): bigint =>
  octets.reduceRight((sum, octet) => (sum << 8n) | BigInt(octet), 0n);

/** The 16 octets of a tag (§2.5). @param key 32 octets, for one message only */
export function poly1305(key: Buffer, message: Buffer): Buffer {
  const r = littleEndian(key.subarray(0, 16)) & 0x0ffffffc0ffffffc0ffffffc0fffffffn;
  let sum = 0n;
  for (let at = 0; at < message.length; at += 16)
    sum = ((sum + littleEndian(Buffer.concat([message.subarray(at, at + 16), Buffer.of(1)]))) * r) % P;
  const tag = sum + littleEndian(key.subarray(16));
  return Buffer.from(Array.from({ length: 16 }, (_, i) => Number((tag >> BigInt(8 * i)) & 255n)));
}

const padded = (octets: Buffer): Buffer => Buffer.concat([octets, Buffer.alloc((16 - (octets.length % 16)) % 16)]);

/** Ciphertext and tag (§2.8). */
export function aeadSeal(key: Buffer, nonce: Buffer, aad: Buffer, plain: Buffer): Buffer {
  const cipher = Buffer.from(plain);
  for (let at = 0; at < cipher.length; at += 64) {
    const stream = chachaBlock(key, 1 + at / 64, nonce);
    for (let i = 0; i < 64 && at + i < cipher.length; i++)
      cipher[at + i] = (cipher[at + i] as number) ^ (stream[i] as number);
  }
  const lengths = Buffer.alloc(16);
  lengths.writeBigUInt64LE(BigInt(aad.length), 0);
  lengths.writeBigUInt64LE(BigInt(cipher.length), 8);
  const tag = poly1305(
    chachaBlock(key, 0, nonce).subarray(0, 32),
    Buffer.concat([padded(aad), padded(cipher), lengths]),
  );
  return Buffer.concat([cipher, tag]);
}
