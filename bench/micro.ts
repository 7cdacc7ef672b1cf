/**
 * Single functions of the switch under Benchmark.js. One call of a body is one batch inside the WASM, well above a
 * microsecond, so that neither the tool (about 10 ns a call) nor the step from JavaScript into WASM shows.
 *
 * Benchmark.js had its last release in 2017. It is used for its sampling only; figures are taken from `stats.sample`.
 */
import { ENUM, LIMIT } from "@weft/dataplane-wasm/abi";
import Benchmark from "benchmark";
import { openChecksum, udpFrame } from "./frames.js";
import { type Row, row } from "./result.js";
import { spread } from "./stats.js";
import { BenchSwitch, VNI } from "./switch.js";

export interface MicroAsk {
  /** Seconds Benchmark.js may spend on one function. */
  readonly seconds: number;
}

const MAC_A = 0x0200_0000_000a;
const MAC_B = 0x0200_0000_000b;
const VTEP = [192, 0, 2, 2] as const;
const N = LIMIT.BATCH_MAX;
/** MACs in the FDB, below its limit of 65,536. */
const KNOWN = 50_000;
/** MACs that take turns as strangers: far more than the FDB holds, so that each is new again. */
const STRANGERS = 400_000;
const TICK = 1;
const WORKER = 0;

interface Body {
  readonly name: string;
  readonly size?: number;
  /** Things of which one call does `items`. */
  readonly item: string;
  readonly items: number;
  readonly before?: () => void;
  readonly call: () => void;
}

/**
 * A list of MACs in the switch's own slots, 8 octets each.
 * @returns a function that names, at each call, where the next batch of the list begins.
 */
function macList(sw: BenchSwitch, address: number, first: number, count: number, shuffled: boolean): () => number {
  const view = new DataView(sw.octets.buffer);
  // 7919 is a prime that divides no count used here: each MAC comes once, in an order no prefetcher follows.
  for (let i = 0; i < count; i++)
    view.setBigUint64(address + 8 * i, BigInt(first + (shuffled ? (i * 7919) % count : i)), true);
  let next = 0;
  return () => {
    const at = next;
    next = next + 2 * N > count ? 0 : next + N;
    return address + 8 * at;
  };
}

