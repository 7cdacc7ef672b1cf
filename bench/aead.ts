/**
 * ChaCha20-Poly1305 of the WASM module beside libsodium-wrappers (WebAssembly, too), node:crypto (OpenSSL, a call per message)
 * and `openssl speed` (OpenSSL without calls from JavaScript), in interleaved rounds.
 *
 * `openssl speed` is an upper bound: it encrypts one endless message in pieces of the size, without a nonce, a one-time key and
 * a tag for each, and with vectors of 256 or 512 bits where the processor has them. WebAssembly has 128.
 */
import { execFileSync } from "node:child_process";
import { createCipheriv, randomBytes } from "node:crypto";
import sodium from "libsodium-wrappers";
import { type Row, row } from "./result.js";
import { BenchSwitch } from "./switch.js";

export interface AeadAsk {
  readonly rounds: number;
  /** Length of one measured window. */
  readonly seconds: number;
}

/** Octets of a small packet, the Internet's old minimum, a full one inside a tunnel, and a jumbo frame. */
const SIZES = [64, 576, 1408, 8192];
const TAG = 16;
/** What WireGuard has in front of an encrypted packet. */
const TUNNEL_HEAD = 16;
/** Octets of messages sealed in a run: one system call sends no more. */
const RUN = 65_536;
/** `openssl speed` measures whole seconds, one at least. In windows shorter than this (of --once) it has one size only. */
const SHORT = 0.05;
const USUAL = 1408;
/** Messages of one call into the module, and of one look at the clock. */
const BATCH = 64;
const NONCE = Buffer.alloc(12);

interface Contestant {
  readonly name: string;
  /** Code that V8 compiles twice: not measured in the beginning. */
  readonly isOfV8: boolean;
  /** @returns gigabytes a second */
  run(size: number, seconds: number): number | null;
}

/** Repeats a batch until the time is over. @param batch of BATCH messages */
function rate(size: number, seconds: number, batch: () => void): number {
  const start = performance.now();
  let [batches, now] = [0, start];
  for (; now < start + seconds * 1000; now = performance.now()) {
    batch();
    batches++;
  }
  return (batches * BATCH * size) / ((now - start) / 1000) / 1e9;
}

async function contestants(): Promise<Contestant[]> {
  await sodium.ready;
  const sw = await BenchSwitch.open({ mac: 0x0200_0000_000a, vtep: [192, 0, 2, 2] });
  const { exports } = sw;
  const [key, message] = [randomBytes(32), randomBytes(Math.max(...SIZES))];
  const keyAt = sw.at("SLOTS", 0);
  const [plainAt, sealedAt, backAt] = [sw.at("SLOTS", 1), sw.at("SLOTS", 2), sw.at("SLOTS", 3)];
  sw.octets.set(key, keyAt);
  sw.octets.set(message, plainAt);
  const each = (call: () => void) => () => {
    for (let i = 0; i < BATCH; i++) call();
  };
  const openssl = (size: number, seconds: number): number | null => {
    if (seconds < SHORT && size !== USUAL) return null;
    const words = ["speed", "-elapsed", "-mr", "-seconds", String(Math.max(1, Math.round(seconds)))];
    try {
      const text = execFileSync("openssl", [...words, "-bytes", String(size), "-evp", "chacha20-poly1305"], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      });
      const perSecond = /^\+F:\d+:[^:]+:([\d.]+)/m.exec(text)?.[1];
      return perSecond === undefined ? null : Number(perSecond) / 1e9;
    } catch {
      return null;
    }
  };
  return [
    {
      name: "weft, seal",
      isOfV8: true,
      run: (size, seconds) => rate(size, seconds, () => exports.sealBatch(keyAt, plainAt, sealedAt, size, BATCH)),
    },
    {
      name: "weft, seal a run",
      isOfV8: true,
      run(size, seconds) {
        const stride = TUNNEL_HEAD + size + TAG;
        const count = Math.min(BATCH, Math.floor(RUN / stride));
        const run = (n: number) => exports.aeadSealRun(keyAt, 0n, sealedAt, stride, n, size, size);
        return rate(size, seconds, () => {
          for (let left = BATCH; left > 0; left -= count) run(Math.min(count, left));
        });
      },
    },
    {
      name: "weft, open",
      isOfV8: true,
      run(size, seconds) {
        exports.sealBatch(keyAt, plainAt, sealedAt, size, 1);
        return rate(size, seconds, () => {
          if (exports.openBatch(keyAt, sealedAt, backAt, size, BATCH) !== BATCH)
            throw new Error("bench: a message was not opened");
        });
      },
    },
    {
      name: "libsodium-wrappers",
      isOfV8: true,
      run: (size, seconds) =>
        rate(
          size,
          seconds,
          each(() =>
            sodium.crypto_aead_chacha20poly1305_ietf_encrypt(message.subarray(0, size), null, null, NONCE, key),
          ),
        ),
    },
    {
      name: "node:crypto",
      isOfV8: true,
      run: (size, seconds) =>
        rate(
          size,
          seconds,
          each(() => {
            const cipher = createCipheriv("chacha20-poly1305", key, NONCE, { authTagLength: TAG });
            cipher.update(message.subarray(0, size));
            cipher.final();
            cipher.getAuthTag();
          }),
        ),
    },
    { name: "openssl speed", isOfV8: false, run: openssl },
  ];
}

export async function aead(ask: AeadAsk): Promise<{ rows: Row[]; notes: string[] }> {
  const all = await contestants();
  const samples = new Map<string, (number | null)[]>();
  for (let round = 0; round < ask.rounds; round++) {
    for (const size of SIZES) {
      for (const one of all) {
        // Past V8's first compiler.
        if (round === 0 && one.isOfV8) one.run(size, Math.min(0.2, ask.seconds));
        const value = one.run(size, ask.seconds);
        samples.set(`${size} ${one.name}`, [...(samples.get(`${size} ${one.name}`) ?? []), value]);
      }
    }
  }
  const rows = SIZES.flatMap((size) =>
    all.map((one) =>
      row(
        { suite: "aead", name: "ChaCha20-Poly1305", unit: "GB/s", system: one.name, size },
        samples.get(`${size} ${one.name}`) as (number | null)[],
      ),
    ),
  ).filter((r) => Number.isFinite(r.median));
  const notes = rows.some((r) => r.system === "openssl speed")
    ? []
    : ["openssl is left out: `apt-get install openssl`"];
  return { rows, notes };
}
