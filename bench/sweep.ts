/** Rows of a sweep: for each amount and quantity one value per round, with ratios to the smallest amount. */
import { type Row, row } from "./result.js";
import { ratios, type Samples, spread } from "./stats.js";

export interface SweepsAsk {
  readonly rounds: number;
  /** Seconds of one measured window. */
  readonly seconds: number;
  /** Briefly, with small amounts: shows that it works. */
  readonly once: boolean;
}
/** What one sweep measured: for each amount and quantity one value per round. */
export class Sweep {
  readonly #varied: string;
  readonly #series = new Map<string, { amount: number; name: string; unit: string; samples: number[] }>();

  /** @param varied what the amounts count, as `ports` */
  constructor(varied: string) {
    this.#varied = varied;
  }

  add(amount: number, name: string, unit: string, value: number): void {
    const key = `${amount}\n${name}\n${unit}`;
    const found = this.#series.get(key) ?? { amount, name, unit, samples: [] };
    this.#series.set(key, found);
    found.samples.push(value);
    process.stderr.write(`${this.#varied} ${amount} ${name.padEnd(40)} ${value.toFixed(3)} ${unit}\n`);
  }

  rows(): Row[] {
    const all = [...this.#series.values()];
    const smallest = Math.min(...all.map(({ amount }) => amount));
    return all.map(({ amount, name, unit, samples }) => {
      const first: Samples = all.find((s) => s.amount === smallest && s.name === name)?.samples ?? [];
      const ratio = amount === smallest ? undefined : ratios(samples, first);
      const facts = { suite: "sweeps", system: "weft", varied: this.#varied, amount, name, unit } as const;
      return row({ ...facts, more: { ...(ratio ? { ratio } : {}) } }, samples);
    });
  }
}

/** A quantity of one daemon, with nothing varied. */
export function single(name: string, unit: string, samples: readonly number[]): Row {
  process.stderr.write(`idle ${name.padEnd(40)} ${spread(samples).median.toFixed(3)} ${unit}\n`);
  return row({ suite: "sweeps", system: "weft", name, unit }, samples);
}
