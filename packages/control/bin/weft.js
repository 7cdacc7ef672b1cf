#!/usr/bin/env node
import { existsSync } from "node:fs";

const main = new URL("../bundle/weft.js", import.meta.url);
if (existsSync(main)) {
  const { run } = await import(main.href);
  await run(process.argv.slice(2));
} else {
  process.stderr.write("weft: not built yet: run `npm ci` (or `npm run build`) in the repository first\n");
  process.exitCode = 1;
}
