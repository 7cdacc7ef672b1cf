/** What the demo prints. */
import type { Result } from "./measure.js";
import { EXTRA, type World } from "./world.js";

/** The picture, before anything runs. */
export function opening(): string {
  return `
  weft demo: three hosts on this machine become a mesh, with a container on each

         web                   db                  cache         names and addresses
          │                    │                     │           come from the mesh
    ┌─────┴─────┐        ┌─────┴─────┐         ┌─────┴─────┐
    │  host-a   │        │  host-b   │         │  host-c   │
    │  weft up  │        │  weft up  │         │  weft up  │     VXLAN in WireGuard,
    │           │        │  --join a │         │  --join a │     from each to each
    └─────┬─────┘        └─────┬─────┘         └─────┬─────┘
      192.0.2.1            192.0.2.2             192.0.2.3
          └────────────────────┴─────────────────────┘
`;
}

/** The name, round trips, throughput, batches, drops, then the members as the first host sees them. */
export function table(result: Result, builtSeconds: number): string {
  const rows: [string, string, string][] = [];
  rows.push(["three hosts joined, containers attached", `${builtSeconds.toFixed(1)} s`, "from the first `weft up`"]);
  const { lookup } = result;
  rows.push([`name  ${lookup.from} asks for ${lookup.name}`, `${lookup.ms.toFixed(2)} ms`, lookup.addresses.join(" ")]);
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
  return [`  ${line}`, ...lines, `  ${line}`, "", indented(result.members), "", indented(paths(result.paths)), ""].join(
    "\n",
  );
}

/** What `weft status peers` prints, without the host's own WireGuard interface. */
function paths(text: string): string {
  return text.split("\n\n")[0] ?? "";
}

function indented(text: string): string {
  return text.trimEnd().replace(/^(?=.)/gm, "  ");
}

/** Commands to try while `--keep` waits. `enter` starts a shell among the hosts. */
export function playground(enter: string, world: World): string {
  const [web, db, cache] = world.containers;
  return `  It keeps running until Ctrl-C. From another terminal${enter.includes("-U") ? "" : " (as root)"}, a shell among the hosts:

    ${enter}

  and in it, for example:

    ip netns exec ${web.name} ping -c 3 ${db.name}.weft.local
    weft status containers --socket ${web.host.socket}
    weft status mesh --socket ${web.host.socket}
    weft status peers --socket ${db.host.socket}
    weft status dns --socket ${cache.host.socket}
    weft attach ${EXTRA} --name ${EXTRA} --socket ${cache.host.socket}
    ip netns exec ${EXTRA} ping -c 3 ${web.name}.weft.local
    weft token --socket ${web.host.socket}
`;
}
