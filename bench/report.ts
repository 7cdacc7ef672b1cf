/** Everything a result says, for a terminal. What README.md gets is in readme.ts. */
import { encryptionRemarks, encryptionTables } from "./encryption.js";
import { e2eReport } from "./report-e2e.js";
import { sweepsReport } from "./report-sweeps.js";
import { type Result, type Row, ratioTo } from "./result.js";
import { type Cells, extra, figure, plainTable, withSpread } from "./table.js";

function micro(rows: readonly Row[]): string {
  const cells: Cells = [
    ["function", "octets", "median", "quartiles", "", "µs per call", "GB/s", "samples"],
    ...rows.map((r) => [
      r.name,
      r.size?.toString() ?? "",
      figure(r.median),
      `${figure(r.q1)}–${figure(r.q3)}`,
      r.unit,
      extra(r, "microsecondsPerCall"),
      extra(r, "gigabytesPerSecond"),
      String(r.samples.length),
    ]),
  ];
  return `Functions of the WASM module (Benchmark.js; one call is one batch)\n\n${plainTable(cells)}`;
}

function aead(rows: readonly Row[]): string {
  const libsodium = (r: Row): Row | undefined =>
    rows.find((x) => x.size === r.size && x.system === "libsodium-wrappers");
  const openssl = (r: Row): Row | undefined => rows.find((x) => x.size === r.size && x.system === "openssl speed");
  const cells: Cells = [
    ["octets", "by", "GB/s", "quartiles", "÷ libsodium-wrappers", "÷ openssl speed"],
    ...rows.map((r) => [
      String(r.size),
      r.system ?? "",
      figure(r.median),
      `${figure(r.q1)}–${figure(r.q3)}`,
      withSpread(ratioTo(r, libsodium(r))),
      withSpread(ratioTo(r, openssl(r))),
    ]),
  ];
  return `ChaCha20-Poly1305, one message after the other (weft's in one call of the module, the others' one call each)\n\n${plainTable(cells)}`;
}

function path(rows: readonly Row[]): string {
  const cells: Cells = [
    ["path in memory", "octets", "median", "quartiles", "", "Gbit/s"],
    ...rows.map((r) => [
      r.name,
      String(r.size ?? ""),
      figure(r.median),
      `${figure(r.q1)}–${figure(r.q3)}`,
      r.unit,
      extra(r, "gigabitsPerSecond"),
    ]),
  ];
  return (
    "From a container's frame on A to the delivered frame on B, without system calls (two workers: frames per second of\n" +
    `both at once, over those of one alone in the same round)\n\n${plainTable(cells)}`
  );
}

function encryption(rows: readonly Row[]): string[] {
  const remarks = encryptionRemarks(rows).map((text) => `Note: ${text}`);
  return [...encryptionTables(rows).map((t) => `${t.title}\n\n${plainTable(t.cells, t.left)}`), ...remarks];
}

export function textReport(result: Result): string {
  const of = (suite: Row["suite"]): Row[] => result.rows.filter((r) => r.suite === suite);
  const { machine } = result;
  const parts = [
    `${machine.cpu}, ${machine.cores} cores, ${machine.virtual ? "virtual" : "bare metal"}, Linux ${machine.kernel}, ` +
      `Node ${machine.node}, commit ${machine.commit}\n${result.date}, ${result.rounds} rounds of ${result.seconds} s, ` +
      `box ${Math.round(machine.busyBefore * 100)} % busy before the run`,
  ];
  for (const [suite, print] of [
    ["micro", micro],
    ["aead", aead],
    ["path", path],
    ["e2e", e2eReport],
    ["sweeps", sweepsReport],
  ] as const) {
    if (of(suite).length > 0) parts.push(print(of(suite)));
  }
  parts.push(...encryption(result.rows));
  if (machine.busyBefore > 0.05) {
    parts.push(
      "Other work keeps this machine busy: the figures say little. Ratios within one run still mean something.",
    );
  }
  parts.push(...result.notes.map((note) => `Note: ${note}`));
  return `${parts.join("\n\n")}\n`;
}
