/** Raw frames at a device of a namespace: sends any frame and keeps what arrives. See wire.c. */
import { type Parsed, parseEthernet } from "./frame.js";
import { type Job, until } from "./job.js";
import type { Lab } from "./lab.js";
import type { Namespace } from "./namespace.js";
import { program } from "./program.js";

/** EtherType of the test's own frames: everything else on a device is the kernel's chatter. */
export const TEST_TYPE = 0x88b5;

export class Wire {
  /** Every frame that arrived, oldest first. Outgoing ones are not seen. */
  readonly frames: Buffer[] = [];
  readonly #job: Job;

  private constructor(job: Job) {
    this.#job = job;
    let rest = Buffer.alloc(0);
    job.child.stdout?.on("data", (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32LE(0)) {
        const end = 4 + rest.readUInt32LE(0);
        this.frames.push(rest.subarray(4, end));
        rest = rest.subarray(end);
      }
    });
  }

  /** Opens the device; promiscuous. */
  static async open(lab: Lab, namespace: Namespace, ifname = "eth0"): Promise<Wire> {
    const job = namespace.start([program(lab, "wire"), ifname], { binary: true });
    await job.line(/ready/);
    return new Wire(job);
  }

  /** Sends frames in order; resolves when the program has taken all of them. */
  async send(...frames: readonly Buffer[]): Promise<void> {
    const records = frames.flatMap((frame) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(frame.length);
      return [length, frame];
    });
    await new Promise<void>((resolve, reject) => {
      this.#job.child.stdin?.write(Buffer.concat(records), (error) => (error ? reject(error) : resolve()));
    });
  }

  /** The test's own frames that arrived, parsed. */
  get own(): Parsed[] {
    return this.frames.map(parseEthernet).filter((frame) => frame.type === TEST_TYPE);
  }

  /** Waits for a frame of the test that fits. */
  async next(what: string, fits: (frame: Parsed) => boolean, withinMs = 3000): Promise<Parsed> {
    return await until(what, () => this.own.find(fits), withinMs);
  }

  /** Forgets what arrived. */
  clear(): void {
    this.frames.length = 0;
  }

  async close(): Promise<void> {
    this.#job.finish();
    await this.#job.ended;
  }
}
