/** The shaper of the lab does what its name says: what the tests of broken links build on. */
import t from "tap";
import { Lab } from "../lab/lab.js";
import { Shaper } from "../lab/shaper.js";

t.test("cuts one way, delays, loses and narrows", async (t) => {
  const lab = await Lab.open(t);
  const { hosts, shaper } = await Shaper.hosts(lab, ["a", "b", "c"]);
  const [a, b, c] = hosts;
  if (!a || !b || !c) throw new Error("three hosts");
  t.equal((await a.ping(b.v4)).received, 3);
  t.equal((await c.ping(a.v6)).received, 3);
  await shaper.worsen(0, 1, { kind: "cut" });
  t.equal((await b.ping(a.v4, { count: 2 })).received, 0, "answers do not arrive");
  t.equal((await c.ping(b.v4)).received, 3, "others do not notice");
  await shaper.heal(0, 1);
  t.equal((await b.ping(a.v4)).received, 3);
  await shaper.worsenBoth(0, 1, { kind: "delay", ms: 30 });
  t.ok(((await a.ping(b.v4)).rttMs ?? 0) >= 55);
  await shaper.healBoth(0, 1);
  await shaper.worsen(0, 1, { kind: "limit", octets: 1280 });
  t.equal((await a.ping(b.v4, { size: 1252, whole: true })).received, 3);
  t.equal((await a.ping(b.v4, { size: 1253, whole: true })).received, 0);
  await shaper.heal(0, 1);
  await shaper.worsen(0, 1, { kind: "loss", permille: 500 });
  // Not lab's ping(): that asks once more when some are missing.
  const { stdout } = await a.attempt(`ping -n -c 100 -i 0.01 -W 1 ${b.v4}`);
  const received = Number(/(\d+) received/.exec(stdout)?.[1]);
  t.ok(received > 20 && received < 80, `${received} of 100`);
});
