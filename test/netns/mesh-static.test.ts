/**
 * A member of a mesh with a WireGuard peer and a network of its own configuration file beside it: wireguard-go with a kernel vxlan device, which
 * has IPv4 inside the tunnel. Nobody has given the member an IPv4 address there.
 */
import t from "tap";
import { until } from "../lab/job.js";
import { kernelVxlan } from "../lab/kernel-vxlan.js";
import { Lab } from "../lab/lab.js";
import { allReach, station } from "../lab/mesh.js";
import { Weft } from "../lab/weft.js";
import { endpointAt, keyPair, only } from "../lab/wireguard.js";
import { WireguardGo } from "../lab/wireguard-go.js";

t.test("a peer and a network from the file, beside the mesh", { timeout: 240_000 }, async (t) => {
  const lab = await Lab.open(t);
  const [left, right, third] = await lab.hosts("left", "right", "third");
  const theirs = keyPair();
  const weft = await Weft.up(lab, left, {
    mesh: true,
    config: {
      underlay: [left.v4],
      mesh: {},
      wireguard: {
        peers: [{ publicKey: theirs.public, endpoint: endpointAt(right.v4), allowedIps: [only("10.7.0.2")] }],
      },
      networks: [{ name: "blue", vni: 42, vteps: ["10.7.0.2"] }],
    },
  });
  const { publicKey, address } = await weft.wireguard();
  const v4 = address.find((one) => !one.includes(":")) ?? "";
  t.match(v4, /^100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./, "an address of its own, derived from its key");
  const judge = await WireguardGo.up(lab, right, {
    ...{ keys: theirs, address: ["10.7.0.2/24"] },
    peers: [{ publicKey, allowedIps: [only(v4)] }],
  });
  await right.run(`ip route add ${v4}/32 dev ${judge.device}`);

  const token = (await weft.ok(["token", "--quiet"])).trim();
  const joined = await Weft.up(lab, third, { mesh: true, join: [left.v4], token });
  const c1 = await lab.container("c1");
  const { mtu } = await weft.attach(c1, { network: "blue", ip: ["10.8.0.1/24"] });
  await kernelVxlan(lab, right, {
    ...{ local: "10.7.0.2", peers: [v4], mtu: mtu ?? 0, label: "c2", ip: ["10.8.0.2/24"] },
  });
  const reached = async (): Promise<boolean> => (await c1.ping("10.8.0.2", { count: 1 })).received === 1;
  await until("the peer of the file answers", reached, 30_000);
  for (const size of [1, (mtu ?? 0) - 28]) t.equal((await c1.ping("10.8.0.2", { size })).received, 3, `${size} octets`);

  const stations = [await station(lab, weft, "c3"), await station(lab, joined, "c4")];
  await allReach(stations, 30_000);
  t.ok(await reached(), "and the mesh works beside it");
  const rows = (await weft.wireguard()).peers.map(({ allowedIps }) => allowedIps.join(" "));
  t.ok(
    rows.some((row) => row.includes("10.7.0.2/32")),
    "both are in the list of peers",
  );
  t.equal(rows.length, 2);
});
