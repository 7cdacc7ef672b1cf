/** The tables of the sweeps: one quantity varied, everything else as it was. */
import type { Row } from "./result.js";
import { type Cells, plainTable, unique, withSpread } from "./table.js";

/** Rows of one varied quantity: amounts side by side, and the last beside the first. */
function sweep(varied: string, rows: readonly Row[]): string {
  const amounts = [...new Set(rows.map((r) => r.amount ?? 0))].sort((a, b) => a - b);
  const smallest = amounts[0];
  const quantities = unique(rows.map((r) => `${r.name}\n${r.unit}`));
  const cells: Cells = [
    [
      varied,
      "",
      ...amounts.map((n) => n.toLocaleString("en-US")),
      ...amounts.slice(1).map((n) => `${n.toLocaleString("en-US")} ÷ ${smallest?.toLocaleString("en-US")}`),
    ],
    ...quantities.map((key) => {
      const [name = "", unit = ""] = key.split("\n");
      const at = (amount: number | undefined): Row | undefined =>
        rows.find((r) => r.name === name && r.unit === unit && r.amount === amount);
      return [
        name,
        unit,
        ...amounts.map((n) => withSpread(at(n))),
        ...amounts.slice(1).map((n) => withSpread(at(n)?.more?.ratio)),
      ];
    }),
  ];
  return plainTable(cells, 2);
}

export function sweepsReport(rows: readonly Row[]): string {
  const one = rows.filter((r) => r.varied === undefined);
  const cells: Cells = [["an idle daemon", "", ""], ...one.map((r) => [r.name, withSpread(r), r.unit])];
  return [
    "Sweeps: weft with one thing varied (ratios round by round, to the smallest amount)",
    ...unique(rows.map((r) => r.varied)).map((varied) =>
      sweep(
        varied,
        rows.filter((r) => r.varied === varied),
      ),
    ),
    ...(one.length > 0 ? [plainTable(cells)] : []),
  ].join("\n\n");
}
