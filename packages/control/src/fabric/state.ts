/**
 * `mesh.json` in the state directory: what this host has given its own containers, and what it was told to do. What all nodes share is in
 * the records (mesh/journal.ts), who we are in `identity.json`.
 *
 * Replaced whole at every change, like state.json: written beside, fsync, renamed, fsync of the directory.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { WeftError } from "../errors.js";
import type { Allocation } from "../ipam/allocations.js";
import type { ContainerValue } from "../mesh/records.js";
import { readWhole, replaceFile } from "../state/file.js";

export const MESH_STATE_VERSION = 1;

/** What the mesh knows of a port beside what the data plane does. */
export interface KeptContainer {
  readonly name: string | null;
  readonly dns: readonly string[];
  readonly published: ContainerValue["published"];
  /** Milliseconds since 1970. */
  readonly since: number;
}

export interface MeshState {
  /** Addresses in use, and those given back that are remembered. */
  readonly allocations: readonly Allocation[];
  /** By port id. */
  readonly containers: Readonly<Record<string, KeptContainer>>;
  /** Host ports given without being named, by what they were given for (gateway/publish.ts). */
  readonly hostPorts: Readonly<Record<string, number>>;
  /** Networks that the host has a port of its own in. */
  readonly exposed: readonly string[];
  /** `HOST:PORT` of `weft connect`. */
  readonly targets: readonly string[];
  /** Id of the network that this host has founded and put its first token into; null: none. */
  readonly founded: string | null;
}

const EMPTY: MeshState = { allocations: [], containers: {}, hostPorts: {}, exposed: [], targets: [], founded: null };
/** Host ports that are remembered. */
const HOST_PORTS_MAX = 4096;

/** The state in memory, on disk at every change. Without a directory it is in memory only. */
export class MeshStore {
  readonly #file: string | undefined;
  #state: MeshState;

  /** @throws WeftError bad_state for a file of another version or a damaged one. Neither is ever overwritten. */
  constructor(directory: string | undefined) {
    this.#file = directory === undefined ? undefined : join(directory, "mesh.json");
    this.#state = this.#file === undefined ? EMPTY : load(this.#file);
  }

  get state(): MeshState {
    return this.#state;
  }

  /** Returns when it is on disk. @throws the system error; nothing has changed then */
  change(part: Partial<MeshState>): void {
    const next = { ...this.#state, ...part };
    if (this.#file !== undefined)
      replaceFile(this.#file, `${JSON.stringify({ version: MESH_STATE_VERSION, ...next })}\n`);
    this.#state = next;
  }

  rememberHostPort(name: string, port: number): void {
    const { [name]: _, ...others } = this.#state.hostPorts;
    const kept = Object.entries(others).slice(-(HOST_PORTS_MAX - 1));
    this.change({ hostPorts: { ...Object.fromEntries(kept), [name]: port } });
  }

  /** After `weft leave`, and when this node was removed. */
  clear(): void {
    if (this.#file !== undefined) rmSync(this.#file, { force: true });
    this.#state = EMPTY;
  }
}

function load(file: string): MeshState {
  const text = readWhole(file);
  if (text === undefined) return EMPTY;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw damaged(file, "is not JSON");
  }
  const { version, ...state } = (value ?? {}) as { version?: unknown } & Partial<MeshState>;
  if (version !== MESH_STATE_VERSION)
    throw new WeftError(
      "bad_state",
      `${file} is of version ${JSON.stringify(version)}, this weft reads version ${MESH_STATE_VERSION}: ` +
        "run the weft that wrote it, or start with another --state-dir",
    );
  const whole = { ...EMPTY, ...state };
  if (!isState(whole)) throw damaged(file, "has fields that are missing or wrong");
  return whole;
}

function isState(value: MeshState): boolean {
  const isMap = (v: unknown): v is Record<string, unknown> => typeof v === "object" && v !== null && !Array.isArray(v);
  const isText = (v: unknown): boolean => typeof v === "string";
  const { allocations, containers, hostPorts, exposed, targets, founded } = value;
  return (
    Array.isArray(allocations) &&
    allocations.every(
      (a) =>
        isMap(a) &&
        isText(a["ring"]) &&
        isText(a["key"]) &&
        Number.isSafeInteger(a["index"]) &&
        (a["freedAt"] === null || Number.isSafeInteger(a["freedAt"])),
    ) &&
    isMap(containers) &&
    Object.values(containers).every(
      (c) => isMap(c) && Array.isArray(c["dns"]) && Array.isArray(c["published"]) && Number.isSafeInteger(c["since"]),
    ) &&
    isMap(hostPorts) &&
    Object.values(hostPorts).every((port) => Number.isSafeInteger(port)) &&
    Array.isArray(exposed) &&
    exposed.every(isText) &&
    Array.isArray(targets) &&
    targets.every(isText) &&
    (founded === null || isText(founded))
  );
}

function damaged(file: string, how: string): WeftError {
  return new WeftError(
    "bad_state",
    `${file} ${how}: it was changed by something else than weft. Restore it, or move it away: ` +
      "containers that are attached then keep their addresses only until the daemon gives them to others, so detach them first",
  );
}
