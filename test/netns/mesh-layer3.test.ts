/**
 * A layer-3 port in a mesh, with addresses from the network's own, and everybody it talks to: a TAP port of the same host, a container
 * of another host, and a kernel's VXLAN device that was let into the network in clear. Then what the operator is told of it.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { parseEthernet } from "../lab/frame.js";
import { until } from "../lab/job.js";
import { kernelVxlan } from "../lab/kernel-vxlan.js";
import { Lab } from "../lab/lab.js";
import { allReach, meshOf, type Station, station } from "../lab/mesh.js";
import { streams, type Way } from "../lab/tunnel.js";
import { WEFT, type Weft } from "../lab/weft.js";
import { Wire } from "../lab/wire.js";

/** Octets of each transfer. */
const OCTETS = process.env["WEFT_TEST_LONG"] === "1" ? 100e6 : 20e6;

interface Network {
  readonly name: string;
  readonly vni: number;
  readonly cidr4: string;
  readonly cidr6: string;
  readonly mtu: number;
}

t.test("a layer-3 port in the mesh", { timeout: 360_000 }, async (t) => {
  const lab = await Lab.open(t);
  const [h1, h2, kernelHost] = await lab.hosts("h1", "h2", "kernel");
  const [w1, w2] = (await meshOf(lab, [h1, h2], { keep: true })) as [Weft, Weft];
  await w1.ok(["network", "create", "mixed", "--cidr", "10.77.0.0/16", "--cidr", "fd77::/64"]);
  const known = (weft: Weft) => async (): Promise<Network | undefined> =>
    ((await weft.get("/v1/mesh/networks")) as Network[]).find(({ name }) => name === "mixed");
  const { vni, mtu } = await until("the network is known on the other host", known(w2));
  const on = ["--network", "mixed"];
  const [routed, near, far] = (await Promise.all([
    station(lab, w1, "routed", [...on, "--l3"]),
    station(lab, w1, "near", on),
    station(lab, w2, "far", on),
  ])) as [Station, Station, Station];
  t.match(await routed.container.run("ip -d link show eth0"), /tun type tun/, "its device is a TUN");
  await allReach([routed, near, far], 30_000);

  await w2.ok(["network", "add-vtep", "mixed", kernelHost.v4]);
  const container = await kernelVxlan(lab, kernelHost, {
    peers: [h1.v4, h2.v4],
    vni,
    ip: ["10.77.200.1/16", "fd77::c801/64"],
    mtu,
    label: "peer",
  });
  const peer: Station = { container, weft: w1, id: "peer", v4: "10.77.200.1", v6: "fd77::c801" };
  const wire = await Wire.open(lab, container);
  await allReach([routed, near, far, peer], 30_000);
  t.pass("a kernel's VXLAN device is reached by all, and reaches all");

  for (const [other, what] of [
    [near, "a TAP port of the same host"],
    [far, "a container of another host"],
    [peer, "a kernel's VXLAN device"],
  ] as const) {
    await t.test(what, async (t) => {
      for (const [from, to] of [
        [routed, other],
        [other, routed],
      ] as const) {
        for (const address of [to.v4, to.v6]) {
          const { sent, received, duplicates, text } = await from.container.ping(address, { size: 1200 });
          t.ok(received === sent && duplicates === 0, `${from.container.label} → ${address}: ${text}`);
        }
      }
      const ways: Way[] = [
        [routed.container, other.container, other.v4],
        [other.container, routed.container, routed.v6],
      ];
      await streams(t, ways, OCTETS);
    });
  }

  await t.test("a gateway is each host's own, also where frames leave in clear", async (t) => {
    wire.clear();
    for (const { container } of [near, far, routed]) {
      await container.run("ip neigh flush all");
      for (const address of ["10.77.0.1", "fd77::1"]) t.equal((await container.ping(address)).received, 3);
    }
    t.ok((await near.container.ping(peer.v4)).received > 0, "frames come here");
    t.ok(wire.frames.length > 0, "and are seen");
    const gateway = `02:77:66:${vni
      .toString(16)
      .padStart(6, "0")
      .replace(/(..)(..)(..)/, "$1:$2:$3")}`;
    const strange = wire.frames.map(parseEthernet).filter(({ src, dst }) => src === gateway || dst === gateway);
    t.same(strange, [], "no frame of or for a gateway");
    const arp = wire.frames
      .map(parseEthernet)
      .filter(({ type, payload }) => type === 0x0806 && payload.subarray(24, 28).equals(Buffer.from([10, 77, 0, 1])));
    t.same(arp, [], "nobody asks for it");
    for (const weft of [w1, w2]) {
      const leaks = Object.entries(await weft.losses()).filter(([name, n]) => name.endsWith(" gateway_leak") && n > 0);
      t.same(leaks, [], "gateway_leak");
    }
  });

  await t.test("who has talked with whom", async (t) => {
    const links = (await w1.get("/v1/links")) as {
      sourceContainerId: string;
      destinationContainerId: string;
      packets: number;
      bytes: number;
    }[];
    const between = (a: string, b: string) =>
      links.filter((l) => [l.sourceContainerId, l.destinationContainerId].sort().join() === [a, b].sort().join());
    for (const pair of [
      ["routed", "near"],
      ["routed", "far"],
    ] as const) {
      const [link, ...more] = between(pair[0], pair[1]);
      t.equal(more.length, 0, "one for each pair");
      t.ok((link?.bytes ?? 0) > OCTETS && (link?.packets ?? 0) > 100, `${pair.join(" and ")}: ${JSON.stringify(link)}`);
    }
    const text = await w1.ok(["status", "links"]);
    t.match(text, /NETWORK +FROM +TO +DEVICE/);
    t.match(text, /mixed +(near +routed|routed +near) +eth0/);
  });

  await t.test("a report has no secrets", async (t) => {
    const token = (await w1.ok(["token", "--quiet"])).trim();
    const { seed, wireguardKey } = JSON.parse(readFileSync(join(w1.stateDir, "identity.json"), "utf8")) as {
      seed: string;
      wireguardKey: string;
    };
    // weft1.BASE64URL of network id 16, founder 32, token id 8, secret 32, checksum 4.
    const secret = Buffer.from(token.replace(/^weft1\./, ""), "base64url").subarray(56, 88);
    t.equal(secret.length, 32);
    const report = await w1.ok(["report"]);
    t.match(JSON.parse(report), { mesh: { info: { members: [{}, {}] }, tokens: [{ state: "valid" }] } });
    const told = { report, status: await w1.ok(["status", "--json"]), metrics: await w1.metricsText() };
    const keys = { secret, seed: Buffer.from(seed, "base64"), wireguardKey: Buffer.from(wireguardKey, "base64") };
    for (const [what, octets] of Object.entries(keys))
      for (const [where, text] of Object.entries(told))
        for (const form of ["hex", "base64", "base64url"] as const)
          t.notOk(text.includes(octets.toString(form).replace(/=+$/, "")), `${what} as ${form} is not in ${where}`);
    t.notOk(report.includes(token), "nor the token");
  });

  await t.test("completion", async (t) => {
    for (const shell of ["bash", "zsh", "fish"])
      t.match(await h1.run([process.execPath, WEFT, "completion", shell]), /add-vtep/, shell);
  });
});
