/**
 * What is used of typebox. The build puts all of it into this one file (scripts/bundle.mjs): loaded as it is published, it is
 * 680 files, which is two fifths of what a daemon's start costs.
 */
export { type Static, type TSchema, Type } from "typebox";
export { Compile } from "typebox/compile";
export { default as Format } from "typebox/format";
export { Errors } from "typebox/schema";
export { Settings } from "typebox/system";
