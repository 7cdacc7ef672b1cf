/** The system's own programs: iproute2, util-linux, nftables and, where somebody uses it, iptables. */
import { execFile } from "node:child_process";
import { delimiter } from "node:path";
import { WeftError } from "../errors.js";

/** Debian package that brings a program. */
const PACKAGES: Record<string, string> = {
  ip: "iproute2",
  unshare: "util-linux",
  nsenter: "util-linux",
  umount: "mount",
  nft: "nftables",
  "iptables-legacy": "iptables",
  "ip6tables-legacy": "iptables",
};
/** Milliseconds after which a program that has not ended is killed. */
const TIMEOUT_MS = 10_000;
const OUTPUT_MAX = 16 * 1024 * 1024;
// Debian keeps ip and nft where an ordinary user's PATH does not look.
const PATH = [process.env.PATH, "/usr/sbin", "/sbin", "/usr/bin", "/bin"].filter(Boolean).join(delimiter);

/** Runs a program. @returns its standard output. */
export type Run = (words: readonly string[], input?: string) => Promise<string>;

/**
 * Runs a program to its end.
 * @throws WeftError `unsupported` when it is not installed, Error with what it printed when it fails
 */
export const run: Run = (words, input = "") =>
  new Promise((resolve, reject) => {
    const [program = "", ...rest] = words;
    // Messages in the language that this code reads.
    const options = { env: { PATH, LC_ALL: "C" }, timeout: TIMEOUT_MS, maxBuffer: OUTPUT_MAX, cwd: "/" };
    const child = execFile(program, rest, options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else if (error.code === "ENOENT") reject(missing(program));
      else reject(new Error(`${words.join(" ")}: ${stderr.trim() || error.message}`, { cause: error }));
    });
    // A program that ends before it has read all says why by itself.
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(input);
  });

function missing(program: string): WeftError {
  const name = PACKAGES[program] ?? program;
  return new WeftError(
    "unsupported",
    `${program} is not installed, and gateways need it: install ${name} (apt-get install ${name})`,
  );
}
