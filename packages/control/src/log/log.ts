/**
 * The daemon's log: one line per event on stdout, JSON or made for reading. Field names: `component`, `network`,
 * `port`, `netns`, `vtep`, `peer`, `mac`, `err` (a sentence), `stack` (only at level debug).
 *
 * A line is written before the call returns, so what was logged before a crash is there after it; but nobody waits for
 * a reader that stands still.
 */
import { type DestinationStream, type Logger, pino } from "pino";
import type { LogFormat, LogLevel } from "../config/defaults.js";
import { LogOutput, nonBlocking } from "./output.js";

export type Log = Logger;

/** @param destination where lines go; default stdout. */
export async function openLog(
  options: { readonly level: LogLevel; readonly format: LogFormat; readonly name: string },
  destination?: DestinationStream,
): Promise<Log> {
  const { level, format, name } = options;
  const stream =
    destination ??
    (await standardOutput(format, (lost) => {
      log.warn({ component: "log", lost }, "log lines were lost: nobody read them in time");
    }));
  const log: Log = pino(
    {
      level,
      base: { name },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: {},
    },
    stream,
  );
  return log;
}

async function standardOutput(format: LogFormat, onLost: (lines: number) => void): Promise<DestinationStream> {
  const output = new LogOutput(nonBlocking(1), onLost);
  process.on("exit", () => output.flushSync());
  if (format !== "pretty") return output;
  const { prettyLine } = await import("./pretty.js");
  return {
    write: (line) => output.write(prettyLine(line)),
  };
}

/** Fields for an error: what happened, and the stack where the level asks for it. */
export function errorFields(log: Log, error: unknown): { err: string; code?: string; stack?: string } {
  const err = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? { code: error.code } : {};
  const stack = error instanceof Error && error.stack && log.isLevelEnabled("debug") ? { stack: error.stack } : {};
  return { err, ...code, ...stack };
}
