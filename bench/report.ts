/** Tables from a result: for the terminal, and the short one for README.md. */
import type { Result, Row } from "./result.js";
import { type Cells, figure, markdownTable, plainTable } from "./table.js";

/** Median with quartiles: `4.56 (4.21–4.80)`. */
const withSpread = (row: Row): string => `${figure(row.median)} (${figure(row.q1)}–${figure(row.q3)})`;
const extra = (row: Row | undefined, name: string, scale = 1): string => {
  const found = row?.more?.[name];
  return found ? figure(found.median * scale) : "";
};

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

function path(rows: readonly Row[]): string {
  const cells: Cells = [
    ["path in memory", "octets", "ns/frame", "quartiles", "M frames/s", "Gbit/s"],
    ...rows.map((r) => [
      r.name,
      String(r.size ?? ""),
      figure(r.median),
      `${figure(r.q1)}–${figure(r.q3)}`,
      figure(1e3 / r.median),
      figure(((r.size ?? 0) * 8) / r.median),
    ]),
  ];
  return `From a container's frame on A to the delivered frame on B, without system calls\n\n${plainTable(cells)}`;
}

function find(rows: readonly Row[], regime: string, system: string, name: string): Row | undefined {
  return rows.find((r) => r.regime === regime && r.system === system && r.name === name);
}
const unique = (values: readonly (string | undefined)[]): string[] => [
  ...new Set(values.filter((v) => v !== undefined)),
];

type Column = readonly [title: string, name: string, scale?: number];

function e2eTable(rows: readonly Row[], columns: readonly Column[], withMedian: boolean): string {
  const cells: Cells = [
    [
      "regime",
      "case",
      "system",
      ...(withMedian ? ["median", "quartiles", ""] : []),
      ...columns.map(([title]) => title),
    ],
    ...rows.map((r) => [
      r.regime ?? "",
      r.size === undefined ? r.name : `${r.name}, ${r.size} octets`,
      r.system ?? "",
      ...(withMedian ? [figure(r.median), `${figure(r.q1)}–${figure(r.q3)}`, r.unit] : []),
      ...columns.map(([, name, scale]) => extra(r, name, scale)),
    ]),
  ];
  return plainTable(cells, 3);
}

function e2e(rows: readonly Row[]): string {
  const first = rows[0];
  const facts = first ? `layer ${first.layer}, cipher ${first.cipher}, inner MTU ${first.mtu}` : "";
  const got: readonly Column[] = [
    ["CPU s/GB", "cpuSecondsPerGB"],
    ["of it weft", "daemonCpuSecondsPerGB"],
    ["offered", "offeredKpps"],
    ["lost %", "lostShare", 100],
    ["p99 µs", "p99Us"],
  ];
  const how: readonly Column[] = [
    ["cores busy", "busyCores"],
    ["octets/frame", "wireOctetsPerFrame"],
    ["retransmits", "retransmits"],
    ["frames/call", "framesPerCall"],
    ["syscalls/frame", "syscallsPerFrame"],
    ["drops", "drops"],
  ];
  return (
    `End to end, container to container (${facts}; CPU is the whole box)\n\n${e2eTable(rows, got, true)}\n\n` +
    `How it was carried (medians; octets/frame on the underlay; frames/call and system calls of both weft daemons)\n\n${e2eTable(rows, how, false)}`
  );
}

/** Everything a result says, for a terminal. */
export function textReport(result: Result): string {
  const of = (suite: Row["suite"]): Row[] => result.rows.filter((r) => r.suite === suite);
  const { machine } = result;
  const parts = [
    `${machine.cpu}, ${machine.cores} cores, ${machine.virtual ? "virtual" : "bare metal"}, Linux ${machine.kernel}, ` +
      `Node ${machine.node}, commit ${machine.commit}\n${result.date}, ${result.rounds} rounds of ${result.seconds} s, ` +
      `box ${Math.round(machine.busyBefore * 100)} % busy before the run`,
  ];
  if (of("micro").length > 0) parts.push(micro(of("micro")));
  if (of("path").length > 0) parts.push(path(of("path")));
  if (of("e2e").length > 0) parts.push(e2e(of("e2e")));
  if (machine.busyBefore > 0.05) {
    parts.push(
      "Other work keeps this machine busy: the figures say little. Ratios within one run still mean something.",
    );
  }
  parts.push(...result.notes.map((note) => `Note: ${note}`));
  return `${parts.join("\n\n")}\n`;
}

/** The figures for README.md. */
export function markdownReport(result: Result, file: string): string {
  const rows = result.rows.filter((r) => r.suite === "e2e");
  if (rows.length === 0)
    throw new Error(`bench: ${file} has no end-to-end figures: run without --only, or with e2e in it`);
  const { machine } = result;
  const names = unique(rows.map((r) => r.name));
  const systems = unique(rows.map((r) => r.system));
  const regimes = unique(rows.map((r) => r.regime));
  const title = (name: string): string => {
    const row = rows.find((r) => r.name === name);
    return row?.size === undefined ? `${name}, ${row?.unit}` : `${name} ${row.size} octets, ${row.unit}`;
  };
  const cells: Cells = [
    ["regime", "system", ...names.map(title), "CPU s/GB (TCP)"],
    ...regimes.flatMap((regime) =>
      systems.map((system) => {
        const found = names.map((name) => find(rows, regime, system, name));
        const tcp = found.filter((r) => r?.more?.cpuSecondsPerGB).map((r) => extra(r, "cpuSecondsPerGB"));
        return [regime, system, ...found.map((r) => (r ? withSpread(r) : "")), tcp.join(" / ")];
      }),
    ),
  ];
  const inMemory = result.rows.filter((r) => r.suite === "path");
  const sizes = unique(inMemory.map((r) => r.size?.toString()));
  const byName = unique(inMemory.map((r) => r.name));
  const memoryCells: Cells = [
    ["in memory, ns per frame", ...sizes.map((s) => `${s} octets`)],
    ...byName.map((name) => [
      name,
      ...sizes.map((size) => {
        const row = inMemory.find((r) => r.name === name && String(r.size) === size);
        return row ? withSpread(row) : "";
      }),
    ]),
  ];
  const load = ["framesPerCall", "syscallsPerFrame"] as const;
  const weft = rows.filter((r) => r.system === "weft" && r.more?.framesPerCall);
  const loadCells: Cells = [
    ["weft under load", "frames per WASM call", "system calls per frame"],
    ...weft.map((r) => [`${r.name}, ${r.regime}`, ...load.map((name) => extra(r, name))]),
  ];
  const busy =
    machine.busyBefore > 0.05 ? `; the machine was ${Math.round(machine.busyBefore * 100)} % busy with other work` : "";
  return [
    `Medians with quartiles of ${result.rounds} interleaved rounds of ${result.seconds} s. Layer 2, no encryption, inner MTU ` +
      `${rows[0]?.mtu ?? ""}. \`wire\` means segmentation and checksum offloads off, so that every datagram is MTU-sized. CPU ` +
      "seconds are those of the whole box, traffic programs included.",
    markdownTable(cells, 2),
    ...(inMemory.length > 0 ? [markdownTable(memoryCells)] : []),
    ...(weft.length > 0 ? [markdownTable(loadCells)] : []),
    `${machine.cpu}, ${machine.cores} ${machine.virtual ? "virtual " : ""}cores, Linux ${machine.kernel}, Node ${machine.node}, commit ` +
      `${machine.commit}, ${result.date.slice(0, 10)}${busy}. \`${result.command}\`; all figures: [${file}](${file}).`,
  ].join("\n\n");
}
