/**
 * Other people's forward chains that drop by policy, as Docker's: a packet has to be accepted in every table, so weft puts
 * accept rules for its own devices there, marked by a comment. They go into DOCKER-USER where a table has it, because Docker
 * leaves that chain to others; else into the chain itself.
 *
 * Chains of nftables (those of iptables-nft among them) and of the legacy iptables are seen. A chain that accepts by policy and drops
 * by a last rule, as firewalld's, is not: there the operator has to let weft's devices through.
 */
import { existsSync, readFileSync } from "node:fs";
import { type Run, run } from "./program.js";

interface Chain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly hook?: string;
  readonly type?: string;
  readonly policy?: string;
}

interface Rule {
  readonly handle: number;
  readonly comment?: string;
  readonly expr: readonly unknown[];
}

export interface ForeignRules {
  /** Where accept rules of ours are: `ip filter DOCKER-USER`. */
  readonly chains: readonly string[];
  /** Chains that lacked them. */
  readonly added: number;
  /** Whether the table of that name exists. */
  readonly hasTable: boolean;
}

/** Comment of the rules of one daemon. */
const commentOf = (tag: string): string => `weft ${tag}`;

/**
 * Puts accept rules for the devices into every forward chain that drops by policy, where they are missing, and takes those for
 * other devices away. No devices: takes all away.
 */
export async function acceptIn(
  tag: string,
  devices: readonly string[],
  ownTable: string,
  program: Run = run,
): Promise<ForeignRules> {
  const all = await chainsOf(program);
  const legacy = await acceptInLegacy(tag, devices, program);
  const chains = [...legacy.chains];
  let { added } = legacy;
  for (const chain of targets(all, ownTable)) {
    const wanted = chain.drops ? devices.flatMap((name) => [`iifname "${name}"`, `oifname "${name}"`]) : [];
    const there = (await rulesOf(chain, program)).filter((rule) => rule.comment === commentOf(tag));
    if (wanted.length > 0) chains.push(`${chain.family} ${chain.table} ${chain.name}`);
    if (same(there.map(matchOf), wanted)) continue;
    const where = `rule ${chain.family} ${chain.table} ${chain.name}`;
    const text = [
      ...there.map(({ handle }) => `delete ${where} handle ${handle}`),
      ...wanted.map((match) => `insert ${where} ${match} accept comment "${commentOf(tag)}"`),
    ];
    await program(["nft", "-f", "-"], `${text.join("\n")}\n`);
    if (wanted.length > 0) added++;
  }
  return { chains, added, hasTable: all.some((c) => c.family === "inet" && c.table === ownTable) };
}

/** Chains of a drop policy, or DOCKER-USER of their table in place of it; and every other chain that our rules may be left in. */
function targets(all: readonly Chain[], ownTable: string): (Chain & { readonly drops: boolean })[] {
  const out = new Map<string, Chain & { readonly drops: boolean }>();
  const forwards = all.filter(
    (c) =>
      c.hook === "forward" && c.type === "filter" && c.table !== ownTable && ["ip", "ip6", "inet"].includes(c.family),
  );
  for (const forward of forwards) {
    const user = all.find((c) => c.family === forward.family && c.table === forward.table && c.name === "DOCKER-USER");
    const drops = forward.policy === "drop";
    for (const chain of [forward, user ?? forward]) {
      const key = `${chain.family} ${chain.table} ${chain.name}`;
      const isTarget = drops && chain === (user ?? forward);
      out.set(key, { ...chain, drops: isTarget || (out.get(key)?.drops ?? false) });
    }
  }
  return [...out.values()];
}

async function chainsOf(program: Run): Promise<Chain[]> {
  const listed = JSON.parse(await program(["nft", "-j", "list", "chains"])) as { nftables: { chain?: Chain }[] };
  return listed.nftables.flatMap(({ chain }) => chain ?? []);
}

async function rulesOf({ family, table, name }: Chain, program: Run): Promise<Rule[]> {
  const text = await program(["nft", "-j", "-a", "list", "chain", family, table, name]);
  return (JSON.parse(text) as { nftables: { rule?: Rule }[] }).nftables.flatMap(({ rule }) => rule ?? []);
}

/** `iifname "x"` of one of our rules; empty when somebody has changed it. */
function matchOf({ expr }: Rule): string {
  const [first, second] = expr as {
    match?: { left?: { meta?: { key?: string } }; right?: unknown };
    accept?: null;
  }[];
  if (expr.length !== 2 || second?.accept !== null) return "";
  return `${first?.match?.left?.meta?.key} "${first?.match?.right}"`;
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && [...a].sort().join("\n") === [...b].sort().join("\n");
}

async function acceptInLegacy(
  tag: string,
  devices: readonly string[],
  program: Run,
): Promise<{ chains: string[]; added: number }> {
  const chains: string[] = [];
  let added = 0;
  for (const [family, file, name] of [
    ["ip", "/proc/net/ip_tables_names", "iptables-legacy"],
    ["ip6", "/proc/net/ip6_tables_names", "ip6tables-legacy"],
  ] as const) {
    if (!existsSync(file) || !readFileSync(file, "utf8").split("\n").includes("filter")) continue;
    const lines = (await program([name, "-w", "-S"])).split("\n");
    const drops = lines.includes("-P FORWARD DROP");
    const chain = lines.includes("-N DOCKER-USER") ? "DOCKER-USER" : "FORWARD";
    const there = lines.filter((line) => line.includes(`--comment "${commentOf(tag)}"`));
    const rule = (flag: string, device: string): string =>
      `-A ${chain} ${flag} ${device} -m comment --comment "${commentOf(tag)}" -j ACCEPT`;
    const wanted = drops ? devices.flatMap((device) => [rule("-i", device), rule("-o", device)]) : [];
    if (wanted.length > 0) chains.push(`${family} filter ${chain} (legacy)`);
    if (same(there, wanted)) continue;
    for (const line of there) await program([name, "-w", ...wordsOf(line.replace(/^-A/, "-D"))]);
    for (const line of wanted) await program([name, "-w", ...wordsOf(line.replace(/^-A/, "-I"))]);
    if (wanted.length > 0) added++;
  }
  return { chains, added };
}

/** Words of a line as `iptables -S` prints it: only comments are quoted. */
function wordsOf(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|\S+/g)].map(([word, quoted]) => quoted ?? word);
}
