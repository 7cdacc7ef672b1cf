/** What the bench makes of its samples: ratios, the regression gate, the chart. */
import t from "tap";
import { chart } from "../../bench/chart.js";
import { compare, hasRegressed, judge, textComparison } from "../../bench/compare.js";
import { peerOf, type Result, type Row, ratioTo, row } from "../../bench/result.js";
import { isWide, quantile, ratios, spread } from "../../bench/stats.js";

const MACHINE = {
  kernel: "6.1.0",
  cpu: "a processor",
  cores: 2,
  memoryGiB: 4,
  virtual: false,
  governor: "none",
  mitigations: {},
  node: "20.19.0",
  v8: "11.3",
  commit: "0123456789ab",
  loadAverage: 0,
  busyBefore: 0,
};

type Values = readonly (number | null)[];
const tcp = (system: string, samples: Values, cpu?: Values, regime = "wire"): Row =>
  row(
    {
      suite: "e2e",
      name: "TCP a→b",
      unit: "Gbit/s",
      system,
      regime,
      layer: 2,
      cipher: "none",
      mtu: 1450,
      more: cpu ? { cpuSecondsPerGB: { ...spread(cpu), samples: cpu } } : {},
    },
    samples,
  );
const trip = (system: string, samples: Values): Row => ({
  ...tcp(system, samples),
  name: "round trip",
  size: 64,
  unit: "µs",
});
const result = (...rows: Row[]): Result => ({
  schema: 1,
  date: "2026-01-01T00:00:00.000Z",
  command: "npm run bench",
  rounds: 5,
  seconds: 1,
  machine: MACHINE,
  rows,
  notes: [],
});
const times = (samples: Values, by: number): Values => samples.map((x) => (x === null ? null : x * by));

/** A box whose speed changes from round to round. */
const YARD: Values = [10, 5, 8, 12, 6];

t.test("quantiles lie between neighbours, and rounds without a value count for nothing", async (t) => {
  t.equal(quantile([4, 1, 3, 2], 0.5), 2.5);
  t.same(spread([1, null, 3, 2, Number.NaN]), { median: 2, q1: 1.5, q3: 2.5 });
  t.ok(Number.isNaN(spread([null]).median));
  t.equal(isWide([10, 10, 10, 10], 1.3), false);
  t.equal(isWide([10, 10, 20, 20], 1.3), true);
});

t.test("ratios are taken round by round", async (t) => {
  t.same(ratios(times(YARD, 0.5), YARD), { median: 0.5, q1: 0.5, q3: 0.5 }, "however much the box wavers");
  t.same(ratios([1, null, 3], [2, 2, null]), { median: 0.5, q1: 0.5, q3: 0.5 }, "rounds with both values");
  t.equal(ratios([1, 2], [0, null]), undefined, "no round with both");
  const rows = [tcp("kernel-vxlan", YARD), tcp("weft", times(YARD, 0.9)), tcp("weft", YARD, undefined, "offloads")];
  const weft = rows[1] as Row;
  t.equal(peerOf(rows, weft, "kernel-vxlan"), rows[0]);
  t.equal(peerOf(rows, rows[2] as Row, "kernel-vxlan"), undefined, "not of another regime");
  t.ok(Math.abs((ratioTo(weft, rows[0])?.median ?? 0) - 0.9) < 1e-9);
  t.equal(ratioTo(weft, undefined), undefined);
});

t.test("a difference counts beyond both spreads and five percent", async (t) => {
  const at = (median: number, by = 0.01) => ({ median, q1: median - by, q3: median + by });
  t.equal(judge(at(1), at(0.8), false), "worse");
  t.equal(judge(at(1), at(1.2), false), "better");
  t.equal(judge(at(1), at(1.2), true), "worse", "of times less is better");
  t.equal(judge(at(1), at(0.8), true), "better");
  t.equal(judge(at(1), at(0.96), false), "equal", "within five percent");
  t.equal(judge(at(1, 0.2), at(0.7, 0.15), false), "equal", "quartiles overlap");
  t.equal(judge(at(1, 0.2), at(0.6, 0.15), false), "worse", "and do not");
});

