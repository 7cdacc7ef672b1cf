/**
 * Random and damaged frames by the million through egress and ingress: no trap, the law of the data path holds, every
 * transmit operation lies inside what was received, and no octet changes that a worker has no business with.
 *
 *   WEFT_FUZZ_FRAMES=N   how many (default 10^6, with WEFT_TEST_LONG=1 10^9; a tenth of it on the debug build)
 *   WEFT_FUZZ_SEED=N     where the random numbers start (default 1)
 */

import { ENUM, LIMIT, layout, offsetOf } from "@weft/dataplane-wasm/abi";
import t, { type Test } from "tap";
import { ETHERTYPE, ethernet, ipv4, ipv6, mac, PROTO, tcp, udp, vnetHdr, vxlan } from "../frames/build.js";
import { randomFrame, randomVnetHdr } from "../frames/random.js";
import { randomOf } from "../models/random.js";
import { addressKey, type Build, macKey, mapped, Rig } from "../models/rig.js";

const LONG = process.env.WEFT_TEST_LONG === "1";
const FRAMES = Number(process.env.WEFT_FUZZ_FRAMES ?? (LONG ? 1e9 : 1e6));
const SEED = Number(process.env.WEFT_FUZZ_SEED ?? 1);
const BATCH = LIMIT.BATCH_MAX;
const RAW = LIMIT.HEADROOM - LIMIT.VNET_HDR_LEN;
const VTEPS = ["192.0.2.9", "192.0.2.10", "2001:db8::9"];
const SENDERS = [...VTEPS, "203.0.113.7"].map(mapped);
const ERRNOS = [0, 0, 0, 0, 0, 0, 11, 105, 77, 5, 22, 90, 101, 1];

/** Two networks with every kind of table entry; worker 1 does nothing and must stay as it is. */
async function open(build: Build): Promise<Rig> {
  const rig = new Rig(build, { workers: 2, fdbMax: 1024 }, 40, SEED);
  rig.network({ bumRate: 1000, bumBurst: 500, ageTicks: 60, macsPerPort: 100 });
  rig.network({ vni: 43, flags: ENUM.NETWORK.ACCEPT_ANY, ageTicks: 0, mtu: 1280 });
  for (const n of [1, 2, 3]) rig.port(0, mac(n));
  for (const n of [1, 2]) rig.port(1, mac(n));
  for (const address of VTEPS) rig.vtep(0, address);
  rig.vtep(1, VTEPS[0] as string);
  rig.tables.setRoute(0, { kind: "mac", length: 0, key: macKey(mac(50)) }, { kind: "vtep", index: 1 }, true);
  rig.tables.setRoute(0, { kind: "mac", length: 0, key: macKey(mac(52)) }, { kind: "blackhole" }, true);
  rig.tables.setRoute(
    0,
    { kind: "ipv4", length: 24, key: addressKey("198.51.100.0") },
    { kind: "vtep", index: 0 },
    true,
  );
  rig.tables.setRoute(
    0,
    { kind: "ipv6", length: 48, key: addressKey("2001:db8:a::") },
    { kind: "port", index: 1 },
    true,
  );
  await rig.commit();
  return rig;
}

/** virtio_net_hdr and frame, one after the other; ingress reads the last eight octets of the header as VXLAN. */
function corpus(): Buffer[] {
  const random = randomOf(SEED);
  const known = Array.from({ length: 60 }, (_, i) => mac(i + 1));
  const big = [
    {
      type: ETHERTYPE.ipv4,
      payload: ipv4({ protocol: PROTO.tcp, payload: tcp({ payload: Buffer.alloc(30_000) }), sum: "pseudo" }),
    },
    {
      type: ETHERTYPE.ipv6,
      payload: ipv6({ protocol: PROTO.tcp, payload: tcp({ payload: Buffer.alloc(9_000) }), sum: "pseudo" }),
    },
    { type: ETHERTYPE.ipv4, payload: ipv4({ payload: udp({ payload: Buffer.alloc(9_000) }), sum: "pseudo" }) },
  ].map((given) => ethernet({ src: mac(9), dst: mac(1), ...given }));
  const frames = [...Array.from({ length: 600 }, () => randomFrame(random, known, known)), ...big];
  return frames.map((frame) => Buffer.concat([vnetHdr(randomVnetHdr(random)), frame]));
}

