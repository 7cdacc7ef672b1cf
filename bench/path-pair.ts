/**
 * Two switches in one process: frames from a container on A go through A's egress and B's ingress to a container on B.
 * What the kernel would do in between (filling slots and descriptors, answering operations) is done by hand and is not
 * on the clock; the four WASM calls of a batch are.
 */
import { LIMIT } from "@weft/dataplane-wasm/abi";
import { openChecksum, tcpSuperFrame, udpFrame } from "./frames.js";
import { BenchSwitch, type SharedSwitch, VNI } from "./switch.js";

const MAC_A = 0x0200_0000_000a;
const MAC_B = 0x0200_0000_000b;
const A = [192, 0, 2, 1] as const;
const B = [192, 0, 2, 2] as const;
const FLOWS = 16;
export const MTU = 1450;
/** As many as fit one send of 65,507 octets with the headers that each gets. */
export const SEGMENTS = 44;

/** What one batch consists of. */
export interface Load {
  /** Octets of a frame; a super-frame: of the whole of it. */
  readonly size: number;
  /** virtio_net_hdr and frame, one per receive slot. */
  readonly images: readonly Uint8Array[];
  /** Frames on the wire that one image becomes. */
  readonly frames: number;
}

/** UDP frames of one length over sixteen flows, other flows for each worker. */
export function smallFrames(size: number, batch: number, worker = 0): Load {
  const header = openChecksum();
  const image = (i: number): Buffer =>
    Buffer.concat([header, udpFrame(MAC_A, MAC_B, worker * FLOWS + (i % FLOWS), size)]);
  return { size, images: Array.from({ length: batch }, (_, i) => image(i)), frames: 1 };
}

/** TCP super-frames of one flow, one behind the other. */
export function superFrames(batch: number, worker = 0): Load {
  const images = Array.from({ length: batch }, (_, index) =>
    tcpSuperFrame(MAC_A, MAC_B, worker, { segments: SEGMENTS, mtu: MTU, index }),
  );
  return { size: (images[0]?.length ?? 0) - LIMIT.VNET_HDR_LEN, images, frames: SEGMENTS };
}

/** Nanoseconds per image. */
export interface Spent {
  readonly egress: number;
  readonly ingress: number;
}

export class Pair {
  readonly a: BenchSwitch;
  readonly b: BenchSwitch;

  /** Builds both switches; each has learned the other's MAC, as from a first ARP exchange. */
  static async open(): Promise<Pair> {
    const a = await BenchSwitch.open({ mac: MAC_A, vtep: B });
    const b = await BenchSwitch.open({ mac: MAC_B, vtep: A });
    const header = Buffer.from([8, 0, 0, 0, 0, 0, VNI, 0]);
    const introduce = (to: BenchSwitch, from: readonly number[], src: number, dst: number): void => {
      to.stageDatagram(0, [header, udpFrame(src, dst, 0, 64)], from);
      to.exports.ingress(to.worker, 0, 1, 1000);
      to.exports.complete(to.worker);
    };
    introduce(a, B, MAC_B, MAC_A);
    introduce(b, A, MAC_A, MAC_B);
    return new Pair(a, b);
  }

  /** The same two switches on another thread, as another worker of each. */
  static join(shared: readonly [SharedSwitch, SharedSwitch], worker: number): Pair {
    return new Pair(new BenchSwitch(shared[0], worker), new BenchSwitch(shared[1], worker));
  }

  private constructor(a: BenchSwitch, b: BenchSwitch) {
    this.a = a;
    this.b = b;
  }

  get shared(): readonly [SharedSwitch, SharedSwitch] {
    return [this.a.shared, this.b.shared];
  }

  /** Carries one batch from A to B. @returns nanoseconds in egress and in ingress of the whole batch. */
  #carry({ images, frames }: Load, nowMs: number): Spent {
    const { a, b } = this;
    const n = images.length;
    for (let i = 0; i < n; i++) a.stageFrame(i, images[i] as Uint8Array);
    const t0 = process.hrtime.bigint();
    a.exports.begin(a.worker);
    const judged = a.exports.egress(a.worker, 0, n, nowMs);
    const t1 = process.hrtime.bigint();
    const sends = a.waiting;
    let sent = 0;
    for (let i = 0; i < sends; i++) {
      const op = a.operation(i);
      b.stageDatagram(i, op.pieces, A, op.segment);
      a.answer(i, op.length);
      sent += op.frames;
    }
    const t2 = process.hrtime.bigint();
    a.exports.complete(a.worker);
    b.exports.begin(b.worker);
    const received = b.exports.ingress(b.worker, 0, sends, nowMs);
    const t3 = process.hrtime.bigint();
    const writes = b.waiting;
    let delivered = 0;
    for (let i = 0; i < writes; i++) {
      const op = b.operation(i);
      // A write takes the virtio_net_hdr as well.
      b.answer(i, op.length + LIMIT.VNET_HDR_LEN);
      delivered += op.frames;
    }
    const t4 = process.hrtime.bigint();
    b.exports.complete(b.worker);
    const t5 = process.hrtime.bigint();
    const wanted = n * frames;
    if (judged !== n || sent !== wanted || received !== sends || delivered !== wanted) {
      throw new Error(
        `bench: ${wanted} frames in ${n} images became ${judged} judged, ${sent} sent in ${sends} operations, ` +
          `${received} received, ${delivered} delivered`,
      );
    }
    // A's complete() stands between t2 and t3 and counts as ingress time of the pair; the sum is what matters.
    return { egress: Number(t1 - t0), ingress: Number(t3 - t2 + (t5 - t4)) };
  }

  /** Carries batches for `seconds` on the clock of the WASM calls. */
  measure(load: Load, seconds: number): Spent {
    return this.#repeat(load, (spentNs) => spentNs < seconds * 1e9);
  }

  /** Carries batches until that time of `performance.now()`. */
  measureUntil(load: Load, endMs: number): Spent {
    return this.#repeat(load, () => performance.now() < endMs);
  }

  #repeat(load: Load, goOn: (spentNs: number) => boolean): Spent {
    let egress = 0;
    let ingress = 0;
    let images = 0;
    do {
      const spent = this.#carry(load, 1000);
      egress += spent.egress;
      ingress += spent.ingress;
      images += load.images.length;
    } while (goOn(egress + ingress));
    return { egress: egress / images, ingress: ingress / images };
  }

  /** Nanoseconds to copy one frame once, from slot to slot, in the same module: nothing that touches a frame is faster. */
  measureCopy(size: number, seconds: number): number {
    const { a } = this;
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
}
