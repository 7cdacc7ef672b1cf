/** The ABI as TypeScript sees it. */
export * from "./layout.js";
export { counters, drops, enums, limits, regions, structs } from "./spec.js";
