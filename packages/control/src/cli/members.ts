/** `weft connect`, `forget`, `rmpeer`, `leave` and `report`. */
import type { Departure } from "../mesh-answers.js";
import { call } from "./client.js";
import { type ListingOptions, print } from "./options.js";

export async function connect(host: string, options: ListingOptions): Promise<void> {
  const answer = await call<{ address: string }>(options.socket, "POST", "/v1/connect", { host });
  print(options, answer, `dialling ${answer.address} from now on: \`weft status connections\` shows how it goes`);
}

export async function forget(host: string, options: ListingOptions): Promise<void> {
  const answer = await call<{ forgotten: string[] }>(options.socket, "POST", "/v1/forget", { host });
  const { forgotten } = answer;
  print(options, answer, forgotten.length > 0 ? `forgot ${forgotten.join(" ")}` : `nobody has named ${host}`);
}

export async function removeMember(node: string, options: ListingOptions & { force?: boolean }): Promise<void> {
  const query = options.force ? "?force=true" : "";
  const path = `/v1/members/${encodeURIComponent(node)}${query}`;
  const answer = await call<{ id: string; name: string }>(options.socket, "DELETE", path);
  print(options, answer, `removed ${answer.name || answer.id}; \`weft token\` prints the new token`);
}

export async function leave(options: ListingOptions): Promise<void> {
  const answer = await call<Departure>(options.socket, "POST", "/v1/leave", {});
  const given = answer.granted.map((g) => `${g.count} addresses of ${g.network}`).join(", ");
  print(
    options,
    answer,
    `left network ${answer.networkId}${given === "" ? "" : `, gave away ${given}`}; the daemon stops`,
  );
}

export async function report({ socket }: ListingOptions): Promise<void> {
  print({ json: true }, await call<object>(socket, "GET", "/v1/report"), "");
}
