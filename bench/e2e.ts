/**
 * End to end: what an application in a container gets, beside what it would get over the kernel's own ways and over
 * other overlays. Rounds are interleaved (A B C A B C …), so that what else the machine does hits all alike.
 *
 * Runs inside its own namespaces (inside.ts). CPU seconds are those of the whole box, traffic programs included: a
 * write to a TAP runs the receiver's TCP stack on the writer's account, so no single process can be billed.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type Case, type CaseId, casesOf, type Memory, measure, type Plan, type Reading } from "./cases.js";
import { serveInside } from "./inside.js";
import { makeHosts, makeLab, type Regime, setRegime } from "./lab.js";
import { Notes } from "./notes.js";
import { buildPeer } from "./peer.js";
import { type Row, row, YARDSTICKS } from "./result.js";
import { isWide, known, spread } from "./stats.js";
import { PEERS, startSystems } from "./systems/all.js";
import type { System } from "./systems/system.js";

export interface E2eAsk extends Plan {
  readonly rounds: number;
  readonly systems: readonly string[];
  readonly regimes: readonly Regime[];
  readonly cases: readonly CaseId[];
}
export interface E2eAnswer {
  readonly rows: Row[];
  readonly notes: string[];
  /** A system of ours did not do what it was asked. */
  readonly failed: boolean;
}

/** Both containers on one host: no underlay, so nothing to switch. */
const LOCAL = "local";
type Setting = Regime | typeof LOCAL;
/** Quartiles of a yardstick further apart than this want more rounds, up to twice as many. */
const WIDE = 1.3;

/** All readings of one case over one system in one setting. */
interface Series {
  readonly system: System;
  readonly setting: Setting;
  readonly of: Case;
  /** null: no value in that round. */
  readonly readings: (Reading | null)[];
  readonly memory: Memory;
  /** Rounds that ended with an error. */
  errors: number;
}

export async function e2e(ask: E2eAsk): Promise<E2eAnswer> {
  const notes = new Notes();
  buildPeer();
  makeLab();
  const systems = await startSystems(
    PEERS.filter(({ name }) => ask.systems.includes(name)),
    makeHosts(),
    notes.plain,
  );
  const series = makeSeries(systems, ask);
  try {
    for (let round = 1; round <= ask.rounds; round++) await runRound(series, ask, notes, `${round}/${ask.rounds}`);
    const wide = series.filter(
      (s) => s.of.id !== "iperf3" && s.system.name === yardstickOf(series, s) && isWide(values(s), WIDE),
    );
    await addRounds(series, wide, ask, notes);
  } finally {
    await Promise.all(systems.map((system) => system.stop()));
  }
  const failed = series.some((s) => s.errors > 0 && isOurs(s.system));
  return { rows: series.map(toRow), notes: notes.all(), failed };
}

const isOurs = (system: System): boolean => system.weft !== undefined;
const values = (s: Series): (number | null)[] => s.readings.map((r) => r?.value ?? null);

function makeSeries(systems: readonly System[], ask: E2eAsk): Series[] {
  const settings: Setting[] = [...ask.regimes, LOCAL];
  return settings.flatMap((setting) => {
    const those = systems.filter((s) => (s.scope === "local") === (setting === LOCAL));
    const memories = new Map(those.map((s) => [s.name, {} as Memory]));
    // Once means each case once: the second regime shows that it can be switched to, what encrypts that it carries.
    const ids = ask.once && setting === "wire" ? ask.cases.filter((id) => id === "tcp") : ask.cases;
    const isAsked = (system: System, of: Case): boolean => !ask.once || system.cipher === "none" || of.id === ids[0];
    return casesOf(ids, setting === LOCAL, ask.iperf3).flatMap((of) =>
      those
        .filter((system) => isAsked(system, of))
        .map((system) => ({
          system,
          setting,
          of,
          readings: [],
          memory: memories.get(system.name) as Memory,
          errors: 0,
        })),
    );
  });
}

/** Every series once. */
async function runRound(series: readonly Series[], plan: Plan, notes: Notes, label: string): Promise<void> {
  let setting: Setting | undefined;
  for (const s of series) {
    if (s.setting !== setting) {
      setting = s.setting;
      if (setting !== LOCAL) {
        setRegime(
          setting,
          series.map(({ system }) => system),
        );
        // GRO on means another receive path of the veth: let the switch settle.
        await sleep(100);
      }
    }
    const what = `${s.system.name}, ${s.setting}, ${s.of.title}`;
    const reading = await read(s, plan, notes, what);
    s.readings.push(reading);
    const said = reading?.value == null ? "no value" : `${reading.value.toFixed(2)} ${s.of.unit}`;
    process.stderr.write(`round ${label} ${what.padEnd(48)} ${said}\n`);
  }
}

/** One reading, or null with a note: one system that fails must not cost the figures of the others. */
async function read(s: Series, plan: Plan, notes: Notes, what: string): Promise<Reading | null> {
  const before = s.system.failure();
  try {
    if (before !== undefined) throw new Error(before);
    const reading = await measure(s.system, s.of, plan, s.memory);
    notes.dropped(what, reading.unwanted);
    return reading.value === null ? null : reading;
  } catch (error) {
    s.errors++;
    const why = s.system.failure() ?? (error instanceof Error ? error.message : String(error));
    notes.once(before === undefined ? `${what}: ${why.replace(/^bench: /, "")}` : `${s.system.name}: ${before}`);
    return null;
  }
}

function yardstickOf(series: readonly Series[], s: Series): string | undefined {
  return YARDSTICKS.find((name) => series.some((x) => x.system.name === name && x.setting === s.setting));
}

/** Further rounds of the cases in which the yardstick itself scatters, for all systems alike. */
async function addRounds(series: readonly Series[], wide: readonly Series[], ask: E2eAsk, notes: Notes): Promise<void> {
  for (const yardstick of wide) {
    const those = series.filter((s) => s.setting === yardstick.setting && s.of === yardstick.of);
    let extra = 0;
    while (extra < ask.rounds && isWide(values(yardstick), WIDE)) {
      extra++;
      await runRound(those, ask, notes, `+${extra}`);
    }
    const { q1, q3 } = spread(values(yardstick));
    notes.plain.push(
      `${yardstick.of.title}, ${yardstick.setting}: quartiles of ${yardstick.system.name} itself lay more than ${WIDE} times apart ` +
        `after ${ask.rounds} rounds; after ${ask.rounds + extra} they are ${(q3 / q1).toFixed(2)} times apart`,
    );
  }
}

function toRow({ system, setting, of, readings }: Series): Row {
  const names = [...new Set(readings.flatMap((r) => Object.keys(r?.more ?? {})))];
  const more = Object.fromEntries(
    names.map((name) => {
      const samples = readings.map((r) => r?.more[name] ?? null).map((x) => (Number.isFinite(x) ? x : null));
      return [name, { ...spread(samples), samples }];
    }),
  );
  return row(
    {
      suite: "e2e",
      name: of.name,
      unit: of.unit,
      ...(of.size === undefined ? {} : { size: of.size }),
      system: system.name,
      regime: setting,
      layer: system.layer,
      cipher: system.cipher,
      mtu: system.mtu,
      version: system.version,
      more: Object.fromEntries(Object.entries(more).filter(([, q]) => known(q.samples).length > 0)),
    },
    readings.map((r) => r?.value ?? null),
  );
}

serveInside(e2e);
