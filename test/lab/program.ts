/** Small programs of the lab that are written in C: what Node.js cannot do. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Lab } from "./lab.js";

/** Path of NAME.c, compiled once per lab. */
export function program(lab: Lab, name: string): string {
  const made = lab.file(name);
  if (!existsSync(made)) {
    const source = fileURLToPath(new URL(`${name}.c`, import.meta.url));
    execFileSync("cc", ["-Wall", "-Wextra", "-O2", "-o", made, source], { cwd: "/" });
  }
  return made;
}