t.test("the gate compares ratios, not numbers", async (t) => {
  const before = result(tcp("kernel-vxlan", YARD), tcp("weft", times(YARD, 0.9)), trip("kernel-vxlan", YARD), {
    ...trip("weft", times(YARD, 2)),
  });
  const slowBox = times(YARD, 0.3);
  const same = compare(
    before,
    result(
      tcp("kernel-vxlan", slowBox),
      tcp("weft", times(slowBox, 0.9)),
      trip("kernel-vxlan", slowBox),
      trip("weft", times(slowBox, 2)),
    ),
  );
  t.same(
    same.judged.map((j) => j.verdict),
    ["equal", "equal"],
  );
  t.equal(hasRegressed(same), false);

  const worse = compare(
    before,
    result(
      tcp("kernel-vxlan", YARD),
      tcp("weft", times(YARD, 0.6)),
      trip("kernel-vxlan", YARD),
      trip("weft", times(YARD, 1.5)),
    ),
  );
  t.same(
    worse.judged.map((j) => j.verdict),
    ["worse", "better"],
  );
  t.equal(hasRegressed(worse), true);
  const text = textComparison(worse, "before.json");
  t.match(text, /Worse: e2e, wire, TCP a→b, weft ÷ kernel-vxlan\./, "the row is named");
  t.match(text, /−33\.3 %/);
});

t.test("CPU per octet is judged as well", async (t) => {
  const cpu = [2, 2, 2, 2, 2];
  const before = result(tcp("kernel-vxlan", YARD, cpu), tcp("weft", YARD, cpu));
  const now = compare(before, result(tcp("kernel-vxlan", YARD, cpu), tcp("weft", YARD, times(cpu, 1.5))));
  t.same(
    now.judged.map(({ what, verdict }) => [what, verdict]),
    [
      ["e2e, wire, TCP a→b, weft ÷ kernel-vxlan", "equal"],
      ["e2e, wire, TCP a→b, weft, CPU s/GB ÷ kernel-vxlan", "worse"],
    ],
  );
});

t.test("rows that are missing", async (t) => {
  const before = result(
    tcp("kernel-vxlan", YARD),
    tcp("relay", times(YARD, 0.5)),
    tcp("weft", times(YARD, 0.9)),
    trip("weft", YARD),
  );
  const other = compare(before, result(tcp("relay", YARD), tcp("weft", times(YARD, 1.8))));
  t.match(
    other.judged,
    [{ what: "e2e, wire, TCP a→b, weft ÷ relay", verdict: "equal" }],
    "without kernel VXLAN the relay is the yardstick",
  );
  t.same(other.unmeasured, ["e2e, wire, round trip, 64 octets, weft"]);
  t.equal(hasRegressed(other), false, "what was not asked for is no regression");

  const failed = compare(before, result(tcp("kernel-vxlan", YARD), tcp("weft", [null, null, null])));
  t.same(failed.failed, ["e2e, wire, TCP a→b, weft"]);
  t.equal(hasRegressed(failed), true, "what was asked for and gave nothing is one");

  const nothing = compare(before, result(tcp("kernel-vxlan", YARD)));
  t.equal(hasRegressed(nothing), true, "a gate that saw nothing does not open");
  t.match(textComparison(nothing, "before.json"), /Nothing in both runs can be compared/);
});

t.test("the chart shows every system that has a value", async (t) => {
  const sealed: Row = { ...tcp("wireguard-go", times(YARD, 0.1)), layer: 3, cipher: "ChaCha20-Poly1305" };
  const svg = chart(
    result(tcp("kernel-vxlan", YARD), tcp("weft", times(YARD, 0.9)), sealed, tcp("a<b", YARD), tcp("n2n", [null])),
  );
  t.ok(svg);
  t.match(svg, /^<svg xmlns="http:\/\/www.w3.org\/2000\/svg"/);
  t.equal(svg?.match(/<rect /g)?.length, 4, "one bar each, none for a system without value");
  t.match(svg, /wireguard-go<tspan class="fine"> \(layer 3, encrypted\)/);
  t.match(svg, /7\.20 {2}\(0\.900 of kernel VXLAN\)/);
  t.match(svg, /a&lt;b/, "names are escaped");
  t.equal(chart(result(trip("weft", YARD))), undefined, "nothing to show");
});
