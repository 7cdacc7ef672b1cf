/** What the next host types. */
import type { JoinToken } from "./mesh-answers.js";

/** The exact command; it has the secret in it, so it is printed for who asked and never logged. */
export function joinCommand({ hosts, token }: Pick<JoinToken, "hosts" | "token">): string {
  return `weft up --join ${hosts[0] ?? "HOST"} --token ${token}`;
}

/**
 * What a daemon that has founded a network writes on standard output.
 *
 * @param format of its log. A log in JSON is kept and shipped, so there the secret is left out.
 */
export function foundedText(token: JoinToken, format: "pretty" | "json"): string {
  return format === "json"
    ? "network founded; `weft token` prints the command that the next host joins with"
    : `network founded; the next host joins with\n\n  ${joinCommand(token)}\n`;
}
