/**
 * Addresses for the containers of this host. Who owns space gives addresses out alone, whoever else can be reached; who has none
 * asks an owner by a record (`want`) and gets a part of the owner's range by another (`grant`), see ring.ts.
 */
import { WeftError } from "../errors.js";
import type { GrantValue } from "../mesh/records.js";
import type { NodeId, Records } from "../mesh/types.js";
import { type AllocationStore, Allocations } from "./allocations.js";
import { Giver } from "./giver.js";
import { firstGrantable, type OwnedRange, positionOf } from "./ring.js";
import { grantId, type NetworkSource, Rings, type RingView } from "./rings.js";

/** Milliseconds that one owner has to answer, and all of them together. */
export const TURN_MS = 2000;
export const DEADLINE_MS = 10_000;
/** Milliseconds from when a tombstone was seen until its heir takes over: what the node had granted may still be on its way. */
export const SETTLE_MS = 5000;

export interface IpamOptions {
  readonly records: Records;
  /** Must know of a change of records before this does: what it listens with is older. */
  readonly networks: NetworkSource;
  readonly store: AllocationStore;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Milliseconds by a clock that nobody sets. */
  readonly nowMs: () => number;
  /** Runs something later, once. @returns what takes it back */
  readonly after: (ms: number, run: () => void) => () => void;
  /** 0 .. 1, as Math.random. */
  readonly random: () => number;
  /** How a node is called in errors; default its NodeId. */
  readonly nameOf?: (node: NodeId) => string;
  /** Sentences for the log. */
  readonly warn?: (sentence: string) => void;
}

export interface Address {
  readonly index: number;
  /** One per family, with the network's prefix length. */
  readonly ips: readonly string[];
}

export interface IpamInfo {
  readonly network: string;
  /** Addresses that can be given to containers, per family. */
  readonly size: number;
  /** Of this node. `free` and `used` together are `owned`, but for `foreign`. */
  readonly owned: number;
  readonly used: number;
  readonly free: number;
  /**
   * Keys of addresses that are in use here though another node owns them: granted in a record that was lost with a disk and has not come back,
   * or see ring.ts; or of a network that has become another one, see overlay/networks.ts.
   */
  readonly foreign: readonly string[];
  /** Grants that have no effect. */
  readonly ignoredGrants: number;
  readonly owners: readonly {
    /** null: all who could inherit were removed. */
    readonly node: NodeId | null;
    readonly isAlive: boolean;
    readonly owned: number;
    readonly ranges: number;
    /** Of `owned`, what it will inherit from removed nodes. */
    readonly inherited: number;
  }[];
}

export class Ipam {
  readonly #records: Records;
  readonly #networks: NetworkSource;
  readonly #rings: Rings;
  readonly #allocations: Allocations;
  readonly #giver: Giver;
  readonly #options: IpamOptions;
  readonly #waiting = new Set<() => void>();
  /** One request per network at a time, so that two do not ask for space at once. */
  readonly #queues = new Map<string, Promise<unknown>>();
  /** When this process first saw that a node is removed (`nowMs`). */
  readonly #removedAt = new Map<NodeId, number>();
  readonly #timers = new Set<() => void>();
  readonly #unsubscribe: () => void;
  #isClosed = false;

