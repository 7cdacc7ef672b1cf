/**
 * The state directory: one file, `state.json`, with what must outlive the daemon. Networks that nobody wrote into the
 * configuration file, and one record per attachment.
 *
 * The file is replaced whole: written beside, fsync, renamed, fsync of the directory. A crash leaves the old or the
 * new one. Saves are synchronous, so none overtakes another; the file is small.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import type { NetworkSpec, PortRecord, Route } from "../dataplane/types.js";
import { WeftError } from "../errors.js";
import { isState } from "./check.js";

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
    let text: string;
    try {
      text = readFileSync(this.#file, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return EMPTY_STATE;
      throw error;
    }
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
    const temporary = `${this.#file}.new`;
    const fd = openSync(temporary, "w", 0o600);
    try {
      const text = `${JSON.stringify({ version: STATE_VERSION, ...state }, null, 1)}\n`;
      // writeSync may write less than asked (a full disk announces itself only at the next call).
      for (let rest = Buffer.from(text); rest.length > 0; ) rest = rest.subarray(writeSync(fd, rest));
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, this.#file);
    this.#syncDirectory();
  }

  /** After `weft down`: nothing to adopt is left. */
  clear(): void {
    rmSync(this.#file, { force: true });
    rmSync(`${this.#file}.new`, { force: true });
    if (existsSync(this.#directory)) this.#syncDirectory();
  }

  #syncDirectory(): void {
    const fd = openSync(this.#directory, "r");
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
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
