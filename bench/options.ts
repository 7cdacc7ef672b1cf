/** The command line of `npm run bench`. */
import { parseArgs } from "node:util";
import { CASE_IDS, type CaseId, USUAL_CASES } from "./cases.js";
import { REGIMES, type Regime } from "./lab.js";
import { SUITES, type Suite } from "./result.js";
import { PEERS } from "./systems/all.js";

export interface Options {
  readonly only: readonly Suite[];
  /** Names of systems, in the order they take turns. */
  readonly systems: readonly string[];
  readonly regimes: readonly Regime[];
  readonly cases: readonly CaseId[];
  readonly rounds: number;
  /** Seconds of one measured window. */
  readonly seconds: number;
  /** Seconds of one trial of the search for the zero-loss rate. */
  readonly trial: number;
  /** Share (0..1) of datagrams that a trial may lose. */
  readonly loss: number;
  /** One TCP case per system is measured with iperf3 as well. */
  readonly iperf3: boolean;
  /** An earlier result that this run is judged beside. */
  readonly compare: string | undefined;
  /** Where the JSON goes; undefined: bench/results/local-DATE.json. */
  readonly json: string | undefined;
  /** A result file whose figures go into README.md; "" for the one of this run. */
  readonly updateReadme: string | undefined;
  readonly once: boolean;
  /** weft encrypted beside the others that encrypt; `updateReadme` means the place for these figures. */
  readonly encrypted: boolean;
  readonly profile: boolean;
  readonly help: boolean;
  /** `serve` or `to` with its address: tests between two machines. */
  readonly machines: { readonly role: "serve" | "to"; readonly at: string } | undefined;
}

/** What runs when nothing is said: everything but the micro-benchmarks. */
const USUAL_SUITES: readonly Suite[] = ["path", "e2e", "sweeps"];
const SYSTEMS: readonly string[] = PEERS.map(({ name }) => name);
/** With `--encrypted`: everything that encrypts, what it is compared with, and what the cipher alone can do. */
const ENCRYPTED_SUITES: readonly Suite[] = ["aead", "e2e"];
const ENCRYPTED_SYSTEMS = PEERS.filter(
  ({ name, cipher }) => cipher !== "none" || name === "kernel-vxlan" || name === "weft",
).map(({ name }) => name);
const ENCRYPTED_CASES: readonly CaseId[] = ["tcp", "tcp-back", "udp64", "rtt"];
/** Whose time `--profile` can divide. */
const PROFILED = ["weft", "weft-wireguard", "weft-layer3"];
/** Needs no program of others: the ceiling, the yardsticks, weft in clear and encrypted, and the two of one host. */
const USUAL_SYSTEMS = ["veth", "kernel-vxlan", "relay", "weft", "weft-wireguard", "bridge", "weft-local"];

export const HELP = `usage: npm run bench -- [options]

What is measured:
  --only LIST          micro, aead, path, e2e, sweeps or several with commas between; path, e2e and sweeps by
                       default
  --systems LIST       of ${SYSTEMS.join(", ")};
                       ${USUAL_SYSTEMS.join(", ")} by default
  --peers              all of them; one that is not installed is named with its Debian package
  --encrypted          what encryption costs: all that encrypts, kernel-vxlan and weft;
                       with --only ${ENCRYPTED_SUITES.join(",")} and --cases ${ENCRYPTED_CASES.join(",")} by default
  --regimes LIST       offloads, wire; both by default
  --cases LIST         of ${CASE_IDS.join(", ")};
                       ${USUAL_CASES.join(", ")} by default, or "all"
  --full               all suites, systems and cases: about two hours
  --once               everything once and briefly: shows that the benches work, its figures mean nothing

How:
  --rounds N           interleaved rounds, 5 by default; twice as many where kernel VXLAN itself scatters
  --seconds S          length of one measured window, 1 by default
  --trial S            length of one trial of the zero-loss search, 0.5 by default
  --loss P             percent that such a trial may lose, 0 by default
  --check-with-iperf3  one TCP stream of each system with iperf3 as well, as a check of our own sender

What becomes of it:
  --json FILE          where the result goes, bench/results/local-DATE.json by default
  --compare FILE       judges this run beside an earlier result; exit code 1 where weft got worse beyond the spread
  --update-readme[=FILE]
                       writes table and chart in README.md from a result file, or from this run; with --encrypted
                       those of encryption
  --profile            where the time goes while weft carries TCP: kernel, addon, WASM, JavaScript (needs perf);
                       with --systems ${PROFILED.join(", ")}, weft by default

Two machines:
  npm run bench -- serve [ADDR[:PORT]]    on one of them, and on the other
  npm run bench -- to ADDR[:PORT] [--seconds S] [--trial S] [--loss P]
  \`weft bench serve\` and \`weft bench to HOST\` do without repository and C compiler, and are slower.
`;

