/** `weft attach` and `weft detach` */
import { resolve } from "node:path";
import type { PortInfo } from "../dataplane/types.js";
import type { PublishedPort } from "../mesh-answers.js";
import { call } from "./client.js";
import { type ListingOptions, print } from "./options.js";
import type { AttachOptions } from "./program.js";
import { publishedText } from "./status-mesh.js";

export async function attach(target: string, options: AttachOptions): Promise<void> {
  const { socket, json: _, route, label, gateway, dnsName, ...same } = options;
  const port = await call<PortInfo & { readonly dns?: string[]; readonly published?: PublishedPort[] }>(
    socket,
    "POST",
    "/v1/ports",
    {
      ...same,
      netns: /^\d+$/.test(target) ? Number(target) : absolute(target),
      // Without a mesh nobody gives addresses: the daemon says so.
      ...(options.ip ? {} : { ipam: true }),
      ...(gateway === undefined ? {} : { gateway: gateway === false ? [] : gateway }),
      ...(dnsName ? { dnsNames: dnsName } : {}),
      ...(route ? { routes: route } : {}),
      ...(label ? { labels: Object.fromEntries(label) } : {}),
    },
  );
  const lines = [
    `attached ${target}: ${port.ifname} ${port.mac} ${port.ip.join(" ")} in network ${port.network}, MTU ${port.mtu}, port ${port.id}`,
    ...(port.dns?.length ? [`names: ${port.dns.join(" ")}`] : []),
    ...(port.published?.length ? [`published: ${port.published.map(publishedText).join(" ")}`] : []),
  ];
  print(options, port, lines.join("\n"));
}

export async function detach(target: string, options: ListingOptions): Promise<void> {
  // An id first; ids have no slash, and a namespace of the same name is still reached by its path.
  let ids: string[] = [];
  if (!target.includes("/")) ids = await remove(options.socket, `/v1/ports/${encodeURIComponent(target)}`);
  if (ids.length === 0) ids = await remove(options.socket, `/v1/ports?netns=${encodeURIComponent(absolute(target))}`);
  const line = ids.length === 0 ? `nothing is attached as ${target}` : `detached ${ids.join(" ")}`;
  print(options, { detached: ids }, line);
}

async function remove(socket: string, path: string): Promise<string[]> {
  return (await call<{ detached: string[] }>(socket, "DELETE", path)).detached;
}

/** The daemon has another working directory. */
function absolute(target: string): string {
  return target.includes("/") ? resolve(target) : target;
}
