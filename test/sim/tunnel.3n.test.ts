/**
 * Three switches in one process, joined by WireGuard sessions with fixed keys for one network and in clear for another, over a
 * wire that loses, doubles, reorders, and on which somebody records and replays.
 */
import t from "tap";
import { BROADCAST, ethernet, mac } from "../frames/build.js";
import { pick, randomOf } from "../models/random.js";
import { type Build, datagramsOf, type FromUnderlay, type Sent } from "../models/rig.js";
import { TunnelRig } from "../models/tunnel-rig.js";

const LONG = process.env.WEFT_TEST_LONG === "1";
const HOSTS = 3;
const CONTAINERS = 2;
const tunnelAddress = (host: number): string => `10.7.0.${host + 1}`;
const underlay = (host: number): string => `192.0.2.${host + 1}`;
const macOf = (host: number, network: number, n: number): number => mac(0x1000 * host + 0x100 * network + n + 1);

interface Host {
  readonly rig: TunnelRig;
  /** [network][container] → port index. */
  readonly ports: readonly (readonly number[])[];
}
interface Flying {
  readonly to: number;
  readonly datagram: FromUnderlay;
}

class Mesh {
  readonly hosts: Host[] = [];
  readonly random: () => number;
  /** Chances in 1/1000. */
  faults = { lost: 0, doubled: 0, reordered: 0, replayed: 0, forged: 0 };
  #flying: Flying[] = [];
  readonly #recorded: Flying[] = [];
  #waiting: Flying[] = [];

  private constructor(seed: number) {
    this.random = randomOf(seed);
  }

  static async open(build: Build, seed: number): Promise<Mesh> {
    const mesh = new Mesh(seed);
    for (let i = 0; i < HOSTS; i++) {
      const rig = new TunnelRig(build, [tunnelAddress(i)], {}, undefined, 64, seed + i).features(i === 0 ? 1 : 64, 0);
      const networks = [rig.network({ vni: 42, flags: 32 }), rig.network({ vni: 43, flags: 0 })];
      const ports = networks.map((network) =>
        Array.from({ length: CONTAINERS }, (_, n) => rig.port(network, macOf(i, network, n))),
      );
      mesh.hosts.push({ rig, ports });
    }
    for (const [i, { rig }] of mesh.hosts.entries()) {
      for (let j = 0; j < HOSTS; j++) {
        if (i === j) continue;
        const peer = rig.peer([`${tunnelAddress(j)}/32`], underlay(j));
        rig.tunnelVtep(0, tunnelAddress(j), peer);
        rig.vtep(1, underlay(j));
      }
    }
    mesh.#join();
    for (const { rig } of mesh.hosts) await rig.commit();
    return mesh;
  }

