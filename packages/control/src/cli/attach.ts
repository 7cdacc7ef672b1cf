/** `weft attach` and `weft detach` */
import { resolve } from "node:path";
import type { PortInfo } from "../dataplane/types.js";
import { call } from "./client.js";
import type { AttachOptions, ListingOptions } from "./program.js";

export async function attach(target: string, options: AttachOptions): Promise<void> {
  const { socket, json, route, label, ...same } = options;
  const port = await call<PortInfo>(socket, "POST", "/v1/ports", {
    ...same,
    netns: /^\d+$/.test(target) ? Number(target) : absolute(target),
    ...(route ? { routes: route } : {}),
    ...(label ? { labels: Object.fromEntries(label) } : {}),
  });
  const line = `attached ${target}: ${port.ifname} ${port.mac} ${port.ip.join(" ")} in network ${port.network}, MTU ${port.mtu}, port ${port.id}`;
  process.stdout.write(`${json ? JSON.stringify(port, null, 2) : line}\n`);
}

export async function detach(target: string, options: ListingOptions): Promise<void> {
  // An id first; ids have no slash, and a namespace of the same name is still reached by its path.
  let ids: string[] = [];
  if (!target.includes("/")) ids = await remove(options.socket, `/v1/ports/${encodeURIComponent(target)}`);
  if (ids.length === 0) ids = await remove(options.socket, `/v1/ports?netns=${encodeURIComponent(absolute(target))}`);
  const line = ids.length === 0 ? `nothing is attached as ${target}` : `detached ${ids.join(" ")}`;
  process.stdout.write(`${options.json ? JSON.stringify({ detached: ids }, null, 2) : line}\n`);
}

async function remove(socket: string, path: string): Promise<string[]> {
  return (await call<{ detached: string[] }>(socket, "DELETE", path)).detached;
}

/** The daemon has another working directory. */
function absolute(target: string): string {
  return target.includes("/") ? resolve(target) : target;
}