/** Parts of the memory that worker 0 and its Io may write; everything else must stay as it is. */
function isUntouched(t: Test, rig: Rig, before: Buffer, name: string): void {
  const allowed: [number, number][] = ["fdbCount", "neighbourCount"].map((field) => [
    offsetOf("Header", field),
    offsetOf("Header", field) + 4,
  ]);
  for (const region of Object.values(rig.switchMemory.plan.regions)) {
    const isOwn = region.perWorker > 0;
    if (isOwn || ["FDB", "NEIGHBOURS", "PORT_LIVE"].includes(region.name))
      allowed.push([region.base, region.base + region.stride * region.count]);
  }
  allowed.sort((a, b) => a[0] - b[0]);
  let from = 0;
  for (const [start, end] of [...allowed, [before.length, before.length] as const]) {
    if (rig.octets.compare(before, from, start, from, start) !== 0) {
      let at = from;
      while (rig.octets[at] === before[at]) at++;
      t.fail(`${name}: octet ${at} was written`);
      return;
    }
    from = end;
  }
  t.pass(`${name}: nothing outside the worker's own regions and the learned tables was written`);
}

class Fuzzer {
  readonly #rig: Rig;
  readonly #words: Int32Array;
  readonly #shorts: Uint16Array;
  readonly #corpus: readonly Buffer[];
  readonly #descs: number;
  readonly #slots: number;
  readonly #lens = new Uint32Array(BATCH);
  #state = SEED ^ 0x2545_f491;
  #nowMs = 2 ** 32 - 5_000_000;
  /** Octets of the longest thing ever put into a slot. */
  longest = 0;
  operations = 0;
  wrong = "";

  constructor(rig: Rig, samples: readonly Buffer[]) {
    this.#rig = rig;
    this.#words = new Int32Array(rig.octets.buffer);
    this.#shorts = new Uint16Array(rig.octets.buffer);
    this.#corpus = samples;
    this.#descs = rig.address("RX_DESCS");
    this.#slots = rig.address("SLOTS");
  }

  #random(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }

  /** Writes one receive descriptor. */
  describe(i: number, off: number, len: number, source: number, segLen: number, rest: number): void {
    const { octets } = this.#rig;
    const desc = this.#descs + i * layout("RxDesc").size;
    const words = this.#words;
    const w = desc >> 2;
    words[w] = off;
    words[w + 1] = len;
    words[w + 2] = source;
    words[w + 3] = segLen;
    octets.set(SENDERS[rest & 3] as Buffer, desc + 16);
    octets[desc + 34] = rest >>> 8;
    octets[desc + 35] = (rest & 0x1f0000) === 0 ? 1 : 0;
    this.#lens[i] = len;
    if (len > this.longest) this.longest = len;
  }

