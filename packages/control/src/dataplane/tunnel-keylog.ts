/** The file that keys of sessions are appended to, for Wireshark (`wg.keylog_file`). */
import { appendFileSync, chmodSync, closeSync, openSync } from "node:fs";

export class Keylog {
  #path: string | null;

  /** @throws the system error when the file cannot be made */
  constructor(path: string) {
    this.#path = path;
    closeSync(openSync(path, "a", 0o600));
    chmodSync(path, 0o600);
  }

  /** null: it could be written no more. */
  get path(): string | null {
    return this.#path;
  }

  /** A file that can be written no more ends the log, not the tunnel: behind half a line the rest could not be read. */
  append(lines: string): void {
    if (this.#path === null) return;
    try {
      appendFileSync(this.#path, lines, { mode: 0o600 });
    } catch {
      this.#path = null;
    }
  }
}
