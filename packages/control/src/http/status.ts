/** What GET /v1/status answers. */
import { switchedOff } from "../features.js";
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

export function statusOf(router: Router, facts: DaemonFacts): object {
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
