/** Conversations: totals against a plain count, bounds, forgetting, and several workers. */
import { Talks } from "@weft/dataplane-wasm";
import { LIMIT } from "@weft/dataplane-wasm/abi";
import fc from "fast-check";
import t from "tap";
import { BROADCAST, ethernet, mac, vxlan } from "../frames/build.js";
import { content, packetFrame, superFrame } from "../frames/super.js";
import { type Build, Rig } from "../models/rig.js";

const BUILDS: readonly Build[] = ["debug", "release"];

class Host extends Rig {
  readonly net = this.network();
  readonly ports = [1, 2, 3].map((n) => this.port(this.net, mac(n)));
  readonly v = this.vtep(this.net, "192.0.2.9");
  readonly talks = new Talks(this.switchMemory);

  /** `port local remote`: frames and octets to and from the local station. */
  table(nowMs = 1000): Record<string, number[]> {
    const short = (text: string): number => Number.parseInt(text.slice(-2), 16);
    return Object.fromEntries(
      this.talks
        .read(nowMs)
        .map((r) => [
          `${r.port} ${short(r.localMac)} ${short(r.remoteMac)}`,
          [r.rxPackets, r.rxBytes, r.txPackets, r.txBytes],
        ]),
    );
  }
}
const far = (frame: Buffer): { address: string; payload: Buffer } => ({
  address: "192.0.2.9",
  payload: vxlan(42, frame),
});

for (const build of BUILDS) {
  t.test(`${build}: both ends of a local conversation, and one of a remote one`, async (t) => {
    const h = new Host(build);
    await h.commit();
    const [a = 0, b = 0] = h.ports;
    h.ingress([far(ethernet({ src: mac(9), dst: mac(1) }))]);
    h.egress([
      { port: a, frame: ethernet({ src: mac(1), dst: mac(2), payload: Buffer.alloc(100) }) },
      { port: b, frame: ethernet({ src: mac(2), dst: mac(1), payload: Buffer.alloc(50) }) },
      { port: a, frame: ethernet({ src: mac(1), dst: mac(9), payload: Buffer.alloc(200) }) },
      { port: a, frame: ethernet({ src: mac(1), dst: BROADCAST }) },
      { port: a, frame: ethernet({ src: mac(1), dst: mac(77) }) },
    ]);
    t.same(
      h.table(),
      { [`${a} 1 2`]: [1, 64, 1, 114], [`${b} 2 1`]: [1, 114, 1, 64], [`${a} 1 9`]: [1, 60, 1, 214] },
      "broadcasts and frames for nobody known are no conversation",
    );
  });

  t.test(`${build}: every frame of a coalesced run and of a super-frame's way counts`, async (t) => {
    const h = new Host(build).features(64, 3);
    await h.commit();
    const [a = 0, b = 0] = h.ports;
    const run = Array.from({ length: 20 }, (_, i) =>
      vxlan(
        42,
        packetFrame({ srcMac: mac(9), dstMac: mac(1), payload: content(1000), tcp: { seq: 1000 * i, flags: 16 } }),
      ),
    );
    const segLen = run[0]?.length ?? 0;
    h.ingress([{ address: "192.0.2.9", payload: Buffer.concat(run), segLen }]);
    t.ok(h.counter("merged_ingress") > 10, "they were joined");
    const made = superFrame({ srcMac: mac(1), dstMac: mac(2), payload: content(20_000), gsoSize: 1000 });
    h.egress([{ port: a, frame: made.frame, vnet: made.vnet }]);
    t.same(h.table(), {
      [`${a} 1 9`]: [20, 20 * (segLen - 8), 0, 0],
      [`${a} 1 2`]: [0, 0, 1, made.frame.length],
      [`${b} 2 1`]: [1, made.frame.length, 0, 0],
    });
  });

  t.test(`${build}: forgotten after ten minutes, and counted anew`, async (t) => {
    const h = new Host(build);
    await h.commit();
    const [a = 0, b = 0] = h.ports;
    const frame = ethernet({ src: mac(1), dst: mac(2) });
    h.egress([{ port: a, frame }], 1000);
    t.same(Object.keys(h.table(1000 + LIMIT.TALK_AGE_MS)).length, 2);
    t.same(h.table(1001 + LIMIT.TALK_AGE_MS), {});
    h.egress([{ port: a, frame }], 700_000);
    t.same(h.table(700_000), { [`${a} 1 2`]: [0, 0, 1, 60], [`${b} 2 1`]: [1, 60, 0, 0] });
    h.tables.removePort(b);
    await h.commit();
    t.same(
      h.talks
        .read(700_000)
        .map((r) => r.generation === h.tables.portGeneration(r.port))
        .sort(),
      [false, true],
    );
  });
}

t.test("property: totals are those of a plain count, over workers and batches", async (t) => {
  const h = new (class extends Rig {
    readonly net = this.network();
    readonly ports = [1, 2, 3].map((n) => this.port(this.net, mac(n)));
    readonly talks = new Talks(this.switchMemory);
  })("release", { workers: 2 });
  await h.commit();
  const counts = new Map<string, number[]>();
  const note = (key: string, at: number, octets: number): void => {
    const row = counts.get(key) ?? [0, 0, 0, 0];
    row[at] = (row[at] as number) + 1;
    row[at + 1] = (row[at + 1] as number) + octets;
    counts.set(key, row);
  };
  const frames = fc.array(fc.record({ from: fc.nat(2), to: fc.nat(2), length: fc.integer({ min: 1, max: 500 }) }), {
    maxLength: 40,
  });
  fc.assert(
    fc.property(frames, fc.nat(1), (batch, worker) => {
      h.egress(
        batch.map(({ from, to, length }) => ({
          port: h.ports[from] as number,
          frame: ethernet({ src: mac(from + 1), dst: mac(to + 1), payload: Buffer.alloc(length) }),
        })),
        1000,
        worker,
      );
      for (const { from, to, length } of batch.filter((f) => f.from !== f.to)) {
        note(`${h.ports[from]} ${from + 1} ${to + 1}`, 2, length + 14);
        note(`${h.ports[to]} ${to + 1} ${from + 1}`, 0, length + 14);
      }
    }),
    { numRuns: 100 },
  );
  const rows = h.talks.read(1000).map((r) => {
    const [local, remote] = [r.localMac, r.remoteMac].map((text) => Number(text.slice(-1)));
    return [`${r.port} ${local} ${remote}`, [r.rxPackets, r.rxBytes, r.txPackets, r.txBytes]] as const;
  });
  t.same(new Map(rows), counts);
});

t.test("a full table forgets those that were silent longest", async (t) => {
  const h = new Rig("release", { talksMax: 16 });
  const net = h.network({ macsPerPort: 4000 });
  const a = h.port(net, mac(1));
  const b = h.port(net, mac(2));
  await h.commit();
  for (let n = 100; n < 600; n++) {
    h.egress([{ port: b, frame: ethernet({ src: mac(n), dst: mac(1) }) }], n);
    h.egress([{ port: a, frame: ethernet({ src: mac(1), dst: mac(n) }) }], n);
  }
  const rows = new Talks(h.switchMemory).read(600);
  t.equal(rows.length, 16);
  t.ok(rows.every((r) => r.ageMs < 200));
});
