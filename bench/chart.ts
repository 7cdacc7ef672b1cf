/**
 * A chart of a result as SVG: one panel per quantity, one bar per system, a whisker from quartile to quartile. Readable
 * on light and dark pages: colours follow the reader's preference.
 */
import { isOurs, peerOf, type Result, type Row, ratioTo } from "./result.js";
import { figure } from "./table.js";

const WIDTH = 860;
/** Where bars begin, and where the longest ends: names stand on the left, figures on the right. */
const LEFT = 210;
const RIGHT = 610;
const LINE = 22;
const BAR = 13;
const TITLE = 34;
const GAP = 18;

/** What gets a panel: names of end-to-end rows with the title over them. */
const PANELS = [
  { name: "TCP a→b", title: "TCP, one stream, Gbit/s" },
  { name: "UDP", size: 64, title: "UDP, 64 octets, thousand datagrams a second" },
] as const;
const REGIMES: Readonly<Record<string, string>> = {
  offloads: "offloads on",
  wire: "every frame MTU-sized, as on a wire",
};

const STYLE = `
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600 }
.fine { fill: #59636e }
.bar { fill: #8c959f }
.ours { fill: #1a7f64 }
.sealed { fill: #8c959f; fill-opacity: .45 }
.whisker { stroke: #1f2328; stroke-width: 1.4; fill: none }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .fine { fill: #9198a1 }
  .bar { fill: #6e7681 }
  .ours { fill: #3fb68b }
  .sealed { fill: #6e7681 }
  .whisker { stroke: #f0f6fc }
}`;

const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
const n = (value: number): string => value.toFixed(1);

/** What is said of a system beside its name: nothing for plain layer 2, which most are. */
function remarks(r: Row): string {
  const parts = [r.layer === 3 ? "layer 3" : "", r.cipher && r.cipher !== "none" ? "encrypted" : ""].filter(Boolean);
  return parts.length > 0 ? ` (${parts.join(", ")})` : "";
}

function panel(rows: readonly Row[], all: readonly Row[], title: string, top: number): string[] {
  const longest = Math.max(...rows.map((r) => Math.max(r.q3, r.median)));
  const x = (value: number): number => LEFT + ((RIGHT - LEFT) * value) / longest;
  const out = [`<text class="title" x="0" y="${top + 18}">${escaped(title)}</text>`];
  rows.forEach((r, i) => {
    const y = top + TITLE + i * LINE;
    const middle = y + BAR / 2;
    const kind = isOurs(r) ? "ours" : r.cipher === "none" ? "bar" : "sealed";
    const ratio = r.system === "kernel-vxlan" ? undefined : ratioTo(r, peerOf(all, r, "kernel-vxlan"));
    const said = ratio ? `${figure(r.median)}  (${figure(ratio.median)} of kernel VXLAN)` : figure(r.median);
    out.push(
      `<text x="${LEFT - 8}" y="${middle + 4.5}" text-anchor="end">${escaped(r.system ?? "")}` +
        `<tspan class="fine">${escaped(remarks(r))}</tspan></text>`,
      `<rect class="${kind}" x="${LEFT}" y="${y}" width="${n(Math.max(1, x(r.median) - LEFT))}" height="${BAR}" rx="2"/>`,
      `<path class="whisker" d="M${n(x(r.q1))} ${middle}H${n(x(r.q3))}M${n(x(r.q1))} ${middle - 4}v8M${n(x(r.q3))} ${middle - 4}v8"/>`,
      `<text x="${n(x(Math.max(r.q3, r.median)) + 8)}" y="${middle + 4.5}">${escaped(said)}</text>`,
    );
  });
  return out;
}

/** @returns the SVG text, or undefined when the result has nothing that a panel shows. */
export function chart(result: Result): string | undefined {
  const body: string[] = [];
  let top = 0;
  for (const { name, title, ...rest } of PANELS) {
    for (const [regime, words] of Object.entries(REGIMES)) {
      const size = "size" in rest ? rest.size : undefined;
      const rows = result.rows
        .filter((r) => r.suite === "e2e" && r.name === name && r.regime === regime && r.size === size)
        .filter((r) => Number.isFinite(r.median))
        .sort((a, b) => b.median - a.median);
      if (rows.length === 0) continue;
      body.push(...panel(rows, result.rows, `${title} — ${words}`, top));
      top += TITLE + rows.length * LINE + GAP;
    }
  }
  if (body.length === 0) return undefined;
  const { machine } = result;
  const foot =
    `Medians and quartiles of ${result.rounds} interleaved rounds of ${result.seconds} s; both hosts on one machine with ` +
    `${machine.cores} cores, Linux ${machine.kernel}; commit ${machine.commit}.`;
  body.push(`<text class="fine" x="0" y="${top + 10}">${escaped(foot)}</text>`);
  const height = top + 20;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="weft beside other ways to join containers">
<style>${STYLE}
</style>
${body.join("\n")}
</svg>
`;
}