  #join(): void {
    const peerOf = (host: number, other: number): number => (other < host ? other : other - 1);
    for (let i = 0; i < HOSTS; i++) {
      for (let j = i + 1; j < HOSTS; j++) {
        const [a, b] = [this.hosts[i]?.rig as TunnelRig, this.hosts[j]?.rig as TunnelRig];
        const [here, there] = [a.slots.reserve(peerOf(i, j), 0), b.slots.reserve(peerOf(j, i), 0)];
        if (!here || !there) throw new Error("no slot");
        const keys = [Buffer.alloc(32, 16 * i + j + 1), Buffer.alloc(32, 16 * j + i + 128)] as const;
        a.slots.install(here.slot, { send: keys[0], receive: keys[1] }, there.local, 0);
        b.slots.install(there.slot, { send: keys[1], receive: keys[0] }, here.local, 0);
        a.tables.tunnel.setSendSlot(peerOf(i, j), here.slot);
        b.tables.tunnel.setSendSlot(peerOf(j, i), there.slot);
      }
    }
  }

  #happens(chance: number): boolean {
    return pick(this.random, 1000) < chance;
  }

  /** Puts what a host sends on the wire. @returns frames that went to its own containers */
  #emit(host: number, sent: readonly Sent[]): { port: number; frame: Buffer }[] {
    const { faults } = this;
    for (const s of sent) {
      if (s.kind === "port") continue;
      const to = Number.parseInt(s.address.slice(-2), 16) - 1;
      for (const payload of datagramsOf(s)) {
        const isSealed = s.udpPort === 51_820;
        const datagram = {
          address: underlay(host),
          payload,
          tos: s.tos,
          ...(isSealed ? { wireguard: { port: 51_820 } } : {}),
        };
        const one = { to, datagram };
        if (this.#happens(faults.lost)) continue;
        this.#put(one);
        if (this.#happens(faults.doubled)) this.#put(one);
        if (isSealed && this.#happens(faults.forged)) {
          const bad = Buffer.from(payload);
          const at = pick(this.random, bad.length);
          bad[at] = (bad[at] as number) ^ (1 << pick(this.random, 8));
          this.#put({ to, datagram: { ...datagram, payload: bad } });
        }
      }
      const old = this.#recorded[pick(this.random, this.#recorded.length)];
      if (old && this.#happens(faults.replayed))
        this.#put({ ...old, datagram: { ...old.datagram, wireguard: { port: 1 + pick(this.random, 65_535) } } });
    }
    return sent.flatMap((s) => (s.kind === "port" ? [s] : []));
  }

  #put(one: Flying): void {
    const at = this.#happens(this.faults.reordered) ? pick(this.random, this.#flying.length + 1) : this.#flying.length;
    this.#flying.splice(at, 0, one);
  }

  /** Sends numbered frames, and lets everything arrive. @returns frame number → containers, once for every copy */
  run(
    frames: readonly { host: number; network: number; n: number; dst: number; id: number }[],
    nowMs: number,
  ): Map<number, string[]> {
    const out = new Map<number, string[]>();
    const arrive = (host: number, frames: readonly { port: number; frame: Buffer }[]): void => {
      const { ports } = this.hosts[host] as Host;
      for (const { port, frame } of frames) {
        const network = ports.findIndex((list) => list.includes(port));
        if (frame.readUInt8(18) !== network)
          throw new Error(`a frame of network ${frame.readUInt8(18)} in network ${network}`);
        const id = frame.readUInt32BE(14);
        out.set(id, [...(out.get(id) ?? []), `${host}.${ports[network]?.indexOf(port)}`]);
      }
    };
    for (const [host, { rig, ports }] of this.hosts.entries()) {
      const own = frames
        .filter((f) => f.host === host)
        .map(({ network, n, dst, id }) => {
          const payload = Buffer.alloc(64 + (id % 900), id & 255);
          payload.writeUInt32BE(id, 0);
          payload.writeUInt8(network, 4);
          return {
            port: ports[network]?.[n] as number,
            frame: ethernet({ dst, src: macOf(host, network, n), payload }),
          };
        });
      for (let i = 0; i < own.length; i += 100)
        arrive(host, this.#emit(host, rig.egress(own.slice(i, i + 100), nowMs)));
    }
    while (this.#flying.length > 0) {
      const batch = this.#flying.splice(0, 1 + pick(this.random, 60));
      // What has arrived is recorded: a copy that overtakes the message, or of one that was lost, is no replay but a delay.
      this.#recorded.push(...this.#waiting);
      this.#waiting = batch.filter(({ datagram }) => datagram.wireguard);
      for (const [host, { rig }] of this.hosts.entries()) {
        const own = batch.filter(({ to }) => to === host).map(({ datagram }) => datagram);
        if (own.length > 0) arrive(host, this.#emit(host, rig.ingress(own, nowMs)));
      }
    }
    return out;
  }

  drops(): Record<string, number> {
    const out: Record<string, number> = {};
    for (const { rig } of this.hosts)
      for (const [name, n] of Object.entries(rig.drops())) out[name] = (out[name] ?? 0) + n;
    return out;
  }
  unlawful(): number[] {
    return this.hosts.flatMap(({ rig }) => [rig.missing("egress"), rig.missing("ingress")]);
  }
}

/** Random frames of one turn, and who should get each on a perfect wire. */
function traffic(mesh: Mesh, first: number, count: number) {
  const { random } = mesh;
  return Array.from({ length: count }, (_, i) => {
    const [host, network, n] = [pick(random, HOSTS), pick(random, 2), pick(random, CONTAINERS)];
    const [toHost, toN] = [pick(random, HOSTS), pick(random, CONTAINERS)];
    const isFlood = pick(random, 3) === 0 || (toHost === host && toN === n);
    const all = Array.from({ length: HOSTS * CONTAINERS }, (_, k) => `${Math.floor(k / CONTAINERS)}.${k % CONTAINERS}`);
    return {
      host,
      network,
      n,
      id: first + i,
      dst: isFlood ? BROADCAST : macOf(toHost, network, toN),
      isFlood,
      want: isFlood ? all.filter((name) => name !== `${host}.${n}`) : [`${toHost}.${toN}`],
    };
  });
}

for (const build of ["debug", "release"] satisfies Build[]) {
  t.test(`${build}: a perfect wire: everybody gets what is for them, once`, async (t) => {
    const mesh = await Mesh.open(build, 1);
    // Everybody is heard first.
    const hello = [0, 1].flatMap((network) =>
      [0, 1, 2].flatMap((host) =>
        [0, 1].map((n) => ({ host, network, n, dst: BROADCAST, id: 100 * network + 10 * host + n })),
      ),
    );
    mesh.run(hello, 1000);
    for (let round = 0; round < 5; round++) {
      const frames = traffic(mesh, 1000 * (round + 1), 200);
      const got = mesh.run(frames, 2000 + round);
      const wrong = frames.filter(({ id, want }) => (got.get(id) ?? []).sort().join() !== [...want].sort().join());
      t.same(wrong, []);
    }
    t.same(mesh.drops(), {});
    t.same(mesh.unlawful(), [0, 0, 0, 0, 0, 0]);
    for (const { rig } of mesh.hosts) t.ok(rig.counter("opened") > 200 && rig.counter("sealed") > 200);
  });

  t.test(`${build}: loss, doubling, reordering, replays and forgeries`, async (t) => {
    for (let seed = 1; seed <= (LONG ? 200 : 5); seed++) {
      const mesh = await Mesh.open(build, seed);
      mesh.faults = { lost: 50, doubled: 100, reordered: 300, replayed: 200, forged: 100 };
      let delivered = 0;
      for (let round = 0; round < 6; round++) {
        const frames = traffic(mesh, 1000 * round, 150);
        const got = mesh.run(frames, 1000 + 200 * round);
        for (const [id, names] of got) {
          const about = frames.find((f) => f.id === id);
          if (!about) throw new Error(`seed ${seed}: frame ${id} comes again, long after it was sent`);
          if (about.network === 0 && new Set(names).size !== names.length)
            throw new Error(`seed ${seed}: frame ${id} twice: ${names}`);
          if (names.includes(`${about.host}.${about.n}`)) throw new Error(`seed ${seed}: frame ${id} came back`);
          delivered += names.length;
        }
      }
      t.same(mesh.unlawful(), [0, 0, 0, 0, 0, 0], `seed ${seed}: ${delivered} copies`);
      const drops = mesh.drops();
      t.ok((drops["ingress/replay"] ?? 0) > 50 && (drops["ingress/auth_failed"] ?? 0) > 3, JSON.stringify(drops));
      const expected = ["replay", "auth_failed", "unknown_index", "wireguard_message", "split_horizon"].map(
        (name) => `ingress/${name}`,
      );
      t.same(
        Object.keys(drops).filter((name) => !expected.includes(name)),
        [],
      );
      const roamed = mesh.hosts.flatMap(({ rig }) => rig.reader.events()).filter(({ kind }) => kind === "roamed");
      t.same(roamed, [], "no replay has moved a peer");
    }
  });
}
