/**
 * Files of the state directory that are replaced whole: written beside, fsync, renamed, fsync of the directory. A crash at any instant
 * leaves the old file or the new one.
 */
import fs from "node:fs";
import { dirname } from "node:path";

/** The system calls that a replacement makes, so that a test can fail each. */
export interface ReplaceCalls {
  open(path: string, flags: number | string, mode?: number): number;
  write(fd: number, octets: Uint8Array): number;
  fsync(fd: number): void;
  close(fd: number): void;
  rename(from: string, to: string): void;
}

export const REPLACE_CALLS: ReplaceCalls = {
  open: (path, flags, mode) => fs.openSync(path, flags, mode),
  write: (fd, octets) => fs.writeSync(fd, octets),
  fsync: (fd) => fs.fsyncSync(fd),
  close: (fd) => fs.closeSync(fd),
  rename: (from, to) => fs.renameSync(from, to),
};

/** Returns when the new content is on disk, readable for its owner alone. @throws the system error; the old content is there then */
export function replaceFile(file: string, text: string, calls: ReplaceCalls = REPLACE_CALLS): void {
  const temporary = `${file}.new`;
  const fd = calls.open(temporary, "w", 0o600);
  try {
    // A write may take less than it was given (a full disk announces itself only at the next call).
    for (let rest = Buffer.from(text); rest.length > 0; ) rest = rest.subarray(calls.write(fd, rest));
    calls.fsync(fd);
  } finally {
    calls.close(fd);
  }
  calls.rename(temporary, file);
  syncDirectory(dirname(file), calls);
}

/** undefined where there is no file. */
export function readWhole(file: string): string | undefined {
  try {
    return fs.readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

export function syncDirectory(directory: string, { open, fsync, close } = REPLACE_CALLS): void {
  const fd = open(directory, "r");
  try {
    fsync(fd);
  } finally {
    close(fd);
  }
}
