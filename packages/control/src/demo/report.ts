/** What the demo prints. */
import type { Result } from "./measure.js";
import type { World } from "./world.js";

/** The picture, before anything runs. */
export function opening(): string {
  return `
  weft demo: two hosts on this machine, a container on each, one encrypted network

      web 10.8.0.1                          db 10.8.0.2
           │                                     │
    ┌──────┴──────┐                       ┌──────┴──────┐
    │   host-a    │ VXLAN, in WireGuard   │   host-b    │
    │   weft up   ├───────────────────────┤   weft up   │
    └─────────────┘                       └─────────────┘
      192.0.2.1           underlay            192.0.2.2
`;
}

/** Round trips, throughput, batches, drops, and where the metrics are. */
export function table(result: Result): string {
  const rows: [string, string, string][] = [];
  for (const p of result.pings) {
    const rtt = p.rttMs === undefined ? "no answer" : `${p.rttMs.toFixed(2)} ms`;
    rows.push([`ping  ${p.from} → ${p.to}`, rtt, `${p.received} of ${p.sent} answered`]);
  }
  for (const t of result.transfers) {
    const what = t.same ? `SHA-256 equal at both ends, ${t.sha256.slice(0, 8)}…` : "SHA-256 DIFFERS";
    rows.push([`TCP   ${t.from} → ${t.to}, ${t.bytes / 1e6} MB`, `${t.gbitPerSecond.toFixed(2)} Gb/s`, what]);
  }
  for (const h of result.hosts) {
    const { egress, ingress } = h.framesPerBatch;
    rows.push([
      `frames per batch, ${h.host}`,
      `${egress.toFixed(1)} / ${ingress.toFixed(1)}`,
      "from containers / from the underlay",
    ]);
  }
  for (const h of result.hosts) {
    rows.push([`WireGuard messages, ${h.host}`, `${h.sealed} / ${h.opened}`, "sealed / opened"]);
  }
  for (const h of result.hosts) {
    if (h.drops.length === 0) rows.push([`drops, ${h.host}`, "none", ""]);
    for (const d of h.drops) rows.push([`drops, ${h.host}: ${d.where}`, `${d.count}`, d.help]);
  }
  const [first, second] = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = "─".repeat(Math.max(...rows.map((row) => (first ?? 0) + (second ?? 0) + row[2].length + 4)));
  const lines = rows.map(([a, b, c]) => `  ${a.padEnd(first ?? 0)}  ${b.padStart(second ?? 0)}  ${c}`.trimEnd());
  const metrics = result.hosts.map((h) => `  metrics of ${h.host}: ${h.metrics ?? "off"} in its namespace`);
  return [`  ${line}`, ...lines, `  ${line}`, ...metrics, ""].join("\n");
}

/** Commands to try while `--keep` waits. `enter` is the nsenter command for a shell outside. */
export function playground(enter: string, node: string, weft: string, world: World): string {
  const [a, b] = world.hosts;
  return `  It keeps running until Ctrl-C. From another terminal${enter.includes("-U") ? "" : " (as root)"}:

    demo() { ${enter} "$@"; }
    weft() { demo ${node} ${weft} "$@"; }
    demo ip netns exec ${a.container.name} ping ${b.container.v4}
    demo ip netns exec ${b.container.name} ip addr
    weft status --socket ${a.socket}
    weft status fdb --socket ${a.socket}
    weft status peers --socket ${a.socket}
    demo ip netns exec ${a.name} node -e 'fetch("http://127.0.0.1:6782/metrics").then(r => r.text()).then(console.log)'
    demo ip netns add extra
    weft attach extra --network blue --ip 10.8.0.3/24 --socket ${a.socket}
    demo ip netns exec extra ping ${b.container.v4}
`;
}
