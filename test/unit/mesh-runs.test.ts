/** Runs that are shared and paced, on a clock that stands still while nobody moves it. */
import t from "tap";
import { Runs } from "../../packages/control/src/fabric/runs.js";

/** Each run begins, and ends when it is told to. */
function open() {
  let now = 0;
  const timers = new Map<() => void, number>();
  const under: (() => void)[] = [];
  const begun: number[] = [];
  const runs = new Runs({
    run: () =>
      new Promise<void>((resolve) => {
        begun.push(now);
        under.push(resolve);
      }),
    paceMs: 1000,
    now: () => now,
    after: (ms, run) => {
      timers.set(run, now + ms);
      return () => timers.delete(run);
    },
  });
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return {
    runs,
    begun,
    timers,
    pass: async (ms: number) => {
      now += ms;
      for (const [run, at] of [...timers]) if (at <= now && timers.delete(run)) run();
      await turn();
    },
    end: async () => {
      under.shift()?.();
      await turn();
    },
  };
}

t.test("however often it is asked for soon, a run comes of it once in a while", async (t) => {
  const { runs, begun, timers, pass, end } = open();
  for (let i = 0; i < 500; i++) runs.soon();
  t.equal(timers.size, 1);
  await pass(0);
  t.same(begun, [0], "the first at once");
  for (let ms = 0; ms < 3000; ms += 2) {
    runs.soon();
    await pass(2);
    await end();
  }
  t.same(begun, [0, 1000, 2000, 3000]);
  for (let ms = 0; ms < 5000; ms += 10) {
    runs.soon();
    await pass(10);
  }
  t.same(begun, [0, 1000, 2000, 3000, 4000], "none is begun while one is under way");
  await end();
  t.same(begun, [0, 1000, 2000, 3000, 4000, 8000], "and one waits, not five");
  await end();
  await pass(5000);
  t.equal(begun.length, 6);
});

t.test("who waits has a run that begins after he asked, at once, and shares it", async (t) => {
  const { runs, begun, timers, pass, end } = open();
  const done: string[] = [];
  const first = runs.next().then(() => done.push("first"));
  await pass(0);
  const others = Array.from({ length: 100 }, (_, i) => runs.next().then(() => done.push(`other ${i}`)));
  for (let i = 0; i < 500; i++) runs.soon();
  t.equal(timers.size, 0, "the one that they wait for is soon enough");
  t.same(begun, [0]);
  await end();
  t.same(done.splice(0), ["first"], "not with the one that was under way");
  t.same(begun, [0, 0], "no pace for who waits");
  await end();
  t.equal(done.length, 100);
  await Promise.all([first, ...others]);
  runs.soon();
  await pass(500);
  void runs.next();
  await pass(0);
  await end();
  t.same([begun, timers.size], [[0, 0, 500], 0], "who waits has it done for who asked soon");
});

t.test("what is done alone has its own end, and what comes behind it is not kept", async (t) => {
  const { runs, begun, pass, end } = open();
  const order: string[] = [];
  const one = runs.alone(async () => {
    order.push("one");
    throw new Error("no room");
  });
  const two = runs.alone(async () => order.push("two"));
  const next = runs.next();
  await t.rejects(one, { message: "no room" });
  t.equal(await two, 2);
  t.same(order, ["one", "two"]);
  await pass(0);
  t.equal(begun.length, 1);
  await end();
  await next;
  runs.soon();
  runs.close();
  runs.soon();
  await pass(5000);
  t.equal(begun.length, 1, "nothing after the end");
});
