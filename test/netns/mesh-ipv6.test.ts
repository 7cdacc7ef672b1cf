/**
 * A mesh on an underlay that has IPv6 alone: the others join with what `weft token` prints, one with the token in a file, and go on over a
 * relay while a path is cut. Then a host with both families, one with IPv4 alone, which joins by `weft init`, and one with IPv6 alone: the
 * last two have no address in common.
 */
import { writeFileSync } from "node:fs";
import t from "tap";
import { until } from "../lab/job.js";
import { type Host, Lab } from "../lab/lab.js";
import { allReach, pathTo, relayed, station } from "../lab/mesh.js";
import { ownShare } from "../lab/own-time.js";
import { Shaper } from "../lab/shaper.js";
import { stream } from "../lab/traffic.js";
import { WEFT, Weft } from "../lab/weft.js";

/** The words that a member prints for the next host. */
async function printed(by: Weft): Promise<{ join: [string]; token: string }> {
  const [, join = "", token = ""] = /^weft up --join (\S+) --token (\S+)$/m.exec(await by.ok(["token"])) ?? [];
  return { join: [join], token };
}

t.test("IPv6 alone", { timeout: 240_000 }, async (t) => {
  const lab = await Lab.open(t);
  const { hosts, shaper } = await Shaper.hosts(lab, ["left", "middle", "right"]);
  for (const host of hosts) await host.run("ip -4 addr flush dev under0");
  const [h1, h2, h3] = hosts as [Host, Host, Host];
  const left = await Weft.up(lab, h1, { mesh: true, underlay: [h1.v6], more: ["--name", "left"] });
  t.match(await left.ok(["token"]), `--join [${h1.v6}] --token`, "the command for the next host");
  const { join, token } = await printed(left);
  const file = lab.file("token");
  writeFileSync(file, `${token}\n`, { mode: 0o600 });
  const fromFile = ["--name", "right", "--token-file", file];
  const [middle, right] = await Promise.all([
    Weft.up(lab, h2, { mesh: true, underlay: [h2.v6], join, token, more: ["--name", "middle"] }),
    Weft.up(lab, h3, { mesh: true, underlay: [h3.v6], join, more: fromFile }),
  ]);
  const [a, b] = await Promise.all([station(lab, left, "a"), station(lab, right, "b")]);
  await allReach([a, b], 30_000);
  await until("a direct path", async () => (await pathTo(left, "right"))?.mode === "direct");
  t.match(await left.ok(["status", "peers"]), new RegExp(`right +direct .*\\[${h3.v6}\\]:51820`), "and its endpoint");
  t.match(await right.ok(["status", "connections"]), `[${h1.v6}]:`, "control links, too");
  t.equal((await a.container.ping(b.v4, { size: 1252, whole: true })).received, 3, "a packet of 1280 octets");

  const share = ownShare();
  // Over a relay a packet of 1280 octets does not fit, and less IPv6 does not know: what is longer is cut.
  const running = await Promise.all([b.v4, b.v6].map((to) => stream(a.container, b.container, to, 4e6, 8e5)));
  await new Promise((resolve) => setTimeout(resolve, 1000));
  await shaper.worsenBoth(0, 2, { kind: "cut" });
  await until("left goes over the relay", async () => (await pathTo(left, "right"))?.mode === "relayed");
  await until("right, too", async () => (await pathTo(right, "left"))?.mode === "relayed");
  t.match(await left.ok(["status", "peers"]), /right +via middle /, "status says so");
  const before = await relayed(middle);
  for (const address of [b.v4, b.v6]) t.equal((await a.container.ping(address)).received, 3, address);
  for (const { sent, received } of await Promise.all(running.map((one) => one.finish()))) {
    t.equal(received.sha256, sent.sha256, "the stream has arrived whole");
    const gapMs = Math.round(received.gapMs * share());
    t.ok(gapMs < 3000, `longest gap ${gapMs} ms`);
  }
  t.ok((await relayed(middle)) > before, "the relay has handed on");
  await shaper.healBoth(0, 2);
  await until("direct again", async () => (await pathTo(left, "right"))?.mode === "direct");
  await allReach([a, b], 5000);
});

t.test("a host with both families, one with IPv4 and one with IPv6 alone", { timeout: 180_000 }, async (t) => {
  const lab = await Lab.open(t);
  const [h1, h2, h3] = await lab.hosts("both", "four", "six");
  await h2.run("ip -6 addr flush dev under0");
  await h3.run("ip -4 addr flush dev under0");
  // What the first one says first is of a family that the other has not.
  const both = await Weft.up(lab, h1, { mesh: true, underlay: [h1.v6, h1.v4], more: ["--name", "both"] });
  const { token } = await printed(both);
  // As in a container: `weft init`, the token in the environment, and an address that is not the first of this host.
  const advertised = "192.0.2.200";
  await h2.run(`ip addr add ${advertised}/24 dev under0`);
  const four = await Weft.up(lab, h2, {
    ...{ command: "init", mesh: true, join: [h1.v4], env: { WEFT_TOKEN: token } },
    more: ["--name", "four", "--advertise-address", `${advertised}/24`],
  });
  const [a, b] = await Promise.all([station(lab, both, "a"), station(lab, four, "b")]);
  await allReach([a, b], 30_000);
  t.match(await both.ok(["status", "peers"]), new RegExp(`four +direct .* (${h2.v4}|${advertised}):51820`));
  t.match(await four.ok(["status", "peers"]), new RegExp(`both +direct .* ${h1.v4}:51820`));
  t.notMatch(four.job.text, /"level":"(warn|error)"/);
  const { members } = (await both.get("/v1/mesh")) as { members: { name: string; control: string[] }[] };
  const control = members.find(({ name }) => name === "four")?.control;
  t.same(control, [`${advertised}:6783`, `${h2.v4}:6783`], "others are told to dial the advertised address first");
  t.match(await printed(four), { join: [advertised], token }, "and so is the next host");
  const wrong = await h2.attempt([process.execPath, WEFT, "init", "--advertise-address", `${advertised}/33`]);
  t.match(wrong, { code: 2, stderr: /Allowed: an address of this host, as 192\.0\.2\.1 or 192\.0\.2\.1\/24/ });

  // Two that have no family in common, and the first one between them.
  const six = await Weft.up(lab, h3, {
    mesh: true,
    underlay: [h3.v6],
    join: [`[${h1.v6}]`],
    token,
    more: ["--name", "six"],
  });
  const c = await station(lab, six, "c");
  await allReach([a, b, c], 30_000);
  t.match(await six.ok(["status", "peers"]), /four +via both /);
  t.match(await four.ok(["status", "peers"]), /six +via both /);
  const running = await stream(b.container, c.container, c.v4, 4e6, 8e6);
  const { sent, received } = await running.finish();
  t.equal(received.sha256, sent.sha256, "and TCP");
});
