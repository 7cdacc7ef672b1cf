/** The figures for README.md. */
import { encryptionRemarks, encryptionTables } from "./encryption.js";
import { titleOf } from "./report-e2e.js";
import { lessIsBetter, peerOf, type Result, type Row, ratioTo, SEALED } from "./result.js";
import { type Cells, extra, figure, markdownTable, unique, withSpread } from "./table.js";

/** One row per regime and system, one column per case: `4.56 (4.21–4.80), 0.92×`. */
function e2eTable(rows: readonly Row[], all: readonly Row[], yardstick: string): string {
  const cases = unique(rows.map(titleOf));
  const unitOf = (name: string): string => rows.find((r) => titleOf(r) === name)?.unit ?? "";
  const hasCpu = rows.some((r) => r.more?.cpuSecondsPerGB);
  const cell = (r: Row | undefined): string => {
    if (!r || !Number.isFinite(r.median)) return "";
    const ratio = r.system === yardstick ? undefined : ratioTo(r, peerOf(all, r, yardstick));
    const lost = r.more?.lostShare?.median ?? 0;
    const loss = lost >= 0.005 ? `, ${Math.round(lost * 100)} % lost` : "";
    return withSpread(r) + (ratio ? `, **${figure(ratio.median)}×**` : "") + loss;
  };
  const cells: Cells = [
    ["regime", "system", ...cases.map((name) => `${name}, ${unitOf(name)}`), ...(hasCpu ? ["CPU s/GB (TCP)"] : [])],
    ...unique(rows.map((r) => r.regime)).flatMap((regime) =>
      unique(rows.map((r) => r.system)).map((system) => {
        const mine = rows.filter((r) => r.regime === regime && r.system === system);
        const tcp = mine.find((r) => r.more?.cpuSecondsPerGB);
        const found = cases.map((name) => cell(mine.find((r) => titleOf(r) === name)));
        return [regime, system, ...found, ...(hasCpu ? [extra(tcp, "cpuSecondsPerGB")] : [])];
      }),
    ),
  ];
  return markdownTable(
    cells.filter((line, i) => i === 0 || line.slice(2).some((text) => text !== "")),
    2,
  );
}

/** weft beside the yardsticks, with quartiles: rates, delays, and CPU per octet or packet. */
function ratiosTable(all: readonly Row[]): string {
  const yardsticks = [
    ["kernel-vxlan", "÷ kernel VXLAN"],
    ["relay", "÷ C relay"],
  ] as const;
  const ours = all.filter((r) => r.system === "weft" && !isNamed(r, "TCP a→b, iperf3"));
  const cells: Cells = [
    ["weft", ...yardsticks.map(([, title]) => title), ...yardsticks.map(([, title]) => `CPU ${title}`)],
    ...ours.map((r) => {
      const cpu = r.more?.cpuSecondsPerGB ? "cpuSecondsPerGB" : "cpuMicrosecondsPerPacket";
      const to = (name: string, quantity?: string): string => withSpread(ratioTo(r, peerOf(all, r, name), quantity));
      return [
        `${titleOf(r)}, ${r.regime}`,
        ...yardsticks.map(([name]) => to(name)),
        ...yardsticks.map(([name]) => to(name, cpu)),
      ];
    }),
  ];
  return markdownTable(cells);
}

/** One line per system. */
function systemsTable(rows: readonly Row[]): string {
  const first = unique(rows.map((r) => r.system)).map((name) => rows.find((r) => r.system === name) as Row);
  const cells: Cells = [
    ["system", "layer", "cipher", "MTU", "version"],
    ...first.map((r) => [r.system ?? "", String(r.layer ?? ""), r.cipher ?? "", String(r.mtu ?? ""), r.version ?? ""]),
  ];
  return markdownTable(cells, 5);
}

function pathTable(rows: readonly Row[]): string {
  const cells: Cells = [
    ["in memory", "octets", "median (quartiles)", ""],
    ...rows
      .filter((r) => !/^(egress|ingress), /.test(r.name))
      .map((r) => [r.name, String(r.size ?? ""), withSpread(r), r.unit]),
  ];
  return markdownTable(cells);
}

function sweepsTable(rows: readonly Row[]): string {
  const cells: Cells = [
    ["weft alone", "median (quartiles)", "", "÷ the smallest amount"],
    ...rows.map((r) => [
      r.varied === undefined ? r.name : `${r.name}, ${r.amount?.toLocaleString("en-US")} ${r.varied}`,
      withSpread(r),
      r.unit,
      extra(r, "ratio"),
    ]),
  ];
  return markdownTable(cells);
}

const isNamed = (r: Row, ...names: readonly string[]): boolean => names.includes(r.name);

/** Rows of README.md: one direction, one size. */
const shown = (all: readonly Row[]): Row[] =>
  all.filter((r) => !isNamed(r, "TCP b→a", "TCP ×4 b→a", "TCP a→b, iperf3") && (r.size === undefined || r.size === 64));

