/**
 * Members that are removed while they run: one beyond a cut, which goes on until it hears of it, while its heir gives out what it owned of a
 * small network; and one in reach, which ends at once.
 */
import t from "tap";
import { until } from "../lab/job.js";
import { Lab } from "../lab/lab.js";
import { allReach, meshOf, type Station, station } from "../lab/mesh.js";
import { Shaper } from "../lab/shaper.js";
import type { Weft } from "../lab/weft.js";

/** Milliseconds that an heir waits before it takes over (`SETTLE_MS` in ipam/ipam.ts). */
const SETTLE_MS = 5000;

interface Range {
  readonly first: string;
  readonly last: string;
  readonly count: number;
  readonly name: string;
  readonly state: string;
}
const ranges = async (weft: Weft): Promise<Range[]> =>
  ((await weft.get("/v1/ipam")) as { ranges: Range[] }[])[0]?.ranges ?? [];
const stateOf = async (weft: Weft, name: string): Promise<string | undefined> =>
  ((await weft.get("/v1/mesh")) as { members: { name: string; state: string }[] }).members.find(
    (one) => one.name === name,
  )?.state;

/** Last octet: the whole network is a /27. */
const number = (ip: string): number => Number(ip.split(".")[3]);
const isIn = ({ first, last }: Range, ip: string): boolean => number(ip) >= number(first) && number(ip) <= number(last);

t.test("removed while they run", { timeout: 240_000 }, async (t) => {
  const lab = await Lab.open(t);
  const { hosts, shaper } = await Shaper.hosts(lab, ["h1", "h2", "h3", "h4"]);
  const cidr = ["--cidr", "10.50.0.0/27", "--cidr", "fd50::/64"];
  const wefts = (await meshOf(lab, hosts, { keep: true, more: cidr })) as [Weft, Weft, Weft, Weft];
  const [w1, w2, w3, w4] = wefts;
  // One after the other, so that each has a range of its own.
  const stations: Station[] = [];
  for (const [i, weft] of wefts.entries()) stations.push(await station(lab, weft, `c${i + 1}`));
  const [c1, c2, c3, c4] = stations as [Station, Station, Station, Station];
  await allReach(stations, 30_000);

  await t.test("beyond a cut", async (t) => {
    const before = await ranges(w1);
    const at = before.findIndex((one) => isIn(one, c3.v4));
    const range = before[at] as Range;
    const next = [...before.slice(at + 1), ...before].find((one) => one.name !== "h3" && one.count >= 2);
    const heirName = next?.name ?? "none";
    const heir = wefts.find((weft) => weft.host.label === heirName) as Weft;
    const other = heir === w1 ? w2 : w1;
    for (const i of [0, 1, 3]) await shaper.worsenBoth(i, 2, { kind: "cut" });
    await until("it is missed", async () => (await stateOf(other, "h3")) === "unreachable");
    t.match(await other.weft(["rmpeer", "h3"]), { code: 1, stderr: /cannot be reached.*--force/s });

    // Of a range whose owner is not there nobody gives anything: asked for now, given when its heir has taken it over.
    const free = [...Array(range.count).keys()].slice(2).map((i) => number(range.first) + i);
    const wanted = free.filter((last) => last !== number(c3.v4));
    const removedMs = performance.now();
    await other.ok(["rmpeer", "h3", "--force"]);
    await until("its heir is known", async () =>
      (await ranges(heir)).some((one) => isIn(one, c3.v4) && one.name === heirName && one.state === "removed"),
    );
    const asked = [heir, other].map(async (weft, i) => {
      const ips = [`10.50.0.${wanted[i]}/27`, `fd50::${wanted[i]?.toString(16)}/64`];
      const added = await station(
        lab,
        weft,
        `new${i}`,
        ips.flatMap((ip) => ["--ip", ip]),
      );
      return { ...added, ms: Math.round(performance.now() - removedMs) };
    });
    const given = await Promise.all(asked);
    for (const { v4, ms } of given) t.ok(ms >= SETTLE_MS, `${v4} is given after ${ms} ms`);
    const owners = (await ranges(other)).filter((one) => isIn(range, one.first));
    t.ok(
      owners.every(({ state }) => state === "alive"),
      `it is the living's: ${owners.map(({ first, last, name }) => `${first}-${last} ${name}`).join(", ")}`,
    );

    t.ok(w3.job.running, "the removed one goes on meanwhile");
    t.not((await c3.container.devices()).length, 0, "with its container");
    for (const i of [0, 1, 3]) await shaper.healBoth(i, 2);
    t.equal((await w3.job.endsWithin(20_000)).code, 1, "it hears of it, and ends");
    t.ok(w3.job.text.includes(`removed from its network by ${other.host.label}"`), "by the one whose command it was");
    t.same(await c3.container.devices(), [], "and has detached its container");
    await allReach([c1, c2, c4, ...given], 5000);
    t.pass("the others reach each other, at addresses that it had owned, too");
  });

  await t.test("in reach", async (t) => {
    const itself = await w1.weft(["rmpeer", "h1"]);
    t.match(itself, { code: 1, stderr: /that is this node: `weft leave` takes it out/ });
    t.match(await w1.ok(["rmpeer", "h4"]), /removed h4; `weft token` prints the new token/, "needs no --force");
    t.equal((await w4.job.endsWithin(5000)).code, 1, "it ends");
    t.match(w4.job.text, /removed from its network by h1/);
    t.same(await c4.container.devices(), [], "and has detached its container");
    for (const weft of [w1, w2])
      await until("the others know it no more", async () => (await stateOf(weft, "h4")) === undefined, 5000);
  });
});
