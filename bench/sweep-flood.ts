/** Broadcast to many VTEPs: every frame becomes as many datagrams as the network has VTEPs. */
import type { Row } from "./result.js";
import { Sweep, type SweepsAsk } from "./sweep.js";
import { type Pair, startPair } from "./sweep-lab.js";
import { BROADCAST, floodRaw } from "./sweep-raw.js";

export async function sweepFlood(ask: SweepsAsk): Promise<Row[]> {
  const amounts = ask.once ? [1, 10] : [1, 10, 100];
  const sweep = new Sweep("VTEPs");
  const pairs: Pair[] = [];
  try {
    for (const vteps of amounts) pairs.push(await startPair({ name: `v${vteps}`, vteps }));
    for (let round = 0; round < ask.rounds; round++) {
      for (const [i, pair] of pairs.entries()) {
        const amount = amounts[i] as number;
        const flood = await floodRaw(pair, { macs: 1, flows: 1, seconds: ask.seconds, to: BROADCAST });
        sweep.add(amount, "broadcast frames taken", "kpps", flood.takenKpps);
        sweep.add(amount, "datagrams sent", "kpps", flood.sentKpps);
        sweep.add(amount, "CPU of the sending daemon", "µs/datagram", (flood.cores / flood.sentKpps) * 1e3);
      }
    }
  } finally {
    await Promise.all(pairs.map((pair) => pair.stop()));
  }
  return sweep.rows();
}
