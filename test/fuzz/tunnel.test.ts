/**
 * WireGuard under fire: noise and damaged messages on its sockets, random packets sealed under valid keys (so that the inside is
 * attacked) or to be handed on to the other peer, random packets from the TUN device. No trap, the law of the data path holds, what is sent lies in slots, header areas
 * or the arena, and no octet changes that a worker has no business with.
 *
 *   WEFT_FUZZ_MESSAGES=N   how many (default 15,000, with WEFT_TEST_LONG=1 10^8; a tenth of it on the debug build)
 *   WEFT_FUZZ_SEED=N       where the random numbers start (default 1)
 */
import { blake2s } from "@noble/hashes/blake2.js";
import { Punts } from "@weft/dataplane-wasm";
import { ENUM, LIMIT, layout, offsetOf } from "@weft/dataplane-wasm/abi";
import t from "tap";
import { ipv4, ipv6, mac, PROTO, udp, vxlan } from "../frames/build.js";
import { damage, randomFrame, randomSuper, randomVnetHdr } from "../frames/random.js";
import { content } from "../frames/super.js";
import { pick, randomOf } from "../models/random.js";
import { addressKey, type Build, type FromPort, type FromUnderlay, macKey } from "../models/rig.js";
import { type Session, sealed, TunnelRig } from "../models/tunnel-rig.js";
import { strayWrite } from "../models/untouched.js";

const LONG = process.env.WEFT_TEST_LONG === "1";
const MESSAGES = Number(process.env.WEFT_FUZZ_MESSAGES ?? (LONG ? 1e8 : 15_000));
const SEED = Number(process.env.WEFT_FUZZ_SEED ?? 1);
const OWN = ["10.7.0.1", "fd07::1"];
const OTHERS = ["10.7.0.2", "10.7.0.3", "fd07::2", "fd07::3"];
const ENDPOINTS = ["192.0.2.2", "2001:db8::3"];
const ERRNOS = [0, 0, 0, 0, 0, 11, 105, 77, 90, 101, 1];
/** Octets that nobody writes: in front of what a slot receives, but for headers; and where slots are guarded. */
const FRONT = LIMIT.HEADROOM - LIMIT.VNET_HDR_LEN - 16;

class Target {
  readonly rig: TunnelRig;
  readonly ports: readonly number[];
  readonly device: number;
  readonly sessions: readonly Session[];
  readonly random = randomOf(SEED);
  readonly punts: Punts;
  readonly #counters = [0n, 0n];
  longest = 0;
  nowMs = 2 ** 32 - 60_000;

  constructor(build: Build) {
    this.rig = new TunnelRig(build, OWN, { workers: 2, fdbMax: 1024 }, 1000n, 24, SEED, 6783).features(64, 3);
    const { rig } = this;
    const nets = [
      rig.network({ flags: ENUM.NETWORK.ENCRYPTED, mtu: 1390 }),
      rig.network({ vni: 43, flags: ENUM.NETWORK.ACCEPT_ANY }),
    ];
    this.ports = nets.flatMap((net) => [1, 2].map((n) => rig.port(net, mac(n))));
    const peers = ENDPOINTS.map((endpoint, i) =>
      rig.peer(
        [`${OTHERS[i]}/32`, `${OTHERS[i + 2]}/128`, ...(i === 0 ? ["0.0.0.0/0", "fd07::/16"] : ["10.7.0.0/24"])],
        endpoint,
      ),
    );
    for (const [i, peer] of peers.entries()) {
      rig.tables.tunnel.setTunnelAddress(peer, addressKey(OTHERS[i + 2] as string));
      for (const net of nets) {
        rig.tunnelVtep(net, OTHERS[i] as string, peer);
        rig.tunnelVtep(net, OTHERS[i + 2] as string, peer);
      }
    }
    rig.vtep(nets[1] as number, "192.0.2.9");
    rig.tables.setRoute(0, { kind: "mac", length: 0, key: macKey(mac(50)) }, { kind: "vtep", index: 0 }, true);
    const device = rig.tables.reservePort();
    if (device === undefined) throw new Error("no room for a device");
    this.device = device;
    rig.tables.addTunnelPort(device, 1440);
    const bornMs = 2 ** 32 - 60_000;
    this.sessions = peers.map((peer, i) => rig.keys(peer, 10 + 20 * i, { bornMs }));
    this.punts = new Punts(rig.switchMemory);
    rig.errno = () => ERRNOS[pick(this.random, ERRNOS.length)] as number;
    rig.taken = (s) =>
      s.kind !== "port" && s.gsoSize !== 0 && pick(this.random, 8) === 0
        ? s.gsoSize * pick(this.random, s.segs)
        : undefined;
  }

