/** What the route cells say of a layer-3 port: its addresses, and where its packets go. */
import { ENUM } from "../abi/index.js";
import { lengthBits } from "./prefix-lengths.js";
import type { RouteCells } from "./route-cells.js";
import type { Key } from "./route-hash.js";
import { octetsOf } from "./tunnel-tables.js";

/** A layer-3 port. */
export interface RoutedRow {
  /** Its addresses, IPv4 mapped into IPv6. */
  readonly addresses: readonly Key[];
  readonly hops: readonly HopRow[];
  readonly gateway4?: Key | undefined;
  readonly gateway6?: Key | undefined;
}
/** A prefix in its routes. */
export interface HopRow {
  readonly family: 4 | 6;
  readonly length: number;
  /** Masked to the length. */
  readonly key: Key;
  /** Through the gateway of that family; false: the destination is on the link. */
  readonly viaGateway: boolean;
}

const { HOP, KIND, ROUTE } = ENUM;

const ownTag = (network: number): number => ((ROUTE.OWN << 24) | network) >>> 0;
const hopTag = ({ family, length }: HopRow, port: number): number =>
  (((family === 4 ? ROUTE.HOP4 : ROUTE.HOP6) << 24) | (length << 16) | port) >>> 0;

/** Rows that the port takes of the room for routes. */
export function routedRows({ addresses, hops }: RoutedRow): number {
  return addresses.length + hops.length;
}

/** Writes the rows of a port. @returns the fields of its record that go with them */
export function setRouted(
  routes: RouteCells,
  row: RoutedRow,
  port: { readonly index: number; readonly network: number; readonly generation: number },
): Record<string, number | bigint | Uint8Array> {
  for (const key of row.addresses) {
    routes.set(ownTag(port.network), key, ((KIND.PORT << 24) | port.index) >>> 0, port.generation);
  }
  const lengths = { 4: new Array<number>(33).fill(0), 6: new Array<number>(129).fill(0) };
  for (const hop of row.hops) {
    const kind = hop.viaGateway ? HOP.GATEWAY : HOP.ON_LINK;
    routes.set(hopTag(hop, port.index), hop.key, (kind << 8) | hop.length, 0);
    lengths[hop.family][hop.length] = 1;
  }
  return {
    v4Lens: lengthBits(lengths[4], 0),
    v6Lens0: lengthBits(lengths[6], 0),
    v6Lens1: lengthBits(lengths[6], 64),
    v6Lens2: lengthBits(lengths[6], 128),
    gateway4: row.gateway4?.[3] ?? 0,
    ...(row.gateway6 ? { gateway6: octetsOf(row.gateway6) } : {}),
  };
}

/** Removes what setRouted() has written. */
export function deleteRouted(routes: RouteCells, row: RoutedRow, index: number, network: number): void {
  for (const key of row.addresses) routes.delete(ownTag(network), key);
  for (const hop of row.hops) routes.delete(hopTag(hop, index), hop.key);
}
