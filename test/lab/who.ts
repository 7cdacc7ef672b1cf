/** Who reaches whom, and as whom: see who.mjs. */
import { fileURLToPath } from "node:url";
import type { Test } from "tap";
import type { Namespace } from "./namespace.js";

const WHO = fileURLToPath(new URL("who.mjs", import.meta.url));

/** Answers `LABEL sees ADDRESS` at a TCP and UDP port, on all addresses. */
export async function serve(namespace: Namespace, port: number, label: string = namespace.label): Promise<void> {
  await namespace.start([process.execPath, WHO, "serve", `${port}`, label]).line(/serving/);
}

/** What the server answers, or `no answer: REASON`. */
export const ask = (from: Namespace, protocol: "tcp" | "udp", address: string, port: number): Promise<string> =>
  from.run([process.execPath, WHO, "ask", protocol, address, `${port}`]);

export type Question = readonly [
  from: Namespace,
  protocol: "tcp" | "udp",
  address: string,
  port: number,
  answer: RegExp,
  why?: string,
];

/** Asks all at once: what is refused without a word takes its time. */
export async function all(t: Test, questions: readonly Question[]): Promise<void> {
  const answers = await Promise.all(
    questions.map(([from, protocol, address, port]) => ask(from, protocol, address, port)),
  );
  questions.forEach(([from, protocol, address, port, answer, why = ""], i) => {
    t.match(answers[i], answer, `${from.label}: ${protocol} ${address} ${port} ${why}`);
  });
}

export const sees = (server: string, client: string): RegExp => new RegExp(`^${server} sees ${client}$`);
export const NONE = /^no answer/;

/** Whether a TCP connection is made, for servers that do not speak first. */
export async function connects(from: Namespace, address: string, port: number): Promise<boolean> {
  const script = `exec 3<>/dev/tcp/${address}/${port}`;
  return (await from.attempt(["timeout", "2", "bash", "-c", script])).code === 0;
}

/** What weft could leave on a host: devices, addresses, routes, rules and nftables, without what changes by itself. */
export async function facts(host: Namespace): Promise<string> {
  const commands = ["ip -o link", "ip -o addr", "ip route", "ip -6 route", "ip rule", "nft list ruleset"];
  const all = await Promise.all(commands.map((command) => host.run(command)));
  return all
    .join("\n")
    .replace(/ (valid_lft|preferred_lft|expires) \S+/g, "")
    .replace(/@if\d+|if\d+/g, "")
    .replace(/ tentative|counter packets \d+ bytes \d+/g, "");
}
