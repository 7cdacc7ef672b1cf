/**
 * What the rest of the daemon sees of the mesh: records that all nodes share, and who is there.
 *
 * Addresses, names, paths and networks are built on this interface alone, so they run over a network in one process just as well.
 */
import type { Kind, NodeValue, Values } from "./records.js";

/** A node: its Ed25519 public key, 32 octets in base64url (43 characters). */
export type NodeId = string;

/** A record that was signed by `node`. */
export interface Entry<K extends Kind = Kind> {
  readonly node: NodeId;
  readonly kind: K;
  /** What follows the colon in its name; empty for kinds that a node has once (`node`, `links`). */
  readonly id: string;
  /** Grows with every record that the node writes, whichever. */
  readonly version: number;
  /** null: the node has taken it back. */
  readonly value: Values[K] | null;
}

export interface Member {
  readonly id: NodeId;
  /** Absent as long as nothing but its admission is known. */
  readonly node: NodeValue | undefined;
  /** Somebody who is linked with us, over whatever others, is linked with it. Always true for ourselves. */
  readonly isAlive: boolean;
  /** Milliseconds since 1970 when it was last seen alive; now while it is. */
  readonly aliveAt: number;
}

export type MeshEvent =
  /** Records came, changed or went, own ones included. Handled in one go: look at everything that depends on these kinds. */
  | { readonly type: "records"; readonly kinds: ReadonlySet<Kind>; readonly entries: readonly Entry[] }
  /** A node came into reach or is no longer in it. Its records stay; what leads to it should not. */
  | { readonly type: "alive"; readonly node: NodeId; readonly isAlive: boolean }
  /** We have been removed; by whom, as the one says that we have heard it from. */
  | { readonly type: "expelled"; readonly by: NodeId };

/** The records of all members that are not removed, and ourselves. */
export interface Records {
  readonly self: NodeId;
  /** 16 octets in hexadecimal. */
  readonly networkId: string;
  /** The one that began the network. */
  readonly founder: NodeId;
  get<K extends Kind>(node: NodeId, kind: K, id?: string): Values[K] | undefined;
  /** Of all members, alive or not, in no particular order; taken-back records left out. */
  list<K extends Kind>(kind: K): Iterable<Entry<K> & { readonly value: Values[K] }>;
  /** Records that a removed member had when it was removed. */
  listRemoved<K extends Kind>(kind: K): Iterable<Entry<K> & { readonly value: Values[K] }>;
  /**
   * Writes an own record: it is on disk when this returns, and on its way to all others. An equal value changes nothing.
   * @throws RangeError for a value that does not fit its schema or is too long, or when this node has too much; the system error of a full disk
   */
  put<K extends Kind>(kind: K, id: string, value: Values[K]): void;
  /** Several at once: all are on disk together, or none. */
  putAll(records: readonly { readonly kind: Kind; readonly id: string; readonly value: Values[Kind] | null }[]): void;
  /** Takes an own record back. */
  remove(kind: Kind, id: string): void;
  /** What others have said so far is on disk, too, when this returns; else it follows within a second. @throws the system error */
  persist(): void;
  members(): Member[];
  isMember(node: NodeId): boolean;
  isRemoved(node: NodeId): boolean;
  isAlive(node: NodeId): boolean;
  on(listener: (event: MeshEvent) => void): () => void;
}
