/**
 * Random and damaged frames, super-frames and runs of frames by the million through egress and ingress: no trap, the law of
 * the data path holds, every transmit operation lies inside what was received or in a header area, none is one that the
 * kernel could not take, and no octet changes that a worker has no business with.
 *
 *   WEFT_FUZZ_FRAMES=N   how many (default 10^6, with WEFT_TEST_LONG=1 10^9; a tenth of it on the debug build)
 *   WEFT_FUZZ_SEED=N     where the random numbers start (default 1)
 */

import { ENUM, LIMIT, layout, offsetOf } from "@weft/dataplane-wasm/abi";
import t from "tap";
import {
  arp,
  ETHERTYPE,
  ethernet,
  ipv4,
  ipv6,
  mac,
  neighbour,
  PROTO,
  tcp,
  udp,
  vnetHdr,
  vxlan,
} from "../frames/build.js";
import { randomFrame, randomSuper, randomVnetHdr } from "../frames/random.js";
import { stream } from "../frames/stream.js";
import { randomOf } from "../models/random.js";
import { addressKey, type Build, macKey, mapped, Rig } from "../models/rig.js";
import { strayWrite } from "../models/untouched.js";

const LONG = process.env.WEFT_TEST_LONG === "1";
const FRAMES = Number(process.env.WEFT_FUZZ_FRAMES ?? (LONG ? 1e9 : 1e6));
const SEED = Number(process.env.WEFT_FUZZ_SEED ?? 1);
const BATCH = LIMIT.BATCH_MAX;
const RAW = LIMIT.HEADROOM - LIMIT.VNET_HDR_LEN;
const VTEPS = ["192.0.2.9", "192.0.2.10", "2001:db8::9"];
const SENDERS = [...VTEPS, "203.0.113.7"].map(mapped);
/** Transmit operations there is room for, and datagrams that one UDP_SEGMENT send takes. */
const OPS = 40;
const SEGMENTS = 64;
/** Ports 0..2 and 6 of the first network, 3..5 of the second. */
const PORTS = 7;
const ROUTED = 5;
const GATEWAY = mac(40);
/** Octets in front of what was received that the made-up Ethernet header of a layer-3 port's packet takes, with VXLAN before it. */
const FRONT = 12;
const ERRNOS = [0, 0, 0, 0, 0, 0, 11, 105, 77, 5, 22, 90, 101, 1];

/** Two networks with every kind of table entry; worker 1 does nothing and must stay as it is. */
async function open(build: Build): Promise<Rig> {
  const rig = new Rig(build, { workers: 2, fdbMax: 1024 }, OPS, SEED).features(
    SEGMENTS,
    ENUM.OFFLOAD.TCP | ENUM.OFFLOAD.UDP,
  );
  rig.network({ bumRate: 1000, bumBurst: 500, ageTicks: 60, macsPerPort: 100, gateway: macKey(GATEWAY) });
  rig.network({ vni: 43, flags: ENUM.NETWORK.ACCEPT_ANY, ageTicks: 0, mtu: 1280 });
  for (const n of [1, 2, 3]) rig.port(0, mac(n));
  for (const n of [1, 2]) rig.port(1, mac(n));
  rig.port(1, mac(3), {
    routed: {
      addresses: ["192.0.2.2", "2001:db8:a::7"].map(addressKey),
      hops: [
        { family: 4, length: 24, key: addressKey("192.0.2.0"), viaGateway: false },
        { family: 6, length: 48, key: addressKey("2001:db8:a::"), viaGateway: false },
        { family: 4, length: 25, key: addressKey("198.51.100.0"), viaGateway: true },
      ],
      gateway4: addressKey("192.0.2.1"),
      gateway6: addressKey("2001:db8:a::8"),
    },
  });
  rig.port(0, GATEWAY, { isGateway: true });
  for (const network of [0, 1])
    for (const address of ["192.0.2.1", "2001:db8:a::7", "fe80::1"])
      rig.tables.setBinding(network, addressKey(address), macKey(mac(4 + network)));
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
  // Who asks in its own name gets an answer: chance would hardly ever make such a question.
  const questions = [1, 2, 3, 9].flatMap((n) => [
    ...["192.0.2.1", "192.0.2.2"].map((targetIp) => ({
      src: mac(n),
      type: ETHERTYPE.arp,
      payload: arp({ senderMac: mac(n), senderIp: "203.0.113.9", targetIp }),
    })),
    ...["2001:db8:a::7", "fe80::1"].map((target) => ({
      src: mac(n),
      dst: 0x3333_ff00_0007,
      type: ETHERTYPE.ipv6,
      payload: ipv6({ hopLimit: 255, protocol: PROTO.icmp6, payload: neighbour(135, target, mac(n)) }),
    })),
  ]);
  const frames = [
    ...Array.from({ length: 600 }, () => randomFrame(random, known, known)),
    ...big,
    ...questions.map(ethernet),
  ];
  const supers = Array.from({ length: 60 }, () => randomSuper(random, known.slice(0, 3), known));
  return [
    ...frames.map((frame) => Buffer.concat([vnetHdr(randomVnetHdr(random)), frame])),
    ...supers.map(({ frame, vnet }) => Buffer.concat([vnetHdr(vnet), frame])),
  ];
}

