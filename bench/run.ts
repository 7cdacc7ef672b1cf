/** `npm run bench`: runs the benches asked for, prints their tables and writes the JSON beside. */

import { relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { E2eAnswer, E2eAsk } from "./e2e.js";
import { runInside } from "./inside.js";
import { describeMachine } from "./machine.js";
import { HELP, type Options, readOptions, UsageError } from "./options.js";
import { buildPeer } from "./peer.js";
import { profile } from "./profile.js";
import { updateReadme } from "./readme.js";
import { textReport } from "./report.js";
import { type Result, type Row, readResult, writeResult } from "./result.js";

const RESULTS = fileURLToPath(new URL("../results/", import.meta.url));

async function measure(options: Options, args: readonly string[]): Promise<Result> {
  const date = new Date();
  const machine = await describeMachine();
  const rows: Row[] = [];
  const notes: string[] = [];
  const say = (what: string): void => void process.stderr.write(`bench: ${what}\n`);
  if (options.only.includes("micro")) {
    say("functions of the WASM module");
    const { micro } = await import("./micro.js");
    rows.push(...(await micro({ seconds: options.once ? 0.1 : Math.max(options.seconds, 0.5) })));
  }
  if (options.only.includes("path")) {
    say("path in memory");
    const { path } = await import("./path.js");
    rows.push(...(await path({ rounds: options.rounds, seconds: options.once ? 0.1 : options.seconds })));
  }
  if (options.only.includes("e2e")) {
    say("end to end");
    buildPeer();
    const ask: E2eAsk = { rounds: options.rounds, seconds: options.seconds, systems: ["veth", "kernel-vxlan", "weft"] };
    const answer = await runInside<E2eAsk, E2eAnswer>("./e2e.js", ask);
    rows.push(...answer.rows);
    notes.push(...answer.notes);
  }
  if (options.once) notes.push("run with --once: shows that the benches work; its figures mean nothing");
  const command = ["npm run bench", ...(args.length > 0 ? ["--", ...args] : [])].join(" ");
  const { rounds, seconds } = options;
  return { schema: 1, date: date.toISOString(), command, rounds, seconds, machine, rows, notes };
}

async function main(args: readonly string[]): Promise<void> {
  const options = readOptions(args);
  if (options.help) {
    process.stdout.write(HELP);
    return;
  }
  if (options.profile) {
    process.stdout.write(await profile(options.seconds));
    return;
  }
  if (options.updateReadme) {
    updateReadme(readResult(options.updateReadme), options.updateReadme);
    return;
  }
  const result = await measure(options, args);
  process.stdout.write(`\n${textReport(result)}`);
  // A result of --once is worth no file unless somebody asks for one.
  if (options.once && options.json === undefined) return;
  const file = resolve(options.json ?? `${RESULTS}local-${result.date.slice(0, 19).replaceAll(":", "")}.json`);
  writeResult(file, result);
  process.stdout.write(`\nAll samples: ${relative(process.cwd(), file)}\n`);
  if (options.updateReadme === "") updateReadme(result, file);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`${message.startsWith("bench:") ? "" : "bench: "}${message}\n`);
  if (error instanceof UsageError) process.stderr.write(`\n${HELP}`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
