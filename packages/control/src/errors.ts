/**
 * Errors that a user of the daemon sees: one code, one sentence that says what to do, and, where several things are
 * wrong at once, all of them.
 *
 * Failed system calls keep Node's own shape (`code`, `errno`, `syscall`) and are not wrapped. The README lists every
 * code here.
 */

export type ErrorCode =
  /** The configuration file cannot be used. */
  | "bad_config"
  /** A request or argument breaks a rule; `problems` lists all of them. */
  | "invalid_input"
  /** No port, network or path of that name. */
  | "not_found"
  /** The name, id, VNI or device is taken, or still in use. */
  | "conflict"
  /** The daemon runs with a static configuration. */
  | "no_mesh"
  /** Nobody answers on the control socket. */
  | "no_daemon"
  /** Another weft has the socket, the port or the state directory. */
  | "already_running"
  /** The state directory is damaged or of another version. */
  | "bad_state"
  /** The change is in force, or was taken back, as the message says: the state directory cannot be written. */
  | "not_recorded"
  /** The daemon is starting or stopping. */
  | "unavailable"
  /** The environment lacks what the command needs. */
  | "unsupported"
  /** A fault in weft itself. */
  | "internal";

export class WeftError extends Error {
  override readonly name = "WeftError";
  readonly code: ErrorCode;
  /** One line each; empty where the message says it all. */
  readonly problems: readonly string[];

  constructor(code: ErrorCode, message: string, problems: readonly string[] = []) {
    super(message);
    this.code = code;
    this.problems = problems;
  }
}

/** `problems` of any error that lists them, as sentences (the data plane's InvalidInput keeps its in three parts). */
export function problemsOf(error: unknown): readonly string[] {
  if (typeof error !== "object" || error === null || !("problems" in error)) return [];
  const { problems } = error;
  if (!Array.isArray(problems)) return [];
  return problems.map((p: unknown) => {
    if (typeof p !== "object" || p === null || !("key" in p && "found" in p && "allowed" in p)) return String(p);
    return `${String(p.key)}: found ${String(p.found)}; allowed: ${String(p.allowed)}`;
  });
}

/** Code of a WeftError, of a system error or of the data plane; undefined for anything else. */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** The message without the problems; `describe` adds them. */
export function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  // InvalidInput repeats its problems in the message, behind its subject.
  if (codeOf(error) === "INVALID_INPUT" && problemsOf(error).length > 1)
    return `${message.slice(0, message.indexOf(":"))} cannot be used`;
  // Node's own message does not say which limit.
  if (codeOf(error) === "EMFILE" && !message.includes("LimitNOFILE"))
    return `${message}: the daemon has reached its limit of open files: raise LimitNOFILE or \`ulimit -n\``;
  return message;
}

/** What to print: the message, and every problem on its own line. Never a stack. */
export function describe(error: unknown): string {
  const message = messageOf(error);
  const problems = problemsOf(error);
  if (problems.length === 1 && codeOf(error) !== "bad_config") return message;
  return [message, ...problems.map((p) => `  ${p}`)].join("\n");
}
