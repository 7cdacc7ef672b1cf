/** `weft expose` and `weft hide`. */
import type { ExposureInfo } from "../mesh-answers.js";
import { call } from "./client.js";
import { type ListingOptions, print } from "./options.js";
import { exposureText } from "./status-mesh.js";

export async function expose(network: string | undefined, options: ListingOptions): Promise<void> {
  await change("/v1/expose", network, options);
}

export async function hide(network: string | undefined, options: ListingOptions): Promise<void> {
  await change("/v1/hide", network, options);
}

async function change(path: string, network: string | undefined, options: ListingOptions): Promise<void> {
  const answer = await call<ExposureInfo>(options.socket, "POST", path, network === undefined ? {} : { network });
  print(options, answer, exposureText(answer));
}
