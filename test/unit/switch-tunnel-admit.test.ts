/** Handshake messages on the WireGuard port: which of them the main thread gets to see, against BLAKE2s of @noble/hashes. */
import { blake2s } from "@noble/hashes/blake2.js";
import { Punts } from "@weft/dataplane-wasm";
import { LIMIT } from "@weft/dataplane-wasm/abi";
import t from "tap";
import { content } from "../frames/super.js";
import { type Build, type FromUnderlay, mapped } from "../models/rig.js";
import { TunnelHost } from "../models/tunnel-rig.js";

const BUILDS: readonly Build[] = ["debug", "release"];
/** As TunnelRig has them. */
const MAC1_KEY = Buffer.alloc(32, 0x11);
const COOKIE_SECRET = Buffer.alloc(32, 0x22);
const LENGTHS = { 1: 148, 2: 92, 3: 64 } as const;
type Type = keyof typeof LENGTHS;

/** WireGuard paper §5.4.4: Mac() is keyed BLAKE2s with 16 octets. */
const macOf = (key: Uint8Array, octets: Uint8Array): Buffer => Buffer.from(blake2s(octets, { key, dkLen: 16 }));
/** A message with a right mac1 and, when `from` is given, a right mac2 of that address and port. */
function handshake(
  type: Type,
  { seed = 1, index = 0, from }: { seed?: number; index?: number; from?: readonly [string, number] } = {},
): Buffer {
  const out = Buffer.from(content(LENGTHS[type], seed));
  out.writeUInt32LE(type, 0);
  if (type === 3) {
    out.writeUInt32LE(index, 4);
    return out;
  }
  if (type === 2) out.writeUInt32LE(index, 8);
  macOf(MAC1_KEY, out.subarray(0, -32)).copy(out, out.length - 32);
  out.fill(0, out.length - 16);
  if (from) {
    const port = Buffer.from([from[1] >> 8, from[1] & 255]);
    const cookie = macOf(COOKIE_SECRET, Buffer.concat([mapped(from[0]), port]));
    macOf(cookie, out.subarray(0, -16)).copy(out, out.length - 16);
  }
  return out;
}
const PORT = 4242;
const datagram = (payload: Buffer, address = "198.51.100.7", port = PORT): FromUnderlay => ({
  address,
  payload,
  wireguard: { port, local: address.includes(":") ? "2001:db8::1" : "192.0.2.1" },
});

class Gate {
  readonly host: TunnelHost;
  readonly punts: Punts;
  constructor(host: TunnelHost) {
    this.host = host;
    this.punts = new Punts(host.switchMemory);
  }
  /** Messages that get through, by their flag; else the drop reasons. */
  judge(datagrams: readonly FromUnderlay[], nowMs = 1000): string[] {
    const before = this.host.drops();
    const out = this.host.ingress(datagrams, nowMs);
    if (out.length > 0) throw new Error("a handshake message was forwarded");
    const drops = Object.entries(this.host.drops()).flatMap(([name, n]) =>
      new Array<string>(n - (before[name] ?? 0)).fill(name.slice(8)),
    );
    return [...this.punts.take().map(({ isLoad }) => (isLoad ? "load" : "work")), ...drops];
  }
}

