/** Containers that send each other numbered datagrams all the time, and say which never came, came twice or came to the wrong network. */
import type { Job } from "./job.js";
import type { Lab } from "./lab.js";
import type { Station } from "./mesh.js";
import { program } from "./program.js";

const PORT = 9000;
/** In every datagram: what nobody may see on the underlay. */
export const CLEAR_TEXT = "WEFT-CHAOS-NOT-IN-CLEAR";

/** Milliseconds of the clock that probers read, too. */
export const clock = (): number => Number(process.hrtime.bigint()) / 1e6;

/** Five or more numbers of one sender in a row that never came. */
export interface Gap {
  /** Index of the sender. */
  readonly from: number;
  readonly isBroadcast: boolean;
  /** When the last one before them came, and the first one after them. */
  readonly firstMs: number;
  readonly lastMs: number;
}

/** What has come from one sender. */
export interface Source {
  readonly from: number;
  /** 1: broadcast. */
  readonly cast: 0 | 1;
  /** When the last one came. */
  readonly last: number;
  readonly received: number;
  readonly duplicates: number;
}

export interface ProberState {
  readonly at: number;
  /** Datagrams of another network. */
  readonly foreign: number;
  /** For somebody else's MAC address: flooded, since its sender's host knew no route. */
  readonly strays: number;
  readonly sources: readonly Source[];
}

export class Prober {
  readonly station: Station;
  /** Of its host among the hosts of the test. */
  readonly host: number;
  /** Only probers of equal networks send to each other. */
  readonly network: number;
  /** Within its network. */
  readonly index: number;
  readonly #job: Job;
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(station: Station, host: number, network: number, index: number, job: Job) {
    this.station = station;
    this.host = host;
    this.network = network;
    this.index = index;
    this.#job = job;
  }

  /** @param index 0..15 */
  static async start(lab: Lab, station: Station, host: number, network: number, index: number): Promise<Prober> {
    const job = station.container.start([program(lab, "prober"), `${network}`, `${index}`, `${PORT}`]);
    await job.line(/^ready$/, 30_000);
    return new Prober(station, host, network, index, job);
  }

  get label(): string {
    return this.station.container.label;
  }
  get gaps(): Gap[] {
    return this.#job.out
      .filter((line) => line.startsWith("gap "))
      .map((line) => {
        const [from = 0, cast = 0, firstMs = 0, lastMs = 0] = line.split(" ").slice(1).map(Number);
        return { from, isBroadcast: cast === 1, firstMs, lastMs };
      });
  }

  /** Sends to another one from now on. */
  async sendTo(other: Prober): Promise<void> {
    await this.#ask(`peer ${other.index} ${other.station.v4}`, (line) => line === "ok");
  }
  async state(): Promise<ProberState> {
    return JSON.parse(await this.#ask("state", (line) => line.startsWith("{"))) as ProberState;
  }

  /** One question after the other. */
  #ask(line: string, isAnswer: (line: string) => boolean): Promise<string> {
    const asked = this.#queue.then(async () => {
      const from = this.#job.out.length;
      this.#job.child.stdin?.write(`${line}\n`);
      for (;;) {
        const answer = this.#job.out.slice(from).find(isAnswer);
        if (answer !== undefined) return answer;
        if (!this.#job.running) throw new Error(`the prober in ${this.label} has ended: ${this.#job.text}`);
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    });
    this.#queue = asked.catch(() => undefined);
    return asked;
  }
}
