/** Super-frames made to harm: what one container may cost the others and the underlay. */
import { ENUM } from "@weft/dataplane-wasm/abi";
import t from "tap";
import { BROADCAST, ethernet, ipv4, mac, udp, vxlan } from "../frames/build.js";
import { content, packetFrame, superFrame } from "../frames/super.js";
import { pseudo16, sum16 } from "../models/checksum.js";
import { datagramsOf, macKey, Rig } from "../models/rig.js";

t.test("a flooded super-frame costs a token for each of its frames", async (t) => {
  const r = new Rig("release").features(64, 0);
  const n = r.network({ bumRate: 10, bumBurst: 10 });
  const a = r.port(n, mac(1));
  for (const address of ["192.0.2.9", "192.0.2.10"]) r.vtep(n, address);
  await r.commit();
  const tiny = superFrame({ protocol: "udp", dstMac: BROADCAST, payload: content(8), gsoSize: 1 });
  const many = superFrame({ protocol: "udp", dstMac: BROADCAST, payload: content(2048), gsoSize: 1 });
  const sent = (frames: readonly { frame: Buffer; vnet: typeof tiny.vnet }[], nowMs: number): number =>
    r
      .egress(
        frames.map((f) => ({ port: a, ...f })),
        nowMs,
      )
      .reduce((sum, one) => sum + one.segs, 0);
  t.equal(sent(Array(30).fill(many), 1000), 2 * 2048, "one of more frames than the burst goes when the bucket is full");
  t.equal(r.drops()["egress/bum_rate"], 29);
  t.equal(
    sent([tiny], 1500),
    0,
    "half a second later there are five tokens, and eight frames and their headers want more",
  );
  t.equal(sent([tiny], 2000), 2 * 8, "a second later there are ten");
  t.equal(r.missing("egress"), 0);
});

t.test("a flooded super-frame that finds no room leaves room for others", async (t) => {
  const r = new Rig("release").features(64, 0);
  const n = r.network({});
  const [a, b] = [r.port(n, mac(1)), r.port(n, mac(2))];
  let last = 0;
  for (let i = 1; i <= 60; i++) last = r.vtep(n, `192.0.2.${i}`);
  r.tables.setRoute(n, { kind: "mac", length: 0, key: macKey(mac(9)) }, { kind: "vtep", index: last }, true);
  await r.commit();
  const evil = superFrame({ protocol: "udp", dstMac: BROADCAST, payload: content(2048), gsoSize: 1 });
  const good = superFrame({ srcMac: mac(2), dstMac: mac(9), payload: content(60_000), gsoSize: 1398 });
  const sent = r.egress([{ port: a, ...evil }, ...Array.from({ length: 8 }, () => ({ port: b, ...good }))]);
  t.strictSame(r.drops(), { "egress/no_room": 1 });
  t.equal(
    sent.reduce((sum, one) => sum + one.segs, 0),
    8 * Math.ceil(60_000 / 1398),
  );
  t.equal(r.counter("super_frames_egress"), 8, "what was dropped was not cut");
});

t.test("more operations than the region holds are a drop", async (t) => {
  const r = new Rig("release", {}, 64).features(1, 0);
  const n = r.network({});
  const a = r.port(n, mac(1));
  const index = r.vtep(n, "192.0.2.9");
  r.tables.setRoute(n, { kind: "mac", length: 0, key: macKey(mac(9)) }, { kind: "vtep", index }, true);
  await r.commit();
  t.strictSame(r.egress([{ port: a, ...superFrame({ dstMac: mac(9), payload: content(2048), gsoSize: 1 }) }]), []);
  t.strictSame(r.drops(), { "egress/no_room": 1 });
});

t.test("the checksums of segments count the destination that the kernel counted (RFC 8200 §8.1)", async (t) => {
  const r = new Rig("release").features(64, 0);
  const n = r.network({});
  const a = r.port(n, mac(1));
  const index = r.vtep(n, "192.0.2.9");
  r.tables.setRoute(n, { kind: "mac", length: 0, key: macKey(mac(9)) }, { kind: "vtep", index }, true);
  await r.commit();
  // Routing header of type 2 with one segment left: the packet's last destination is the home address in it.
  const routing = Buffer.from("000202010000000020010db8000000000000000000000077", "hex");
  for (const isSuper of [false, true]) {
    const payload = content(isSuper ? 3000 : 900);
    const { frame, vnet } = superFrame({ version: 6, dstMac: mac(9), chain: [[43, routing]], payload, gsoSize: 1000 });
    const l4 = vnet.csumStart;
    const ip = Buffer.from(frame.subarray(14, 54));
    routing.copy(ip, 24, 8);
    frame.writeUInt16BE(pseudo16(ip, 6, frame.length - l4), l4 + 16);
    const sent = r.egress([{ port: a, frame, vnet: isSuper ? vnet : { ...vnet, gsoType: 0, gsoSize: 0 } }]);
    const segments = sent
      .flatMap((one) => (one.kind === "vtep" ? datagramsOf(one) : []))
      .map((datagram) => datagram.subarray(8 + l4));
    t.equal(segments.length, isSuper ? 3 : 1);
    for (const one of segments) t.equal(sum16(one, pseudo16(ip, 6, one.length)), 0xffff);
  }
});

t.test("no datagram goes past a fragment that may be of its flow", async (t) => {
  const r = new Rig("release").features(64, ENUM.OFFLOAD.TCP | ENUM.OFFLOAD.UDP);
  const n = r.network({});
  r.port(n, mac(1));
  r.vtep(n, "192.0.2.9");
  await r.commit();
  const whole = (tag: string): Buffer =>
    packetFrame({ protocol: "udp", dstMac: mac(1), srcMac: mac(9), payload: Buffer.from(tag.repeat(8)) });
  const long = udp({ src: 1024, dst: 2048, payload: content(1992) });
  const fragment = (word: number, part: Uint8Array): Buffer =>
    ethernet({ dst: mac(1), src: mac(9), type: 0x800, payload: ipv4({ fragment: word, payload: part, id: 7 }) });
  const frames = [
    whole("A"),
    fragment(0x2000, long.subarray(0, 1000)),
    fragment(125, long.subarray(1000)),
    whole("B"),
    whole("C"),
  ];
  const sent = r.ingress(frames.map((f) => ({ address: "192.0.2.9", payload: vxlan(42, f) })));
  t.strictSame(
    sent.map((one) => one.segs),
    [1, 1, 1, 2],
    "A alone, the fragments, then B and C together",
  );
});
