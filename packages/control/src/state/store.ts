/**
 * The state directory: one file, `state.json`, with what must outlive the daemon. Networks that nobody wrote into the
 * configuration file, and one record per attachment.
 *
 * The file is replaced whole (file.ts): a crash leaves the old or the new one. Saves are synchronous, so none overtakes another; the
 * file is small.
 */
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { NetworkSpec, PortRecord, Route } from "../dataplane/types.js";
import { WeftError } from "../errors.js";
import { isState } from "./check.js";
import { readWhole, replaceFile, syncDirectory } from "./file.js";

export const STATE_VERSION = 1;

export interface KeptNetwork {
  readonly spec: NetworkSpec;
  readonly routes: readonly Route[];
}

export interface State {
  /** Networks made by `attach --vni` or through the API. */
  readonly networks: readonly KeptNetwork[];
  readonly ports: readonly PortRecord[];
}

export const EMPTY_STATE: State = { networks: [], ports: [] };

export class StateStore {
  readonly #file: string;
  readonly #directory: string;

  /** @param directory exists already; see `prepareStateDir`. */
  constructor(directory: string) {
    this.#directory = directory;
    this.#file = join(directory, "state.json");
  }

  /**
   * @throws WeftError bad_state for a file of another version or a damaged one. Neither is ever overwritten.
   */
  load(): State {
    const text = readWhole(this.#file);
    if (text === undefined) return EMPTY_STATE;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw this.#damaged("is not JSON");
    }
    const version = typeof value === "object" && value !== null && "version" in value ? value.version : undefined;
    if (version === undefined) throw this.#damaged("has no version");
    if (version !== STATE_VERSION) {
      throw new WeftError(
        "bad_state",
        `${this.#file} is of version ${JSON.stringify(version)}, this weft reads version ${STATE_VERSION}: ` +
          "run the weft that wrote it and `weft down` there, or start with another --state-dir",
      );
    }
    if (!isState(value)) throw this.#damaged("has fields that are missing or wrong");
    const state = value as unknown as State;
    return { networks: state.networks, ports: state.ports };
  }

  /** Returns when the state is on disk. */
  save(state: State): void {
    replaceFile(this.#file, `${JSON.stringify({ version: STATE_VERSION, ...state }, null, 1)}\n`);
  }

  /** After `weft down`: nothing to adopt is left. */
  clear(): void {
    rmSync(this.#file, { force: true });
    rmSync(`${this.#file}.new`, { force: true });
    if (existsSync(this.#directory)) syncDirectory(this.#directory);
  }

  #damaged(how: string): WeftError {
    return new WeftError(
      "bad_state",
      `${this.#file} ${how}: it was changed by something else than weft. Move it away to start empty ` +
        "(attached containers then keep a dead device: delete it there with `ip link del`), or restore it",
    );
  }
}

/**
 * Makes the directory (0700) where needed.
 * @returns the first directory that had to be made, or undefined.
 */
export function prepareStateDir(directory: string): string | undefined {
  try {
    return mkdirSync(directory, { recursive: true, mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const what =
      code === "EACCES" || code === "EPERM" ? "run as root, or give --state-dir" : "give another --state-dir";
    throw new WeftError("bad_state", `cannot make the state directory ${directory} (${code}): ${what}`);
  }
}
