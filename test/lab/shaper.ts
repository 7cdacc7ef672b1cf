/** Hosts on an underlay that can be cut, delayed, made lossy and narrowed between any two of them; see shaper.c. */
import type { Job } from "./job.js";
import type { Host, Lab } from "./lab.js";
import { program } from "./program.js";

export type Fault =
  | { readonly kind: "cut" }
  | { readonly kind: "delay"; readonly ms: number }
  /** Of 1000 frames. */
  | { readonly kind: "loss"; readonly permille: number }
  /** IP packets longer than this vanish. */
  | { readonly kind: "limit"; readonly octets: number };

export class Shaper {
  readonly #job: Job;
  #answers = 0;
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(job: Job) {
    this.#job = job;
  }

  /** Hosts with the underlay device `under0`, all joined by one shaper. */
  static async hosts(lab: Lab, labels: string[], mtu = 1500): Promise<{ hosts: Host[]; shaper: Shaper }> {
    const hub = await lab.container("shaper");
    const job = hub.start([program(lab, "shaper"), `${labels.length}`]);
    await job.line(/^ready$/);
    const hosts = await lab.hostsOn(labels, async (hosts) => {
      for (const [i, host] of hosts.entries()) {
        await hub.run(`ip link set shape${i} netns ${host.name} name under0`);
        await host.run(`ip link set under0 mtu ${mtu} address 02:00:5e:00:00:${i.toString(16).padStart(2, "0")}`);
      }
    });
    return { hosts, shaper: new Shaper(job) };
  }

  /** Makes one direction between two hosts (by number) worse. */
  async worsen(from: number, to: number, fault: Fault): Promise<void> {
    const value =
      "ms" in fault ? fault.ms : "permille" in fault ? fault.permille : "octets" in fault ? fault.octets : 0;
    await this.#say(`${fault.kind} ${from} ${to} ${value}`);
  }
  /** The same for both directions. */
  async worsenBoth(a: number, b: number, fault: Fault): Promise<void> {
    await this.worsen(a, b, fault);
    await this.worsen(b, a, fault);
  }
  /** Puts one direction right again. */
  async heal(from: number, to: number): Promise<void> {
    await this.#say(`heal ${from} ${to}`);
  }
  async healBoth(a: number, b: number): Promise<void> {
    await this.heal(a, b);
    await this.heal(b, a);
  }

  /** Begins to count, among all others, frames with this text in them: at most 127 octets, no blanks. */
  async watch(text: string): Promise<void> {
    await this.#say(`watch ${text}`);
  }
  /** Of all frames that hosts have sent since, also those that were cut: with the watched text, and to the UDP port of VXLAN. */
  async seen(): Promise<{ frames: number; text: number; vxlan: number }> {
    await this.#say("seen");
    const line = this.#job.out.findLast((one) => one.startsWith("seen ")) ?? "";
    const [frames = 0, text = 0, vxlan = 0] = line.split(" ").slice(1).map(Number);
    return { frames, text, vxlan };
  }

  /** One command after the other, each until it is in force. */
  #say(line: string): Promise<void> {
    const said = this.#queue.then(async () => {
      this.#job.child.stdin?.write(`${line}\n`);
      const wanted = ++this.#answers;
      const answered = (): number => this.#job.out.filter((one) => one === "ok").length;
      while (answered() < wanted) {
        if (!this.#job.running) throw new Error(`the shaper has ended: ${this.#job.text}`);
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    });
    this.#queue = said.catch(() => undefined);
    return said;
  }
}
