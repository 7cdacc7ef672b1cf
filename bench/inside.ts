/**
 * Runs a module of this bench as root of process, mount and network namespaces of its own.
 *
 * The other side is the first process there, so that the kernel ends everything it started together with it; it ends
 * when this process does, because the channel between them closes.
 */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/** @param ask handed to the module, as plain data. Resolves to what the module answered. */
export function runInside<Ask, Answer>(module: string, ask: Ask): Promise<Answer> {
  const user = process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"];
  const flags = [...user, "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"];
  const file = fileURLToPath(new URL(module, import.meta.url));
  const child = spawn("unshare", [...flags, process.execPath, file], { stdio: ["ignore", "inherit", "pipe", "ipc"] });
  return new Promise((resolve, reject) => {
    let answer: { value: Answer } | { error: string } | undefined;
    let said = "";
    child.stderr?.on("data", (part: Buffer) => {
      said = (said + part.toString()).slice(-2000);
      process.stderr.write(part);
    });
    child.on("message", (message) => {
      if (message === "inside") child.send(ask as object);
      else answer = message as typeof answer;
    });
    child.on("error", (error) => {
      const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
      reject(new Error(missing ? "bench: unshare is not installed: `apt-get install util-linux`" : error.message));
    });
    child.on("close", (code, signal) => {
      if (answer && "value" in answer) resolve(answer.value);
      else if (answer) reject(new Error(answer.error));
      else if (/unshare/.test(said))
        reject(new Error("bench: no namespaces here: run as root, or allow user namespaces"));
      else reject(new Error(`bench: ${module} ended without an answer (${signal ?? code})`));
    });
  });
}

/** The other side of runInside(): calls `work` with what was asked, answers, and ends the process. */
export function serveInside<Ask, Answer>(work: (ask: Ask) => Promise<Answer>): void {
  if (process.pid !== 1 || !process.send) {
    process.stderr.write("bench: this module is run by `npm run bench`\n");
    process.exit(2);
  }
  process.on("disconnect", () => process.exit(1));
  // The first process of a namespace ignores signals it has no handler for.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(1));
  const answer = (message: { value: Answer } | { error: string }): void => {
    process.send?.(message, undefined, {}, () => process.exit(0));
  };
  process.once("message", (ask) => {
    work(ask as Ask).then(
      (value) => answer({ value }),
      (error: unknown) => answer({ error: error instanceof Error ? error.message : String(error) }),
    );
  });
  process.send("inside");
}
