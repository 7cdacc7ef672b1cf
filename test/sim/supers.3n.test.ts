/**
 * Super-frames between hosts over a wire in memory: what arrives, cut again, is what was sent, cut once; on a bad wire nothing
 * else than that, and the law of the data path holds on every host.
 */
import t from "tap";
import { BROADCAST, readVnetHdr, type VnetHdr, vnetHdr } from "../frames/build.js";
import { withoutId } from "../frames/stream.js";
import { content, superFrame } from "../frames/super.js";
import { parseFrame } from "../models/frame.js";
import { pick, randomOf } from "../models/random.js";
import { segment } from "../models/segment.js";
import { type Container, World } from "./world.js";

const SEEDS = Number(process.env.WEFT_SIM_SEEDS ?? (process.env.WEFT_TEST_LONG === "1" ? 300 : 12));

/** The frames that a receiver's kernel makes of one; its IPv4 identification is not compared (the switch counts it on). */
function pieces(frame: Buffer, vnet: VnetHdr): string[] {
  if (vnet.gsoType === 0) return [withoutId(frame).toString("hex")];
  const cut = segment(frame, vnet);
  if ("drop" in cut) throw new Error(`a frame that nobody can cut: ${cut.drop}`);
  return cut.segments.map((one) => withoutId(one).toString("hex"));
}
/** Frames by receiver and flow, in order. */
type Flows = Map<string, string[]>;
function note(flows: Flows, receiver: string, frame: Buffer, vnet: VnetHdr): void {
  const { l4 } = parseFrame(frame);
  const flow = `${receiver} ${frame.toString("hex", 6, 12)} ${frame.toString("hex", l4, l4 + 4)}`;
  flows.set(flow, [...(flows.get(flow) ?? []), ...pieces(frame, vnet)]);
}

/** Super-frames from every container to others; resolves with what was sent and what arrived. */
async function round(
  world: World,
  random: () => number,
  seqs: Map<string, number>,
): Promise<{ sent: Flows; got: Flows }> {
  const sent: Flows = new Map();
  for (let n = 4 + pick(random, 12); n > 0; n--) {
    const from = world.containers[pick(random, world.containers.length)] as Container;
    const to = world.containers[pick(random, world.containers.length)] as Container;
    if (from === to || from.network !== to.network) continue;
    const version = pick(random, 2) === 0 ? 4 : 6;
    const protocol = pick(random, 2) === 0 ? "tcp" : "udp";
    const ports = [
      1000 + world.containers.indexOf(from) * 8 + (version === 4 ? 0 : 1),
      protocol === "tcp" ? 80 : 53,
    ] as const;
    const payload = content(1 + pick(random, 15_000), random());
    const key = `${from.name} ${to.name} ${ports}`;
    const seq = seqs.get(key) ?? random();
    seqs.set(key, (seq + payload.length) % 2 ** 32);
    const { frame, vnet } = superFrame({
      ...{ version, protocol, ports, payload, srcMac: from.mac, dstMac: to.mac },
      tcp: { seq, flags: pick(random, 3) === 0 ? 0x18 : 0x10 },
      gsoSize: [536, 1380, 1380][pick(random, 3)] as number,
    });
    if (!world.device(from).inject(frame, vnetHdr(vnet))) throw new Error(`${from.name}'s device is full`);
    note(sent, to.name, frame, vnet);
  }
  await world.settle();
  const got: Flows = new Map();
  for (const c of world.containers) {
    for (const { frame, vnetHdr: header } of world.device(c).take())
      note(got, c.name, Buffer.from(frame), readVnetHdr(Buffer.from(header)));
  }
  return { sent, got };
}

for (const family of [4, 6] as const) {
  t.test(`super-frames over IPv${family}: random traffic, a perfect wire and a bad one`, async (t) => {
    let [cut, made, frames] = [0, 0, 0];
    for (let seed = 1; seed <= SEEDS; seed++) {
      const random = randomOf(seed * 7919);
      const world = await World.open({ seed, hosts: 3, containers: 2, family });
      try {
        // Everybody knows everybody: from now on nothing is flooded.
        for (const c of world.containers) await world.send(c, BROADCAST);
        const seqs = new Map<string, number>();
        for (let step = 0; step < 8; step++) {
          const isPerfect = step % 2 === 0;
          const some = (most: number): number => (isPerfect ? 0 : (pick(random, 100) / 100) * most);
          world.impair({ loss: some(0.2), duplicate: some(0.2), reorder: some(0.4), latencyMs: 0 });
          const { sent, got } = await round(world, random, seqs);
          for (const [flow, list] of got) {
            const want = sent.get(flow) ?? [];
            const known = new Set(want);
            const stranger = list.findIndex((one) => !known.has(one));
            if (stranger >= 0) t.fail(`seed ${seed} step ${step}, flow ${flow}: frame ${stranger} was never sent`);
            frames += list.length;
          }
          for (const [flow, want] of isPerfect ? sent : []) {
            const isSame = (got.get(flow) ?? []).join() === want.join();
            if (!isSame)
              t.fail(
                `seed ${seed} step ${step}, flow ${flow}: ${got.get(flow)?.length} of ${want.length} frames, or another order`,
              );
          }
          t.same(world.unlawful(), [], `seed ${seed} step ${step}`);
        }
        const other = (name: string): number =>
          world.hosts.reduce((sum, { dp }) => sum + (dp.counters().other.find((o) => o.name === name)?.count ?? 0), 0);
        cut += other("super_frames_egress");
        made += other("super_frames_ingress");
        t.same(world.drops(), {}, `seed ${seed}: nothing was dropped by weft`);
      } finally {
        await world.close();
      }
    }
    t.ok(cut > SEEDS * 10 && made > SEEDS * 10, `${frames} frames; ${cut} super-frames cut, ${made} made`);
  });
}
