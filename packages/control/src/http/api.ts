/** The REST API of the daemon: its operations, and the Hono application that serves them on the Unix socket. */
import type { RequestListener } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { type Context, Hono } from "hono";
import type { NetworkSpec, Route } from "../dataplane/types.js";
import { codeOf, messageOf, problemsOf, WeftError } from "../errors.js";
import { errorFields, type Log } from "../log/log.js";
import type { MeshAttachRequest, MeshControl } from "../router/mesh-control.js";
import type { Router } from "../router/router.js";
import { Type } from "../typebox.js";
import { checkBody, type Endpoint, endpoint } from "./endpoint.js";
import { meshEndpoints } from "./mesh-endpoints.js";
import { openApi } from "./openapi.js";
import { reportOf } from "./report.js";
import {
  AttachBody,
  Counters,
  Detached,
  Done,
  FdbEntry,
  FlushBody,
  NeighbourEntry,
  Network,
  NetworkBody,
  Port,
  RouteBody,
  RoutesBody,
  Status,
  Wireguard,
} from "./schemas.js";
import { type DaemonFacts, statusOf } from "./status.js";

/** Octets of a request body; 10,000 routes take about 700 kB. */
const BODY_MAX = 64 * 1024 * 1024;

export interface ApiOptions {
  readonly router: Router;
  /** Absent: the configuration is static. */
  readonly mesh?: MeshControl | undefined;
  readonly facts: () => DaemonFacts;
  /** Ends every attachment, then the process. */
  readonly down: () => Promise<void>;
  readonly log: Log;
}

