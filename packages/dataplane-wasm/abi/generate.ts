/**
 * Prints the ABI table for its readers: AssemblyScript constants and classes, the C header, and the tables between
 * markers in ARCHITECTURE.md. `--check` writes nothing and exits 1 when a file is not fresh.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
  ABI_HASH,
  allLayouts,
  BATCH_BASE,
  COUNTER_CELLS,
  counterCell,
  DROP_BASE,
  dropRows,
  LIMIT,
  LOOP_BASE,
  layout,
  MAGIC,
  REGION_TABLE,
} from "./layout.js";
import { counters, drops, enums, limits, regions } from "./spec.js";

const root = fileURLToPath(new URL("../../../../", import.meta.url));
const upper = (name: string): string => name.replace(/([a-z])([A-Z])/g, "$1_$2").toUpperCase();
const hex = (n: number): string => `0x${n.toString(16)}`;

/** [NAME, value, doc] for every plain number, in one order for all readers. */
const numbers: [string, number, string][] = [
  ["ABI_HASH", ABI_HASH, "identity of this table"],
  ["MAGIC", MAGIC, "Header.magic"],
  ["REGION_TABLE", REGION_TABLE, "octet of the first region table entry"],
  ...limits.map(([n, v, d]): [string, number, string] => [n, v, d]),
  ...Object.entries(enums).flatMap(([group, rows]) =>
    rows.map(([n, v, d]): [string, number, string] => [`${group}_${n}`, v, d]),
  ),
  ...drops.map(([n, , d], i): [string, number, string] => [`DROP_${n.toUpperCase()}`, i, d]),
  ...counters.map(([n, d]): [string, number, string] => [`COUNT_${n.toUpperCase()}`, counterCell(n), d]),
  ["DROP_BASE", DROP_BASE, "first drop cell; cell = DROP_BASE + reason * 2 + plane"],
  ["BATCH_BASE", BATCH_BASE, "first cell of the batch histogram"],
  ["LOOP_BASE", LOOP_BASE, "first cell of the loop time histogram"],
  ["COUNTER_CELLS", COUNTER_CELLS, "u64 cells of a worker's counter block"],
];

