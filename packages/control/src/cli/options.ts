/** Options that several commands have, and what they give. */
import { Option } from "commander";
import { DEFAULT_SOCKET } from "../config/defaults.js";
import * as value from "./values.js";

export interface ListingOptions {
  readonly socket: string;
  readonly json?: boolean;
}

export function socketOption(): Option {
  return new Option("--socket <path>", "control socket of the daemon").argParser(value.path).default(DEFAULT_SOCKET);
}

export function jsonOption(): Option {
  return new Option("--json", "print JSON");
}

/** Prints an answer: all of it as JSON, or a text about it. */
export function print(options: { readonly json?: boolean }, answer: unknown, text: string): void {
  process.stdout.write(`${options.json ? JSON.stringify(answer, null, 2) : text}\n`);
}
