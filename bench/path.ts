/**
 * The path in memory: frames from a container on A through A's egress and B's ingress to a container on B, without any
 * system call. What the kernel would do in between (filling slots and descriptors, answering operations) is done by
 * hand and is not on the clock; the four WASM calls of a batch are.
 */
import { LIMIT } from "@weft/dataplane-wasm/abi";
import { openChecksum, udpFrame } from "./frames.js";
import { type Row, row } from "./result.js";
import { BenchSwitch, WORKER } from "./switch.js";

export interface PathAsk {
  readonly rounds: number;
  /** Seconds on the clock of one round of one row. */
  readonly seconds: number;
}

const MAC_A = 0x0200_0000_000a;
const MAC_B = 0x0200_0000_000b;
const A = [192, 0, 2, 1] as const;
const B = [192, 0, 2, 2] as const;
const SIZES = [64, 512, 1400];
/** Frames per call: the loop hands over what one poll found. */
const BATCHES = [1, 16, LIMIT.BATCH_MAX];
const FLOWS = 16;
const MTU = 1450;

interface Pair {
  readonly a: BenchSwitch;
  readonly b: BenchSwitch;
}

/** Carries one batch from A to B. @returns nanoseconds spent in egress and in ingress. */
function carry({ a, b }: Pair, images: readonly Uint8Array[], nowMs: number): { egress: number; ingress: number } {
  const n = images.length;
  for (let i = 0; i < n; i++) a.stageFrame(i, images[i] as Uint8Array);
  const t0 = process.hrtime.bigint();
  a.exports.begin(WORKER);
  const sent = a.exports.egress(WORKER, 0, n, nowMs);
  const t1 = process.hrtime.bigint();
  const ops = a.waiting;
  for (let i = 0; i < ops; i++) {
    const { octets } = a.operation(i);
    b.stageDatagram(i, octets, A);
    a.answer(i, octets.length);
  }
  const t2 = process.hrtime.bigint();
  a.exports.complete(WORKER);
  b.exports.begin(WORKER);
  const received = b.exports.ingress(WORKER, 0, ops, nowMs);
  const t3 = process.hrtime.bigint();
  const delivered = b.waiting;
  for (let i = 0; i < delivered; i++) b.answer(i, 1);
  const t4 = process.hrtime.bigint();
  b.exports.complete(WORKER);
  const t5 = process.hrtime.bigint();
  if (sent !== n || ops !== n || received !== n || delivered !== n) {
    throw new Error(
      `bench: ${n} frames became ${sent} judged, ${ops} sent, ${received} received, ${delivered} delivered`,
    );
  }
  // A's complete() stands between t2 and t3 and counts as ingress time of the pair; the sum is what matters.
  return { egress: Number(t1 - t0), ingress: Number(t3 - t2 + (t5 - t4)) };
}

/** Each side learns the other's MAC, as it does from the first ARP exchange. */
function introduce({ a, b }: Pair): void {
  const header = Buffer.from([8, 0, 0, 0, 0, 0, 42, 0]);
  a.stageDatagram(0, Buffer.concat([header, udpFrame(MAC_B, MAC_A, 0, 64)]), B);
  a.exports.ingress(WORKER, 0, 1, 1000);
  a.exports.complete(WORKER);
  b.stageDatagram(0, Buffer.concat([header, udpFrame(MAC_A, MAC_B, 0, 64)]), A);
  b.exports.ingress(WORKER, 0, 1, 1000);
  b.exports.complete(WORKER);
}

/** Nanoseconds per frame over `seconds` of clock time. */
function measure(pair: Pair, images: readonly Uint8Array[], seconds: number): { egress: number; ingress: number } {
  let egress = 0;
  let ingress = 0;
  let frames = 0;
  while (egress + ingress < seconds * 1e9) {
    const spent = carry(pair, images, 1000);
    egress += spent.egress;
    ingress += spent.ingress;
    frames += images.length;
  }
  return { egress: egress / frames, ingress: ingress / frames };
}

/** Nanoseconds to copy one frame once, from slot to slot, in the same module: nothing that touches a frame is faster. */
function measureCopy({ a }: Pair, size: number, seconds: number): number {
  const n = LIMIT.BATCH_MAX;
  const calls = 64;
  let spent = 0;
  let frames = 0;
  while (spent < seconds * 1e9) {
    const t0 = process.hrtime.bigint();
    for (let i = 0; i < calls; i++) a.exports.copyBatch(a.at("SLOTS"), LIMIT.SLOT_SIZE, LIMIT.SLOT_SIZE / 2, size, n);
    spent += Number(process.hrtime.bigint() - t0);
    frames += calls * n;
  }
  return spent / frames;
}

export async function path(ask: PathAsk): Promise<Row[]> {
  const pair: Pair = {
    a: await BenchSwitch.open({ mac: MAC_A, vtep: B }),
    b: await BenchSwitch.open({ mac: MAC_B, vtep: A }),
  };
  introduce(pair);
  const header = openChecksum();
  const image = (size: number, i: number): Buffer => Buffer.concat([header, udpFrame(MAC_A, MAC_B, i % FLOWS, size)]);
  const series = SIZES.flatMap((size) =>
    BATCHES.map((batch) => ({
      size,
      batch,
      images: Array.from({ length: batch }, (_, i) => image(size, i)),
      both: [] as number[],
      egress: [] as number[],
      ingress: [] as number[],
    })),
  );
  const copies = SIZES.map((size) => ({ size, samples: [] as number[] }));
  // Until V8 has compiled all of it with its optimising compiler.
  for (const s of series) measure(pair, s.images, Math.min(0.1, ask.seconds));
  for (let round = 0; round < ask.rounds; round++) {
    for (const s of series) {
      const spent = measure(pair, s.images, ask.seconds / 4);
      s.egress.push(spent.egress);
      s.ingress.push(spent.ingress);
      s.both.push(spent.egress + spent.ingress);
    }
    for (const c of copies) c.samples.push(measureCopy(pair, c.size, ask.seconds / 4));
  }
  const rows: Row[] = [];
  for (const size of SIZES) {
    for (const s of series.filter((x) => x.size === size)) {
      const part = { suite: "path", size, unit: "ns/frame", layer: 2, cipher: "none", mtu: MTU } as const;
      const of = `${s.batch} per call`;
      rows.push(row({ ...part, name: `egress + ingress, ${of}` }, s.both));
      if (s.batch === LIMIT.BATCH_MAX) {
        rows.push(
          row({ ...part, name: `egress, ${of}` }, s.egress),
          row({ ...part, name: `ingress, ${of}` }, s.ingress),
        );
      }
    }
    const copy = copies.find((c) => c.size === size)?.samples ?? [];
    rows.push(row({ suite: "path", size, unit: "ns/frame", name: "copying the frame once" }, copy));
  }
  return rows;
}
