/** Every drop reason of WireGuard, met once. */
import { LIMIT } from "@weft/dataplane-wasm/abi";
import t from "tap";
import { ipv4, mac, PROTO, udp, vxlan } from "../frames/build.js";
import { content, packetFrame } from "../frames/super.js";
import { addressOf, carrier, probe, Trio } from "../models/relay-rig.js";
import type { Build } from "../models/rig.js";
import { TUNNEL_DROPS } from "../models/tunnel.js";
import { sealed, TunnelHost } from "../models/tunnel-rig.js";

type Row = (typeof TUNNEL_DROPS)[number];
type MeshRow = "egress/path_mtu" | "ingress/hop_limit" | "ingress/relay_loop" | "ingress/probe_rate";
const echo = ipv4({
  src: "10.7.0.2",
  dst: "10.7.0.1",
  protocol: PROTO.icmp,
  payload: Buffer.concat([Buffer.from([8, 0, 0, 0, 1, 2, 3, 4]), content(20)]),
});
const out = packetFrame({});
const back = packetFrame({ srcMac: mac(9), dstMac: mac(1) });
const withoutKey = async (h: TunnelHost): Promise<void> => {
  h.tables.tunnel.setSendSlot(h.index, undefined);
  await h.commit();
};
const withoutEndpoint = async (h: TunnelHost): Promise<void> => {
  h.tables.tunnel.setEndpoint(h.index, undefined);
  await h.commit();
};
/** What meets each; more than one frame only for punt_full. */
const CAUSES: Readonly<Record<Exclude<Row, MeshRow>, (h: TunnelHost) => Promise<void> | void>> = {
  "egress/no_session": async (h) => {
    await withoutKey(h);
    h.send({ frame: out });
  },
  "egress/no_endpoint": async (h) => {
    await withoutEndpoint(h);
    h.send({ frame: out });
  },
  "egress/no_peer": async (h) => {
    const port = h.device();
    await h.commit();
    h.egress([{ port, frame: ipv4({ dst: "203.0.113.1" }) }]);
  },
  "egress/tunnel_own": async (h) => {
    const port = h.device();
    await h.commit();
    const p = ipv4({ dst: "10.7.0.2", payload: udp({ dst: 4789, payload: Buffer.alloc(30) }) });
    h.egress([{ port, frame: p }]);
  },
  "ingress/no_session": async (h) => {
    await withoutKey(h);
    h.receive(sealed(h.session.in, 0n, echo));
  },
  "ingress/no_endpoint": async (h) => {
    await withoutEndpoint(h);
    h.receive(sealed(h.session.in, 0n, echo));
  },
  "ingress/plaintext_refused": (h) => void h.ingress([{ address: h.other, payload: vxlan(42, back) }]),
  "ingress/wireguard_message": (h) => void h.receive(Buffer.alloc(100)),
  "ingress/mac1": (h) => {
    const message = content(148);
    message.writeUInt32LE(1, 0);
    h.receive(message);
  },
  "ingress/punt_full": (h) => {
    const message = content(LIMIT.PUNT_LEN).subarray(0, 64);
    message.writeUInt32LE(3, 0);
    message.writeUInt32LE(h.session.in.index, 4);
    // Cookie replies, which anybody can forge, get half of the ring.
    for (let n = 0; n <= LIMIT.PUNTS_MAX / 2; n++) h.receive(message);
  },
  "ingress/unknown_index": (h) => void h.receive(sealed({ ...h.session.in, index: 0xffff_ff00 }, 0n, echo)),
  "ingress/key_expired": (h) => {
    h.slots.retire(h.session.slot);
    h.receive(h.arriving(back, 0n));
  },
  "ingress/auth_failed": (h) => void h.receive(sealed({ ...h.session.in, key: Buffer.alloc(32) }, 0n, echo)),
  "ingress/replay": (h) => void h.receive(h.arriving(back, 7n), h.arriving(back, 7n)),
  "ingress/tunnel_packet": (h) => void h.receive(sealed(h.session.in, 0n, content(64))),
  "ingress/allowed_ips": (h) => void h.receive(h.arriving(back, 0n, { src: "10.7.0.3" })),
  "ingress/tunnel_address": (h) => void h.receive(h.arriving(back, 0n, { dst: "10.7.0.9" })),
  "ingress/tunnel_protocol": (h) =>
    void h.receive(sealed(h.session.in, 0n, ipv4({ src: h.other, dst: h.self, payload: udp({ dst: 53 }) }))),
};

/** Those of a mesh: of host 2, which relays between 1 and 3. */
const MESH_CAUSES: Readonly<Record<MeshRow, (trio: Trio) => Promise<void> | void>> = {
  "egress/path_mtu": async ({ hosts: [, relay] }) => {
    relay.path(relay.peerOf(1), undefined, 600);
    await relay.commit();
    relay.egress([
      { port: relay.port0, frame: packetFrame({ srcMac: mac(2), dstMac: mac(1), payload: content(700) }) },
    ]);
  },
  "ingress/hop_limit": (trio) => void trio.relay(carrier({ hopLimit: 1 })),
  "ingress/relay_loop": (trio) => void trio.relay(carrier({ dst: addressOf(1) })),
  "ingress/probe_rate": (trio) => {
    for (let n = 0; n <= LIMIT.PROBES_PER_TICK; n++) trio.relay(probe({ dst: addressOf(2) }));
  },
};
const isMesh = (row: Row): row is MeshRow => row in MESH_CAUSES;

for (const build of ["debug", "release"] satisfies Build[]) {
  for (const row of TUNNEL_DROPS) {
    t.test(`${build}: ${row}`, async (t) => {
      if (isMesh(row)) {
        const trio = await Trio.open(build);
        await MESH_CAUSES[row](trio);
        t.same(trio.hosts[1].drops(), { [row]: 1 });
        return trio.isLawful(t);
      }
      const h = await TunnelHost.open(build);
      await CAUSES[row](h);
      t.same(h.drops(), { [row]: 1 });
      h.isLawful(t);
    });
  }
}
