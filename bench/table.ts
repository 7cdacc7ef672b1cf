/** Plain tables for a terminal and for Markdown, from the same cells. */
import type { Row } from "./result.js";
import type { Spread } from "./stats.js";

export type Cells = readonly (readonly string[])[];

/** Columns padded with spaces; the first `left` columns are flush left. The first row is the heading. */
export function plainTable(cells: Cells, left = 1): string {
  const widths = (cells[0] ?? []).map((_, i) => Math.max(...cells.map((line) => [...(line[i] ?? "")].length)));
  const text = (line: readonly string[]): string =>
    line
      .map((cell, i) => {
        const space = " ".repeat(Math.max(0, (widths[i] ?? 0) - [...cell].length));
        return i < left ? cell + space : space + cell;
      })
      .join("  ")
      .trimEnd();
  const [head = [], ...body] = cells;
  return [text(head), widths.map((w) => "-".repeat(w)).join("  "), ...body.map(text)].join("\n");
}

export function markdownTable(cells: Cells, left = 1): string {
  const line = (row: readonly string[]): string => `| ${row.join(" | ")} |`;
  const [head = [], ...body] = cells;
  return [line(head), line(head.map((_, i) => (i < left ? "---" : "---:"))), ...body.map(line)].join("\n");
}

/** A number with three significant digits, without exponent: 0.00123, 4.56, 123, 45,678. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toLocaleString("en-US", {
    minimumFractionDigits: Math.min(digits, 4),
    maximumFractionDigits: Math.min(digits, 4),
  });
}

/** Median with quartiles: `4.56 (4.21–4.80)`; nothing for nothing. */
export function withSpread(s: Spread | undefined): string {
  return s && Number.isFinite(s.median) ? `${figure(s.median)} (${figure(s.q1)}–${figure(s.q3)})` : "";
}

/** Median of a further quantity of a row, or nothing. */
export function extra(r: Row | undefined, name: string, scale = 1): string {
  const found = r?.more?.[name];
  return found && Number.isFinite(found.median) ? figure(found.median * scale) : "";
}

export const unique = (values: readonly (string | undefined)[]): string[] => [
  ...new Set(values.filter((v) => v !== undefined)),
];
