/**
 * Many hosts on one wire in memory, each with the product's own Dataplane, under a virtual clock. Every frame carries a
 * number, so that the world knows who got what how often.
 */
import { Dataplane } from "@weft/control";
import { type Impairments, type MemoryDevice, MemoryLink, MemoryNetwork } from "@weft/tun";
import { ethernet, macOctets } from "../frames/build.js";

export interface Host {
  readonly index: number;
  readonly address: string;
  link: MemoryLink;
  dp: Dataplane;
}
export interface Container {
  readonly host: Host;
  readonly name: string;
  readonly network: string;
  readonly mac: number;
}
/** Who got a frame: the container's name, once for every copy. */
export type Arrivals = readonly string[];

export const macText = (mac: number): string => (macOctets(mac).toString("hex").match(/../g) as string[]).join(":");
const MARK = 0x77656674;

/** Underlay address of a host. */
export const underlayOf = (index: number, family: 4 | 6): string =>
  family === 4 ? `192.0.2.${index + 1}` : `2001:db8::${(index + 1).toString(16)}`;

export class World {
  readonly wire: MemoryNetwork;
  readonly hosts: Host[] = [];
  readonly containers: Container[] = [];
  readonly #family: 4 | 6;
  readonly #networks: readonly { name: string; vni: number }[];
  #sent = 0;
  /** Totals of hosts that were closed: the law and what they sent and took. */
  #retired = { datagramsOut: 0, datagramsIn: 0 };

  private constructor(seed: number, family: 4 | 6, networks: number) {
    this.wire = new MemoryNetwork({ seed });
    this.#family = family;
    this.#networks = Array.from({ length: networks }, (_, i) => ({ name: `net${i}`, vni: 100 + i }));
  }

