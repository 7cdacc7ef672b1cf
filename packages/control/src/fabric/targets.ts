/**
 * Addresses that were named on this host, with `--join` and `weft connect`. They are dialled for as long as no member answers there.
 *
 * Whoever is at an address is not known, so it is asked with a token: a valid one that all members know, then the one that was given at this
 * start, if those that were valid when this host was last connected have been retired. A member that has neither, and is not reached at any
 * address that it knows, tries the keys of members there one by one (mesh/links.ts).
 */
import { isSameHost } from "../config/formats.js";
import { messageOf, WeftError } from "../errors.js";
import type { Channel } from "../mesh/channel.js";
import { resolveTargets, targetText } from "../mesh/tls-dial.js";
import type { Token } from "../mesh/token.js";
import type { NodeId, Records } from "../mesh/types.js";
import type { TargetInfo } from "../mesh-answers.js";
import type { MeshStore } from "./state.js";

/** Milliseconds between two tries of an address that nobody answers at. */
const TARGET_MS = 3000;

export interface TargetsOptions {
  readonly records: Records;
  readonly store: MeshStore;
  /** Of this start (`--join`). */
  readonly join: readonly string[];
  /** To dial with, the most likely first. */
  readonly tokens: () => readonly Token[];
  /** @throws WeftError invalid_input when the token is refused */
  readonly dial: (address: string, token: Token) => Promise<Channel>;
  readonly adopt: (channel: Channel) => void;
}

export class Targets {
  readonly #options: TargetsOptions;
  readonly #targets = new Map<string, TargetInfo>();
  readonly #resolved = new Map<string, readonly string[]>();
  #timer: NodeJS.Timeout | undefined;
  #isDialling = false;

  constructor(options: TargetsOptions) {
    this.#options = options;
    for (const address of [...options.join, ...options.store.state.targets]) this.#add(address);
  }

  /** Not at once: links that there are already may lead there. */
  start(): void {
    this.#timer = setInterval(() => void this.#dialAll(), TARGET_MS).unref();
  }
  stop(): void {
    clearInterval(this.#timer);
  }

  list(): TargetInfo[] {
    return [...this.#targets.values()];
  }
  /** `ADDR:PORT` of all of them; of names, what they led to when they were last dialled. */
  addresses(): string[] {
    return [...this.#targets.keys()].flatMap((text) => this.#resolved.get(text) ?? []);
  }

  connect(address: string): void {
    const { store } = this.#options;
    if (!store.state.targets.includes(address)) store.change({ targets: [...store.state.targets, address] });
    this.#add(address);
    void this.#dialAll();
  }
  forget(address: string): string[] {
    const { store } = this.#options;
    const isMeant = (target: string): boolean => isSameHost(target, address);
    const gone = [...this.#targets.keys()].filter(isMeant);
    store.change({ targets: store.state.targets.filter((target) => !isMeant(target)) });
    for (const target of gone) {
      this.#targets.delete(target);
      this.#resolved.delete(target);
    }
    return gone;
  }

  /** Whether the node was named here, by one of its addresses or because it has answered at one (`--no-discovery`). */
  isNamed(node: NodeId): boolean {
    const control = this.#options.records.get(node, "node")?.control ?? [];
    return this.list().some((target) => target.node === node || control.includes(target.address));
  }

  #add(address: string): void {
    if (!this.#targets.has(address))
      this.#targets.set(address, { address, state: "connecting", node: null, error: null });
  }

  /** One after the other: there are few, and each answers within seconds. */
  async #dialAll(): Promise<void> {
    if (this.#isDialling) return;
    this.#isDialling = true;
    try {
      for (const target of this.list()) await this.#dial(target);
    } finally {
      this.#isDialling = false;
    }
  }
  async #dial({ address, node }: TargetInfo): Promise<void> {
    const { records, dial, adopt } = this.#options;
    const owner = node ?? this.#whoIsAt(address);
    const set = (info: Omit<TargetInfo, "address">): void => {
      if (this.#targets.has(address)) this.#targets.set(address, { address, ...info });
    };
    // Reached over whatever others is enough: links are kept few.
    if (owner !== null && records.isAlive(owner)) return set({ state: "connected", node: owner, error: null });
    let error = "there is no valid token to dial with: make one with `weft token rotate`";
    for (const token of this.#options.tokens()) {
      try {
        const channel = await dial(address, token);
        set({ state: "connected", node: channel.node, error: null });
        return adopt(channel);
      } catch (problem) {
        error = messageOf(problem);
        // Only another token would be answered differently.
        if (!(problem instanceof WeftError && problem.code === "invalid_input")) break;
      }
    }
    set({ state: "failed", node: owner, error });
    const found = await resolveTargets(address).catch(() => []);
    if (this.#targets.has(address)) this.#resolved.set(address, found.map(targetText));
  }
  #whoIsAt(address: string): NodeId | null {
    for (const { id, node } of this.#options.records.members()) if (node?.control.includes(address)) return id;
    return null;
  }
}