/** Frames of one flow behind each other, as UDP_GRO hands them over. */
function runs(): { payload: Buffer; segLen: number }[] {
  return [20, 100, 1300].flatMap((size) =>
    ([4, 6] as const).flatMap((version) =>
      (["tcp", "udp"] as const).map((protocol) => {
        const frames = stream(40, { version, protocol, size, tcp: { seq: 0xffff_ff00 } });
        const payload = Buffer.concat(frames.map((frame) => vxlan(42, frame)));
        return { payload, segLen: payload.length / frames.length };
      }),
    ),
  );
}

class Fuzzer {
  readonly #rig: Rig;
  readonly #words: Int32Array;
  readonly #shorts: Uint16Array;
  readonly #corpus: readonly Buffer[];
  readonly #runs = runs();
  readonly #descs: number;
  readonly #slots: number;
  readonly #headers: number;
  readonly #lens = new Uint32Array(BATCH);
  #state = SEED ^ 0x2545_f491;
  #nowMs = 2 ** 32 - 5_000_000;
  /** Octets of the longest thing ever put into a slot. */
  longest = 0;
  operations = 0;
  /** Frames that shared an operation with another. */
  segments = 0;
  wrong = "";

  constructor(rig: Rig, samples: readonly Buffer[]) {
    this.#rig = rig;
    this.#words = new Int32Array(rig.octets.buffer);
    this.#shorts = new Uint16Array(rig.octets.buffer);
    this.#corpus = samples;
    this.#descs = rig.address("RX_DESCS");
    this.#slots = rig.address("SLOTS");
    this.#headers = rig.address("HEADERS");
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
      if (!isEgress && (r & 0x3f00) === 0) {
        this.#run(i, at + 2, rest);
        continue;
      }
      if (isEgress) {
        const port = (rest & 0x3f) === 0 ? rest : rest % (PORTS + 1);
        if (port === ROUTED && len > 24) len = this.#bare(at, len);
        this.describe(i, at, len, port, 0, rest);
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

  /** Makes a packet of a frame: a layer-3 port's have no Ethernet header. @returns its octets */
  #bare(at: number, len: number): number {
    const { octets } = this.#rig;
    octets.copyWithin(at + 10, at + 24, at + len);
    for (const field of [2, 6]) octets.writeUInt16LE(Math.max(0, octets.readUInt16LE(at + field) - 14), at + field);
    return len - 14;
  }

  /** Puts a run of a flow into a slot, mostly whole, its pieces' order or octets changed in one case of two. */
  #run(i: number, at: number, rest: number): void {
    const { octets } = this.#rig;
    const { payload, segLen } = this.#runs[rest % this.#runs.length] as { payload: Buffer; segLen: number };
    octets.set(payload, at);
    if ((rest & 0x100) === 0) {
      const [from, to] = [this.#random() % 40, this.#random() % 40];
      octets.copyWithin(at + to * segLen, at + from * segLen, at + (from + 1) * segLen);
      for (let m = rest & 3; m > 0; m--) octets[at + (this.#random() % payload.length)] = this.#random();
    }
    const len = (rest & 0x600) === 0 ? 1 + (this.#random() % payload.length) : payload.length;
    this.describe(i, at, len, 0, segLen, (rest & ~0x1f_ff03) | 0x1_0000);
  }

  judge(n: number, isEgress: boolean): void {
    const { exports } = this.#rig;
    for (let k = 0; k < n; ) {
      const done = isEgress ? exports.egress(0, k, n - k, this.#nowMs) : exports.ingress(0, k, n - k, this.#nowMs);
      const sent = this.#send(n, isEgress);
      exports.complete(0);
      k += done;
      if (done < n - (k - done) && sent === 0) {
        this.wrong ||= "no progress with an empty transmit region";
        return;
      }
    }
  }

  /** Checks and answers the waiting operations. */
  #send(n: number, isEgress: boolean): number {
    const rig = this.#rig;
    const words = this.#words;
    const count = rig.field("Worker", "txCount", rig.address("WORKER"));
    const ops = rig.address("TX_OPS");
    const iovs = rig.address("IOVS") >> 2;
    if (count > OPS) this.wrong ||= `${count} operations in a region for ${OPS}`;
    for (let i = 0; i < count; i++) {
      const at = ops + i * OP.size;
      const kind = rig.octets[at] as number;
      const dest = words[(at + OP.dest) >> 2] as number;
      if (kind === ENUM.OP.TAP ? dest >>> 0 >= PORTS : kind !== ENUM.OP.UDP || dest >>> 0 >= 32)
        this.wrong ||= `operation of kind ${kind} to ${dest}`;
      const start = words[(at + OP.iovStart) >> 2] as number;
      const pieces = this.#shorts[(at + OP.iovCount) >> 1] as number;
      let octets = 0;
      for (let j = start; j < start + pieces; j++) {
        const off = words[iovs + 2 * j] as number;
        const len = words[iovs + 2 * j + 1] as number;
        octets += len;
        const area = off - this.#headers;
        if (area >= 0 && area < HEADERS && len <= HEADER - (area % HEADER)) continue;
        const slot = Math.floor((off - this.#slots) / LIMIT.SLOT_SIZE);
        const from = this.#slots + slot * LIMIT.SLOT_SIZE + RAW;
        const front = isEgress ? FRONT : 0;
        if (slot < 0 || slot >= n || off < from - front || off + len > from + 2 + (this.#lens[slot] as number))
          this.wrong ||= `piece ${off}+${len} lies outside slot ${slot}`;
      }
      const gsoSize = this.#shorts[(at + OP.gsoSize) >> 1] as number;
      const segs = this.#shorts[(at + OP.segs) >> 1] as number;
      this.#check(kind, pieces, gsoSize, segs, octets);
      this.segments += segs - 1;
      const answer = this.#random();
      const errno = ERRNOS[answer % ERRNOS.length] as number;
      const taken = gsoSize > 0 && (answer & 0x700) === 0 ? gsoSize * (answer % segs) : octets;
      words[(at + OP.result) >> 2] = errno === 0 ? taken : -errno;
    }
    this.operations += count;
    return count;
  }

  /** Notes an operation that writev or sendmsg with UDP_SEGMENT would not take. */
  #check(kind: number, pieces: number, gsoSize: number, segs: number, octets: number): void {
    const what = `operation of kind ${kind}: ${segs} frames, ${octets} octets in ${pieces} pieces of ${gsoSize}`;
    if (pieces < 1 || pieces > 1023 || segs < 1) this.wrong ||= what;
    else if (kind === ENUM.OP.TAP) {
      if (gsoSize !== 0 || segs > 64 || octets > LIMIT.FRAME_MAX + 100) this.wrong ||= what;
    } else if (
      gsoSize === 0
        ? segs !== 1
        : segs < 2 || segs > SEGMENTS || Math.ceil(octets / gsoSize) !== segs || octets > 65_527
    )
      this.wrong ||= what;
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
const HEADER = 192;
const HEADERS = HEADER * LIMIT.HEADERS_MAX;
const OP = {
  size: layout("TxOp").size,
  dest: offsetOf("TxOp", "dest"),
  iovStart: offsetOf("TxOp", "iovStart"),
  iovCount: offsetOf("TxOp", "iovCount"),
  gsoSize: offsetOf("TxOp", "gsoSize"),
  segs: offsetOf("TxOp", "segs"),
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
      "egress/gso_header",
      "egress/ra_guard",
      "egress/gateway_leak",
      "egress/l3_not_ip",
      "egress/no_neighbour",
      "ingress/gateway_leak",
      "ingress/l3_not_ip",
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
    for (const name of ["arp_answered", "nd_answered", "neighbour_asked"] as const)
      t.ok(rig.counter(name) > 0, `${rig.counter(name)} ${name}`);
    for (const name of ["super_frames_egress", "super_frames_ingress", "grouped_sends"] as const)
      t.ok(rig.counter(name) > total / 2000, `${rig.counter(name)} ${name}`);
    t.ok(fuzzer.segments > total / 10, `${fuzzer.segments} frames shared an operation`);
    t.equal(
      strayWrite(rig, before),
      undefined,
      "nothing outside the worker's own regions and the learned tables was written",
    );

    const end = slots.base + slots.perWorker;
    t.equal(rig.octets.compare(before, end, before.length, end, before.length), 0, "the other worker's slots");
    let outside = 0;
    for (let i = 0; i < BATCH; i++) {
      const slot = slots.base + i * LIMIT.SLOT_SIZE;
      const tail = slot + LIMIT.HEADROOM + fuzzer.longest;
      for (let at = slot; at < slot + LIMIT.SLOT_SIZE; at = at === slot + RAW - FRONT - 1 ? tail : at + 1)
        if (rig.octets[at] !== 0xa5) outside++;
    }
    t.equal(outside, 0, "no octet in front of a frame or behind the longest one");
    const held = rig.view.getUint32(offsetOf("Header", "fdbCount"), true);
    t.equal(held, rig.reader.fdb(0).length, "fdbCount");
    t.ok(held <= 1024);
  });
}