  #of<T>(list: readonly T[]): T {
    return list[pick(this.random, list.length)] as T;
  }

  /** What a peer seals: anything from VXLAN with a random frame to noise. */
  plain(): Buffer {
    const { random } = this;
    const kind = pick(random, 10);
    if (kind === 0) return pick(random, 2) === 0 ? Buffer.alloc(0) : content(pick(random, 200), random() | 1);
    if (kind === 2 || kind === 3) return this.carrier();
    const frame = randomFrame(random, [mac(9), mac(50), mac(60)], [mac(1), mac(2), mac(9)]);
    const carried = vxlan(this.#of([42, 42, 43, 44]), frame, pick(random, 20) === 0 ? 0 : 8);
    const payload =
      kind === 1
        ? Buffer.concat([Buffer.from([this.#of([8, 128]), 0, 0, 0]), content(pick(random, 60))])
        : udp({ dst: this.#of([4789, 4789, 4789, 53]), payload: carried });
    const tos = random() & 255;
    const packet =
      pick(random, 2) === 0
        ? ipv4({
            src: this.#of([...OTHERS.slice(0, 2), "203.0.113.1"]),
            dst: this.#of([OWN[0] as string, OWN[0] as string, "10.9.9.9"]),
            protocol: kind === 1 ? PROTO.icmp : PROTO.udp,
            payload,
            tos,
            fragment: this.#of([0, 0, 0, 0x2000, 5]),
          })
        : ipv6({
            src: this.#of([...OTHERS.slice(2), "2001:db8::1"]),
            dst: this.#of([OWN[1] as string, OWN[1] as string, "fd07::99"]),
            protocol: kind === 1 ? PROTO.icmp6 : PROTO.udp,
            payload,
            trafficClass: tos,
          });
    if (pick(random, 4) !== 0 || packet.length < 30) return packet;
    return damage(random, packet);
  }

  /** A message in a packet for one of the peers, or for the switch itself. */
  carrier(): Buffer {
    const { random } = this;
    const length = this.#of([60, 60, 60, 61, 1300]);
    const message = Buffer.concat([Buffer.from([1 + pick(random, 4), 0, 0, 0]), content(length, random() | 1)]);
    const packet = ipv6({
      src: this.#of([...OTHERS.slice(2), "2001:db8::1"]),
      dst: this.#of([...OTHERS.slice(2), ...OTHERS.slice(2), OWN[1] as string]),
      protocol: PROTO.udp,
      payload: udp({
        src: 51_820,
        dst: this.#of([51_820, 51_820, 51_820, 6783]),
        payload: pick(random, 4) === 0 ? this.message() : message,
      }),
      trafficClass: random() & 3,
      hopLimit: this.#of([8, 8, 8, 2, 1, 255]),
    });
    return pick(random, 8) === 0 ? damage(random, packet) : packet;
  }

  handshake(): Buffer {
    const { random } = this;
    const type = 1 + pick(random, 3);
    const out = Buffer.from(content([148, 92, 64][type - 1] as number, random() | 1));
    out.writeUInt32LE(type, 0);
    if (type !== 3)
      Buffer.from(blake2s(out.subarray(0, -32), { key: Buffer.alloc(32, 0x11), dkLen: 16 })).copy(out, out.length - 32);
    return out;
  }

  /** One message, in one case of four not as its sender made it. */
  message(): Buffer {
    const { random } = this;
    if (pick(random, 12) === 0) return content(pick(random, 200), random() | 1);
    if (pick(random, 12) === 0) return this.handshake();
    const who = pick(random, 2);
    const counter = this.#counters[who] as bigint;
    const back = pick(random, 6) === 0 ? BigInt(pick(random, 10_000)) : 0n;
    if (back === 0n) this.#counters[who] = counter + BigInt(this.#of([1, 1, 1, 1, 70, 9000]));
    const at = counter > back ? counter - back : counter;
    const made = sealed((this.sessions[who] as Session).in, at, this.plain(), pick(random, 10) !== 0);
    if (pick(random, 8) === 0) made[pick(random, made.length)] = random() & 255;
    return pick(random, 20) === 0 ? made.subarray(0, pick(random, made.length)) : made;
  }

  datagram(): FromUnderlay {
    const { random } = this;
    const messages = Array.from({ length: this.#of([1, 1, 1, 3, 8]) }, () => this.message());
    const segLen = messages.length === 1 ? 0 : Math.max(1, ...messages.map((m) => m.length));
    // A buffer's messages are equally long: shorter ones are filled up with what is no longer authentic.
    const payload = Buffer.concat(
      messages.map((m) => (segLen === 0 ? m : Buffer.concat([m, Buffer.alloc(segLen - m.length)]))),
    );
    this.longest = Math.max(this.longest, payload.length);
    const isClear = pick(random, 20) === 0;
    if (isClear && pick(random, 2) === 0)
      return { address: "192.0.2.9", payload: vxlan(42, randomFrame(random, [mac(9)], [mac(1)])) };
    const common = {
      address: this.#of([...ENDPOINTS, "198.51.100.1"]),
      payload,
      tos: random() & 3,
      segLen,
      truncated: pick(random, 200) === 0,
    };
    return isClear
      ? common
      : { ...common, wireguard: { port: this.#of([51_820, 51_820, 4000]), local: this.#of(["::", "192.0.2.1"]) } };
  }

  outward(): FromPort {
    const { random } = this;
    const port = this.#of([...this.ports, this.device]);
    const made =
      pick(random, 3) === 0
        ? randomSuper(random, [mac(1), mac(2)], [mac(9), mac(50)])
        : { frame: randomFrame(random, [mac(1), mac(2)], [mac(9), mac(50)]), vnet: randomVnetHdr(random) };
    let given: FromPort = { port, ...made };
    if (port === this.device) {
      const { csumStart = 14 } = made.vnet;
      const packet = Buffer.from(made.frame.subarray(14));
      if ((packet[0] ?? 0) >> 4 === 4 && packet.length >= 20) this.#aim(packet, 16, OTHERS[0] as string);
      given = { port, frame: packet, vnet: { ...made.vnet, csumStart: Math.max(0, csumStart - 14) } };
    }
    this.longest = Math.max(this.longest, given.frame.length);
    return given;
  }
  #aim(packet: Buffer, at: number, address: string): void {
    for (const [i, octet] of address.split(".").entries()) packet[at + i] = Number(octet);
  }
}

for (const [build, share] of [
  ["release", 1],
  ["debug", 0.1],
] as const) {
  t.test(`fuzz of the tunnel (${build} build, seed ${SEED})`, async (t) => {
    const target = new Target(build);
    const { rig, random } = target;
    await rig.commit();
    const slots = rig.switchMemory.plan.regions.SLOTS;
    rig.octets.fill(0xa5, slots.base, slots.base + slots.perWorker * 2);
    const sealedRegion = rig.switchMemory.plan.regions.SEALED;
    rig.octets.fill(0xa5, sealedRegion.base, sealedRegion.base + sealedRegion.perWorker * 2);
    const before = Buffer.from(rig.octets);
    const total = MESSAGES * share;
    let punts = 0;
    for (let done = 0, batches = 0; done < total; batches++) {
      const n = 1 + pick(random, 64);
      if (batches % 3 === 2)
        rig.egress(
          Array.from({ length: n }, () => target.outward()),
          target.nowMs,
        );
      else
        rig.ingress(
          Array.from({ length: n }, () => target.datagram()),
          target.nowMs,
        );
      done += n;
      if (batches % 8 === 0) target.nowMs = (target.nowMs + pick(random, 40)) >>> 0;
      if (batches % 5 === 0) {
        punts += target.punts.take().length;
        rig.reader.events();
      }
    }
    t.same([rig.missing("egress"), rig.missing("ingress")], [0, 0], "the law holds");
    t.equal(strayWrite(rig, before, ["KEYS"]), undefined, "nothing outside the worker's own regions was written");
    const keys = rig.switchMemory.plan.regions.KEYS;
    const fixed = offsetOf("Key", "used");
    const secrets = [offsetOf("Key", "send"), offsetOf("Key", "replay")] as const;
    for (let i = 0; i < keys.count; i++) {
      const at = keys.base + i * layout("Key").size;
      const isUsed = target.sessions.some(({ slot }) => slot === i);
      for (const [from, to] of isUsed ? [[0, fixed], secrets] : [[0, layout("Key").size]])
        if (
          rig.octets.compare(
            before,
            at + (from as number),
            at + (to as number),
            at + (from as number),
            at + (to as number),
          ) !== 0
        )
          t.fail(`key ${i} was written`);
    }
    for (const region of [slots, sealedRegion]) {
      const other = region.base + region.perWorker;
      t.equal(
        rig.octets.compare(before, other, other + region.perWorker, other, other + region.perWorker),
        0,
        `the other worker's ${region.name}`,
      );
    }
    let outside = 0;
    for (let i = 0; i < 64; i++) {
      const slot = slots.base + i * LIMIT.SLOT_SIZE;
      const tail = slot + LIMIT.HEADROOM + target.longest;
      if (rig.octets.compare(before, slot, slot + FRONT, slot, slot + FRONT) !== 0) outside++;
      if (rig.octets.compare(before, tail, slot + LIMIT.SLOT_SIZE, tail, slot + LIMIT.SLOT_SIZE) !== 0) outside++;
    }
    t.equal(outside, 0, "no octet far in front of a packet or behind the longest one");
    const drops = rig.drops();
    const met = [
      "replay",
      "auth_failed",
      "unknown_index",
      "tunnel_packet",
      "allowed_ips",
      "wireguard_message",
      "plaintext_refused",
      "unknown_vtep",
      "unknown_vni",
      "ecn_ce",
      "relay_loop",
      "hop_limit",
    ];
    for (const reason of met) t.ok(drops[`ingress/${reason}`], `${reason} was met ${drops[`ingress/${reason}`]} times`);
    for (const reason of ["no_peer", "vnet_hdr", "udp_full"])
      t.ok(drops[`egress/${reason}`], `${reason} was met ${drops[`egress/${reason}`]} times`);
    for (const name of ["sealed", "opened", "super_frames_egress", "keepalives", "relayed_packets"] as const)
      t.ok(rig.counter(name) > 0, `${rig.counter(name)} ${name}`);
    t.ok(punts > 0, `${punts} handshake messages`);
  });
}