const listOf = (notes: readonly string[]): string[] =>
  notes.length > 0 ? [notes.map((note) => `- ${note}`).join("\n")] : [];

/** @throws Error when there are none */
function endToEnd(result: Result, file: string): Row[] {
  const rows = result.rows.filter((r) => r.suite === "e2e" && Number.isFinite(r.median));
  if (rows.length > 0) return rows;
  throw new Error(`bench: ${file} has no end-to-end figures: run without --only, or with e2e in it`);
}

/** Where, when and how a result was made. */
function footOf({ machine, date, command }: Result, file: string): string {
  const busy =
    machine.busyBefore > 0.05 ? `; the machine was ${Math.round(machine.busyBefore * 100)} % busy with other work` : "";
  return (
    `${machine.cpu}, ${machine.cores} ${machine.virtual ? "virtual " : ""}cores, Linux ${machine.kernel}, Node ${machine.node}, commit ` +
    `${machine.commit}, ${date.slice(0, 10)}${busy}. \`${command}\`; all figures: [${file}](${file}).`
  );
}

/**
 * @param file where the result lies, relative to the README
 * @param chart where its chart lies, if it has one
 * @throws Error when the result has nothing end to end
 */
export function markdownReport(result: Result, file: string, chart: string | undefined): string {
  const rows = endToEnd(result, file);
  const overlay = rows.filter((r) => r.regime !== "local");
  const local = rows.filter((r) => r.regime === "local");
  const plain = overlay.filter((r) => r.cipher === "none");
  const sealed = overlay.filter((r) => r.cipher !== "none");
  const delays = (all: readonly Row[]): Row[] => all.filter((r) => lessIsBetter(r.unit));
  const rates = (all: readonly Row[]): Row[] => all.filter((r) => !lessIsBetter(r.unit));
  const of = (suite: Row["suite"]): Row[] => result.rows.filter((r) => r.suite === suite);
  const tableOf = (some: readonly Row[], yardstick: string): string[] =>
    some.length > 0 ? [e2eTable(some, rows, yardstick)] : [];
  return [
    ...(chart === undefined ? [] : [`![weft beside other ways to join containers](${chart})`]),
    `Medians with quartiles of ${result.rounds} interleaved rounds of ${result.seconds} s; **×** is the ratio to kernel VXLAN, ` +
      "taken round by round. Without encryption; `wire` means segmentation and checksum offloads off, so that every " +
      "datagram is MTU-sized. CPU seconds are those of the whole box, traffic programs included.",
    ...tableOf(shown(rates(plain)), "kernel-vxlan"),
    ...tableOf(shown(delays(plain)), "kernel-vxlan"),
    ...(plain.some((r) => r.system === "weft") ? [ratiosTable(plain)] : []),
    ...(sealed.length > 0 ? ["Encrypted (× is to kernel VXLAN, which does not encrypt):"] : []),
    ...tableOf(shown(sealed), "kernel-vxlan"),
    ...(local.length > 0 ? ["Two containers of one host (× is to the Linux bridge):"] : []),
    ...tableOf(shown(local), "bridge"),
    systemsTable(rows),
    ...(of("path").length > 0 ? [pathTable(of("path"))] : []),
    ...(of("sweeps").length > 0 ? [sweepsTable(of("sweeps"))] : []),
    ...listOf(result.notes),
    footOf(result, file),
  ].join("\n\n");
}

/**
 * What encryption costs.
 * @param file where the result lies, relative to the README
 * @param chart where its chart lies, if it has one
 * @throws Error when weft was not measured encrypted
 */
export function encryptedReport(result: Result, file: string, chart: string | undefined): string {
  const rows = endToEnd(result, file);
  const tables = encryptionTables(result.rows);
  if (tables.length === 0)
    throw new Error(`bench: ${file} has no figures of ${SEALED.join(" or ")}: run with --encrypted`);
  const yardsticks = rows.filter((r) => r.system === "kernel-vxlan" || r.system === "weft");
  const sealed = rows.filter((r) => r.cipher !== "none");
  return [
    ...(chart === undefined ? [] : [`![weft encrypted beside other encrypted networks](${chart})`]),
    `Medians with quartiles of ${result.rounds} interleaved rounds of ${result.seconds} s; **×** is the ratio to kernel VXLAN, ` +
      "which does not encrypt; nor does `weft` here. `weft-wireguard` carries Ethernet in VXLAN in WireGuard, `weft-layer3` IP " +
      "packets in WireGuard, each system with the cipher it has by default.",
    e2eTable(shown([...yardsticks, ...sealed]), rows, "kernel-vxlan"),
    ...tables.flatMap(({ title, cells, left }) => [`${title}:`, markdownTable(cells, left)]),
    systemsTable([...yardsticks, ...sealed]),
    // Programs that lose some of every burst would fill the page: what they dropped stands in the file.
    ...listOf([
      ...encryptionRemarks(result.rows),
      ...result.notes.filter((note) => !/^drops in (?!weft|kernel-vxlan)/.test(note)),
    ]),
    footOf(result, file),
  ].join("\n\n");
}
