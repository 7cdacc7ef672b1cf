/** Where a join token comes from. What is in it, the mesh judges. */
import { existsSync } from "node:fs";
import type { Readable } from "node:stream";
import { WeftError } from "../errors.js";
import { readSecretFile } from "../wireguard/key.js";
import type { TokenSource } from "./mesh.js";

/** What `--token -` reads of standard input at most: a token, white space before it, a little more. */
const INPUT_MAX = 1024;

/**
 * Read when it is needed: a member that starts again needs no token, and the file may be gone.
 *
 * @throws WeftError bad_config that says what to do; never with any of its content
 */
export function readToken(source: TokenSource): string {
  const text =
    "text" in source ? source.text : readSecretFile(source.file, "write what `weft token --quiet` prints into it");
  if (isToken(text)) return text;
  const where = "text" in source ? "the token" : source.file;
  throw new WeftError(
    "bad_config",
    `${where} is no token: give what \`weft token --quiet\` prints on a member, nothing else`,
  );
}

/** Whether there is anything to read: of a member, the file may be gone. */
export function isThere(source: TokenSource): boolean {
  return "text" in source || existsSync(source.file);
}

/**
 * The first line of an input, as soon as it is whole; what follows it is not waited for.
 *
 * @param input standard input, for `--token -`
 * @returns without the white space around it; undefined when there was none
 */
export async function tokenFrom(input: Readable): Promise<string | undefined> {
  let text = "";
  for await (const chunk of input) {
    text += (chunk as Buffer).toString("latin1");
    if (text.trimStart().includes("\n") || text.length > INPUT_MAX) break;
  }
  const [line = ""] = text.trimStart().split("\n", 1);
  return line.trimEnd() || undefined;
}

/** Printable, without spaces, of a length that a token can have. */
function isToken(text: string): boolean {
  return /^[!-~]{16,256}$/.test(text);
}