export function endpoints({ router, mesh, facts, down }: ApiOptions): Endpoint[] {
  const { dataplane } = router;
  /** Who keeps attachments. */
  const ports = mesh ?? router;
  /** One network by name. @throws not_found */
  const network = (name: string) => {
    const found = dataplane.networks().find((n) => n.name === name);
    if (!found) throw new WeftError("not_found", `there is no network ${name}`);
    return found;
  };
  const filter = (query: Readonly<Record<string, string>>): string | undefined => {
    return query.network ? network(query.network).name : undefined;
  };

  return [
    endpoint({
      method: "get",
      path: "/v1/status",
      summary: "Everything about the daemon at one moment",
      answer: Status,
      run: () => statusOf(router, facts(), mesh),
    }),
    endpoint({
      method: "get",
      path: "/v1/ports",
      summary: "All ports",
      answer: Type.Array(Port),
      run: () => dataplane.ports(),
    }),
    endpoint({
      method: "post",
      path: "/v1/ports",
      summary: "Attach a namespace",
      description:
        "With the id and the wishes of a port that is there, answers that port: a request may be repeated. With configure: false the device stays, down, in the daemon's namespace, and netns, ifname, ip, gateway and routes are the other runtime's.",
      body: AttachBody,
      answer: Port,
      status: 201,
      run: ({ body }) => {
        const request = body as MeshAttachRequest;
        refuseUnused(request);
        if (mesh) return mesh.attach(request);
        refuseMeshKeys(request);
        const { ipam: _, ...wanted } = request;
        return router.attach(wanted);
      },
    }),
    endpoint({
      method: "delete",
      path: "/v1/ports",
      summary: "Detach every port of a namespace; nothing happens where there is none",
      query: { netns: "namespace name, path or PID" },
      answer: Detached,
      run: async ({ query }) => {
        const target = query.netns;
        if (!target) throw new WeftError("invalid_input", "which ports? Give ?netns=TARGET, or DELETE /v1/ports/ID");
        return { detached: await ports.detachNamespace(target) };
      },
    }),
    endpoint({
      method: "get",
      path: "/v1/ports/{id}",
      summary: "One port",
      answer: Port,
      run: ({ params }) => {
        const found = dataplane.ports().find((p) => p.id === params.id);
        if (!found) throw new WeftError("not_found", `there is no port ${params.id}`);
        return found;
      },
    }),
    endpoint({
      method: "delete",
      path: "/v1/ports/{id}",
      summary: "Detach one port; nothing happens where there is none",
      answer: Detached,
      run: async ({ params }) => {
        const id = params.id ?? "";
        return { detached: (await ports.detach(id)) ? [id] : [] };
      },
    }),
    endpoint({
      method: "get",
      path: "/v1/networks",
      summary: "All networks",
      answer: Type.Array(Network),
      run: () => dataplane.networks(),
    }),
    endpoint({
      method: "get",
      path: "/v1/networks/{name}",
      summary: "One network",
      answer: Network,
      run: ({ params }) => network(params.name ?? ""),
    }),
    endpoint({
      method: "put",
      path: "/v1/networks/{name}",
      summary: "Create a network or put another in its place",
      description: "The network is as the body says: a key that is left out has its default again.",
      body: NetworkBody,
      answer: Network,
      run: async ({ params, body }) => {
        const spec: NetworkSpec = { ...body, name: params.name ?? "" };
        await router.putNetwork(spec);
        return network(spec.name);
      },
    }),
    endpoint({
      method: "delete",
      path: "/v1/networks/{name}",
      summary: "Remove a network that has no ports",
      answer: Type.Object({ removed: Type.Boolean() }),
      run: async ({ params }) => ({ removed: await router.removeNetwork(params.name ?? "") }),
    }),
    endpoint({
      method: "get",
      path: "/v1/networks/{name}/routes",
      summary: "Route table of a network, in the order of writing",
      answer: Type.Array(RouteBody),
      run: ({ params }) => dataplane.routes(network(params.name ?? "").name).list(),
    }),
    endpoint({
      method: "put",
      path: "/v1/networks/{name}/routes",
      summary: "Put the whole route table; no frame is judged by a mixture",
      body: RoutesBody,
      answer: Type.Object({ routes: Type.Integer({ minimum: 0 }) }),
      run: async ({ params, body }) => {
        await router.putRoutes(network(params.name ?? "").name, body as Route[]);
        return { routes: body.length };
      },
    }),
    endpoint({
      method: "get",
      path: "/v1/fdb",
      summary: "Where MAC addresses are",
      query: { network: "only this network" },
      answer: Type.Array(FdbEntry),
      run: ({ query }) => dataplane.fdb(filter(query)),
    }),
    endpoint({
      method: "get",
      path: "/v1/neighbours",
      summary: "Which MAC an IP address has",
      query: { network: "only this network" },
      answer: Type.Array(NeighbourEntry),
      run: ({ query }) => dataplane.neighbours(filter(query)),
    }),
    endpoint({
      method: "get",
      path: "/v1/peers",
      summary: "The WireGuard interface with its peers; null without WireGuard",
      description: "No private and no preshared key is ever answered.",
      answer: Wireguard,
      run: () => dataplane.wireguard(),
    }),
    endpoint({
      method: "get",
      path: "/v1/counters",
      summary: "All counters at one moment",
      answer: Counters,
      run: () => dataplane.counters(),
    }),
    endpoint({
      method: "get",
      path: "/v1/report",
      summary: "Everything at one moment, for whoever helps you; no secrets, but addresses and names",
      answer: Type.Object({ status: Status }),
      run: () => reportOf(router, facts(), mesh),
    }),
    ...meshEndpoints(mesh),
    endpoint({
      method: "post",
      path: "/v1/flush",
      summary: "Forget learned MACs, of one network or of all",
      body: FlushBody,
      answer: Type.Object({ flushed: Type.Boolean() }),
      run: async ({ body }) => {
        await dataplane.flush(body.network === undefined ? undefined : network(body.network).name);
        return { flushed: true };
      },
    }),
    endpoint({
      method: "post",
      path: "/v1/down",
      summary: "Detach everything and stop the daemon",
      answer: Done,
      run: async () => {
        const detached = dataplane.ports().filter(({ role }) => role !== "gateway").length + router.parked.length;
        await down();
        return { pid: process.pid, detached };
      },
    }),
  ];
}

/** Serves the application to a node:http server. */
export function apiListener(options: ApiOptions): RequestListener {
  return getRequestListener(api(options).fetch, { overrideGlobalObjects: false });
}