function assembly(): string {
  const out = ["// Generated from abi/spec.ts by `npm run gen`. Do not edit.", ""];
  for (const [name, value, doc] of numbers) {
    out.push(`/** ${doc} */`, "// @ts-ignore: decorator", `@inline export const ${name}: u32 = ${hex(value)};`);
  }
  regions.forEach(([name, type], id) => {
    out.push(
      `/** Octet of the region table that holds the base of ${name} (${type}). */`,
      "// @ts-ignore: decorator",
      `@inline export const REGION_${name}: usize = ${REGION_TABLE + id * layout("Region").size};`,
    );
  });
  for (const struct of allLayouts) {
    const name = upper(struct.name);
    out.push(
      "",
      `/** ${struct.doc} */`,
      "// @ts-ignore: decorator",
      `@inline export const ${name}_SIZE: usize = ${struct.size};`,
    );
    for (const f of struct.fields) {
      if (/^(pad|reserved)\d*$/.test(f.name)) continue;
      if (f.type.startsWith("octets:")) {
        out.push("// @ts-ignore: decorator", `@inline export const ${name}_${upper(f.name)}: usize = ${f.offset};`);
      }
    }
    out.push("// @ts-ignore: decorator", "@unmanaged", `export class ${struct.name} {`);
    for (const f of struct.fields) {
      const octets = /^octets:(\d+)$/.exec(f.type);
      if (!octets) {
        out.push(`  ${f.name}: ${f.type};${f.doc ? ` // ${f.doc}` : ""}`);
        continue;
      }
      // AssemblyScript has no inline arrays: octets become scalars of the same size, reached by their offset.
      let left = Number(octets[1]);
      let at = f.offset;
      for (let i = 0; left > 0; i++) {
        const unit = at % 8 === 0 && left >= 8 ? 8 : at % 4 === 0 && left >= 4 ? 4 : at % 2 === 0 && left >= 2 ? 2 : 1;
        out.push(`  ${f.name}_${i}: u${unit * 8};`);
        at += unit;
        left -= unit;
      }
    }
    out.push("}");
    for (const f of struct.fields) {
      if (f.type.startsWith("octets:")) continue;
      out.push(`if (offsetof<${struct.name}>("${f.name}") != ${f.offset}) ERROR("abi: ${struct.name}.${f.name}");`);
    }
    out.push(`if (offsetof<${struct.name}>() != ${struct.size}) ERROR("abi: size of ${struct.name}");`);
  }
  return `${out.join("\n")}\n`;
}

function header(): string {
  const ctype: Record<string, string> = {
    u8: "uint8_t",
    u16: "uint16_t",
    u32: "uint32_t",
    i32: "int32_t",
    u64: "uint64_t",
  };
  const out = [
    "/* Generated from packages/dataplane-wasm/abi/spec.ts by `npm run gen`. Do not edit. */",
    "#ifndef WEFT_ABI_GEN_H",
    "#define WEFT_ABI_GEN_H",
    "",
    "#include <stddef.h>",
    "#include <stdint.h>",
    "",
    "#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__",
    '#error "WebAssembly memory is little-endian; so must this machine be"',
    "#endif",
    "",
  ];
  for (const [name, value, doc] of numbers) out.push(`/* ${doc} */`, `#define WEFT_${name} ${hex(value)}u`);
  for (const [id, [name]] of regions.entries()) out.push(`#define WEFT_REGION_${name} ${id}u`);
  for (const struct of allLayouts) {
    const name = upper(struct.name).toLowerCase();
    out.push("", `/* ${struct.doc} */`, `struct weft_${name} {`);
    for (const f of struct.fields) {
      const octets = /^octets:(\d+)$/.exec(f.type);
      const field = upper(f.name).toLowerCase();
      out.push(octets ? `    uint8_t ${field}[${octets[1]}];` : `    ${ctype[f.type]} ${field};`);
    }
    out.push("};", `_Static_assert(sizeof(struct weft_${name}) == ${struct.size}, "${struct.name}");`);
    for (const f of struct.fields) {
      out.push(
        `_Static_assert(offsetof(struct weft_${name}, ${upper(f.name).toLowerCase()}) == ${f.offset}, "${struct.name}.${f.name}");`,
      );
    }
  }
  out.push("", "#endif", "");
  return out.join("\n");
}

function tables(): Record<string, string> {
  const rows = (head: string[], body: string[][]): string =>
    [head, head.map(() => "---"), ...body].map((r) => `| ${r.join(" | ")} |`).join("\n");
  return {
    limits: rows(
      ["limit", "value", "meaning"],
      limits.map(([n, v, d]) => [`\`${n}\``, v.toLocaleString("en"), d]),
    ),
    regions: rows(
      ["region", "element", "octets each", "copies", "count", "written by", "read by"],
      regions.map(([n, t, kind, count, w, r]) => [
        `\`${n}\``,
        t,
        String(t.startsWith("octets:") ? t.slice(7) : t === "u64" ? 8 : layout(t).size),
        kind,
        count,
        w,
        r,
      ]),
    ),
    drops: rows(
      ["plane", "reason", "meaning"],
      dropRows.map((d) => [d.plane, `\`${d.reason}\``, d.help]),
    ),
  };
}

/** The document with every `<!-- gen:NAME -->` … `<!-- /gen -->` filled in. */
function fill(text: string): string {
  const made = tables();
  return text.replace(
    /(<!-- gen:(\w+) -->\n)[\s\S]*?(<!-- \/gen -->)/g,
    (all, open: string, name: string, close: string) => (made[name] ? `${open}${made[name]}\n${close}` : all),
  );
}

const check = process.argv.includes("--check");
const stale: string[] = [];
function emit(path: string, text: string): void {
  const file = root + path;
  if (existsSync(file) && readFileSync(file, "utf8") === text) return;
  if (check) stale.push(path);
  else writeFileSync(file, text);
}
if (LIMIT.HEADROOM < 128) throw new Error("abi: HEADROOM must hold the longest outer headers (128 octets)");
if (LIMIT.SLOT_SIZE < LIMIT.HEADROOM + LIMIT.VNET_HDR_LEN + LIMIT.FRAME_MAX)
  throw new Error("abi: a slot must hold a super-frame");
emit("packages/dataplane-wasm/assembly/abi.gen.ts", assembly());
emit("packages/tun/src/abi.gen.h", header());
const architecture = `${root}ARCHITECTURE.md`;
if (existsSync(architecture)) emit("ARCHITECTURE.md", fill(readFileSync(architecture, "utf8")));
if (stale.length > 0) {
  console.error(`not fresh, run \`npm run gen\`: ${stale.join(", ")}`);
  process.exit(1);
}
