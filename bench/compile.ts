/** Compiles the bench's own C programs, beside the built bench. */
import { execFileSync } from "node:child_process";
import { mkdirSync, renameSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";

const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

export interface Program {
  /** Name of the program; it comes to lie in bench/build/. */
  readonly name: string;
  /** The .c files, relative to bench/. */
  readonly sources: readonly string[];
  /** What they include, relative to bench/: when one of these is newer, the program is compiled again. */
  readonly headers?: readonly string[];
  readonly flags: readonly string[];
}

/**
 * Compiles a program, unless it is newer than what it is made of.
 * @returns its path
 * @throws Error with one line that says what to install, when there is no C compiler.
 */
export function compile(program: Program): string {
  const target = path(`./${program.name}`);
  const age = (file: string): number => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const sources = program.sources.map((name) => path(`../${name}`));
  const headers = (program.headers ?? []).map((name) => path(`../${name}`));
  if ([...sources, ...headers].every((file) => age(file) < age(target))) return target;
  mkdirSync(path("."), { recursive: true });
  const cc = process.env.CC ?? "cc";
  const half = `${target}.${process.pid}`;
  try {
    execFileSync(cc, [...program.flags, "-Wall", "-Wextra", "-o", half, ...sources], {
      stdio: ["ignore", "inherit", "inherit"],
    });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT")
      throw new Error(`bench: ${cc} did not compile ${program.sources.map((name) => `bench/${name}`).join(", ")}`);
    throw new Error(`bench: no C compiler (${cc}): install one with \`apt-get install gcc libc6-dev\`, or set CC`);
  }
  renameSync(half, target);
  return target;
}