  /** Fills n slots and judges them. */
  batch(n: number, isEgress: boolean): void {
    const { octets } = this.#rig;
    for (let i = 0; i < n; i++) {
      const r = this.#random();
      const sample = this.#corpus[r % this.#corpus.length] as Buffer;
      const slot = this.#slots + i * LIMIT.SLOT_SIZE;
      const at = slot + RAW;
      octets.set(sample, at);
      let len = sample.length;
      const how = this.#random();
      if ((how & 3) === 0) {
        // Damaged: some octets of the first hundred, or cut off, or longer than what it says of itself.
        for (let m = (how >>> 2) & 7; m > 0; m--) octets[at + (this.#random() % 110)] = this.#random();
        if ((how & 0x30) === 0) len = this.#random() % (len + 1);
        else if ((how & 0x30) === 0x10) len += this.#random() % 64;
      } else if ((how & 0x7f) === 1) {
        // Nothing but noise.
        len = this.#random() % 200;
        for (let j = 0; j < len; j += 4) octets.writeUInt32LE(this.#random(), at + j);
      } else if ((how & 0xfff) === 2) {
        len = 65_500 + (this.#random() % 100);
      }
      const rest = this.#random();
      if (isEgress) {
        this.describe(i, at, len, (rest & 0x3f) === 0 ? rest : rest % 6, 0, rest);
        continue;
      }
      // VXLAN in place of the last eight octets of the virtio_net_hdr.
      const vni = (rest & 0x70) === 0 ? rest : 42 + (rest & 1);
      octets.writeUInt32BE((rest & 0xf80) === 0 ? rest : 0x0800_0000, at + 2);
      octets.writeUInt32BE((vni << 8) >>> 0, at + 6);
      len = Math.max(0, len - 2);
      let segLen = 0;
      if ((rest & 0x7000) === 0 && len > 0) {
        // UDP_GRO: the same datagram again, or a cut at any place.
        segLen = (rest & 0x8000) === 0 ? len : 1 + (this.#random() % len);
        const copies = Math.min(1 + (this.#random() % 6), Math.floor(60_000 / len));
        for (let c = 1; c < copies; c++) octets.copyWithin(at + 2 + c * len, at + 2, at + 2 + len);
        if (copies > 1) len = copies * len - (this.#random() % len);
      }
      this.describe(i, at + 2, len, rest & 1, segLen, rest);
    }
    if ((this.#random() & 7) === 0) this.#nowMs = (this.#nowMs + (this.#random() % 2000)) >>> 0;
    this.judge(n, isEgress);
  }

  judge(n: number, isEgress: boolean): void {
    const { exports } = this.#rig;
    for (let k = 0; k < n; ) {
      const done = isEgress ? exports.egress(0, k, n - k, this.#nowMs) : exports.ingress(0, k, n - k, this.#nowMs);
      const sent = this.#send(n);
      exports.complete(0);
      k += done;
      if (done < n - (k - done) && sent === 0) {
        this.wrong ||= "no progress with an empty transmit region";
        return;
      }
    }
  }

  /** Checks and answers the waiting operations. */
  #send(n: number): number {
    const rig = this.#rig;
    const words = this.#words;
    const count = rig.field("Worker", "txCount", rig.address("WORKER"));
    const ops = rig.address("TX_OPS");
    const iovs = rig.address("IOVS") >> 2;
    if (count > 40) this.wrong ||= `${count} operations in a region for 40`;
    for (let i = 0; i < count; i++) {
      const at = ops + i * OP.size;
      const kind = rig.octets[at] as number;
      const dest = words[(at + OP.dest) >> 2] as number;
      if (kind === ENUM.OP.TAP ? dest >>> 0 >= 5 : kind !== ENUM.OP.UDP || dest >>> 0 >= 32)
        this.wrong ||= `operation of kind ${kind} to ${dest}`;
      const start = words[(at + OP.iovStart) >> 2] as number;
      const pieces = this.#shorts[(at + OP.iovCount) >> 1] as number;
      let octets = 0;
      for (let j = start; j < start + pieces; j++) {
        const off = words[iovs + 2 * j] as number;
        const len = words[iovs + 2 * j + 1] as number;
        const slot = Math.floor((off - this.#slots) / LIMIT.SLOT_SIZE);
        const from = this.#slots + slot * LIMIT.SLOT_SIZE + RAW;
        if (slot < 0 || slot >= n || off < from || off + len > from + 2 + (this.#lens[slot] as number))
          this.wrong ||= `piece ${off}+${len} lies outside slot ${slot}`;
        octets += len;
      }
      const errno = ERRNOS[this.#random() % ERRNOS.length] as number;
      words[(at + OP.result) >> 2] = errno === 0 ? octets : -errno;
    }
    this.operations += count;
    return count;
  }

  /** Every sample, cut off at every octet, as a frame from a port and as a datagram. */
  truncate(): number {
    const { octets } = this.#rig;
    let frames = 0;
    for (const sample of this.#corpus) {
      if (sample.length > 400) continue;
      for (const isEgress of [true, false]) {
        const bytes = isEgress ? sample : vxlan(42, sample.subarray(10));
        for (let len = 0; len < bytes.length; ) {
          let n = 0;
          for (; n < BATCH && len < bytes.length; n++, len++) {
            const at = this.#slots + n * LIMIT.SLOT_SIZE + RAW + (isEgress ? 0 : 2);
            octets.set(bytes.subarray(0, len), at);
            octets.fill(0xa5, at + len, at + 420);
            this.describe(n, at, len, 0, 0, 0x10_0000);
          }
          frames += n;
          this.judge(n, isEgress);
        }
      }
    }
    return frames;
  }
}
const OP = {
  size: layout("TxOp").size,
  dest: offsetOf("TxOp", "dest"),
  iovStart: offsetOf("TxOp", "iovStart"),
  iovCount: offsetOf("TxOp", "iovCount"),
  result: offsetOf("TxOp", "result"),
};

for (const [build, share] of [
  ["release", 1],
  ["debug", 0.1],
] as const) {
  t.test(`fuzz (${build} build, seed ${SEED})`, async (t) => {
    const rig = await open(build);
    // Whatever lies around the frames: slots, the other worker, the gaps between regions.
    const slots = rig.switchMemory.plan.regions.SLOTS;
    rig.octets.fill(0xa5, slots.base, slots.base + slots.perWorker * 2);
    const before = Buffer.from(rig.octets);
    const fuzzer = new Fuzzer(rig, corpus());
    const isLawful = (name: string): void => {
      t.equal(fuzzer.wrong, "", `${name}: operations are in order`);
      t.same([rig.missing("egress"), rig.missing("ingress")], [0, 0], `${name}: the law holds`);
    };

    const cut = fuzzer.truncate();
    isLawful(`${cut} frames cut off at every octet`);
    t.ok(cut > 20_000);

    const total = Math.ceil((FRAMES * share) / BATCH) * BATCH;
    for (let done = 0, batches = 0; done < total && fuzzer.wrong === ""; done += BATCH, batches++) {
      fuzzer.batch(BATCH, batches % 2 === 0);
      if (batches % 64 === 0) rig.exports.age(0, 64, (batches * 500) >>> 0);
      if (batches % 997 === 0) rig.reader.events();
      if (batches % 50_000 === 49_999) rig.exports.flush(0, 0xffff_ffff);
    }
    isLawful(`${total} random and damaged frames`);
    const drops = rig.drops();
    for (const reason of [
      "egress/spoofed_mac",
      "egress/vnet_hdr",
      "egress/ra_guard",
      "ingress/static_conflict",
      "ingress/gso_unknown",
      "ingress/vxlan_flags",
      "ingress/ecn_ce",
      "ingress/truncated",
      "egress/port_full",
      "egress/udp_full",
    ]) {
      t.ok(drops[reason], `${reason} was met ${drops[reason]} times`);
    }
    t.ok(rig.counter("in_egress") + rig.counter("in_ingress") >= total, "every frame was counted");
    t.ok(fuzzer.operations > total / 4, `${fuzzer.operations} operations`);
    isUntouched(t, rig, before, "memory");

    const end = slots.base + slots.perWorker;
    t.equal(rig.octets.compare(before, end, before.length, end, before.length), 0, "the other worker's slots");
    let outside = 0;
    for (let i = 0; i < BATCH; i++) {
      const slot = slots.base + i * LIMIT.SLOT_SIZE;
      const tail = slot + LIMIT.HEADROOM + fuzzer.longest;
      for (let at = slot; at < slot + LIMIT.SLOT_SIZE; at = at === slot + RAW - 1 ? tail : at + 1)
        if (rig.octets[at] !== 0xa5) outside++;
    }
    t.equal(outside, 0, "no octet in front of a frame or behind the longest one");
    const held = rig.view.getUint32(offsetOf("Header", "fdbCount"), true);
    t.equal(held, rig.reader.fdb(0).length, "fdbCount");
    t.ok(held <= 1024);
  });
}
