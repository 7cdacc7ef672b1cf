/** The command line of `npm run bench`. */
import { parseArgs } from "node:util";
import { SUITES, type Suite } from "./result.js";

export interface Options {
  readonly only: readonly Suite[];
  readonly rounds: number;
  /** Seconds of one measured window. */
  readonly seconds: number;
  /** Where the JSON goes; undefined: bench/results/local-DATE.json. */
  readonly json: string | undefined;
  /** A result file whose figures go into README.md; "" for the one of this run. */
  readonly updateReadme: string | undefined;
  readonly once: boolean;
  readonly profile: boolean;
  readonly help: boolean;
}

export const HELP = `usage: npm run bench -- [options]

  --only LIST          micro, path, e2e or several with commas between; all by default
  --rounds N           rounds of path and e2e, 5 by default
  --seconds S          length of one measured window, 2 by default
  --once               everything once and briefly: shows that the benches work, its figures mean nothing
  --json FILE          where the result goes, bench/results/local-DATE.json by default
  --update-readme[=FILE]
                       writes the table in README.md from a result file, or from this run
  --profile            where the time goes while weft carries TCP: kernel, addon, WASM, JavaScript (needs perf)
`;

/** A wrong command line; the message says what is allowed. */
export class UsageError extends Error {}

export function readOptions(args: readonly string[]): Options {
  // The file name is optional, which parseArgs cannot say.
  const named = args.find((a) => a.startsWith("--update-readme="));
  const bare = args.includes("--update-readme");
  const rest = args.filter((a) => a !== "--update-readme" && a !== named);
  let values: Record<string, string | boolean | undefined>;
  try {
    ({ values } = parseArgs({
      args: rest,
      options: {
        only: { type: "string" },
        rounds: { type: "string" },
        seconds: { type: "string" },
        json: { type: "string" },
        once: { type: "boolean" },
        profile: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    }));
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const number = (name: string, fallback: number, low: number, high: number): number => {
    const text = values[name];
    const value = text === undefined ? fallback : Number(text);
    if (!(value >= low && value <= high))
      throw new UsageError(`--${name} ${String(text)}: a number from ${low} to ${high}`);
    return value;
  };
  const once = values.once === true;
  const only = typeof values.only === "string" ? values.only.split(",") : [...SUITES];
  if (once && bare) throw new UsageError("--update-readme with --once: figures of --once mean nothing");
  const wrong = only.filter((name) => !SUITES.includes(name as Suite));
  if (wrong.length > 0) throw new UsageError(`--only ${wrong.join(",")}: choose from ${SUITES.join(", ")}`);
  return {
    only: only as Suite[],
    rounds: Math.round(number("rounds", once ? 1 : 5, 1, 1000)),
    seconds: number("seconds", once ? 0.2 : 2, 0.05, 600),
    json: typeof values.json === "string" ? values.json : undefined,
    updateReadme: named ? named.slice("--update-readme=".length) : bare ? "" : undefined,
    once,
    profile: values.profile === true,
    help: values.help === true,
  };
}
