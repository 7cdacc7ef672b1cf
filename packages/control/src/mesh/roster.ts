/** Who belongs to the network (members.ts) as the records in the tables have it, and what that leaves of the tables. */
import { type Membership, membership } from "./members.js";
import type { RawRecord } from "./record.js";
import type { Kind, Values } from "./records.js";
import { type Kept, outlastsRemoval, type Tables } from "./table.js";
import type { NodeId } from "./types.js";

/** So many members of the highest rank repeat the tombstones of others. */
const SENIORS = 8;

export class Roster {
  readonly #self: NodeId;
  readonly #founder: NodeId;
  readonly #tables: Tables;
  #membership: Membership;

  constructor(self: NodeId, founder: NodeId, tables: Tables) {
    this.#self = self;
    this.#founder = founder;
    this.#tables = tables;
    this.#membership = membership(founder, { admissions: new Map(), tombstones: new Map() });
  }

  get members(): ReadonlySet<NodeId> {
    return this.#membership.members;
  }
  get removed(): ReadonlyMap<NodeId, NodeId> {
    return this.#membership.removed;
  }

  /** Admissions or tombstones have changed. @returns records that hold no more */
  update(): Kept[] {
    const read = <T>(kind: "member" | "removed", of: (record: Kept) => T): Map<NodeId, Map<NodeId, T>> =>
      new Map(
        [...this.#tables.ofKind(kind)].map(([node, records]) => [
          node,
          new Map([...records.values()].map((record) => [record.id, of(record)])),
        ]),
      );
    this.#membership = membership(this.#founder, {
      admissions: read("member", ({ version }) => version),
      tombstones: read("removed", ({ version, value }) => {
        const { upTo, by } = value as Values["removed"];
        return { version, upTo, by };
      }),
    });
    return [...this.#membership.believedTo].flatMap(([node, to]) =>
      node === this.#self ? [] : this.#tables.forgetAfter(node, to),
    );
  }

  /** The word of a removed node ends where its tombstone says. Our own stays: we are out. */
  isLate({ node, version }: RawRecord, kind: Kind): boolean {
    const to = this.#membership.believedTo.get(node);
    return to !== undefined && version > to && !outlastsRemoval(kind) && node !== this.#self;
  }

  /** What we are to repeat: tombstones that others have written for nodes below us, and we have not. */
  *removedByOthers(): Generator<{ readonly node: NodeId; readonly upTo: number; readonly by: NodeId }> {
    const { ranked, members, believedTo, removed } = this.#membership;
    const seniors = ranked.filter((node) => members.has(node)).slice(0, SENIORS);
    if (!seniors.includes(this.#self)) return;
    const own = this.#tables.ofKind("removed").get(this.#self);
    for (const node of ranked.slice(ranked.indexOf(this.#self) + 1)) {
      const upTo = believedTo.get(node);
      const by = removed.get(node);
      if (upTo !== undefined && by !== undefined && !own?.has(node)) yield { node, upTo, by };
    }
  }
}
