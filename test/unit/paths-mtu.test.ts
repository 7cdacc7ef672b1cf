/** The arithmetic of MTUs, and the search for one on a virtual clock: the network between is an assertion about sizes. */
import fc from "fast-check";
import t from "tap";
import { directMtu, floors, meshMtu, relayedMtu } from "../../packages/control/src/paths/mtu.js";
import { MtuSearch } from "../../packages/control/src/paths/mtu-search.js";

t.test("what fits into what", async (t) => {
  t.equal(directMtu(1500, 4), 1440);
  t.equal(directMtu(1500, 6), 1420);
  t.equal(relayedMtu(1440), 1360);
  t.equal(meshMtu(1500, 4), 1290);
  t.equal(meshMtu(1500, 6), 1280, "1270, and IPv6 in the container needs 1280");
  t.equal(meshMtu(9000, 4), 8790);
  t.equal(directMtu(576, 4), 576, "no less than the data plane takes");
  t.same(floors(4, false), [1220, 576]);
  t.same(floors(6, true), [1120, 576]);
  // From the inside out: a container's full packet over one relay is exactly the underlay's MTU.
  t.equal(1290 + 14 + 8 + 8 + 40 + 32 + 8 + 40 + 32 + 8 + 20, 1500);
  t.equal(1280 + 14 + 8 + 8 + 40 + 32 + 8 + 40 + 32 + 8 + 40, 1510);
});

/** Runs a search against a path that carries so much; small echoes always come back. */
class Trial {
  nowMs = 0;
  limit: number;
  readonly search: MtuSearch;
  #sequence = 0;
  #answers: { sequence: number; bytes: number; atMs: number }[] = [];
  sent = 0;

  constructor(ceiling: number, limit: number, floors = [1220, 576]) {
    this.search = new MtuSearch(ceiling, floors);
    this.limit = limit;
  }
  run(ms: number, { small = true, rttMs = 20, loss = 0 } = {}): void {
    for (const end = this.nowMs + ms; this.nowMs < end; this.nowMs += 100) {
      const { search, nowMs } = this;
      for (const answer of this.#answers.filter(({ atMs }) => atMs <= nowMs))
        search.heard(answer.sequence, answer.bytes, nowMs);
      this.#answers = this.#answers.filter(({ atMs }) => atMs > nowMs);
      search.check(nowMs, small ? nowMs - rttMs : -1, { roundTripMs: rttMs, loss });
      const bytes = search.due(nowMs);
      if (bytes === null) continue;
      this.sent++;
      search.sent(++this.#sequence, nowMs);
      if (small && bytes <= this.limit) this.#answers.push({ sequence: this.#sequence, bytes, atMs: nowMs + rttMs });
    }
  }
}

t.test("it ends at what the path carries, whatever that is", async (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 576, max: 1440 }), fc.integer({ min: 1, max: 300 }), (limit, rttMs) => {
      const trial = new Trial(1440, limit);
      trial.run(60_000, { rttMs });
      t.equal(trial.search.mtu, limit);
      t.ok(trial.search.isConfirmed);
    }),
    { numRuns: 40 },
  );
});

t.test("the way down is short, the way up is patient", async (t) => {
  const trial = new Trial(1440, 1440);
  trial.run(10_000);
  t.equal(trial.search.mtu, 1440);
  t.ok(trial.sent <= 21, "two a second");
  trial.limit = 1220;
  trial.run(1_400);
  t.equal(trial.search.mtu, 1220, "data flows within 1.4 s");
  trial.run(10_000);
  t.equal(trial.search.mtu, 1220);
  t.notOk(trial.search.isSearching);
  trial.limit = 1440;
  trial.run(15_000);
  t.equal(trial.search.mtu, 1220);
  trial.run(20_000);
  t.equal(trial.search.mtu, 1440, "up again after 30 s");
});

t.test("a path that carries nothing says nothing of its MTU", async (t) => {
  const trial = new Trial(1440, 1440);
  trial.run(60_000, { small: false });
  t.equal(trial.search.mtu, 1440);
});

t.test("where small ones are lost it takes more to be sure", async (t) => {
  const trial = new Trial(1440, 1440);
  trial.run(3_000);
  trial.limit = 1300;
  trial.run(1_100, { loss: 100 });
  t.equal(trial.search.mtu, 1440);
  trial.run(2_000, { loss: 100 });
  t.ok(trial.search.mtu < 1440);
});

t.test("more room is tried at once, less holds at once", async (t) => {
  const trial = new Trial(1340, 1440);
  trial.run(5_000);
  trial.search.setCeiling(1440);
  t.equal(trial.search.mtu, 1340, "not before it has gone through");
  trial.run(1_500);
  t.equal(trial.search.mtu, 1440);
  trial.search.setCeiling(1240);
  t.equal(trial.search.mtu, 1240);
  trial.run(5_000);
  t.equal(trial.search.mtu, 1240);
});

t.test("answers to something else change nothing", async (t) => {
  const search = new MtuSearch(1440, [1220, 576]);
  t.equal(search.due(0), 1440);
  search.sent(7, 0);
  t.ok(search.isWaiting);
  search.heard(6, 1440, 10);
  search.heard(7, 1441, 10);
  t.ok(search.isWaiting);
  search.heard(7, 1440, 10);
  t.notOk(search.isWaiting);
});
