/**
 * Tens of thousands of random and damaged frames, super-frames and batches through the module and through the slow model:
 * the same outcome.
 */

import { ENUM } from "@weft/dataplane-wasm/abi";
import t from "tap";
import { ip, mac, vnetHdr, vxlan } from "../frames/build.js";
import { describeFrame } from "../frames/describe.js";
import { type Random, randomFrame, randomStream, randomSuper, randomVnetHdr } from "../frames/random.js";
import { pick, randomOf } from "../models/random.js";
import {
  addressKey,
  type Build,
  datagramsOf,
  type FromUnderlay,
  macKey,
  mapped,
  Rig,
  type Sent,
} from "../models/rig.js";
import { type Datagram, type Outcome, type SlowNetwork, SlowSwitch } from "../models/switch.js";

const UNDERLAY = ["192.0.2.9", "192.0.2.10", "2001:db8::9", "203.0.113.7"] as const;
const PREFIXES = [
  ["ipv4", "198.51.100.0", 24, "vtep:0"],
  ["ipv4", "198.51.100.128", 25, "port:1"],
  ["ipv4", "203.0.113.0", 24, "blackhole:0"],
  ["ipv6", "2001:db8:a::", 48, "vtep:1"],
  ["ipv6", "2001:db8:a::7", 128, "vtep:0"],
] as const;

/** The same configuration in the module and in the model. Network 1 has other rules than network 0. */
async function pair(build: Build, seed: number): Promise<{ rig: Rig; model: SlowSwitch }> {
  const rig = new Rig(build, {}, undefined, seed).features(64, ENUM.OFFLOAD.TCP | ENUM.OFFLOAD.UDP);
  const model = new SlowSwitch();
  const { NETWORK } = ENUM;
  const guards = NETWORK.GUARD_SPOOF | NETWORK.GUARD_RA | NETWORK.GUARD_DHCP;
  for (const second of [false, true]) {
    const row = {
      vni: second ? 43 : 42,
      mtu: second ? 1430 : 1450,
      ageTicks: second ? 0 : 20,
      bumRate: second ? 0 : 1,
      bumBurst: second ? 0 : 3,
      macsPerPort: second ? 5 : 30,
    };
    rig.network({ ...row, flags: second ? NETWORK.ACCEPT_ANY : guards });
    model.add({
      ...row,
      guards: !second,
      acceptAny: second,
      ports: new Map(),
      vteps: new Map(),
      macs: new Map(),
      prefixes: [],
    });
  }
  for (const [i, own] of model.networks.entries()) {
    for (const n of [1, 2, 3]) own.ports.set(rig.port(i, mac(n)), { mac: mac(n), generation: 1 });
    for (const address of UNDERLAY.slice(0, i === 0 ? 3 : 1))
      own.vteps.set(rig.vtep(i, address), { address: mapped(address).toString("hex"), udpPort: 4789, generation: 1 });
  }
  const own = model.networks[0] as SlowNetwork;
  const target = (name: string): Parameters<Rig["tables"]["setRoute"]>[2] => {
    const [kind, index] = name.split(":");
    return kind === "blackhole" ? { kind } : { kind: kind as "port" | "vtep", index: Number(index) };
  };
  for (const [address, name] of [
    [mac(50), "vtep:1"],
    [mac(51), "port:2"],
    [mac(52), "blackhole:0"],
  ] as const) {
    own.macs.set(address, name);
    rig.tables.setRoute(0, { kind: "mac", length: 0, key: macKey(address) }, target(name), true);
  }
  for (const [kind, address, length, name] of PREFIXES) {
    own.prefixes.push({ octets: ip(address), length, target: name });
    rig.tables.setRoute(0, { kind, length, key: addressKey(address) }, target(name), true);
  }
  await rig.commit();
  return { rig, model };
}

/** What the module did, in the words of the model. */
function outcomeOf(sent: readonly Sent[], before: Record<string, number>, after: Record<string, number>): Outcome {
  const drops = Object.keys(after).flatMap((name) =>
    new Array<string>((after[name] as number) - (before[name] ?? 0)).fill(`drop ${name.split("/")[1]}`),
  );
  const copies = sent.flatMap((s) =>
    s.kind === "port"
      ? [`port ${s.port} ${JSON.stringify(s.vnet)} ${s.frame.toString("hex")}`]
      : datagramsOf(s).map((one) => `vtep ${s.vtep} ${s.address} ${s.udpPort} tos ${s.tos} ${one.toString("hex")}`),
  );
  return [...drops, ...copies].sort();
}

/** Lines of one side only, shortened. */
function unlike(got: Outcome, want: Outcome): string {
  const only = (a: Outcome, b: Outcome): string =>
    a
      .filter((line) => !b.includes(line))
      .slice(0, 4)
      .map((line) => line.slice(0, 400))
      .join("\n     ");
  return ` got ${only(got, want)}\nwant ${only(want, got)}`;
}

