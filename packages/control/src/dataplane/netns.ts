/**
 * Network namespaces: from what a caller names to an open descriptor, and whether one is still in use.
 *
 * A namespace is identified by `dev:inode` of its nsfs file, as Device.netns() answers it. Descriptors are held for
 * the length of one operation only: an open one keeps the namespace alive.
 */
import { closeSync, constants, fstatSync, openSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";

/** The namespace of this process. */
export const OWN = "/proc/self/ns/net";
const NAMED = ["/run/netns", "/var/run/netns"];
const NSFS_PREFIX = "net:[";

/** A name (as in `ip netns`), an absolute path, or a PID, as paths that may be it, likeliest first. */
export function netnsPaths(target: string | number): string[] {
  if (typeof target === "number") return [`/proc/${target}/ns/net`];
  return target.startsWith("/") ? [target] : NAMED.map((dir) => `${dir}/${target}`);
}

/** The first of those paths that is a network namespace; undefined when none is. */
export function findNetnsPath(target: string | number): string | undefined {
  return netnsPaths(target).find((path) => netnsIdOf(path) !== undefined);
}

/** A namespace's path as a caller would have named it: its name, its PID, or the path. */
export function netnsName(path: string): string {
  const match = /^(?:\/var)?\/run\/netns\/([^/]+)$|^\/proc\/(\d+)\/ns\/net$/.exec(path);
  return match?.[1] ?? match?.[2] ?? path;
}

/** `dev:inode` of a namespace file; undefined when there is none at that path. */
export function netnsIdOf(path: string): string | undefined {
  try {
    return withNetns(path, (_fd, id) => id);
  } catch (error) {
    // Without descriptors nobody can tell, and must not guess.
    if (["EMFILE", "ENFILE"].includes((error as { code?: string }).code ?? "")) throw error;
    return undefined;
  }
}

/** Whether a path still leads to that namespace: the cheap look, for a path that was checked before. */
export function leadsTo(path: string, id: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat !== undefined && `${stat.dev}:${stat.ino}` === id;
}

/**
 * Opens a namespace for as long as `use` runs.
 * @throws the system error of open(), or an Error when the file is no namespace
 */
export function withNetns<T>(path: string, use: (fd: number, id: string) => T): T {
  // Looked at before it is opened: opening some files has effects. Not blocking: it may be a FIFO by now.
  if (statSync(path).dev !== statSync(OWN).dev) throw new Error(`${path} is not a network namespace`);
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (!isNetns(fd)) throw new Error(`${path} is not a network namespace`);
    const { dev, ino } = fstatSync(fd);
    return use(fd, `${dev}:${ino}`);
  } finally {
    closeSync(fd);
  }
}

/** Every namespace file is on one device. A bind-mounted one shows the path it is mounted at, the others their kind. */
function isNetns(fd: number): boolean {
  const shown = readlinkSync(`/proc/self/fd/${fd}`);
  return fstatSync(fd).dev === statSync(OWN).dev && (shown.startsWith(NSFS_PREFIX) || !/^\w+:\[\d+\]$/.test(shown));
}

/** Path by which a namespace can be opened now, given its identity: a mount, or a process in it. */
export function findNetnsById(id: string): string | undefined {
  const inode = id.split(":")[1];
  const shown = `${NSFS_PREFIX}${inode}]`;
  for (const path of mountsOf(shown)) if (netnsIdOf(path) === id) return path;
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const path = `/proc/${entry}/ns/net`;
      if (readlinkSync(path) === shown) return path;
    } catch {
      // Ended meanwhile, or another user's.
    }
  }
  return undefined;
}

/** Mount points of one nsfs file in our mount namespace. */
function mountsOf(shown: string): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" "))
    .filter((fields) => fields[3] === shown)
    .map((fields) =>
      (fields[4] as string).replace(/\\([0-7]{3})/g, (_, octal: string) =>
        String.fromCharCode(Number.parseInt(octal, 8)),
      ),
    );
}
