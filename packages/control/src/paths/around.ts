/** What the paths to one peer need of all the others, and of the data plane. */
import type { ProbeSpec } from "../dataplane/types.js";
import type { NodeId } from "../mesh/types.js";
import type { PeerPaths } from "./peer-paths.js";
import type { Reason } from "./types.js";

export interface Around {
  /** Milliseconds since 1970 when this node began. */
  readonly epochMs: number;
  /** @returns whether it went out */
  send(probe: ProbeSpec): boolean;
  /** The relay to a node by link-state; null: none is known; undefined: ask again later. */
  relay(to: NodeId, excluded: ReadonlySet<NodeId>): PeerPaths | null | undefined;
  peer(publicKey: string): PeerPaths | undefined;
  /** Octets of our own underlay's MTU. */
  underlayMtu(family: 4 | 6): number;
  isAlive(node: NodeId): boolean;
  /** 0 up to, but not including, 1. */
  random(): number;
  changed(reason: Reason): void;
  mtuChanged(): void;
  missed(): void;
  /** The direct path of a peer works or does not any more. */
  linkChanged(): void;
}
