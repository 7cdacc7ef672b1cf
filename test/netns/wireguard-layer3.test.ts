/** weft in place of wireguard-go: the tunnel addresses on a TUN device of the host; wireguard-go is the other end. */
import t from "tap";
import { until } from "../lab/job.js";
import { kernelVxlan } from "../lab/kernel-vxlan.js";
import { Lab } from "../lab/lab.js";
import { pingsOfAllSizes, streams } from "../lab/tunnel.js";
import { Weft } from "../lab/weft.js";
import { endpointAt, keyPair, only, wireguardSection } from "../lab/wireguard.js";
import { WireguardGo } from "../lab/wireguard-go.js";

const LONG = process.env.WEFT_TEST_LONG === "1";
/** Octets inside the tunnel that 1500 of IPv4 underlay leave. */
const MTU = 1440;

t.test("host to host through the TUN device, and VXLAN beside it", async (t) => {
  const lab = await Lab.open(t);
  const [left, right] = await lab.hosts("left", "right");
  const [ours, theirs] = [keyPair(), keyPair()];
  const judge = await WireguardGo.up(lab, right, {
    ...{ keys: theirs, address: ["10.7.0.2/24", "fd07::2/64"], mtu: MTU },
    peers: [{ publicKey: ours.public, endpoint: endpointAt(left.v4), allowedIps: [only("10.7.0.1"), only("fd07::1")] }],
  });
  const hostBefore = { devices: await left.devices(), routes: await left.routes() };
  const weft = await Weft.up(lab, left, {
    config: {
      underlay: [left.v4],
      wireguard: wireguardSection(lab, {
        ...{ keys: ours, address: ["10.7.0.1", "fd07::1"], device: "wg-weft" },
        peers: [
          {
            ...{ publicKey: theirs.public, endpoint: endpointAt(right.v4) },
            allowedIps: [only("10.7.0.2"), only("fd07::2"), "198.51.100.0/24"],
          },
        ],
      }),
      networks: [{ name: "blue", vni: 42, vteps: ["10.7.0.2"] }],
    },
  });
  const device = (await left.devices()).find(({ name }) => name === "wg-weft");
  t.match(device, { mtu: MTU, up: true }, "the device is there");
  t.match(await weft.wireguard(), { device: "wg-weft", mtu: MTU, address: ["10.7.0.1", "fd07::1"] });
  const addresses = (device?.addresses ?? []).map((address) => address.split("/")[0]);
  t.same(addresses, ["10.7.0.1", "fd07::1"], "with the tunnel addresses");
  t.ok(
    (await left.routes()).some((route) => /^198\.51\.100\.0\/24 .*dev wg-weft/.test(route)),
    "and routes to what the peers may have",
  );

  await until("the first answer", async () => (await left.ping("10.7.0.2", { count: 1 })).received === 1, 4 * 5333);
  const ways = [
    [left, right, "10.7.0.2"],
    [right, left, "10.7.0.1"],
    [left, right, "fd07::2"],
    [right, left, "fd07::1"],
  ] as const;
  for (const way of ways) await pingsOfAllSizes(t, way, MTU);
  await streams(t, ways, LONG ? 100e6 : 20e6);

  await right.run(`ip addr add 198.51.100.7/32 dev ${judge.device}`);
  t.equal((await left.ping("198.51.100.7")).received, 3, "an address of theirs behind a prefix");
  await right.run("ip addr add 203.0.113.7/32 dev lo");
  const refusedBefore = (await weft.losses())["ingress allowed_ips"] ?? 0;
  await right.ping("10.7.0.1", { count: 2, more: ["-I", "203.0.113.7"] });
  t.equal((await weft.losses())["ingress allowed_ips"], refusedBefore + 2, "a source that is not theirs is refused");

  const c1 = await lab.container("c1");
  await weft.attach(c1, { network: "blue", ip: ["10.8.0.1/24"] });
  const c2 = await kernelVxlan(lab, right, {
    ...{ local: "10.7.0.2", peers: ["10.7.0.1"], mtu: MTU - 50, ip: ["10.8.0.2/24"], label: "c2" },
  });
  t.equal((await c1.ping("10.8.0.2")).received, 3, "VXLAN for our tunnel address goes to the switch");
  t.equal((await c2.ping("10.8.0.1", { size: 8000 })).received, 3, "both ways");
  const [tun] = await left.json<[{ stats64: { rx: { bytes: number } } }]>("ip -s -j link show dev wg-weft");
  await streams(t, [[c2, c1, "10.8.0.1"]], 5e6);
  const [later] = await left.json<[{ stats64: { rx: { bytes: number } } }]>("ip -s -j link show dev wg-weft");
  t.ok(later.stats64.rx.bytes - tun.stats64.rx.bytes < 1e6, "and not through the device");

  await weft.ok(["down"]);
  await weft.job.endsWithin(20_000);
  t.same({ devices: await left.devices(), routes: await left.routes() }, hostBefore, "`weft down` leaves nothing");
});
