/** The search for the highest rate without loss, and the reading of the kernel's drop counters. */
import fc from "fast-check";
import t from "tap";
import { newDrops, readDrops } from "../../bench/drops.js";
import { type Trial, zeroLossRate } from "../../bench/rfc2544.js";

/** A system that loses everything beyond its capacity, fed by a sender with a limit of its own. */
function lossy(capacity: number, sender = Number.POSITIVE_INFINITY): { trial: Trial; asked: number[] } {
  const asked: number[] = [];
  return {
    asked,
    async trial(kpps) {
      asked.push(kpps);
      const offeredKpps = Math.min(kpps, sender);
      return { offeredKpps, lostShare: Math.max(0, 1 - capacity / offeredKpps) };
    },
  };
}

t.test("the rate found passes, and five percent more does not", async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.double({ min: 1.1, max: 990, noNaN: true }),
      fc.option(fc.double({ min: 1, max: 1000, noNaN: true }), { nil: undefined }),
      async (capacity, guess) => {
        const { trial, asked } = lossy(capacity);
        const found = await zeroLossRate(trial, { lowest: 1, highest: 1000, guess, allowed: 0 });
        if (asked.some((kpps) => kpps < 1 || kpps > 1000)) return false;
        // A guess that is far away may use up the trials before both ends meet.
        const far = guess !== undefined && (guess > capacity * 5 || capacity > guess * 5);
        return far || (found.kpps !== null && found.kpps <= capacity && found.kpps * 1.06 >= capacity);
      },
    ),
  );
  t.pass("for every capacity");
});

t.test("a good guess saves trials", async (t) => {
  const without = await zeroLossRate(lossy(200).trial, { lowest: 1, highest: 1000, allowed: 0 });
  const withGuess = await zeroLossRate(lossy(200).trial, { lowest: 1, highest: 1000, guess: 195, allowed: 0 });
  t.ok(withGuess.trials < without.trials, `${withGuess.trials} < ${without.trials}`);
});

t.test("where the search cannot go", async (t) => {
  const range = { lowest: 10, highest: 1000, allowed: 0 };
  t.match(await zeroLossRate(lossy(5).trial, range), { kpps: null, senderBound: false }, "even the lowest loses");
  t.match(await zeroLossRate(lossy(500, 100).trial, range), { kpps: 100, senderBound: true }, "the sender's limit");
  t.match(await zeroLossRate(lossy(5000).trial, range), { kpps: 1000, senderBound: true }, "the end of the range");
  const leaky: Trial = async (kpps) => ({ offeredKpps: kpps, lostShare: kpps > 300 ? 0.2 : 0.0005 });
  t.match(await zeroLossRate(leaky, range), { kpps: null });
  const allowed = await zeroLossRate(leaky, { ...range, allowed: 0.001 });
  t.ok(allowed.kpps !== null && allowed.kpps <= 300 && allowed.kpps >= 285, "a share of loss may be allowed");
  let calls = 0;
  const random: Trial = async (kpps) => ({ offeredKpps: kpps, lostShare: calls++ % 2 });
  await zeroLossRate(random, range);
  t.ok(calls <= 12, "a system that makes no sense ends the search as well");
});

const SNMP = `Ip: Forwarding DefaultTTL InReceives
Ip: 2 64 1000
Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors
Udp: 100 0 5 90 RCV 2 0
Udp6InDatagrams                 	7
Udp6RcvbufErrors                	3
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       1    0    9    0     0          0         0      100       1    0    0    0     0       0          0
  eth0:    5000      50    0   11    0     0          0         0     6000      60    0   DROP    0     0       0          0
`;

t.test("drops by place", async (t) => {
  const read = (rcv: number, drop: number): Map<string, number> =>
    new Map(readDrops("host-a", SNMP.replace("RCV", String(rcv)).replace("DROP", String(drop))));
  t.same(Object.fromEntries(read(4, 12)), {
    "host-a: UDP receive buffer full": 4,
    "host-a: UDP send buffer full": 2,
    "host-a: UDP receive buffer full (IPv6)": 3,
    "host-a: eth0 received, dropped": 11,
    "host-a: eth0 to send, dropped": 12,
  });
  t.same([...newDrops(read(4, 12), read(9, 12))], [["host-a: UDP receive buffer full", 5]], "what moved");
});
