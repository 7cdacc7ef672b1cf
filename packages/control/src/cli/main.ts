/**
 * The command line: argv in, exit code out. 0 done, 1 failed, 2 wrong command line. What goes wrong is one message on
 * stderr that says what to do; never a stack.
 */
import { type Command, CommanderError } from "commander";
import { describe } from "../errors.js";
import { buildProgram } from "./program.js";

/** Runs one command and sets `process.exitCode`. */
export async function run(argv: readonly string[]): Promise<void> {
  // `weft status | head` is no failure.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    throw error;
  });
  process.exitCode = await exitCodeOf(argv, (text) => process.stderr.write(text));
}

/** The same without touching the process: for tests. */
export async function exitCodeOf(argv: readonly string[], complain: (text: string) => void): Promise<number> {
  let code = 0;
  const program = buildProgram((result) => {
    code = result;
  });
  try {
    await program.parseAsync(idsLast(argv), { from: "user" });
    return code;
  } catch (error) {
    if (!(error instanceof CommanderError)) {
      complain(`weft: ${describe(error)}\n`);
      return 1;
    }
    if (error.exitCode === 0) return 0;
    const see = `see \`${[program.name(), ...commandWords(program, argv)].join(" ")} --help\``;
    // Commander prints the help itself where no command was given.
    if (error.code !== "commander.help") {
      complain(
        `weft: ${error.message
          .replace(/^error: /, "")
          .replaceAll("\n", " ")
          .replace(/\.$/, "")}; ${see}\n`,
      );
    }
    return 2;
  }
}

/** One in 64 ids of nodes (base64url, 43 characters) begins with `-`, and is no option for that: behind `--` it is none. */
function idsLast(argv: readonly string[]): string[] {
  const isId = (word: string): boolean => /^-[\w-]{42}$/.test(word);
  if (argv.includes("--") || !argv.some(isId)) return [...argv];
  return [...argv.filter((word) => !isId(word)), "--", ...argv.filter(isId)];
}

/** The leading words that name a command, or one of its own. */
function commandWords({ commands }: Command, [word, ...more]: readonly string[]): string[] {
  const command = commands.find((c) => c.name() === word);
  return command ? [command.name(), ...commandWords(command, more)] : [];
}
