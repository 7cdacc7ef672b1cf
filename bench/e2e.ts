/**
 * End to end: what an application in a container gets, beside what it would get over a bare veth pair and over the
 * kernel's own VXLAN. Rounds are interleaved (A B C A B C …), so that what else the machine does hits all alike.
 *
 * Runs inside its own namespaces (inside.ts). CPU seconds are those of the whole box, traffic programs included: a
 * write to a TAP runs the receiver's TCP stack on the writer's account, so no single process can be billed.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { CASES, type Case, measure, type Reading } from "./cases.js";
import { serveInside } from "./inside.js";
import {
  INNER_MTU,
  makeHosts,
  makeKernelVxlan,
  makeVeth,
  makeWeft,
  REGIMES,
  type Regime,
  SYSTEMS,
  type System,
  type SystemName,
  setRegime,
} from "./lab.js";
import { type Row, row } from "./result.js";
import { spread } from "./stats.js";
import { startWeft } from "./weft-hosts.js";

export interface E2eAsk {
  readonly rounds: number;
  /** Seconds of one measured window. */
  readonly seconds: number;
  readonly systems: readonly SystemName[];
}
export interface E2eAnswer {
  readonly rows: Row[];
  readonly notes: string[];
}

async function makeSystems(names: readonly SystemName[], notes: string[]): Promise<System[]> {
  const make: Record<SystemName, () => System | Promise<System>> = {
    veth: makeVeth,
    "kernel-vxlan": makeKernelVxlan,
    weft: () => makeWeft((system) => startWeft(system)),
  };
  const systems: System[] = [];
  for (const name of names) {
    try {
      systems.push(await make[name]());
    } catch (error) {
      // A kernel without vxlan is a fact about the machine; weft itself not starting is a failure of the bench.
      if (name === "weft") throw error;
      notes.push(`${name} is missing: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return systems;
}

export async function e2e(ask: E2eAsk): Promise<E2eAnswer> {
  const notes: string[] = [];
  makeHosts();
  const systems = await makeSystems(
    SYSTEMS.filter((s) => ask.systems.includes(s)),
    notes,
  );
  const readings = new Map<string, Reading[]>();
  const key = (system: System, regime: Regime, c: Case): string => `${system.name} ${regime} ${c.name}`;
  for (let round = 1; round <= ask.rounds; round++) {
    for (const regime of REGIMES) {
      setRegime(regime, systems);
      // GRO on means another receive path of the veth: let the switch settle.
      await sleep(100);
      for (const c of CASES) {
        for (const system of systems) {
          const reading = await measure(system, c, ask.seconds).catch((error: unknown) => {
            throw new Error(`${system.daemons?.failure() ?? (error as Error).message} (${key(system, regime, c)})`);
          });
          process.stderr.write(
            `round ${round}/${ask.rounds} ${key(system, regime, c).padEnd(36)} ${reading.value.toFixed(2)} ${c.unit}\n`,
          );
          const list = readings.get(key(system, regime, c)) ?? [];
          readings.set(key(system, regime, c), [...list, reading]);
        }
      }
    }
  }
  await Promise.all(systems.map((system) => system.daemons?.stop()));
  const rows = REGIMES.flatMap((regime) =>
    CASES.flatMap((c) => systems.map((system) => toRow(system, regime, c, readings.get(key(system, regime, c)) ?? []))),
  );
  return { rows, notes };
}

function toRow(system: System, regime: Regime, c: Case, readings: readonly Reading[]): Row {
  const names = Object.keys(readings[0]?.more ?? {});
  const more = Object.fromEntries(names.map((n) => [n, spread(readings.map((r) => r.more[n] ?? Number.NaN))]));
  const facts = {
    suite: "e2e",
    name: c.name,
    unit: c.unit,
    ...(c.size === undefined ? {} : { size: c.size }),
  } as const;
  return row(
    { ...facts, system: system.name, regime, layer: 2, cipher: "none", mtu: INNER_MTU, more },
    readings.map((r) => r.value),
  );
}

serveInside(e2e);
