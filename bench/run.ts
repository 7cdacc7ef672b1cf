/** `npm run bench`: runs the benches asked for, prints their tables and writes the JSON beside. */

import { dirname, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { compare, hasRegressed, ROUNDS_MIN, textComparison } from "./compare.js";
import type { E2eAnswer, E2eAsk } from "./e2e.js";
import { runInside } from "./inside.js";
import { describeMachine } from "./machine.js";
import { HELP, type Options, readOptions, UsageError } from "./options.js";
import { profile } from "./profile.js";
import { updateReadme, writeChart } from "./readme.js";
import { textReport } from "./report.js";
import { mustBeWritable, type Result, type Row, readResult, type Suite, writeResult } from "./result.js";
import type { SweepsAsk } from "./sweep.js";
import type { SweepsAnswer } from "./sweeps.js";
import { serveTests, testTo } from "./two-machines.js";

const RESULTS = fileURLToPath(new URL("../results/", import.meta.url));

/** @returns the result, and whether weft or a suite did not do what it was asked. */
async function measure(options: Options, args: readonly string[]): Promise<{ result: Result; failed: boolean }> {
  const date = new Date();
  const machine = await describeMachine();
  const { rounds, seconds, once } = options;
  const rows: Row[] = [];
  const notes: string[] = [];
  let failed = false;
  /** One suite that fails must not cost the figures of the others. */
  const part = async (suite: Suite, what: string, work: () => Promise<Partial<E2eAnswer>>): Promise<void> => {
    if (!options.only.includes(suite)) return;
    process.stderr.write(`bench: ${what}\n`);
    try {
      const answer = await work();
      rows.push(...(answer.rows ?? []));
      notes.push(...(answer.notes ?? []));
      failed ||= answer.failed === true;
    } catch (error) {
      failed = true;
      notes.push(`${what} failed: ${(error instanceof Error ? error.message : String(error)).replace(/^bench: /, "")}`);
    }
  };
  await part("micro", "functions of the WASM module", async () => {
    const { micro } = await import("./micro.js");
    return { rows: await micro({ seconds: once ? 0.1 : Math.max(seconds, 0.5) }) };
  });
  await part("aead", "ChaCha20-Poly1305 beside others", async () => {
    const { aead } = await import("./aead.js");
    return await aead({ rounds, seconds: once ? 0.02 : seconds });
  });
  await part("path", "path in memory", async () => {
    const { path } = await import("./path.js");
    return { rows: await path({ rounds, seconds: once ? 0.1 : seconds }) };
  });
  await part("e2e", "end to end", () => runInside<E2eAsk, E2eAnswer>("./e2e.js", options));
  await part("sweeps", "sweeps", () => runInside<SweepsAsk, SweepsAnswer>("./sweeps.js", { rounds, seconds, once }));
  if (rows.length === 0) throw new Error(notes.join("; ") || "bench: nothing was measured");
  if (options.loss > 0) notes.push(`the search for the rate without loss allowed ${options.loss * 100} % of loss`);
  if (options.only.includes("e2e") && options.cases.includes("zero-loss")) {
    notes.push(`rates without loss come from trials of ${options.trial} s (RFC 2544 wants 60 s)`);
  }
  if (once) notes.push("run with --once: shows that the benches work; its figures mean nothing");
  const command = ["npm run bench", ...(args.length > 0 ? ["--", ...args] : [])].join(" ");
  return { result: { schema: 1, date: date.toISOString(), command, rounds, seconds, machine, rows, notes }, failed };
}

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  if (options.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const { machines } = options;
  const block = options.encrypted ? "encrypted" : "bench";
  if (machines?.role === "serve") return await serveTests(machines.at);
  if (machines) return await testTo(machines.at, options.seconds, options.trial, options.loss);
  if (options.profile) {
    process.stdout.write(await profile(options));
    return 0;
  }
  if (options.updateReadme) {
    updateReadme(readResult(options.updateReadme), options.updateReadme, block);
    return 0;
  }
  // Before anything is measured: is it there at all, and is there a place for the result?
  const wanted = options.json === undefined ? undefined : resolve(options.json);
  if (wanted !== undefined) mustBeWritable(wanted);
  if (wanted !== undefined && options.updateReadme === "" && dirname(wanted) !== resolve(RESULTS))
    throw new UsageError(`--json ${options.json}: README.md shows results in bench/results only`);
  const before = options.compare === undefined ? undefined : readResult(options.compare);
  if (before && Math.min(before.rounds, options.rounds) < ROUNDS_MIN)
    throw new Error(`bench: --compare needs at least ${ROUNDS_MIN} rounds in both runs`);
  const { result, failed } = await measure(options, args);
  process.stdout.write(`\n${textReport(result)}`);
  // A result of --once is worth no file unless somebody asks for one.
  if (!options.once || options.json !== undefined) {
    const file = wanted ?? resolve(`${RESULTS}local-${result.date.slice(0, 19).replaceAll(":", "")}.json`);
    writeResult(file, result);
    process.stdout.write(`\nAll samples: ${relative(process.cwd(), file)}\n`);
    const image = writeChart(result, file);
    if (image !== undefined) process.stdout.write(`Chart: ${relative(process.cwd(), image)}\n`);
    if (options.updateReadme === "") updateReadme(result, file, block);
  }
  if (failed) process.stderr.write("bench: something failed: see the notes above\n");
  if (!before) return failed ? 1 : 0;
  const comparison = compare(before, result);
  process.stdout.write(`\n${textComparison(comparison, options.compare ?? "")}`);
  return failed || hasRegressed(comparison) ? 1 : 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`${message.startsWith("bench:") ? "" : "bench: "}${message}\n`);
  if (error instanceof UsageError) process.stderr.write("see `npm run bench -- --help`\n");
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
