/** Plain tables for terminals: columns as wide as their longest cell, numbers to the right. */

export type Cell = string | number;

export function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const right = head.map((_, i) => rows.length > 0 && rows.every((r) => /^[\d.]+$/.test(String(r[i]))));
  const lines = [head, ...rows].map((r) => r.map((cell) => (typeof cell === "number" ? grouped(cell) : plain(cell))));
  const width = head.map((_, i) => Math.max(...lines.map((l) => (l[i] ?? "").length)));
  return lines
    .map((l) =>
      l
        .map((cell, i) => (right[i] ? cell.padStart(width[i] ?? 0) : cell.padEnd(width[i] ?? 0)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** Names come from other hosts: what would move the cursor is shown as a question mark. */
function plain(text: string): string {
  return text.replace(/\p{C}/gu, "?");
}

/** 1234567 as 1,234,567. */
export function grouped(n: number): string {
  return n.toLocaleString("en-US", { maximumFractionDigits: 1 });
}

/** Octets in a unit that people read: 1.5 MiB. */
export function octets(n: number, digits = 1): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  let value = n;
  while (value >= 1024 && at < units.length - 1) [value, at] = [value / 1024, at + 1];
  return `${at === 0 ? value : value.toFixed(digits)} ${units[at]}`;
}

/** Seconds as 3d 4h, 5m 2s. */
export function span(seconds: number): string {
  const s = Math.floor(seconds);
  const parts: [number, string][] = [
    [Math.floor(s / 86_400), "d"],
    [Math.floor(s / 3600) % 24, "h"],
    [Math.floor(s / 60) % 60, "m"],
    [s % 60, "s"],
  ];
  const first = parts.findIndex(([n]) => n > 0);
  if (first < 0) return "0s";
  return parts
    .slice(first, first + 2)
    .map(([n, unit]) => `${n}${unit}`)
    .join(" ");
}
