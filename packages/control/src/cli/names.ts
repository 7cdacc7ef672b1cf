/** `weft dns`. */
import type { DnsInfo, SrvTarget } from "../mesh-answers.js";
import { call } from "./client.js";
import { type ListingOptions, print } from "./options.js";
import { dnsText } from "./status-mesh.js";

export type DnsAddOptions = ListingOptions & { readonly network?: string; readonly srv?: SrvTarget[] };

export async function add(name: string, ips: readonly string[], options: DnsAddOptions): Promise<void> {
  const { network, srv = [] } = options;
  const body = { name, ips, srv, ...(network === undefined ? {} : { network }) };
  const answer = await call<object>(options.socket, "POST", "/v1/dns", body);
  const targets = [...ips, ...srv.map((s) => `${s.target}:${s.port}`)];
  print(options, answer, `${name} leads to ${targets.join(" ")}`);
}

export async function remove(name: string, options: ListingOptions & { network?: string }): Promise<void> {
  const query = options.network === undefined ? "" : `?network=${encodeURIComponent(options.network)}`;
  const path = `/v1/dns/${encodeURIComponent(name)}${query}`;
  const answer = await call<{ removed: boolean }>(options.socket, "DELETE", path);
  print(options, answer, answer.removed ? `${name} is removed` : `nobody has added ${name} on this host`);
}

export async function list(options: ListingOptions): Promise<void> {
  const dns = await call<DnsInfo>(options.socket, "GET", "/v1/dns");
  print(options, dns, dnsText(dns));
}
