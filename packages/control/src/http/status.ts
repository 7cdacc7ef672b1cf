/** What GET /v1/status answers. */
import { switchedOff } from "../features.js";
import type { MeshControl } from "../router/mesh-control.js";
import type { Router } from "../router/router.js";
import type { Watch } from "../router/watch.js";
import { VERSION } from "../version.js";

export type DaemonState = "starting" | "ready" | "stopping";

/** What only the daemon knows of itself. */
export interface DaemonFacts {
  readonly name: string;
  readonly state: DaemonState;
  readonly startedAt: Date;
  readonly socket: string;
  /** `http://…/metrics`, or null. */
  readonly metrics: string | null;
  readonly stateDir: string | null;
  readonly watch: Watch;
}

/** @param mesh undefined: the configuration is static */
export function statusOf(router: Router, facts: DaemonFacts, mesh: MeshControl | undefined): object {
  const { dataplane } = router;
  const { info } = dataplane;
  return {
    name: facts.name,
    version: VERSION,
    pid: process.pid,
    state: facts.state,
    startedAt: facts.startedAt.toISOString(),
    uptimeSeconds: Math.round((Date.now() - facts.startedAt.getTime()) / 100) / 10,
    socket: facts.socket,
    metrics: facts.metrics,
    stateDir: facts.stateDir,
    dataplane: {
      ...info,
      disabled: switchedOff(),
      underlay: info.underlay.map((u) => ({ ...u, up: facts.watch.isUp(u.address) })),
    },
    wireguard: dataplane.wireguard(),
    mesh: mesh ? summaryOf(mesh) : null,
    parked: router.parked.map(({ record, why }) => ({
      id: record.id,
      network: record.network,
      netns: record.netnsPath,
      why,
    })),
    refused: facts.watch.refused.map((r) => ({ ...r, at: r.at.toISOString() })),
    networks: dataplane.networks(),
    ports: dataplane.ports(),
    counters: dataplane.counters(),
  };
}

/** The mesh in a few numbers. */
function summaryOf(mesh: MeshControl): object {
  const { networkId, members, problems } = mesh.info();
  const paths = mesh.paths();
  const count = <T>(list: readonly T[], test: (one: T) => boolean): number => list.filter(test).length;
  return {
    networkId,
    members: {
      alive: count(members, (m) => m.state === "alive"),
      unreachable: count(members, (m) => m.state === "unreachable"),
    },
    paths: {
      direct: count(paths, (p) => p.mode === "direct"),
      relayed: count(paths, (p) => p.mode === "relayed"),
      none: count(paths, (p) => p.mode === "none"),
    },
    containers: mesh.containers().length,
    exposure: mesh.exposure(),
    problems,
  };
}
