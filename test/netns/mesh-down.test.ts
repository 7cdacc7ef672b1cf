/**
 * What a daemon in a mesh leaves behind: nothing when it goes by `weft down`, also when it was killed before and another one has come.
 * And addresses that are asked for, or whose owner is away.
 */
import { existsSync } from "node:fs";
import t from "tap";
import { namespacePath } from "../../packages/control/src/gateway/namespace.js";
import { type Host, Lab } from "../lab/lab.js";
import { meshOf, type Station, station } from "../lab/mesh.js";
import { ownMs } from "../lab/own-time.js";
import { Weft } from "../lab/weft.js";
import { all, facts, sees, serve } from "../lab/who.js";

/** Everything of a daemon that could be left: on the host, and of the gateways' namespace. */
async function everything(lab: Lab, host: Host, weft: Weft): Promise<object> {
  const path = namespacePath(weft.socket);
  const mounts = (await lab.run("cat /proc/self/mountinfo")).split("\n").filter((line) => line.includes(path));
  return { facts: await facts(host), mounts, file: existsSync(path), socket: existsSync(weft.socket) };
}

t.test("nothing is left", { timeout: 240_000 }, async (t) => {
  const lab = await Lab.open(t);
  const [h1, outside] = await lab.hosts("h1", "outside");
  await h1.run("iptables -P FORWARD DROP");
  await serve(outside, 80);
  const before = await facts(h1);
  const weft = await Weft.up(lab, h1, { mesh: true, keep: true });
  const clean = { facts: before, mounts: [], file: false, socket: false };

  /** With everything that there can be on the host. */
  const use = async (label: string): Promise<Station> => {
    const one = await station(lab, weft, label, ["--publish", "8080:80"]);
    await weft.ok(["expose"]);
    await serve(one.container, 80);
    await all(t, [
      [one.container, "tcp", outside.v4, 80, sees("outside", h1.v4)],
      [outside, "tcp", h1.v4, 8080, sees(label, outside.v4)],
    ]);
    return one;
  };

  await t.test("weft down", async (t) => {
    const one = await use("one");
    t.notSame(await everything(lab, h1, weft), clean);
    await weft.ok(["down"]);
    t.same(await everything(lab, h1, weft), clean);
    t.same(await one.container.devices(), [], "nor in the container");
  });

  const macOf = async (): Promise<string> =>
    /([0-9a-f]{2}:){5}[0-9a-f]{2}/.exec(await h1.run("ip -br link show weft-default"))?.[0] ?? "none";
  let mac = "";

  await t.test("kill -9, a new start, weft down", async (t) => {
    await weft.again();
    const two = await use("two");
    mac = await macOf();
    await weft.kill("SIGKILL");
    await weft.again();
    await all(t, [
      [two.container, "tcp", outside.v4, 80, sees("outside", h1.v4), "as before"],
      [outside, "tcp", h1.v4, 8080, sees("two", outside.v4), "as before"],
    ]);
    await weft.ok(["down"]);
    t.same(await everything(lab, h1, weft), clean);
    t.same(await two.container.devices(), []);
  });

  await t.test("kill -9, weft down", async (t) => {
    await weft.again();
    const three = await use("three");
    t.equal(await macOf(), mac, "the host is found at the same address and MAC again");
    await weft.kill("SIGKILL");
    const words = ["down", "--state-dir", weft.stateDir];
    t.match(
      await weft.ok(words),
      /no daemon ran: detached 2 ports of .*; gateways and rules of a killed one are removed/,
    );
    t.same(await everything(lab, h1, weft), clean);
    t.same(await three.container.devices(), []);
    const again = await weft.weft(words);
    t.match(again, { code: 1, stderr: /no weft daemon answers/ }, "nothing is left to do");
  });
});

t.test("addresses", { timeout: 240_000 }, async (t) => {
  const lab = await Lab.open(t);
  const [h1, h2, h3] = await lab.hosts("h1", "h2", "h3");
  const [w1, w2] = (await meshOf(lab, [h1, h2], {
    keep: true,
    more: ["--cidr", "10.50.0.0/16", "--cidr", "fd50::/64"],
  })) as [Weft, Weft];
  const token = (await w2.ok(["token", "--quiet"])).trim();

  await t.test("a newcomer while the owner of all is down", async (t) => {
    await w1.kill("SIGKILL");
    const w3 = await Weft.up(lab, h3, { mesh: true, keep: true, join: [h2.v4], token, more: ["--name", "h3"] });
    const target = await lab.container("late");
    const words = ["attach", target.name, "--name", "late", "--id", "late"];
    const [startedMs, startedOwnMs] = [performance.now(), ownMs()];
    const failed = await w3.weft(words);
    const [seconds, own] = [(performance.now() - startedMs) / 1000, (ownMs() - startedOwnMs) / 1000];
    t.equal(failed.code, 1);
    t.ok(seconds > 9 && own < 20, `it has waited: ${seconds.toFixed(1)} s`);
    t.match(failed.stderr, /no address: .*h1/s, "whom for");
    t.same(await target.devices(), [], "and nothing is attached");
    await w1.again();
    t.match(await w3.ok(words), /10\.50\./, "works when the owner is back");
    await w3.detach("late");
    await w3.ok(["down"]);
  });

  await t.test("asked for by name", async (t) => {
    const [one, two] = [await lab.container("one"), await lab.container("two")];
    await w1.ok(["attach", one.name, "--id", "one", "--ip", "10.50.9.9/16"]);
    const elsewhere = ["attach", two.name, "--id", "two", "--ip"];
    const inUse = await w2.weft([...elsewhere, "10.50.9.9/16"]);
    t.equal(inUse.code, 1, "in use on another host");
    t.match(inUse.stderr, /10\.50\.9\.9 is in use by one on h1/);
    const here = await w1.weft([...elsewhere, "fd50::909/64"]);
    t.equal(here.code, 1, "in use here, by the other family");
    t.match(here.stderr, /fd50::909 is in use by one/);
    const never = await w2.weft([...elsewhere, "10.50.0.1/16"]);
    t.equal(never.code, 1, "the gateway's");
    t.match(never.stderr, /10\.50\.0\.1 .*without the first two addresses and the last/);
    await w2.ok([...elsewhere, "10.50.77.7/16"]);
    t.match(await w2.ok(["status", "ipam"]), /1 used/, "one that another host has owned");
    t.equal((await two.ping("10.50.9.9")).received, 3);
  });
});
