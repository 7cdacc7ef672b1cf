/** Puts the figures of a result between two markers in README.md. */
import { readFileSync, writeFileSync } from "node:fs";
import { relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { markdownReport } from "./report.js";
import type { Result } from "./result.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const START = "<!-- bench:start -->";
const END = "<!-- bench:end -->";

/**
 * @param file where the result lies; named below the table
 * @throws Error when README.md has no pair of markers
 */
export function updateReadme(result: Result, file: string): void {
  const path = resolve(ROOT, "README.md");
  const text = readFileSync(path, "utf8");
  const start = text.indexOf(START);
  const end = text.indexOf(END);
  if (start < 0 || end < start)
    throw new Error(`bench: README.md has no place for figures: it needs ${START} and ${END}`);
  const table = markdownReport(result, relative(ROOT, resolve(file)));
  writeFileSync(path, `${text.slice(0, start + START.length)}\n\n${table}\n\n${text.slice(end)}`);
}
