/**
 * What encryption costs: weft's beside plaintext and beside wireguard-go, and its CPU time beside what the cipher alone
 * takes. Tables as cells, for a terminal and for README.md.
 */
import { titleOf } from "./report-e2e.js";
import { peerOf, type Row, ratioTo, SEALED } from "./result.js";
import { ratios, type Samples, type Spread, spread } from "./stats.js";
import { type Cells, extra, figure, withSpread } from "./table.js";

export interface Table {
  readonly title: string;
  readonly cells: Cells;
  /** Columns that are flush left. */
  readonly left: number;
}

/** Octets of a full packet inside a tunnel: the message whose speed counts. */
const MESSAGE = 1408;
/** What encryption may cost beyond sealing and opening each octet once: headers, counters, look-ups, cold caches. */
const ALLOWANCE = 1.2;
/** wireguard-go moves super-frames since its releases of this year. */
const GSO_SINCE = 2023;

/**
 * TCP in Gbit/s, measured once on a virtual machine with 2 cores, with kernel VXLAN from lowest to highest in that run. Only
 * ratios are shown: how fast a machine copies and how fast it computes differ from one to the next.
 */
interface Earlier {
  readonly name: string;
  /** Which of ours does the same. */
  readonly ours: (typeof SEALED)[number];
  readonly regime: string;
  readonly gbits: number;
  readonly kernelVxlan: readonly [low: number, high: number];
  /** Of the whole box; undefined where it was not noted. */
  readonly cpuSecondsPerGB?: number;
}

const OFFLOADS = { regime: "offloads", kernelVxlan: [6.7, 8.9] } as const;
const WIRE = { regime: "wire", kernelVxlan: [2.9, 4.0] } as const;
const ALONE = { name: "wireguard-go of 2025, with GSO", ours: "weft-layer3" } as const;
const WITH_VXLAN = { name: "the same + kernel VXLAN", ours: "weft-wireguard" } as const;

const EARLIER: readonly Earlier[] = [
  { ...ALONE, ...OFFLOADS, gbits: 1.15, cpuSecondsPerGB: 11 },
  { ...ALONE, ...WIRE, gbits: 0.81 },
  { ...WITH_VXLAN, ...OFFLOADS, gbits: 0.26, cpuSecondsPerGB: 53 },
  { ...WITH_VXLAN, ...WIRE, gbits: 0.25 },
];

/** What both wireguard-go are called here: each carries what the one of ours does. */
const WIREGUARD_GO: Readonly<Record<(typeof SEALED)[number], string>> = {
  "weft-wireguard": "wireguard-vxlan",
  "weft-layer3": "wireguard-go",
};

const wireguardGo = (r: Row): string => WIREGUARD_GO[r.system as keyof typeof WIREGUARD_GO] ?? "";
/** End-to-end rows of ours that are encrypted. */
const sealedOf = (rows: readonly Row[]): Row[] =>
  rows.filter((r) => r.suite === "e2e" && SEALED.some((name) => name === r.system) && Number.isFinite(r.median));

/** Seconds to seal and to open a gigabyte on one core, as measured in this run; undefined without the suite `aead`. */
export function cipherSecondsPerGB(rows: readonly Row[]): number | undefined {
  const speed = (system: string): number =>
    rows.find((r) => r.suite === "aead" && r.size === MESSAGE && r.system === system)?.median ?? Number.NaN;
  const seconds = 1 / speed("weft, seal a run") + 1 / speed("weft, open");
  return Number.isFinite(seconds) ? seconds : undefined;
}

/** CPU s/GB that encryption may take, round by round: that of weft in clear, and the cipher with an allowance. */
function aims(r: Row, rows: readonly Row[]): Samples | undefined {
  const cipher = cipherSecondsPerGB(rows);
  const clear = peerOf(rows, r, "weft")?.more?.cpuSecondsPerGB?.samples;
  if (cipher === undefined || clear === undefined) return undefined;
  return clear.map((x) => (x === null ? null : x + ALLOWANCE * cipher));
}