async function bodies(): Promise<Body[]> {
  const sw = await BenchSwitch.open({ mac: MAC_A, vtep: VTEP });
  const { exports, shared } = sw;
  const owner = ((ENUM.KIND.VTEP << 24) | shared.vtep) >>> 0;
  const hot = sw.spare;
  const knownList = hot + 8 * N;
  const unknownList = knownList + 8 * KNOWN;
  macList(sw, hot, 0x0400_0000_0000, N, false);
  const known = macList(sw, knownList, 0x0400_0000_0000, KNOWN, true);
  const unknown = macList(sw, unknownList, 0x0600_0000_0000, KNOWN, true);
  const strangers = macList(sw, unknownList + 8 * KNOWN, 0x0800_0000_0000, STRANGERS, false);
  const learnKnown = (): void => {
    exports.flush(WORKER, 0xffff_ffff);
    for (let i = 0; i < KNOWN; i += N) {
      exports.learnBatch(
        WORKER,
        shared.network,
        knownList + 8 * i,
        Math.min(N, KNOWN - i),
        owner,
        shared.vtepGeneration,
        TICK,
      );
    }
  };
  const expect = (what: string, got: number, wanted: number): void => {
    if (got !== wanted) throw new Error(`bench: ${what}: ${got} of ${wanted}`);
  };
  const image = (size: number, i: number): Buffer =>
    Buffer.concat([openChecksum(), udpFrame(MAC_A, MAC_B, i % 16, size)]);
  const stage = (size: number): void => {
    for (let i = 0; i < N; i++) sw.stageFrame(i, image(size, i));
    expect("frames judged", exports.egress(WORKER, 0, N, 1000), N);
    exports.complete(WORKER);
  };
  const header = Buffer.from([8, 0, 0, 0, 0, 0, VNI, 0]);
  const stageDatagrams = (): void => {
    for (let i = 0; i < N; i++) sw.stageDatagram(i, [header, udpFrame(MAC_B, MAC_A, i % 16, 64)], VTEP);
  };
  let tick = TICK;
  const learn = (address: number, t: number): void =>
    exports.learnBatch(WORKER, shared.network, address, N, owner, shared.vtepGeneration, t);
  const checksums = [64, 256, 1400, 9000, 65_535].map((size): Body => {
    const times = Math.ceil(65_535 / size);
    return {
      name: "checksum",
      size,
      item: "block",
      items: times,
      call: () => void exports.checksumBatch(sw.at("SLOTS"), size, times),
    };
  });
  return [
    {
      name: "parse (Ethernet, IPv4, UDP)",
      item: "frame",
      items: N,
      before: () => stage(64),
      call: () => exports.parseBatch(WORKER, N),
    },
    {
      name: "FDB hit, 128 MACs in turn",
      item: "MAC",
      items: N,
      before: () => {
        learnKnown();
        learn(hot, TICK);
        expect("known MACs found", exports.lookupBatch(WORKER, shared.network, hot, N, TICK), N);
      },
      call: () => void exports.lookupBatch(WORKER, shared.network, hot, N, TICK),
    },
    {
      name: "FDB hit, 50,000 MACs in turn",
      item: "MAC",
      items: N,
      before: learnKnown,
      call: () => void exports.lookupBatch(WORKER, shared.network, known(), N, TICK),
    },
    {
      name: "FDB miss",
      item: "MAC",
      items: N,
      before: () => {
        learnKnown();
        expect("unknown MACs found", exports.lookupBatch(WORKER, shared.network, unknown(), N, TICK), 0);
      },
      call: () => void exports.lookupBatch(WORKER, shared.network, unknown(), N, TICK),
    },
    {
      name: "FDB learn, seen this second already",
      item: "MAC",
      items: N,
      before: () => {
        learnKnown();
        learn(hot, TICK);
      },
      call: () => learn(hot, TICK),
    },
    {
      name: "FDB learn, first time this second",
      item: "MAC",
      items: N,
      before: learnKnown,
      call: () => {
        tick = (tick + 1) & 0xffff;
        learn(hot, tick);
      },
    },
    {
      name: "FDB learn, new MAC in a full table",
      item: "MAC",
      items: N,
      before: learnKnown,
      call: () => learn(strangers(), TICK),
    },
    ...checksums,
    {
      name: "encap (VXLAN header, send operation)",
      item: "frame",
      items: N,
      before: () => stage(64),
      call: () => exports.encapBatch(WORKER, N, shared.vtep),
    },
    {
      name: "decap (VXLAN header, VNI, sender)",
      item: "datagram",
      items: N,
      before: () => {
        stageDatagrams();
        expect("datagrams accepted", exports.decapBatch(WORKER, N), N);
      },
      call: () => void exports.decapBatch(WORKER, N),
    },
  ];
}

/** Seconds per call, one per sample of Benchmark.js. */
function sample(body: Body, seconds: number): readonly number[] {
  body.before?.();
  // Past V8's first compiler before Benchmark.js estimates how many calls make a sample.
  const warmUntil = performance.now() + Math.min(200, seconds * 500);
  while (performance.now() < warmUntil) body.call();
  const bench = new Benchmark(body.name, body.call, {
    maxTime: seconds,
    minSamples: Math.max(1, Math.min(10, Math.round(seconds * 20))),
    minTime: Math.min(0.05, seconds / 4),
  });
  bench.run({ async: false });
  if (bench.error) throw bench.error;
  return bench.stats.sample;
}

export async function micro(ask: MicroAsk): Promise<Row[]> {
  const rows: Row[] = [];
  for (const body of await bodies()) {
    const seconds = sample(body, ask.seconds);
    const more: Record<string, ReturnType<typeof spread>> = {
      microsecondsPerCall: spread(seconds.map((s) => s * 1e6)),
    };
    const { size } = body;
    if (size !== undefined) more.gigabytesPerSecond = spread(seconds.map((s) => (size * body.items) / s / 1e9));
    const facts = {
      suite: "micro",
      name: body.name,
      unit: `ns/${body.item}`,
      ...(size === undefined ? {} : { size }),
      more,
    } as const;
    rows.push(
      row(
        facts,
        seconds.map((s) => (s * 1e9) / body.items),
      ),
    );
  }
  return rows;
}