/** A wrong command line; the message says what is allowed. */
export class UsageError extends Error {}

/** Words of a list with commas between, each one of those allowed. */
function list<T extends string>(
  option: string,
  text: unknown,
  allowed: readonly T[],
  usual: readonly T[],
): readonly T[] {
  if (typeof text !== "string") return usual;
  const wanted = text.split(",");
  const wrong = wanted.filter((name) => !allowed.includes(name as T));
  if (wrong.length > 0) throw new UsageError(`--${option} ${wrong.join(",")}: choose from ${allowed.join(", ")}`);
  return allowed.filter((name) => wanted.includes(name));
}

export function readOptions(args: readonly string[]): Options {
  // The file name is optional, which parseArgs cannot say.
  const named = args.find((a) => a.startsWith("--update-readme="));
  const bare = args.includes("--update-readme");
  const rest = args.filter((a) => a !== "--update-readme" && a !== named);
  let values: Record<string, string | boolean | undefined>;
  let words: string[];
  const [text, flag] = [{ type: "string" } as const, { type: "boolean" } as const];
  try {
    ({ values, positionals: words } = parseArgs({
      args: rest,
      allowPositionals: true,
      options: {
        ...{
          only: text,
          systems: text,
          regimes: text,
          cases: text,
          rounds: text,
          seconds: text,
          trial: text,
          loss: text,
        },
        ...{ peers: flag, full: flag, encrypted: flag, once: flag, profile: flag, "check-with-iperf3": flag },
        ...{ json: text, compare: text, help: { type: "boolean", short: "h" } },
      },
    }));
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const number = (name: string, fallback: number, low: number, high: number): number => {
    const given = values[name];
    const value = given === undefined ? fallback : Number(given);
    if (!(value >= low && value <= high))
      throw new UsageError(`--${name} ${String(given)}: a number from ${low} to ${high}`);
    return value;
  };
  const wholeNumber = (name: string, fallback: number, low: number, high: number): number => {
    const value = number(name, fallback, low, high);
    if (!Number.isInteger(value)) throw new UsageError(`--${name} ${String(values[name])}: a whole number`);
    return value;
  };
  const [role, at, more] = words;
  if (role !== undefined && ((role !== "serve" && role !== "to") || more !== undefined || (role === "to" && !at)))
    throw new UsageError(`${words.join(" ")}: nothing but \`serve [ADDR[:PORT]]\` or \`to ADDR[:PORT]\``);
  const once = values.once === true;
  const full = values.full === true;
  if (named === "--update-readme=") throw new UsageError("--update-readme=: name a result file, or leave out the =");
  if (once && bare) throw new UsageError("--update-readme with --once: figures of --once mean nothing");
  if (bare && values.json === undefined)
    throw new UsageError("--update-readme: name the result with --json bench/results/NAME.json, as README.md links it");
  if (values.peers === true && values.systems !== undefined)
    throw new UsageError("--peers with --systems: one or the other");
  if (once && full) throw new UsageError("--full with --once: one or the other");
  if (once && values.compare !== undefined)
    throw new UsageError("--compare with --once: figures of --once mean nothing");
  const all = full || once;
  const encrypted = values.encrypted === true;
  if (encrypted && (values.peers === true || full))
    throw new UsageError(`--encrypted with ${full ? "--full" : "--peers"}: one or the other`);
  const profile = values.profile === true;
  const usual = once ? [...USUAL_SYSTEMS, "weft-layer3"] : USUAL_SYSTEMS;
  const measured = encrypted ? ENCRYPTED_SYSTEMS : values.peers === true || full ? SYSTEMS : usual;
  const usualCases = encrypted ? ENCRYPTED_CASES : all ? CASE_IDS : USUAL_CASES;
  return {
    only: list("only", values.only, SUITES, encrypted ? ENCRYPTED_SUITES : all ? SUITES : USUAL_SUITES),
    systems: list("systems", values.systems, profile ? PROFILED : SYSTEMS, profile ? ["weft"] : measured),
    regimes: list("regimes", values.regimes, REGIMES, REGIMES),
    cases: values.cases === "all" ? CASE_IDS : list("cases", values.cases, CASE_IDS, usualCases),
    rounds: wholeNumber("rounds", once ? 1 : 5, 1, 1000),
    seconds: number("seconds", once ? 0.1 : 1, 0.05, 600),
    trial: number("trial", once ? 0.1 : 0.5, 0.05, 600),
    loss: number("loss", 0, 0, 100) / 100,
    iperf3: values["check-with-iperf3"] === true,
    compare: typeof values.compare === "string" ? values.compare : undefined,
    json: typeof values.json === "string" ? values.json : undefined,
    updateReadme: named ? named.slice("--update-readme=".length) : bare ? "" : undefined,
    once,
    encrypted,
    profile,
    help: values.help === true,
    machines: role === "serve" || role === "to" ? { role, at: at ?? "" } : undefined,
  };
}
