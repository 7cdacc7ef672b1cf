/** How many handshakes one address gets. */
import t from "tap";
import { Allowance } from "../../packages/control/src/wireguard/allowance.js";

/** How many of `count` messages at even distances in one second are let through. */
function passed(allowance: Allowance, address: string, count: number, startMs: number): number {
  let taken = 0;
  for (let i = 0; i < count; i++) if (allowance.take(address, startMs + (1000 * i) / count)) taken++;
  return taken;
}

t.test("quiet times cost nobody anything", async (t) => {
  const allowance = new Allowance();
  for (let second = 0; second < 5; second++) t.equal(passed(allowance, "192.0.2.1", 40, 1000 * second), 40);
});

t.test("who sends many gets a few, others are not held up", async (t) => {
  const allowance = new Allowance();
  passed(allowance, "192.0.2.1", 5000, 0);
  let strangers = 0;
  let others = 0;
  for (let ms = 1000; ms < 11_000; ms++) {
    if (allowance.take("192.0.2.1", ms)) strangers++;
    if (ms % 1000 === 500 && allowance.take("192.0.2.2", ms)) others++;
  }
  t.ok(strangers >= 195 && strangers <= 210, `${strangers} in ten seconds: twenty a second`);
  t.equal(others, 10, "one a second from elsewhere");
});

t.test("an IPv6 network has one allowance", async (t) => {
  const allowance = new Allowance();
  let taken = 0;
  for (let i = 0; i < 2000; i++) if (allowance.take(`2001:db8::${i.toString(16)}`, i / 10)) taken++;
  t.ok(taken < 70, `${taken} of 2000`);
});

t.test("made-up addresses do not pile up", async (t) => {
  const allowance = new Allowance();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < 200_000; i++) allowance.take(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, i / 100);
  t.ok(process.memoryUsage().heapUsed - before < 64e6);
});
