/**
 * Sweeps: weft with one thing varied and everything else as it was. Pairs of hosts that differ in that one thing run at
 * once and take turns round by round; ratios are to the smallest amount in the same round.
 *
 * Runs inside its own namespaces (inside.ts).
 */
import { serveInside } from "./inside.js";
import { makeLab } from "./lab.js";
import { buildPeer } from "./peer.js";
import type { Row } from "./result.js";
import type { SweepsAsk } from "./sweep.js";
import { sweepFlood } from "./sweep-flood.js";
import { sweepFlows } from "./sweep-flows.js";
import { idleDaemon, sweepPorts } from "./sweep-idle.js";
import { buildRaw } from "./sweep-raw.js";
import { sweepWorkers } from "./sweep-workers.js";

export interface SweepsAnswer {
  readonly rows: Row[];
  readonly notes: string[];
  /** One of them did not come to an end. */
  readonly failed: boolean;
}

async function sweeps(ask: SweepsAsk): Promise<SweepsAnswer> {
  buildPeer();
  buildRaw();
  makeLab();
  const rows: Row[] = [];
  const notes: string[] = [];
  const each: readonly (readonly [string, () => Promise<Row[]>])[] = [
    ["an idle daemon", () => idleDaemon(ask)],
    ["ports", () => sweepPorts(ask)],
    ["workers", () => sweepWorkers(ask)],
    ["VTEPs", () => sweepFlood(ask)],
    ["flows and MACs", () => sweepFlows(ask, notes)],
  ];
  let failed = false;
  for (const [name, sweep] of each) {
    try {
      rows.push(...(await sweep()));
    } catch (error) {
      failed = true;
      notes.push(
        `sweep of ${name}: ${(error instanceof Error ? error.message : String(error)).replace(/^bench: /, "")}`,
      );
    }
  }
  return { rows, notes, failed };
}

serveInside(sweeps);
