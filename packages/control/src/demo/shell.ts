/** A shell among the demo's hosts, for `--keep`: a program to start in the demo's namespaces, with `weft` on its PATH. */
import { mkdirSync, writeFileSync } from "node:fs";

const PATH = "/run/shell";
const PROGRAMS = "/run/bin";

/**
 * @param node the running Node.js
 * @param weft the weft command's script
 * @returns path of the program
 */
export function placeShell(node: string, weft: string): string {
  mkdirSync(PROGRAMS);
  place(`${PROGRAMS}/weft`, `exec "${node}" "${weft}" "$@"`);
  place(PATH, `export PATH="${PROGRAMS}:$PATH:/usr/sbin:/sbin" PS1="demo# "\nexec sh`);
  return PATH;
}

function place(path: string, script: string): void {
  writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}
