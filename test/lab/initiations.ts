/** Handshake initiations that anybody who knows a public key can write: the right mac1, and nothing behind it. */
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { blake2s } from "@noble/hashes/blake2.js";
import type { Job } from "./job.js";
import type { Lab } from "./lab.js";
import type { Namespace } from "./namespace.js";
import { program } from "./program.js";
import { PORT } from "./wireguard.js";

/** Octets of an initiation, and where its mac1 starts (WireGuard paper §5.4.2). */
const LENGTH = 148;
const MAC1 = 116;

/** @param publicKey base64, of whom they are for */
export function initiations(publicKey: string, count: number): Buffer {
  const key = blake2s(Buffer.concat([Buffer.from("mac1----"), Buffer.from(publicKey, "base64")]));
  const all = randomBytes(count * LENGTH);
  for (let at = 0; at < all.length; at += LENGTH) {
    const message = all.subarray(at, at + LENGTH);
    message.writeUInt32LE(1, 0);
    message.set(blake2s(message.subarray(0, MAC1), { key, dkLen: 16 }), MAC1);
    message.fill(0, MAC1 + 16);
  }
  return all;
}

export interface Stormed {
  readonly sent: number;
  /** Datagrams that came back. */
  readonly answers: number;
  readonly seconds: number;
}

/** Initiations from a namespace to an address, from many ports, until `stop`. */
export class Storm {
  readonly #job: Job;

  private constructor(job: Job) {
    this.#job = job;
  }

  static async start(lab: Lab, from: Namespace, to: string, publicKey: string, rate: number): Promise<Storm> {
    const file = lab.file("initiations");
    writeFileSync(file, initiations(publicKey, 8192));
    const job = from.start([program(lab, "storm"), to, `${PORT}`, `${LENGTH}`, `${rate}`, "400", file]);
    await job.line(/running/);
    return new Storm(job);
  }

  async stop(): Promise<Stormed> {
    this.#job.finish();
    return JSON.parse((await this.#job.done()).at(-1) ?? "") as Stormed;
  }
}
