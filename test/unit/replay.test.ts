/** The replay window against a plain list of what has been seen. */
import { layout } from "@weft/dataplane-wasm/abi";
import t from "tap";
import { randomOf } from "../models/random.js";
import { type Build, Rig } from "../models/rig.js";

const WINDOW = 8192n;

/** Everything seen, and how old is too old. */
class SlowReplay {
  readonly #seen = new Set<bigint>();
  #newest = -1n;

  take(counter: bigint): boolean {
    if (this.#seen.has(counter) || counter <= this.#newest - WINDOW) return false;
    this.#seen.add(counter);
    if (counter > this.#newest) this.#newest = counter;
    return true;
  }
}

for (const build of ["debug", "test"] satisfies Build[]) {
  t.test(`the replay window (${build} build)`, async (t) => {
    const rig = new Rig(build);
    const at = rig.address("SLOTS", 0);
    const fresh = (): ((counter: bigint) => boolean) => {
      rig.octets.fill(0, at, at + layout("Replay").size);
      return (counter) => Boolean(rig.inner.replayTake?.(at, counter));
    };

    t.test("edges", async (t) => {
      const take = fresh();
      t.ok(take(0n));
      t.notOk(take(0n), "0 once");
      t.ok(take(5n) && take(1n), "late ones");
      t.notOk(take(1n));
      t.ok(take(WINDOW + 5n));
      t.ok(take(6n), "the oldest that can still be told");
      t.notOk(take(6n));
      t.notOk(take(4n), "one too old, though never seen");
      t.ok(take(1n << 40n), "a leap");
      t.notOk(take(WINDOW + 6n));
      t.ok(take((1n << 40n) - WINDOW + 1n), "nothing of before the leap is left over");
      for (let i = 1n; i < WINDOW - 1n; i++)
        if (!take((1n << 40n) - i)) {
          t.fail(`${i} before the newest was not taken`);
          return;
        }
      const last = (1n << 64n) - 2n;
      t.ok(take(last));
      t.notOk(take(last));
    });

    t.test("random orders", async (t) => {
      const random = randomOf(6479);
      for (let round = 0; round < 60; round++) {
        const take = fresh();
        const slow = new SlowReplay();
        let newest = 0;
        for (let i = 0; i < 3000; i++) {
          const kind = random() % 8;
          const back = [1, 64, 100, 8190, 8191, 8192, 8193, 20_000][random() % 8] as number;
          if (kind < 3) newest += 1;
          else if (kind === 3) newest += random() % (round % 2 ? 200 : 20_000);
          const counter = BigInt(kind < 4 ? newest : Math.max(0, newest - (random() % back)));
          const [got, wanted] = [take(counter), slow.take(counter)];
          if (got !== wanted) {
            t.fail(`round ${round}, step ${i}: ${counter} of ${newest}: ${got}`);
            return;
          }
        }
      }
      t.pass("180,000 counters");
    });
  });
}
