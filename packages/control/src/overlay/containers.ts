/** What this node says of its own containers: one record per port, as long as the port is there. */
import type { ContainerValue } from "../mesh/records.js";
import type { Records } from "../mesh/types.js";

export interface OwnContainer extends ContainerValue {
  /** Port id. */
  readonly port: string;
}

/**
 * Makes this node's container records those of the list; the rest are withdrawn. Records that are as they should be are not
 * written again.
 * @throws RangeError for a value that does not fit its record, and the system error of a disk that is full: nothing changed
 */
export function publishContainers(records: Records, containers: readonly OwnContainer[]): void {
  const wanted = new Map(containers.map(({ port, ...value }) => [port, value]));
  const changes: { kind: "container"; id: string; value: ContainerValue | null }[] = [];
  for (const { node, id } of records.list("container"))
    if (node === records.self && !wanted.has(id)) changes.push({ kind: "container", id, value: null });
  // Those that are there as well: what this run has put holds, should others send back something newer of an earlier one.
  for (const [id, value] of wanted) changes.push({ kind: "container", id, value });
  if (changes.length > 0) records.putAll(changes);
}
