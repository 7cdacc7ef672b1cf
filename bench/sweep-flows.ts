/** Many flows, and many MAC addresses: what the caches and tables of a switch make of them. */
import type { Row } from "./result.js";
import { Sweep, type SweepsAsk } from "./sweep.js";
import { startPair } from "./sweep-lab.js";
import { floodRaw, teach } from "./sweep-raw.js";

const FLOWS = 10_000;

export async function sweepFlows(ask: SweepsAsk, notes: string[]): Promise<Row[]> {
  const macs = ask.once ? [1, 1000] : [1, 1000, 64_000];
  const most = macs.at(-1) as number;
  const [byFlows, byMacs] = [new Sweep("flows"), new Sweep("MACs")];
  const pair = await startPair({ name: "many", macs: 2 * most });
  try {
    const learned = await teach(pair, most);
    if (learned < most)
      notes.push(`sweep of MACs: ${learned} of ${most} were learned; frames to the others are flooded`);
    for (let round = 0; round < ask.rounds; round++) {
      for (const flows of [1, 100, FLOWS]) {
        const { deliveredKpps } = await floodRaw(pair, { macs: 1, flows, seconds: ask.seconds });
        byFlows.add(flows, "UDP, 64 octets", "kpps", deliveredKpps);
      }
      for (const amount of macs) {
        const flows = Math.min(amount, FLOWS);
        const { deliveredKpps } = await floodRaw(pair, { macs: amount, flows, seconds: ask.seconds });
        byMacs.add(
          amount,
          `UDP, 64 octets, as many flows, at most ${FLOWS.toLocaleString("en-US")}`,
          "kpps",
          deliveredKpps,
        );
      }
    }
  } finally {
    await pair.stop();
  }
  return [...byFlows.rows(), ...byMacs.rows()];
}
