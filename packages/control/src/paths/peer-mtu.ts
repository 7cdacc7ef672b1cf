/** The MTU of the paths to one peer: what both sides have found, within what the underlays let through. */
import { directMtu, floors, PATH_MIN, relayedMtu } from "./mtu.js";
import { MtuSearch } from "./mtu-search.js";

/** All are octets of the longest packet inside the session. */
export class PeerMtu {
  readonly #underlayMtu: (family: 4 | 6) => number;
  /** That the peer has found in its direction; 0: none. */
  readonly #peers = { direct: 0, relayed: 0 };
  #family: 4 | 6 = 4;
  #peerUnderlay = 65_535;
  #search: MtuSearch;

  /** @param underlayMtu of our own underlay */
  constructor(underlayMtu: (family: 4 | 6) => number) {
    this.#underlayMtu = underlayMtu;
    this.#search = this.#begin();
  }

  /** Of the direct path. */
  get search(): MtuSearch {
    return this.#search;
  }
  get direct(): number {
    return this.#least(this.#search.mtu, this.#peers.direct);
  }
  /** @param search of the relay in use */
  relayed(search: MtuSearch | null): number {
    return this.#least(search?.mtu ?? PATH_MIN, this.#peers.relayed);
  }

  /** The peer says what it has found. */
  heard(path: "direct" | "relayed", mtu: number): void {
    this.#peers[path] = mtu;
  }
  /** The peer says what its underlay takes. */
  describe(underlayMtu: number): void {
    this.#peerUnderlay = underlayMtu;
  }
  /** The underlay's MTU may have changed, or the family of the address that the peer is written to. */
  resize(family: 4 | 6 | undefined): void {
    if (family !== undefined && family !== this.#family) {
      this.#family = family;
      this.#search = this.#begin();
    } else this.#search.setCeiling(this.#ceiling());
  }

  /** Of a path through this relay. */
  searchOver(relay: PeerMtu): MtuSearch {
    return new MtuSearch(this.ceilingOver(relay), floors(relay.#family, true));
  }
  ceilingOver(relay: PeerMtu): number {
    return relayedMtu(Math.min(relay.direct, this.#ceiling()));
  }

  #begin(): MtuSearch {
    return new MtuSearch(this.#ceiling(), floors(this.#family, false));
  }
  #ceiling(): number {
    return directMtu(Math.min(this.#underlayMtu(this.#family), this.#peerUnderlay), this.#family);
  }
  /** Whatever a peer says, no less than is taken for a path. */
  #least(found: number, peers: number): number {
    return Math.max(PATH_MIN, Math.min(found, peers || Number.POSITIVE_INFINITY));
  }
}
