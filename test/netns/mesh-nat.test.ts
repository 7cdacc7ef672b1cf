/** Hosts behind routers that masquerade join, are reached from outside, and stay reachable: netfilter is the judge. */
import t from "tap";
import { until } from "../lab/job.js";
import { Lab } from "../lab/lab.js";
import { allReach, meshOf, type PathRow, station, unreachable } from "../lab/mesh.js";
import type { Weft } from "../lab/weft.js";

const pathTo = async (from: Weft, to: Weft): Promise<PathRow | undefined> =>
  ((await from.get("/v1/paths")) as PathRow[]).find((row) => row.name === to.host.label);
/** After so many seconds of silence the routers forget. */
const FORGOTTEN = 20;

t.test("three routers between four hosts", { timeout: 400_000 }, async (t) => {
  const lab = await Lab.open(t);
  const [open, first, second, third] = await lab.hosts("open", "first", "second", "third");
  const inside = [
    await lab.behind("one", first, 1, "kept"),
    await lab.behind("two", second, 2, "kept"),
    await lab.behind("odd", third, 3, "random"),
  ];
  const wefts = await meshOf(lab, [open, ...inside]);
  const [w0, w1, w2, w3] = wefts as [Weft, Weft, Weft, Weft];
  const stations = await Promise.all(wefts.map((weft, i) => station(lab, weft, `c${i}`)));
  t.comment(`all reach each other after ${Math.round(await allReach(stations, 30_000))} ms`);

  for (const inner of [w1, w2, w3]) {
    for (const [from, to] of [
      [w0, inner],
      [inner, w0],
    ] as const) {
      await until(
        `${from.host.label} → ${to.host.label} is direct`,
        async () => (await pathTo(from, to))?.mode === "direct",
        20_000,
      );
    }
  }
  t.pass("the open host and each other one have a direct path");

  await until("both open at once", async () => (await pathTo(w1, w2))?.mode === "direct", 30_000);
  await until("both ways", async () => (await pathTo(w2, w1))?.mode === "direct", 30_000);
  t.pass("two routers that keep ports are passed by both ends sending");
  for (const [from, to] of [
    [w1, w3],
    [w3, w2],
  ] as const) {
    const what = `${from.host.label} → ${to.host.label}: no way through two such routers, so over a member`;
    await until(what, async () => (await pathTo(from, to))?.mode === "relayed");
    t.pass(what);
  }

  await new Promise((resolve) => setTimeout(resolve, 1.5 * FORGOTTEN * 1000));
  t.same(await unreachable(stations), [], "the first frame after a long silence comes in from outside");
});
