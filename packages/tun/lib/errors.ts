/**
 * Failed system calls as errors that say what happened, to what, and what to do about it.
 */
import { constants } from "node:os";
import type { SystemError } from "./link.js";

/** Linux errnos that Node does not name. The numbers are those of x86, arm and riscv. */
const LINUX_ONLY: Record<string, number> = {
  EBADFD: 77,
  EUCLEAN: 117,
  ENOTUNIQ: 76,
  ESHUTDOWN: 108,
  EHOSTDOWN: 112,
  EPFNOSUPPORT: 96,
  ESOCKTNOSUPPORT: 94,
};

/** Errno numbers by name: `ERRNO.EAGAIN`. */
export const ERRNO: Readonly<Record<string, number>> = { ...LINUX_ONLY, ...constants.errno };

const names = new Map<number, string>();
// Aliases (EWOULDBLOCK = EAGAIN, EOPNOTSUPP = ENOTSUP): the name that strerror and strace print wins.
for (const [name, number] of Object.entries(ERRNO)) if (!names.has(number)) names.set(number, name);
names.set(constants.errno.EAGAIN, "EAGAIN");
names.set(constants.errno.EOPNOTSUPP, "EOPNOTSUPP");

/** Name of an errno, positive or negative: `errnoName(-13)` is `EACCES`. */
export function errnoName(errno: number): string {
  return names.get(Math.abs(errno)) ?? `errno ${Math.abs(errno)}`;
}

/**
 * An error with the fields of Node's own system errors.
 * @param errno either sign; the error carries it negative, as Node's do.
 */
export function createSystemError(code: string, errno: number, syscall: string, message: string): SystemError {
  return Object.assign(new Error(message), { code, errno: -Math.abs(errno), syscall });
}

/** Whether an error carries one of the given codes. */
export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && codes.includes((error as Partial<SystemError>).code ?? "");
}

/** What the addon throws. */
interface NativeFailure {
  readonly errno: number;
  readonly syscall: string;
  readonly detail?: string;
}

/** What to do about an errno, for one operation. Keys are errno names. */
export type Advice = Readonly<Record<string, string>>;

const PRIVILEGE =
  "this needs CAP_NET_ADMIN and CAP_SYS_ADMIN: run as root, or try it in a namespace of your own with `unshare -Urnm`";

const GENERAL: Advice = {
  EPERM: PRIVILEGE,
  EACCES: PRIVILEGE,
  EMFILE: "the process has too many open files: raise LimitNOFILE or `ulimit -n`",
  ENFILE: "the system has too many open files: raise fs.file-max",
  ENOMEM: "the system is out of memory",
};

/**
 * Runs a call of the addon; a failure becomes a SystemError.
 *
 * @param what the operation and its object, as the beginning of a sentence: `cannot open tap weft0`.
 */
export function attempt<T>(what: string, run: () => T, advice: Advice = {}): T {
  try {
    return run();
  } catch (thrown) {
    const failure = thrown as Partial<NativeFailure>;
    // A code means that an inner attempt() has already said it all.
    if (typeof failure.errno !== "number" || typeof failure.syscall !== "string" || "code" in failure) throw thrown;
    const code = errnoName(failure.errno);
    const hint = advice[code] ?? GENERAL[code];
    const reason = [code, failure.syscall, ...(failure.detail ? [failure.detail] : [])].join(", ");
    throw createSystemError(code, failure.errno, failure.syscall, `${what} (${reason})${hint ? `: ${hint}` : ""}`);
  }
}
