/**
 * Reads the configuration file: YAML with positions, then the schema, then the rules no schema can say. Every problem
 * of the file is reported at once, with its line.
 */
import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { type Document, isNode, LineCounter, parseDocument } from "yaml";
import { WeftError } from "../errors.js";
import { DEFAULT_VXLAN_PORT } from "./defaults.js";
import type { Keys } from "./key-files.js";
import { keyProblems, meshProblems } from "./mesh-rules.js";
import { type Problem, schemaProblems, show, showPath } from "./problems.js";
import { type Given, networkProblems, type Surroundings, underlayProblems } from "./rules.js";
import { ConfigFile } from "./schema.js";
import { tunnelOf } from "./tunnel.js";
import { wireguardProblems } from "./wireguard-rules.js";

/** A configuration file, and the keys that it names. */
export interface LoadedConfig {
  readonly file: ConfigFile;
  /** undefined without WireGuard. */
  readonly keys: Keys | undefined;
}

/**
 * @param given flags that the rules of the file depend on.
 * @throws WeftError bad_config with every problem, those of the key files included, or with the reason why the file
 *   cannot be read.
 */
export async function loadConfigFile(path: string, given: Given = {}): Promise<LoadedConfig> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const why =
      code === "ENOENT" ? "there is no such file" : code === "EISDIR" ? "it is a directory" : (code ?? String(error));
    throw new WeftError("bad_config", `cannot read the configuration file ${path}: ${why}`);
  }
  const { value, problems, fail } = examine(text, path, given);
  const section = isMap(value) ? value.wireguard : undefined;
  if (section === undefined) {
    if (problems.length > 0) throw fail(problems);
    return { file: value as ConfigFile, keys: undefined };
  }
  const { readKeys, wipeKeys } = await import("./key-files.js");
  const keys = readKeys(section, dirname(path));
  const all = [...problems, ...keys.problems];
  if (all.length === 0) return { file: value as ConfigFile, keys };
  wipeKeys(keys);
  throw fail(all);
}

/** The same for text already read, without key files; `path` is only named in messages. */
export function parseConfig(text: string, path: string, given: Given = {}): ConfigFile {
  const { value, problems, fail } = examine(text, path, given);
  if (problems.length > 0) throw fail(problems);
  return value as ConfigFile;
}

interface Examined {
  readonly value: unknown;
  readonly problems: readonly Problem[];
  /** The error for problems, in the order of the lines. */
  fail(problems: readonly Problem[]): WeftError;
}

/** @throws WeftError bad_config for what is no YAML. */
function examine(text: string, path: string, given: Given): Examined {
  const lines = new LineCounter();
  const doc = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  if (doc.errors.length > 0) {
    const problems = doc.errors.map((e) => `line ${lines.linePos(e.pos[0]).line}: ${e.message.replace(/\.$/, "")}`);
    throw failure(path, "is not valid YAML", problems);
  }
  const value: unknown = doc.toJS() ?? {};
  // `mesh:` with nothing behind it says as much as `mesh: {}`.
  if (isMap(value) && value.mesh === null) value.mesh = {};
  const shape = schemaProblems(ConfigFile, value);
  const isSound = !shape.some((p) => p.path[0] === "wireguard");
  return {
    value,
    problems: [...shape, ...ruleProblems(value, given, isSound)],
    fail(problems) {
      const placed = problems.map((p) => ({
        line: lineOf(doc, lines, p.path),
        text: `${showPath(p.path) || "the file"}: ${p.text}`,
      }));
      placed.sort((a, b) => a.line - b.line);
      return failure(
        path,
        "cannot be used",
        placed.map((p) => `line ${p.line}: ${p.text}`),
      );
    },
  };
}

function failure(path: string, what: string, problems: readonly string[]): WeftError {
  const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
  return new WeftError("bad_config", `the configuration file ${path} ${what}: ${count}`, problems);
}

/** Line of a key, or of the innermost thing around it that is there. */
function lineOf(doc: Document.Parsed, lines: LineCounter, path: readonly (string | number)[]): number {
  for (let depth = path.length; depth > 0; depth--) {
    const node = doc.getIn(path.slice(0, depth), true);
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
  }
  return 1;
}

/**
 * What one value alone does not show: doubles, families, references. Skips whatever the schema already refused.
 *
 * @param isSound whether the schema has nothing against the wireguard section.
 */
function ruleProblems(value: unknown, given: Given, isSound: boolean): Problem[] {
  if (!isMap(value)) return [];
  const out = underlayProblems(list(value.underlay));
  const names = new Map<unknown, number>();
  const vnis = new Map<unknown, number>();
  const underlay = given.underlay ?? texts(value.underlay);
  const vxlanPort = given.vxlanPort ?? (typeof value.vxlanPort === "number" ? value.vxlanPort : DEFAULT_VXLAN_PORT);
  const peers = isMap(value.limits) ? value.limits.peers : undefined;
  const isMesh = value.mesh !== undefined && given.mesh !== false;
  const keys = keyProblems(value.wireguard, isMesh);
  out.push(...keys);
  if (isMesh) out.push(...meshProblems(value.mesh, vxlanPort));
  out.push(...wireguardProblems(value.wireguard, { underlay, vxlanPort: isMesh ? 0 : vxlanPort, peers }));
  const tunnel = tunnelOf(isMesh ? (value.wireguard ?? {}) : value.wireguard, isSound && keys.length === 0);
  const around: Surroundings = { underlay, vteps: given.vteps ?? [], tunnel };
  list(value.networks).forEach((network, index) => {
    if (!isMap(network)) return;
    for (const [key, seen] of [
      ["name", names],
      ["vni", vnis],
    ] as const) {
      const one = network[key];
      if (one === undefined) continue;
      const first = seen.get(one);
      if (first === undefined) seen.set(one, index);
      else
        out.push({
          path: ["networks", index, key],
          text: `found ${show(one)}, which networks[${first}] has already; allowed: a ${key} of its own`,
        });
    }
    out.push(...networkProblems(network, ["networks", index], around));
  });
  return out;
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The texts of a list, or undefined where it is none: the underlay is then known at start only. */
function texts(value: unknown): string[] | undefined {
  return Array.isArray(value) ? value.filter((v) => typeof v === "string") : undefined;
}
