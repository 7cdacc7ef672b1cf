/** What starts often is put together: a program that is some hundred files takes longer to load than to do most of what it is asked for. */
import { rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const shared = { bundle: true, format: "esm", platform: "node", target: "node20", logLevel: "warning" };

// For whoever loads parts of dist/, as the tests do: all of typebox in the one file that imports it. Once more changes nothing.
await build({
  ...shared,
  entryPoints: [at("dist/typebox.js")],
  outfile: at("dist/typebox.js"),
  allowOverwrite: true,
  legalComments: "inline",
});

// `weft`: bin/weft.js loads bundle/weft.js, and that a further file for each command. All are in one folder, one below the package's own
// (src/package-root.ts); so is what is started by its name beside the module that starts it.
const programs = { weft: "cli/main", worker: "dataplane/worker", lookup: "demo/lookup", transfer: "demo/transfer" };
await rm(at("bundle"), { recursive: true, force: true });
await build({
  ...shared,
  entryPoints: Object.fromEntries(Object.entries(programs).map(([name, path]) => [name, at(`dist/${path}.js`)])),
  outdir: at("bundle"),
  splitting: true,
  // They find an addon and a WebAssembly module beside themselves.
  external: ["@weft/*"],
  // For packages that are CommonJS still.
  banner: {
    js: 'import { createRequire as requireOf } from "node:module";\nconst require = requireOf(import.meta.url);',
  },
});
