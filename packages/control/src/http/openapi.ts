/** The OpenAPI 3.1 document, made from the endpoints themselves. */
import type { TSchema } from "../typebox.js";
import { VERSION } from "../version.js";
import type { Endpoint } from "./endpoint.js";
import { Failure } from "./schemas.js";

const json = (schema: TSchema) => ({ "application/json": { schema } });

export function openApi(endpoints: readonly Endpoint[]): object {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const e of endpoints) {
    const names = [...e.path.matchAll(/\{(\w+)\}/g)].map((m) => m[1] ?? "");
    const parameters = [
      ...names.map((name) => ({ name, in: "path", required: true, schema: { type: "string" } })),
      ...Object.entries(e.query ?? {}).map(([name, description]) => ({
        name,
        in: "query",
        description,
        schema: { type: "string" },
      })),
    ];
    const methods = paths[e.path] ?? {};
    paths[e.path] = methods;
    methods[e.method] = {
      operationId: `${e.method}${e.path
        .replace("/v1/", "/")
        .replace(/[^A-Za-z]+(\w)/g, (_, c: string) => c.toUpperCase())
        .replace(/\W/g, "")}`,
      summary: e.summary,
      ...(e.description === undefined ? {} : { description: e.description }),
      ...(parameters.length > 0 ? { parameters } : {}),
      ...(e.body ? { requestBody: { required: true, content: json(e.body) } } : {}),
      responses: {
        [String(e.status ?? 200)]: { description: "done", content: json(e.answer) },
        default: { description: "failed; nothing was changed", content: json(Failure) },
      },
    };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "weft",
      version: VERSION,
      description: "Control API of the weft daemon, on its Unix socket. Times are seconds, sizes octets.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "http://localhost" }],
    paths,
  };
}
