/** One operation of the API: what it is called, what it takes and answers, and what runs. */

import { schemaProblems, showPath } from "../config/problems.js";
import { WeftError } from "../errors.js";
import type { Static, TSchema } from "../typebox.js";

export interface Call<B> {
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  readonly body: B;
}

export interface Endpoint<S extends TSchema = TSchema> {
  readonly method: "get" | "put" | "post" | "delete";
  /** With `{name}` for parameters, as OpenAPI writes them. */
  readonly path: string;
  readonly summary: string;
  /** What the summary leaves out. */
  readonly description?: string;
  /** Descriptions of query parameters, all optional. */
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: S;
  readonly answer: TSchema;
  /** HTTP status of success, default 200. */
  readonly status?: 200 | 201;
  run(call: Call<Static<S>>): unknown;
}

/** Keeps the type of the body inside `run` and hides it outside. */
export function endpoint<S extends TSchema>(definition: Endpoint<S>): Endpoint {
  return definition as unknown as Endpoint;
}

function problemsOf(schema: TSchema, value: unknown): string[] {
  try {
    return schemaProblems(schema, value).map((p) => `${showPath(p.path) || "body"}: ${p.text}`);
  } catch (error) {
    if (error instanceof RangeError) return ["body: nested too deeply"];
    throw error;
  }
}

/** @throws WeftError invalid_input with every problem of a request body. */
export function checkBody(schema: TSchema, value: unknown): void {
  const problems = problemsOf(schema, value);
  if (problems.length > 0)
    throw new WeftError(
      "invalid_input",
      problems.length === 1 ? (problems[0] ?? "") : "the request is wrong",
      problems,
    );
}
