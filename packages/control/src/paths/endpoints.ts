/**
 * Where a peer may be reached: what its record says, and where it was seen. Records are written by other nodes, so nothing in them is
 * taken for an address before it was read.
 */
import { isIP, SocketAddress } from "node:net";

/** Endpoints of one peer, at most: eight of its record, and where it was seen. */
const CANDIDATES_MAX = 9;
/** Own addresses, as others see them, that are handed out. */
const OUTSIDE_MAX = 4;
/** Nodes whose word on that is kept. */
const OBSERVERS_MAX = 4096;

export interface ParsedEndpoint {
  readonly address: string;
  readonly port: number;
  readonly family: 4 | 6;
}

/** `ADDR:PORT` or `[ADDR]:PORT`. undefined: neither, or an address that no single host has. */
export function parseEndpoint(text: string): ParsedEndpoint | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  const raw = match?.[1] ?? match?.[2];
  if (raw === undefined || port < 1 || port > 65_535) return undefined;
  const family = isIP(raw);
  if (family === 0 || (family === 6) !== (match?.[1] !== undefined)) return undefined;
  if (family === 4) {
    const first = Number.parseInt(raw, 10);
    return first === 0 || first >= 224 ? undefined : { address: raw, port, family: 4 };
  }
  const { address } = new SocketAddress({ address: raw, family: "ipv6" });
  return address === "::" || address.startsWith("ff") ? undefined : { address, port, family: 6 };
}

/** Those of a peer's endpoints that are addresses of a family that this host's underlay has: it cannot write to others. */
export function writable(endpoints: readonly string[], underlay: readonly { readonly family: 4 | 6 }[]): string[] {
  return endpoints.filter((text) => {
    const parsed = parseEndpoint(text);
    return parsed !== undefined && underlay.some(({ family }) => family === parsed.family);
  });
}

/** The same text for the same endpoint; undefined: none. */
export function endpointKey(text: string): string | undefined {
  const parsed = parseEndpoint(text);
  if (parsed === undefined) return undefined;
  return parsed.family === 6 ? `[${parsed.address}]:${parsed.port}` : `${parsed.address}:${parsed.port}`;
}

/** Candidates of one peer, tried one after the other for as long as none works. */
export class Candidates {
  #fromRecord: readonly string[] = [];
  #seen: string | null = null;
  #list: readonly string[] = [];
  /** Where it is written to now, as far as we know. */
  #current: string | null = null;

  get list(): readonly string[] {
    return this.#list;
  }
  get current(): string | null {
    return this.#current;
  }
  /** It has no address that we could write to: none of our underlay's families, or it has said none and was not seen. */
  get isEmpty(): boolean {
    return this.#list.length === 0;
  }

  /** What the peer's record says. @returns whether that is another list */
  announce(endpoints: readonly string[]): boolean {
    const list = [...new Set(endpoints.map(endpointKey).filter((one) => one !== undefined))].slice(
      0,
      CANDIDATES_MAX - 1,
    );
    if (list.length === this.#fromRecord.length && list.every((one, i) => one === this.#fromRecord[i])) return false;
    this.#fromRecord = list;
    this.#merge();
    // The data plane begins with the first one.
    this.#current ??= this.#list[0] ?? null;
    return true;
  }
  /** An authenticated message came from there, so the data plane writes there. */
  seen(endpoint: string): void {
    const key = endpointKey(endpoint);
    if (key === undefined) return;
    this.#current = key;
    if (key === this.#seen) return;
    this.#seen = key;
    this.#merge();
  }
  /** The one after that which is written to now. null: there is no other. */
  next(): string | null {
    const at = this.#current === null ? -1 : this.#list.indexOf(this.#current);
    const next = this.#list[(at + 1) % Math.max(1, this.#list.length)] ?? null;
    if (next === null || next === this.#current) return null;
    this.#current = next;
    return next;
  }

  #merge(): void {
    const seen = this.#seen === null || this.#fromRecord.includes(this.#seen) ? [] : [this.#seen];
    this.#list = [...this.#fromRecord, ...seen];
  }
}

/** Where others see us: behind a NAT the only address that they can reach. */
export class Outside {
  readonly #by = new Map<string, string>();
  #list: readonly string[] = [];

  get list(): readonly string[] {
    return this.#list;
  }
  /** A node says where it sees us. @returns whether the list is another one now */
  saw(observer: string, endpoint: string): boolean {
    const key = endpointKey(endpoint);
    if (key === undefined || this.#by.get(observer) === key) return false;
    if (!this.#by.has(observer) && this.#by.size >= OBSERVERS_MAX) return false;
    this.#by.set(observer, key);
    return this.#count();
  }
  forget(observer: string): boolean {
    return this.#by.delete(observer) && this.#count();
  }

  /** Most often seen first. */
  #count(): boolean {
    const votes = new Map<string, number>();
    for (const endpoint of this.#by.values()) votes.set(endpoint, (votes.get(endpoint) ?? 0) + 1);
    const list = [...votes]
      .sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
      .slice(0, OUTSIDE_MAX)
      .map(([endpoint]) => endpoint);
    const isSame = list.length === this.#list.length && list.every((one) => this.#list.includes(one));
    if (!isSame) this.#list = list;
    return !isSame;
  }
}