for (const build of BUILDS) {
  t.test(`${build}: types, lengths, reserved octets, every octet of mac1`, async (t) => {
    const h = await TunnelHost.open(build);
    const gate = new Gate(h);
    const waiting = h.slots.reserve(h.index, 0)?.local ?? 0;
    for (const type of [1, 2, 3] as const) {
      const good = handshake(type, { index: waiting });
      t.same(gate.judge([datagram(good)]), ["work"], `type ${type}`);
      for (const length of [0, 1, 3, 4, 31, 32, good.length - 1, good.length + 1, good.length + 16]) {
        const other = Buffer.concat([good, Buffer.alloc(64)]).subarray(0, length);
        t.same(gate.judge([datagram(other)]), ["wireguard_message"], `type ${type}, ${length} octets`);
      }
      for (const at of [1, 2, 3]) {
        const reserved = Buffer.from(good);
        reserved[at] = 1;
        t.same(gate.judge([datagram(reserved)]), ["wireguard_message"], `type ${type}, octet ${at}`);
      }
    }
    for (const type of [0, 5, 255]) {
      for (const length of [32, 64, 92, 148]) {
        const message = Buffer.alloc(length);
        message.writeUInt32LE(type, 0);
        t.same(gate.judge([datagram(message)]), ["wireguard_message"], `type ${type}, ${length} octets`);
      }
    }
    for (const type of [1, 2] as const) {
      const good = handshake(type, { index: waiting });
      const wrong: number[] = [];
      for (let at = 4; at < good.length; at++) {
        const bad = Buffer.from(good);
        bad[at] = (bad[at] as number) ^ (1 << (at & 7));
        // mac2 is looked at under load only.
        const want = at < good.length - 16 ? "mac1" : "work";
        if (gate.judge([datagram(bad)]).join() !== want) wrong.push(at);
      }
      t.same(wrong, [], `type ${type}: one octet changed`);
    }
    h.isLawful(t);
  });

  t.test(`${build}: responses and cookie replies name a slot of ours`, async (t) => {
    const h = await TunnelHost.open(build, false, { sizes: { workers: 2 } });
    const gate = new Gate(h);
    const reserved = h.slots.reserve(h.index, 0);
    const other = h.slots.reserve(h.index, 1);
    if (!reserved || !other) throw new Error("no slot");
    const valid = h.session.in.index;
    const both = (index: number): string[] =>
      [2, 3].map((type) => gate.judge([datagram(handshake(type as Type, { index }))]).join());
    t.same(both(reserved.local), ["work", "work"], "HANDSHAKE");
    t.same(both(other.local), ["work", "work"], "HANDSHAKE, whose data another worker will open");
    t.same(both(valid), ["unknown_index", "work"], "VALID: no second response; a cookie reply may answer our response");
    h.slots.retire(h.session.slot);
    t.same(both(valid), ["unknown_index", "work"], "RETIRING");
    h.slots.wipe(h.session.slot);
    t.same(both(valid), ["unknown_index", "unknown_index"], "FREE");
    t.same(both((reserved.local ^ 0x0100_0000) >>> 0), ["unknown_index", "unknown_index"], "another random octet");
    t.same(both((reserved.local ^ 1) >>> 0), ["unknown_index", "unknown_index"], "another worker");
    for (const index of [0, 1, 0x00ff_ff00, 0xffff_ffff])
      t.same(both(index), ["unknown_index", "unknown_index"], `index ${index}`);
    h.isLawful(t);
  });

  t.test(`${build}: what the main thread is handed`, async (t) => {
    const h = await TunnelHost.open(build);
    const gate = new Gate(h);
    t.notOk(gate.punts.takeAttention());
    for (const [address, local, port] of [
      ["198.51.100.7", "192.0.2.1", 1],
      ["2001:db8::77", "2001:db8::1", 65_535],
    ] as const) {
      const message = handshake(1, { seed: port });
      h.ingress([datagram(message, address, port)]);
      t.ok(gate.punts.takeAttention(), "it is called");
      t.notOk(gate.punts.takeAttention(), "once");
      const [punt, more] = gate.punts.take();
      const hex = (key: readonly number[] = []): string =>
        key.map((word) => word.toString(16).padStart(8, "0")).join("");
      t.same(punt?.message, message);
      t.same(
        [hex(punt?.address), punt?.port, hex(punt?.local)],
        [mapped(address).toString("hex"), port, mapped(local).toString("hex")],
      );
      t.equal(more, undefined);
    }
    h.ingress([datagram(Buffer.alloc(148, 1))]);
    t.notOk(gate.punts.takeAttention(), "not for what is dropped");
    h.isLawful(t);
  });

  t.test(`${build}: under load`, async (t) => {
    const h = await TunnelHost.open(build);
    const gate = new Gate(h);
    const plain = datagram(handshake(1));
    const from = (address: string, port: number): FromUnderlay =>
      datagram(handshake(1, { from: [address, port] }), address, port);
    const good = from("198.51.100.7", PORT);
    const flood = (n: number, nowMs: number, one = plain): string[] =>
      Array.from({ length: Math.ceil(n / 64) }, (_, i) =>
        gate.judge(new Array(Math.min(64, n - 64 * i)).fill(one), nowMs),
      ).flat();
    const tick = 1 << LIMIT.TICK_SHIFT;
    // The last tick but one before the clock goes round, too.
    for (const start of [5 * tick, 2 ** 32 - 2 * tick]) {
      const at = (ms: number): number => (start + ms) % 2 ** 32;
      t.same(new Set(flood(LIMIT.LOAD_PER_TICK, at(0))), new Set(["work"]), "as many as there may be");
      t.same(gate.judge([plain, plain], at(tick - 1)), ["load", "load"], "and one more");
      t.same(gate.judge([good], at(tick - 1)), ["work"], "with a right mac2");
      t.same(gate.judge([from("2001:db8::9", 7)], at(tick - 1)), ["work"], "IPv6");
      t.same(
        gate.judge([datagram(good.payload as Buffer, "198.51.100.8")], at(tick - 1)),
        ["load"],
        "from another address",
      );
      t.same(
        gate.judge([datagram(good.payload as Buffer, "198.51.100.7", 4243)], at(tick - 1)),
        ["load"],
        "another port",
      );
      const wrong: number[] = [];
      for (let octet = 132; octet < 148; octet++) {
        const bad = Buffer.from(good.payload);
        bad[octet] = (bad[octet] as number) ^ 0x10;
        if (gate.judge([datagram(bad)], at(tick - 1)).join() !== "load") wrong.push(octet);
      }
      t.same(wrong, [], "every octet of mac2");
      const reserved = h.slots.reserve(h.index, 0);
      t.same(
        gate.judge([datagram(handshake(2, { index: reserved?.local ?? 0 }))], at(tick - 1)),
        ["work"],
        "a response needs none",
      );
      t.same(gate.judge([plain], at(2 * tick - 1 - 512)), ["load"], "in the tick after it, too");
      t.same(gate.judge([plain, plain], at(2 * tick)), ["work", "work"], "not in the one after that");
    }
    t.same(gate.judge([plain, plain], 10), ["work", "work"], "nor when the clock has gone round");
    t.same(gate.judge([plain], 4 * tick), ["work"]);
    h.isLawful(t);
  });

  t.test(`${build}: the ring is bounded, and half of it is for those who deserve work`, async (t) => {
    const h = await TunnelHost.open(build);
    const gate = new Gate(h);
    const records = h.address("WORKER");
    // The numbers of both ends wrap, too.
    for (const start of [0, 2 ** 32 - 100]) {
      for (const field of ["puntHead", "puntTail"]) h.setField("Worker", field, records, start);
      const nowMs = 100_000 + (start % 1000) * 5000;
      const send = (n: number, one: (i: number) => Buffer): number => {
        const before = h.drops()["ingress/punt_full"] ?? 0;
        for (let i = 0; i < n; i += 50) {
          h.ingress(
            Array.from({ length: Math.min(50, n - i) }, (_, k) => datagram(one(i + k))),
            nowMs,
          );
        }
        return (h.drops()["ingress/punt_full"] ?? 0) - before;
      };
      t.equal(
        send(500, (i) => handshake(1, { seed: i + 1 })),
        500 - LIMIT.PUNTS_MAX / 2,
        "a flood fills half of the ring",
      );
      t.equal(
        send(100, (i) => handshake(1, { seed: 1000 + i, from: ["198.51.100.7", PORT] })),
        0,
        "others have room",
      );
      t.equal(
        send(100, (i) => handshake(1, { seed: 2000 + i, from: ["198.51.100.7", PORT] })),
        72,
        "until it is full",
      );
      const taken = gate.punts.take();
      t.equal(taken.length, LIMIT.PUNTS_MAX);
      const wanted = [
        ...Array.from({ length: 128 }, (_, i) => handshake(1, { seed: i + 1 })),
        ...Array.from({ length: 100 }, (_, i) => handshake(1, { seed: 1000 + i, from: ["198.51.100.7", PORT] })),
        ...Array.from({ length: 28 }, (_, i) => handshake(1, { seed: 2000 + i, from: ["198.51.100.7", PORT] })),
      ];
      t.ok(
        taken.every(({ message }, i) => message.equals(wanted[i] as Buffer)),
        "in order, whole",
      );
      t.same(taken.filter(({ isLoad }) => isLoad).length, 0, "the first 128 came before the load");
      t.equal(
        send(10, () => handshake(1)),
        0,
        "room again",
      );
      t.same(
        gate.punts.take().map(({ isLoad }) => isLoad),
        new Array(10).fill(true),
      );
    }
    t.equal(h.counter("punted"), 2 * (256 + 10));
    h.isLawful(t);
  });
}