  constructor(options: IpamOptions) {
    const { records, networks, store, now, warn } = options;
    this.#options = options;
    this.#records = records;
    this.#networks = networks;
    this.#rings = new Rings(records, networks);
    this.#allocations = new Allocations(store, now);
    this.#giver = new Giver({
      records,
      allocations: this.#allocations,
      warn: warn ?? (() => {}),
      rings: this.#rings,
      takeOver: (view) => this.#takeOver(view),
    });
    // Requests of an earlier process: nobody waits for them.
    for (const { node, id } of [...records.list("want")]) if (node === records.self) this.#withdraw(id);
    this.#unsubscribe = records.on((event) => {
      if (event.type === "expelled") return;
      if (event.type === "records" && !RELEVANT.some((kind) => event.kinds.has(kind))) return;
      this.changed();
    });
    this.#noticeRemoved();
  }

  /** Something that ownership depends on has changed; called by itself for records. */
  changed(): void {
    this.#rings.changed();
    this.#noticeRemoved();
    this.#giver.serve();
    for (const wake of [...this.#waiting]) wake();
  }

  /**
   * An address for a key, the one it has or had if that can be. Waits for another node when this one owns no free address.
   * @throws WeftError not_found, not_recorded, unavailable after 10 s
   */
  allocate(network: string, key: string): Promise<Address> {
    return this.#inTurn(network, async () => {
      const before = this.#view(network);
      const has = this.#allocations.indexOf(before.ring.id, key);
      if (has !== undefined) return addressOf(before, has);
      return this.#obtain(network, key, { count: 1, at: null }, (view) =>
        this.#allocations.pick(view.ring.id, key, this.#ownSpans(view)),
      );
    });
  }

  /**
   * A certain address for a key, given by any of the network's families and without prefix length.
   * @throws WeftError invalid_input, conflict, not_found, not_recorded, unavailable after 10 s
   */
  claim(network: string, ip: string, key: string): Promise<Address> {
    return this.#inTurn(network, async () => {
      const { ring, plan } = this.#view(network);
      const index = plan.indexOf(ip);
      if (index === undefined || !plan.isAllocatable(index))
        throw new WeftError(
          "invalid_input",
          `${ip} is no address for a container of network ${network}: ${this.#room(network)}`,
        );
      const user = this.#allocations.keyOf(ring.id, index);
      if (user !== undefined && user !== key)
        throw new WeftError("conflict", `${ip} is in use by ${user}: detach that one or take another address`);
      if (user === key) return addressOf(this.#view(network), index);
      if (this.#allocations.indexOf(ring.id, key) !== undefined)
        throw new WeftError("conflict", `${key} has another address in network ${network}: release that one first`);
      return this.#obtain(network, key, { count: 1, at: index }, (view) => {
        if (this.#isOwn(view, index)) return index;
        this.#checkForeign(view, index, ip);
        return undefined;
      });
    });
  }

  /** Gives back what a key has, in all networks; nothing happens when it has nothing. */
  release(key: string): void {
    this.#allocations.release(new Set([key]));
  }

  /** Gives back what all other keys have: ports that are no more after a restart. */
  retain(keys: ReadonlySet<string>): void {
    this.#allocations.release(new Set([...this.#allocations.keys()].filter((key) => !keys.has(key))));
  }

  info(): IpamInfo[] {
    return this.#rings.all().map((view) => this.#infoOf(view));
  }

  close(): void {
    this.#isClosed = true;
    this.#unsubscribe();
    for (const cancel of this.#timers) cancel();
    for (const wake of [...this.#waiting]) wake();
  }

  async #obtain(
    network: string,
    key: string,
    want: { readonly count: number; readonly at: number | null },
    find: (view: RingView) => number | undefined,
  ): Promise<Address> {
    const { nowMs } = this.#options;
    const deadline = nowMs() + DEADLINE_MS;
    const asked = new Set<NodeId>();
    let wanted: string | undefined;
    try {
      for (;;) {
        if (this.#isClosed) throw new WeftError("unavailable", "the daemon is stopping: try again when it runs");
        let view = this.#view(network);
        if (find(view) === undefined && this.#takeOver(view)) view = this.#view(network);
        const index = find(view);
        if (index !== undefined) {
          this.#recordGrants();
          this.#allocations.take(view.ring.id, key, index);
          return addressOf(view, index);
        }
        if (nowMs() >= deadline) throw this.#timedOut(network, want.at, asked);
        const giver = this.#nextGiver(view, want.at, asked);
        if (giver !== undefined) {
          asked.add(giver);
          wanted = view.ring.id;
          const nonce = Math.floor(this.#options.random() * 2 ** 48);
          this.#records.put("want", wanted, { from: giver, ...want, nonce });
        }
        await this.#until(() => this.#isClosed || this.#has(network, find), Math.min(TURN_MS, deadline - nowMs()));
      }
    } finally {
      if (wanted !== undefined) this.#withdraw(wanted);
    }
  }

  /** Whoever of the living owns most and has not been asked yet; when all have been, from the beginning. */
  #nextGiver(view: RingView, at: number | null, asked: Set<NodeId>): NodeId | undefined {
    const { ranges } = view.ownership;
    const candidates = at === null ? ranges : [ranges[positionOf(ranges, at)] as OwnedRange];
    const owned = new Map<NodeId, number>();
    for (const { owner, start, end } of candidates) {
      if (owner === null || owner === this.#records.self || !this.#records.isAlive(owner)) continue;
      owned.set(owner, Math.max(owned.get(owner) ?? 0, end - start));
    }
    const inOrder = [...owned].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1)).map(([node]) => node);
    return inOrder.find((node) => !asked.has(node)) ?? inOrder[0];
  }

  /** Writes what makes inherited ranges ours. @returns whether there were any that may be taken over now */
  #takeOver(view: RingView): boolean {
    const cutoff = this.#options.nowMs() - SETTLE_MS;
    const inherited = view.ownership.ranges.filter(
      ({ owner, heirOf }) =>
        heirOf !== null && owner === this.#records.self && (this.#removedAt.get(heirOf) ?? Infinity) <= cutoff,
    );
    if (inherited.length === 0) return false;
    const grants = inherited.map(({ start, end, epoch }) => {
      const value: GrantValue = { start, end, to: this.#records.self, epoch: epoch + 1 };
      return { kind: "grant" as const, id: grantId(view.ring.id, start, epoch + 1), value };
    });
    try {
      this.#records.putAll(grants);
      return true;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#options.warn?.(`network ${view.network}: what a removed node had cannot be taken over: ${why}`);
      return false;
    } finally {
      this.#rings.changed();
    }
  }

  /** A grant is on disk before anything of it is used: who gave it, and all others who know of it, may be gone tomorrow. */
  #recordGrants(): void {
    try {
      this.#records.persist();
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new WeftError(
        "not_recorded",
        `no address given: the records cannot be written (${why}); make room or put the state directory back`,
      );
    }
  }

  /** A request that the disk keeps is withdrawn at the next start; what it asks for is given once. */
  #withdraw(ring: string): void {
    try {
      this.#records.remove("want", ring);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#options.warn?.(`a request for addresses cannot be withdrawn: ${why}`);
    }
  }

  #noticeRemoved(): void {
    const tombstones = [...this.#records.list("removed"), ...this.#records.listRemoved("removed")];
    for (const { id } of tombstones) {
      if (this.#removedAt.has(id)) continue;
      this.#removedAt.set(id, this.#options.nowMs());
      const cancel = this.#options.after(SETTLE_MS, () => {
        this.#timers.delete(cancel);
        this.changed();
      });
      this.#timers.add(cancel);
    }
  }

  #view(network: string): RingView {
    const view = this.#rings.get(network);
    if (view) return view;
    const what = this.#networks.get(network) ? "has no addresses to give" : "does not exist";
    throw new WeftError(
      "not_found",
      `network ${network} ${what}: make one with \`weft network create\`, or name another`,
    );
  }

  #has(network: string, find: (view: RingView) => number | undefined): boolean {
    const view = this.#rings.get(network);
    if (!view) return true;
    try {
      return find(view) !== undefined;
    } catch {
      // The loop that waits meets the same error and throws it.
      return true;
    }
  }

  #isOwn(view: RingView, index: number): boolean {
    const range = view.ownership.ranges[positionOf(view.ownership.ranges, index)];
    return range?.owner === this.#records.self && range.heirOf === null;
  }

  #ownSpans(view: RingView): { start: number; end: number }[] {
    return view.ownership.ranges
      .filter(({ owner, heirOf }) => owner === this.#records.self && heirOf === null)
      .map((range) => allocatable(view, range));
  }

  /** @throws WeftError conflict for what its owner cannot give. */
  #checkForeign(view: RingView, index: number, ip: string): void {
    const { ranges } = view.ownership;
    const range = ranges[positionOf(ranges, index)] as OwnedRange;
    const ips = new Set(view.plan.ips(index));
    for (const { node, id, value } of this.#records.list("container")) {
      if (value.network !== view.network || node === this.#records.self || !this.#records.isAlive(node)) continue;
      if (value.ips.some((one) => ips.has(one)))
        throw new WeftError("conflict", `${ip} is in use by ${id} on ${this.#nameOf(node)}: take another address`);
    }
    if (index < firstGrantable(range) && range.owner !== null && range.heirOf === null)
      throw new WeftError(
        "conflict",
        `${ip} is one of the first two of a range of ${this.#nameOf(range.owner)}, which are used on that host only: attach there or take another address`,
      );
  }

  #timedOut(network: string, at: number | null, asked: ReadonlySet<NodeId>): WeftError {
    const view = this.#view(network);
    const what = at === null ? "a free address" : String(view.plan.ips(at)[0]);
    if (asked.size > 0) {
      const whom = [...asked].map((node) => this.#nameOf(node)).join(", ");
      return new WeftError(
        "unavailable",
        `no address: waited ${DEADLINE_MS / 1000} s for ${whom} to give ${what} of network ${network}: nothing came, because it has none or is not reached; \`weft status ipam\` says who owns what`,
      );
    }
    const { ranges } = view.ownership;
    const of = at === null ? ranges : [ranges[positionOf(ranges, at)] as OwnedRange];
    const away = new Set(of.flatMap(({ owner }) => (owner === null || owner === this.#records.self ? [] : [owner])));
    const who =
      away.size > 0
        ? `its owners are not reached (${[...away].map((node) => this.#nameOf(node)).join(", ")}): bring one back, or remove for ever what is gone with \`weft rmpeer\``
        : "nobody else owns any: take a larger network";
    return new WeftError(
      "unavailable",
      `no address: this host has no space for ${what} of network ${network}, and ${who}`,
    );
  }

  #nameOf(node: NodeId): string {
    return this.#options.nameOf?.(node) ?? node;
  }

  #room(network: string): string {
    const value = this.#networks.get(network);
    const prefixes = [value?.cidr4, value?.cidr6].filter((text) => typeof text === "string").join(" and ");
    return `it has ${prefixes}, without the first two addresses and the last`;
  }

  #infoOf(view: RingView): IpamInfo {
    const { ownership, plan, ring } = view;
    const used = this.#allocations.used(ring.id);
    const strange = used.filter((index) => !this.#isOwn(view, index));
    const lost = this.#allocations.keysOfOthers(view.network, ring.id);
    const owners = new Map<NodeId | null, { owned: number; ranges: number; inherited: number }>();
    for (const range of ownership.ranges) {
      const { start, end } = allocatable(view, range);
      const one = owners.get(range.owner) ?? { owned: 0, ranges: 0, inherited: 0 };
      one.owned += end - start;
      one.ranges++;
      if (range.heirOf !== null) one.inherited += end - start;
      owners.set(range.owner, one);
    }
    const own = owners.get(this.#records.self);
    const owned = (own?.owned ?? 0) - (own?.inherited ?? 0);
    return {
      network: view.network,
      size: plan.size - 3,
      owned,
      used: used.length + lost.length,
      free: owned - (used.length - strange.length),
      foreign: [...strange.map((index) => this.#allocations.keyOf(ring.id, index) ?? ""), ...lost],
      ignoredGrants: ownership.ignored,
      owners: [...owners]
        .map(([node, one]) => ({ node, isAlive: node !== null && this.#records.isAlive(node), ...one }))
        .sort((a, b) => ((a.node ?? "") < (b.node ?? "") ? -1 : 1)),
    };
  }

  #inTurn<T>(network: string, run: () => Promise<T>): Promise<T> {
    const before = this.#queues.get(network) ?? Promise.resolve();
    const done = before.then(run, run);
    const settled = done
      .catch(() => {})
      .then(() => {
        if (this.#queues.get(network) === settled) this.#queues.delete(network);
      });
    this.#queues.set(network, settled);
    return done;
  }

  #until(holds: () => boolean, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (holds()) finish();
      };
      const finish = (): void => {
        cancel();
        this.#waiting.delete(check);
        resolve();
      };
      const cancel = this.#options.after(ms, finish);
      this.#waiting.add(check);
    });
  }
}

const RELEVANT = ["grant", "want", "network", "removed", "member"] as const;

function addressOf(view: RingView, index: number): Address {
  return { index, ips: view.plan.cidrs(index) };
}

/** What of a range containers can get. */
export function allocatable({ plan }: RingView, range: { start: number; end: number }): { start: number; end: number } {
  const start = Math.max(2, range.start);
  return { start, end: Math.max(start, Math.min(plan.size - 1, range.end)) };
}
