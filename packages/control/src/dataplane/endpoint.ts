/** UDP addresses of WireGuard peers: from the tables to the engine, and to people. */
import type { Punt } from "@weft/dataplane-wasm";
import type { Link } from "@weft/tun";
import type { Endpoint } from "../wireguard/surroundings.js";
import { formatAddress } from "./address.js";

/** Where something came from, and which address of ours it was sent to, when that is known. */
export function endpointOf({
  address,
  port,
  local,
  via,
}: Pick<Punt, "address" | "port" | "local"> & { readonly via?: Punt["via"] }): Endpoint {
  const where = { address: formatAddress(address), port, ...(via === undefined ? {} : { via }) };
  return local.every((word) => word === 0) ? where : { ...where, local: formatAddress(local) };
}

/** `ADDR:PORT`, `[ADDR]:PORT`. */
export function endpointText({ address, port }: Endpoint): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Whether no interface of the host has an address any more. */
export function isGone(link: Link, address: string): boolean {
  try {
    return link.underlayInterface(address) === undefined;
  } catch {
    return false; // Out of descriptors: nothing is known.
  }
}
