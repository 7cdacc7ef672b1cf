/**
 * What answers on TCP, to anybody: /metrics, /healthz, /readyz, and nothing else. Answers from the first moment of
 * the daemon on, so plain node:http and not the application of the control socket.
 */
import type { RequestListener, ServerResponse } from "node:http";
import { errorFields, type Log } from "../log/log.js";
import type { Metrics } from "./metrics.js";
import type { DaemonState } from "./status.js";

export interface HealthOptions {
  /** undefined until the data plane runs; a scrape waits for the rest. */
  readonly metrics: () => Metrics | Promise<Metrics> | undefined;
  readonly state: () => DaemonState;
  readonly log: Log;
}

const PLAIN = "text/plain; charset=utf-8";

export function healthListener(options: HealthOptions): RequestListener {
  return (request, response) => {
    const [path] = (request.url ?? "").split("?");
    if (request.method !== "GET" && request.method !== "HEAD") return answer(response, 405, "only GET\n");
    // That this answers at all says that the daemon's thread is alive; a failed worker ends the process.
    if (path === "/healthz") return answer(response, 200, "ok\n");
    if (path === "/readyz") {
      const state = options.state();
      return answer(response, state === "ready" ? 200 : 503, `${state}\n`);
    }
    if (path !== "/metrics") return answer(response, 404, "only /metrics, /healthz and /readyz are here\n");
    const metrics = options.metrics();
    if (!metrics) return answer(response, 503, "starting\n");
    scrape(response, metrics).catch((error: unknown) => {
      options.log.error({ component: "metrics", ...errorFields(options.log, error) }, "scrape failed");
      answer(response, 500, "failed\n");
    });
  };
}

async function scrape(response: ServerResponse, opened: Metrics | Promise<Metrics>): Promise<void> {
  const metrics = await opened;
  answer(response, 200, await metrics.scrape(), metrics.contentType);
}

function answer(response: ServerResponse, status: number, text: string, type = PLAIN): void {
  response.writeHead(status, { "Content-Type": type, "Content-Length": Buffer.byteLength(text) });
  response.end(text);
}