  /** `hosts` hosts with `containers` containers of each network on each of them. */
  static async open(given: {
    seed: number;
    hosts: number;
    containers: number;
    networks?: number;
    family?: 4 | 6;
  }): Promise<World> {
    const world = new World(given.seed, given.family ?? 4, given.networks ?? 1);
    for (let index = 0; index < given.hosts; index++) await world.#start(index, given.hosts);
    for (const host of world.hosts) {
      for (const { name } of world.#networks) for (let i = 0; i < given.containers; i++) await world.attach(host, name);
    }
    await world.settle();
    return world;
  }

  async #start(index: number, hosts: number): Promise<void> {
    const address = underlayOf(index, this.#family);
    const link = new MemoryLink({ network: this.wire, addresses: [address] });
    const dp = await Dataplane.start({ underlay: [address], link, portsMax: 64, fdbMax: 1024, routesMax: 64 });
    const vteps = Array.from({ length: hosts }, (_, i) => underlayOf(i, this.#family)).filter(
      (other) => other !== address,
    );
    for (const { name, vni } of this.#networks) await dp.setNetwork({ name, vni, vteps });
    const old = this.hosts[index];
    if (old) Object.assign(old, { link, dp });
    else this.hosts.push({ index, address, link, dp });
  }

  async attach(host: Host, network: string): Promise<Container> {
    const n = this.containers.length;
    const container = { host, name: `c${n}`, network, mac: 0x0210_0000_0000 + n };
    await host.dp.attach({ network, id: container.name, ifname: container.name, mac: macText(container.mac) });
    this.containers.push(container);
    return container;
  }

  /** Ends a host and starts it again with the same addresses; its containers get new devices under their old MACs. */
  async restart(host: Host): Promise<void> {
    await this.settle();
    const sums = this.#datagrams(host);
    this.#retired = {
      datagramsOut: this.#retired.datagramsOut + sums.out,
      datagramsIn: this.#retired.datagramsIn + sums.in,
    };
    host.link.setUnderlay(false);
    await host.dp.close();
    await this.#start(host.index, this.hosts.length);
    for (const c of this.containers.filter((one) => one.host === host)) {
      await host.dp.attach({ network: c.network, id: c.name, ifname: c.name, mac: macText(c.mac) });
    }
    await this.settle();
  }

  impair(impairments: Partial<Impairments>): void {
    this.wire.impair(impairments);
  }

  device(c: Container): MemoryDevice {
    return c.host.link.device(c.name);
  }

  /** Sends one numbered frame and lets the world come to rest. */
  async send(from: Container, dst: number, src = from.mac): Promise<Arrivals> {
    const id = this.inject(from, dst, src);
    await this.settle();
    return this.arrivals().get(id) ?? [];
  }

  /** Puts a numbered frame into a container's device and returns the number. */
  inject(from: Container, dst: number, src = from.mac): number {
    const id = ++this.#sent;
    const payload = Buffer.alloc(64 + (id % 1200), id & 255);
    payload.writeUInt32BE(MARK, 0);
    payload.writeUInt32BE(id, 4);
    payload.writeUInt32BE(this.containers.indexOf(from), 8);
    this.device(from).inject(ethernet({ dst, src, payload }));
    return id;
  }

  /** Everything delivered since the last call, by frame number. Throws when a frame was changed or went astray. */
  arrivals(): Map<number, string[]> {
    const out = new Map<number, string[]>();
    for (const c of this.containers) {
      for (const { frame } of this.device(c).take()) {
        const got = Buffer.from(frame);
        const id = got.readUInt32BE(18);
        const from = this.containers[got.readUInt32BE(22)];
        if (
          got.readUInt32BE(14) !== MARK ||
          got.length !== 14 + 64 + (id % 1200) ||
          !got.subarray(26).every((octet) => octet === (id & 255))
        ) {
          throw new Error(`${c.name} got a frame that nobody sent: ${got.toString("hex", 0, 64)}`);
        }
        if (!from || from.network !== c.network)
          throw new Error(`${c.name} of ${c.network} got a frame from ${from?.name} of ${from?.network}`);
        if (from === c) throw new Error(`${c.name} got its own frame ${id} back`);
        out.set(id, [...(out.get(id) ?? []), c.name]);
      }
    }
    for (const names of out.values()) names.sort();
    return out;
  }

  /** Lets everything under way arrive: the clock moves until the wire is empty and nothing is sent any more. */
  async settle(): Promise<void> {
    for (let quiet = 0, last = ""; quiet < 5; ) {
      if (this.wire.held > 0) this.wire.advance(1);
      await new Promise((resolve) => setImmediate(resolve));
      const { sent, arrived } = this.wire.counts;
      const waiting = this.hosts.reduce((sum, { link }) => sum + link.devices().reduce((n, d) => n + d.waiting, 0), 0);
      const now = `${sent} ${arrived} ${waiting} ${this.wire.held}`;
      quiet = now === last && this.wire.held === 0 && waiting === 0 ? quiet + 1 : 0;
      last = now;
    }
  }

  /** Virtual time passes. */
  async sleep(ms: number): Promise<void> {
    this.wire.advance(ms);
    await this.settle();
  }

  #datagrams(host: Host): { out: number; in: number } {
    const { vteps, law } = host.dp.counters();
    return { out: vteps.reduce((sum, v) => sum + v.transmit.packets, 0), in: law.ingress.in };
  }

  /** What breaks the law of the data path, on any host or between hosts; empty when all is well. */
  unlawful(): string[] {
    const wrong: string[] = [];
    let [out, taken] = [this.#retired.datagramsOut, this.#retired.datagramsIn];
    for (const host of this.hosts) {
      const { law, kernelDrops } = host.dp.counters();
      for (const plane of ["egress", "ingress"] as const) {
        const { in: entered, made, out: left, consumed, merged, drops } = law[plane];
        if (entered + made !== left + consumed + merged + drops)
          wrong.push(`host ${host.index} ${plane}: ${JSON.stringify(law[plane])}`);
      }
      const sums = this.#datagrams(host);
      out += sums.out;
      taken += sums.in + kernelDrops.udp_rcvbuf;
    }
    const { sent, duplicated, arrived, lost, unreachable } = this.wire.counts;
    if (sent !== out) wrong.push(`hosts sent ${out} datagrams, the wire saw ${sent}`);
    if (arrived !== taken) wrong.push(`hosts took ${taken} datagrams, ${arrived} arrived`);
    if (sent + duplicated !== arrived + lost + unreachable + this.wire.held)
      wrong.push(`the wire: ${JSON.stringify(this.wire.counts)}`);
    return wrong;
  }

  /** Drops over all hosts, `plane/reason`. */
  drops(): Record<string, number> {
    const out: Record<string, number> = {};
    for (const { dp } of this.hosts) {
      for (const { plane, reason, count } of dp.counters().drops)
        if (count > 0) out[`${plane}/${reason}`] = (out[`${plane}/${reason}`] ?? 0) + count;
    }
    return out;
  }

  async close(): Promise<void> {
    await Promise.all(this.hosts.map(({ dp }) => dp.close()));
  }
}