/** The application; `app.request()` answers without a socket. */
export function api(options: ApiOptions): Hono {
  const all = endpoints(options);
  const document = openApi(all);
  const app = new Hono();
  app.get("/v1/openapi.json", (c) => c.json(document));
  for (const e of all) {
    app.on(e.method.toUpperCase(), e.path.replace(/\{(\w+)\}/g, ":$1"), async (c) => {
      const body = e.body ? await readBody(c) : undefined;
      if (e.body) checkBody(e.body, body);
      const answer = await e.run({
        params: c.req.param() as Record<string, string>,
        query: c.req.query(),
        body: body as never,
      });
      return c.json(answer as object, e.status ?? 200);
    });
  }
  app.notFound((c) =>
    fail(
      c,
      new WeftError("not_found", `there is no ${c.req.method} ${c.req.path}; GET /v1/openapi.json lists what there is`),
      options.log,
    ),
  );
  app.onError((error, c) => fail(c, error, options.log));
  return app;
}

/** @throws WeftError invalid_input for what only a mesh can do */
function refuseMeshKeys({ ipam, name, dnsNames, publish }: MeshAttachRequest): void {
  const only = "only a mesh does this, and there is none: weft runs with a static configuration";
  const problems = [
    ...(ipam === true ? ["ip: missing; there is no mesh that gives addresses: give --ip ADDR/LEN"] : []),
    ...(name === undefined ? [] : [`name: ${only}`]),
    ...(dnsNames === undefined ? [] : [`dnsNames: ${only}`]),
    ...(publish === undefined ? [] : [`publish: ${only}`]),
  ];
  if (problems.length === 0) return;
  throw new WeftError("invalid_input", problems.length === 1 ? (problems[0] ?? "") : "the request is wrong", problems);
}

/** Keys that would be ignored: whoever leaves the configuring to another runtime must not believe that weft did it. */
const CONFIGURED = ["netns", "ifname", "ip", "gateway", "routes"] as const;

/** @throws WeftError invalid_input */
function refuseUnused(request: MeshAttachRequest): void {
  if (request.configure !== false) return;
  const problems = CONFIGURED.filter((key) => request[key] !== undefined).map(
    (key) => `${key}: not with "configure": false, which leaves this to another runtime`,
  );
  if (problems.length === 0) return;
  throw new WeftError("invalid_input", problems.length === 1 ? (problems[0] ?? "") : "the request is wrong", problems);
}

async function readBody(c: Context): Promise<unknown> {
  // Not hono's bodyLimit: it rebuilds the request and fails on Node 20. Only root can reach this socket.
  const announced = Number(c.req.header("content-length") ?? 0);
  if (announced > BODY_MAX) throw new WeftError("invalid_input", `the request is longer than ${BODY_MAX} octets`);
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of (c.req.raw.body ?? []) as AsyncIterable<Uint8Array>) {
    length += part.length;
    if (length > BODY_MAX) throw new WeftError("invalid_input", `the request is longer than ${BODY_MAX} octets`);
    parts.push(part);
  }
  const text = Buffer.concat(parts).toString("utf8");
  try {
    return text === "" ? {} : (JSON.parse(text) as unknown);
  } catch (error) {
    throw new WeftError("invalid_input", `the body is not JSON: ${(error as Error).message}`);
  }
}

const STATUS: Readonly<Record<string, 400 | 404 | 409 | 422 | 503 | 507>> = {
  invalid_input: 400,
  not_found: 404,
  conflict: 409,
  no_mesh: 409,
  EEXIST: 409,
  EBUSY: 409,
  ENOENT: 422,
  ENODEV: 422,
  ESRCH: 422,
  EINVAL: 422,
  EPERM: 422,
  EACCES: 422,
  EMFILE: 503,
  ENFILE: 503,
  unavailable: 503,
  not_recorded: 507,
};

function fail(c: Context, error: unknown, log: Log): Response {
  const known = codeOf(error);
  const code = known === undefined ? "internal" : known === "INVALID_INPUT" ? "invalid_input" : known;
  const status = STATUS[code] ?? 500;
  if (status === 500)
    log.error({ component: "api", ...errorFields(log, error) }, `${c.req.method} ${c.req.path} failed`);
  const problems = problemsOf(error);
  // A fault of weft itself, whose message alone says little.
  const message = known === undefined ? `weft failed inside (${messageOf(error)}): see its log` : messageOf(error);
  return c.json({ error: { code, message, ...(problems.length > 0 ? { problems } : {}) } }, status);
}
