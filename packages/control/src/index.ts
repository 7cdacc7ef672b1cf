/** The data plane for programs that embed it. Everything else in this package is the daemon's own. */
export { Dataplane } from "./dataplane/dataplane.js";
export { InvalidInput, type Problem } from "./dataplane/invalid.js";
export type * from "./dataplane/types.js";
