/** Puts the figures of a result between a pair of markers in README.md, and its chart beside the result. */
import { readFileSync, writeFileSync } from "node:fs";
import { relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { chart } from "./chart.js";
import { encryptedReport, markdownReport } from "./report-markdown.js";
import type { Result } from "./result.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** Places for figures in README.md, each between markers of its name. */
const REPORTS = { bench: markdownReport, encrypted: encryptedReport } as const;
export type Block = keyof typeof REPORTS;

/**
 * Writes the chart of a result to the same path with the ending .svg.
 * @returns that path; undefined when the result has nothing to show
 */
export function writeChart(result: Result, file: string): string | undefined {
  const svg = chart(result);
  if (svg === undefined) return undefined;
  const path = file.replace(/(\.json)?$/, ".svg");
  writeFileSync(path, svg);
  return path;
}

/**
 * @param file where the result lies; named below the table
 * @param block which place of README.md is written
 * @throws Error when README.md has no pair of markers
 */
export function updateReadme(result: Result, file: string, block: Block): void {
  const [startMark, endMark] = [`<!-- ${block}:start -->`, `<!-- ${block}:end -->`];
  const path = resolve(ROOT, "README.md");
  const text = readFileSync(path, "utf8");
  const start = text.indexOf(startMark);
  const end = text.indexOf(endMark);
  if (start < 0 || end < start)
    throw new Error(`bench: README.md has no place for figures: it needs ${startMark} and ${endMark}`);
  const image = writeChart(result, file);
  const fromRoot = (name: string): string => relative(ROOT, resolve(name));
  const figures = REPORTS[block](result, fromRoot(file), image && fromRoot(image));
  writeFileSync(path, `${text.slice(0, start + startMark.length)}\n\n${figures}\n\n${text.slice(end)}`);
}
