/**
 * A mesh on an underlay that has IPv6 alone: the others join with what `weft token` prints, and go on over a relay while a path is cut.
 * Then a host with both families, and one with IPv4 alone.
 */
import t from "tap";
import { until } from "../lab/job.js";
import { type Host, Lab } from "../lab/lab.js";
import { allReach, pathTo, relayed, station } from "../lab/mesh.js";
import { ownShare } from "../lab/own-time.js";
import { Shaper } from "../lab/shaper.js";
import { stream } from "../lab/traffic.js";
import { Weft } from "../lab/weft.js";

/** Joins with the very words that the member prints. */
async function joined(lab: Lab, by: Weft, host: Host, underlay: readonly string[]): Promise<Weft> {
  const words = /^weft up --join (\S+) --token (\S+)$/m.exec(await by.ok(["token"]));
  const [, join = "", token = ""] = words ?? [];
  return await Weft.up(lab, host, { mesh: true, underlay, join: [join], token, more: ["--name", host.label] });
}

t.test("IPv6 alone", { timeout: 240_000 }, async (t) => {
  const lab = await Lab.open(t);
  const { hosts, shaper } = await Shaper.hosts(lab, ["left", "middle", "right"]);
  for (const host of hosts) await host.run("ip -4 addr flush dev under0");
  const [h1, h2, h3] = hosts as [Host, Host, Host];
  const left = await Weft.up(lab, h1, { mesh: true, underlay: [h1.v6], more: ["--name", "left"] });
  t.match(await left.ok(["token"]), `--join [${h1.v6}] --token`, "the command for the next host");
  const [middle, right] = await Promise.all([joined(lab, left, h2, [h2.v6]), joined(lab, left, h3, [h3.v6])]);
  const [a, b] = await Promise.all([station(lab, left, "a"), station(lab, right, "b")]);
  await allReach([a, b], 30_000);
  await until("a direct path", async () => (await pathTo(left, "right"))?.mode === "direct");
  t.match(await left.ok(["status", "peers"]), new RegExp(`right +direct .*\\[${h3.v6}\\]:51820`), "and its endpoint");
  t.match(await right.ok(["status", "connections"]), `[${h1.v6}]:`, "control links, too");
  t.equal((await a.container.ping(b.v4, { size: 1252, whole: true })).received, 3, "a packet of 1280 octets");

  const share = ownShare();
  const running = await stream(a.container, b.container, b.v4, 4e6, 8e5);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  await shaper.worsenBoth(0, 2, { kind: "cut" });
  await until("left goes over the relay", async () => (await pathTo(left, "right"))?.mode === "relayed");
  await until("right, too", async () => (await pathTo(right, "left"))?.mode === "relayed");
  t.match(await left.ok(["status", "peers"]), /right +via middle /, "status says so");
  const before = await relayed(middle);
  for (const address of [b.v4, b.v6]) t.equal((await a.container.ping(address)).received, 3, address);
  const { sent, received } = await running.finish();
  t.equal(received.sha256, sent.sha256, "the stream has arrived whole");
  const gapMs = Math.round(received.gapMs * share());
  t.ok(gapMs < 3000, `longest gap ${gapMs} ms`);
  t.ok((await relayed(middle)) > before, "the relay has handed on");
  await shaper.healBoth(0, 2);
  await until("direct again", async () => (await pathTo(left, "right"))?.mode === "direct");
  await allReach([a, b], 5000);
});

t.test("a host with both families, and one with IPv4 alone", { timeout: 120_000 }, async (t) => {
  const lab = await Lab.open(t);
  const [h1, h2] = await lab.hosts("both", "four");
  await h2.run("ip -6 addr flush dev under0");
  // What the first one says first is of a family that the other has not.
  const both = await Weft.up(lab, h1, { mesh: true, underlay: [h1.v6, h1.v4], more: ["--name", "both"] });
  const token = (await both.ok(["token", "--quiet"])).trim();
  const four = await Weft.up(lab, h2, { mesh: true, join: [h1.v4], token, more: ["--name", "four"] });
  const [a, b] = await Promise.all([station(lab, both, "a"), station(lab, four, "b")]);
  await allReach([a, b], 30_000);
  t.match(await both.ok(["status", "peers"]), new RegExp(`four +direct .* ${h2.v4}:51820`));
  t.match(await four.ok(["status", "peers"]), new RegExp(`both +direct .* ${h1.v4}:51820`));
  t.notMatch(four.job.text, /"level":"(warn|error)"/);
});
