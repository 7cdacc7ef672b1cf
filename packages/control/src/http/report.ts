/** `weft report`: everything at one moment, for whoever helps. Tokens and keys are never among it; addresses and names are. */
import type { MeshControl } from "../router/mesh-control.js";
import type { Router } from "../router/router.js";
import { sharedContainers } from "./mesh-endpoints.js";
import { type DaemonFacts, statusOf } from "./status.js";

/** Entries of one table; more are counted only. */
const ENTRIES_MAX = 10_000;

export function reportOf(router: Router, facts: DaemonFacts, mesh: MeshControl | undefined): object {
  const { dataplane } = router;
  return {
    at: new Date().toISOString(),
    node: process.version,
    memory: process.memoryUsage(),
    status: statusOf(router, facts, mesh),
    fdb: some(dataplane.fdb()),
    neighbours: some(dataplane.neighbours()),
    routes: dataplane.networks().map(({ name }) => ({ network: name, ...some<object>(dataplane.routes(name).list()) })),
    mesh: mesh
      ? {
          info: mesh.info(),
          paths: mesh.paths(),
          tokens: mesh.tokens().map(({ id, state, createdAt, node }) => ({ id, state, createdAt, node })),
          networks: mesh.networks(),
          containers: sharedContainers(mesh.containers()),
          links: some(mesh.links()),
          ipam: mesh.ipam(),
          dns: mesh.dns(),
          exposure: mesh.exposure(),
          counters: mesh.counters(),
        }
      : null,
  };
}

function some<T>(entries: readonly T[]): { count: number; entries: readonly T[] } {
  return { count: entries.length, entries: entries.slice(0, ENTRIES_MAX) };
}
