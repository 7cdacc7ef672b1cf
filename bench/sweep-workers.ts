/** End to end with one worker and with two. */
import { REGIMES, setRegime } from "./lab.js";
import { startUdp } from "./programs.js";
import type { Row } from "./result.js";
import { Sweep, type SweepsAsk } from "./sweep.js";
import { tcpGbits } from "./sweep-idle.js";
import { type Pair, startPair } from "./sweep-lab.js";

export async function sweepWorkers(ask: SweepsAsk): Promise<Row[]> {
  const amounts = [1, 2];
  const sweep = new Sweep("workers");
  const pairs: Pair[] = [];
  try {
    for (const workers of amounts) pairs.push(await startPair({ name: `w${workers}`, workers }));
    for (let round = 0; round < ask.rounds; round++) {
      for (const regime of REGIMES) {
        setRegime(regime, pairs);
        const each = async (name: string, unit: string, one: (pair: Pair) => Promise<number>): Promise<void> => {
          for (const [i, pair] of pairs.entries())
            sweep.add(amounts[i] as number, `${name}, ${regime}`, unit, await one(pair));
        };
        await each("TCP a→b", "Gbit/s", (pair) => tcpGbits(pair, ask.seconds));
        await each("UDP, 64 octets", "kpps", (pair) => floodKpps(pair, ask.seconds));
      }
    }
  } finally {
    await Promise.all(pairs.map((pair) => pair.stop()));
  }
  return sweep.rows();
}

async function floodKpps(pair: Pair, seconds: number): Promise<number> {
  const running = await startUdp(pair, 64, 0, Math.min(0.4, seconds), seconds);
  try {
    const { packets = Number.NaN, seconds: took = Number.NaN } = await running.window;
    return packets / took / 1e3;
  } finally {
    await running.stop();
  }
}
