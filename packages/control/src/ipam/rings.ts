/** The rings as this node's records have them, computed anew when records have changed. */
import type { NetworkValue } from "../mesh/records.js";
import type { NodeId, Records } from "../mesh/types.js";
import { AddressPlan } from "./prefix.js";
import { type Grant, networkOf, type Ownership, owners, type Removed, type Ring, ringId } from "./ring.js";

/** Networks that are in force, by name. */
export interface NetworkSource {
  get(name: string): NetworkValue | undefined;
  names(): string[];
}

export interface RingView {
  readonly network: string;
  readonly ring: Ring;
  readonly plan: AddressPlan;
  readonly ownership: Ownership;
}

export class Rings {
  readonly #records: Records;
  readonly #networks: NetworkSource;
  readonly #views = new Map<string, RingView>();
  #grants: Map<string, Grant[]> | undefined;
  #removed: Removed | undefined;

  constructor(records: Records, networks: NetworkSource) {
    this.#records = records;
    this.#networks = networks;
  }

  /** Records have changed. */
  changed(): void {
    this.#views.clear();
    this.#grants = undefined;
    this.#removed = undefined;
  }

  /** undefined: no such network, or one whose prefixes have no room for addresses. */
  get(network: string): RingView | undefined {
    const known = this.#views.get(network);
    if (known) return known;
    const value = this.#networks.get(network);
    const plan = value && new AddressPlan(value);
    if (!value || !plan || plan.size < 4) return undefined;
    const ring = { id: ringId(network, value), size: plan.size, founder: value.founder };
    this.#grants ??= this.#readGrants();
    this.#removed ??= this.#readRemoved();
    const ownership = owners(ring, this.#grants.get(ring.id) ?? [], this.#removed);
    const view = { network, ring, plan, ownership };
    this.#views.set(network, view);
    return view;
  }

  /** Of that id, as it is now. */
  byId(id: string): RingView | undefined {
    const view = this.get(networkOf(id));
    return view?.ring.id === id ? view : undefined;
  }

  all(): RingView[] {
    return this.#networks
      .names()
      .map((name) => this.get(name))
      .filter((view) => view !== undefined);
  }

  #readGrants(): Map<string, Grant[]> {
    const grants = new Map<string, Grant[]>();
    for (const entries of [this.#records.list("grant"), this.#records.listRemoved("grant")]) {
      for (const { node, id, version, value } of entries) {
        const ring = ringOf(id);
        const list = grants.get(ring) ?? [];
        list.push({ writer: node, version, ...value });
        grants.set(ring, list);
      }
    }
    return grants;
  }

  #readRemoved(): Removed {
    const removers = new Map<NodeId, NodeId>();
    for (const { node, id } of this.#records.list("removed")) {
      const known = removers.get(id);
      if (known === undefined || node < known) removers.set(id, node);
    }
    return {
      has: (node) => this.#records.isRemoved(node),
      remover: (node) => removers.get(node) ?? null,
    };
  }
}

/** Id of a grant's record: no grant takes the place of an earlier one, because the later ones rest on it. */
export function grantId(ring: string, start: number, epoch: number): string {
  return `${ring}:${start}:${epoch}`;
}

function ringOf(id: string): string {
  return id.replace(/:\d+:\d+$/, "");
}
