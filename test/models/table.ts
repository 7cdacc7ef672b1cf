/** What a test has measured, as rows of a table that test/run.mjs always prints; Markdown, so that it can stand in ARCHITECTURE.md. */
export function rowsOf(heads: readonly string[], rows: readonly (readonly (string | number)[])[]): string[] {
  const cells = [heads, ...rows].map((row) => row.map(String));
  const widths = heads.map((_, i) => Math.max(...cells.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(" | ")} |`;
  const [head, ...rest] = cells.map(line) as [string, ...string[]];
  return [head, `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`, ...rest];
}
