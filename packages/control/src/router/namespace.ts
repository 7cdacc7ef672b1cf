/** Network namespaces as the state directory knows them. */
import { findNetnsById, findNetnsPath, netnsIdOf, netnsPaths, withNetns } from "../dataplane/netns.js";
import type { PortRecord } from "../dataplane/types.js";
import { codeOf, problemsOf, WeftError } from "../errors.js";

/** A namespace as a user names it: digits are a PID, even as text. */
export function namespaceOf(target: string): string | number {
  return /^\d+$/.test(target) ? Number(target) : target;
}

/** Whether an attachment is in the namespace that a user means, by path or by identity. */
export function inNamespace(target: string): (record: PortRecord) => boolean {
  const paths = netnsPaths(namespaceOf(target));
  const ids = paths.map(netnsIdOf).filter((id) => id !== undefined);
  return ({ netnsPath, netnsId }) =>
    netnsPath !== null && (paths.includes(netnsPath) || (netnsId !== null && ids.includes(netnsId)));
}

/** Whether what a user names is now the namespace of an attachment: another one may have taken its path. */
export function isNamespaceOf(target: string, record: PortRecord): boolean {
  const { netnsId } = record;
  if (netnsId === null) return inNamespace(target)(record);
  return netnsPaths(namespaceOf(target)).some((path) => netnsIdOf(path) === netnsId);
}

/** Why an attachment cannot be found again, or undefined when its namespace still stands. */
export function whyNamespaceGone({ netnsPath, netnsId }: PortRecord): string | undefined {
  if (netnsPath === null) return undefined;
  const now = netnsIdOf(netnsPath);
  if (now !== undefined && (netnsId === null || netnsId === now)) return undefined;
  if (netnsId !== null && findNetnsById(netnsId) !== undefined) return undefined;
  return `its namespace ${netnsPath} is gone${now === undefined ? "" : " (another has its name now)"}`;
}

/**
 * Runs `use` with the namespace of an attachment as an open descriptor, or undefined for the daemon's own.
 * @throws ENOENT when the namespace is gone.
 */
export function withNamespaceOf<T>({ netnsPath, netnsId }: PortRecord, use: (netnsFd: number | undefined) => T): T {
  if (netnsPath === null) return use(undefined);
  const path = netnsId !== null && netnsIdOf(netnsPath) !== netnsId ? (findNetnsById(netnsId) ?? netnsPath) : netnsPath;
  return withNetns(path, use);
}

/** A namespace that is not there is no matter of form: said as such, with where it was looked for. */
export function missingNamespace(error: unknown, netns: string | number | undefined): WeftError | undefined {
  if (codeOf(error) !== "INVALID_INPUT" || netns === undefined || findNetnsPath(netns) !== undefined) return undefined;
  const problems = problemsOf(error);
  if (problems.length !== 1 || !problems[0]?.startsWith("netns: ") || !/network namespace/.test(problems[0]))
    return undefined;
  const looked = netnsPaths(netns).join(" and ");
  if (typeof netns === "number") return new WeftError("not_found", `no process ${netns} (looked at ${looked})`);
  const path = netns.startsWith("/");
  return new WeftError(
    "not_found",
    path
      ? `${netns} is no network namespace`
      : `no network namespace ${netns} (looked at ${looked}); \`ip netns add\` makes one`,
  );
}
