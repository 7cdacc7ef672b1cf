/**
 * Turns schema errors into sentences: key path, what was found, what is allowed. One per key, in the order of the
 * document.
 */
import { Errors, type TSchema } from "../typebox.js";

export interface Problem {
  /** Keys and list positions from the root. */
  readonly path: readonly (string | number)[];
  readonly text: string;
}

type Node = { [key: string]: unknown };

function child(node: Node | undefined, key: string): Node | undefined {
  const inside = (node?.properties as Record<string, Node> | undefined)?.[key];
  return inside ?? (node?.items as Node | undefined);
}

/** `networks[0].vni` */
export function showPath(path: readonly (string | number)[]): string {
  return path.reduce<string>(
    (text, key) => (typeof key === "number" ? `${text}[${key}]` : text === "" ? key : `${text}.${key}`),
    "",
  );
}

/** A value as the reader wrote it, cut at 60 characters. Never a key: what stands in the wrong place may be a private one. */
export function show(value: unknown): string {
  if (value === undefined || value === null) return "nothing";
  const text = JSON.stringify(value).replace(/[A-Za-z0-9+/]{43}=/g, "(a key)");
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** The allowed key that a mistyped one most likely meant: at most two letters wrong. */
export function nearest(word: string, words: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = 3;
  for (const candidate of words) {
    const d = distance(word.toLowerCase(), candidate.toLowerCase());
    if (d < least) [best, least] = [candidate, d];
  }
  return best;
}

function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + cost));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** Everything in `value` that `schema` does not allow. */
export function schemaProblems(schema: TSchema, value: unknown): Problem[] {
  const problems = new Map<string, Problem>();
  const add = (path: readonly (string | number)[], text: string): void => {
    const key = showPath(path);
    if (!problems.has(key)) problems.set(key, { path, text });
  };
  for (const error of Errors(schema, value)[1]) {
    const keys = error.instancePath
      .split("/")
      .slice(1)
      .map((k) => k.replaceAll("~1", "/").replaceAll("~0", "~"));
    const path: (string | number)[] = [];
    let node: Node | undefined = schema as unknown as Node;
    let here: unknown = value;
    let allowed = typeof node.description === "string" ? node.description : undefined;
    for (const key of keys) {
      path.push(Array.isArray(here) ? Number(key) : key);
      here = typeof here === "object" && here !== null ? (here as Node)[key] : undefined;
      node = child(node, key);
      if (typeof node?.description === "string") allowed = node.description;
    }
    if (error.keyword === "additionalProperties") {
      const known = Object.keys((node?.properties as object | undefined) ?? {});
      for (const key of (error.params as { additionalProperties: string[] }).additionalProperties) {
        const meant = nearest(key, known);
        add([...path, key], `unknown key${meant ? `, did you mean ${meant}?` : ""}; allowed: ${known.join(", ")}`);
      }
    } else if (error.keyword === "required") {
      for (const key of (error.params as { requiredProperties: string[] }).requiredProperties) {
        const what = child(node, key)?.description;
        add([...path, key], `missing; allowed: ${typeof what === "string" ? what : "a value"}`);
      }
    } else if (error.keyword !== "boolean" && error.keyword !== "anyOf") {
      const isKey = node?.format === "key" && typeof here === "string";
      const found = isKey ? `${(here as string).length} characters that are no key` : show(here);
      add(path, `found ${found}; allowed: ${allowed ?? error.message}`);
    }
  }
  return [...problems.values()];
}
