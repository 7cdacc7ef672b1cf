/** Which WireGuard peer an address inside the tunnel belongs to, as the main thread asks: the workers have the route hash. */
import { type Address, networkKey, type Prefix } from "./address.js";

const nameOf = ({ family, key, length }: Prefix): string => `${family} ${length} ${key.join(" ")}`;

export class AllowedIps {
  /** Peer indexes by prefix. */
  readonly #owners = new Map<string, number>();
  /** Prefix lengths in use, longest first. */
  #lengths: Readonly<Record<4 | 6, readonly number[]>> = { 4: [], 6: [] };

  /** Puts the prefixes of all peers in place of those that are there. */
  replace(peers: Iterable<{ readonly index: number; readonly prefixes: readonly Prefix[] }>): void {
    const lengths = { 4: new Set<number>(), 6: new Set<number>() };
    this.#owners.clear();
    for (const { index, prefixes } of peers) {
      for (const prefix of prefixes) {
        this.#owners.set(nameOf(prefix), index);
        lengths[prefix.family].add(prefix.length);
      }
    }
    const sorted = (family: 4 | 6): number[] => [...lengths[family]].sort((a, b) => b - a);
    this.#lengths = { 4: sorted(4), 6: sorted(6) };
  }

  /** Index of the peer whose prefix covers the address longest. */
  peerOf({ family, key }: Address): number | undefined {
    for (const length of this.#lengths[family]) {
      const masked = networkKey({ family, key, length });
      const index = this.#owners.get(nameOf({ family, key: masked, length }));
      if (index !== undefined) return index;
    }
    return undefined;
  }
}