/** A batch from one sender: streams with other frames between. */
function randomBatch(random: Random, known: readonly number[]): Datagram[] {
  const address = mapped(UNDERLAY[pick(random, 4)] as string).toString("hex");
  const tos = pick(random, 3) === 0 ? random() & 255 : 0;
  const near = known.slice(0, 3);
  const source = known[5 + pick(random, 5)] as number;
  const frames = randomStream(random, 2 + pick(random, 20), source, near);
  for (let n = pick(random, 4); n > 0; n--)
    frames.splice(pick(random, frames.length + 1), 0, randomFrame(random, [source, ...known], near));
  const vni = pick(random, 3) === 0 ? 43 : 42;
  return frames.map((frame) => {
    const odd = pick(random, 30);
    return { address, tos, payload: vxlan(odd === 0 ? 85 - vni : vni, frame, odd === 1 ? random() & 255 : 8) };
  });
}
/** The batch as UDP_GRO could hand it over: runs of equal length, which a shorter one may end, in one buffer. */
function received(random: Random, batch: readonly Datagram[]): FromUnderlay[] {
  const out: { address: string; payload: Buffer; tos: number; segLen: number; isOpen: boolean }[] = [];
  for (const { address, tos, payload } of batch) {
    const last = out.at(-1);
    const length = last?.segLen ?? 0;
    if (last?.isOpen && payload.length <= length && payload.length > 0 && pick(random, 12) !== 0) {
      last.payload = Buffer.concat([last.payload, payload]);
      last.isOpen = payload.length === length;
    } else out.push({ address: textOf(address), payload, tos, segLen: payload.length, isOpen: true });
  }
  return out;
}
const textOf = (address: string): string => UNDERLAY.find((text) => mapped(text).toString("hex") === address) as string;

/** One step: a frame from a port or a datagram or a batch of them from the underlay, through both. */
function one(
  random: Random,
  rig: Rig,
  model: SlowSwitch,
  known: readonly number[],
  nowMs: number,
): { frame: Buffer; want: Outcome; sent: Sent[] } {
  const kind = pick(random, 12);
  if (kind === 0) {
    const batch = randomBatch(random, known);
    const want = model.ingressBatch(batch, nowMs, { tcp: true, udp: true });
    return {
      frame: batch[0]?.payload.subarray(8) ?? Buffer.alloc(0),
      want,
      sent: rig.ingress(received(random, batch), nowMs),
    };
  }
  const port = pick(random, 7);
  if (kind === 1) {
    const { frame, vnet } = randomSuper(random, [mac(1 + (port % 3)), ...known.slice(5, 7)], known);
    const raw = Buffer.concat([vnetHdr(vnet), frame]);
    return { frame, want: model.egress(port, raw, nowMs), sent: rig.egress([{ port, frame, raw }], nowMs) };
  }
  const frame = randomFrame(random, known, known);
  if (kind < 7) {
    // Mostly the port's own MAC, as containers do.
    if (frame.length >= 12 && pick(random, 2) === 0) frame.writeUIntBE(mac(1 + (port % 3)), 6, 6);
    const raw = Buffer.concat([vnetHdr(randomVnetHdr(random)), frame]);
    return { frame, want: model.egress(port, raw, nowMs), sent: rig.egress([{ port, frame, raw }], nowMs) };
  }
  const address = UNDERLAY[pick(random, 4)] as string;
  const vni = [42, 42, 43, 44][pick(random, 4)] as number;
  const payload = vxlan(vni, frame, pick(random, 30) === 0 ? random() & 255 : 8);
  const tos = pick(random, 3) === 0 ? random() & 255 : 0;
  const want = model.ingress(mapped(address).toString("hex"), tos, payload, nowMs);
  return { frame, want, sent: rig.ingress([{ address, payload, tos }], nowMs) };
}

const FRAMES = Number(process.env.WEFT_MODEL_FRAMES ?? (process.env.WEFT_TEST_LONG === "1" ? 2_000_000 : 12_000));
for (const [build, share] of [
  ["debug", 0.4],
  ["release", 1],
] as const) {
  t.test(`model: random frames have the same outcome (${build} build)`, async (t) => {
    const kinds = new Map<string, number>();
    let wrong = "";
    let [supers, merged] = [0, 0];
    for (const seed of [1, 2, 3]) {
      const random = randomOf(seed);
      const { rig, model } = await pair(build, seed);
      const known = Array.from({ length: 60 }, (_, i) => mac(i + 1));
      let drops = rig.drops();
      let nowMs = 70_000_000;
      for (let step = 0; step < (FRAMES * share) / 3 && wrong === ""; step++) {
        if (pick(random, 8) === 0) nowMs += pick(random, 300);
        if (pick(random, 500) === 0) {
          nowMs += pick(random, 40_000);
          rig.exports.age(0, rig.switchMemory.plan.regions.FDB.count, nowMs);
          for (const own of model.networks) model.fdb(own).age(Math.floor(nowMs / 1024), own.ageTicks);
        }
        const { frame, want, sent } = one(random, rig, model, known, nowMs);
        const after = rig.drops();
        const got = outcomeOf(sent, drops, after);
        drops = after;
        const kind = want[0]?.startsWith("drop") ? want[0] : want.length < 4 ? `${want.length} copies` : "more copies";
        kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
        if (JSON.stringify(got) !== JSON.stringify(want))
          wrong = `seed ${seed} step ${step}: ${describeFrame(frame)}\n${unlike(got, want)}`;
      }
      t.same([rig.missing("egress"), rig.missing("ingress")], [0, 0], "the law holds");
      supers += rig.counter("super_frames_egress");
      merged += rig.counter("merged_ingress");
      for (const [i, own] of model.networks.entries()) {
        const rows = rig.reader
          .fdb(nowMs, i)
          .map(
            (row) =>
              `${Number.parseInt(row.mac.replaceAll(":", ""), 16)} ${row.owner.kind === ENUM.KIND.PORT ? "port" : "vtep"}:${row.owner.index}`,
          );
        t.same(
          rows.sort(),
          [...model.fdb(own).entries].map(([address, entry]) => `${address} ${entry.owner}`).sort(),
          `seed ${seed}: the same MACs in the same places`,
        );
      }
    }
    t.equal(wrong, "");
    t.ok(supers > 20 && merged > 20, `${supers} super-frames cut, ${merged} frames joined`);
    t.ok(kinds.size >= 20, `${[...kinds].map(([kind, n]) => `${n} × ${kind}`).join(", ")}`);
    t.comment([...kinds].map(([kind, n]) => `${n} ${kind}`).join(", "));
  });
}
