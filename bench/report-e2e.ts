/** The end-to-end tables: who was measured, what they reached beside the yardsticks, and how it was carried. */
import { isOurs, peerOf, type Row, ratioTo, YARDSTICKS } from "./result.js";
import { type Cells, extra, figure, plainTable, unique, withSpread } from "./table.js";

type Column = readonly [title: string, cell: (r: Row) => string];

const YARDSTICK_TITLES: Readonly<Record<string, string>> = {
  "kernel-vxlan": "÷ kernel VXLAN",
  relay: "÷ C relay",
  bridge: "÷ bridge",
};

/** Case with its size, as `UDP, 64 octets`. */
export const titleOf = (r: Row): string => (r.size === undefined ? r.name : `${r.name}, ${r.size} octets`);

/** A table of rows; columns that are empty in all rows and rows that are empty in all columns are left out. */
function tableOf(rows: readonly Row[], columns: readonly Column[]): string {
  const first: readonly Column[] = [
    ["regime", (r) => r.regime ?? ""],
    ["case", titleOf],
    ["system", (r) => r.system ?? ""],
  ];
  const filled = rows.filter((r) => columns.some(([, cell]) => cell(r) !== ""));
  const shown = [...first, ...columns].filter(([, cell]) => filled.some((r) => cell(r) !== ""));
  const cells: Cells = [shown.map(([title]) => title), ...filled.map((r) => shown.map(([, cell]) => cell(r)))];
  return plainTable(cells, 3);
}

const more =
  (name: string, scale = 1) =>
  (r: Row): string =>
    extra(r, name, scale);

/** Columns of ratios to the yardsticks; empty in a yardstick's own rows. */
function ratioColumns(all: readonly Row[]): Column[] {
  return YARDSTICKS.flatMap((name): Column[] => {
    const of = (r: Row, quantity?: string): string =>
      r.system === name ? "" : withSpread(ratioTo(r, peerOf(all, r, name), quantity));
    return [[YARDSTICK_TITLES[name] ?? name, (r) => of(r)]];
  });
}

/** How many times this system the weft is that does the same; for the others, which are no yardsticks. */
function weftColumn(all: readonly Row[]): (r: Row) => string {
  const sameAs = (r: Row): string => (r.cipher === "none" ? "weft" : r.layer === 2 ? "weft-wireguard" : "weft-layer3");
  return (r) => {
    if (isOurs(r) || [...YARDSTICKS, "weft-local", "veth"].some((name) => name === r.system)) return "";
    const weft = peerOf(all, r, sameAs(r));
    return weft ? withSpread(ratioTo(weft, r)) : "";
  };
}

function cpuRatioColumns(all: readonly Row[]): Column[] {
  return YARDSTICKS.map((name): Column => {
    const of = (r: Row): string => {
      if (r.system === name) return "";
      const quantity = r.more?.cpuSecondsPerGB ? "cpuSecondsPerGB" : "cpuMicrosecondsPerPacket";
      return withSpread(ratioTo(r, peerOf(all, r, name), quantity));
    };
    return [`CPU ${YARDSTICK_TITLES[name]}`, of];
  });
}

/** One line per system: what may be compared with what. */
function systems(rows: readonly Row[]): string {
  const first = unique(rows.map((r) => r.system)).map((name) => rows.find((r) => r.system === name) as Row);
  const cells: Cells = [
    ["system", "layer", "cipher", "MTU", "version"],
    ...first.map((r) => [
      r.system ?? "",
      r.layer === 3 ? "3, IP" : "2, Ethernet",
      r.cipher ?? "",
      String(r.mtu ?? ""),
      r.version ?? "",
    ]),
  ];
  return plainTable(cells, 5);
}

function group(title: string, rows: readonly Row[], all: readonly Row[]): string[] {
  if (rows.length === 0) return [];
  const got: readonly Column[] = [
    ["median", (r) => (Number.isFinite(r.median) ? figure(r.median) : "none")],
    ["quartiles", (r) => (Number.isFinite(r.median) ? `${figure(r.q1)}–${figure(r.q3)}` : "")],
    ["", (r) => r.unit],
    ...ratioColumns(all),
    ["weft ÷ it", weftColumn(all)],
    ["offered", more("offeredKpps")],
    ["lost %", more("lostShare", 100)],
    ["reordered %", more("reorderedShare", 100)],
    ["p50 µs", more("p50Us")],
    ["p99 µs", more("p99Us")],
    ["p99.9 µs", more("p999Us")],
  ];
  const cost: readonly Column[] = [
    ["CPU s/GB", more("cpuSecondsPerGB")],
    ["CPU µs/packet", more("cpuMicrosecondsPerPacket")],
    ...cpuRatioColumns(all),
    ["daemons' s/GB", more("daemonCpuSecondsPerGB")],
    ["daemons' µs/packet", more("daemonCpuMicrosecondsPerPacket")],
  ];
  const how: readonly Column[] = [
    ["cores busy", more("busyCores")],
    ["octets/frame", more("wireOctetsPerFrame")],
    ["retransmits", more("retransmits")],
    ["frames/call", more("framesPerCall")],
    ["syscalls/frame", more("syscallsPerFrame")],
    ["weft's drops", more("drops")],
    ["kernel's drops", more("kernelDrops")],
    ["trials", more("trials")],
  ];
  return [
    `${title}: what an application got\n\n${tableOf(rows, got)}`,
    `${title}: what it took (CPU of the whole box, traffic programs included; daemons: the system's processes)\n\n${tableOf(rows, cost)}`,
    `${title}: how it was carried (medians; octets/frame on the underlay; calls of both weft daemons)\n\n${tableOf(rows, how)}`,
  ];
}

export function e2eReport(rows: readonly Row[]): string {
  const plain = rows.filter((r) => r.cipher === "none");
  const sealed = rows.filter((r) => r.cipher !== "none");
  return [
    `End to end, container to container\n\n${systems(rows)}`,
    ...group("Without encryption", plain, rows),
    ...group("Encrypted (ratios are to yardsticks that do not encrypt)", sealed, rows),
  ].join("\n\n");
}
