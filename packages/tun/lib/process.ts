/** What a daemon needs of the system and Node lacks. */
import { closeSync, fstatSync, openSync, statSync } from "node:fs";
import { native } from "./addon.js";
import { attempt, createSystemError, ERRNO } from "./errors.js";

/**
 * Locks a file for this process until release() or its end (flock); makes the file where there is none.
 * @throws EWOULDBLOCK when another process holds it.
 */
export function lockFile(path: string): { release(): void } {
  const fd = openSync(path, "a", 0o600);
  try {
    attempt(`cannot lock ${path}`, () => native().fileLock(fd));
  } catch (error) {
    closeSync(fd);
    if ((error as { errno?: number }).errno === -(ERRNO.EAGAIN as number)) {
      throw createSystemError("EWOULDBLOCK", ERRNO.EAGAIN as number, "flock", `${path} is locked by another process`);
    }
    throw error;
  }
  let held = true;
  return {
    release() {
      if (held) closeSync(fd);
      held = false;
    },
  };
}

/**
 * Tells the service manager about this process, in the words of sd_notify(3): `READY=1`, `STOPPING=1`, `STATUS=…`.
 * @returns false where nobody asked (no NOTIFY_SOCKET).
 */
export function sdNotify(state: string): boolean {
  const path = process.env.NOTIFY_SOCKET;
  if (!path) return false;
  attempt(`cannot notify the service manager at ${path}`, () => native().unixSend(path, state), {
    ENOENT: "NOTIFY_SOCKET names a socket that does not exist",
    ECONNREFUSED: "nobody listens on NOTIFY_SOCKET",
  });
  return true;
}

/** `dev:inode` of a namespace, by descriptor or path: the same for every way of naming it. */
export function netnsIdentity(namespace: number | string): string {
  const stat =
    typeof namespace === "number" ? fstatSync(namespace, { bigint: true }) : statSync(namespace, { bigint: true });
  return `${stat.dev}:${stat.ino}`;
}

/**
 * The signal this process gets when its parent's thread ends, 0 for none: children of a test or a demo do not outlive
 * it. A parent that has ended before the call is not noticed: compare process.ppid afterwards.
 */
export function setParentDeathSignal(signal: number): void {
  attempt("cannot set the parent death signal", () => native().parentDeathSignal(signal));
}

/** Gives what malloc holds free, in all threads' arenas, back to the system: some megabytes after a start. glibc only. */
export function trimMemory(): void {
  native().trimMemory();
}
