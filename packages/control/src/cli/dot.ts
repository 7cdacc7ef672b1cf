/** `weft status mesh --dot`: members and links for Graphviz. */
import type { MeshInfo } from "../mesh-answers.js";

/**
 * An undirected graph: solid lines are direct data paths with their round trip, dashed ones control links. A path that only one
 * end reports is grey; members that cannot be reached are.
 */
export function meshDot({ members, self }: MeshInfo): string {
  const ids = new Set(members.map((m) => m.id));
  const lines = members.map((m) => {
    const label = `${m.name || m.id.slice(0, 8)}\n${m.tunnelAddress}`;
    const style = m.state === "alive" ? (m.id === self ? ", penwidth=2" : "") : ", color=grey, fontcolor=grey";
    return `  ${quoted(m.id)} [label=${quoted(label)}${style}];`;
  });
  const control = new Set<string>();
  const data = new Map<string, number[]>();
  for (const m of members) {
    for (const to of m.links.control) if (ids.has(to) && to !== m.id) control.add(pair(m.id, to));
    for (const { to, rttUs } of m.links.data) {
      if (!ids.has(to) || to === m.id) continue;
      const key = pair(m.id, to);
      data.set(key, [...(data.get(key) ?? []), rttUs]);
    }
  }
  for (const [ends, rtts] of [...data].sort(byKey)) {
    const rtt = Math.max(...rtts) / 1000;
    const oneSided = rtts.length < 2 ? ", color=grey" : "";
    lines.push(`  ${ends} [label=${quoted(`${rtt.toFixed(rtt < 10 ? 1 : 0)} ms`)}${oneSided}];`);
  }
  for (const ends of [...control].sort()) lines.push(`  ${ends} [style=dashed];`);
  return `graph weft {\n  node [shape=box];\n${lines.join("\n")}\n}`;
}

const byKey = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1);
const pair = (a: string, b: string): string =>
  a < b ? `${quoted(a)} -- ${quoted(b)}` : `${quoted(b)} -- ${quoted(a)}`;

/** A string of the DOT language; a line break in it is written `\n`. */
function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&").replaceAll("\n", "\\n")}"`;
}
