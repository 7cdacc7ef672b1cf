/**
 * What is used of typebox. The build puts all of it into this one file (scripts/bundle.mjs): loaded as it is published, it is
 * 680 files. The program has it from the bundle in any case; this is for who loads parts of dist/, as the tests do.
 */
export { type Static, type TSchema, Type } from "typebox";
export { Compile } from "typebox/compile";
export { default as Format } from "typebox/format";
export { Errors } from "typebox/schema";
export { Settings } from "typebox/system";