function reached(rows: readonly Row[]): Table {
  const to = (r: Row, system: string): string => withSpread(ratioTo(r, peerOf(rows, r, system)));
  return {
    title: "weft encrypted, beside plaintext and beside wireguard-go with the same in its tunnel",
    cells: [
      ["encrypted", "case", "median", "", "÷ kernel VXLAN, in clear", "÷ weft, in clear", "÷ wireguard-go"],
      ...sealedOf(rows).map((r) => [
        ...[r.system ?? "", `${titleOf(r)}, ${r.regime}`, withSpread(r), r.unit],
        ...[to(r, "kernel-vxlan"), to(r, "weft"), to(r, wireguardGo(r))],
      ]),
    ],
    left: 2,
  };
}

function took(rows: readonly Row[]): Table {
  const cpu = "cpuSecondsPerGB";
  const lines = sealedOf(rows).filter((r) => r.more?.[cpu]);
  return {
    title: "CPU seconds a gigabyte of TCP, of the whole box",
    cells: [
      ["encrypted", "case", "CPU s/GB", "weft in clear", "aim", "÷ aim", "÷ wireguard-go"],
      ...lines.map((r) => {
        const aim = aims(r, rows);
        const beside: Spread | undefined = aim && ratios(r.more?.[cpu]?.samples ?? [], aim);
        return [
          ...[r.system ?? "", `${r.name}, ${r.regime}`, withSpread(r.more?.[cpu])],
          ...[extra(peerOf(rows, r, "weft"), cpu), aim ? figure(spread(aim).median) : "", withSpread(beside)],
          withSpread(ratioTo(r, peerOf(rows, r, wireguardGo(r)), cpu)),
        ];
      }),
    ],
    left: 2,
  };
}

function quoted(rows: readonly Row[]): Table {
  const now = ({ ours, regime }: Earlier): Row | undefined =>
    sealedOf(rows).find((r) => r.system === ours && r.regime === regime && r.name === "TCP a→b");
  const lines = EARLIER.map((e) => {
    const mine = now(e);
    const ratio = mine && ratioTo(mine, peerOf(rows, mine, "kernel-vxlan"));
    const [low, high] = e.kernelVxlan;
    return [
      ...[e.name, e.regime, `${figure(e.gbits / high)}–${figure(e.gbits / low)}`, String(e.cpuSecondsPerGB ?? "")],
      ...[mine ? e.ours : "", withSpread(ratio), extra(mine, "cpuSecondsPerGB")],
    ];
  });
  return {
    title:
      "wireguard-go with GSO, measured at another time on another virtual machine with 2 cores, as ratios to kernel VXLAN of that run",
    cells: [
      [
        ...["TCP, measured earlier", "regime", "÷ kernel VXLAN then", "CPU s/GB then"],
        ...["here", "÷ kernel VXLAN now", "CPU s/GB now"],
      ],
      ...lines,
    ],
    left: 2,
  };
}

/** @returns nothing when weft was not measured encrypted */
export function encryptionTables(rows: readonly Row[]): Table[] {
  if (sealedOf(rows).length === 0) return [];
  return [reached(rows), took(rows), quoted(rows)].filter(({ cells }) => cells.length > 1);
}

/** What a reader of those tables must know. */
export function encryptionRemarks(rows: readonly Row[]): string[] {
  if (sealedOf(rows).length === 0) return [];
  const cipher = cipherSecondsPerGB(rows);
  const aim =
    cipher === undefined
      ? "no aim for the CPU time: it needs the speed of the cipher, of a run with --only aead,e2e"
      : `aim: CPU s/GB of weft in clear + ${ALLOWANCE} × ${figure(cipher)} s, in which one core seals and opens a gigabyte in ` +
        `messages of ${MESSAGE} octets (${figure(2 / cipher)} GB/s, measured in this run)`;
  const version = rows.find((r) => r.system === "wireguard-go" || r.system === "wireguard-vxlan")?.version ?? "";
  const year = Number(/^0\.0\.(\d{4})/.exec(version)?.[1] ?? Number.NaN);
  return [
    aim,
    ...(year < GSO_SINCE
      ? [`wireguard-go here is ${version}, of ${year}, as Debian has it: it knows no GSO, each packet is a system call`]
      : []),
  ];
}
