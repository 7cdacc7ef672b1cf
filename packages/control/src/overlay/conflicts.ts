/**
 * What is wrong with networks that others have made: names and prefixes that cannot be used, and what two of them both want. There may
 * be thousands, and any member can change one at any time, so no network is compared with all others.
 */
import { AddressPlan, contains, formatPrefix, overlap, type Prefix, parsePrefix } from "../ipam/prefix.js";
import type { NetworkValue } from "../mesh/records.js";
import type { NodeId } from "../mesh/types.js";
import type { Network, Surroundings } from "./networks.js";

/** VNIs below are for those who number by hand. */
export const VNI_MIN = 4096;
export const VNI_MAX = 16_777_215;
export const NAME = /^[a-z0-9][a-z0-9._-]{0,31}$/;

/** Sentences about one network. */
const CONFLICTS_MAX = 4;

/** Says of each network what collides with it. Deleted ones collide with nothing. */
export function withConflicts(
  latest: ReadonlyMap<string, { writer: NodeId; value: NetworkValue }>,
  { names, vnis }: Surroundings,
): Map<string, Network> {
  const entries = [...latest].sort(([a, x], [b, y]) => (rank(a, x.value) < rank(b, y.value) ? -1 : 1));
  const used = new Set([...vnis, ...entries.flatMap(([, { value }]) => (value.deleted ? [] : [value.vni]))]);
  const overlaps = overlapping(entries.map(([name, { value }]) => ({ name, value })));
  const all = new Map<string, Network>();
  const byVni = new Map<number, string>();
  for (const [name, { writer, value }] of entries) {
    const conflicts = [...(overlaps.get(name) ?? [])];
    const network = { name, value, writer, conflicts, isHeld: false, localVni: value.vni };
    if (value.deleted) {
      all.set(name, network);
      continue;
    }
    const why = unusable(name, value, names);
    const same = byVni.get(value.vni) ?? (vnis.has(value.vni) ? HERE : undefined);
    if (why !== undefined) conflicts.push(`${why}: it is not on this host`);
    else if (same !== undefined)
      conflicts.push(
        `VNI ${value.vni} is that of ${same}, too: no other host is reached in it until one of them is deleted`,
      );
    if (!byVni.has(value.vni)) byVni.set(value.vni, `network ${name}`);
    const isHeld = why === undefined && same !== undefined;
    const localVni = why !== undefined ? null : isHeld ? nextFree(value.vni, used) : value.vni;
    if (localVni !== null) used.add(localVni);
    all.set(name, { ...network, isHeld, localVni });
  }
  return all;
}

interface Claim {
  readonly prefix: Prefix;
  readonly name: string;
  readonly order: number;
}

/**
 * Sentences about prefixes that overlap, about the later one of two each. Prefixes lie inside of each other or apart; sorted, each has those
 * around it right before it.
 * @param networks in their order
 */
function overlapping(
  networks: readonly { readonly name: string; readonly value: NetworkValue }[],
): Map<string, Set<string>> {
  const claims = networks.flatMap(({ name, value }, order) =>
    value.deleted ? [] : prefixesOf(value).map((prefix): Claim => ({ prefix, name, order })),
  );
  claims.sort((a, b) => compare(a.prefix, b.prefix) || a.order - b.order);
  const found = new Map<string, Set<string>>();
  const around: Claim[] = [];
  for (const claim of claims) {
    while (around.length > 0 && !contains((around.at(-1) as Claim).prefix, claim.prefix)) around.pop();
    for (const other of around.slice(-CONFLICTS_MAX)) {
      if (other.name === claim.name) continue;
      const [first, later] = other.order < claim.order ? [other, claim] : [claim, other];
      const sentences = found.get(later.name) ?? new Set();
      found.set(later.name, sentences);
      if (sentences.size < CONFLICTS_MAX)
        sentences.add(
          `${formatPrefix(later.prefix)} overlaps network ${first.name}: a host has a gateway for one of them only`,
        );
    }
    around.push(claim);
  }
  return found;
}

/** By family and address; of two that begin together the one around the other first. */
function compare(a: Prefix, b: Prefix): number {
  return a.family - b.family || (a.number === b.number ? a.length - b.length : a.number < b.number ? -1 : 1);
}

const HERE = "a network that only this host has";

/** Records of others come through here. */
function unusable(name: string, value: NetworkValue, names: ReadonlySet<string>): string | undefined {
  if (names.has(name)) return "this host has a network of its own of this name";
  if (!NAME.test(name)) return "its name cannot be used";
  const isGood = new AddressPlan(value).size >= 4 && prefixesOf(value).every(isForContainers);
  return isGood ? undefined : "its prefixes cannot be used";
}

/** Addresses that mean something else on every host (RFC 6890). */
const SPECIAL = [
  ...["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"],
  ...["::/8", "fe80::/10", "ff00::/8"],
].map((text) => parsePrefix(text) as Prefix);

/** Long enough to leave the host its other routes, short enough for containers. */
export function isForContainers(prefix: Prefix): boolean {
  const longest = prefix.family === 4 ? 29 : 125;
  return prefix.length >= 8 && prefix.length <= longest && !SPECIAL.some((one) => overlap(one, prefix));
}

export function nextFree(vni: number, used: ReadonlySet<number>): number {
  let free = Math.max(vni, VNI_MIN);
  while (used.has(free)) free = free === VNI_MAX ? VNI_MIN : free + 1;
  return free;
}

function rank(name: string, { founder }: NetworkValue): string {
  return `${founder} ${name}`;
}

export function prefixesOf({ cidr4, cidr6 }: NetworkValue): Prefix[] {
  return [cidr4, cidr6].flatMap((text) => (text === null ? [] : (parsePrefix(text) ?? [])));
}
